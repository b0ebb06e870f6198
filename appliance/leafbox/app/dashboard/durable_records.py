"""The store in the shape that people, sessions, tokens and audit ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from leafbox.protocol.errors import BoxRequestFailed
from leafbox.security.dashboard.records import RecordKind
from leafbox.storage.engine import Store
from leafbox.storage.records import BlobKind

DURABLE_S = 10.0
"""A device that takes longer is as good as gone for whoever waits for a page."""

KINDS = {
    RecordKind.PERSON: BlobKind.DASHBOARD_USER,
    RecordKind.SESSION: BlobKind.DASHBOARD_SESSION,
    RecordKind.TOKEN: BlobKind.DASHBOARD_TOKEN,
    RecordKind.AUDIT: BlobKind.AUDIT,
}


class DurableRecords:
    """Records of one store. Belongs to the loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last_lsn = 0
        self._durable_lsn = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        store.on_durable(self._on_durable)

    def put(self, kind: RecordKind, key: bytes, value: bytes) -> None:
        """Set one."""
        self._last_lsn = max(self._last_lsn, self._store.put_blob(KINDS[kind], key, value))

    def delete(self, kind: RecordKind, key: bytes) -> None:
        """Remove one."""
        self._last_lsn = max(self._last_lsn, self._store.delete_blob(KINDS[kind], key))

    def get(self, kind: RecordKind, key: bytes) -> bytes | None:
        """One, or None."""
        return self._store.get_blob(KINDS[kind], key)

    def items(self, kind: RecordKind) -> Iterable[tuple[bytes, bytes]]:
        """All of a kind."""
        return self._store.list_blobs(KINDS[kind])

    async def durable(self) -> None:
        """Wait for what was changed so far."""
        if self._last_lsn <= self._durable_lsn:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((self._last_lsn, waiter))
        try:
            async with asyncio.timeout(DURABLE_S):
                await waiter
        except TimeoutError:
            reason = f"the store did not write within {DURABLE_S:.0f} s: {self._store.health().reason or 'slow flash'}"
            raise BoxRequestFailed("failed", reason, "look at the issues of the store") from None

    def _on_durable(self, lsn: int) -> None:
        self._durable_lsn = max(self._durable_lsn, lsn)
        for wanted, waiter in self._waiting:
            if wanted <= lsn and not waiter.done():
                waiter.set_result(None)
        self._waiting = [(wanted, waiter) for wanted, waiter in self._waiting if not waiter.done()]
