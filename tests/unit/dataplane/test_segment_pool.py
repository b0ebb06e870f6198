"""Segment files are made ahead of need, whole or not at all; the log's own tests are in test_journal.py."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from leafbox.dataplane.journal import Journal, RecordKind
from leafbox.dataplane.segment_pool import SegmentPool

SEGMENT_BYTES = 1 << 20


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(
        str(tmp_path),
        store_salt=1,
        recovered_lsn=0,
        next_lsn=1,
        next_epoch=1,
        next_file_number=1,
        segments=[],
        segment_bytes=SEGMENT_BYTES,
        staging_bytes_max=SEGMENT_BYTES,
        log_bytes_max=SEGMENT_BYTES * 4,
        free_bytes_min=0,
        syncs_always=True,
        sync_interval_s=1.0,
        probe_interval_s=0.05,
    )


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def fill(journal: Journal) -> None:
    last = journal.append_record(RecordKind.BLOB_PUT, 1, bytes(SEGMENT_BYTES - 16_384))
    assert journal.wait_durable(last)


@pytest.mark.capability("JS42")
def test_a_spare_is_made_before_it_is_needed(journal: Journal, tmp_path: Path) -> None:
    """One at the start, and the next when half of the present one is used; each is full of zeros."""
    assert isinstance(journal, SegmentPool)
    wait_for(lambda: journal.status().segments_free == 1)
    (spare,) = tmp_path.glob("segment-*.log")
    assert spare.read_bytes() == bytes(SEGMENT_BYTES)
    assert journal.wait_durable(journal.append_record(RecordKind.BLOB_PUT, 1, bytes(SEGMENT_BYTES // 3)))
    time.sleep(0.1)
    assert journal.segments_created == 1, "nothing is written that may never be needed"
    assert journal.wait_durable(journal.append_record(RecordKind.BLOB_PUT, 1, bytes(SEGMENT_BYTES // 3)))
    wait_for(lambda: journal.segments_created == 2)
    wait_for(lambda: journal.status().segments_free == 1)
    journal.close()


def test_the_limit_of_the_log_holds_for_spares(journal: Journal, tmp_path: Path) -> None:
    """No more files than `log_bytes_max` allows, however long it is tried."""
    for _ in range(4):
        fill(journal)
    time.sleep(0.2)
    assert len(list(tmp_path.glob("segment-*.log"))) == 4
    assert journal.status().segments_free == 0
    journal.close()


def test_recycling_gives_spares_back(journal: Journal) -> None:
    """What a checkpoint holds is free again, without a new file."""
    for _ in range(3):
        fill(journal)
    created = journal.segments_created
    assert journal.release(journal.durable_lsn) >= 2
    for _ in range(2):
        fill(journal)
    assert journal.segments_created <= created + 1
    journal.close()


def test_closing_leaves_no_unfinished_file(journal: Journal, tmp_path: Path) -> None:
    """Whatever was being made is gone."""
    journal.close()
    assert not (tmp_path / "unfinished").exists()
