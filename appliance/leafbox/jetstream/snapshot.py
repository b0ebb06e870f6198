"""Backups of a stream, sent in chunks to a subject under flow control."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from leafbox.dataplane.s2 import S2Encoder
from leafbox.dataplane.stream_ingest import now_ns
from leafbox.jetstream.alarm import Alarm
from leafbox.jetstream.consumer import Consumer
from leafbox.jetstream.names import nuid
from leafbox.protocol.jetstream import headers
from leafbox.protocol.jetstream.go_json import JsonObject, encode, to_object
from leafbox.protocol.jetstream.go_time import SECOND, format_time
from leafbox.protocol.jetstream.requests import StreamSnapshotRequest
from leafbox.protocol.jetstream.snapshot_archive import MAGIC, Entry, encode_entry

if TYPE_CHECKING:
    from leafbox.jetstream.stream import Stream

CHUNK_DEFAULT, CHUNK_MIN, CHUNK_MAX = 128 * 1024, 1024, 1024 * 1024
WINDOW_DEFAULT, WINDOW_MIN, WINDOW_MAX = 8 * 1024 * 1024, 1024, 32 * 1024 * 1024
# A receiver that acknowledges nothing for this long is gone (nats-server's value).
_STALL_NS = 5 * SECOND
# The nats command line asks first and subscribes when it has the answer; nats-server waits as long. A wildcard is no
# sign of the receiver: clients listen for answers on one that covers their every inbox.
_ARRIVAL_NS = 2 * SECOND
_BATCH_BYTES = 64 * 1024


class Snapshot:
    """One backup under way; it keeps itself alive by its subscription and timer until it is done."""

    def __init__(self, stream: Stream, request: StreamSnapshotRequest, client: JsonObject | None) -> None:
        self._stream = stream
        self._client = client
        self.deliver_subject = request.deliver_subject.encode()
        self._chunk_bytes = min(max(request.chunk_size or CHUNK_DEFAULT, CHUNK_MIN), CHUNK_MAX)
        self._window_bytes = min(max(request.window_size or WINDOW_DEFAULT, WINDOW_MIN), WINDOW_MAX)
        self._state = stream.state()
        self._pieces = self._archive(not request.no_consumers)
        self._buffer = bytearray()
        self._ack_prefix = f"$JS.SNAPSHOT.ACK.{stream.name}.{nuid()}".encode()
        self._acks = stream.account.subscribe(self._ack_prefix + b".>", self._acknowledged)
        self._alarm = Alarm(stream.context.loop, self._stalled)
        self._started_ns = self._heard_ns = now_ns()
        self._outstanding = self._index = 0
        self._is_awaited, self._is_read, self._has_full_chunk = True, False, False

    def start(self) -> None:
        """Send the first window in the next turn of the loop, after the response, or when the receiver has come."""
        self._stream.advisories.send(
            f"$JS.EVENT.ADVISORY.STREAM.SNAPSHOT_CREATE.{self._stream.name}",
            "snapshot_create",
            {"stream": self._stream.name, "state": to_object(self._state), "client": self._client},
        )
        self._stream.owner.watch_delivery(self)
        self._alarm.set(self._started_ns + _ARRIVAL_NS)
        self._stream.context.loop.call_soon(self._send)

    def interest_changed(self) -> None:
        """The receiver came or left."""
        if self._is_awaited:
            self._heard_ns = now_ns()
        self._stream.context.loop.call_soon(self._send)

    def _archive(self, with_consumers: bool) -> Iterator[bytes]:
        now, stream = now_ns(), self._stream
        packer = S2Encoder()
        state = encode(self._state)
        pending = bytearray(MAGIC + encode_entry(Entry(b"state.json", now, 0, b"", state)))
        if with_consumers:
            for consumer in stream.public_consumers():
                name = f"consumers/{consumer.name}".encode()
                pending += encode_entry(Entry(name, now, 0, b"", encode(_consumer_document(consumer))))
        seq = self._state.first_seq
        while (message := stream.store.next_matching(seq)) is not None and message.seq <= self._state.last_seq:
            seq = message.seq + 1
            pending += encode_entry(Entry(message.subject, message.ts_ns, message.seq, message.header, message.payload))
            if len(pending) >= _BATCH_BYTES:
                yield packer.encode(bytes(pending))
                pending.clear()
        pending += encode_entry(Entry(b"", 0, 0, b"", b""))
        yield packer.encode(bytes(pending))

    def _send(self) -> None:
        account = self._stream.account
        if self._acks.closed:
            return
        if self._is_awaited and not account.has_own_interest(self.deliver_subject):
            return
        self._is_awaited = False
        if not account.has_interest(self.deliver_subject):
            self._end(headers.status(408, "No Interest"), "no interest")
            return
        while self._outstanding < self._window_bytes:
            while len(self._buffer) < self._chunk_bytes and not self._is_read:
                piece = next(self._pieces, None)
                self._is_read = piece is None
                self._buffer += piece or b""
            if not self._buffer:
                if self._outstanding == 0:
                    self._end(headers.status(204, "") if self._has_full_chunk else b"", "")
                return
            chunk = bytes(self._buffer[: self._chunk_bytes])
            del self._buffer[: self._chunk_bytes]
            self._index += 1
            reply = b""
            if len(chunk) == self._chunk_bytes:
                reply = self._ack_prefix + f".{len(chunk)}.{self._index}".encode()
                self._outstanding += len(chunk)
                self._has_full_chunk = True
            account.publish(self.deliver_subject, chunk, reply)

    def _acknowledged(self, subject: bytes, _reply: bytes, _header: bytes, _payload: bytes, _origin: object) -> None:
        size = subject.split(b".")[-2]
        if not size.isdigit():
            return
        self._heard_ns = now_ns()
        self._alarm.set(self._heard_ns + _STALL_NS)
        self._outstanding = max(self._outstanding - int(size), 0)
        self._stream.context.loop.call_soon(self._send)

    def _stalled(self, now: int) -> None:
        if self._is_awaited:
            # Perhaps it listens by a wildcard or in a queue group.
            self._is_awaited, self._heard_ns = False, now
            self._stream.context.loop.call_soon(self._send)
        if self._heard_ns + _STALL_NS > now:
            self._alarm.set(self._heard_ns + _STALL_NS)
        else:
            self._end(headers.status(408, "No Flow Response"), "no flow response")

    def _end(self, header: bytes, error: str) -> None:
        stream = self._stream
        self._alarm.cancel()
        stream.account.remove(self._acks)
        stream.owner.unwatch_delivery(self)
        stream.account.publish(self.deliver_subject, b"", b"", header)
        fields: JsonObject = {
            "stream": stream.name,
            "start": format_time(self._started_ns),
            "end": format_time(now_ns()),
            "client": self._client,
        }
        if error:
            fields["error"] = error
        stream.advisories.send(
            f"$JS.EVENT.ADVISORY.STREAM.SNAPSHOT_COMPLETE.{stream.name}", "snapshot_complete", fields
        )


def _consumer_document(consumer: Consumer) -> JsonObject:
    pending: JsonObject = {
        str(seq): {"sequence": consumer_seq, "ts": ts_ns} for seq, consumer_seq, ts_ns in consumer.pending.items()
    }
    state: JsonObject = {
        "delivered": {"consumer_seq": consumer.next_consumer_seq - 1, "stream_seq": consumer.delivered_stream_seq},
        "ack_floor": {"consumer_seq": consumer.floor_consumer_seq, "stream_seq": consumer.floor_stream_seq},
    }
    if pending:
        state["pending"] = pending
    if consumer.redelivered:
        state["redelivered"] = {str(seq): count for seq, count in sorted(consumer.redelivered.items())}
    return {"config": to_object(consumer.config), "state": state}
