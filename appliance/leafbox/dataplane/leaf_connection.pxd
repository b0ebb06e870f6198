# The leaf protocol on one link, in both directions (leaf node specification, sections 1, 2 and 8.2).
from libc.stdint cimport int64_t, uint64_t

from cpython.object cimport PyObject

from leafbox.dataplane.connection cimport Connection
from leafbox.dataplane.message cimport Message
from leafbox.dataplane.nats_connection cimport Argument
from leafbox.dataplane.permissions cimport Permissions
from leafbox.dataplane.routing cimport AccountPlane, QueueNames, Receiver, Subscription

cdef class LeafConnection(Connection):
    cdef public AccountPlane account        # None until the link is up
    cdef public Permissions outgoing        # what may be sent over the link; None: everything
    cdef public Permissions incoming        # what may come in; None: everything
    cdef public bint headers                # the peer understands headers
    # Links to one cluster lead to the same place: what came over one does not go over another. None: no such peer.
    cdef public bytes cluster
    cdef public Py_ssize_t max_payload, max_control_line
    # parse
    cdef Py_ssize_t consume_line(self, const char *data, Py_ssize_t length) except -2
    cdef Py_ssize_t consume_message(self, const char *data, Py_ssize_t length, Py_ssize_t line_len,
                                    bint with_header) except -2
    cdef int interest_line(self, const char *argument, Py_ssize_t length, bint is_added) except -1
    cdef int violation(self, str text, str reason) except -1
    # in
    cdef int receive(self, Message *message, QueueNames *queues) except -1
    # out
    cdef bint is_back(self, Receiver origin)
    cdef int send_message(self, Message *message, PyObject **subscriptions, Py_ssize_t count,
                          Receiver origin) except -1
