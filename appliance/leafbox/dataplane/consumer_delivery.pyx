# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Delivering: from the stream's store straight into the receivers' output buffers.

A consumer runs at most once per loop turn, when messages became visible, when a request came, when an acknowledgement
made room or when a timer is due. It sends up to MESSAGES_PER_TURN messages and, if there is more, asks for another
turn, so that one fast consumer cannot starve the rest. A plain delivery makes no Python object: message bytes go from
the store's block into the connection's buffer, the acknowledgement subject is written into a buffer of the consumer.

Python decides about everything that happens once per request, per timer or per refusal (`jetstream.consumer`).
"""
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

from leafbox.dataplane.connection cimport Connection
from leafbox.dataplane.consumer_pending cimport Pending
from leafbox.dataplane.consumer_progress cimport ACK_FLOW_CONTROL, ConsumerProgress
from leafbox.dataplane.consumer_requests cimport PullRequest, WaitQueue
from leafbox.dataplane.message cimport Message
from leafbox.dataplane.nats_connection cimport write_number
from leafbox.dataplane.routing cimport Subscription, deliver_as
from leafbox.dataplane.store_block cimport MessageView
from leafbox.dataplane.store_subjects cimport SubjectFilter
from leafbox.dataplane.stream_ingest cimport StreamIngest, wall_ns
from leafbox.dataplane.sublist cimport MatchResult

cdef enum:
    # A turn of one consumer takes well under a millisecond with this many small messages.
    MESSAGES_PER_TURN = 512
    # ... and with large ones it ends by bytes.
    BYTES_PER_TURN = 4 * 1024 * 1024
    ACK_NUMBERS_MAX = 5 * 21
    REPLAY_SLACK_NS = 1000000

cdef bytes HEADER_LINE = b"NATS/1.0\r\n"


cdef class ConsumerDelivery(ConsumerProgress):
    """The compiled half of a consumer. `ack_prefix` is `$JS.ACK.<stream>.<consumer>.`; `wait_limit` 0 means push."""

    def __init__(self, StreamIngest ingest not None, bytes ack_prefix not None, SubjectFilter filter=None,
                 wait_limit=0, by_priority=False):
        ConsumerProgress.__init__(self, ingest, filter)
        self.reply_prefix_len = len(ack_prefix)
        self.reply_text = <char *>malloc(self.reply_prefix_len + ACK_NUMBERS_MAX)
        if self.reply_text == NULL:
            raise MemoryError
        memcpy(self.reply_text, <const char *>ack_prefix, self.reply_prefix_len)
        self.waiting = WaitQueue(wait_limit, by_priority) if wait_limit else None
        self.pin_id = ""

    def __dealloc__(self):
        free(self.reply_text)
        free(self.body)

    def close(self) -> None:
        """Deliver and accept nothing more."""
        self.is_closed = True
        self.ingest.remove_reader(self)

    def set_callback(self, callback) -> None:
        """Make this an internal consumer: each message goes to `callback(subject, reply, header, payload, ts_ns, seq)`
        on the loop; it returns False to refuse (the message stays undelivered until the next wake)."""
        self.callback = callback

    def wake(self) -> None:
        """Run at the end of this loop turn."""
        self.ingest.gate.wake(self)

    def update_interest(self) -> bool:
        """Look whether somebody listens on the deliver subject; True if that changed. Wakes a consumer that gained it."""
        cdef bint now = self.callback is not None or self.is_listening(self.deliver_subject)
        if now == self.has_interest:
            return False
        self.has_interest = now
        if now:
            self.unanswered_bytes = self.answered_bytes = 0
            self.flow_subject = None
            self.ingest.gate.wake(self)
        return True

    def has_listener(self, bytes subject not None) -> bool:
        """Whether a message to this subject would reach anybody."""
        return self.is_listening(subject)

    cdef bint is_listening(self, bytes subject) except -1:
        cdef MatchResult result = self.ingest.account.sublist.match(subject, len(subject))
        if self.deliver_group is not None and subject is self.deliver_subject:
            return self.deliver_group in result.queue_names
        return result.plain_count > 0 or result.group_count > 0

    cdef bint is_idle(self) noexcept:
        if self.callback is not None or self.gone:
            return False
        if self.waiting is None:
            return not self.has_interest
        return self.waiting.count == 0

    # -- requests -----------------------------------------------------------------------------------------------------

    cdef bint take_plain(self, PullRequest request) except -1:
        """Queue a request that came with nothing to decide; its `expires_ns` is the wait. False when there is."""
        cdef WaitQueue waiting = self.waiting
        cdef int64_t wait_ns = request.expires_ns
        if waiting is None or self.priority_policy or self.is_closed or waiting.count >= waiting.limit:
            return False
        if (0 < self.request_batch_max < request.batch or 0 < self.request_bytes_max < request.bytes_left
                or 0 < self.request_wait_max_ns < wait_ns):
            return False
        self.last_used_ns = waiting.last_received_ns = request.received_ns = wall_ns()
        if wait_ns:
            request.expires_ns = request.received_ns + wait_ns
            self.on_request_timer(request.expires_ns)
        waiting.push(request)
        self.ingest.gate.wake(self)
        return True

    # -- the pump -----------------------------------------------------------------------------------------------------

    cdef int run(self) except -1:
        if self.is_closed:
            return 0
        if self.gone:
            self.settle_gone()
        self.pump()
        self.flush_progress()
        return 0

    def follow_clock(self, int64_t step_ns) -> None:
        """See `ConsumerProgress`; requests, rate limit and replay go on, too."""
        cdef PullRequest request
        ConsumerProgress.follow_clock(self, step_ns)
        if self.resume_ns:
            self.resume_ns += step_ns
        if self.last_sent_ns:
            self.last_sent_ns += step_ns
        self.tokens_at_ns += step_ns
        for request in self.waiting or ():
            request.received_ns += step_ns
            if request.expires_ns:
                request.expires_ns += step_ns
            if request.next_heartbeat_ns:
                request.next_heartbeat_ns += step_ns

    cdef int pump(self) except -1:
        cdef int sent = 0, outcome
        cdef int64_t now_ns = wall_ns(), size = 0
        if self.is_paused:
            return 0
        if self.waiting is None and not self.has_interest and self.callback is None:
            return 0
        while sent < MESSAGES_PER_TURN and size < BYTES_PER_TURN:
            outcome = self.deliver_next(now_ns)
            if outcome <= 0:
                break
            size += outcome
            sent += 1
        else:
            self.ingest.gate.wake(self)
        if self.watches_drain and self.waiting is not None and self.waiting.count:
            self.on_drained(self.max_ack_pending > 0 and self.pending.count >= self.max_ack_pending)
        return 0

    cdef int deliver_next(self, int64_t now_ns) except -1:
        """Deliver one message. Returns its size (at least 1), or 0 when there is nothing to do now."""
        cdef MessageView view
        cdef uint64_t deliveries = 1
        cdef Py_ssize_t reply_len, size
        cdef PullRequest request = None
        cdef bytes subject
        if self.callback is None:
            if self.waiting is None:
                if self.window_bytes and self.unanswered_bytes > self.window_bytes:
                    return 0
            elif self.waiting.count == 0:
                return 0
        if self.resume_ns > now_ns:
            return 0
        self.resume_ns = 0
        # Count before the position moves: what lies behind it is not counted any more.
        self.undelivered_now()
        if not self.find_next(&view, &deliveries, now_ns):
            return 0
        if deliveries == 1:
            self.undelivered -= 1
        reply_len = self.write_reply(&view, deliveries)
        size = view.subject_size + reply_len + view.header_size + (0 if self.headers_only else view.payload_size)
        if not self.may_send(size, view.ts_ns, now_ns):
            self.step_back(&view, deliveries)
            self.on_deadline_moved()
            return 0
        if self.waiting is not None and self.callback is None:
            self.ran_hook = False
            request = self.choose(size, now_ns)
            if request is None:
                self.step_back(&view, deliveries)
                return 0
            if self.ran_hook and self.store.load(view.seq, &view) != 1:
                # What the hook published may have moved the store's memory, or pushed this message out.
                self.step_back(&view, deliveries)
                return 1
            subject = request.reply
        else:
            subject = self.deliver_subject
        if not self.send(subject, &view, reply_len):
            if request is not None:
                # Nobody took it although somebody listened: the inbox is gone, and with it the request.
                self.waiting.remove(request)
            else:
                self.has_interest = False
            self.step_back(&view, deliveries)
            return 1 if request is not None else 0
        self.last_sent_ns = now_ns
        self.replayed_ts_ns = view.ts_ns
        if deliveries == 1:
            self.delivered(view.seq, now_ns)
        else:
            self.delivered_again(view.seq, now_ns)
        if self.window_bytes:
            self.keep_window(size)
        if request is not None:
            if request.heartbeat_ns:
                request.next_heartbeat_ns = now_ns + request.heartbeat_ns
            if request.batch <= 0 and request.bytes_left > 0:
                self.on_batch_completed(request)
        return <int>min(max(size, 1), <Py_ssize_t>BYTES_PER_TURN)

    # -- which message ------------------------------------------------------------------------------------------------

    cdef int find_next(self, MessageView *view, uint64_t *deliveries, int64_t now_ns) except -1:
        """Redeliveries first, then what comes next in the stream. 1 found, 0 nothing (or max_ack_pending)."""
        if self.redelivery_queue and self.find_redelivery(view, deliveries):
            return 1
        deliveries[0] = 1
        if self.max_ack_pending > 0 and self.pending.count >= self.max_ack_pending:
            return 0
        return self.find_new(view)

    cdef int find_redelivery(self, MessageView *view, uint64_t *deliveries) except -1:
        cdef Pending *entry
        cdef uint64_t stream_seq
        queue = self.redelivery_queue
        while queue:
            stream_seq = queue.popleft()
            entry = self.pending.find(stream_seq)
            if entry == NULL or not entry.is_queued:
                continue
            entry.is_queued = 0
            count = self.redelivered.get(stream_seq, 0) + 1
            if self.max_deliver > 0 and count + 1 > self.max_deliver:
                if count == self.max_deliver:
                    self.on_max_deliveries(stream_seq, count)
                self.redelivered[stream_seq] = count
                self.forget_pending(stream_seq, count)
                continue
            if self.store.load(stream_seq, view) != 1:
                self.message_gone(stream_seq)
                continue
            self.redelivered[stream_seq] = count
            deliveries[0] = count + 1
            return 1
        return 0

    def forget_pending(self, uint64_t stream_seq, uint64_t count) -> None:
        """Max deliveries were reached: not pending any more, still remembered."""
        self.drop_given_up(stream_seq)
        self.redelivered[stream_seq] = count
        self.record(6, <unsigned int>count, stream_seq, 0, 0)

    def message_gone(self, uint64_t stream_seq) -> None:
        """A message that waits for redelivery is no longer in the stream."""
        cdef Pending *entry = self.pending.find(stream_seq)
        consumer_seq = entry.consumer_seq
        count = self.redelivered.get(stream_seq, 0) + 1
        self.forget(stream_seq)
        self.record(2, 1, stream_seq, 0, 0)
        self.on_terminated(stream_seq, consumer_seq, count, b"Unacknowledged message was deleted")

    cdef int find_new(self, MessageView *view) except -1:
        cdef uint64_t visible = self.ingest.visible_seq
        while self.skip_list:
            stream_seq = self.skip_list.pop()
            if not self.skip_list:
                self.next_stream_seq = max(self.skip_resume + 1, <uint64_t>stream_seq + 1)
            else:
                self.next_stream_seq = stream_seq + 1
            if self.store.load(stream_seq, view) == 1:
                return 1
        if self.next_stream_seq > visible:
            return 0
        if self.store.next_message(self.next_stream_seq, self.filter, view) != 1 or view.seq > visible:
            # Nothing up to here is for us: the next search need not look again.
            self.next_stream_seq = visible + 1
            return 0
        self.next_stream_seq = view.seq + 1
        return 1

    cdef int step_back(self, MessageView *view, uint64_t deliveries) except -1:
        """The message at hand could not be sent: as if it had not been looked at."""
        cdef Pending *entry
        if deliveries == 1:
            self.undelivered += 1
            if self.skip_resume and view.seq <= self.skip_resume:
                self.skip_list.append(view.seq)
            self.next_stream_seq = view.seq
            return 0
        entry = self.pending.find(view.seq)
        if entry != NULL and not entry.is_queued:
            entry.is_queued = 1
            self.redelivery_queue.appendleft(view.seq)
        if deliveries > 2:
            self.redelivered[view.seq] = deliveries - 2
        else:
            self.redelivered.pop(view.seq, None)
        return 0

    # -- whom ---------------------------------------------------------------------------------------------------------

    cdef PullRequest choose(self, Py_ssize_t size, int64_t now_ns):
        """The request that gets a message of `size` bytes, or None. Requests that ended on the way are dropped."""
        cdef WaitQueue waiting = self.waiting
        cdef PullRequest request
        cdef Py_ssize_t passed = 0
        while waiting.count and passed < waiting.count:
            request = waiting.head
            if request.expires_ns and request.expires_ns <= now_ns:
                self.ran_hook = True
                waiting.drop_head()
                self.on_expired(request)
                continue
            if self.priority_policy:
                self.ran_hook = True
                verdict = self.on_priority(request)
                if verdict is None:
                    waiting.rotate()
                    passed += 1
                    continue
                if not verdict:
                    waiting.drop_head()
                    continue
            if request.bytes_left > 0:
                if size > request.bytes_left:
                    self.ran_hook = True
                    waiting.drop_head()
                    self.on_too_large(request)
                    continue
                request.bytes_left -= size
                if request.bytes_left == 0:
                    request.batch = 1
            if not self.is_listening(request.reply):
                self.ran_hook = True
                waiting.drop_head()
                self.on_interest_lost(request)
                continue
            return waiting.serve_head()
        return None

    # -- how ----------------------------------------------------------------------------------------------------------

    cdef Py_ssize_t write_reply(self, MessageView *view, uint64_t deliveries) except -1:
        """`$JS.ACK.<stream>.<consumer>.<deliveries>.<sseq>.<cseq>.<ts>.<pending>`; returns its length."""
        cdef char *at = self.reply_text + self.reply_prefix_len
        at = write_number(at, deliveries)
        at[0] = c'.'
        at = write_number(at + 1, view.seq)
        at[0] = c'.'
        at = write_number(at + 1, self.next_consumer_seq)
        at[0] = c'.'
        at = write_number(at + 1, <uint64_t>view.ts_ns)
        at[0] = c'.'
        at = write_number(at + 1, <uint64_t>max(self.undelivered_now(), <int64_t>0))
        return at - self.reply_text

    cdef int send(self, bytes subject, MessageView *view, Py_ssize_t reply_len) except -1:
        """Hand the message to whoever listens on `subject`; the number of receivers that took it."""
        cdef Message message
        cdef MatchResult result
        cdef Subscription subscription
        if self.callback is not None:
            taken = self.callback(view.subject[:view.subject_size], self.reply_text[:reply_len],
                                  view.header[:view.header_size] if view.header_size else b"",
                                  view.payload[:view.payload_size], view.ts_ns, view.seq)
            return 0 if taken is False else 1
        message.subject = view.subject
        message.subject_len = view.subject_size
        message.reply = self.reply_text
        message.reply_len = reply_len
        message.wire_subject = NULL
        self.build_body(view, &message)
        result = self.ingest.account.sublist.match(subject, len(subject))
        if result.plain_count == 1 and result.group_count == 0:
            subscription = <Subscription>result.plain[0]
            if (isinstance(subscription.receiver, Connection) and not subscription.receiver.is_remote
                    and subscription.local_subject is None):
                return 0 if subscription.closed else subscription.receiver.deliver(subscription, None, &message)
        # Other receivers may run Python, and that may move the store's memory: give them a copy.
        owned_subject = message.subject[:message.subject_len]
        owned_body = message.body[:message.body_len]
        message.subject = <bytes>owned_subject
        message.body = <bytes>owned_body
        return <int>deliver_as(self.ingest.account, subject, len(subject), &message)

    cdef int build_body(self, MessageView *view, Message *message) except -1:
        """Point at header and payload in the store, or lay them out anew when headers are added or the payload is cut."""
        cdef bytes extra = b""
        cdef Py_ssize_t header_size = view.header_size, length
        cdef const char *base
        if not self.headers_only and not self.pin_id:
            message.header_len = view.header_size
            message.body = view.header if view.header_size else view.payload
            message.body_len = view.header_size + view.payload_size
            if view.header_size == 0 or view.header + view.header_size == view.payload:
                return 0
        elif self.headers_only:
            extra = b"Nats-Msg-Size: %d\r\n" % view.payload_size
        if self.pin_id:
            extra += b"Nats-Pin-Id: " + self.pin_id.encode() + b"\r\n"
        length = header_size + view.payload_size + len(extra) + len(HEADER_LINE) + 2
        if length > self.body_capacity:
            free(self.body)
            self.body = <char *>malloc(length)
            if self.body == NULL:
                self.body_capacity = 0
                raise MemoryError
            self.body_capacity = length
        if header_size:
            memcpy(self.body, view.header, header_size)
        elif extra:
            base = HEADER_LINE
            memcpy(self.body, base, len(HEADER_LINE))
            header_size = len(HEADER_LINE) + 2
        if extra:
            header_size -= 2
            base = extra
            memcpy(self.body + header_size, base, len(extra))
            memcpy(self.body + header_size + len(extra), b"\r\n", 2)
            header_size += len(extra) + 2
        message.body = self.body
        message.header_len = header_size
        message.body_len = header_size
        if not self.headers_only:
            memcpy(self.body + header_size, view.payload, view.payload_size)
            message.body_len += view.payload_size
        return 0

    # -- how fast -----------------------------------------------------------------------------------------------------

    cdef bint may_send(self, Py_ssize_t size, int64_t ts_ns, int64_t now_ns) noexcept:
        """Replay gaps and rate limit; False sets `resume_ns`."""
        cdef int64_t gap
        if self.replays:
            if self.next_stream_seq > self.replay_to + 1:
                self.replays = False
            elif self.replayed_ts_ns:
                gap = ts_ns - self.replayed_ts_ns - (now_ns - self.last_sent_ns)
                if gap > REPLAY_SLACK_NS:
                    self.resume_ns = now_ns + gap
                    return False
        if self.bytes_per_second:
            self.tokens = min(<double>self.burst_bytes, self.tokens
                              + <double>(now_ns - self.tokens_at_ns) * self.bytes_per_second / 1e9)
            self.tokens_at_ns = now_ns
            if self.tokens < 0:
                self.resume_ns = now_ns + <int64_t>(-self.tokens * 1e9 / self.bytes_per_second) + 1
                return False
            self.tokens -= size
        return True

    cdef int keep_window(self, Py_ssize_t size) except -1:
        """Flow control: ask for an answer at half the window, stall beyond it (ADR-15)."""
        self.unanswered_bytes += size
        if self.flow_subject is None:
            if self.unanswered_bytes > self.window_bytes // 2 or (
                    self.ack_policy == ACK_FLOW_CONTROL and 0 < self.max_ack_pending <= self.pending.count):
                self.on_flow_control()
        elif self.unanswered_bytes - self.answered_bytes >= self.window_bytes:
            self.answered_bytes += size
        return 0

    def flow_answered(self) -> None:
        """The client answered the outstanding request: the window grows, delivery goes on."""
        self.window_bytes = min(self.window_bytes * 2, self.window_max_bytes)
        self.unanswered_bytes = max(self.unanswered_bytes - self.answered_bytes, 0)
        self.answered_bytes = 0
        self.flow_subject = None
        self.ingest.gate.wake(self)

    # -- hooks of the control plane -----------------------------------------------------------------------------------

    def on_request_timer(self, int64_t when_ns) -> None:
        """A request ends at this time: set a timer for then."""

    def on_drained(self, bint is_stalled) -> None:
        """Requests wait and nothing can be sent now; `is_stalled`: because of max_ack_pending."""

    def on_expired(self, PullRequest request) -> None:
        """A request ran out of time and was dropped."""

    def on_too_large(self, PullRequest request) -> None:
        """The next message does not fit the request's byte limit; the request was dropped."""

    def on_interest_lost(self, PullRequest request) -> None:
        """Nobody listens on the request's inbox any more; it was dropped."""

    def on_batch_completed(self, PullRequest request) -> None:
        """A request has all its messages and bytes to spare."""

    def on_priority(self, PullRequest request):
        """Priority groups: True serve it, None pass over it for now, False drop it."""
        return True

    def on_flow_control(self) -> None:
        """Send a flow control request and set `flow_subject` and `answered_bytes`."""
