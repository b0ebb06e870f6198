# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Publishing into a stream: one virtual call from the router to the store, acknowledgements in one go after the commit.

A stream is a receiver in its account's subject index. A plain message is checked against numbers, appended to the
store and remembered with its log sequence number; when the log says that number is durable, the gate lets the stream
write all acknowledgements up to it and wakes the consumers, which see only durable messages. Memory streams and
`persist_mode: async` do not wait.

What needs a decision goes to Python: headers that start with `Nats-` (but for an id alone), a status line, transforms,
republish, batches, refusals, duplicates. No Python object is made for a plain message.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcmp, memcpy, memmove
from posix.time cimport CLOCK_MONOTONIC, CLOCK_REALTIME, clock_gettime, clockid_t, timespec

from leafbox.dataplane.message cimport Message
from leafbox.dataplane.message_ids cimport DuplicateWindow, IdLog, plain_id
from leafbox.dataplane.nats_connection cimport write_number
from leafbox.dataplane.routing cimport Receiver, Subscription, route
from leafbox.dataplane.store_block cimport MessageView
from leafbox.dataplane.stream_store cimport RemovalObserver, StreamStore
from leafbox.dataplane.sublist cimport MatchResult, Sublist

from collections import deque

from leafbox.protocol.errors import LimitExceeded, StoreError

cdef extern from "string.h" nogil:
    void *memmem(const void *haystack, size_t haystack_len, const void *needle, size_t needle_len)

cdef enum:
    HEADER_BYTES_MAX = 65535    # nats-server keeps the length in 16 bits
    NUMBER_DIGITS = 20
    REPLY_ON_STACK = 512
    STATUS_LINE = 10            # len("NATS/1.0\r\n")


# Tests and simulations stop the clock of streams and consumers; 0 is the real time.
cdef int64_t frozen_ns = 0
# The wall clock minus the steady one, as adopted last; 0: nobody watches the clock, so it is read as it is.  A box
# without a clock of its own is set by years once it has reached a time server: time goes on steadily here until
# `adopt_clock`, so that whoever calls it can move all timers in the same turn of the loop.
cdef int64_t clock_offset_ns = 0


cdef int64_t read_clock(clockid_t which) noexcept nogil:
    cdef timespec now
    clock_gettime(which, &now)
    return <int64_t>now.tv_sec * 1000000000 + now.tv_nsec


def freeze_clock(int64_t time_ns) -> None:
    """Let every stream and consumer of this process see `time_ns` as the wall clock; 0 thaws it. For tests."""
    global frozen_ns
    frozen_ns = time_ns


def now_ns() -> int:
    """The wall clock that streams and consumers use, in nanoseconds."""
    return wall_ns()


def adopt_clock() -> int:
    """Go by the machine's wall clock as it is set now, and steadily until the next call.

    Returns by how many nanoseconds it was set since the last call, 0 at the first one.
    """
    global clock_offset_ns
    cdef int64_t before = clock_offset_ns
    clock_offset_ns = read_clock(CLOCK_REALTIME) - read_clock(CLOCK_MONOTONIC)
    return clock_offset_ns - before if before else 0


cdef int64_t wall_ns() noexcept nogil:
    if frozen_ns:
        return frozen_ns
    if clock_offset_ns:
        return read_clock(CLOCK_MONOTONIC) + clock_offset_ns
    return read_clock(CLOCK_REALTIME)


cdef class Task(Receiver):
    """Work that several causes may ask for and that is done once, at the end of the loop turn."""

    cdef int run(self) except -1:
        return 0


cdef class CommitGate:
    """Knows how far the log is durable, and what waits for it. One per server; belongs to the loop."""

    def __init__(self, loop):
        self.loop = loop
        self.waiting = []
        self.replies = deque()
        self.tasks = []

    def on_durable(self, uint64_t lsn) -> None:
        """The log is on the device up to `lsn`: acknowledge, make visible, call back. Runs on the loop."""
        cdef list waiting = self.waiting
        cdef StreamIngest ingest
        self.durable_lsn = lsn
        self.waiting = []
        for item in waiting:
            ingest = <StreamIngest>item
            ingest.is_waiting = False
            ingest.settle(lsn)
        replies = self.replies
        while replies and replies[0][0] <= lsn:
            replies.popleft()[1]()

    def when_durable(self, uint64_t lsn, callback) -> None:
        """Call `callback()` once the log is durable up to `lsn`; at once if it is."""
        if lsn <= self.durable_lsn:
            callback()
            return
        if lsn > self.newest_reply_lsn:
            self.newest_reply_lsn = lsn
        self.replies.append((self.newest_reply_lsn, callback))

    cdef int wait(self, StreamIngest ingest) except -1:
        if not ingest.is_waiting:
            ingest.is_waiting = True
            self.waiting.append(ingest)
        return 0

    cdef int wake(self, Task task) except -1:
        if not task.is_queued:
            task.is_queued = True
            self.tasks.append(task)
            if not self.run_is_scheduled:
                self.run_is_scheduled = True
                self.loop.call_soon(self.run_tasks)
        return 0

    def run_tasks(self) -> None:
        """Run what was woken in this turn. A task that fails is reported to the loop and does not stop the others."""
        cdef list tasks = self.tasks
        cdef Task task
        cdef Py_ssize_t done = 0
        self.tasks = []
        self.run_is_scheduled = False
        try:
            while done < len(tasks):
                task = <Task>tasks[done]
                done += 1
                task.is_queued = False
                task.run()
        finally:
            if done < len(tasks):
                # One failed: the loop reports it, the others run in the next turn.
                self.tasks = tasks[done:] + self.tasks
                if not self.run_is_scheduled:
                    self.run_is_scheduled = True
                    self.loop.call_soon(self.run_tasks)


cdef class StorageMeter:
    """Bytes used of one kind of storage; a chain account -> server answers whether one more message fits."""

    def __init__(self, limit=-1, StorageMeter parent=None):
        self.limit = limit
        self.parent = parent

    def fits(self, int64_t size) -> bool:
        """Whether `size` more bytes stay within every limit of the chain."""
        return self.has_room(size)

    def adjust(self, int64_t size) -> None:
        """Count bytes in (or out, negative) that did not pass through a stream."""
        self.add(size)


cdef class StreamReader(Task):
    """A consumer as its stream sees it."""

    cdef void message_removed(self, uint64_t seq, uint32_t subject_number) noexcept:
        pass

    cdef bint is_idle(self) noexcept:
        return False


cdef class StreamObserver(RemovalObserver):
    """Passes on what leaves the store: to the storage meter and to the consumers."""
    cdef StreamIngest ingest

    def __init__(self, StreamIngest ingest):
        self.ingest = ingest

    cdef void removed(self, StreamStore store, uint64_t seq, uint32_t subject_number, uint64_t size) noexcept:
        cdef list readers = self.ingest.readers
        cdef Py_ssize_t i
        if self.ingest.meter is not None:
            self.ingest.meter.add(-<int64_t>size)
        for i in range(len(readers)):
            (<StreamReader>readers[i]).message_removed(seq, subject_number)


cdef class StreamIngest(Task):
    """The compiled half of a stream. `ack_prefix` is the acknowledgement up to the sequence's digits."""

    def __init__(self, StreamStore store not None, AccountPlane account not None, CommitGate gate not None,
                 bytes ack_prefix not None):
        self.store = store
        self.account = account
        self.gate = gate
        self.readers = []
        self.acknowledges = True
        self.waits_for_commit = store.journal is not None
        self.max_message_bytes = -1
        self.visible_seq = store.last_seq
        self.ack_prefix_len = len(ack_prefix)
        self.ack_text = <char *>malloc(self.ack_prefix_len + NUMBER_DIGITS + 1)
        if self.ack_text == NULL:
            raise MemoryError
        memcpy(self.ack_text, <const char *>ack_prefix, self.ack_prefix_len)
        store.observer = StreamObserver(self)

    def __dealloc__(self):
        free(self.arrivals)
        free(self.replies)
        free(self.ack_text)

    def close(self) -> None:
        """Take nothing more and forget what waits; the store is the caller's."""
        self.is_closed = True
        self.store.observer = None
        self.readers = []
        self.arrival_start = self.arrival_end = 0

    # -- messages in --------------------------------------------------------------------------------------------------

    cdef int deliver(self, Subscription subscription, Receiver origin, Message *message) except -1:
        if self.is_closed:
            return 0
        subscription.delivered += 1
        if self.takes_special or self.is_special(message):
            if not self.takes_special and message.header_len and self.take_identified(message):
                return 1
            self.on_special(
                message.subject[:message.subject_len],
                message.reply[:message.reply_len] if message.reply_len else b"",
                message.body[:message.header_len] if message.header_len else b"",
                message.body[message.header_len:message.body_len] if message.body_len > message.header_len else b"",
                origin,
            )
            return 1
        self.ingest(message)
        return 1

    cdef bint is_special(self, Message *message) noexcept:
        if message.header_len:
            if message.header_len < STATUS_LINE or memcmp(message.body, b"NATS/1.0\r\n", STATUS_LINE):
                return True
            if memmem(message.body, message.header_len, b"\nNats-", 6) != NULL:
                return True
        if self.takes_fast_batches and message.reply_len > 4:
            return memcmp(message.reply + message.reply_len - 4, b".$FI", 4) == 0
        return False

    cdef bint take_identified(self, Message *message) except -1:
        """Store a message whose only special header is an id not seen before; False, with nothing done, for others."""
        cdef StreamStore store = self.store
        cdef DuplicateWindow window = self.window
        cdef IdLog log = self.id_log
        cdef int64_t size, now_ns
        cdef bytes msg_id
        cdef uint64_t seq
        if window is None or window.window_ns <= 0 or message.header_len > HEADER_BYTES_MAX:
            return False
        if self.takes_fast_batches and message.reply_len > 4 and (
                memcmp(message.reply + message.reply_len - 4, b".$FI", 4) == 0):
            return False
        if store.journal is not None and (log is None or not log.takes()):
            return False
        if self.max_message_bytes >= 0 and message.body_len > self.max_message_bytes:
            return False
        msg_id = plain_id(message.body, message.header_len)
        if msg_id is None:
            return False
        now_ns = wall_ns()
        size = store.size_of(message.subject_len, message.header_len, message.body_len - message.header_len)
        if window.find_id(msg_id, now_ns) or (self.meter is not None and not self.meter.has_room(size)):
            return False
        if self.interest is not None and not self.interest.matches_any(message.subject, message.subject_len):
            return False
        if self.refuses_when_full and self.fullness(message.subject, message.subject_len, size) is not None:
            return False
        try:
            seq = store.append(message.subject, message.subject_len, message.body, message.header_len,
                               message.body + message.header_len, message.body_len - message.header_len, now_ns, 0, 0)
        except (StoreError, LimitExceeded):
            return False
        if self.meter is not None:
            self.meter.add(size)
        if store.journal is not None:
            log.note(msg_id, seq, now_ns)
        window.remember_id(msg_id, seq, now_ns)
        self.last_msg_id = msg_id.decode("ascii")
        self.arrived(seq, message.reply, message.reply_len)
        return True

    cdef int refuse(self, Message *message, str reason) except -1:
        self.on_refused(
            message.subject[:message.subject_len],
            message.reply[:message.reply_len] if message.reply_len else b"",
            message.body[:message.header_len] if message.header_len else b"",
            message.body[message.header_len:message.body_len] if message.body_len > message.header_len else b"",
            reason,
        )
        return 0

    cdef int ingest(self, Message *message) except -1:
        """Store a message that passed all header checks, or have it refused. 1 when it was taken."""
        cdef StreamStore store = self.store
        cdef int64_t size
        cdef uint64_t seq
        if self.max_message_bytes >= 0 and message.body_len > self.max_message_bytes:
            return self.refuse(message, "size")
        if message.header_len > HEADER_BYTES_MAX:
            return self.refuse(message, "header")
        size = store.size_of(message.subject_len, message.header_len, message.body_len - message.header_len)
        if self.meter is not None and not self.meter.has_room(size):
            return self.refuse(message, "resources")
        if self.interest is not None and not self.interest.matches_any(message.subject, message.subject_len):
            return self.pass_over(message)
        if self.refuses_when_full:
            reason = self.fullness(message.subject, message.subject_len, size)
            if reason is not None:
                return self.refuse(message, reason)
        try:
            seq = store.append(message.subject, message.subject_len, message.body, message.header_len,
                               message.body + message.header_len, message.body_len - message.header_len,
                               wall_ns(), 0, 0)
        except (StoreError, LimitExceeded):
            return self.refuse(message, "store")
        if self.meter is not None:
            self.meter.add(size)
        if self.last_msg_id is not None:
            self.last_msg_id = None
        self.arrived(seq, message.reply, message.reply_len)
        return 1

    cdef int pass_over(self, Message *message) except -1:
        """Nobody wants it (interest retention): the sequence is used up, the publisher hears the usual."""
        cdef uint64_t seq = self.store.last_seq + 1
        self.store.skip(seq)
        self.last_msg_id = None
        self.arrived(seq, message.reply, message.reply_len)
        return 1

    cdef str fullness(self, const char *subject, Py_ssize_t subject_len, int64_t size):
        """Why discard new refuses a message of `size` stored bytes, or None.

        A subject that is at its own limit makes room by its oldest message, unless that limit refuses, too.
        """
        cdef StreamStore store = self.store
        cdef MessageView oldest
        cdef int64_t freed = 0
        if store.max_messages_per_subject > 0 and (
                <int64_t>store.count_of(subject, subject_len) >= store.max_messages_per_subject):
            if self.refuses_when_subject_full:
                return "subject messages"
            if store.load(store.first_seq_of(subject, subject_len), &oldest) == 1:
                freed = store.size_of(oldest.subject_size, oldest.header_size, oldest.payload_size)
        if store.max_messages > 0 and <int64_t>store.messages >= store.max_messages and not freed:
            return "messages"
        if store.max_bytes > 0 and <int64_t>store.stored_bytes + size - freed > store.max_bytes:
            return "bytes"
        return None

    def full_reason(self, bytes subject not None, bytes header not None, bytes payload not None):
        """The refusal of discard new for a message that Python is about to store, or None."""
        if not self.refuses_when_full:
            return None
        return self.fullness(subject, len(subject), self.store.size_of(len(subject), len(header), len(payload)))

    def is_wanted(self, bytes subject not None) -> bool:
        """Whether interest retention has a consumer for the subject; True for other streams."""
        return self.interest is None or self.interest.matches_any(subject, len(subject))

    def store_message(self, bytes subject not None, bytes header not None, bytes payload not None, bytes reply not None,
                      int64_t ts_ns=0, int64_t expires_ns=0, uint64_t seq=0) -> int:
        """Append without any check; `reply` (if any) gets the plain acknowledgement once it is durable.

        Returns the sequence. `ts_ns` 0 is now; `expires_ns` 0 is never; `seq` 0 is the next one.
        """
        cdef uint64_t stored
        stored = self.store.append(subject, len(subject), header, len(header), payload, len(payload),
                                   ts_ns if ts_ns else wall_ns(), expires_ns, seq)
        if self.meter is not None:
            self.meter.add(self.store.size_of(len(subject), len(header), len(payload)))
        self.arrived(stored, reply, len(reply))
        return stored

    def skip_message(self, bytes reply not None) -> int:
        """Use up one sequence without storing (interest retention without interest)."""
        cdef uint64_t seq = self.store.last_seq + 1
        self.store.skip(seq)
        self.arrived(seq, reply, len(reply))
        return seq

    # -- acknowledgements out -----------------------------------------------------------------------------------------

    cdef int arrived(self, uint64_t seq, const char *reply, Py_ssize_t reply_len) except -1:
        """Remember a stored message until it is durable; acknowledge at once if nothing has to be waited for."""
        cdef Arrival *grown
        cdef Arrival *arrival
        cdef char *grown_replies
        if not self.acknowledges:
            reply_len = 0
        if not self.waits_for_commit:
            if self.store.journal is None or self.arrival_end == self.arrival_start:
                self.visible_seq = seq
            if reply_len:
                self.acknowledge(reply, reply_len, seq)
            return self.wake_readers()
        if self.arrival_end == self.arrival_capacity:
            self.arrival_capacity = max(self.arrival_capacity * 2, 256)
            grown = <Arrival *>realloc(self.arrivals, self.arrival_capacity * sizeof(Arrival))
            if grown == NULL:
                raise MemoryError
            self.arrivals = grown
        if self.reply_end + reply_len > self.reply_capacity:
            self.reply_capacity = max(self.reply_capacity * 2, self.reply_end + reply_len + 4096)
            grown_replies = <char *>realloc(self.replies, self.reply_capacity)
            if grown_replies == NULL:
                raise MemoryError
            self.replies = grown_replies
        arrival = &self.arrivals[self.arrival_end]
        arrival.lsn = self.store.applied_lsn
        arrival.seq = seq
        arrival.reply_at = <uint32_t>self.reply_end
        arrival.reply_len = <uint32_t>reply_len
        if reply_len:
            memcpy(self.replies + self.reply_end, reply, reply_len)
            self.reply_end += reply_len
        self.arrival_end += 1
        return self.gate.wait(self)

    cdef int acknowledge(self, const char *reply, Py_ssize_t reply_len, uint64_t seq) except -1:
        cdef Message message
        cdef char *end = write_number(self.ack_text + self.ack_prefix_len, seq)
        end[0] = c'}'
        message.subject = reply
        message.subject_len = reply_len
        message.reply = NULL
        message.reply_len = 0
        message.body = self.ack_text
        message.header_len = 0
        message.body_len = end + 1 - self.ack_text
        message.wire_subject = NULL
        route(self.account, None, &message)
        return 0

    cdef int settle(self, uint64_t durable_lsn) except -1:
        """Acknowledge and show everything up to a log sequence number; runs inside the gate's notification.

        The ring may move while acknowledgements are routed (a receiver may publish), hence the copies.
        """
        cdef Arrival arrival
        cdef char reply[REPLY_ON_STACK]
        cdef bytes long_reply
        while self.arrival_start < self.arrival_end and self.arrivals[self.arrival_start].lsn <= durable_lsn:
            arrival = self.arrivals[self.arrival_start]
            self.arrival_start += 1
            self.visible_seq = arrival.seq
            if arrival.reply_len:
                if arrival.reply_len <= REPLY_ON_STACK:
                    memcpy(reply, self.replies + arrival.reply_at, arrival.reply_len)
                    self.acknowledge(reply, arrival.reply_len, arrival.seq)
                else:
                    long_reply = self.replies[arrival.reply_at:arrival.reply_at + arrival.reply_len]
                    self.acknowledge(long_reply, arrival.reply_len, arrival.seq)
        if self.arrival_start == self.arrival_end:
            self.arrival_start = self.arrival_end = self.reply_end = 0
        else:
            self.squeeze()
            self.gate.wait(self)
        return self.wake_readers()

    cdef int squeeze(self) except -1:
        """Move what still waits to the front, once half of the ring is behind us."""
        cdef uint32_t base
        cdef Py_ssize_t i, count = self.arrival_end - self.arrival_start
        if self.arrival_start < count:
            return 0
        base = self.arrivals[self.arrival_start].reply_at
        memmove(self.arrivals, self.arrivals + self.arrival_start, count * sizeof(Arrival))
        memmove(self.replies, self.replies + base, self.reply_end - base)
        for i in range(count):
            self.arrivals[i].reply_at -= base
        self.arrival_start = 0
        self.arrival_end = count
        self.reply_end -= base
        return 0

    # -- consumers ----------------------------------------------------------------------------------------------------

    cdef int wake_readers(self) except -1:
        cdef list readers = self.readers
        cdef Py_ssize_t i
        for i in range(len(readers)):
            # A thousand consumers without requests must not cost a thousand turns per commit.
            if not (<StreamReader>readers[i]).is_idle():
                self.gate.wake(<Task>readers[i])
        return 0

    def add_reader(self, StreamReader reader not None) -> None:
        """Wake this consumer when messages become visible, and tell it about removals."""
        self.readers = [*self.readers, reader]

    def remove_reader(self, StreamReader reader not None) -> None:
        """Undo `add_reader`; unknown ones are ignored."""
        self.readers = [other for other in self.readers if other is not reader]

    def show_all(self) -> None:
        """Make everything stored visible (after recovery, or when nothing waits for a commit any more)."""
        self.visible_seq = self.store.last_seq
        self.wake_readers()
