# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Leaf links: LMSG and HMSG in and out, interest lines to hooks.

One message goes over a link once, however many interests match; the queue groups that were picked for the link travel
on its line, and the peer serves no other group. A message of a stream keeps its own subject beside the inbox it goes
to: on the wire it is appended to the acknowledgement subject after an `@`, and taken off again on the other side.

The parser is line based as the client's (`nats_connection`); the operations are few and their peer is a server, so
there is no leniency beyond nats-server's: anything unknown ends the link.
"""
from cpython.object cimport PyObject
from libc.stdint cimport uint64_t
from libc.string cimport memchr, memcmp, memcpy

from leafbox.dataplane.connection cimport Connection, Engine
from leafbox.dataplane.message cimport Message
from leafbox.dataplane.nats_connection cimport Argument, parse_size, split_arguments, write_number
from leafbox.dataplane.permissions cimport Permissions
from leafbox.dataplane.routing cimport (
    AccountPlane,
    QueueNames,
    Receiver,
    Subscription,
    mentions_trace,
    parts_of,
    route_from_remote,
    with_header,
)

cdef enum:
    # Subject, marker, reply, queue names and two sizes; more queue groups than that on one subject are not served.
    ARGUMENTS_MOST = 64
    # Before this many dots an `@` belongs to the names in an acknowledgement subject.
    ACK_DOTS = 8

# nats-server gives server-to-server lines sixteen times a client's.
CONTROL_LINE_FACTOR = 16


cdef Py_ssize_t find_origin_subject(const char *reply, Py_ssize_t length) noexcept nogil:
    """Position of the `@` behind which an acknowledgement subject carries the message's own subject; -1 without."""
    cdef Py_ssize_t i, dots = 0
    if length < 8 or memcmp(reply, b"$JS.ACK.", 8) != 0:
        return -1
    for i in range(length):
        if reply[i] == c'.':
            dots += 1
        elif reply[i] == c'@' and dots >= ACK_DOTS:
            return i
    return -1


cdef class LeafConnection(Connection):
    """One leaf link. The Python subclass shakes hands and keeps interest; this class moves messages."""

    def __init__(self, Engine engine not None):
        Connection.__init__(self, engine)
        self.is_remote = True
        self.max_payload = 1024 * 1024
        self.max_control_line = 4096 * CONTROL_LINE_FACTOR

    # -- hooks of the control plane -----------------------------------------------------------------------------------

    def on_info(self, bytes text) -> None:
        """INFO from the peer."""

    def on_connect(self, bytes options) -> None:
        """CONNECT from a leaf that dialled us."""

    def on_interest(self, bytes subject, bytes queue, int weight) -> None:
        """LS+: the peer wants messages on `subject`."""

    def on_interest_gone(self, bytes subject, bytes queue) -> None:
        """LS-: it no longer does."""

    def on_pong(self) -> None:
        """PONG from the peer."""

    def on_peer_error(self, bytes text) -> None:
        """-ERR from the peer; it closes the link itself."""

    def on_violation(self, str text, str reason) -> None:
        """The peer broke the protocol."""

    def on_message_denied(self, bytes subject) -> None:
        """The peer sent what it may not send; the message was dropped."""

    def on_traceable(self, bytes subject, bytes reply, bytes header, bytes payload, list queues):
        """A message whose header may ask for a trace: None when it was dealt with, else the header it goes on with."""
        return header

    cdef int violation(self, str text, str reason) except -1:
        try:
            self.on_violation(text, reason)
        except Exception as error:
            self.end_after_error(error)
        return 0

    # -- parse --------------------------------------------------------------------------------------------------------

    cdef Py_ssize_t consume(self, const char *data, Py_ssize_t length) except -1:
        cdef Py_ssize_t at = 0, used
        cdef object framing = self.framing
        self.wanted = 0
        # Behind the INFO that begins compression the bytes are not ours to read.
        while at < length and not self.closed and not self.suspended and self.framing is framing:
            used = self.consume_line(data + at, length - at)
            if used < 0:
                break
            at += used
        return at

    cdef Py_ssize_t consume_line(self, const char *data, Py_ssize_t length) except -2:
        """One operation; returns the bytes used, -1 when it is not complete."""
        cdef const char *newline = <const char *>memchr(data, c'\n', min(length, self.max_control_line + 16))
        cdef Py_ssize_t line_len, end
        cdef char first = data[0] | 0x20
        if newline == NULL:
            if length > self.max_control_line + 16:
                self.violation("maximum control line exceeded", "Maximum Control Line Exceeded")
                return length
            return -1
        line_len = newline - data
        end = line_len - 1 if line_len and data[line_len - 1] == c'\r' else line_len
        if end >= 5 and data[4] == c' ' and self.account is not None:
            if memcmp(data, b"LMSG", 4) == 0:
                return self.consume_message(data, length, line_len, False)
            if memcmp(data, b"HMSG", 4) == 0:
                return self.consume_message(data, length, line_len, True)
        try:
            if end >= 4 and memcmp(data, b"LS+ ", 4) == 0 and self.account is not None:
                self.interest_line(data + 4, end - 4, True)
            elif end >= 4 and memcmp(data, b"LS- ", 4) == 0 and self.account is not None:
                self.interest_line(data + 4, end - 4, False)
            elif end >= 4 and memcmp(data, b"PING", 4) == 0:
                self.append(b"PONG\r\n", 6)
            elif end >= 4 and memcmp(data, b"PONG", 4) == 0:
                self.on_pong()
            elif end >= 5 and memcmp(data, b"INFO ", 5) == 0:
                self.on_info(data[5:end])
            elif end >= 8 and memcmp(data, b"CONNECT ", 8) == 0:
                self.on_connect(data[8:end])
            elif end >= 4 and memcmp(data, b"-ERR", 4) == 0:
                self.on_peer_error(data[4:end].strip())
            elif not (end >= 3 and memcmp(data, b"+OK", 3) == 0):
                self.on_violation("Unknown Protocol Operation", "Protocol Violation")
        except Exception as error:
            self.end_after_error(error)
        return line_len + 1

    cdef int interest_line(self, const char *argument, Py_ssize_t length, bint is_added) except -1:
        cdef Argument found[4]
        cdef int count = split_arguments(argument, length, found, 3)
        cdef Py_ssize_t weight = 1
        cdef bytes queue = None
        if count < 1 or count > 3 or (is_added and count == 2) or (not is_added and count == 3):
            self.on_violation("", "Protocol Violation")
            return 0
        if count >= 2:
            queue = found[1].data[:found[1].length]
        if count == 3:
            weight = max(parse_size(found[2].data, found[2].length), 1)
        if is_added:
            self.on_interest(found[0].data[:found[0].length], queue, <int>min(weight, 1 << 30))
        else:
            self.on_interest_gone(found[0].data[:found[0].length], queue)
        return 0

    cdef Py_ssize_t consume_message(self, const char *data, Py_ssize_t length, Py_ssize_t line_len,
                                    bint with_header) except -2:
        cdef Argument found[ARGUMENTS_MOST]
        cdef const char *names[ARGUMENTS_MOST]
        cdef Py_ssize_t lengths[ARGUMENTS_MOST]
        cdef QueueNames queues
        cdef Message message
        cdef Py_ssize_t size, header = 0, body_at = line_len + 1
        cdef int count = split_arguments(data + 5, line_len - 5, found, ARGUMENTS_MOST - 1)
        cdef int sizes = 2 if with_header else 1, i, first_name
        if count < 1 + sizes or count >= ARGUMENTS_MOST:
            self.violation("", "Protocol Violation")
            return length
        size = parse_size(found[count - 1].data, found[count - 1].length)
        if with_header:
            header = parse_size(found[count - 2].data, found[count - 2].length)
        if size < 0 or header < 0 or header > size:
            self.violation("", "Protocol Violation")
            return length
        if size > self.max_payload and self.max_payload >= 0:
            self.violation("Maximum Payload Violation", "Maximum Message Payload Exceeded")
            return length
        if length - body_at < size + 2:
            self.wanted = body_at + size + 2
            return -1
        if data[body_at + size] != c'\r' or data[body_at + size + 1] != c'\n':
            self.violation("Unknown Protocol Operation", "Protocol Violation")
            return length
        message.subject = found[0].data
        message.subject_len = found[0].length
        message.reply = NULL
        message.reply_len = 0
        message.body = data + body_at
        message.header_len = header
        message.body_len = size
        message.wire_subject = NULL
        count -= sizes
        first_name = count
        if count == 2:
            message.reply = found[1].data
            message.reply_len = found[1].length
        elif count > 2:
            first_name = 2
            if found[1].length == 1 and found[1].data[0] == c'+' and count > 3:
                message.reply = found[2].data
                message.reply_len = found[2].length
                first_name = 3
            elif not (found[1].length == 1 and found[1].data[0] == c'|'):
                self.violation("", "Protocol Violation")
                return length
        queues.names = names
        queues.lengths = lengths
        queues.count = count - first_name
        for i in range(first_name, count):
            names[i - first_name] = found[i].data
            lengths[i - first_name] = found[i].length
        self.receive(&message, &queues)
        return body_at + size + 2

    # -- in -----------------------------------------------------------------------------------------------------------

    cdef int receive(self, Message *message, QueueNames *queues) except -1:
        """Count, check, map and route one message from the peer."""
        cdef const char *found_by = message.subject
        cdef Py_ssize_t found_by_len = message.subject_len, at
        cdef bytes mapped, traced
        cdef Py_ssize_t i
        cdef AccountPlane account = self.account
        self.in_msgs += 1
        self.in_bytes += message.body_len
        self.engine.in_msgs += 1
        self.engine.in_bytes += message.body_len
        account.in_msgs += 1
        account.in_bytes += message.body_len
        try:
            if self.incoming is not None and not self.incoming.may_publish(message.subject, message.subject_len):
                self.on_message_denied(message.subject[:message.subject_len])
                return 0
            at = find_origin_subject(message.reply, message.reply_len) if message.reply_len else -1
            # What a consumer delivers is not traced a second time.
            if at < 0 and message.header_len and mentions_trace(account, message.body, message.header_len):
                names = [queues.names[i][:queues.lengths[i]] for i in range(queues.count)]
                traced = self.on_traceable(*parts_of(message), names)
                if traced is None:
                    return 0
                traced = with_header(message, traced)
            if at >= 0 and at + 1 < message.reply_len:
                message.subject = message.reply + at + 1
                message.subject_len = message.reply_len - at - 1
                message.reply_len = at
                message.wire_subject = found_by
                message.wire_subject_len = found_by_len
            elif account.mappings is not None:
                mapped = account.mappings.map(message.subject[:message.subject_len])
                if mapped is None:
                    return 0
                if len(mapped) != found_by_len or memcmp(<const char *>mapped, found_by, found_by_len) != 0:
                    # The sender could not know our mapping, so the groups it named do not bind us.
                    message.subject = found_by = mapped
                    message.subject_len = found_by_len = len(mapped)
                    queues = NULL
            route_from_remote(account, self, message, found_by, found_by_len, queues)
        except Exception as error:
            self.end_after_error(error)
        return 0

    # -- out ----------------------------------------------------------------------------------------------------------

    cdef bint is_back(self, Receiver origin):
        """Whether a message from `origin` would go back to where it came from: this link or another of its cluster."""
        if origin is self:
            return True
        return (self.cluster is not None and isinstance(origin, LeafConnection)
                and (<LeafConnection>origin).cluster == self.cluster)

    cdef int deliver(self, Subscription subscription, Receiver origin, Message *message) except -1:
        cdef PyObject *alone = <PyObject *>subscription
        if subscription.closed or self.is_back(origin):
            return 0
        return self.send_message(message, &alone, 1, origin)

    cdef bint takes(self, Subscription subscription, Receiver origin, Message *message) except -1:
        if subscription.closed or self.closed or self.is_back(origin):
            return False
        if self.outgoing is None:
            return True
        if message.wire_subject != NULL:
            return self.outgoing.may_publish(message.wire_subject, message.wire_subject_len)
        return self.outgoing.may_publish(message.subject, message.subject_len)

    cdef int deliver_picks(self, PyObject **subscriptions, Py_ssize_t count, Receiver origin,
                           Message *message) except -1:
        if self.is_back(origin):
            return 0
        return self.send_message(message, subscriptions, count, origin)

    cdef int send_message(self, Message *message, PyObject **subscriptions, Py_ssize_t count,
                          Receiver origin) except -1:
        cdef bytes queue
        cdef const char *subject = message.subject
        cdef const char *body = message.body
        cdef Py_ssize_t subject_len = message.subject_len, header_len = message.header_len
        cdef Py_ssize_t body_len = message.body_len, names_len = 0, room, i, suffix_len = 0
        cdef bint has_names = False
        cdef char *start
        cdef char *at
        if self.closed or self.account is None:
            return 0
        if message.wire_subject != NULL:
            subject = message.wire_subject
            subject_len = message.wire_subject_len
            if (message.reply_len >= 8 and memcmp(message.reply, b"$JS.ACK.", 8) == 0
                    and find_origin_subject(message.reply, message.reply_len) < 0):
                suffix_len = message.subject_len + 1
        if self.outgoing is not None and not self.outgoing.may_publish(subject, subject_len):
            return 0
        if header_len and not self.headers:
            body += header_len
            body_len -= header_len
            header_len = 0
        for i in range(count):
            queue = (<Subscription>subscriptions[i]).queue
            if queue is not None:
                has_names = True
                names_len += len(queue) + 1
        room = 72 + subject_len + message.reply_len + suffix_len + names_len + body_len
        if (self.out_end - self.out_start + room > self.max_pending - (self.max_pending >> 2)
                and self.is_slow_for(origin, room)):
            return 0
        start = at = self.reserve(room)
        at[0] = c'H' if header_len else c'L'
        memcpy(at + 1, b"MSG ", 4)
        at += 5
        memcpy(at, subject, subject_len)
        at += subject_len
        at[0] = c' '
        at += 1
        if has_names:
            at[0] = c'+' if message.reply_len else c'|'
            at[1] = c' '
            at += 2
        if message.reply_len:
            memcpy(at, message.reply, message.reply_len)
            at += message.reply_len
            if suffix_len:
                at[0] = c'@'
                memcpy(at + 1, message.subject, message.subject_len)
                at += suffix_len
            at[0] = c' '
            at += 1
        for i in range(count):
            queue = (<Subscription>subscriptions[i]).queue
            if queue is not None:
                memcpy(at, <const char *>queue, len(queue))
                at += len(queue)
                at[0] = c' '
                at += 1
        if header_len:
            at = write_number(at, <uint64_t>header_len)
            at[0] = c' '
            at += 1
        at = write_number(at, <uint64_t>body_len)
        at[0] = c'\r'
        at[1] = c'\n'
        memcpy(at + 2, body, body_len)
        at += body_len + 2
        at[0] = c'\r'
        at[1] = c'\n'
        self.written(at + 2 - start)
        self.out_msgs += 1
        self.out_bytes += body_len
        self.engine.out_msgs += 1
        self.engine.out_bytes += body_len
        self.account.out_msgs += 1
        self.account.out_bytes += body_len
        return 1
