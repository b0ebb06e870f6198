# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""WebSocket frames around a byte stream (RFC 6455 section 5, permessage-deflate of RFC 7692). Bytes in, bytes out.

Where frames and messages begin and end means nothing to the protocols inside; only the bytes count. So the payload of
an uncompressed message is passed on as it arrives and is never gathered, whatever length its frame announces. Only a
compressed message is gathered, because it is inflated as a whole: `message_bytes_max` bounds it while it arrives and
again while it is inflated, so a decompression bomb costs no more than that.

Both ends: a server demands masked frames; a client masks its output and refuses masked frames; with `Nats-No-Masking`
neither masks. No context takeover in both directions, as nats-server negotiates it: every message stands alone, so an
idle connection holds no window and all connections of a loop share one compressor.

Behaviour and texts are nats-server 2.15.1's (core-protocol section 9), except that it inflates no more than one
`max_payload`, so that a full-size PUB fails once it is compressed; here the limit of the message counts both times.
"""
import os
import zlib

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

COMPRESS_BYTES_MIN = 64
FRAME_BYTES_FOR_BROWSERS = 4096
DEF_MESSAGE_BYTES = 8 * 1024 * 1024
MESSAGE_BYTES_LIMIT = 64 * 1024 * 1024
MESSAGE_PAYLOADS = 8

cdef enum:
    FINAL_BIT = 0x80
    RSV1_BIT = 0x40
    RSV23_BITS = 0x30
    MASK_BIT = 0x80
    OP_CONTINUATION = 0
    OP_TEXT = 1
    OP_BINARY = 2
    OP_CLOSE = 8
    OP_PING = 9
    OP_PONG = 10
    # Pongs a peer may have waiting: beyond that only its newest ping is answered, which RFC 6455 5.5.3 allows.
    PONGS_PENDING_BYTES_MAX = 4096
    MASK_KEYS_BYTES = 512

# What every message's deflate stream ends with and RFC 7692 7.2.1 leaves out.
DEFLATE_TAIL = b"\x00\x00\xff\xff"
# An empty last block: behind a whole message it ends the stream, so a message that was cut short shows.
DEFLATE_END = b"\x01\x00\x00\xff\xff"

NORMAL, GOING_AWAY, PROTOCOL_ERROR, NO_STATUS = 1000, 1001, 1002, 1005
INVALID_TEXT, POLICY, TOO_BIG, INTERNAL, TLS_FAILED = 1007, 1008, 1009, 1011, 1015

# Close reason -> status code. What is not listed is INTERNAL.
CLOSE_STATUS = {
    "Client Closed": NORMAL,
    "Authentication Timeout": POLICY,
    "Authentication Failure": POLICY,
    "Slow Consumer (Pending Bytes)": POLICY,
    "Slow Consumer (Write Deadline)": POLICY,
    "Maximum Account Connections Exceeded": POLICY,
    "Maximum Connections Exceeded": POLICY,
    "Maximum Control Line Exceeded": POLICY,
    "Maximum Subscriptions Exceeded": POLICY,
    "Missing Account": POLICY,
    "Authentication Expired": POLICY,
    "Credentials Revoked": POLICY,
    "TLS Handshake Failure": TLS_FAILED,
    "Parse Error": PROTOCOL_ERROR,
    "Protocol Violation": PROTOCOL_ERROR,
    "Bad Client Protocol Version": PROTOCOL_ERROR,
    "Maximum Message Payload Exceeded": TOO_BIG,
    "Write Error": GOING_AWAY,
    "Read Error": GOING_AWAY,
    "Stale Connection": GOING_AWAY,
    "Server Shutdown": GOING_AWAY,
}


def message_bytes_max(max_payload: int) -> int:
    """The limit of one compressed message for a connection with this `max_payload` (0 or less: the default)."""
    if max_payload <= 0:
        max_payload = 1024 * 1024
    return min(max_payload * MESSAGE_PAYLOADS, MESSAGE_BYTES_LIMIT)


def close_payload(status: int, text: str) -> bytes:
    """Status and text of a close frame; a text too long for one frame is cut and ends with `...`."""
    encoded = text.encode()
    if len(encoded) > CONTROL_BYTES_MAX - 2:
        encoded = encoded[:CONTROL_BYTES_MAX - 5].decode("utf-8", "ignore").encode() + b"..."
    return status.to_bytes(2, "big") + encoded


def is_close_status(status: int) -> bool:
    """Whether a peer may send this status (RFC 6455 section 7.4)."""
    if status in (1004, NO_STATUS, 1006, TLS_FAILED):
        return False
    return 1000 <= status < 1016 or 3000 <= status < 5000


cdef void xor_mask(uint8_t *to, const uint8_t *data, Py_ssize_t length, const uint8_t *mask,
                   unsigned int at) noexcept nogil:
    """Mask or unmask `length` bytes; `at` is the position in the payload of the first one."""
    cdef uint8_t turned[8]
    cdef uint64_t key, word
    cdef Py_ssize_t i = 0
    cdef int k
    for k in range(8):
        turned[k] = mask[(at + k) & 3]
    memcpy(&key, turned, 8)
    while i + 8 <= length:
        memcpy(&word, data + i, 8)
        word ^= key
        memcpy(to + i, &word, 8)
        i += 8
    while i < length:
        to[i] = data[i] ^ turned[i & 3]
        i += 1


cdef class Deflater:
    """The compressor of one event loop, used by all its connections in turn.

    A full flush at the end of each message makes zlib forget it, so the next message of any connection never refers to
    it. Fastest level, as nats-server: these are small texts on a small CPU.
    """

    def __init__(self):
        self.compressor = zlib.compressobj(zlib.Z_BEST_SPEED, zlib.DEFLATED, -zlib.MAX_WBITS)

    cdef bytes compress(self, bytes data):
        """One message's deflate stream without its tail."""
        cdef bytes stream = self.compressor.compress(data) + self.compressor.flush(zlib.Z_FULL_FLUSH)
        assert stream.endswith(DEFLATE_TAIL)
        return stream[:len(stream) - 4]


cdef class WebsocketFraming:
    """The frames of one connection. After each `decode` look at `pending_control` and `end_reason`.

    `decode` never raises: a violation sets `end_reason` and the close frame, which `close_frame` then returns.
    """

    def __init__(self, *, bint demands_mask=True, bint forbids_mask=False, bint masks_output=False, bint refuses_text=False,
                 Deflater deflater=None, Py_ssize_t frame_bytes_max=0, bint fragments_compressed=True,
                 Py_ssize_t message_bytes_max=DEF_MESSAGE_BYTES):
        self.demands_mask = demands_mask
        self.forbids_mask = forbids_mask
        self.masks_output = masks_output
        self.refuses_text = refuses_text
        self.deflater = deflater
        self.frame_bytes_max = frame_bytes_max
        self.fragments_compressed = fragments_compressed
        self.message_bytes_max = message_bytes_max
        self.header_needed = 2
        self.pending_control = b""

    # -- input --------------------------------------------------------------------------------------------------------

    def decode(self, bytes data not None) -> bytes:
        """The payload bytes in `data`, in order. Frames may be cut anywhere; what is incomplete is kept."""
        cdef const uint8_t *source = <const uint8_t *>PyBytes_AS_STRING(data)
        cdef Py_ssize_t length = len(data), at = 0, filled = 0, joined = 0, step
        # Payload is never longer than what carries it, so this bounds every write below.
        cdef bytes plain = PyBytes_FromStringAndSize(NULL, length)
        cdef uint8_t *to = <uint8_t *>PyBytes_AS_STRING(plain)
        cdef list parts = None
        while at < length and self.end_reason is None:
            if not self.in_payload:
                self.header[self.header_len] = source[at]
                self.header_len += 1
                at += 1
                if self.header_len == 2:
                    self.begin_frame()
                if self.header_len == self.header_needed and self.end_reason is None:
                    self.finish_header()
                if not self.in_payload or self.remaining:
                    continue
            step = length - at
            if <uint64_t>step > self.remaining:
                step = <Py_ssize_t>self.remaining
            if self.opcode >= OP_CLOSE:
                xor_mask(self.control + self.control_len, source + at, step, self.mask, self.mask_at)
                self.control_len += <int>step
            elif not self.compressed:
                xor_mask(to + filled, source + at, step, self.mask, self.mask_at)
                filled += step
            elif len(self.deflated) + step > self.message_bytes_max:
                self.refuse_message()
                break
            else:
                # The free end of `plain` serves as scratch space.
                xor_mask(to + filled, source + at, step, self.mask, self.mask_at)
                self.deflated += plain[filled:filled + step]
            at += step
            self.mask_at = (self.mask_at + <unsigned int>step) & 3
            self.remaining -= step
            if self.remaining:
                continue
            self.in_payload = False
            if self.opcode >= OP_CLOSE:
                self.finish_control()
            elif self.final and self.compressed:
                if parts is None:
                    parts = []
                parts.append(plain[joined:filled])
                parts.append(self.inflate_message())
                joined = filled
        if parts is not None:
            parts.append(plain[joined:filled])
            return b"".join(parts)
        return plain[:filled]

    cdef int begin_frame(self) except -1:
        """Two bytes are there: check what they say, and how long the header is."""
        cdef int first = self.header[0], size = self.header[1] & 0x7f
        cdef bint final = (first & FINAL_BIT) != 0, compressed = (first & RSV1_BIT) != 0
        cdef bint masked = (self.header[1] & MASK_BIT) != 0
        cdef int opcode = first & 0x0f
        if first & RSV23_BITS:
            return self.violation("RSV2 and RSV3 must be clear")
        if compressed and self.deflater is None:
            return self.violation("compressed frame received without negotiated permessage-deflate")
        if self.demands_mask and not masked:
            return self.violation("mask bit missing")
        if self.forbids_mask and masked:
            return self.violation("mask bit must not be set")
        if opcode in (OP_CLOSE, OP_PING, OP_PONG):
            if size > CONTROL_BYTES_MAX:
                return self.violation("control frame length bigger than maximum allowed of 125 bytes")
            if not final:
                return self.violation("control frame does not have final bit set")
            if compressed:
                return self.violation("control frame must not be compressed")
            self.control_len = 0
        elif opcode in (OP_TEXT, OP_BINARY):
            if opcode == OP_TEXT and self.refuses_text:
                return self.violation("text frame where only binary frames are allowed")
            if self.in_message:
                return self.violation("new message started before final frame for previous message was received")
            self.in_message = not final
            self.compressed = compressed
            if compressed:
                self.deflated = bytearray()
        elif opcode == OP_CONTINUATION:
            if not self.in_message or compressed:
                return self.violation("invalid continuation frame")
            self.in_message = not final
        else:
            return self.violation(f"unknown opcode {opcode}")
        self.opcode = opcode
        self.final = final
        self.masked = masked
        self.header_needed = <int>self.header_size()
        return 0

    cdef Py_ssize_t header_size(self) noexcept:
        cdef int size = self.header[1] & 0x7f
        return 2 + (2 if size == 126 else 8 if size == 127 else 0) + (4 if self.masked else 0)

    cdef int finish_header(self) except -1:
        """The whole header is there: the payload follows."""
        cdef int size = self.header[1] & 0x7f, at = 2, i
        self.remaining = size
        if size >= 126:
            self.remaining = 0
            for i in range(2 if size == 126 else 8):
                self.remaining = self.remaining << 8 | self.header[2 + i]
            at += 2 if size == 126 else 8
            if self.remaining >> 63:
                return self.violation("invalid 64-bit payload length")
        for i in range(4):
            self.mask[i] = self.header[at + i] if self.masked else 0
        self.mask_at = 0
        self.header_len = 0
        self.header_needed = 2
        self.in_payload = True
        return 0

    cdef bytes inflate_message(self):
        """The content of the compressed message that is complete now; b"" when it ends the connection."""
        deflated, self.deflated = self.deflated, None
        self.compressed = False
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            plain = inflater.decompress(deflated + DEFLATE_TAIL + DEFLATE_END, self.message_bytes_max + 1)
        except zlib.error:
            plain = None
        # Not at the end of the stream: it was cut short, or more would have come out of it.
        if plain is None or not inflater.eof:
            self.refuse_message()
            return b""
        return plain

    cdef int finish_control(self) except -1:
        if self.opcode == OP_CLOSE:
            return self.peer_closed()
        if self.opcode == OP_PING:
            pong = self.frame(FINAL_BIT | OP_PONG, self.control, self.control_len)
            if len(self.pending_control) + len(pong) > PONGS_PENDING_BYTES_MAX:
                self.pending_control = b""
            self.pending_control += pong
        return 0

    cdef int peer_closed(self) except -1:
        """Answer the peer's close frame with the same status and text (RFC 6455 section 5.5.1)."""
        cdef bytes payload = self.control[:self.control_len]
        if len(payload) == 1:
            return self.violation("close frame payload cannot be 1 byte")
        if payload:
            status = int.from_bytes(payload[:2], "big")
            if not is_close_status(status):
                return self.violation(f"invalid close status code {status}")
            try:
                payload[2:].decode()
            except UnicodeDecodeError:
                payload = close_payload(INVALID_TEXT, "invalid utf8 body in close frame")
        self.own_close_frame = self.frame(FINAL_BIT | OP_CLOSE, <const uint8_t *>PyBytes_AS_STRING(payload),
                                          len(payload))
        self.end_reason = "Client Closed"
        return 0

    cdef int violation(self, str text) except -1:
        """Broken frames: close with 1002. The reason in connz is the one nats-server gives."""
        cdef bytes payload = close_payload(PROTOCOL_ERROR, text)
        self.own_close_frame = self.frame(FINAL_BIT | OP_CLOSE, <const uint8_t *>PyBytes_AS_STRING(payload),
                                          len(payload))
        self.end_reason = "Read Error"
        self.deflated = None
        return 0

    cdef int refuse_message(self) except -1:
        """A compressed message over the limit, or one that is none: nats-server closes with 1001 `Read Error`."""
        self.end_reason = "Read Error"
        self.deflated = None
        return 0

    # -- output -------------------------------------------------------------------------------------------------------

    def encode(self, bytes data not None) -> bytes:
        """`data` as whole frames, in one message or, for browsers, in several."""
        if not data:
            return b""
        if self.deflater is not None and len(data) > COMPRESS_BYTES_MIN:
            return self.frames(RSV1_BIT | OP_BINARY, self.deflater.compress(data), True)
        return self.frames(OP_BINARY, data, False)

    def ping_frame(self, bytes payload not None=b"") -> bytes:
        """A WebSocket ping, for the end that dialled through a proxy which cuts silent connections."""
        return self.frame(FINAL_BIT | OP_PING, <const uint8_t *>PyBytes_AS_STRING(payload),
                          min(len(payload), <Py_ssize_t>CONTROL_BYTES_MAX))

    def close_frame(self, str reason not None) -> bytes:
        """The one close frame: what decoding decided, else the status that belongs to `reason`."""
        if self.own_close_frame is not None:
            return self.own_close_frame
        cdef bytes payload = close_payload(CLOSE_STATUS.get(reason, INTERNAL), reason)
        return self.frame(FINAL_BIT | OP_CLOSE, <const uint8_t *>PyBytes_AS_STRING(payload), len(payload))

    cdef bytes frame(self, int first_byte, const uint8_t *payload, Py_ssize_t length):
        cdef bytes made = PyBytes_FromStringAndSize(NULL, HEADER_BYTES_MAX + length)
        cdef Py_ssize_t size = self.write_frame(<uint8_t *>PyBytes_AS_STRING(made), first_byte, payload, length)
        return made[:size]

    cdef bytes frames(self, int first_byte, bytes payload, bint is_one_message):
        """`payload` in frames of at most `frame_bytes_max`: fragments of one message, or messages of their own."""
        cdef const uint8_t *source = <const uint8_t *>PyBytes_AS_STRING(payload)
        cdef Py_ssize_t length = len(payload), most = self.frame_bytes_max, at = 0, step, size = 0
        cdef int first
        if most == 0 or length <= most or (is_one_message and not self.fragments_compressed):
            return self.frame(FINAL_BIT | first_byte, source, length)
        cdef bytes made = PyBytes_FromStringAndSize(NULL, length + (length // most + 1) * HEADER_BYTES_MAX)
        cdef uint8_t *to = <uint8_t *>PyBytes_AS_STRING(made)
        while at < length:
            step = min(most, length - at)
            first = first_byte if at == 0 or not is_one_message else OP_CONTINUATION
            if at + step == length or not is_one_message:
                first |= FINAL_BIT
            size += self.write_frame(to + size, first, source + at, step)
            at += step
        return made[:size]

    cdef Py_ssize_t write_frame(self, uint8_t *at, int first_byte, const uint8_t *payload,
                                Py_ssize_t length) except -1:
        """One frame at `at`, which has room for HEADER_BYTES_MAX + `length`; returns its size."""
        cdef int mask_bit = MASK_BIT if self.masks_output else 0
        cdef Py_ssize_t size = 2
        cdef int i
        at[0] = <uint8_t>first_byte
        if length <= 125:
            at[1] = <uint8_t>(mask_bit | length)
        elif length < 65536:
            at[1] = <uint8_t>(mask_bit | 126)
            at[2] = <uint8_t>(length >> 8)
            at[3] = <uint8_t>(length & 0xff)
            size = 4
        else:
            at[1] = <uint8_t>(mask_bit | 127)
            for i in range(8):
                at[2 + i] = <uint8_t>((<uint64_t>length >> (56 - 8 * i)) & 0xff)
            size = 10
        if not self.masks_output:
            memcpy(at + size, payload, length)
            return size + length
        if self.mask_keys is None or self.mask_keys_at + 4 > len(self.mask_keys):
            # A key nobody can foresee for every frame (RFC 6455 section 10.3); one system call for many.
            self.mask_keys = os.urandom(MASK_KEYS_BYTES)
            self.mask_keys_at = 0
        memcpy(at + size, PyBytes_AS_STRING(self.mask_keys) + self.mask_keys_at, 4)
        self.mask_keys_at += 4
        xor_mask(at + size + 4, payload, length, at + size, 0)
        return size + 4 + length
