"""The archive inside backups, and consumer states in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leafbox.protocol.jetstream.info import SequenceInfo
from leafbox.protocol.jetstream.progress_codec import ConsumerProgressState, PendingState, encode_progress
from leafbox.protocol.jetstream.snapshot_archive import MAGIC, ArchiveReader, CorruptArchive, Entry, encode_entry

entries = st.builds(
    Entry,
    st.binary(max_size=20),
    st.integers(-(1 << 62), 1 << 62),
    st.integers(0, (1 << 64) - 1),
    st.binary(max_size=20),
    st.binary(max_size=200),
)


@pytest.mark.capability("JS37")
@given(st.lists(entries, max_size=5), st.integers(1, 50))
def test_entries_survive_however_they_are_cut(written: list[Entry], step: int) -> None:
    data = MAGIC + b"".join(map(encode_entry, written))
    reader, read = ArchiveReader(), []
    for at in range(0, len(data), step):
        read += reader.feed(data[at : at + step])
    assert read == written


@given(st.binary(max_size=200))
def test_junk_is_read_or_refused(junk: bytes) -> None:
    try:
        ArchiveReader().feed(MAGIC + junk)
    except CorruptArchive:
        return


def test_another_format_is_refused() -> None:
    with pytest.raises(CorruptArchive):
        ArchiveReader().feed(b"metafile.json" + bytes(600))


def test_impossible_consumer_states_are_refused() -> None:
    floor = SequenceInfo(consumer_seq=1, stream_seq=1)
    pending = {"9": PendingState(sequence=1, ts=0)}
    for state in (
        ConsumerProgressState(ack_floor=floor),
        ConsumerProgressState(delivered=floor, pending=pending),
        ConsumerProgressState(delivered=floor, redelivered={"x": 1}),
        ConsumerProgressState(delivered=SequenceInfo(stream_seq=(1 << 64) - 1)),
    ):
        with pytest.raises(ValueError, match="impossible"):
            encode_progress(state)
