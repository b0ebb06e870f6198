"""A whole JetStream in memory with a clock that stands still: for tests of policies and against models.

Streams, consumers and API are the real ones, compiled parts included; the loop and the storage are stand-ins that do
what they are told. A test publishes and subscribes on `harness.account` like a client.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Self, cast

from leafbox.broker.account import Account
from leafbox.dataplane.stream_ingest import freeze_clock, now_ns
from leafbox.dataplane.stream_store import StreamStore
from leafbox.jetstream.account import JetStreamAccount
from leafbox.jetstream.config import JetStreamOptions
from leafbox.jetstream.ports import DurableStore, ValueKind
from leafbox.jetstream.service import JetStream
from leafbox.protocol.jetstream.info import AccountLimits

START_NS = 1_800_000_000 * 10**9
SECOND = 10**9


class VirtualHandle:
    """What `call_later` returns."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class VirtualLoop:
    """`call_soon` and `call_later` on a clock that only `advance` moves; errors of callbacks reach the test."""

    def __init__(self) -> None:
        self._soon: deque[Callable[[], object]] = deque()
        self._timers: list[tuple[int, int, VirtualHandle]] = []
        self._numbers = itertools.count()
        # A second loop, after a restart, goes on where the first one stood.
        freeze_clock(max(START_NS, now_ns()))

    def call_soon(self, callback: Callable[..., object], *arguments: object) -> None:
        self._soon.append(lambda: callback(*arguments))

    def call_later(self, delay_s: float, callback: Callable[..., object], *arguments: object) -> VirtualHandle:
        handle = VirtualHandle(lambda: callback(*arguments))
        when = now_ns() + round(delay_s * 1e9)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def settle(self) -> None:
        """Run everything that is ready now."""
        for _ in range(100_000):
            if not self._soon:
                return
            self._soon.popleft()()
        raise AssertionError("the loop does not come to rest")

    def set_clock(self, seconds: float) -> int:
        """Set the wall clock, forward or back; timers are steady and ring when they would have. The step in ns."""
        step_ns = round(seconds * 1e9)
        self.settle()
        self._timers = [(when + step_ns, number, handle) for when, number, handle in self._timers]
        freeze_clock(now_ns() + step_ns)
        return step_ns

    def advance(self, seconds: float) -> None:
        """Let time pass, timers ring in order, and everything they cause."""
        until = now_ns() + round(seconds * 1e9)
        self.settle()
        while self._timers and self._timers[0][0] <= until:
            when, _, handle = heapq.heappop(self._timers)
            freeze_clock(max(when, now_ns()))
            if not handle.is_cancelled:
                handle.callback()
            self.settle()
        freeze_clock(until)
        self.settle()


class MemoryStorage:
    """The port's promises without a disk: values in a dictionary, everything durable at once (or when told).

    A second `JetStream` on the same storage sees what a restart would; file streams keep their messages, because the
    stores are handed out again.
    """

    def __init__(self) -> None:
        self.stored: dict[ValueKind, dict[bytes, tuple[bytes, list[bytes]]]] = {kind: {} for kind in ValueKind}
        self.streams: dict[bytes, StreamStore] = {}
        self.lsn = 0
        self.callbacks: list[Callable[[int], None]] = []
        self.snapshots: dict[ValueKind, Callable[[bytes], bytes | None]] = {}
        self.is_accepting = True

    @property
    def durable_lsn(self) -> int:
        return self.lsn

    def create_stream(self, name: bytes, is_memory: bool, is_urgent: bool) -> StreamStore:
        store = StreamStore(name)
        if not is_memory:
            self.streams[name] = store
        return store

    def recovered_stream(self, name: bytes) -> StreamStore | None:
        return self.streams.get(name)

    def delete_stream(self, store: StreamStore) -> int:
        self.streams.pop(store.name, None)
        return self._changed()

    def put(self, kind: ValueKind, key: bytes, value: bytes) -> int:
        self.stored[kind][key] = (value, [])
        return self._changed()

    def extend(self, kind: ValueKind, key: bytes, delta: bytes, is_urgent: bool = True) -> int:
        self.stored[kind].setdefault(key, (b"", []))[1].append(delta)
        return self._changed()

    def delta_head(self, key: bytes) -> bytes | None:
        return None

    def delete(self, kind: ValueKind, key: bytes) -> int:
        self.stored[kind].pop(key, None)
        return self._changed()

    def values(self, kind: ValueKind) -> Iterable[tuple[bytes, bytes, list[bytes]]]:
        return [(key, value, list(deltas)) for key, (value, deltas) in sorted(self.stored[kind].items())]

    def supply_snapshots(self, kind: ValueKind, snapshot: Callable[[bytes], bytes | None]) -> None:
        self.snapshots[kind] = snapshot

    def add_durable_callback(self, callback: Callable[[int], None]) -> None:
        self.callbacks.append(callback)

    def _changed(self) -> int:
        self.lsn += 1
        for callback in self.callbacks:
            callback(self.lsn)
        return self.lsn


class Inbox:
    """A subscription that keeps what arrives: (subject, reply, header, payload)."""

    def __init__(self, account: Account, subject: str) -> None:
        self.messages: list[tuple[str, bytes, bytes, bytes]] = []
        self._account = account
        self._subscription = account.subscribe(subject.encode(), self._receive)

    def _receive(self, subject: bytes, reply: bytes, header: bytes, payload: bytes, _origin: object) -> None:
        self.messages.append((subject.decode(), reply, header, payload))

    def take(self) -> list[tuple[str, bytes, bytes, bytes]]:
        """Everything since the last call."""
        taken, self.messages = self.messages, []
        return taken

    def close(self) -> None:
        """Unsubscribe."""
        self._account.remove(self._subscription)


class Harness:
    """One account with JetStream. Use as a context manager: the clock thaws at the end."""

    def __init__(
        self,
        storage: MemoryStorage | None = None,
        options: JetStreamOptions | None = None,
        limits: AccountLimits | None = None,
        durable: tuple[VirtualLoop, DurableStore] | None = None,
    ) -> None:
        self.loop = durable[0] if durable else VirtualLoop()
        self.storage = storage or MemoryStorage()
        self.account = Account("A")
        self.jetstream = JetStream(
            cast(asyncio.AbstractEventLoop, self.loop),
            durable[1] if durable else self.storage,
            options or JetStreamOptions(is_enabled=True),
            server_name="box",
            server_version="2.15.1",
            max_payload_bytes=1024 * 1024,
            max_pending_bytes=64 * 1024 * 1024,
            describe_client=lambda _origin: None,
        )
        self.owner: JetStreamAccount = self.jetstream.enable_account(self.account, {"": limits or AccountLimits()})
        self.jetstream.start()
        self.loop.settle()
        self._inboxes = itertools.count()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.jetstream.stop()
        freeze_clock(0)

    def inbox(self, subject: str = "") -> Inbox:
        """Listen on a subject, or on a new inbox."""
        return Inbox(self.account, subject or f"_INBOX.{next(self._inboxes)}")

    def request(self, subject: str, body: str | bytes = b"", header: bytes = b"") -> bytes | None:
        """Publish with an inbox as reply; the first answer's payload, or None."""
        name = f"_INBOX.{next(self._inboxes)}"
        inbox = Inbox(self.account, name)
        payload = body.encode() if isinstance(body, str) else body
        self.account.publish(subject.encode(), payload, name.encode(), header)
        self.loop.settle()
        inbox.close()
        return inbox.messages[0][3] if inbox.messages else None

    def api(self, subject: str, body: dict[str, object] | None = None) -> dict[str, Any]:
        """An API request; `subject` comes after `$JS.API.`. The parsed response; it must be there."""
        answer = self.request(f"$JS.API.{subject}", json.dumps(body) if body is not None else b"")
        assert answer is not None, f"no answer to {subject}"
        parsed: dict[str, Any] = json.loads(answer)
        return parsed

    def stream(self, name: str = "S", **config: object) -> dict[str, Any]:
        """Create a memory stream with subject `<name in lower case>.>`; the response without errors."""
        body = {"name": name, "subjects": [f"{name.lower()}.>"], "storage": "memory", **config}
        response = self.api(f"STREAM.CREATE.{name}", body)
        assert "error" not in response, response
        return response

    def consumer(self, stream: str = "S", name: str = "C", **config: object) -> dict[str, Any]:
        """Create a durable pull consumer with explicit acknowledgements; the response without errors."""
        body = {"durable_name": name, "ack_policy": "explicit", **config}
        response = self.api(f"CONSUMER.CREATE.{stream}.{name}", {"stream_name": stream, "config": body})
        assert "error" not in response, response
        return response

    def publish(self, subject: str, payload: bytes = b"x", **headers: str) -> dict[str, Any]:
        """Publish with acknowledgement; keyword arguments are headers with `_` for `-`."""
        answer = self.request(subject, payload, _block({name.replace("_", "-"): headers[name] for name in headers}))
        assert answer is not None, f"no acknowledgement for {subject}"
        parsed: dict[str, Any] = json.loads(answer)
        return parsed

    def publish_silently(self, subject: str, payload: bytes, headers: dict[str, str]) -> None:
        """Publish without acknowledgement."""
        self.account.publish(subject.encode(), payload, b"", _block(headers))
        self.loop.settle()

    def pull(self, inbox: Inbox, reply: str, stream: str = "S", consumer: str = "C", **request: object) -> None:
        """Send a pull request whose messages go to `reply`, on which `inbox` listens."""
        body = json.dumps(request).encode() if request else b""
        self.account.publish(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}".encode(), body, reply.encode())
        self.loop.settle()

    def fetch(self, count: int = 1, stream: str = "S", consumer: str = "C") -> list[tuple[str, bytes, bytes, bytes]]:
        """Pull up to `count` messages without waiting; status messages are left out."""
        name = f"_INBOX.{next(self._inboxes)}"
        inbox = Inbox(self.account, name)
        self.pull(inbox, name, stream, consumer, batch=count, no_wait=True)
        inbox.close()
        return [message for message in inbox.messages if message[1]]

    def ack(self, message: tuple[str, bytes, bytes, bytes], body: bytes = b"+ACK") -> None:
        """Answer a delivered message."""
        self.account.publish(message[1], body)
        self.loop.settle()

    def info(self, stream: str = "S", consumer: str = "") -> dict[str, Any]:
        """STREAM.INFO, or CONSUMER.INFO."""
        return self.api(f"CONSUMER.INFO.{stream}.{consumer}" if consumer else f"STREAM.INFO.{stream}")


def _block(headers: dict[str, str]) -> bytes:
    if not headers:
        return b""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"NATS/1.0\r\n{lines}\r\n".encode()
