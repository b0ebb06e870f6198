"""Segments read back: damage between records. Recovery as a whole is tested with the store."""

from __future__ import annotations

import struct

import pytest

from leafbox.dataplane.store_crc import checksum
from leafbox.dataplane.store_scan import RecordCounter, SegmentLabel, replay, survey

SALT, EPOCH = 7, 9
LABEL = SegmentLabel(SALT, EPOCH, 1, 0, EPOCH - 1)
SEED = checksum(struct.pack("<QQ", SALT, EPOCH))
DATA_START = 8192


def record(lsn: int, body: bytes) -> bytes:
    """One sound log record, padded to eight bytes."""
    head = struct.pack("<QBBHI", lsn, 4, 0, 0, 1)
    whole = struct.pack("<II", len(body), checksum(head + body, SEED)) + head + body
    return whole + bytes(-len(whole) % 8)


@pytest.mark.capability("JS40")
@pytest.mark.parametrize(
    "strange", [bytes(8), struct.pack("<II", 1 << 20, 0), struct.pack("<II", 0xFFFFFFFF, 1), b"x" * 64]
)
def test_bytes_between_two_records_do_not_swallow_the_second(strange: bytes) -> None:
    """They were taken for a record because the numbers on both sides follow each other (found by fuzzing)."""
    segment = bytes(DATA_START) + record(1, b"one") + strange + record(2, b"two") + record(3, b"three")
    found = survey(segment, LABEL, 1 << 62)
    assert [(run.first_lsn, run.last_lsn, run.complete_lsn) for run in found.runs] == [(1, 1, 1), (2, 3, 3)]
    counter = RecordCounter()
    assert replay(segment, found.runs, 0, 1 << 62, counter) == 3
    assert counter.counts == {4: (3, 32 + 32 + 32)}


@pytest.mark.capability("JS40")
def test_a_damaged_record_is_a_hole() -> None:
    second = bytearray(record(2, b"two"))
    second[-8] ^= 1
    segment = bytes(DATA_START) + record(1, b"one") + bytes(second) + record(3, b"three")
    found = survey(segment, LABEL, 1 << 62)
    assert [(run.first_lsn, run.last_lsn) for run in found.runs] == [(1, 1), (3, 3)]
