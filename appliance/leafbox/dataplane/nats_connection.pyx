# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""NATS client protocol: incremental parser, publish path and message encoder.

The parser works on whole control lines inside the receive window and never copies a message: a PUB becomes a `Message`
of pointers into the window. Only an operation cut by the end of a read is kept by `Connection`. Operations that are
rare (SUB, CONNECT, ...) call Python hooks; PUB, HPUB and deliveries do not.

Behaviour that looks odd is nats-server's and is held to it by the differential tests: a bare LF ends a line, any CR in
the arguments shortens them by one byte, text after PING is ignored, publish subjects are not validated.
"""
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy

from leafbox.dataplane.connection cimport Connection, Engine, monotonic_ns
from leafbox.dataplane.message cimport Message
from leafbox.dataplane.permissions cimport Permissions
from leafbox.dataplane.routing cimport AccountPlane, Receiver, Subscription, mentions_trace, parts_of, route, with_header
from leafbox.dataplane.subjects cimport literal_subject, valid_subject

cdef enum:
    ARGUMENTS_MOST = 5
    # A size has at most nine digits (999 MB): nats-server takes longer ones for malformed.
    SIZE_DIGITS_MAX = 9
    # Text after PING, PONG or +OK is ignored, but not without end.
    IGNORED_TEXT_MAX = 65536
    # Replies a client may still answer (allow_responses); the oldest makes room (nats-server prunes at 4096).
    REPLY_PERMISSIONS_MAX = 4096

REASON_PROTOCOL_VIOLATION = "Protocol Violation"


cdef char *write_number(char *at, uint64_t value) noexcept nogil:
    """Decimal digits of `value` at `at`; returns the position behind them."""
    cdef char digits[20]
    cdef int count = 0
    while True:
        digits[count] = <char>(c'0' + value % 10)
        count += 1
        value //= 10
        if value == 0:
            break
    while count:
        count -= 1
        at[0] = digits[count]
        at += 1
    return at


cdef Py_ssize_t parse_size(const char *digits, Py_ssize_t length) noexcept nogil:
    """A size argument, -1 when malformed."""
    cdef Py_ssize_t value = 0, i
    if length == 0 or length > SIZE_DIGITS_MAX:
        return -1
    for i in range(length):
        if digits[i] < c'0' or digits[i] > c'9':
            return -1
        value = value * 10 + (digits[i] - c'0')
    return value


cdef int split_arguments(const char *line, Py_ssize_t length, Argument *found, int most) noexcept nogil:
    """Cut at spaces and tabs; returns how many there are, `most` + 1 when there are more."""
    cdef Py_ssize_t i = 0, start
    cdef int count = 0
    while True:
        while i < length and (line[i] == c' ' or line[i] == c'\t' or line[i] == c'\r'):
            i += 1
        if i >= length:
            return count
        if count == most:
            return most + 1
        start = i
        while i < length and line[i] != c' ' and line[i] != c'\t' and line[i] != c'\r':
            i += 1
        found[count].data = line + start
        found[count].length = i - start
        count += 1


cdef inline bint begins(const char *data, Py_ssize_t length, const char *name, Py_ssize_t name_len) noexcept nogil:
    """Whether `data` agrees with an operation's name (lower case) as far as both go, in any case."""
    cdef Py_ssize_t i
    for i in range(min(length, name_len)):
        if (data[i] | 0x20) != name[i]:
            return False
    return True


cdef inline bint is_space(char c) noexcept nogil:
    return c == c' ' or c == c'\t'


cdef Operation spaced(const char *data, Py_ssize_t length, const char *name, Py_ssize_t name_len,
                      Operation operation) noexcept nogil:
    """An operation whose name must be followed by white space."""
    if not begins(data, length, name, name_len):
        return OP_NONE
    if length <= name_len:
        return OP_MORE
    return operation if is_space(data[name_len]) else OP_NONE


cdef Operation unspaced(const char *data, Py_ssize_t length, const char *name, Py_ssize_t name_len,
                        Operation operation) noexcept nogil:
    """An operation whose name may be followed by anything."""
    if not begins(data, length, name, name_len):
        return OP_NONE
    return OP_MORE if length < name_len else operation


cdef Operation identify(const char *data, Py_ssize_t length) noexcept nogil:
    """Which operation stands at `data`; OP_MORE while what is there may still become one."""
    cdef char first = data[0] | 0x20
    if first == c'p':
        if length == 1:
            return OP_MORE
        if (data[1] | 0x20) == c'u':
            return spaced(data, length, b"pub", 3, OP_PUB)
        if (data[1] | 0x20) == c'i':
            return unspaced(data, length, b"ping", 4, OP_PING)
        return unspaced(data, length, b"pong", 4, OP_PONG)
    if first == c'h':
        return spaced(data, length, b"hpub", 4, OP_HPUB)
    if first == c's':
        return spaced(data, length, b"sub", 3, OP_SUB)
    if first == c'u':
        return spaced(data, length, b"unsub", 5, OP_UNSUB)
    if first == c'c':
        return unspaced(data, length, b"connect", 7, OP_CONNECT)
    if first == c'i':
        return unspaced(data, length, b"info", 4, OP_INFO)
    if data[0] == c'+':
        return unspaced(data + 1, length - 1, b"ok", 2, OP_OK) if length > 1 else OP_MORE
    if data[0] == c'-':
        return unspaced(data + 1, length - 1, b"err", 3, OP_ERR) if length > 1 else OP_MORE
    return OP_NONE


cdef inline Py_ssize_t name_length(Operation operation) noexcept nogil:
    if operation == OP_PUB or operation == OP_SUB or operation == OP_OK:
        return 3
    if operation == OP_UNSUB:
        return 5
    if operation == OP_CONNECT:
        return 7
    return 4


cdef inline bint is_reserved_reply(const char *reply, Py_ssize_t length) noexcept nogil:
    """Subjects that stand for what only a server knows: a client may not name them as its reply."""
    if length < 4 or (reply[0] != c'_' and reply[0] != c'$'):
        return False
    return (memcmp(reply, b"_R_.", 4) == 0 or (length >= 5 and memcmp(reply, b"_GR_.", 5) == 0)
            or (length >= 8 and memcmp(reply, b"$JS.ACK.", 8) == 0))


cdef class NatsConnection(Connection):
    """A client connection. The Python subclass decides (handshake, subscriptions); this class moves messages."""

    def __init__(self, Engine engine not None):
        Connection.__init__(self, engine)
        self.subscriptions = {}
        self.verbose = self.pedantic = self.echo = True
        self.max_payload = 1024 * 1024
        self.max_control_line = 4096

    # -- hooks of the control plane -----------------------------------------------------------------------------------

    def on_connect(self, bytes options) -> None:
        """CONNECT arrived; may `suspend` while it decides."""

    def on_info(self, bytes text) -> None:
        """INFO from the peer."""

    def on_subscribe(self, bytes subject, bytes queue, bytes sid) -> None:
        """SUB arrived; subject not validated yet."""

    def on_unsubscribe(self, bytes sid, int64_t max_deliver) -> None:
        """UNSUB arrived; `max_deliver` 0 means now."""

    def on_first_pong(self) -> None:
        """A PONG was queued; called until the hook sets `first_pong_sent`."""

    def on_pong(self) -> None:
        """PONG from the peer."""

    def on_peer_error(self, bytes text) -> None:
        """-ERR from the peer."""

    def on_operation_before_auth(self) -> bool:
        """Something other than CONNECT came first; True when the connection may go on."""
        return False

    def on_publish_denied(self, bytes subject) -> None:
        """A publish was dropped for want of permission."""

    def on_reply_denied(self, bytes reply) -> None:
        """A publish was dropped because its reply subject is reserved."""

    def on_invalid_publish_subject(self) -> None:
        """Pedantic only: the subject is not a valid literal; the message is routed all the same."""

    def on_exhausted(self, Subscription subscription) -> None:
        """A subscription got its last message (auto-unsubscribe)."""

    def on_violation(self, str text, str reason) -> None:
        """The peer broke the protocol: `text` for -ERR (empty: none), `reason` to close with."""

    def on_trace(self, bytes line) -> None:
        """A control line arrived and tracing is on."""

    # -- parse --------------------------------------------------------------------------------------------------------

    cdef Py_ssize_t consume(self, const char *data, Py_ssize_t length) except -1:
        cdef Py_ssize_t at = 0, used
        self.wanted = 0
        while at < length and not self.closed and not self.suspended:
            used = self.consume_line(data + at, length - at)
            if used < 0:
                break
            at += used
        return at

    cdef Py_ssize_t consume_line(self, const char *data, Py_ssize_t length) except -2:
        """One operation; returns the bytes used, -1 when it is not complete."""
        cdef const char *newline
        cdef Operation operation
        cdef Py_ssize_t line_len, at, end
        if self.awaiting_auth and (data[0] | 0x20) != c'c' and not self.on_operation_before_auth():
            return length
        operation = identify(data, length)
        if operation == OP_NONE:
            self.on_violation("Unknown Protocol Operation", REASON_PROTOCOL_VIOLATION)
            return length
        newline = <const char *>memchr(data, c'\n', length)
        if newline == NULL or operation == OP_MORE:
            if operation == OP_MORE and newline != NULL:
                self.on_violation("Unknown Protocol Operation", REASON_PROTOCOL_VIOLATION)
                return length
            return self.incomplete(data, length)
        line_len = newline - data
        at = name_length(operation)
        while at < line_len and is_space(data[at]):
            at += 1
        if at > IGNORED_TEXT_MAX or (line_len > IGNORED_TEXT_MAX and operation in (OP_PING, OP_PONG, OP_OK)):
            # Only a line cut by a read shows how long it grows; one that came at once must end the same way.
            return self.incomplete(data, line_len)
        if operation == OP_PUB:
            return self.consume_publish(data, length, line_len, at, False)
        if operation == OP_HPUB:
            return self.consume_publish(data, length, line_len, at, True)
        end = line_len
        if end > at and memchr(data + at, c'\r', end - at) != NULL:
            end -= 1
        if end - at > self.max_control_line and operation not in (OP_PING, OP_PONG, OP_OK):
            self.on_violation("maximum control line exceeded", "Maximum Control Line Exceeded")
            return length
        self.run_operation(operation, data + at, end - at)
        return line_len + 1

    cdef Py_ssize_t incomplete(self, const char *data, Py_ssize_t length) except -2:
        """The line has no end yet: check the limits on what is there, then wait for more."""
        cdef Operation operation = identify(data, length)
        cdef Py_ssize_t at, counted
        if operation == OP_PING or operation == OP_PONG or operation == OP_OK:
            if length > IGNORED_TEXT_MAX:
                self.on_violation("Unknown Protocol Operation", REASON_PROTOCOL_VIOLATION)
                return length
            return -1
        if operation != OP_MORE:
            at = name_length(operation)
            while at < length and is_space(data[at]):
                at += 1
            # White space before the arguments and the CR do not count, but must not grow without end either.
            counted = length - at
            if counted > 0 and memchr(data + at, c'\r', counted) != NULL:
                counted -= 1
            if counted > self.max_control_line or at > IGNORED_TEXT_MAX:
                self.on_violation("maximum control line exceeded", "Maximum Control Line Exceeded")
                return length
        return -1

    cdef Py_ssize_t consume_publish(self, const char *data, Py_ssize_t length, Py_ssize_t line_len,
                                    Py_ssize_t args_at, bint with_header) except -2:
        cdef Argument found[ARGUMENTS_MOST]
        cdef Message message
        cdef Py_ssize_t end = line_len, size, header = 0, body_at = line_len + 1
        cdef int count, least = 3 if with_header else 2
        if end > args_at and (data[end - 1] == c'\r' or memchr(data + args_at, c'\r', end - args_at) != NULL):
            end -= 1
        if end - args_at > self.max_control_line:
            self.on_violation("maximum control line exceeded", "Maximum Control Line Exceeded")
            return length
        count = split_arguments(data + args_at, end - args_at, found, 4)
        if count != least and count != least + 1 or (with_header and not self.headers):
            self.on_violation("", "Message Header Violation" if with_header and not self.headers
                              else REASON_PROTOCOL_VIOLATION)
            return length
        size = parse_size(found[count - 1].data, found[count - 1].length)
        if with_header:
            header = parse_size(found[count - 2].data, found[count - 2].length)
            if header < 0 or header > size:
                size = -1
        if size < 0:
            self.on_violation("", REASON_PROTOCOL_VIOLATION)
            return length
        if size > self.max_payload and self.max_payload >= 0:
            if header > 0 and length > body_at and self.account is not None:
                self.on_traceable_oversize(found[0].data[:found[0].length],
                                           data[body_at:body_at + min(header, length - body_at)], size)
            self.on_violation("Maximum Payload Violation", "Maximum Message Payload Exceeded")
            return length
        if length - body_at < size + 2:
            # The terminator is checked as soon as its first byte is there, as the real parser does.
            if length - body_at > size and data[body_at + size] != c'\r':
                self.on_violation("Unknown Protocol Operation", REASON_PROTOCOL_VIOLATION)
                return length
            self.wanted = body_at + size + 2
            return -1
        if data[body_at + size] != c'\r' or data[body_at + size + 1] != c'\n':
            self.on_violation("Unknown Protocol Operation", REASON_PROTOCOL_VIOLATION)
            return length
        message.subject = found[0].data
        message.subject_len = found[0].length
        if count == least + 1:
            message.reply = found[1].data
            message.reply_len = found[1].length
        else:
            message.reply = NULL
            message.reply_len = 0
        message.body = data + body_at
        message.header_len = header
        message.body_len = size
        message.wire_subject = NULL
        if self.traces:
            self.on_trace(data[:end])
        self.publish(&message)
        return body_at + size + 2

    cdef int run_operation(self, Operation operation, const char *argument, Py_ssize_t length) except -1:
        if self.traces:
            self.on_trace((b"", b"PUB ", b"HPUB ", b"SUB ", b"UNSUB ", b"PING", b"PONG", b"CONNECT ", b"INFO ",
                           b"+OK", b"-ERR ")[<int>operation] + argument[:length])
        if operation == OP_PING:
            self.append(b"PONG\r\n", 6)
            if not self.first_pong_sent:
                self.on_first_pong()
        elif operation == OP_SUB:
            self.subscribe_line(argument, length)
        elif operation == OP_UNSUB:
            self.unsubscribe_line(argument, length)
        elif operation == OP_PONG:
            self.on_pong()
        elif operation == OP_CONNECT:
            self.on_connect(argument[:length])
        elif operation == OP_INFO:
            self.on_info(argument[:length])
        elif operation == OP_ERR:
            self.on_peer_error(argument[:length])
        return 0

    cdef int subscribe_line(self, const char *argument, Py_ssize_t length) except -1:
        cdef Argument found[ARGUMENTS_MOST]
        cdef int count = split_arguments(argument, length, found, 3)
        if count == 2:
            self.on_subscribe(found[0].data[:found[0].length], None, found[1].data[:found[1].length])
        elif count == 3:
            self.on_subscribe(found[0].data[:found[0].length], found[1].data[:found[1].length],
                              found[2].data[:found[2].length])
        else:
            self.on_violation("", REASON_PROTOCOL_VIOLATION)
        return 0

    cdef int unsubscribe_line(self, const char *argument, Py_ssize_t length) except -1:
        cdef Argument found[ARGUMENTS_MOST]
        cdef Py_ssize_t most = 0
        cdef int count = split_arguments(argument, length, found, 2)
        if count < 1 or count > 2:
            self.on_violation("", REASON_PROTOCOL_VIOLATION)
            return 0
        if count == 2:
            most = max(parse_size(found[1].data, found[1].length), 0)
        self.on_unsubscribe(found[0].data[:found[0].length], most)
        return 0

    # -- publish ------------------------------------------------------------------------------------------------------

    def on_traceable(self, bytes subject, bytes reply, bytes header, bytes payload):
        """A message whose header may ask for a trace: None when it was dealt with, else the header it goes on with."""
        return header

    def on_traceable_oversize(self, bytes subject, bytes header, int64_t size) -> None:
        """The same for a message that is too large and was not read; `header` is what is there of it."""

    def may_publish_on(self, bytes subject not None) -> bool:
        """What is checked of every message. Counts when the subject is a reply that may be answered a few times."""
        return self.may_publish(subject, len(subject))

    def tell_no_responders(self, bytes subject not None, bytes reply not None) -> None:
        """As after a request that nobody took."""
        cdef Message message
        if self.no_responders and reply and not self.closed and self.account is not None:
            message.subject = subject
            message.subject_len = len(subject)
            message.reply = reply
            message.reply_len = len(reply)
            self.send_no_responders(self.account, &message)

    def may_reply_to(self, bytes reply not None) -> bool:
        """Whether a client may name it as a reply: some subjects stand for what only a server knows."""
        return not is_reserved_reply(reply, len(reply))

    cdef int publish(self, Message *message) except -1:
        """Count, map, check and route one message of this client (the order is nats-server's)."""
        cdef Py_ssize_t delivered
        cdef bytes mapped, traced
        cdef AccountPlane account = self.account
        self.in_msgs += 1
        self.in_bytes += message.body_len
        self.engine.in_msgs += 1
        self.engine.in_bytes += message.body_len
        if account is None:
            return 0
        account.in_msgs += 1
        account.in_bytes += message.body_len
        if self.pedantic and not (valid_subject(message.subject, message.subject_len)
                                  and literal_subject(message.subject, message.subject_len)):
            self.on_invalid_publish_subject()
        if message.header_len and mentions_trace(account, message.body, message.header_len):
            traced = self.on_traceable(*parts_of(message))
            if traced is None:
                return 0
            traced = with_header(message, traced)
        if account.mappings is not None:
            mapped = account.mappings.map(message.subject[:message.subject_len])
            if mapped is None:
                return 0
            message.subject = mapped
            message.subject_len = len(mapped)
        if not self.may_publish(message.subject, message.subject_len):
            self.on_publish_denied(message.subject[:message.subject_len])
            return 0
        if is_reserved_reply(message.reply, message.reply_len):
            self.on_reply_denied(message.reply[:message.reply_len])
            return 0
        if self.closed:
            # A hook ended the connection; its messages end with it.
            return 0
        if self.verbose:
            self.append(b"+OK\r\n", 5)
        delivered = route(account, self, message)
        if delivered == 0 and self.no_responders and message.reply_len and not self.closed:
            self.send_no_responders(account, message)
        return 0

    cdef bint may_publish(self, const char *subject, Py_ssize_t length) except -1:
        cdef list left
        if length >= 5 and subject[0] == c'_' and memcmp(subject, b"_GR_.", 5) == 0:
            return False
        if (length >= 5 and subject[0] == c'$' and memcmp(subject, b"$NRG.", 5) == 0
                and not getattr(self.account, "is_system", False)):
            return False
        if self.permissions is None or not self.permissions.restricts_publish:
            return True
        if self.permissions.may_publish(subject, length):
            return True
        if self.reply_permissions is None:
            return False
        left = self.reply_permissions.get(subject[:length])
        if left is None:
            return False
        if left[1] and monotonic_ns() > left[1]:
            del self.reply_permissions[subject[:length]]
            return False
        left[0] -= 1
        if left[0] == 0:
            del self.reply_permissions[subject[:length]]
        return True

    cdef int send_no_responders(self, AccountPlane account, Message *message) except -1:
        """Tell the requester at once that nobody listens (core-protocol section 2.4)."""
        cdef Subscription subscription
        for entry in account.sublist.find(message.reply[:message.reply_len]).entries:
            if not isinstance(entry, Subscription):
                continue
            subscription = <Subscription>entry
            if subscription.receiver is self and not subscription.closed:
                header = b"NATS/1.0 503\r\nNats-Subject: %b\r\n\r\n" % message.subject[:message.subject_len]
                self.send(b"HMSG %b %b %d %d\r\n%b\r\n" % (
                    message.reply[:message.reply_len], subscription.sid, len(header), len(header), header))
                break
        return 0

    # -- deliver ------------------------------------------------------------------------------------------------------

    cdef bint takes(self, Subscription subscription, Receiver origin, Message *message) except -1:
        if self.closed or subscription.closed or (origin is self and not self.echo):
            return False
        return not (subscription.filters_deliveries and self.permissions is not None
                    and self.permissions.denies_delivery(message.subject, message.subject_len))

    cdef int deliver(self, Subscription subscription, Receiver origin, Message *message) except -1:
        cdef Subscription counted = subscription if subscription.primary is None else subscription.primary
        cdef const char *body = message.body
        cdef Py_ssize_t body_len = message.body_len, header_len = message.header_len
        cdef Py_ssize_t sid_len = len(subscription.sid), room
        cdef char *start
        cdef char *at
        if self.closed or (origin is self and not self.echo):
            return 0
        if (subscription.filters_deliveries and self.permissions is not None
                and self.permissions.denies_delivery(message.subject, message.subject_len)):
            return 0
        if counted.max_deliver and counted.delivered >= counted.max_deliver:
            return 0
        if header_len and not self.headers:
            body += header_len
            body_len -= header_len
            header_len = 0
        # "HMSG " + subject + sid + reply + two numbers of at most 20 digits + spaces + two line ends.
        room = 64 + message.subject_len + sid_len + message.reply_len + body_len
        if (self.out_end - self.out_start + room > self.max_pending - (self.max_pending >> 2)
                and self.is_slow_for(origin, room)):
            return 0
        start = at = self.reserve(room)
        if header_len:
            at[0] = c'H'
            at += 1
        memcpy(at, b"MSG ", 4)
        at += 4
        memcpy(at, message.subject, message.subject_len)
        at += message.subject_len
        at[0] = c' '
        memcpy(at + 1, <const char *>subscription.sid, sid_len)
        at += sid_len + 1
        at[0] = c' '
        at += 1
        if message.reply_len:
            memcpy(at, message.reply, message.reply_len)
            at += message.reply_len
            at[0] = c' '
            at += 1
        if header_len:
            at = write_number(at, <uint64_t>header_len)
            at[0] = c' '
            at += 1
        at = write_number(at, <uint64_t>body_len)
        at[0] = c'\r'
        at[1] = c'\n'
        at += 2
        memcpy(at, body, body_len)
        at += body_len
        at[0] = c'\r'
        at[1] = c'\n'
        self.written(at + 2 - start)
        counted.delivered += 1
        self.out_msgs += 1
        self.out_bytes += body_len
        self.engine.out_msgs += 1
        self.engine.out_bytes += body_len
        if self.account is not None:
            self.account.out_msgs += 1
            self.account.out_bytes += body_len
        if self.reply_permissions is not None and message.reply_len:
            self.track_reply(message)
        if counted.max_deliver and counted.delivered >= counted.max_deliver:
            self.exhaust(counted)
        return 1

    cdef int exhaust(self, Subscription subscription) except -1:
        """A subscription got its last message. What its owner does wrong must not reach the sender's connection."""
        subscription.closed = True
        try:
            self.on_exhausted(subscription)
        except Exception as error:
            self.end_after_error(error)
        return 0

    cdef int track_reply(self, Message *message) except -1:
        """allow_responses: remember that this client may publish on the reply subject for a while.

        The oldest reply makes room: with one time-out for all it is the first to expire, so nothing is searched.
        """
        cdef bytes reply = message.reply[:message.reply_len]
        cdef int64_t deadline = 0
        cdef dict replies = self.reply_permissions
        if self.permissions is None or not self.permissions.responses_max:
            return 0
        ttl_s = self.permissions.responses_ttl_s
        if ttl_s is not None and ttl_s > 0:
            deadline = monotonic_ns() + <int64_t>(ttl_s * 1e9)
        # Out and in again, so that the order stays that of the deadlines.
        replies.pop(reply, None)
        if len(replies) >= REPLY_PERMISSIONS_MAX:
            del replies[next(iter(replies))]
        replies[reply] = [self.permissions.responses_max, deadline]
        return 0
