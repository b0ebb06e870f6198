"""A copy of the files of a store that goes on living: what a SIGKILL at that moment would leave behind."""

from __future__ import annotations

import shutil
from pathlib import Path

# The log's next segment is made under this name and renamed when it is whole. It holds no records yet, and it may be
# gone between the listing of the directory and the copying.
SPARE = "unfinished"


def copy_living_store(source: Path, target: Path) -> None:
    """Copy the files as they are. Wait for the log to be durable first, or what is not in the copy is no surprise."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(SPARE))
