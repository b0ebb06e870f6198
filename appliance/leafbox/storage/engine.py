"""The store as the rest of the appliance sees it: streams, blobs, health, and when an acknowledgement may go out.

Lives on the loop thread. Opening recovers; `start` connects it to the loop; `close` makes a last checkpoint. Everything
that a feature stores is durable once `on_durable` reports an LSN at or beyond the one its call returned (for streams:
`StreamStore.applied_lsn` after the call).
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from leafbox.dataplane.journal import JournalState, RecordKind
from leafbox.dataplane.stream_store import StreamStore
from leafbox.protocol.errors import StoreClosed, StoreError
from leafbox.storage.blobs import Snapshot
from leafbox.storage.checkpoint import Checkpointer
from leafbox.storage.config import StorageOptions
from leafbox.storage.database import DatabaseSnapshot
from leafbox.storage.health import Damage, RecoveryReport, StoreHealth
from leafbox.storage.recovery import Recovery

logger = logging.getLogger(__name__)

UNSAVED_FACTOR = 2
"""Messages in memory that no checkpoint has saved, in units of `checkpoint_bytes`, that make the store congested."""
SEGMENTS_AT_START = 2
"""Log segments in use after a start that are worth a checkpoint at once."""
DAMAGES_KEPT = 256
"""Findings kept for health reports; each is also logged."""


class Store:
    """One open store directory; no second process can open it."""

    def __init__(self, options: StorageOptions) -> None:
        """Open and recover; raises StoreError if it is in use or of another format. Damage does not raise: `report`."""
        self.options = options
        self._directory = Path(options.directory)
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = lock_directory(self._directory)
        self._damages: list[Damage] = []
        self._health_callbacks: list[Callable[[], None]] = []
        self._memory_streams: dict[bytes, StreamStore] = {}
        self._is_closed = False
        try:
            recovered = Recovery(options).run(self._note_damage)
        except BaseException:
            os.close(self._lock)
            raise
        self._recovered = recovered
        self.report: RecoveryReport = recovered.report
        self.journal = recovered.journal
        self.cache = recovered.cache
        self.blobs = recovered.blobs
        self._database = recovered.database
        self._streams = recovered.streams
        self._by_name = {store.name: store for store in recovered.streams.values()}
        self._damages[:0] = recovered.report.damages
        self._checkpointer = Checkpointer(
            recovered.database,
            recovered.journal,
            recovered.blobs,
            recovered.streams,
            recovered.salt,
            recovered.checkpoint_lsn,
            self._relieve,
        )
        self._checkpointer.next_stream_number = recovered.next_stream_number
        self._checkpointer.streams_deleted = recovered.streams_deleted
        for damage in recovered.report.damages:
            logger.error("store damage %s", damage)
        self.journal.add_durable_callback(self._on_durable)
        self.journal.add_state_callback(self._on_state)

    # ----------------------------------------------------------------------------------------------------- lifecycle

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Report to `loop` from now on and make checkpoints when they are due."""
        self.journal.attach(loop)
        self._checkpointer.start(loop)
        status = self.journal.status()
        is_long = self.report.replayed_bytes > self.options.checkpoint_bytes // 2
        # Every start begins a segment: one that is killed again and again must not fill the flash with them.
        if is_long or self.report.damages or status.segment_count - status.segments_free > SEGMENTS_AT_START:
            loop.call_soon(self.checkpoint)

    def close(self) -> None:
        """Write everything, make a last checkpoint, let go of all files. Nothing is lost if the process dies in it."""
        if self._is_closed:
            return
        self._is_closed = True
        self._checkpointer.stop()
        is_durable = self.journal.close()
        try:
            if is_durable:
                self._checkpointer.run_now(is_clean=True)
        except StoreError as error:
            logger.error("store closed without checkpoint reason=%s", error)
        finally:
            self._database.close()
            os.close(self._lock)

    def checkpoint(self) -> None:
        """Begin a checkpoint now, if the store runs on a loop and none is under way."""
        self._checkpointer.begin()

    def checkpoint_and_wait(self) -> None:
        """A checkpoint on the calling thread; for the command line and tests, not while running on a loop."""
        self._checkpointer.run_now()

    @property
    def is_checkpointing(self) -> bool:
        """Whether a checkpoint is under way."""
        return self._checkpointer.is_running

    def begin_snapshot(self) -> DatabaseSnapshot:
        """See `hot_copy`, the only caller. Holds checkpoints until `release_checkpoints`. None may be under way."""
        assert not self._checkpointer.is_running
        if self._checkpointer.is_held:
            raise StoreError("another copy of the store is being made")
        snapshot = self._database.snapshot()
        self._checkpointer.is_held = True
        return snapshot

    def release_checkpoints(self) -> None:
        """Checkpoints may begin again; one that has become due does."""
        self._checkpointer.is_held = False
        self._on_durable(self.journal.durable_lsn)

    # ------------------------------------------------------------------------------------------------------- streams

    def create_stream(self, name: bytes, *, first_seq: int = 0, is_memory: bool = False) -> StreamStore:
        """A new, empty stream; durable (with what is appended to it) at `applied_lsn`. Memory streams are not logged.

        `name` is the caller's unique key, `account/stream` for JetStream; at most 1024 bytes.
        """
        if self.stream(name) is not None:
            raise ValueError(f"stream {name!r} exists")
        if is_memory:
            store = StreamStore(name)
            store.begin(first_seq, 0)
            self._memory_streams[name] = store
            return store
        self._refuse_if_closed()
        number = self._checkpointer.next_stream_number
        body = first_seq.to_bytes(8, "little") + name
        lsn = self.journal.append_record(RecordKind.STREAM_CREATE, number, body)
        self._checkpointer.next_stream_number = number + 1
        store = StreamStore(name, number, self.journal, self.cache, self._database.read_block, self._note_damage)
        store.begin(first_seq, lsn)
        self._streams[number] = store
        self._by_name[name] = store
        return store

    def stream(self, name: bytes) -> StreamStore | None:
        """The stream of that name, or None."""
        return self._by_name.get(name) or self._memory_streams.get(name)

    def streams(self) -> Iterator[StreamStore]:
        """Every stream, memory streams too."""
        yield from self._by_name.values()
        yield from self._memory_streams.values()

    def delete_stream(self, name: bytes) -> int:
        """Remove a stream and its messages; returns the LSN (0 for memory streams). Raises KeyError."""
        memory = self._memory_streams.pop(name, None)
        if memory is not None:
            memory.drop_all()
            return 0
        self._refuse_if_closed()
        store = self._by_name.pop(name)
        lsn = self.journal.append_record(RecordKind.STREAM_DELETE, store.number, b"")
        del self._streams[store.number]
        self._checkpointer.streams_deleted.append(store.number)
        store.drop_all()
        return lsn

    # --------------------------------------------------------------------------------------------------------- blobs

    def put_blob(self, kind: int, key: bytes, body: bytes) -> int:
        """Store a small entry whole; returns its LSN."""
        return self.blobs.put(kind, key, body)

    def delete_blob(self, kind: int, key: bytes) -> int:
        """Remove an entry; returns its LSN, 0 if there was none."""
        return self.blobs.delete(kind, key)

    def get_blob(self, kind: int, key: bytes) -> bytes | None:
        """An entry's body, or None."""
        return self.blobs.get(kind, key)

    def list_blobs(self, kind: int) -> Iterator[tuple[bytes, bytes]]:
        """(key, body) of all entries of a kind, keys ascending."""
        return self.blobs.items(kind)

    def append_delta(self, kind: int, key: bytes, body: bytes, is_urgent: bool = True) -> int:
        """Log a change to an entry that its owner keeps in memory; see `register_snapshots`."""
        return self.blobs.append_delta(kind, key, body, is_urgent)

    def deltas(self, kind: int) -> Iterator[tuple[bytes, list[bytes]]]:
        """What recovery replayed on top of the entries of a kind and nothing superseded since."""
        return self.blobs.deltas(kind)

    def register_snapshots(self, kind: int, snapshot: Snapshot) -> None:
        """Each checkpoint asks `snapshot(key)` on the loop for the body that supersedes the key's deltas."""
        self.blobs.register_snapshots(kind, snapshot)

    # ---------------------------------------------------------------------------------------------------- durability

    def on_durable(self, callback: Callable[[int], None]) -> None:
        """`callback(lsn)` on the loop, once per commit."""
        self.journal.add_durable_callback(callback)

    def on_health(self, callback: Callable[[], None]) -> None:
        """`callback()` on the loop when `health()` changed in kind: failed, full, recovered, damage found."""
        self._health_callbacks.append(callback)

    def wait_durable(self, lsn: int, timeout_s: float = 30.0) -> bool:
        """Block until `lsn` is durable; never on the loop's thread while it serves clients."""
        return self.journal.wait_durable(lsn, timeout_s)

    def health(self) -> StoreHealth:
        """The store at this moment."""
        status = self.journal.status()
        reason = ""
        if status.state is not JournalState.JOURNAL_READY:
            reason = (
                f"{status.error_operation}: {os.strerror(status.error_number)}" if status.error_number else "closed"
            )
        elif status.is_space_low:
            reason = f"{status.free_bytes} bytes free, {self.options.free_bytes_min} are kept in reserve"
        return StoreHealth(
            state=status.state,
            reason=reason,
            is_accepting=not self.journal.is_refusing,
            is_congested=self.journal.is_congested,
            free_bytes=status.free_bytes,
            last_lsn=status.last_lsn,
            durable_lsn=status.durable_lsn,
            staged_bytes=status.staged_bytes + status.held_bytes,
            segment_count=status.segment_count,
            segments_free=status.segments_free,
            commit_count=status.commit_count,
            written_bytes=status.written_bytes,
            checkpoint_count=self._checkpointer.count,
            checkpoint_bytes=self._checkpointer.written_bytes,
            checkpoint_lsn=self._checkpointer.checkpoint_lsn,
            checkpoint_error=self._checkpointer.error,
            unsaved_bytes=self.cache.dirty_bytes,
            cached_bytes=self.cache.cached_bytes,
            failure_count=status.failure_count,
            sync_count=status.sync_count,
            sync_us=status.sync_us,
            damages=tuple(self._damages),
        )

    def take_longest_sync_us(self) -> int:
        """The longest sync since the last call; for whoever writes the history of the device, once a second."""
        longest = self.journal.sync_longest_us
        self.journal.sync_longest_us = 0
        return longest

    # -------------------------------------------------------------------------------------------------------- inside

    def _on_durable(self, lsn: int) -> None:
        limit = self.options.checkpoint_bytes
        unsaved = self.cache.dirty_bytes
        if unsaved > limit * UNSAVED_FACTOR:
            self.journal.is_pressed = True
        if (self._checkpointer.due_bytes() >= limit or unsaved >= limit) and self._checkpointer.may_begin():
            self._checkpointer.begin()

    def _relieve(self) -> None:
        """A checkpoint is through: readers may go on unless as much has come meanwhile."""
        self.journal.is_pressed = self.cache.dirty_bytes > self.options.checkpoint_bytes * UNSAVED_FACTOR
        if self.journal.is_pressed:
            self._checkpointer.begin()

    def _on_state(self) -> None:
        health = self.health()
        logger.warning("store state=%s accepting=%s reason=%s", health.state.name, health.is_accepting, health.reason)
        if health.state is JournalState.JOURNAL_FULL:
            # Recycling the log is the one thing that helps when segments ran out.
            self._checkpointer.begin()
        for callback in self._health_callbacks:
            callback()

    def _note_damage(self, store: StreamStore, first_seq: int, raw: bytes, reason: str, lost: list[int]) -> None:
        """A read met a block that does not verify: keep its bytes, say what is gone."""
        folder = self._directory / "quarantine"
        folder.mkdir(mode=0o700, exist_ok=True)
        if raw:
            (folder / f"block-{store.number}-{first_seq}-{time.time_ns()}").write_bytes(raw)
        last = max(lost, default=0)
        damage = Damage("block", reason, store.name, min(lost, default=first_seq), last, len(lost))
        logger.error("store damage %s", damage)
        if len(self._damages) < DAMAGES_KEPT:
            self._damages.append(damage)
        for callback in self._health_callbacks:
            callback()

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise StoreClosed("the store is closed")


def lock_directory(directory: Path) -> int:
    """Take the store's lock file; raises StoreError if another process has it. The lock goes with the process."""
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StoreError(f"{directory} is in use by another process") from None
    return descriptor
