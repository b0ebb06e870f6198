# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Interned subjects and cached filter decisions; see store_subjects.pxd.

The hash table is open addressing with linear probing and backward-shift deletion (no tombstones, so a queue that uses
each subject once does not degrade).  The hash is seeded per table: subjects come from clients.
"""

import os

cimport cython
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset

cdef enum:
    FIRST_SLOTS = 16
    NAMES_FIRST = 256


cdef inline uint32_t hash_of(uint32_t seed, const char* name, size_t size) noexcept nogil:
    cdef uint64_t h = seed ^ (size * <uint64_t>0x9E3779B97F4A7C15)
    cdef uint64_t word
    while size >= 8:
        memcpy(&word, name, 8)
        h = (h ^ word) * <uint64_t>0xD6E8FEB86659FD93
        h ^= h >> 32
        name += 8
        size -= 8
    if size:
        word = 0
        memcpy(&word, name, size)
        h = (h ^ word) * <uint64_t>0xD6E8FEB86659FD93
        h ^= h >> 32
    h *= <uint64_t>0xD6E8FEB86659FD93
    return <uint32_t>(h >> 32)


cdef bint subject_matches(const char* pattern, size_t pattern_size, const char* subject,
                          size_t subject_size) noexcept nogil:
    """Token-wise match of a literal subject against a pattern with `*` and a final `>`."""
    cdef const char* pattern_end = pattern + pattern_size
    cdef const char* subject_end = subject + subject_size
    while pattern < pattern_end:
        if pattern[0] == b">" and pattern + 1 == pattern_end:
            return subject < subject_end
        if subject >= subject_end:
            return False
        if pattern[0] == b"*" and (pattern + 1 == pattern_end or pattern[1] == b"."):
            pattern += 1
            while subject < subject_end and subject[0] != b".":
                subject += 1
        else:
            while pattern < pattern_end and pattern[0] != b".":
                if subject >= subject_end or subject[0] != pattern[0]:
                    return False
                pattern += 1
                subject += 1
        if pattern == pattern_end:
            return subject == subject_end
        # The pattern goes on with a dot, so must the subject.
        if subject >= subject_end or subject[0] != b".":
            return False
        pattern += 1
        subject += 1
    return subject == subject_end


cdef class SubjectTable:
    """The subjects of one stream that have messages."""

    def __cinit__(self):
        self.slots = <uint32_t*>calloc(FIRST_SLOTS, sizeof(uint32_t))
        if self.slots == NULL:
            raise MemoryError
        self.slot_mask = FIRST_SLOTS - 1
        self.free_head = NO_SUBJECT
        self.seed = int.from_bytes(os.urandom(4), "little")

    def __dealloc__(self):
        free(self.subjects)
        free(self.slots)
        free(self.names)
        free(self.filters)

    cdef uint32_t find(self, const char* name, size_t size) noexcept:
        """The subject's number, or NO_SUBJECT."""
        cdef uint32_t h = hash_of(self.seed, name, size)
        cdef uint32_t slot = h & self.slot_mask
        cdef Subject* subject
        while self.slots[slot]:
            subject = &self.subjects[self.slots[slot] - 1]
            if subject.hash == h and subject.name_size == size \
                    and memcmp(self.names + subject.name_offset, name, size) == 0:
                return self.slots[slot] - 1
            slot = (slot + 1) & self.slot_mask
        return NO_SUBJECT

    cdef uint32_t intern(self, const char* name, size_t size) except? 0xFFFFFFFE:
        """The subject's number, made if it is new; the caller raises `count` at once or calls `release`."""
        cdef uint32_t number = self.find(name, size)
        cdef uint32_t slot
        cdef Subject* subject
        if number != NO_SUBJECT:
            return number
        if self.free_head == NO_SUBJECT and self.used == self.capacity:
            self.grow()
        if self.names_size + size > self.names_capacity:
            self.compact_names()
            if self.names_size + size > self.names_capacity:
                self._grow_names(size)
        if self.free_head != NO_SUBJECT:
            number = self.free_head
            self.free_head = self.subjects[number].name_offset
            for index in range(self.filter_count):
                (<SubjectFilter>self.filters[index]).forget(number)
        else:
            number = self.used
            self.used += 1
        subject = &self.subjects[number]
        memset(subject, 0, sizeof(Subject))
        subject.hash = hash_of(self.seed, name, size)
        subject.name_offset = <uint32_t>self.names_size
        subject.name_size = <uint16_t>size
        memcpy(self.names + self.names_size, name, size)
        self.names_size += size
        self.live += 1
        slot = subject.hash & self.slot_mask
        while self.slots[slot]:
            slot = (slot + 1) & self.slot_mask
        self.slots[slot] = number + 1
        return number

    cdef void release(self, uint32_t number) noexcept:
        """Free the number of a subject without messages."""
        cdef Subject* subject = &self.subjects[number]
        cdef uint32_t slot = subject.hash & self.slot_mask
        cdef uint32_t hole, home
        while self.slots[slot] != number + 1:
            slot = (slot + 1) & self.slot_mask
        hole = slot
        while True:
            slot = (slot + 1) & self.slot_mask
            if self.slots[slot] == 0:
                break
            home = self.subjects[self.slots[slot] - 1].hash & self.slot_mask
            # Move back what may not be found once the hole is empty.
            if ((slot - home) & self.slot_mask) >= ((slot - hole) & self.slot_mask):
                self.slots[hole] = self.slots[slot]
                hole = slot
        self.slots[hole] = 0
        self.names_dead += subject.name_size
        subject.count = 0
        subject.name_size = 0
        subject.name_offset = self.free_head
        self.free_head = number
        self.live -= 1

    cdef void clear(self) noexcept:
        """Forget every subject (a purge of everything)."""
        cdef int index
        memset(self.slots, 0, (<size_t>self.slot_mask + 1) * sizeof(uint32_t))
        self.used = 0
        self.live = 0
        self.free_head = NO_SUBJECT
        self.names_size = 0
        self.names_dead = 0
        for index in range(self.filter_count):
            if (<SubjectFilter>self.filters[index]).decision_capacity:
                memset((<SubjectFilter>self.filters[index]).decisions, 0,
                       (<SubjectFilter>self.filters[index]).decision_capacity // 4)

    cdef const char* name_of(self, uint32_t number) noexcept:
        return self.names + self.subjects[number].name_offset

    cdef bytes name_bytes(self, uint32_t number):
        return self.name_of(number)[:self.subjects[number].name_size]

    cdef int grow(self) except -1:
        cdef uint32_t capacity = max(16, self.capacity * 2)
        cdef uint32_t slot_count = self.slot_mask + 1
        cdef uint32_t* slots
        cdef uint32_t number, slot
        cdef Subject* grown
        if capacity * 2 > slot_count:
            slots = <uint32_t*>calloc(capacity * 2, sizeof(uint32_t))
            if slots == NULL:
                raise MemoryError
            free(self.slots)
            self.slots = slots
            self.slot_mask = capacity * 2 - 1
            # grow runs only when no number is free, so every entry is live.
            for number in range(self.used):
                slot = self.subjects[number].hash & self.slot_mask
                while slots[slot]:
                    slot = (slot + 1) & self.slot_mask
                slots[slot] = number + 1
        grown = <Subject*>realloc(self.subjects, capacity * sizeof(Subject))
        if grown == NULL:
            raise MemoryError
        self.subjects = grown
        self.capacity = capacity
        return 0

    cdef int compact_names(self) except -1:
        """Squeeze dead names out of the arena when they are half of it."""
        cdef char* names
        cdef size_t size = 0
        cdef uint32_t slot
        cdef Subject* subject
        if self.names_dead * 2 < self.names_size or self.names_dead == 0:
            return 0
        names = <char*>malloc(self.names_capacity)
        if names == NULL:
            raise MemoryError
        for slot in range(self.slot_mask + 1):
            if self.slots[slot]:
                subject = &self.subjects[self.slots[slot] - 1]
                memcpy(names + size, self.names + subject.name_offset, subject.name_size)
                subject.name_offset = <uint32_t>size
                size += subject.name_size
        free(self.names)
        self.names = names
        self.names_size = size
        self.names_dead = 0
        return 0

    def _grow_names(self, size_t size):
        cdef size_t capacity = max(<size_t>NAMES_FIRST, max(self.names_capacity * 3 // 2, self.names_size + size))
        cdef char* names = <char*>realloc(self.names, capacity)
        if names == NULL:
            raise MemoryError
        self.names = names
        self.names_capacity = capacity

    def memory_bytes(self) -> int:
        """RAM that this table holds."""
        return (self.capacity * sizeof(Subject) + (<size_t>self.slot_mask + 1) * sizeof(uint32_t)
                + self.names_capacity)

    def counts(self, SubjectFilter wanted=None) -> dict[bytes, int]:
        """Message count per subject, of those `wanted` matches."""
        cdef uint32_t number
        cdef dict found = {}
        for number in range(self.used):
            if self.subjects[number].count and (wanted is None or wanted.matches(number)):
                found[self.name_bytes(number)] = self.subjects[number].count
        return found


@cython.no_gc_clear
cdef class SubjectFilter:

    def __cinit__(self, SubjectTable table not None, patterns=()):
        cdef void** grown
        self.table = table
        self.patterns = tuple(patterns)
        self.matches_all = not self.patterns or b">" in self.patterns
        self.is_literal = (len(self.patterns) == 1 and not self.matches_all
                           and not any(token in (b"*", b">") for token in self.patterns[0].split(b".")))
        self.literal = self.patterns[0] if self.is_literal else b""
        if table.filter_count == table.filter_capacity:
            grown = <void**>realloc(table.filters, (table.filter_capacity * 2 + 4) * sizeof(void*))
            if grown == NULL:
                raise MemoryError
            table.filters = grown
            table.filter_capacity = table.filter_capacity * 2 + 4
        table.filters[table.filter_count] = <void*>self
        table.filter_count += 1

    def __dealloc__(self):
        cdef int index
        free(self.decisions)
        if self.table is None:
            return
        for index in range(self.table.filter_count):
            if self.table.filters[index] == <void*>self:
                self.table.filter_count -= 1
                self.table.filters[index] = self.table.filters[self.table.filter_count]
                break

    cdef bint matches(self, uint32_t number) noexcept:
        cdef uint8_t decision
        if self.matches_all:
            return True
        if number < self.decision_capacity:
            decision = (self.decisions[number >> 2] >> ((number & 3) * 2)) & 3
            if decision:
                return decision == 3
        return self.decide(number)

    cdef bint decide(self, uint32_t number) noexcept:
        """Match the name and remember the answer (or not, if memory is short: only speed is lost)."""
        cdef uint32_t capacity
        cdef uint8_t* grown
        cdef bint found = self.matches_name(self.table.name_of(number), self.table.subjects[number].name_size)
        if number >= self.decision_capacity:
            capacity = max(<uint32_t>256, self.table.capacity)
            capacity = (max(capacity, number + 1) + 3) & ~<uint32_t>3
            grown = <uint8_t*>realloc(self.decisions, capacity // 4)
            if grown == NULL:
                return found
            memset(grown + self.decision_capacity // 4, 0, (capacity - self.decision_capacity) // 4)
            self.decisions = grown
            self.decision_capacity = capacity
        self.decisions[number >> 2] &= ~(3 << ((number & 3) * 2))
        self.decisions[number >> 2] |= (3 if found else 2) << ((number & 3) * 2)
        return found

    cdef bint matches_name(self, const char* subject, size_t size) noexcept:
        cdef bytes pattern
        if self.matches_all:
            return True
        for pattern in self.patterns:
            if subject_matches(<const char*>pattern, len(pattern), subject, size):
                return True
        return False

    cdef void forget(self, uint32_t number) noexcept:
        if number < self.decision_capacity:
            self.decisions[number >> 2] &= ~(3 << ((number & 3) * 2))

    def matches_subject(self, bytes subject not None) -> bool:
        """Whether any pattern matches the literal `subject`."""
        return self.matches_name(<const char*>subject, len(subject))
