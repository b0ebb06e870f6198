"""How the box's own processes find core: the address and credentials of one start, as file and as environment.

Values only; `app.control` makes them, the web process and the command line read them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

FILE_NAME = "control.json"
ENVIRONMENT = "LEAFBOX_CONTROL"
"""Variable in which a child process gets `Control` as JSON; an environment is private to the user, an argument list
is not."""
USER = "control"


@dataclass(frozen=True, slots=True)
class Control:
    """How to reach the control channel. `web` is the dashboard's address once it is up."""

    url: str
    user: str
    password: str
    pid: int
    web: str = ""

    def __repr__(self) -> str:
        return f"Control(url={self.url!r}, pid={self.pid})"

    def encode(self) -> bytes:
        """As JSON, for the file and the environment."""
        return msgspec.json.encode(asdict(self))

    @staticmethod
    def decode(text: bytes) -> Control:
        """Raises ValueError (msgspec's errors are) for anything else."""
        return msgspec.json.decode(text, type=Control)


def user_of(account: str) -> str:
    """The user name that lands in an account; empty: the system account."""
    return f"{USER}@{account}" if account else USER


def find_control(data: Path, environment: Mapping[str, str]) -> Control:
    """The file of the data directory, which a restarted core has written anew, else what the environment says.

    Raises OSError or ValueError when there is neither.
    """
    try:
        return Control.decode((data / FILE_NAME).read_bytes())
    except FileNotFoundError:
        given = environment.get(ENVIRONMENT, "")
        if not given:
            raise
        return Control.decode(os.fsencode(given))
