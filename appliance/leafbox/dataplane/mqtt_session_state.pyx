# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""What an MQTT session must not forget: its queue, its packets in flight, the packet ids that its peer has taken.

The control of a session's messages is `MqttSession`; this base keeps the books, and writes them. A durable session logs
what happens to it as steps of 12 bytes, one record a turn: queued, sent under a packet id, done. Restoring is doing the
steps again, and a snapshot is the steps that lead to the present state. Nothing here knows a connection.

The queue is a ring of 16 bytes a message. The window is a table by packet id, at least twice as large as what is in
flight, so an id's place is its low bits.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy

from leafbox.dataplane.mqtt_plane cimport MqttPlane
from leafbox.dataplane.store_block cimport MessageView
from leafbox.dataplane.stream_ingest cimport StreamIngest, Task, wall_ns

from typing import NamedTuple


class SessionProgress(NamedTuple):
    """A session at one moment; messages of QoS 1 and 2 that are not retained ones."""

    waiting: int
    ack_pending: int
    redelivered: int
    given_out: int
    last_given_out_seq: int
    floor_seq: int


cdef enum:
    RECEIVED_BYTES = 8192       # a bit for each packet id
    QUEUE_MAX = 1000000         # 16 MB of memory; the control plane says what is configured


cdef class MqttSessionState(Task):
    """The books of one session. `key` names its log records."""

    def __init__(self, MqttPlane plane not None, bytes key not None, bint is_persistent=False):
        self.plane = plane
        self.key = key
        self.is_persistent = is_persistent
        self.queue_max = QUEUE_MAX
        self.id_lists = [None]
        self.id_numbers = {}

    def __dealloc__(self):
        free(self.queue)
        free(self.inflight)
        free(self.received)
        free(self.steps)

    cdef uint32_t number_of(self, tuple ids) except? 0xFFFFFFFF:
        cdef object known = self.id_numbers.get(ids)
        if known is None:
            known = self.id_numbers[ids] = len(self.id_lists)
            self.id_lists.append(ids)
        return known

    # -- queue ----------------------------------------------------------------------------------------------------------

    cdef int push_entry(self, uint64_t seq, uint8_t flags, uint32_t ids) except -1:
        cdef QueueEntry *grown
        cdef QueueEntry *entry
        cdef Py_ssize_t capacity, first
        if self.queue_count == self.queue_capacity:
            capacity = max(self.queue_capacity * 2, <Py_ssize_t>8)
            grown = <QueueEntry *>malloc(capacity * sizeof(QueueEntry))
            if grown == NULL:
                raise MemoryError
            first = self.queue_capacity - self.queue_head
            if self.queue_count:
                memcpy(grown, self.queue + self.queue_head, first * sizeof(QueueEntry))
                memcpy(grown + first, self.queue, (self.queue_count - first) * sizeof(QueueEntry))
            free(self.queue)
            self.queue = grown
            self.queue_capacity = capacity
            self.queue_head = 0
        entry = &self.queue[(self.queue_head + self.queue_count) & (self.queue_capacity - 1)]
        entry.seq = seq
        entry.flags = flags
        entry.ids = ids
        self.queue_count += 1
        if flags & ENTRY_RETAINED:
            self.queue_retained += 1
        else:
            self.last_taken = seq
            self.plane.need(seq)
        return self.note_fill()

    cdef int pop_entry(self) except -1:
        if self.queue[self.queue_head].flags & ENTRY_RETAINED:
            self.queue_retained -= 1
        self.queue_head = (self.queue_head + 1) & (self.queue_capacity - 1)
        self.queue_count -= 1
        if self.queue_count == 0 and self.queue_capacity > 64:
            # The backlog is gone, so is its memory.
            free(self.queue)
            self.queue = NULL
            self.queue_head = self.queue_capacity = 0
        return self.note_fill() if self.is_full else 0

    def limit_queue(self, Py_ssize_t most, int when_full) -> None:
        """At most so many messages wait, and a `WhenFull` for those that are too many."""
        self.queue_max = most
        self.when_full = when_full
        self.note_fill()

    cdef int note_fill(self) except -1:
        cdef bint is_full = self.queue_count - self.queue_retained >= self.queue_max
        if is_full == self.is_full:
            return 0
        self.is_full = is_full
        if is_full:
            self.plane.full_sessions += 1
            return self.plane.note_full(self)
        self.plane.full_sessions -= 1
        return 0

    cdef bint makes_room(self) except -1:
        """For one more message: by what nobody is to get any more, or by the oldest if that is the policy."""
        cdef MessageView view
        cdef QueueEntry *head
        cdef int64_t now_ns = wall_ns()
        while self.is_full and self.queue_count:
            head = &self.queue[self.queue_head]
            if head.flags & ENTRY_RETAINED:
                return False
            if self.load(head.seq, head.flags, &view) != 1 or (view.expires_ns and view.expires_ns <= now_ns):
                self.expired += 1
            elif self.when_full == FULL_DROPS_OLD:
                self.dropped += 1
            else:
                return False
            self.drop_head()
        return not self.is_full

    cdef int drop_head(self) except -1:
        cdef QueueEntry entry = self.queue[self.queue_head]
        self.pop_entry()
        self.drop_message(entry.seq, entry.flags)
        if self.is_persistent:
            self.note(STEP_DONE, entry.flags, 0, entry.seq)
        return 0

    cdef int drop_message(self, uint64_t seq, uint8_t flags) except -1:
        if not flags & ENTRY_RETAINED and seq:
            self.plane.release(seq)
        return 0

    cdef int load(self, uint64_t seq, uint8_t flags, MessageView *view) except -1:
        cdef StreamIngest ingest = self.plane.retained if flags & ENTRY_RETAINED else self.plane.messages
        if ingest.is_closed:
            return 0
        return ingest.store.load(seq, view)

    cdef int forget(self) except -1:
        """Let go of everything, and of the messages that were needed; nothing is logged of it."""
        cdef Py_ssize_t i
        cdef QueueEntry *entry
        self.is_persistent = False
        for i in range(self.queue_count):
            entry = &self.queue[(self.queue_head + i) & (self.queue_capacity - 1)]
            self.drop_message(entry.seq, entry.flags)
        self.queue_count = self.queue_retained = 0
        self.note_fill()
        for i in range(self.inflight_capacity):
            if self.inflight[i].state == INFLIGHT_ASSIGNED or self.inflight[i].state == INFLIGHT_SENT:
                self.drop_message(self.inflight[i].seq, self.inflight[i].flags)
            self.inflight[i].state = INFLIGHT_FREE
        self.inflight_count = 0
        free(self.received)
        self.received = NULL
        self.received_count = 0
        self.step_count = 0
        return 0

    # -- in flight ------------------------------------------------------------------------------------------------------

    cdef Inflight *find(self, uint16_t packet_id) noexcept:
        cdef Inflight *entry
        if self.inflight == NULL:
            return NULL
        entry = &self.inflight[packet_id & (self.inflight_capacity - 1)]
        return entry if entry.state != INFLIGHT_FREE and entry.packet_id == packet_id else NULL

    cdef int grow_inflight(self) except -1:
        cdef Py_ssize_t capacity = max(self.inflight_capacity * 2, <Py_ssize_t>16), i
        cdef Inflight *grown = <Inflight *>calloc(capacity, sizeof(Inflight))
        if grown == NULL:
            raise MemoryError
        for i in range(self.inflight_capacity):
            if self.inflight[i].state != INFLIGHT_FREE:
                grown[self.inflight[i].packet_id & (capacity - 1)] = self.inflight[i]
        free(self.inflight)
        self.inflight = grown
        self.inflight_capacity = capacity
        return 0

    cdef Inflight *claim(self) except NULL:
        """A place in the window under the next free packet id; the caller has checked that the window has room."""
        cdef Inflight *entry
        while self.inflight_count * 2 >= self.inflight_capacity and self.inflight_capacity < 65536:
            self.grow_inflight()
        while True:
            self.next_packet_id += 1
            if self.next_packet_id == 0:
                continue
            entry = &self.inflight[self.next_packet_id & (self.inflight_capacity - 1)]
            if entry.state == INFLIGHT_FREE:
                break
        entry.packet_id = self.next_packet_id
        self.order += 1
        entry.order = self.order
        self.inflight_count += 1
        return entry

    cdef Inflight *place(self, uint16_t packet_id) except NULL:
        """The place of a packet id that is known from the log."""
        cdef Inflight *entry
        while self.inflight_capacity == 0:
            self.grow_inflight()
        entry = &self.inflight[packet_id & (self.inflight_capacity - 1)]
        while entry.state != INFLIGHT_FREE and entry.packet_id != packet_id:
            self.grow_inflight()
            entry = &self.inflight[packet_id & (self.inflight_capacity - 1)]
        if entry.state == INFLIGHT_FREE:
            self.inflight_count += 1
        entry.packet_id = packet_id
        self.order += 1
        entry.order = self.order
        self.next_packet_id = packet_id
        return entry

    cdef int note_given_out(self, uint64_t seq, uint8_t flags) except -1:
        if not flags & ENTRY_RETAINED:
            self.given_out += 1
            self.last_given_out = seq
        return 0

    # -- packet ids of the peer -----------------------------------------------------------------------------------------

    cdef bint has_received(self, uint16_t packet_id) noexcept:
        return self.received != NULL and self.received[packet_id >> 3] & (1 << (packet_id & 7)) != 0

    cdef int note_received(self, uint16_t packet_id) except -1:
        if self.received == NULL:
            self.received = <uint8_t *>calloc(1, RECEIVED_BYTES)
            if self.received == NULL:
                raise MemoryError
        self.received[packet_id >> 3] |= <uint8_t>(1 << (packet_id & 7))
        self.received_count += 1
        if self.is_persistent:
            self.note(STEP_RECEIVED, 0, packet_id, 0)
            self.is_step_urgent = True
        return 0

    cdef bint free_received(self, uint16_t packet_id) except -1:
        if not self.has_received(packet_id):
            return False
        self.received[packet_id >> 3] &= <uint8_t>~(1 << (packet_id & 7))
        self.received_count -= 1
        if self.is_persistent:
            self.note(STEP_FREED, 0, packet_id, 0)
            self.is_step_urgent = True
        if self.received_count == 0:
            free(self.received)
            self.received = NULL
        return True

    # -- steps ----------------------------------------------------------------------------------------------------------

    cdef int note(self, uint8_t kind, uint8_t flags, uint16_t packet_id, uint64_t seq) except -1:
        cdef Step *grown
        if self.step_count == self.step_capacity:
            self.step_capacity = max(self.step_capacity * 2, <Py_ssize_t>16)
            grown = <Step *>realloc(self.steps, self.step_capacity * sizeof(Step))
            if grown == NULL:
                raise MemoryError
            self.steps = grown
        self.steps[self.step_count].kind = kind
        self.steps[self.step_count].flags = flags
        self.steps[self.step_count].packet_id = packet_id
        self.steps[self.step_count].seq = seq
        self.step_count += 1
        if not self.is_dirty:
            self.is_dirty = True
            self.plane.dirty.append(self)
            self.plane.mark()
        return 0

    cdef int note_taken(self, uint64_t seq, uint8_t flags, uint32_t ids) except -1:
        if ids:
            for identifier in <tuple>self.id_lists[ids]:
                self.note(STEP_IDENTIFIER, 0, 0, <uint64_t>identifier)
        return self.note(STEP_TAKEN, flags, 0, seq)

    def log_steps(self) -> int:
        """Write the steps noted since the last time to the log; returns the log number, 0 when there were none.

        Nothing is committed for it: the plane asks once for all of a turn.
        """
        cdef bytes packed
        self.is_dirty = False
        if self.step_count == 0:
            return 0
        packed = (<char *>self.steps)[:self.step_count * sizeof(Step)]
        self.step_count = 0
        if self.step_capacity > 4096:
            free(self.steps)
            self.steps = NULL
            self.step_capacity = 0
        if self.is_step_urgent:
            self.is_step_urgent = False
            self.plane.is_commit_wanted = True
        return self.plane.extend(self.key, packed, False)

    def snapshot_steps(self) -> bytes:
        """The steps that lead to the present state, in place of all before."""
        cdef Py_ssize_t i
        cdef StepList found
        cdef Inflight *entry
        cdef QueueEntry *queued
        cdef list flights = []
        found.steps = NULL
        found.count = found.capacity = 0
        try:
            for i in range(self.inflight_capacity):
                if self.inflight[i].state != INFLIGHT_FREE:
                    flights.append((self.inflight[i].order, i))
            flights.sort()
            for _, place in flights:
                entry = &self.inflight[<Py_ssize_t>place]
                add_taken(&found, entry.seq, entry.flags, <tuple>self.id_lists[entry.ids])
                add_step(&found, STEP_SENT, entry.flags, entry.packet_id, entry.seq)
                if entry.state == INFLIGHT_RELEASED:
                    add_step(&found, STEP_RELEASED, entry.flags, entry.packet_id, entry.seq)
            for i in range(self.queue_count):
                queued = &self.queue[(self.queue_head + i) & (self.queue_capacity - 1)]
                if queued.flags & ENTRY_QOS:
                    add_taken(&found, queued.seq, queued.flags, <tuple>self.id_lists[queued.ids])
            if self.received != NULL:
                for i in range(65536):
                    if self.has_received(<uint16_t>i):
                        add_step(&found, STEP_RECEIVED, 0, <uint16_t>i, 0)
            # Steps that are not logged yet are in it and will be logged all the same: doing them again changes nothing.
            add_step(&found, STEP_CURSOR, 0, 0, self.last_taken)
            return (<char *>found.steps)[:found.count * sizeof(Step)]
        finally:
            free(found.steps)

    def restore_steps(self, bytes packed not None) -> None:
        """Do logged steps again. Steps that fit nothing are passed over: the log may begin in the middle."""
        cdef Py_ssize_t i, count = len(packed) // sizeof(Step)
        cdef Step step
        cdef const char *data = packed
        cdef Inflight *entry
        cdef bint was_persistent = self.is_persistent
        self.is_persistent = False
        try:
            for i in range(count):
                memcpy(&step, data + i * sizeof(Step), sizeof(Step))
                self.restore_step(&step)
        finally:
            self.is_persistent = was_persistent

    cdef int restore_step(self, Step *step) except -1:
        cdef Inflight *entry
        cdef uint32_t ids
        cdef QueueEntry *head
        if step.kind == STEP_TAKEN:
            # Messages are taken in the order of the stream: what is not beyond the last one was taken before.
            if step.flags & ENTRY_RETAINED or step.seq > self.last_taken:
                self.push_entry(step.seq, step.flags, self.number_of(self.restored_ids) if self.restored_ids else 0)
            self.restored_ids = None
        elif step.kind == STEP_IDENTIFIER:
            self.restored_ids = (self.restored_ids or ()) + (step.seq,)
        elif step.kind == STEP_SENT:
            if self.queue_count == 0:
                return 0
            head = &self.queue[self.queue_head]
            if head.seq != step.seq:
                return 0
            ids = head.ids
            self.pop_entry()
            entry = self.place(step.packet_id)
            entry.seq = step.seq
            entry.flags = step.flags
            entry.ids = ids
            entry.state = INFLIGHT_SENT
            self.note_given_out(step.seq, step.flags)
        elif step.kind == STEP_DONE and step.packet_id == 0:
            if self.queue_count and self.queue[self.queue_head].seq == step.seq:
                self.drop_head()
        elif step.kind == STEP_DONE:
            entry = self.find(step.packet_id)
            if entry != NULL and entry.seq == step.seq:
                if entry.state != INFLIGHT_RELEASED:
                    self.drop_message(entry.seq, entry.flags)
                entry.state = INFLIGHT_FREE
                self.inflight_count -= 1
        elif step.kind == STEP_RELEASED:
            entry = self.find(step.packet_id)
            if entry != NULL and entry.seq == step.seq and entry.state != INFLIGHT_RELEASED:
                self.drop_message(entry.seq, entry.flags)
                entry.state = INFLIGHT_RELEASED
        elif step.kind == STEP_CURSOR:
            self.last_taken = max(self.last_taken, step.seq)
        elif step.kind == STEP_RECEIVED:
            if not self.has_received(step.packet_id):
                self.note_received(step.packet_id)
        elif step.kind == STEP_FREED:
            self.free_received(step.packet_id)
        return 0

    # -- for others to see ----------------------------------------------------------------------------------------------

    @property
    def queued(self) -> int:
        """Messages that wait to be sent."""
        return self.queue_count

    def progress(self) -> SessionProgress:
        """Where the session stands in $MQTT_msgs, as a consumer of it would say."""
        cdef Py_ssize_t i, ack_pending = 0, redelivered = 0
        cdef uint64_t floor = self.last_given_out
        cdef Inflight *entry
        for i in range(self.inflight_capacity):
            entry = &self.inflight[i]
            if entry.state == INFLIGHT_ASSIGNED or entry.state == INFLIGHT_SENT:
                if not entry.flags & ENTRY_RETAINED:
                    ack_pending += 1
                    redelivered += entry.flags & ENTRY_AGAIN != 0
                    floor = min(floor, entry.seq - 1)
        return SessionProgress(self.queue_count - self.queue_retained, ack_pending, redelivered, self.given_out,
                               self.last_given_out, floor)

    def needed_seqs(self) -> list[int]:
        """Stored messages that the session still needs, oldest first."""
        cdef Py_ssize_t i
        found = []
        for i in range(self.inflight_capacity):
            if self.inflight[i].state in (INFLIGHT_ASSIGNED, INFLIGHT_SENT) and (
                    not self.inflight[i].flags & ENTRY_RETAINED):
                found.append(self.inflight[i].seq)
        for i in range(self.queue_count):
            entry = self.queue[(self.queue_head + i) & (self.queue_capacity - 1)]
            if not entry.flags & ENTRY_RETAINED:
                found.append(entry.seq)
        return sorted(found)


cdef int add_step(StepList *found, uint8_t kind, uint8_t flags, uint16_t packet_id, uint64_t seq) except -1:
    cdef Step *grown
    if found.count == found.capacity:
        grown = <Step *>realloc(found.steps, max(found.capacity * 2, <Py_ssize_t>16) * sizeof(Step))
        if grown == NULL:
            raise MemoryError
        found.steps = grown
        found.capacity = max(found.capacity * 2, <Py_ssize_t>16)
    grown = &found.steps[found.count]
    grown.kind = kind
    grown.flags = flags
    grown.packet_id = packet_id
    grown.seq = seq
    found.count += 1
    return 0


cdef int add_taken(StepList *found, uint64_t seq, uint8_t flags, tuple ids) except -1:
    if ids is not None:
        for identifier in ids:
            add_step(found, STEP_IDENTIFIER, 0, 0, <uint64_t>identifier)
    return add_step(found, STEP_TAKEN, flags, 0, seq)
