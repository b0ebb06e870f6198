"""Looking at a store without opening it for work: is every byte what was written, what is in it, how full is it.

`verify` reads everything: the database's structure, every block, index, state and blob, and the log. It changes
nothing and may run beside the appliance (then the database's structure is left out: pages change under the walk).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from leafbox.dataplane.journal import RecordKind
from leafbox.dataplane.store_block import check_block_value, check_index_value, sound_sequences
from leafbox.dataplane.store_scan import RecordCounter, replay
from leafbox.dataplane.stream_store import STATE_BYTES, StreamStore
from leafbox.protocol.errors import StoreCorrupt, StoreError
from leafbox.storage.config import StorageOptions
from leafbox.storage.database import STREAM_KEY, Database, structure_problems, unseal
from leafbox.storage.engine import Store
from leafbox.storage.health import Damage
from leafbox.storage.records import BlobKind
from leafbox.storage.segments import survey_log

MAP_BYTES = 64 << 30
"""Address space for looking; nothing is written."""
COPY_POLL_S = 0.2

Progress = Callable[[int], object]
"""Told how many bytes of the files are done, now and then; `bytes_on_flash` is about what it goes up to."""


def _unseen(done_bytes: int) -> None:
    """Nobody looks."""


def bytes_on_flash(directory: str) -> int:
    """Of all files of a store."""
    return sum(path.stat().st_size for path in Path(directory).rglob("*") if path.is_file())


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """One stream as the last checkpoint left it."""

    name: bytes
    messages: int
    stored_bytes: int
    first_seq: int
    last_seq: int
    blocks: int
    block_bytes: int
    lost_messages: int


@dataclass(slots=True)
class StoreFacts:
    """What a store directory holds; `damages` is empty if every checksum holds."""

    directory: str
    is_in_use: bool = False
    is_structure_checked: bool = False
    checkpoint_lsn: int = 0
    end_lsn: int = 0
    streams: list[StreamFacts] = field(default_factory=list)
    blobs: dict[str, int] = field(default_factory=dict)
    log_records: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Count and bytes of the records behind the checkpoint, by kind."""
    segment_count: int = 0
    log_bytes: int = 0
    database_bytes: int = 0
    torn_detail: str = ""
    damages: list[Damage] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Nothing is damaged."""
        return not self.damages

    def __str__(self) -> str:
        lines = [
            f"store {self.directory}{' (in use)' if self.is_in_use else ''}",
            f"  database {self.database_bytes} bytes, checkpoint at record {self.checkpoint_lsn}",
            f"  log {self.segment_count} segments, {self.log_bytes} bytes, ends at record {self.end_lsn}",
        ]
        lines += [
            f"  stream {facts.name.decode(errors='replace')}: {facts.messages} messages, {facts.stored_bytes} bytes, "
            f"sequences {facts.first_seq}..{facts.last_seq}, {facts.blocks} blocks of {facts.block_bytes} bytes"
            + (f", {facts.lost_messages} lost" if facts.lost_messages else "")
            for facts in self.streams
        ]
        lines += [f"  blobs {kind}: {count}" for kind, count in sorted(self.blobs.items())]
        lines += [
            f"  log records {kind}: {count} ({size} bytes)" for kind, (count, size) in sorted(self.log_records.items())
        ]
        if self.torn_detail:
            lines.append(f"  torn tail, not acknowledged: {self.torn_detail}")
        lines += [f"  DAMAGE {damage}" for damage in self.damages]
        lines.append("sound" if self.is_sound else f"{len(self.damages)} damages")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class CompactReport:
    """What compacting gave back."""

    before_bytes: int
    after_bytes: int

    def __str__(self) -> str:
        return f"database {self.before_bytes} -> {self.after_bytes} bytes"


def verify(directory: str, progress: Progress = _unseen) -> StoreFacts:
    """Read and check everything; raises StoreError only if there is no store."""
    return _look(directory, _Reading(progress, is_thorough=True))


def stats(directory: str) -> StoreFacts:
    """The same facts from indexes and states alone; blocks are not read."""
    return _look(directory, _Reading(_unseen, is_thorough=False))


class _Reading:
    """How thoroughly, and how far it is."""

    def __init__(self, progress: Progress, *, is_thorough: bool) -> None:
        self.is_thorough = is_thorough
        self._progress = progress
        self._bytes = 0

    def took(self, size: int) -> None:
        """So many bytes more were read."""
        self._bytes += size
        self._progress(self._bytes)


def compact(options: StorageOptions, progress: Progress = _unseen) -> CompactReport:
    """Leave out removed messages and free pages; the store must not be in use. Safe to interrupt at any point."""
    store = Store(options)
    try:
        for stream in store.streams():
            for block in stream.squeeze_candidates():
                stream.squeeze(block)
    finally:
        store.close()
    if error := store.health().checkpoint_error:
        raise StoreError(error)
    path = Path(options.directory) / "database"
    fresh = Path(options.directory) / "database.compact"
    shutil.rmtree(fresh, ignore_errors=True)
    database = Database(path, options.database_bytes_max)
    try:
        _copied(lambda: database.copy_compact(fresh), fresh / "data.mdb", progress)
    finally:
        database.close()
    before = (path / "data.mdb").stat().st_size
    # One rename of the file inside the directory: a power cut leaves either the old or the new one.
    (fresh / "data.mdb").replace(path / "data.mdb")
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    shutil.rmtree(fresh)
    return CompactReport(before, (path / "data.mdb").stat().st_size)


def _copied(copy: Callable[[], None], target: Path, progress: Progress) -> None:
    """Copy, which LMDB does in one call, and tell meanwhile how much is there."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(COPY_POLL_S):
            if target.exists():
                progress(target.stat().st_size)

    watching = threading.Thread(target=watch, name="progress of compacting", daemon=True)
    watching.start()
    try:
        copy()
    finally:
        ended.set()
        watching.join()


def _look(directory: str, reading: _Reading) -> StoreFacts:
    root = Path(directory)
    path = root / "database"
    if not (path / "data.mdb").exists():
        raise StoreError(f"{directory} holds no store")
    facts = StoreFacts(directory, is_in_use=_is_in_use(root))
    if not facts.is_in_use:
        facts.is_structure_checked = True
        try:
            problems = structure_problems(path)
        except Exception as error:
            problems = [f"{type(error).__name__}: {error}"]
        facts.damages += [Damage("database", problem) for problem in problems]
    salt: int | None = None
    if not facts.damages:
        try:
            database = Database(path, MAP_BYTES, is_readonly=True)
        except StoreCorrupt as error:
            facts.damages.append(Damage("database", str(error)))
        else:
            try:
                salt = _look_at_database(database, facts, reading)
            finally:
                database.close()
    _look_at_log(root / "log", salt, facts, reading)
    return facts


def _is_in_use(root: Path) -> bool:
    """Whether a process has the store open."""
    try:
        descriptor = os.open(root / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _look_at_database(database: Database, facts: StoreFacts, reading: _Reading) -> int | None:
    """Check every table; returns the store's salt."""
    salt: int | None = None
    facts.database_bytes = database.used_bytes()
    for key, value in database.entries(b"meta"):
        try:
            lsn, body = unseal(b"meta", key, value)
        except StoreCorrupt as error:
            facts.damages.append(Damage("database", str(error)))
            continue
        if key == b"salt":
            salt = int.from_bytes(body, "little")
        elif key == b"checkpoint":
            facts.checkpoint_lsn = lsn
    for key, value in database.entries(b"streams"):
        _look_at_stream(database, STREAM_KEY.unpack(key)[0], value, facts, reading)
    counts: Counter[str] = Counter()
    for key, value in database.entries(b"blobs"):
        kind = int.from_bytes(key[:2], "big")
        try:
            unseal(b"blobs", key, value)
        except StoreCorrupt as error:
            facts.damages.append(Damage("blob", str(error)))
        counts[BlobKind(kind).name.lower() if kind in set(BlobKind) else str(kind)] += 1
    facts.blobs = dict(counts)
    return salt


def _look_at_stream(database: Database, number: int, value: bytes, facts: StoreFacts, reading: _Reading) -> None:
    """Check a stream's state, indexes and (thoroughly) blocks against each other."""
    try:
        _, body = unseal(b"streams", STREAM_KEY.pack(number), value)
    except StoreCorrupt as error:
        facts.damages.append(Damage("state", f"stream {number}: {error}"))
        return
    store = StreamStore(body[STATE_BYTES:], number)
    expected = store.restore_state(body[:STATE_BYTES])
    indexes = 0
    block_bytes = 0
    messages = 0
    for first_seq, index in database.indexes(number):
        indexes += 1
        try:
            live, size = check_index_value(index, number, first_seq)
        except StoreCorrupt as error:
            facts.damages.append(Damage("index", str(error), store.name, first_seq))
            continue
        block_bytes += size
        messages += live
        reading.took(len(index))
        if reading.is_thorough:
            reading.took(size)
            _look_at_block(database, store, first_seq, size, facts)
    blocks = sum(1 for _ in database.block_keys(number))
    if not indexes == blocks == expected:
        detail = f"{blocks} blocks, {indexes} indexes, the state says {expected}"
        facts.damages.append(Damage("database", detail, store.name))
    elif messages < store.restored_messages:
        lost = store.restored_messages - messages
        facts.damages.append(Damage("database", "fewer messages than the state says", store.name, lost_messages=lost))
    facts.streams.append(
        StreamFacts(
            store.name,
            store.restored_messages,
            store.restored_bytes,
            store.first_seq,
            store.last_seq,
            blocks,
            block_bytes,
            store.lost_messages,
        )
    )


def _look_at_block(database: Database, store: StreamStore, first_seq: int, size: int, facts: StoreFacts) -> None:
    value = database.read_block(store.number, first_seq)
    if value is None:
        facts.damages.append(Damage("block", "missing", store.name, first_seq))
        return
    try:
        check_block_value(value, store.number, first_seq)
    except StoreCorrupt as error:
        sound = len(sound_sequences(value))
        facts.damages.append(Damage("block", f"{error}; {sound} messages of it verify", store.name, first_seq))
        return
    if len(value) < size:
        facts.damages.append(Damage("block", f"{len(value)} bytes, its index says {size}", store.name, first_seq))


def _look_at_log(directory: Path, salt: int | None, facts: StoreFacts, reading: _Reading) -> None:
    """Check the log behind the checkpoint and count its records."""
    log = survey_log(directory, salt, facts.checkpoint_lsn)
    facts.segment_count = len(log.segments)
    facts.log_bytes = sum(segment.size for segment in log.segments)
    facts.end_lsn = log.end_lsn
    facts.torn_detail = log.torn_detail
    facts.damages += [Damage("log", f"records {gap.first_lsn}..{gap.last_lsn}: {gap.detail}") for gap in log.gaps]
    facts.damages += [Damage("log", f"{segment.path.name} has no readable label") for segment in log.unreadable]
    counter = RecordCounter()
    for segment in log.relevant:
        replay(segment.path.read_bytes(), segment.runs, facts.checkpoint_lsn, log.end_lsn, counter)
        reading.took(segment.size)
    names = {kind.value: kind.name.lower() for kind in RecordKind}
    facts.log_records = {names.get(kind, str(kind)): found for kind, found in counter.counts.items()}
