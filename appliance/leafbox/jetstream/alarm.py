"""One timer that is moved often and fires rarely: re-armed only when the new time is earlier than the armed one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from leafbox.dataplane.stream_ingest import now_ns


class Alarm:
    """Calls `callback(now_ns)` at or shortly after the time set; the callback sets the next time itself."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[int], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._handle: asyncio.TimerHandle | None = None
        self._when_ns = 0

    def set(self, when_ns: int) -> None:
        """Ring at `when_ns` (wall clock) at the latest; 0 asks for nothing. A time already armed stays if earlier."""
        if when_ns == 0 or (self._handle is not None and self._when_ns <= when_ns):
            return
        if self._handle is not None:
            self._handle.cancel()
        self._when_ns = when_ns
        delay_s = max(when_ns - now_ns(), 0) / 1e9
        self._handle = self._loop.call_later(delay_s, self._ring)

    def follow_clock(self, step_ns: int) -> None:
        """The wall clock was set: ring after the same wait as before."""
        self._when_ns += step_ns

    def cancel(self) -> None:
        """Ring no more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _ring(self) -> None:
        self._handle = None
        self._callback(max(now_ns(), self._when_ns))
