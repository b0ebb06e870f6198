# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Message ids in the way of each publish that has one: seen before, remembered, logged.

The record of an id follows the record of its message in the log at once. So a log that ends between the two ends with
the message, which is then in the stream with the id in its header; and whatever removes the message later (an
acknowledgement, a limit) is logged behind the id. Neither order nor group need be asked for.

When ids are kept, and how long, is `jetstream.dedupe`'s to decide.
"""
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE, PyByteArray_Resize
from libc.stdint cimport int64_t, uint16_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy

from leafbox.dataplane.journal cimport BLOB_DELTA, Journal

from collections import deque

cdef extern from "string.h" nogil:
    void *memmem(const void *haystack, size_t haystack_len, const void *needle, size_t needle_len)


cdef enum:
    ENTRY_BYTES_MAX = 18 + 200          # sizeof(IdEntry) + PLAIN_ID_BYTES_MAX


cdef packed struct IdEntry:             # as `jetstream.dedupe` reads it; the id follows
    int64_t ts_ns
    uint64_t seq
    uint16_t id_len


cdef class DuplicateWindow:
    """Remembers ids for `window_ns`; about 200 bytes each. 0 remembers nothing."""

    def __init__(self, int64_t window_ns):
        self.window_ns = window_ns
        self.seqs = {}
        self.order = deque()

    def __len__(self) -> int:
        return len(self.seqs)

    def find(self, str msg_id not None, int64_t now_ns) -> int:
        """The sequence of the message with this id, or 0."""
        return self.find_id(msg_id.encode(), now_ns)

    def remember(self, str msg_id not None, uint64_t seq, int64_t ts_ns) -> None:
        """A message with this id was stored."""
        self.remember_id(msg_id.encode(), seq, ts_ns)

    cdef uint64_t find_id(self, bytes msg_id, int64_t now_ns) except? 0:
        self.forget_before(now_ns - self.window_ns)
        found = self.seqs.get(msg_id)
        return 0 if found is None else found

    cdef int remember_id(self, bytes msg_id, uint64_t seq, int64_t ts_ns) except -1:
        if self.window_ns > 0:
            self.seqs[msg_id] = seq
            self.order.append((ts_ns, msg_id, seq))
        return 0

    cpdef forget_before(self, int64_t ts_ns):
        """Drop ids of messages stored at or before `ts_ns`."""
        order = self.order
        while order and <int64_t>order[0][0] <= ts_ns:
            _, msg_id, seq = order.popleft()
            if self.seqs.get(msg_id) == seq:
                del self.seqs[msg_id]

    def follow_clock(self, int64_t step_ns) -> None:
        """The wall clock was set: ids are remembered as long as they would have been."""
        self.order = deque((ts_ns + step_ns, msg_id, seq) for ts_ns, msg_id, seq in self.order)


cdef class IdLog:
    """Where a stream's ids are logged at the moment; closed: nowhere, Python has to open a chunk first."""

    def open(self, Journal journal not None, unsigned int kind, bytes head not None, body not None,
             int64_t newest_ns) -> None:
        """Ids go to deltas of this value from now on, and to `body`, which keeps what the deltas say."""
        self.journal, self.kind, self.head, self.body, self.newest_ns = journal, kind, head, body, newest_ns
        self.is_open = True

    def close(self) -> None:
        """The chunk is complete."""
        self.is_open = False
        self.body = self.journal = None

    cdef bint takes(self) noexcept:
        """There is a chunk, and room in the log for a message and its id."""
        return self.is_open and not self.journal.refuses_messages() and not self.journal.congested()

    cdef int note(self, bytes msg_id, uint64_t seq, int64_t ts_ns) except -1:
        """The message before this record in the log has the id; of at most PLAIN_ID_BYTES_MAX bytes."""
        cdef char text[ENTRY_BYTES_MAX]
        cdef IdEntry *entry = <IdEntry *>text
        cdef Py_ssize_t size = len(msg_id), at = PyByteArray_GET_SIZE(self.body)
        assert size <= PLAIN_ID_BYTES_MAX
        entry.ts_ns, entry.seq, entry.id_len = ts_ns, seq, <uint16_t>size
        memcpy(text + sizeof(IdEntry), <const char *>msg_id, size)
        size += sizeof(IdEntry)
        self.journal.append(BLOB_DELTA, self.kind, self.head, len(self.head), text, size, False)
        PyByteArray_Resize(self.body, at + size)
        memcpy(PyByteArray_AS_STRING(self.body) + at, text, size)
        self.newest_ns = ts_ns
        return 0


cdef bytes plain_id(const char *header, Py_ssize_t length):
    """The id when `Nats-Msg-Id` is the one header of ours in the block and is plain ASCII; else None."""
    cdef const char *end = header + length
    cdef const char *at
    cdef const char *stop
    cdef const char *other
    if length < 10 or memcmp(header, b"NATS/1.0\r\n", 10) != 0:
        return None
    at = <const char *>memmem(header, length, b"\r\nNats-Msg-Id:", 14)
    if at == NULL:
        return None
    other = <const char *>memmem(header, length, b"\nNats-", 6)
    if other != at + 1 or memmem(at + 2, end - at - 2, b"\nNats-", 6) != NULL:
        return None
    at += 14
    stop = <const char *>memmem(at, end - at, b"\r\n", 2)
    if stop == NULL:
        return None
    while at < stop and (at[0] == c' ' or at[0] == c'\t'):
        at += 1
    while at < stop and ((stop - 1)[0] == c' ' or (stop - 1)[0] == c'\t'):
        stop -= 1
    if at == stop or stop - at > PLAIN_ID_BYTES_MAX:
        return None
    other = at
    while other < stop:
        if other[0] < c' ' or other[0] > c'~':
            return None
        other += 1
    return at[:stop - at]


def only_id(bytes header not None):
    """`plain_id`, for tests."""
    return plain_id(header, len(header))
