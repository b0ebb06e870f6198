"""What is read back from flash: block values, index values and segment files, damaged in any way.

Checksums keep bit rot out, and they would keep a fuzzer out as well. So they are put right here before most tries: a
decoder must check the bounds of what a good checksum covers all the same.
"""

from __future__ import annotations

import struct

from leafbox.dataplane.store_block import check_block_value, check_index_value, sound_sequences
from leafbox.dataplane.store_crc import checksum
from leafbox.dataplane.store_scan import RecordCounter, SegmentLabel, read_label, replay, survey
from leafbox.protocol.errors import StoreCorrupt
from tests.fuzz.choices import Choices

BLOCK_MAGIC, INDEX_MAGIC = b"BLK1", b"IDX1"
STREAM, FIRST_SEQUENCE = 1, 1
SALT, EPOCH = 7, 9
LABEL = SegmentLabel(SALT, EPOCH, 1, 0, EPOCH - 1)
DATA_START = 8192

INDEX = struct.pack("<QqqIIII", 3, 5, 6, 1, 2, 400, 2)
SEEDS: list[bytes] = [
    b"\x00" + bytes(100),
    b"\x01\x03" + INDEX + struct.pack("<III", 40, 100, 200) + struct.pack("<HHH", 0, 1, 0xFFFF) + b"\x01\0a\x03\0a.b",
    b"\x01\x02"
    + INDEX
    + struct.pack("<II", 40, 100)
    + struct.pack("<II", 0, 5)
    + struct.pack("<HH", 0, 1)
    + b"\x01\0a",
    b"\x02\x02\x05\x0012345678" + b"\x00" * 8 + b"\x01" + b"\x00" * 30,
    b"\x03\x01\x00\x08abcdefgh\x01\x00\x10" + b"x" * 16,
    b"\x04LFBXWAL\x01" + bytes(300),
]


def sealed(value: bytes) -> bytes:
    """With the checksum of everything behind the field put into bytes 4 to 8."""
    return value[:4] + struct.pack("<I", checksum(value[8:])) + value[8:]


def one_input(data: bytes) -> None:
    """Which decoder, then the bytes it gets."""
    choices = Choices(data)
    (raw, index, block, segment, segment_header)[choices.number(5)](choices)


def raw(choices: Choices) -> None:
    """Bytes as they are, for every decoder."""
    value = choices.rest() or b"\0"
    sound_sequences(value)
    assert read_label(value) is None or value[:7] == b"LFBXWAL"
    survey(value, LABEL, 1 << 62)
    for check in (check_block_value, check_index_value):
        try:
            check(value, STREAM, FIRST_SEQUENCE)
        except StoreCorrupt:
            continue


def index(choices: Choices) -> None:
    """An index value with a header that belongs and a checksum that holds."""
    count = choices.byte() * (8 if choices.is_exhausted else 1)
    head = INDEX_MAGIC + bytes(4) + struct.pack("<IIQ", STREAM, count, FIRST_SEQUENCE)
    try:
        live, _ = check_index_value(sealed(head + choices.rest()), STREAM, FIRST_SEQUENCE)
    except StoreCorrupt:
        return
    assert live <= count


def block(choices: Choices) -> None:
    """A block of records with any sizes in them; their checksums hold."""
    value = bytearray(BLOCK_MAGIC + bytes(4) + struct.pack("<IIQ", STREAM, choices.byte(), FIRST_SEQUENCE) + bytes(16))
    while not choices.is_exhausted:
        body = choices.some_bytes(200)
        record = struct.pack("<II", (32 + len(body) + choices.byte() - 128) % (1 << 32), 0) + bytes(24) + body
        value += sealed(record) if choices.flag() else record
    sound_sequences(bytes(value))
    check_block_value(sealed(bytes(value)), STREAM, FIRST_SEQUENCE)


def segment(choices: Choices) -> None:
    """A segment of records, some of which lie about their size or number."""
    seed = checksum(struct.pack("<QQ", SALT, EPOCH))
    value = bytearray(DATA_START)
    lsn = 1
    while not choices.is_exhausted and len(value) < 100_000:
        body = choices.some_bytes(64)
        lie = choices.pick((0, 0, 0, 1, -1, 8, 1 << 31))
        head = struct.pack("<QBBHI", lsn, choices.byte(), choices.byte(), choices.number(65536), 1)
        crc = checksum(head + body, seed) if choices.flag() else 0
        value += struct.pack("<II", (len(body) + lie) % (1 << 32), crc) + head + body
        value += bytes(-len(value) % 8)
        lsn += choices.pick((1, 1, 1, 2, 0, 1 << 31))
    found = survey(bytes(value), LABEL, 1 << 62)
    assert replay(bytes(value), found.runs, 0, 1 << 62, RecordCounter()) == sum(
        run.last_lsn - run.first_lsn + 1 for run in found.runs
    )


def segment_header(choices: Choices) -> None:
    """The first bytes of a segment file."""
    value = choices.rest()
    for copy in (value, bytes(4096) + value):
        if copy:
            read_label(copy)
