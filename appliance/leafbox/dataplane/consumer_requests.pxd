# Pull requests that wait for messages, in the order in which they are served.
from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef class PullRequest:
    cdef public bytes reply
    cdef public int64_t batch           # messages still wanted
    cdef public int64_t delivered
    cdef public int64_t bytes_left      # 0: no byte limit
    cdef public int64_t expires_ns      # wall clock; 0: waits as long as somebody listens on `reply`
    cdef public int64_t received_ns
    cdef public int64_t heartbeat_ns    # interval; 0: none
    cdef public int64_t next_heartbeat_ns
    cdef public bint no_wait
    cdef public bint has_group          # it came as JSON, so the group fields mean something
    cdef public str group
    cdef public str pin_id
    cdef public int64_t min_pending, min_ack_pending
    cdef public int priority
    cdef readonly PullRequest next

cdef class WaitQueue:
    cdef readonly Py_ssize_t count
    cdef public Py_ssize_t limit
    cdef public int64_t last_received_ns
    cdef readonly PullRequest head
    cdef PullRequest tail
    cdef public bint by_priority
    cdef void push(self, PullRequest request)
    cdef void drop_head(self)
    cdef void rotate(self)
    cdef PullRequest serve_head(self)
