"""Blobs: the small key-value entries of every feature (definitions, consumer state, sessions, users, cursors).

A put or delete is one log record; what changed since the last checkpoint is kept here, the rest is read from the
database. Progress that moves with every message (consumer acks) is too frequent for whole bodies: its owner appends
*deltas*, which live only in the log, and at each checkpoint hands over one whole body that supersedes them.

An owner may be away: its account has no JetStream at the moment, MQTT is switched off. Then a checkpoint writes the
deltas themselves beside the body (kind + `_UNCLAIMED`), and they wait there until the owner is back.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from leafbox.dataplane.journal import Journal, RecordKind
from leafbox.protocol.errors import LimitExceeded, StoreCorrupt
from leafbox.storage.database import Database, blob_key, unseal

KEY_BYTES_MAX = 400
"""LMDB's key limit is 511 bytes; the rest is kept for prefixes."""
_KEY_SIZE = struct.Struct("<H")
_UNCLAIMED = 0x8000
"""Added to a blob's kind: the entry that holds its deltas while nobody is there to fold them into its body."""
_UNCLAIMED_PREFIX = bytes([_UNCLAIMED >> 8])

BlobKey = tuple[int, bytes]
Snapshot = Callable[[bytes], bytes | None]


class BlobTable:
    """All blobs; lives on the loop thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._journal: Journal | None = None
        self._changed: dict[BlobKey, tuple[int, bytes | None]] = {}
        self._writing: dict[BlobKey, tuple[int, bytes | None]] = {}
        self._deltas: dict[BlobKey, bytearray] = {}
        """What a start found, or what nobody could fold; until something supersedes it."""
        self._delta_keys: dict[BlobKey, None] = {}
        """Keys with deltas that only the log has."""
        self._snapshots: dict[int, Snapshot] = {}
        self._waiting: dict[BlobKey, int] = {}
        """Keys whose deltas the database has, and the newest record among them."""
        self.problems: list[str] = []
        """What of the database could not be read at the start."""
        self._load_waiting()

    def use_journal(self, journal: Journal) -> None:
        """Log changes there from now on; before, only `replay` changes anything."""
        self._journal = journal

    # ------------------------------------------------------------------------------------------------------ requests

    def put(self, kind: int, key: bytes, body: bytes) -> int:
        """Store a blob whole; returns the LSN whose durability makes it safe. Deltas of the key are superseded."""
        lsn = self._log(RecordKind.BLOB_PUT, kind, key, body)
        self._replace((kind, key), lsn, body)
        return lsn

    def delete(self, kind: int, key: bytes) -> int:
        """Remove a blob and its deltas; returns the LSN, 0 if there was nothing."""
        known = (kind, key) in self._delta_keys or (kind, key) in self._deltas
        if not known and self.get(kind, key) is None:
            return 0
        lsn = self._log(RecordKind.BLOB_DELETE, kind, key, b"")
        self._replace((kind, key), lsn, None)
        return lsn

    def append_delta(self, kind: int, key: bytes, body: bytes, is_urgent: bool = True) -> int:
        """Log a change to a blob that its owner applies itself; returns the LSN."""
        lsn = self._log(RecordKind.BLOB_DELTA, kind, key, body, is_urgent)
        self._delta_keys[kind, key] = None
        if kind not in self._snapshots:
            self._keep_delta((kind, key), body)
        return lsn

    def get(self, kind: int, key: bytes) -> bytes | None:
        """A blob's body; deltas are not applied to it. Raises StoreCorrupt."""
        for changes in (self._changed, self._writing):
            if (kind, key) in changes:
                return changes[kind, key][1]
        found = self._database.get(b"blobs", blob_key(kind, key))
        return None if found is None else found[1]

    def items(self, kind: int) -> Iterator[tuple[bytes, bytes]]:
        """(key, body) of every blob of a kind, keys ascending. Raises StoreCorrupt at a damaged one."""
        prefix = kind.to_bytes(2, "big")
        found: dict[bytes, bytes | None] = {}
        for key, value in self._database.entries(b"blobs", prefix):
            found[key[2:]] = unseal(b"blobs", key, value)[1]
        for changes in (self._writing, self._changed):
            found.update({key: body for (owner, key), (_, body) in changes.items() if owner == kind})
        for key in sorted(found):
            body = found[key]
            if body is not None:
                yield key, body

    def register_snapshots(self, kind: int, snapshot: Snapshot) -> None:
        """`snapshot(key)` gives the whole body that supersedes all deltas of `key` so far, None if it has no owner."""
        self._snapshots[kind] = snapshot

    def deltas(self, kind: int) -> Iterator[tuple[bytes, list[bytes]]]:
        """The deltas that a start found and nothing has superseded yet, per key in the order they were appended."""
        for owner, key in sorted(self._deltas):
            if owner == kind:
                yield key, list(_unpack(self._deltas[owner, key]))

    # ---------------------------------------------------------------------------------------------------- checkpoint

    def begin_checkpoint(self) -> None:
        """Set the changes so far aside for the checkpoint; later ones are the next one's."""
        assert not self._writing
        self._writing, self._changed = self._changed, {}

    def delta_keys(self) -> list[BlobKey]:
        """Keys whose deltas the checkpoint should supersede."""
        return list(self._delta_keys)

    def snapshot(self, key: BlobKey, lsn: int) -> None:
        """Have one key's owner supersede its deltas; `lsn` is the newest record as of this call."""
        if key not in self._delta_keys:
            return
        owner = self._snapshots.get(key[0])
        body = owner(key[1]) if owner is not None else None
        del self._delta_keys[key]
        if body is not None:
            self._deltas.pop(key, None)
            self._writing[key] = (lsn, body)
            self._forget_waiting(key, lsn, self._writing)
        elif key in self._deltas:
            self._waiting[key] = lsn
            self._writing[_waiting_key(key)] = (lsn, bytes(self._deltas[key]))

    def writing(self) -> dict[BlobKey, tuple[int, bytes | None]]:
        """What the checkpoint under way writes."""
        return self._writing

    def end_checkpoint(self, is_written: bool) -> None:
        """The checkpoint is over; if it failed, what it was to write is unsaved again."""
        if not is_written:
            self._writing.update(self._changed)
            self._changed = self._writing
        self._writing = {}

    # ------------------------------------------------------------------------------------------------------ recovery

    def replay(self, kind: int, owner: int, lsn: int, record: bytes) -> None:
        """Do again what a log record says."""
        (size,) = _KEY_SIZE.unpack_from(record)
        key = (owner, record[2 : 2 + size])
        body = record[2 + size :]
        if kind != RecordKind.BLOB_DELTA:
            self._replace(key, lsn, body if kind == RecordKind.BLOB_PUT else None)
            return
        stored = self._database.get(b"blobs", blob_key(*key)) if key not in self._changed else None
        if (stored is not None and lsn <= stored[0]) or lsn <= self._waiting.get(key, 0):
            return
        self._keep_delta(key, body)
        self._delta_keys[key] = None

    def _load_waiting(self) -> None:
        for raw_key, value in self._database.entries(b"blobs", _UNCLAIMED_PREFIX):
            key = int.from_bytes(raw_key[:2], "big") ^ _UNCLAIMED, raw_key[2:]
            try:
                lsn, packed = unseal(b"blobs", raw_key, value)
            except StoreCorrupt as error:
                self.problems.append(f"changes to an entry of kind {key[0]}: {error}")
                continue
            self._waiting[key] = lsn
            self._deltas[key] = bytearray(packed)

    # -------------------------------------------------------------------------------------------------------- inside

    def _replace(self, key: BlobKey, lsn: int, body: bytes | None) -> None:
        """The entry is this from now on, whatever deltas there were."""
        self._changed[key] = (lsn, body)
        self._delta_keys.pop(key, None)
        self._deltas.pop(key, None)
        self._forget_waiting(key, lsn, self._changed)

    def _forget_waiting(self, key: BlobKey, lsn: int, changes: dict[BlobKey, tuple[int, bytes | None]]) -> None:
        if self._waiting.pop(key, None) is not None:
            changes[_waiting_key(key)] = (lsn, None)

    def _keep_delta(self, key: BlobKey, body: bytes) -> None:
        self._deltas.setdefault(key, bytearray()).extend(len(body).to_bytes(4, "little") + body)

    def _log(self, record: RecordKind, kind: int, key: bytes, body: bytes, is_urgent: bool = True) -> int:
        assert self._journal is not None
        return self._journal.append_record(record, kind, key_head(key) + body, is_urgent)


def key_head(key: bytes) -> bytes:
    """What the record of a change to this key begins with."""
    if len(key) > KEY_BYTES_MAX:
        raise LimitExceeded("blob key bytes", KEY_BYTES_MAX, len(key))
    return _KEY_SIZE.pack(len(key)) + key


def _unpack(packed: bytearray) -> Iterator[bytes]:
    at = 0
    while at < len(packed):
        size = int.from_bytes(packed[at : at + 4], "little")
        yield bytes(packed[at + 4 : at + 4 + size])
        at += 4 + size


def _waiting_key(key: BlobKey) -> BlobKey:
    return key[0] | _UNCLAIMED, key[1]
