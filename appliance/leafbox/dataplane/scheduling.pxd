"""Wishes about when a thread runs."""

from libc.stdint cimport uint64_t

cdef enum:
    # The shortest slice there is. A woken thread interrupts only those with longer ones, and the committer must be able
    # to interrupt the loop: it starts a sync and waits again within 0.1 ms.
    COMMITTER_SLICE_NS = 100000
    LOOP_SLICE_NS = 300000

# for the calling thread
cdef void take_short_slices(uint64_t slice_ns) noexcept nogil
