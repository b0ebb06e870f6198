"""The store as its users see it: streams and blobs come and go, also across checkpoints, stops and kills."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from leafbox.protocol.errors import StoreClosed, StoreError
from leafbox.storage.config import StorageOptions, SyncMode
from leafbox.storage.engine import Store
from leafbox.storage.records import BlobKind
from tests.support.store_copy import copy_living_store


def options_for(directory: Path, **changes: object) -> StorageOptions:
    small: dict[str, object] = {
        "directory": str(directory),
        "segment_bytes": 1 << 18,
        "staging_bytes_max": 1 << 20,
        "checkpoint_bytes": 1 << 19,
        "free_bytes_min": 0,
        "database_bytes_max": 1 << 28,
    }
    return StorageOptions(**(small | changes))  # type: ignore[arg-type]


def killed_copy(store: Store, target: Path) -> Path:
    """The files as a SIGKILL would leave them now."""
    assert store.wait_durable(store.journal.last_lsn)
    copy_living_store(Path(store.options.directory), target)
    return target


def test_only_one_process_opens_a_store(tmp_path: Path) -> None:
    store = Store(options_for(tmp_path))
    with pytest.raises(StoreError, match="in use"):
        Store(options_for(tmp_path))
    store.close()
    Store(options_for(tmp_path)).close()


@pytest.mark.parametrize("has_checkpoint", [False, True])
def test_deleted_streams_stay_deleted(tmp_path: Path, has_checkpoint: bool) -> None:
    """A new stream of the same name starts empty, and the old one's blocks leave the database."""
    store = Store(options_for(tmp_path / "live"))
    old = store.create_stream(b"S")
    old.append_message(b"a", b"old")
    if has_checkpoint:
        store.checkpoint_and_wait()
    store.delete_stream(b"S")
    new = store.create_stream(b"S")
    assert new.number != old.number
    new.append_message(b"a", b"new")
    again = Store(options_for(killed_copy(store, tmp_path / "killed")))
    store.close()
    for opened in (again, Store(options_for(tmp_path / "live"))):
        stream = opened.stream(b"S")
        assert stream is not None
        message = stream.message(1)
        assert message is not None
        assert message.payload == b"new"
        assert [found.name for found in opened.streams()] == [b"S"]
        opened.close()


def test_memory_streams_are_not_stored(tmp_path: Path) -> None:
    """Their definition is their owner's business; the store forgets them."""
    store = Store(options_for(tmp_path))
    store.create_stream(b"M", is_memory=True).append_message(b"a", b"x")
    assert store.journal.last_lsn == store.journal.durable_lsn
    store.close()
    again = Store(options_for(tmp_path))
    assert again.stream(b"M") is None
    again.close()


def test_blobs_across_checkpoint_and_kill(tmp_path: Path) -> None:
    """Put, replace and delete, before and after a checkpoint; kinds do not mix."""
    store = Store(options_for(tmp_path / "live"))
    store.put_blob(BlobKind.STREAM, b"a", b"1")
    store.put_blob(BlobKind.STREAM, b"b", b"2")
    store.put_blob(BlobKind.CONSUMER, b"a", b"other")
    store.checkpoint_and_wait()
    store.put_blob(BlobKind.STREAM, b"a", b"3")
    assert store.delete_blob(BlobKind.STREAM, b"b")
    assert store.delete_blob(BlobKind.STREAM, b"never") == 0
    store.put_blob(BlobKind.STREAM, b"c", b"")
    again = Store(options_for(killed_copy(store, tmp_path / "killed")))
    for opened in (store, again):
        assert list(opened.list_blobs(BlobKind.STREAM)) == [(b"a", b"3"), (b"c", b"")]
        assert opened.get_blob(BlobKind.STREAM, b"b") is None
        assert list(opened.list_blobs(BlobKind.CONSUMER)) == [(b"a", b"other")]
        opened.close()


def test_deltas_are_replayed_until_a_snapshot_supersedes_them(tmp_path: Path) -> None:
    """Progress is cheap: logged, applied by its owner, collapsed at each checkpoint."""
    kind = BlobKind.CONSUMER_STATE
    store = Store(options_for(tmp_path / "live"))
    total = {b"c1": 0, b"c2": 0}
    store.register_snapshots(kind, lambda key: b"%d" % total[key] if key in total else None)

    def advance(key: bytes, step: int) -> None:
        total[key] += step
        store.append_delta(kind, key, b"%d" % step)

    advance(b"c1", 1)
    advance(b"c1", 2)
    advance(b"c2", 5)
    store.checkpoint_and_wait()
    advance(b"c1", 4)
    advance(b"c1", 8)
    again = Store(options_for(killed_copy(store, tmp_path / "killed")))
    assert dict(again.list_blobs(kind)) == {b"c1": b"3", b"c2": b"5"}
    assert list(again.deltas(kind)) == [(b"c1", [b"4", b"8"])]
    again.close()
    third = Store(options_for(tmp_path / "killed"))
    assert list(third.deltas(kind)) == [(b"c1", [b"4", b"8"])], "kept: nobody superseded them"
    third.close()
    store.delete_blob(kind, b"c1")
    del total[b"c1"]
    store.close()
    last = Store(options_for(tmp_path / "live"))
    assert dict(last.list_blobs(kind)) == {b"c2": b"5"}
    assert list(last.deltas(kind)) == []
    last.close()


def test_deltas_without_an_owner_wait_in_the_database(tmp_path: Path) -> None:
    """An account without JetStream, MQTT switched off: nobody folds the changes, and no checkpoint may lose them."""
    kind, bodies = BlobKind.CONSUMER_STATE, {b"c": b"0"}
    store = Store(options_for(tmp_path / "live"))
    store.register_snapshots(kind, bodies.get)
    store.put_blob(kind, b"c", b"0")
    for step in (b"1", b"2"):
        store.append_delta(kind, b"c", step)
    store.journal.close()
    away = Store(options_for(killed_copy(store, tmp_path / "away")))
    away.register_snapshots(kind, lambda _key: None)
    away.close()
    for _ in range(2):
        again = Store(options_for(tmp_path / "away"))
        assert again.report.replayed_records == 0, "the log does not wait for an owner"
        assert (list(again.list_blobs(kind)), list(again.deltas(kind))) == ([(b"c", b"0")], [(b"c", [b"1", b"2"])])
        again.close()
    claimed = Store(options_for(tmp_path / "away"))
    claimed.register_snapshots(kind, bodies.get)
    bodies[b"c"] = b"0123"
    claimed.append_delta(kind, b"c", b"3")
    torn = Store(options_for(killed_copy(claimed, tmp_path / "torn")))
    assert list(torn.deltas(kind)) == [(b"c", [b"1", b"2", b"3"])]
    torn.close()
    claimed.close()
    last = Store(options_for(tmp_path / "away"))
    assert (list(last.list_blobs(kind)), list(last.deltas(kind))) == ([(b"c", b"0123")], [])
    last.close()


@pytest.mark.parametrize("is_delete", [False, True])
def test_a_new_body_ends_what_waited_for_the_old_one(is_delete: bool, tmp_path: Path) -> None:
    kind = BlobKind.CONSUMER_STATE
    store = Store(options_for(tmp_path / "live"))
    store.put_blob(kind, b"c", b"0")
    store.append_delta(kind, b"c", b"1")
    store.checkpoint_and_wait()
    if is_delete:
        assert store.delete_blob(kind, b"c")
    else:
        store.put_blob(kind, b"c", b"new")
    expected = [] if is_delete else [(b"c", b"new")]
    for path in (killed_copy(store, tmp_path / "killed"), tmp_path / "live"):
        store.close()
        again = Store(options_for(path))
        assert (list(again.list_blobs(kind)), list(again.deltas(kind))) == (expected, [])
        again.close()


@pytest.mark.capability("JS42")
def test_consumed_messages_never_reach_the_database(tmp_path: Path) -> None:
    """A queue that is emptied between checkpoints costs log writes only; checkpoints run on the loop by themselves."""

    async def run() -> None:
        store = Store(options_for(tmp_path))
        store.start(asyncio.get_running_loop())
        stream = store.create_stream(b"Q")
        for _ in range(300):
            for _ in range(20):
                seq = stream.append_message(b"job", b"x" * 500)
                stream.remove_message(seq)
            await asyncio.to_thread(store.wait_durable, stream.applied_lsn)
        await asyncio.to_thread(store.wait_durable, stream.applied_lsn)
        for _ in range(200):
            await asyncio.sleep(0.01)
            if store.health().checkpoint_count:
                break
        health = store.health()
        assert health.checkpoint_count >= 1
        assert health.checkpoint_bytes < 20_000
        assert health.written_bytes > 6_000 * 500
        assert health.segment_count < 12, "the log was recycled"
        store.close()

    asyncio.run(run())


def test_interval_mode_acknowledges_before_the_sync(tmp_path: Path) -> None:
    """The named risk: reported after the write, synced later; asynchronous streams ask for no commit at all."""

    async def run() -> None:
        store = Store(options_for(tmp_path, sync=SyncMode.INTERVAL, sync_interval_s=30.0))
        acknowledged = asyncio.Event()
        store.start(asyncio.get_running_loop())
        stream = store.create_stream(b"S")
        store.on_durable(lambda lsn: acknowledged.set() if lsn >= stream.applied_lsn else None)
        stream.append_message(b"a", b"x")
        await asyncio.wait_for(acknowledged.wait(), 5)
        assert store.health().durable_lsn < stream.applied_lsn
        store.close()

    asyncio.run(run())


def test_closed_store_refuses(tmp_path: Path) -> None:
    store = Store(options_for(tmp_path))
    stream = store.create_stream(b"S")
    store.close()
    store.close()
    with pytest.raises(StoreClosed):
        stream.append_message(b"a", b"")
    with pytest.raises(StoreClosed):
        store.create_stream(b"T")


def test_a_checkpoint_under_way_when_the_store_closes(tmp_path: Path) -> None:
    """Its result is taken over or thrown away, and the last checkpoint still comes."""

    async def run() -> None:
        store = Store(options_for(tmp_path))
        store.start(asyncio.get_running_loop())
        for number in range(40):
            stream = store.create_stream(b"S%d" % number)
            for _ in range(100):
                stream.append_message(b"a", b"x" * 100)
        store.checkpoint()
        store.close()

    asyncio.run(run())
    again = Store(options_for(tmp_path))
    assert again.report.is_clean_stop
    assert sum(stream.messages for stream in again.streams()) == 4_000
    again.close()


def test_syncs_are_counted_and_timed(tmp_path: Path) -> None:
    store = Store(options_for(tmp_path))
    before = store.health()
    for number in range(3):
        assert store.wait_durable(store.put_blob(BlobKind.SETTING, b"k", b"%d" % number))
    after = store.health()
    assert after.sync_count >= before.sync_count + 3
    assert after.sync_us > before.sync_us
    assert store.take_longest_sync_us() > 0
    assert store.take_longest_sync_us() == 0
    store.close()
