# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The messages of one stream; see stream_store.pxd for the map and the promises.

A message lives in exactly one block; blocks ascend and never overlap, so a sequence number is found by bisection over
blocks (with a hint, because consumers read in order) and mostly by plain indexing inside one.  Everything a limit, a
filter or a purge needs is in the 16-byte slots, in RAM; only reading a message touches data that may have been
evicted.

Each message knows the distance to the next one of its subject.  The links are never repaired on removal: a walk from a
subject's first message skips removed ones, and where a block is gone it falls back to a scan over the slots' subject
numbers (about 1 ns per message, blocks that cannot hold the subject are skipped by a 256-bit mask).
"""

from typing import NamedTuple

from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from libc.stdint cimport INT64_MAX
from libc.string cimport memcpy

from leafbox.dataplane.journal cimport (
    MESSAGE_APPEND,
    MESSAGE_COMPACT,
    MESSAGE_PURGE,
    MESSAGE_REMOVE,
    MESSAGE_TRUNCATE,
    SEQUENCE_SKIP,
    STREAM_LIMITS,
)
from leafbox.dataplane.store_block cimport (
    BLOCK_BYTES_TARGET,
    BLOCK_HEADER_SIZE,
    BLOCK_RECORDS_MAX,
    OFFSET_FLAG_SHIFT,
    OFFSET_MASK,
    STORED_HAS_EXPIRY,
    STORED_HAS_HEADER,
    STORED_HEADER_SIZE,
    BlockBuffer,
    StoredRecord,
    decode_index,
    rebuild_index,
    seal_block,
    view_record,
)
from leafbox.dataplane.store_subjects cimport NO_SUBJECT

from leafbox.protocol.errors import LimitExceeded, StoreCorrupt

cdef enum:
    # What nats-server's file store adds to subject, header and payload (record header 22, hash 8; 4 for a header's size).
    FILE_OVERHEAD = 30
    FILE_HEADER_OVERHEAD = 4
    MEMORY_OVERHEAD = 16
    # Records that could not be applied and are reported one by one.
    PROBLEMS_KEPT = 64
    # Jumps in a stream's numbers; most are the caller's own (mirrors), they matter only if the log has holes.
    GAPS_KEPT = 1024

cdef packed struct StateValue:
    uint64_t messages
    uint64_t bytes
    uint64_t first_seq
    uint64_t last_seq
    int64_t last_ts_ns
    int64_t max_messages
    int64_t max_bytes
    int64_t max_messages_per_subject
    uint64_t applied_lsn
    uint64_t lost_messages
    uint64_t block_count


STATE_BYTES = sizeof(StateValue)


class StoredMessage(NamedTuple):
    """A message as Python sees it; slow paths and tests."""

    seq: int
    ts_ns: int
    expires_ns: int
    subject: bytes
    header: bytes
    payload: bytes


class StreamState(NamedTuple):
    """What STREAM.INFO reports of a store; timestamps are wall-clock nanoseconds, 0 for none."""

    messages: int
    stored_bytes: int
    first_seq: int
    first_ts_ns: int
    last_seq: int
    last_ts_ns: int
    subject_count: int
    deleted_count: int
    lost_messages: int


cdef class RemovalObserver:
    cdef void removed(self, StreamStore store, uint64_t seq, uint32_t subject_number, uint64_t size) noexcept:
        pass


cdef object message_from(const MessageView* view):
    return StoredMessage(view.seq, view.ts_ns, view.expires_ns, view.subject[:view.subject_size],
                         view.header[:view.header_size], view.payload[:view.payload_size])


cdef class StreamStore:
    """One stream's messages.  Made by `leafbox.storage.engine.Store` (or directly, for a stream in memory)."""

    def __init__(self, bytes name not None, uint32_t number=0, Journal journal=None, BlockCache cache=None,
                 block_reader=None, damage_callback=None):
        self.name = name
        self.number = number
        self.journal = journal
        self.cache = cache
        self.is_memory = cache is None
        self.block_reader = block_reader
        self.damage_callback = damage_callback
        self.subjects = SubjectTable()
        self.blocks = []
        self.dropped_keys = []
        self.is_urgent = True
        self.max_messages = -1
        self.max_bytes = -1
        self.max_messages_per_subject = -1

    # ------------------------------------------------------------------------------------------------------- append

    cdef uint64_t append(self, const char* subject, size_t subject_size, const char* header, size_t header_size,
                         const char* payload, size_t payload_size, int64_t ts_ns, int64_t expires_ns,
                         uint64_t seq) except 0:
        cdef size_t record_size
        cdef char* cursor
        cdef StoredRecord* record
        cdef uint32_t number
        cdef uint16_t flags = 0
        cdef char* body
        cdef Subject* known
        record_size = STORED_HEADER_SIZE + subject_size + header_size + payload_size
        if expires_ns:
            flags = STORED_HAS_EXPIRY
            record_size += 8
        if header_size:
            flags |= STORED_HAS_HEADER
        if seq == 0:
            seq = self.last_seq + 1
        elif seq <= self.last_seq:
            raise ValueError(f"sequence {seq} is not beyond {self.last_seq}")
        if subject_size == 0 or subject_size > 65535:
            raise LimitExceeded("stored subject bytes", 65535, subject_size)
        if record_size > OFFSET_MASK // 2:
            raise LimitExceeded("stored message bytes", OFFSET_MASK // 2, record_size)
        if self.journal is not None and self.journal.refuses_messages():
            self.journal.raise_refusal()
        self.open_tail(seq, record_size)
        number = self.subjects.intern(subject, subject_size)
        try:
            record = <StoredRecord*>self.tail.reserve(record_size)
            record.size = <uint32_t>record_size
            record.crc = 0
            record.seq = seq
            record.ts_ns = ts_ns
            record.header_size = <uint32_t>header_size
            record.subject_size = <uint16_t>subject_size
            record.flags = flags
            cursor = <char*>record + STORED_HEADER_SIZE
            if expires_ns:
                memcpy(cursor, &expires_ns, 8)
                cursor += 8
            memcpy(cursor, subject, subject_size)
            cursor += subject_size
            if header_size:
                memcpy(cursor, header, header_size)
                cursor += header_size
            if payload_size:
                memcpy(cursor, payload, payload_size)
            if self.journal is not None:
                # A stored record without size and checksum is the log record's body.
                body = self.journal.begin_record(MESSAGE_APPEND, self.number, record_size - 8)
                memcpy(body, <char*>record + 8, record_size - 8)
                self.applied_lsn = self.journal.end_record(self.is_urgent)
        except BaseException:
            if self.subjects.subjects[number].count == 0:
                self.subjects.release(number)
            raise
        self.note_message(number, record_size, seq, ts_ns, flags)
        return seq

    def begin_group(self, uint64_t count=0, uint64_t content_bytes=0, uint64_t content_bytes_largest=0) -> None:
        """What follows until `end_group` is there after a crash as a whole, or not at all (ADR 0002).

        `content_bytes`: subjects, headers and payloads of `count` messages; raises what would keep any of them out.
        """
        if self.journal is not None:
            self.journal.begin_group(count, content_bytes + count * STORED_HEADER_SIZE,
                                     content_bytes_largest + STORED_HEADER_SIZE)

    def end_group(self) -> None:
        """The group is complete; always called once `begin_group` has returned."""
        if self.journal is not None:
            self.journal.end_group()

    cdef void note_message(self, uint32_t number, size_t record_size, uint64_t seq, int64_t ts_ns,
                           uint16_t flags) noexcept:
        """Make the record that lies reserved in the tail official, and enforce the limits."""
        cdef Subject* known = &self.subjects.subjects[number]
        if known.count:
            self.link_subject(number, seq)
        else:
            known.first_seq = seq
        self.tail.is_index_dirty = True
        self.tail.add_slot(seq, number, record_size, flags, ts_ns)
        known.last_seq = seq
        known.count += 1
        if self.messages == 0:
            self.first_seq = seq
        self.messages += 1
        self.stored_bytes += self.accounted(record_size, flags)
        self.last_seq = seq
        self.last_ts_ns = ts_ns
        self.is_state_dirty = True
        self.enforce_subject_limit(number)
        self.enforce_limits()

    cdef uint64_t accounted(self, size_t record_size, uint32_t flags) noexcept:
        """What a stored record counts in `stored_bytes`: nats-server 2.15's formulas for file and memory stores."""
        cdef uint64_t size = record_size - STORED_HEADER_SIZE - (8 if flags & STORED_HAS_EXPIRY else 0)
        if self.is_memory:
            return size + MEMORY_OVERHEAD
        return size + FILE_OVERHEAD + (FILE_HEADER_OVERHEAD if flags & STORED_HAS_HEADER else 0)

    cdef uint64_t size_of(self, size_t subject_size, size_t header_size, size_t payload_size) noexcept:
        """What a message will count in `stored_bytes`, for limit checks before the append."""
        return self.accounted(STORED_HEADER_SIZE + subject_size + header_size + payload_size,
                              STORED_HAS_HEADER if header_size else 0)

    cdef int open_tail(self, uint64_t seq, size_t record_size) except -1:
        """See to it that `tail` is in memory, dirty, and has room for one more record."""
        cdef Block block = self.tail
        cdef size_t size_max = BLOCK_BYTES_TARGET
        if block is None and PyList_GET_SIZE(self.blocks):
            # After a start, or a checkpoint that closed the tail: go on with a small last block, or the database
            # would collect a crumb per restart.
            block = <Block>PyList_GET_ITEM(self.blocks, PyList_GET_SIZE(self.blocks) - 1)
            size_max = BLOCK_BYTES_TARGET // 2
        if block is not None:
            if block.count < BLOCK_RECORDS_MAX and seq - block.first_seq < NO_SUBJECT and (
                    block.size + record_size <= size_max or block.count == 0):
                # A clean tail may have left the cache.
                if (block.buffer is not None or block.count == 0 or self.need_data(block)) and block.cache is self.cache:
                    self.tail = block
                    block.become_dirty()
                    return 0
            self.seal_tail()
        block = Block()
        block.stream = self.number
        block.first_seq = seq
        block.last_seq = seq - 1
        block.size = BLOCK_HEADER_SIZE
        block.cache = self.cache
        block.is_data_dirty = True
        self.blocks.append(block)
        self.tail = block
        return 0

    cdef void seal_tail(self) noexcept:
        if self.tail is not None:
            self.tail.trim_slots()
            self.tail = None

    cdef void link_subject(self, uint32_t number, uint64_t seq) noexcept:
        """Tell the subject's last message where the next one is."""
        cdef uint64_t last_seq = self.subjects.subjects[number].last_seq
        cdef Block block = self.tail
        cdef Slot* slot
        if last_seq < block.first_seq:
            block = self.block_of(last_seq)
            if block is None:
                return
        slot = block.locate(last_seq)
        if slot != NULL and seq - last_seq < NO_SUBJECT:
            slot.next_delta = <uint32_t>(seq - last_seq)

    cdef void enforce_subject_limit(self, uint32_t number) noexcept:
        cdef Subject* known = &self.subjects.subjects[number]
        if self.max_messages_per_subject > 0:
            while known.count > <uint64_t>self.max_messages_per_subject:
                self.take_out(known.first_seq)

    cdef void enforce_limits(self) noexcept:
        if self.max_messages > 0:
            while self.messages > <uint64_t>self.max_messages:
                self.take_out(self.first_seq)
        if self.max_bytes > 0:
            while self.stored_bytes > <uint64_t>self.max_bytes and self.messages > 0:
                self.take_out(self.first_seq)

    # -------------------------------------------------------------------------------------------------------- blocks

    cdef Py_ssize_t block_index(self, uint64_t seq) noexcept:
        """Index of the last block that begins at or before `seq`; -1 if it lies before all of them."""
        cdef Py_ssize_t count = PyList_GET_SIZE(self.blocks)
        cdef Py_ssize_t low, high, middle
        cdef Py_ssize_t hint = self.hint
        if hint < count and (<Block>PyList_GET_ITEM(self.blocks, hint)).first_seq <= seq and (
                hint + 1 == count or (<Block>PyList_GET_ITEM(self.blocks, hint + 1)).first_seq > seq):
            return hint
        low = 0
        high = count
        while low < high:
            middle = (low + high) >> 1
            if (<Block>PyList_GET_ITEM(self.blocks, middle)).first_seq <= seq:
                low = middle + 1
            else:
                high = middle
        if low:
            self.hint = low - 1
        return low - 1

    cdef Block block_of(self, uint64_t seq):
        cdef Py_ssize_t index = self.block_index(seq)
        if index < 0:
            return None
        return <Block>PyList_GET_ITEM(self.blocks, index)

    cdef int need_data(self, Block block) except -1:
        """Have the block's data in memory; 1, or 0 if damage left the block without live messages."""
        cdef bytes value
        if block.buffer is not None:
            if block.is_cached:
                self.cache.hit_count += 1
                self.cache.touch(block)
            return 1
        self.cache.miss_count += 1
        value = self.block_reader(self.number, block.first_seq)
        if value is None:
            self.salvage(block, b"", "the database has no such block")
            return block.live > 0
        try:
            block.adopt_data(value)
        except StoreCorrupt as error:
            self.salvage(block, value, str(error))
            return block.live > 0
        self.cache.enter(block)
        return 1

    cdef int salvage(self, Block block, object value, str reason) except -1:
        """A stored block does not verify: keep the messages that do, report the rest, never go on as if nothing were.

        The survivors stay in memory until the next checkpoint writes them anew; the raw bytes go to the callback.
        """
        cdef Block rebuilt = rebuild_index(value, SubjectTable(), self.number, block.first_seq)
        cdef Slot* slot
        cdef Slot* good
        cdef list lost = []
        cdef list kept = []
        cdef Py_ssize_t at
        cdef uint32_t index, number
        cdef uint64_t seq, size
        cdef Block whole = Block()
        cdef char* target
        whole.stream = self.number
        whole.first_seq = block.first_seq
        whole.last_seq = block.first_seq
        whole.size = BLOCK_HEADER_SIZE
        whole.is_stored = True
        whole.cache = self.cache
        whole.is_data_dirty = True
        for index in range(block.count):
            if block.slots[index].subject == NO_SUBJECT:
                continue
            seq = block.first_seq + block.slots[index].seq_delta
            good = rebuilt.locate(seq)
            if good == NULL:
                lost.append(seq)
            else:
                kept.append(seq)
        for seq in lost:
            slot = block.locate(seq)
            self.kill(block, slot, seq)
            self.lost_messages += 1
        for seq in kept:
            slot = block.locate(seq)
            good = rebuilt.locate(seq)
            size = rebuilt.record_size(<uint32_t>(good - rebuilt.slots))
            target = whole.reserve(size)
            memcpy(target, rebuilt.record_at(good), size)
            number = slot.subject
            good = whole.add_slot(seq, number, size, <uint16_t>(slot.offset >> OFFSET_FLAG_SHIFT),
                                  rebuilt.record_at(good).ts_ns)
            good.next_delta = slot.next_delta
        whole.is_index_dirty = True
        at = self.block_index(block.first_seq)
        if kept:
            # Callers hold `block`, so its insides are exchanged instead of the block.
            block.slots, whole.slots = whole.slots, block.slots
            block.slot_capacity, whole.slot_capacity = whole.slot_capacity, block.slot_capacity
            block.count = whole.count
            block.live = whole.live
            block.size = whole.size
            block.front = 0
            block.buffer = whole.buffer
            block.is_data_dirty = True
            block.is_index_dirty = True
        else:
            self.drop_block(at)
        whole.cache = None
        self.settle_front()
        self.is_state_dirty = True
        if self.damage_callback is not None:
            self.damage_callback(self, block.first_seq, value, reason, lost)
        return 0

    cdef void drop_block(self, Py_ssize_t index) noexcept:
        cdef Block block = <Block>PyList_GET_ITEM(self.blocks, index)
        if block is self.tail:
            self.tail = None
        if block.is_stored:
            self.dropped_keys.append(block.first_seq)
        block.let_go()
        del self.blocks[index]

    # --------------------------------------------------------------------------------------------------------- find

    cdef bint has(self, uint64_t seq) noexcept:
        cdef Block block = self.block_of(seq)
        cdef Slot* slot
        if block is None:
            return False
        slot = block.locate(seq)
        return slot != NULL and slot.subject != NO_SUBJECT

    cdef uint64_t scan_forward(self, uint64_t from_seq, uint32_t number, SubjectFilter wanted) noexcept:
        """First live message at or after `from_seq`: of subject `number`, or NO_SUBJECT and what `wanted` (or all)."""
        cdef Py_ssize_t index = self.block_index(from_seq)
        cdef Py_ssize_t count = PyList_GET_SIZE(self.blocks)
        cdef Block block
        cdef uint32_t at, subject
        cdef uint64_t delta
        if index < 0:
            index = 0
        while index < count:
            block = <Block>PyList_GET_ITEM(self.blocks, index)
            index += 1
            if block.live == 0 or block.last_seq < from_seq or (number != NO_SUBJECT and not block.may_have(number)):
                continue
            at = first_slot_from(block, from_seq)
            while at < block.count:
                subject = block.slots[at].subject
                if subject != NO_SUBJECT:
                    if number != NO_SUBJECT:
                        if subject == number:
                            return block.first_seq + block.slots[at].seq_delta
                    elif wanted is None or wanted.matches(subject):
                        return block.first_seq + block.slots[at].seq_delta
                at += 1
        return 0

    cdef uint64_t scan_backward(self, uint64_t from_seq, uint32_t number, SubjectFilter wanted) noexcept:
        """Last live message at or before `from_seq`, chosen as in `scan_forward`."""
        cdef Py_ssize_t index = self.block_index(from_seq)
        cdef Block block
        cdef uint32_t at, subject
        while index >= 0:
            block = <Block>PyList_GET_ITEM(self.blocks, index)
            index -= 1
            if block.live == 0 or (number != NO_SUBJECT and not block.may_have(number)):
                continue
            at = block.count
            if from_seq < block.last_seq:
                at = first_slot_from(block, from_seq + 1)
            while at > 0:
                at -= 1
                subject = block.slots[at].subject
                if subject != NO_SUBJECT:
                    if number != NO_SUBJECT:
                        if subject == number:
                            return block.first_seq + block.slots[at].seq_delta
                    elif wanted is None or wanted.matches(subject):
                        return block.first_seq + block.slots[at].seq_delta
        return 0

    cdef uint64_t next_seq(self, uint64_t from_seq, SubjectFilter wanted) noexcept:
        """The first message at or after `from_seq` that matches; 0 if none."""
        cdef uint32_t number
        cdef Subject* known
        cdef Block block
        cdef Slot* slot
        if from_seq < self.first_seq:
            from_seq = self.first_seq
        if self.messages == 0 or from_seq > self.last_seq:
            return 0
        if wanted is None or not wanted.is_literal:
            return self.scan_forward(from_seq, NO_SUBJECT, None if wanted is None or wanted.matches_all else wanted)
        number = self.subjects.find(<const char*>wanted.literal, len(wanted.literal))
        if number == NO_SUBJECT:
            return 0
        known = &self.subjects.subjects[number]
        if from_seq <= known.first_seq:
            return known.first_seq
        if from_seq >= known.last_seq:
            return known.last_seq if from_seq == known.last_seq else 0
        # A consumer asks behind the message it got last: that one knows the next.
        block = self.block_of(from_seq - 1)
        if block is not None:
            slot = block.locate(from_seq - 1)
            if slot != NULL and slot.subject == number and slot.next_delta:
                if self.is_of(from_seq - 1 + slot.next_delta, number):
                    return from_seq - 1 + slot.next_delta
        return self.scan_forward(from_seq, number, None)

    cdef bint is_of(self, uint64_t seq, uint32_t number) noexcept:
        cdef Block block = self.block_of(seq)
        cdef Slot* slot
        if block is None:
            return False
        slot = block.locate(seq)
        return slot != NULL and slot.subject == number

    cdef uint64_t previous_seq(self, uint64_t from_seq, SubjectFilter wanted) noexcept:
        """The last message at or before `from_seq` that matches; 0 if none."""
        cdef uint32_t number
        if self.messages == 0 or from_seq < self.first_seq:
            return 0
        if from_seq > self.last_seq:
            from_seq = self.last_seq
        if wanted is None or not wanted.is_literal:
            return self.scan_backward(from_seq, NO_SUBJECT, None if wanted is None or wanted.matches_all else wanted)
        number = self.subjects.find(<const char*>wanted.literal, len(wanted.literal))
        if number == NO_SUBJECT or self.subjects.subjects[number].first_seq > from_seq:
            return 0
        if self.subjects.subjects[number].last_seq <= from_seq:
            return self.subjects.subjects[number].last_seq
        return self.scan_backward(from_seq, number, None)

    cdef uint64_t last_seq_of(self, const char* subject, size_t subject_size) noexcept:
        cdef uint32_t number = self.subjects.find(subject, subject_size)
        return 0 if number == NO_SUBJECT else self.subjects.subjects[number].last_seq

    cdef uint64_t first_seq_of(self, const char* subject, size_t subject_size) noexcept:
        cdef uint32_t number = self.subjects.find(subject, subject_size)
        return 0 if number == NO_SUBJECT else self.subjects.subjects[number].first_seq

    cdef uint64_t count_of(self, const char* subject, size_t subject_size) noexcept:
        cdef uint32_t number = self.subjects.find(subject, subject_size)
        return 0 if number == NO_SUBJECT else self.subjects.subjects[number].count

    cdef uint64_t count_from(self, uint64_t from_seq, SubjectFilter wanted) noexcept:
        """How many messages at or after `from_seq` match: a consumer's num_pending."""
        cdef Py_ssize_t index
        cdef Py_ssize_t count = PyList_GET_SIZE(self.blocks)
        cdef Block block
        cdef uint32_t at, number
        cdef uint64_t found = 0
        cdef bint is_everything = wanted is None or wanted.matches_all
        if self.messages == 0 or from_seq > self.last_seq:
            return 0
        if from_seq <= self.first_seq:
            if is_everything:
                return self.messages
            for number in range(self.subjects.used):
                if self.subjects.subjects[number].count and wanted.matches(number):
                    found += self.subjects.subjects[number].count
            return found
        index = max(<Py_ssize_t>0, self.block_index(from_seq))
        while index < count:
            block = <Block>PyList_GET_ITEM(self.blocks, index)
            index += 1
            if is_everything and block.first_seq >= from_seq:
                found += block.live
                continue
            at = first_slot_from(block, from_seq)
            while at < block.count:
                number = block.slots[at].subject
                if number != NO_SUBJECT and (is_everything or wanted.matches(number)):
                    found += 1
                at += 1
        return found

    cdef uint64_t seq_at_time(self, int64_t ts_ns) except? 0xFFFFFFFFFFFFFFFF:
        """The first message stored at or after `ts_ns`; last_seq + 1 if there is none."""
        cdef Py_ssize_t index
        cdef Block block
        cdef uint32_t at
        for index in range(PyList_GET_SIZE(self.blocks)):
            block = <Block>PyList_GET_ITEM(self.blocks, index)
            if block.live == 0 or block.last_ts < ts_ns:
                continue
            if not self.need_data(block):
                return self.seq_at_time(ts_ns)
            for at in range(block.count):
                if block.slots[at].subject != NO_SUBJECT and block.record_at(&block.slots[at]).ts_ns >= ts_ns:
                    return block.first_seq + block.slots[at].seq_delta
        return self.last_seq + 1

    cdef int64_t first_timestamp(self) except? -1:
        """When the first message was stored, 0 if there is none; reads its block if need be."""
        cdef MessageView view
        if self.messages == 0:
            return 0
        if self.first_ts_seq != self.first_seq:
            if self.load(self.first_seq, &view) != 1:
                return self.first_timestamp()
            self.first_ts_cached = view.ts_ns
            self.first_ts_seq = self.first_seq
        return self.first_ts_cached

    # --------------------------------------------------------------------------------------------------------- read

    cdef int load(self, uint64_t seq, MessageView* view) except -1:
        cdef Block block
        cdef Slot* slot
        if seq < self.first_seq or seq > self.last_seq:
            return 0
        block = self.block_of(seq)
        if block is None:
            return 0
        slot = block.locate(seq)
        if slot == NULL or slot.subject == NO_SUBJECT:
            return 0
        if block.buffer is None or block.is_cached:
            if not self.need_data(block):
                return 0
            # Damage may have taken this very message.
            slot = block.locate(seq)
            if slot == NULL or slot.subject == NO_SUBJECT:
                return 0
        view_record(block.record_at(slot), view)
        view.subject_number = slot.subject
        return 1

    cdef int load_last(self, const char* subject, size_t subject_size, MessageView* view) except -1:
        cdef uint64_t seq = self.last_seq_of(subject, subject_size)
        while seq:
            if self.load(seq, view):
                return 1
            seq = self.last_seq_of(subject, subject_size)
        return 0

    cdef int next_message(self, uint64_t from_seq, SubjectFilter wanted, MessageView* view) except -1:
        """The first matching message at or after `from_seq`; messages lost to damage are passed over."""
        cdef uint64_t seq = self.next_seq(from_seq, wanted)
        while seq:
            if self.load(seq, view):
                return 1
            seq = self.next_seq(seq + 1, wanted)
        return 0

    cdef int previous_message(self, uint64_t from_seq, SubjectFilter wanted, MessageView* view) except -1:
        cdef uint64_t seq = self.previous_seq(from_seq, wanted)
        while seq:
            if self.load(seq, view):
                return 1
            seq = self.previous_seq(seq - 1, wanted)
        return 0

    # ------------------------------------------------------------------------------------------------------- remove

    cdef int log_small(self, uint8_t kind, const void* body, size_t size) except -1:
        if self.journal is not None and not self.is_replaying:
            self.applied_lsn = self.journal.append(kind, self.number, <const char*>body, size, NULL, 0, self.is_urgent)
        self.is_state_dirty = True
        return 0

    cdef int64_t remove(self, uint64_t seq, bint erase) except -1:
        """Remove one message; `erase` also has the next checkpoint write its block anew without the bytes."""
        cdef uint64_t body[2]
        if not self.has(seq):
            return 0
        body[0] = seq
        body[1] = erase
        self.log_small(MESSAGE_REMOVE, body, 16 if erase else 8)
        self.do_remove(seq, erase)
        return 1

    cdef void do_remove(self, uint64_t seq, bint erase) noexcept:
        cdef Block block
        if not self.has(seq):
            return
        if erase:
            block = self.block_of(seq)
            block.wants_rewrite = True
        self.take_out(seq)

    cdef int64_t compact(self, uint64_t first_seq) except -1:
        """Remove every message before `first_seq`, which may lie beyond the last one: then that is where it goes on."""
        if first_seq <= self.first_seq and not (self.messages == 0 and first_seq > self.last_seq + 1):
            return 0
        self.log_small(MESSAGE_COMPACT, &first_seq, 8)
        return self.do_compact(first_seq)

    cdef int64_t purge(self, SubjectFilter wanted, uint64_t before_seq, uint64_t keep) except -1:
        """Remove what matches `wanted` (None: all) and lies before `before_seq` (0: no bound) but the newest `keep`."""
        cdef uint64_t bound = before_seq if before_seq else self.last_seq + 1
        cdef uint64_t seq
        if keep:
            seq = self.previous_seq(bound - 1, wanted)
            while seq and keep > 1:
                keep -= 1
                seq = self.previous_seq(seq - 1, wanted)
            if seq == 0:
                return 0
            bound = seq
        if wanted is None or wanted.matches_all:
            return self.compact(bound)
        if self.next_seq(0, wanted) == 0 or self.next_seq(0, wanted) >= bound:
            return 0
        self.log_purge(wanted, bound)
        return self.do_purge(wanted, bound)

    def log_purge(self, SubjectFilter wanted, uint64_t bound):
        cdef bytes body = bound.to_bytes(8, "little")
        for pattern in wanted.patterns:
            body += len(pattern).to_bytes(2, "little") + pattern
        self.log_small(MESSAGE_PURGE, <const char*>body, len(body))

    cdef int64_t truncate(self, uint64_t last_seq) except -1:
        """Remove every message after `last_seq` and go on from there."""
        if last_seq >= self.last_seq:
            return 0
        self.log_small(MESSAGE_TRUNCATE, &last_seq, 8)
        return self.do_truncate(last_seq)

    cdef int skip(self, uint64_t seq) except -1:
        """Use up the sequence numbers up to `seq` without storing anything."""
        if seq <= self.last_seq:
            return 0
        self.log_small(SEQUENCE_SKIP, &seq, 8)
        self.do_skip(seq)
        return 1

    cdef void do_skip(self, uint64_t seq) noexcept:
        self.last_seq = seq
        if self.messages == 0:
            self.first_seq = seq + 1

    cdef void take_out(self, uint64_t seq) noexcept:
        """Remove one live message and see to what hangs on it."""
        cdef Py_ssize_t index = self.block_index(seq)
        cdef Block block = <Block>PyList_GET_ITEM(self.blocks, index)
        self.kill(block, block.locate(seq), seq)
        if block.live == 0:
            self.drop_block(index)
        if seq == self.first_seq:
            self.settle_front()

    cdef void kill(self, Block block, Slot* slot, uint64_t seq) noexcept:
        """Take one live message out of every count; the caller looks after empty blocks and the front."""
        cdef uint32_t number = slot.subject
        cdef Subject* known = &self.subjects.subjects[number]
        cdef uint64_t size = self.accounted(block.record_size(<uint32_t>(slot - block.slots)),
                                            slot.offset >> OFFSET_FLAG_SHIFT)
        slot.subject = NO_SUBJECT
        block.live -= 1
        block.removal_count += 1
        # What lies before first_seq is gone by that number alone: no need to write the index for it.
        if seq != self.first_seq:
            block.is_index_dirty = True
        self.messages -= 1
        self.stored_bytes -= size
        self.is_state_dirty = True
        known.count -= 1
        if self.observer is not None:
            self.observer.removed(self, seq, number, size)
        if known.count == 0:
            self.subjects.release(number)
        elif known.first_seq == seq:
            known.first_seq = self.next_of_subject(slot, seq, number)
        elif known.last_seq == seq:
            known.last_seq = self.scan_backward(seq - 1, number, None)

    cdef uint64_t next_of_subject(self, const Slot* slot, uint64_t seq, uint32_t number) noexcept:
        """The subject's next live message behind `seq`, along the links as far as they go."""
        cdef Block block
        while slot != NULL and slot.next_delta:
            seq += slot.next_delta
            block = self.block_of(seq)
            slot = NULL if block is None else block.locate(seq)
            if slot != NULL and slot.subject == number:
                return seq
        return self.scan_forward(seq + 1, number, None)

    cdef void settle_front(self) noexcept:
        """Find the first message after removals at the front."""
        cdef Block block
        cdef Slot* slot
        while PyList_GET_SIZE(self.blocks):
            block = <Block>PyList_GET_ITEM(self.blocks, 0)
            if block.live:
                while block.slots[block.front].subject == NO_SUBJECT:
                    block.front += 1
                self.first_seq = block.first_seq + block.slots[block.front].seq_delta
                return
            self.drop_block(0)
        self.first_seq = self.last_seq + 1

    cdef int64_t do_compact(self, uint64_t first_seq) noexcept:
        cdef uint64_t before = self.messages
        cdef Block block
        cdef uint32_t at
        cdef uint64_t seq
        if first_seq > self.last_seq and self.observer is None:
            self.drop_everything()
        while PyList_GET_SIZE(self.blocks):
            block = <Block>PyList_GET_ITEM(self.blocks, 0)
            if block.first_seq >= first_seq and block.live:
                break
            for at in range(block.front, block.count):
                seq = block.first_seq + block.slots[at].seq_delta
                if seq >= first_seq:
                    break
                if block.slots[at].subject != NO_SUBJECT:
                    # Keeps `kill` from calling the index changed, see there.
                    self.first_seq = seq
                    self.kill(block, &block.slots[at], seq)
            if block.live:
                break
            self.drop_block(0)
        self.settle_front()
        if self.messages == 0 and first_seq > self.last_seq:
            self.last_seq = first_seq - 1
            self.first_seq = first_seq
        return before - self.messages

    cdef void drop_everything(self) noexcept:
        while PyList_GET_SIZE(self.blocks):
            self.drop_block(PyList_GET_SIZE(self.blocks) - 1)
        self.subjects.clear()
        self.messages = 0
        self.stored_bytes = 0

    cdef int64_t do_purge(self, SubjectFilter wanted, uint64_t before_seq) noexcept:
        cdef uint64_t before = self.messages
        cdef Py_ssize_t index = 0
        cdef Block block
        cdef uint32_t at
        cdef uint64_t seq
        while index < PyList_GET_SIZE(self.blocks):
            block = <Block>PyList_GET_ITEM(self.blocks, index)
            if block.first_seq >= before_seq:
                break
            for at in range(block.front, block.count):
                seq = block.first_seq + block.slots[at].seq_delta
                if seq >= before_seq:
                    break
                if block.slots[at].subject != NO_SUBJECT and wanted.matches(block.slots[at].subject):
                    self.kill(block, &block.slots[at], seq)
                    block.is_index_dirty = True
            if block.live == 0:
                self.drop_block(index)
            else:
                index += 1
        self.settle_front()
        return before - self.messages

    cdef int64_t do_truncate(self, uint64_t last_seq) except -1:
        cdef uint64_t before = self.messages
        cdef Py_ssize_t index = PyList_GET_SIZE(self.blocks) - 1
        cdef Block block
        cdef uint32_t at
        cdef uint64_t seq
        # What is cut off may be given out again: blocks must not go on with their old sequences.
        self.seal_tail()
        while index >= 0:
            block = <Block>PyList_GET_ITEM(self.blocks, index)
            if block.last_seq <= last_seq:
                break
            at = block.count
            while at > 0:
                at -= 1
                seq = block.first_seq + block.slots[at].seq_delta
                if seq <= last_seq:
                    at += 1
                    break
                if block.slots[at].subject != NO_SUBJECT:
                    self.kill(block, &block.slots[at], seq)
            if block.live == 0:
                self.drop_block(index)
            else:
                self.cut_block(block, at)
            index -= 1
        self.last_seq = last_seq
        self.settle_front()
        return before - self.messages

    cdef int cut_block(self, Block block, uint32_t count) except -1:
        """Forget the (removed) records of a block from `count` on."""
        if count == block.count:
            return 0
        block.size = block.slots[count].offset & OFFSET_MASK
        if block.buffer is not None and block.is_data_dirty:
            # A checkpoint may be reading this buffer: what is appended next must not overwrite what it captured.
            block.part_from_buffer()
        block.count = count
        block.last_seq = block.first_seq + block.slots[count - 1].seq_delta
        block.is_index_dirty = True

    # ------------------------------------------------------------------------------------------------------- limits

    def set_limits(self, *, int64_t max_messages=-1, int64_t max_bytes=-1, int64_t max_messages_per_subject=-1):
        """Set the limits that remove the oldest messages (0 and -1: none) and enforce them; logged, so replay agrees.

        A caller that discards new messages instead leaves the limit unset here and refuses before appending.
        """
        cdef LimitsBody body
        body.max_messages = max_messages
        body.max_bytes = max_bytes
        body.max_messages_per_subject = max_messages_per_subject
        if (max_messages, max_bytes, max_messages_per_subject) == (
                self.max_messages, self.max_bytes, self.max_messages_per_subject):
            return
        self.log_small(STREAM_LIMITS, &body, sizeof(body))
        self.do_limits(&body)

    cdef void do_limits(self, const LimitsBody* body) noexcept:
        cdef uint32_t number
        self.max_messages = body.max_messages
        self.max_bytes = body.max_bytes
        self.max_messages_per_subject = body.max_messages_per_subject
        for number in range(self.subjects.used):
            if self.subjects.subjects[number].count:
                self.enforce_subject_limit(number)
        self.enforce_limits()

    # ----------------------------------------------------------------------------------------------- Python's view

    def append_message(self, bytes subject not None, bytes payload not None, bytes header not None=b"",
                       int64_t ts_ns=0, int64_t expires_ns=0, uint64_t seq=0) -> int:
        """`append` for slow paths and tests."""
        return self.append(<const char*>subject, len(subject), <const char*>header, len(header),
                           <const char*>payload, len(payload), ts_ns, expires_ns, seq)

    def message(self, uint64_t seq):
        """The message, or None."""
        cdef MessageView view
        return message_from(&view) if self.load(seq, &view) else None

    def last_message(self, bytes subject not None):
        cdef MessageView view
        return message_from(&view) if self.load_last(<const char*>subject, len(subject), &view) else None

    def next_matching(self, uint64_t from_seq, SubjectFilter wanted=None):
        """The first matching message at or after `from_seq`, or None."""
        cdef MessageView view
        return message_from(&view) if self.next_message(from_seq, wanted, &view) else None

    def previous_matching(self, uint64_t from_seq, SubjectFilter wanted=None):
        """The last matching message at or before `from_seq`, or None."""
        cdef MessageView view
        return message_from(&view) if self.previous_message(from_seq, wanted, &view) else None

    def next_with_header(self, uint64_t from_seq) -> int:
        """Sequence of the first message at or after `from_seq` that has a header, 0 if there is none.

        From the index alone: a start need not read the payloads of a stream whose messages have none.
        """
        cdef Py_ssize_t index = max(self.block_index(from_seq), 0)
        cdef Block block
        cdef uint32_t at
        for index in range(index, PyList_GET_SIZE(self.blocks)):
            block = <Block>PyList_GET_ITEM(self.blocks, index)
            if block.live == 0 or block.last_seq < from_seq:
                continue
            for at in range(first_slot_from(block, from_seq), block.count):
                if block.slots[at].subject != NO_SUBJECT and (
                        block.slots[at].offset >> OFFSET_FLAG_SHIFT) & STORED_HAS_HEADER:
                    return block.first_seq + block.slots[at].seq_delta
        return 0

    def next_sequence(self, uint64_t from_seq, SubjectFilter wanted=None) -> int:
        return self.next_seq(from_seq, wanted)

    def previous_sequence(self, uint64_t from_seq, SubjectFilter wanted=None) -> int:
        return self.previous_seq(from_seq, wanted)

    def filter(self, *patterns) -> SubjectFilter:
        """A filter for this stream's subjects; keep it, it remembers its decisions."""
        return SubjectFilter(self.subjects, patterns)

    def pending(self, uint64_t from_seq, SubjectFilter wanted=None) -> int:
        """How many messages at or after `from_seq` match."""
        return self.count_from(from_seq, wanted)

    def subject_bounds(self, bytes subject not None) -> tuple[int, int, int]:
        """(count, first sequence, last sequence) of a literal subject; zeros if it has no message."""
        cdef uint32_t number = self.subjects.find(<const char*>subject, len(subject))
        if number == NO_SUBJECT:
            return 0, 0, 0
        return (self.subjects.subjects[number].count, self.subjects.subjects[number].first_seq,
                self.subjects.subjects[number].last_seq)

    def subject_counts(self, SubjectFilter wanted=None) -> dict[bytes, int]:
        """Message count of each (matching) subject."""
        return self.subjects.counts(wanted)

    def last_sequences(self, SubjectFilter wanted=None, uint64_t up_to_seq=0) -> list[int]:
        """The last sequence of each matching subject (not beyond `up_to_seq` unless 0), ascending."""
        cdef uint32_t number
        cdef Subject* known
        cdef uint64_t seq
        cdef list found = []
        for number in range(self.subjects.used):
            known = &self.subjects.subjects[number]
            if known.count == 0 or (wanted is not None and not wanted.matches(number)):
                continue
            seq = known.last_seq
            if up_to_seq and seq > up_to_seq:
                seq = 0 if known.first_seq > up_to_seq else self.scan_backward(up_to_seq, number, None)
            if seq:
                found.append(seq)
        found.sort()
        return found

    def sequence_at(self, ts_ns) -> int:
        """The first message stored at or after `ts_ns`; last_seq + 1 if there is none.

        Any time will do: Go clients send the year 1 for a time they did not set, which no 64 bits of nanoseconds hold.
        """
        return self.seq_at_time(<int64_t>min(max(ts_ns, 0), <int64_t>INT64_MAX))

    def stored_size(self, Py_ssize_t subject_size, Py_ssize_t header_size, Py_ssize_t payload_size) -> int:
        """What a message would count in `stored_bytes`."""
        return self.size_of(subject_size, header_size, payload_size)

    def remove_message(self, uint64_t seq, bint erase=False) -> bool:
        """Remove one message; False if there is none."""
        return bool(self.remove(seq, erase))

    def compact_to(self, uint64_t first_seq) -> int:
        """Remove everything before `first_seq`."""
        return self.compact(first_seq)

    def purge_messages(self, SubjectFilter wanted=None, uint64_t before_seq=0, uint64_t keep=0) -> int:
        """Remove what matches and lies before `before_seq` (0: no bound), but the newest `keep`."""
        return self.purge(wanted, before_seq, keep)

    def truncate_to(self, uint64_t last_seq) -> int:
        return self.truncate(last_seq)

    def skip_to(self, uint64_t seq) -> bool:
        return bool(self.skip(seq))

    def expire_before(self, int64_t ts_ns) -> int:
        """Remove the messages at the front that were stored before `ts_ns`; the number removed.

        Like nats-server, only the front is looked at: after a clock jump a younger front message shields older ones.
        """
        cdef uint64_t seq = self.first_seq
        cdef MessageView view
        if self.messages == 0 or self.first_timestamp() >= ts_ns:
            return 0
        while self.next_message(seq, None, &view) and view.ts_ns < ts_ns:
            seq = view.seq + 1
        return self.compact(min(seq, self.last_seq + 1))

    def expiring(self) -> list[tuple[int, int]]:
        """(expires_ns, seq) of every message with a TTL; reads only the blocks that hold such messages."""
        cdef Block block
        cdef uint32_t at
        cdef MessageView view
        cdef list found = []
        for block in list(self.blocks):
            if not block.has_expiry or not block.live or not self.need_data(block):
                continue
            for at in range(block.count):
                if block.slots[at].subject != NO_SUBJECT \
                        and (block.slots[at].offset >> OFFSET_FLAG_SHIFT) & STORED_HAS_EXPIRY:
                    view_record(block.record_at(&block.slots[at]), &view)
                    found.append((view.expires_ns, view.seq))
        return found

    def deleted(self) -> list[int]:
        """Every sequence between first_seq and last_seq that has no message."""
        cdef list found = []
        cdef uint64_t expected = self.first_seq
        cdef Block block
        cdef uint32_t at
        cdef uint64_t seq
        if self.messages == 0:
            return found
        for block in self.blocks:
            for at in range(block.front, block.count):
                if block.slots[at].subject != NO_SUBJECT:
                    seq = block.first_seq + block.slots[at].seq_delta
                    found.extend(range(expected, seq))
                    expected = seq + 1
        found.extend(range(expected, self.last_seq + 1))
        return found

    def state(self) -> StreamState:
        cdef uint64_t deleted = 0
        if self.messages:
            deleted = self.last_seq - self.first_seq + 1 - self.messages
        return StreamState(self.messages, self.stored_bytes, self.first_seq, self.first_timestamp(), self.last_seq,
                           self.last_ts_ns, self.subjects.live, deleted, self.lost_messages)

    def memory_bytes(self) -> dict[str, int]:
        """RAM held for this stream: `index` (slots and blocks), `subjects`, `data` (unsaved and cached payloads)."""
        cdef Block block
        cdef uint64_t index = 0, data = 0
        for block in self.blocks:
            index += sizeof(Slot) * block.slot_capacity + 200
            if block.buffer is not None:
                data += block.buffer.capacity
        return {"index": index, "subjects": self.subjects.memory_bytes(), "data": data}

    # --------------------------------------------------------------------------------- checkpoint (see storage.checkpoint)

    @property
    def is_dirty(self) -> bool:
        """Whether a checkpoint has anything to write for this stream."""
        return self.is_state_dirty

    @property
    def block_count(self) -> int:
        return PyList_GET_SIZE(self.blocks)

    def capture(self) -> tuple[bytes, list, list]:
        """(state value, blocks to write, keys to delete) as of now; see `leafbox.storage.checkpoint`.

        A block to write is (Block, BlockBuffer or None, size, count, removal count, index value).  Index values are
        made here, so that they show the same moment as the state; the data is immutable and sealed later.
        """
        cdef list work = []
        cdef Block block
        cdef StateValue value
        cdef list dropped = self.dropped_keys
        cdef object buffer
        for block in self.blocks:
            if block.count == 0 or not (block.is_data_dirty or block.is_index_dirty):
                continue
            buffer = block.buffer if block.is_data_dirty else None
            # From now on the key may exist: a block that goes away meanwhile must be deleted by the next checkpoint.
            block.is_stored = True
            work.append((block, buffer, block.size, block.count, block.removal_count,
                         block.encode_index(self.subjects)))
        if self.tail is not None and (self.tail.size > BLOCK_BYTES_TARGET // 2
                                      or self.tail.count > BLOCK_RECORDS_MAX // 2):
            self.seal_tail()
        self.dropped_keys = []
        self.is_state_dirty = False
        value.messages = self.messages
        value.bytes = self.stored_bytes
        value.first_seq = self.first_seq
        value.last_seq = self.last_seq
        value.last_ts_ns = self.last_ts_ns
        value.max_messages = self.max_messages
        value.max_bytes = self.max_bytes
        value.max_messages_per_subject = self.max_messages_per_subject
        value.applied_lsn = self.applied_lsn
        value.lost_messages = self.lost_messages
        value.block_count = sum(1 for block in self.blocks if (<Block>block).count)
        return (<char*>&value)[:sizeof(value)], work, dropped

    def capture_written(self, list work) -> None:
        """The captured blocks are in the database: what did not change since is clean now."""
        cdef Block block
        for block, buffer, size, count, removal_count, _ in work:
            if block.cache is None:
                continue    # dropped meanwhile
            if block.removal_count == removal_count and block.count == count:
                block.is_index_dirty = False
            if buffer is not None and block.size == size and block.count == count and not block.wants_rewrite:
                block.become_clean()

    def capture_failed(self, list dropped) -> None:
        """Nothing was written: keep the keys to delete for the next checkpoint."""
        self.dropped_keys = dropped + self.dropped_keys
        self.is_state_dirty = True

    def squeeze_candidates(self) -> list:
        """Sealed blocks to write anew: more than half removed, or holding bytes that must be erased."""
        cdef Block block
        cdef list found = []
        for block in self.blocks:
            if block is not self.tail and block.live and (block.wants_rewrite or block.live * 2 < block.count):
                found.append(block)
        if self.tail is not None and self.tail.wants_rewrite and self.tail.live:
            found.append(self.tail)
        return found

    def squeeze(self, Block block not None) -> None:
        """Leave removed messages out of a block; one block per call keeps the loop responsive."""
        cdef Block copy
        cdef Py_ssize_t index
        if block.cache is None or not self.need_data(block) or block.live == 0:
            return
        index = self.block_index(block.first_seq)
        if index < 0 or <Block>PyList_GET_ITEM(self.blocks, index) is not block:
            return
        copy = block.squeezed()
        copy.trim_slots()
        if block is self.tail:
            self.tail = None
        block.let_go()
        self.blocks[index] = copy
        self.is_state_dirty = True

    def seal(self, Block block, BlockBuffer buffer, size_t size, uint32_t count) -> None:
        """Fill in checksums of a captured buffer; without the GIL, on the checkpoint's thread."""
        seal_block(block, buffer, size, count)

    # ------------------------------------------------------------------------------------ start (see storage.recovery)

    def restore_state(self, bytes value not None) -> int:
        """Take over a state value; returns the number of blocks it speaks of."""
        cdef StateValue state
        if len(value) != sizeof(state):
            raise StoreCorrupt(f"stream {self.number}: state of {len(value)} bytes")
        memcpy(&state, <const char*>value, sizeof(state))
        self.first_seq = state.first_seq
        self.last_seq = state.last_seq
        self.last_ts_ns = state.last_ts_ns
        self.max_messages = state.max_messages
        self.max_bytes = state.max_bytes
        self.max_messages_per_subject = state.max_messages_per_subject
        self.applied_lsn = state.applied_lsn
        self.lost_messages = state.lost_messages
        self.restored_messages = state.messages
        self.restored_bytes = state.bytes
        return state.block_count

    def restore_block(self, uint64_t first_seq, const unsigned char[::1] index_value not None) -> None:
        """Take over one block from its index value, in ascending order; raises StoreCorrupt."""
        self.attach_block(decode_index(index_value, self.subjects, self.number, first_seq))

    def rebuild_block(self, uint64_t first_seq, const unsigned char[::1] block_value not None) -> int:
        """Take over one block from its data because its index is damaged; the number of messages found."""
        cdef Block block = rebuild_index(block_value, self.subjects, self.number, first_seq)
        self.attach_block(block)
        self.is_state_dirty = True
        return block.live

    cdef int attach_block(self, Block block) except -1:
        """Count a block's messages in; what lies before first_seq was removed without writing the index."""
        cdef uint32_t at, number
        cdef uint64_t seq
        cdef Slot* slot
        cdef Subject* known
        cdef set trimmed = None
        block.cache = self.cache
        if block.is_data_dirty and block.buffer is not None:
            self.cache.dirty_bytes += block.buffer.capacity
        self.blocks.append(block)
        for at in range(block.count):
            slot = &block.slots[at]
            number = slot.subject
            if number == NO_SUBJECT:
                continue
            seq = block.first_seq + slot.seq_delta
            if seq < self.first_seq:
                slot.subject = NO_SUBJECT
                block.live -= 1
                if trimmed is None:
                    trimmed = set()
                trimmed.add(number)
                continue
            known = &self.subjects.subjects[number]
            if known.count == 0:
                known.first_seq = seq
            else:
                self.link_from(block, known.last_seq, seq)
            known.last_seq = seq
            known.count += 1
            self.messages += 1
            self.stored_bytes += self.accounted(block.record_size(at), slot.offset >> OFFSET_FLAG_SHIFT)
        if trimmed is not None:
            for number in trimmed:
                if self.subjects.subjects[number].count == 0:
                    self.subjects.release(number)
        if block.live == 0:
            self.drop_block(PyList_GET_SIZE(self.blocks) - 1)
        return 0

    cdef void link_from(self, Block block, uint64_t last_seq, uint64_t seq) noexcept:
        cdef Slot* slot
        if last_seq < block.first_seq:
            block = self.block_of(last_seq)
            if block is None:
                return
        slot = block.locate(last_seq)
        if slot != NULL and seq - last_seq < NO_SUBJECT:
            slot.next_delta = <uint32_t>(seq - last_seq)

    def restore_finished(self) -> None:
        """All blocks are in: find the first message."""
        cdef uint64_t first_seq = self.first_seq
        cdef Block last
        self.settle_front()
        if self.messages == 0:
            self.first_seq = max(first_seq, self.first_seq) if first_seq else 0
        else:
            last = <Block>PyList_GET_ITEM(self.blocks, PyList_GET_SIZE(self.blocks) - 1)
            self.last_seq = max(self.last_seq, last.last_seq)

    def begin(self, uint64_t first_seq, uint64_t lsn) -> None:
        """Begin a virgin stream, at `first_seq` if that is given; `lsn` is the record that says so."""
        self.applied_lsn = lsn
        self.is_state_dirty = True
        if first_seq > 1 and self.last_seq == 0:
            self.first_seq = first_seq
            self.last_seq = first_seq - 1

    def use_journal(self, Journal journal) -> None:
        """Log changes there from now on."""
        self.journal = journal

    def drop_all(self) -> None:
        """The stream is deleted: give its memory back."""
        self.drop_everything()
        self.dropped_keys = []

    def mark_lost(self, uint64_t count) -> None:
        """Count messages that recovery found gone."""
        self.lost_messages += count
        self.is_state_dirty = True

    cdef int apply(self, const RecordHeader* record, const char* body) except -1:
        """Do again what a log record says; only newer ones than the state already holds."""
        cdef uint64_t words[2]
        cdef bytes rest
        if record.lsn <= self.applied_lsn:
            return 0
        self.applied_lsn = record.lsn
        self.is_replaying = True
        self.is_state_dirty = True
        words[0] = 0
        words[1] = 0
        try:
            if record.kind == MESSAGE_APPEND:
                self.apply_append(record, body)
                return 0
            memcpy(words, body, min(record.body_size, sizeof(words)))
            if record.kind == MESSAGE_REMOVE:
                self.do_remove(words[0], words[1] != 0)
            elif record.kind == MESSAGE_COMPACT:
                self.do_compact(words[0])
            elif record.kind == MESSAGE_TRUNCATE:
                self.do_truncate(words[0])
            elif record.kind == SEQUENCE_SKIP:
                self.do_skip(words[0])
            elif record.kind == STREAM_LIMITS and record.body_size == sizeof(LimitsBody):
                self.do_limits(<const LimitsBody*>body)
            elif record.kind == MESSAGE_PURGE:
                rest = body[8:record.body_size]
                self.do_purge(SubjectFilter(self.subjects, unpack_patterns(rest)), words[0])
        finally:
            self.is_replaying = False
        return 0

    cdef int apply_append(self, const RecordHeader* record, const char* body) except -1:
        cdef size_t record_size = record.body_size + 8
        cdef StoredRecord* stored
        cdef MessageView view
        cdef uint32_t number
        cdef uint64_t seq
        memcpy(&seq, body, 8)
        if record_size < STORED_HEADER_SIZE or seq <= self.last_seq:
            raise StoreCorrupt(f"record {record.lsn}: stream {self.number} is at {self.last_seq}, not before {seq}")
        self.open_tail(seq, record_size)
        stored = <StoredRecord*>self.tail.reserve(record_size)
        stored.size = <uint32_t>record_size
        stored.crc = 0
        memcpy(<char*>stored + 8, body, record.body_size)
        view_record(stored, &view)
        if view.payload + view.payload_size != <char*>stored + record_size or view.payload > <char*>stored + record_size:
            raise StoreCorrupt(f"record {record.lsn}: a message's sizes do not add up")
        number = self.subjects.intern(view.subject, view.subject_size)
        self.note_message(number, record_size, seq, stored.ts_ns, stored.flags & 3)
        return 0


cdef uint32_t first_slot_from(Block block, uint64_t seq) noexcept:
    """Index of the first slot at or after `seq`."""
    cdef uint64_t delta
    cdef uint32_t low, high, middle
    if seq <= block.first_seq:
        return block.front
    delta = seq - block.first_seq
    if delta < block.count and block.slots[delta].seq_delta == delta:
        return <uint32_t>delta
    low = 0
    high = block.count
    while low < high:
        middle = (low + high) >> 1
        if block.slots[middle].seq_delta < delta:
            low = middle + 1
        else:
            high = middle
    return low


cdef list unpack_patterns(bytes packed):
    cdef list patterns = []
    cdef Py_ssize_t at = 0, size
    while at + 2 <= len(packed):
        size = packed[at] | packed[at + 1] << 8
        patterns.append(packed[at + 2:at + 2 + size])
        at += 2 + size
    return patterns


cdef class Replay(RecordVisitor):

    def __init__(self, dict streams not None, other):
        self.streams = streams
        self.other = other
        self.sequence_gaps = []
        self.problems = []

    cdef int visit(self, const RecordHeader* record, const char* body) except -1:
        cdef StreamStore store
        cdef uint64_t seq
        if record.kind < MESSAGE_APPEND and record.kind != STREAM_LIMITS or record.kind > MESSAGE_TRUNCATE:
            self.other(record.kind, record.owner, record.lsn, body[:record.body_size])
            return 0
        store = self.streams.get(record.owner)
        if store is None:
            # The stream was deleted by a later record that a checkpoint already holds.
            self.orphan_count += 1
            return 0
        if record.kind == MESSAGE_APPEND and record.lsn > store.applied_lsn and record.body_size >= 8:
            memcpy(&seq, body, 8)
            self.message_count += 1
            if seq > store.last_seq + 1 and store.last_seq and len(self.sequence_gaps) < GAPS_KEPT:
                self.sequence_gaps.append((store.number, store.last_seq + 1, seq - 1))
        try:
            store.apply(record, body)
        except StoreCorrupt as error:
            # Behind a hole a record may not fit what is left of its stream; the others go on.
            if len(self.problems) < PROBLEMS_KEPT:
                self.problems.append((store.number, str(error)))
        return 0
