"""Requests from inside the box, to its own JetStream or across the link to the hub's: one inbox, answers by number.

Not for messages: at most a handful a second.
"""

from __future__ import annotations

import asyncio
import os

import msgspec

from leafbox.broker.account import Account
from leafbox.dataplane.routing import Subscription
from leafbox.protocol.jetstream.go_json import JsonObject

OPEN_MAX = 256
"""Requests under way; each uplink has about one for each of its streams."""

INBOX = b"_INBOX.LEAFBOX"


class ApiRefused(Exception):
    """JetStream answered with an error."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(description)
        self.code = code


class NoAnswer(Exception):
    """Nobody answered in time."""


class Requests:
    """Requests in one account. `close` takes the inbox away again."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._prefix = INBOX + b"." + os.urandom(6).hex().encode() + b"."
        self._open: dict[bytes, asyncio.Future[bytes]] = {}
        self._next = 0
        self._subscription: Subscription | None = account.subscribe(self._prefix + b"*", self._answered)

    @property
    def inbox(self) -> bytes:
        """A subject of the kind that answers come to, for permission checks."""
        return self._prefix + b"0"

    def close(self) -> None:
        """Nothing is answered any more."""
        if self._subscription is not None:
            self._account.remove(self._subscription)
            self._subscription = None
        for future in self._open.values():
            future.cancel()
        self._open.clear()

    async def ask(self, subject: str, payload: bytes = b"", timeout_s: float = 5.0) -> bytes:
        """The answer's payload. Raises `NoAnswer`."""
        if len(self._open) >= OPEN_MAX:
            raise NoAnswer(f"{OPEN_MAX} requests are waiting already")
        self._next += 1
        reply = self._prefix + b"%d" % self._next
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._open[reply] = future
        try:
            self._account.publish(subject.encode(), payload, reply)
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError as error:
            raise NoAnswer(f"no answer on {subject} within {timeout_s:g} s") from error
        finally:
            self._open.pop(reply, None)

    async def api(self, prefix: str, verb: str, body: object = None, timeout_s: float = 5.0) -> JsonObject:
        """A JetStream API request. Raises `NoAnswer` and `ApiRefused`."""
        payload = msgspec.json.encode(body) if body is not None else b""
        answer = await self.ask(f"{prefix}.{verb}", payload, timeout_s)
        try:
            found: object = msgspec.json.decode(answer)
        except msgspec.DecodeError as error:
            raise NoAnswer(f"what answered on {prefix}.{verb} is no JetStream") from error
        if not isinstance(found, dict):
            raise NoAnswer(f"what answered on {prefix}.{verb} is no JetStream")
        error_found = found.get("error")
        if isinstance(error_found, dict):
            code = error_found.get("err_code")
            raise ApiRefused(code if isinstance(code, int) else 0, str(error_found.get("description", "")))
        return found

    def _answered(self, subject: bytes, _reply: bytes, _header: bytes, payload: bytes, _origin: object) -> bool | None:
        future = self._open.get(subject)
        if future is not None and not future.done():
            future.set_result(payload)
        return None
