# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Routing: from a published message to every receiver, through the account's subject index.

`route` is the one meeting point of all protocols (NATS PUB, MQTT PUBLISH, leaf LMSG, internal publish). It makes no
Python object per message when the subject's match is cached and no mapping or import is involved.
"""
from libc.stdint cimport uint64_t

from leafbox.dataplane.message cimport Message
from leafbox.dataplane.sublist cimport MatchResult, Sublist

import logging
import os

logger = logging.getLogger(__name__)

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
        if subscription.max_deliver:
            if subscription.delivered >= subscription.max_deliver:
                return 0
            if subscription.delivered + 1 >= subscription.max_deliver:
                subscription.closed = True
        subscription.delivered += 1
        try:
            taken = self.callback(
                message.subject[:message.subject_len],
                message.reply[:message.reply_len] if message.reply_len else b"",
                message.body[:message.header_len] if message.header_len else b"",
                message.body[message.header_len:message.body_len] if message.body_len > message.header_len else b"",
                origin,
            )
        except Exception:
            logger.exception("callback_failed subscription=%r", subscription.subject)
            return 1
        return 0 if taken is False else 1


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
        message.subject = subject
        message.subject_len = len(subject)
        message.reply = reply
        message.reply_len = len(reply)
        message.body = body
        message.header_len = len(header)
        message.body_len = len(body)
        return route(self, origin, &message)


cdef inline int hand_over(Subscription subscription, Receiver origin, Message *message) except -1:
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


cdef Py_ssize_t route(AccountPlane account, Receiver origin, Message *message) except -1:
    """Deliver to every plain subscription and to one member of each queue group. Returns how many took it."""
    cdef MatchResult result = account.sublist.match(message.subject, message.subject_len)
    cdef Py_ssize_t delivered = 0, i
    cdef Subscription subscription
    if result.plain_count:
        for i in range(result.plain_count):
            subscription = <Subscription>result.plain[i]
            if not subscription.closed:
                delivered += hand_over(subscription, origin, message)
    if result.group_count:
        delivered += route_groups(result, origin, message)
    return delivered


cdef Py_ssize_t route_groups(MatchResult result, Receiver origin, Message *message) except -1:
    cdef Py_ssize_t start = 0, end, group, count, first, i, delivered = 0
    cdef Subscription subscription
    cdef bint has_remote, done
    for group in range(result.group_count):
        end = result.group_ends[group]
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
            delivered += route_remote_group(result, start, count, origin, message)
        start = end
    return delivered


cdef Py_ssize_t route_remote_group(MatchResult result, Py_ssize_t start, Py_ssize_t count,
                                   Receiver origin, Message *message) except -1:
    """No member is here: pick one link, in proportion to the members behind it; if it does not take it, another."""
    cdef Py_ssize_t i, total = 0, target, picked = count
    cdef Subscription subscription
    for i in range(count):
        subscription = <Subscription>result.members[start + i]
        if subscription.receiver.is_remote and not subscription.closed and subscription.receiver is not origin:
            total += max(subscription.queue_weight, 1)
    if total == 0:
        return 0
    target = <Py_ssize_t>(next_random() % <uint64_t>total)
    for i in range(count):
        subscription = <Subscription>result.members[start + i]
        if subscription.receiver.is_remote and not subscription.closed and subscription.receiver is not origin:
            target -= max(subscription.queue_weight, 1)
            if target < 0:
                picked = min(picked, i)
                if hand_over(subscription, origin, message):
                    return 1
    for i in range(picked):
        subscription = <Subscription>result.members[start + i]
        if (subscription.receiver.is_remote and not subscription.closed and subscription.receiver is not origin
                and hand_over(subscription, origin, message)):
            return 1
    return 0
