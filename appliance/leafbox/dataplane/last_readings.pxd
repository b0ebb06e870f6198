# What each of a bounded number of senders said last: one copy of the beginning of each message, no object for it.
from libc.stdint cimport uint64_t

from leafbox.dataplane.message cimport Message
from leafbox.dataplane.routing cimport Receiver, Subscription

cdef enum:
    SUBJECT_BYTES_MAX = 128         # of a subject kept; readings have short ones
    VALUE_BYTES_MAX = 256           # of a value kept; the live page shows whole ones

cdef class Reading:
    # The newest message of one sender; `count` grows with each, so a reader sees whether there was one.
    cdef readonly uint64_t count
    cdef readonly Py_ssize_t size   # of the whole payload
    cdef char subject_bytes[SUBJECT_BYTES_MAX]
    cdef char value_bytes[VALUE_BYTES_MAX]
    cdef Py_ssize_t subject_len, value_len
    cdef void keep(self, Message *message) noexcept

cdef class LastReadings(Receiver):
    # By sending connection; None: not one of those that are kept. Filled once per connection by `find`.
    cdef readonly dict by_sender
    cdef readonly object find
