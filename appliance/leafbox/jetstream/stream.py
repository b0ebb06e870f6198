"""Stream: one named log of messages with its configuration, its consumers and its place in the account's subjects.

The compiled `StreamIngest` takes plain messages; this class owns the policy around it: configuration changes, purges,
deletes, interest, mirrors and sources. Other features use `publish`, `create_consumer` and `info`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from leafbox.dataplane.message_ids import DuplicateWindow
from leafbox.dataplane.routing import Subscription
from leafbox.dataplane.stream_ingest import StreamIngest, now_ns
from leafbox.dataplane.sublist import Sublist
from leafbox.jetstream.atomic_batches import AtomicBatches
from leafbox.jetstream.consumer import Consumer
from leafbox.jetstream.dedupe import DurableIds
from leafbox.jetstream.definitions import StoredStream, value_key
from leafbox.jetstream.direct_get import DirectGet
from leafbox.jetstream.expiry import Expiry
from leafbox.jetstream.fast_batches import FastBatches
from leafbox.jetstream.names import PROTECTED_PREFIX, short_hash
from leafbox.jetstream.ports import ShownConsumers, ValueKind
from leafbox.jetstream.publish_rules import DuplicateMessage
from leafbox.jetstream.publisher import Publisher
from leafbox.jetstream.schedules import Schedules
from leafbox.jetstream.sourcing import Sourcing
from leafbox.protocol.errors import RequestRejected
from leafbox.protocol.jetstream import error_catalog as errors
from leafbox.protocol.jetstream import headers, subjects
from leafbox.protocol.jetstream.go_json import encode
from leafbox.protocol.jetstream.go_time import ZERO_TIME, format_time
from leafbox.protocol.jetstream.info import ConsumerInfo, StreamInfo, StreamState
from leafbox.protocol.jetstream.stream_config import (
    DiscardPolicy,
    PersistMode,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from leafbox.protocol.jetstream.subject_transform import SubjectTransform

if TYPE_CHECKING:
    from leafbox.dataplane.stream_store import StreamStore
    from leafbox.jetstream.account import JetStreamAccount

_RETENTION_NUMBERS = {RetentionPolicy.LIMITS: 0, RetentionPolicy.INTEREST: 1, RetentionPolicy.WORKQUEUE: 2}


class Stream:
    """One stream. Made and ended by `JetStreamAccount`; belongs to the loop."""

    def __init__(self, owner: JetStreamAccount, config: StreamConfig, created_ns: int, store: StreamStore) -> None:
        self.owner = owner
        self.context = owner.context
        self.account = owner.account
        self.advisories = owner.advisories
        self.config = config
        self.created_ns = created_ns
        self.store = store
        self.is_closed = False
        self.consumers: dict[str, Consumer] = {}
        domain = f'"domain":"{self.context.domain}",' if self.context.domain else ""
        self.ack_prefix = f'{{"stream":"{config.name}",{domain}"seq":'.encode()
        self.ingest = StreamIngest(store, self.account, self.context.gate, self.ack_prefix)
        self.window = DuplicateWindow(config.duplicate_window)
        self.ids = DurableIds(self.context.storage, self.key, store.journal)
        self.ingest.window, self.ingest.id_log = self.window, self.ids.log
        self._recovered_ids: list[tuple[str, int, int]] = []
        self.context.id_owners[self.key] = self.ids
        self.transform: SubjectTransform | None = None
        self.republish: SubjectTransform | None = None
        self.publisher = Publisher(self)
        self.expiry = Expiry(self)
        self.schedules = Schedules(self)
        self.atomic_batches = AtomicBatches(self)
        self.fast_batches = FastBatches(self)
        self.direct_get = DirectGet(self)
        self.sourcing = Sourcing(self)
        self._subscriptions: dict[str, Subscription] = {}
        # The MQTT gateway's streams: their subjects are for show, only the gateway writes, through `ingest`.
        self.is_protected = config.name.startswith(PROTECTED_PREFIX)
        self.shown: ShownConsumers | None = None
        """MQTT sessions that read it without being consumers."""
        self.ingest.on_special = self.publisher.on_special
        self.ingest.on_refused = self.publisher.on_refused
        self.ingest.on_traced = self.publisher.on_traced
        self.ingest.takes_fast_batches = True
        self._apply(config)

    @property
    def name(self) -> str:
        """The stream's name."""
        return self.config.name

    @property
    def key(self) -> bytes:
        """Key of the stream's durable values: unique over all accounts."""
        return value_key(self.account.name, self.config.name)

    @property
    def identity(self) -> str:
        """Changes when the stream is deleted and made again (2.15)."""
        return short_hash(format_time(self.created_ns))

    @property
    def is_memory(self) -> bool:
        """Messages live in RAM only."""
        return self.config.storage is StorageType.MEMORY

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self, is_recovery: bool = False) -> None:
        """Take messages. After a restart, first rebuild what is kept in memory only."""
        meter = self.ingest.meter
        if is_recovery:
            if meter is not None:
                meter.adjust(self.store.stored_bytes)
            self._rebuild_window()
            self.schedules.start()
            self.expiry.start()
            # At a start everything is durable; what came just before an account lost JetStream may not be.
            self.when_durable(self.ingest.show_all)
        else:
            self.expiry.rearm(now_ns())
        self._subscribe(self.config.subjects)
        self.direct_get.subscribe()
        self.sourcing.start()

    def close(self) -> None:
        """Take and deliver nothing more; everything durable stays."""
        if self.is_closed:
            return
        self.is_closed = True
        for subscription in self._subscriptions.values():
            self.account.remove(subscription)
        self._subscriptions.clear()
        self.direct_get.unsubscribe()
        self.sourcing.stop()
        self.expiry.stop()
        self.schedules.stop()
        self.atomic_batches.abandon_all()
        self.fast_batches.abandon_all()
        for consumer in list(self.consumers.values()):
            consumer.close_down()
        self.ingest.close()

    def follow_clock(self, step_ns: int) -> None:
        """The wall clock was set by so much: waits go on, ages and schedules are looked at anew."""
        self.window.follow_clock(step_ns)
        for batches in (self.atomic_batches, self.fast_batches):
            batches.follow_clock(step_ns)
        self.sourcing.follow_clock(step_ns)
        for consumer in list(self.consumers.values()):
            consumer.follow_clock(step_ns)
        self.expiry.clock_was_set()
        self.schedules.clock_was_set()

    def delete(self) -> int:
        """Remove the stream and all it holds; returns the log sequence number of the removal."""
        for consumer in list(self.consumers.values()):
            self.delete_consumer(consumer.name)
        if self.ingest.meter is not None:
            self.ingest.meter.adjust(-self.store.stored_bytes)
        self.sourcing.delete()
        self.ids.delete()
        self.context.id_owners.pop(self.key, None)
        self.close()
        self.context.storage.delete(ValueKind.STREAM, self.key)
        return self.context.storage.delete_stream(self.store)

    def retire(self) -> None:
        """Closed for as long as the account has no JetStream: what was logged in steps becomes whole values."""
        for consumer in self.consumers.values():
            consumer.retire()
        self.ids.retire()
        self.context.id_owners.pop(self.key, None)
        if self.ingest.meter is not None:
            self.ingest.meter.adjust(-self.store.stored_bytes)
        if self.is_memory:
            self.context.storage.delete_stream(self.store)

    def save(self) -> int:
        """Make the definition durable; returns its log sequence number."""
        definition = StoredStream(account=self.account.name, config=self.config, created=self.created_ns)
        return self.context.storage.put(ValueKind.STREAM, self.key, encode(definition))

    def remember_id(self, msg_id: str, seq: int, ts_ns: int) -> None:
        """A message with this id was stored."""
        window = self.window
        if window.window_ns > 0:
            window.remember(msg_id, seq, ts_ns)
            if not self.is_memory:
                self.ids.note(msg_id, seq, ts_ns, window.window_ns)

    def recover_ids(self, chunk_key: bytes, value: bytes, deltas: list[bytes]) -> None:
        """Ids that the storage kept, for `start`; chunks in their order."""
        self._recovered_ids += self.ids.recover(chunk_key, value, deltas)

    def _rebuild_window(self) -> None:
        """Message ids of the duplicate window: what the storage kept of them, and the stored headers."""
        kept, self._recovered_ids = self._recovered_ids, []
        if self.window.window_ns <= 0:
            return
        since_ns = now_ns() - self.window.window_ns
        found = {seq: (msg_id, ts_ns) for msg_id, seq, ts_ns in kept if ts_ns > since_ns and seq <= self.store.last_seq}
        # Stores of former versions have the headers only.
        position, last_seq, msg_id = self.store.sequence_at(since_ns), 0, ""
        while self.store.messages and (seq := self.store.next_with_header(position)):
            position = seq + 1
            if (message := self.store.message(seq)) is None:
                continue  # Its block is damaged, which the store reports.
            last_seq, msg_id = seq, headers.get_text(message.header, headers.MSG_ID)
            if msg_id:
                found[seq] = (msg_id, message.ts_ns)
        for seq in sorted(found):
            self.window.remember(found[seq][0], seq, found[seq][1])
        is_newest = last_seq and not self.store.next_sequence(last_seq + 1)
        self.ingest.last_msg_id = msg_id if is_newest and msg_id else None

    # -- configuration ------------------------------------------------------------------------------------------------

    def update(self, config: StreamConfig) -> None:
        """Change to a configuration that `validate_stream_update` accepted."""
        old = self.config
        self._check_consumer_limits(config)
        self.config = config
        self._apply(config)
        self._subscribe(config.subjects)
        self.direct_get.subscribe()
        self.sourcing.reconfigure(old)
        if not config.allow_atomic:
            self.atomic_batches.abandon_all()
        if not config.allow_batched:
            self.fast_batches.abandon_all()
        if old.retention is not config.retention:
            for consumer in self.consumers.values():
                consumer.retention = _RETENTION_NUMBERS[config.retention]
            self.index_interest()
            self.drop_unwanted()
        self.after_removal()
        self.expiry.rearm(now_ns())

    def _check_consumer_limits(self, config: StreamConfig) -> None:
        new, old = config.consumer_limits, self.config.consumer_limits
        threshold = new.inactive_threshold if new.inactive_threshold != old.inactive_threshold else 0
        pending = new.max_ack_pending if new.max_ack_pending != old.max_ack_pending else 0
        if threshold <= 0 and pending <= 0:
            return
        # Go compares against the whole new limits once either changed.
        bad = [
            consumer.name
            for consumer in self.consumers.values()
            if 0 < new.inactive_threshold < consumer.config.inactive_threshold
            or 0 < new.max_ack_pending < consumer.config.max_ack_pending
        ]
        if bad:
            raise errors.STREAM_UPDATE.rejected(err=f"change to limits violates consumers: {', '.join(bad)}")

    def _apply(self, config: StreamConfig) -> None:
        ingest = self.ingest
        self.store.set_limits(
            max_messages=config.max_msgs,
            max_bytes=config.max_bytes,
            max_messages_per_subject=config.max_msgs_per_subject,
        )
        self.window.window_ns = config.duplicate_window
        transform, republish = config.subject_transform, config.republish
        self.transform = SubjectTransform(transform.src, transform.dest) if transform and transform.dest else None
        self.republish = SubjectTransform(republish.src, republish.dest) if republish and republish.dest else None
        ingest.acknowledges = not config.no_ack
        ingest.waits_for_commit = self.store.journal is not None and config.persist_mode is not PersistMode.ASYNC
        ingest.max_message_bytes = config.max_msg_size
        ingest.refuses_when_full = config.discard is DiscardPolicy.NEW
        ingest.refuses_when_subject_full = config.discard_new_per_subject
        ingest.meter = self.owner.meter(config)
        self.store.is_urgent = config.persist_mode is not PersistMode.ASYNC
        ingest.takes_special = (
            config.sealed or self.transform is not None or self.republish is not None or config.allow_msg_counter
        )
        if config.retention is not RetentionPolicy.INTEREST:
            ingest.interest = None
        elif ingest.interest is None:
            self.index_interest()

    def _subscribe(self, wanted: tuple[str, ...]) -> None:
        for subject in [subject for subject in self._subscriptions if subject not in wanted]:
            self.account.remove(self._subscriptions.pop(subject))
        for subject in () if self.is_protected else wanted:
            if subject not in self._subscriptions:
                subscription = Subscription(self.account, self.ingest, subject.encode())
                self._subscriptions[subject] = subscription
                self.account.add(subscription)

    # -- messages -----------------------------------------------------------------------------------------------------

    def publish(
        self, subject: str, payload: bytes, header: bytes = b"", on_stored: Callable[[int], None] | None = None
    ) -> int:
        """Store a message from inside the appliance. Returns its sequence; `RequestRejected` if it is refused.

        `on_stored(seq)` runs on the loop once the message is durable; at once for memory streams. The payload is
        copied. A duplicate returns the first message's sequence.
        """
        try:
            checked = self.publisher.check(subject, header, payload, self.publisher.state())
            seq = self.publisher.store(checked, b"")
        except DuplicateMessage as duplicate:
            seq = duplicate.seq
        if on_stored is not None:
            self.when_durable(partial(on_stored, seq))
        return seq

    def when_durable(self, callback: Callable[[], object]) -> None:
        """Run `callback` once everything stored so far is durable."""
        if self.ingest.waits_for_commit:
            self.context.gate.when_durable(self.store.applied_lsn, callback)
        else:
            callback()

    def reply_when_durable(self, reply: bytes, payload: bytes) -> None:
        """Send an answer once everything stored so far is durable."""
        self.when_durable(partial(self.account.publish, reply, payload))

    def purge(self, subject: str = "", before_seq: int = 0, keep: int = 0) -> int:
        """Remove messages: of one subject filter, below a sequence, all but the newest `keep`; how many went."""
        wanted = self.store.filter(subject.encode()) if subject else None
        purged = self.store.purge_messages(wanted, before_seq, keep)
        first = self.store.first_seq
        if subject:
            first = self.store.next_sequence(0, wanted)
        for consumer in self.consumers.values():
            filters = consumer.config.filters
            # nats-server lets one purged filter of several move the consumer past messages of its other filters.
            if not subject or (filters and all(subjects.is_subset(own, subject) for own in filters)):
                consumer.purged_to(first, self.store.last_seq, True)
            elif not filters or any(subjects.overlap(own, subject) for own in filters):
                consumer.purged_to(self.store.first_seq, self.store.last_seq, False)
        self.expiry.rearm(now_ns())
        return purged

    def delete_message(self, seq: int, erase: bool) -> None:
        """Remove one message; `erase` overwrites its bytes. `RequestRejected` if it is not there."""
        if not self.store.remove_message(seq, erase):
            raise self._not_there(seq)
        self.after_removal()

    def _not_there(self, seq: int) -> RequestRejected:
        # nats-server's file store tells below, inside and above its messages apart, its memory store does not.
        if self.is_memory or self.store.first_seq <= seq <= self.store.last_seq:
            return errors.SEQUENCE_NOT_FOUND.rejected(seq=seq)
        reason = "no message found" if seq < self.store.first_seq else "stream store EOF"
        return errors.STREAM_MSG_DELETE_FAILED.rejected(err=reason)

    def after_removal(self) -> None:
        """Consumers may have messages to give up."""
        for consumer in self.consumers.values():
            consumer.wake()

    # -- interest -----------------------------------------------------------------------------------------------------

    def index_interest(self) -> None:
        """Rebuild the index of subjects that a consumer of an interest stream wants."""
        if self.config.retention is not RetentionPolicy.INTEREST:
            self.ingest.interest = None
            return
        index = Sublist()
        for consumer in self.consumers.values():
            for subject in consumer.config.filters or (">",):
                index.insert(subject.encode(), None, consumer)
        self.ingest.interest = index

    def drop_unwanted(self) -> None:
        """Interest retention: remove messages that no consumer wants any more (a consumer went, a filter changed)."""
        if self.config.retention is not RetentionPolicy.INTEREST:
            return
        seq = self.store.first_seq
        while (message := self.store.next_matching(seq)) is not None:
            seq = message.seq + 1
            if not any(consumer.still_needs(message.seq, message.subject) for consumer in self.consumers.values()):
                self.store.remove_message(message.seq)

    # -- consumers ----------------------------------------------------------------------------------------------------

    def adopt(self, consumer: Consumer) -> None:
        """Enter a consumer that is ready to run."""
        self.consumers[consumer.name] = consumer
        consumer.retention = _RETENTION_NUMBERS[self.config.retention]
        self.ingest.add_reader(consumer)
        self.index_interest()

    def delete_consumer(self, name: str) -> bool:
        """Remove a consumer with its progress; False if there is none of that name."""
        consumer = self.consumers.pop(name, None)
        if consumer is None:
            return False
        consumer.delete()
        self.index_interest()
        if self.config.retention is RetentionPolicy.INTEREST and not self.is_closed:
            self.drop_unwanted()
        return True

    def public_consumers(self) -> list[Consumer]:
        """Consumers that the API shows and limits count."""
        return [consumer for consumer in self.consumers.values() if not consumer.config.direct]

    def shown_infos(self) -> list[ConsumerInfo]:
        """Those that only look like consumers, by name."""
        shown = self.shown
        if shown is None:
            return []
        found = (shown.info(name, is_listed=True) for name in sorted(shown.names()))
        return [info for info in found if info is not None]

    # -- snapshots ----------------------------------------------------------------------------------------------------

    def state(self) -> StreamState:
        """Counts and bounds, as the API reports them."""
        state = self.store.state()
        return StreamState(
            messages=state.messages,
            bytes=state.stored_bytes,
            first_seq=state.first_seq,
            first_ts=state.first_ts_ns if state.messages else ZERO_TIME,
            last_seq=state.last_seq,
            last_ts=state.last_ts_ns if state.last_ts_ns else ZERO_TIME,
            num_subjects=state.subject_count,
            num_deleted=state.deleted_count,
            consumer_count=len(self.public_consumers()) + (self.shown.count() if self.shown is not None else 0),
        )

    def info(self, *, with_domain: bool = True) -> StreamInfo:
        """An immutable snapshot of configuration and state."""
        return StreamInfo(
            config=self.owner.with_dynamic_metadata(self.config),
            created=self.created_ns,
            state=self.state(),
            domain=self.context.domain if with_domain else "",
            mirror=self.sourcing.mirror_info(),
            sources=self.sourcing.source_infos(),
            ts=now_ns(),
        )

    def detailed_state(self, deleted_details: bool, subjects_filter: str, offset: int, limit: int) -> StreamState:
        """`state` with the list of deleted sequences and a page of subjects with their counts."""
        state = self.state()
        if deleted_details:
            state = msgspec.structs.replace(state, deleted=tuple(self.store.deleted()))
        if subjects_filter:
            page = sorted(self.subject_counts(subjects_filter).items())[offset : offset + limit]
            state = msgspec.structs.replace(state, subjects=dict(page))
        return state

    def subject_counts(self, subjects_filter: str) -> dict[str, int]:
        """Messages of each subject that matches."""
        counts = self.store.subject_counts(self.store.filter(subjects_filter.encode()))
        return {subject.decode("utf-8", "replace"): count for subject, count in counts.items()}

    def refuse_if_sealed(self) -> None:
        """`RequestRejected` for requests that a sealed stream does not take."""
        if self.config.sealed:
            raise errors.STREAM_SEALED.rejected()
