"""Consumer: the policy half of a view on a stream; the compiled half delivers and takes acknowledgements.

Owns what happens once per request, timer or refusal: pull requests and their status messages, heartbeats, pauses,
priority groups, flow control, advisories, inactivity, durable progress and configuration changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from leafbox.dataplane.routing import Subscription
from leafbox.dataplane.stream_ingest import now_ns
from leafbox.jetstream.alarm import Alarm
from leafbox.jetstream.consumer_pull import PullConsumer
from leafbox.jetstream.names import nuid, short_hash
from leafbox.jetstream.ports import ValueKind
from leafbox.protocol.jetstream import error_catalog as errors
from leafbox.protocol.jetstream import headers
from leafbox.protocol.jetstream.consumer_config import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    PriorityPolicy,
    ReplayPolicy,
)
from leafbox.protocol.jetstream.consumer_rules import sample_percent
from leafbox.protocol.jetstream.go_time import SECOND, ZERO_TIME, format_time
from leafbox.protocol.jetstream.info import ConsumerInfo, PriorityGroupState, SequenceInfo

if TYPE_CHECKING:
    from leafbox.jetstream.stream import Stream

FLOW_WINDOW_MAX = 32 * 1024 * 1024
FLOW_WINDOW_FIRST = FLOW_WINDOW_MAX // 16
_MILLISECOND = SECOND // 1000

_ACK_NUMBERS = {AckPolicy.NONE: 0, AckPolicy.ALL: 1, AckPolicy.EXPLICIT: 2, AckPolicy.FLOW_CONTROL: 3}
_PRIORITY_NUMBERS = {
    PriorityPolicy.NONE: 0,
    PriorityPolicy.OVERFLOW: 1,
    PriorityPolicy.PINNED_CLIENT: 2,
    PriorityPolicy.PRIORITIZED: 3,
}


class Consumer(PullConsumer):
    """One consumer. Made and ended by its stream; belongs to the loop."""

    def __init__(self, stream: Stream, config: ConsumerConfig, name: str, created_ns: int) -> None:
        store = stream.store
        wanted = store.filter(*(subject.encode() for subject in config.filters)) if config.filters else None
        super().__init__(
            stream.ingest,
            f"$JS.ACK.{stream.name}.{name}.".encode(),
            wanted,
            0 if config.is_push else config.max_waiting,
            config.priority_policy is PriorityPolicy.PRIORITIZED,
        )
        self.stream = stream
        self.config = config
        self.name = name
        self.created_ns = created_ns
        self.pinned_ns = 0
        self.pin_expires_ns = 0
        self.last_used_ns = now_ns()
        self.asked_again: tuple[int, int] | None = None
        """A stream elsewhere that fetches from here asked from the first sequence on although it had acknowledged
        everything up to the second: what is between is gone from here."""
        self._next_heartbeat_ns = 0
        self.alarm = Alarm(stream.context.loop, self.on_alarm)
        self._subscriptions: list[Subscription] = []
        self.is_persistent = not config.direct
        self.is_in_memory = stream.is_memory or config.mem_storage
        self._asked_by = f"{stream.name}.{name}".encode()
        self._apply(config)

    @property
    def is_durable(self) -> bool:
        """It has a durable name."""
        return bool(self.config.durable_name)

    @property
    def inactive_threshold_ns(self) -> int:
        """After this long without use it is removed; 0: never."""
        return self.config.inactive_threshold

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Answer acknowledgements and requests, deliver what is due."""
        self.stream.owner.note_progress(self)
        if not self.config.is_push:
            self.stream.owner.api.consumers[self._asked_by] = self
        account, stream_name = self.stream.account, self.stream.name
        domain, hashed = self.stream.context.domain or "_", short_hash(account.name)
        # Who acknowledges where nothing is to be acknowledged hears that nobody listens (as in nats-server).
        acknowledgements = (
            f"$JS.ACK.{stream_name}.{self.name}.*.*.*.*.*",
            f"$JS.ACK.{domain}.{hashed}.{stream_name}.{self.name}.*.*.*.*.>",
        )
        for subject in acknowledgements if self.config.ack_policy is not AckPolicy.NONE else ():
            subscription = Subscription(account, self, subject.encode())
            account.add(subscription)
            self._subscriptions.append(subscription)
        if self.config.is_push:
            for subject in (
                f"$JS.FC.{stream_name}.{self.name}.*",
                f"$JS.FC.{domain}.{hashed}.{stream_name}.{self.name}.*",
            ):
                self._subscriptions.append(account.subscribe(subject.encode(), self._flow_control_answer))
            self.stream.owner.watch_delivery(self)
            self.update_interest()
            if self.config.idle_heartbeat:
                self._next_heartbeat_ns = now_ns() + self.config.idle_heartbeat
        self._rearm()
        self.wake()

    def close_down(self) -> None:
        """Stop delivering; durable progress stays."""
        self.close()
        self.alarm.cancel()
        self.stream.owner.unwatch_delivery(self)
        asked = self.stream.owner.api.consumers
        if asked.get(self._asked_by) is self:
            del asked[self._asked_by]
        for subscription in self._subscriptions:
            self.stream.account.remove(subscription)
        self._subscriptions.clear()

    def retire(self) -> None:
        """Closed for as long as the account has no JetStream."""
        if not self.config.direct and not self.is_in_memory:
            self.flush()
            self.save_progress()
        self.stream.owner.forget_progress(self)

    def tell_waiting_of_shutdown(self) -> None:
        """The server stops: requests that wait end with a status message while connections can still take it."""
        for request in self.waiting.clear() if self.waiting is not None else ():
            self.on_shutdown(request)

    def delete(self) -> None:
        """Stop and forget; waiting requests are told."""
        for request in self.waiting.clear() if self.waiting is not None else ():
            self.status(request.reply, headers.status(409, "Consumer Deleted"))
        self.close_down()
        if not self.config.direct:
            storage = self.stream.context.storage
            self.stream.owner.forget_progress(self)
            if not self.is_in_memory:
                storage.delete(ValueKind.PROGRESS, self.key)
                storage.delete(ValueKind.CONSUMER, self.key)
        self.stream.advisories.consumer_action(self.stream.name, self.name, "delete")

    # -- configuration ------------------------------------------------------------------------------------------------

    def _apply(self, config: ConsumerConfig) -> None:
        self.config = config
        self.ack_policy = _ACK_NUMBERS[config.ack_policy]
        self.ack_wait_ns = config.ack_wait if config.ack_policy is not AckPolicy.NONE else 0
        self.backoff_ns = config.backoff
        self.max_deliver = config.max_deliver
        self.max_ack_pending = config.max_ack_pending if config.ack_policy is not AckPolicy.NONE else 0
        self.sample_percent = sample_percent(config.sample_freq)
        self.headers_only = config.headers_only
        self.priority_policy = _PRIORITY_NUMBERS[config.priority_policy]
        self.deliver_subject = config.deliver_subject.encode() if config.is_push else None
        self.deliver_group = config.deliver_group.encode() if config.deliver_group else None
        self.bytes_per_second = config.rate_limit_bps // 8
        burst = self.stream.config.max_msg_size
        self.burst_bytes = burst if burst > 0 else self.stream.context.max_payload_bytes
        self.request_batch_max = config.max_batch
        self.request_bytes_max = config.max_bytes
        self.request_wait_max_ns = config.max_expires
        self.is_paused = config.pause_until is not None and config.pause_until > now_ns()
        if config.flow_control and not self.window_bytes:
            self.window_bytes, self.window_max_bytes = FLOW_WINDOW_FIRST, FLOW_WINDOW_MAX

    def update(self, config: ConsumerConfig) -> None:
        """Change to a configuration that `refuse_update` let pass."""
        old = self.config
        moved = old.deliver_subject != config.deliver_subject
        self._apply(config)
        if moved:
            self.expire_all()
            self.update_interest()
        if old.filters != config.filters:
            store = self.stream.store
            self.set_filter(store.filter(*(subject.encode() for subject in config.filters)) if config.filters else None)
            self.stream.index_interest()
            self.stream.drop_unwanted()
        if old.ack_wait != config.ack_wait and self.expiry_ns:
            self.expiry_ns = now_ns() + 100 * _MILLISECOND
        self.save()
        self._rearm()
        self.wake()

    def set_pause(self, until_ns: int) -> None:
        """Pause until a time (`ZERO_TIME` or past: resume) and say so."""
        pause_until = until_ns if until_ns != ZERO_TIME else None
        self._apply(msgspec.structs.replace(self.config, pause_until=pause_until))
        self.save()
        self._pause_advisory()
        self._rearm()
        self.wake()

    def _pause_advisory(self) -> None:
        until = self.config.pause_until
        fields: dict[str, object] = {"paused": self.is_paused}
        fields["pause_until"] = format_time(until if until is not None else ZERO_TIME)
        self.stream.advisories.consumer_event(
            "PAUSE",
            "consumer_pause",
            self.stream.name,
            self.name,
            fields,  # type: ignore[arg-type]
        )

    # -- where to start -----------------------------------------------------------------------------------------------

    def select_start(self) -> None:
        """Set the first sequence to deliver, by the deliver policy."""
        store, config = self.stream.store, self.config
        policy = config.deliver_policy
        first, last = store.first_seq, store.last_seq
        if policy is DeliverPolicy.LAST_PER_SUBJECT and self.stream.config.max_msgs_per_subject != 1:
            self.start_with(store.last_sequences(self.filter), last)
        elif policy is DeliverPolicy.LAST:
            self.start_at(self._clamped(store.previous_sequence(last, self.filter) if last else 0))
        elif policy is DeliverPolicy.NEW:
            self.start_at(last + 1)
        elif policy is DeliverPolicy.BY_START_SEQUENCE:
            self.start_at(max(config.opt_start_seq, first))
        elif policy is DeliverPolicy.BY_START_TIME:
            assert config.opt_start_time is not None
            self.start_at(self._clamped(store.sequence_at(config.opt_start_time)))
        else:
            self.start_at(max(first, 1))
        if config.replay_policy is ReplayPolicy.ORIGINAL:
            self.replays, self.replay_to = True, last

    def _clamped(self, seq: int) -> int:
        store = self.stream.store
        return min(max(seq, store.first_seq, 1), store.last_seq + 1)

    def reset(self, seq: int) -> int:
        """Start over at a sequence, or at the ack floor (0); returns where. Raises 10204 if that is not allowed."""
        config, store = self.config, self.stream.store
        if seq == 0:
            seq = self.floor_stream_seq + 1
        elif config.deliver_policy is DeliverPolicy.BY_START_SEQUENCE:
            if seq < config.opt_start_seq:
                raise errors.CONSUMER_INVALID_RESET.rejected(err="below start seq")
        elif config.deliver_policy is DeliverPolicy.BY_START_TIME:
            assert config.opt_start_time is not None
            if seq < store.sequence_at(config.opt_start_time):
                raise errors.CONSUMER_INVALID_RESET.rejected(err="below start time")
        elif config.deliver_policy is not DeliverPolicy.ALL:
            raise errors.CONSUMER_INVALID_RESET.rejected(err="not allowed")
        self.start_at(seq)
        if not self.is_in_memory and not config.direct:
            self.save_progress()
        self.stream.drop_unwanted()
        return max(seq, 1)

    # -- push ---------------------------------------------------------------------------------------------------------

    def interest_changed(self) -> None:
        """Somebody came to or left the deliver subject."""
        if self.update_interest():
            self.last_used_ns = now_ns()
            self._rearm()

    def on_flow_control(self) -> None:
        """Ask the client to answer before more than the window is on its way."""
        if self.deliver_subject is None:
            return
        subject = f"$JS.FC.{self.stream.name}.{self.name}.{nuid()[:4]}".encode()
        self.flow_subject, self.answered_bytes = subject, self.unanswered_bytes
        self.stream.account.publish(self.deliver_subject, b"", subject, headers.status(100, "FlowControl Request"))

    def _flow_control_answer(
        self, subject: bytes, _reply: bytes, header: bytes, _payload: bytes, _origin: object
    ) -> None:
        if subject != self.flow_subject:
            return
        self.flow_answered()
        if self.config.ack_policy is AckPolicy.FLOW_CONTROL and header:
            stream_seq = headers.get_number(header, headers.LAST_STREAM)
            if stream_seq:
                self.acknowledge_up_to(stream_seq, headers.get_number(header, headers.LAST_CONSUMER) or 0)

    # -- time ---------------------------------------------------------------------------------------------------------

    def on_request_timer(self, when_ns: int) -> None:
        """A request ends then."""
        self.alarm.set(when_ns)

    def on_deadline_moved(self) -> None:
        """The next redelivery, or the end of a rate limit, came nearer."""
        self.alarm.set(self.expiry_ns)
        self.alarm.set(self.resume_ns)

    def follow_clock(self, step_ns: int) -> None:
        """The wall clock was set: waits go on, a pause still ends at the time it was given."""
        super().follow_clock(step_ns)
        self.last_used_ns += step_ns
        if self.pin_id:
            self.pinned_ns += step_ns
            self.pin_expires_ns += step_ns
        if self._next_heartbeat_ns:
            self._next_heartbeat_ns += step_ns
        self.alarm.follow_clock(step_ns)
        self._rearm()

    def on_alarm(self, now: int) -> None:
        """Do everything that is due."""
        if self.is_closed:
            return
        until = self.config.pause_until
        if self.is_paused and until is not None and until <= now:
            self.is_paused = False
            self._pause_advisory()
            self.wake()
        if self.expiry_ns and self.expiry_ns <= now:
            self.check_expired(now)
        if self.resume_ns and self.resume_ns <= now:
            self.wake()
        if self.pin_id and self.pin_expires_ns <= now:
            self.unpin(self.config.priority_groups[0], "timeout")
        self.sweep_requests(now, ends_no_wait=True)
        self._push_heartbeat(now)
        if self._is_abandoned(now):
            self.stream.delete_consumer(self.name)
            return
        self._rearm()

    def _push_heartbeat(self, now: int) -> None:
        interval = self.config.idle_heartbeat
        if not interval or self.deliver_subject is None:
            return
        due = max(self._next_heartbeat_ns, self.last_sent_ns + interval)
        if due <= now:
            if self.has_interest:
                self.heartbeat(self.deliver_subject)
                if self.config.ack_policy is AckPolicy.FLOW_CONTROL and self.pending.count and not self.flow_subject:
                    self.on_flow_control()
            due = now + interval
        self._next_heartbeat_ns = due

    def _is_abandoned(self, now: int) -> bool:
        threshold = self.inactive_threshold_ns
        if not threshold:
            return False
        if self.waiting is None:
            if self.has_interest:
                self.last_used_ns = now
        elif self.waiting.count:
            self.last_used_ns = now
        return max(self.last_used_ns, self.last_active_ns, self.last_sent_ns) + threshold <= now

    def _rearm(self) -> None:
        alarm = self.alarm
        alarm.set(self.expiry_ns)
        alarm.set(self.resume_ns)
        if self.is_paused and self.config.pause_until is not None:
            alarm.set(self.config.pause_until)
        if self.pin_id:
            alarm.set(self.pin_expires_ns)
        if self._next_heartbeat_ns and self.has_interest:
            alarm.set(self._next_heartbeat_ns)
        if self.inactive_threshold_ns:
            last = max(self.last_used_ns, self.last_active_ns, self.last_sent_ns)
            alarm.set(max(last, now_ns() - self.inactive_threshold_ns + _MILLISECOND) + self.inactive_threshold_ns)
        for request in self.waiting or ():
            alarm.set(request.expires_ns)
            alarm.set(request.next_heartbeat_ns)

    # -- snapshots ----------------------------------------------------------------------------------------------------

    def info(self) -> ConsumerInfo:
        """An immutable snapshot of configuration and progress."""
        now, until = now_ns(), self.config.pause_until
        self.sweep_requests(now)
        groups: tuple[PriorityGroupState, ...] = ()
        if self.config.priority_groups:
            state = PriorityGroupState(
                group=self.config.priority_groups[0],
                pinned_client_id=self.pin_id,
                pinned_ts=self.pinned_ns or ZERO_TIME,
            )
            groups = (state,)
        is_paused = until is not None and until > now
        return ConsumerInfo(
            stream_name=self.stream.name,
            name=self.name,
            created=self.created_ns,
            config=self.stream.owner.with_dynamic_metadata(self.config),
            delivered=SequenceInfo(
                consumer_seq=self.next_consumer_seq - 1,
                stream_seq=self.delivered_stream_seq,
                last_active=self.last_delivered_ns or None,
            ),
            ack_floor=SequenceInfo(
                consumer_seq=self.floor_consumer_seq,
                stream_seq=self.floor_stream_seq,
                last_active=self.last_acked_ns or None,
            ),
            num_ack_pending=self.pending.count,
            num_redelivered=0 if self.config.max_deliver == 1 else len(self.redelivered),
            num_waiting=self.waiting.count if self.waiting is not None else 0,
            num_pending=self.num_pending(),
            push_bound=self.config.is_push and self.has_interest,
            paused=is_paused,
            pause_remaining=until - now if is_paused and until is not None else 0,
            ts=now,
            priority_groups=groups,
        )
