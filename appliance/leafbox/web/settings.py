"""What the web process is told at its start: where to listen, where the data is, which names its certificate has."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

ENVIRONMENT = "LEAFBOX_WEB"
"""Variable in which the supervisor hands over `Settings` as JSON."""

PORT = 8222
"""nats-server's monitoring port: whatever read it goes on with the same paths and a token."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The web process's own configuration."""

    host: str = "127.0.0.1"
    port: int = PORT
    """0: a free one."""
    data: str = "data"
    """The box's data directory; certificates are kept in `tls` below it."""
    tls: bool | None = None
    """None: HTTPS unless only this machine can connect."""
    names: tuple[str, ...] = ()
    """Further names and addresses under which the box is reached, for its certificate."""

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def uses_tls(self) -> bool:
        """Plain HTTP is possible on loopback only."""
        return not self.is_local or bool(self.tls)

    @property
    def data_directory(self) -> Path:
        """As a path."""
        return Path(self.data)

    def encode(self) -> str:
        """As JSON, for the environment."""
        return msgspec.json.encode(self).decode()


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """What the environment says, or the defaults. Raises ValueError."""
    given = environment.get(ENVIRONMENT, "")
    return msgspec.json.decode(given, type=Settings) if given else Settings()
