"""The store's own examination: facts, compaction, and looking at a store that is in use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from leafbox.protocol.errors import StoreError
from leafbox.storage.config import StorageOptions
from leafbox.storage.engine import Store
from leafbox.storage.verify import compact, stats, verify


def options_for(directory: Path) -> StorageOptions:
    return StorageOptions(
        directory=str(directory),
        segment_bytes=1 << 18,
        staging_bytes_max=1 << 18,
        free_bytes_min=0,
        database_bytes_max=1 << 28,
    )


def test_facts_of_a_store(tmp_path: Path) -> None:
    """Counts per stream, blob kind and log record kind; printable."""
    store = Store(options_for(tmp_path))
    stream = store.create_stream(b"A/S")
    for _ in range(50):
        stream.append_message(b"a", b"x" * 1_000)
    stream.remove_message(7)
    store.put_blob(1, b"k", b"v")
    store.checkpoint_and_wait()
    stream.append_message(b"a", b"y")
    stream.remove_message(8)
    store.put_blob(1, b"k2", b"v")
    assert store.wait_durable(store.journal.last_lsn)
    for look in ("verify", "stats"):
        # From another process, as the command does it: LMDB lets a process open an environment once.
        script = f"from leafbox.storage.verify import *; print({look}({str(tmp_path)!r}))"
        printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
        assert printed.splitlines()[0].endswith("(in use)")
        assert "stream A/S: 49 messages" in printed
        assert "sequences 1..50" in printed
        assert "blobs stream: 1" in printed
        assert [line.partition("(")[0].strip() for line in printed.splitlines() if "log records" in line] == [
            "log records blob_put: 1",
            "log records message_append: 1",
            "log records message_remove: 1",
        ]
        assert printed.endswith("sound\n")
    store.close()
    facts = verify(str(tmp_path))
    assert facts.is_structure_checked
    assert [(found.messages, found.first_seq, found.last_seq) for found in facts.streams] == [(49, 1, 51)]
    assert stats(str(tmp_path)).is_sound


def test_compact_gives_space_back(tmp_path: Path) -> None:
    """Removed messages and free pages are left out, the rest is unchanged."""
    store = Store(options_for(tmp_path))
    stream = store.create_stream(b"S")
    for _ in range(400):
        stream.append_message(b"a", b"x" * 5_000)
        assert store.wait_durable(stream.applied_lsn)
    store.checkpoint_and_wait()
    for seq in range(1, 401):
        if seq % 10:
            stream.remove_message(seq)
    store.close()
    report = compact(options_for(tmp_path))
    assert report.after_bytes < report.before_bytes // 3
    assert verify(str(tmp_path)).is_sound
    again = Store(options_for(tmp_path))
    found = again.stream(b"S")
    assert found is not None
    assert [found.next_sequence(seq) for seq in (1, 11, 395)] == [10, 20, 400]
    assert all(found.message(seq) is not None for seq in range(10, 401, 10))
    again.close()


def test_no_store_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store"):
        verify(str(tmp_path))


def test_erased_messages_leave_the_database(tmp_path: Path) -> None:
    """A secure delete rewrites the block: the payload is not in any live block afterwards."""
    store = Store(options_for(tmp_path))
    stream = store.create_stream(b"S")
    for index in range(10):
        stream.append_message(b"a", b"secret-%d" % index * 50)
    store.checkpoint_and_wait()
    stream.remove_message(4, erase=True)
    store.checkpoint_and_wait()
    block = store._database.read_block(stream.number, 1)
    assert block is not None
    assert b"secret-2" in block
    assert b"secret-3" not in block
    store.close()
