"""The messages of one stream: a list with sequence numbers, on flash or in memory.

Used from the loop thread only (a checkpoint thread enters with the GIL held, between two calls).  Everything that runs
once per message is a `cdef` method over C pointers; the `def` twins are for slow paths and tests.

A store does what it is told and keeps what it is told: limits set with `set_limits` are enforced here, at run time and
at replay alike, because a replay must arrive at the same messages; ages, TTLs, interest and deduplication belong to the
caller.  Nothing here waits for the disk, except the read of a block that is not cached.  A change is durable
once `Journal.add_durable_callback` reports `applied_lsn` as it was after the call.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from leafbox.dataplane.journal cimport Journal, RecordHeader, RecordVisitor
from leafbox.dataplane.store_block cimport Block, BlockCache, MessageView, Slot
from leafbox.dataplane.store_subjects cimport Subject, SubjectFilter, SubjectTable


cdef packed struct LimitsBody:
    int64_t max_messages
    int64_t max_bytes
    int64_t max_messages_per_subject


cdef class RemovalObserver:
    """Told of every message that goes away, whoever asked (limits too); runs inside the call, must not re-enter."""
    cdef void removed(self, StreamStore store, uint64_t seq, uint32_t subject_number, uint64_t size) noexcept


cdef class StreamStore:
    cdef readonly bytes name
    cdef readonly uint32_t number       # never given out twice
    cdef readonly bint is_memory
    cdef readonly Journal journal       # None for memory streams
    cdef readonly SubjectTable subjects
    cdef public RemovalObserver observer
    # Asynchronous streams: records wait for the sync interval (or any other commit) instead of asking for one.
    cdef public bint is_urgent

    # --- state; `first_seq` is the first message's, or last_seq + 1 if there is none (0 for a virgin stream)
    cdef readonly uint64_t messages
    cdef readonly uint64_t stored_bytes # as nats-server counts them
    cdef readonly uint64_t first_seq
    cdef readonly uint64_t last_seq
    cdef readonly int64_t last_ts_ns
    cdef readonly uint64_t applied_lsn  # the newest log record of this stream
    cdef readonly uint64_t lost_messages  # found damaged since the stream was made
    cdef readonly int64_t max_messages  # limits: -1 none
    cdef readonly int64_t max_bytes
    cdef readonly int64_t max_messages_per_subject

    # --- inside
    cdef BlockCache cache
    cdef object block_reader            # (stream number, first_seq) -> memoryview context or None
    cdef object damage_callback         # (store, first_seq, raw bytes, reason, lost seqs)
    cdef list blocks                    # ascending
    cdef Block tail                     # takes appends; None: the next append starts one
    cdef Py_ssize_t hint
    cdef list dropped_keys              # first_seq of stored blocks that are gone
    cdef int64_t first_ts_cached
    cdef uint64_t first_ts_seq
    cdef bint is_state_dirty
    cdef bint is_replaying
    cdef readonly uint64_t restored_messages    # what the restored state speaks of
    cdef readonly uint64_t restored_bytes

    # --- append: seq 0 means last_seq + 1, otherwise it must be beyond last_seq; returns the sequence, 0 with an exception
    cdef uint64_t append(self, const char* subject, size_t subject_size, const char* header, size_t header_size,
                         const char* payload, size_t payload_size, int64_t ts_ns, int64_t expires_ns,
                         uint64_t seq) except 0

    # --- read: 1 found, 0 none, -1 with an exception
    cdef int load(self, uint64_t seq, MessageView* view) except -1
    cdef int load_last(self, const char* subject, size_t subject_size, MessageView* view) except -1
    cdef int next_message(self, uint64_t from_seq, SubjectFilter wanted, MessageView* view) except -1
    cdef int previous_message(self, uint64_t from_seq, SubjectFilter wanted, MessageView* view) except -1

    # --- find, by index only; 0 means none
    cdef uint64_t next_seq(self, uint64_t from_seq, SubjectFilter wanted) noexcept
    cdef uint64_t previous_seq(self, uint64_t from_seq, SubjectFilter wanted) noexcept
    cdef uint64_t last_seq_of(self, const char* subject, size_t subject_size) noexcept
    cdef uint64_t first_seq_of(self, const char* subject, size_t subject_size) noexcept
    cdef uint64_t count_of(self, const char* subject, size_t subject_size) noexcept
    cdef uint64_t count_from(self, uint64_t from_seq, SubjectFilter wanted) noexcept
    cdef uint64_t seq_at_time(self, int64_t ts_ns) except? 0xFFFFFFFFFFFFFFFF
    cdef int64_t first_timestamp(self) except? -1
    cdef bint has(self, uint64_t seq) noexcept
    cdef uint64_t size_of(self, size_t subject_size, size_t header_size, size_t payload_size) noexcept

    # --- remove: the number of messages removed, -1 with an exception
    cdef int64_t remove(self, uint64_t seq, bint erase) except -1
    cdef int64_t compact(self, uint64_t first_seq) except -1
    cdef int64_t purge(self, SubjectFilter wanted, uint64_t before_seq, uint64_t keep) except -1
    cdef int64_t truncate(self, uint64_t last_seq) except -1
    cdef int skip(self, uint64_t seq) except -1

    # --- inside
    cdef int log_small(self, uint8_t kind, const void* body, size_t size) except -1
    cdef void note_message(self, uint32_t number, size_t record_size, uint64_t seq, int64_t ts_ns,
                           uint16_t flags) noexcept
    cdef uint64_t accounted(self, size_t record_size, uint32_t flags) noexcept
    cdef void seal_tail(self) noexcept
    cdef bint is_of(self, uint64_t seq, uint32_t number) noexcept
    cdef void do_remove(self, uint64_t seq, bint erase) noexcept
    cdef void do_skip(self, uint64_t seq) noexcept
    cdef void do_limits(self, const LimitsBody* body) noexcept
    cdef void take_out(self, uint64_t seq) noexcept
    cdef int cut_block(self, Block block, uint32_t count) except -1
    cdef uint64_t next_of_subject(self, const Slot* slot, uint64_t seq, uint32_t number) noexcept
    cdef int attach_block(self, Block block) except -1
    cdef void link_from(self, Block block, uint64_t last_seq, uint64_t seq) noexcept
    cdef int apply_append(self, const RecordHeader* record, const char* body) except -1
    cdef Py_ssize_t block_index(self, uint64_t seq) noexcept
    cdef Block block_of(self, uint64_t seq)
    cdef int need_data(self, Block block) except -1
    cdef int open_tail(self, uint64_t seq, size_t record_size) except -1
    cdef void link_subject(self, uint32_t number, uint64_t seq) noexcept
    cdef void kill(self, Block block, Slot* slot, uint64_t seq) noexcept
    cdef void settle_front(self) noexcept
    cdef void drop_block(self, Py_ssize_t index) noexcept
    cdef void drop_everything(self) noexcept
    cdef uint64_t scan_forward(self, uint64_t from_seq, uint32_t number, SubjectFilter wanted) noexcept
    cdef uint64_t scan_backward(self, uint64_t from_seq, uint32_t number, SubjectFilter wanted) noexcept
    cdef void enforce_subject_limit(self, uint32_t number) noexcept
    cdef void enforce_limits(self) noexcept
    cdef int64_t do_compact(self, uint64_t first_seq) noexcept
    cdef int64_t do_purge(self, SubjectFilter wanted, uint64_t before_seq) noexcept
    cdef int64_t do_truncate(self, uint64_t last_seq) except -1
    cdef int apply(self, const RecordHeader* record, const char* body) except -1
    cdef int salvage(self, Block block, object value, str reason) except -1


cdef class Replay(RecordVisitor):
    """Hands the log's records to the streams they belong to, everything else to one Python callback."""
    cdef public dict streams            # number -> StreamStore
    cdef public object other            # (kind, owner, lsn, body) -> None
    cdef readonly uint64_t message_count
    cdef readonly uint64_t orphan_count
    cdef readonly list sequence_gaps    # (stream number, first missing, last missing)
    cdef readonly list problems         # (stream number, what could not be applied)
