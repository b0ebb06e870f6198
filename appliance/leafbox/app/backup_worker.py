"""The process that packs, checks and unpacks backups for a running box: core neither compresses nor seals.

`python -m leafbox.app.backup_worker` reads one request as JSON from standard input (the passphrase is in it, so it is
in no argument list), writes a line `{"bytes": n}` now and then, and last `{"done": true}` or `{"error": "..."}`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from leafbox.app.backup_contents import check_backup, stage_backup
from leafbox.app.backup_file import Header, write_backup
from leafbox.protocol.errors import LeafboxError

NICENESS = 10
TELL_EVERY_S = 0.5


class Task(msgspec.Struct, frozen=True):
    """What is to be done."""

    action: str
    """`create`, `verify` or `stage`."""
    backup: str
    passphrase: str = ""
    data: str = ""
    header: Header | None = None
    files: list[tuple[str, str]] = []


def steps_of(task: Task) -> Iterator[int]:
    """The work, step by step."""
    backup = Path(task.backup)
    match task.action:
        case "create":
            assert task.header is not None
            files = [(name, Path(path)) for name, path in task.files]
            return write_backup(backup, task.header, task.passphrase, files)
        case "verify":
            return check_backup(backup, task.passphrase)
        case _:
            return stage_backup(backup, task.passphrase, Path(task.data))


def main() -> int:
    """Entry point."""
    os.nice(NICENESS)
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    told_s = 0.0
    try:
        for done in steps_of(task):
            if time.monotonic() - told_s >= TELL_EVERY_S:
                told_s = time.monotonic()
                _tell({"bytes": done})
    except (LeafboxError, OSError) as error:
        _tell({"error": str(error)})
        return 1
    _tell({"done": True})
    return 0


def _tell(document: dict[str, object]) -> None:
    sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
