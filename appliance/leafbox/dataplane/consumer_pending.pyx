# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Pending messages of one consumer.

New deliveries come in ascending order of both sequences, so the table is an array that grows at one end and is eaten at
the other; an acknowledgement in the middle leaves a dead slot. Looking up is a binary search, the ack floor is the slot
before the first live one, and no memory is allocated per message. A hash map (as nats-server has) needs about three
times the memory per entry and a scan to find the floor. Dead slots are squeezed out when they outnumber live ones, so
the array is never longer than twice the messages pending.
"""
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memmove

cdef enum:
    CAPACITY_FIRST = 64
    DEAD_SLACK = 64         # below this a squeeze is not worth the move


cdef class PendingTable:
    """Ordered by stream sequence. Pointers into it are good until the next `add`, `remove` or `clear`."""

    def __dealloc__(self):
        free(self.entries)

    cdef Py_ssize_t position(self, uint64_t stream_seq) noexcept:
        """Index of the first slot that is not below the sequence."""
        cdef Py_ssize_t low = self.start, high = self.end, middle
        while low < high:
            middle = (low + high) // 2
            if self.entries[middle].stream_seq < stream_seq:
                low = middle + 1
            else:
                high = middle
        return low

    cdef Pending *find(self, uint64_t stream_seq) noexcept:
        cdef Py_ssize_t at = self.start
        # Acknowledgements mostly come in order: look at the front before searching.
        if at < self.end and self.entries[at].stream_seq != stream_seq:
            at = self.position(stream_seq)
        if at < self.end and self.entries[at].stream_seq == stream_seq and self.entries[at].is_live:
            return &self.entries[at]
        return NULL

    cdef Pending *first(self) noexcept:
        return &self.entries[self.start] if self.count else NULL

    cdef Pending *following(self, Pending *entry) noexcept:
        """The next live entry after this slot, or NULL."""
        cdef Py_ssize_t at = entry - self.entries + 1
        while at < self.end:
            if self.entries[at].is_live:
                return &self.entries[at]
            at += 1
        return NULL

    cdef Pending *add(self, uint64_t stream_seq, uint64_t consumer_seq, int64_t ts_ns) except NULL:
        """A new entry, or the existing one with a new time; the first delivery's consumer sequence stays."""
        cdef Py_ssize_t at
        if self.end == self.capacity:
            self.grow()
        at = self.end
        if at > self.start and self.entries[at - 1].stream_seq >= stream_seq:
            at = self.position(stream_seq)
            if self.entries[at].stream_seq == stream_seq:
                if self.entries[at].is_live:
                    self.entries[at].ts_ns = ts_ns
                    return &self.entries[at]
                self.end -= 1
            else:
                memmove(&self.entries[at + 1], &self.entries[at], (self.end - at) * sizeof(Pending))
        self.end += 1
        self.count += 1
        self.entries[at].stream_seq = stream_seq
        self.entries[at].consumer_seq = consumer_seq
        self.entries[at].ts_ns = ts_ns
        self.entries[at].is_live = 1
        self.entries[at].is_queued = 0
        if at < self.start:
            self.start = at
        return &self.entries[at]

    cdef void remove(self, Pending *entry) noexcept:
        entry.is_live = 0
        self.count -= 1
        if self.count == 0:
            self.start = self.end = 0
            return
        while not self.entries[self.start].is_live:
            self.start += 1
        while not self.entries[self.end - 1].is_live:
            self.end -= 1
        if self.end - self.start > 2 * self.count + DEAD_SLACK:
            self.squeeze()

    cdef void clear(self) noexcept:
        self.start = self.end = self.count = 0

    cdef int grow(self) except -1:
        cdef Pending *grown
        cdef Py_ssize_t capacity
        if self.start > self.capacity // 2:
            memmove(self.entries, self.entries + self.start, (self.end - self.start) * sizeof(Pending))
            self.end -= self.start
            self.start = 0
            return 0
        capacity = max(self.capacity * 2, <Py_ssize_t>CAPACITY_FIRST)
        grown = <Pending *>realloc(self.entries, capacity * sizeof(Pending))
        if grown == NULL:
            raise MemoryError
        self.entries = grown
        self.capacity = capacity
        return 0

    cdef void squeeze(self) noexcept:
        cdef Py_ssize_t source, target = 0
        for source in range(self.start, self.end):
            if self.entries[source].is_live:
                self.entries[target] = self.entries[source]
                target += 1
        self.start = 0
        self.end = target

    # -- for the control plane and tests ------------------------------------------------------------------------------

    def put(self, stream_seq, consumer_seq, ts_ns) -> None:
        """Enter a message."""
        self.add(stream_seq, consumer_seq, ts_ns)

    def discard(self, stream_seq) -> bool:
        """Remove a message; False if it was not there."""
        cdef Pending *entry = self.find(stream_seq)
        if entry == NULL:
            return False
        self.remove(entry)
        return True

    def items(self) -> list:
        """(stream sequence, consumer sequence, time) of every live entry, in order."""
        cdef Py_ssize_t at
        return [(self.entries[at].stream_seq, self.entries[at].consumer_seq, self.entries[at].ts_ns)
                for at in range(self.start, self.end) if self.entries[at].is_live]

    def __len__(self) -> int:
        return self.count

    def __contains__(self, stream_seq) -> bool:
        return self.find(stream_seq) != NULL
