# How a message finds its receivers. Every protocol meets in `route`; every destination is a `Receiver`.
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint64_t

from leafbox.dataplane.message cimport Message
from leafbox.dataplane.sublist cimport Sublist

cdef struct QueueNames:             # the only groups that a message from another server may reach
    const char **names
    Py_ssize_t *lengths
    Py_ssize_t count

cdef class Receiver:
    # True for links to other servers: a queue group prefers members that are here.
    cdef public bint is_remote
    # Hand over one message. Returns 1 when it was taken, 0 when not (closed, filtered, no echo). Must copy what it
    # keeps, must not raise for the peer's faults, must not close transports while called.
    cdef int deliver(self, Subscription subscription, Receiver origin, Message *message) except -1
    # Whether `deliver` would take it; asked before one link is picked for a queue group.
    cdef bint takes(self, Subscription subscription, Receiver origin, Message *message) except -1
    # For remote receivers: the same, once per message and link, with all queue groups that were picked for it.
    # `subscriptions` are borrowed: one plain one or none, and one for each group.
    cdef int deliver_picks(self, PyObject **subscriptions, Py_ssize_t count, Receiver origin,
                           Message *message) except -1

cdef class Subscription:
    cdef readonly bytes subject
    cdef readonly bytes queue           # None: plain
    cdef readonly bytes sid             # the client's name for it; b"" for internal ones
    cdef readonly Receiver receiver
    cdef readonly AccountPlane account
    cdef public bint closed
    cdef public bint filters_deliveries # a permission denies part of what it matches
    cdef public uint64_t delivered
    cdef public uint64_t max_deliver    # 0: no limit; else the total after which it ends
    cdef public int queue_weight        # members behind a remote queue subscription
    cdef public Subscription primary    # of a shadow: the subscription whose count and end it shares
    cdef public object local_subject    # of a shadow: maps the exporter's subject to the importer's; None: the same
    cdef public object context          # for the owner

cdef class CallbackReceiver(Receiver):
    # An internal Python subscriber: services, events, control plane. Not for the hot path.
    cdef readonly object callback
    cdef object call(self, Receiver origin, Message *message)

cdef class InboxReceiver(CallbackReceiver):
    pass

cdef class AccountPlane:
    cdef readonly Sublist sublist
    cdef public object mappings         # None, or an object with map(subject: bytes) -> bytes | None
    cdef public uint64_t in_msgs, in_bytes, out_msgs, out_bytes, slow_consumers
    cdef public bint traces_parents     # a `traceparent` header may start a message trace here

cdef Py_ssize_t route(AccountPlane account, Receiver origin, Message *message) except -1
# For messages from another server: found by the wire subject, and only the named queue groups (NULL: all of them).
cdef Py_ssize_t route_from_remote(AccountPlane account, Receiver origin, Message *message, const char *found_by,
                                  Py_ssize_t found_by_len, QueueNames *queues) except -1
# Route by `subject` while clients are shown `message.subject`: how consumers deliver to an inbox.
cdef Py_ssize_t deliver_as(AccountPlane account, const char *subject, Py_ssize_t subject_len,
                           Message *message) except -1
# Whether a header block may ask for a message trace (ADR-41). Only a look at the bytes: whoever is told so decides.
cdef bint mentions_trace(AccountPlane account, const char *header, Py_ssize_t length) noexcept
cdef tuple parts_of(Message *message)
# Give a message another header; `message.body` then points into what is returned, which must be kept as long.
cdef bytes with_header(Message *message, bytes header)
