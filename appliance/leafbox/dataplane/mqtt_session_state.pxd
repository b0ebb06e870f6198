# The books of one MQTT session: its queue, its packets in flight, what its peer has taken, and the steps that are logged.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from leafbox.dataplane.mqtt_plane cimport MqttPlane
from leafbox.dataplane.store_block cimport MessageView
from leafbox.dataplane.stream_ingest cimport Task

cpdef enum StepKind:
    STEP_TAKEN = 1      # queued: message `seq`; `flags` as in QueueEntry
    STEP_SENT = 2       # left the queue under packet id `packet_id`
    STEP_DONE = 3       # acknowledged to the end, or given up; packet_id 0: it never left the queue
    STEP_RELEASED = 4   # QoS 2: PUBREC came; the message is not needed any more
    STEP_RECEIVED = 5   # QoS 2 from the peer: the packet id is taken
    STEP_FREED = 6      # QoS 2 from the peer: PUBREL came
    STEP_CURSOR = 7     # in snapshots: the last message of $MQTT_msgs that was taken
    STEP_IDENTIFIER = 8 # the next STEP_TAKEN carries this subscription identifier, in place of `seq`; once for each

cdef packed struct Step:
    uint8_t kind
    uint8_t flags
    uint16_t packet_id
    uint64_t seq

cpdef enum WhenFull:        # what happens to a QoS 1 or 2 message for a session whose queue is at its limit
    FULL_REFUSES = 0        # it is refused to its publisher, for everybody
    FULL_DROPS_NEW = 1      # this session does not get it
    FULL_DROPS_OLD = 2      # the session's oldest goes

cdef struct StepList:
    Step *steps
    Py_ssize_t count, capacity

cdef enum EntryFlag:
    ENTRY_QOS = 3
    ENTRY_RETAIN = 4        # goes out with the RETAIN flag
    ENTRY_RETAINED = 8      # `seq` is of $MQTT_rmsgs, not of $MQTT_msgs
    ENTRY_AGAIN = 16        # in flight, and sent more than once

cdef struct QueueEntry:
    uint64_t seq
    uint32_t ids            # index into `id_lists`
    uint8_t flags

cdef enum InflightState:
    INFLIGHT_FREE = 0
    INFLIGHT_ASSIGNED = 1   # QoS 2 of a durable session: the packet id must be on flash before PUBLISH
    INFLIGHT_SENT = 2       # awaiting PUBACK or PUBREC
    INFLIGHT_RELEASED = 3   # awaiting PUBCOMP

cdef struct Inflight:
    uint64_t seq
    uint64_t order          # of first sending
    int64_t sent_ns
    uint32_t ids
    uint16_t packet_id
    uint8_t state
    uint8_t flags

cdef class MqttSessionState(Task):
    cdef readonly MqttPlane plane
    cdef readonly bytes key                 # of its log records
    cdef public bint is_persistent          # outlives its connection, so its progress is logged
    cdef list id_lists                      # None, then tuples of subscription identifiers
    cdef dict id_numbers
    cdef uint32_t number_of(self, tuple ids) except? 0xFFFFFFFF
    # -- queue
    cdef QueueEntry *queue
    cdef Py_ssize_t queue_head, queue_count, queue_capacity
    cdef Py_ssize_t queue_retained          # of them ENTRY_RETAINED, which are there only while a peer is
    cdef readonly Py_ssize_t queue_max      # others at most
    cdef readonly int when_full
    cdef readonly bint is_full
    cdef readonly uint64_t dropped          # messages of QoS 1 and 2 that a full queue cost
    cdef readonly uint64_t expired
    cdef uint64_t last_taken                # newest message of $MQTT_msgs that was queued
    cdef int push_entry(self, uint64_t seq, uint8_t flags, uint32_t ids) except -1
    cdef int pop_entry(self) except -1
    cdef int note_fill(self) except -1
    cdef bint makes_room(self) except -1
    cdef int drop_head(self) except -1
    cdef int drop_message(self, uint64_t seq, uint8_t flags) except -1
    cdef int load(self, uint64_t seq, uint8_t flags, MessageView *view) except -1
    cdef int forget(self) except -1
    # -- in flight
    cdef Inflight *inflight
    cdef Py_ssize_t inflight_capacity
    cdef readonly Py_ssize_t inflight_count
    cdef uint16_t next_packet_id
    cdef uint64_t order
    cdef uint64_t given_out                 # messages of $MQTT_msgs that got a packet id, ever
    cdef uint64_t last_given_out            # the newest of them
    cdef Inflight *find(self, uint16_t packet_id) noexcept
    cdef Inflight *claim(self) except NULL
    cdef Inflight *place(self, uint16_t packet_id) except NULL
    cdef int grow_inflight(self) except -1
    cdef int note_given_out(self, uint64_t seq, uint8_t flags) except -1
    # -- QoS 2 from the peer
    cdef uint8_t *received                  # bitmap of packet ids; NULL: none ever
    cdef readonly Py_ssize_t received_count
    cdef bint has_received(self, uint16_t packet_id) noexcept
    cdef int note_received(self, uint16_t packet_id) except -1
    cdef bint free_received(self, uint16_t packet_id) except -1
    # -- steps not logged yet
    cdef Step *steps
    cdef Py_ssize_t step_count, step_capacity
    cdef bint is_dirty, is_step_urgent
    cdef tuple restored_ids                 # of the next STEP_TAKEN, while restoring
    cdef int note(self, uint8_t kind, uint8_t flags, uint16_t packet_id, uint64_t seq) except -1
    cdef int note_taken(self, uint64_t seq, uint8_t flags, uint32_t ids) except -1
    cdef int restore_step(self, Step *step) except -1
