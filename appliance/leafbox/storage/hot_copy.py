"""A consistent copy of an open store, while it goes on working: what a power cut at one moment would have left.

The database is read through a transaction that sees the last checkpoint, however many follow; the log's segments behind
that checkpoint are copied while no further one may begin, because it would recycle them. Opening the copy is the same
recovery as after a power cut, which the crash tests show to be whole. A copy holds everything that was acknowledged
before `begin`.

`begin` and `end` on the loop thread, the copies between them on any other.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from leafbox.storage.engine import Store
from leafbox.storage.segments import list_segments

COPY_BYTES = 1 << 20


class HotCopy:
    """One copy on its way. Every `begin` needs its `release` and its `end`, also after errors."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._snapshot = store.begin_snapshot()
        self._checkpoint_lsn = store.health().checkpoint_lsn
        self._is_holding = True

    def copy_log(self, target: Path) -> int:
        """The segments behind the checkpoint; returns the bytes. Quick: at most a few dozen MiB after a checkpoint."""
        source = Path(self._store.options.directory) / "log"
        target.mkdir(mode=0o700, parents=True)
        labelled = [segment for segment in list_segments(source, None) if segment.label is not None]
        copied = 0
        for segment, following in zip(labelled, [*labelled[1:], None], strict=True):
            label = following.label if following is not None else None
            if label is not None and label.previous_lsn <= self._checkpoint_lsn:
                continue
            shutil.copyfile(segment.path, target / segment.path.name)
            copied += segment.size
        return copied

    def release(self) -> None:
        """The log is copied: checkpoints may go on."""
        if self._is_holding:
            self._is_holding = False
            self._store.release_checkpoints()

    def copy_database(self, target: Path) -> int:
        """The database as of the checkpoint, without free pages; returns the bytes."""
        target.mkdir(mode=0o700, parents=True)
        self._snapshot.copy(target)
        return os.path.getsize(target / "data.mdb")

    def end(self) -> None:
        """Let go of everything."""
        self.release()
        self._snapshot.close()
