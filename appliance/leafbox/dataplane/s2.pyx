# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""S2 streams: decoder of our own, because no library for Python reads S2; Snappy's encoder, which S2 readers accept.

S2 extends Snappy by blocks up to 4 MiB and by copies that repeat the last offset. A decoder hands out what it has in
pieces of about `OUTPUT_BYTES`, so that a few kilobytes that unpack to gigabytes cost one piece of memory; the rest waits
compressed. Every chunk's checksum is verified.

`S2Framing` is what a connection puts between its bytes and the wire once both sides agreed to compress (leaf node
specification section 3). Over WebSocket the stream is around the frames, as nats-server has it; a repeated identifier is
allowed anywhere.

Source: the S2 and Snappy format descriptions. Input errors are `CorruptS2`.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from leafbox.dataplane.store_crc cimport crc32c

from cramjam import snappy

cdef enum:
    COMPRESSED = 0x00
    PLAIN = 0x01
    FIRST_SKIPPABLE = 0x80
    IDENTIFIER = 0xFF
    OUTPUT_BYTES = 256 * 1024
    # One written chunk; also what a Snappy reader takes. Larger blocks hardly compress better.
    CHUNK_PLAIN_BYTES = 64 * 1024
    # Shorter pieces are not worth a try: PING, PONG, single small messages.
    COMPRESSED_BYTES_MIN = 64

STREAM_HEAD = b"\xff\x06\x00\x00S2sTwO"
# Plain bytes of one block before the peer has logged in: INFO and CONNECT with a long JWT fit.
BLOCK_BYTES_BEFORE_LOGIN = 64 * 1024


class CorruptS2(ValueError):
    """The stream is not S2, or damaged."""


cdef uint32_t masked_checksum(const uint8_t *data, Py_ssize_t length) noexcept nogil:
    cdef uint32_t crc = crc32c(0, data, length)
    return ((crc >> 15) | (crc << 17)) + <uint32_t>0xA282EAD8


cdef Py_ssize_t little_endian(const uint8_t *data, int count) noexcept nogil:
    cdef Py_ssize_t value = 0
    cdef int i
    for i in range(count):
        value |= <Py_ssize_t>data[i] << (8 * i)
    return value


def decode_block(bytes block not None, Py_ssize_t size_max=BLOCK_BYTES_LIMIT) -> bytes:
    """The plain bytes of one compressed block."""
    return decode(<const uint8_t *>PyBytes_AS_STRING(block), len(block), size_max)


cdef Py_ssize_t announced_size(const uint8_t *block, Py_ssize_t length, Py_ssize_t *used) except -1:
    """The number in front of a block, seven bits a byte."""
    cdef Py_ssize_t size = 0, at
    for at in range(min(length, 5)):
        size |= <Py_ssize_t>(block[at] & 0x7F) << (7 * at)
        if block[at] < 0x80:
            used[0] = at + 1
            return size
    raise CorruptS2("bad length of a block")


cdef bytes decode(const uint8_t *block, Py_ssize_t length, Py_ssize_t size_max):
    cdef Py_ssize_t at = 0, out_at = 0, count, offset = 0, i
    cdef Py_ssize_t size = announced_size(block, length, &at)
    cdef int kind, extra
    cdef uint8_t *out
    cdef bytes result
    if size > size_max:
        raise CorruptS2("block too large")
    result = PyBytes_FromStringAndSize(NULL, size)
    out = <uint8_t *>PyBytes_AS_STRING(result)
    while at < length:
        kind = block[at] & 3
        if kind == 0:
            count = block[at] >> 2
            at += 1
            if count >= 60:
                extra = <int>count - 59
                if length - at < extra:
                    raise CorruptS2("block cut short")
                count = little_endian(block + at, extra)
                at += extra
            count += 1
            if count > length - at or count > size - out_at:
                raise CorruptS2("literal beyond the block")
            memcpy(out + out_at, block + at, count)
            at += count
            out_at += count
            continue
        if length - at < (2 if kind == 1 else 3 if kind == 2 else 5):
            raise CorruptS2("block cut short")
        if kind == 1:
            count = (block[at] >> 2) & 7
            i = <Py_ssize_t>(block[at] & 0xE0) << 3 | block[at + 1]
            at += 2
            if i:
                offset = i
            elif count >= 5:
                # A repeated offset with its length in one to three further bytes.
                extra = <int>count - 4
                if length - at < extra:
                    raise CorruptS2("block cut short")
                count = little_endian(block + at, extra) + (4 if extra == 1 else 256 if extra == 2 else 65536)
                at += extra
            count += 4
        elif kind == 2:
            count = (block[at] >> 2) + 1
            offset = little_endian(block + at + 1, 2)
            at += 3
        else:
            count = (block[at] >> 2) + 1
            offset = little_endian(block + at + 1, 4)
            at += 5
        if offset <= 0 or offset > out_at:
            raise CorruptS2("copy from before the block")
        if count > size - out_at:
            raise CorruptS2("copy beyond the block")
        if offset >= count:
            memcpy(out + out_at, out + out_at - offset, count)
        else:
            for i in range(count):
                out[out_at + i] = out[out_at + i - offset]
        out_at += count
    if out_at != size:
        raise CorruptS2("block shorter than announced")
    return result


cdef class S2Decoder:
    """Turns pieces of a stream, cut anywhere, into plain bytes. Holds one incomplete chunk and what was fed behind it."""

    def __init__(self, Py_ssize_t block_bytes_max=BLOCK_BYTES_LIMIT):
        self.block_bytes_max = block_bytes_max
        self.held = b""

    def feed(self, bytes data not None) -> bytes:
        """Add input; the plain bytes of complete chunks, about `OUTPUT_BYTES` at most: call again while `has_more`."""
        cdef list plain = []
        cdef Py_ssize_t produced = 0, length
        cdef bytes piece
        if data:
            self.held = self.held[self.at:] + data if self.at < len(self.held) else data
            self.at = 0
        while produced < OUTPUT_BYTES:
            length = self.chunk_length()
            if length < 0:
                break
            piece = self.chunk(length)
            produced += len(piece)
            plain.append(piece)
        if self.at == len(self.held):
            self.held = b""
            self.at = 0
        return plain[0] if len(plain) == 1 else b"".join(plain)

    @property
    def has_more(self) -> bool:
        """A further complete chunk can be decoded without more input."""
        return self.chunk_length() >= 0

    @property
    def is_between_chunks(self) -> bool:
        """Nothing of a chunk is left over."""
        return self.at == len(self.held)

    cdef Py_ssize_t chunk_length(self) except -2:
        """Length of the next chunk's body; -1: not all of it is there."""
        cdef const uint8_t *data = <const uint8_t *>PyBytes_AS_STRING(self.held) + self.at
        cdef Py_ssize_t there = len(self.held) - self.at, length
        if there < 4:
            return -1
        length = little_endian(data + 1, 3)
        # What cannot be compressed grows by a sixth at most (Snappy's bound).
        if length > self.block_bytes_max + self.block_bytes_max // 6 + 64:
            raise CorruptS2("chunk too large")
        return length if there - 4 >= length else -1

    cdef bytes chunk(self, Py_ssize_t length):
        cdef const uint8_t *data = <const uint8_t *>PyBytes_AS_STRING(self.held) + self.at
        cdef int kind = data[0]
        cdef bytes plain
        self.at += 4 + length
        if kind == IDENTIFIER:
            if length != 6 or (memcmp(data, b"\xff\x06\x00\x00S2sTwO", 10) != 0
                               and memcmp(data + 4, b"sNaPpY", 6) != 0):
                raise CorruptS2("unknown stream identifier")
            self.is_identified = True
            return b""
        if not self.is_identified:
            raise CorruptS2("no stream identifier")
        if kind >= FIRST_SKIPPABLE:
            return b""
        if kind not in (COMPRESSED, PLAIN) or length < 4:
            raise CorruptS2(f"unknown chunk type {kind}")
        if kind == COMPRESSED:
            plain = decode(data + 8, length - 4, self.block_bytes_max)
        else:
            plain = PyBytes_FromStringAndSize(<const char *>data + 8, length - 4)
        if masked_checksum(<const uint8_t *>PyBytes_AS_STRING(plain), len(plain)) != <uint32_t>little_endian(data + 4, 4):
            raise CorruptS2("checksum mismatch")
        return plain


cdef class S2Encoder:
    """Writes a stream: its identifier once, then chunks of at most 64 KiB."""

    def __init__(self, bint compresses=True):
        self.compresses = compresses

    def encode(self, bytes data not None) -> bytes:
        """`data` as chunks; what does not get smaller stays plain."""
        cdef list chunks = []
        cdef Py_ssize_t start
        if not self.has_begun:
            self.has_begun = True
            chunks.append(STREAM_HEAD)
        for start in range(0, len(data), CHUNK_PLAIN_BYTES):
            self._append(chunks, data[start:start + CHUNK_PLAIN_BYTES])
        return b"".join(chunks)

    def _append(self, list chunks, bytes piece):
        cdef uint32_t checksum = masked_checksum(<const uint8_t *>PyBytes_AS_STRING(piece), len(piece))
        cdef int kind = PLAIN
        cdef uint8_t head[8]
        cdef Py_ssize_t length
        cdef int i
        body = piece
        if self.compresses and len(piece) >= COMPRESSED_BYTES_MIN:
            packed = bytes(snappy.compress_raw(piece))
            if len(packed) < len(piece) - (len(piece) >> 3):
                kind, body = COMPRESSED, packed
        length = len(body) + 4
        head[0] = kind
        for i in range(3):
            head[1 + i] = <uint8_t>((length >> (8 * i)) & 0xFF)
        for i in range(4):
            head[4 + i] = <uint8_t>((checksum >> (8 * i)) & 0xFF)
        chunks.append(PyBytes_FromStringAndSize(<const char *>head, 8))
        chunks.append(body)


cdef class S2Framing:
    """Between a connection's bytes and the wire; `inner` is the codec of the WebSocket frames in the stream, if any."""

    def __init__(self, bint compresses, inner=None):
        self.decoder = S2Decoder(BLOCK_BYTES_BEFORE_LOGIN)
        self.encoder = S2Encoder(compresses)
        self.inner = inner

    def trust(self) -> None:
        """The peer has logged in: blocks of the format's full size are taken."""
        self.decoder.block_bytes_max = BLOCK_BYTES_LIMIT

    def decode(self, bytes data not None) -> bytes:
        """Plain bytes; a damaged stream ends the connection (`end_reason`)."""
        cdef bytes plain
        try:
            plain = self.decoder.feed(data)
        except CorruptS2:
            self.own_end_reason = "Parse Error"
            return b""
        return plain if self.inner is None else self.inner.decode(plain)

    def decode_own(self, bytes data not None) -> bytes:
        """What came behind the operation that began the stream, in the same read."""
        if self.inner is None:
            return self.decode(data)
        # It stood in the last frame outside of the stream, where nothing may follow.
        self.own_end_reason = "Protocol Violation"
        return b""

    @property
    def has_more(self) -> bool:
        """`decode(b"")` would give more."""
        try:
            return self.end_reason is None and self.decoder.has_more
        except CorruptS2:
            self.own_end_reason = "Parse Error"
            return False

    def encode(self, bytes data not None) -> bytes:
        """What goes on the wire for `data`."""
        return self.encoder.encode(data if self.inner is None else self.inner.encode(data))

    @property
    def end_reason(self):
        """Not None: the stream is damaged, or the WebSocket was closed."""
        if self.own_end_reason is not None or self.inner is None:
            return self.own_end_reason
        return self.inner.end_reason

    @property
    def pending_control(self) -> bytes:
        """Frames that the WebSocket codec wants to write by itself. Reading them changes nothing."""
        cdef bytes frames = b"" if self.inner is None else self.inner.pending_control
        return S2Encoder(False).encode(frames) if frames else b""

    @pending_control.setter
    def pending_control(self, bytes value):
        if self.inner is not None:
            self.inner.pending_control = value

    def close_frame(self, str reason) -> bytes:
        """The WebSocket's last frame."""
        return b"" if self.inner is None else S2Encoder(False).encode(self.inner.close_frame(reason))
