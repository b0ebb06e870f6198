"""Transcripts: a handful of NATS clients around one account, driven in memory.

    book = Playbook()
    alice, bob = book.client(), book.client()
    alice.says(b"SUB a.* 1")
    bob.says(b"PUB a.b 2", b"hi")
    assert alice.hears() == b"MSG a.b 1 2\r\nhi\r\n"

`ScriptedClient` is the smallest control plane the data plane needs: it subscribes what it is told, notes every hook in
`events`, and closes on violations as nats-server does. The real one has its own tests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from leafbox.dataplane.connection import Engine
from leafbox.dataplane.nats_connection import NatsConnection
from leafbox.dataplane.routing import AccountPlane, Subscription
from leafbox.dataplane.subjects import is_valid_subject
from tests.support.memory_transport import ManualLoop, MemoryTransport

Event = tuple[Any, ...]


class ScriptedClient(NatsConnection, asyncio.BufferedProtocol):
    """A client connection whose hooks leave a trace; `when[hook]` runs before what the hook does here.

    uvloop knows a buffered protocol by its methods, asyncio's own loop by its class.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.verbose = self.pedantic = False
        self.headers = True
        self.events: list[Event] = []
        self.when: dict[str, Callable[..., object]] = {}

    def _note(self, hook: str, *arguments: object) -> object:
        self.events.append((hook, *arguments))
        return self.when[hook](*arguments) if hook in self.when else None

    def on_connected(self) -> None:
        self._note("connected")

    def on_closing(self) -> None:
        self._note("closing")

    def on_disconnected(self, error: Exception | None) -> None:
        self._note("disconnected", error)
        for subscription in list(self.subscriptions.values()):
            self.withdraw(subscription)

    def on_end_of_input(self) -> None:
        self._note("end of input")

    def on_slow_consumer(self) -> None:
        self._note("slow consumer")

    def on_connect(self, options: bytes) -> None:
        self._note("connect", options)

    def on_info(self, text: bytes) -> None:
        self._note("info", text)

    def on_subscribe(self, subject: bytes, queue: bytes | None, sid: bytes) -> None:
        self._note("subscribe", subject, queue, sid)
        if self.account is None or not is_valid_subject(subject):
            self.send(b"-ERR 'Invalid Subject'\r\n")
        elif sid not in self.subscriptions:
            subscription = Subscription(self.account, self, subject, queue, sid)
            self.subscriptions[sid] = subscription
            self.account.sublist.insert(subject, queue, subscription)
        if self.verbose:
            self.send(b"+OK\r\n")

    def on_unsubscribe(self, sid: bytes, max_deliver: int) -> None:
        self._note("unsubscribe", sid, max_deliver)
        subscription = self.subscriptions.get(sid)
        if subscription is not None:
            subscription.max_deliver = max_deliver
            if max_deliver <= subscription.delivered:
                self.withdraw(subscription)
        if self.verbose:
            self.send(b"+OK\r\n")

    def withdraw(self, subscription: Subscription) -> None:
        """End a subscription, as the broker does."""
        subscription.closed = True
        self.subscriptions.pop(subscription.sid, None)
        subscription.account.sublist.remove(subscription.subject, subscription.queue, subscription)

    def on_first_pong(self) -> None:
        self.first_pong_sent = True
        self._note("first pong")

    def on_pong(self) -> None:
        self._note("pong")

    def on_peer_error(self, text: bytes) -> None:
        self._note("peer error", text)
        self.close("Parse Error")

    def on_operation_before_auth(self) -> bool:
        allowed = bool(self._note("operation before auth"))
        if not allowed and not self.closed:
            self.close("Authentication Failure", b"-ERR 'Authorization Violation'\r\n")
        return allowed

    def on_publish_denied(self, subject: bytes) -> None:
        self._note("publish denied", subject)

    def on_reply_denied(self, reply: bytes) -> None:
        self._note("reply denied", reply)

    def on_invalid_publish_subject(self) -> None:
        self._note("invalid publish subject")

    def on_exhausted(self, subscription: Subscription) -> None:
        self._note("exhausted", subscription.sid)
        self.withdraw(subscription)

    def on_violation(self, text: str, reason: str) -> None:
        self._note("violation", text, reason)
        self.close(reason, f"-ERR '{text}'\r\n".encode() if text else b"")

    def on_trace(self, line: bytes) -> None:
        self._note("trace", line)


class Actor:
    """One client as the test sees it: what it sends and what it gets."""

    def __init__(self, book: Playbook, connection: ScriptedClient, room: int | None) -> None:
        self.book = book
        self.connection = connection
        self.wire = MemoryTransport(book.loop, connection, room)
        self.wire.connect()

    def says(self, line: bytes, payload: bytes | None = None) -> None:
        """Send one operation; CRLF is added to the line and to the payload."""
        self.sends(line + b"\r\n" + (payload + b"\r\n" if payload is not None else b""))

    def sends(self, data: bytes) -> None:
        """Send raw bytes and let the loop come to rest."""
        self.wire.receive(data)
        self.book.loop.run_ready()

    def hears(self) -> bytes:
        """Everything that came since the last call."""
        self.book.loop.run_ready()
        return self.wire.take_output()

    @property
    def events(self) -> list[Event]:
        return self.connection.events

    def saw(self, hook: str) -> list[Event]:
        """The arguments of every call of one hook."""
        return [event[1:] for event in self.connection.events if event[0] == hook]

    @property
    def is_gone(self) -> bool:
        return self.wire.is_lost


class Playbook:
    """One engine, one account, one clock, any number of clients."""

    def __init__(self) -> None:
        self.loop = ManualLoop()
        self.engine = Engine(self.loop.as_loop)
        self.account = AccountPlane()

    def close(self) -> None:
        """For those who make very many: breaks the circle account, subscription, receiver, account."""
        self.account.sublist.clear()

    def client(self, room: int | None = None, **settings: Any) -> Actor:
        """A connected client; `settings` are attributes of its connection, set before it connects."""
        connection = ScriptedClient(self.engine)
        connection.account = self.account
        for name, value in settings.items():
            setattr(connection, name, value)
        return Actor(self, connection, room)
