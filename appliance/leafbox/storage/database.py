"""The LMDB environment: the state as of the last checkpoint. The only module that calls py-lmdb.

One environment, five tables. What a checkpoint says becomes true with one transaction; before that, whole new blocks
are put there in small synced ones ("staged"), because a sync of the log waits behind everything the device was given,
and 32 MiB at once make that 50 ms and more. Nothing refers to a staged block yet, and the entry `staged` names them
all, so that those of a checkpoint that did not end are left out and removed.

LMDB's own format has no checksums, so every
value carries one: blocks and indexes their own (`store_block`), everything else the envelope below, seeded with
table and key so that a value under the wrong key does not verify either. The B-tree pages themselves are checked by
py-lmdb's offline walker before an environment that was not closed cleanly is trusted to liblmdb, which follows page
numbers without doubt.

The engine is pinned to the 0.9 format (`lib_version=0`): py-lmdb also bundles 1.0, whose files 0.9 cannot read.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import lmdb
from lmdb.verify import verify as walk_structure

from leafbox.dataplane.store_block import BlockBuffer
from leafbox.dataplane.store_crc import checksum
from leafbox.protocol.errors import StoreCorrupt, StoreError, StoreFull
from leafbox.storage.records import DATABASE_TABLES

LIB_VERSION = 0
BLOCK_KEY = struct.Struct(">IQ")
STREAM_KEY = struct.Struct(">I")
ENVELOPE = struct.Struct("<IQ")
"""Checksum, LSN; the body follows."""
STAGED_KEY = b"staged"
ORDERED_KEY = b"ordered"
"""Bears the number of a checkpoint that every later record's number lies behind; see `Recovery._covered_lsn`."""
STAGES_PER_CHECKPOINT = 32
"""Staging transactions of a checkpoint of the usual size: 1 MiB each, 5 ms of a disk's time, 50 ms of a card's."""
HURRIED_FACTOR = 8
"""How much larger they are while publishers wait for the checkpoint, and no longer for the log."""

MessageBlock = tuple[int, int, BlockBuffer]
"""Stream, first sequence, value."""


@dataclass(slots=True)
class Changes:
    """Everything one checkpoint writes. Deletions are carried out first: a truncated stream may reuse a block's key."""

    meta: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    streams: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    streams_deleted: list[int] = field(default_factory=list)
    blocks: list[MessageBlock] = field(default_factory=list)
    indexes: list[tuple[int, int, bytes]] = field(default_factory=list)
    blocks_deleted: list[tuple[int, int]] = field(default_factory=list)
    blobs: dict[tuple[int, bytes], tuple[int, bytes | None]] = field(default_factory=dict)


def blob_key(kind: int, key: bytes) -> bytes:
    """Table key of a blob: its kind in two bytes, then the owner's key."""
    return kind.to_bytes(2, "big") + key


def seal(table: bytes, key: bytes, lsn: int, body: bytes) -> bytes:
    """Put a body into its envelope."""
    rest = lsn.to_bytes(8, "little") + body
    return checksum(rest, checksum(table + b"\0" + key)).to_bytes(4, "little") + rest


def unseal(table: bytes, key: bytes, value: bytes) -> tuple[int, bytes]:
    """(LSN, body) of an envelope; raises StoreCorrupt."""
    if len(value) < ENVELOPE.size or checksum(value[4:], checksum(table + b"\0" + key)) != int.from_bytes(
        value[:4], "little"
    ):
        raise StoreCorrupt(f"{table.decode()} entry {key!r}: checksum does not hold")
    return int.from_bytes(value[4:12], "little"), value[12:]


def structure_problems(directory: Path) -> list[str]:
    """What the offline walker finds wrong with the database file, without opening it through liblmdb."""
    path = directory / "data.mdb"
    if not path.exists() or path.stat().st_size == 0:
        return []
    return [str(problem) for problem in walk_structure(str(path), subdir=False)]  # type: ignore[no-untyped-call]


class Database:
    """An open environment. Reads may come from any thread, writes from the checkpoint's only."""

    def __init__(
        self, directory: Path, map_bytes: int, *, is_readonly: bool = False, checkpoint_bytes: int = 32 << 20
    ) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory = directory
        self._stage_bytes = checkpoint_bytes // STAGES_PER_CHECKPOINT
        self._map_bytes = map_bytes
        self._is_readonly = is_readonly
        self._open()

    def _open(self) -> None:
        is_readonly = self._is_readonly
        try:
            self._environment = lmdb.open(
                str(self.directory),
                map_size=self._map_bytes,
                max_dbs=len(DATABASE_TABLES),
                max_readers=16,
                readonly=is_readonly,
                create=not is_readonly,
                mode=0o600,
                lib_version=LIB_VERSION,
            )
            self._tables = {name: self._environment.open_db(name, create=not is_readonly) for name in DATABASE_TABLES}
            self._staged = self._staged_keys()
        except lmdb.Error as error:
            raise StoreCorrupt(f"database {self.directory}: {error}") from error

    def unmap(self) -> None:
        """Open the file anew, so that what a start has looked at is no longer counted as this process's memory.

        A page fault maps the 16 pages around it when they are cached: reading an index maps most of the file.
        """
        self._environment.close()
        self._open()

    def close(self) -> None:
        """Close the environment; its lock file is left, as LMDB wants it."""
        self._environment.close()

    # ------------------------------------------------------------------------------------------------------- reading

    def entries(self, table: bytes, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Raw (key, value) pairs of a table whose key begins with `prefix`, ascending."""
        with self._environment.begin(db=self._tables[table]) as transaction, transaction.cursor() as cursor:
            if not cursor.set_range(prefix):
                return
            for key, value in cursor:
                if not key.startswith(prefix):
                    return
                yield key, value

    def get(self, table: bytes, key: bytes) -> tuple[int, bytes] | None:
        """(LSN, body) of an enveloped entry, or None; raises StoreCorrupt."""
        value = self.raw(table, key)
        return None if value is None else unseal(table, key, value)

    def raw(self, table: bytes, key: bytes) -> bytes | None:
        """An entry as it lies there."""
        with self._environment.begin(db=self._tables[table]) as transaction:
            return transaction.get(key)

    def read_block(self, stream: int, first_seq: int) -> bytes | None:
        """A message block as it lies there; one call per 64 KiB of messages."""
        with self._environment.begin(db=self._tables[b"blocks"]) as transaction:
            return transaction.get(BLOCK_KEY.pack(stream, first_seq))

    def indexes(self, stream: int) -> Iterator[tuple[int, bytes]]:
        """(first sequence, index value) of every block of a stream, ascending."""
        for key, value in self.entries(b"index", STREAM_KEY.pack(stream)):
            yield BLOCK_KEY.unpack(key)[1], value

    def block_keys(self, stream: int) -> Iterator[int]:
        """First sequence of every block of a stream, without reading the blocks; none that is only staged."""
        prefix = STREAM_KEY.pack(stream)
        staged = set(self._staged_keys())
        with (
            self._environment.begin(db=self._tables[b"blocks"], buffers=True) as transaction,
            transaction.cursor() as cursor,
        ):
            if not cursor.set_range(prefix):
                return
            for key in cursor.iternext(keys=True, values=False):
                if bytes(key[:4]) != prefix:
                    return
                if bytes(key) not in staged:
                    yield BLOCK_KEY.unpack(key)[1]

    def newest_lsn(self, table: bytes) -> int:
        """The highest LSN that a table's envelopes bear, 0 if it is empty; checksums are not looked at."""
        newest = 0
        with self._environment.begin(db=self._tables[table], buffers=True) as transaction:
            for value in transaction.cursor().iternext(keys=False, values=True):
                if len(value) >= ENVELOPE.size:
                    newest = max(newest, ENVELOPE.unpack_from(value)[1])
        return newest

    def used_bytes(self) -> int:
        """Size of the database file that is in use (LMDB never shrinks the file; freed pages are reused)."""
        info = self._environment.info()
        return (info["last_pgno"] + 1) * self._environment.stat()["psize"]

    # ------------------------------------------------------------------------------------------------------- writing

    def write(self, changes: Changes, is_hurried: Callable[[], bool] = lambda: False) -> int:
        """Apply a checkpoint, synced, all or nothing; returns the bytes handed over. Takes staged blocks out of it."""
        tables = self._tables
        try:
            self._discard_staged()
            written = self._stage(changes, is_hurried)
            with self._environment.begin(write=True) as transaction:
                for stream in changes.streams_deleted:
                    self._delete_stream(transaction, stream)
                for stream, first_seq in changes.blocks_deleted:
                    key = BLOCK_KEY.pack(stream, first_seq)
                    transaction.delete(key, db=tables[b"blocks"])
                    transaction.delete(key, db=tables[b"index"])
                for stream, first_seq, buffer in changes.blocks:
                    transaction.put(BLOCK_KEY.pack(stream, first_seq), buffer, db=tables[b"blocks"])
                    written += memoryview(buffer).nbytes
                for stream, first_seq, value in changes.indexes:
                    transaction.put(BLOCK_KEY.pack(stream, first_seq), value, db=tables[b"index"])
                    written += len(value)
                written += self._put_small(transaction, changes)
                transaction.delete(STAGED_KEY, db=tables[b"meta"])
            self._staged = []
        except lmdb.MapFullError as error:
            raise StoreFull("the database has reached database_bytes_max") from error
        except lmdb.Error as error:
            code = getattr(error, "code", 0)
            if code in (errno.ENOSPC, errno.EDQUOT):
                raise StoreFull(f"no space for a checkpoint: {error}") from error
            raise StoreError(f"checkpoint: {error}") from error
        return written

    def _staged_keys(self) -> list[bytes]:
        """Keys of the blocks that no checkpoint has taken up yet. Damage counts as none: then they look unindexed."""
        try:
            _, keys = self.get(b"meta", STAGED_KEY) or (0, b"")
        except StoreCorrupt:
            return []
        return [keys[at : at + BLOCK_KEY.size] for at in range(0, len(keys), BLOCK_KEY.size)]

    def _discard_staged(self) -> None:
        """Remove what a checkpoint staged that did not end."""
        if not self._staged:
            return
        with self._environment.begin(write=True) as transaction:
            for key in self._staged:
                transaction.delete(key, db=self._tables[b"blocks"])
            transaction.delete(STAGED_KEY, db=self._tables[b"meta"])
        self._staged = []

    def _stage(self, changes: Changes, is_hurried: Callable[[], bool]) -> int:
        """Put whole groups of new blocks into the database ahead of the rest; returns their bytes."""
        last: list[MessageBlock] = []
        group: list[MessageBlock] = []
        size = sum(memoryview(buffer).nbytes for _, _, buffer in changes.blocks)
        group_bytes = 0
        deleted = set(changes.blocks_deleted)
        for entry in changes.blocks:
            if entry[:2] in deleted or entry[0] in changes.streams_deleted:
                last.append(entry)
                continue
            group.append(entry)
            group_bytes += memoryview(entry[2]).nbytes
            if group_bytes >= self._stage_bytes * (HURRIED_FACTOR if is_hurried() else 1):
                last += self._stage_group(group)
                group, group_bytes = [], 0
        changes.blocks = last + group
        return size - sum(memoryview(buffer).nbytes for _, _, buffer in changes.blocks)

    def _stage_group(self, group: list[MessageBlock]) -> list[MessageBlock]:
        """One staging transaction; returns the blocks whose key is in use: only the checkpoint may replace those."""
        replacing = []
        staged = list(self._staged)
        with self._environment.begin(write=True) as transaction:
            for stream, first_seq, buffer in group:
                key = BLOCK_KEY.pack(stream, first_seq)
                if transaction.put(key, buffer, overwrite=False, db=self._tables[b"blocks"]):
                    staged.append(key)
                else:
                    replacing.append((stream, first_seq, buffer))
            names = seal(b"meta", STAGED_KEY, 0, b"".join(staged))
            transaction.put(STAGED_KEY, names, db=self._tables[b"meta"])
        self._staged = staged
        return replacing

    def _put_small(self, transaction: lmdb.Transaction, changes: Changes) -> int:
        written = 0
        small: Iterable[tuple[bytes, bytes, tuple[int, bytes | None]]] = (
            *((b"streams", STREAM_KEY.pack(number), value) for number, value in changes.streams.items()),
            *((b"blobs", blob_key(*key), value) for key, value in changes.blobs.items()),
            *((b"meta", key, value) for key, value in changes.meta.items()),
        )
        for table, key, (lsn, body) in small:
            if body is None:
                transaction.delete(key, db=self._tables[table])
            else:
                value = seal(table, key, lsn, body)
                transaction.put(key, value, db=self._tables[table])
                written += len(value)
        return written

    def _delete_stream(self, transaction: lmdb.Transaction, stream: int) -> None:
        prefix = STREAM_KEY.pack(stream)
        transaction.delete(prefix, db=self._tables[b"streams"])
        for table in (b"blocks", b"index"):
            with transaction.cursor(db=self._tables[table]) as cursor:
                found = cursor.set_range(prefix)
                while found and bytes(cursor.key()).startswith(prefix):
                    found = cursor.delete()

    def snapshot(self) -> DatabaseSnapshot:
        """The database as it is now, to be read whatever is written later; pages it needs are not reused meanwhile."""
        return DatabaseSnapshot(self._environment)

    def copy_compact(self, target: Path) -> None:
        """Write a copy without free pages into an empty directory; the caller syncs and renames it."""
        target.mkdir(mode=0o700)
        self._environment.copy(str(target), compact=True)
        descriptor = os.open(target / "data.mdb", os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class DatabaseSnapshot:
    """One moment of an environment. Closing it is the caller's duty: until then the file can only grow."""

    def __init__(self, environment: lmdb.Environment) -> None:
        self._environment = environment
        self._transaction = environment.begin()

    def copy(self, target: Path) -> None:
        """Write it, without free pages, into an empty directory. Raises StoreError."""
        try:
            self._environment.copy(str(target), compact=True, txn=self._transaction)
        except lmdb.Error as error:
            raise StoreError(f"copy of the database: {error}") from error

    def close(self) -> None:
        """Let its pages be reused."""
        self._transaction.abort()
