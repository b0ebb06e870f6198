# How a message finds its receivers. Every protocol meets in `route`; every destination is a `Receiver`.
from libc.stdint cimport int64_t, uint64_t

from leafbox.dataplane.message cimport Message
from leafbox.dataplane.sublist cimport Sublist

cdef class Receiver:
    # True for links to other servers: a queue group prefers members that are here.
    cdef public bint is_remote
    # Hand over one message. Returns 1 when it was taken, 0 when not (closed, filtered, no echo). Must copy what it
    # keeps, must not raise for the peer's faults, must not close transports while called.
    cdef int deliver(self, Subscription subscription, Receiver origin, Message *message) except -1

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

cdef class AccountPlane:
    cdef readonly Sublist sublist
    cdef public object mappings         # None, or an object with map(subject: bytes) -> bytes | None
    cdef public uint64_t in_msgs, in_bytes, out_msgs, out_bytes, slow_consumers

cdef Py_ssize_t route(AccountPlane account, Receiver origin, Message *message) except -1
