"""No space, a read-only or failing device: the store refuses and says why, loses nothing, and goes on when it can."""

from __future__ import annotations

import asyncio
import errno
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leafbox.dataplane.journal import JournalState
from leafbox.dataplane.stream_store import StreamStore
from leafbox.protocol.errors import StoreError, StoreFull
from leafbox.storage.config import StorageOptions
from leafbox.storage.engine import Store
from tests.support.power_cut import PowerCutDisk

MEBIBYTE = 1 << 20


def options_for(directory: Path, *, free_bytes_min: int = 0) -> StorageOptions:
    return StorageOptions(
        directory=str(directory),
        segment_bytes=MEBIBYTE,
        staging_bytes_max=4 * MEBIBYTE,
        checkpoint_bytes=4 * MEBIBYTE,
        free_bytes_min=free_bytes_min,
        probe_interval_s=0.05,
        database_bytes_max=1 << 28,
    )


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """20 MiB of tmpfs, 8 MiB of them taken by a file named ballast."""
    path = tmp_path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", path], check=True)
    (path / "ballast").write_bytes(bytes(8 * MEBIBYTE))
    yield path
    subprocess.run(["umount", "--lazy", path], check=True)


def fill(stream: StreamStore, store: Store) -> int:
    """Append until refused; the number of messages that are durable."""
    count = 0
    while True:
        try:
            stream.append_message(b"a", b"x" * 10_000)
        except StoreFull:
            return count
        if not store.wait_durable(stream.applied_lsn):
            return count
        count += 1


def assert_holds(directory: Path, count: int) -> None:
    """A new start finds all of them and nothing wrong."""
    store = Store(options_for(directory))
    stream = store.stream(b"S")
    assert stream is not None
    assert stream.messages >= count
    assert all(stream.message(seq) is not None for seq in range(1, count + 1))
    assert store.report.damages == ()
    store.close()


@pytest.mark.capability("JS41")
def test_messages_are_refused_before_the_disk_is_full(small_disk: Path) -> None:
    """The reserve is for what frees space: a purge is taken while messages are not."""
    store = Store(options_for(small_disk / "store", free_bytes_min=2 * MEBIBYTE))
    stream = store.create_stream(b"S")
    count = fill(stream, store)
    health = store.health()
    assert (health.is_accepting, health.state) == (False, JournalState.JOURNAL_READY)
    assert "kept in reserve" in health.reason
    assert count > 100
    assert stream.remove_message(1)
    assert store.wait_durable(stream.applied_lsn), "removals are still durable"
    (small_disk / "ballast").unlink()
    wait_until(lambda: store.health().is_accepting)
    stream.append_message(b"a", b"again")
    assert store.wait_durable(stream.applied_lsn)
    store.close()


@pytest.mark.capability("JS41")
def test_a_full_disk_loses_nothing_and_recovers(small_disk: Path) -> None:
    """ENOSPC for real: no segment can be made; what waits is written when space returns."""
    store = Store(options_for(small_disk / "store"))
    stream = store.create_stream(b"S")
    count = fill(stream, store)
    assert store.health().state is JournalState.JOURNAL_FULL
    assert "No space" in store.health().reason
    with pytest.raises(StoreFull):
        stream.append_message(b"a", b"x")
    assert stream.message(count) is not None, "reading goes on"
    (small_disk / "ballast").unlink()
    wait_until(lambda: store.health().state is JournalState.JOURNAL_READY)
    assert store.health().durable_lsn == store.health().last_lsn
    stream.append_message(b"a", b"again")
    assert store.wait_durable(stream.applied_lsn)
    store.close()
    assert_holds(small_disk / "store", count + 1)


@pytest.mark.capability("JS41")
def test_a_checkpoint_without_space_changes_nothing(small_disk: Path) -> None:
    """The log keeps what the database could not take."""
    store = Store(options_for(small_disk / "store"))
    stream = store.create_stream(b"S")
    for _ in range(600):
        stream.append_message(b"a", b"x" * 10_000)
        assert store.wait_durable(stream.applied_lsn)
    (small_disk / "more").write_bytes(bytes(3 * MEBIBYTE))
    with pytest.raises(StoreError):
        store.checkpoint_and_wait()
    assert store.health().checkpoint_error
    assert stream.message(1) is not None
    (small_disk / "ballast").unlink()
    store.checkpoint_and_wait()
    assert store.health().checkpoint_error == ""
    store.close()
    assert_holds(small_disk / "store", 600)


@pytest.mark.capability("JS41", "JS40")
@pytest.mark.parametrize(
    ("code", "what", "reason"),
    [
        (errno.EIO, "sync", "fdatasync: Input/output error"),
        (errno.EIO, "all", "Input/output error"),
        (errno.EROFS, "all", "Read-only file system"),
    ],
)
def test_a_failing_device_is_not_acknowledged_for(tmp_path: Path, code: int, what: str, reason: str) -> None:
    """After a failed sync the kernel forgets what it was to write; only writing it all again makes it durable.

    The disk drops the writes of a failed sync for good, so a store that just synced again would lose them here.
    """
    acknowledged: list[int] = []

    async def run(disk: PowerCutDisk) -> int:
        loop = asyncio.get_running_loop()
        store = Store(options_for(disk.path / "store"))
        stream = store.create_stream(b"S")
        store.start(loop)
        store.on_durable(acknowledged.append)
        changed = asyncio.Event()
        store.on_health(changed.set)
        for _ in range(10):
            stream.append_message(b"a", b"before")
        await asyncio.to_thread(store.wait_durable, stream.applied_lsn)
        await asyncio.sleep(0)
        promised = stream.applied_lsn
        disk.fail(code, what)
        for _ in range(5):
            stream.append_message(b"a", b"during")
        await asyncio.wait_for(changed.wait(), 5)
        assert store.health().state is JournalState.JOURNAL_FAILED
        assert reason in store.health().reason
        with pytest.raises(StoreError, match=reason.partition(": ")[2] or reason):
            stream.append_message(b"a", b"refused")
        await asyncio.sleep(0.2)
        assert max(acknowledged) <= promised, "nothing more was acknowledged"
        assert stream.message(3) is not None, "reading goes on"
        changed.clear()
        disk.fail(0)
        await asyncio.wait_for(changed.wait(), 5)
        assert store.health().state is JournalState.JOURNAL_READY
        await asyncio.sleep(0.05)
        assert max(acknowledged) == stream.applied_lsn
        await asyncio.to_thread(disk.cut, 1, "drop", tmp_path / "after", "now")
        store.journal.detach()
        return stream.last_seq

    with PowerCutDisk(tmp_path / "disk") as disk:
        last = asyncio.run(run(disk))
    assert last == 15
    assert_holds(tmp_path / "after" / "store", 15)


@pytest.mark.capability("JS41")
def test_log_limit_is_lifted_by_a_checkpoint(tmp_path: Path) -> None:
    """Segments run out when checkpoints lag: the next checkpoint recycles them and the log goes on by itself."""
    options = StorageOptions(
        directory=str(tmp_path / "store"),
        segment_bytes=1 << 18,
        staging_bytes_max=1 << 18,
        log_bytes_max=1 << 20,
        free_bytes_min=0,
        probe_interval_s=0.05,
    )
    store = Store(options)
    stream = store.create_stream(b"S")
    count = fill(stream, store)
    assert store.health().state is JournalState.JOURNAL_FULL
    store.checkpoint_and_wait()
    wait_until(lambda: store.health().state is JournalState.JOURNAL_READY)
    assert count > 50
    assert store.health().durable_lsn == store.health().last_lsn
    store.close()
