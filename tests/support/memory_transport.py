"""A transport and a loop in memory, to drive a `Connection` step by step without sockets.

`ManualLoop` runs what was scheduled only when told to and has its own clock; `MemoryTransport` behaves towards its
protocol as asyncio's selector transport does: reads go through get_buffer / buffer_updated in pieces that fit,
pause_writing comes from inside `write`, connection_lost comes in a later turn. `tests/unit/support` holds it to that.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, cast


class ManualLoop:
    """The part of an event loop that the data plane uses.

    Runs callbacks in `turn` and timers in `advance`; errors that reach the handler are kept in `errors`."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.errors: list[dict[str, Any]] = []
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timer_count = 0

    @property
    def as_loop(self) -> asyncio.AbstractEventLoop:
        """For those who ask for the type of a whole loop."""
        return cast(asyncio.AbstractEventLoop, self)

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Run in the next turn."""
        handle = asyncio.Handle(callback, args, self.as_loop, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """Run when `advance` has come that far."""
        handle = asyncio.TimerHandle(self.now_s + delay, callback, args, self.as_loop, context)
        self._timer_count += 1
        heapq.heappush(self._timers, (handle.when(), self._timer_count, handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Part of what asyncio's timer handles ask of their loop."""

    def time(self) -> float:
        """The loop's clock."""
        return self.now_s

    def get_debug(self) -> bool:
        """Never: debug mode of handles looks for slow callbacks."""
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep the error for the test."""
        self.errors.append(context)

    def turn(self) -> None:
        """Run what is ready now, as one turn of a real loop does."""
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if not handle.cancelled():
                handle._run()

    def run_ready(self, turns_max: int = 1000) -> None:
        """Take turns until nothing is ready."""
        for _ in range(turns_max):
            if not self._ready:
                return
            self.turn()
        raise AssertionError("callbacks schedule each other without end")

    def advance(self, seconds: float) -> None:
        """Let time pass; timers run in order."""
        end = self.now_s + seconds
        while self._timers and self._timers[0][0] <= end:
            self.now_s, _, handle = heapq.heappop(self._timers)
            if not handle.cancelled():
                handle._run()
            self.run_ready()
        self.now_s = end
        self.run_ready()


class DrivenProtocol(Protocol):
    """What a transport needs of its protocol: asyncio.BufferedProtocol with flow control."""

    def connection_made(self, transport: Any) -> None: ...

    def connection_lost(self, error: Exception | None) -> None: ...

    def get_buffer(self, hint: int) -> Any: ...

    def buffer_updated(self, length: int) -> None: ...

    def eof_received(self) -> bool | None: ...

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...


class MemoryTransport:
    """One end of a connection; the test is the other end.

    `taken` is what the peer has read, `room` how much more it would take at once (None: any amount). Bytes that arrive
    while reading is paused wait here.
    """

    def __init__(self, loop: ManualLoop, protocol: DrivenProtocol, room: int | None = None) -> None:
        self.loop = loop
        self.protocol = protocol
        self.room = room
        self.taken = bytearray()
        self.writes: list[bytes] = []
        self.is_lost = False
        self.extra: dict[str, object] = {}
        self._held = bytearray()
        self._incoming = bytearray()
        self._high = 64 * 1024
        self._is_reading = True
        self._is_closing = False
        self._is_paused = False
        self._eof_is_due = False

    # -- what the protocol calls --------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Take bytes for the peer; pauses the protocol at once when they have to wait."""
        if self.is_lost:
            return
        self.writes.append(data)
        self._held += data
        self._pass_on()
        if len(self._held) > self._high and not self._is_paused:
            self._is_paused = True
            self.protocol.pause_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = 64 * 1024 if high is None else high

    def get_write_buffer_size(self) -> int:
        return len(self._held)

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self.extra.get(name, default)

    def pause_reading(self) -> None:
        self._is_reading = False

    def can_write_eof(self) -> bool:
        """As over TLS: both directions end together."""
        return False

    def resume_reading(self) -> None:
        if not self._is_reading:
            self._is_reading = True
            self.loop.call_soon(self._read)

    def is_reading(self) -> bool:
        return self._is_reading and not self._is_closing

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        """Deliver what is held, then end."""
        if not self._is_closing:
            self._is_closing = True
            if not self._held:
                self.loop.call_soon(self._lose, None)

    def abort(self) -> None:
        """End now; what is held is dropped."""
        self._is_closing = True
        self._held.clear()
        self.loop.call_soon(self._lose, None)

    # -- what the test does -------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """The connection exists."""
        self.protocol.connection_made(self)

    def receive(self, data: bytes) -> None:
        """Bytes arrive from the peer."""
        self._incoming += data
        self._read()

    def receive_eof(self) -> None:
        """The peer will send nothing more."""
        self._eof_is_due = True
        self._read()

    def take(self, count: int) -> None:
        """The peer makes room for `count` more bytes."""
        assert self.room is not None
        self.room += count
        self._pass_on()

    def break_off(self, error: Exception) -> None:
        """The network fails."""
        self._is_closing = True
        self._held.clear()
        self.loop.call_soon(self._lose, error)

    def take_output(self) -> bytes:
        """What the peer got since the last call."""
        taken = bytes(self.taken)
        self.taken.clear()
        return taken

    # -- inner workings -----------------------------------------------------------------------------------------------

    def _read(self) -> None:
        while self._incoming and self.is_reading():
            buffer = self.protocol.get_buffer(-1)
            assert len(buffer), "get_buffer gave an empty buffer"
            view = memoryview(buffer)
            count = min(len(view), len(self._incoming))
            view[:count] = self._incoming[:count]
            del self._incoming[:count]
            self.protocol.buffer_updated(count)
        if self._eof_is_due and not self._incoming and self.is_reading():
            self._eof_is_due = False
            if not self.protocol.eof_received():
                self.close()

    def _pass_on(self) -> None:
        count = len(self._held) if self.room is None else min(self.room, len(self._held))
        self.taken += self._held[:count]
        del self._held[:count]
        if self.room is not None:
            self.room -= count
        if not self._held and self._is_paused:
            self._is_paused = False
            self.protocol.resume_writing()
        if not self._held and self._is_closing:
            self.loop.call_soon(self._lose, None)

    def _lose(self, error: Exception | None) -> None:
        if not self.is_lost:
            self.is_lost = True
            self.protocol.connection_lost(error)
