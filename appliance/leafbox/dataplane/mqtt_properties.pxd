# Properties of an MQTT 5 PUBLISH, and their way into a NATS header block and back.
from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef enum:
    REASON_MALFORMED = 0x81
    REASON_PROTOCOL_ERROR = 0x82

cdef struct PublishProperties:
    # What goes on to receivers as it came: everything but alias and expiry. Points into the packet or into scratch.
    const char *forward
    Py_ssize_t forward_len
    uint32_t expiry_s
    bint has_expiry
    uint16_t alias                  # 0: none
    const char *response_topic      # NULL: none
    Py_ssize_t response_topic_len
    const char *correlation         # NULL: none
    Py_ssize_t correlation_len

cdef Py_ssize_t read_varint(const char *data, Py_ssize_t length, uint32_t *value) noexcept nogil
cdef int write_varint(char *at, uint32_t value) noexcept nogil
cdef int varint_len(uint32_t value) noexcept nogil
cdef bint valid_utf8(const char *text, Py_ssize_t length) noexcept nogil
# Check the properties of a PUBLISH from a client; 0, or the reason code of what is wrong. `scratch`: `length` bytes.
cdef int scan_publish(const char *data, Py_ssize_t length, char *scratch, PublishProperties *found) noexcept nogil
cdef Py_ssize_t header_room(Py_ssize_t properties_len) noexcept nogil
# Header lines (each with its CRLF) of forwarded properties; `out` has `header_room` bytes.
cdef Py_ssize_t header_from_properties(const char *data, Py_ssize_t length, char *out) noexcept nogil
# Properties of a header block; `out` has `properties_room` bytes.
cdef Py_ssize_t properties_room(Py_ssize_t header_len) noexcept nogil
cdef Py_ssize_t properties_from_header(const char *header, Py_ssize_t length, char *out) noexcept nogil
# The digit of `Nmqtt-Pub` in a header block; -1: there is none.
cdef int published_qos(const char *header, Py_ssize_t length) noexcept nogil
cdef bint has_line(const char *header, Py_ssize_t length, const char *line, Py_ssize_t line_len) noexcept nogil
