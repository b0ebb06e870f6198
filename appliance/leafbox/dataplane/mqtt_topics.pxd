# Topics as subjects and back, at the speed of the data plane; the rules are those of `leafbox.protocol.mqtt.topics`.
from libc.stdint cimport uint64_t

cdef enum:
    # A topic is at most this many times as long as its subject: `/` may become a character of three bytes.
    SUBJECT_GROWTH = 3
    TOPIC_ENTRIES = 4096
    TOPIC_BYTES_MAX = 65535

cdef struct TopicEntry:
    uint64_t hash           # 0: free
    char *topic             # the subject stands behind it, in the same memory
    Py_ssize_t topic_len
    char *subject
    Py_ssize_t subject_len

# The subject of a topic name from a client; NULL with `reason` set when it is not one. Good until the next call.
cdef TopicEntry *find_topic(const char *topic, Py_ssize_t length, int *reason) except? NULL
# Bytes of the topic in `out` (room for SUBJECT_GROWTH times the subject, or `room`); -1: there is none.
cdef Py_ssize_t subject_to_topic(const char *subject, Py_ssize_t length, char *out, Py_ssize_t room) except? -2
# The same into a buffer of the module; the last one is remembered: a message for many sessions is converted once.
cdef Py_ssize_t topic_of(const char *subject, Py_ssize_t length, const char **topic) noexcept
