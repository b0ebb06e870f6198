# Messages that a consumer delivered and that are not acknowledged yet: an ordered array with gaps.
from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef struct Pending:
    uint64_t stream_seq         # ascending
    uint64_t consumer_seq       # of the first delivery, ascending, too
    int64_t ts_ns               # the ack wait runs from here
    uint32_t is_live            # 0: acknowledged, the slot is waiting to be squeezed out
    uint32_t is_queued          # in the redelivery queue

cdef class PendingTable:
    cdef Pending *entries
    cdef Py_ssize_t start, end, capacity
    cdef readonly Py_ssize_t count      # live entries
    cdef Pending *find(self, uint64_t stream_seq) noexcept
    cdef Pending *first(self) noexcept
    cdef Pending *following(self, Pending *entry) noexcept
    cdef Pending *add(self, uint64_t stream_seq, uint64_t consumer_seq, int64_t ts_ns) except NULL
    cdef void remove(self, Pending *entry) noexcept
    cdef void clear(self) noexcept
    cdef Py_ssize_t position(self, uint64_t stream_seq) noexcept
    cdef int grow(self) except -1
    cdef void squeeze(self) noexcept
