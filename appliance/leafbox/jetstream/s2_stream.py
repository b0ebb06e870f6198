"""The S2 framed stream of backups: reads all of it, writes chunks that are not compressed.

A chunk is a type byte, three bytes of length, and for data a masked CRC32C of the plain bytes. S2 blocks extend
Snappy's by repeated offsets and larger blocks. Writing plain chunks is valid S2; backups made here are larger than
nats-server's, which compress. Source: the S2 and Snappy framing descriptions. Input errors are `CorruptS2`.
"""

from __future__ import annotations

from leafbox.dataplane.store_crc import checksum

_IDENTIFIERS = (b"S2sTwO", b"sNaPpY")
_COMPRESSED, _PLAIN, _IDENTIFIER = 0x00, 0x01, 0xFF
_SKIPPABLE_FIRST = 0x80
PLAIN_BYTES_MAX = 65536
"""Plain bytes of one written chunk; also what a Snappy reader accepts."""
BLOCK_BYTES_MAX = 4 << 20
"""Plain bytes of one block that is read; S2 allows no more."""


class CorruptS2(ValueError):
    """The stream is not S2, or damaged."""


def _masked(crc: int) -> int:
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def stream_head() -> bytes:
    """The identifier chunk that opens a stream."""
    return b"\xff\x06\x00\x00S2sTwO"


def plain_chunks(data: bytes) -> bytes:
    """`data` as chunks that are not compressed."""
    chunks = []
    for start in range(0, len(data), PLAIN_BYTES_MAX):
        piece = data[start : start + PLAIN_BYTES_MAX]
        head = bytes((_PLAIN,)) + (len(piece) + 4).to_bytes(3, "little")
        chunks.append(head + _masked(checksum(piece)).to_bytes(4, "little") + piece)
    return b"".join(chunks)


class S2Reader:
    """Turns pieces of a stream, cut anywhere, into plain bytes."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_identified = False

    def feed(self, data: bytes) -> bytes:
        """The plain bytes that `data` completes."""
        self._rest += data
        plain = []
        while len(self._rest) >= 4:
            length = int.from_bytes(self._rest[1:4], "little")
            if length > BLOCK_BYTES_MAX + BLOCK_BYTES_MAX // 4:
                raise CorruptS2("chunk too large")
            if len(self._rest) < 4 + length:
                break
            kind, body = self._rest[0], self._rest[4 : 4 + length]
            self._rest = self._rest[4 + length :]
            plain.append(self._chunk(kind, body))
        return b"".join(plain)

    @property
    def is_between_chunks(self) -> bool:
        """Nothing of a chunk is left over."""
        return not self._rest

    def _chunk(self, kind: int, body: bytes) -> bytes:
        if kind == _IDENTIFIER:
            if body not in _IDENTIFIERS:
                raise CorruptS2("unknown stream identifier")
            self._is_identified = True
            return b""
        if not self._is_identified:
            raise CorruptS2("no stream identifier")
        if kind >= _SKIPPABLE_FIRST:
            return b""
        if kind not in (_COMPRESSED, _PLAIN) or len(body) < 4:
            raise CorruptS2(f"unknown chunk type {kind}")
        plain = body[4:] if kind == _PLAIN else decode_block(body[4:])
        if _masked(checksum(plain)).to_bytes(4, "little") != body[:4]:
            raise CorruptS2("checksum mismatch")
        return plain


def decode_block(block: bytes) -> bytes:
    """One compressed block's plain bytes."""
    size, at = _uvarint(block)
    if size > BLOCK_BYTES_MAX:
        raise CorruptS2("block too large")
    out = bytearray()
    offset = 0
    try:
        while at < len(block):
            tag = block[at]
            kind = tag & 3
            if kind == 0:
                length, at = _literal_length(block, at)
                if at + length > len(block):
                    raise CorruptS2("literal beyond the block")
                out += block[at : at + length]
                at += length
            else:
                length, offset, at = _copy(block, at, offset)
                _repeat(out, offset, length)
            if len(out) > size:
                raise CorruptS2("block longer than announced")
    except IndexError:
        raise CorruptS2("block cut short") from None
    if len(out) != size:
        raise CorruptS2("block shorter than announced")
    return bytes(out)


def _uvarint(data: bytes) -> tuple[int, int]:
    value = shift = 0
    for index, byte in enumerate(data[:10]):
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, index + 1
        shift += 7
    raise CorruptS2("bad length")


def _literal_length(block: bytes, at: int) -> tuple[int, int]:
    length = block[at] >> 2
    if length < 60:
        return length + 1, at + 1
    extra = length - 59
    return int.from_bytes(block[at + 1 : at + 1 + extra], "little") + 1, at + 1 + extra


def _copy(block: bytes, at: int, offset: int) -> tuple[int, int, int]:
    """Length, offset and the next index of a copy; a short copy with offset 0 repeats the last offset."""
    tag = block[at]
    kind = tag & 3
    if kind == 2:
        return 1 + (tag >> 2), int.from_bytes(block[at + 1 : at + 3], "little"), at + 3
    if kind == 3:
        return 1 + (tag >> 2), int.from_bytes(block[at + 1 : at + 5], "little"), at + 5
    length, found = (tag >> 2) & 7, (tag & 0xE0) << 3 | block[at + 1]
    at += 2
    if found:
        return length + 4, found, at
    if length == 5:
        return block[at] + 8, offset, at + 1
    if length == 6:
        return int.from_bytes(block[at : at + 2], "little") + 260, offset, at + 2
    if length == 7:
        return int.from_bytes(block[at : at + 3], "little") + 65540, offset, at + 3
    return length + 4, offset, at


def _repeat(out: bytearray, offset: int, length: int) -> None:
    start = len(out) - offset
    if offset <= 0 or start < 0:
        raise CorruptS2("copy from before the block")
    if length > BLOCK_BYTES_MAX:
        raise CorruptS2("copy beyond the block")
    while length > 0:
        piece = out[start : start + min(length, offset)]
        out += piece
        length -= len(piece)
        start += len(piece)
