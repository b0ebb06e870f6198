# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Topics as subjects and back for every message; the reference, and the rare cases, are `leafbox.protocol.mqtt.topics`.

Here: levels without control characters, spaces, private characters and lone wildcards; that is what devices send.
Topic names of clients are looked up in one table for the whole server, because a device publishes on the same few for
ever: a hit costs a hash and a comparison and says that the topic was checked. The table is fixed in size, a new topic
takes the place of the one it collides with.
"""
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memchr, memcmp, memcpy

from leafbox.dataplane.mqtt_properties cimport valid_utf8
from leafbox.dataplane.subjects cimport hash_bytes

from leafbox.protocol.mqtt import topics as reference

cdef enum:
    ENTRY_BYTES_MAX = 4096      # longer topics are not remembered: 4,096 of them would be 268 MiB
    REASON_TOPIC_INVALID = 0x90
    REASON_MALFORMED_TEXT = 0x81

cdef TopicEntry entries[TOPIC_ENTRIES]
cdef TopicEntry long_entry      # the one that is too long to be remembered


cdef Py_ssize_t plain_subject(const char *topic, Py_ssize_t length, char *out) noexcept nogil:
    """The subject of a topic in `out` (twice the topic's size and one byte); -1: a case for the reference."""
    cdef Py_ssize_t i
    cdef uint8_t c
    cdef char *to = out
    cdef bint at_level = True       # nothing of this level is written yet
    for i in range(length):
        c = <uint8_t>topic[i]
        if c == c'/':
            if at_level:
                to[0] = c'/'
                to += 1
            to[0] = c'.'
            to += 1
            at_level = True
            continue
        if c <= 0x20 or c == 0x7F or (c == 0xEF and i + 1 < length and <uint8_t>topic[i + 1] == 0x80):
            return -1
        if at_level and (c == c'*' or c == c'>') and (i + 1 == length or topic[i + 1] == c'/'):
            return -1
        at_level = False
        if c == c'.':
            to[0] = to[1] = c'/'
            to += 2
        else:
            to[0] = <char>c
            to += 1
    if at_level:
        to[0] = c'/'
        to += 1
    return to - out


cdef TopicEntry *find_topic(const char *topic, Py_ssize_t length, int *reason) except? NULL:
    cdef uint64_t hash
    cdef TopicEntry *entry
    cdef bytes escaped
    cdef char *memory
    cdef Py_ssize_t size
    reason[0] = 0
    hash = hash_bytes(topic, length)
    entry = &entries[hash & (TOPIC_ENTRIES - 1)]
    if entry.hash == hash and entry.topic_len == length and memcmp(entry.topic, topic, length) == 0:
        return entry
    if not valid_utf8(topic, length):
        reason[0] = REASON_MALFORMED_TEXT
        return NULL
    if length == 0 or memchr(topic, c'+', length) != NULL or memchr(topic, c'#', length) != NULL:
        reason[0] = REASON_TOPIC_INVALID
        return NULL
    memory = <char *>malloc(length * 3 + 2)
    if memory == NULL:
        raise MemoryError
    size = plain_subject(topic, length, memory + length)
    if size < 0:
        free(memory)
        escaped = reference.topic_to_subject(topic[:length])
        size = len(escaped)
        memory = <char *>malloc(length + size)
        if memory == NULL:
            raise MemoryError
        memcpy(memory + length, <const char *>escaped, size)
    memcpy(memory, topic, length)
    if length > ENTRY_BYTES_MAX:
        entry = &long_entry
    free(entry.topic)
    entry.hash = hash
    entry.topic = memory
    entry.topic_len = length
    entry.subject = memory + length
    entry.subject_len = size
    return entry


cdef Py_ssize_t plain_topic(const char *subject, Py_ssize_t length, char *out) noexcept nogil:
    """The topic of a subject in `out`; -1: a case for the reference."""
    cdef Py_ssize_t i = 0, start = 0
    cdef char c
    cdef char *to = out
    while i < length:
        c = subject[i]
        if c == c'.':
            to[0] = c'/'
            to += 1
            start = i + 1
        elif c == c'/':
            if i == start and (i + 1 == length or subject[i + 1] == c'.'):
                pass
            elif i + 1 < length and subject[i + 1] == c'/':
                to[0] = c'.'
                to += 1
                i += 1
                if i + 1 < length and subject[i + 1] == c'/':
                    return -1
            else:
                return -1
        elif c == c'+' or c == c'#' or c == 0 or (<uint8_t>c == 0xEF and i + 1 < length
                                                  and <uint8_t>subject[i + 1] == 0x80):
            return -1
        elif (c == c'*' or c == c'>') and i == start and (i + 1 == length or subject[i + 1] == c'.'):
            return -1
        else:
            to[0] = c
            to += 1
        i += 1
    return to - out


cdef Py_ssize_t subject_to_topic(const char *subject, Py_ssize_t length, char *out, Py_ssize_t room) except? -2:
    cdef Py_ssize_t size
    cdef bytes topic
    if length == 0 or length > room or not valid_utf8(subject, length):
        return -1
    size = plain_topic(subject, length, out)
    if size >= 0:
        return size if size else -1
    found = reference.subject_to_topic(subject[:length])
    if found is None or len(found) > room:
        return -1
    topic = found
    memcpy(out, <const char *>topic, len(topic))
    return len(topic)


def topic_to_subject(bytes topic not None) -> bytes | None:
    """As the data plane converts a topic name; None when it is none. For tests."""
    cdef int reason = 0
    cdef TopicEntry *entry = find_topic(topic, len(topic), &reason)
    return None if entry == NULL else entry.subject[:entry.subject_len]


def topic_of_subject(bytes subject not None) -> bytes | None:
    """As the data plane converts a subject; None when it has no topic. For tests."""
    cdef bytearray room = bytearray(len(subject) * SUBJECT_GROWTH + 1)
    cdef char *out = room
    cdef Py_ssize_t size = subject_to_topic(subject, len(subject), out, len(subject) * SUBJECT_GROWTH)
    return None if size < 0 else bytes(room[:size])


cdef char *topic_room = <char *>malloc(TOPIC_BYTES_MAX + 1)
# The last subject that was turned into a topic: a message for many sessions is converted once.
cdef char last_subject[512]
cdef Py_ssize_t last_subject_len = -1
cdef Py_ssize_t last_topic_len = -1


cdef Py_ssize_t topic_of(const char *subject, Py_ssize_t length, const char **topic) noexcept:
    """The subject's topic, good until the next call; -1 when it has none (not UTF-8, too long)."""
    global last_subject_len, last_topic_len
    topic[0] = topic_room
    if length == last_subject_len and memcmp(subject, last_subject, length) == 0:
        return last_topic_len
    last_topic_len = subject_to_topic(subject, length, topic_room, TOPIC_BYTES_MAX)
    if length <= <Py_ssize_t>sizeof(last_subject):
        memcpy(last_subject, subject, length)
        last_subject_len = length
    else:
        last_subject_len = -1
    return last_topic_len
