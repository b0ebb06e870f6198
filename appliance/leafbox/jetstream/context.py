"""What all streams of one server share: loop, storage, commit gate, server identity and limits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from leafbox.dataplane.stream_ingest import CommitGate, StorageMeter
from leafbox.jetstream.config import JetStreamOptions
from leafbox.jetstream.dedupe import DurableIds, stream_key_of
from leafbox.jetstream.ports import ClientDescriber, DurableStore

API_LEVEL = 5


@dataclass(slots=True)
class ServerContext:
    """One per `JetStream`; the meters count all accounts together."""

    loop: asyncio.AbstractEventLoop
    storage: DurableStore
    gate: CommitGate
    options: JetStreamOptions
    server_name: str
    server_version: str
    describe_client: ClientDescriber
    max_payload_bytes: int = 1024 * 1024
    max_pending_bytes: int = 64 * 1024 * 1024
    memory_meter: StorageMeter = field(default_factory=StorageMeter)
    storage_meter: StorageMeter = field(default_factory=StorageMeter)
    open_atomic_batches: int = 0
    open_batch_bytes: int = 0
    open_fast_batches: int = 0
    reserved_memory: int = 0
    reserved_storage: int = 0
    hub_domain: Callable[[], str] = lambda: ""
    """JetStream domain of the hub that a link leads to at this moment; empty: none. For texts only."""
    progress_owners: dict[bytes, Callable[[], bytes | None]] = field(default_factory=dict)

    id_owners: dict[bytes, DurableIds] = field(default_factory=dict)
    """By the key of the stream."""

    def ids_snapshot(self, chunk_key: bytes) -> bytes | None:
        """A chunk of message ids for the storage's checkpoint; None when its account has no JetStream."""
        owner = self.id_owners.get(stream_key_of(chunk_key))
        return owner.snapshot(chunk_key) if owner is not None else None

    def progress_snapshot(self, key: bytes) -> bytes | None:
        """A consumer's progress for the storage's checkpoint; None when its account has no JetStream."""
        owner = self.progress_owners.get(key)
        return owner() if owner is not None else None

    @property
    def domain(self) -> str:
        """JetStream domain of this server; empty if none."""
        return self.options.domain
