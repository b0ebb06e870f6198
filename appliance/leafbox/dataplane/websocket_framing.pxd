# WebSocket frames around a byte stream (RFC 6455 section 5, RFC 7692), for either end of a connection.
#
#    0               1               2 .. 9           + 4        payload
#   +-+-+-+-+-------+-+-------------+----------------+----------+---------+
#   |F|R|R|R| opcode|M| length      | 16 or 64 bit   | mask key | masked  |
#   |I|S|S|S|  (4)  |A|   (7)       | length if 126, |  if M    | with it |
#   |N|1|2|3|       |S|             | 127            |          |         |
#   +-+-+-+-+-------+-+-------------+----------------+----------+---------+
from libc.stdint cimport uint8_t, uint64_t

cdef enum:
    HEADER_BYTES_MAX = 14
    CONTROL_BYTES_MAX = 125

cdef class Deflater:
    # One compressor for all connections of a loop: each message ends with a full flush, so it keeps nothing of it.
    cdef object compressor
    cdef bytes compress(self, bytes data)

cdef class WebsocketFraming:
    # -- fixed by the handshake
    cdef readonly bint demands_mask         # the peer is a client: an unmasked frame is a violation
    cdef readonly bint forbids_mask         # the peer is a server: a masked frame is a violation
    cdef readonly bint masks_output
    cdef readonly bint refuses_text         # a text frame is a violation: what is carried is binary by its standard
    cdef readonly Deflater deflater         # None: permessage-deflate was not negotiated
    cdef readonly Py_ssize_t frame_bytes_max        # of output; 0: no limit
    cdef readonly bint fragments_compressed         # whether that limit may split a compressed message
    cdef readonly Py_ssize_t message_bytes_max      # of a compressed message, before and after inflating
    # -- the frame being read
    cdef uint8_t header[HEADER_BYTES_MAX]
    cdef int header_len, header_needed
    cdef int opcode
    cdef bint final
    cdef bint in_payload
    cdef uint64_t remaining                 # payload bytes of it that have not come yet
    cdef bint masked
    cdef uint8_t mask[4]
    cdef unsigned int mask_at
    cdef uint8_t control[CONTROL_BYTES_MAX]
    cdef int control_len
    # -- the message it belongs to
    cdef bint in_message
    cdef bint compressed
    cdef bytearray deflated                 # what has come of a compressed message; None outside of one
    # -- what decoding asks of the connection
    cdef public bytes pending_control       # frames to write (pongs); bounded
    cdef readonly str end_reason            # not None: the connection ends; nothing after it is decoded
    cdef readonly bint has_more             # never: a read's frames are decoded at once
    cdef bytes own_close_frame              # the close frame that decoding decided on
    cdef bytes mask_keys
    cdef Py_ssize_t mask_keys_at
    # input, in the order of a frame
    cdef int begin_frame(self) except -1
    cdef Py_ssize_t header_size(self) noexcept
    cdef int finish_header(self) except -1
    cdef bytes inflate_message(self)
    cdef int finish_control(self) except -1
    cdef int peer_closed(self) except -1
    cdef int violation(self, str text) except -1
    cdef int refuse_message(self) except -1
    # output
    cdef bytes frame(self, int first_byte, const uint8_t *payload, Py_ssize_t length)
    cdef Py_ssize_t write_frame(self, uint8_t *at, int first_byte, const uint8_t *payload, Py_ssize_t length) except -1
    cdef bytes frames(self, int first_byte, bytes payload, bint is_one_message)
