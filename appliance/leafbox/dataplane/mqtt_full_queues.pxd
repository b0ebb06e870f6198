# Sessions whose queue is at its limit, as a publish meets them.
from leafbox.dataplane.message cimport Message
from leafbox.dataplane.routing cimport AccountPlane, Receiver

# Whether routing this publish would meet a session that must not lose it and has no room; asked while one is full.
cdef bint meets_full_queue(AccountPlane account, Receiver origin, Message *message) except -1
