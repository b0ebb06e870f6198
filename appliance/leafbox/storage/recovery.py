"""Opening a store: the database as of the last checkpoint, then the log's tail, every checksum verified.

What does not verify is moved to the quarantine directory, reported with what it hit, and never silently skipped; the
streams that are sound start. A torn tail (records that no acknowledgement was sent for) is normal after a power cut and
is cut off without loss.
"""

from __future__ import annotations

import heapq
import secrets
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from leafbox.dataplane.journal import Journal, RecordKind
from leafbox.dataplane.store_block import BlockCache
from leafbox.dataplane.store_scan import replay
from leafbox.dataplane.stream_store import STATE_BYTES, Replay, StreamStore
from leafbox.protocol.errors import StoreCorrupt, StoreError
from leafbox.storage.blobs import BlobTable
from leafbox.storage.config import StorageOptions, SyncMode
from leafbox.storage.database import ORDERED_KEY, STREAM_KEY, Database, structure_problems, unseal
from leafbox.storage.health import Damage, RecoveryReport
from leafbox.storage.records import FORMAT_VERSION
from leafbox.storage.segments import LogSurvey, SegmentFile, list_segments, survey_log

if TYPE_CHECKING:
    from leafbox.dataplane.stream_store import DamageCallback

LAST_KEY = 1 << 64
LSN_JUMP = 0x01010101
"""Numbers left out at each start, so that a discarded record of the former run never continues the new one's. Several
bytes change, so that no leftover looks like the next record with one damaged byte."""


@dataclass(slots=True)
class Recovered:
    """Everything `engine.Store` needs to begin."""

    database: Database
    journal: Journal
    cache: BlockCache
    blobs: BlobTable
    streams: dict[int, StreamStore]
    next_stream_number: int
    salt: int
    checkpoint_lsn: int
    streams_deleted: list[int]
    report: RecoveryReport


@dataclass(slots=True)
class Recovery:
    """One opening; used once."""

    options: StorageOptions
    started_s: float = field(default_factory=time.monotonic)
    damages: list[Damage] = field(default_factory=list)
    streams: dict[int, StreamStore] = field(default_factory=dict)
    streams_deleted: list[int] = field(default_factory=list)
    next_stream_number: int = 1

    @property
    def directory(self) -> Path:
        return Path(self.options.directory)

    def run(self, on_damage: DamageCallback) -> Recovered:
        """Open everything; raises StoreError if this is no store of ours or cannot be read at all."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        log_directory = self.directory / "log"
        log_directory.mkdir(mode=0o700, exist_ok=True)
        database = self._open_database()
        cache = BlockCache(self.options.cache_bytes_max)
        blobs = BlobTable(database)
        self.damages += [Damage("blob", problem) for problem in blobs.problems]
        salt, checkpoint_lsn, is_clean = self._read_meta(database)
        self._load_streams(database, cache, on_damage)
        stated_lsn = checkpoint_lsn
        checkpoint_lsn = self._covered_lsn(database, salt, stated_lsn)
        log = survey_log(log_directory, salt, checkpoint_lsn)
        if salt is None:
            salt = next((s.label.store_salt for s in log.segments if s.label is not None), secrets.randbits(64))
        replayed_records, replayed_bytes, last_lsn = self._replay(
            log, database, cache, blobs, checkpoint_lsn, on_damage
        )
        self._report_log(log, checkpoint_lsn)
        database.unmap()
        # Not from the log alone: the file of its newest records may have been recycled while an older one was kept.
        journal = self._open_journal(log_directory, log, salt, max(last_lsn, stated_lsn))
        for store in self.streams.values():
            store.use_journal(journal)
        blobs.use_journal(journal)
        report = RecoveryReport(
            is_clean_stop=is_clean and replayed_records == 0,
            checkpoint_lsn=checkpoint_lsn,
            recovered_lsn=log.end_lsn,
            replayed_records=replayed_records,
            replayed_bytes=replayed_bytes,
            torn_records=log.torn_records,
            torn_detail=log.torn_detail,
            damages=tuple(self.damages),
            duration_s=time.monotonic() - self.started_s,
        )
        return Recovered(
            database,
            journal,
            cache,
            blobs,
            self.streams,
            self.next_stream_number,
            salt,
            checkpoint_lsn,
            self.streams_deleted,
            report,
        )

    # ------------------------------------------------------------------------------------------------------ database

    def _open_database(self) -> Database:
        """Open the environment, or set a damaged one aside and start an empty one, saying so.

        The walker looks at the file first: liblmdb would follow a damaged page number out of the map and crash.
        """
        path = self.directory / "database"
        options = self.options
        try:
            problems = structure_problems(path)
        except Exception as error:
            # The walker is meant to report; whatever else it stumbles over is a finding too.
            problems = [f"{type(error).__name__}: {error}"]
        if not problems:
            try:
                return Database(path, options.database_bytes_max, checkpoint_bytes=options.checkpoint_bytes)
            except StoreCorrupt as error:
                problems = [str(error)]
        self.quarantine(path)
        detail = f"set aside, everything before the log is lost: {'; '.join(problems[:3])}"
        self.damages.append(Damage("database", detail))
        return Database(path, options.database_bytes_max, checkpoint_bytes=options.checkpoint_bytes)

    def quarantine(self, path: Path) -> Path:
        """Move something unreadable out of the way, keeping it for inspection."""
        target = self.directory / "quarantine"
        target.mkdir(mode=0o700, exist_ok=True)
        moved = target / f"{path.name}-{time.time_ns()}"
        shutil.move(path, moved)
        return moved

    def _read_meta(self, database: Database) -> tuple[int | None, int, bool]:
        """(salt, checkpoint LSN, whether the last stop was clean)."""
        try:
            version = database.get(b"meta", b"format")
            if version is None:
                return None, 0, False
            if int.from_bytes(version[1], "little") != FORMAT_VERSION:
                raise StoreError(
                    f"store format {int.from_bytes(version[1], 'little')}, this build reads {FORMAT_VERSION}"
                )
            salt = database.get(b"meta", b"salt")
            checkpoint = database.get(b"meta", b"checkpoint")
            number = database.get(b"meta", b"next_stream")
            clean = database.get(b"meta", b"clean")
        except StoreCorrupt as error:
            self.damages.append(Damage("database", f"store facts: {error}"))
            return None, 0, False
        if salt is None or checkpoint is None or number is None:
            self.damages.append(Damage("database", "store facts are missing"))
            return None, 0, False
        self.next_stream_number = int.from_bytes(number[1], "little")
        return int.from_bytes(salt[1], "little"), checkpoint[0], clean is not None and clean[0] == checkpoint[0]

    def _load_streams(self, database: Database, cache: BlockCache, on_damage: DamageCallback) -> None:
        """Bring in every stream's state and indexes; payloads are not read."""
        for key, value in database.entries(b"streams"):
            (number,) = STREAM_KEY.unpack(key)
            self.next_stream_number = max(self.next_stream_number, number + 1)
            try:
                _, body = unseal(b"streams", key, value)
                store = self._new_stream(number, body[STATE_BYTES:], database, cache, on_damage)
                blocks = store.restore_state(body[:STATE_BYTES])
            except StoreCorrupt as error:
                store = self._new_stream(number, b"damaged-%d" % number, database, cache, on_damage)
                self.damages.append(Damage("state", f"stream {number}: {error}; rebuilt from its blocks", store.name))
                blocks = -1
            self._load_blocks(store, database, blocks)

    def _covered_lsn(self, database: Database, salt: int | None, checkpoint_lsn: int) -> int:
        """The last record that the database holds, given what its checkpoint says.

        A checkpoint of a start that had written nothing yet says `LSN_JUMP` more than the last record. Former builds
        could begin their next run at or below that number (the log file that knew better had been recycled), and then
        passed its first records over. Nothing that such a checkpoint wrote bears a number in its jump, so what the log
        has there came later.
        """
        try:
            ordered = database.get(b"meta", ORDERED_KEY)
        except StoreCorrupt:
            ordered = None
        before_jump = checkpoint_lsn - LSN_JUMP
        if before_jump < 0 or self.damages or (ordered is not None and ordered[0] == checkpoint_lsn):
            return checkpoint_lsn
        labels = [segment.label for segment in list_segments(self.directory / "log", salt)]
        if not any(label is not None and before_jump < label.first_lsn <= checkpoint_lsn for label in labels):
            return checkpoint_lsn
        newest = max(database.newest_lsn(b"streams"), database.newest_lsn(b"blobs"))
        newest = max([newest, *(store.applied_lsn for store in self.streams.values())])
        return before_jump if newest <= before_jump else checkpoint_lsn

    def _new_stream(
        self, number: int, name: bytes, database: Database, cache: BlockCache, on_damage: DamageCallback
    ) -> StreamStore:
        store = StreamStore(name, number, None, cache, database.read_block, on_damage)
        self.streams[number] = store
        return store

    def _load_blocks(self, store: StreamStore, database: Database, expected: int) -> None:
        """Bring in a stream's blocks, ascending; a damaged index is rebuilt from its block, record by record."""
        found = 0
        indexes = database.indexes(store.number)
        next_index = next(indexes, None)
        for first_seq in heapq.merge(list(database.block_keys(store.number)), (LAST_KEY,)):
            while next_index is not None and next_index[0] < first_seq:
                self.damages.append(
                    Damage("block", "the index knows a block that is missing", store.name, next_index[0])
                )
                next_index = next(indexes, None)
            if first_seq == LAST_KEY:
                break
            found += 1
            if next_index is None or next_index[0] != first_seq:
                self._rebuild_block(store, database, first_seq, "index is missing")
                continue
            try:
                store.restore_block(first_seq, next_index[1])
            except StoreCorrupt as error:
                self._rebuild_block(store, database, first_seq, str(error))
            next_index = next(indexes, None)
        store.restore_finished()
        lost = store.restored_messages - store.messages
        if expected >= 0 and (found < expected or lost > 0):
            store.mark_lost(max(0, lost))
            detail = f"{expected - found} of {expected} blocks are missing"
            self.damages.append(Damage("database", detail, store.name, 0, 0, max(0, lost)))

    def _rebuild_block(self, store: StreamStore, database: Database, first_seq: int, reason: str) -> None:
        value = database.read_block(store.number, first_seq)
        count = 0 if value is None else store.rebuild_block(first_seq, value)
        self.damages.append(
            Damage("index", f"{reason}; {count} messages read back from the block", store.name, first_seq)
        )

    # ----------------------------------------------------------------------------------------------------------- log

    def _replay(
        self,
        log: LogSurvey,
        database: Database,
        cache: BlockCache,
        blobs: BlobTable,
        checkpoint_lsn: int,
        on_damage: DamageCallback,
    ) -> tuple[int, int, int]:
        """Apply the log behind the checkpoint; (records, bytes, highest LSN anything here knows)."""

        def other(kind: int, owner: int, lsn: int, body: bytes) -> None:
            if kind == RecordKind.STREAM_CREATE:
                self.next_stream_number = max(self.next_stream_number, owner + 1)
                if owner not in self.streams:
                    store = self._new_stream(owner, body[8:], database, cache, on_damage)
                    store.begin(int.from_bytes(body[:8], "little"), lsn)
            elif kind == RecordKind.STREAM_DELETE:
                if self.streams.pop(owner, None) is not None:
                    self.streams_deleted.append(owner)
            else:
                blobs.replay(kind, owner, lsn, body)

        visitor = Replay(self.streams, other)
        records = 0
        size = 0
        for segment in log.relevant:
            data = segment.path.read_bytes()
            records += replay(data, segment.runs, checkpoint_lsn, log.end_lsn, visitor)
            size += sum(run.end - run.start for run in segment.runs)
        names = {store.number: store.name for store in self.streams.values()}
        for number, problem in visitor.problems:
            self.damages.append(Damage("log", problem, names.get(number, b"")))
        if log.gaps:
            for number, first_seq, last_seq in visitor.sequence_gaps:
                lost = last_seq - first_seq + 1
                detail = "fell into a hole of the log (or were never used)"
                self.damages.append(Damage("log", detail, names.get(number, b""), first_seq, last_seq, lost))
                if number in self.streams:
                    self.streams[number].mark_lost(lost)
        last_lsn = max([log.end_lsn, *(store.applied_lsn for store in self.streams.values())])
        return records, size, last_lsn

    def _report_log(self, log: LogSurvey, checkpoint_lsn: int) -> None:
        for gap in log.gaps:
            self.damages.append(Damage("log", f"records {gap.first_lsn}..{gap.last_lsn} are unreadable: {gap.detail}"))
        for segment in log.unreadable:
            moved = self.quarantine(segment.path)
            self.damages.append(Damage("log", f"{segment.path.name} has no readable label, moved to {moved.name}"))
        if log.gaps:
            for segment in log.relevant:
                copy = self.directory / "quarantine" / f"{segment.path.name}-{time.time_ns()}"
                copy.parent.mkdir(mode=0o700, exist_ok=True)
                shutil.copy2(segment.path, copy)

    def _open_journal(self, directory: Path, log: LogSurvey, salt: int, last_lsn: int) -> Journal:
        """Start the log behind what was found; used segments stay until a checkpoint covers them."""
        options = self.options
        usable = [s for s in log.segments if s not in log.unreadable and s.size == options.segment_bytes]
        for segment in log.segments:
            if segment not in usable and segment not in log.unreadable and segment not in log.relevant:
                segment.path.unlink()
        labels = [s.label.epoch for s in log.segments if s.label is not None]
        return Journal(
            str(directory),
            store_salt=salt,
            recovered_lsn=log.end_lsn,
            next_lsn=last_lsn + 1 + LSN_JUMP,
            next_epoch=max(labels, default=0) + 1,
            next_file_number=max((s.number for s in log.segments), default=0) + 1,
            segments=[_adopted(s, log) for s in [*usable, *(s for s in log.relevant if s not in usable)]],
            segment_bytes=options.segment_bytes,
            staging_bytes_max=options.staging_bytes_max,
            log_bytes_max=options.log_bytes_max,
            free_bytes_min=options.free_bytes_min,
            syncs_always=options.sync is SyncMode.ALWAYS,
            sync_interval_s=options.sync_interval_s,
            probe_interval_s=options.probe_interval_s,
        )


def _adopted(segment: SegmentFile, log: LogSurvey) -> tuple[int, int, int, int, int, int]:
    """A segment as the journal takes it over: with its records, or free."""
    if segment.label is None:
        return segment.number, 0, 0, 0, 0, 0
    if segment not in log.relevant:
        return segment.number, 0, 0, 0, 0, segment.label.epoch
    label = segment.label
    # Without a record of its own it still says where the log stood; it goes when the next checkpoint passes that.
    return segment.number, label.epoch, label.previous_lsn, label.previous_lsn, segment.last_lsn, label.epoch
