"""What the headers of a published message demand: expectations, deduplication, rollup, TTL, counters, schedules.

`check_publish` runs nats-server's checks in its order and returns the message as it is to be stored. It changes
nothing; refusals are `RequestRejected`, a duplicate is `DuplicateMessage`.
"""

from __future__ import annotations

from dataclasses import dataclass

from leafbox.dataplane.stream_ingest import now_ns
from leafbox.jetstream.counters import apply_increment, parse_increment
from leafbox.jetstream.publish_state import PublishState
from leafbox.protocol.errors import RequestRejected
from leafbox.protocol.jetstream import error_catalog as errors
from leafbox.protocol.jetstream import headers, subjects
from leafbox.protocol.jetstream.go_time import SECOND, go_quote
from leafbox.protocol.jetstream.message_ttl import parse_ttl
from leafbox.protocol.jetstream.schedule_pattern import InvalidSchedule, Schedule, next_due
from leafbox.protocol.jetstream.stream_config import StreamConfig

HEADER_BYTES_MAX = 65535


class DuplicateMessage(Exception):
    """The message id was seen in the window; `seq` is the first message's."""

    def __init__(self, seq: int) -> None:
        super().__init__(seq)
        self.seq = seq


@dataclass(slots=True)
class Checked:
    """A message that passed, as it will be stored."""

    subject: str
    header: bytes
    payload: bytes
    msg_id: str = ""
    rollup: str = ""
    ttl_s: int = 0
    counter: str = ""
    schedule: Schedule | None = None
    purges_schedule: str = ""


def check_publish(
    config: StreamConfig,
    state: PublishState,
    subject: str,
    header: bytes,
    payload: bytes,
    *,
    last_msg_id: str,
    max_payload_bytes: int,
    is_sourced: bool = False,
    is_mirror: bool = False,
) -> Checked:
    """Apply all rules to one message. `is_sourced`: it comes from another stream and was checked there."""
    message = Checked(subject, headers.remove(header, headers.REQUEST_INFO), payload)
    increment = None
    if 0 <= config.max_msg_size < len(message.header) + len(message.payload):
        raise errors.STREAM_MESSAGE_EXCEEDS_MAXIMUM.rejected()
    if message.header:
        increment = _check_increment(config, message, is_sourced)
        _check_expectations(config, state, message, is_sourced)
        if not is_sourced:
            _check_schedule(config, state, message)
            if headers.get(message.header, headers.STREAM_SOURCE):
                raise errors.MESSAGE_SOURCE_HDR_NOT_ALLOWED.rejected()
        _check_ids(state, message, last_msg_id, is_mirror)
        _check_rollup(config, message, is_sourced)
    if increment is None and config.allow_msg_counter:
        raise errors.MESSAGE_INCR_MISSING.rejected()
    if increment is not None and config.allow_msg_counter:
        _apply_counter(state, message, increment)
        if len(message.header) + len(message.payload) > max_payload_bytes:
            raise errors.STREAM_MESSAGE_EXCEEDS_MAXIMUM.rejected()
    if 0 <= config.max_msg_size < len(message.header) + len(message.payload):
        raise errors.STREAM_MESSAGE_EXCEEDS_MAXIMUM.rejected()
    if len(message.header) > HEADER_BYTES_MAX:
        raise errors.STREAM_HEADER_EXCEEDS_MAXIMUM.rejected()
    _settle_ttl(config, message, is_sourced)
    return message


def _check_increment(config: StreamConfig, message: Checked, is_sourced: bool) -> int | None:
    text = headers.get_text(message.header, headers.INCREMENT)
    if not text:
        return None
    increment = parse_increment(text)
    if increment is None:
        raise errors.MESSAGE_INCR_INVALID.rejected()
    if is_sourced:
        return increment
    if not config.allow_msg_counter:
        raise errors.MESSAGE_INCR_DISABLED.rejected()
    if message.payload:
        raise errors.MESSAGE_INCR_PAYLOAD.rejected()
    block = message.header
    if any(
        headers.get(block, name)
        for name in (
            headers.ROLLUP,
            headers.EXPECTED_STREAM,
            headers.EXPECTED_LAST_MSG_ID,
            headers.EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT,
        )
    ) or any(
        headers.get_expected(block, name) is not None
        for name in (headers.EXPECTED_LAST_SEQUENCE, headers.EXPECTED_LAST_SUBJECT_SEQUENCE)
    ):
        raise errors.MESSAGE_INCR_INVALID.rejected()
    return increment


def _check_expectations(config: StreamConfig, state: PublishState, message: Checked, is_sourced: bool) -> None:
    block = message.header
    expected_stream = headers.get_text(block, headers.EXPECTED_STREAM)
    if expected_stream and expected_stream != config.name:
        raise errors.STREAM_NOT_MATCH.rejected()
    if not is_sourced and not config.allow_msg_ttl and _ttl_or_none(block) not in (0, None):
        raise errors.MESSAGE_TTL_DISABLED.rejected()
    wanted = headers.get_expected(block, headers.EXPECTED_LAST_SUBJECT_SEQUENCE)
    other = headers.get_text(block, headers.EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT)
    if wanted is not None:
        subject = other or message.subject
        if state.staged_on(subject.encode()):
            # Within a batch the sequence is not known yet.
            raise errors.STREAM_WRONG_LAST_SEQUENCE_CONSTANT.rejected()
        last = state.last_seq_of(subject)
        if last != wanted:
            raise errors.STREAM_WRONG_LAST_SEQUENCE.rejected(seq=last)
    elif other:
        raise errors.STREAM_EXPECTED_LAST_SEQ_PER_SUBJECT_INVALID.rejected()
    wanted = headers.get_expected(block, headers.EXPECTED_LAST_SEQUENCE)
    if wanted is not None and wanted != state.last_seq:
        raise errors.STREAM_WRONG_LAST_SEQUENCE.rejected(seq=state.last_seq)
    if wanted is not None and state.staged_count:
        raise errors.STREAM_WRONG_LAST_SEQUENCE_CONSTANT.rejected()


def _ttl_or_none(block: bytes) -> int | None:
    try:
        return parse_ttl(headers.get_text(block, headers.TTL))
    except RequestRejected:
        return None


def _check_schedule(config: StreamConfig, state: PublishState, message: Checked) -> None:
    block = message.header
    zone = headers.get(block, headers.SCHEDULE_TIME_ZONE)
    try:
        zone_text = zone.decode("utf-8", "replace") if zone is not None else None
        schedule = next_due(headers.get_text(block, headers.SCHEDULE), zone_text, now_ns(), now_ns())
    except InvalidSchedule as error:
        if not config.allow_msg_schedules:
            raise errors.MESSAGE_SCHEDULES_DISABLED.rejected() from None
        if error.is_zone:
            raise errors.MESSAGE_SCHEDULES_TIME_ZONE_INVALID.rejected() from None
        raise errors.MESSAGE_SCHEDULES_PATTERN_INVALID.rejected() from None
    if schedule is not None:
        if not config.allow_msg_schedules:
            raise errors.MESSAGE_SCHEDULES_DISABLED.rejected()
        _check_schedule_options(config, message)
        message.schedule = schedule
    _check_scheduler(config, state, message)


def _check_schedule_options(config: StreamConfig, message: Checked) -> None:
    block = message.header
    ttl = headers.get_text(block, headers.SCHEDULE_TTL)
    try:
        parse_ttl(ttl)
    except RequestRejected:
        raise errors.MESSAGE_SCHEDULES_TTL_INVALID.rejected() from None
    if headers.get_text(block, headers.SCHEDULE_ROLLUP) not in ("", "sub"):
        raise errors.MESSAGE_SCHEDULES_ROLLUP_INVALID.rejected()
    if ttl and not config.allow_msg_ttl:
        raise errors.MESSAGE_TTL_DISABLED.rejected()
    target = headers.get_text(block, headers.SCHEDULE_TARGET)
    if not subjects.is_publishable(target) or target == message.subject:
        raise errors.MESSAGE_SCHEDULES_TARGET_INVALID.rejected()
    source = headers.get_text(block, headers.SCHEDULE_SOURCE)
    if source and (source in (target, message.subject) or not subjects.is_publishable(source)):
        raise errors.MESSAGE_SCHEDULES_SOURCE_INVALID.rejected()
    if not any(subjects.overlap(subject, target) for subject in config.subjects):
        raise errors.MESSAGE_SCHEDULES_TARGET_INVALID.rejected()
    if source and not any(subjects.overlap(subject, source) for subject in config.subjects):
        raise errors.MESSAGE_SCHEDULES_SOURCE_INVALID.rejected()
    rollup = headers.get_text(block, headers.ROLLUP)
    if not rollup:
        message.header = headers.add(block, headers.ROLLUP, b"sub")
    elif rollup != "sub":
        raise errors.MESSAGE_SCHEDULES_ROLLUP_INVALID.rejected()


def _check_scheduler(config: StreamConfig, state: PublishState, message: Checked) -> None:
    """Clients may name a scheduler only to purge its schedule."""
    block = message.header
    following = headers.get_text(block, headers.SCHEDULE_NEXT)
    scheduler = headers.get_text(block, headers.SCHEDULER)
    if not following:
        if scheduler:
            raise errors.MESSAGE_SCHEDULES_SCHEDULER_INVALID.rejected()
        return
    if following != "purge" or scheduler == message.subject or not subjects.is_publishable(scheduler):
        raise errors.MESSAGE_SCHEDULES_SCHEDULER_INVALID.rejected()
    if not config.allow_msg_schedules:
        raise errors.MESSAGE_SCHEDULES_DISABLED.rejected()
    last = state.last_message_of(scheduler)
    if last is not None and not headers.get(last[0], headers.SCHEDULE):
        raise errors.MESSAGE_SCHEDULES_SCHEDULER_INVALID.rejected()
    message.purges_schedule = scheduler


def _check_ids(state: PublishState, message: Checked, last_msg_id: str, is_mirror: bool) -> None:
    message.msg_id = headers.get_text(message.header, headers.MSG_ID)
    if message.msg_id and not is_mirror:
        seq = state.find_id(message.msg_id, now_ns())
        if seq:
            raise DuplicateMessage(seq)
    expected = headers.get_text(message.header, headers.EXPECTED_LAST_MSG_ID)
    if expected and expected != last_msg_id:
        raise errors.STREAM_WRONG_LAST_MSG_ID.rejected(id=last_msg_id)


def _check_rollup(config: StreamConfig, message: Checked, is_sourced: bool) -> None:
    rollup = headers.get_text(message.header, headers.ROLLUP)
    if not rollup:
        return
    if not is_sourced and (not config.allow_rollup_hdrs or config.deny_purge):
        raise errors.STREAM_ROLLUP_FAILED.rejected(err="rollup not permitted")
    if rollup not in ("sub", "all"):
        raise errors.STREAM_ROLLUP_FAILED.rejected(err=f"rollup value invalid: {go_quote(rollup)}")
    if config.allow_rollup_hdrs and not config.deny_purge:
        message.rollup = rollup


def _apply_counter(state: PublishState, message: Checked, increment: int) -> None:
    counter = apply_increment(state.last_message_of(message.subject), message.header, message.payload, increment)
    message.header, message.payload, message.counter = counter.header, counter.payload, counter.value


def _settle_ttl(config: StreamConfig, message: Checked, is_sourced: bool) -> None:
    """Read the TTL; one below the delete marker's is raised to it, in the stored header, too (ADR-43)."""
    if not message.header or not config.allow_msg_ttl:
        if message.header and not is_sourced:
            parse_ttl(headers.get_text(message.header, headers.TTL))
        return
    message.ttl_s = parse_ttl(headers.get_text(message.header, headers.TTL))
    minimum_s = config.subject_delete_marker_ttl // SECOND
    if 0 < message.ttl_s < minimum_s and config.max_msgs_per_subject != 1:
        message.ttl_s = minimum_s
        block = headers.remove(message.header, headers.TTL)
        message.header = headers.add(block, headers.TTL, str(minimum_s).encode())
