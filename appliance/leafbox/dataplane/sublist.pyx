# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Subject trie with wildcards and queue groups, and a bounded cache of match results for literal subjects.

Approach: a node per token; literal children in a small open-addressed table, `*` and `>` as pointers of their own, so
that a match is one walk that branches at most twice per token. Results are immutable arrays of entries. The cache maps
a published subject to its result: a change to a literal subscription drops exactly that subject, a change to a
wildcard makes all older results stale at once (generation) and frees a bounded number of them per change, so a stale
result never outlives its entry for long and no change costs more than CACHE_SWEEP steps.

Alternatives measured or weighed: a dict of all literal subjects beside the trie is quicker for cold literals, but costs
a second structure per subscription; per-connection result caches as nats-server has them multiply the memory.
Known weakness: many wildcard changes per second keep the cache cold; a cold match costs one walk.
"""
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memchr, memcmp, memcpy

from leafbox.dataplane.subjects cimport hash_bytes, literal_subject

# Start small (an idle account costs a few KiB), end where the cache no longer fits a Pi's L2 anyway.
CACHE_CAPACITY_MAX = 16384

cdef enum:
    CACHE_CAPACITY_MIN = 64
    # Longer subjects are not cached: they would let one peer fill the cache with kilobytes per entry.
    CACHED_SUBJECT_BYTES_MAX = 256
    CACHE_PROBES = 4        # places where a subject may stand: one cache line of entries
    CACHE_SWEEP = 64        # stale entries freed per wildcard change


cdef class MatchResult:
    """Every plain entry and every queue group that a subject reaches."""

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.plain_count):
            Py_DECREF(<object>self.plain[i])
        free(self.plain)
        if self.group_count:
            for i in range(self.group_ends[self.group_count - 1]):
                Py_DECREF(<object>self.members[i])
            free(self.members)
            free(self.group_ends)

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
    """Entries by subject; any object may be an entry, (subject, queue, entry) is what identifies an insertion."""

    def __cinit__(self, Py_ssize_t cache_capacity_max=CACHE_CAPACITY_MAX):
        self.root = new_node()
        self.cache_capacity_max = cache_capacity_max
        self.scratch_queues = {}

    def __dealloc__(self):
        cdef Py_ssize_t i
        free_node(self.root)
        for i in range(self.cache_capacity):
            self.drop_entry(&self.cache[i])
        free(self.cache)
        free(self.scratch)

    # -- change ---------------------------------------------------------------------------------------------------

    cpdef void insert(self, bytes subject, bytes queue, object entry) except *:
        """Add an entry; the same (subject, queue, entry) twice counts once. The subject must be valid."""
        cdef const char *text = subject
        cdef Py_ssize_t length = len(subject), start = 0, end
        cdef const char *dot
        cdef Node *node = self.root
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
        add_entry(node, queue, entry)
        self.count += 1
        self.inserts += 1
        self.invalidate(subject)

    cpdef bint remove(self, bytes subject, bytes queue, object entry) except -1:
        """Take an entry out; False when it was not there."""
        if not remove_below(self.root, subject, 0, len(subject), queue, entry):
            return False
        self.count -= 1
        self.removes += 1
        self.invalidate(subject)
        return True

    cdef void invalidate(self, bytes subject) noexcept:
        cdef Py_ssize_t length = len(subject), probe
        cdef uint64_t hash
        cdef CacheEntry *entry
        if self.cache_count == 0:
            self.generation += 1
            return
        if literal_subject(subject, length):
            hash = hash_bytes(subject, length)
            for probe in range(CACHE_PROBES):
                entry = &self.cache[<Py_ssize_t>((hash + <uint64_t>probe) & <uint64_t>(self.cache_capacity - 1))]
                if entry.hash == hash and entry.key_len == length and memcmp(entry.key, <char *>subject, length) == 0:
                    self.drop_entry(entry)
                    return
            return
        self.generation += 1
        for probe in range(min(CACHE_SWEEP, self.cache_capacity)):
            entry = &self.cache[self.sweep_at & (self.cache_capacity - 1)]
            self.sweep_at += 1
            if entry.hash and entry.generation != self.generation:
                self.drop_entry(entry)

    cdef void drop_entry(self, CacheEntry *entry) noexcept:
        if entry.hash == 0:
            return
        entry.hash = 0
        self.cache_count -= 1
        free(entry.key)
        Py_DECREF(<object>entry.result)

    # -- look up --------------------------------------------------------------------------------------------------

    cdef MatchResult match(self, const char *subject, Py_ssize_t length):
        """The result for a published subject; the subject is taken literally, wildcards in it are plain characters."""
        cdef uint64_t hash
        cdef CacheEntry *entry
        cdef Py_ssize_t probe
        cdef MatchResult result
        self.matches += 1
        if self.count == 0:
            return EMPTY
        if length > CACHED_SUBJECT_BYTES_MAX:
            return self.match_uncached(subject, length)
        hash = hash_bytes(subject, length)
        if self.cache_capacity:
            for probe in range(CACHE_PROBES):
                entry = &self.cache[<Py_ssize_t>((hash + <uint64_t>probe) & <uint64_t>(self.cache_capacity - 1))]
                if (entry.hash == hash and entry.generation == self.generation and entry.key_len == length
                        and memcmp(entry.key, subject, length) == 0):
                    self.cache_hits += 1
                    return <MatchResult>entry.result
        result = self.match_uncached(subject, length)
        self.store(hash, subject, length, result)
        return result

    cdef bint matches_any(self, const char *subject, Py_ssize_t length) except -1:
        cdef MatchResult result = self.match(subject, length)
        return result.plain_count > 0 or result.group_count > 0

    cdef MatchResult match_uncached(self, const char *subject, Py_ssize_t length):
        cdef Py_ssize_t i, total = 0
        cdef MatchResult result
        cdef dict group
        # A published subject with an empty token reaches nobody, wildcards included (nats-server behaviour).
        if length == 0 or subject[0] == c'.' or subject[length - 1] == c'.':
            return EMPTY
        for i in range(1, length):
            if subject[i] == c'.' and subject[i - 1] == c'.':
                return EMPTY
        self.scratch_count = 0
        self.collect(self.root, subject, 0, length)
        if self.scratch_count == 0 and not self.scratch_queues:
            return EMPTY
        result = MatchResult.__new__(MatchResult)
        result.queue_names = ()
        if self.scratch_count:
            result.plain = <PyObject **>malloc(self.scratch_count * sizeof(PyObject *))
            if result.plain == NULL:
                raise MemoryError
            for i in range(self.scratch_count):
                result.plain[i] = self.scratch[i]
                Py_INCREF(<object>self.scratch[i])
            result.plain_count = self.scratch_count
        if self.scratch_queues:
            self.fill_groups(result)
        return result

    cdef int collect(self, Node *node, const char *subject, Py_ssize_t start, Py_ssize_t length) except -1:
        """Walk down from `node`, whose token ends before `start`. Depth is bounded by the subject's token count."""
        cdef const char *dot = <const char *>memchr(subject + start, c'.', length - start)
        cdef Py_ssize_t end = length if dot == NULL else dot - subject
        cdef Slot *slot
        if node.tail != NULL:
            self.collect_entries(node.tail)
        if node.star != NULL:
            if end == length:
                self.collect_entries(node.star)
            else:
                self.collect(node.star, subject, end + 1, length)
        if node.slot_count:
            slot = find_slot(node, subject + start, end - start, hash_bytes(subject + start, end - start))
            if slot != NULL:
                if end == length:
                    self.collect_entries(slot.child)
                else:
                    self.collect(slot.child, subject, end + 1, length)
        return 0

    cdef int collect_entries(self, Node *node) except -1:
        cdef PyObject **grown
        cdef Py_ssize_t needed
        if node.plain != NULL:
            needed = self.scratch_count + len(<dict>node.plain)
            if needed > self.scratch_capacity:
                grown = <PyObject **>realloc(self.scratch, needed * 2 * sizeof(PyObject *))
                if grown == NULL:
                    raise MemoryError
                self.scratch = grown
                self.scratch_capacity = needed * 2
            for entry in <dict>node.plain:
                self.scratch[self.scratch_count] = <PyObject *>entry
                self.scratch_count += 1
        if node.queues != NULL:
            for name, members in (<dict>node.queues).items():
                # One pick per queue name, whatever subjects its members used (nats-server merges them).
                found = self.scratch_queues.get(name)
                if found is None:
                    self.scratch_queues[name] = list(members)
                else:
                    (<list>found).extend(members)
        return 0

    cdef fill_groups(self, MatchResult result):
        cdef Py_ssize_t total = 0, at = 0, group = 0
        cdef dict queues = self.scratch_queues
        self.scratch_queues = {}
        for members in queues.values():
            total += len(<list>members)
        result.members = <PyObject **>malloc(total * sizeof(PyObject *))
        result.group_ends = <Py_ssize_t *>malloc(len(queues) * sizeof(Py_ssize_t))
        if result.members == NULL or result.group_ends == NULL:
            raise MemoryError
        for members in queues.values():
            for entry in <list>members:
                Py_INCREF(entry)
                result.members[at] = <PyObject *>entry
                at += 1
            result.group_ends[group] = at
            group += 1
        result.group_count = group
        result.queue_names = tuple(queues)

    cdef void store(self, uint64_t hash, const char *subject, Py_ssize_t length, MatchResult result) noexcept:
        cdef CacheEntry *entry
        cdef CacheEntry *victim = NULL
        cdef Py_ssize_t probe
        if self.cache_capacity == 0 or (self.cache_count * 4 > self.cache_capacity * 3
                                        and self.cache_capacity < self.cache_capacity_max):
            self.grow_cache()
        if self.cache_capacity == 0:
            return
        for probe in range(CACHE_PROBES):
            entry = &self.cache[<Py_ssize_t>((hash + <uint64_t>probe) & <uint64_t>(self.cache_capacity - 1))]
            if entry.hash == 0 or entry.generation != self.generation:
                victim = entry
                break
        if victim == NULL:
            probe = <Py_ssize_t>((hash >> 40) & (CACHE_PROBES - 1))
            victim = &self.cache[<Py_ssize_t>((hash + <uint64_t>probe) & <uint64_t>(self.cache_capacity - 1))]
        self.drop_entry(victim)
        victim.key = <char *>malloc(length if length > 0 else 1)
        if victim.key == NULL:
            return
        memcpy(victim.key, subject, length)
        victim.key_len = length
        victim.hash = hash
        victim.generation = self.generation
        victim.result = <PyObject *>result
        Py_INCREF(result)
        self.cache_count += 1

    cdef void grow_cache(self) noexcept:
        """Make the table larger; entries that no longer find room among their probes are dropped."""
        cdef Py_ssize_t capacity = self.cache_capacity * 4 if self.cache_capacity else CACHE_CAPACITY_MIN
        cdef CacheEntry *grown
        cdef CacheEntry *old = self.cache
        cdef Py_ssize_t old_capacity = self.cache_capacity, i, probe
        cdef CacheEntry *entry
        if capacity > self.cache_capacity_max:
            capacity = self.cache_capacity_max
        if capacity <= old_capacity:
            return
        grown = <CacheEntry *>calloc(capacity, sizeof(CacheEntry))
        if grown == NULL:
            return
        self.cache = grown
        self.cache_capacity = capacity
        self.sweep_at = 0
        for i in range(old_capacity):
            if old[i].hash == 0:
                continue
            for probe in range(CACHE_PROBES):
                entry = &grown[<Py_ssize_t>((old[i].hash + <uint64_t>probe) & <uint64_t>(capacity - 1))]
                if entry.hash == 0 and old[i].generation == self.generation:
                    entry[0] = old[i]
                    break
            else:
                self.drop_entry(&old[i])
        free(old)

    # -- for the control plane and tests ----------------------------------------------------------------------------

    def find(self, bytes subject not None) -> MatchResult:
        """The result for a published subject."""
        return self.match(subject, len(subject))

    def has_interest(self, bytes subject not None) -> bool:
        """Whether a message on this subject would reach anybody."""
        return self.matches_any(subject, len(subject))

    @property
    def cache_capacity_now(self) -> int:
        return self.cache_capacity


cdef int add_entry(Node *node, bytes queue, object entry) except -1:
    cdef dict group
    if queue is None:
        if node.plain == NULL:
            group = {}
            Py_INCREF(group)
            node.plain = <PyObject *>group
        (<dict>node.plain)[entry] = None
        return 0
    if node.queues == NULL:
        group = {}
        Py_INCREF(group)
        node.queues = <PyObject *>group
    (<dict>node.queues).setdefault(queue, {})[entry] = None
    return 0


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
