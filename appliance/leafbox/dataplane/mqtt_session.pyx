# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""One MQTT session: a receiver of messages that may or may not have a connection at the moment.

QoS 0 goes straight from the router into the peer's output. A QoS 1 or 2 message is stored once for all sessions
(`MqttPlane.store_once`); the session queues its number, 16 bytes, and sends when the message is on flash and the peer's
window has room. So a session that is away costs its queue and nothing else; the backlog lies in the stream.

A durable session logs what happens to it as steps of 12 bytes, one record a turn: queued, sent under a packet id,
done. Restoring is doing the steps again. Where the other side would double or lose a message if we forgot a step, the
packet that depends on it waits for the log: PUBLISH of QoS 2 for its packet id, PUBREL for PUBREC, PUBREC for the
received packet id, PUBCOMP for its release. Everything else may be forgotten: QoS 1 is then delivered again.

The window is a table by packet id, at least twice as large as what is in flight, so an id's place is its low bits.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, memmove

from leafbox.dataplane.connection cimport Connection, monotonic_ns
from leafbox.dataplane.message cimport Message
from leafbox.dataplane.mqtt_plane cimport (
    PACKET_PUBREL,
    MqttPeer,
    MqttPlane,
    Publication,
    current_publication,
)
from leafbox.dataplane.mqtt_properties cimport (
    has_line,
    properties_from_header,
    properties_room,
    published_qos,
)
from leafbox.dataplane.mqtt_topics cimport SUBJECT_GROWTH, subject_to_topic
from leafbox.dataplane.routing cimport AccountPlane, Receiver, Subscription
from leafbox.dataplane.stream_ingest cimport StreamIngest, wall_ns
from leafbox.dataplane.sublist cimport MatchResult, Sublist

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
    # Output of one peer at which its queue waits for the kernel: enough for a full socket buffer.
    PUMP_BYTES = 256 * 1024
    MESSAGES_PREFIX = 11        # len("$MQTT.msgs.")
    RETAINED_PREFIX = 12        # len("$MQTT.rmsgs.")
    PLAIN_HEADER = 26           # a header block up to this size has `Nmqtt-Pub` and nothing else
    TOPIC_BYTES_MAX = 65535
    RECEIVED_BYTES = 8192       # a bit for each packet id
    QUEUE_MAX = 1000000         # 16 MB of memory; the control plane says what is configured
    REPLY_ROOM = 3

# Scratch of the encoders; used within one call. Grown on demand, bounded by the largest message.
cdef char *topic_room = <char *>malloc(TOPIC_BYTES_MAX + 1)
cdef char *property_room = NULL
cdef Py_ssize_t property_capacity = 0
# The last subject that was turned into a topic: a message for many sessions is converted once.
cdef char last_subject[512]
cdef Py_ssize_t last_subject_len = -1
cdef Py_ssize_t last_topic_len = -1


cdef Py_ssize_t topic_of(const char *subject, Py_ssize_t length) noexcept:
    """The subject's topic in `topic_room`; -1 when it has none (not UTF-8, too long)."""
    global last_subject_len, last_topic_len
    if length == last_subject_len and memcmp(subject, last_subject, length) == 0:
        return last_topic_len
    last_topic_len = subject_to_topic(subject, length, topic_room, TOPIC_BYTES_MAX)
    if length <= <Py_ssize_t>sizeof(last_subject):
        memcpy(last_subject, subject, length)
        last_subject_len = length
    else:
        last_subject_len = -1
    return last_topic_len


cdef char *properties_scratch(Py_ssize_t length) except NULL:
    global property_room, property_capacity
    cdef char *grown
    if length > property_capacity:
        grown = <char *>realloc(property_room, length)
        if grown == NULL:
            raise MemoryError
        property_room = grown
        property_capacity = length
    return property_room


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


cdef bint meets_full_queue(AccountPlane account, Receiver origin, Message *message) except -1:
    """Sessions that are full and refuse: a message that one of them wants must reach nobody, or those that got it get
    it again when its publisher tries again. Of a group one member with room is enough."""
    cdef MatchResult result = account.sublist.match(message.subject, message.subject_len)
    cdef Publication *publication = current_publication()
    cdef Py_ssize_t i, group, start = 0
    cdef Subscription subscription
    for i in range(result.plain_count):
        subscription = <Subscription>result.plain[i]
        if is_barred(subscription, origin, message, publication):
            return True
    for group in range(result.group_count):
        if group_is_barred(result, start, result.group_ends[group], origin, message, publication):
            return True
        start = result.group_ends[group]
    return False


cdef bint is_barred(Subscription subscription, Receiver origin, Message *message, Publication *publication) except -1:
    cdef MqttSession session
    cdef MqttInterest interest
    if not isinstance(subscription.receiver, MqttSession):
        return False
    session = <MqttSession>subscription.receiver
    if not session.is_full or session.when_full != FULL_REFUSES:
        return False
    interest = <MqttInterest>(subscription if subscription.primary is None else subscription.primary).context
    if interest.qos == 0 or not session.wants(subscription, interest, origin, message, publication):
        return False
    return not session.makes_room()


cdef bint group_is_barred(MatchResult result, Py_ssize_t start, Py_ssize_t end, Receiver origin, Message *message,
                          Publication *publication) except -1:
    cdef Py_ssize_t i
    cdef Subscription subscription
    cdef bint has_barred = False, has_online = False
    for i in range(start, end):
        subscription = <Subscription>result.members[i]
        if not isinstance(subscription.receiver, MqttSession):
            return False
        has_online |= (<MqttSession>subscription.receiver).peer is not None
        has_barred |= is_barred(subscription, origin, message, publication)
    if not has_barred:
        return False
    for i in range(start, end):
        subscription = <Subscription>result.members[i]
        # Who is away takes nothing while another member is here.
        if ((<MqttSession>subscription.receiver).peer is not None or not has_online) and not is_barred(
                subscription, origin, message, publication):
            return False
    return True


cdef class MqttSession(Task):
    """A session. The control plane makes it, subscribes for it, and attaches and detaches its connection."""

    def __init__(self, MqttPlane plane not None, bytes key not None, bint is_persistent=False):
        self.plane = plane
        self.key = key
        self.is_persistent = is_persistent
        self.window = 1024
        self.queue_max = QUEUE_MAX
        self.index = None
        self.id_lists = [None]
        self.id_numbers = {}

    def __dealloc__(self):
        free(self.queue)
        free(self.inflight)
        free(self.held)
        free(self.received)
        free(self.steps)

    # -- interest -----------------------------------------------------------------------------------------------------

    cdef uint32_t number_of(self, tuple ids) except? 0xFFFFFFFF:
        cdef object known = self.id_numbers.get(ids)
        if known is None:
            known = self.id_numbers[ids] = len(self.id_lists)
            self.id_lists.append(ids)
        return known

    def add_interest(self, MqttInterest interest not None) -> None:
        """Prepare a filter's interest: its `subscriptions` are about to be added to the account."""
        cdef Subscription subscription
        interest.ids = self.number_of((interest.identifier,)) if interest.identifier else 0
        if interest.is_shared:
            return
        if self.index is None:
            self.index = Sublist(256, entry_type=Subscription)
        for item in interest.subscriptions:
            subscription = <Subscription>item
            self.index.insert(subscription.subject, None, subscription)

    def remove_interest(self, MqttInterest interest not None) -> None:
        """Undo `add_interest`."""
        cdef Subscription subscription
        if interest.is_shared or self.index is None:
            return
        for item in interest.subscriptions:
            subscription = <Subscription>item
            self.index.remove(subscription.subject, None, subscription)

    cdef uint32_t merged(self, Subscription counted, Message *message, int *qos, bint *is_first) except? 0xFFFFFFFF:
        """Several filters may match: the first of them delivers for all, at the highest QoS, with all identifiers."""
        cdef MatchResult result = self.index.match(message.subject, message.subject_len)
        cdef MqttInterest interest
        cdef Py_ssize_t i
        cdef list found
        is_first[0] = result.plain_count == 0 or <Subscription>result.plain[0] is counted
        if not is_first[0] or result.plain_count < 2:
            return (<MqttInterest>counted.context).ids
        found = []
        for i in range(result.plain_count):
            interest = <MqttInterest>(<Subscription>result.plain[i]).context
            qos[0] = max(qos[0], interest.qos)
            if interest.identifier:
                found.append(interest.identifier)
        return self.number_of(tuple(found)) if found else 0

    # -- messages in --------------------------------------------------------------------------------------------------

    cdef int deliver(self, Subscription subscription, Receiver origin, Message *message) except -1:
        cdef Subscription counted = subscription if subscription.primary is None else subscription.primary
        cdef MqttInterest interest = <MqttInterest>counted.context
        cdef Publication *publication = current_publication()
        cdef int qos = interest.qos, published = 0
        cdef uint32_t ids = interest.ids
        cdef bint is_first = True, retain
        cdef uint64_t seq
        if publication != NULL and publication.body != message.body:
            publication = NULL
        if not self.wants(subscription, interest, origin, message, publication):
            return 0
        if interest.is_shared and self.peer is None and self.group_has_others is not None:
            if self.group_has_others(interest):
                return 0
        if interest.overlaps:
            ids = self.merged(counted, message, &qos, &is_first)
            if not is_first:
                return 0
        counted.delivered += 1
        retain = False
        if publication != NULL:
            published = publication.qos
            retain = publication.is_retained and interest.retain_as_published
        elif qos and message.header_len:
            # A publisher on NATS, or a gateway behind a leaf link, that asks for it by the header.
            published = max(published_qos(message.body, message.header_len), 0)
        qos = min(qos, published)
        if qos == 0:
            return self.send_now(message, publication, interest, retain, ids)
        if not self.is_persistent and self.peer is None:
            return 0
        if self.is_full and not self.makes_room():
            if self.when_full != FULL_REFUSES or publication == NULL:
                self.dropped += 1
            elif not interest.is_shared:
                # From another account, or full since a moment ago: the publisher hears that not everybody has it.
                publication.has_failed = True
            return 0
        if publication != NULL:
            seq = self.plane.store_once(publication, message)
        else:
            seq = self.plane.store(message, 0)
        if seq == 0:
            return 0
        self.enqueue(seq, <uint8_t>(qos | (ENTRY_RETAIN if retain else 0)), ids)
        return 1

    cdef bint wants(self, Subscription subscription, MqttInterest interest, Receiver origin, Message *message,
                    Publication *publication) except -1:
        """Whether a matching message is meant for this session; `publication` NULL: it does not come from MQTT."""
        if subscription.closed or (interest.skips_dollar and message.subject_len and message.subject[0] == c'$'):
            return False
        if interest.no_local and publication != NULL and origin is self.peer:
            return False
        return not (subscription.filters_deliveries and self.permissions is not None
                    and self.permissions.denies_delivery(message.subject, message.subject_len))

    cdef bint takes(self, Subscription subscription, Receiver origin, Message *message) except -1:
        return not subscription.closed

    cdef int send_now(self, Message *message, Publication *publication, MqttInterest interest, bint retain,
                      uint32_t ids) except -1:
        """QoS 0: into the peer's output, or nowhere."""
        cdef MqttPeer peer = self.peer
        cdef const char *topic
        cdef Py_ssize_t topic_len, properties_len = 0, reply_len
        cdef const char *payload = message.body + message.header_len
        cdef Py_ssize_t payload_len = message.body_len - message.header_len
        cdef char *properties = NULL
        cdef int64_t expires_ns = 0
        if peer is None or peer.closed:
            return 0
        if peer.out_end - peer.out_start + payload_len > peer.max_pending >> 1:
            if peer.fd >= 0 and not peer.write_is_blocked:
                peer.flush_direct()
            if peer.out_end - peer.out_start + payload_len > peer.max_pending >> 1:
                # QoS 0 is "at most once": a slow device loses some, instead of its connection.
                peer.dropped += 1
                return 0
        if publication != NULL:
            topic = publication.topic
            topic_len = publication.topic_len
            payload = publication.payload
            payload_len = publication.payload_len
            expires_ns = publication.expires_ns
            if message.subject != publication.subject or topic == NULL:
                topic = NULL
            if peer.version == 5:
                properties = <char *>publication.properties
                properties_len = publication.properties_len
        else:
            topic = NULL
            if peer.version == 5 and (message.header_len or message.reply_len):
                properties = properties_scratch(properties_room(message.header_len) + message.reply_len * SUBJECT_GROWTH
                                                + REPLY_ROOM + 8)
                if message.header_len:
                    properties_len = properties_from_header(message.body, message.header_len, properties)
                if message.reply_len and not has_line(message.body, message.header_len, b"\nNmqtt-Response-Topic", 21):
                    reply_len = subject_to_topic(message.reply, message.reply_len, properties + properties_len + 3,
                                                 message.reply_len * SUBJECT_GROWTH)
                    if 0 < reply_len <= TOPIC_BYTES_MAX:
                        properties[properties_len] = 8
                        properties[properties_len + 1] = <char>(reply_len >> 8)
                        properties[properties_len + 2] = <char>(reply_len & 0xFF)
                        properties_len += 3 + reply_len
        if topic == NULL:
            topic_len = topic_of(message.subject, message.subject_len)
            if topic_len <= 0:
                return 0
            topic = topic_room
        if not peer.send_publish(1 if retain else 0, topic, topic_len, 0, payload, payload_len, properties,
                                 properties_len, expires_ns, <tuple>self.id_lists[ids]):
            self.oversized += 1
            return 0
        self.plane.account.out_msgs += 1
        self.plane.account.out_bytes += payload_len
        self.delivered += 1
        return 1

    # -- queue --------------------------------------------------------------------------------------------------------

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

    cdef int enqueue(self, uint64_t seq, uint8_t flags, uint32_t ids) except -1:
        cdef QueueEntry entry
        self.push_entry(seq, flags, ids)
        if self.is_persistent and flags & ENTRY_QOS:
            self.note_taken(seq, flags, ids)
            self.is_step_urgent = True
        if self.peer is None:
            return 0
        if (self.is_persistent and flags & ENTRY_QOS == 2 and self.queue_count == 1 and self.again_count() == 0
                and self.inflight_count < self.window):
            # The packet id goes to flash together with the message.
            entry = self.queue[self.queue_head]
            self.start_entry(&entry)
            return 0
        return self.await_messages()

    cdef int await_messages(self) except -1:
        if not self.is_waiting:
            self.is_waiting = True
            self.plane.waiting.append(self)
            self.plane.gate.wake(self.plane)
        return 0

    def resume_sending(self) -> None:
        """Send what may be sent now: the log moved on, the peer's socket is free again, or its window."""
        self.is_waiting = False
        self.pump()

    cdef int run(self) except -1:
        return self.pump()

    cdef int pump(self) except -1:
        """Send queued messages while the window and the peer's output have room."""
        cdef QueueEntry entry
        cdef MqttPeer peer = self.peer
        if self.again_count() and peer is not None and not peer.closed:
            self.send_again(peer)
        if self.again_count():
            return 0
        while self.queue_count and peer is not None and not peer.closed:
            entry = self.queue[self.queue_head]
            if entry.flags & ENTRY_QOS and self.inflight_count >= self.window:
                break
            if not entry.flags & ENTRY_RETAINED and entry.seq > self.plane.messages.visible_seq:
                self.await_messages()
                break
            if not self.has_room(peer):
                break
            self.start_entry(&entry)
        return 0

    cdef bint has_room(self, MqttPeer peer) except -1:
        """The peer's output takes more; otherwise sending goes on when the kernel has taken some."""
        if peer.out_end - peer.out_start > PUMP_BYTES:
            if peer.fd >= 0 and not peer.write_is_blocked:
                peer.flush_direct()
            if peer.out_end - peer.out_start > PUMP_BYTES:
                if not peer.write_is_blocked:
                    self.plane.gate.wake(self)
                return False
        return self.peer is peer and not peer.closed

    cdef Py_ssize_t again_count(self) noexcept:
        return 0 if self.again is None else len(self.again) - self.again_start

    cdef int send_again(self, MqttPeer peer) except -1:
        """What was in flight when the last connection ended, oldest first, within the window of this one.

        New packet ids are given out only when this is done, so an id in the list is that message or acknowledged.
        """
        cdef Inflight *entry
        while self.again_count() and not peer.closed:
            entry = self.find(<uint16_t>self.again[self.again_start])
            if entry == NULL or entry.state == INFLIGHT_RELEASED:
                self.again_start += 1
                continue
            if self.inflight_count - self.again_count() >= self.window or not self.has_room(peer):
                return 0
            self.again_start += 1
            entry.sent_ns = monotonic_ns()
            if entry.state == INFLIGHT_ASSIGNED:
                self.hold(entry.packet_id)
                continue
            entry.flags |= ENTRY_AGAIN
            if self.send_stored(entry.seq, entry.flags, entry.ids, entry.packet_id, True) == 0:
                self.finish(entry)
        if self.again_count() == 0:
            self.again = None
            self.again_start = 0
        return 0

    cdef int start_entry(self, QueueEntry *entry) except -1:
        """Take the head of the queue (`entry` is its copy) and send it, or hold it until its packet id is on flash."""
        cdef Inflight *flight
        cdef uint16_t packet_id
        cdef int sent
        self.pop_entry()
        if entry.flags & ENTRY_QOS == 0:
            self.send_stored(entry.seq, entry.flags, entry.ids, 0, False)
            return 0
        flight = self.claim()
        packet_id = flight.packet_id
        flight.seq = entry.seq
        flight.flags = entry.flags
        flight.ids = entry.ids
        self.note_given_out(entry.seq, entry.flags)
        flight.sent_ns = monotonic_ns()
        if self.is_persistent:
            self.note(STEP_SENT, entry.flags, packet_id, entry.seq)
            if entry.flags & ENTRY_QOS == 2:
                flight.state = INFLIGHT_ASSIGNED
                self.is_step_urgent = True
                return self.hold(packet_id)
        flight.state = INFLIGHT_SENT
        sent = self.send_stored(entry.seq, entry.flags, entry.ids, packet_id, False)
        if sent == 0:
            self.finish(self.find(packet_id))
        return 0

    cdef int note_given_out(self, uint64_t seq, uint8_t flags) except -1:
        if not flags & ENTRY_RETAINED:
            self.given_out += 1
            self.last_given_out = seq
        return 0

    cdef int load(self, uint64_t seq, uint8_t flags, MessageView *view) except -1:
        cdef StreamIngest ingest = self.plane.retained if flags & ENTRY_RETAINED else self.plane.messages
        if ingest.is_closed:
            return 0
        return ingest.store.load(seq, view)

    cdef int send_stored(self, uint64_t seq, uint8_t flags, uint32_t ids, uint16_t packet_id, bint again) except -1:
        """Encode a stored message. 1 sent; 0 it is gone, expired or larger than the peer takes."""
        cdef MessageView view
        cdef Py_ssize_t topic_len, prefix, properties_len = 0
        cdef char *properties = NULL
        cdef MqttPeer peer = self.peer
        if self.load(seq, flags, &view) != 1:
            return 0
        if view.expires_ns and not again and view.expires_ns <= wall_ns():
            # What was sent before does not expire any more [MQTT-4.3.3-7].
            self.expired += 1
            return 0
        prefix = RETAINED_PREFIX if flags & ENTRY_RETAINED else MESSAGES_PREFIX
        if self.permissions is not None and not self.permissions.may_receive(view.subject + prefix,
                                                                             view.subject_size - prefix):
            # It was queued when its reader was away, by rights that may have been others.
            return 0
        topic_len = topic_of(view.subject + prefix, view.subject_size - prefix)
        if topic_len <= 0:
            return 0
        if peer.version == 5 and view.header_size > PLAIN_HEADER:
            properties = properties_scratch(properties_room(view.header_size) + 8)
            properties_len = properties_from_header(view.header, view.header_size, properties)
        if not peer.send_publish(((flags & ENTRY_QOS) << 1) | (1 if flags & ENTRY_RETAIN else 0) | (8 if again else 0),
                                 topic_room, topic_len, packet_id, view.payload, view.payload_size, properties,
                                 properties_len, view.expires_ns, <tuple>self.id_lists[ids]):
            self.oversized += 1
            return 0
        self.plane.account.out_msgs += 1
        self.plane.account.out_bytes += view.payload_size
        self.delivered += 1
        return 1

    # -- in flight ----------------------------------------------------------------------------------------------------

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

    cdef int hold(self, uint16_t packet_id) except -1:
        cdef Held *grown
        if self.held_count == self.held_capacity:
            self.held_capacity = max(self.held_capacity * 2, <Py_ssize_t>16)
            grown = <Held *>realloc(self.held, self.held_capacity * sizeof(Held))
            if grown == NULL:
                raise MemoryError
            self.held = grown
        self.held[self.held_count].packet_id = packet_id
        self.held[self.held_count].lsn = 0
        self.held_count += 1
        if not self.is_gated:
            self.is_gated = True
            self.plane.gated.append(self)
            self.plane.gate.wake(self.plane)
        return 0

    def stamp(self, uint64_t lsn) -> None:
        """Packet ids assigned so far are in the log under this number."""
        cdef Py_ssize_t i
        for i in range(self.held_count):
            if self.held[i].lsn == 0:
                self.held[i].lsn = max(lsn, <uint64_t>1)

    def pass_gate(self, uint64_t durable_lsn) -> None:
        """Send what waited for its packet id to be on flash."""
        cdef Py_ssize_t done = 0
        cdef Inflight *entry
        self.is_gated = False
        while done < self.held_count and self.held[done].lsn and self.held[done].lsn <= durable_lsn:
            entry = self.find(self.held[done].packet_id)
            done += 1
            if entry == NULL or entry.state != INFLIGHT_ASSIGNED or self.peer is None or self.peer.closed:
                continue
            entry.state = INFLIGHT_SENT
            entry.sent_ns = monotonic_ns()
            if self.send_stored(entry.seq, entry.flags, entry.ids, entry.packet_id, False) == 0:
                self.finish(entry)
        self.held_count -= done
        if self.held_count:
            memmove(self.held, self.held + done, self.held_count * sizeof(Held))
            self.is_gated = True
            self.plane.gated.append(self)
        self.pump()

    cdef int drop_message(self, uint64_t seq, uint8_t flags) except -1:
        if not flags & ENTRY_RETAINED and seq:
            self.plane.release(seq)
        return 0

    cdef int finish(self, Inflight *entry) except -1:
        """A message in flight is done with: its packet id and, if nobody else needs it, the message go."""
        if entry == NULL:
            return 0
        if self.is_persistent:
            self.note(STEP_DONE, entry.flags, entry.packet_id, entry.seq)
        if entry.state != INFLIGHT_RELEASED:
            self.drop_message(entry.seq, entry.flags)
        entry.state = INFLIGHT_FREE
        self.inflight_count -= 1
        if self.inflight_count == 0 and self.inflight_capacity > 64:
            free(self.inflight)
            self.inflight = NULL
            self.inflight_capacity = 0
        if self.again_count() or (self.queue_count and not self.is_waiting):
            # Once per turn, however many acknowledgements a read brought.
            self.plane.gate.wake(self)
        return 1

    # -- packets of the peer ------------------------------------------------------------------------------------------

    cdef int puback(self, uint16_t packet_id) except -1:
        cdef Inflight *entry = self.find(packet_id)
        if entry == NULL or entry.flags & ENTRY_QOS != 1 or entry.state != INFLIGHT_SENT:
            return 0
        return self.finish(entry)

    cdef int pubrec(self, uint16_t packet_id, uint8_t reason) except -1:
        """The reason code for PUBREL: 0, or 0x92 for an unknown packet id; -2: no PUBREL is due."""
        cdef Inflight *entry = self.find(packet_id)
        if entry == NULL:
            return 0x92
        if entry.flags & ENTRY_QOS != 2 or entry.state == INFLIGHT_ASSIGNED:
            return -2
        if reason >= 0x80:
            # [MQTT-4.4.0-2]: the receiver refuses it, that is the end of it.
            self.finish(entry)
            return -2
        if entry.state == INFLIGHT_SENT:
            self.drop_message(entry.seq, entry.flags)
            entry.state = INFLIGHT_RELEASED
            if self.is_persistent:
                self.note(STEP_RELEASED, entry.flags, packet_id, entry.seq)
                self.is_step_urgent = True
        return 0

    cdef int pubcomp(self, uint16_t packet_id) except -1:
        cdef Inflight *entry = self.find(packet_id)
        if entry == NULL or entry.state != INFLIGHT_RELEASED:
            return 0
        return self.finish(entry)

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

    # -- progress -----------------------------------------------------------------------------------------------------

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

    def log_steps(self, bint is_awaited) -> int:
        """Write the steps noted since the last time to the log; returns the log number, 0 when there were none."""
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
        urgent = is_awaited or self.is_step_urgent
        self.is_step_urgent = False
        return self.plane.extend(self.key, packed, urgent)

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

    # -- the peer -----------------------------------------------------------------------------------------------------

    def attach(self, MqttPeer peer not None) -> None:
        """A connection takes the session on: what was in flight goes out again, in its order, then the queue."""
        cdef list flights = [], again = []
        cdef Py_ssize_t i
        cdef Inflight *entry
        cdef MessageView view
        self.peer = peer
        self.held_count = 0
        for i in range(self.inflight_capacity):
            if self.inflight[i].state != INFLIGHT_FREE:
                flights.append((self.inflight[i].order, self.inflight[i].packet_id))
        flights.sort()
        for _, packet_id in flights:
            entry = self.find(<uint16_t>packet_id)
            if entry == NULL:
                continue
            entry.sent_ns = monotonic_ns()
            if entry.state == INFLIGHT_RELEASED:
                self.send_pubrel(entry.packet_id)
            elif entry.state == INFLIGHT_SENT and entry.flags & ENTRY_QOS == 2 and not entry.flags & ENTRY_RETAINED and self.load(
                    entry.seq, entry.flags, &view) != 1:
                # It left the stream when PUBREC came, and the crash came before the step was logged.
                entry.state = INFLIGHT_RELEASED
                self.send_pubrel(entry.packet_id)
            else:
                again.append(entry.packet_id)
        self.again = again
        self.again_start = 0
        self.pump()

    cdef int send_pubrel(self, uint16_t packet_id) except -1:
        """PUBREL, once it is on flash that PUBREC came."""
        if self.is_persistent:
            return self.plane.push_ack(self.peer, PACKET_PUBREL, packet_id, 0, 0)
        return self.peer.send_ack(PACKET_PUBREL, packet_id, 0)

    def detach(self) -> None:
        """The connection is gone. Retained QoS 0 messages that were not sent yet are forgotten."""
        cdef Py_ssize_t i, kept = 0, retained = 0, mask = self.queue_capacity - 1
        cdef QueueEntry *entry
        self.peer = None
        self.held_count = 0
        self.again = None
        for i in range(self.queue_count):
            entry = &self.queue[(self.queue_head + i) & mask]
            if entry.flags & ENTRY_QOS:
                self.queue[(self.queue_head + kept) & mask] = entry[0]
                kept += 1
                retained += entry.flags & ENTRY_RETAINED != 0
        self.queue_count = kept
        self.queue_retained = retained

    def discard(self) -> None:
        """The session ends: forget everything and let go of the messages it needed."""
        cdef Py_ssize_t i
        cdef QueueEntry *entry
        self.peer = None
        self.again = None
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
        self.held_count = 0
        free(self.received)
        self.received = NULL
        self.received_count = 0
        self.step_count = 0

    def send_retained(self, MqttInterest interest not None, bytes subject not None) -> int:
        """Queue the retained messages of a filter's subject for the peer; returns how many."""
        cdef object wanted = self.plane.retained.store.filter(b"$MQTT.rmsgs." + subject)
        cdef uint64_t seq = 0
        cdef int count = 0, qos
        cdef MessageView view
        cdef int64_t now_ns = wall_ns()
        while True:
            if self.plane.retained.store.next_message(seq, wanted, &view) != 1:
                break
            seq = view.seq + 1
            if view.expires_ns and view.expires_ns <= now_ns:
                self.plane.retained.store.remove(view.seq, False)
                continue
            if interest.skips_dollar and view.subject_size > RETAINED_PREFIX and (
                    view.subject[RETAINED_PREFIX] == c'$'):
                continue
            if self.permissions is not None and self.permissions.denies_delivery(
                    view.subject + RETAINED_PREFIX, view.subject_size - RETAINED_PREFIX):
                continue
            qos = min(interest.qos, max(published_qos(view.header, view.header_size), 0))
            self.push_entry(view.seq, <uint8_t>(qos | ENTRY_RETAIN | ENTRY_RETAINED), interest.ids)
            if qos and self.is_persistent:
                self.note_taken(view.seq, <uint8_t>(qos | ENTRY_RETAIN | ENTRY_RETAINED), interest.ids)
            count += 1
        self.pump()
        return count

    def resend_after(self, int64_t before_ns) -> int:
        """MQTT 3: send again what was sent before this time and is not acknowledged; returns how many."""
        cdef Py_ssize_t i
        cdef list due = []
        cdef Inflight *entry
        if self.peer is None or self.peer.closed or self.inflight_count == 0 or self.again_count():
            return 0
        for i in range(self.inflight_capacity):
            entry = &self.inflight[i]
            if entry.state >= INFLIGHT_SENT and entry.sent_ns < before_ns:
                due.append((entry.order, entry.packet_id))
        due.sort()
        for _, packet_id in due:
            entry = self.find(<uint16_t>packet_id)
            if entry == NULL:
                continue
            entry.sent_ns = monotonic_ns()
            if entry.state == INFLIGHT_RELEASED:
                self.send_pubrel(entry.packet_id)
                continue
            entry.flags |= ENTRY_AGAIN
            if self.send_stored(entry.seq, entry.flags, entry.ids, entry.packet_id, True) == 0:
                self.finish(entry)
        return len(due)

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
