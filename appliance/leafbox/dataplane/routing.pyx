# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Routing: from a published message to every receiver, through the account's subject index.

`route` is the one meeting point of all protocols (NATS PUB, MQTT PUBLISH, leaf LMSG, internal publish). It makes no
Python object per message when the subject's match is cached and no mapping or import is involved.

A receiver that fails must not stop the others nor reach the sender, who did nothing wrong. So the calls into receivers
are `noexcept`: what escapes them goes to `sys.unraisablehook`. That costs nothing per message, a `try` would.
"""
from cpython.object cimport PyObject
from libc.stdint cimport uint64_t
from libc.string cimport memchr, memcmp

from leafbox.dataplane.message cimport Message
from leafbox.dataplane.sublist cimport MatchResult, Sublist

cdef extern from "string.h" nogil:
    void *memmem(const void *haystack, size_t haystack_len, const void *needle, size_t needle_len)

cdef extern from "strings.h" nogil:
    int strncasecmp(const char *left, const char *right, size_t length)

import logging
import os

logger = logging.getLogger(__name__)

cdef enum:
    # Links and queue groups behind links that one message is batched for; the rest is sent one by one.
    REMOTE_PICKS_MAX = 64
    # Callbacks whose messages reach callbacks, and so on: real chains have a few links, a longer one is a loop.
    CALLBACKS_NESTED_MAX = 100

cdef int callbacks_nested = 0

# xorshift64*: picks queue members; it decides nothing that must be secret.
cdef uint64_t random_state = int.from_bytes(os.urandom(8), "little") | 1


cdef inline uint64_t next_random() noexcept:
    global random_state
    random_state ^= random_state >> 12
    random_state ^= random_state << 25
    random_state ^= random_state >> 27
    return random_state * <uint64_t>0x2545F4914F6CDD1D


cdef class Receiver:
    """Where messages can go. Subclasses are compiled; Python code subscribes through `CallbackReceiver`."""

    cdef int deliver(self, Subscription subscription, Receiver origin, Message *message) except -1:
        return 0

    cdef bint takes(self, Subscription subscription, Receiver origin, Message *message) except -1:
        return self is not origin and not subscription.closed

    def trace_refusal(self, Subscription subscription not None, Receiver origin, bytes subject not None) -> str:
        """For message traces: why `deliver` would not take a message; empty: it would."""
        return ""

    cdef int deliver_picks(self, PyObject **subscriptions, Py_ssize_t count, Receiver origin,
                           Message *message) except -1:
        cdef Py_ssize_t i, taken = 0
        for i in range(count):
            taken += self.deliver(<Subscription>subscriptions[i], origin, message)
        return taken


cdef class Subscription:
    """One interest of one receiver in one account. Made and removed by the control plane, counted here."""

    def __init__(self, AccountPlane account not None, Receiver receiver not None, bytes subject not None,
                 bytes queue=None, bytes sid=b""):
        self.account = account
        self.receiver = receiver
        self.subject = subject
        self.queue = queue
        self.sid = sid
        self.queue_weight = 1


cdef class CallbackReceiver(Receiver):
    """Calls `callback(subject, reply, header, payload, origin)`, all bytes; `origin` is the sending receiver or None.

    The callback runs to completion inside the sender's turn of the loop, so it must be short. Its errors are its own:
    they are logged, and neither the sender nor the other receivers notice.
    """

    def __init__(self, callback):
        self.callback = callback

    cdef int deliver(self, Subscription subscription, Receiver origin, Message *message) except -1:
        global callbacks_nested
        if callbacks_nested >= CALLBACKS_NESTED_MAX:
            logger.error("callback_loop subscription=%r", subscription.subject)
            return 0
        if subscription.max_deliver:
            if subscription.delivered >= subscription.max_deliver:
                return 0
            if subscription.delivered + 1 >= subscription.max_deliver:
                subscription.closed = True
        subscription.delivered += 1
        callbacks_nested += 1
        try:
            taken = self.call(origin, message)
        except Exception:
            logger.exception("callback_failed subscription=%r", subscription.subject)
            return 1
        finally:
            callbacks_nested -= 1
        return 0 if taken is False else 1

    cdef object call(self, Receiver origin, Message *message):
        return self.callback(
            message.subject[:message.subject_len],
            message.reply[:message.reply_len] if message.reply_len else b"",
            message.body[:message.header_len] if message.header_len else b"",
            message.body[message.header_len:message.body_len] if message.body_len > message.header_len else b"",
            origin,
        )


cdef class InboxReceiver(CallbackReceiver):
    """A callback that is told what it was found by: `callback(inbox, subject, reply, header, payload, origin)`.

    The two differ for a stream's message, which keeps its own subject on its way to an inbox.
    """

    cdef object call(self, Receiver origin, Message *message):
        cdef bytes subject = message.subject[:message.subject_len]
        return self.callback(
            message.wire_subject[:message.wire_subject_len] if message.wire_subject != NULL else subject,
            subject,
            message.reply[:message.reply_len] if message.reply_len else b"",
            message.body[:message.header_len] if message.header_len else b"",
            message.body[message.header_len:message.body_len] if message.body_len > message.header_len else b"",
            origin,
        )


cdef void lay_out(Message *message, bytes subject, bytes reply, bytes body, Py_ssize_t header_len) noexcept:
    """A message of bytes objects, which must be kept as long; `body` is header and payload."""
    message.subject = subject
    message.subject_len = len(subject)
    message.reply = reply
    message.reply_len = len(reply)
    message.body = body
    message.header_len = header_len
    message.body_len = len(body)
    message.wire_subject = NULL


cdef class AccountPlane:
    """What the data plane needs of an account: its subject index, its mappings and its counters."""

    def __cinit__(self, *args, **options):
        # Routing takes every entry for a Subscription without looking.
        self.sublist = Sublist(entry_type=Subscription)

    def publish(self, bytes subject not None, bytes payload not None=b"", bytes reply not None=b"",
                bytes header not None=b"", Receiver origin=None) -> int:
        """Route an internal message; returns how many receivers took it. Mappings do not apply (as nats-server)."""
        cdef Message message
        cdef bytes body = header + payload if header else payload
        lay_out(&message, subject, reply, body, len(header))
        return route(self, origin, &message)

    def publish_to(self, bytes inbox not None, bytes subject not None, bytes payload not None=b"",
                   bytes reply not None=b"", bytes header not None=b"") -> int:
        """Like `publish`, but routed by `inbox` while receivers are shown `subject`."""
        cdef Message message
        cdef bytes body = header + payload if header else payload
        lay_out(&message, subject, reply, body, len(header))
        return deliver_as(self, inbox, len(inbox), &message)


cdef int hand_over(Subscription subscription, Receiver origin, Message *message) noexcept:
    """Deliver to one subscription, through its import mapping when it is a shadow in an exporter's account."""
    cdef Message local
    cdef bytes subject
    if subscription.local_subject is None:
        return subscription.receiver.deliver(subscription, origin, message)
    try:
        subject = subscription.local_subject(message.subject[:message.subject_len])
    except Exception:
        logger.exception("import_failed subscription=%r", subscription.subject)
        return 0
    if subject is None:
        return 0
    local = message[0]
    local.subject = subject
    local.subject_len = len(subject)
    return subscription.receiver.deliver(subscription, origin, &local)


cdef struct RemoteBatch:
    Py_ssize_t count
    PyObject *picks[REMOTE_PICKS_MAX]   # subscriptions, borrowed from the match result


cdef Py_ssize_t route(AccountPlane account, Receiver origin, Message *message) except -1:
    """Deliver to every plain subscription and to one member of each queue group. Returns how many took it."""
    return deliver_result(account.sublist.match(message.subject, message.subject_len), origin, message, NULL)


cdef Py_ssize_t route_from_remote(AccountPlane account, Receiver origin, Message *message, const char *found_by,
                                  Py_ssize_t found_by_len, QueueNames *queues) except -1:
    return deliver_result(account.sublist.match(found_by, found_by_len), origin, message, queues)


cdef Py_ssize_t deliver_result(MatchResult result, Receiver origin, Message *message, QueueNames *queues) except -1:
    cdef Py_ssize_t delivered = 0, i
    cdef Subscription subscription
    cdef RemoteBatch remotes
    remotes.count = 0
    if result.plain_count:
        for i in range(result.plain_count):
            subscription = <Subscription>result.plain[i]
            if not subscription.closed:
                if subscription.receiver.is_remote:
                    delivered += pick_remote(subscription, origin, message, &remotes)
                else:
                    delivered += hand_over(subscription, origin, message)
    if result.group_count:
        delivered += route_groups(result, origin, message, queues, &remotes)
    if remotes.count:
        delivered += send_to_remotes(origin, message, &remotes)
    return delivered


cdef Py_ssize_t pick_remote(Subscription subscription, Receiver origin, Message *message,
                            RemoteBatch *remotes) except -1:
    """Note that a link gets this message: however many of its interests match, it is sent once, at the end."""
    if subscription.receiver is origin:
        return 0
    if subscription.local_subject is not None or remotes.count == REMOTE_PICKS_MAX:
        return hand_over(subscription, origin, message)
    remotes.picks[remotes.count] = <PyObject *>subscription
    remotes.count += 1
    return 0


cdef Py_ssize_t send_to_remotes(Receiver origin, Message *message, RemoteBatch *remotes) except -1:
    """One message per link, naming its queue groups."""
    cdef PyObject *of_link[REMOTE_PICKS_MAX]
    cdef Py_ssize_t i, j, count, delivered = 0
    cdef Receiver link
    for i in range(remotes.count):
        if remotes.picks[i] == NULL:
            continue
        link = (<Subscription>remotes.picks[i]).receiver
        count = 0
        for j in range(i, remotes.count):
            if remotes.picks[j] != NULL and (<Subscription>remotes.picks[j]).receiver is link:
                of_link[count] = remotes.picks[j]
                count += 1
                remotes.picks[j] = NULL
        delivered += hand_over_picks(link, of_link, count, origin, message)
    return delivered


cdef Py_ssize_t hand_over_picks(Receiver link, PyObject **picks, Py_ssize_t count, Receiver origin,
                                Message *message) noexcept:
    return link.deliver_picks(picks, count, origin, message)


cdef bint is_named(bytes queue, QueueNames *queues) noexcept:
    cdef Py_ssize_t i
    for i in range(queues.count):
        if queues.lengths[i] == len(queue) and memcmp(queues.names[i], <const char *>queue, len(queue)) == 0:
            return True
    return False


cdef Py_ssize_t route_groups(MatchResult result, Receiver origin, Message *message, QueueNames *queues,
                             RemoteBatch *remotes) except -1:
    cdef Py_ssize_t start = 0, end, group, count, first, i, delivered = 0
    cdef Subscription subscription
    cdef bint has_remote, done
    for group in range(result.group_count):
        end = result.group_ends[group]
        if queues != NULL and not is_named(<bytes>result.queue_names[group], queues):
            start = end
            continue
        count = end - start
        first = <Py_ssize_t>(next_random() % <uint64_t>count)
        has_remote = False
        done = False
        for i in range(count):
            subscription = <Subscription>result.members[start + (first + i) % count]
            if subscription.closed:
                continue
            if subscription.receiver.is_remote:
                has_remote = True
                continue
            if hand_over(subscription, origin, message):
                delivered += 1
                done = True
                break
        if has_remote and not done:
            delivered += pick_remote_member(result, start, count, origin, message, remotes)
        start = end
    return delivered


cdef inline bint is_candidate(Subscription subscription, Receiver origin, Message *message) except -1:
    return (subscription.receiver.is_remote and subscription.receiver is not origin
            and subscription.receiver.takes(subscription, origin, message))


cdef Py_ssize_t pick_remote_member(MatchResult result, Py_ssize_t start, Py_ssize_t count, Receiver origin,
                                   Message *message, RemoteBatch *remotes) except -1:
    """No member is here: pick one link, in proportion to the members behind it."""
    cdef Py_ssize_t i, total = 0, target
    cdef Subscription subscription
    for i in range(count):
        subscription = <Subscription>result.members[start + i]
        if is_candidate(subscription, origin, message):
            total += max(subscription.queue_weight, 1)
    if total == 0:
        return 0
    target = <Py_ssize_t>(next_random() % <uint64_t>total)
    for i in range(count):
        subscription = <Subscription>result.members[start + i]
        if is_candidate(subscription, origin, message):
            target -= max(subscription.queue_weight, 1)
            if target < 0:
                return pick_remote(subscription, origin, message, remotes)
    return 0


cdef Py_ssize_t deliver_as(AccountPlane account, const char *subject, Py_ssize_t subject_len,
                           Message *message) except -1:
    """Route by `subject` while clients are shown `message.subject`: how consumers deliver to an inbox.

    A link to another server gets both: the inbox goes over the wire, the message's own subject behind the reply.
    Returns how many receivers took it.
    """
    cdef MatchResult result = account.sublist.match(subject, subject_len)
    cdef Py_ssize_t delivered = 0, start = 0, group, i, count, first
    cdef Subscription subscription
    for i in range(result.plain_count):
        subscription = <Subscription>result.plain[i]
        if not subscription.closed:
            delivered += hand_as(subscription, subject, subject_len, message)
    for group in range(result.group_count):
        count = result.group_ends[group] - start
        # Not in turns: consumers that share one count of turns starve a member when they alternate.
        first = <Py_ssize_t>(next_random() % <uint64_t>count)
        for i in range(count):
            subscription = <Subscription>result.members[start + (first + i) % count]
            if not subscription.closed and hand_as(subscription, subject, subject_len, message):
                delivered += 1
                break
        start = result.group_ends[group]
    return delivered


cdef int hand_as(Subscription subscription, const char *subject, Py_ssize_t subject_len,
                 Message *message) except -1:
    cdef Message local
    if subscription.receiver.is_remote or isinstance(subscription.receiver, InboxReceiver):
        local = message[0]
        local.wire_subject = subject
        local.wire_subject_len = subject_len
        return subscription.receiver.deliver(subscription, None, &local)
    if subscription.local_subject is not None and subscription.local_subject(subject[:subject_len]) is None:
        return 0
    return subscription.receiver.deliver(subscription, None, message)


# -- traced messages --------------------------------------------------------------------------------------------------


cdef bint mentions_trace(AccountPlane account, const char *header, Py_ssize_t length) noexcept:
    cdef const char *line = header
    cdef Py_ssize_t left
    if memmem(header, length, b"\nNats-Trace-Dest:", 17) != NULL:
        return True
    if not account.traces_parents:
        return False
    while True:
        left = length - (line - header)
        line = <const char *>memchr(line, c'\n', left)
        if line == NULL:
            return False
        line += 1
        if length - (line - header) > 12 and strncasecmp(line, b"traceparent:", 12) == 0:
            return True


cdef tuple parts_of(Message *message):
    """Subject, reply, header and payload as bytes."""
    return (
        message.subject[:message.subject_len],
        message.reply[:message.reply_len] if message.reply_len else b"",
        message.body[:message.header_len] if message.header_len else b"",
        message.body[message.header_len:message.body_len] if message.body_len > message.header_len else b"",
    )


cdef bytes with_header(Message *message, bytes header):
    cdef bytes body = header + message.body[message.header_len:message.body_len]
    message.body = body
    message.header_len = len(header)
    message.body_len = len(body)
    return body


def hand(list subscriptions not None, Receiver origin, bytes subject not None, bytes reply not None,
         bytes header not None, bytes payload not None) -> bool:
    """Deliver to one receiver by the subscriptions that were picked for it: what `route` does in bulk, one at a time.

    For messages whose way is written down as they go (`broker.tracing`); several subscriptions only for a link.
    """
    cdef PyObject *picks[REMOTE_PICKS_MAX]
    cdef Message message
    cdef bytes body = header + payload
    cdef Subscription first = <Subscription>subscriptions[0]
    cdef Py_ssize_t i, count = min(len(subscriptions), REMOTE_PICKS_MAX)
    lay_out(&message, subject, reply, body, len(header))
    if not first.receiver.is_remote:
        return first.receiver.deliver(first, origin, &message) > 0
    for i in range(count):
        picks[i] = <PyObject *>subscriptions[i]
    return first.receiver.deliver_picks(picks, count, origin, &message) > 0
