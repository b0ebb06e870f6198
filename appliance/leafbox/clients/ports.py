"""What client sessions need of others: somebody who decides about logins, somebody who hears of comings and goings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from leafbox.broker.config import ConnectionType
from leafbox.dataplane.permissions import Permissions
from leafbox.protocol.client_info import Connect
from leafbox.security.tls_accept import TlsFacts

if TYPE_CHECKING:
    from leafbox.clients.client import ClientConnection


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """Everything a decision may rest on. `connect` holds secrets: never log it."""

    connect: Connect
    nonce: str
    kind: ConnectionType
    ip: str
    tls: TlsFacts | None


@dataclass(frozen=True, slots=True)
class Login:
    """An accepted login. `permissions` None: everything is allowed. `expires_ns`: wall clock, 0: never."""

    user: str
    account: str
    permissions: Permissions | None = None
    expires_ns: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused login; `reason` is for our log and holds no secret. The peer only learns `text`."""

    reason: str
    text: str = "Authorization Violation"


class Authentication(Protocol):
    """Decides about logins. All calls on the loop."""

    @property
    def needs_nonce(self) -> bool:
        """Whether INFO must carry a nonce for clients to sign."""
        ...

    def is_open(self, kind: ConnectionType) -> bool:
        """No credentials are configured: every client enters by the default login."""
        ...

    def default_login(self, kind: ConnectionType) -> Login | None:
        """The login of a client that sends no credentials (no_auth_user counts), None when it must send some."""
        ...

    def decide(self, request: LoginRequest, answer: Callable[[Login | Refusal], None]) -> None:
        """Decide now or later (a slow password hash); `answer` is called exactly once, on the loop."""
        ...

    def decide_again(self, request: LoginRequest, login: Login, answer: Callable[[Login | Refusal], None]) -> None:
        """Whether a live client may stay after a reload, and with what rights."""
        ...


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
