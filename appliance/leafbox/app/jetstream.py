"""Ties JetStream to the store, the accounts and the clients; opens and closes the store.

The feature and the store do not know each other: `StoreAdapter` is the one place where they meet.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from leafbox.app.configuration.options import Options
from leafbox.broker.account import Account
from leafbox.broker.broker import Broker
from leafbox.broker.config import GLOBAL_ACCOUNT, AccountJetStreamLimits
from leafbox.broker.request_info import RequestInfo
from leafbox.dataplane.stream_ingest import adopt_clock
from leafbox.dataplane.stream_store import StreamStore
from leafbox.dataplane.subjects import subjects_collide
from leafbox.jetstream.config import AcknowledgeAfter
from leafbox.jetstream.ports import ValueKind
from leafbox.jetstream.service import JetStream
from leafbox.protocol.errors import StoreError
from leafbox.protocol.jetstream.go_json import JsonObject
from leafbox.protocol.jetstream.info import AccountLimits
from leafbox.storage.blobs import key_head
from leafbox.storage.config import StorageOptions, SyncMode
from leafbox.storage.engine import Store

_SHARE_OF_MACHINE = 3 / 4
"""Of RAM and free flash, when the configuration names no limit (as nats-server)."""

CLOCK_WATCH_S = 1.0
"""How often the wall clock is compared with the steady one; messages bear the old time for so long after a step."""
CLOCK_STEP_NS = 1_000_000_000
"""Less is no step: waits differ by as much, which nobody notices."""


class StoreAdapter:
    """The store in the shape that JetStream asks for (`jetstream.ports.DurableStore`)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create_stream(self, name: bytes, is_memory: bool, is_urgent: bool) -> StreamStore:
        """A new, empty stream; replaces what an unfinished creation or restore left before a crash."""
        if self._store.stream(name) is not None:
            if self._store.get_blob(ValueKind.STREAM, name) is not None:
                raise StoreError(f"stream {name.decode()} is on flash, but was not recovered")
            self._store.delete_stream(name)
        stream = self._store.create_stream(name, is_memory=is_memory)
        stream.is_urgent = is_urgent
        return stream

    def recovered_stream(self, name: bytes) -> StreamStore | None:
        """A stream that recovery found."""
        return self._store.stream(name)

    def delete_stream(self, store: StreamStore) -> int:
        """Drop a stream."""
        return self._store.delete_stream(store.name)

    def put(self, kind: ValueKind, key: bytes, value: bytes) -> int:
        """Set a value."""
        return self._store.put_blob(kind, key, value)

    def extend(self, kind: ValueKind, key: bytes, delta: bytes, is_urgent: bool = True) -> int:
        """Add a delta to a value."""
        return self._store.append_delta(kind, key, delta, is_urgent)

    def delta_head(self, key: bytes) -> bytes | None:
        """See the port."""
        return key_head(key)

    def delete(self, kind: ValueKind, key: bytes) -> int:
        """Remove a value."""
        return self._store.delete_blob(kind, key)

    def values(self, kind: ValueKind) -> Iterable[tuple[bytes, bytes, list[bytes]]]:
        """Everything of a kind with the deltas that a start found behind it."""
        deltas = dict(self._store.deltas(kind))
        return [(key, value, deltas.get(key, [])) for key, value in self._store.list_blobs(kind)]

    def supply_snapshots(self, kind: ValueKind, snapshot: Callable[[bytes], bytes | None]) -> None:
        """Where checkpoints get values that supersede their deltas."""
        self._store.register_snapshots(kind, snapshot)

    def add_durable_callback(self, callback: Callable[[int], None]) -> None:
        """Whenever more of the log is durable."""
        self._store.on_durable(callback)

    @property
    def durable_lsn(self) -> int:
        """How far the log is on the device."""
        return self._store.health().durable_lsn

    @property
    def is_accepting(self) -> bool:
        """Whether the store takes messages."""
        return self._store.health().is_accepting


class DurableSide:
    """The store and JetStream of one server."""

    def __init__(self, options: Options, broker: Broker, loop: asyncio.AbstractEventLoop) -> None:
        configured = options.jetstream
        directory = Path(configured.store_directory or Path(tempfile.gettempdir()) / "nats")
        sync = SyncMode.ALWAYS if configured.acknowledge_after is AcknowledgeAfter.SYNC else SyncMode.INTERVAL
        self.store = Store(StorageOptions(directory=str(directory / "jetstream"), sync=sync))
        self.directory = directory / "jetstream"
        self.memory_bytes_max = configured.memory_bytes_max if configured.memory_bytes_max >= 0 else _memory_share()
        self.storage_bytes_max = (
            configured.storage_bytes_max if configured.storage_bytes_max >= 0 else _flash_share(directory)
        )
        self._broker = broker
        self.jetstream = JetStream(
            loop,
            StoreAdapter(self.store),
            configured,
            server_name=broker.identity.name,
            server_version=broker.identity.version,
            max_payload_bytes=options.broker.payload_bytes_max,
            max_pending_bytes=options.broker.pending_bytes_max,
            describe_client=describe_client,
            memory_bytes_max=self.memory_bytes_max,
            storage_bytes_max=self.storage_bytes_max,
        )
        self._loop = loop
        self._clock_watch: asyncio.TimerHandle | None = None

    def start(self, options: Options) -> None:
        """Recover and serve."""
        for name, account in self._broker.accounts.items():
            limits = limits_of(options, name)
            if limits is not None and account is not self._broker.system_account:
                self.jetstream.enable_account(account, limits)
        self.store.start(self._loop)
        adopt_clock()
        self.jetstream.start()
        self._watch_clock()
        self._refuse_elsewhere(options)
        if self._broker.system_account is not None:
            self.jetstream.answer_account_purges(self._broker.system_account)

    def _watch_clock(self) -> None:
        """Small differences are the time server steering the clock; a step is told to whoever waits for something."""
        step_ns = adopt_clock()
        if abs(step_ns) >= CLOCK_STEP_NS:
            self.jetstream.follow_clock(step_ns)
        self._clock_watch = self._loop.call_later(CLOCK_WATCH_S, self._watch_clock)

    def apply(self, options: Options, removed: list[Account]) -> None:
        """A reload: accounts and their limits may have changed."""
        for account in removed:
            self.jetstream.disable_account(account)
        for name, account in self._broker.accounts.items():
            limits = limits_of(options, name)
            if limits is None or account is self._broker.system_account:
                self.jetstream.disable_account(account)
            else:
                self.jetstream.enable_account(account, limits)
        self._refuse_elsewhere(options)

    def _refuse_elsewhere(self, options: Options) -> None:
        """Accounts without JetStream say so, unless they import the API of one that has it."""
        importing = {
            account.name
            for account in options.broker.accounts
            if any(subjects_collide((at.to or at.subject).encode(), b"$JS.API.>") for at in account.service_imports)
        }
        self.jetstream.refuse_in(
            account
            for name, account in self._broker.accounts.items()
            if self.jetstream.account(name) is None and name not in importing
        )

    def stop(self) -> None:
        """End streams, then close the store with a last checkpoint."""
        if self._clock_watch is not None:
            self._clock_watch.cancel()
        self.jetstream.stop()
        self.store.close()


def limits_of(options: Options, name: str) -> dict[str, AccountLimits] | None:
    """An account's JetStream limits by tier, "" without tiers; None: it has no JetStream.

    Without any account that has it by the configuration, `$G` has it.
    """
    configured = {account.name: account for account in options.broker.accounts}
    account = configured.get(name)
    if account is not None and account.jetstream_tiers:
        return {tier: _as_reported(limits) for tier, limits in account.jetstream_tiers.items()}
    if account is not None and account.jetstream is not None:
        return {"": _as_reported(account.jetstream)}
    if name != GLOBAL_ACCOUNT or any(other.jetstream or other.jetstream_tiers for other in configured.values()):
        return None
    return {"": _as_reported(AccountJetStreamLimits())}


def _as_reported(limits: AccountJetStreamLimits) -> AccountLimits:
    return AccountLimits(
        max_memory=limits.memory_bytes_max,
        max_storage=limits.storage_bytes_max,
        max_streams=limits.streams_max,
        max_consumers=limits.consumers_max,
        max_ack_pending=limits.ack_pending_max,
        memory_max_stream_bytes=limits.memory_stream_bytes_max,
        storage_max_stream_bytes=limits.storage_stream_bytes_max,
        max_bytes_required=limits.is_stream_size_required,
    )


def describe_client(origin: object) -> JsonObject | None:
    """The requester as advisories name it; None for requests from inside."""
    describe = getattr(origin, "request_info", None)
    if describe is None:
        return None
    info: RequestInfo = describe()
    account = getattr(origin, "account", None)
    info.acc = account.name if isinstance(account, Account) else ""
    described: JsonObject = msgspec.to_builtins(info)
    return described


def _memory_share() -> int:
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * _SHARE_OF_MACHINE)


def _flash_share(directory: Path) -> int:
    existing = directory
    while not existing.exists():
        existing = existing.parent
    return int(shutil.disk_usage(existing).free * _SHARE_OF_MACHINE)
