"""How message ids outlive a restart; `dataplane.message_ids` has the window itself and logs the ids of plain messages.

After a restart the ids of stored messages are read from their headers. A message that is gone by then (a work queue's,
one that a limit pushed out) has left no header, so ids are kept on their own, too: in chunks, one per checkpoint of the
storage, so that each id is written once and a chunk goes as a whole when its newest id has left the window.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from leafbox.dataplane.journal import Journal
from leafbox.dataplane.message_ids import IdLog
from leafbox.jetstream.ports import DurableStore, ValueKind

_ENTRY = struct.Struct("<qQH")  # time, sequence, length of the id behind it
_NUMBER_BYTES = 8


def stream_key_of(chunk_key: bytes) -> bytes:
    """The stream whose ids a chunk holds."""
    return chunk_key[:-_NUMBER_BYTES]


class DurableIds:
    """A stream's ids as the storage keeps them. Belongs to the loop."""

    def __init__(self, storage: DurableStore, stream_key: bytes, journal: Journal | None = None) -> None:
        self.log = IdLog()
        """Open while plain messages may add to the current chunk by themselves."""
        self._journal = journal
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
        key = self._key(self._current)
        self._storage.extend(ValueKind.IDS, key, entry, False)
        head = self._storage.delta_head(key)
        if head is not None and self._journal is not None:
            self.log.open(self._journal, ValueKind.IDS, head, self._open[self._current], ts_ns)

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
        if number == self._current:
            self._close()
        self._current = max(self._current, number + 1)
        body = self._open.pop(number, None)
        return None if body is None else bytes(body)

    def retire(self) -> None:
        """The stream rests: chunks that the storage has as deltas become whole."""
        self._close()
        for number, body in self._open.items():
            self._storage.put(ValueKind.IDS, self._key(number), bytes(body))
        self._open.clear()

    def delete(self) -> None:
        """The stream is deleted."""
        self._close()
        for number in self._newest_ns:
            self._storage.delete(ValueKind.IDS, self._key(number))
        self._open.clear()
        self._newest_ns.clear()

    def _close(self) -> None:
        if self.log.is_open:
            self._newest_ns[self._current] = self.log.newest_ns
            self.log.close()

    def _begin_chunk(self, before_ns: int) -> None:
        for number in [n for n, newest_ns in self._newest_ns.items() if newest_ns <= before_ns]:
            self._storage.delete(ValueKind.IDS, self._key(number))
            self._open.pop(number, None)
            del self._newest_ns[number]
        self._open[self._current] = bytearray()
        self._storage.put(ValueKind.IDS, self._key(self._current), b"")

    def _key(self, number: int) -> bytes:
        return self._stream_key + number.to_bytes(_NUMBER_BYTES, "big")
