# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The queue of pull requests of one consumer.

Requests are served one message each in turn; a request that wants more goes to the tail, or, for the prioritized
policy (ADR-42), behind the last one of its own priority. A linked list, because the middle is removed from, too.
"""
from libc.stdint cimport int64_t


cdef class PullRequest:
    """One request; times are wall-clock nanoseconds."""

    def __init__(self, bytes reply not None, batch=1, *, bytes_left=0, expires_ns=0, received_ns=0, heartbeat_ns=0,
                 no_wait=False, has_group=False, group="", pin_id="", min_pending=0, min_ack_pending=0, priority=0):
        self.reply = reply
        self.batch = batch
        self.bytes_left = bytes_left
        self.expires_ns = expires_ns
        self.received_ns = received_ns
        self.heartbeat_ns = heartbeat_ns
        self.next_heartbeat_ns = received_ns + heartbeat_ns if heartbeat_ns else 0
        self.no_wait = no_wait
        self.has_group = has_group
        self.group = group
        self.pin_id = pin_id
        self.min_pending = min_pending
        self.min_ack_pending = min_ack_pending
        self.priority = priority


cdef class WaitQueue:
    """`limit` is the consumer's max_waiting; a full queue refuses."""

    def __init__(self, limit, by_priority=False):
        self.limit = limit
        self.by_priority = by_priority

    def __len__(self) -> int:
        return self.count

    def __iter__(self):
        requests = []
        request = self.head
        while request is not None:
            requests.append(request)
            request = (<PullRequest>request).next
        return iter(requests)

    @property
    def is_full(self) -> bool:
        """No more requests fit."""
        return self.count >= self.limit

    def add(self, PullRequest request not None) -> bool:
        """Queue a request; False when the queue is full."""
        if self.count >= self.limit:
            return False
        self.last_received_ns = request.received_ns
        self.push(request)
        return True

    def remove(self, PullRequest request not None) -> bool:
        """Take one request out of the queue, wherever it is."""
        cdef PullRequest before = None, current = self.head
        while current is not None and current is not request:
            before, current = current, current.next
        if current is None:
            return False
        if before is None:
            self.head = current.next
        else:
            before.next = current.next
        if self.tail is current:
            self.tail = before
        current.next = None
        self.count -= 1
        return True

    def clear(self) -> list:
        """Empty the queue; returns what was in it."""
        requests = list(self)
        for request in requests:
            (<PullRequest>request).next = None
        self.head = self.tail = None
        self.count = 0
        return requests

    cdef void push(self, PullRequest request):
        cdef PullRequest before = None, current
        request.next = None
        self.count += 1
        if self.head is None:
            self.head = self.tail = request
            return
        if not self.by_priority:
            self.tail.next = request
            self.tail = request
            return
        current = self.head
        while current is not None and current.priority <= request.priority:
            before, current = current, current.next
        request.next = current
        if before is None:
            self.head = request
        else:
            before.next = request
        if current is None:
            self.tail = request

    cdef void drop_head(self):
        cdef PullRequest head = self.head
        self.head = head.next
        if self.head is None:
            self.tail = None
        head.next = None
        self.count -= 1

    cdef void rotate(self):
        """The head goes to the tail."""
        cdef PullRequest head = self.head
        if head is self.tail:
            return
        self.head = head.next
        head.next = None
        self.tail.next = head
        self.tail = head

    cdef PullRequest serve_head(self):
        """The head gets a message: count it, and queue it again or drop it when it has all."""
        cdef PullRequest head = self.head
        head.delivered += 1
        head.batch -= 1
        if head.batch <= 0:
            self.drop_head()
        elif self.count > 1:
            self.drop_head()
            self.push(head)
        return head
