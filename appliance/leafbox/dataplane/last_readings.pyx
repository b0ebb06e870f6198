# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The last message of each sender, kept in place: what a list of devices shows without anybody subscribing.

A receiver that takes nothing (`deliver` says 0), so that a request without a responder is still answered as such. Who
puts its subscriptions into the index, past the links, and who of the senders counts, is the owner's (`app.readings`).
Costs one dictionary look-up and one copy of at most 384 bytes per message; a table by sender instead of a subscription
by sender, because two hundred sensors may share one rule (`site.>`) and would be two hundred receivers of each message.
"""
from cpython.dict cimport PyDict_GetItem
from cpython.object cimport PyObject
from libc.string cimport memcpy

from leafbox.dataplane.message cimport Message
from leafbox.dataplane.routing cimport Receiver, Subscription


cdef class Reading:
    """See the declaration."""

    cdef void keep(self, Message *message) noexcept:
        cdef Py_ssize_t payload_len = message.body_len - message.header_len
        self.subject_len = min(message.subject_len, <Py_ssize_t>SUBJECT_BYTES_MAX)
        memcpy(self.subject_bytes, message.subject, self.subject_len)
        self.value_len = min(payload_len, <Py_ssize_t>VALUE_BYTES_MAX)
        if self.value_len:
            memcpy(self.value_bytes, message.body + message.header_len, self.value_len)
        self.size = payload_len
        self.count += 1

    @property
    def subject(self):
        """Of the newest message, or its beginning."""
        return self.subject_bytes[:self.subject_len]

    @property
    def value(self):
        """The payload of the newest message, or its beginning."""
        return self.value_bytes[:self.value_len]


cdef class LastReadings(Receiver):
    """See the declaration. `find` names the reading of a sender, or None; it is asked once per sender."""

    def __init__(self, find):
        self.find = find
        self.by_sender = {}

    cdef int deliver(self, Subscription subscription, Receiver origin, Message *message) except -1:
        cdef PyObject *known
        if origin is None:
            return 0
        known = PyDict_GetItem(self.by_sender, origin)
        if known == NULL:
            found = self.find(origin)
            self.by_sender[origin] = found
            known = <PyObject *>found
        if known != <PyObject *>None:
            (<Reading>known).keep(message)
        return 0
