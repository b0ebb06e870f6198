"""Atomic batch publishing (ADR-50): messages are staged in memory and stored together at the commit, or not at all.

nats-server stages on disk; here an interrupted batch leaves nothing, since only the commit's messages reach the log.
They do so as one group of records, which a replay applies whole or not at all (ADR 0002): neither a full log nor a
power cut leaves the first half of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from leafbox.dataplane.stream_ingest import now_ns
from leafbox.jetstream.alarm import Alarm
from leafbox.jetstream.context import API_LEVEL
from leafbox.jetstream.publish_rules import Checked, DuplicateMessage
from leafbox.jetstream.publish_state import PublishState
from leafbox.protocol.errors import RequestRejected
from leafbox.protocol.jetstream import error_catalog as errors
from leafbox.protocol.jetstream import headers
from leafbox.protocol.jetstream.go_time import SECOND
from leafbox.protocol.jetstream.stream_config import DiscardPolicy

if TYPE_CHECKING:
    from leafbox.jetstream.stream import Stream

ID_BYTES_MAX = 64
OPEN_BYTES_MAX = 64 * 1024 * 1024
"""Messages of all open batches of the server: they wait in RAM. One batch may hold what the log takes whole, 32 MiB."""


@dataclass(slots=True)
class _Batch:
    """Messages received so far and their bytes; `last_ns` is when the last one came."""

    last_ns: int
    size: int = 0
    messages: list[tuple[str, bytes, bytes]] = field(default_factory=list)


class AtomicBatches:
    """The open batches of one stream."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._open: dict[str, _Batch] = {}
        self._alarm = Alarm(stream.context.loop, self.run)

    def __len__(self) -> int:
        return len(self._open)

    def receive(self, subject: str, reply: bytes, header: bytes, payload: bytes) -> None:
        """One message with a batch id."""
        try:
            self._receive(subject, reply, header, payload)
        except RequestRejected as rejected:
            self._stream.publisher.refuse(reply, rejected)

    def abandon_all(self) -> None:
        """The stream closes or no longer allows batches."""
        for batch_id in list(self._open):
            self._drop(batch_id)
        self._alarm.cancel()

    def follow_clock(self, step_ns: int) -> None:
        """The wall clock was set: open batches wait as long as they would have."""
        for batch in self._open.values():
            batch.last_ns += step_ns
        self._alarm.follow_clock(step_ns)

    def run(self, now: int) -> None:
        """Abandon batches that were idle too long."""
        timeout_ns = int(self._stream.context.options.limits.batch_timeout_s * SECOND)
        for batch_id, batch in list(self._open.items()):
            if batch.last_ns + timeout_ns <= now:
                self._drop(batch_id)
                self._abandoned(batch_id, "timeout")
        if self._open:
            self._alarm.set(min(batch.last_ns for batch in self._open.values()) + timeout_ns)

    # -- receiving ----------------------------------------------------------------------------------------------------

    def _receive(self, subject: str, reply: bytes, header: bytes, payload: bytes) -> None:
        stream = self._stream
        if stream.config.sealed:
            raise errors.STREAM_SEALED.rejected()
        stream.publisher.check_room(subject.encode(), header, payload)
        if 0 <= stream.config.max_msg_size < len(header) + len(payload):
            raise errors.STREAM_MESSAGE_EXCEEDS_MAXIMUM.rejected()
        if not stream.config.allow_atomic:
            raise errors.ATOMIC_PUBLISH_DISABLED.rejected()
        batch_id = headers.get_text(header, headers.BATCH_ID)
        if len(batch_id.encode()) > ID_BYTES_MAX:
            raise errors.ATOMIC_PUBLISH_INVALID_BATCH_ID.rejected()
        sequence = headers.get_number(header, headers.BATCH_SEQUENCE)
        if sequence is None:
            raise errors.ATOMIC_PUBLISH_MISSING_SEQ.rejected()
        commit = headers.get(header, headers.BATCH_COMMIT)
        ends = commit == b"eob"
        most = stream.context.options.limits.batch_messages_max
        count = sequence - 1 if ends else sequence
        batch = self._open.get(batch_id) or self._begin(batch_id, sequence, count, most)
        if commit is not None and not ends and commit != b"1":
            self._drop(batch_id)
            raise errors.ATOMIC_PUBLISH_INVALID_BATCH_COMMIT.rejected()
        if headers.requires_higher_level(header, API_LEVEL):
            self._drop(batch_id)
            self._abandoned(batch_id, "unsupported")
            raise errors.REQUIRED_API_LEVEL.rejected()
        header = headers.remove(header, headers.REQUIRED_API_LEVEL)
        if sequence != len(batch.messages) + 1 or (ends and sequence == 1):
            self._drop(batch_id)
            self._abandoned(batch_id, "incomplete")
            raise errors.ATOMIC_PUBLISH_INCOMPLETE_BATCH.rejected()
        if count > most:
            self._drop(batch_id)
            self._abandoned(batch_id, "large")
            raise errors.ATOMIC_PUBLISH_TOO_LARGE_BATCH.rejected(size=most)
        if not ends:
            size = len(subject) + len(header) + len(payload)
            if stream.context.open_batch_bytes + size > OPEN_BYTES_MAX:
                self._drop(batch_id)
                self._abandoned(batch_id, "large")
                raise errors.INSUFFICIENT_RESOURCES.rejected()
            batch.messages.append((subject, header, payload))
            batch.size += size
            stream.context.open_batch_bytes += size
        batch.last_ns = now_ns()
        if commit is None:
            if reply and not stream.config.no_ack:
                stream.account.publish(reply, b"")
            return
        self._drop(batch_id)
        self._commit(batch_id, batch.messages, reply, ends)

    def _begin(self, batch_id: str, sequence: int, count: int, most: int) -> _Batch:
        context = self._stream.context
        if sequence != 1:
            if count > most:
                raise errors.ATOMIC_PUBLISH_TOO_LARGE_BATCH.rejected(size=most)
            raise errors.ATOMIC_PUBLISH_INCOMPLETE_BATCH.rejected()
        limits = context.options.limits
        if len(self._open) >= limits.batches_inflight_per_stream_max:
            raise errors.ATOMIC_PUBLISH_TOO_MANY_INFLIGHT.rejected()
        if context.open_atomic_batches >= limits.batches_inflight_max:
            raise errors.ATOMIC_PUBLISH_TOO_MANY_INFLIGHT.rejected()
        context.open_atomic_batches += 1
        batch = self._open[batch_id] = _Batch(now_ns())
        self._alarm.set(now_ns() + int(limits.batch_timeout_s * SECOND))
        return batch

    def _drop(self, batch_id: str) -> None:
        batch = self._open.pop(batch_id, None)
        if batch is not None:
            self._stream.context.open_atomic_batches -= 1
            self._stream.context.open_batch_bytes -= batch.size

    def _abandoned(self, batch_id: str, reason: str) -> None:
        self._stream.advisories.batch_abandoned(self._stream.name, batch_id, reason)

    # -- committing ---------------------------------------------------------------------------------------------------

    def _commit(self, batch_id: str, messages: list[tuple[str, bytes, bytes]], reply: bytes, ends: bool) -> None:
        publisher = self._stream.publisher
        state = publisher.state()
        checked = [self._check(state, *message) for message in messages]
        count = len(checked)
        if ends and checked:
            checked[-1].header = headers.add(checked[-1].header, headers.BATCH_COMMIT, b"1")
        suffix = f',"batch":"{batch_id}","count":{count}}}'
        publisher.begin_group(checked)
        try:
            for index, message in enumerate(checked):
                last_reply, last_suffix = (reply, suffix) if index == count - 1 else (b"", "")
                publisher.store(message, last_reply, ack_suffix=last_suffix, is_checked=True)
        finally:
            self._stream.store.end_group()

    def _check(self, state: PublishState, subject: str, header: bytes, payload: bytes) -> Checked:
        if headers.get(header, headers.EXPECTED_LAST_MSG_ID):
            raise errors.ATOMIC_PUBLISH_UNSUPPORTED_HEADER_BATCH.rejected(header="Nats-Expected-Last-Msg-Id")
        msg_id = headers.get_text(header, headers.MSG_ID)
        if msg_id and state.is_id_staged(msg_id):
            raise errors.ATOMIC_PUBLISH_CONTAINS_DUPLICATE_MESSAGE.rejected()
        try:
            checked = self._stream.publisher.check(subject, header, payload, state)
        except DuplicateMessage:
            raise errors.ATOMIC_PUBLISH_CONTAINS_DUPLICATE_MESSAGE.rejected() from None
        self._check_limits(state, checked)
        state.stage(checked.subject.encode(), checked.header, checked.payload, checked.msg_id)
        return checked

    def _check_limits(self, state: PublishState, checked: Checked) -> None:
        """Discard new, counted over what the batch has staged so far."""
        stream, config = self._stream, self._stream.config
        subject = checked.subject.encode()
        stream.publisher.check_room(subject, checked.header, checked.payload, state.staged_bytes)
        if config.discard is not DiscardPolicy.NEW:
            return
        store = stream.store
        on_subject = store.subject_bounds(subject)[0] + state.staged_on(subject)
        subject_full = 0 < config.max_msgs_per_subject <= on_subject
        size = store.stored_size(len(subject), len(checked.header), len(checked.payload))
        text = ""
        if subject_full and config.discard_new_per_subject:
            text = "maximum messages per subject exceeded"
        elif 0 < config.max_msgs <= store.messages + state.staged_count and not subject_full:
            text = "maximum messages exceeded"
        elif 0 < config.max_bytes < store.stored_bytes + state.staged_bytes + size and not subject_full:
            text = "maximum bytes exceeded"
        if text:
            raise errors.STREAM_STORE_FAILED.rejected(err=text)
