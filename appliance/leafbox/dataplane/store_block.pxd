"""Blocks: runs of one stream's messages, the unit of memory, of the database and of its cache.

    database value | magic 4 | crc 4 | stream 4 | count 4 | first_seq 8 | last_seq 8 | data_size 8 | record | record ... |
    record         | size 4 | crc 4 | seq 8 | ts_ns 8 | header_size 4 | subject_size 2 | flags 2 | [expires_ns 8] |
                   | subject | header | payload |

A record without its first 8 bytes is also the body of a MESSAGE_APPEND log record, so a message is laid out once.
The block's CRC covers everything after the field; a record's CRC covers everything after its own, and says which
messages of a damaged block are still good.

In memory a block has 16 bytes per message beside the data: where it lies, whose subject it is, and where the subject's
next message is.  The database keeps the same without the chain in a second value (`index`), so that a start reads
no payloads:

    index value    | magic 4 | crc 4 | stream 4 | count 4 | first_seq 8 | last_seq 8 | first_ts 8 | last_ts 8 | flags 4 |
                   | names 4 | data_size 4 | live 4 | offset+flags 4 x count | [seq delta 4 x count] | name number 2 x count |
                   | (name size 2, name) x names |
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from leafbox.dataplane.store_subjects cimport SubjectFilter, SubjectTable

cdef enum:
    BLOCK_HEADER_SIZE = 40
    INDEX_HEADER_SIZE = 64
    STORED_HEADER_SIZE = 32
    # A value of this size fills whole LMDB overflow pages (each run starts with a 16-byte page header).
    BLOCK_BYTES_TARGET = 65536 - 16
    BLOCK_RECORDS_MAX = 2048
    # Per-record flags, in the record and in the top bits of a slot's offset.
    STORED_HAS_HEADER = 1
    STORED_HAS_EXPIRY = 2
    OFFSET_MASK = 0x1FFFFFFF
    OFFSET_FLAG_SHIFT = 29


cdef packed struct BlockHeader:
    uint32_t magic
    uint32_t crc
    uint32_t stream
    uint32_t count
    uint64_t first_seq
    uint64_t last_seq
    uint64_t data_size


cdef packed struct IndexHeader:
    uint32_t magic
    uint32_t crc
    uint32_t stream
    uint32_t count
    uint64_t first_seq
    uint64_t last_seq
    int64_t first_ts
    int64_t last_ts
    uint32_t flags
    uint32_t names
    uint32_t data_size
    uint32_t live


cdef packed struct StoredRecord:
    uint32_t size
    uint32_t crc
    uint64_t seq
    int64_t ts_ns
    uint32_t header_size
    uint16_t subject_size
    uint16_t flags


cdef struct MessageView:
    # Pointers are good until the next call into any stream of the store, or the return to the loop.
    uint64_t seq
    int64_t ts_ns
    int64_t expires_ns      # 0: none
    const char* subject
    size_t subject_size
    const char* header
    size_t header_size
    const char* payload
    size_t payload_size
    uint32_t subject_number


cdef struct Slot:
    uint32_t offset         # into the data; the top bits are the record's flags
    uint32_t subject        # NO_SUBJECT: removed
    uint32_t seq_delta      # seq - first_seq
    uint32_t next_delta     # to the subject's next message, 0 unknown


cdef void view_record(const StoredRecord* record, MessageView* view) noexcept nogil


cdef class BlockBuffer:
    """Raw memory of one block; a checkpoint keeps the one it writes alive while the block may already use another."""
    cdef char* memory
    cdef size_t capacity
    cdef object owner           # bytes that `memory` points into; None: malloc
    cdef size_t exported_size
    cdef Py_ssize_t shape[1]
    cdef Py_ssize_t strides[1]


cdef class BlockCache:
    """Least-recently-used blocks that the database also holds; over `capacity_bytes` their data is dropped."""
    cdef readonly uint64_t capacity_bytes
    cdef readonly uint64_t cached_bytes
    cdef readonly uint64_t dirty_bytes      # data that only memory and the log hold yet
    cdef readonly uint64_t hit_count
    cdef readonly uint64_t miss_count
    cdef void* newest
    cdef void* oldest

    cdef void enter(self, Block block) noexcept
    cdef void leave(self, Block block) noexcept
    cdef void touch(self, Block block) noexcept
    cdef void shrink(self) noexcept


cdef class Block:
    cdef uint32_t stream
    cdef uint64_t first_seq
    cdef uint64_t last_seq
    cdef uint32_t count         # records, live or not
    cdef uint32_t live
    cdef int64_t first_ts
    cdef int64_t last_ts        # the latest, clocks may jump back
    cdef Slot* slots
    cdef uint32_t slot_capacity
    cdef size_t size            # of the data, with its header
    cdef BlockBuffer buffer     # None: only the database has the data
    cdef uint64_t subject_mask[4]
    cdef bint has_expiry
    cdef bint is_stored         # the database has a value under this key
    cdef bint is_data_dirty
    cdef bint is_index_dirty
    cdef uint32_t removal_count # changes of the index; tells a checkpoint whether it wrote the newest
    cdef uint32_t front         # no live slot lies before this one
    cdef bint wants_rewrite     # erase, or damage: write the data without removed messages
    cdef BlockCache cache
    cdef void* newer
    cdef void* older
    cdef bint is_cached

    cdef Slot* locate(self, uint64_t seq) noexcept
    cdef StoredRecord* record_at(self, const Slot* slot) noexcept
    cdef size_t record_size(self, uint32_t index) noexcept
    cdef char* reserve(self, size_t record_size) except NULL
    cdef Slot* add_slot(self, uint64_t seq, uint32_t subject, size_t record_size, uint16_t flags, int64_t ts_ns) noexcept
    cdef void note_subject(self, uint32_t subject) noexcept
    cdef bint may_have(self, uint32_t subject) noexcept
    cdef int adopt_data(self, bytes value) except -1
    cdef int part_from_buffer(self) except -1
    cdef void trim_slots(self) noexcept
    cdef void become_dirty(self) noexcept
    cdef void become_clean(self) noexcept
    cdef void let_go(self) noexcept
    cdef bytes encode_index(self, SubjectTable table)
    cdef void fill_index_header(self, IndexHeader* header, uint32_t names, bint is_dense) noexcept
    cdef Block squeezed(self)


cdef Block decode_index(const unsigned char[::1] value, SubjectTable table, uint32_t stream, uint64_t first_seq)
cdef Block rebuild_index(const unsigned char[::1] value, SubjectTable table, uint32_t stream, uint64_t first_seq)
cdef void seal_block(Block block, BlockBuffer buffer, size_t size, uint32_t count) noexcept
