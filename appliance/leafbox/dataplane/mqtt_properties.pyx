# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Properties of an MQTT 5 PUBLISH: checked, passed on, and carried through NATS in a header block and back.

| property | header line |
|---|---|
| payload format 1 | `Nmqtt-Payload-Format: 1` |
| content type | `Content-Type: text`; escaped as `Nmqtt-Content-Type: text` where a header could not hold it |
| response topic | `Nmqtt-Response-Topic: topic` (escaped), and the message's reply subject |
| correlation data | `Nmqtt-Correlation-Data: hex` |
| user property | `name: value`; `Nmqtt-User-Property: name=value` (both escaped) where that would not come back the same |

Escaped is `%XX` for control characters, DEL, `%` and, in names, `=`. Names that mean something to NATS or to the gateway
(`Nats-`, `Nmqtt-`, `Content-Type`) are always escaped, so that no property of a device acts as a header of ours.

Every walk is bounded by the end of the packet or header; nothing here makes Python objects.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memchr, memcmp, memcpy

cdef extern from "string.h" nogil:
    void *memmem(const void *haystack, size_t haystack_len, const void *needle, size_t needle_len)
    int strncasecmp(const char *a, const char *b, size_t length)

cdef enum:
    PAYLOAD_FORMAT = 1
    MESSAGE_EXPIRY = 2
    CONTENT_TYPE = 3
    RESPONSE_TOPIC = 8
    CORRELATION_DATA = 9
    TOPIC_ALIAS = 35
    USER_PROPERTY = 38
    STATUS_LINE = 10            # len("NATS/1.0\r\n")
    USER_ROOM = 32              # what the longest escaped line adds to its two texts


cdef Py_ssize_t read_varint(const char *data, Py_ssize_t length, uint32_t *value) noexcept nogil:
    """Bytes of a variable byte integer; 0: not complete, -1: malformed (more than four bytes)."""
    cdef Py_ssize_t i
    cdef uint32_t found = 0
    for i in range(4):
        if i >= length:
            return 0
        found |= (<uint32_t>(<uint8_t>data[i]) & 0x7F) << (7 * i)
        if not (<uint8_t>data[i]) & 0x80:
            value[0] = found
            # [MQTT-1.5.5-1]: the shortest form, no other.
            return -1 if i and data[i] == 0 else i + 1
    return -1


cdef int write_varint(char *at, uint32_t value) noexcept nogil:
    cdef int count = 0
    while True:
        at[count] = <char>(value & 0x7F)
        value >>= 7
        if value == 0:
            return count + 1
        at[count] = <char>(<uint8_t>at[count] | 0x80)
        count += 1


cdef int varint_len(uint32_t value) noexcept nogil:
    if value < 128:
        return 1
    if value < 16384:
        return 2
    return 3 if value < 2097152 else 4


cdef bint valid_utf8(const char *text, Py_ssize_t length) noexcept nogil:
    """Well-formed UTF-8 without U+0000 and surrogates [MQTT-1.5.4-1, -2]."""
    cdef Py_ssize_t i = 0
    cdef uint8_t c, d
    cdef int more, k
    while i < length:
        c = <uint8_t>text[i]
        i += 1
        if c < 0x80:
            if c == 0:
                return False
            continue
        if c < 0xC2 or c > 0xF4:
            return False
        more = 1 if c < 0xE0 else (2 if c < 0xF0 else 3)
        if length - i < more:
            return False
        d = <uint8_t>text[i]
        if ((c == 0xE0 and d < 0xA0) or (c == 0xED and d > 0x9F) or (c == 0xF0 and d < 0x90)
                or (c == 0xF4 and d > 0x8F)):
            return False
        for k in range(more):
            if (<uint8_t>text[i + k]) & 0xC0 != 0x80:
                return False
        i += more
    return True


cdef inline Py_ssize_t text_at(const char *data, Py_ssize_t at, Py_ssize_t length) noexcept nogil:
    """End of the length-prefixed field at `at`; -1 when it is cut."""
    cdef Py_ssize_t size
    if length - at < 2:
        return -1
    size = (<Py_ssize_t>(<uint8_t>data[at]) << 8) | <uint8_t>data[at + 1]
    return at + 2 + size if length - at - 2 >= size else -1


cdef Py_ssize_t property_end(const char *data, Py_ssize_t at, Py_ssize_t length) noexcept nogil:
    """End of a property of a PUBLISH whose identifier stands before `at`; -1: cut or not UTF-8, -2: not allowed."""
    cdef Py_ssize_t end
    cdef uint8_t which = <uint8_t>data[at - 1]
    if which == PAYLOAD_FORMAT:
        end = at + 1
    elif which == MESSAGE_EXPIRY:
        end = at + 4
    elif which == TOPIC_ALIAS:
        end = at + 2
    elif which == CONTENT_TYPE or which == RESPONSE_TOPIC or which == CORRELATION_DATA:
        end = text_at(data, at, length)
        if end >= 0 and which != CORRELATION_DATA and not valid_utf8(data + at + 2, end - at - 2):
            return -1
    elif which == USER_PROPERTY:
        end = text_at(data, at, length)
        if end < 0 or not valid_utf8(data + at + 2, end - at - 2):
            return -1
        at = end
        end = text_at(data, at, length)
        if end >= 0 and not valid_utf8(data + at + 2, end - at - 2):
            return -1
    else:
        return -2
    return -1 if end > length else end


cdef int scan_publish(const char *data, Py_ssize_t length, char *scratch, PublishProperties *found) noexcept nogil:
    cdef Py_ssize_t at = 0, end
    cdef uint8_t which
    cdef uint32_t seen = 0
    cdef int bit
    found.forward = scratch
    found.forward_len = 0
    found.has_expiry = False
    found.alias = 0
    found.response_topic = found.correlation = NULL
    found.response_topic_len = found.correlation_len = 0
    while at < length:
        which = <uint8_t>data[at]
        end = property_end(data, at + 1, length)
        if end < 0:
            return REASON_PROTOCOL_ERROR if end == -2 and which == 11 else REASON_MALFORMED
        if which != USER_PROPERTY:
            # Each of the others at most once.
            bit = which if which < 32 else 31
            if seen & (<uint32_t>1 << bit):
                return REASON_PROTOCOL_ERROR
            seen |= <uint32_t>1 << bit
        if which == MESSAGE_EXPIRY:
            found.has_expiry = True
            found.expiry_s = ((<uint32_t>(<uint8_t>data[at + 1]) << 24) | (<uint32_t>(<uint8_t>data[at + 2]) << 16)
                              | (<uint32_t>(<uint8_t>data[at + 3]) << 8) | <uint8_t>data[at + 4])
        elif which == TOPIC_ALIAS:
            found.alias = <uint16_t>((<uint16_t>(<uint8_t>data[at + 1]) << 8) | <uint8_t>data[at + 2])
            if found.alias == 0:
                return 0x94
        else:
            if which == PAYLOAD_FORMAT and <uint8_t>data[at + 1] > 1:
                return REASON_PROTOCOL_ERROR
            if which == RESPONSE_TOPIC:
                found.response_topic = data + at + 3
                found.response_topic_len = end - at - 3
                # [MQTT-3.3.2-14]: a topic name, so neither empty nor with wildcards.
                if (end - at == 3 or memchr(data + at + 3, c'+', end - at - 3) != NULL
                        or memchr(data + at + 3, c'#', end - at - 3) != NULL):
                    return REASON_PROTOCOL_ERROR
            elif which == CORRELATION_DATA:
                found.correlation = data + at + 3
                found.correlation_len = end - at - 3
            memcpy(scratch + found.forward_len, data + at, end - at)
            found.forward_len += end - at
        at = end
    return 0


# -- header lines -----------------------------------------------------------------------------------------------------

cdef Py_ssize_t header_room(Py_ssize_t properties_len) noexcept nogil:
    # Three bytes for each escaped one, and a line's name for each property, the shortest of which has two bytes.
    return properties_len * 3 + (properties_len // 2 + 1) * USER_ROOM


cdef inline char *put(char *at, const char *text, Py_ssize_t length) noexcept nogil:
    memcpy(at, text, length)
    return at + length


cdef inline char hex_digit(int value) noexcept nogil:
    return <char>(c'0' + value) if value < 10 else <char>(c'A' + value - 10)


cdef inline int hex_value(char digit) noexcept nogil:
    if c'0' <= digit <= c'9':
        return digit - c'0'
    if c'A' <= digit <= c'F':
        return digit - c'A' + 10
    if c'a' <= digit <= c'f':
        return digit - c'a' + 10
    return -1


cdef char *escape(char *at, const char *text, Py_ssize_t length) noexcept nogil:
    cdef Py_ssize_t i
    cdef uint8_t c
    for i in range(length):
        c = <uint8_t>text[i]
        if c <= 0x20 or c == 0x7F or c == c'%' or c == c'=':
            at[0] = c'%'
            at[1] = hex_digit(c >> 4)
            at[2] = hex_digit(c & 15)
            at += 3
        else:
            at[0] = <char>c
            at += 1
    return at


cdef char *unescape(char *at, const char *text, Py_ssize_t length) noexcept nogil:
    cdef Py_ssize_t i = 0
    while i < length:
        if text[i] == c'%' and length - i > 2 and hex_value(text[i + 1]) >= 0 and hex_value(text[i + 2]) >= 0:
            at[0] = <char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]))
            i += 3
        else:
            at[0] = text[i]
            i += 1
        at += 1
    return at


cdef bint plain_value(const char *text, Py_ssize_t length) noexcept nogil:
    """Whether a header line carries the text as it is."""
    cdef Py_ssize_t i
    for i in range(length):
        if <uint8_t>text[i] < 0x20 or text[i] == 0x7F:
            return False
    return length == 0 or (text[0] != c' ' and text[length - 1] != c' ')


cdef bint plain_name(const char *text, Py_ssize_t length) noexcept nogil:
    cdef Py_ssize_t i
    if length == 0:
        return False
    for i in range(length):
        if text[i] <= 0x20 or text[i] >= 0x7F or text[i] == c':':
            return False
    if length >= 5 and strncasecmp(text, b"nats-", 5) == 0:
        return False
    if length >= 6 and strncasecmp(text, b"nmqtt-", 6) == 0:
        return False
    return not (length == 12 and strncasecmp(text, b"content-type", 12) == 0)


cdef Py_ssize_t header_from_properties(const char *data, Py_ssize_t length, char *out) noexcept nogil:
    cdef Py_ssize_t at = 0, end, middle, i
    cdef uint8_t which
    cdef char *to = out
    cdef const char *text
    cdef Py_ssize_t size
    while at < length:
        which = <uint8_t>data[at]
        end = property_end(data, at + 1, length)
        if end < 0:
            break
        text = data + at + 3
        size = end - at - 3
        if which == PAYLOAD_FORMAT:
            if data[at + 1] == 1:
                to = put(to, b"Nmqtt-Payload-Format: 1\r\n", 25)
        elif which == CONTENT_TYPE:
            if plain_value(text, size):
                to = put(put(put(to, b"Content-Type: ", 14), text, size), b"\r\n", 2)
            else:
                to = put(escape(put(to, b"Nmqtt-Content-Type: ", 20), text, size), b"\r\n", 2)
        elif which == RESPONSE_TOPIC:
            to = put(escape(put(to, b"Nmqtt-Response-Topic: ", 22), text, size), b"\r\n", 2)
        elif which == CORRELATION_DATA:
            to = put(to, b"Nmqtt-Correlation-Data: ", 24)
            for i in range(size):
                to[0] = hex_digit(<uint8_t>text[i] >> 4)
                to[1] = hex_digit(<uint8_t>text[i] & 15)
                to += 2
            to = put(to, b"\r\n", 2)
        elif which == USER_PROPERTY:
            middle = text_at(data, at + 1, length)
            size = middle - at - 3
            if plain_name(text, size) and plain_value(data + middle + 2, end - middle - 2):
                to = put(put(put(to, text, size), b": ", 2), data + middle + 2, end - middle - 2)
            else:
                to = escape(put(to, b"Nmqtt-User-Property: ", 21), text, size)
                to[0] = c'='
                to = escape(to + 1, data + middle + 2, end - middle - 2)
            to = put(to, b"\r\n", 2)
        at = end
    return to - out


# -- and back ---------------------------------------------------------------------------------------------------------

cdef Py_ssize_t properties_room(Py_ssize_t header_len) noexcept nogil:
    return header_len + (header_len // 3 + 1) * 5


cdef inline bint named(const char *name, Py_ssize_t size, const char *wanted, Py_ssize_t wanted_len) noexcept nogil:
    return size == wanted_len and strncasecmp(name, wanted, wanted_len) == 0


cdef inline char *begin_text(char *at, Py_ssize_t size) noexcept nogil:
    at[0] = <char>(size >> 8)
    at[1] = <char>(size & 0xFF)
    return at + 2


cdef char *put_text(char *at, uint8_t which, const char *text, Py_ssize_t size, bint is_escaped) noexcept nogil:
    """One property of one text; nothing if it would not be valid."""
    cdef char *end
    if size > 65535:
        return at
    if is_escaped:
        end = unescape(at + 3, text, size)
    else:
        end = put(at + 3, text, size)
    if not valid_utf8(at + 3, end - at - 3):
        return at
    at[0] = <char>which
    begin_text(at + 1, end - at - 3)
    return end


cdef char *put_user(char *at, const char *name, Py_ssize_t name_len, const char *value, Py_ssize_t value_len,
                    bint is_escaped) noexcept nogil:
    cdef char *middle
    cdef char *end
    if name_len > 65535 or value_len > 65535:
        return at
    if is_escaped:
        middle = unescape(at + 3, name, name_len)
        end = unescape(middle + 2, value, value_len)
    else:
        middle = put(at + 3, name, name_len)
        end = put(middle + 2, value, value_len)
    if not valid_utf8(at + 3, middle - at - 3) or not valid_utf8(middle + 2, end - middle - 2):
        return at
    at[0] = USER_PROPERTY
    begin_text(at + 1, middle - at - 3)
    begin_text(middle, end - middle - 2)
    return end


cdef char *put_line(char *at, const char *name, Py_ssize_t size, const char *value, Py_ssize_t value_len) noexcept nogil:
    """The property of one header line."""
    cdef Py_ssize_t i
    cdef const char *equals
    cdef char *end
    if size < 6 or strncasecmp(name, b"nmqtt-", 6) != 0:
        if named(name, size, b"content-type", 12):
            return put_text(at, CONTENT_TYPE, value, value_len, False)
        return put_user(at, name, size, value, value_len, False)
    if named(name, size, b"nmqtt-payload-format", 20):
        if value_len == 1 and value[0] == c'1':
            at[0] = PAYLOAD_FORMAT
            at[1] = 1
            return at + 2
    elif named(name, size, b"nmqtt-content-type", 18):
        return put_text(at, CONTENT_TYPE, value, value_len, True)
    elif named(name, size, b"nmqtt-response-topic", 20):
        end = put_text(at, RESPONSE_TOPIC, value, value_len, True)
        if end - at <= 3 or memchr(at + 3, c'+', end - at - 3) != NULL or memchr(at + 3, c'#', end - at - 3) != NULL:
            # A publisher on NATS may write anything; this is no topic name.
            return at
        return end
    elif named(name, size, b"nmqtt-correlation-data", 22):
        if value_len & 1 or value_len > 131070:
            return at
        for i in range(value_len // 2):
            if hex_value(value[2 * i]) < 0 or hex_value(value[2 * i + 1]) < 0:
                return at
            at[3 + i] = <char>(hex_value(value[2 * i]) * 16 + hex_value(value[2 * i + 1]))
        at[0] = CORRELATION_DATA
        begin_text(at + 1, value_len // 2)
        return at + 3 + value_len // 2
    elif named(name, size, b"nmqtt-user-property", 19):
        equals = <const char *>memchr(value, c'=', value_len)
        if equals != NULL:
            return put_user(at, value, equals - value, equals + 1, value_len - (equals - value) - 1, True)
    return at


cdef Py_ssize_t properties_from_header(const char *header, Py_ssize_t length, char *out) noexcept nogil:
    cdef Py_ssize_t at, end, start, size
    cdef const char *found
    cdef const char *colon
    cdef char *to = out
    cdef char *after
    cdef uint32_t seen = 0
    found = <const char *>memchr(header, c'\n', length)
    if found == NULL:
        return 0
    at = found - header + 1
    while at < length:
        found = <const char *>memchr(header + at, c'\n', length - at)
        end = (found - header) if found != NULL else length
        size = end - at
        if size and header[end - 1] == c'\r':
            size -= 1
        colon = <const char *>memchr(header + at, c':', size)
        if colon != NULL:
            start = colon - header + 1
            size += at
            while start < size and header[start] == c' ':
                start += 1
            while size > start and header[size - 1] == c' ':
                size -= 1
            after = put_line(to, header + at, colon - header - at, header + start, size - start)
            # A publisher on NATS may repeat what a packet may hold once: the first counts.
            if after != to and to[0] != USER_PROPERTY:
                if seen & (<uint32_t>1 << to[0]):
                    after = to
                else:
                    seen |= <uint32_t>1 << to[0]
            to = after
        at = end + 1
    return to - out


cdef bint has_line(const char *header, Py_ssize_t length, const char *line, Py_ssize_t line_len) noexcept nogil:
    """Whether the header block has a line that begins so (given with the line end before it)."""
    return memmem(header, length, line, line_len) != NULL


cdef int published_qos(const char *header, Py_ssize_t length) noexcept nogil:
    cdef const char *found
    cdef Py_ssize_t left
    if length < 20:
        return -1
    found = <const char *>memmem(header, length, b"\nNmqtt-Pub:", 11)
    if found == NULL:
        return -1
    found += 11
    left = length - (found - header)
    while left and found[0] == c' ':
        found += 1
        left -= 1
    if left and c'0' <= found[0] <= c'2':
        return found[0] - c'0'
    return -1


# -- for tests --------------------------------------------------------------------------------------------------------

def header_of(bytes properties not None) -> bytes:
    """The header lines of forwarded properties."""
    cdef bytearray room = bytearray(header_room(len(properties)))
    cdef char *out = room
    return bytes(room[:header_from_properties(properties, len(properties), out)])


def properties_of(bytes header not None) -> bytes:
    """The properties of a header block."""
    cdef bytearray room = bytearray(properties_room(len(header)) + 8)
    cdef char *out = room
    return bytes(room[:properties_from_header(header, len(header), out)])


def check_publish(bytes properties not None) -> tuple[int, bytes]:
    """What `scan_publish` says: the reason code (0: fine) and the properties that go on."""
    cdef bytearray room = bytearray(len(properties) + 1)
    cdef PublishProperties found
    cdef char *scratch = room
    cdef int reason = scan_publish(properties, len(properties), scratch, &found)
    return reason, found.forward[:found.forward_len] if reason == 0 else b""
