"""Messages that go by time: `max_age`, `Nats-TTL`, and the delete markers they leave (ADR-43).

One alarm per stream. Ages are looked at from the front only, like in nats-server; TTLs are a heap of (time, sequence).
A stream with `subject_delete_marker_ttl` replaces the last message of a subject by a marker instead of removing it.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from leafbox.jetstream.alarm import Alarm
from leafbox.jetstream.publisher import NEVER_EXPIRES_NS
from leafbox.protocol.jetstream import headers
from leafbox.protocol.jetstream.go_time import SECOND, format_duration

if TYPE_CHECKING:
    from leafbox.dataplane.stream_store import StoredMessage
    from leafbox.jetstream.stream import Stream

# Not more often than this, however short the lives are.
_INTERVAL_NS = SECOND // 10


class Expiry:
    """Removes what is too old. `start` looks at everything stored; later arrivals are noted one by one."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._alarm = Alarm(stream.context.loop, self.run)
        self._heap: list[tuple[int, int]] = []

    def start(self) -> None:
        """After a restart: expired messages go now."""
        if self._stream.config.allow_msg_ttl:
            self._heap = [entry for entry in self._stream.store.expiring() if entry[0] < NEVER_EXPIRES_NS]
            heapq.heapify(self._heap)
        self.rearm(1)

    def stop(self) -> None:
        """Expire nothing more."""
        self._alarm.cancel()

    def clock_was_set(self) -> None:
        """Lives end by the wall clock: look at once what is over now."""
        self._alarm.cancel()
        self.rearm(1)

    def note(self, seq: int, expires_ns: int) -> None:
        """A message with a TTL was stored."""
        heapq.heappush(self._heap, (expires_ns, seq))
        self._alarm.set(expires_ns)

    def rearm(self, now: int) -> None:
        """Look again at the next time something can expire; `now` 1 means at once."""
        config, store = self._stream.config, self._stream.store
        if self._heap:
            self._alarm.set(max(self._heap[0][0], now + _INTERVAL_NS) if now > 1 else 1)
        if config.max_age:
            if now <= 1:
                self._alarm.set(1)
            else:
                first_ts = store.state().first_ts_ns if store.messages else now
                self._alarm.set(max(first_ts + config.max_age, now + min(_INTERVAL_NS, config.max_age)))

    def run(self, now: int) -> None:
        """Remove what is due at `now`."""
        config, store = self._stream.config, self._stream.store
        if self._stream.is_closed:
            return
        if config.max_age:
            if config.allow_msg_ttl:
                self._expire_singly(now - config.max_age)
            else:
                store.expire_before(now - config.max_age + 1)
        while self._heap and self._heap[0][0] <= now:
            _, seq = heapq.heappop(self._heap)
            message = store.message(seq)
            if message is not None and 0 < message.expires_ns <= now:
                self._remove(message)
        self._stream.after_removal()
        self.rearm(now)

    def _expire_singly(self, stored_until_ns: int) -> None:
        """By age, where a message may be exempt (`never`) or leave a marker."""
        seq = self._stream.store.first_seq
        while (message := self._stream.store.next_matching(seq)) is not None and message.ts_ns <= stored_until_ns:
            seq = message.seq + 1
            if message.expires_ns != NEVER_EXPIRES_NS:
                self._remove(message)

    def _remove(self, message: StoredMessage) -> None:
        stream = self._stream
        marker_ttl_ns = stream.config.subject_delete_marker_ttl
        is_last = stream.store.subject_bounds(message.subject)[2] == message.seq
        is_marker = (
            headers.get(message.header, headers.MARKER_REASON) is not None
            or headers.get(message.header, b"KV-Operation") == b"PURGE"
        )
        if not marker_ttl_ns or not is_last or is_marker or stream.config.mirror is not None:
            stream.store.remove_message(message.seq)
            return
        block = headers.add(b"", headers.MARKER_REASON, b"MaxAge")
        block = headers.add(block, headers.TTL, format_duration(marker_ttl_ns).encode())
        block = headers.add(block, headers.ROLLUP, b"sub")
        if not stream.publisher.publish(message.subject.decode(), b"", block, b"", is_sourced=True):
            stream.store.remove_message(message.seq)
