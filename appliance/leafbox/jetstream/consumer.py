"""Consumer: the policy half of a view on a stream; the compiled half delivers and takes acknowledgements.

Owns what happens once per request, timer or refusal: pull requests and their status messages, heartbeats, pauses,
priority groups, flow control, advisories, inactivity, durable progress and configuration changes.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from leafbox.dataplane.consumer_delivery import ConsumerDelivery
from leafbox.dataplane.consumer_requests import PullRequest
from leafbox.dataplane.routing import Subscription
from leafbox.dataplane.stream_ingest import now_ns
from leafbox.jetstream.alarm import Alarm
from leafbox.jetstream.definitions import StoredConsumer, value_key
from leafbox.jetstream.names import nuid, short_hash
from leafbox.jetstream.ports import ValueKind
from leafbox.jetstream.pull_requests import BadPullRequest, parse_pull_request
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
from leafbox.protocol.jetstream.go_json import encode
from leafbox.protocol.jetstream.go_time import SECOND, ZERO_TIME, format_duration, format_time, parse_duration
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


class Consumer(ConsumerDelivery):
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
        self._pin_expires_ns = 0
        self._last_used_ns = now_ns()
        self._next_heartbeat_ns = 0
        self._alarm = Alarm(stream.context.loop, self.on_alarm)
        self._subscriptions: list[Subscription] = []
        self.is_persistent = not config.direct
        self.is_in_memory = stream.is_memory or config.mem_storage
        self._apply(config)

    @property
    def key(self) -> bytes:
        """Key of the consumer's durable values."""
        return value_key(self.stream.account.name, self.stream.name, self.name)

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
        account, stream_name = self.stream.account, self.stream.name
        domain, hashed = self.stream.context.domain or "_", short_hash(account.name)
        for subject in (
            f"$JS.ACK.{stream_name}.{self.name}.*.*.*.*.*",
            f"$JS.ACK.{domain}.{hashed}.{stream_name}.{self.name}.*.*.*.*.>",
        ):
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
        self._alarm.cancel()
        self.stream.owner.unwatch_delivery(self)
        for subscription in self._subscriptions:
            self.stream.account.remove(subscription)
        self._subscriptions.clear()

    def delete(self) -> None:
        """Stop and forget; waiting requests are told."""
        for request in self.waiting.clear() if self.waiting is not None else ():
            self._status(request.reply, headers.status(409, "Consumer Deleted"))
        self.close_down()
        if not self.config.direct:
            storage = self.stream.context.storage
            self.stream.owner.forget_progress(self)
            if not self.is_in_memory:
                storage.delete(ValueKind.PROGRESS, self.key)
                storage.delete(ValueKind.CONSUMER, self.key)
            self.stream.advisories.consumer_action(self.stream.name, self.name, "delete")

    def save(self) -> int:
        """Make definition and progress durable; returns the log sequence number, 0 if it lives in memory."""
        if self.is_in_memory or self.config.direct:
            return 0
        definition = StoredConsumer(
            account=self.stream.account.name,
            stream=self.stream.name,
            config=self.config,
            name=self.name,
            created=self.created_ns,
        )
        self.stream.context.storage.put(ValueKind.CONSUMER, self.key, encode(definition))
        return self._save_progress()

    def _save_progress(self) -> int:
        return self.stream.context.storage.put(ValueKind.PROGRESS, self.key, self.snapshot(True))

    def checkpointed(self) -> bytes | None:
        """The progress as one value, for the storage's checkpoint; steps of this turn are logged first."""
        self.flush()
        return self.snapshot(False)

    def write_progress(self, steps: bytes, is_urgent: bool) -> int:
        """Log the steps of this turn."""
        if self.is_in_memory:
            return 0
        return self.stream.context.storage.extend(ValueKind.PROGRESS, self.key, steps, is_urgent)

    def answer_acks(self, lsn: int, replies: list[bytes]) -> None:
        """Empty answers once the acknowledgements are durable."""
        self.stream.context.gate.when_durable(lsn, partial(self._answer_all, replies))

    def _answer_all(self, replies: list[bytes]) -> None:
        for reply in replies:
            self.stream.account.publish(reply, b"")

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
            self._save_progress()
        self.stream.drop_unwanted()
        return max(seq, 1)

    # -- pull requests ------------------------------------------------------------------------------------------------

    def request(self, reply: bytes, header: bytes, body: bytes) -> None:
        """A pull request; refusals are status messages to `reply`."""
        if not reply:
            return
        if headers.requires_higher_level(header, 5):
            self._status(reply, headers.status(412, "Required Api Level"))
            return
        waiting, now = self.waiting, now_ns()
        if waiting is None:
            self._status(reply, headers.status(409, "Consumer is push based"))
            return
        self._last_used_ns = now
        try:
            request = parse_pull_request(reply, body, now)
        except BadPullRequest as error:
            self._status(reply, headers.status(400, f"Bad Request - {error}"))
            return
        refusal = self._refusal(request, now)
        if refusal is not None:
            self._status(reply, refusal)
            return
        if waiting.is_full:
            self.sweep_requests(now)
        if request.no_wait and self._nothing_for(request):
            return
        if not waiting.add(request):
            if not request.heartbeat_ns:
                self._status(reply, headers.status(409, "Exceeded MaxWaiting"))
            return
        if request.no_wait:
            self.watches_drain = True
        self._alarm.set(request.expires_ns)
        self._alarm.set(request.next_heartbeat_ns)
        self.wake()

    def _refusal(self, request: PullRequest, now: int) -> bytes | None:
        config = self.config
        if 0 < config.max_batch < request.batch:
            return headers.status(409, f"Exceeded MaxRequestBatch of {config.max_batch}")
        if request.expires_ns and 0 < config.max_expires < request.expires_ns - now:
            return headers.status(409, f"Exceeded MaxRequestExpires of {format_duration(config.max_expires)}")
        if 0 < config.max_bytes < request.bytes_left:
            return headers.status(409, f"Exceeded MaxRequestMaxBytes of {config.max_bytes}")
        if not request.has_group:
            return None
        policy, bad = config.priority_policy, "Bad Request - "
        if (request.min_pending or request.min_ack_pending) and policy is not PriorityPolicy.OVERFLOW:
            return headers.status(400, bad + "Not a Overflow Priority consumer")
        if request.pin_id and policy is not PriorityPolicy.PINNED_CLIENT:
            return headers.status(400, bad + "Not a Pinned Client Priority consumer")
        if not 0 <= request.priority <= 9:
            return headers.status(400, bad + "Priority must be between 0 and 9")
        if policy is PriorityPolicy.NONE:
            return None
        if not request.group:
            return headers.status(400, bad + "Priority Group missing")
        if request.group not in config.priority_groups:
            return headers.status(400, bad + "Invalid Priority Group")
        if self.pin_id and request.pin_id:
            if request.pin_id != self.pin_id:
                return headers.status(423, "Nats-Pin-Id mismatch")
            self._pin_expires_ns = now + config.priority_timeout
        return None

    def _nothing_for(self, request: PullRequest) -> bool:
        """Answer a no_wait request at once when there is nothing, or others will take it all."""
        assert self.waiting is not None
        available = self.num_pending() + self.queued_redeliveries()
        if available == 0 and not request.expires_ns:
            self._status(request.reply, headers.status(404, "No Messages"))
            return True
        if available > 0 and available < sum(other.batch for other in self.waiting):
            self._status(request.reply, headers.status(408, "Requests Pending"))
            return True
        return False

    def queued_redeliveries(self) -> int:
        """Messages that wait to be delivered again."""
        return self.redelivery_count

    def sweep_requests(self, now: int) -> None:
        """Expire requests, drop those nobody listens to, send their heartbeats."""
        if self.waiting is None:
            return
        for request in self.waiting:
            if request.expires_ns and request.expires_ns <= now:
                self.waiting.remove(request)
                self.on_expired(request)
            elif not self.has_listener(request.reply):
                self.waiting.remove(request)
            elif request.next_heartbeat_ns and request.next_heartbeat_ns <= now:
                request.next_heartbeat_ns = now + request.heartbeat_ns
                self._heartbeat(request.reply)

    def on_drained(self, is_stalled: bool) -> None:
        """Nothing more for now: no_wait requests that got something, or never meant to wait, are done."""
        assert self.waiting is not None
        left = False
        for request in self.waiting:
            if not request.no_wait:
                continue
            if not is_stalled and (not request.expires_ns or request.delivered):
                self.waiting.remove(request)
                self._status(request.reply, headers.status(404, "No Messages"))
            else:
                left = True
        self.watches_drain = left

    def on_expired(self, request: PullRequest) -> None:
        """408 with what is left of the request."""
        self._status(request.reply, _with_rest(408, "Request Timeout", request))

    def on_too_large(self, request: PullRequest) -> None:
        """409: the next message is larger than the request allows."""
        self._status(request.reply, _with_rest(409, "Message Size Exceeds MaxBytes", request))

    def on_batch_completed(self, request: PullRequest) -> None:
        """409: all messages came, bytes are left."""
        self._status(request.reply, _with_rest(409, "Batch Completed", request))

    def on_next_request(self, reply: bytes, request: bytes) -> None:
        """`+NXT` with an acknowledgement."""
        self.request(reply, b"", request)

    # -- priority groups ----------------------------------------------------------------------------------------------

    def on_priority(self, request: PullRequest) -> bool | None:
        """Serve (True), pass over (None) or drop (False) the request at the head."""
        policy = self.config.priority_policy
        if policy is PriorityPolicy.OVERFLOW and (request.min_pending or request.min_ack_pending):
            pending = self.num_pending() + 1
            if 0 < request.min_pending <= pending or 0 < request.min_ack_pending <= self.pending.count:
                return True
            return None
        if policy is not PriorityPolicy.PINNED_CLIENT:
            return True
        if request.pin_id == self.pin_id and self.pin_id:
            return True
        if request.pin_id:
            self._status(request.reply, _with_rest(423, "Nats-Wrong-Pin-Id", request))
            return False
        if self.pin_id:
            return None
        if request.group:
            self._pin(request)
        return True

    def _pin(self, request: PullRequest) -> None:
        self.pin_id = request.pin_id = nuid()
        self.pinned_ns = now_ns()
        self._pin_expires_ns = self.pinned_ns + self.config.priority_timeout
        self._alarm.set(self._pin_expires_ns)
        self.stream.advisories.group_event(
            "PINNED", self.stream.name, self.name, {"group": request.group, "pinned_id": self.pin_id}
        )

    def unpin(self, group: str, reason: str) -> None:
        """Take the pin; `reason` is `admin` or `timeout`."""
        self.pin_id = ""
        self.pinned_ns = self._pin_expires_ns = 0
        self.stream.advisories.group_event("UNPINNED", self.stream.name, self.name, {"group": group, "reason": reason})
        self.wake()

    # -- push ---------------------------------------------------------------------------------------------------------

    def interest_changed(self) -> None:
        """Somebody came to or left the deliver subject."""
        if self.update_interest():
            self._last_used_ns = now_ns()
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

    def _heartbeat(self, target: bytes) -> None:
        extra = {}
        if self.flow_subject is not None:
            extra["Nats_Consumer_Stalled"] = self.flow_subject.decode()
        block = headers.status(
            100,
            "Idle Heartbeat",
            Nats_Last_Consumer=self.next_consumer_seq - 1,
            Nats_Last_Stream=self.delivered_stream_seq,
            **extra,
        )
        self._status(target, block)

    def _status(self, target: bytes, block: bytes) -> None:
        self.stream.account.publish(target, b"", b"", block)

    # -- advisories ---------------------------------------------------------------------------------------------------

    def on_nak(self, stream_seq: int, consumer_seq: int, deliveries: int, argument: bytes) -> int | None:
        """Tell, and read the delay."""
        fields = {"consumer_seq": consumer_seq, "stream_seq": stream_seq, "deliveries": deliveries}
        self.stream.advisories.consumer_event("MSG_NAKED", "nak", self.stream.name, self.name, {**fields})
        if not argument:
            return None
        try:
            if argument.startswith(b"{"):
                return int(json.loads(argument).get("delay", 0))
            return parse_duration(argument.decode())
        except (ValueError, TypeError, AttributeError):
            return None

    def on_terminated(self, stream_seq: int, consumer_seq: int, deliveries: int, reason: bytes) -> None:
        """Tell that the message will not come again."""
        fields: dict[str, int | str] = {
            "consumer_seq": consumer_seq,
            "stream_seq": stream_seq,
            "deliveries": deliveries,
        }
        if reason:
            fields["reason"] = reason.decode("utf-8", "replace")
        self.stream.advisories.consumer_event("MSG_TERMINATED", "terminated", self.stream.name, self.name, {**fields})

    def on_max_deliveries(self, stream_seq: int, deliveries: int) -> None:
        """Tell that a message had all its deliveries."""
        fields = {"stream_seq": stream_seq, "deliveries": deliveries}
        self.stream.advisories.consumer_event("MAX_DELIVERIES", "max_deliver", self.stream.name, self.name, {**fields})

    def on_sampled(self, stream_seq: int, consumer_seq: int, deliveries: int, delivered_ns: int) -> None:
        """Publish how long the acknowledgement took."""
        fields = {
            "consumer_seq": consumer_seq,
            "stream_seq": stream_seq,
            "ack_time": now_ns() - delivered_ns,
            "deliveries": deliveries,
        }
        self.stream.advisories.ack_metric(self.stream.name, self.name, {**fields})

    # -- time ---------------------------------------------------------------------------------------------------------

    def on_deadline_moved(self) -> None:
        """The next redelivery, or the end of a rate limit, came nearer."""
        self._alarm.set(self.expiry_ns)
        self._alarm.set(self.resume_ns)

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
        if self.pin_id and self._pin_expires_ns <= now:
            self.unpin(self.config.priority_groups[0], "timeout")
        self.sweep_requests(now)
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
                self._heartbeat(self.deliver_subject)
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
                self._last_used_ns = now
        elif self.waiting.count:
            self._last_used_ns = now
        return max(self._last_used_ns, self.last_active_ns, self.last_sent_ns) + threshold <= now

    def _rearm(self) -> None:
        alarm = self._alarm
        alarm.set(self.expiry_ns)
        alarm.set(self.resume_ns)
        if self.is_paused and self.config.pause_until is not None:
            alarm.set(self.config.pause_until)
        if self.pin_id:
            alarm.set(self._pin_expires_ns)
        if self._next_heartbeat_ns and self.has_interest:
            alarm.set(self._next_heartbeat_ns)
        if self.inactive_threshold_ns:
            last = max(self._last_used_ns, self.last_active_ns, self.last_sent_ns)
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


def _with_rest(code: int, description: str, request: PullRequest) -> bytes:
    return headers.status(
        code,
        description,
        Nats_Pending_Messages=request.batch,
        Nats_Pending_Bytes=request.bytes_left,
    )
