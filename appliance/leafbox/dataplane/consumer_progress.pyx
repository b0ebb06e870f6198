# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The progress of one consumer: what was delivered, what is pending, what is acknowledged, what comes again.

The consumer is the receiver of its acknowledgement subject (`$JS.ACK.<stream>.<consumer>.…`), so an acknowledgement is
parsed and applied without a Python object. Everything that changes the progress is one step in a small array; runs of
deliveries and of acknowledgements are one step each. At the end of the loop turn the array goes to the log as one
record, and acknowledgements that the client waits for are answered once that record is durable. The same steps replay
after a restart.

Sequence numbers and floors follow nats-server: a redelivery takes a new consumer sequence, the pending entry keeps the
first one; the floor is the highest position below which nothing is pending.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy

from leafbox.dataplane.consumer_pending cimport Pending, PendingTable
from leafbox.dataplane.message cimport Message
from leafbox.dataplane.routing cimport Receiver, Subscription
from leafbox.dataplane.store_block cimport MessageView
from leafbox.dataplane.store_subjects cimport SubjectFilter
from leafbox.dataplane.stream_ingest cimport StreamIngest, StreamReader, wall_ns

import struct
from collections import deque
from random import randrange

from leafbox.protocol.errors import StoreCorrupt

cdef enum:
    ACK_TOKENS_V1 = 9
    ACK_TOKENS_V2 = 11
    STEPS_FIRST = 32

_HEAD = struct.Struct("<BQQQQQII")
_PENDING = struct.Struct("<QQq")
_REDELIVERED = struct.Struct("<QI")
_VERSION = 1
# A burst of messages that expire together is looked at once.
cdef int64_t EXPIRY_SLACK_NS = 1000000


cdef bint parse_ack_subject(const char *subject, Py_ssize_t length, AckSubject *ack) noexcept:
    """`$JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<deliveries>.<sseq>.<cseq>.<ts>.<pending>[.…]`."""
    cdef Py_ssize_t starts[16]
    cdef int tokens = 1, first
    cdef Py_ssize_t i
    starts[0] = 0
    for i in range(length):
        if subject[i] == c'.':
            if tokens < 16:
                starts[tokens] = i + 1
            tokens += 1
    if tokens != ACK_TOKENS_V1 and tokens < ACK_TOKENS_V2:
        return False
    first = 4 if tokens == ACK_TOKENS_V1 else 6
    ack.deliveries = number_at(subject, length, starts[first])
    ack.stream_seq = number_at(subject, length, starts[first + 1])
    ack.consumer_seq = number_at(subject, length, starts[first + 2])
    return ack.stream_seq > 0


cdef uint64_t number_at(const char *text, Py_ssize_t length, Py_ssize_t at) noexcept:
    cdef uint64_t value = 0
    while at < length and text[at] != c'.':
        if text[at] < c'0' or text[at] > c'9':
            return 0
        value = value * 10 + <uint64_t>(text[at] - c'0')
        at += 1
    return value


cdef class ConsumerProgress(StreamReader):
    """Base of `ConsumerDelivery`; a Python subclass supplies the hooks at the end."""

    def __init__(self, StreamIngest ingest not None, SubjectFilter filter=None):
        self.ingest = ingest
        self.store = ingest.store
        self.filter = filter
        self.pending = PendingTable()
        self.redelivered = {}
        self.redelivery_queue = deque()
        self.gone = []
        self.skip_list = []
        self.ack_replies = []
        self.backoff_ns = ()
        self.max_deliver = -1
        self.next_stream_seq = self.next_consumer_seq = 1

    def __dealloc__(self):
        free(self.steps)

    # -- acknowledgements in ------------------------------------------------------------------------------------------

    cdef int deliver(self, Subscription subscription, Receiver origin, Message *message) except -1:
        subscription.delivered += 1
        if self.is_closed:
            return 0
        self.process_ack(message)
        return 1

    cdef int process_ack(self, Message *message) except -1:
        cdef AckSubject ack
        cdef const char *body = message.body + message.header_len
        cdef Py_ssize_t length = message.body_len - message.header_len
        cdef bint answers
        if not parse_ack_subject(message.subject, message.subject_len, &ack):
            return 0
        self.last_active_ns = wall_ns()
        if length == 0 or (length == 4 and memcmp(body, b"+ACK", 4) == 0) or (length == 3
                                                                          and memcmp(body, b"+OK", 3) == 0):
            answers = self.acknowledge(&ack)
        elif length >= 4 and memcmp(body, b"+NXT", 4) == 0:
            self.acknowledge(&ack)
            self.on_next_request(message.reply[:message.reply_len], body[4:length])
            answers = False
        elif length >= 4 and memcmp(body, b"-NAK", 4) == 0:
            self.nak(ack.stream_seq, ack.consumer_seq, ack.deliveries, body[4:length].strip())
            answers = True
        elif length == 4 and memcmp(body, b"+WPI", 4) == 0:
            self.in_progress(ack.stream_seq)
            answers = True
        elif length >= 5 and memcmp(body, b"+TERM", 5) == 0:
            answers = self.acknowledge(&ack)
            self.on_terminated(ack.stream_seq, ack.consumer_seq, ack.deliveries, body[5:length].strip())
        else:
            answers = True
        if answers and message.reply_len:
            self.ack_replies.append(message.reply[:message.reply_len])
        # Also without a step: a consumer that was at max_ack_pending may deliver again.
        return self.ingest.gate.wake(self)

    cdef bint acknowledge(self, AckSubject *ack) except -1:
        """Apply one acknowledgement; True when the client may be answered."""
        if ack.stream_seq >= self.next_stream_seq:
            return False
        if self.ack_policy == ACK_EXPLICIT:
            return self.acknowledge_one(ack)
        if self.ack_policy == ACK_NONE:
            return self.retention != RETAIN_LIMITS
        return self.acknowledge_to(ack)

    cdef bint acknowledge_one(self, AckSubject *ack) except -1:
        cdef Pending *entry = self.pending.find(ack.stream_seq)
        if entry != NULL:
            if self.sample_percent and randrange(100) < self.sample_percent:
                self.on_sampled(ack.stream_seq, ack.consumer_seq, ack.deliveries, entry.ts_ns)
                entry = self.pending.find(ack.stream_seq)
            self.forget(ack.stream_seq)
            self.record(ACKNOWLEDGED, 1, ack.stream_seq, 0, 0)
            self.last_acked_ns = self.last_active_ns
        elif self.redelivered and self.redelivered.pop(ack.stream_seq, None) is not None:
            self.record(ACKNOWLEDGED, 1, ack.stream_seq, 0, 0)
        if self.retention != RETAIN_LIMITS:
            self.release(ack.stream_seq)
        return True

    cdef int forget(self, uint64_t stream_seq) except -1:
        """Take a message out of pending and redelivery, and move the floor."""
        cdef Pending *entry = self.pending.find(stream_seq)
        cdef uint64_t consumer_seq
        if self.redelivered:
            self.redelivered.pop(stream_seq, None)
        if entry == NULL:
            return 0
        consumer_seq = entry.consumer_seq
        self.pending.remove(entry)
        self.move_floor(consumer_seq)
        return 0

    cdef void move_floor(self, uint64_t consumer_seq) noexcept:
        cdef Pending *first
        if self.pending.count == 0:
            self.floor_consumer_seq = self.next_consumer_seq - 1
            self.floor_stream_seq = self.delivered_stream_seq
            self.expiry_ns = 0
        elif consumer_seq == self.floor_consumer_seq + 1:
            first = self.pending.first()
            self.floor_consumer_seq = first.consumer_seq - 1
            self.floor_stream_seq = first.stream_seq - 1

    cdef bint acknowledge_to(self, AckSubject *ack) except -1:
        cdef Pending *entry = self.pending.first()
        cdef list released = []
        if ack.consumer_seq <= self.floor_consumer_seq or ack.stream_seq <= self.floor_stream_seq:
            return True
        self.floor_consumer_seq = ack.consumer_seq
        self.floor_stream_seq = ack.stream_seq
        while entry != NULL and entry.stream_seq <= ack.stream_seq:
            if self.retention != RETAIN_LIMITS:
                released.append(entry.stream_seq)
            if self.redelivered:
                self.redelivered.pop(entry.stream_seq, None)
            self.pending.remove(entry)
            entry = self.pending.first()
        if self.pending.count == 0:
            self.expiry_ns = 0
        self.record(ACKNOWLEDGED_TO, 1, ack.stream_seq, ack.consumer_seq, 0)
        self.last_acked_ns = self.last_active_ns
        for stream_seq in released:
            self.release(stream_seq)
        return True

    cdef int release(self, uint64_t stream_seq) except -1:
        """This consumer is done with a message of an interest or workqueue stream: remove it unless another wants it."""
        cdef list readers = self.ingest.readers
        cdef MessageView view
        cdef Py_ssize_t i
        if not self.store.has(stream_seq):
            return 0
        if len(readers) > 1:
            if self.store.load(stream_seq, &view) != 1:
                return 0
            for i in range(len(readers)):
                if readers[i] is not self and isinstance(readers[i], ConsumerProgress):
                    if (<ConsumerProgress>readers[i]).needs(stream_seq, view.subject_number):
                        return 0
        self.store.remove(stream_seq, False)
        return 0

    cdef bint needs(self, uint64_t seq, uint32_t subject_number) except -1:
        """Whether this consumer still wants the message (interest retention)."""
        if self.filter is not None and not self.filter.matches(subject_number):
            return False
        if seq > self.floor_stream_seq:
            if self.ack_policy != ACK_EXPLICIT or seq >= self.next_stream_seq:
                return True
            if self.pending.find(seq) != NULL:
                return True
        return bool(self.redelivered) and seq in self.redelivered

    def still_needs(self, uint64_t seq, bytes subject not None) -> bool:
        """`needs` for the control plane."""
        cdef uint32_t number
        if self.filter is not None and not self.filter.matches_name(subject, len(subject)):
            return False
        number = self.store.subjects.find(subject, len(subject))
        return self.needs(seq, number)

    # -- other answers ------------------------------------------------------------------------------------------------

    def nak(self, uint64_t stream_seq, uint64_t consumer_seq, uint64_t deliveries, bytes argument) -> None:
        """Deliver again: at once, or after the delay in `argument` (empty, a Go duration, or `{"delay": ns}`)."""
        cdef Pending *entry
        if consumer_seq <= self.floor_consumer_seq or consumer_seq >= self.next_consumer_seq + 1:
            return
        if self.pending.find(stream_seq) == NULL:
            return
        delay_ns = self.on_nak(stream_seq, consumer_seq, deliveries, argument)
        entry = self.pending.find(stream_seq)
        if delay_ns is None:
            self.queue_redelivery(entry)
        else:
            entry.is_queued = 0
            # The wait that expires is `ack_wait_ns`, so the time is put where that ends after the delay.
            entry.ts_ns = wall_ns() - self.ack_wait_ns + <int64_t>delay_ns
            self.record(RETIMED, 1, stream_seq, 0, entry.ts_ns)
            self.expiry_ns = min(self.expiry_ns, wall_ns() + 10 * EXPIRY_SLACK_NS) if self.expiry_ns else (
                wall_ns() + 10 * EXPIRY_SLACK_NS)
            self.on_deadline_moved()
        self.ingest.gate.wake(self)

    def in_progress(self, uint64_t stream_seq) -> None:
        """The ack wait of a pending message starts again."""
        cdef Pending *entry = self.pending.find(stream_seq)
        if entry != NULL:
            entry.ts_ns = wall_ns()
            self.record(RETIMED, 1, stream_seq, 0, entry.ts_ns)

    cdef int queue_redelivery(self, Pending *entry) except -1:
        if not entry.is_queued:
            entry.is_queued = 1
            self.redelivery_queue.append(entry.stream_seq)
        return 0

    def acknowledge_up_to(self, uint64_t stream_seq, uint64_t consumer_seq) -> None:
        """Everything up to here is acknowledged (flow control policy, internal consumers)."""
        cdef AckSubject ack
        ack.stream_seq, ack.consumer_seq, ack.deliveries = stream_seq, consumer_seq, 1
        self.last_active_ns = wall_ns()
        if stream_seq < self.next_stream_seq:
            self.acknowledge_to(&ack)
        self.ingest.gate.wake(self)

    # -- deliveries ---------------------------------------------------------------------------------------------------

    cdef int delivered(self, uint64_t stream_seq, int64_t now_ns) except -1:
        """The message at hand was handed over for the first time, with `next_consumer_seq`."""
        cdef uint64_t consumer_seq = self.next_consumer_seq
        self.next_consumer_seq += 1
        self.delivered_stream_seq = stream_seq
        self.last_delivered_ns = now_ns
        self.record(DELIVERED, 1, stream_seq, consumer_seq, now_ns)
        if self.ack_policy == ACK_NONE:
            self.floor_consumer_seq = consumer_seq
            self.floor_stream_seq = stream_seq
            if self.retention != RETAIN_LIMITS:
                self.release(stream_seq)
            return 0
        self.pending.add(stream_seq, consumer_seq, now_ns)
        return self.arm_expiry(stream_seq, now_ns)

    cdef int delivered_again(self, uint64_t stream_seq, int64_t now_ns) except -1:
        cdef uint64_t consumer_seq = self.next_consumer_seq
        self.next_consumer_seq += 1
        self.last_delivered_ns = now_ns
        self.pending.add(stream_seq, consumer_seq, now_ns)
        self.record(REDELIVERED, self.redelivered.get(stream_seq, 0), stream_seq, consumer_seq, now_ns)
        return self.arm_expiry(stream_seq, now_ns)

    cdef int arm_expiry(self, uint64_t stream_seq, int64_t now_ns) except -1:
        """Look again when this message's wait ends, unless something is due earlier anyway."""
        cdef int64_t wait_ns = self.ack_wait_ns
        if wait_ns == 0:
            return 0
        if self.backoff_ns:
            index = min(max(self.redelivered.get(stream_seq, 0), 0), len(self.backoff_ns) - 1)
            wait_ns = self.backoff_ns[index]
        if self.expiry_ns == 0 or self.expiry_ns > now_ns + wait_ns + EXPIRY_SLACK_NS:
            self.expiry_ns = now_ns + wait_ns + EXPIRY_SLACK_NS
            self.on_deadline_moved()
        return 0

    def check_expired(self, int64_t now_ns) -> bool:
        """Queue every message whose wait is over; True if there is something to redeliver. Sets `expiry_ns`."""
        cdef Pending *entry
        cdef Py_ssize_t at, steps = len(self.backoff_ns), redeliveries
        cdef int64_t deadline, nearest, elapsed, shift
        cdef list expired = []
        if self.ack_wait_ns == 0:
            self.expiry_ns = 0
            return False
        nearest = self.backoff_ns[steps - 1] if steps else self.ack_wait_ns + EXPIRY_SLACK_NS
        for at in range(self.pending.start, self.pending.end):
            entry = &self.pending.entries[at]
            if not entry.is_live:
                continue
            elapsed = now_ns - entry.ts_ns
            deadline = self.ack_wait_ns
            if steps:
                redeliveries = self.redelivered.get(entry.stream_seq, 0) if self.redelivered else 0
                deadline = self.backoff_ns[min(redeliveries, steps - 1)]
                nearest = min(nearest, <int64_t>self.backoff_ns[min(redeliveries + 1, steps - 1)])
            if elapsed >= deadline:
                if not entry.is_queued:
                    expired.append(entry.stream_seq)
            elif deadline - elapsed < nearest:
                nearest = deadline - elapsed
        expired = [seq for seq in expired if not self.gave_up(seq)]
        if expired:
            shift = now_ns - self.pending.find(expired[0]).ts_ns
            for seq in expired:
                entry = self.pending.find(seq)
                entry.ts_ns += shift
                self.queue_redelivery(entry)
            self.ingest.gate.wake(self)
        if self.step_count:
            self.ingest.gate.wake(self)
        self.expiry_ns = now_ns + nearest if self.pending.count else 0
        return bool(expired)

    def gave_up(self, uint64_t stream_seq) -> bool:
        """Whether the message has had all its deliveries; if so it is no longer pending and the advisory is sent."""
        cdef int64_t count
        if self.max_deliver <= 0:
            return False
        count = max(self.redelivered.get(stream_seq, 1), 1)
        if count < self.max_deliver:
            return False
        if count == self.max_deliver:
            self.on_max_deliveries(stream_seq, count)
        self.drop_given_up(stream_seq)
        self.redelivered[stream_seq] = count
        self.record(GIVEN_UP, <uint32_t>count, stream_seq, 0, 0)
        return True

    def drop_given_up(self, uint64_t stream_seq) -> None:
        """Not pending any more; the floor stays where it is, as in nats-server, until something is acknowledged."""
        cdef Pending *entry = self.pending.find(stream_seq)
        if entry != NULL:
            self.pending.remove(entry)
            if self.pending.count == 0:
                self.expiry_ns = 0

    def expire_all(self) -> None:
        """Redeliver everything pending (a push consumer moved to another subject)."""
        for stream_seq, _, _ in self.pending.items():
            if not self.gave_up(stream_seq):
                self.queue_redelivery(self.pending.find(stream_seq))
        self.ingest.gate.wake(self)

    # -- messages not delivered yet -----------------------------------------------------------------------------------

    cdef int64_t undelivered_now(self) except? -1:
        """How many messages are left to deliver; new ones are counted in as they are asked for."""
        cdef uint64_t last = self.store.last_seq
        if self.counted_to < last:
            self.undelivered += <int64_t>self.store.count_from(
                max(self.counted_to + 1, self.next_stream_seq), self.filter)
            self.counted_to = last
        return self.undelivered

    def num_pending(self) -> int:
        """Messages that match and were not delivered."""
        return max(self.undelivered_now(), 0)

    @property
    def redelivery_count(self) -> int:
        """Messages queued to be delivered again."""
        return len(self.redelivery_queue)

    def recount(self) -> None:
        """Count what is left from scratch (start, purge, reset, new filter)."""
        if self.skip_list:
            self.undelivered = len(self.skip_list) + <int64_t>self.store.count_from(self.skip_resume + 1, self.filter)
        else:
            self.undelivered = <int64_t>self.store.count_from(self.next_stream_seq, self.filter)
        self.counted_to = self.store.last_seq

    cdef void message_removed(self, uint64_t seq, uint32_t subject_number) noexcept:
        if seq >= self.next_stream_seq:
            if seq <= self.counted_to and (self.filter is None or self.filter.matches(subject_number)):
                if not self.skip_list or seq > self.skip_resume or seq in self.skip_list:
                    self.undelivered -= 1
        elif self.pending.count and seq > self.floor_stream_seq and self.pending.find(seq) != NULL:
            self.gone.append(seq)
        elif self.redelivered:
            self.redelivered.pop(seq, None)

    cdef int settle_gone(self) except -1:
        """Messages that left the stream while pending count as terminated."""
        cdef Pending *entry
        cdef list gone = self.gone
        self.gone = []
        for stream_seq in gone:
            entry = self.pending.find(stream_seq)
            if entry == NULL:
                continue
            consumer_seq = entry.consumer_seq
            count = self.redelivered.get(stream_seq, 0) + 1
            self.forget(stream_seq)
            self.record(ACKNOWLEDGED, 1, stream_seq, 0, 0)
            self.on_terminated(stream_seq, consumer_seq, count, b"Message deleted by stream limits")
        return 0

    # -- position -----------------------------------------------------------------------------------------------------

    def start_at(self, uint64_t stream_seq) -> None:
        """Begin (or begin again) with this sequence; nothing is pending."""
        self.pending.clear()
        self.redelivered.clear()
        self.redelivery_queue.clear()
        self.skip_list = []
        self.next_stream_seq = max(stream_seq, 1)
        self.next_consumer_seq = 1
        self.delivered_stream_seq = self.floor_stream_seq = self.next_stream_seq - 1
        self.floor_consumer_seq = 0
        self.last_delivered_ns = self.last_acked_ns = 0
        self.expiry_ns = 0
        self.record(MOVED, 1, self.next_stream_seq, 1, 0)
        self.recount()
        self.ingest.gate.wake(self)

    def start_with(self, list stream_seqs not None, uint64_t resume_after) -> None:
        """Deliver these sequences first (ascending), then go on after `resume_after`: last_per_subject."""
        self.start_at(stream_seqs[0] if stream_seqs else resume_after + 1)
        self.skip_list = stream_seqs[::-1]
        self.skip_resume = resume_after
        self.recount()

    def purged_to(self, uint64_t first_seq, uint64_t last_seq, bint everything) -> None:
        """The stream's first message is now `first_seq`: positions and floors do not stay behind it."""
        cdef Pending *entry
        cdef uint64_t seq = first_seq, highest = 0
        if seq == 0 and everything:
            seq = last_seq + 1
        if self.next_stream_seq < seq:
            self.next_stream_seq = seq
            self.delivered_stream_seq = max(self.delivered_stream_seq, seq - 1)
            self.record(SKIPPED, 1, seq - 1, 0, 0)
        self.gone = [gone for gone in self.gone if self.pending.find(gone) != NULL]
        for gone in self.gone:
            entry = self.pending.find(gone)
            if entry != NULL:
                highest = max(highest, entry.consumer_seq)
                self.forget(gone)
                self.record(ACKNOWLEDGED, 1, gone, 0, 0)
        self.gone = []
        if highest > self.floor_consumer_seq and self.pending.count:
            # nats-server moves only the consumer's side of the floor over what a purge took out of the middle.
            self.floor_consumer_seq = highest
            self.record(FLOORED, 1, self.floor_stream_seq, self.floor_consumer_seq, 0)
        if self.pending.count == 0:
            self.redelivered.clear()
            self.redelivery_queue.clear()
            self.floor_consumer_seq = self.next_consumer_seq - 1
            self.floor_stream_seq = self.next_stream_seq - 1
            self.record(FLOORED, 1, self.floor_stream_seq, self.floor_consumer_seq, 0)
        elif seq:
            # A message that a former filter let through may still be pending below.
            seq = min(seq, self.pending.first().stream_seq)
            if self.floor_stream_seq < seq - 1:
                self.floor_stream_seq = seq - 1
                self.record(FLOORED, 1, self.floor_stream_seq, self.floor_consumer_seq, 0)
        self.recount()
        self.ingest.gate.wake(self)

    def follow_clock(self, int64_t step_ns) -> None:
        """The wall clock was set by so much: what waits goes on waiting as long as it would have."""
        cdef Pending *entry = self.pending.first()
        while entry != NULL:
            entry.ts_ns += step_ns
            self.record(RETIMED, 1, entry.stream_seq, 0, entry.ts_ns)
            entry = self.pending.following(entry)
        if self.expiry_ns:
            self.expiry_ns += step_ns
        if self.last_active_ns:
            self.last_active_ns += step_ns
        self.ingest.gate.wake(self)

    def set_filter(self, SubjectFilter filter) -> None:
        """Deliver other subjects from here on."""
        self.filter = filter
        self.recount()

    # -- durable progress ---------------------------------------------------------------------------------------------

    cdef int record(self, uint8_t kind, uint32_t count, uint64_t stream_seq, uint64_t consumer_seq,
                    int64_t ts_ns) except -1:
        cdef ProgressStep *last
        cdef ProgressStep *grown
        if not self.is_persistent:
            return 0
        if self.step_count:
            last = &self.steps[self.step_count - 1]
            if last.kind == kind and stream_seq == last.stream_seq + last.count:
                if kind == ACKNOWLEDGED or (kind == DELIVERED and ts_ns == last.ts_ns
                                            and consumer_seq == last.consumer_seq + last.count):
                    last.count += 1
                    return 0
            if kind == ACKNOWLEDGED_TO and last.kind == kind:
                last.stream_seq, last.consumer_seq = stream_seq, consumer_seq
                return 0
        if self.step_count == self.step_capacity:
            self.step_capacity = max(self.step_capacity * 2, <Py_ssize_t>STEPS_FIRST)
            grown = <ProgressStep *>realloc(self.steps, self.step_capacity * sizeof(ProgressStep))
            if grown == NULL:
                raise MemoryError
            self.steps = grown
        last = &self.steps[self.step_count]
        last.kind, last.count, last.stream_seq, last.consumer_seq, last.ts_ns = (
            kind, count, stream_seq, consumer_seq, ts_ns)
        self.step_count += 1
        return 0

    cdef int flush_progress(self) except -1:
        """Write the turn's steps as one record and see to the answers that wait for it."""
        cdef list replies = self.ack_replies
        cdef uint64_t lsn = 0
        if self.step_count:
            steps = (<char *>self.steps)[:self.step_count * sizeof(ProgressStep)]
            self.step_count = 0
            lsn = self.write_progress(steps, bool(replies))
        if replies:
            self.ack_replies = []
            if self.retention != RETAIN_LIMITS and self.ingest.waits_for_commit:
                lsn = max(lsn, self.store.applied_lsn)
            self.answer_acks(lsn, replies)
        return 0

    def flush(self) -> None:
        """Log the steps recorded so far now, not at the end of the turn."""
        self.flush_progress()

    def snapshot(self, bint forgets_steps=False) -> bytes:
        """The whole progress as one value; supersedes all steps written before.

        `forgets_steps`: the caller makes the value durable itself, steps that were not logged yet are in it.
        """
        pending, redelivered = self.pending.items(), sorted(self.redelivered.items())
        if forgets_steps:
            self.step_count = 0
        return b"".join((
            _HEAD.pack(_VERSION, self.delivered_stream_seq, self.next_stream_seq, self.next_consumer_seq,
                       self.floor_stream_seq, self.floor_consumer_seq, len(pending), len(redelivered)),
            *(_PENDING.pack(*entry) for entry in pending),
            *(_REDELIVERED.pack(*entry) for entry in redelivered),
        ))

    def restore(self, bytes snapshot not None, deltas) -> None:
        """Take up the progress of a former life: a snapshot, then the step records in order."""
        cdef const char *data
        cdef ProgressStep step
        cdef Py_ssize_t at
        version, delivered, next_stream, next_consumer, floor_stream, floor_consumer, pending, redelivered = (
            _HEAD.unpack_from(snapshot))
        if version != _VERSION or len(snapshot) != _HEAD.size + pending * _PENDING.size + (
                redelivered * _REDELIVERED.size):
            raise StoreCorrupt("consumer progress has an unknown form")
        self.delivered_stream_seq, self.next_stream_seq, self.next_consumer_seq = delivered, next_stream, next_consumer
        self.floor_stream_seq, self.floor_consumer_seq = floor_stream, floor_consumer
        middle = _HEAD.size + pending * _PENDING.size
        self.pending.clear()
        for stream_seq, consumer_seq, ts_ns in _PENDING.iter_unpack(snapshot[_HEAD.size:middle]):
            self.pending.add(stream_seq, consumer_seq, ts_ns)
        self.redelivered = dict(_REDELIVERED.iter_unpack(snapshot[middle:]))
        for delta in deltas:
            if len(delta) % sizeof(ProgressStep):
                raise StoreCorrupt("consumer progress step is cut short")
            data = <bytes>delta
            for at in range(len(delta) // <Py_ssize_t>sizeof(ProgressStep)):
                memcpy(&step, data + at * sizeof(ProgressStep), sizeof(ProgressStep))
                self.apply_step(&step)
        self.settle_restored()

    cdef int apply_step(self, ProgressStep *step) except -1:
        cdef uint32_t i
        cdef Pending *entry
        if step.kind == DELIVERED:
            self.delivered_stream_seq = step.stream_seq + step.count - 1
            self.next_stream_seq = self.delivered_stream_seq + 1
            self.next_consumer_seq = step.consumer_seq + step.count
            if self.ack_policy == ACK_NONE:
                self.floor_stream_seq, self.floor_consumer_seq = self.delivered_stream_seq, self.next_consumer_seq - 1
            else:
                for i in range(step.count):
                    self.pending.add(step.stream_seq + i, step.consumer_seq + i, step.ts_ns)
        elif step.kind == ACKNOWLEDGED:
            for i in range(step.count):
                self.forget(step.stream_seq + i)
        elif step.kind == ACKNOWLEDGED_TO:
            self.floor_stream_seq, self.floor_consumer_seq = step.stream_seq, step.consumer_seq
            entry = self.pending.first()
            while entry != NULL and entry.stream_seq <= step.stream_seq:
                self.redelivered.pop(entry.stream_seq, None)
                self.pending.remove(entry)
                entry = self.pending.first()
        elif step.kind == REDELIVERED:
            self.next_consumer_seq = step.consumer_seq + 1
            self.redelivered[step.stream_seq] = step.count
            entry = self.pending.find(step.stream_seq)
            if entry != NULL:
                entry.ts_ns = step.ts_ns
        elif step.kind == RETIMED:
            entry = self.pending.find(step.stream_seq)
            if entry != NULL:
                entry.ts_ns = step.ts_ns
        elif step.kind == GIVEN_UP:
            self.drop_given_up(step.stream_seq)
            self.redelivered[step.stream_seq] = step.count
        elif step.kind == MOVED:
            self.pending.clear()
            self.redelivered.clear()
            self.next_stream_seq, self.next_consumer_seq = step.stream_seq, step.consumer_seq
            self.delivered_stream_seq = self.floor_stream_seq = step.stream_seq - 1
            self.floor_consumer_seq = step.consumer_seq - 1
        elif step.kind == FLOORED:
            self.floor_stream_seq, self.floor_consumer_seq = step.stream_seq, step.consumer_seq
        elif step.kind == SKIPPED:
            self.delivered_stream_seq = max(self.delivered_stream_seq, step.stream_seq)
            self.next_stream_seq = max(self.next_stream_seq, step.stream_seq + 1)
        else:
            raise StoreCorrupt("consumer progress has an unknown step")
        return 0

    def settle_restored(self) -> None:
        """After a restart: positions beyond what the stream has come back, what is gone is not pending."""
        last = self.store.last_seq
        if self.delivered_stream_seq > last:
            self.delivered_stream_seq = last
            self.next_stream_seq = last + 1
            self.floor_stream_seq = min(self.floor_stream_seq, last)
        for stream_seq, _, _ in self.pending.items():
            if not self.store.has(stream_seq):
                self.forget(stream_seq)
        for stream_seq in [seq for seq in self.redelivered if not self.store.has(seq)]:
            del self.redelivered[stream_seq]
        self.recount()
        self.expiry_ns = 1 if self.pending.count else 0

    # -- hooks of the control plane -----------------------------------------------------------------------------------

    def write_progress(self, bytes steps, bint is_urgent) -> int:
        """Log the steps; returns the log sequence number. `is_urgent`: somebody waits for the commit."""
        return 0

    def answer_acks(self, uint64_t lsn, list replies) -> None:
        """Answer acknowledgements (empty message to each reply) once `lsn` is durable."""

    def on_next_request(self, bytes reply, bytes request) -> None:
        """`+NXT`: a pull request came with an acknowledgement."""

    def on_nak(self, uint64_t stream_seq, uint64_t consumer_seq, uint64_t deliveries, bytes argument):
        """Advisory; returns the delay in ns, or None for at once."""

    def on_terminated(self, uint64_t stream_seq, uint64_t consumer_seq, uint64_t deliveries, bytes reason) -> None:
        """Advisory: the message will not come again."""

    def on_max_deliveries(self, uint64_t stream_seq, uint64_t deliveries) -> None:
        """Advisory: the message had all its deliveries."""

    def on_sampled(self, uint64_t stream_seq, uint64_t consumer_seq, uint64_t deliveries, int64_t delivered_ns) -> None:
        """Metric of one acknowledgement."""

    def on_deadline_moved(self) -> None:
        """`expiry_ns` is earlier than before: re-arm the timer."""
