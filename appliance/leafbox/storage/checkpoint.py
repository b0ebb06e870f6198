"""Checkpoints: what changed since the last one goes to the database in one transaction, then the log is recycled.

On the loop thread, in slices: set blobs aside, have owners supersede their deltas, capture one stream after the other
(each exactly as of its `applied_lsn`; replay skips what a stream's state already holds, so streams need not be
captured at the same moment). On the worker thread: fill in checksums, write, sync, recycle. A failed checkpoint changes
nothing: everything stays in memory and in the log, and the next one tries again.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from leafbox.dataplane.journal import Journal
from leafbox.dataplane.stream_store import StreamStore
from leafbox.protocol.errors import StoreError
from leafbox.storage.blobs import BlobKey, BlobTable
from leafbox.storage.database import ORDERED_KEY, Changes, Database
from leafbox.storage.records import FORMAT_VERSION

logger = logging.getLogger(__name__)

SLICE_S = 0.001
"""Time a slice of loop-side work may take before the loop gets a turn; one stream or blob is never split."""
SQUEEZES_PER_STREAM = 64
"""Blocks of one stream that one checkpoint writes anew because they are half dead: bounds its extra writes to 4 MiB."""
LOG_WAIT_S = 10.0
"""How long a checkpoint waits for the log to be durable up to what it captured."""
RETRY_S = 5.0
"""Pause after a failed checkpoint."""

if TYPE_CHECKING:
    from leafbox.dataplane.stream_store import CapturedBlock


@dataclass(slots=True)
class Job:
    """One checkpoint on its way."""

    lsn: int
    """Everything up to this record is in it; the log may be recycled that far."""
    log_bytes: int
    changes: Changes = field(default_factory=Changes)
    captured: list[tuple[StreamStore, list[CapturedBlock], list[int]]] = field(default_factory=list)
    error: str = ""
    written_bytes: int = 0


class Checkpointer:
    """Runs checkpoints, one at a time."""

    def __init__(
        self,
        database: Database,
        journal: Journal,
        blobs: BlobTable,
        streams: dict[int, StreamStore],
        salt: int,
        checkpoint_lsn: int,
        on_finished: Callable[[], None],
    ) -> None:
        self._database = database
        self._journal = journal
        self._blobs = blobs
        self._streams = streams
        self._salt = salt
        self._on_finished = on_finished
        self._loop: asyncio.AbstractEventLoop | None = None
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._worker: threading.Thread | None = None
        self._todo: list[Callable[[], None]] = []
        self._log_bytes_done = 0
        self._current: Job | None = None
        self._retry_at_s = 0.0
        self.streams_deleted: list[int] = []
        self.next_stream_number = 1
        self.is_running = False
        self.is_held = False
        """A copy of the log is being made: it must not be recycled."""
        self.checkpoint_lsn = checkpoint_lsn
        self.count = 0
        self.written_bytes = 0
        self.error = ""

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run on `loop` and a worker thread from now on."""
        self._loop = loop
        self._worker = threading.Thread(target=self._work, name="store-checkpoint", daemon=True)
        self._worker.start()

    def stop(self) -> None:
        """Wait for a checkpoint under way, then end the worker."""
        if self._worker is not None:
            self._jobs.put(None)
            self._worker.join()
            self._worker = None
        self._loop = None
        if self._current is not None:
            # Its end was to be reported to the loop, which no longer turns; or it had not come to the worker yet.
            if self._todo:
                self._todo = []
                self._current.error = "stopped"
            self._finish(self._current)

    def due_bytes(self) -> int:
        """Log written since the last checkpoint began."""
        return self._journal.written_bytes - self._log_bytes_done

    def may_begin(self) -> bool:
        """Whether a checkpoint could begin now: none is under way, and the last failure is a while ago."""
        return not self.is_running and not self.is_held and time.monotonic() >= self._retry_at_s

    def begin(self) -> None:
        """Begin a checkpoint on the loop, unless one is under way."""
        if self.is_running or self.is_held or self._loop is None:
            return
        job = self._prepare()
        self._slice(job)

    def run_now(self, *, is_clean: bool = False) -> None:
        """A whole checkpoint on the calling thread (start-up, stop, command line). Raises StoreError."""
        assert not self.is_running
        job = self._prepare()
        for step in self._todo:
            step()
        self._todo = []
        self._seal_facts(job, is_clean)
        self._write(job)
        self._finish(job)
        if job.error:
            raise StoreError(job.error)

    # ------------------------------------------------------------------------------------------------------ loop side

    def _prepare(self) -> Job:
        self.is_running = True
        lsn = self._journal.last_lsn
        job = Job(lsn, self._journal.written_bytes)
        self._current = job
        self._blobs.begin_checkpoint()
        job.changes.streams_deleted, self.streams_deleted = self.streams_deleted, []
        self._todo = [partial(self._snapshot, key) for key in self._blobs.delta_keys()]
        self._todo += [partial(self._capture, job, store) for store in self._streams.values()]
        self._todo.reverse()
        return job

    def _slice(self, job: Job) -> None:
        until = time.monotonic() + SLICE_S
        while self._todo:
            self._todo.pop()()
            if time.monotonic() >= until:
                break
        assert self._loop is not None
        if self._todo:
            self._loop.call_soon(self._slice, job)
        else:
            self._seal_facts(job, is_clean=False)
            self._jobs.put(job)

    def _snapshot(self, key: BlobKey) -> None:
        self._blobs.snapshot(key, self._journal.last_lsn)

    def _capture(self, job: Job, store: StreamStore) -> None:
        if self._streams.get(store.number) is not store:
            return  # deleted since the checkpoint began
        for block in store.squeeze_candidates()[:SQUEEZES_PER_STREAM]:
            store.squeeze(block)
        if not store.is_dirty:
            return
        state, work, dropped = store.capture()
        job.captured.append((store, work, dropped))
        number = store.number
        job.changes.streams[number] = (store.applied_lsn, state + store.name)
        job.changes.blocks_deleted.extend((number, first_seq) for first_seq in dropped)
        for block, buffer, _, _, _, index in work:
            if buffer is not None:
                job.changes.blocks.append((number, block.first_sequence, buffer))
            job.changes.indexes.append((number, block.first_sequence, index))

    def _seal_facts(self, job: Job, is_clean: bool) -> None:
        job.changes.blobs = dict(self._blobs.writing())
        job.changes.meta = {
            b"format": (0, FORMAT_VERSION.to_bytes(2, "little")),
            b"salt": (0, self._salt.to_bytes(8, "little")),
            b"checkpoint": (job.lsn, b""),
            ORDERED_KEY: (job.lsn, b""),
            b"next_stream": (0, self.next_stream_number.to_bytes(4, "little")),
        }
        if is_clean:
            job.changes.meta[b"clean"] = (job.lsn, b"")

    def _finish(self, job: Job) -> None:
        """Loop side again: what was written is clean."""
        if self._current is not job:
            return  # `stop` was faster
        self._current = None
        is_written = not job.error
        for store, work, dropped in job.captured:
            if is_written:
                store.capture_written(work)
            else:
                store.capture_failed(dropped)
        self._blobs.end_checkpoint(is_written)
        self.error = job.error
        self.is_running = False
        if is_written:
            self.checkpoint_lsn = job.lsn
            self.count += 1
            self.written_bytes += job.written_bytes
            self._log_bytes_done = job.log_bytes
            self._on_finished()
            return
        logger.error("checkpoint failed reason=%s", job.error)
        self.streams_deleted = job.changes.streams_deleted + self.streams_deleted
        self._retry_at_s = time.monotonic() + RETRY_S
        if self._loop is not None:
            # Under pressure no commit may come along to ask for the next one.
            self._loop.call_later(RETRY_S, self.begin)

    # ---------------------------------------------------------------------------------------------------- worker side

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._write(job)
            loop = self._loop
            if loop is not None and not loop.is_closed():
                loop.call_soon_threadsafe(self._finish, job)

    def _write(self, job: Job) -> None:
        # The log first: a database ahead of it would hold what a start cannot find there. A log that failed or is full
        # is not waited for; the checkpoint is what helps it.
        captured = (*job.changes.streams.values(), *job.changes.blobs.values())
        self._journal.wait_durable(max((lsn for lsn, _ in captured), default=job.lsn), LOG_WAIT_S)
        try:
            for store, work, _ in job.captured:
                for block, buffer, size, count, _, _ in work:
                    if buffer is not None:
                        store.seal(block, buffer, size, count)
            job.written_bytes = self._database.write(job.changes, lambda: self._journal.is_pressed)
        except StoreError as error:
            job.error = str(error)
            return
        except Exception as error:
            # Root of the worker's task: a defect must not end checkpoints silently.
            logger.exception("checkpoint defect")
            job.error = f"{type(error).__name__}: {error}"
            return
        self._journal.release(job.lsn)
        self._journal.probe()
