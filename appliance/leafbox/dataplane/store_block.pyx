# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Blocks of messages, their two database values, and the bounded cache; see store_block.pxd for the formats.

A block's data only ever grows at its end, so a checkpoint writes from the very buffer that the loop still appends to: it
holds a reference to the `BlockBuffer` and never looks beyond the size it noted.  When the block outgrows the buffer it
moves to a larger one and the old one lives until the checkpoint lets go.

Alternatives considered: one database key per message (measured: five times the device bytes of a block per key at
1000 messages a checkpoint, and a py-lmdb call per message on reading); a subject-to-sequence index in the database (doubles
the writes of every checkpoint).  Known weakness: a removed message's bytes stay until its block is half dead.
"""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

from leafbox.dataplane.store_crc cimport crc32c
from leafbox.dataplane.store_subjects cimport NO_SUBJECT, Subject

from leafbox.protocol.errors import StoreCorrupt

cdef enum:
    BLOCK_MAGIC = 0x314B4C42    # "BLK1"
    INDEX_MAGIC = 0x31584449    # "IDX1"
    INDEX_IS_DENSE = 1
    INDEX_HAS_EXPIRY = 2
    NAME_NONE = 0xFFFF
    FIRST_CAPACITY = 2048


cdef void view_record(const StoredRecord* record, MessageView* view) noexcept nogil:
    cdef const char* cursor = <const char*>record + STORED_HEADER_SIZE
    view.seq = record.seq
    view.ts_ns = record.ts_ns
    view.expires_ns = 0
    if record.flags & STORED_HAS_EXPIRY:
        memcpy(&view.expires_ns, cursor, 8)
        cursor += 8
    view.subject = cursor
    view.subject_size = record.subject_size
    view.header = cursor + record.subject_size
    view.header_size = record.header_size
    view.payload = view.header + record.header_size
    view.payload_size = <size_t>(<const char*>record + record.size - view.payload)


cdef bint record_is_sound(const StoredRecord* record, size_t room) noexcept nogil:
    """Whether a record's sizes stay inside `room` bytes and its checksum holds."""
    cdef size_t fixed
    if room < STORED_HEADER_SIZE or record.size > room or record.size < STORED_HEADER_SIZE:
        return False
    fixed = STORED_HEADER_SIZE + (8 if record.flags & STORED_HAS_EXPIRY else 0)
    if fixed + record.subject_size + <size_t>record.header_size > record.size:
        return False
    return crc32c(0, <const char*>record + 8, record.size - 8) == record.crc


# No reference of these classes can close a cycle, and their destructors need their fields: keep the collector out.
@cython.no_gc
cdef class BlockBuffer:
    def __cinit__(self, size_t capacity, bytes owner=None):
        self.capacity = capacity
        if owner is not None:
            self.owner = owner
            self.memory = <char*>owner
            return
        self.memory = <char*>malloc(capacity)
        if self.memory == NULL:
            raise MemoryError

    def __dealloc__(self):
        if self.owner is None:
            free(self.memory)

    def __getbuffer__(self, Py_buffer* view, int flags):
        self.shape[0] = self.exported_size
        self.strides[0] = 1
        view.buf = self.memory
        view.obj = self
        view.len = self.exported_size
        view.itemsize = 1
        view.readonly = 1
        view.ndim = 1
        view.format = "B"
        view.shape = self.shape
        view.strides = self.strides
        view.suboffsets = NULL
        view.internal = NULL

    def __releasebuffer__(self, Py_buffer* view):
        pass


cdef class BlockCache:
    """One per appliance, shared by its streams."""

    def __cinit__(self, uint64_t capacity_bytes):
        self.capacity_bytes = capacity_bytes

    cdef void enter(self, Block block) noexcept:
        if block.is_cached:
            return
        block.is_cached = True
        block.newer = NULL
        block.older = self.newest
        if self.newest != NULL:
            (<Block>self.newest).newer = <void*>block
        self.newest = <void*>block
        if self.oldest == NULL:
            self.oldest = <void*>block
        self.cached_bytes += block.buffer.capacity
        self.shrink()

    cdef void leave(self, Block block) noexcept:
        if not block.is_cached:
            return
        block.is_cached = False
        if block.newer != NULL:
            (<Block>block.newer).older = block.older
        else:
            self.newest = block.older
        if block.older != NULL:
            (<Block>block.older).newer = block.newer
        else:
            self.oldest = block.newer
        block.newer = NULL
        block.older = NULL
        self.cached_bytes -= block.buffer.capacity

    cdef void touch(self, Block block) noexcept:
        if block.is_cached and self.newest != <void*>block:
            self.leave(block)
            self.enter(block)

    cdef void shrink(self) noexcept:
        """Drop the data of the least recently used blocks; the newest always stays, its pointers are in use."""
        cdef Block block
        while self.cached_bytes > self.capacity_bytes and self.oldest != self.newest:
            block = <Block>self.oldest
            self.leave(block)
            block.buffer = None


@cython.no_gc
cdef class Block:
    def __dealloc__(self):
        if self.is_cached and self.cache is not None and self.buffer is not None:
            self.cache.leave(self)
        free(self.slots)

    @property
    def first_sequence(self) -> int:
        """The block's key."""
        return self.first_seq

    cdef Slot* locate(self, uint64_t seq) noexcept:
        """The slot of a sequence number, live or not; NULL if the block has no such record."""
        cdef uint64_t delta
        cdef uint32_t low = 0, high, middle
        if seq < self.first_seq or seq > self.last_seq:
            return NULL
        delta = seq - self.first_seq
        # Mostly dense: the slot is where a gapless block would have it.
        if delta < self.count and self.slots[delta].seq_delta == delta:
            return &self.slots[delta]
        high = self.count
        while low < high:
            middle = (low + high) >> 1
            if self.slots[middle].seq_delta < delta:
                low = middle + 1
            else:
                high = middle
        if low < self.count and self.slots[low].seq_delta == delta:
            return &self.slots[low]
        return NULL

    cdef StoredRecord* record_at(self, const Slot* slot) noexcept:
        return <StoredRecord*>(self.buffer.memory + (slot.offset & OFFSET_MASK))

    cdef size_t record_size(self, uint32_t index) noexcept:
        cdef size_t end = self.slots[index + 1].offset & OFFSET_MASK if index + 1 < self.count else self.size
        return end - (self.slots[index].offset & OFFSET_MASK)

    cdef char* reserve(self, size_t record_size) except NULL:
        """Room behind the last record, for `add_slot` to make official."""
        cdef size_t needed = self.size + record_size
        cdef size_t capacity
        cdef BlockBuffer larger
        cdef Slot* slots
        if self.count == self.slot_capacity:
            capacity = max(<size_t>16, <size_t>self.slot_capacity * 2)
            slots = <Slot*>realloc(self.slots, capacity * sizeof(Slot))
            if slots == NULL:
                raise MemoryError
            self.slots = slots
            self.slot_capacity = capacity
        if self.buffer is None or needed > self.buffer.capacity:
            capacity = FIRST_CAPACITY if self.buffer is None else self.buffer.capacity * 2
            if needed <= BLOCK_BYTES_TARGET:
                capacity = min(capacity, <size_t>BLOCK_BYTES_TARGET)
            larger = BlockBuffer(max(capacity, needed))
            if self.buffer is not None:
                memcpy(larger.memory, self.buffer.memory, self.size)
            else:
                memset(larger.memory, 0, BLOCK_HEADER_SIZE)
            if self.is_data_dirty and self.cache is not None:
                self.cache.dirty_bytes += larger.capacity - (0 if self.buffer is None else self.buffer.capacity)
            self.buffer = larger
        return self.buffer.memory + self.size

    cdef Slot* add_slot(self, uint64_t seq, uint32_t subject, size_t record_size, uint16_t flags,
                        int64_t ts_ns) noexcept:
        cdef Slot* slot = &self.slots[self.count]
        slot.offset = <uint32_t>(self.size | (<size_t>flags << OFFSET_FLAG_SHIFT))
        slot.subject = subject
        slot.seq_delta = <uint32_t>(seq - self.first_seq)
        slot.next_delta = 0
        if self.count == 0:
            self.first_ts = ts_ns
            self.last_ts = ts_ns
        elif ts_ns > self.last_ts:
            self.last_ts = ts_ns
        elif ts_ns < self.first_ts:
            self.first_ts = ts_ns
        self.count += 1
        self.live += 1
        self.last_seq = seq
        self.size += record_size
        self.has_expiry = self.has_expiry or flags & STORED_HAS_EXPIRY != 0
        self.note_subject(subject)
        return slot

    cdef void note_subject(self, uint32_t subject) noexcept:
        self.subject_mask[(subject >> 6) & 3] |= <uint64_t>1 << (subject & 63)

    cdef bint may_have(self, uint32_t subject) noexcept:
        return self.subject_mask[(subject >> 6) & 3] >> (subject & 63) & 1

    cdef int adopt_data(self, bytes value) except -1:
        """Take the database's bytes as this block's data, after checking that they are what the index says."""
        check_block(value, self.stream, self.first_seq)
        # Longer is fine: a truncation forgot the last records without writing the block anew.
        if <size_t>len(value) < self.size:
            raise StoreCorrupt(f"block {self.first_seq}: {len(value)} bytes, its index says {self.size}")
        self.buffer = BlockBuffer(self.size, value)
        return 0

    cdef int part_from_buffer(self) except -1:
        """Go on with a buffer of one's own of the same capacity; whoever holds the former one keeps it as it is."""
        cdef BlockBuffer own = BlockBuffer(self.buffer.capacity)
        memcpy(own.memory, self.buffer.memory, self.size)
        self.buffer = own
        return 0

    cdef void trim_slots(self) noexcept:
        """Give back slots that a block which takes no more appends will not need."""
        cdef Slot* trimmed
        if self.slot_capacity > self.count > 0:
            trimmed = <Slot*>realloc(self.slots, self.count * sizeof(Slot))
            if trimmed != NULL:
                self.slots = trimmed
                self.slot_capacity = self.count

    cdef void become_dirty(self) noexcept:
        """The database no longer has this block's data as it is: it must stay in memory."""
        if self.is_data_dirty:
            return
        if self.cache is not None:
            self.cache.leave(self)
            self.cache.dirty_bytes += 0 if self.buffer is None else self.buffer.capacity
        self.is_data_dirty = True

    cdef void become_clean(self) noexcept:
        if self.is_data_dirty and self.cache is not None:
            self.cache.dirty_bytes -= self.buffer.capacity
            self.is_data_dirty = False
            self.cache.enter(self)

    cdef void let_go(self) noexcept:
        """The block leaves its stream: take it out of the cache's numbers."""
        if self.cache is None:
            return
        if self.is_data_dirty and self.buffer is not None:
            self.cache.dirty_bytes -= self.buffer.capacity
        self.cache.leave(self)
        self.cache = None

    cdef bytes encode_index(self, SubjectTable table):
        """This block's index value; a name is written once however many messages share it.

        Runs on the loop for every changed block of a checkpoint, hence without Python objects per message or name.
        """
        # Subject number -> name number of this block: open addressing, twice as many entries as records.
        cdef uint32_t[2 * BLOCK_RECORDS_MAX] keys
        cdef uint16_t[2 * BLOCK_RECORDS_MAX] numbers
        cdef uint32_t[BLOCK_RECORDS_MAX] named
        cdef uint32_t index, subject, at, names = 0
        cdef size_t names_size = 0
        cdef bint is_dense = self.last_seq - self.first_seq + 1 == self.count
        cdef size_t fixed = INDEX_HEADER_SIZE + <size_t>self.count * (6 if is_dense else 10)
        cdef bytes value
        cdef char* out
        cdef uint32_t* words
        cdef uint16_t* name_numbers
        cdef uint16_t[BLOCK_RECORDS_MAX] found
        memset(keys, 0xFF, sizeof(keys))
        for index in range(self.count):
            subject = self.slots[index].subject
            if subject == NO_SUBJECT:
                found[index] = NAME_NONE
                continue
            at = (subject * <uint32_t>2654435761) >> 20
            while keys[at] != NO_SUBJECT and keys[at] != subject:
                at = (at + 1) & (2 * BLOCK_RECORDS_MAX - 1)
            if keys[at] == NO_SUBJECT:
                keys[at] = subject
                numbers[at] = <uint16_t>names
                named[names] = subject
                names += 1
                names_size += 2 + table.subjects[subject].name_size
            found[index] = numbers[at]
        value = PyBytes_FromStringAndSize(NULL, fixed + names_size)
        out = <char*>value
        words = <uint32_t*>(out + INDEX_HEADER_SIZE)
        for index in range(self.count):
            words[index] = self.slots[index].offset
        words += self.count
        if not is_dense:
            for index in range(self.count):
                words[index] = self.slots[index].seq_delta
            words += self.count
        name_numbers = <uint16_t*>words
        memcpy(name_numbers, found, <size_t>self.count * sizeof(uint16_t))
        at = <uint32_t>fixed
        for index in range(names):
            memcpy(out + at, &table.subjects[named[index]].name_size, 2)
            memcpy(out + at + 2, table.name_of(named[index]), table.subjects[named[index]].name_size)
            at += 2 + table.subjects[named[index]].name_size
        self.fill_index_header(<IndexHeader*>out, names, is_dense)
        (<IndexHeader*>out).crc = crc32c(0, out + 8, fixed + names_size - 8)
        return value

    cdef void fill_index_header(self, IndexHeader* header, uint32_t names, bint is_dense) noexcept:
        memset(header, 0, INDEX_HEADER_SIZE)
        header.magic = INDEX_MAGIC
        header.stream = self.stream
        header.count = self.count
        header.first_seq = self.first_seq
        header.last_seq = self.last_seq
        header.first_ts = self.first_ts
        header.last_ts = self.last_ts
        header.flags = (INDEX_IS_DENSE if is_dense else 0) | (INDEX_HAS_EXPIRY if self.has_expiry else 0)
        header.names = names
        header.data_size = <uint32_t>self.size
        header.live = self.live

    cdef Block squeezed(self):
        """A copy without the removed messages; needs the data."""
        cdef Block copy = Block()
        cdef uint32_t index
        cdef size_t size
        cdef char* target
        cdef Slot* slot
        cdef uint64_t seq
        copy.stream = self.stream
        copy.first_seq = self.first_seq
        copy.size = BLOCK_HEADER_SIZE
        copy.cache = self.cache
        copy.is_data_dirty = True
        for index in range(self.count):
            if self.slots[index].subject == NO_SUBJECT:
                continue
            size = self.record_size(index)
            target = copy.reserve(size)
            memcpy(target, self.record_at(&self.slots[index]), size)
            seq = self.first_seq + self.slots[index].seq_delta
            slot = copy.add_slot(seq, self.slots[index].subject, size,
                                 <uint16_t>(self.slots[index].offset >> OFFSET_FLAG_SHIFT),
                                 self.record_at(&self.slots[index]).ts_ns)
            slot.next_delta = self.slots[index].next_delta
        copy.is_stored = self.is_stored
        copy.is_index_dirty = True
        return copy


cdef int check_block(const unsigned char[::1] value, uint32_t stream, uint64_t first_seq) except -1:
    """Raise StoreCorrupt unless a database value is the sound block it is keyed as."""
    cdef const BlockHeader* header
    if value.shape[0] < BLOCK_HEADER_SIZE:
        raise StoreCorrupt(f"block {first_seq}: {value.shape[0]} bytes are no block")
    header = <const BlockHeader*>&value[0]
    if header.magic != BLOCK_MAGIC or header.stream != stream or header.first_seq != first_seq:
        raise StoreCorrupt(f"block {first_seq}: its header names another block")
    if crc32c(0, <const char*>header + 8, value.shape[0] - 8) != header.crc:
        raise StoreCorrupt(f"block {first_seq}: checksum does not hold")
    return 0


cdef void seal_block(Block block, BlockBuffer buffer, size_t size, uint32_t count) noexcept:
    """Fill in the header and checksums of the first `size` bytes; runs on the checkpoint's thread, GIL released."""
    cdef BlockHeader* header = <BlockHeader*>buffer.memory
    cdef StoredRecord* record
    cdef size_t offset = BLOCK_HEADER_SIZE
    cdef uint64_t last_seq = block.first_seq
    cdef uint64_t first_seq = block.first_seq
    cdef uint32_t stream = block.stream
    with nogil:
        while offset < size:
            record = <StoredRecord*>(buffer.memory + offset)
            record.crc = crc32c(0, <const char*>record + 8, record.size - 8)
            last_seq = record.seq
            offset += record.size
        header.magic = BLOCK_MAGIC
        header.stream = stream
        header.count = count
        header.first_seq = first_seq
        header.last_seq = last_seq
        header.data_size = size
        header.crc = crc32c(0, <const char*>header + 8, size - 8)
    buffer.exported_size = size


cdef Block decode_index(const unsigned char[::1] value, SubjectTable table, uint32_t stream, uint64_t first_seq):
    """The block that an index value describes, without data; raises StoreCorrupt.  Counts no message into `table`."""
    cdef const IndexHeader* header
    cdef const uint32_t* offsets
    cdef const uint32_t* deltas = NULL
    cdef const uint16_t* name_numbers
    cdef const unsigned char* cursor
    cdef const unsigned char* end
    cdef size_t fixed
    cdef uint32_t index, size, live = 0
    cdef uint32_t[BLOCK_RECORDS_MAX] numbers
    cdef Block block
    cdef Slot* slot
    cdef size_t previous = 0
    if value.shape[0] < INDEX_HEADER_SIZE:
        raise StoreCorrupt(f"index of block {first_seq}: {value.shape[0]} bytes are no index")
    header = <const IndexHeader*>&value[0]
    if header.magic != INDEX_MAGIC or header.stream != stream or header.first_seq != first_seq:
        raise StoreCorrupt(f"index of block {first_seq}: its header names another block")
    if crc32c(0, <const char*>header + 8, value.shape[0] - 8) != header.crc:
        raise StoreCorrupt(f"index of block {first_seq}: checksum does not hold")
    fixed = INDEX_HEADER_SIZE + <size_t>header.count * (6 if header.flags & INDEX_IS_DENSE else 10)
    # From here on the checksum vouches for the content; the bounds are checked all the same, an index is untrusted input.
    if header.count > BLOCK_RECORDS_MAX or header.names > BLOCK_RECORDS_MAX or fixed > <size_t>value.shape[0]:
        raise StoreCorrupt(f"index of block {first_seq}: counts do not fit")
    block = Block()
    block.stream = stream
    block.first_seq = first_seq
    block.last_seq = header.last_seq
    block.count = header.count
    block.first_ts = header.first_ts
    block.last_ts = header.last_ts
    block.size = header.data_size
    block.has_expiry = header.flags & INDEX_HAS_EXPIRY != 0
    block.is_stored = True
    block.slots = <Slot*>malloc(max(<size_t>1, <size_t>header.count) * sizeof(Slot))
    if block.slots == NULL:
        raise MemoryError
    block.slot_capacity = header.count
    offsets = <const uint32_t*>(&value[0] + INDEX_HEADER_SIZE)
    if header.flags & INDEX_IS_DENSE:
        name_numbers = <const uint16_t*>(offsets + header.count)
    else:
        deltas = offsets + header.count
        name_numbers = <const uint16_t*>(deltas + header.count)
    cursor = &value[0] + fixed
    end = &value[0] + value.shape[0]
    for index in range(header.names):
        if cursor + 2 > end:
            raise StoreCorrupt(f"index of block {first_seq}: names do not fit")
        size = cursor[0] | cursor[1] << 8
        if cursor + 2 + size > end:
            raise StoreCorrupt(f"index of block {first_seq}: names do not fit")
        numbers[index] = table.intern(<const char*>cursor + 2, size)
        # Counted below, message by message; until then the entry must not look free.
        cursor += 2 + size
    for index in range(header.count):
        slot = &block.slots[index]
        slot.offset = offsets[index]
        slot.seq_delta = deltas[index] if deltas != NULL else index
        slot.next_delta = 0
        if (slot.offset & OFFSET_MASK) < BLOCK_HEADER_SIZE or (slot.offset & OFFSET_MASK) <= previous \
                or (slot.offset & OFFSET_MASK) + STORED_HEADER_SIZE > block.size:
            raise StoreCorrupt(f"index of block {first_seq}: offsets do not fit")
        previous = slot.offset & OFFSET_MASK
        if name_numbers[index] == NAME_NONE:
            slot.subject = NO_SUBJECT
            continue
        if name_numbers[index] >= header.names:
            raise StoreCorrupt(f"index of block {first_seq}: names do not fit")
        slot.subject = numbers[name_numbers[index]]
        block.note_subject(slot.subject)
        live += 1
    block.live = live
    return block


cdef Block rebuild_index(const unsigned char[::1] value, SubjectTable table, uint32_t stream, uint64_t first_seq):
    """The block read from its data alone: every record whose own checksum holds; the rest is left out.

    For a block whose index is damaged or gone.  Removals that only the index knew are undone: the message is back.
    """
    cdef Block block = Block()
    cdef const StoredRecord* record
    cdef MessageView view
    cdef size_t offset = BLOCK_HEADER_SIZE
    cdef char* target
    cdef uint32_t subject
    block.stream = stream
    block.first_seq = first_seq
    block.size = BLOCK_HEADER_SIZE
    block.is_stored = True
    while offset + STORED_HEADER_SIZE <= <size_t>value.shape[0] and block.count < BLOCK_RECORDS_MAX:
        record = <const StoredRecord*>(&value[0] + offset)
        if not record_is_sound(record, value.shape[0] - offset):
            # The size may be what is damaged: look for the next sound record byte by byte.
            offset += 1
            continue
        offset += record.size
        if record.seq < first_seq or (block.count and record.seq <= block.last_seq):
            continue
        view_record(record, &view)
        subject = table.intern(view.subject, view.subject_size)
        target = block.reserve(record.size)
        memcpy(target, record, record.size)
        block.add_slot(record.seq, subject, record.size, record.flags & 3, record.ts_ns)
    block.is_data_dirty = True
    block.is_index_dirty = True
    return block


def sound_sequences(const unsigned char[::1] value not None) -> list[int]:
    """The sequence numbers of a block value whose records verify; what a damage report says survives."""
    cdef const StoredRecord* record
    cdef size_t offset = BLOCK_HEADER_SIZE
    cdef list found = []
    while offset + STORED_HEADER_SIZE <= <size_t>value.shape[0]:
        record = <const StoredRecord*>(&value[0] + offset)
        if record_is_sound(record, value.shape[0] - offset):
            found.append(record.seq)
            offset += record.size
        else:
            offset += 1
    return found


def check_block_value(const unsigned char[::1] value not None, uint32_t stream, uint64_t first_seq) -> None:
    """Raise StoreCorrupt unless `value` is the sound block stored under this key."""
    check_block(value, stream, first_seq)


def check_index_value(const unsigned char[::1] value not None, uint32_t stream, uint64_t first_seq) -> tuple[int, int]:
    """(live messages, data size) of a sound index value; raises StoreCorrupt."""
    cdef Block block = decode_index(value, SubjectTable(), stream, first_seq)
    return block.live, block.size
