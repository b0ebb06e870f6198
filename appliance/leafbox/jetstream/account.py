"""JetStream of one account: its streams, limits, usage and API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from leafbox.broker.account import Account
from leafbox.dataplane.jetstream_requests import ApiReceiver
from leafbox.dataplane.routing import Subscription
from leafbox.dataplane.stream_ingest import StorageMeter, now_ns
from leafbox.jetstream import consumer_api, snapshot_api, stream_api
from leafbox.jetstream.advisories import Advisories
from leafbox.jetstream.api import ApiRouter
from leafbox.jetstream.consumer import Consumer
from leafbox.jetstream.context import API_LEVEL, ServerContext
from leafbox.jetstream.names import consumer_name
from leafbox.jetstream.stream import Stream
from leafbox.protocol.jetstream import consumer_rules, stream_rules, subjects
from leafbox.protocol.jetstream import error_catalog as errors
from leafbox.protocol.jetstream.consumer_config import AckPolicy, ConsumerAction, ConsumerConfig, DeliverPolicy
from leafbox.protocol.jetstream.consumer_rules import ConsumerLimits
from leafbox.protocol.jetstream.go_time import SECOND
from leafbox.protocol.jetstream.info import AccountLimits, AccountStats, ApiStats, TierUsage
from leafbox.protocol.jetstream.stream_config import RetentionPolicy, StorageType, StreamConfig
from leafbox.protocol.jetstream.stream_rules import StreamLimits

if TYPE_CHECKING:
    from leafbox.dataplane.consumer_delivery import MessageCallback

LEVEL_KEY = "_nats.req.level"
_DYNAMIC_KEYS = ("_nats.ver", "_nats.level")

ENDPOINTS = {**stream_api.ENDPOINTS, **consumer_api.ENDPOINTS, **snapshot_api.ENDPOINTS}
"""Every API request, by the words of its subject."""

C = TypeVar("C", StreamConfig, ConsumerConfig)


class DeliveryWatcher(Protocol):
    """What sends to a subject that somebody must listen on: a push consumer, a backup."""

    @property
    def deliver_subject(self) -> bytes | None:
        """Where it sends to; none for a consumer that is pulled from."""

    def interest_changed(self) -> None:
        """Somebody came to the subject or left it."""


class JetStreamAccount:
    """One account's part of the server. `tiers`: limits by tier name (`R1`; "" for an account without tiers)."""

    def __init__(self, context: ServerContext, account: Account, tiers: dict[str, AccountLimits]) -> None:
        self.context = context
        self.account = account
        self.tiers = tiers
        self.streams: dict[str, Stream] = {}
        self.advisories = Advisories(context, account)
        self.router = ApiRouter(self, ENDPOINTS)
        self.api = ApiReceiver(self.router.receive)
        self._memory_meter = StorageMeter(parent=context.memory_meter)
        self._storage_meter = StorageMeter(parent=context.storage_meter)
        self._subscriptions: list[Subscription] = []
        self._delivery_watchers: dict[bytes, list[DeliveryWatcher]] = {}
        self.set_limits(tiers)

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Answer API requests."""
        requests = Subscription(self.account, self.api, b"$JS.API.>")
        self.account.add(requests)
        self._subscriptions.append(requests)
        if self.context.domain:
            prefix = f"$JS.{self.context.domain}.API.>".encode()
            self._subscriptions.append(self.account.subscribe(prefix, self._from_domain))
        self.account.watchers.append(self)

    def stop(self) -> None:
        """Answer nothing more; streams are closed, everything durable stays."""
        for subscription in self._subscriptions:
            self.account.remove(subscription)
        self._subscriptions.clear()
        if self in self.account.watchers:
            self.account.watchers.remove(self)
        for stream in list(self.streams.values()):
            stream.close()

    def retire(self) -> None:
        """`stop`; leaves the storage as a later recovery needs it and gives back what was counted."""
        self.stop()
        for stream in self.streams.values():
            stream.retire()
            self._reserve(stream.config, -1)

    def set_limits(self, tiers: dict[str, AccountLimits]) -> None:
        """Change the account's limits; streams over a new limit stay and take no more."""
        self.tiers = tiers
        limits = tiers.get("") or tiers.get("R1") or AccountLimits()
        self._memory_meter.limit = limits.max_memory
        self._storage_meter.limit = limits.max_storage

    def _from_domain(self, subject: bytes, reply: bytes, header: bytes, payload: bytes, origin: object) -> bool | None:
        """`$JS.<domain>.API.x` is `$JS.API.x`; `$KV.>` and `$OBJ.>` behind it are published as they are (ADR-19)."""
        rest = subject.split(b".", 3)[3]
        if not rest.startswith((b"$KV.", b"$OBJ.")):
            rest = b"$JS.API." + rest
        delivered = self.account.publish(rest, payload, reply, header, origin)  # type: ignore[arg-type]
        return delivered > 0

    # -- interest in deliver subjects ---------------------------------------------------------------------------------

    def watch_delivery(self, watcher: DeliveryWatcher) -> None:
        """Tell a push consumer or a backup when somebody comes to or leaves its deliver subject."""
        assert watcher.deliver_subject is not None
        self._delivery_watchers.setdefault(watcher.deliver_subject, []).append(watcher)

    def unwatch_delivery(self, watcher: DeliveryWatcher) -> None:
        """Undo `watch_delivery`; unknown ones are ignored."""
        for subject in [key for key, found in self._delivery_watchers.items() if watcher in found]:
            self._delivery_watchers[subject].remove(watcher)
            if not self._delivery_watchers[subject]:
                del self._delivery_watchers[subject]

    def interest_added(self, subscription: Subscription) -> None:
        """From the account: somebody subscribed."""
        self._interest_changed(subscription.subject)
        if b".CONSUMER." in subscription.subject or subscription.subject.endswith(b">"):
            pattern = subscription.subject.decode("utf-8", "replace")
            for stream in self.streams.values():
                if stream.sourcing.is_following:
                    stream.sourcing.interest_came(pattern)

    def interest_removed(self, subscription: Subscription) -> None:
        """From the account: somebody unsubscribed."""
        self._interest_changed(subscription.subject)

    def _interest_changed(self, subject: bytes) -> None:
        if not self._delivery_watchers:
            return
        if b"*" not in subject and b">" not in subject:
            for watcher in list(self._delivery_watchers.get(subject, ())):
                watcher.interest_changed()
            return
        pattern = subject.decode("utf-8", "replace")
        for deliver_subject, watchers in list(self._delivery_watchers.items()):
            if subjects.matches(deliver_subject.decode(), pattern):
                for watcher in list(watchers):
                    watcher.interest_changed()

    # -- limits -------------------------------------------------------------------------------------------------------

    def meter(self, config: StreamConfig) -> StorageMeter:
        """Where a stream's bytes are counted."""
        return self._memory_meter if config.storage is StorageType.MEMORY else self._storage_meter

    def limits_for(self, replicas: int) -> AccountLimits:
        """The limits that apply to an asset; `RequestRejected` (10120) if the account has no such tier."""
        limits = self.tiers.get("") or self.tiers.get(f"R{max(replicas, 1)}")
        if limits is None:
            raise errors.NO_LIMITS.rejected()
        return limits

    def configs(self) -> dict[str, StreamConfig]:
        """Configurations of all streams by name."""
        return {name: stream.config for name, stream in self.streams.items()}

    def checked_config(self, config: StreamConfig, pedantic: bool) -> StreamConfig:
        """The configuration with defaults, or `RequestRejected`."""
        return stream_rules.validate_stream_config(config, self._stream_limits(config), pedantic, self.configs())

    def _stream_limits(self, config: StreamConfig) -> StreamLimits:
        limits = self.limits_for(config.num_replicas)
        return StreamLimits(
            duplicate_window_max=int(self.context.options.limits.duplicate_window_max_s * SECOND),
            max_bytes_required=limits.max_bytes_required,
            memory_max_stream_bytes=limits.memory_max_stream_bytes,
            storage_max_stream_bytes=limits.storage_max_stream_bytes,
        )

    def _check_totals(self, config: StreamConfig, own_bytes: int) -> None:
        """Consumers and reserved bytes against account and server; `own_bytes` are reserved already."""
        limits = self.limits_for(config.num_replicas)
        if 0 < limits.max_consumers < config.max_consumers:
            raise errors.MAXIMUM_CONSUMERS_LIMIT.rejected()
        memory = config.storage is StorageType.MEMORY
        refusal = errors.MEMORY_RESOURCES_EXCEEDED if memory else errors.STORAGE_RESOURCES_EXCEEDED
        wanted = max(config.max_bytes, 0)
        ceiling = limits.max_memory if memory else limits.max_storage
        if ceiling >= 0 and self._reserved(config.storage, config.name) + (wanted or 1) - (not wanted) > ceiling:
            raise refusal.rejected()
        meter = self.context.memory_meter if memory else self.context.storage_meter
        reserved = self.context.reserved_memory if memory else self.context.reserved_storage
        if meter.limit >= 0 and reserved + wanted - own_bytes > meter.limit:
            raise refusal.rejected()

    def _reserved(self, storage: StorageType, except_name: str = "") -> int:
        return sum(
            stream.config.max_bytes
            for stream in self.streams.values()
            if stream.config.storage is storage and stream.config.max_bytes > 0 and stream.name != except_name
        )

    def _reserve(self, config: StreamConfig, sign: int) -> None:
        amount = sign * max(config.max_bytes, 0)
        if config.storage is StorageType.MEMORY:
            self.context.reserved_memory += amount
        else:
            self.context.reserved_storage += amount

    # -- streams ------------------------------------------------------------------------------------------------------

    def create_stream(self, config: StreamConfig, pedantic: bool = False) -> tuple[Stream, int]:
        """A new stream, or the existing one if it is configured the same. Returns it and the log sequence number."""
        limits = self.limits_for(config.num_replicas)
        if 0 < limits.max_streams <= len([name for name in self.streams if name != config.name]):
            raise errors.MAXIMUM_STREAMS_LIMIT.rejected()
        config = self.with_static_metadata(config)
        self._check_totals(config, 0)
        config = stream_rules.validate_stream_config(config, self._stream_limits(config), pedantic, self.configs())
        if config.num_replicas > 1:
            raise errors.STREAM_REPLICAS_NOT_SUPPORTED.rejected()
        existing = self.streams.get(config.name)
        if existing is not None:
            if existing.config != config:
                raise errors.STREAM_NAME_EXIST.rejected()
            return existing, 0
        self._check_totals(config, 0)
        _check_origin_filters(config)
        if stream_rules.subjects_overlap(config.subjects, self.configs(), config.name):
            raise errors.STREAM_SUBJECT_OVERLAP.rejected()
        return self.add_stream(config)

    def add_stream(self, config: StreamConfig) -> tuple[Stream, int]:
        """Make a stream of a configuration that was checked."""
        is_memory = config.storage is StorageType.MEMORY
        key = f"{self.account.name}/{config.name}".encode()
        store = self.context.storage.create_stream(key, is_memory, True)
        if config.first_seq > 1:
            store.skip_to(config.first_seq - 1)
        stream = Stream(self, config, now_ns(), store)
        self.streams[config.name] = stream
        self._reserve(config, 1)
        lsn = stream.save()
        stream.start()
        stream.ingest.show_all()
        for other in self.streams.values():
            other.sourcing.stream_changed(config.name)
        self.advisories.stream_action(config.name, "create")
        return stream, lsn

    # -- restores -----------------------------------------------------------------------------------------------------

    def checked_restore(self, config: StreamConfig) -> StreamConfig:
        """The configuration of a stream to be restored, or `RequestRejected`."""
        config = self.with_static_metadata(config)
        config = stream_rules.validate_stream_config(config, self._stream_limits(config), False, self.configs())
        if config.name in self.streams:
            raise errors.STREAM_NAME_EXIST_RESTORE_FAILED.rejected()
        self._check_totals(config, 0)
        if stream_rules.subjects_overlap(config.subjects, self.configs(), config.name):
            raise errors.STREAM_SUBJECT_OVERLAP.rejected()
        return config

    def begin_restore(self, config: StreamConfig) -> Stream:
        """An empty stream that is not in service yet."""
        key = f"{self.account.name}/{config.name}".encode()
        store = self.context.storage.create_stream(key, config.storage is StorageType.MEMORY, True)
        stream = Stream(self, config, now_ns(), store)
        self.streams[config.name] = stream
        self._reserve(config, 1)
        return stream

    def finish_restore(self, stream: Stream) -> int:
        """Put a restored stream into service; returns the log sequence number of its definition."""
        lsn = stream.save()
        stream.start(is_recovery=True)
        self.advisories.stream_action(stream.name, "create")
        return lsn

    def checked_consumer(self, stream: Stream, config: ConsumerConfig) -> ConsumerConfig:
        """The configuration of a consumer to be restored, or `RequestRejected`."""
        if not subjects.is_asset_name(config.durable_name or config.name):
            raise errors.CONSUMER_BAD_DURABLE_NAME.rejected()
        limits = self._consumer_limits(stream)
        config = consumer_rules.with_defaults(config, stream.config, limits, False)
        consumer_rules.check_consumer_config(config, stream.config, limits)
        consumer_rules.check_name_length(config)
        return config

    def abandon_restore(self, stream: Stream) -> None:
        """Remove what an unfinished restore left, unless somebody deleted the stream meanwhile."""
        if self.streams.get(stream.name) is not stream:
            return
        del self.streams[stream.name]
        self._reserve(stream.config, -1)
        stream.close()
        self.context.storage.delete_stream(stream.store)

    def count_recovered(self, config: StreamConfig) -> None:
        """A recovered stream keeps its reservation."""
        self._reserve(config, 1)

    def update_stream(self, config: StreamConfig, pedantic: bool = False) -> tuple[Stream, int]:
        """Change a stream's configuration; returns it and the log sequence number of the change."""
        stream = self.streams.get(config.name)
        if stream is None:
            raise errors.STREAM_NOT_FOUND.rejected()
        config = self.with_static_metadata(config)
        config = stream_rules.validate_stream_update(
            stream.config, config, self._stream_limits(config), pedantic, self.configs()
        )
        self._check_totals(config, max(stream.config.max_bytes, 0))
        if config.republish is not None and not config.republish.dest:
            source = config.republish.src
            raise errors.STREAM_UPDATE.rejected(
                err=f"stream configuration for republish from '{source}' to '>': invalid subject"
            )
        if stream_rules.subjects_overlap(config.subjects, self.configs(), config.name):
            raise errors.STREAM_SUBJECT_OVERLAP.rejected()
        old = stream.config
        stream.update(config)
        self._reserve(old, -1)
        self._reserve(config, 1)
        self.advisories.stream_action(config.name, "modify")
        return stream, stream.save()

    def delete_stream(self, stream: Stream) -> int:
        """Remove a stream; returns the log sequence number."""
        del self.streams[stream.name]
        lsn = stream.delete()
        self._reserve(stream.config, -1)
        for other in self.streams.values():
            other.sourcing.stream_changed(stream.name)
        self.advisories.stream_action(stream.name, "delete")
        return lsn

    # -- consumers ----------------------------------------------------------------------------------------------------

    def create_consumer(
        self,
        stream: Stream,
        config: ConsumerConfig,
        action: ConsumerAction = ConsumerAction.CREATE_OR_UPDATE,
        pedantic: bool = False,
    ) -> tuple[Consumer, int]:
        """A new consumer, or the existing one updated. Returns it and the log sequence number of its definition."""
        name = config.durable_name or config.name
        existing = stream.consumers.get(name) if name else None
        if existing is not None:
            config = msgspec.structs.replace(config, pause_until=existing.config.pause_until)
        config = self.with_static_metadata(config)
        limits = self._consumer_limits(stream)
        config = consumer_rules.with_defaults(config, stream.config, limits, pedantic)
        consumer_rules.check_consumer_config(config, stream.config, limits)
        if existing is not None:
            return self._update_consumer(stream, existing, config, action)
        if action is ConsumerAction.UPDATE:
            raise errors.CONSUMER_DOES_NOT_EXIST.rejected()
        self._check_consumer_count(stream)
        _check_workqueue(stream, config)
        consumer_rules.check_name_length(config)
        return self.add_consumer(stream, config, name or self._free_name(stream))

    def add_consumer(self, stream: Stream, config: ConsumerConfig, name: str) -> tuple[Consumer, int]:
        """Make a consumer of a configuration that was checked."""
        if not config.name and not config.durable_name:
            config = msgspec.structs.replace(config, name=name)
        consumer = Consumer(stream, config, name, now_ns())
        consumer.select_start()
        stream.adopt(consumer)
        lsn = consumer.save()
        consumer.start()
        self.advisories.consumer_action(stream.name, name, "create")
        return consumer, lsn

    def follow(self, stream: Stream, config: ConsumerConfig, callback: MessageCallback) -> Consumer:
        """An internal consumer: every message from the configured start goes to `callback` on the loop.

        It keeps nothing across restarts, is not shown by the API and not counted by limits.
        """
        consumer = Consumer(stream, config, self._free_name(stream), now_ns())
        consumer.set_callback(callback)
        consumer.select_start()
        stream.adopt(consumer)
        consumer.wake()
        return consumer

    def note_progress(self, consumer: Consumer) -> None:
        """A consumer logs its progress from now on."""
        if not consumer.is_in_memory and not consumer.config.direct:
            self.context.progress_owners[consumer.key] = consumer.checkpointed

    def forget_progress(self, consumer: Consumer) -> None:
        """Undo `note_progress`."""
        self.context.progress_owners.pop(consumer.key, None)

    def _consumer_limits(self, stream: Stream) -> ConsumerLimits:
        server, account = self.context.options.limits, self.limits_for(stream.config.num_replicas)
        return ConsumerLimits(server.ack_pending_max, server.request_batch_max, account.max_ack_pending)

    def _check_consumer_count(self, stream: Stream) -> None:
        most = stream.config.max_consumers
        limit = self.limits_for(stream.config.num_replicas).max_consumers
        if most <= 0 or 0 < limit < most:
            most = limit
        if most <= 0:
            most = self.context.options.limits.consumers_default_max
        if 0 < most <= len(stream.public_consumers()):
            raise errors.MAXIMUM_CONSUMERS_LIMIT.rejected()

    def _update_consumer(
        self, stream: Stream, consumer: Consumer, config: ConsumerConfig, action: ConsumerAction
    ) -> tuple[Consumer, int]:
        if action is ConsumerAction.CREATE and config != consumer.config:
            raise errors.CONSUMER_ALREADY_EXISTS.rejected()
        if stream.config.retention is RetentionPolicy.WORKQUEUE:
            _check_partition(stream, consumer.name, config.filters)
        bound = bool(consumer.deliver_subject) and self.account.has_interest(consumer.deliver_subject or b"")
        refusal = consumer_rules.refuse_update(consumer.config, config, bound)
        if refusal is not None:
            raise errors.CONSUMER_CREATE.rejected(err=refusal)
        if config != consumer.config:
            self.unwatch_delivery(consumer)
            consumer.update(config)
            if consumer.deliver_subject is not None:
                self.watch_delivery(consumer)
        return consumer, 0

    def _free_name(self, stream: Stream) -> str:
        while (name := consumer_name()) in stream.consumers:
            pass
        return name

    # -- metadata -----------------------------------------------------------------------------------------------------

    def with_static_metadata(self, config: C) -> C:
        """The configuration as it is stored: with the API level it needs, without what describes a server."""
        rules = stream_rules if isinstance(config, StreamConfig) else consumer_rules
        metadata = {key: value for key, value in config.metadata.items() if key not in _DYNAMIC_KEYS}
        metadata[LEVEL_KEY] = str(rules.required_api_level(config))
        return msgspec.structs.replace(config, metadata=metadata)

    def with_dynamic_metadata(self, config: C) -> C:
        """The configuration as the API shows it: with this server's version and level."""
        shown = {"_nats.ver": self.context.server_version, "_nats.level": str(API_LEVEL)}
        return msgspec.structs.replace(config, metadata={**config.metadata, **shown})

    # -- usage --------------------------------------------------------------------------------------------------------

    def usage(self) -> AccountStats:
        """The account info document, an immutable snapshot."""
        default = self.tiers.get("")
        tiers = {} if default is not None else {name: self._tier(limits) for name, limits in self.tiers.items()}
        total = self._tier(default if default is not None else _ZERO_LIMITS)
        return AccountStats(
            **{name: getattr(total, name) for name in TierUsage.__struct_fields__},
            domain=self.context.domain,
            api=ApiStats(level=API_LEVEL, total=self.router.total, errors=self.router.error_count),
            tiers=tiers,
        )

    def _tier(self, limits: AccountLimits) -> TierUsage:
        return TierUsage(
            memory=max(self._memory_meter.used, 0),
            storage=max(self._storage_meter.used, 0),
            reserved_memory=self._reserved(StorageType.MEMORY),
            reserved_storage=self._reserved(StorageType.FILE),
            streams=len(self.streams),
            consumers=sum(len(stream.public_consumers()) for stream in self.streams.values()),
            limits=limits,
        )


_ZERO_LIMITS = AccountLimits(
    max_memory=0,
    max_storage=0,
    max_streams=0,
    max_consumers=0,
    max_ack_pending=0,
    memory_max_stream_bytes=0,
    storage_max_stream_bytes=0,
)


def _check_origin_filters(config: StreamConfig) -> None:
    """Filters of origins must be subjects; said with error 10049."""
    mirror = config.mirror
    if mirror is not None and mirror.filter_subject and not subjects.is_valid(mirror.filter_subject):
        text = f"subject filter '{mirror.filter_subject}' for the mirror invalid subject"
        raise errors.STREAM_CREATE.rejected(err=text)
    for source in config.sources:
        if source.filter_subject and not subjects.is_valid(source.filter_subject):
            text = f"subject filter '{source.filter_subject}' for the source: invalid subject"
            raise errors.STREAM_CREATE.rejected(err=text)


def _check_workqueue(stream: Stream, config: ConsumerConfig) -> None:
    """Every message of a work queue goes to one consumer."""
    if stream.config.retention is not RetentionPolicy.WORKQUEUE or config.direct or config.sourcing:
        return
    if config.ack_policy not in (AckPolicy.EXPLICIT, AckPolicy.FLOW_CONTROL):
        raise errors.CONSUMER_WQ_REQUIRES_EXPLICIT_ACK.rejected()
    if config.deliver_policy is not DeliverPolicy.ALL:
        raise errors.CONSUMER_WQ_CONSUMER_NOT_DELIVER_ALL.rejected()
    if stream.public_consumers():
        if not config.filters:
            raise errors.CONSUMER_WQ_MULTIPLE_UNFILTERED.rejected()
        _check_partition(stream, config.durable_name or config.name, config.filters)


def _check_partition(stream: Stream, name: str, filters: tuple[str, ...]) -> None:
    for other in stream.public_consumers():
        if other.name == name:
            continue
        if not other.config.filters:
            raise errors.CONSUMER_WQ_CONSUMER_NOT_UNIQUE.rejected()
        for own in filters:
            if any(subjects.overlap(own, taken) for taken in other.config.filters):
                raise errors.CONSUMER_WQ_CONSUMER_NOT_UNIQUE.rejected()
