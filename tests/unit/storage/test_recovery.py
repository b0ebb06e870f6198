"""Starts: fast, and honest about what they found."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from leafbox.protocol.errors import StoreError
from leafbox.storage.config import StorageOptions
from leafbox.storage.database import Changes, Database
from leafbox.storage.engine import Store


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
    shutil.copytree(tmp_path / "live", tmp_path / "killed")
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
    import os

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
    shutil.copytree(tmp_path / "live", tmp_path / "killed")
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
