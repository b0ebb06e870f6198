# The S2 stream format: what a compressed leaf link and nats-server's backups speak.
#
#   0      1              4              8
#   +------+--------------+--------------+---------+     type 0x00 compressed, 0x01 plain, 0xff identifier,
#   | type | length (3)   | CRC-32C (4)  | body    |     0x80..0xfe to be skipped
#   +------+--------------+--------------+---------+     length counts what follows it; the CRC is of the plain bytes
from libc.stdint cimport uint8_t, uint32_t

cdef enum:
    BLOCK_BYTES_LIMIT = 4 * 1024 * 1024     # plain bytes of one block: the format allows no more

cdef class S2Decoder:
    cdef readonly bint is_identified        # the stream's identifier has come
    cdef public Py_ssize_t block_bytes_max  # plain bytes of one block that this reader takes
    cdef bytes held                         # input not decoded yet; `at` of it is used up
    cdef Py_ssize_t at
    cdef Py_ssize_t chunk_length(self) except -2
    cdef bytes chunk(self, Py_ssize_t length)

cdef class S2Encoder:
    cdef public bint compresses             # False: plain chunks, still framed and checksummed
    cdef bint has_begun

cdef class S2Framing:
    cdef readonly S2Decoder decoder
    cdef readonly S2Encoder encoder
    cdef readonly object inner              # None, or the codec of the WebSocket frames inside the S2 stream
    cdef str own_end_reason

cdef uint32_t masked_checksum(const uint8_t *data, Py_ssize_t length) noexcept nogil
cdef bytes decode(const uint8_t *block, Py_ssize_t length, Py_ssize_t size_max)
