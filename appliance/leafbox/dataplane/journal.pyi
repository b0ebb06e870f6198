import asyncio
from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

from _typeshed import ReadableBuffer

from leafbox.dataplane.segment_pool import SegmentPool

class RecordKind(IntEnum):
    STREAM_CREATE = 1
    STREAM_DELETE = 2
    STREAM_LIMITS = 3
    MESSAGE_APPEND = 4
    MESSAGE_REMOVE = 5
    MESSAGE_COMPACT = 6
    MESSAGE_PURGE = 7
    SEQUENCE_SKIP = 8
    MESSAGE_TRUNCATE = 9
    BLOB_PUT = 16
    BLOB_DELETE = 17
    BLOB_DELTA = 18

class JournalState(IntEnum):
    JOURNAL_CLOSED = 0
    JOURNAL_READY = 1
    JOURNAL_FAILED = 2
    JOURNAL_FULL = 3

class JournalStatus(NamedTuple):
    state: JournalState
    error_number: int
    error_operation: str
    is_space_low: bool
    free_bytes: int
    last_lsn: int
    durable_lsn: int
    staged_bytes: int
    held_bytes: int
    segment_count: int
    segments_free: int
    commit_count: int
    record_count: int
    written_bytes: int
    failure_count: int
    sync_count: int
    sync_us: int

class RecordVisitor: ...

class Journal(SegmentPool):
    staging_bytes_max: int
    body_bytes_max: int
    syncs_always: bool
    is_pressed: bool
    commit_count: int
    record_count: int
    written_bytes: int
    failure_count: int
    sync_count: int
    sync_us: int
    sync_longest_us: int
    sync_last_us: int
    def __init__(
        self,
        directory: str,
        *,
        store_salt: int,
        recovered_lsn: int,
        next_lsn: int,
        next_epoch: int,
        next_file_number: int,
        segments: list[tuple[int, int, int, int, int, int]],
        segment_bytes: int,
        staging_bytes_max: int,
        log_bytes_max: int,
        free_bytes_min: int,
        syncs_always: bool,
        sync_interval_s: float,
        probe_interval_s: float,
    ) -> None: ...
    def append_record(self, kind: int, owner: int, body: ReadableBuffer, is_urgent: bool = True) -> int: ...
    def want_commit(self, lsn: int) -> None: ...
    def gather(self) -> None: ...
    def end_gathering(self) -> None: ...
    def begin_group(self, count: int, body_bytes: int, body_bytes_largest: int) -> None: ...
    def end_group(self) -> None: ...
    def attach(self, loop: asyncio.AbstractEventLoop) -> None: ...
    def detach(self) -> None: ...
    def add_durable_callback(self, callback: Callable[[int], None]) -> None: ...
    def add_state_callback(self, callback: Callable[[], None]) -> None: ...
    def wait_durable(self, lsn: int, timeout_s: float = 30.0) -> bool: ...
    def close(self) -> bool: ...
    def status(self) -> JournalStatus: ...
    @property
    def last_lsn(self) -> int: ...
    @property
    def durable_lsn(self) -> int: ...
    @property
    def is_congested(self) -> bool: ...
    @property
    def is_refusing(self) -> bool: ...
