"""The web process's way to core: one NATS connection for each account it looks at, made when needed.

Connections do not reconnect by themselves: a restarted core has another port and password, so a lost connection is
made anew from the control file at the next request. Nothing here waits longer than its timeout.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from leafbox.protocol.control import Control, user_of

logger = logging.getLogger(__name__)

Object = dict[str, Any]
"""A JSON object from core: the JSON edge, checked against the models before it leaves."""

CONNECT_TIMEOUT_S = 2
REQUEST_TIMEOUT_S = 5.0
LONG_TIMEOUT_S = 120.0
"""For what takes long by nature: backups, probes through an uplink, purges of large streams."""
ACCOUNTS_MAX = 16
"""Account connections kept; a box has a handful of accounts. The longest unused one is closed."""
SHARED_S = 1.0
"""How long an answer is as good as new; pages refresh once a second."""
SHARED_MAX = 128
"""Answers shared: some 20 kinds, several charts and accounts. At most 1 MB each (core's own limit of a message)."""
PENDING_BYTES_MAX = 4 * 1024 * 1024
"""What waits to be sent while core does not read."""


class CoreAway(Exception):
    """Core cannot be reached, or did not answer in time; the text says which."""


class CoreRefused(Exception):
    """Core answered with an error."""

    def __init__(self, code: str, description: str, next_step: str = "", retry_after_s: float = 0) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.next_step = next_step
        self.retry_after_s = retry_after_s


@dataclass(slots=True)
class Shared:
    """An answer that several visitors get; the lock is held by who fetches it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    at: float = float("-inf")
    answer: Any = None


class Core:
    """Requests to core. `find` reads the control file. Belongs to one event loop."""

    def __init__(self, find: Callable[[], Control]) -> None:
        self._find = find
        self._clients: OrderedDict[str, Client] = OrderedDict()
        self._locks: dict[str, asyncio.Lock] = {}
        self._shared: OrderedDict[str, Shared] = OrderedDict()

    async def client(self, account: str = "") -> Client:
        """The connection to an account; empty: the system account. Raises `CoreAway`."""
        client = self._clients.get(account)
        if client is not None and client.is_connected:
            self._clients.move_to_end(account)
            return client
        async with self._locks.setdefault(account, asyncio.Lock()):
            client = self._clients.get(account)
            if client is not None and client.is_connected:
                return client
            client = await self._connect(account)
            self._clients[account] = client
            while len(self._clients) > ACCOUNTS_MAX:
                oldest = next(name for name in self._clients if name)
                await self._clients.pop(oldest).close()
            return client

    async def request(self, name: str, body: Object | None = None, timeout_s: float = REQUEST_TIMEOUT_S) -> Object:
        """Ask `$LEAFBOX.<name>`. Raises `CoreAway`, `CoreRefused`."""
        answer = await self.ask("", f"$LEAFBOX.{name}", body or {}, timeout_s)
        error = answer.get("error")
        if isinstance(error, dict) and "code" in error:
            raise CoreRefused(
                str(error["code"]),
                str(error.get("description", "")),
                str(error.get("next_step", "")),
                float(error.get("retry_after_s", 0) or 0),
            )
        return answer

    async def document(self, name: str, body: Object | None = None, *, is_fresh: bool = False) -> Object:
        """As `request`, or what it answered a moment ago: many pages that look cost core as much as one.

        Not to be changed by the caller.
        """
        key = f"{name} {json.dumps(body or {}, sort_keys=True)}"
        found: Object = await self.shared(key, lambda: self.request(name, body), is_fresh=is_fresh)
        return found

    async def shared(self, key: str, fetch: Callable[[], Awaitable[Any]], *, is_fresh: bool = False) -> Any:
        """What `fetch` gives, or gave to somebody else less than `SHARED_S` ago; `is_fresh`: anew, for all others too.

        Who comes while another fetches waits for that answer. Not to be changed by the caller.
        """
        entry = self._shared.get(key)
        if entry is None:
            entry = self._shared[key] = Shared()
            while len(self._shared) > SHARED_MAX:
                self._shared.popitem(last=False)
        else:
            self._shared.move_to_end(key)
        async with entry.lock:
            started = time.monotonic()
            if is_fresh or started - entry.at >= SHARED_S:
                entry.answer = await fetch()
                entry.at = started
            return entry.answer

    def forget(self) -> None:
        """Something changes: who asks from now on gets nothing of before, not even what is on its way."""
        self._shared.clear()

    async def ask(
        self, account: str, subject: str, body: Object | None = None, timeout_s: float = REQUEST_TIMEOUT_S
    ) -> Object:
        """A request whose answer is a JSON object. Raises `CoreAway`."""
        payload = b"" if body is None else json.dumps(body).encode()
        message = await self.raw(account, subject, payload, timeout_s)
        try:
            answer = json.loads(message.data)
        except ValueError as error:
            raise CoreAway(f"the answer to {subject} is not JSON") from error
        if not isinstance(answer, dict):
            raise CoreAway(f"the answer to {subject} is no object")
        return answer

    async def raw(
        self,
        account: str,
        subject: str,
        payload: bytes,
        timeout_s: float = REQUEST_TIMEOUT_S,
        headers: dict[str, str] | None = None,
    ) -> Msg:
        """A request, its answer as it came. Raises `CoreAway`; `nats.errors.NoRespondersError` stays apart."""
        client = await self.client(account)
        try:
            return await client.request(subject, payload, timeout=timeout_s, headers=headers)
        except nats.errors.NoRespondersError:
            raise
        except (TimeoutError, OSError, nats.errors.Error) as error:
            raise CoreAway(f"core did not answer {subject}: {error or type(error).__name__}") from error

    async def close(self) -> None:
        """Let go of all connections."""
        for client in self._clients.values():
            await client.close()
        self._clients.clear()

    async def _connect(self, account: str) -> Client:
        try:
            control = self._find()
        except (OSError, ValueError) as error:
            raise CoreAway(f"core is not running: {error}") from error
        client = Client()
        try:
            await client.connect(
                control.url,
                user=user_of(account),
                password=control.password,
                connect_timeout=CONNECT_TIMEOUT_S,
                allow_reconnect=False,
                name="leafbox web",
                pending_size=PENDING_BYTES_MAX,
                error_cb=_log_error,
            )
        except (TimeoutError, OSError, nats.errors.Error) as error:
            await client.close()
            raise CoreAway(f"core cannot be reached: {error or type(error).__name__}") from error
        return client


async def _log_error(error: Exception) -> None:
    logger.debug("connection to core: %s", error)
