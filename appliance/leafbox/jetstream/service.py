"""JetStream of the server: which accounts have it, recovery at the start, the tie to the storage."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from leafbox.broker.account import Account
from leafbox.dataplane.stream_ingest import CommitGate, StorageMeter
from leafbox.jetstream.account import ENDPOINTS, JetStreamAccount
from leafbox.jetstream.config import JetStreamOptions
from leafbox.jetstream.consumer import Consumer
from leafbox.jetstream.context import ServerContext
from leafbox.jetstream.dedupe import stream_key_of
from leafbox.jetstream.definitions import StoredConsumer, StoredPlaces, StoredStream
from leafbox.jetstream.disabled_account import DisabledAccount
from leafbox.jetstream.ports import ClientDescriber, DurableStore, ValueKind
from leafbox.jetstream.stream import Stream
from leafbox.protocol.errors import StoreCorrupt
from leafbox.protocol.jetstream.go_json import InvalidJson, decode, encode
from leafbox.protocol.jetstream.go_time import SECOND
from leafbox.protocol.jetstream.info import AccountLimits, AccountStats
from leafbox.protocol.jetstream.stream_config import StorageType

logger = logging.getLogger(__name__)

_PURGE = b"$JS.API.ACCOUNT.PURGE."


@dataclass(frozen=True, slots=True)
class JetStreamUsage:
    """Snapshot for monitoring: totals of the server and each account's document."""

    memory_bytes: int
    storage_bytes: int
    reserved_memory_bytes: int
    reserved_storage_bytes: int
    streams: int
    consumers: int
    messages: int
    stored_bytes: int
    api_total: int
    api_errors: int
    accounts: dict[str, AccountStats]


class JetStream:
    """The feature's entry point.

    Order at the start: construct, `enable_account` for each account that has JetStream, `start`. `start` recovers the
    streams and consumers of the enabled accounts and then lets them run; accounts enabled later recover at once.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        storage: DurableStore,
        options: JetStreamOptions,
        *,
        server_name: str,
        server_version: str,
        max_payload_bytes: int,
        max_pending_bytes: int,
        describe_client: ClientDescriber,
        memory_bytes_max: int = -1,
        storage_bytes_max: int = -1,
    ) -> None:
        gate = CommitGate(loop)
        storage.add_durable_callback(gate.on_durable)
        self._context = ServerContext(
            loop,
            storage,
            gate,
            options,
            server_name,
            server_version,
            describe_client,
            max_payload_bytes,
            max_pending_bytes,
            StorageMeter(memory_bytes_max),
            StorageMeter(storage_bytes_max),
        )
        storage.supply_snapshots(ValueKind.PROGRESS, self._context.progress_snapshot)
        storage.supply_snapshots(ValueKind.IDS, self._context.ids_snapshot)
        self._accounts: dict[str, JetStreamAccount] = {}
        self._disabled: dict[Account, DisabledAccount] = {}
        self._is_started = False
        self.failed_assets: dict[str, str] = {}
        """Streams and consumers that could not be recovered, and why; shown by the health check."""

    @property
    def gate(self) -> CommitGate:
        """Where others that store messages wait for them to be durable."""
        return self._context.gate

    def name_hub(self, hub_domain: Callable[[], str]) -> None:
        """Where somebody who asks for what only a cluster has is sent to."""
        self._context.hub_domain = hub_domain

    # -- accounts -----------------------------------------------------------------------------------------------------

    def account(self, name: str) -> JetStreamAccount | None:
        """The JetStream side of an account, or None if it has none."""
        return self._accounts.get(name)

    @property
    def accounts(self) -> dict[str, JetStreamAccount]:
        """All accounts with JetStream."""
        return dict(self._accounts)

    def enable_account(self, account: Account, tiers: dict[str, AccountLimits]) -> JetStreamAccount:
        """Give an account JetStream, or new limits if it has it. `tiers`: see `JetStreamAccount`."""
        owner = self._accounts.get(account.name)
        if owner is not None:
            owner.set_limits(tiers)
            return owner
        owner = self._accounts[account.name] = JetStreamAccount(self._context, account, tiers)
        if self._is_started:
            self._recover([owner])
        return owner

    def disable_account(self, account: Account) -> None:
        """Take JetStream from an account; what it has on flash stays there as it is, what it has in memory is gone."""
        owner = self._accounts.pop(account.name, None)
        if owner is not None:
            owner.retire()

    def refuse_in(self, accounts: Iterable[Account]) -> None:
        """Tell whoever asks in these accounts that they have no JetStream; replaces those of an earlier call."""
        wanted = set(accounts)
        for account in self._disabled.keys() - wanted:
            self._disabled.pop(account).stop()
        for account in wanted - self._disabled.keys():
            self._disabled[account] = DisabledAccount(account, ENDPOINTS, self._context.domain)

    def answer_account_purges(self, system_account: Account) -> None:
        """`$JS.API.ACCOUNT.PURGE.<account>` from the system account deletes every stream of an account."""
        system_account.subscribe(_PURGE + b"*", partial(self._purge_account, system_account))

    def _purge_account(
        self, system_account: Account, subject: bytes, reply: bytes, _header: bytes, _payload: bytes, _origin: object
    ) -> None:
        name = subject[len(_PURGE) :].decode("utf-8", "replace")
        owner = self._accounts.get(name)
        streams = list(owner.streams.values()) if owner is not None else []
        logger.info("account_purge account=%s streams=%d", name, len(streams))
        lsn = max([owner.delete_stream(stream) for stream in streams], default=0) if owner is not None else 0
        answer = encode({"type": "io.nats.jetstream.api.v1.account_purge_response", "initiated": True})
        if reply:
            self._context.gate.when_durable(lsn, partial(system_account.publish, reply, answer))

    def start(self) -> None:
        """Recover every enabled account and begin to serve."""
        self._is_started = True
        self._recover(list(self._accounts.values()))

    def announce_stop(self) -> None:
        """Before connections close: whoever waits for messages learns why none will come."""
        for owner in self._accounts.values():
            for stream in owner.streams.values():
                for consumer in stream.consumers.values():
                    consumer.tell_waiting_of_shutdown()

    def follow_clock(self, step_ns: int) -> None:
        """The wall clock was set (a box without a clock of its own reached a time server): no wait ends early or late.

        What is meant by the wall clock changes with it: ages, expiries, schedules, ends of pauses.
        """
        logger.warning("clock set by_s=%.1f", step_ns / SECOND)
        for owner in list(self._accounts.values()):
            for stream in list(owner.streams.values()):
                stream.follow_clock(step_ns)

    def stop(self) -> None:
        """End all streams; the storage is the caller's to close."""
        for owner in self._accounts.values():
            owner.stop()
        self._is_started = False

    def usage(self) -> JetStreamUsage:
        """An immutable snapshot of everything."""
        documents = {name: owner.usage() for name, owner in self._accounts.items()}
        streams = [stream for owner in self._accounts.values() for stream in owner.streams.values()]
        context = self._context
        return JetStreamUsage(
            memory_bytes=max(context.memory_meter.used, 0),
            storage_bytes=max(context.storage_meter.used, 0),
            reserved_memory_bytes=context.reserved_memory,
            reserved_storage_bytes=context.reserved_storage,
            streams=len(streams),
            consumers=sum(len(stream.public_consumers()) for stream in streams),
            messages=sum(stream.store.messages for stream in streams),
            stored_bytes=sum(stream.store.stored_bytes for stream in streams),
            api_total=sum(document.api.total for document in documents.values()),
            api_errors=sum(document.api.errors for document in documents.values()),
            accounts=documents,
        )

    # -- recovery -----------------------------------------------------------------------------------------------------

    def _recover(self, owners: list[JetStreamAccount]) -> None:
        # A duplicate of a recovered message is acknowledged at once: nothing new need reach the device.
        self._context.gate.on_durable(self._context.storage.durable_lsn)
        by_name = {owner.account.name: owner for owner in owners}
        stored = self._context.storage.values
        for key, value, _ in stored(ValueKind.STREAM):
            self._guarded(key, partial(self._recover_stream, by_name, value))
        progress = {key: (value, deltas) for key, value, deltas in stored(ValueKind.PROGRESS)}
        for key, value, _ in stored(ValueKind.CONSUMER):
            self._guarded(key, partial(self._recover_consumer, by_name, value, progress.get(key)))
        for key, value, _ in stored(ValueKind.SOURCES):
            self._guarded(key, partial(self._recover_places, owners, key, value))
        for key, value, deltas in stored(ValueKind.IDS):
            self._guarded(key, partial(self._recover_ids, owners, key, value, deltas))
        for owner in owners:
            for stream in owner.streams.values():
                stream.start(is_recovery=True)
            for stream in owner.streams.values():
                for consumer in stream.consumers.values():
                    consumer.start()
            owner.start()

    def _guarded(self, key: bytes, recover: Callable[[], None]) -> None:
        """One damaged asset must not keep the others from starting."""
        name = key.decode("utf-8", "replace").replace("\x00", " > ")
        try:
            recover()
        except (StoreCorrupt, InvalidJson, ValueError, KeyError) as error:
            self.failed_assets[name] = str(error)
            logger.error("recovery failed asset=%s reason=%s", name, error)

    def _recover_stream(self, by_name: dict[str, JetStreamAccount], value: bytes) -> None:
        record = decode(StoredStream, value)
        config, owner = record.config, by_name.get(record.account)
        if owner is None or config.name in owner.streams:
            return
        key = f"{owner.account.name}/{config.name}".encode()
        if config.storage is StorageType.MEMORY:
            # Memory streams come back empty, with their configuration.
            store = self._context.storage.create_stream(key, True, True)
        else:
            recovered = self._context.storage.recovered_stream(key)
            if recovered is None:
                raise StoreCorrupt(f"stream {config.name} has a definition and no messages")
            store = recovered
        stream = Stream(owner, config, record.created, store)
        owner.streams[config.name] = stream
        owner.count_recovered(config)

    def _recover_places(self, owners: list[JetStreamAccount], key: bytes, value: bytes) -> None:
        for owner in owners:
            for stream in owner.streams.values():
                if stream.key == key:
                    stream.sourcing.recovered = decode(StoredPlaces, value)

    def _recover_ids(self, owners: list[JetStreamAccount], key: bytes, value: bytes, deltas: list[bytes]) -> None:
        for owner in owners:
            for stream in owner.streams.values():
                if stream.key == stream_key_of(key):
                    stream.recover_ids(key, value, deltas)

    def _recover_consumer(
        self, by_name: dict[str, JetStreamAccount], value: bytes, progress: tuple[bytes, list[bytes]] | None
    ) -> None:
        record = decode(StoredConsumer, value)
        owner = by_name.get(record.account)
        stream = owner.streams.get(record.stream) if owner is not None else None
        if stream is None or record.name in stream.consumers:
            return
        consumer = Consumer(stream, record.config, record.name, record.created)
        if progress is None:
            consumer.select_start()
        else:
            consumer.restore(*progress)
        stream.adopt(consumer)
