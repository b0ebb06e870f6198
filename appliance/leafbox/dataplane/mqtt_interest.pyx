# cython: language_level=3
"""What an MQTT session asked for with one topic filter: the `context` of the subscriptions that were made of it."""


cdef class MqttInterest:
    """One filter of a session with its options."""

    def __init__(self, bytes filter not None, int qos, *, bint no_local=False, bint retain_as_published=False,
                 int retain_handling=0, int identifier=0, bint is_shared=False, bint skips_dollar=False):
        self.filter = filter
        self.qos = qos
        self.no_local = no_local
        self.retain_as_published = retain_as_published
        self.retain_handling = retain_handling
        self.identifier = identifier
        self.is_shared = is_shared
        self.skips_dollar = skips_dollar
        self.subscriptions = []
