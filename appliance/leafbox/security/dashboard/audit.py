"""The audit record: every change by a person or token, written before it is made and again with its outcome.

An entry without outcome (status 0) says that somebody set out to do something and that the process ended before it
knew more. A ring: the oldest entry goes when there are too many. Never holds bodies of requests, which may be secrets.
"""

from __future__ import annotations

import msgspec

from leafbox.protocol.errors import BoxRequestFailed
from leafbox.security.dashboard.records import RecordKind, Records, decoded

ENTRIES_MAX = 10_000
"""About 3 MB on flash: years of a quiet site, a month of a busy one."""
PAGE_MAX = 500
FIELD_CHARACTERS_MAX = 300


class AuditRecord(msgspec.Struct, frozen=True):
    """One change, as stored."""

    id: int
    at_s: float
    who: str
    via: str
    ip: str
    action: str
    target: str = ""
    account: str = ""
    status: int = 0


class AuditLog:
    """The ring. Belongs to the loop."""

    def __init__(self, records: Records, entries_max: int = ENTRIES_MAX) -> None:
        self._records = records
        self._entries_max = entries_max
        ids = [int.from_bytes(key, "big") for key, _ in records.items(RecordKind.AUDIT)]
        self._first = min(ids, default=1)
        self._next = max(ids, default=0) + 1

    def begin(self, record: AuditRecord) -> AuditRecord:
        """Write an entry, with an id of its own."""
        fields = ("who", "via", "ip", "action", "target", "account")
        shortened = {name: getattr(record, name)[:FIELD_CHARACTERS_MAX] for name in fields}
        record = msgspec.structs.replace(record, id=self._next, **shortened)
        self._next += 1
        self._put(record)
        while self._next - self._first > self._entries_max:
            self._records.delete(RecordKind.AUDIT, _key(self._first))
            self._first += 1
        return record

    def finish(self, id: int, status: int) -> None:
        """Add how it ended."""
        record = self._get(id)
        if record is None:
            raise BoxRequestFailed("not_found", f"there is no audit entry {id}", "")
        self._put(msgspec.structs.replace(record, status=status))

    def page(self, before: int | None, limit: int) -> tuple[list[AuditRecord], bool]:
        """The newest entries with an id below `before`, newest first, and whether there are more."""
        top = self._next if before is None else min(before, self._next)
        low = max(self._first, top - min(limit, PAGE_MAX))
        found = [record for id in range(top - 1, low - 1, -1) if (record := self._get(id)) is not None]
        return found, low > self._first

    def _get(self, id: int) -> AuditRecord | None:
        if not self._first <= id < self._next:
            return None
        value = self._records.get(RecordKind.AUDIT, _key(id))
        return None if value is None else decoded(value, AuditRecord)

    def _put(self, record: AuditRecord) -> None:
        self._records.put(RecordKind.AUDIT, _key(record.id), msgspec.json.encode(record))


def _key(id: int) -> bytes:
    return id.to_bytes(8, "big")
