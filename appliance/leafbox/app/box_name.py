"""The name of a box that runs without a configuration file: made once, kept in the data directory.

It is server name and JetStream domain at once, so that any number of unconfigured boxes can hang on one hub. The hub's
streams name the domain as their origin, so it must never change: it is on the device before it is used.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from leafbox.protocol.errors import ConfigError

FILE_NAME = "box-name"
_LETTERS = "abcdefghjkmnpqrstvwxyz23456789"
"""Without those that are taken for one another when read out on the telephone."""
_LENGTH = 8
"""Half a trillion names: a chance of one in a hundred that two among 100,000 boxes are the same; the hub says so."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def box_name(data: Path) -> str:
    """The box's name, made now if there is none. Raises `ConfigError` if the file holds something else, OSError."""
    path = data / FILE_NAME
    if path.exists():
        name = path.read_text(encoding="utf-8").strip()
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{path} should hold the box's name, one word of letters, digits, - and _")
        return name
    name = "box-" + "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as file:
        file.write(name + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    directory = os.open(data, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return name
