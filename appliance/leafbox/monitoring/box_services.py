"""Requests to the box itself, `$LEAFBOX.<noun>.<verb>` on the system account: the dashboard, the command line.

Owns the names, the envelope and who may ask; what a request does is its handler's. A request is a JSON object (or
nothing), the answer one too, a refusal is `{"error": {"code", "description", "next_step"}}`. Only the box's own
processes are answered, those that came through the control listener: a client with rights on the system account, or
with a service import of it, is not an administrator of the dashboard.

Events go the other way: `emit` publishes on `$LEAFBOX.events.on.<name>`, for nothing if nobody listens.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine

import msgspec

from leafbox.broker.account import Account
from leafbox.dataplane.routing import Receiver
from leafbox.protocol.errors import BoxRequestFailed, LeafboxError
from leafbox.protocol.jetstream.go_json import JsonObject

logger = logging.getLogger(__name__)

Handler = Callable[[JsonObject], "JsonObject | Awaitable[JsonObject]"]
"""From a request's object to the answer's. Raises `BoxRequestFailed`; other `LeafboxError`s, OSError and ValueError
are told as code `failed`. A plain function runs inside the sender's turn: it must be short."""

PREFIX = "$LEAFBOX."
EVENT_PREFIX = b"$LEAFBOX.events.on."

WAITING_MAX = 128
"""Requests whose handlers wait at once. Ten dashboards make a handful each; a page that asks without end is told to
wait instead of filling the memory."""


class BoxServices:
    """The handlers by name. Belongs to the loop; `may_ask` tells the box's own connections from all others."""

    def __init__(self, tasks: asyncio.TaskGroup, may_ask: Callable[[Receiver | None], bool]) -> None:
        self._tasks = tasks
        self._may_ask = may_ask
        self._handlers: dict[str, Handler] = {}
        self._account: Account | None = None
        self._waiting = 0
        self.add("services.list", lambda request: {"services": list(self.names)})

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that is answered, sorted."""
        return tuple(sorted(self._handlers))

    def add(self, name: str, handler: Handler) -> None:
        """Answer `$LEAFBOX.<name>`; `name` is `noun.verb`. A name can be taken once."""
        assert name.count(".") == 1, name
        assert name not in self._handlers, f"{name} is answered already"
        self._handlers[name] = handler

    def start(self, account: Account) -> None:
        """Listen on the system account."""
        self._account = account
        account.subscribe(f"{PREFIX}*.*".encode(), self._take)

    def emit(self, name: str, document: JsonObject) -> None:
        """Tell whoever listens."""
        subject = EVENT_PREFIX + name.encode()
        if self._account is not None and self._account.has_interest(subject):
            self._account.publish(subject, msgspec.json.encode(document))

    def has_listeners(self, name: str) -> bool:
        """Whether `emit` would reach anybody: makers of costly documents ask first."""
        return self._account is not None and self._account.has_interest(EVENT_PREFIX + name.encode())

    async def call(self, name: str, request: JsonObject) -> JsonObject:
        """Ask from inside the process; raises what the handler raises."""
        handler = self._handlers.get(name)
        if handler is None:
            raise unknown(name)
        outcome = handler(request)
        return await outcome if inspect.isawaitable(outcome) else outcome

    # -- one request --------------------------------------------------------------------------------------------------

    def _take(self, subject: bytes, reply: bytes, header: bytes, payload: bytes, origin: Receiver | None) -> bool:
        if not reply or not self._may_ask(origin):
            return False
        name = subject.decode("utf-8", "replace").removeprefix(PREFIX)
        try:
            handler = self._handlers.get(name)
            if handler is None:
                raise unknown(name)
            outcome = handler(read_request(payload))
        except (LeafboxError, OSError, ValueError) as error:
            self._reply(reply, failure(name, error))
            return True
        if not inspect.isawaitable(outcome):
            self._reply(reply, outcome)
        elif self._waiting >= WAITING_MAX:
            if isinstance(outcome, Coroutine):
                outcome.close()
            busy = BoxRequestFailed("busy", f"{WAITING_MAX} requests are being worked on", "ask again in a moment")
            self._reply(reply, failure(name, busy))
        else:
            self._waiting += 1
            self._tasks.create_task(self._finish(name, reply, outcome), name=f"box service {name}")
        return True

    async def _finish(self, name: str, reply: bytes, outcome: Awaitable[JsonObject]) -> None:
        try:
            answer = await outcome
        except (LeafboxError, OSError, ValueError) as error:
            answer = failure(name, error)
        except Exception:
            # The root of one request: a defect in it must not end the server.
            logger.exception("box request failed name=%s", name)
            answer = failure(name, BoxRequestFailed("internal", f"{name} failed unexpectedly", "see the log"))
        finally:
            self._waiting -= 1
        self._reply(reply, answer)

    def _reply(self, reply: bytes, answer: JsonObject) -> None:
        if self._account is not None:
            self._account.publish(reply, msgspec.json.encode(answer))


def unknown(name: str) -> BoxRequestFailed:
    """This box does not answer a request of that name."""
    return BoxRequestFailed("unavailable", f"this box does not offer {name}", "")


def read_request(payload: bytes) -> JsonObject:
    """The object of a request; empty means none was needed. Raises `BoxRequestFailed`."""
    if not payload.strip():
        return {}
    try:
        request = msgspec.json.decode(payload)
    except msgspec.DecodeError as error:
        raise BoxRequestFailed("invalid", f"the request is not JSON: {error}", "send a JSON object") from error
    if not isinstance(request, dict):
        raise BoxRequestFailed("invalid", "the request is not a JSON object", "send a JSON object")
    return request


def failure(name: str, error: Exception) -> JsonObject:
    """A refusal as the requester sees it."""
    known = error if isinstance(error, BoxRequestFailed) else BoxRequestFailed("failed", f"{name}: {error}")
    told: JsonObject = {"code": known.code, "description": known.description, "next_step": known.next_step}
    if known.retry_after_s:
        told["retry_after_s"] = known.retry_after_s
    return {"error": told}
