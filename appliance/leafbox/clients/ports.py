"""What client sessions need of others: somebody who hears of their comings and goings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from leafbox.clients.client import ClientConnection


class ConnectionEvents(Protocol):
    """Told about clients (system events, monitoring). Must not raise."""

    def connected(self, client: ClientConnection) -> None: ...

    def disconnected(self, client: ClientConnection) -> None: ...

    def login_refused(self, client: ClientConnection, reason: str) -> None: ...


class NoEvents:
    """Nobody listens."""

    def connected(self, client: ClientConnection) -> None:
        """Ignore."""

    def disconnected(self, client: ClientConnection) -> None:
        """Ignore."""

    def login_refused(self, client: ClientConnection, reason: str) -> None:
        """Ignore."""
