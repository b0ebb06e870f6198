# The NATS client protocol on one connection: operations in, MSG/HMSG out (core-protocol sections 1-2).
from libc.stdint cimport int64_t, uint64_t

from leafbox.dataplane.connection cimport Connection
from leafbox.dataplane.message cimport Message
from leafbox.dataplane.permissions cimport Permissions
from leafbox.dataplane.routing cimport AccountPlane, Receiver, Subscription

cdef enum Operation:
    OP_NONE         # not an operation: parse error
    OP_PUB
    OP_HPUB
    OP_SUB
    OP_UNSUB
    OP_PING
    OP_PONG
    OP_CONNECT
    OP_INFO
    OP_OK
    OP_ERR
    OP_MORE         # may still become one

cdef struct Argument:
    const char *data
    Py_ssize_t length

cdef char *write_number(char *at, uint64_t value) noexcept nogil
cdef Py_ssize_t parse_size(const char *digits, Py_ssize_t length) noexcept nogil
cdef int split_arguments(const char *line, Py_ssize_t length, Argument *found, int most) noexcept nogil

cdef class NatsConnection(Connection):
    cdef public AccountPlane account
    cdef public Permissions permissions
    cdef public dict subscriptions          # sid -> Subscription
    cdef public bint awaiting_auth          # only CONNECT may come
    cdef public bint verbose, pedantic, echo, headers, no_responders
    cdef public bint traces
    cdef public Py_ssize_t max_payload, max_control_line
    cdef public dict reply_permissions      # None, or subject -> [left, deadline_ns] (allow_responses)
    cdef public bint first_pong_sent        # the hook for it has done its work
    # parse
    cdef Py_ssize_t consume_line(self, const char *data, Py_ssize_t length) except -2
    cdef Py_ssize_t incomplete(self, const char *data, Py_ssize_t length) except -2
    cdef Py_ssize_t consume_publish(self, const char *data, Py_ssize_t length, Py_ssize_t line_len,
                                    Py_ssize_t args_at, bint with_header) except -2
    cdef int run_operation(self, Operation operation, const char *argument, Py_ssize_t length) except -1
    cdef int subscribe_line(self, const char *argument, Py_ssize_t length) except -1
    cdef int unsubscribe_line(self, const char *argument, Py_ssize_t length) except -1
    # publish
    cdef int publish(self, Message *message) except -1
    cdef int send_no_responders(self, AccountPlane account, Message *message) except -1
    cdef bint may_publish(self, const char *subject, Py_ssize_t length) except -1
    # encode
    cdef int exhaust(self, Subscription subscription) except -1
    cdef int track_reply(self, Message *message) except -1
