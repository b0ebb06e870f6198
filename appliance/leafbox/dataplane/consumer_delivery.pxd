# Sending messages of a stream to whoever asked: pull requests, or the deliver subject of a push consumer.
from libc.stdint cimport int64_t, uint64_t

from leafbox.dataplane.consumer_progress cimport ConsumerProgress
from leafbox.dataplane.consumer_requests cimport PullRequest, WaitQueue
from leafbox.dataplane.message cimport Message
from leafbox.dataplane.store_block cimport MessageView
from leafbox.dataplane.sublist cimport MatchResult

cdef enum PriorityNumber:
    PRIORITY_NONE = 0
    PRIORITY_OVERFLOW = 1
    PRIORITY_PINNED = 2
    PRIORITY_PRIORITIZED = 3

cdef class ConsumerDelivery(ConsumerProgress):
    # -- policy
    cdef public bytes deliver_subject       # None: pull
    cdef public bytes deliver_group         # None: any interest counts
    cdef public bint headers_only
    cdef public bint is_paused
    cdef public bint watches_drain          # some request wants to know when nothing is left (no_wait)
    cdef public int priority_policy
    cdef public WaitQueue waiting           # None: push
    cdef public str pin_id                  # of the pinned client; "": nobody holds the pin
    cdef public int64_t request_batch_max, request_bytes_max, request_wait_max_ns   # 0: no limit
    # -- rate and replay
    cdef public int64_t bytes_per_second    # 0: no limit
    cdef public int64_t burst_bytes
    cdef double tokens
    cdef int64_t tokens_at_ns
    cdef public bint replays                # keep the gaps in time
    cdef public uint64_t replay_to          # last sequence that is replayed
    cdef int64_t replayed_ts_ns
    cdef public int64_t resume_ns           # wall clock: do not deliver before; 0: free
    # -- flow control of push consumers
    cdef public int64_t window_bytes        # 0: none
    cdef public int64_t window_max_bytes
    cdef public int64_t unanswered_bytes
    cdef public int64_t answered_bytes      # what the outstanding request will give back
    cdef public bytes flow_subject          # of the outstanding request; None: none
    # -- state
    cdef readonly bint has_interest         # somebody listens on the deliver subject
    cdef readonly int64_t last_sent_ns
    cdef public int64_t last_used_ns        # somebody asked, or listened
    cdef object callback                    # internal consumer: gets (subject, reply, header, payload, ts_ns, seq)
    # -- ack subject and scratch
    cdef char *reply_text
    cdef Py_ssize_t reply_prefix_len
    cdef char *body
    cdef Py_ssize_t body_capacity
    cdef bint take_plain(self, PullRequest request) except -1
    cdef int pump(self) except -1
    cdef int deliver_next(self, int64_t now_ns) except -1
    cdef int find_next(self, MessageView *view, uint64_t *deliveries, int64_t now_ns) except -1
    cdef int find_redelivery(self, MessageView *view, uint64_t *deliveries) except -1
    cdef int find_new(self, MessageView *view) except -1
    cdef int step_back(self, MessageView *view, uint64_t deliveries) except -1
    cdef PullRequest choose(self, Py_ssize_t size, int64_t now_ns)
    cdef bint ran_hook                      # Python ran since the message was looked up
    cdef bint is_listening(self, bytes subject) except -1
    cdef Py_ssize_t write_reply(self, MessageView *view, uint64_t deliveries) except -1
    cdef int send(self, bytes subject, MessageView *view, Py_ssize_t reply_len) except -1
    cdef int build_body(self, MessageView *view, Message *message) except -1
    cdef bint may_send(self, Py_ssize_t size, int64_t ts_ns, int64_t now_ns) noexcept
    cdef int keep_window(self, Py_ssize_t size) except -1
