# What the MQTT sessions of one account share: stored messages, who still needs them, acknowledgements that wait for flash.
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from leafbox.dataplane.connection cimport Connection
from leafbox.dataplane.message cimport Message
from leafbox.dataplane.routing cimport AccountPlane, Receiver
from leafbox.dataplane.store_block cimport MessageView
from leafbox.dataplane.stream_ingest cimport CommitGate, StreamIngest, Task
from leafbox.dataplane.stream_store cimport StreamStore

cdef enum PacketType:
    PACKET_CONNECT = 0x10
    PACKET_CONNACK = 0x20
    PACKET_PUBLISH = 0x30
    PACKET_PUBACK = 0x40
    PACKET_PUBREC = 0x50
    PACKET_PUBREL = 0x62
    PACKET_PUBCOMP = 0x70
    PACKET_SUBSCRIBE = 0x82
    PACKET_UNSUBSCRIBE = 0xA2
    PACKET_PINGREQ = 0xC0
    PACKET_DISCONNECT = 0xE0
    PACKET_AUTH = 0xF0

cdef struct Publication:
    # The MQTT publish that is being routed. `body` (the message's) tells it from messages that its receivers publish.
    const char *body
    const char *subject
    const char *topic               # NULL: a mapping changed the subject
    Py_ssize_t topic_len
    const char *payload
    Py_ssize_t payload_len
    const char *properties
    Py_ssize_t properties_len
    int64_t expires_ns              # wall clock; 0: never
    int qos
    bint is_retained
    bint has_failed                 # a session's copy could not be stored: no acknowledgement
    PyObject *stored_plane          # where it was stored last, and under which number
    uint64_t stored_seq

cdef Publication *current_publication() noexcept
cdef Publication *set_publication(Publication *publication) noexcept

cdef struct TopicAlias:
    char *topic
    Py_ssize_t length

cdef class MqttPeer(Connection):
    # What sessions and acknowledgements need of a connection.
    cdef public int version                     # 3, 4 or 5; 0 before CONNECT
    cdef public uint32_t packet_bytes_max       # largest packet the peer takes
    cdef public int alias_max                   # topic aliases that we may use towards it
    cdef TopicAlias *aliases
    cdef int alias_count
    cdef int unacknowledged                     # QoS 1 and 2 publishes from the peer under way
    cdef readonly uint64_t dropped              # QoS 0 messages that found no room
    cdef int send_ack(self, uint8_t packet, uint16_t packet_id, uint8_t reason) except -1
    # The alias for a topic: 0 none; `is_new` when the topic must go along.
    cdef int alias_for(self, const char *topic, Py_ssize_t length, bint *is_new) except -1
    cdef int drop_aliases(self) noexcept
    # 1 sent, 0 larger than the peer takes. `packet_id` 0: QoS 0.
    cdef int send_publish(self, int flags, const char *topic, Py_ssize_t topic_len, uint16_t packet_id,
                          const char *payload, Py_ssize_t payload_len, const char *properties,
                          Py_ssize_t properties_len, int64_t expires_ns, tuple ids) except -1

cdef struct PendingAck:
    PyObject *connection            # owned
    uint64_t lsn                    # 0: not known before the turn's changes are logged
    uint16_t packet_id
    uint8_t packet
    uint8_t reason

cdef class MqttPlane(Task):
    cdef readonly AccountPlane account
    cdef readonly StreamIngest messages     # $MQTT_msgs
    cdef readonly StreamIngest retained     # $MQTT_rmsgs
    cdef readonly CommitGate gate
    cdef public object extend               # (session key, steps, is_urgent): log a session's progress
    cdef public bint is_restoring           # sessions come back one after the other: what one is done with stays
    cdef list dirty                         # sessions with steps that are not logged
    cdef bint is_commit_wanted              # this turn logged what must not wait for another commit
    cdef bint is_marked                     # something of this turn is still to be logged
    cdef list gated                         # sessions that wait for the log
    cdef uint64_t steps_lsn                 # newest log number of sessions' steps
    cdef Py_ssize_t full_sessions           # their queue is at its limit
    cdef list filled                        # sessions whose queue has just reached its limit
    cdef public object on_full              # None, or callable (session)
    cdef int note_full(self, Task session) except -1
    cdef list waiting                       # sessions with messages that are not visible yet
    # -- acknowledgements that wait, oldest first
    cdef PendingAck *acks
    cdef Py_ssize_t ack_start, ack_end, ack_capacity, ack_stamped
    # -- publishers that were just answered will publish again: their next messages share a commit
    cdef Py_ssize_t gather_wanted, gather_arrived
    cdef int gather_pause, gather_misses
    cdef int start_gathering(self, Py_ssize_t answered) except -1
    # -- how many sessions still need message `needs_base` + i
    cdef uint32_t *needs
    cdef uint64_t needs_base
    cdef Py_ssize_t needs_start, needs_end, needs_capacity
    # -- counters
    cdef readonly uint64_t stored, refused, expired
    cdef char *scratch
    cdef Py_ssize_t scratch_capacity
    cdef char *room(self, Py_ssize_t length) except NULL
    cdef int mark(self) except -1
    # From here to the end of the turn: on flash as a whole, or not at all.
    cdef int open_group(self) except -1
    cdef int log_turn(self) except -1
    cdef uint64_t newest_lsn(self) noexcept
    cdef int push_ack(self, MqttPeer connection, uint8_t packet, uint16_t packet_id, uint8_t reason,
                      uint64_t lsn) except -1
    # Returns how many publishes were answered.
    cdef Py_ssize_t write_acks(self, uint64_t durable_lsn) except -1
    # Store a message for sessions; 0: refused.
    cdef uint64_t store(self, Message *message, int64_t expires_ns) except? 0
    cdef uint64_t store_once(self, Publication *publication, Message *message) except? 0
    cdef uint64_t append(self, StreamIngest ingest, const char *prefix, Py_ssize_t prefix_len, Message *message,
                         int64_t expires_ns) except? 0
    cdef int keep_retained(self, Publication *publication, Message *message) except -1
    cdef int need(self, uint64_t seq) except -1
    cdef int release(self, uint64_t seq) except -1
