"""Old backups: cut anywhere they read the same, and damage is named."""

from __future__ import annotations

import contextlib
import io
import struct
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leafbox.protocol.jetstream.progress_codec import PendingState
from leafbox.protocol.jetstream.snapshot_archive import CorruptArchive, Entry
from leafbox.protocol.jetstream.tar_backup import (
    ConsumerFiles,
    Deleted,
    Item,
    StreamMeta,
    TarBackupReader,
    read_block,
    read_state,
)

HEADER = b"NATS/1.0\r\nA: b\r\n\r\n"
LONG_NAME = "n" * 120
# Floors 1 and 2, delivered 3 and 5, one pending (stream 3, consumer 2, at 98 s), one delivered again (stream 3).
STATE = bytes((22, 2, 1, 2, 3, 5, 1, 200, 1, 1, 1, 4, 1, 1, 7))


def record(seq: int, subject: bytes = b"s.a", payload: bytes = b"x", header: bytes = b"") -> bytes:
    """A message record with a checksum that nobody looks at."""
    head = struct.pack("<I", len(header)) + header if header else b""
    size = 22 + len(subject) + len(head) + len(payload) + 8
    flagged = size | (1 << 31 if header else 0)
    return struct.pack("<IQQH", flagged, seq, (seq & 255) * 100, len(subject)) + subject + head + payload + bytes(8)


BLOCK = record(1) + record(2, header=HEADER) + record(3 | 1 << 63) + record(2 | 1 << 62, b"", b"") + record(4)
MESSAGES: list[Item] = [
    Entry(b"s.a", 100, 1, b"", b"x"),
    Entry(b"s.a", 200, 2, HEADER, b"x"),
    Deleted(2),
    Entry(b"s.a", 400, 4, b"", b"x"),
]


# The header's size, behind the record's head and the subject, says more than there is.
TOO_LONG = record(1, header=HEADER)[:25] + b"\xff" + record(1, header=HEADER)[26:]


def archive() -> bytes:
    """A whole backup, with a consumer whose name needs an extended header."""
    files = {
        "meta.inf": b"{}",
        "meta.sum": b"00",
        "msgs/1.blk": BLOCK,
        "msgs/index.db": b"?",
        f"obs/{LONG_NAME}/meta.inf": b"{1}",
        f"obs/{LONG_NAME}/o.dat": STATE,
    }
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return plain.getvalue()


@given(st.lists(st.integers(1, 3000), max_size=8))
def test_a_backup_cut_anywhere(sizes: list[int]) -> None:
    reader, rest, items = TarBackupReader(), archive(), []
    for size in [*sizes, len(rest)]:
        items += reader.feed(rest[:size])
        rest = rest[size:]
    assert reader.is_complete
    assert items == [StreamMeta(b"{}"), *MESSAGES, ConsumerFiles(b"{1}", read_state(STATE))]


def test_the_progress_of_a_consumer() -> None:
    state = read_state(STATE)
    assert (state.ack_floor.consumer_seq, state.ack_floor.stream_seq) == (1, 2)
    assert (state.delivered.consumer_seq, state.delivered.stream_seq) == (3, 5)
    assert state.pending == {"3": PendingState(sequence=2, ts=98 * 10**9)}
    assert state.redelivered == {"3": 7}


@given(st.data())
def test_damage_is_an_error_or_harmless(data: st.DataObject) -> None:
    """Whatever bytes come, only `CorruptArchive` comes out."""
    whole = bytearray(archive())
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CorruptArchive):
        TarBackupReader().feed(bytes(whole))


@pytest.mark.parametrize("block", [BLOCK[:-1], record(1)[:10], bytes(30), TOO_LONG])
def test_broken_blocks(block: bytes) -> None:
    with pytest.raises(CorruptArchive):
        read_block(block)


@pytest.mark.parametrize("state", [b"", bytes((22, 1)), STATE[:-1], bytes((22, 2, 1, 1, 1, 1, 255, 255, 3))])
def test_broken_progress(state: bytes) -> None:
    with pytest.raises(CorruptArchive):
        read_state(state)


def test_no_backup_at_all() -> None:
    with pytest.raises(CorruptArchive):
        TarBackupReader().feed(b"x" * 600)
