"""The JetStream of `jetstream_harness` on a real store: log, database and files are real, only the clock stands still.

Whenever the loop comes to rest, the log is durable and JetStream has been told, so every answer that is due has come.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import cast

from leafbox.app.jetstream import StoreAdapter
from leafbox.dataplane.stream_ingest import freeze_clock, now_ns
from leafbox.protocol.jetstream.info import AccountLimits
from leafbox.storage.config import StorageOptions
from leafbox.storage.engine import Store
from tests.support.jetstream_harness import Harness, VirtualLoop
from tests.support.store_copy import copy_living_store

LOG_TURNS_MAX = 1_000


class FileLoop(VirtualLoop):
    """Comes to rest only once the log is durable and everybody has been told."""

    def __init__(self) -> None:
        super().__init__()
        self.store: Store | None = None
        self._on_log: Callable[[], object] | None = None

    def add_reader(self, _descriptor: int, callback: Callable[[], object]) -> None:
        self._on_log = callback

    def remove_reader(self, _descriptor: int) -> None:
        self._on_log = None

    def is_closed(self) -> bool:
        return False

    def settle(self) -> None:
        for _ in range(LOG_TURNS_MAX):
            super().settle()
            if self.store is None or self._on_log is None:
                return
            last_lsn = self.store.journal.last_lsn
            assert self.store.wait_durable(last_lsn), "the log does not become durable"
            self._on_log()
            super().settle()
            if self.store.journal.last_lsn == last_lsn:
                return
        raise AssertionError("the log does not come to rest")


class FileHarness(Harness):
    """One account with JetStream on the files of a directory. `stop`, `kill` or `leave` it; then make another."""

    def __init__(self, directory: Path, limits: AccountLimits | None = None) -> None:
        self.directory = directory
        loop = FileLoop()
        self.store = Store(
            StorageOptions(
                directory=str(directory),
                segment_bytes=1 << 18,
                staging_bytes_max=1 << 18,
                cache_bytes_max=1 << 16,
                database_bytes_max=1 << 28,
                free_bytes_min=0,
            )
        )
        assert self.store.report.damages == (), self.store.report
        loop.store = self.store
        # Checkpoints are made by the test, on its thread.
        self.store.journal.attach(cast(asyncio.AbstractEventLoop, loop))
        super().__init__(limits=limits, durable=(loop, StoreAdapter(self.store)))

    def checkpoint(self) -> None:
        """What is in the log goes to the database."""
        self.loop.settle()
        self.store.checkpoint_and_wait()

    def stop(self) -> None:
        """An orderly stop, with its last checkpoint."""
        now = now_ns()
        self.jetstream.stop()
        self.loop.settle()
        self.store.close()
        freeze_clock(now)

    def kill(self, copy: Path) -> None:
        """What a SIGKILL leaves goes to `copy`: the files as they are at this moment, whatever is still in memory."""
        copy_living_store(self.directory, copy)
        self.leave()

    def leave(self) -> None:
        """Let go of the files without a last checkpoint."""
        self.jetstream.stop()
        self.store.journal.close()
        self.store._database.close()
        os.close(self.store._lock)
        shutil.rmtree(self.directory)
