# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Subject trie with wildcards and queue groups, and a bounded cache of match results for literal subjects.

Approach: a node per token; literal children in a small open-addressed table, `*` and `>` as pointers of their own, so
that a match is one walk that branches at most twice per token. Results are immutable arrays of entries. The cache maps
a published subject to its result: a change to a literal subscription drops exactly that subject, a change to a
wildcard makes all older results stale at once (generation) and frees a bounded number of them per change, so a stale
result never outlives its entry for long and no change costs more than CACHE_SWEEP steps.

Most inboxes and all acknowledgement subjects are used once. When many subjects are remembered already, one is only
remembered when it misses for the second time; results of first misses are built in one object that is used again.
Measured: remembering each of them took 30 % of the time of a publish into a stream.

Alternatives measured or weighed: a dict of all literal subjects beside the trie is quicker for cold literals, but costs
a second structure per subscription; per-connection result caches as nats-server has them multiply the memory.

Finalisers: dropping the last reference to an entry, or any allocation that starts a garbage collection (CPython 3.11),
may run code that changes this index. So a walk allocates no Python object and owns what it collects, tables are
consistent before a reference is dropped, and a result is cached only if nothing changed while it was built.

Known weakness: many wildcard changes per second keep the cache cold; a cold match costs one walk.
"""
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_REFCNT, Py_XDECREF
from libc.stdint cimport uint16_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memchr, memcmp, memcpy

from leafbox.dataplane.subjects cimport TOKENS_MAX, has_empty_token, hash_bytes, literal_subject

# Start small (an idle account costs a few KiB), end where the cache no longer fits a Pi's L2 anyway.
CACHE_CAPACITY_MAX = 16384

cdef enum:
    CACHE_CAPACITY_MIN = 64
    # Longer subjects are not cached: they would let one peer fill the cache with kilobytes per entry.
    CACHED_SUBJECT_BYTES_MAX = 256
    CACHE_PROBES = 4        # places where a subject may stand: one cache line of entries
    CACHE_SWEEP = 64        # stale entries freed per wildcard change
    # References of all cached results together (2 MiB): with many wildcard subscribers every result is long.
    CACHED_REFERENCES_MAX = 256 * 1024
    # With so many places newcomers must come twice. Below, the table is small enough for the processor's cache.
    CHOOSY_FROM = 1024
    NEWCOMERS = 16384       # fingerprints of 2 bytes; as many as the largest cache has places


cdef class MatchResult:
    """Every plain entry and every queue group that a subject reaches."""

    def __dealloc__(self):
        self.empty()
        free(self.plain)

    cdef void empty(self) noexcept:
        """Let go of everything but the array of plain entries. Finalisers find it empty already."""
        cdef Py_ssize_t i, plain_count = self.plain_count, member_count = self.member_count
        cdef PyObject **members = self.members
        self.drop_queues()
        free(self.group_ends)
        self.group_ends = NULL
        self.members = NULL
        self.plain_count = self.member_count = self.member_capacity = self.group_count = 0
        for i in range(plain_count):
            Py_DECREF(<object>self.plain[i])
        for i in range(member_count):
            Py_DECREF(<object>members[i])
        free(members)

    cdef void drop_queues(self) noexcept:
        cdef Py_ssize_t i
        cdef PyObject **queues = self.member_queues
        if queues == NULL:
            return
        self.member_queues = NULL
        for i in range(self.member_count):
            Py_DECREF(<object>queues[i])
        free(queues)

    cdef int add_plain(self, dict entries) except -1:
        cdef Py_ssize_t needed = self.plain_count + len(entries)
        if needed > self.plain_capacity:
            needed = max(needed, self.plain_capacity * 2)
            self.plain = grown(self.plain, needed)
            self.plain_capacity = needed
        for entry in entries:
            Py_INCREF(entry)
            self.plain[self.plain_count] = <PyObject *>entry
            self.plain_count += 1
        return 0

    cdef int add_members(self, bytes queue, dict entries) except -1:
        cdef Py_ssize_t needed = self.member_count + len(entries)
        if needed > self.member_capacity:
            needed = max(needed, self.member_capacity * 2)
            self.members = grown(self.members, needed)
            self.member_queues = grown(self.member_queues, needed)
            self.member_capacity = needed
        for entry in entries:
            Py_INCREF(entry)
            Py_INCREF(queue)
            self.members[self.member_count] = <PyObject *>entry
            self.member_queues[self.member_count] = <PyObject *>queue
            self.member_count += 1
        return 0

    cdef int form_groups(self) except -1:
        """Bring the members of each queue name together, in order of the first appearance of the name."""
        cdef dict group_of = {}
        cdef Py_ssize_t i, group, at
        cdef PyObject **sorted_members
        for i in range(self.member_count):
            group_of.setdefault(<object>self.member_queues[i], len(group_of))
        self.group_ends = <Py_ssize_t *>calloc(len(group_of) + 1, sizeof(Py_ssize_t))
        sorted_members = <PyObject **>malloc(self.member_count * sizeof(PyObject *))
        if self.group_ends == NULL or sorted_members == NULL:
            free(sorted_members)
            raise MemoryError
        # Counting sort: sizes, then starts; placing the members turns the starts into ends.
        for i in range(self.member_count):
            group = group_of[<object>self.member_queues[i]]
            self.group_ends[group + 1] += 1
        for group in range(len(group_of)):
            self.group_ends[group + 1] += self.group_ends[group]
        for i in range(self.member_count):
            group = group_of[<object>self.member_queues[i]]
            at = self.group_ends[group]
            sorted_members[at] = self.members[i]
            self.group_ends[group] = at + 1
        free(self.members)
        self.members = sorted_members
        self.queue_names = tuple(group_of)
        self.group_count = len(group_of)
        self.drop_queues()
        return 0

    @property
    def entries(self) -> list:
        """The plain entries, in order of insertion per subject."""
        return [<object>self.plain[i] for i in range(self.plain_count)]

    @property
    def groups(self) -> list:
        """One list of members per queue group."""
        cdef Py_ssize_t start = 0, i, j
        found = []
        for i in range(self.group_count):
            found.append([<object>self.members[j] for j in range(start, self.group_ends[i])])
            start = self.group_ends[i]
        return found


cdef MatchResult EMPTY = MatchResult.__new__(MatchResult)
EMPTY.queue_names = ()


cdef PyObject **grown(PyObject **array, Py_ssize_t capacity) except NULL:
    cdef PyObject **larger = <PyObject **>realloc(array, capacity * sizeof(PyObject *))
    if larger == NULL:
        raise MemoryError
    return larger


cdef Node *new_node() except NULL:
    cdef Node *node = <Node *>calloc(1, sizeof(Node))
    if node == NULL:
        raise MemoryError
    return node


cdef void free_node(Node *node) noexcept:
    cdef Py_ssize_t i
    if node == NULL:
        return
    for i in range(node.slot_capacity):
        if node.slots[i].hash:
            free_node(node.slots[i].child)
            free(node.slots[i].key)
    free(node.slots)
    free_node(node.star)
    free_node(node.tail)
    Py_XDECREF(node.plain)
    Py_XDECREF(node.queues)
    free(node)


cdef inline bint is_unused(Node *node) noexcept:
    return (node.slot_count == 0 and node.star == NULL and node.tail == NULL
            and node.plain == NULL and node.queues == NULL)


cdef inline Slot *find_slot(Node *node, const char *token, Py_ssize_t length, uint64_t hash) noexcept nogil:
    cdef Py_ssize_t mask, i
    cdef Slot *slot
    if node.slot_capacity == 0:
        return NULL
    mask = node.slot_capacity - 1
    i = <Py_ssize_t>(hash & <uint64_t>mask)
    while True:
        slot = &node.slots[i]
        if slot.hash == 0:
            return NULL
        if slot.hash == hash and slot.key_len == length and memcmp(slot.key, token, length) == 0:
            return slot
        i = (i + 1) & mask


cdef void place(Slot *slots, Py_ssize_t capacity, Slot *slot) noexcept nogil:
    cdef Py_ssize_t mask = capacity - 1
    cdef Py_ssize_t i = <Py_ssize_t>(slot.hash & <uint64_t>mask)
    while slots[i].hash:
        i = (i + 1) & mask
    slots[i] = slot[0]


cdef int resize_slots(Node *node, Py_ssize_t capacity) except -1:
    cdef Slot *slots = <Slot *>calloc(capacity, sizeof(Slot))
    cdef Py_ssize_t i
    if slots == NULL:
        raise MemoryError
    for i in range(node.slot_capacity):
        if node.slots[i].hash:
            place(slots, capacity, &node.slots[i])
    free(node.slots)
    node.slots = slots
    node.slot_capacity = capacity
    return 0


cdef Node *literal_child(Node *node, const char *token, Py_ssize_t length) except NULL:
    """The child for a literal token, made when missing. Tables stay at most 3/4 full, so probing always ends."""
    cdef uint64_t hash = hash_bytes(token, length)
    cdef Slot *slot = find_slot(node, token, length, hash)
    cdef Slot fresh
    if slot != NULL:
        return slot.child
    if (node.slot_count + 1) * 4 > node.slot_capacity * 3:
        resize_slots(node, 2 if node.slot_capacity == 0 else node.slot_capacity * 2)
    fresh.hash = hash
    fresh.child = new_node()
    fresh.key = <char *>malloc(length)
    if fresh.key == NULL:
        free_node(fresh.child)
        raise MemoryError
    memcpy(fresh.key, token, length)
    fresh.key_len = length
    place(node.slots, node.slot_capacity, &fresh)
    node.slot_count += 1
    return fresh.child


cdef void remove_slot(Node *node, Slot *slot) noexcept:
    """Take one slot out and close the gap (backward shift), so that no tombstones gather."""
    cdef Py_ssize_t mask = node.slot_capacity - 1
    cdef Py_ssize_t hole = slot - node.slots
    cdef Py_ssize_t i = hole, home
    free_node(slot.child)
    free(slot.key)
    node.slot_count -= 1
    while True:
        i = (i + 1) & mask
        if node.slots[i].hash == 0:
            break
        home = <Py_ssize_t>(node.slots[i].hash & <uint64_t>mask)
        if ((i - home) & mask) >= ((i - hole) & mask):
            node.slots[hole] = node.slots[i]
            hole = i
    node.slots[hole].hash = 0
    if node.slot_count == 0:
        free(node.slots)
        node.slots = NULL
        node.slot_capacity = 0


cdef class Sublist:
    """Entries by subject; (subject, queue, entry) is what identifies an insertion.

    Entries are hashable objects of `entry_type`. `cache_capacity_max` is rounded down to a power of two; 0: no cache.
    From `choosy_from` places on a subject must come twice to be remembered.
    """

    def __cinit__(self, Py_ssize_t cache_capacity_max=CACHE_CAPACITY_MAX, *, type entry_type=object,
                  Py_ssize_t choosy_from=CHOOSY_FROM):
        cdef Py_ssize_t capacity = 1
        self.choosy_from = choosy_from
        self.root = new_node()
        self.entry_type = entry_type
        if cache_capacity_max > 0:
            while capacity <= cache_capacity_max // 2:
                capacity *= 2
            self.cache_capacity_max = capacity

    def __dealloc__(self):
        cdef Py_ssize_t i
        free_node(self.root)
        for i in range(self.cache_capacity):
            self.drop_entry(&self.cache[i])
        free(self.cache)
        free(self.newcomers)

    # -- change ---------------------------------------------------------------------------------------------------

    cpdef void insert(self, bytes subject, bytes queue, object entry) except *:
        """Add an entry; the same (subject, queue, entry) twice counts once. The subject must be valid.

        Raises ValueError for more than TOKENS_MAX tokens and TypeError for what cannot be an entry; nothing changed.
        """
        cdef const char *text = subject
        cdef Py_ssize_t length = len(subject), start = 0, end
        cdef const char *dot
        cdef Node *node = self.root
        if not isinstance(entry, self.entry_type):
            raise TypeError(f"an entry must be a {self.entry_type.__name__}, not {type(entry).__name__}")
        hash(entry)
        if subject.count(b".") >= TOKENS_MAX:
            raise ValueError(f"a subject has at most {TOKENS_MAX} tokens")
        while True:
            dot = <const char *>memchr(text + start, c'.', length - start)
            end = length if dot == NULL else dot - text
            if end - start == 1 and text[start] == c'*':
                if node.star == NULL:
                    node.star = new_node()
                node = node.star
            elif end - start == 1 and text[start] == c'>' and end == length:
                if node.tail == NULL:
                    node.tail = new_node()
                node = node.tail
            else:
                node = literal_child(node, text + start, end - start)
            if end == length:
                break
            start = end + 1
        if not add_entry(node, queue, entry):
            return
        self.count += 1
        self.inserts += 1
        self.invalidate(subject)
        self.passing = None

    cpdef bint remove(self, bytes subject, bytes queue, object entry) except -1:
        """Take an entry out; False when it was not there."""
        if not remove_below(self.root, subject, 0, len(subject), queue, entry):
            return False
        self.count -= 1
        self.removes += 1
        self.invalidate(subject)
        self.passing = None
        return True

    def clear(self) -> None:
        """Take everything out, remembered results included.

        For the end of an account: entries lead back to it, and the garbage collector does not see them in here.
        """
        cdef Node *root = self.root
        cdef CacheEntry *cache = self.cache
        cdef Py_ssize_t capacity = self.cache_capacity, i
        self.root = new_node()
        self.removes += self.count
        self.count = 0
        self.cache = NULL
        self.cache_capacity = 0
        free_node(root)
        for i in range(capacity):
            self.drop_entry(&cache[i])
        free(cache)
        self.passing = None

    cdef void invalidate(self, bytes subject) noexcept:
        cdef Py_ssize_t length = len(subject), probe
        cdef uint64_t hash
        cdef CacheEntry *entry
        if self.cache_capacity == 0:
            return
        if literal_subject(subject, length):
            hash = hash_bytes(subject, length)
            for probe in range(CACHE_PROBES):
                entry = self.place_of(hash, probe)
                if entry.hash == hash and entry.key_len == length and memcmp(entry.key, <char *>subject, length) == 0:
                    self.drop_entry(entry)
                    return
            return
        self.generation += 1
        for probe in range(min(CACHE_SWEEP, self.cache_capacity)):
            if self.cache_capacity == 0:
                # A finaliser cleared the index.
                return
            entry = &self.cache[self.sweep_at & (self.cache_capacity - 1)]
            self.sweep_at += 1
            if entry.hash and entry.generation != self.generation:
                self.drop_entry(entry)

    cdef void drop_entry(self, CacheEntry *entry) noexcept:
        """Free one place. `entry` must not be used afterwards: finalisers may have replaced the table."""
        cdef PyObject *result = entry.result
        if entry.hash == 0:
            return
        entry.hash = 0
        self.cache_count -= 1
        self.cached_references -= (<MatchResult>result).plain_count + (<MatchResult>result).member_count
        free(entry.key)
        Py_DECREF(<object>result)

    # -- look up --------------------------------------------------------------------------------------------------

    cdef MatchResult match(self, const char *subject, Py_ssize_t length):
        """The result for a published subject; the subject is taken literally, wildcards in it are plain characters."""
        cdef uint64_t hash
        cdef CacheEntry *entry
        cdef Py_ssize_t probe
        cdef uint64_t changes
        cdef MatchResult result
        self.matches += 1
        if self.count == 0:
            return EMPTY
        if length > CACHED_SUBJECT_BYTES_MAX:
            return self.match_uncached(subject, length)
        hash = hash_bytes(subject, length)
        if self.cache_capacity:
            for probe in range(CACHE_PROBES):
                entry = self.place_of(hash, probe)
                if (entry.hash == hash and entry.generation == self.generation and entry.key_len == length
                        and memcmp(entry.key, subject, length) == 0):
                    self.cache_hits += 1
                    return <MatchResult>entry.result
            if self.cache_capacity >= self.choosy_from and self.is_newcomer(hash):
                return self.match_in_passing(subject, length)
        changes = self.inserts + self.removes
        result = self.match_uncached(subject, length)
        if changes == self.inserts + self.removes:
            self.store(hash, subject, length, result)
        return result

    cdef bint is_newcomer(self, uint64_t hash) noexcept:
        """Whether this hash has not been here lately; leaves its mark."""
        cdef uint16_t mark = <uint16_t>(hash >> 48)
        cdef uint16_t *place
        if self.newcomers == NULL:
            self.newcomers = <uint16_t *>calloc(NEWCOMERS, sizeof(uint16_t))
            if self.newcomers == NULL:
                return False
        place = &self.newcomers[hash & (NEWCOMERS - 1)]
        if place[0] == mark:
            return False
        place[0] = mark
        return True

    cdef MatchResult match_in_passing(self, const char *subject, Py_ssize_t length):
        """As `match_uncached`, in the one object kept for that. Its entries are let go with the next change or match."""
        cdef MatchResult result = self.passing
        if has_empty_token(subject, length):
            return EMPTY
        # This variable and the attribute are the only ones that know it: nobody reads it.
        if result is None or Py_REFCNT(result) > 2:
            self.passing = result = MatchResult.__new__(MatchResult)
        elif result.plain_count or result.member_count:
            result.empty()
        result.queue_names = ()
        collect(result, self.root, subject, 0, length)
        if result.member_count:
            result.form_groups()
        return result

    cdef bint matches_any(self, const char *subject, Py_ssize_t length) except -1:
        cdef MatchResult result = self.match(subject, length)
        return result.plain_count > 0 or result.group_count > 0

    cdef MatchResult match_uncached(self, const char *subject, Py_ssize_t length):
        cdef MatchResult result
        # A published subject with an empty token reaches nobody, wildcards included (nats-server behaviour).
        if has_empty_token(subject, length):
            return EMPTY
        result = MatchResult.__new__(MatchResult)
        result.queue_names = ()
        collect(result, self.root, subject, 0, length)
        if result.member_count:
            result.form_groups()
        elif result.plain_count == 0:
            return EMPTY
        return result

    cdef void store(self, uint64_t hash, const char *subject, Py_ssize_t length, MatchResult result) noexcept:
        cdef CacheEntry *entry
        cdef CacheEntry *place = NULL
        cdef Py_ssize_t probe, references = result.plain_count + result.member_count
        cdef char *key
        if self.cache_capacity == 0 or (self.cache_count * 4 > self.cache_capacity * 3
                                        and self.cache_capacity < self.cache_capacity_max):
            self.grow_cache()
        if self.cache_capacity == 0:
            return
        if self.cached_references + references > CACHED_REFERENCES_MAX:
            # Make room where this subject would stand; the budget recovers as subjects come by.
            for probe in range(CACHE_PROBES):
                if self.cache_capacity:
                    self.drop_entry(self.place_of(hash, probe))
            if self.cached_references + references > CACHED_REFERENCES_MAX or self.cache_capacity == 0:
                return
        key = <char *>malloc(length if length > 0 else 1)
        if key == NULL:
            return
        memcpy(key, subject, length)
        for probe in range(CACHE_PROBES):
            entry = self.place_of(hash, probe)
            if entry.hash == 0 or entry.generation != self.generation:
                place = entry
                break
        if place == NULL:
            place = self.place_of(hash, <Py_ssize_t>((hash >> 40) & (CACHE_PROBES - 1)))
        cdef CacheEntry replaced = place[0]
        if replaced.hash:
            self.cached_references -= ((<MatchResult>replaced.result).plain_count
                                       + (<MatchResult>replaced.result).member_count)
        else:
            self.cache_count += 1
        place.key = key
        place.key_len = length
        place.hash = hash
        place.generation = self.generation
        place.result = <PyObject *>result
        Py_INCREF(result)
        self.cached_references += references
        if replaced.hash:
            free(replaced.key)
            Py_DECREF(<object>replaced.result)

    cdef inline CacheEntry *place_of(self, uint64_t hash, Py_ssize_t probe) noexcept:
        return &self.cache[<Py_ssize_t>((hash + <uint64_t>probe) & <uint64_t>(self.cache_capacity - 1))]

    cdef void grow_cache(self) noexcept:
        """Make the table larger; entries that no longer find room among their probes are dropped."""
        cdef Py_ssize_t capacity = self.cache_capacity * 4 if self.cache_capacity else CACHE_CAPACITY_MIN
        cdef CacheEntry *larger
        cdef CacheEntry *old = self.cache
        cdef Py_ssize_t old_capacity = self.cache_capacity, i, probe
        cdef CacheEntry *entry
        if capacity > self.cache_capacity_max:
            capacity = self.cache_capacity_max
        if capacity <= old_capacity:
            return
        larger = <CacheEntry *>calloc(capacity, sizeof(CacheEntry))
        if larger == NULL:
            return
        self.cache = larger
        self.cache_capacity = capacity
        self.sweep_at = 0
        for i in range(old_capacity):
            if old[i].hash == 0 or old[i].generation != self.generation:
                continue
            for probe in range(CACHE_PROBES):
                entry = self.place_of(old[i].hash, probe)
                if entry.hash == 0:
                    entry[0] = old[i]
                    old[i].hash = 0
                    break
        # What was not moved goes last, when the new table is complete.
        for i in range(old_capacity):
            self.drop_entry(&old[i])
        free(old)

    # -- for the control plane and tests ----------------------------------------------------------------------------

    def find(self, bytes subject not None) -> MatchResult:
        """The result for a published subject."""
        return self.match(subject, len(subject))

    def has_interest(self, bytes subject not None) -> bool:
        """Whether a message on this subject would reach anybody."""
        return self.matches_any(subject, len(subject))

    def all_entries(self) -> list:
        """Every entry, in no promised order."""
        found = []
        gather(self.root, found)
        return found

    @property
    def cache_capacity_now(self) -> int:
        return self.cache_capacity


cdef int collect(MatchResult result, Node *node, const char *subject, Py_ssize_t start, Py_ssize_t length) except -1:
    """Walk down from `node`, whose token ends before `start`. Depth is bounded by TOKENS_MAX, which inserting checks."""
    cdef const char *dot = <const char *>memchr(subject + start, c'.', length - start)
    cdef Py_ssize_t end = length if dot == NULL else dot - subject
    cdef Slot *slot
    if node.tail != NULL:
        collect_entries(result, node.tail)
    if node.star != NULL:
        if end == length:
            collect_entries(result, node.star)
        else:
            collect(result, node.star, subject, end + 1, length)
    if node.slot_count:
        slot = find_slot(node, subject + start, end - start, hash_bytes(subject + start, end - start))
        if slot != NULL:
            if end == length:
                collect_entries(result, slot.child)
            else:
                collect(result, slot.child, subject, end + 1, length)
    return 0


cdef int collect_entries(MatchResult result, Node *node) except -1:
    if node.plain != NULL:
        result.add_plain(<dict>node.plain)
    if node.queues != NULL:
        # One pick per queue name, whatever subjects its members used: `form_groups` merges them (as nats-server).
        for name, members in (<dict>node.queues).items():
            result.add_members(<bytes>name, <dict>members)
    return 0


cdef int gather(Node *node, list found) except -1:
    cdef Py_ssize_t i
    if node.plain != NULL:
        found.extend(<dict>node.plain)
    if node.queues != NULL:
        for members in (<dict>node.queues).values():
            found.extend(members)
    if node.star != NULL:
        gather(node.star, found)
    if node.tail != NULL:
        gather(node.tail, found)
    for i in range(node.slot_capacity):
        if node.slots[i].hash:
            gather(node.slots[i].child, found)
    return 0


cdef bint add_entry(Node *node, bytes queue, object entry) except -1:
    """False when it is there already."""
    cdef dict group
    if queue is None:
        if node.plain == NULL:
            group = {}
            Py_INCREF(group)
            node.plain = <PyObject *>group
        group = <dict>node.plain
    else:
        if node.queues == NULL:
            group = {}
            Py_INCREF(group)
            node.queues = <PyObject *>group
        group = (<dict>node.queues).setdefault(queue, {})
    if entry in group:
        return False
    group[entry] = None
    return True


cdef bint remove_entry(Node *node, bytes queue, object entry) except -1:
    cdef dict group, queues
    if queue is None:
        if node.plain == NULL or entry not in <dict>node.plain:
            return False
        group = <dict>node.plain
        del group[entry]
        if not group:
            Py_DECREF(group)
            node.plain = NULL
        return True
    if node.queues == NULL:
        return False
    queues = <dict>node.queues
    group = queues.get(queue)
    if group is None or entry not in group:
        return False
    del group[entry]
    if not group:
        del queues[queue]
        if not queues:
            Py_DECREF(queues)
            node.queues = NULL
    return True


cdef bint remove_below(Node *node, const char *subject, Py_ssize_t start, Py_ssize_t length,
                       bytes queue, object entry) except -1:
    """Remove under `node` and prune what became unused on the way back up."""
    cdef const char *dot = <const char *>memchr(subject + start, c'.', length - start)
    cdef Py_ssize_t end = length if dot == NULL else dot - subject
    cdef Node *child
    cdef Slot *slot = NULL
    cdef bint is_star = end - start == 1 and subject[start] == c'*'
    cdef bint is_tail = end - start == 1 and subject[start] == c'>' and end == length
    if is_star:
        child = node.star
    elif is_tail:
        child = node.tail
    else:
        slot = find_slot(node, subject + start, end - start, hash_bytes(subject + start, end - start))
        child = slot.child if slot != NULL else NULL
    if child == NULL:
        return False
    if end == length:
        if not remove_entry(child, queue, entry):
            return False
    elif not remove_below(child, subject, end + 1, length, queue, entry):
        return False
    if is_unused(child):
        if is_star:
            free_node(child)
            node.star = NULL
        elif is_tail:
            free_node(child)
            node.tail = NULL
        else:
            remove_slot(node, slot)
    return True
