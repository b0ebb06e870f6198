"""The compression of backups."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leafbox.jetstream.s2_stream import CorruptS2, S2Reader, decode_block, plain_chunks, stream_head


@given(st.binary(max_size=300), st.integers(1, 40), st.integers(1, 400))
def test_plain_chunks_survive_however_they_are_cut(data: bytes, step: int, times: int) -> None:
    data *= times
    stream = stream_head() + plain_chunks(data)
    reader = S2Reader()
    step *= max(1, len(stream) // 500)
    assert b"".join(reader.feed(stream[at : at + step]) for at in range(0, len(stream), step)) == data
    assert reader.is_between_chunks


@pytest.mark.parametrize(
    ("block", "plain"),
    [
        (b"\x05\x10hello", b"hello"),
        (b"\x08\x04ab\x09\x02", b"ab" + b"ababab"),
        (b"\x04\x0cabcd", b"abcd"),
        (b"\x06\x08abc\x0a\x03\x00", b"abcabc"),
    ],
)
def test_blocks(block: bytes, plain: bytes) -> None:
    assert decode_block(block) == plain


@given(st.binary(max_size=100))
def test_junk_is_refused_and_stays_small(junk: bytes) -> None:
    try:
        assert len(decode_block(junk)) <= 4 << 20
    except CorruptS2:
        return


def test_damage_is_found() -> None:
    stream = bytearray(stream_head() + plain_chunks(b"hello"))
    stream[-1] ^= 1
    with pytest.raises(CorruptS2, match="checksum"):
        S2Reader().feed(bytes(stream))
    with pytest.raises(CorruptS2, match="identifier"):
        S2Reader().feed(plain_chunks(b"hello"))
