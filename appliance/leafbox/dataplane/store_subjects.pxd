"""Subjects of one stream: interned names, per-subject counts, and filters that decide once per subject.

Every message of a stream carries a 32-bit subject number instead of its name.  RAM per subject: 40 bytes, the name, and
about 8 bytes of hash slot.  Numbers of subjects that no longer have messages are given out again; a filter's remembered
decision for a number is cleared when that happens.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    NO_SUBJECT = 0xFFFFFFFF


cdef struct Subject:
    uint64_t first_seq
    uint64_t last_seq
    uint32_t hash
    uint32_t name_offset    # into `names`; of a free entry: the next free number
    uint32_t count          # live messages; 0: the entry is free
    uint16_t name_size
    uint16_t unused


cdef bint subject_matches(const char* pattern, size_t pattern_size, const char* subject,
                          size_t subject_size) noexcept nogil


cdef class SubjectTable:
    cdef Subject* subjects
    cdef uint32_t capacity
    cdef uint32_t used              # numbers ever given out
    cdef uint32_t free_head
    cdef readonly uint32_t live     # subjects with at least one message
    cdef uint32_t* slots            # subject number + 1; 0 is empty
    cdef uint32_t slot_mask
    cdef char* names
    cdef size_t names_size
    cdef size_t names_capacity
    cdef size_t names_dead
    cdef uint32_t seed
    cdef void** filters             # borrowed SubjectFilter pointers; each removes itself when it dies
    cdef int filter_count
    cdef int filter_capacity

    cdef uint32_t find(self, const char* name, size_t size) noexcept
    cdef uint32_t intern(self, const char* name, size_t size) except? 0xFFFFFFFE
    cdef void release(self, uint32_t number) noexcept
    cdef void clear(self) noexcept
    cdef const char* name_of(self, uint32_t number) noexcept
    cdef bytes name_bytes(self, uint32_t number)
    cdef int grow(self) except -1
    cdef int compact_names(self) except -1


cdef class SubjectFilter:
    """One or several subject patterns, any of which may match; `>` or none matches everything."""
    cdef readonly SubjectTable table
    cdef readonly tuple patterns
    cdef readonly bint matches_all
    cdef readonly bint is_literal
    cdef bytes literal
    cdef uint8_t* decisions         # 2 bits per subject number: 0 unknown, 2 no, 3 yes
    cdef uint32_t decision_capacity # in subjects

    cdef bint matches(self, uint32_t number) noexcept
    cdef bint decide(self, uint32_t number) noexcept
    cdef bint matches_name(self, const char* subject, size_t size) noexcept
    cdef void forget(self, uint32_t number) noexcept
