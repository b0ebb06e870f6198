# One topic filter of an MQTT session with its options.
from libc.stdint cimport uint32_t

cdef class MqttInterest:
    # What a session asked for with one filter; the `context` of its subscriptions.
    cdef readonly bytes filter
    cdef readonly int qos
    cdef readonly bint no_local, retain_as_published, is_shared
    cdef readonly int retain_handling
    cdef readonly int identifier            # 0: none
    cdef readonly bint skips_dollar         # begins with a wildcard: not for subjects that begin with `$`
    cdef readonly uint32_t ids              # index into the session's `id_lists`
    cdef public bint overlaps               # another filter of the session may match the same subject
    cdef public list subscriptions          # of the account
