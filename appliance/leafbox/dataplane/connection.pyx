# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The transport shell under every protocol: receive window, leftover, output buffer, back-pressure.

Input. The loop reads into one buffer that all connections of an engine share, and a read is parsed to its end before
the next begins; only an incomplete operation is copied aside (`leftover`). So an idle connection holds no buffer. An
operation larger than half the shared buffer is gathered in a buffer of its own, which grows with what arrives, not
with what the peer announces.

Output. Encoders append to the connection's buffer; the engine flushes every connection that got something once per
loop turn. A plain socket is written to directly (one `send`); what the kernel does not take is handed to the transport
in chunks of HANDOVER_BYTES and the rest waits here, so that the pending count stays exact.

Errors. An exception that escapes a hook is a defect here, not the peer's fault: it goes to the loop's exception handler
and ends the connection whose hook it was, and no other.

Back-pressure. Above `max_pending` the connection is closed as a slow consumer. Above three quarters of it, a producer
that feeds it is asked to rest (nats-server: 2 to 5 ms per delivery, at most 10 ms per read).
"""
from cpython.buffer cimport PyBuffer_FillInfo
from libc.errno cimport EAGAIN, ECONNRESET, EINTR, EPIPE, errno as c_errno
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memmove
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

cdef extern from "sys/socket.h" nogil:
    ssize_t c_send "send"(int fd, const void *data, size_t length, int flags)
    int MSG_DONTWAIT
    int MSG_NOSIGNAL

cdef enum:
    # Measured on small messages: below 64 KiB throughput falls, above 256 KiB it no longer rises.
    RECEIVE_BYTES = 128 * 1024
    CHUNK_BYTES = 64 * 1024         # first output buffer of a connection that has something to send
    CHUNKS_KEPT = 64                # idle chunks kept for reuse: 4 MiB at most
    HANDOVER_BYTES = 256 * 1024     # at most this much at once is copied into the transport
    # A turn's output goes out while it still fits the first chunk and lies in the processor's cache: at 512 KiB fan-out
    # of 128 B to ten reached 6.3 M deliveries/s, at 56 KiB 18 M (grown buffers cost copies and page faults).
    FLUSH_EARLY_BYTES = 56 * 1024
    GATHER_BYTES = 64 * 1024        # first size of a buffer for one large operation

STALL_S = 0.005
# How long a closed connection may take to deliver its last bytes.
LINGER_S = 2.0


cdef int64_t monotonic_ns() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <int64_t>now.tv_sec * 1000000000 + now.tv_nsec


cdef class BufferWindow:
    """A writable view of memory that the data plane owns; handed to the event loop for one read."""

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.data, self.length, 0, flags)

    def __releasebuffer__(self, Py_buffer *view):
        pass

    # uvloop takes the pointer; TLS layers and asyncio's own loop also ask for the length and for slices.
    def __len__(self) -> int:
        return self.length

    def __getitem__(self, key):
        return memoryview(self)[key]


cdef class Engine:
    """What the connections of one server share. Belongs to one event loop and is used on its thread only."""

    def __cinit__(self, loop):
        self.loop = loop
        self.receive_capacity = RECEIVE_BYTES
        self.receive_buffer = <char *>malloc(RECEIVE_BYTES)
        self.pool = <char **>malloc(CHUNKS_KEPT * sizeof(char *))
        if self.receive_buffer == NULL or self.pool == NULL:
            raise MemoryError
        self.window = BufferWindow()
        self.dirty = []
        self.blocked = set()
        self.stalls_producers = True

    def __dealloc__(self):
        cdef Py_ssize_t i
        free(self.receive_buffer)
        for i in range(self.pool_count):
            free(self.pool[i])
        free(self.pool)

    cdef char *take_chunk(self) except NULL:
        cdef char *chunk
        if self.pool_count:
            self.pool_count -= 1
            return self.pool[self.pool_count]
        chunk = <char *>malloc(CHUNK_BYTES)
        if chunk == NULL:
            raise MemoryError
        return chunk

    cdef void give_chunk(self, char *chunk) noexcept:
        if self.pool_count < CHUNKS_KEPT:
            self.pool[self.pool_count] = chunk
            self.pool_count += 1
        else:
            free(chunk)

    cdef int mark_dirty(self, Connection connection) except -1:
        connection.is_dirty = True
        self.dirty.append(connection)
        if not self.flush_is_scheduled:
            self.flush_is_scheduled = True
            self.loop.call_soon(self.flush_all)
        return 0

    def flush_all(self) -> None:
        """Write what this loop turn produced, one write per connection."""
        cdef list dirty = self.dirty
        cdef Connection connection
        self.dirty = []
        self.flush_is_scheduled = False
        for item in dirty:
            connection = <Connection>item
            connection.is_dirty = False
            if connection.out_end > connection.out_start:
                connection.flush_or_end()


cdef class Connection(Receiver):
    """A buffered protocol for the event loop. Subclasses parse in `consume` and encode in `deliver`.

    Python subclasses override `on_connected`, `on_disconnected` and `on_end_of_input`; all three run on the loop.
    """

    def __cinit__(self, *args, **options):
        self.fd = -1
        self.max_pending = 64 * 1024 * 1024

    def __init__(self, Engine engine not None):
        self.engine = engine

    def __dealloc__(self):
        free(self.leftover)
        free(self.out)

    # -- hooks of the control plane -----------------------------------------------------------------------------------

    def on_connected(self) -> None:
        """The transport is ready."""

    def on_closing(self) -> None:
        """The connection ends: no more input, nothing more is queued. Called once, in a turn of its own, whoever
        closed; `close_reason` says why when it was us. The place to withdraw subscriptions."""

    def on_disconnected(self, error) -> None:
        """The transport is gone; called once, after `on_closing`."""

    def on_end_of_input(self) -> None:
        """The peer will send nothing more."""

    def on_slow_consumer(self) -> None:
        """More than `max_pending` bytes wait for this peer; it is being closed."""

    def on_write_deadline(self) -> None:
        """The peer has taken nothing for the write deadline; the default ends the connection."""
        self.abort("Slow Consumer (Write Deadline)")

    # -- event loop interface -----------------------------------------------------------------------------------------

    def connection_made(self, transport) -> None:
        cdef bint is_encrypted = transport.get_extra_info("ssl_object") is not None
        self.transport = transport
        self.fd = -1
        # 0: we are told as soon as the transport holds anything, and again when it holds nothing. TLS layers pause at
        # "at least" instead of "more than" the limit: 0 would pause them for ever.
        transport.set_write_buffer_limits(high=1 if is_encrypted else 0)
        self.last_activity_ns = monotonic_ns()
        if not is_encrypted and self.framing is None:
            sock = transport.get_extra_info("socket")
            if sock is not None:
                self.fd = sock.fileno()
        try:
            self.on_connected()
        except Exception as error:
            self.end_after_error(error)

    def connection_lost(self, error) -> None:
        self.closed = self.is_lost = True
        self.fd = -1
        self.engine.blocked.discard(self)
        self.release_output()
        free(self.leftover)
        self.leftover = NULL
        self.leftover_len = self.leftover_capacity = 0
        self.announce_end()
        self.on_disconnected(error)

    def get_buffer(self, Py_ssize_t hint):
        cdef Py_ssize_t needed
        cdef char *grown
        cdef BufferWindow window = self.engine.window
        if self.engine.is_parsing:
            # The window would be the memory that is being parsed. No loop reads inside a callback.
            raise RuntimeError("a read was begun while another one is parsed")
        window.owner = <void *>self
        if self.framing is not None:
            window.data = self.engine.receive_buffer
            window.length = self.engine.receive_capacity
            return window
        if self.leftover_len and (self.suspended or self.wanted > self.engine.receive_capacity // 2
                                  or self.leftover_len > self.engine.receive_capacity // 2):
            # Gather in our own buffer: never more than twice what is there, never more than the operation wants.
            if self.leftover_capacity - self.leftover_len < GATHER_BYTES // 2:
                needed = max(self.leftover_len * 2, GATHER_BYTES)
                if self.wanted and needed > self.wanted:
                    needed = max(self.wanted, self.leftover_len + GATHER_BYTES)
                grown = <char *>realloc(self.leftover, needed)
                if grown == NULL:
                    raise MemoryError
                self.leftover = grown
                self.leftover_capacity = needed
            window.data = self.leftover + self.leftover_len
            window.length = self.leftover_capacity - self.leftover_len
            return window
        if self.leftover_len:
            memcpy(self.engine.receive_buffer, self.leftover, self.leftover_len)
        window.data = self.engine.receive_buffer + self.leftover_len
        window.length = self.engine.receive_capacity - self.leftover_len
        return window

    def buffer_updated(self, Py_ssize_t length) -> None:
        cdef BufferWindow window = self.engine.window
        if window.owner != <void *>self or length < 0 or length > window.length:
            raise RuntimeError("buffer_updated without the get_buffer it belongs to")
        window.owner = NULL
        if self.closed:
            return
        self.last_activity_ns = monotonic_ns()
        self.engine.is_parsing = True
        try:
            self.take_input(length)
        except Exception as error:
            self.end_after_error(error)
        finally:
            self.engine.is_parsing = False
        if self.stall_requested:
            self.rest()

    def eof_received(self) -> bool:
        self.on_end_of_input()
        return False

    def pause_writing(self) -> None:
        self.write_is_blocked = True
        self.blocked_since_ns = monotonic_ns()
        self.engine.blocked.add(self)

    def resume_writing(self) -> None:
        self.write_is_blocked = False
        self.engine.blocked.discard(self)
        if self.framing is not None and not self.closed:
            try:
                self.send_pending_control()
            except Exception as error:
                self.end_after_error(error)
        if self.out_end > self.out_start and self.transport is not None:
            self.flush_or_end()

    # -- input --------------------------------------------------------------------------------------------------------

    cdef Py_ssize_t consume(self, const char *data, Py_ssize_t length) except -1:
        return length

    cdef int take_input(self, Py_ssize_t length) except -1:
        """Parse `length` bytes that stand in the window, together with what was left over before."""
        cdef Py_ssize_t total = self.leftover_len + length
        if self.framing is not None:
            return self.parse_framed(self.engine.receive_buffer[:length])
        if self.leftover_len and self.engine.window.data == self.leftover + self.leftover_len:
            self.leftover_len = total
            if self.suspended or (self.wanted and total < self.wanted):
                return 0
            return self.feed_leftover()
        self.leftover_len = 0
        if self.suspended:
            return self.keep_leftover(self.engine.receive_buffer, total)
        return self.parse(self.engine.receive_buffer, total)

    cdef int parse(self, const char *data, Py_ssize_t length) except -1:
        """Parse one read and keep what is incomplete. `data` must not be `self.leftover`."""
        cdef Py_ssize_t used
        cdef object framing = self.framing
        used = self.consume(data, length)
        if self.framing is not framing and not self.closed:
            return self.parse_behind_switch(data[used:length])
        self.keep_leftover(data + used, 0 if self.closed else length - used)
        return 0

    cdef int parse_framed(self, bytes data) except -1:
        """Take the protocol bytes out of frames; the frame codec keeps incomplete frames itself."""
        return self.parse_decoded(self.framing.decode(data))

    cdef int parse_decoded(self, bytes plain) except -1:
        while True:
            if len(plain) and not self.closed:
                self.parse_plain(plain, len(plain))
            # A small read may unpack to a lot: piece by piece, and not while nothing is parsed.
            if self.closed or self.suspended or not self.framing.has_more:
                break
            plain = self.framing.decode(b"")
        if self.closed:
            return 0
        self.send_pending_control()
        if self.framing.end_reason is not None:
            self.close(self.framing.end_reason)
        return 0

    def begin_framing(self, framing) -> None:
        """From the current operation on, both directions go through `framing`; what is queued goes out as it is."""
        if self.out_end > self.out_start:
            self.flush()
        if self.closed:
            return
        if self.out_end > self.out_start:
            # Released first: a write may call `resume_writing`, which flushes what is still there.
            queued = self.out[self.out_start:self.out_end]
            self.release_output()
            self.transport.write(queued)
        self.fd = -1
        self.framing = framing

    cdef int parse_behind_switch(self, bytes rest) except -1:
        """What a read held behind the operation that began a framing."""
        self.keep_leftover(NULL, 0)
        if rest:
            self.parse_decoded(self.framing.decode_own(rest))
        return 0

    cdef int parse_plain(self, bytes plain, Py_ssize_t length) except -1:
        """Parse bytes that are not in the receive window, behind what is left over."""
        cdef Py_ssize_t capacity
        cdef char *grown
        if self.leftover_len == 0 and not self.suspended:
            return self.parse(plain, length)
        if self.leftover_capacity - self.leftover_len < length:
            capacity = max(self.leftover_capacity * 2, self.leftover_len + length)
            grown = <char *>realloc(self.leftover, capacity)
            if grown == NULL:
                raise MemoryError
            self.leftover = grown
            self.leftover_capacity = capacity
        memcpy(self.leftover + self.leftover_len, <const char *>plain, length)
        self.leftover_len += length
        if not self.suspended and (self.wanted == 0 or self.leftover_len >= self.wanted):
            self.feed_leftover()
        return 0

    cdef int keep_leftover(self, const char *data, Py_ssize_t length) except -1:
        cdef char *kept
        if length == 0:
            if self.leftover != NULL:
                free(self.leftover)
                self.leftover = NULL
                self.leftover_capacity = 0
            self.leftover_len = 0
            return 0
        if length > self.leftover_capacity:
            kept = <char *>malloc(length)
            if kept == NULL:
                raise MemoryError
            memcpy(kept, data, length)
            free(self.leftover)
            self.leftover = kept
            self.leftover_capacity = length
        else:
            memmove(self.leftover, data, length)
        self.leftover_len = length
        return 0

    cdef int feed_leftover(self) except -1:
        """Parse what was gathered in our own buffer; afterwards small rests live in a small buffer again."""
        cdef char *data = self.leftover
        cdef Py_ssize_t length = self.leftover_len, used
        cdef object framing = self.framing
        self.leftover = NULL
        self.leftover_len = self.leftover_capacity = 0
        try:
            used = self.consume(data, length)
            if self.framing is not framing and not self.closed:
                self.parse_behind_switch(data[used:length])
            elif not self.closed:
                self.keep_leftover(data + used, length - used)
        finally:
            free(data)
        return 0

    def suspend(self) -> None:
        """Stop parsing after the current operation, until `resume`; what arrives is kept, reading is paused."""
        self.suspended = True
        if self.transport is not None and not self.reading_paused:
            self.reading_paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Go on after `suspend`: parse what was kept, then read again."""
        self.suspended = False
        if self.closed:
            return
        if self.leftover_len:
            try:
                self.feed_leftover()
            except Exception as error:
                self.end_after_error(error)
        if self.framing is not None and not self.closed and not self.suspended and self.framing.has_more:
            self.feed(b"")
        if not self.suspended and self.reading_paused and not self.closed:
            self.reading_paused = False
            self.transport.resume_reading()

    def feed(self, bytes data not None) -> None:
        """Parse bytes that did not come through the window (read before the upgrade of a socket)."""
        cdef bytes whole
        self.last_activity_ns = monotonic_ns()
        if self.closed:
            return
        try:
            if self.framing is not None:
                self.parse_framed(data)
                return
            whole = (self.leftover[:self.leftover_len] + data) if self.leftover_len else data
            self.leftover_len = 0
            if self.suspended:
                self.keep_leftover(whole, len(whole))
            else:
                self.parse(whole, len(whole))
        except Exception as error:
            self.end_after_error(error)

    def rest(self) -> None:
        """Pause reading for a few milliseconds because a receiver of ours is nearly full."""
        self.stall_requested = False
        if self.closed or self.reading_paused:
            return
        self.stalls += 1
        self.engine.stalled += 1
        self.reading_paused = True
        self.transport.pause_reading()
        self.engine.loop.call_later(STALL_S, self.end_rest)

    def end_rest(self) -> None:
        if not self.closed and self.reading_paused and not self.suspended:
            self.reading_paused = False
            self.transport.resume_reading()

    # -- output -------------------------------------------------------------------------------------------------------

    cdef char *reserve(self, Py_ssize_t length) except NULL:
        """Room for `length` bytes at the end of the output; the pointer is valid until the next call."""
        cdef Py_ssize_t used = self.out_end - self.out_start, capacity
        cdef char *grown
        if self.out_capacity - self.out_end >= length:
            return self.out + self.out_end
        if self.out == NULL and length <= CHUNK_BYTES:
            self.out = self.engine.take_chunk()
            self.out_capacity = CHUNK_BYTES
            self.out_start = self.out_end = 0
            return self.out
        if self.out_start and self.out_start >= used and self.out_capacity - used >= length:
            memcpy(self.out, self.out + self.out_start, used)
            self.out_start = 0
            self.out_end = used
            return self.out + used
        capacity = max(self.out_capacity * 2, CHUNK_BYTES)
        while capacity - used < length:
            capacity *= 2
        grown = <char *>malloc(capacity)
        if grown == NULL:
            raise MemoryError
        if used:
            memcpy(grown, self.out + self.out_start, used)
        if self.out != NULL:
            if self.out_capacity == CHUNK_BYTES:
                self.engine.give_chunk(self.out)
            else:
                free(self.out)
        self.out = grown
        self.out_capacity = capacity
        self.out_start = 0
        self.out_end = used
        return grown + used

    cdef int written(self, Py_ssize_t length) except -1:
        self.out_end += length
        if not self.is_dirty:
            self.engine.mark_dirty(self)
        elif (self.out_end - self.out_start > FLUSH_EARLY_BYTES and not self.write_is_blocked
              and self.fd >= 0 and not self.closed):
            self.flush_direct()
        return 0

    cdef int append(self, const char *data, Py_ssize_t length) except -1:
        # A peer that asks and never reads must not fill our memory with answers.
        if self.out_end - self.out_start + length > self.max_pending and self.is_slow_for(None, length):
            return 0
        memcpy(self.reserve(length), data, length)
        return self.written(length)

    def send(self, bytes data not None) -> None:
        """Queue bytes for the peer, in order with deliveries. Ignored once the connection is closed."""
        if not self.closed and len(data):
            self.append(data, len(data))

    cdef Py_ssize_t pending(self) noexcept:
        return self.out_end - self.out_start

    @property
    def pending_bytes(self) -> int:
        """Bytes queued for the peer that the kernel has not taken."""
        cdef Py_ssize_t held = self.out_end - self.out_start
        if self.write_is_blocked and self.transport is not None:
            held += self.transport.get_write_buffer_size()
        return held

    cdef bint is_slow_for(self, Receiver origin, Py_ssize_t length) except -1:
        """Apply the pending limits before `length` more bytes; True when the message must not be queued."""
        cdef Py_ssize_t pending = self.out_end - self.out_start + length
        cdef Connection producer
        if pending <= self.max_pending - (self.max_pending >> 2):
            return False
        if self.fd >= 0 and not self.write_is_blocked:
            self.flush_direct()
            pending = self.out_end - self.out_start + length
            if pending <= self.max_pending - (self.max_pending >> 2):
                return False
        if pending > self.max_pending:
            self.engine.slow_consumers += 1
            try:
                self.on_slow_consumer()
            except Exception as error:
                self.end_after_error(error)
            self.abort("Slow Consumer (Pending Bytes)")
            return True
        if origin is not None and origin is not self and isinstance(origin, Connection):
            if not self.engine.stalls_producers:
                return True
            producer = <Connection>origin
            producer.stall_requested = True
        return False

    cdef int flush_or_end(self) except -1:
        """Flush; a failure ends this connection, because bytes of its stream may be lost, and no other."""
        try:
            self.flush()
        except Exception as error:
            self.end_after_error(error)
        return 0

    cdef int flush(self) except -1:
        if self.closed:
            # The descriptor may be another connection's by now.
            self.release_output()
            return 0
        if self.transport is None:
            return 0
        if self.write_is_blocked:
            return 0
        if self.fd >= 0:
            if self.flush_direct() == 0:
                return 0
        return self.hand_to_transport()

    cdef int flush_direct(self) except -1:
        """Write straight to the socket. Returns 0 when all is out, 1 when the kernel's buffer is full."""
        cdef ssize_t sent
        while self.out_end > self.out_start:
            sent = c_send(self.fd, self.out + self.out_start, self.out_end - self.out_start,
                          MSG_DONTWAIT | MSG_NOSIGNAL)
            if sent < 0:
                if c_errno == EINTR:
                    continue
                if c_errno == EAGAIN:
                    return 1
                if c_errno == EPIPE or c_errno == ECONNRESET:
                    # The loop comes to the same end when it has read what the peer sent before it left.
                    self.release_output()
                else:
                    # The socket may recover; a stream with a hole in it must not go on.
                    self.abort("Write Error")
                return 0
            self.out_start += sent
        self.release_output()
        return 0

    cdef int hand_to_transport(self) except -1:
        """Give the transport one bounded piece; `resume_writing` comes back for the next."""
        cdef Py_ssize_t length
        cdef bytes piece
        while self.out_end > self.out_start and not self.write_is_blocked:
            length = min(self.out_end - self.out_start, <Py_ssize_t>HANDOVER_BYTES)
            piece = self.out[self.out_start:self.out_start + length]
            self.out_start += length
            if self.framing is not None:
                piece = self.framing.encode(piece)
            self.transport.write(piece)
        if self.out_end == self.out_start:
            self.release_output()
        return 0

    cdef void release_output(self) noexcept:
        if self.out != NULL:
            if self.out_capacity == CHUNK_BYTES:
                self.engine.give_chunk(self.out)
            else:
                free(self.out)
        self.out = NULL
        self.out_start = self.out_end = self.out_capacity = 0

    def send_pending_control(self) -> None:
        """Write what the frame codec answers by itself (pongs), unless the peer takes nothing: then it waits."""
        cdef bytes frames = self.framing.pending_control
        if frames and not self.write_is_blocked and self.transport is not None:
            self.framing.pending_control = b""
            self.transport.write(frames)

    # -- end ----------------------------------------------------------------------------------------------------------

    def close(self, str reason, bytes last_words=b"", *, bint hears_out=False) -> None:
        """Send what is queued and `last_words`, then close. Safe at any time; the first reason stands.

        With `hears_out` our side ends at once, but what the peer still sends is read and thrown away until it ends too,
        for a moment: a peer that is writing learns why it was closed, where a reset would hide the last words from it.
        """
        if self.closed:
            return
        if last_words:
            self.append(last_words, len(last_words))
        if self.out_end > self.out_start and not self.closed:
            self.flush()
        if self.closed:
            # Nothing more could be sent, and that is why it ended.
            return
        self.close_reason = reason
        if self.out_end > self.out_start and self.transport is not None and self.pending() <= HANDOVER_BYTES:
            piece = self.out[self.out_start:self.out_end]
            # Released first: a write may call `resume_writing`, which flushes what is still there.
            self.release_output()
            self.transport.write(self.framing.encode(piece) if self.framing is not None else piece)
        self.closed = True
        self.release_output()
        self.engine.loop.call_soon(self.announce_end)
        if self.transport is not None:
            if self.framing is not None:
                self.transport.write(self.framing.close_frame(reason))
            elif hears_out and self.transport.can_write_eof():
                if self.reading_paused:
                    self.transport.resume_reading()
                self.transport.write_eof()
                self.engine.loop.call_later(LINGER_S, self.end_lingering)
                return
            self.transport.close()
            if self.transport.get_write_buffer_size():
                # A peer that reads nothing must not keep a closed connection alive.
                self.engine.loop.call_later(LINGER_S, self.end_lingering)

    def end_lingering(self) -> None:
        """Time is up for what the peer has not taken."""
        if not self.is_lost:
            # asyncio's transports cannot be aborted once they have ended.
            self.transport.abort()

    def abort(self, str reason) -> None:
        """Close without sending what is queued."""
        if self.closed:
            return
        self.closed = True
        self.close_reason = reason
        self.release_output()
        self.engine.loop.call_soon(self.announce_end)
        if self.transport is not None:
            self.transport.abort()

    cdef int end_after_error(self, error) except -1:
        """Report an exception that escaped a hook and end this connection."""
        self.engine.loop.call_exception_handler({
            "message": f"connection {self.cid} is closed after an internal error",
            "exception": error,
            "protocol": self,
        })
        self.abort("Internal Error")
        return 0

    def announce_end(self) -> None:
        """Run `on_closing` once."""
        if not self.end_is_announced:
            self.end_is_announced = True
            try:
                self.on_closing()
            except Exception as error:
                # The transport's end must still be announced.
                self.end_after_error(error)
