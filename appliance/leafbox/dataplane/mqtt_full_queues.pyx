# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Before a publish is routed while some session's queue is full: would it meet one that must not lose it?

Asked first, because a message that reached some of its receivers cannot be refused any more: its publisher would try
again, and those would get it twice.
"""
from leafbox.dataplane.message cimport Message
from leafbox.dataplane.mqtt_interest cimport MqttInterest
from leafbox.dataplane.mqtt_plane cimport Publication, current_publication
from leafbox.dataplane.mqtt_session cimport MqttSession
from leafbox.dataplane.mqtt_session_state cimport FULL_REFUSES
from leafbox.dataplane.routing cimport AccountPlane, Receiver, Subscription
from leafbox.dataplane.sublist cimport MatchResult


cdef bint meets_full_queue(AccountPlane account, Receiver origin, Message *message) except -1:
    """Sessions that are full and refuse: a message that one of them wants must reach nobody, or those that got it get
    it again when its publisher tries again. Of a group one member with room is enough."""
    cdef MatchResult result = account.sublist.match(message.subject, message.subject_len)
    cdef Publication *publication = current_publication()
    cdef Py_ssize_t i, group, start = 0
    cdef Subscription subscription
    for i in range(result.plain_count):
        subscription = <Subscription>result.plain[i]
        if is_barred(subscription, origin, message, publication):
            return True
    for group in range(result.group_count):
        if group_is_barred(result, start, result.group_ends[group], origin, message, publication):
            return True
        start = result.group_ends[group]
    return False


cdef bint is_barred(Subscription subscription, Receiver origin, Message *message, Publication *publication) except -1:
    cdef MqttSession session
    cdef MqttInterest interest
    if not isinstance(subscription.receiver, MqttSession):
        return False
    session = <MqttSession>subscription.receiver
    if not session.is_full or session.when_full != FULL_REFUSES:
        return False
    interest = <MqttInterest>(subscription if subscription.primary is None else subscription.primary).context
    if interest.qos == 0 or not session.wants(subscription, interest, origin, message, publication):
        return False
    return not session.makes_room()


cdef bint group_is_barred(MatchResult result, Py_ssize_t start, Py_ssize_t end, Receiver origin, Message *message,
                          Publication *publication) except -1:
    cdef Py_ssize_t i
    cdef Subscription subscription
    cdef bint has_barred = False, has_online = False
    for i in range(start, end):
        subscription = <Subscription>result.members[i]
        if not isinstance(subscription.receiver, MqttSession):
            return False
        has_online |= (<MqttSession>subscription.receiver).peer is not None
        has_barred |= is_barred(subscription, origin, message, publication)
    if not has_barred:
        return False
    for i in range(start, end):
        subscription = <Subscription>result.members[i]
        # Who is away takes nothing while another member is here.
        if ((<MqttSession>subscription.receiver).peer is not None or not has_online) and not is_barred(
                subscription, origin, message, publication):
            return False
    return True
