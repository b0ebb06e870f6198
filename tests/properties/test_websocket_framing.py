"""Any fragmentation and any chunking carry the same bytes; no input makes the decoder raise or grow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leafbox.dataplane.websocket_framing import Deflater, WebsocketFraming
from tests.support.websocket_frames import (
    BINARY,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    content,
    deflate,
    read_frames,
    write_frame,
)

pytestmark = pytest.mark.capability("WS03", "AP10")

masks = st.binary(min_size=4, max_size=4)
controls = st.builds(Frame, st.sampled_from([PING, PONG]), st.binary(max_size=125))


@st.composite
def messages(draw: st.DrawFn) -> list[Frame]:
    """One message in any fragments, with control frames between them (RFC 6455 section 5.4)."""
    payload = draw(st.binary(max_size=300) | st.integers(0, 70_000).map(lambda size: b"x" * size))
    is_compressed = draw(st.booleans())
    carried = deflate(payload) if is_compressed else payload
    cuts = sorted(draw(st.lists(st.integers(0, len(carried)), max_size=4)))
    pieces = [carried[a:b] for a, b in zip([0, *cuts], [*cuts, len(carried)], strict=True)]
    frames = []
    for index, piece in enumerate(pieces):
        opcode = draw(st.sampled_from([TEXT, BINARY])) if index == 0 else CONTINUATION
        frames.append(Frame(opcode, piece, index == len(pieces) - 1, is_compressed and index == 0))
        frames.extend(draw(st.lists(controls, max_size=1)))
    return frames


def decode_in_chunks(framing: WebsocketFraming, data: bytes, cuts: list[int]) -> bytes:
    """Feed `data` cut at `cuts`; the empty pieces that equal cuts make are fed as well."""
    cuts = sorted(min(cut, len(data)) for cut in cuts)
    return b"".join(framing.decode(data[a:b]) for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True))


@given(st.lists(messages(), max_size=4), masks, st.lists(st.integers(0, 80_000), max_size=8))
def test_decoding_gives_what_the_reference_gives_however_it_is_cut(
    sent: list[list[Frame]], mask: bytes, cuts: list[int]
) -> None:
    frames = [frame for message in sent for frame in message]
    framing = WebsocketFraming(deflater=Deflater())
    data = b"".join(write_frame(frame, mask) for frame in frames)
    assert decode_in_chunks(framing, data, cuts) == content(frames)
    assert framing.end_reason is None
    pongs, rest = read_frames(framing.pending_control)
    pings = [frame.payload for frame in frames if frame.opcode == PING]
    assert [pong.payload for pong in pongs] == pings
    assert rest == b""


@given(st.lists(messages(), max_size=2), masks)
def test_every_single_cut_gives_the_same_bytes(sent: list[list[Frame]], mask: bytes) -> None:
    frames = [frame for message in sent for frame in message]
    data = b"".join(write_frame(frame, mask) for frame in frames)[:400]
    whole = WebsocketFraming(deflater=Deflater()).decode(data)
    for cut in range(len(data) + 1):
        framing = WebsocketFraming(deflater=Deflater())
        assert framing.decode(data[:cut]) + framing.decode(data[cut:]) == whole


@given(
    st.lists(st.binary(max_size=200) | st.integers(0, 70_000).map(lambda size: b"ab" * size), max_size=5),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, 1, 125, 126, 4096]),
    st.booleans(),
)
def test_what_one_end_encodes_the_other_end_decodes(
    pieces: list[bytes], is_client: bool, compresses: bool, frame_bytes_max: int, fragments: bool
) -> None:
    deflater = Deflater() if compresses else None
    pieces = [piece[:3000] for piece in pieces] if frame_bytes_max == 1 else pieces
    sender = WebsocketFraming(
        demands_mask=not is_client,
        forbids_mask=is_client,
        masks_output=is_client,
        deflater=deflater,
        frame_bytes_max=frame_bytes_max,
        fragments_compressed=fragments,
    )
    peer = WebsocketFraming(demands_mask=is_client, forbids_mask=not is_client, deflater=deflater)
    wire = b"".join(sender.encode(piece) for piece in pieces)
    assert peer.decode(wire) == b"".join(pieces)
    assert peer.end_reason is None
    frames, rest = read_frames(wire)
    assert rest == b""
    assert content(frames) == b"".join(pieces)
    if frame_bytes_max and (fragments or not compresses):
        assert all(len(frame.payload) <= frame_bytes_max for frame in frames)


@given(st.lists(st.binary(max_size=300), max_size=6), st.booleans(), st.booleans())
def test_garbage_never_raises_and_gives_no_more_than_came(
    chunks: list[bytes], demands_mask: bool, compresses: bool
) -> None:
    framing = WebsocketFraming(
        demands_mask=demands_mask, deflater=Deflater() if compresses else None, message_bytes_max=1000
    )
    for chunk in chunks:
        plain = framing.decode(chunk)
        assert len(plain) <= len(chunk) + 1000 * (len(chunk) // 2)
        assert len(framing.pending_control) <= 4096
    if framing.end_reason is not None:
        assert framing.decode(b"\x82\x80\0\0\0\0") == b""
        assert len(read_frames(framing.close_frame(framing.end_reason))[0]) == 1
