# Message ids: what was published lately, in memory and in the log.
from libc.stdint cimport int64_t, uint64_t

from leafbox.dataplane.journal cimport Journal

cdef enum:
    PLAIN_ID_BYTES_MAX = 200            # longer ids are Python's; a UUID has 36

cdef class DuplicateWindow:
    cdef public int64_t window_ns
    cdef dict seqs                      # id -> sequence
    cdef object order                   # deque of (time, id, sequence)
    cdef uint64_t find_id(self, bytes msg_id, int64_t now_ns) except? 0
    cpdef forget_before(self, int64_t ts_ns)
    cdef int remember_id(self, bytes msg_id, uint64_t seq, int64_t ts_ns) except -1

cdef class IdLog:
    # The chunk of a stream's ids that is being filled, as deltas of one durable value.
    cdef readonly bint is_open
    cdef readonly int64_t newest_ns
    cdef Journal journal
    cdef unsigned int kind
    cdef bytes head                     # what each delta record begins with
    cdef object body                    # bytearray of the chunk's owner
    cdef bint takes(self) noexcept
    cdef int note(self, bytes msg_id, uint64_t seq, int64_t ts_ns) except -1

cdef bytes plain_id(const char *header, Py_ssize_t length)
