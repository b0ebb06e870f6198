# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""What the MQTT sessions of one account share.

A QoS 1 or 2 message that some session wants is stored once, in the stream `$MQTT_msgs`; `needs` counts the sessions
that have not had it acknowledged, and the last one removes it. Acknowledgements to publishers (and PUBREL, PUBCOMP where
a state change must be on flash first) stand in one ring. At the end of a turn of the loop the sessions' progress is
logged, one record a session, and everything of that turn waits for the newest log number: one commit, one callback.

    PUBLISH -> route -> [user streams] [$MQTT_msgs] -> end of turn: stamp -> commit -> PUBACK, subscribers get theirs

The retained message of a topic is the last one of its subject in `$MQTT_rmsgs`.
"""
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcmp, memcpy, memmove, memset

from leafbox.dataplane.connection cimport Connection, Engine
from leafbox.dataplane.journal cimport Journal
from leafbox.dataplane.message cimport Message
from leafbox.dataplane.mqtt_properties cimport varint_len, write_varint
from leafbox.dataplane.stream_ingest cimport wall_ns

from leafbox.protocol.errors import LimitExceeded, StoreError

cdef enum:
    # Topic aliases kept for one peer, however many it allows: each holds its topic's text.
    ALIASES_MAX = 32
    # Output of one peer above which QoS 0 messages for it are dropped instead of ending it: half of `max_pending`.
    PROPERTIES_ROOM = 16
    # Commits without patience after a run of vain waits: at most two to this power.
    GATHER_MISSES_MAX = 6

cdef Publication *publication_now = NULL
# The group of log records that is open in this turn, and the planes whose steps belong to it and are not logged yet.
cdef Journal group_journal = None
cdef Py_ssize_t planes_marked = 0


cdef Publication *current_publication() noexcept:
    return publication_now


cdef Publication *set_publication(Publication *publication) noexcept:
    """Name the publish that is being routed; returns the one before, to be set again afterwards."""
    global publication_now
    cdef Publication *before = publication_now
    publication_now = publication
    return before


cdef class MqttPeer(Connection):
    """The sending half of an MQTT connection."""

    def __cinit__(self, *args, **options):
        self.packet_bytes_max = 268435460

    def __dealloc__(self):
        self.drop_aliases()

    cdef int drop_aliases(self) noexcept:
        cdef int i
        for i in range(self.alias_count):
            free(self.aliases[i].topic)
        free(self.aliases)
        self.aliases = NULL
        self.alias_count = 0
        return 0

    cdef int send_ack(self, uint8_t packet, uint16_t packet_id, uint8_t reason) except -1:
        """PUBACK, PUBREC, PUBREL or PUBCOMP; a reason other than 0 goes to MQTT 5 peers only."""
        cdef char text[5]
        cdef bint has_reason = reason != 0 and self.version == 5
        if self.closed:
            return 0
        text[0] = <char>packet
        text[1] = 3 if has_reason else 2
        text[2] = <char>(packet_id >> 8)
        text[3] = <char>(packet_id & 0xFF)
        text[4] = <char>reason
        if self.unacknowledged and (packet == 0x40 or packet == 0x70 or (packet == 0x50 and reason >= 0x80)):
            self.unacknowledged -= 1
        return self.append(text, 5 if has_reason else 4)

    cdef int alias_for(self, const char *topic, Py_ssize_t length, bint *is_new) except -1:
        cdef int i, most = min(self.alias_max, <int>ALIASES_MAX)
        is_new[0] = False
        for i in range(self.alias_count):
            if self.aliases[i].length == length and memcmp(self.aliases[i].topic, topic, length) == 0:
                return i + 1
        if self.alias_count >= most or length > 1024:
            return 0
        if self.aliases == NULL:
            self.aliases = <TopicAlias *>malloc(most * sizeof(TopicAlias))
            if self.aliases == NULL:
                raise MemoryError
        self.aliases[self.alias_count].topic = <char *>malloc(max(length, 1))
        if self.aliases[self.alias_count].topic == NULL:
            raise MemoryError
        memcpy(self.aliases[self.alias_count].topic, topic, length)
        self.aliases[self.alias_count].length = length
        self.alias_count += 1
        is_new[0] = True
        return self.alias_count

    cdef int send_publish(self, int flags, const char *topic, Py_ssize_t topic_len, uint16_t packet_id,
                          const char *payload, Py_ssize_t payload_len, const char *properties,
                          Py_ssize_t properties_len, int64_t expires_ns, tuple ids) except -1:
        cdef Py_ssize_t remaining = 2 + topic_len + payload_len + (2 if packet_id else 0), own = 0, whole
        cdef char extra[PROPERTIES_ROOM]
        cdef char *at
        cdef char *start
        cdef int alias = 0
        cdef bint is_new = False
        cdef int64_t left_s
        if self.version == 5:
            if ids is not None:
                for item in ids:
                    own += 1 + varint_len(<uint32_t>item)
            if expires_ns:
                own += 5
            # A packet that is too large must not name an alias, so the check comes first: without one. Who is near the
            # limit gets none, because that would be three bytes, and up to two of lengths, more.
            whole = remaining + own + properties_len + varint_len(<uint32_t>(own + properties_len))
            if 1 + varint_len(<uint32_t>whole) + whole > <Py_ssize_t>self.packet_bytes_max:
                return 0
            if self.alias_max and 10 + whole <= <Py_ssize_t>self.packet_bytes_max:
                alias = self.alias_for(topic, topic_len, &is_new)
                if alias:
                    own += 3
                    if not is_new:
                        remaining -= topic_len
                        topic_len = 0
            remaining += own + properties_len + varint_len(<uint32_t>(own + properties_len))
        if 1 + varint_len(<uint32_t>remaining) + remaining > <Py_ssize_t>self.packet_bytes_max:
            return 0
        start = at = self.reserve(remaining + 5)
        at[0] = <char>(PACKET_PUBLISH | flags)
        at += 1 + write_varint(at + 1, <uint32_t>remaining)
        at[0] = <char>(topic_len >> 8)
        at[1] = <char>(topic_len & 0xFF)
        memcpy(at + 2, topic, topic_len)
        at += 2 + topic_len
        if packet_id:
            at[0] = <char>(packet_id >> 8)
            at[1] = <char>(packet_id & 0xFF)
            at += 2
        if self.version == 5:
            at += write_varint(at, <uint32_t>(own + properties_len))
            if alias:
                at[0] = 35
                at[1] = <char>(alias >> 8)
                at[2] = <char>(alias & 0xFF)
                at += 3
            if expires_ns:
                left_s = (expires_ns - wall_ns() + 999999999) // 1000000000
                if left_s < 0:
                    left_s = 0
                at[0] = 2
                at[1] = <char>(left_s >> 24 & 0xFF)
                at[2] = <char>(left_s >> 16 & 0xFF)
                at[3] = <char>(left_s >> 8 & 0xFF)
                at[4] = <char>(left_s & 0xFF)
                at += 5
            if ids is not None:
                for item in ids:
                    at[0] = 11
                    at += 1 + write_varint(at + 1, <uint32_t>item)
            memcpy(at, properties, properties_len)
            at += properties_len
        memcpy(at, payload, payload_len)
        at += payload_len
        self.out_msgs += 1
        self.out_bytes += payload_len
        self.engine.out_msgs += 1
        self.engine.out_bytes += payload_len
        self.written(at - start)
        return 1


cdef class MqttPlane(Task):
    """One account's MQTT traffic. `extend(key, steps, is_urgent)` logs progress of a session."""

    def __init__(self, AccountPlane account not None, StreamIngest messages not None, StreamIngest retained not None,
                 CommitGate gate not None, extend):
        self.account = account
        self.messages = messages
        self.retained = retained
        self.gate = gate
        self.extend = extend
        self.dirty = []
        self.gated = []
        self.waiting = []
        self.filled = []
        self.needs_base = messages.store.last_seq + 1
        # A commit is asked for at the end of a turn, when everything that belongs to it is in the log. A message that leaves
        # asks for none: it would delay the next ones, and cost the flash a second sync for each message.
        messages.store.is_urgent = False

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.ack_start, self.ack_end):
            Py_DECREF(<object>self.acks[i].connection)
        free(self.acks)
        free(self.needs)
        free(self.scratch)

    cdef char *room(self, Py_ssize_t length) except NULL:
        """Scratch space; good until the next call."""
        cdef char *grown
        if length > self.scratch_capacity:
            grown = <char *>realloc(self.scratch, max(length, <Py_ssize_t>4096))
            if grown == NULL:
                raise MemoryError
            self.scratch = grown
            self.scratch_capacity = max(length, <Py_ssize_t>4096)
        return self.scratch

    cdef uint64_t newest_lsn(self) noexcept:
        """The newest log number given out; only the loop, on whose thread this runs, gives them out."""
        return self.messages.store.journal.newest_lsn if self.messages.store.journal is not None else 0

    # -- acknowledgements ---------------------------------------------------------------------------------------------

    cdef int push_ack(self, MqttPeer connection, uint8_t packet, uint16_t packet_id, uint8_t reason,
                      uint64_t lsn) except -1:
        """Answer `connection` once the log is on flash up to `lsn` and with what sessions noted in this turn."""
        cdef PendingAck *grown
        cdef PendingAck *ack
        cdef Py_ssize_t count
        if self.ack_end == self.ack_capacity:
            count = self.ack_end - self.ack_start
            if self.ack_start >= count and self.ack_start:
                memcpy(self.acks, self.acks + self.ack_start, count * sizeof(PendingAck))
                self.ack_stamped -= self.ack_start
                self.ack_start = 0
                self.ack_end = count
            else:
                self.ack_capacity = max(self.ack_capacity * 2, <Py_ssize_t>64)
                grown = <PendingAck *>realloc(self.acks, self.ack_capacity * sizeof(PendingAck))
                if grown == NULL:
                    raise MemoryError
                self.acks = grown
        ack = &self.acks[self.ack_end]
        Py_INCREF(connection)
        ack.connection = <PyObject *>connection
        ack.lsn = lsn
        ack.packet_id = packet_id
        ack.packet = packet
        ack.reason = reason
        self.ack_end += 1
        self.gather_arrived += packet == PACKET_PUBACK or packet == PACKET_PUBREC
        return self.gate.wake(self)

    cdef Py_ssize_t write_acks(self, uint64_t durable_lsn) except -1:
        cdef PendingAck ack
        cdef Py_ssize_t answered = 0
        cdef Engine engine = None
        while self.ack_start < self.ack_stamped and self.acks[self.ack_start].lsn <= durable_lsn:
            ack = self.acks[self.ack_start]
            self.ack_start += 1
            answered += ack.packet == PACKET_PUBACK or ack.packet == PACKET_PUBREC
            engine = (<MqttPeer>ack.connection).engine
            try:
                (<MqttPeer>ack.connection).send_ack(ack.packet, ack.packet_id, ack.reason)
            finally:
                Py_DECREF(<object>ack.connection)
        if self.ack_start == self.ack_end:
            self.ack_start = self.ack_end = self.ack_stamped = 0
        if answered and len(self.waiting):
            # Publishers go on while the subscribers' copies are encoded.
            engine.flush_all()
        return answered

    cdef int start_gathering(self, Py_ssize_t answered) except -1:
        """A commit has answered so many publishes. Their publishers go on at once, and what they send should share the
        next commit with what came meanwhile: without patience a window falls into two halves that wait for each other.

        Patience that was not worth it is not had again for a while.
        """
        if self.gather_wanted and self.gather_arrived * 2 < self.gather_wanted:
            self.gather_misses = min(self.gather_misses + 1, <int>GATHER_MISSES_MAX)
            self.gather_pause = 1 << self.gather_misses
        elif self.gather_wanted:
            self.gather_misses = 0
        self.gather_wanted = self.gather_arrived = 0
        if self.gather_pause:
            self.gather_pause -= 1
        elif answered > 1 and self.messages.store.journal is not None and self.messages.store.journal.syncs_always:
            self.gather_wanted = answered
            self.messages.store.journal.gather()
        return 0

    cdef int mark(self) except -1:
        """Sessions noted something: the turn's group stays open until it is logged."""
        global planes_marked
        if not self.is_marked:
            self.is_marked = True
            planes_marked += 1
        return self.gate.wake(self)

    cdef int open_group(self) except -1:
        """What a QoS 2 publish of a kept session causes (in user streams, for sessions of any account, the packet id) is
        one group of log records: a torn commit must not keep the message and lose the packet id, or the other way."""
        global group_journal
        cdef Journal journal = self.messages.store.journal
        if journal is None or group_journal is not None:
            return 0
        try:
            journal.begin_group(0, 0, 0)
        except (StoreError, LimitExceeded):
            # The log takes nothing, so the publish will be refused.
            return 0
        group_journal = journal
        return self.mark()

    cdef int run(self) except -1:
        """End of a turn: log what sessions noted; the last one closes the group."""
        global group_journal, planes_marked
        cdef Journal journal
        try:
            return self.log_turn()
        finally:
            if self.is_marked:
                self.is_marked = False
                planes_marked -= 1
            if planes_marked == 0 and group_journal is not None:
                journal, group_journal = group_journal, None
                journal.end_group()

    def end_turn(self) -> None:
        """At the end of the server there is no next turn: what is noted is logged now, and the group is closed."""
        self.run()

    cdef int log_turn(self) except -1:
        """Log the sessions' progress, then let everything wait for it."""
        cdef list dirty = self.dirty
        cdef Journal journal = self.messages.store.journal
        cdef uint64_t lsn, target = 0
        cdef Py_ssize_t i
        cdef bint is_awaited = self.ack_end > self.ack_start or len(self.gated) or len(self.waiting)
        if dirty:
            self.dirty = []
            for session in dirty:
                lsn = session.log_steps()
                self.steps_lsn = max(self.steps_lsn, lsn)
        lsn = self.steps_lsn if dirty else 0
        for i in range(self.ack_stamped, self.ack_end):
            self.acks[i].lsn = max(self.acks[i].lsn, lsn)
            if i > self.ack_start:
                # One order for all: a publisher's acknowledgements follow its publishes.
                self.acks[i].lsn = max(self.acks[i].lsn, self.acks[i - 1].lsn)
        self.ack_stamped = self.ack_end
        if self.ack_end > self.ack_start:
            target = self.acks[self.ack_end - 1].lsn
        if self.gated:
            target = max(target, self.steps_lsn)
            for session in self.gated:
                session.stamp(self.steps_lsn)
        if self.waiting:
            target = max(target, self.messages.store.applied_lsn)
        if is_awaited:
            self.gate.when_durable(target, self.settle)
        if journal is not None:
            if self.gather_wanted and self.gather_arrived >= self.gather_wanted:
                journal.end_gathering()
            if self.is_commit_wanted:
                target = journal.newest_lsn
            self.is_commit_wanted = False
            journal.want_commit(target)
        if self.filled:
            filled, self.filled = self.filled, []
            for session in filled:
                if self.on_full is not None:
                    self.on_full(session)
        return 0

    cdef int note_full(self, Task session) except -1:
        """The control plane hears of it at the end of the turn."""
        self.filled.append(session)
        return self.gate.wake(self)

    def settle(self) -> None:
        """More of the log is on flash: acknowledge, and send what had to wait."""
        cdef list waiting = self.waiting, gated = self.gated
        cdef Py_ssize_t answered = self.write_acks(self.gate.durable_lsn)
        self.start_gathering(answered)
        if gated:
            self.gated = []
            for session in gated:
                session.pass_gate(self.gate.durable_lsn)
        if waiting:
            # After the durable streams, which were told before us, show their new messages.
            self.waiting = []
            for session in waiting:
                session.resume_sending()

    # -- stored messages ----------------------------------------------------------------------------------------------

    cdef uint64_t append(self, StreamIngest ingest, const char *prefix, Py_ssize_t prefix_len, Message *message,
                         int64_t expires_ns) except? 0:
        """Put a message into one of the gateway's streams; 0 when there is no room or the store refuses."""
        cdef Py_ssize_t subject_len = prefix_len + message.subject_len
        cdef char *subject = self.room(subject_len)
        cdef int64_t size = ingest.store.size_of(subject_len, message.header_len,
                                                 message.body_len - message.header_len)
        cdef uint64_t seq
        if ingest.is_closed or (ingest.meter is not None and not ingest.meter.has_room(size)):
            self.refused += 1
            return 0
        if ingest.store.max_bytes > 0 and ingest is self.messages and (
                <int64_t>ingest.store.stored_bytes + size > ingest.store.max_bytes):
            self.refused += 1
            return 0
        memcpy(subject, prefix, prefix_len)
        memcpy(subject + prefix_len, message.subject, message.subject_len)
        try:
            seq = ingest.store.append(subject, subject_len, message.body, message.header_len,
                                      message.body + message.header_len, message.body_len - message.header_len,
                                      wall_ns(), expires_ns, 0)
        except (StoreError, LimitExceeded):
            self.refused += 1
            return 0
        if ingest.meter is not None:
            ingest.meter.add(size)
        ingest.arrived(seq, NULL, 0)
        return seq

    cdef uint64_t store(self, Message *message, int64_t expires_ns) except? 0:
        cdef uint64_t seq = self.append(self.messages, b"$MQTT.msgs.", 11, message, expires_ns)
        if seq:
            self.stored += 1
            self.is_commit_wanted = True
            self.gate.wake(self)
        return seq

    cdef uint64_t store_once(self, Publication *publication, Message *message) except? 0:
        """Store the publish under way for this account, if no session before did."""
        cdef uint64_t seq
        if publication.stored_plane == <PyObject *>self and publication.stored_seq:
            return publication.stored_seq
        if publication.has_failed:
            return 0
        seq = self.store(message, publication.expires_ns)
        if seq == 0:
            publication.has_failed = True
            return 0
        publication.stored_plane = <PyObject *>self
        publication.stored_seq = seq
        return seq

    cdef int keep_retained(self, Publication *publication, Message *message) except -1:
        """Replace or remove the retained message of the subject; 0 when it could not be stored."""
        cdef char *subject
        cdef uint64_t seq
        if publication.payload_len:
            seq = self.append(self.retained, b"$MQTT.rmsgs.", 12, message, publication.expires_ns)
            if seq == 0:
                publication.has_failed = True
                return 0
            return 1
        subject = self.room(12 + message.subject_len)
        memcpy(subject, b"$MQTT.rmsgs.", 12)
        memcpy(subject + 12, message.subject, message.subject_len)
        seq = self.retained.store.last_seq_of(subject, 12 + message.subject_len)
        if seq:
            self.retained.store.remove(seq, False)
        return 1

    cdef int need(self, uint64_t seq) except -1:
        """One more session needs the stored message."""
        cdef Py_ssize_t at, count = self.needs_end - self.needs_start
        cdef uint32_t *grown
        if count == 0:
            self.needs_base = seq
            self.needs_start = self.needs_end = 0
        elif seq < self.needs_base:
            # After a restart sessions are restored one after the other, each from its own beginning.
            at = <Py_ssize_t>(self.needs_base - seq)
            grown = <uint32_t *>malloc((count + at) * 2 * sizeof(uint32_t))
            if grown == NULL:
                raise MemoryError
            memset(grown, 0, at * sizeof(uint32_t))
            memcpy(grown + at, self.needs + self.needs_start, count * sizeof(uint32_t))
            free(self.needs)
            self.needs = grown
            self.needs_capacity = (count + at) * 2
            self.needs_start = 0
            self.needs_end = count + at
            self.needs_base = seq
        at = self.needs_start + <Py_ssize_t>(seq - self.needs_base)
        if at >= self.needs_capacity:
            count = self.needs_end - self.needs_start
            if self.needs_start > self.needs_capacity // 2:
                memmove(self.needs, self.needs + self.needs_start, count * sizeof(uint32_t))
                at -= self.needs_start
                self.needs_start = 0
                self.needs_end = count
            if at >= self.needs_capacity:
                self.needs_capacity = max((at + 1) * 2, <Py_ssize_t>64)
                grown = <uint32_t *>realloc(self.needs, self.needs_capacity * sizeof(uint32_t))
                if grown == NULL:
                    raise MemoryError
                self.needs = grown
        if at >= self.needs_end:
            memset(self.needs + self.needs_end, 0, (at + 1 - self.needs_end) * sizeof(uint32_t))
            self.needs_end = at + 1
        self.needs[at] += 1
        return 0

    cdef int release(self, uint64_t seq) except -1:
        """A session is done with the stored message; nobody needs it any more: it leaves the stream."""
        cdef Py_ssize_t at
        if seq < self.needs_base or self.needs_start == self.needs_end:
            return 0
        at = self.needs_start + <Py_ssize_t>(seq - self.needs_base)
        if at >= self.needs_end or self.needs[at] == 0:
            return 0
        self.needs[at] -= 1
        if self.needs[at] == 0:
            if not self.messages.is_closed and not self.is_restoring:
                self.messages.store.remove(seq, False)
            while self.needs_start < self.needs_end and self.needs[self.needs_start] == 0:
                self.needs_start += 1
                self.needs_base += 1
            if self.needs_start == self.needs_end:
                self.needs_start = self.needs_end = 0
        return 0

    def needed(self, uint64_t seq) -> int:
        """How many sessions need a stored message."""
        cdef Py_ssize_t at = self.needs_start + <Py_ssize_t>(seq - self.needs_base)
        if seq < self.needs_base or at >= self.needs_end:
            return 0
        return self.needs[at]

    def drop_unneeded(self) -> int:
        """Remove stored messages that no session needs; after the sessions were restored. Returns how many."""
        cdef StreamStore store = self.messages.store
        cdef uint64_t seq = store.next_seq(0, None)
        cdef int removed = 0
        while seq:
            if self.needed(seq) == 0:
                store.remove(seq, False)
                removed += 1
            seq = store.next_seq(seq + 1, None)
        return removed
