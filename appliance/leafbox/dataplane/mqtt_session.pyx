# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""One MQTT session: a receiver of messages that may or may not have a connection at the moment.

QoS 0 goes straight from the router into the peer's output. A QoS 1 or 2 message is stored once for all sessions
(`MqttPlane.store_once`); the session queues its number, 16 bytes, and sends when the message is on flash and the peer's
window has room. So a session that is away costs its queue and nothing else; the backlog lies in the stream.

What it must not forget is kept and logged by its base, `MqttSessionState`. Where the other side would double or lose a
message if we forgot a step, the packet that depends on it waits for the log: PUBLISH of QoS 2 for its packet id, PUBREL
for PUBREC, PUBREC for the received packet id, PUBCOMP for its release. Everything else may be forgotten: QoS 1 is then
delivered again.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memmove

from leafbox.dataplane.connection cimport monotonic_ns
from leafbox.dataplane.message cimport Message
from leafbox.dataplane.mqtt_interest cimport MqttInterest
from leafbox.dataplane.mqtt_plane cimport PACKET_PUBREL, MqttPeer, MqttPlane, Publication, current_publication
from leafbox.dataplane.mqtt_properties cimport has_line, properties_from_header, properties_room, published_qos
from leafbox.dataplane.mqtt_session_state cimport (
    ENTRY_AGAIN, ENTRY_QOS, ENTRY_RETAIN, ENTRY_RETAINED, FULL_REFUSES,
    INFLIGHT_ASSIGNED, INFLIGHT_FREE, INFLIGHT_RELEASED, INFLIGHT_SENT,
    STEP_DONE, STEP_RELEASED, STEP_SENT, Inflight, MqttSessionState, QueueEntry,
)
from leafbox.dataplane.mqtt_topics cimport SUBJECT_GROWTH, TOPIC_BYTES_MAX, subject_to_topic, topic_of
from leafbox.dataplane.routing cimport Receiver, Subscription
from leafbox.dataplane.store_block cimport MessageView
from leafbox.dataplane.stream_ingest cimport wall_ns
from leafbox.dataplane.sublist cimport MatchResult, Sublist

cdef enum:
    # Output of one peer at which its queue waits for the kernel: enough for a full socket buffer.
    PUMP_BYTES = 256 * 1024
    MESSAGES_PREFIX = 11        # len("$MQTT.msgs.")
    RETAINED_PREFIX = 12        # len("$MQTT.rmsgs.")
    PLAIN_HEADER = 26           # a header block up to this size has `Nmqtt-Pub` and nothing else
    REPLY_ROOM = 3

# Scratch of the encoders; used within one call. Grown on demand, bounded by the largest message.
cdef char *property_room = NULL
cdef Py_ssize_t property_capacity = 0


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


cdef class MqttSession(MqttSessionState):
    """A session. The control plane makes it, subscribes for it, and attaches and detaches its connection."""

    def __init__(self, MqttPlane plane not None, bytes key not None, bint is_persistent=False):
        MqttSessionState.__init__(self, plane, key, is_persistent)
        self.window = 1024
        self.index = None

    def __dealloc__(self):
        free(self.held)

    # -- interest -----------------------------------------------------------------------------------------------------

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
            topic_len = topic_of(message.subject, message.subject_len, &topic)
            if topic_len <= 0:
                return 0
        if not peer.send_publish(1 if retain else 0, topic, topic_len, 0, payload, payload_len, properties,
                                 properties_len, expires_ns, <tuple>self.id_lists[ids]):
            self.oversized += 1
            return 0
        self.plane.account.out_msgs += 1
        self.plane.account.out_bytes += payload_len
        self.delivered += 1
        return 1

    # -- queue --------------------------------------------------------------------------------------------------------

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

    cdef int send_stored(self, uint64_t seq, uint8_t flags, uint32_t ids, uint16_t packet_id, bint again) except -1:
        """Encode a stored message. 1 sent; 0 it is gone, expired or larger than the peer takes."""
        cdef MessageView view
        cdef const char *topic
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
        topic_len = topic_of(view.subject + prefix, view.subject_size - prefix, &topic)
        if topic_len <= 0:
            return 0
        if peer.version == 5 and view.header_size > PLAIN_HEADER:
            properties = properties_scratch(properties_room(view.header_size) + 8)
            properties_len = properties_from_header(view.header, view.header_size, properties)
        if not peer.send_publish(((flags & ENTRY_QOS) << 1) | (1 if flags & ENTRY_RETAIN else 0) | (8 if again else 0),
                                 topic, topic_len, packet_id, view.payload, view.payload_size, properties,
                                 properties_len, view.expires_ns, <tuple>self.id_lists[ids]):
            self.oversized += 1
            return 0
        self.plane.account.out_msgs += 1
        self.plane.account.out_bytes += view.payload_size
        self.delivered += 1
        return 1

    # -- in flight ----------------------------------------------------------------------------------------------------

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
        self.peer = None
        self.again = None
        self.held_count = 0
        self.forget()

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
