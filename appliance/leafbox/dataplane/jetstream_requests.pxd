# The two JetStream API requests that come once per message; everything else goes to Python.
from libc.stdint cimport int64_t

from leafbox.dataplane.consumer_requests cimport PullRequest
from leafbox.dataplane.message cimport Message
from leafbox.dataplane.routing cimport AccountPlane, CallbackReceiver
from leafbox.dataplane.store_block cimport MessageView
from leafbox.dataplane.stream_store cimport StreamStore

cdef class ApiReceiver(CallbackReceiver):
    # `$JS.API.>` of one account. `callback` takes what is not for a consumer here.
    cdef readonly dict consumers        # b"<stream>.<consumer>" -> ConsumerDelivery
    cdef bint asks_next(self, Message *message) except -1

cdef class DirectGetReceiver(CallbackReceiver):
    # `$JS.API.DIRECT.GET.<name>.>` of one stream. `callback` takes what is more than a literal subject.
    cdef readonly StreamStore store
    cdef readonly AccountPlane account
    cdef bytes head                     # lines of the header that are the same for all messages
    cdef Py_ssize_t prefix_size         # of the subject, before the key
    cdef bint answer(self, Message *message) except -1
    cdef Py_ssize_t write_head(self, char *at, MessageView *view) noexcept

cdef bint read_pull_request(const char *body, Py_ssize_t length, PullRequest request) noexcept
cdef char *write_time(char *at, int64_t time_ns) noexcept
