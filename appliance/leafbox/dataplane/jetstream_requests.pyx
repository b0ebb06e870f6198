# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The two API requests that clients send once per message: pull requests, and direct gets by subject.

Only their plain forms are understood here: a pull request without options that need a decision, a get of the last
message of one literal subject. Whatever is not understood goes to Python unchanged (`jetstream.api`,
`jetstream.direct_get`), which knows all of it, refuses what is wrong and is the specification of this.
"""
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memchr, memcmp, memcpy

from leafbox.dataplane.consumer_delivery cimport ConsumerDelivery
from leafbox.dataplane.consumer_requests cimport PullRequest
from leafbox.dataplane.message cimport Message
from leafbox.dataplane.nats_connection cimport write_number
from leafbox.dataplane.routing cimport AccountPlane, CallbackReceiver, Receiver, Subscription, route
from leafbox.dataplane.store_block cimport MessageView
from leafbox.dataplane.stream_store cimport StreamStore

cdef enum:
    NEXT_PREFIX_SIZE = 26           # len(b"$JS.API.CONSUMER.MSG.NEXT.")
    DIRECT_PREFIX_SIZE = 15         # len(b"$JS.API.DIRECT.")
    # More digits than any sane number of nanoseconds has, fewer than overflow.
    DIGITS_MAX = 18
    # Header, names and numbers of a direct get's answer; longer ones are laid out on the heap.
    ANSWER_ON_STACK = 4096
    # Two numbers, a time and the names of four header lines.
    HEAD_NUMBERS_SIZE = 160
    SECONDS_PER_DAY = 86400
    # Requests without JSON are served last by the prioritized policy, as in nats-server.
    NO_GROUP_PRIORITY = 0x7FFFFFFF


cdef class ApiReceiver(CallbackReceiver):
    """Everything on `$JS.API.>`. Plain pull requests go straight to the consumer, direct gets are somebody else's."""

    def __init__(self, callback):
        CallbackReceiver.__init__(self, callback)
        self.consumers = {}

    cdef int deliver(self, Subscription subscription, Receiver origin, Message *message) except -1:
        if message.subject_len > NEXT_PREFIX_SIZE:
            if memcmp(message.subject, b"$JS.API.DIRECT.", DIRECT_PREFIX_SIZE) == 0:
                return 0
            if memcmp(message.subject, b"$JS.API.CONSUMER.MSG.NEXT.", NEXT_PREFIX_SIZE) == 0 and self.asks_next(message):
                subscription.delivered += 1
                return 1
        return CallbackReceiver.deliver(self, subscription, origin, message)

    cdef bint asks_next(self, Message *message) except -1:
        """Hand a pull request to its consumer; False when it needs more than this knows."""
        cdef PullRequest request
        if message.reply_len == 0 or message.header_len:
            return False
        consumer = self.consumers.get(message.subject[NEXT_PREFIX_SIZE:message.subject_len])
        if consumer is None:
            return False
        request = PullRequest.__new__(PullRequest)
        request.group = request.pin_id = ""
        if not read_pull_request(message.body, message.body_len, request):
            return False
        request.reply = message.reply[:message.reply_len]
        return (<ConsumerDelivery>consumer).take_plain(request)


cdef class DirectGetReceiver(CallbackReceiver):
    """Direct gets by subject. `name` is the stream's own, `prefix_size` that of the subject before the key."""

    def __init__(self, callback, AccountPlane account not None, StreamStore store not None, bytes name not None,
                 Py_ssize_t prefix_size):
        CallbackReceiver.__init__(self, callback)
        self.account = account
        self.store = store
        self.head = b"Nats-Stream: %s\r\nNats-Subject: " % name
        self.prefix_size = prefix_size

    cdef int deliver(self, Subscription subscription, Receiver origin, Message *message) except -1:
        if message.reply_len and message.body_len == 0 and self.answer(message):
            subscription.delivered += 1
            return 1
        return CallbackReceiver.deliver(self, subscription, origin, message)

    cdef bint answer(self, Message *message) except -1:
        """Send the last message of the subject; False when there is none, or it is not one subject."""
        cdef const char *key = message.subject + self.prefix_size
        cdef Py_ssize_t key_size = message.subject_len - self.prefix_size
        cdef MessageView view
        cdef Message found
        cdef Py_ssize_t size, header_size
        cdef char stack[ANSWER_ON_STACK]
        cdef char *body = stack
        if key_size <= 0 or memchr(key, c'*', key_size) != NULL or memchr(key, c'>', key_size) != NULL:
            return False
        if self.store.load_last(key, key_size, &view) != 1:
            return False
        size = len(self.head) + view.subject_size + view.header_size + view.payload_size + HEAD_NUMBERS_SIZE
        if size > ANSWER_ON_STACK:
            body = <char *>malloc(size)
            if body == NULL:
                raise MemoryError
        header_size = self.write_head(body, &view)
        memcpy(body + header_size, view.payload, view.payload_size)
        found.subject = message.reply
        found.subject_len = message.reply_len
        found.reply = NULL
        found.reply_len = 0
        found.body = body
        found.header_len = header_size
        found.body_len = header_size + <Py_ssize_t>view.payload_size
        found.wire_subject = NULL
        try:
            route(self.account, None, &found)
        finally:
            if body != stack:
                free(body)
        return True

    cdef Py_ssize_t write_head(self, char *start, MessageView *view) noexcept:
        cdef char *at = start
        cdef const char *head = self.head
        if view.header_size:
            memcpy(at, view.header, view.header_size - 2)
            at += view.header_size - 2
        else:
            memcpy(at, b"NATS/1.0\r\n", 10)
            at += 10
        memcpy(at, head, len(self.head))
        at += len(self.head)
        memcpy(at, view.subject, view.subject_size)
        at += view.subject_size
        memcpy(at, b"\r\nNats-Sequence: ", 17)
        at = write_number(at + 17, view.seq)
        memcpy(at, b"\r\nNats-Time-Stamp: ", 19)
        at = write_time(at + 19, view.ts_ns)
        memcpy(at, b"\r\n\r\n", 4)
        return at + 4 - start


# -- bodies of pull requests ------------------------------------------------------------------------------------------


cdef inline const char *skip_space(const char *at, const char *end) noexcept:
    while at < end and (at[0] == c' ' or at[0] == c'\n' or at[0] == c'\r' or at[0] == c'\t'):
        at += 1
    return at


cdef const char *read_digits(const char *at, const char *end, int64_t *value) noexcept:
    """A number without sign, fraction or leading zero; NULL for anything else."""
    cdef const char *start = at
    value[0] = 0
    while at < end and at[0] >= c'0' and at[0] <= c'9':
        if at - start == DIGITS_MAX or (at > start and start[0] == c'0'):
            return NULL
        value[0] = value[0] * 10 + (at[0] - c'0')
        at += 1
    if at == start:
        return NULL
    return at


cdef bint read_pull_request(const char *body, Py_ssize_t length, PullRequest request) noexcept:
    """A plain body: nothing, a batch size, or JSON of batch, expires and max_bytes. `expires_ns` is the wait, not yet
    a time. False for everything else."""
    cdef const char *end = body + length
    cdef const char *at
    cdef const char *key
    cdef int64_t value
    cdef Py_ssize_t key_size
    request.priority = NO_GROUP_PRIORITY
    request.batch = 1
    if length == 0:
        return True
    if body[0] != c'{':
        at = read_digits(body, end, &request.batch)
        return at == end and request.batch > 0
    request.has_group = True
    request.priority = 0
    request.batch = 0
    at = skip_space(body + 1, end)
    while at < end and at[0] == c'"':
        key = at + 1
        at = <const char *>memchr(key, c'"', end - key)
        if at == NULL:
            return False
        key_size = at - key
        at = skip_space(at + 1, end)
        if at == end or at[0] != c':':
            return False
        at = read_digits(skip_space(at + 1, end), end, &value)
        if at == NULL:
            return False
        if key_size == 5 and memcmp(key, b"batch", 5) == 0:
            request.batch = value
        elif key_size == 7 and memcmp(key, b"expires", 7) == 0:
            request.expires_ns = value
        elif key_size == 9 and memcmp(key, b"max_bytes", 9) == 0:
            request.bytes_left = value
        else:
            return False
        at = skip_space(at, end)
        if at < end and at[0] == c',':
            at = skip_space(at + 1, end)
            if at == end or at[0] != c'"':
                return False
        else:
            break
    return at + 1 == end and at[0] == c'}' and request.batch > 0


def plain_pull_request(bytes body not None):
    """What `ApiReceiver` makes of a body, for tests; None: it is left to Python. `expires_ns` is the wait."""
    cdef PullRequest request = PullRequest(b"")
    return request if read_pull_request(body, len(body), request) else None


# -- times ------------------------------------------------------------------------------------------------------------


cdef inline char *write_padded(char *at, int64_t value, int digits) noexcept:
    cdef int i
    for i in range(digits - 1, -1, -1):
        at[i] = <char>(c'0' + value % 10)
        value //= 10
    return at + digits


cdef char *write_time(char *at, int64_t time_ns) noexcept:
    """RFC 3339 in UTC with the fraction's trailing zeros cut, as `format_time`; for times since 1970."""
    cdef int64_t seconds = time_ns // 1000000000, nanos = time_ns % 1000000000
    cdef int64_t day = seconds // SECONDS_PER_DAY, second = seconds % SECONDS_PER_DAY
    cdef int64_t era, of_era, year, of_year, month
    cdef int digits = 9
    # Days of the Gregorian calendar in eras of 400 years that begin in March, so that the leap day is the last one.
    day += 719468
    era = day // 146097
    of_era = day % 146097
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    year += era * 400 + (1 if month >= 10 else 0)
    month += 3 if month < 10 else -9
    at = write_padded(at, year, 4)
    at[0] = c'-'
    at = write_padded(at + 1, month, 2)
    at[0] = c'-'
    at = write_padded(at + 1, day, 2)
    at[0] = c'T'
    at = write_padded(at + 1, second // 3600, 2)
    at[0] = c':'
    at = write_padded(at + 1, second // 60 % 60, 2)
    at[0] = c':'
    at = write_padded(at + 1, second % 60, 2)
    if nanos:
        while nanos % 10 == 0:
            nanos //= 10
            digits -= 1
        at[0] = c'.'
        at = write_padded(at + 1, nanos, digits)
    at[0] = c'Z'
    return at + 1


def time_text(int64_t time_ns) -> bytes:
    """`write_time`, for tests."""
    cdef char text[64]
    return text[:write_time(text, time_ns) - text]
