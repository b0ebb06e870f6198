# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""From an origin into the stream that follows it: one call from the router to the store, as for a publish.

The plain case is here: the next message of the consumer we asked for, without a header that means something, into a
stream that has nothing to decide. A mirror appends it with the origin's sequence and time, a source with a sequence of
its own and the note where it came from. Everything else, from heartbeats to gaps and refusals, goes to Python
unchanged (`jetstream.origin`, `jetstream.sourcing`), which does the same for plain messages and is the specification.
"""
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memchr, memcmp, memcpy

from leafbox.dataplane.message cimport Message
from leafbox.dataplane.nats_connection cimport write_number
from leafbox.dataplane.routing cimport CallbackReceiver, Receiver, Subscription
from leafbox.dataplane.stream_ingest cimport StreamIngest, wall_ns
from leafbox.dataplane.stream_store cimport StreamStore

from leafbox.protocol.errors import LimitExceeded, StoreError

cdef enum:
    SHORT_TOKENS = 9
    LONG_TOKENS_MIN = 11
    # As `protocol.jetstream.ack_reply` believes; more would not fit the store's numbers.
    DIGITS_MAX = 19
    NUMBER_DIGITS = 20
    HEADER_BYTES_MAX = 65535


cdef class OriginIntake(CallbackReceiver):
    """The receiver of one attempt to follow an origin; the deliver subject is its alone."""

    def __init__(self, callback, StreamIngest ingest not None, *, is_mirror):
        CallbackReceiver.__init__(self, callback)
        self.ingest = ingest
        self.is_mirror = is_mirror
        self.is_plain = True
        self.consumer = b""
        self.note_start = self.note_middle = self.note_end = b""

    def __dealloc__(self):
        free(self.header)

    def set_note(self, bytes start not None, bytes middle not None, bytes end not None) -> None:
        """A source's note is `start`, the sequence, `middle`, the subject and `end`."""
        self.note_start, self.note_middle, self.note_end = start, middle, end

    cdef int deliver(self, Subscription subscription, Receiver origin, Message *message) except -1:
        if self.is_plain and not self.ingest.is_closed and self.take(message):
            subscription.delivered += 1
            return 1
        return CallbackReceiver.deliver(self, subscription, origin, message)

    cdef bint take(self, Message *message) except -1:
        """Store a plain message; False, with nothing done, when it is not one."""
        cdef StreamIngest ingest = self.ingest
        cdef Place place
        if ingest.takes_special or ingest.refuses_when_full or ingest.interest is not None:
            return False
        if not read_place(message.reply, message.reply_len, &place):
            return False
        if (place.deliveries > 1 or place.stream_seq <= self.place or place.consumer_seq != self.consumer_seq + 1
                or place.consumer_len != len(self.consumer)
                or memcmp(place.consumer, <const char *>self.consumer, place.consumer_len) != 0):
            return False
        if ingest.is_special(message) or not is_plain_subject(message.subject, message.subject_len):
            return False
        if self.is_mirror:
            if not self.store_mirrored(message, &place):
                return False
        elif not self.store_sourced(message, &place):
            return False
        self.consumer_seq = place.consumer_seq
        self.place = place.stream_seq
        self.lag = place.pending
        self.last_heard_ns = wall_ns()
        if not self.is_mirror and not self.is_told:
            self.is_told = True
            self.on_moved()
        return True

    cdef bint store_mirrored(self, Message *message, Place *place) except -1:
        cdef StreamIngest ingest = self.ingest
        cdef StreamStore store = ingest.store
        cdef int64_t size = store.size_of(message.subject_len, message.header_len,
                                          message.body_len - message.header_len)
        if place.stream_seq <= store.last_seq or (ingest.meter is not None and not ingest.meter.has_room(size)):
            return False
        try:
            if place.stream_seq > store.last_seq + 1:
                store.skip(place.stream_seq - 1)
            store.append(message.subject, message.subject_len, message.body, message.header_len,
                         message.body + message.header_len, message.body_len - message.header_len,
                         place.ts_ns, 0, place.stream_seq)
        except (StoreError, LimitExceeded):
            return False
        if ingest.meter is not None:
            ingest.meter.add(size)
        ingest.arrived(place.stream_seq, NULL, 0)
        return True

    cdef bint store_sourced(self, Message *message, Place *place) except -1:
        cdef StreamIngest ingest = self.ingest
        cdef StreamStore store = ingest.store
        cdef Py_ssize_t payload_len = message.body_len - message.header_len
        cdef Py_ssize_t header_len = self.write_header(message, place.stream_seq)
        cdef int64_t size = store.size_of(message.subject_len, header_len, payload_len)
        cdef uint64_t seq
        if header_len > HEADER_BYTES_MAX or 0 <= ingest.max_message_bytes < header_len + payload_len:
            return False
        if ingest.meter is not None and not ingest.meter.has_room(size):
            return False
        try:
            seq = store.append(message.subject, message.subject_len, self.header, header_len,
                               message.body + message.header_len, payload_len, wall_ns(), 0, 0)
        except (StoreError, LimitExceeded):
            return False
        if ingest.meter is not None:
            ingest.meter.add(size)
        ingest.last_msg_id = None
        ingest.arrived(seq, NULL, 0)
        return True

    cdef Py_ssize_t write_header(self, Message *message, uint64_t stream_seq) except -1:
        """The message's header with the note at its end."""
        cdef const char *start = self.note_start
        cdef const char *middle = self.note_middle
        cdef const char *end = self.note_end
        cdef Py_ssize_t size = (message.header_len + 10 + len(self.note_start) + NUMBER_DIGITS + len(self.note_middle)
                                + message.subject_len + len(self.note_end))
        cdef char *at
        if size > self.header_capacity:
            free(self.header)
            self.header_capacity = 0
            self.header = <char *>malloc(2 * size)
            if self.header == NULL:
                raise MemoryError
            self.header_capacity = 2 * size
        at = self.header
        if message.header_len:
            memcpy(at, message.body, message.header_len - 2)
            at += message.header_len - 2
        else:
            memcpy(at, b"NATS/1.0\r\n", 10)
            at += 10
        memcpy(at, start, len(self.note_start))
        at = write_number(at + len(self.note_start), stream_seq)
        memcpy(at, middle, len(self.note_middle))
        at += len(self.note_middle)
        memcpy(at, message.subject, message.subject_len)
        at += message.subject_len
        memcpy(at, end, len(self.note_end))
        return at + len(self.note_end) - self.header


cdef bint is_plain_subject(const char *subject, Py_ssize_t length) noexcept:
    """A literal subject of printable ASCII. Others come from another server, and Python looks closer."""
    cdef Py_ssize_t i
    cdef char before = c'.'
    for i in range(length):
        if subject[i] <= c' ' or subject[i] >= 127 or subject[i] == c'*' or subject[i] == c'>':
            return False
        if subject[i] == c'.' and before == c'.':
            return False
        before = subject[i]
    return before != c'.'


cdef bint read_place(const char *reply, Py_ssize_t length, Place *place) noexcept:
    """The parts of an acknowledgement subject, as `parse_ack_reply`; False for anything else."""
    cdef Py_ssize_t starts[LONG_TOKENS_MIN + 1]
    cdef Py_ssize_t i, first
    cdef int tokens = 1, n
    cdef uint64_t numbers[5]
    cdef const char *at
    cdef const char *end
    if length < 8 or memcmp(reply, b"$JS.ACK.", 8) != 0:
        return False
    starts[0] = 0
    for i in range(length):
        if reply[i] == c'.':
            if tokens <= LONG_TOKENS_MIN:
                starts[tokens] = i + 1
            tokens += 1
    if tokens == SHORT_TOKENS:
        first = 3
    elif tokens >= LONG_TOKENS_MIN:
        first = 5
    else:
        return False
    place.consumer = reply + starts[first]
    place.consumer_len = starts[first + 1] - starts[first] - 1
    for n in range(5):
        at = reply + starts[first + 1 + n]
        end = <const char *>memchr(at, c'.', reply + length - at)
        if end == NULL:
            end = reply + length
        if at == end or end - at > DIGITS_MAX:
            return False
        numbers[n] = 0
        while at < end:
            if at[0] < c'0' or at[0] > c'9':
                return False
            numbers[n] = numbers[n] * 10 + <uint64_t>(at[0] - c'0')
            at += 1
    if numbers[1] >> 63 or numbers[2] >> 63 or numbers[3] >> 63:
        return False
    place.deliveries, place.stream_seq, place.consumer_seq = numbers[0], numbers[1], numbers[2]
    place.ts_ns, place.pending = <int64_t>numbers[3], numbers[4]
    return True


def place_of(bytes reply not None):
    """`read_place` for tests: (consumer, deliveries, stream sequence, consumer sequence, time, pending) or None."""
    cdef Place place
    if not read_place(reply, len(reply), &place):
        return None
    return (place.consumer[:place.consumer_len], place.deliveries, place.stream_seq, place.consumer_seq, place.ts_ns,
            place.pending)
