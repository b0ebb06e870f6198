"""S2 streams: what is written can be read, what is read is bounded and checked, whoever sent it."""

from __future__ import annotations

import random

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leafbox.dataplane.s2 import (
    BLOCK_BYTES_BEFORE_LOGIN,
    STREAM_HEAD,
    CorruptS2,
    S2Decoder,
    S2Encoder,
    S2Framing,
    decode_block,
)
from leafbox.dataplane.websocket_framing import WebsocketFraming


def unpacked(decoder: S2Decoder, stream: bytes) -> bytes:
    plain = decoder.feed(stream)
    while decoder.has_more:
        plain += decoder.feed(b"")
    return plain


@given(st.lists(st.binary(max_size=3000), max_size=5), st.integers(1, 50), st.booleans())
def test_what_is_written_is_read_however_it_is_cut(pieces: list[bytes], repeat: int, compresses: bool) -> None:
    encoder, decoder = S2Encoder(compresses), S2Decoder()
    stream = b"".join(encoder.encode(piece * repeat) for piece in pieces)
    step = random.Random(repeat).randrange(1, len(stream) + 2)
    found = b"".join(unpacked(decoder, stream[at : at + step]) for at in range(0, len(stream), step))
    assert found == b"".join(piece * repeat for piece in pieces)
    assert decoder.is_between_chunks


def test_a_snappy_reader_reads_our_stream() -> None:
    plain = b"site.temperature 21.5 " * 5000
    stream = S2Encoder().encode(plain).replace(STREAM_HEAD, b"\xff\x06\x00\x00sNaPpY")
    assert bytes(cramjam.snappy.decompress(stream)) == plain
    assert len(stream) < len(plain) // 5


@pytest.mark.parametrize(
    ("block", "plain"),
    [
        pytest.param(b"\x00", b"", id="empty"),
        pytest.param(b"\x03\x08abc", b"abc", id="literal"),
        pytest.param(b"\x08\x04ab\x09\x02" + b"", b"abababab", id="overlapping copy"),
        # abcd, a copy of 4 from offset 4, then "repeat offset, length 4 + 1" (code 5, one extra byte).
        pytest.param(b"\x11\x0cabcd\x01\x04\x15\x00\x01", b"abcdabcdabcdabcda", id="repeated offset"),
        pytest.param(b"\x0a\x0cabcd\x16\x04\x00", b"abcdabcdab", id="copy with two bytes of offset"),
        pytest.param(b"\x0a\x0cabcd\x17\x04\x00\x00\x00", b"abcdabcdab", id="copy with four bytes of offset"),
    ],
)
def test_known_blocks(block: bytes, plain: bytes) -> None:
    assert decode_block(block) == plain


@pytest.mark.parametrize(
    "block",
    [b"", b"\x80", b"\xff\xff\xff\xff\x0f", b"\x05\x08abc", b"\x02\x08abc", b"\x08\x04ab\x09\x03", b"\x08\x04ab\x09",
     b"\x08\x04ab\x09\x00", b"\x10\xf0", b"\x04\xfc\xff\xff\xff\xff"],
)  # fmt: skip
def test_bad_blocks_are_refused(block: bytes) -> None:
    with pytest.raises(CorruptS2):
        decode_block(block)


@given(st.binary(max_size=200), st.integers(0, 300))
def test_junk_never_gives_more_than_it_announces(junk: bytes, size: int) -> None:
    try:
        plain = decode_block(bytes((size & 0x7F,)) + junk)
    except CorruptS2:
        return
    assert len(plain) == size & 0x7F


@given(st.integers(0, 500), st.integers(1, 255))
def test_a_changed_byte_is_noticed(at: int, mask: int) -> None:
    plain = random.Random(at).randbytes(200) * 3
    stream = bytearray(S2Encoder().encode(plain))
    at %= len(stream)
    stream[at] ^= mask
    decoder = S2Decoder()
    try:
        found = unpacked(decoder, bytes(stream))
    except CorruptS2:
        return
    # A longer length waits for more; a chunk may have become one that is to be skipped. Never other bytes.
    assert found in (b"", plain)
    assert found == b"" or not decoder.is_between_chunks or found == plain


def test_few_bytes_that_unpack_to_many_come_in_pieces() -> None:
    bomb = S2Encoder().encode(bytes(64 << 20))
    assert len(bomb) < 4 << 20
    decoder = S2Decoder()
    first = decoder.feed(bomb)
    assert len(first) <= 512 * 1024
    total = len(first)
    while decoder.has_more:
        piece = decoder.feed(b"")
        assert len(piece) <= 512 * 1024
        total += len(piece)
    assert total == 64 << 20


def test_before_login_blocks_are_small() -> None:
    framing = S2Framing(True)
    stream = STREAM_HEAD + b"\x00\x20\x00\x00" + bytes(4) + b"\x81\x80\x04" + bytes(25)
    framing.decode(stream)
    assert framing.end_reason == "Parse Error"
    trusted = S2Framing(True)
    trusted.trust()
    assert trusted.decode(S2Encoder().encode(bytes(BLOCK_BYTES_BEFORE_LOGIN))) == bytes(BLOCK_BYTES_BEFORE_LOGIN)


@pytest.mark.parametrize(
    "stream",
    [b"\x01\x05\x00\x00\x00\x00\x00\x00a", STREAM_HEAD[:-1] + b"X", STREAM_HEAD + b"\x02\x01\x00\x00a",
     STREAM_HEAD + b"\x01\x05\x00\x00\x00\x00\x00\x00a", STREAM_HEAD + b"\x00\xff\xff\xff"],
    ids=["no identifier", "other identifier", "unknown chunk", "checksum", "endless chunk"],
)  # fmt: skip
def test_streams_that_are_none_end_the_connection(stream: bytes) -> None:
    framing = S2Framing(True)
    framing.decode(stream)
    assert not framing.has_more
    assert framing.end_reason == "Parse Error"


def test_chunks_to_be_skipped_are() -> None:
    stream = STREAM_HEAD + b"\xfe\x03\x00\x00abc" + S2Encoder(False).encode(b"PING\r\n")
    assert S2Decoder().feed(stream) == b"PING\r\n"


def test_the_stream_is_around_websocket_frames() -> None:
    client = S2Framing(True, WebsocketFraming(demands_mask=False, masks_output=True))
    server = S2Framing(True, WebsocketFraming())
    wire = client.encode(b"PING\r\n" * 100)
    assert wire.startswith(STREAM_HEAD)
    assert server.decode(wire) == b"PING\r\n" * 100
    # A ping frame is answered inside the stream.
    ping = S2Encoder(False).encode(WebsocketFraming(demands_mask=False, masks_output=True).ping_frame(b"x"))
    assert server.decode(ping) == b""
    assert server.pending_control == server.pending_control != b""
    pong = server.pending_control
    server.pending_control = b""
    assert server.pending_control == b""
    assert client.decode(pong) == b""
    assert client.decode(server.close_frame("Server Shutdown")) == b""
    assert client.end_reason is not None


def test_nothing_may_stand_behind_the_last_frame_outside_of_the_stream() -> None:
    framing = S2Framing(True, WebsocketFraming())
    assert framing.decode_own(b"CONNECT {}\r\n") == b""
    assert framing.end_reason == "Protocol Violation"
