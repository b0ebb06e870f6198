"""The write-ahead log: every durable change of the appliance is one record here.

Threads.  The loop thread appends; one committer thread (a Python thread that runs `commit_forever` without the GIL)
writes and syncs.  They meet in `lock`, which guards the staging buffer and the numbers below it.  Everything named
`held_*` and `active` belongs to the committer alone.

    segment file   | header, 4096 bytes | header again, 4096 bytes | record | record | ...      preallocated zeros |
    segment header | magic 8 | version 4 | crc 4 | store_salt 8 | epoch 8 | first_lsn 8 | previous_lsn 8 | former_epoch 8 |
    record         | body_size 4 | crc 4 | lsn 8 | kind 1 | flags 1 | durable_distance 2 | owner 4 | body | to 8 bytes |

All integers are little-endian.  The CRC covers the record from `lsn` to the end of the body and is seeded with the
segment's salt and epoch, so a record of the segment's former life, or one forged inside a payload, never verifies.
`durable_distance` says how far behind the record the synced part of the log was when the record was written (0 or
65535: says nothing): this is what lets recovery tell a torn tail, which nobody was promised, from damage.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from leafbox.dataplane.segment_pool cimport Segment, SegmentPool, pthread_cond_t


cpdef enum RecordKind:
    # Stream records: `owner` is the stream's number.
    STREAM_CREATE = 1
    STREAM_DELETE = 2
    STREAM_LIMITS = 3
    MESSAGE_APPEND = 4
    MESSAGE_REMOVE = 5
    MESSAGE_COMPACT = 6
    MESSAGE_PURGE = 7
    SEQUENCE_SKIP = 8
    MESSAGE_TRUNCATE = 9
    # Key-value records: `owner` is the blob kind of `leafbox.storage.records`.
    BLOB_PUT = 16
    BLOB_DELETE = 17
    BLOB_DELTA = 18


cpdef enum JournalState:
    JOURNAL_CLOSED = 0
    JOURNAL_READY = 1
    # A write or a sync failed: nothing is acknowledged until the retry has rewritten what is not known durable.
    JOURNAL_FAILED = 2
    # No segment could be had (disk or `log_bytes_max`).
    JOURNAL_FULL = 3


cdef enum:
    SEGMENT_HEADER_SIZE = 64
    SEGMENT_HEADER_COPY = 4096
    RECORD_HEADER_SIZE = 24
    # Record flag: belongs together with the next record; a replay applies all of such a group or nothing.
    RECORD_CONTINUES = 1


cdef packed struct RecordHeader:
    uint32_t body_size
    uint32_t crc
    uint64_t lsn
    uint8_t kind
    uint8_t flags
    uint16_t durable_distance
    uint32_t owner


cdef packed struct SegmentHeader:
    char magic[8]
    uint32_t version
    uint32_t crc
    uint64_t store_salt
    uint64_t epoch
    uint64_t first_lsn
    uint64_t previous_lsn
    uint64_t former_epoch   # of the file's former life, 0 none: tells its leftovers from a torn record


cdef uint32_t segment_seed(uint64_t store_salt, uint64_t epoch) noexcept nogil
cdef uint32_t record_crc(uint32_t seed, const RecordHeader* record) noexcept nogil


cdef class Journal(SegmentPool):
    # --- configuration, fixed once open
    cdef readonly uint64_t staging_bytes_max
    cdef readonly uint64_t congestion_bytes
    cdef readonly uint64_t body_bytes_max
    cdef readonly bint syncs_always
    cdef readonly double sync_interval_s
    cdef uint64_t recovered_lsn     # last record of the former run, what the first label names
    cdef uint64_t base_lsn          # last number before this run's

    # --- guarded by `lock`
    cdef pthread_cond_t wake_committer
    cdef pthread_cond_t progress
    cdef char* staging
    cdef size_t staging_size
    cdef size_t staging_capacity
    cdef size_t record_size         # of the record between begin_record and end_record
    cdef size_t last_record_at      # of the newest record in `staging`
    cdef size_t group_start         # `staging_size` when the open group began
    cdef int group_depth            # 0: no group is open
    cdef uint64_t newest_lsn        # last LSN given out
    cdef uint64_t synced_lsn        # known to be on the device
    cdef uint64_t acknowledged_lsn  # what `on_durable` may be told: synced (always) or written (interval)
    cdef bint is_wake_wanted
    cdef double gather_until_s      # a commit that is wanted waits until then for what is about to come; 0: it does not
    cdef bint is_stopping
    cdef bint is_running
    cdef int state
    cdef int error_number
    cdef const char* error_operation

    # --- the committer's own
    cdef char* held                 # swapped-out records, not yet known durable
    cdef size_t held_size
    cdef size_t held_capacity
    cdef size_t held_written        # bytes of `held` already written to a segment
    cdef uint64_t held_last_lsn
    cdef double last_sync_s
    cdef double last_probe_s

    # Set by the store while too much waits for a checkpoint; counts as congestion.
    cdef public bint is_pressed

    # --- counters (read without the lock: each is one aligned word)
    cdef readonly uint64_t commit_count
    cdef readonly uint64_t record_count
    cdef readonly uint64_t written_bytes
    cdef readonly uint64_t failure_count
    cdef readonly uint64_t sync_count
    cdef readonly uint64_t sync_us
    # The longest sync since whoever watches it last set it to 0.
    cdef public uint64_t sync_longest_us
    # The last sync, which bounds how long the next commit may be put off.
    cdef public uint64_t sync_last_us

    # --- the loop's side of the notification
    cdef object loop
    cdef object thread
    cdef list durable_callbacks
    cdef list state_callbacks
    cdef uint64_t reported_lsn
    cdef int reported_state
    cdef bint reported_space_low
    cdef bint is_wake_scheduled
    cdef bint is_late_wake_scheduled    # for records that nobody waits for
    cdef uint64_t wanted_lsn        # a commit was asked for up to here

    # append: copy one record into the staging buffer; returns its LSN, 0 with an exception set
    cdef uint64_t append(self, uint8_t kind, uint32_t owner, const char* first, size_t first_size,
                         const char* second, size_t second_size, bint is_urgent) except 0
    # the same in two steps, for a body that is built in place; nothing may run between the two
    cdef char* begin_record(self, uint8_t kind, uint32_t owner, size_t body_size) except NULL
    cdef uint64_t end_record(self, bint is_urgent) noexcept
    cdef void schedule_wake(self) noexcept
    cdef void schedule_late_wake(self) noexcept
    cpdef void want_commit(self, uint64_t lsn)
    cdef void ask_for_commit(self) noexcept
    # put the next commit off, for no longer than the last sync took; and enough has come
    cpdef void gather(self) noexcept
    cpdef void end_gathering(self) noexcept
    cdef bint refuses_messages(self) noexcept
    cdef bint congested(self) noexcept
    cdef int raise_refusal(self) except -1

    # committer, all without the GIL
    cdef void commit_forever(self) noexcept nogil
    cdef double wait_time(self) noexcept nogil
    cdef int take_staged(self) noexcept nogil
    cdef void flush_held(self) noexcept nogil
    cdef int write_held(self) noexcept nogil
    cdef size_t seal_records(self, size_t start, size_t room, const Segment* segment, uint64_t* last_lsn) noexcept nogil
    cdef int sync_active(self) noexcept nogil
    cdef void forget_held(self) noexcept nogil
    cdef void rewind_held(self) noexcept nogil
    cdef int open_active(self, uint64_t first_lsn) noexcept nogil
    cdef int fail(self, int state, int error_number, const char* operation) noexcept nogil
    cdef void settle(self, uint64_t synced_lsn, uint64_t acknowledged_lsn) noexcept nogil


cdef class RecordVisitor:
    cdef int visit(self, const RecordHeader* record, const char* body) except -1
