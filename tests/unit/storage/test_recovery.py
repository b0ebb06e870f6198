"""Starts: fast, and honest about what they found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from leafbox.protocol.errors import StoreError
from leafbox.storage.config import StorageOptions
from leafbox.storage.database import ORDERED_KEY, Changes, Database
from leafbox.storage.engine import Store
from leafbox.storage.recovery import LSN_JUMP
from tests.support.store_copy import copy_living_store


def options_for(directory: Path, segment_bytes: int = 1 << 18) -> StorageOptions:
    return StorageOptions(
        directory=str(directory),
        segment_bytes=segment_bytes,
        staging_bytes_max=1 << 18,
        free_bytes_min=0,
        database_bytes_max=1 << 28,
    )


def filled(directory: Path) -> Store:
    store = Store(options_for(directory))
    for name in (b"A", b"B"):
        stream = store.create_stream(name)
        for index in range(100):
            stream.append_message(b"s.%d" % (index % 3), b"%d" % index * 400)
            assert store.wait_durable(stream.applied_lsn)
    return store


def test_clean_stop_is_known(tmp_path: Path) -> None:
    """After a clean stop nothing is replayed, after a kill everything since the checkpoint is."""
    store = filled(tmp_path / "live")
    copy_living_store(tmp_path / "live", tmp_path / "killed")
    store.close()
    clean = Store(options_for(tmp_path / "live"))
    assert (clean.report.is_clean_stop, clean.report.replayed_records) == (True, 0)
    clean.close()
    killed = Store(options_for(tmp_path / "killed"))
    assert (killed.report.is_clean_stop, killed.report.replayed_records) == (False, 202)
    assert "202 records" in str(killed.report)
    killed.close()


@pytest.mark.capability("JS40")
def test_a_lost_database_is_said_and_the_log_still_counts(tmp_path: Path) -> None:
    """The file is kept for inspection; streams that the log knows whole come back."""
    store = filled(tmp_path)
    store.checkpoint_and_wait()
    store.create_stream(b"C").append_message(b"c", b"only in the log")
    store.journal.close()
    store._database.close()
    path = tmp_path / "database" / "data.mdb"
    path.write_bytes(b"\xff" * 40_000)
    os.close(store._lock)
    again = Store(options_for(tmp_path))
    assert [damage.place for damage in again.report.damages][:1] == ["database"]
    stream = again.stream(b"C")
    assert stream is not None
    assert stream.messages == 1
    assert any("database" in kept.name for kept in (tmp_path / "quarantine").iterdir())
    again.close()


def test_another_format_is_refused(tmp_path: Path) -> None:
    """Not guessed at, not overwritten."""
    filled(tmp_path).close()
    database = Database(tmp_path / "database", 1 << 28)
    database.write(Changes(meta={b"format": (0, (99).to_bytes(2, "little"))}))
    database.close()
    with pytest.raises(StoreError, match="format 99"):
        Store(options_for(tmp_path))


def test_segments_of_another_size_are_replaced(tmp_path: Path) -> None:
    """The option may change between starts; what the old files hold is kept until a checkpoint has it."""
    store = filled(tmp_path / "live")
    copy_living_store(tmp_path / "live", tmp_path / "killed")
    store.close()
    again = Store(options_for(tmp_path / "killed", segment_bytes=1 << 19))
    stream = again.stream(b"A")
    assert stream is not None
    assert stream.messages == 100
    stream.append_message(b"s.1", b"more")
    again.close()
    sizes = {path.stat().st_size for path in (tmp_path / "killed" / "log").glob("*.log")}
    assert sizes == {1 << 19}


def test_a_damaged_index_is_rebuilt_from_its_block(tmp_path: Path) -> None:
    """Nothing is lost, and it is said."""
    filled(tmp_path).close()
    database = Database(tmp_path / "database", 1 << 28)
    first_seq, value = next(database.indexes(1))
    broken = value[:80] + bytes([value[80] ^ 1]) + value[81:]
    database.write(Changes(indexes=[(1, first_seq, broken)]))
    database.close()
    store = Store(options_for(tmp_path))
    assert [damage.place for damage in store.report.damages] == ["index"]
    stream = store.stream(b"A")
    assert stream is not None
    assert stream.messages == 100
    assert stream.state().lost_messages == 0
    store.close()
    assert Store(options_for(tmp_path)).report.damages == ()


def killed(store: Store) -> None:
    """Let go of everything as a kill would, without a last checkpoint."""
    store.journal.close()
    store._database.close()
    os.close(store._lock)


def over_a_start_that_wrote_nothing(directory: Path) -> None:
    """Leave a store whose last record is no message, and whose newest log file a clean stop without records deleted."""
    store = Store(options_for(directory, segment_bytes=1 << 16))
    stream = store.create_stream(b"A")
    for _ in range(200):
        stream.append_message(b"s", b"m" * 2_000)
        assert store.wait_durable(stream.applied_lsn)
    assert store.wait_durable(store.put_blob(1, b"key", b"1"))
    last = max((directory / "log").glob("segment-*.log"))
    killed(store)
    Store(options_for(directory, segment_bytes=1 << 16)).close()
    assert not last.exists(), "the test needs the newest file deleted and older ones kept"
    assert list((directory / "log").glob("segment-*.log"))


def test_numbers_go_on_behind_the_checkpoint_whatever_log_files_are_left(tmp_path: Path) -> None:
    """Else the first records of the next run lie before the checkpoint and a replay passes them over."""
    over_a_start_that_wrote_nothing(tmp_path)
    store = Store(options_for(tmp_path, segment_bytes=1 << 16))
    checkpoint_lsn = store.report.checkpoint_lsn
    stream = store.stream(b"A")
    assert stream is not None
    stream.append_message(b"s", b"acknowledged")
    assert store.wait_durable(stream.applied_lsn)
    first_lsn = stream.applied_lsn
    killed(store)
    again = Store(options_for(tmp_path, segment_bytes=1 << 16))
    stream = again.stream(b"A")
    assert stream is not None
    assert (stream.messages, stream.last_seq, again.report.damages) == (201, 201, ())
    assert first_lsn > checkpoint_lsn
    again.close()


@pytest.mark.parametrize("is_ordered", [False, True])
def test_a_run_that_a_former_build_began_before_the_checkpoint_is_replayed(tmp_path: Path, is_ordered: bool) -> None:
    """Its store says more than it holds, and is not believed.

    With the mark of this build the same (then impossible) store is: what a checkpoint of ours covers is not done again.
    """
    over_a_start_that_wrote_nothing(tmp_path)
    store = Store(options_for(tmp_path, segment_bytes=1 << 16))
    stream = store.stream(b"A")
    assert stream is not None
    stream.append_message(b"s", b"acknowledged")
    first_lsn = stream.applied_lsn
    assert store.wait_durable(store.put_blob(1, b"key", b"2"))
    killed(store)
    database = Database(tmp_path / "database", 1 << 28)
    meta = {b"checkpoint": (first_lsn + 1, b""), b"clean": (first_lsn + 1, b"")}
    database.write(Changes(meta={**meta, ORDERED_KEY: (first_lsn + 1 if is_ordered else 1, b"")}))
    database.close()
    again = Store(options_for(tmp_path, segment_bytes=1 << 16))
    stream = again.stream(b"A")
    assert stream is not None
    assert (stream.last_seq, again.get_blob(1, b"key")) == ((200, b"1") if is_ordered else (201, b"2"))
    assert again.report.is_clean_stop is is_ordered
    assert again.report.damages == ()
    again.close()
    final = Store(options_for(tmp_path, segment_bytes=1 << 16))
    stream = final.stream(b"A")
    assert stream is not None
    assert stream.last_seq == (200 if is_ordered else 201)
    final.close()


def test_a_blob_of_the_last_run_vouches_for_a_former_builds_checkpoint(tmp_path: Path) -> None:
    """Streams that were idle for long say nothing: old log files must not be replayed over newer blobs."""
    store = filled(tmp_path)
    store.close()
    store = Store(options_for(tmp_path))
    lsn = store.put_blob(1, b"key", b"1")
    assert store.wait_durable(store.put_blob(1, b"key", b"2"))
    store.close()
    database = Database(tmp_path / "database", 1 << 28)
    assert database.newest_lsn(b"streams") + LSN_JUMP <= lsn
    assert database.newest_lsn(b"blobs") == lsn + 1
    database.write(Changes(meta={ORDERED_KEY: (1, b"")}))
    database.close()
    again = Store(options_for(tmp_path))
    assert (again.report.checkpoint_lsn, again.report.replayed_records) == (lsn + 1, 0)
    assert again.get_blob(1, b"key") == b"2"
    again.close()


def test_a_former_builds_run_that_began_behind_the_checkpoint_is_no_damage(tmp_path: Path) -> None:
    """Its label names the checkpoint as what was before: the numbers left out are no hole."""
    filled(tmp_path).close()
    # Files of another size go: no label is left that names a lower number.
    Store(options_for(tmp_path, segment_bytes=1 << 19)).close()
    assert not [path for path in (tmp_path / "log").glob("*.log") if path.stat().st_size == 1 << 18]
    store = Store(options_for(tmp_path, segment_bytes=1 << 19))
    stream = store.stream(b"A")
    assert stream is not None
    stream.append_message(b"s", b"acknowledged")
    assert store.wait_durable(stream.applied_lsn)
    killed(store)
    database = Database(tmp_path / "database", 1 << 28)
    database.write(Changes(meta={ORDERED_KEY: (1, b"")}))
    database.close()
    again = Store(options_for(tmp_path, segment_bytes=1 << 19))
    stream = again.stream(b"A")
    assert stream is not None
    assert (stream.last_seq, again.report.damages, again.report.replayed_records) == (101, (), 1)
    again.close()


@pytest.mark.capability("JS40")
def test_a_group_without_end_over_several_log_files_stays_out_for_good(tmp_path: Path) -> None:
    """It is cut off in the file it began in; the files behind must not bring it back at the start after the next."""
    count, size = 100, 2_000
    store = Store(options_for(tmp_path, segment_bytes=1 << 16))
    stream = store.create_stream(b"A")
    stream.append_message(b"s", b"first")
    assert store.wait_durable(stream.applied_lsn)
    store.journal.begin_group(count, count * (size + 64), size + 64)
    for _ in range(count):
        stream.append_message(b"s", bytes(size))
    killed(store)
    for start in range(3):
        store = Store(options_for(tmp_path, segment_bytes=1 << 16))
        found = store.stream(b"A")
        assert found is not None
        assert (store.report.damages, found.messages) == ((), 1 + start)
        found.append_message(b"s", b"later")
        assert store.wait_durable(found.applied_lsn)
        killed(store)
