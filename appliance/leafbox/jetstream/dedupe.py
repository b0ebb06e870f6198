"""The duplicate window: message ids seen lately and the sequences they got.

After a restart the ids of stored messages are read from their headers. A message that is gone by then (a work queue's,
one that a limit pushed out) has left no header, so ids are kept on their own, too: in chunks, one per checkpoint of the
storage, so that each id is written once and a chunk goes as a whole when its newest id has left the window.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator

from leafbox.jetstream.ports import DurableStore, ValueKind

_ENTRY = struct.Struct("<qQH")  # time, sequence, length of the id behind it
_NUMBER_BYTES = 8


class DuplicateWindow:
    """Remembers ids for `window_ns`; about 200 bytes each. 0 remembers nothing."""

    def __init__(self, window_ns: int) -> None:
        self.window_ns = window_ns
        self._seqs: dict[str, int] = {}
        self._order: deque[tuple[int, str, int]] = deque()

    def __len__(self) -> int:
        return len(self._seqs)

    def find(self, msg_id: str, now_ns: int) -> int:
        """The sequence of the message with this id, or 0."""
        self.forget_before(now_ns - self.window_ns)
        return self._seqs.get(msg_id, 0)

    def remember(self, msg_id: str, seq: int, ts_ns: int) -> None:
        """A message with this id was stored."""
        if self.window_ns > 0:
            self._seqs[msg_id] = seq
            self._order.append((ts_ns, msg_id, seq))

    def forget_before(self, ts_ns: int) -> None:
        """Drop ids of messages stored at or before `ts_ns`."""
        order = self._order
        while order and order[0][0] <= ts_ns:
            _, msg_id, seq = order.popleft()
            if self._seqs.get(msg_id) == seq:
                del self._seqs[msg_id]

    def follow_clock(self, step_ns: int) -> None:
        """The wall clock was set: ids are remembered as long as they would have been."""
        self._order = deque((ts_ns + step_ns, msg_id, seq) for ts_ns, msg_id, seq in self._order)

    def clear(self) -> None:
        """Forget everything."""
        self._seqs.clear()
        self._order.clear()


def stream_key_of(chunk_key: bytes) -> bytes:
    """The stream whose ids a chunk holds."""
    return chunk_key[:-_NUMBER_BYTES]


class DurableIds:
    """A stream's ids as the storage keeps them. Belongs to the loop."""

    def __init__(self, storage: DurableStore, stream_key: bytes) -> None:
        self._storage = storage
        self._stream_key = stream_key
        self._open: dict[int, bytearray] = {}
        """Chunks whose entries the storage has as deltas only; the highest number is being filled."""
        self._newest_ns: dict[int, int] = {}
        self._current = 0

    def note(self, msg_id: str, seq: int, ts_ns: int, window_ns: int) -> None:
        """A message with an id was stored; rides with the commit of its record."""
        if self._current not in self._open:
            self._begin_chunk(ts_ns - window_ns)
        encoded = msg_id.encode()
        entry = _ENTRY.pack(ts_ns, seq, len(encoded)) + encoded
        self._open[self._current] += entry
        self._newest_ns[self._current] = ts_ns
        self._storage.extend(ValueKind.IDS, self._key(self._current), entry, False)

    def recover(self, chunk_key: bytes, value: bytes, deltas: list[bytes]) -> Iterator[tuple[str, int, int]]:
        """Take over a chunk as the storage found it; (id, sequence, time) of each entry. Ascending keys."""
        number = int.from_bytes(chunk_key[-_NUMBER_BYTES:], "big")
        self._current = number + 1
        self._newest_ns[number] = 0
        body = value + b"".join(deltas)
        if deltas:
            self._open[number] = bytearray(body)
        at = 0
        while at + _ENTRY.size <= len(body):
            ts_ns, seq, size = _ENTRY.unpack_from(body, at)
            at += _ENTRY.size + size
            self._newest_ns[number] = ts_ns
            yield body[at - size : at].decode(), seq, ts_ns

    def snapshot(self, chunk_key: bytes) -> bytes | None:
        """For a checkpoint: the whole chunk, to which nothing will be added any more."""
        number = int.from_bytes(chunk_key[-_NUMBER_BYTES:], "big")
        self._current = max(self._current, number + 1)
        body = self._open.pop(number, None)
        return None if body is None else bytes(body)

    def retire(self) -> None:
        """The stream rests: chunks that the storage has as deltas become whole."""
        for number, body in self._open.items():
            self._storage.put(ValueKind.IDS, self._key(number), bytes(body))
        self._open.clear()

    def delete(self) -> None:
        """The stream is deleted."""
        for number in self._newest_ns:
            self._storage.delete(ValueKind.IDS, self._key(number))
        self._open.clear()
        self._newest_ns.clear()

    def _begin_chunk(self, before_ns: int) -> None:
        for number in [n for n, newest_ns in self._newest_ns.items() if newest_ns <= before_ns]:
            self._storage.delete(ValueKind.IDS, self._key(number))
            self._open.pop(number, None)
            del self._newest_ns[number]
        self._open[self._current] = bytearray()
        self._storage.put(ValueKind.IDS, self._key(self._current), b"")

    def _key(self, number: int) -> bytes:
        return self._stream_key + number.to_bytes(_NUMBER_BYTES, "big")
