# How far a consumer is: positions, pending messages, redeliveries; acknowledgements move it.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from leafbox.dataplane.consumer_pending cimport Pending, PendingTable
from leafbox.dataplane.message cimport Message
from leafbox.dataplane.routing cimport Receiver, Subscription
from leafbox.dataplane.store_subjects cimport SubjectFilter
from leafbox.dataplane.stream_ingest cimport StreamIngest, StreamReader
from leafbox.dataplane.stream_store cimport StreamStore

cdef enum AckPolicyNumber:
    ACK_NONE = 0
    ACK_ALL = 1
    ACK_EXPLICIT = 2
    ACK_FLOW_CONTROL = 3

cdef enum RetentionNumber:
    RETAIN_LIMITS = 0
    RETAIN_INTEREST = 1
    RETAIN_WORKQUEUE = 2

cdef enum ProgressKind:
    DELIVERED = 1       # `count` messages, both sequences ascending by one
    ACKNOWLEDGED = 2    # `count` stream sequences, ascending by one
    ACKNOWLEDGED_TO = 3
    REDELIVERED = 4     # `count` is how often so far
    RETIMED = 5
    GIVEN_UP = 6        # max_deliver reached: no longer pending, still remembered
    MOVED = 7           # stream_seq: the next to deliver; consumer_seq: the next consumer sequence; all else cleared
    FLOORED = 8         # the ack floor, set outright (purge)
    SKIPPED = 9         # stream_seq: the last that counts as delivered (purge)

cdef packed struct ProgressStep:
    uint8_t kind
    uint32_t count
    uint64_t stream_seq
    uint64_t consumer_seq
    int64_t ts_ns

cdef struct AckSubject:
    uint64_t deliveries, stream_seq, consumer_seq

cdef class ConsumerProgress(StreamReader):
    cdef readonly StreamIngest ingest
    cdef readonly StreamStore store
    # -- policy
    cdef public int ack_policy
    cdef public int retention
    cdef public int64_t ack_wait_ns
    cdef public tuple backoff_ns
    cdef public int64_t max_deliver         # -1: no limit
    cdef public int64_t max_ack_pending     # <= 0: no limit
    cdef public int sample_percent
    cdef public bint is_persistent          # progress goes to `write_progress`
    cdef readonly SubjectFilter filter      # None: every message
    # -- position
    cdef readonly uint64_t next_stream_seq
    cdef readonly uint64_t next_consumer_seq
    cdef readonly uint64_t delivered_stream_seq
    cdef readonly uint64_t floor_consumer_seq, floor_stream_seq
    cdef readonly int64_t last_delivered_ns, last_acked_ns, last_active_ns
    cdef readonly PendingTable pending
    cdef readonly dict redelivered          # stream sequence -> redeliveries so far
    cdef object redelivery_queue            # deque of stream sequences
    cdef public int64_t expiry_ns           # when to look at `pending`; 0: nothing is pending
    cdef list gone                          # pending messages that left the stream
    cdef list skip_list                     # last_per_subject: what to deliver first, reversed
    cdef uint64_t skip_resume
    # -- count of messages not delivered yet
    cdef int64_t undelivered
    cdef uint64_t counted_to
    # -- progress not written yet
    cdef ProgressStep *steps
    cdef Py_ssize_t step_count, step_capacity
    cdef list ack_replies
    cdef readonly bint is_closed
    cdef int record(self, uint8_t kind, uint32_t count, uint64_t stream_seq, uint64_t consumer_seq,
                    int64_t ts_ns) except -1
    cdef int process_ack(self, Message *message) except -1
    cdef bint acknowledge(self, AckSubject *ack) except -1
    cdef bint acknowledge_one(self, AckSubject *ack) except -1
    cdef bint acknowledge_to(self, AckSubject *ack) except -1
    cdef int forget(self, uint64_t stream_seq) except -1
    cdef void move_floor(self, uint64_t consumer_seq) noexcept
    cdef int release(self, uint64_t stream_seq) except -1
    cdef bint needs(self, uint64_t seq, uint32_t subject_number) except -1
    cdef int queue_redelivery(self, Pending *entry) except -1
    cdef int delivered(self, uint64_t stream_seq, int64_t now_ns) except -1
    cdef int delivered_again(self, uint64_t stream_seq, int64_t now_ns) except -1
    cdef int arm_expiry(self, uint64_t stream_seq, int64_t now_ns) except -1
    cdef int64_t undelivered_now(self) except? -1
    cdef int settle_gone(self) except -1
    cdef int flush_progress(self) except -1
    cdef int apply_step(self, ProgressStep *step) except -1
