"""Takes a stopped box back to its first day, as a whole or in part. `leafbox reset` asks; this deletes.

`settings` are people, logins, tokens, devices, uplinks, bridges, certificates, the configuration and the box's name;
`data` are streams, buckets, MQTT sessions, retained messages, history and readings. The audit record belongs to
neither, it goes with everything only. What is interrupted can be done again: what is left is a whole box or an empty
one, and folders named `.deleted-...` that nothing reads.
"""

from __future__ import annotations

import enum
import os
import shutil
import time
from pathlib import Path

from leafbox.app.backup_contents import BACKUPS, STORE
from leafbox.app.readings import FILE_NAME as READINGS
from leafbox.protocol.errors import StoreError
from leafbox.storage.config import StorageOptions
from leafbox.storage.engine import Store
from leafbox.storage.records import BlobKind

SETTINGS = (
    BlobKind.DASHBOARD_USER,
    BlobKind.DASHBOARD_SESSION,
    BlobKind.DASHBOARD_TOKEN,
    BlobKind.DEVICE,
    BlobKind.SETTING,
)
KEPT_WITHOUT_DATA = (*SETTINGS, BlobKind.AUDIT)
SYNC_TIMEOUT_S = 60.0


class Part(enum.StrEnum):
    """What is deleted."""

    SETTINGS = "settings"
    DATA = "data"
    EVERYTHING = "everything"


def delete_everything(data: Path, *, with_backups: bool) -> None:
    """Set everything aside at once, then delete it: interrupted, what is left is not taken for a box."""
    aside = _aside(data)
    _move(data, aside, {path.name for path in data.iterdir()} - ({BACKUPS} if not with_backups else set()))
    shutil.rmtree(aside)


def delete_settings(data: Path) -> None:
    """All but the store's messages, the backups and the audit record. Raises StoreError, OSError."""
    if (data / STORE).is_dir():
        store = _opened(data / STORE)
        try:
            for kind in SETTINGS:
                for key in [key for key, _ in store.list_blobs(kind)]:
                    _wait(store, store.delete_blob(kind, key))
        finally:
            store.close()
    aside = _aside(data)
    _move(data, aside, {path.name for path in data.iterdir()} - {BACKUPS, STORE, READINGS})
    shutil.rmtree(aside)


def delete_messages(data: Path) -> None:
    """All that was stored; settings, backups and the audit record stay. Raises StoreError, OSError."""
    aside = _aside(data)
    if (data / STORE).is_dir():
        store = _opened(data / STORE)
        try:
            kept = {kind: list(store.list_blobs(kind)) for kind in KEPT_WITHOUT_DATA}
        finally:
            store.close()
        fresh = _opened(aside / f"{STORE}-new")
        try:
            for kind, entries in kept.items():
                for key, body in entries:
                    _wait(fresh, fresh.put_blob(kind, key, body))
        finally:
            fresh.close()
    _move(data, aside, {READINGS, STORE})
    if (aside / f"{STORE}-new").is_dir():
        (aside / f"{STORE}-new").rename(data / STORE)
        _sync(data)
    shutil.rmtree(aside)


def _opened(directory: Path) -> Store:
    # However little is free: this makes room.
    return Store(StorageOptions(directory=str(directory), free_bytes_min=0))


def _wait(store: Store, lsn: int) -> None:
    if not store.wait_durable(lsn, SYNC_TIMEOUT_S):
        raise StoreError(f"the store could not keep the change: {store.health().reason or 'too slow'}")


def _aside(data: Path) -> Path:
    aside = data / f".deleted-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    aside.mkdir(mode=0o700)
    return aside


def _move(data: Path, aside: Path, names: set[str]) -> None:
    for name in sorted(names):
        path = data / name
        if path != aside and os.path.lexists(path):
            path.rename(aside / name)
    _sync(data)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
