"""Records in memory: the port's contract without a disk."""

from __future__ import annotations

from collections.abc import Iterable

from leafbox.security.dashboard.records import RecordKind


class MemoryRecords:
    """Counts writes, so that tests see what reaches the flash."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, bytes], bytes] = {}
        self.writes = 0

    def put(self, kind: RecordKind, key: bytes, value: bytes) -> None:
        self.writes += 1
        self.kept[kind.value, key] = value

    def delete(self, kind: RecordKind, key: bytes) -> None:
        self.kept.pop((kind.value, key), None)

    def get(self, kind: RecordKind, key: bytes) -> bytes | None:
        return self.kept.get((kind.value, key))

    def items(self, kind: RecordKind) -> Iterable[tuple[bytes, bytes]]:
        return sorted((key, value) for (owner, key), value in self.kept.items() if owner == kind.value)

    async def durable(self) -> None:
        return None
