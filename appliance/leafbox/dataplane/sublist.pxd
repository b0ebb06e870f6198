# The subject index: who gets what. One per account, and one per permission list.
from cpython.object cimport PyObject
from libc.stdint cimport uint16_t, uint32_t, uint64_t

cdef struct Node            # one token of the trie; private to sublist.pyx

cdef struct Slot:           # one literal child of a node
    uint64_t hash
    Node *child
    char *key
    Py_ssize_t key_len

cdef struct Node:
    Slot *slots
    Py_ssize_t slot_capacity    # power of two, or 0
    Py_ssize_t slot_count
    Node *star                  # child '*'
    Node *tail                  # child '>'
    PyObject *plain             # dict entry -> None, in order of insertion, or NULL
    PyObject *queues            # dict queue -> dict entry -> None, or NULL

cdef struct CacheEntry:
    uint64_t hash               # 0: free
    uint64_t generation
    PyObject *result            # MatchResult
    char *key
    Py_ssize_t key_len

cdef class MatchResult:
    # Immutable once built; holds a reference to every entry, so it may be iterated while the index changes.
    cdef PyObject **plain
    cdef Py_ssize_t plain_count, plain_capacity
    cdef PyObject **members             # of all queue groups, one group after the other
    cdef Py_ssize_t member_count, member_capacity
    cdef PyObject **member_queues       # while it is built: the queue of each member; then NULL
    cdef Py_ssize_t *group_ends         # members[group_ends[i-1]:group_ends[i]] is group i
    cdef Py_ssize_t group_count
    cdef readonly tuple queue_names
    cdef void drop_queues(self) noexcept
    cdef void empty(self) noexcept
    # build
    cdef int add_plain(self, dict entries) except -1
    cdef int add_members(self, bytes queue, dict entries) except -1
    cdef int form_groups(self) except -1

cdef class Sublist:
    cdef Node *root
    cdef readonly Py_ssize_t count
    cdef CacheEntry *cache
    cdef Py_ssize_t cache_capacity
    cdef readonly Py_ssize_t cache_count
    cdef Py_ssize_t cache_capacity_max, choosy_from
    cdef readonly Py_ssize_t cached_references
    cdef Py_ssize_t sweep_at
    cdef uint16_t *newcomers            # what misses left here last, by hash: only the second miss is remembered
    cdef MatchResult passing            # for a result that is not remembered; reused when nobody holds it
    cdef uint64_t generation
    cdef readonly uint64_t inserts, removes, matches, cache_hits
    cdef type entry_type
    # change
    cpdef void insert(self, bytes subject, bytes queue, object entry) except *
    cpdef bint remove(self, bytes subject, bytes queue, object entry) except -1
    cdef void invalidate(self, bytes subject) noexcept
    cdef void drop_entry(self, CacheEntry *entry) noexcept
    # look up
    cdef MatchResult match(self, const char *subject, Py_ssize_t length)
    cdef bint matches_any(self, const char *subject, Py_ssize_t length) except -1
    cdef MatchResult match_uncached(self, const char *subject, Py_ssize_t length)
    cdef bint is_newcomer(self, uint64_t hash) noexcept
    cdef MatchResult match_in_passing(self, const char *subject, Py_ssize_t length)
    cdef void store(self, uint64_t hash, const char *subject, Py_ssize_t length, MatchResult result) noexcept
    cdef inline CacheEntry *place_of(self, uint64_t hash, Py_ssize_t probe) noexcept
    cdef void grow_cache(self) noexcept
