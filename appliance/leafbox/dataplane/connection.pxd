# One transport: bytes in through a shared window, bytes out through one buffer, flushed once per loop turn.
from libc.stdint cimport int64_t, uint64_t

from leafbox.dataplane.message cimport Message
from leafbox.dataplane.routing cimport Receiver, Subscription

cdef int64_t monotonic_ns() noexcept nogil

cdef class BufferWindow:
    # What the event loop reads into; valid until the matching buffer_updated.
    cdef char *data
    cdef Py_ssize_t length
    cdef void *owner                    # the connection whose read is under way; NULL: none. Compared only

cdef class Engine:
    cdef readonly object loop
    cdef char *receive_buffer           # shared: a read is parsed before the next one starts
    cdef Py_ssize_t receive_capacity
    cdef BufferWindow window
    cdef bint is_parsing                # a read is being parsed: the window must not be handed out
    cdef list dirty                     # connections with output of this loop turn
    cdef bint flush_is_scheduled
    cdef char **pool                    # output chunks of idle connections
    cdef Py_ssize_t pool_count
    cdef readonly set blocked           # connections whose socket is full
    cdef public bint stalls_producers   # False: no_fast_producer_stall
    cdef public uint64_t in_msgs, in_bytes, out_msgs, out_bytes
    cdef public uint64_t slow_consumers, stalled, stale_connections
    cdef char *take_chunk(self) except NULL
    cdef void give_chunk(self, char *chunk) noexcept
    cdef int mark_dirty(self, Connection connection) except -1

cdef class Connection(Receiver):
    # -- identity and state, read by the control plane
    cdef readonly Engine engine
    cdef public object transport
    cdef public uint64_t cid
    cdef readonly bint closed               # no more input is parsed, nothing more is queued
    cdef bint end_is_announced, is_lost     # `on_closing` ran; the transport is gone
    cdef readonly str close_reason
    cdef public object framing              # None, or a codec between NATS bytes and the wire (WebSocket)
    # -- input
    cdef char *leftover                     # an operation that is not complete yet
    cdef Py_ssize_t leftover_len, leftover_capacity
    cdef Py_ssize_t wanted                  # bytes from the operation's start that complete it; 0: unknown
    cdef bint suspended                     # the control plane is deciding (a password check): parse nothing
    cdef bint reading_paused
    cdef bint stall_requested               # a receiver of ours is nearly full: rest before reading more
    cdef readonly int64_t last_activity_ns
    # -- output
    cdef int fd                             # >= 0: plain socket, written to directly
    cdef char *out
    cdef Py_ssize_t out_start, out_end, out_capacity
    cdef bint is_dirty
    cdef readonly bint write_is_blocked     # the transport holds bytes the peer has not taken
    cdef readonly int64_t blocked_since_ns
    cdef public Py_ssize_t max_pending      # bytes waiting for this peer before it counts as slow
    # -- counters
    cdef public uint64_t in_msgs, in_bytes, out_msgs, out_bytes, stalls
    # to override in a protocol: parse from `data`, return how many bytes were used up
    cdef Py_ssize_t consume(self, const char *data, Py_ssize_t length) except -1
    cdef int take_input(self, Py_ssize_t length) except -1
    cdef int parse(self, const char *data, Py_ssize_t length) except -1
    cdef int parse_framed(self, bytes data) except -1
    cdef int parse_decoded(self, bytes plain) except -1
    cdef int parse_behind_switch(self, bytes rest) except -1
    cdef int parse_plain(self, bytes plain, Py_ssize_t length) except -1
    cdef int keep_leftover(self, const char *data, Py_ssize_t length) except -1
    cdef int feed_leftover(self) except -1
    # output, for encoders: reserve room, write, then `written`
    cdef char *reserve(self, Py_ssize_t length) except NULL
    cdef int written(self, Py_ssize_t length) except -1
    cdef int append(self, const char *data, Py_ssize_t length) except -1
    cdef Py_ssize_t pending(self) noexcept
    cdef bint is_slow_for(self, Receiver origin, Py_ssize_t length) except -1
    cdef int flush_or_end(self) except -1
    cdef int flush(self) except -1
    cdef int flush_direct(self) except -1
    cdef int hand_to_transport(self) except -1
    cdef void release_output(self) noexcept
    cdef int end_after_error(self, error) except -1
