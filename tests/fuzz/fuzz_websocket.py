"""WebSocket frames from any bytes, cut anywhere: the same outcome, nothing raised, no more kept than was sent."""

from __future__ import annotations

from leafbox.dataplane.websocket_framing import Deflater, WebsocketFraming
from tests.fuzz.choices import Choices
from tests.support.parser_check import cut
from tests.support.websocket_frames import BINARY, CLOSE, CONTINUATION, PING, Frame, deflate, read_frames, write_frame

DEFLATER = Deflater()
SEEDS = [
    b"\x00\x00" + write_frame(Frame(BINARY, b"PING\r\n")) + write_frame(Frame(PING, b"x")) + write_frame(Frame(CLOSE)),
    b"\x01\x02\x05\x09" + write_frame(Frame(BINARY, deflate(b"hello" * 50), is_compressed=True)),
    b"\x01\x00" + write_frame(Frame(BINARY, b"a", is_final=False)) + write_frame(Frame(CONTINUATION, b"b" * 200)),
    b"\x02\x01\x07" + write_frame(Frame(BINARY, b"x" * 70000), None)[:2000],
    b"\x03\x00\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x01\x00" + write_frame(Frame(CLOSE, b"\x03\xe8bye")) + b"junk",
]
MESSAGE_BYTES_MAX = 1000


def decode(flags: int, chunks: list[bytes]) -> tuple[bytes, str | None, bytes, bytes]:
    """What one decoder makes of the chunks."""
    framing = WebsocketFraming(
        demands_mask=not flags & 2,
        forbids_mask=bool(flags & 4),
        deflater=DEFLATER if flags & 1 else None,
        message_bytes_max=MESSAGE_BYTES_MAX,
    )
    plain = b"".join(framing.decode(chunk) for chunk in chunks)
    assert len(framing.pending_control) <= 4096
    closing = framing.close_frame(framing.end_reason or "Client Closed")
    assert len(read_frames(closing)[0]) == 1
    return plain, framing.end_reason, framing.pending_control, closing


def one_input(data: bytes) -> None:
    """Flags, cuts, and what the peer sends."""
    choices = Choices(data)
    flags = choices.byte()
    cuts = [choices.number(512) for _ in range(choices.number(6))]
    sent = choices.rest()
    whole = decode(flags, [sent])
    assert decode(flags, cut(sent, cuts)) == whole
    assert len(whole[0]) <= len(sent) + MESSAGE_BYTES_MAX * (len(sent) // 2)
    sender = WebsocketFraming(
        masks_output=not flags & 2, deflater=DEFLATER if flags & 1 else None, frame_bytes_max=flags
    )
    receiver = WebsocketFraming(demands_mask=not flags & 2, deflater=DEFLATER)
    assert receiver.decode(sender.encode(sent)) == sent
    assert receiver.end_reason is None
