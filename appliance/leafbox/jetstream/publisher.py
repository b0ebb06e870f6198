"""Publishing into one stream when a message needs more than the compiled path: headers, transforms, batches, refusals.

`StreamIngest` calls `on_special` for such a message and `on_refused` for a plain one that a limit keeps out. Everything
here runs to completion on the loop; acknowledgements leave once the stored message is durable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leafbox.dataplane.stream_ingest import now_ns
from leafbox.jetstream.publish_rules import Checked, DuplicateMessage, check_publish
from leafbox.jetstream.publish_state import PublishState
from leafbox.protocol.errors import LimitExceeded, RequestRejected, StoreError
from leafbox.protocol.jetstream import error_catalog as errors
from leafbox.protocol.jetstream import headers, subjects
from leafbox.protocol.jetstream.fast_batch import is_fast_reply
from leafbox.protocol.jetstream.go_json import encode
from leafbox.protocol.jetstream.go_time import SECOND, format_time
from leafbox.protocol.jetstream.message_ttl import parse_ttl

if TYPE_CHECKING:
    from leafbox.broker.tracing import MessageTrace
    from leafbox.dataplane.routing import Receiver
    from leafbox.jetstream.stream import Stream

NEVER_EXPIRES_NS = (1 << 63) - 1
"""Stored as expiry of messages with `Nats-TTL: never`: not even max_age removes them."""

_EXPIRY_BYTES = 8
"""A message's own expiry, when it has one."""

_FULL_TEXTS = {
    "messages": "maximum messages exceeded",
    "bytes": "maximum bytes exceeded",
    "subject messages": "maximum messages per subject exceeded",
}


def trace_error(rejected: RequestRejected, header: bytes) -> str:
    """What nats-server's traces call a refusal: not the text that the publisher gets."""
    known = rejected.description.rpartition(": ")[2]
    match rejected.err_code:
        case errors.STREAM_MESSAGE_EXCEEDS_MAXIMUM.err_code | errors.STREAM_HEADER_EXCEEDS_MAXIMUM.err_code:
            return "maximum payload exceeded"
        case errors.STREAM_NOT_MATCH.err_code:
            return "expected stream does not match"
        case errors.MESSAGE_TTL_DISABLED.err_code:
            return "message TTL disabled"
        case errors.STREAM_WRONG_LAST_SEQUENCE.err_code:
            by_subject = headers.get_text(header, headers.EXPECTED_LAST_SUBJECT_SEQUENCE)
            if by_subject:
                return f"last sequence by subject mismatch: {by_subject} vs {known}"
            return f"last sequence mismatch: {headers.get_text(header, headers.EXPECTED_LAST_SEQUENCE)} vs {known}"
    return rejected.description


class Publisher:
    """The policy half of a stream's ingest."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    # -- entries ------------------------------------------------------------------------------------------------------

    def on_special(self, subject: bytes, reply: bytes, header: bytes, payload: bytes, origin: Receiver | None) -> None:
        """A message with a header of ours, a status line, or on a stream with transforms or republish."""
        header = headers.without_status(header)
        text, reply_text = subject.decode("utf-8", "replace"), reply.decode("utf-8", "replace")
        if is_fast_reply(reply_text):
            self._stream.fast_batches.receive(text, reply_text, header, payload)
        elif headers.get(header, headers.BATCH_ID) is not None:
            self._stream.atomic_batches.receive(text, reply, header, payload)
        else:
            self.publish(text, reply, header, payload)

    def on_refused(self, subject: bytes, reply: bytes, header: bytes, payload: bytes, reason: str) -> None:
        """A plain message that the compiled path could not store."""
        self.refuse(reply, self._refusal(reason))

    def on_traced(
        self,
        trace: MessageTrace,
        subject: bytes,
        reply: bytes,
        header: bytes,
        payload: bytes,
        origin: Receiver | None,
    ) -> None:
        """A message whose way is written down: what becomes of it here is an event, also if it is only asked."""
        event = trace.add("js", stream=self._stream.name, subject="", nointerest=False, error="")
        try:
            checked = self.check(subject.decode("utf-8", "replace"), header, payload, self.state())
            stored_as = checked.subject.encode()
            self.check_room(stored_as, checked.header, checked.payload)
            is_wanted = self._stream.ingest.is_wanted(stored_as)
            if is_wanted:
                self.check_full(stored_as, checked.header, checked.payload)
            event.update(subject=checked.subject, nointerest=not is_wanted)
        except DuplicateMessage:
            event["error"] = "msgid is duplicate"
        except RequestRejected as rejected:
            event["error"] = trace_error(rejected, header)
        if not trace.is_only:
            self.on_special(subject, reply, header, payload, origin)

    # -- one message --------------------------------------------------------------------------------------------------

    def publish(
        self,
        subject: str,
        reply: bytes,
        header: bytes,
        payload: bytes,
        *,
        ack_suffix: str = "",
        is_sourced: bool = False,
    ) -> int:
        """Check, store and acknowledge one message; its sequence, or 0 if it was refused (which was answered).

        `ack_suffix` replaces the acknowledgement's closing brace (batches).
        """
        try:
            checked = self.check(subject, header, payload, self.state(), is_sourced=is_sourced)
            return self.store(checked, reply, ack_suffix=ack_suffix)
        except DuplicateMessage as duplicate:
            self.acknowledge(reply, duplicate.seq, ',"duplicate": true}')
        except RequestRejected as rejected:
            self.refuse(reply, rejected)
        return 0

    def state(self) -> PublishState:
        """The stream as publish checks see it."""
        return PublishState(self._stream.ingest, self._stream.window)

    def check(
        self, subject: str, header: bytes, payload: bytes, state: PublishState, *, is_sourced: bool = False
    ) -> Checked:
        """Apply transform and header rules; raises `RequestRejected` or `DuplicateMessage`."""
        stream = self._stream
        if stream.config.sealed:
            raise errors.STREAM_SEALED.rejected()
        if stream.transform is not None:
            subject = stream.transform.match(subject) or subject
        return check_publish(
            stream.config,
            state,
            subject,
            header,
            payload,
            last_msg_id=stream.ingest.last_msg_id or "",
            max_payload_bytes=stream.context.max_payload_bytes,
            is_sourced=is_sourced,
            is_mirror=stream.config.mirror is not None,
        )

    def store(self, checked: Checked, reply: bytes, *, ack_suffix: str = "", is_checked: bool = False) -> int:
        """Store a checked message with all that follows from it; returns its sequence.

        `is_checked`: limits were looked at for the whole batch, whose group of records is open. Raises
        `RequestRejected` if a limit or the store refuses.
        """
        if is_checked or not (checked.rollup or checked.purges_schedule or checked.msg_id):
            return self._store(checked, reply, ack_suffix, is_checked)
        # The message, its id and the removals that it asks for: an acknowledgement promises all of them.
        self.begin_group([checked])
        try:
            return self._store(checked, reply, ack_suffix, is_checked)
        finally:
            self._stream.store.end_group()

    def begin_group(self, messages: list[Checked]) -> None:
        """Have the log take these messages, and what follows from them, whole or not at all; the caller ends it with
        `store.end_group`. Raises `RequestRejected` if the log would not take one of them."""
        sizes = [_EXPIRY_BYTES + len(m.subject.encode()) + len(m.header) + len(m.payload) for m in messages]
        try:
            self._stream.store.begin_group(len(sizes), sum(sizes), max(sizes))
        except (StoreError, LimitExceeded):
            raise errors.INSUFFICIENT_RESOURCES.rejected() from None

    def _store(self, checked: Checked, reply: bytes, ack_suffix: str, is_checked: bool) -> int:
        stream, ingest = self._stream, self._stream.ingest
        subject = checked.subject.encode()
        if not is_checked:
            self.check_room(subject, checked.header, checked.payload)
        if checked.counter and not ack_suffix:
            ack_suffix = f',"val":"{checked.counter}"}}'
        plain_reply = b"" if ack_suffix else reply
        now = now_ns()
        if not ingest.is_wanted(subject):
            seq = ingest.skip_message(plain_reply)
            self._remember(checked, seq, now)
            self._roll_up(checked, subject, 0)
        else:
            if not is_checked:
                self.check_full(subject, checked.header, checked.payload)
            previous = ingest.store.subject_bounds(subject)[2] if stream.republish is not None else 0
            expires_ns = now + checked.ttl_s * SECOND if checked.ttl_s > 0 else 0
            if checked.ttl_s < 0:
                expires_ns = NEVER_EXPIRES_NS
            try:
                seq = ingest.store_message(subject, checked.header, checked.payload, plain_reply, now, expires_ns)
            except (StoreError, LimitExceeded):
                raise errors.INSUFFICIENT_RESOURCES.rejected() from None
            self._remember(checked, seq, now)
            if 0 < expires_ns < NEVER_EXPIRES_NS:
                stream.expiry.note(seq, expires_ns)
            self._roll_up(checked, subject, 1)
            if checked.schedule is not None:
                stream.schedules.note(checked.subject, seq, checked.schedule.due_ns)
            if stream.republish is not None:
                self._republish(checked, seq, previous, now)
        if ack_suffix and reply:
            self.acknowledge(reply, seq, ack_suffix)
        return seq

    def mirror(self, subject: str, header: bytes, payload: bytes, seq: int, ts_ns: int) -> None:
        """Store a message of the mirrored stream with its sequence and time; what lies between is skipped.

        Raises `RequestRejected` or `StoreError` if it cannot be stored now.
        """
        stream, config = self._stream, self._stream.config
        encoded = subject.encode()
        self.check_room(encoded, header, payload)
        self.check_full(encoded, header, payload)
        ttl_s = parse_ttl(headers.get_text(header, headers.TTL)) if header and config.allow_msg_ttl else 0
        expires_ns = NEVER_EXPIRES_NS if ttl_s < 0 else ts_ns + ttl_s * SECOND if ttl_s else 0
        rollup = headers.get_text(header, headers.ROLLUP) if header else ""
        if not header:
            self._mirror(encoded, header, payload, seq, ts_ns, expires_ns)
            return
        self.begin_group([Checked(subject, header, payload)])
        try:
            self._mirror(encoded, header, payload, seq, ts_ns, expires_ns)
            if rollup in ("sub", "all") and config.allow_rollup_hdrs and not config.deny_purge:
                stream.purge(subject if rollup == "sub" else "", keep=1)
        finally:
            stream.store.end_group()

    def _mirror(self, subject: bytes, header: bytes, payload: bytes, seq: int, ts_ns: int, expires_ns: int) -> None:
        stream, ingest = self._stream, self._stream.ingest
        if seq > ingest.store.last_seq + 1:
            ingest.store.skip_to(seq - 1)
        ingest.store_message(subject, header, payload, b"", ts_ns, expires_ns, seq)
        msg_id = headers.get_text(header, headers.MSG_ID) if header else ""
        if msg_id:
            stream.remember_id(msg_id, seq, ts_ns)
        if 0 < expires_ns < NEVER_EXPIRES_NS:
            stream.expiry.note(seq, expires_ns)

    def check_room(self, subject: bytes, header: bytes, payload: bytes, staged_bytes: int = 0) -> None:
        """Refuse when account or server are out of bytes, what a batch has staged included."""
        meter = self._stream.ingest.meter
        size = self._stream.store.stored_size(len(subject), len(header), len(payload))
        if meter is not None and not meter.fits(size + staged_bytes):
            raise self._refusal("resources")

    def check_full(self, subject: bytes, header: bytes, payload: bytes) -> None:
        """Refuse when discard new keeps the message out."""
        reason = self._stream.ingest.full_reason(subject, header, payload)
        if reason is not None:
            raise self._refusal(reason)

    def _refusal(self, reason: str) -> RequestRejected:
        if reason in _FULL_TEXTS:
            return errors.STREAM_STORE_FAILED.rejected(err=_FULL_TEXTS[reason])
        if reason == "size":
            return errors.STREAM_MESSAGE_EXCEEDS_MAXIMUM.rejected()
        if reason == "header":
            return errors.STREAM_HEADER_EXCEEDS_MAXIMUM.rejected()
        meter = self._stream.ingest.meter
        if reason == "resources" and meter is not None and (meter.parent is None or meter.parent.fits(1)):
            return errors.ACCOUNT_RESOURCES_EXCEEDED.rejected()
        return errors.INSUFFICIENT_RESOURCES.rejected()

    def _remember(self, checked: Checked, seq: int, now: int) -> None:
        self._stream.ingest.last_msg_id = checked.msg_id or None
        if checked.msg_id:
            self._stream.remember_id(checked.msg_id, seq, now)

    def _roll_up(self, checked: Checked, subject: bytes, keep: int) -> None:
        if checked.rollup == "sub":
            self._stream.purge(checked.subject, keep=keep)
        elif checked.rollup == "all":
            self._stream.purge("", keep=keep)
        if checked.purges_schedule:
            self._stream.purge(checked.purges_schedule)

    def _republish(self, checked: Checked, seq: int, previous_seq: int, ts_ns: int) -> None:
        stream = self._stream
        assert stream.republish is not None
        assert stream.config.republish is not None
        target = stream.republish.match(checked.subject)
        if target is None or not subjects.is_publishable(target):
            return
        lines = (
            f"Nats-Stream: {stream.name}\r\nNats-Subject: {checked.subject}\r\nNats-Sequence: {seq}\r\n"
            f"Nats-Time-Stamp: {format_time(ts_ns)}\r\nNats-Last-Sequence: {previous_seq}\r\n"
        )
        payload = checked.payload
        if stream.config.republish.headers_only:
            lines += f"Nats-Msg-Size: {len(payload)}\r\n"
            payload = b""
        head = checked.header[:-2] if checked.header else headers.LINE
        stream.account.publish(target.encode(), payload, b"", head + lines.encode() + b"\r\n")

    # -- answers ------------------------------------------------------------------------------------------------------

    def acknowledge(self, reply: bytes, seq: int, suffix: str) -> None:
        """An acknowledgement with more than the sequence, once everything stored so far is durable."""
        if reply and not self._stream.config.no_ack:
            self._stream.reply_when_durable(reply, self._stream.ack_prefix + f"{seq}{suffix}".encode())

    def refuse(self, reply: bytes, rejected: RequestRejected) -> None:
        """The error acknowledgement."""
        if reply and not self._stream.config.no_ack:
            self._stream.account.publish(reply, self.error_text(rejected))

    def error_text(self, rejected: RequestRejected) -> bytes:
        """The JSON of an error acknowledgement."""
        return encode(
            {
                "error": {
                    "code": rejected.code,
                    "err_code": rejected.err_code,
                    "description": rejected.description,
                },
                "stream": self._stream.name,
                "seq": 0,
            }
        )
