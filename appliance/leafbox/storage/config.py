"""Configuration of the store: where it is, what it may use, how durable an acknowledgement is."""

from __future__ import annotations

import enum
from dataclasses import dataclass

MEBIBYTE = 1 << 20


class SyncMode(enum.Enum):
    """When a record counts as durable, that is, when its acknowledgement may go out."""

    ALWAYS = "always"
    """After the sync that covers it."""
    INTERVAL = "interval"
    """After the write; a power cut loses up to `sync_interval_s` of acknowledged data. A SIGKILL loses nothing."""


@dataclass(frozen=True, slots=True)
class StorageOptions:
    """The store's section; the defaults suit a box with 512 MiB of RAM and an SD card."""

    directory: str
    """Directory of log, database and quarantine; created if missing, mode 0700."""
    sync: SyncMode = SyncMode.ALWAYS
    """What an acknowledgement means."""
    sync_interval_s: float = 1.0
    """Longest time that records which nobody waits for (asynchronous streams, `interval`) stay unsynced."""
    segment_bytes: int = 16 * MEBIBYTE
    """Size of one log segment, written full of zeros when made. No record may be larger: bounds the message size."""
    staging_bytes_max: int = 16 * MEBIBYTE
    """Records that wait for the device; half of it means congested (pause reading), all of it refuses appends."""
    checkpoint_bytes: int = 32 * MEBIBYTE
    """Log written since the last checkpoint that starts the next. Also bounds replay at start and the memory of
    unsaved messages; twice this is needed in RAM while a checkpoint runs."""
    log_bytes_max: int = 256 * MEBIBYTE
    """All segments together. Reached only if checkpoints do not finish; then new messages are refused."""
    cache_bytes_max: int = 16 * MEBIBYTE
    """Message blocks kept in RAM that the database also has."""
    database_bytes_max: int = 64 << 30
    """LMDB's map size: address space, not disk. Lower it on 32-bit machines (1 GiB)."""
    free_bytes_min: int = 64 * MEBIBYTE
    """New messages are refused while the file system has less free: room for deletes, progress and checkpoints."""
    probe_interval_s: float = 1.0
    """How often free space is looked at, and a failed device tried again."""
