"""Scheduled messages of one stream (ADR-51): stored on their own subject, published to their target when due."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leafbox.dataplane.stream_ingest import now_ns
from leafbox.jetstream.alarm import Alarm
from leafbox.jetstream.publish_rules import Checked
from leafbox.protocol.errors import RequestRejected
from leafbox.protocol.jetstream import headers
from leafbox.protocol.jetstream.go_time import SECOND, format_time
from leafbox.protocol.jetstream.schedule_pattern import InvalidSchedule, Schedule, next_due

if TYPE_CHECKING:
    from leafbox.dataplane.stream_store import StoredMessage
    from leafbox.jetstream.stream import Stream

# nats-server fires no more often than this.
_INTERVAL_NS = SECOND // 4
# A message that a limit or the flash keeps out now is tried again; its schedule stays stored until it is in.
_RETRY_NS = SECOND


class Schedules:
    """One schedule per subject: sequence of the stored message and when it is due."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._alarm = Alarm(stream.context.loop, self.run)
        self._due: dict[str, tuple[int, int]] = {}

    def start(self) -> None:
        """After a restart: find the stored schedules. Those that were missed fire once."""
        store, seq = self._stream.store, 0
        if not self._stream.config.allow_msg_schedules:
            return
        while seq := store.next_with_header(seq):
            message = store.message(seq)
            seq += 1
            if message is None:
                continue  # Its block is damaged, which the store reports.
            schedule = _schedule_of(message, message.ts_ns, message.ts_ns)
            if schedule is not None:
                self.note(message.subject.decode(), message.seq, schedule.due_ns)

    def stop(self) -> None:
        """Fire nothing more."""
        self._alarm.cancel()

    def clock_was_set(self) -> None:
        """Schedules go by the wall clock: fire what is due now."""
        self._alarm.cancel()
        self.run(now_ns())

    def note(self, subject: str, seq: int, due_ns: int) -> None:
        """A schedule was stored; it replaces an earlier one on its subject."""
        self._due[subject] = (due_ns, seq)
        self._alarm.set(max(due_ns, now_ns() + _INTERVAL_NS))

    def run(self, now: int) -> None:
        """Fire what is due, in the order of the stored schedules."""
        if self._stream.is_closed:
            return
        due = sorted((seq, subject, when) for subject, (when, seq) in self._due.items() if when <= now)
        for seq, subject, when in due:
            self._fire(subject, seq, when, now)
        if self._due:
            self._alarm.set(max(min(when for when, _ in self._due.values()), now + _INTERVAL_NS))

    def _fire(self, subject: str, seq: int, when: int, now: int) -> None:
        store = self._stream.store
        message = store.message(seq)
        schedule = None if message is None else _schedule_of(message, when, now)
        if message is None or schedule is None:
            del self._due[subject]
            return
        target = headers.get_text(message.header, headers.SCHEDULE_TARGET)
        block = self._fired_header(message, subject, schedule)
        content = message
        source = headers.get_text(message.header, headers.SCHEDULE_SOURCE)
        if source:
            content = store.last_message(source.encode()) or message
            block = self._fired_header(message, subject, schedule, content)
        if schedule.repeats:
            self._due[subject] = (schedule.due_ns, seq)
            self._stream.publisher.publish(target, b"", block, content.payload, is_sourced=True)
        elif self._fire_last(subject, Checked(target, block, content.payload)):
            del self._due[subject]
        else:
            self._due[subject] = (now + _RETRY_NS, seq)

    def _fire_last(self, subject: str, fired: Checked) -> bool:
        """Store the message and remove its schedule, both or neither; False while it cannot be stored."""
        publisher = self._stream.publisher
        try:
            publisher.begin_group([fired])
        except RequestRejected:
            return False
        try:
            if not publisher.publish(fired.subject, b"", fired.header, fired.payload, is_sourced=True):
                return False
            self._stream.purge(subject)
            return True
        finally:
            self._stream.store.end_group()

    def _fired_header(
        self, message: StoredMessage, subject: str, schedule: Schedule, content: StoredMessage | None = None
    ) -> bytes:
        block = (content or message).header
        for prefix in (b"Nats-Schedule", b"Nats-Expected-"):
            block = headers.remove_prefix(block, prefix)
        for name in (headers.MSG_ID, headers.TTL, headers.ROLLUP):
            block = headers.remove(block, name)
        block = headers.add(block, headers.SCHEDULER, subject.encode())
        following = format_time(schedule.due_ns).encode() if schedule.repeats else b"purge"
        block = headers.add(block, headers.SCHEDULE_NEXT, following)
        for option, name in ((headers.SCHEDULE_TTL, headers.TTL), (headers.SCHEDULE_ROLLUP, headers.ROLLUP)):
            value = headers.get(message.header, option)
            if value:
                block = headers.add(block, name, value)
        return block


def _schedule_of(message: StoredMessage, after_ns: int, now: int) -> Schedule | None:
    pattern = headers.get_text(message.header, headers.SCHEDULE)
    if not pattern:
        return None
    zone = headers.get(message.header, headers.SCHEDULE_TIME_ZONE)
    try:
        return next_due(pattern, zone.decode() if zone is not None else None, after_ns, now)
    except InvalidSchedule:
        return None
