# What one user may publish and subscribe to; shared by all connections of that user.
from leafbox.dataplane.sublist cimport Sublist

cdef class Permissions:
    cdef Sublist publish_allow, publish_deny            # None: not restricted
    cdef Sublist subscribe_deny                         # plain deny entries, for the filter on delivery
    cdef Sublist subscribe_allow                        # all allow entries, for messages that were kept; None before the first
    cdef readonly tuple subscribe_allow_rules           # (subject, queue or None)
    cdef readonly tuple subscribe_deny_rules
    cdef readonly tuple publish_deny_subjects
    cdef readonly bint restricts_publish, restricts_subscribe
    cdef readonly object responses_max                  # None: no allow_responses; negative: unlimited
    cdef readonly object responses_ttl_s                # negative: unlimited
    cdef bint may_publish(self, const char *subject, Py_ssize_t length) except -1
    cdef bint denies_delivery(self, const char *subject, Py_ssize_t length) except -1
    # Whether a message that was kept may be delivered now: its subscription was judged by rights of another time.
    cdef bint may_receive(self, const char *subject, Py_ssize_t length) except -1
