"""WebSocket frames written and read in the plainest way: the reference for the compiled framing, and a client's tool.

One frame is a tuple; nothing is incremental. Source: RFC 6455 section 5.2, RFC 7692 section 7.2.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame with its payload as the sender meant it (unmasked, still deflated)."""

    opcode: int
    payload: bytes = b""
    is_final: bool = True
    is_compressed: bool = False

    @property
    def close_status(self) -> int | None:
        """The status of a close frame, None when it carries none."""
        return int.from_bytes(self.payload[:2], "big") if self.payload else None

    @property
    def close_text(self) -> str:
        """The text of a close frame."""
        return self.payload[2:].decode()


def write_frame(frame: Frame, mask: bytes | None = b"\x11\x22\x33\x44") -> bytes:
    """The bytes of one frame; `mask` None: unmasked, as a server sends."""
    first = frame.opcode | 0x80 * frame.is_final | 0x40 * frame.is_compressed
    length = len(frame.payload)
    mask_bit = 0x80 if mask is not None else 0
    if length <= 125:
        head = bytes([first, mask_bit | length])
    elif length < 1 << 16:
        head = bytes([first, mask_bit | 126]) + length.to_bytes(2, "big")
    else:
        head = bytes([first, mask_bit | 127]) + length.to_bytes(8, "big")
    if mask is None:
        return head + frame.payload
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(frame.payload))


def read_frames(data: bytes) -> tuple[list[Frame], bytes]:
    """The complete frames in `data` and what is left of it."""
    frames: list[Frame] = []
    while True:
        frame, used = _read_frame(data)
        if frame is None:
            return frames, data
        frames.append(frame)
        data = data[used:]


def _read_frame(data: bytes) -> tuple[Frame | None, int]:
    if len(data) < 2:
        return None, 0
    at, length = 2, data[1] & 0x7F
    if length >= 126:
        size = 2 if length == 126 else 8
        length = int.from_bytes(data[2 : 2 + size], "big")
        at += size
    mask = b"\0\0\0\0"
    if data[1] & 0x80:
        mask = data[at : at + 4]
        at += 4
    if len(data) < at + length:
        return None, 0
    payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data[at : at + length]))
    return Frame(data[0] & 0x0F, payload, bool(data[0] & 0x80), bool(data[0] & 0x40)), at + length


def deflate(data: bytes) -> bytes:
    """One message's deflate stream, by the letter of RFC 7692 section 7.2.1."""
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflate(data: bytes) -> bytes:
    """Its inverse; whole messages only."""
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data + b"\x00\x00\xff\xff")


def content(frames: list[Frame]) -> bytes:
    """What the data frames of a valid sequence carry, in order; control frames are passed over."""
    carried, message, is_compressed = b"", b"", False
    for frame in frames:
        if frame.opcode >= CLOSE:
            continue
        if frame.opcode != CONTINUATION:
            is_compressed = frame.is_compressed
        message += frame.payload
        if frame.is_final:
            carried += inflate(message) if is_compressed else message
            message = b""
    return carried + (b"" if is_compressed else message)
