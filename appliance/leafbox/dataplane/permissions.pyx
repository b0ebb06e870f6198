# cython: language_level=3
"""Publish and subscribe permissions (config spec section 4).

Publishing is checked per message, so both lists are subject indexes whose match cache answers repeated subjects with
one hash look-up each. Subscribing is rare and is checked by rule in order. A wildcard subscription that only partly
overlaps a deny entry is accepted and filtered on delivery.
"""
from leafbox.dataplane.sublist cimport Sublist
from leafbox.dataplane.subjects cimport collide, literal_subject, matches, subset

cdef enum:
    PERMISSION_CACHE = 1024     # subjects remembered per list and user


cdef Sublist index_of(subjects):
    cdef Sublist index = Sublist(PERMISSION_CACHE)
    for subject in subjects:
        index.insert(subject, None, subject)
    return index


cdef bint covers(bytes rule, bytes subject):
    return subset(subject, len(subject), rule, len(rule))


cdef bint hits(bytes rule, bytes subject):
    return matches(subject, len(subject), rule, len(rule))


cdef class Permissions:
    """Immutable. Rules for subscribing are `(subject, queue)`, `queue` None for an entry that names none.

    An empty allow list means "everything" (as nats-server); deny wins over allow.
    """

    def __init__(self, publish_allow=(), publish_deny=(), subscribe_allow=(), subscribe_deny=(),
                 responses_max=None, responses_ttl_s=None):
        # Each is walked more than once, and an iterator would be empty, that is "not restricted", the second time.
        publish_allow, publish_deny = tuple(publish_allow), tuple(publish_deny)
        subscribe_allow, subscribe_deny = tuple(subscribe_allow), tuple(subscribe_deny)
        self.responses_max = responses_max
        self.responses_ttl_s = responses_ttl_s
        self.publish_deny_subjects = publish_deny
        self.publish_allow = index_of(publish_allow) if publish_allow else None
        self.publish_deny = index_of(publish_deny) if publish_deny else None
        if responses_max is not None and self.publish_allow is None and self.publish_deny is None:
            # allow_responses without publish rules: replies only.
            self.publish_deny = index_of((b">",))
            self.publish_deny_subjects = (b">",)
        self.subscribe_allow_rules = subscribe_allow
        self.subscribe_deny_rules = subscribe_deny
        denied = [subject for subject, queue in subscribe_deny if queue is None]
        self.subscribe_deny = index_of(denied) if denied else None
        self.restricts_publish = self.publish_allow is not None or self.publish_deny is not None
        self.restricts_subscribe = bool(subscribe_allow) or bool(subscribe_deny)

    cdef bint may_publish(self, const char *subject, Py_ssize_t length) except -1:
        if self.publish_allow is not None and not self.publish_allow.matches_any(subject, length):
            return False
        return self.publish_deny is None or not self.publish_deny.matches_any(subject, length)

    cdef bint denies_delivery(self, const char *subject, Py_ssize_t length) except -1:
        return self.subscribe_deny is not None and self.subscribe_deny.matches_any(subject, length)

    cdef bint may_receive(self, const char *subject, Py_ssize_t length) except -1:
        if self.subscribe_allow_rules:
            if self.subscribe_allow is None:
                # Most users never need it.
                self.subscribe_allow = index_of({rule for rule, _ in self.subscribe_allow_rules})
            if not self.subscribe_allow.matches_any(subject, length):
                return False
        return self.subscribe_deny is None or not self.subscribe_deny.matches_any(subject, length)

    def allows_publish(self, bytes subject not None) -> bool:
        """Whether a message may be published on `subject` (reply permissions aside)."""
        return self.may_publish(subject, len(subject))

    def allows_subscribe(self, bytes subject not None, bytes queue=None) -> bool:
        """Whether SUB `subject` [`queue`] is accepted; part of it may still be filtered (`filters`)."""
        if self.subscribe_allow_rules and not allowed(self.subscribe_allow_rules, subject, queue):
            return False
        for rule, rule_queue in self.subscribe_deny_rules:
            if rule_queue is None:
                if hits(rule, subject):
                    return False
            elif queue is not None and hits(rule_queue, queue) and hits(rule, subject):
                return False
        return True

    def filters(self, bytes subject not None) -> bool:
        """Whether some messages of an accepted subscription must not be delivered."""
        if self.subscribe_deny is None or literal_subject(subject, len(subject)):
            return False
        for rule, queue in self.subscribe_deny_rules:
            if queue is None and collide(<bytes>rule, len(<bytes>rule), subject, len(subject)):
                return True
        return False

    def allows_message(self, bytes subject not None) -> bool:
        """Whether a message on `subject` that was kept may be delivered."""
        return self.may_receive(subject, len(subject))

    def denies_message(self, bytes subject not None) -> bool:
        """Whether a message on `subject` is filtered on delivery."""
        return self.denies_delivery(subject, len(subject))


cdef bint allowed(tuple rules, bytes subject, bytes queue):
    """An entry that names no queue allows any, unless entries with queues cover the subject as well."""
    cdef bint plain = False, queue_rules = False
    for rule, rule_queue in rules:
        if not covers(rule, subject):
            continue
        if rule_queue is None:
            plain = True
        else:
            queue_rules = True
            if queue is not None and hits(rule_queue, queue):
                return True
    if queue is None:
        return plain
    return plain and not queue_rules
