# Messages of a mirror's or source's origin on their way into the stream that follows it.
from libc.stdint cimport int64_t, uint64_t

from leafbox.dataplane.message cimport Message
from leafbox.dataplane.routing cimport CallbackReceiver
from leafbox.dataplane.stream_ingest cimport StreamIngest

cdef struct Place:                      # what an acknowledgement subject says
    const char *consumer
    Py_ssize_t consumer_len
    uint64_t deliveries, stream_seq, consumer_seq, pending
    int64_t ts_ns

cdef class OriginIntake(CallbackReceiver):
    # `callback` takes what is more than the plain next message.
    cdef readonly StreamIngest ingest
    cdef readonly bint is_mirror
    cdef public bint is_plain           # False: every message goes to Python (subject transforms)
    cdef public bytes consumer          # that the origin made for us
    cdef public uint64_t consumer_seq   # of the last message that came from it
    cdef public uint64_t place          # the last sequence of the origin that was taken
    cdef public uint64_t lag
    cdef public int64_t last_heard_ns
    cdef public object on_moved         # () -> None: the place of a source moved
    cdef public bint is_told            # `on_moved` was called; its owner sets this back
    cdef bytes note_start, note_middle, note_end
    cdef char *header
    cdef Py_ssize_t header_capacity
    cdef bint take(self, Message *message) except -1
    cdef bint store_mirrored(self, Message *message, Place *place) except -1
    cdef bint store_sourced(self, Message *message, Place *place) except -1
    cdef Py_ssize_t write_header(self, Message *message, uint64_t stream_seq) except -1

cdef bint read_place(const char *reply, Py_ssize_t length, Place *place) noexcept
