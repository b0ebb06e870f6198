"""The control channel: a NATS listener of the box's own processes (web, adapters, command line), and its credentials.

It listens on a free port of the loopback interface. User and password are made at each start and written to
`control.json` in the data directory, readable by the owner only: who may read it may do everything, as who may read
the store may. Login as `control` lands on the system account, as `control@<account>` in any account (`control@$G`).
Connections here count under nobody's limit and are not shown among the clients.

Not here: what the requests do (`monitoring.box_services` and the handlers that wiring registers).
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import secrets
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path

from leafbox.broker.broker import Broker
from leafbox.clients.client import ClientConnection
from leafbox.clients.context import ClientContext, ListenerFacts
from leafbox.clients.listener import ClientListener, bind
from leafbox.dataplane.routing import Receiver
from leafbox.protocol.control import ENVIRONMENT, FILE_NAME, USER, Control
from leafbox.security.authentication import (
    Authenticator,
    ConnectionFacts,
    Credentials,
    Decision,
    Identity,
    ListenerRules,
    Proof,
    Refusal,
)
from leafbox.security.config import SecurityOptions
from leafbox.security.passwords import PasswordVerifier

__all__ = ["ENVIRONMENT", "FILE_NAME", "USER", "Control", "ControlAuthenticator", "ControlChannel", "write_private"]

logger = logging.getLogger(__name__)

PASSWORD_BYTES = 32
LOGIN_TIMEOUT_S = 30.0
"""A command of this machine that is slow to say its password belongs to a machine that is busy, not to a stranger: with
the 2 s of other listeners it was sent away ("Connection lost")."""


class ControlAuthenticator(Authenticator):
    """Lets in who knows the password of this start, into the account that the user name asks for."""

    def __init__(self, broker: Broker, passwords: PasswordVerifier, password: str) -> None:
        super().__init__(SecurityOptions(), passwords)
        self._broker = broker
        self._password = password.encode()

    def demands_login(self, rules: ListenerRules) -> bool:
        """Always."""
        return True

    def shows_auth_required(self, rules: ListenerRules) -> bool:
        """Always."""
        return True

    def authenticate(self, credentials: Credentials, facts: ConnectionFacts) -> Decision | Awaitable[Decision]:
        """By name and password, at once."""
        user, _, account = credentials.user.partition("@")
        given = credentials.password.encode(errors="surrogatepass")
        if user != USER or not hmac.compare_digest(given, self._password):
            return Refusal("control channel: wrong user or password")
        return self._place(account)

    def still_authorised(self, identity: Identity, facts: ConnectionFacts) -> Decision:
        """As long as the account is there."""
        return self._place(identity.name.partition("@")[2])

    def _place(self, account: str) -> Decision:
        system = self._broker.system_account
        name = account or (system.name if system is not None else "")
        if self._broker.account(name) is None:
            return Refusal(f"control channel: there is no account {name or 'for the system'}")
        return Identity(f"{USER}@{account}" if account else USER, name, proof=Proof.PASSWORD)


class ControlChannel:
    """The listener of one server; `start`, then `control` says how to reach it until `stop`."""

    def __init__(self, broker: Broker, passwords: PasswordVerifier, tasks: asyncio.TaskGroup, directory: Path) -> None:
        self._directory = directory
        self._password = secrets.token_urlsafe(PASSWORD_BYTES)
        self._context = ClientContext(
            broker=broker,
            authenticator=ControlAuthenticator(broker, passwords, self._password),
            facts=ListenerFacts(host="127.0.0.1", port=0),
            logger=logger,
            tasks=tasks,
            is_internal=True,
            auth_timeout_s=LOGIN_TIMEOUT_S,
        )
        self._listener: ClientListener | None = None
        self.control = Control("", USER, self._password, os.getpid())

    async def start(self) -> None:
        """Listen and write the file. Raises OSError."""
        listening = bind("127.0.0.1", 0)
        port = int(listening.getsockname()[1])
        self._context.with_facts(port=port)
        self._listener = ClientListener(self._context, listening, None, self._context.tasks, logger)
        await self._listener.start()
        self.control = Control(f"nats://127.0.0.1:{port}", USER, self._password, os.getpid())
        write_private(self._directory / FILE_NAME, self.control.encode())
        logger.debug("control channel port=%d", port)

    def set_web(self, url: str) -> None:
        """Write down where the dashboard is. Raises OSError."""
        self.control = replace(self.control, web=url)
        write_private(self._directory / FILE_NAME, self.control.encode())

    def is_own(self, origin: Receiver | None) -> bool:
        """Whether a message came straight from a process of the box."""
        return isinstance(origin, ClientConnection) and origin.context is self._context

    def stop(self) -> None:
        """Accept no more and take the file away; connections end with the process."""
        if self._listener is not None:
            self._listener.stop()
        path = self._directory / FILE_NAME
        try:
            if Control.decode(path.read_bytes()).pid == os.getpid():
                path.unlink()
        except (OSError, ValueError):
            # Gone, or another start's: not ours to take away.
            return


def write_private(path: Path, content: bytes) -> None:
    """Replace a file as a whole; only the owner can read it at any moment."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    part.replace(path)
