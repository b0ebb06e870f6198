# One MQTT session as a receiver of messages, with or without a peer.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from leafbox.dataplane.message cimport Message
from leafbox.dataplane.mqtt_interest cimport MqttInterest
from leafbox.dataplane.mqtt_plane cimport MqttPeer, Publication
from leafbox.dataplane.mqtt_session_state cimport Inflight, MqttSessionState, QueueEntry
from leafbox.dataplane.permissions cimport Permissions
from leafbox.dataplane.routing cimport Receiver, Subscription
from leafbox.dataplane.sublist cimport Sublist

cdef struct Held:           # a PUBLISH that waits for its packet id to be on flash
    uint64_t lsn            # 0: not logged yet
    uint16_t packet_id

cdef class MqttSession(MqttSessionState):
    cdef readonly MqttPeer peer             # None: away
    cdef public Permissions permissions
    cdef public Py_ssize_t window           # messages in flight at most
    cdef readonly Sublist index             # its own filters, to merge overlapping ones
    cdef public object group_has_others     # None, or callable (interest) -> bool: a member of the group is online
    cdef bint wants(self, Subscription subscription, MqttInterest interest, Receiver origin, Message *message,
                    Publication *publication) except -1
    cdef Held *held
    cdef Py_ssize_t held_count, held_capacity
    cdef list again                         # packet ids of an earlier connection that are still to be sent on this one
    cdef Py_ssize_t again_start
    cdef bint is_gated, is_waiting
    cdef readonly uint64_t delivered, oversized
    cdef int enqueue(self, uint64_t seq, uint8_t flags, uint32_t ids) except -1
    cdef int send_now(self, Message *message, Publication *publication, MqttInterest interest, bint retain,
                      uint32_t ids) except -1
    cdef uint32_t merged(self, Subscription counted, Message *message, int *qos, bint *is_first) except? 0xFFFFFFFF
    cdef int await_messages(self) except -1
    cdef int send_pubrel(self, uint16_t packet_id) except -1
    cdef int pump(self) except -1
    cdef bint has_room(self, MqttPeer peer) except -1
    cdef int send_again(self, MqttPeer peer) except -1
    cdef Py_ssize_t again_count(self) noexcept
    cdef int start_entry(self, QueueEntry *entry) except -1
    cdef int send_stored(self, uint64_t seq, uint8_t flags, uint32_t ids, uint16_t packet_id, bint again) except -1
    cdef int hold(self, uint16_t packet_id) except -1
    cdef int finish(self, Inflight *entry) except -1
    # packets of the peer; puback and pubcomp return 0 for unknown packet ids, pubrec the reason code for PUBREL
    cdef int puback(self, uint16_t packet_id) except -1
    cdef int pubrec(self, uint16_t packet_id, uint8_t reason) except -1
    cdef int pubcomp(self, uint16_t packet_id) except -1
