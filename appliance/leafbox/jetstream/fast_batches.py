"""Fast-ingest batches (ADR-50): each message is stored as it comes; flow acknowledgements tell the client how it goes.

A batch is a numbering of messages in their reply subjects. `seq` in what we send is the batch's sequence. Gaps either
end the batch (`fail`) or are reported and passed over (`ok`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from leafbox.dataplane.stream_ingest import now_ns
from leafbox.jetstream.alarm import Alarm
from leafbox.jetstream.context import API_LEVEL
from leafbox.jetstream.publish_rules import DuplicateMessage
from leafbox.protocol.errors import RequestRejected
from leafbox.protocol.jetstream import error_catalog as errors
from leafbox.protocol.jetstream import headers
from leafbox.protocol.jetstream.fast_batch import COMMIT_END, FastPlace, parse_place
from leafbox.protocol.jetstream.go_json import JsonObject, encode
from leafbox.protocol.jetstream.go_time import SECOND

if TYPE_CHECKING:
    from leafbox.jetstream.stream import Stream

PER_STREAM_MAX = 1000
PER_SERVER_MAX = 50_000
ID_BYTES_MAX = 64
_IDLE_NS = 10 * SECOND
# The first interval of flow acknowledgements, and where it may grow to.
_FLOW_FIRST, _FLOW_MAX = 1, 0xFFFF


@dataclass(slots=True)
class _Batch:
    gap_ok: bool
    wanted_flow: int
    flow: int
    last_ns: int
    sequence: int = 0
    acknowledged: int = 0
    stored_seq: int = 0


class FastBatches:
    """The open fast batches of one stream."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._open: dict[str, _Batch] = {}
        self._alarm = Alarm(stream.context.loop, self.run)

    def __len__(self) -> int:
        return len(self._open)

    def receive(self, subject: str, reply: str, header: bytes, payload: bytes) -> None:
        """One message whose reply subject names a fast batch."""
        try:
            place = self._admit(subject, reply, header, payload)
            batch = self._open.get(place.batch_id) or self._begin(place)
        except RequestRejected as rejected:
            self._stream.publisher.refuse(reply.encode(), rejected)
            return
        if headers.requires_higher_level(header, API_LEVEL):
            self._drop(place.batch_id)
            self._stream.publisher.refuse(reply.encode(), errors.REQUIRED_API_LEVEL.rejected())
            return
        header = headers.remove(header, headers.REQUIRED_API_LEVEL)
        batch.last_ns = now_ns()
        if place.is_ping:
            self._ping(batch, place, reply)
        elif self._in_order(batch, place, reply):
            self._store(batch, place, subject, reply, header, payload)

    def abandon_all(self) -> None:
        """The stream closes or no longer allows fast batches."""
        for batch_id in list(self._open):
            self._drop(batch_id)
        self._alarm.cancel()

    def follow_clock(self, step_ns: int) -> None:
        """The wall clock was set: open batches wait as long as they would have."""
        for batch in self._open.values():
            batch.last_ns += step_ns
        self._alarm.follow_clock(step_ns)

    def run(self, now: int) -> None:
        """Forget batches that were idle too long."""
        for batch_id, batch in list(self._open.items()):
            if batch.last_ns + _IDLE_NS <= now:
                self._drop(batch_id)
        if self._open:
            self._alarm.set(min(batch.last_ns for batch in self._open.values()) + _IDLE_NS)

    # -- admission ----------------------------------------------------------------------------------------------------

    def _admit(self, subject: str, reply: str, header: bytes, payload: bytes) -> FastPlace:
        stream = self._stream
        if stream.config.sealed:
            raise errors.STREAM_SEALED.rejected()
        stream.publisher.check_room(subject.encode(), header, payload)
        if 0 <= stream.config.max_msg_size < len(header) + len(payload):
            raise errors.STREAM_MESSAGE_EXCEEDS_MAXIMUM.rejected()
        if not stream.config.allow_batched:
            raise errors.BATCH_PUBLISH_DISABLED.rejected()
        place = parse_place(reply)
        if place is None:
            raise errors.BATCH_PUBLISH_INVALID_PATTERN.rejected()
        if len(place.batch_id.encode()) > ID_BYTES_MAX:
            raise errors.BATCH_PUBLISH_INVALID_BATCH_ID.rejected()
        return place

    def _begin(self, place: FastPlace) -> _Batch:
        context = self._stream.context
        if place.sequence != 1:
            raise errors.BATCH_PUBLISH_UNKNOWN_BATCH_ID.rejected()
        if len(self._open) >= PER_STREAM_MAX or context.open_fast_batches >= PER_SERVER_MAX:
            raise errors.BATCH_PUBLISH_TOO_MANY_INFLIGHT.rejected()
        context.open_fast_batches += 1
        batch = _Batch(place.gap_ok, place.flow, max(min(place.flow, _FLOW_MAX), _FLOW_FIRST), now_ns())
        self._open[place.batch_id] = batch
        self._alarm.set(now_ns() + _IDLE_NS)
        return batch

    def _drop(self, batch_id: str) -> None:
        if self._open.pop(batch_id, None) is not None:
            self._stream.context.open_fast_batches -= 1

    # -- order --------------------------------------------------------------------------------------------------------

    def _in_order(self, batch: _Batch, place: FastPlace, reply: str) -> bool:
        expected = batch.sequence + 1
        if place.sequence == expected:
            return True
        if place.sequence > expected:
            self._send(reply, {"type": "gap", "last_seq": expected, "seq": place.sequence})
            if batch.gap_ok:
                return True
        self._finish(batch, place.batch_id, reply)
        return False

    def _ping(self, batch: _Batch, place: FastPlace, reply: str) -> None:
        if place.sequence > batch.sequence:
            self._send(reply, {"type": "gap", "last_seq": batch.sequence + 1, "seq": place.sequence + 1})
            if not batch.gap_ok:
                self._finish(batch, place.batch_id, reply)
                return
            batch.sequence = place.sequence
        self._acknowledge(batch, reply)

    # -- storing ------------------------------------------------------------------------------------------------------

    def _store(self, batch: _Batch, place: FastPlace, subject: str, reply: str, header: bytes, payload: bytes) -> None:
        publisher = self._stream.publisher
        if place.operation == COMMIT_END:
            self._finish(batch, place.batch_id, reply)
            return
        if place.sequence == 1 and not place.is_commit:
            self._send(reply, {"type": "ack", "seq": 0, "msgs": batch.flow})
        try:
            checked = publisher.check(subject, header, payload, publisher.state())
            batch.stored_seq = publisher.store(checked, b"")
        except DuplicateMessage as duplicate:
            if place.sequence == 1 and place.is_commit and not batch.gap_ok:
                self._drop(place.batch_id)
                suffix = f',"duplicate": true,"batch":"{place.batch_id}","count":{place.sequence}}}'
                publisher.acknowledge(reply.encode(), duplicate.seq, suffix)
                return
        except RequestRejected as rejected:
            self._failed(batch, place, reply, rejected)
            return
        batch.sequence = place.sequence
        if place.is_commit:
            self._finish(batch, place.batch_id, reply)
        elif batch.sequence >= batch.acknowledged + batch.flow:
            self._acknowledge(batch, reply)

    def _failed(self, batch: _Batch, place: FastPlace, reply: str, rejected: RequestRejected) -> None:
        if not batch.gap_ok and place.sequence == 1:
            self._drop(place.batch_id)
            self._stream.publisher.refuse(reply.encode(), rejected)
            return
        error: JsonObject = {
            "code": rejected.code,
            "err_code": rejected.err_code,
            "description": rejected.description,
        }
        self._send(reply, {"type": "err", "seq": place.sequence, "error": error})
        if batch.gap_ok and not place.is_commit:
            batch.sequence = place.sequence
            return
        self._finish(batch, place.batch_id, reply)

    # -- answers ------------------------------------------------------------------------------------------------------

    def _acknowledge(self, batch: _Batch, reply: str) -> None:
        batch.acknowledged = batch.sequence
        text = encode({"type": "ack", "seq": batch.sequence, "msgs": batch.flow})
        if not self._stream.config.no_ack:
            self._stream.reply_when_durable(reply.encode(), text)

    def _finish(self, batch: _Batch, batch_id: str, reply: str) -> None:
        """The closing acknowledgement: everything counted is stored."""
        self._drop(batch_id)
        seq = batch.stored_seq or self._stream.store.last_seq
        suffix = f',"batch":"{batch_id}","count":{batch.sequence}}}'
        self._stream.publisher.acknowledge(reply.encode(), seq, suffix)

    def _send(self, reply: str, event: JsonObject) -> None:
        if not self._stream.config.no_ack:
            self._stream.account.publish(reply.encode(), encode(event))
