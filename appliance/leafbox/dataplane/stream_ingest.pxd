# The way of a published message into a stream, and of its acknowledgement back after the commit.
from libc.stdint cimport int64_t, uint32_t, uint64_t

from leafbox.dataplane.message cimport Message
from leafbox.dataplane.message_ids cimport DuplicateWindow, IdLog
from leafbox.dataplane.routing cimport AccountPlane, Receiver, Subscription
from leafbox.dataplane.stream_store cimport RemovalObserver, StreamStore
from leafbox.dataplane.sublist cimport Sublist

cdef int64_t wall_ns() noexcept nogil

cdef class Task(Receiver):
    # Something that runs at most once per loop turn, after what woke it.
    cdef bint is_queued
    cdef int run(self) except -1

cdef class CommitGate:
    # Per server: turns the log's durable LSN into acknowledgements and visibility.
    cdef readonly object loop
    cdef readonly uint64_t durable_lsn
    cdef list waiting               # streams with messages that are not durable yet
    cdef object replies             # deque of (lsn, callable)
    cdef uint64_t newest_reply_lsn  # of the last entry; entries are in order
    cdef list tasks
    cdef bint run_is_scheduled
    cdef int wake(self, Task task) except -1
    cdef int wait(self, StreamIngest ingest) except -1

cdef class StorageMeter:
    # Bytes used of one storage type by an account or the server; `limit` < 0: none.
    cdef public int64_t used, limit
    cdef public StorageMeter parent
    cdef inline bint has_room(self, int64_t size) noexcept:
        if self.limit >= 0 and self.used + size > self.limit:
            return False
        return self.parent is None or self.parent.has_room(size)
    cdef inline void add(self, int64_t size) noexcept:
        self.used += size
        if self.parent is not None:
            self.parent.add(size)

cdef class StreamReader(Task):
    # What a stream tells its consumers; implemented in consumer_delivery.
    cdef void message_removed(self, uint64_t seq, uint32_t subject_number) noexcept
    cdef bint is_idle(self) noexcept    # new messages would change nothing: no request, nobody listening

cdef struct Arrival:                # a stored message that is not durable yet
    uint64_t lsn
    uint64_t seq
    uint32_t reply_at               # into `replies`; meaningless when reply_len is 0
    uint32_t reply_len

cdef class StreamIngest(Task):
    cdef readonly StreamStore store
    cdef readonly AccountPlane account
    cdef readonly CommitGate gate
    # -- policy, set by the control plane
    cdef public bint acknowledges           # False: no_ack
    cdef public bint waits_for_commit       # False: memory streams and persist_mode async
    cdef public bint takes_special          # every message goes to `on_special`
    cdef public bint takes_fast_batches     # replies that end in .$FI are special
    cdef public bint refuses_when_full      # discard new
    cdef public bint refuses_when_subject_full
    cdef public int64_t max_message_bytes   # -1: none
    cdef public Sublist interest            # interest retention: subjects somebody wants; None: keep everything
    cdef public StorageMeter meter
    cdef public object on_special           # (subject, reply, header, payload, origin) -> None
    cdef public object on_refused           # (subject, reply, header, payload, reason) -> None
    cdef public object on_traced            # (trace, subject, reply, header, payload, origin) -> None
    cdef public object last_msg_id          # None or the id of the last message
    cdef public DuplicateWindow window      # None: ids are Python's
    cdef public IdLog id_log                # of file streams
    # -- state
    cdef readonly uint64_t visible_seq      # the newest sequence that consumers may see
    cdef readonly bint is_closed
    cdef readonly list readers
    cdef bint is_waiting
    cdef Arrival *arrivals
    cdef Py_ssize_t arrival_start, arrival_end, arrival_capacity
    cdef char *replies
    cdef Py_ssize_t reply_end, reply_capacity
    cdef char *ack_text
    cdef Py_ssize_t ack_prefix_len
    cdef bint is_special(self, Message *message) noexcept
    cdef bint take_identified(self, Message *message) except -1
    cdef int refuse(self, Message *message, str reason) except -1
    cdef int ingest(self, Message *message) except -1
    cdef int pass_over(self, Message *message) except -1
    cdef str fullness(self, const char *subject, Py_ssize_t subject_len, int64_t size)
    cdef int arrived(self, uint64_t seq, const char *reply, Py_ssize_t reply_len) except -1
    cdef int acknowledge(self, const char *reply, Py_ssize_t reply_len, uint64_t seq) except -1
    cdef int settle(self, uint64_t durable_lsn) except -1
    cdef int squeeze(self) except -1
    cdef int wake_readers(self) except -1
