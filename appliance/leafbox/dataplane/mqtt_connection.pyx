# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The MQTT protocol on one connection: packets in, and the way of a PUBLISH to `route`.

A PUBLISH is parsed where it lies in the receive window. Its topic is looked up in a table that knows the subject
(`mqtt_topics`), the message becomes a header block (`Nmqtt-Pub` and what MQTT 5 properties say) and the payload in a
scratch buffer, and `route` does the rest; sessions find the packet's own parts in the `Publication` and copy those.

QoS 1 and 2 are answered by `MqttPlane` when everything that the publish caused is on flash. A QoS 2 publish goes to its
receivers at once and its packet id is remembered until PUBREL (method B of MQTT 3.1.1, section 4.3.3): a copy that comes
again is answered and not routed.

Source: MQTT 5.0 and 3.1.1 sections 2, 3.3-3.7, 4.3.
"""
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy

from leafbox.dataplane.connection cimport Connection, Engine, monotonic_ns
from leafbox.dataplane.message cimport Message
from leafbox.dataplane.mqtt_full_queues cimport meets_full_queue
from leafbox.dataplane.mqtt_plane cimport (
    PACKET_PUBACK,
    PACKET_PUBCOMP,
    PACKET_PUBREC,
    PACKET_PUBREL,
    MqttPeer,
    MqttPlane,
    Publication,
    TopicAlias,
    current_publication,
    set_publication,
)
from leafbox.dataplane.mqtt_properties cimport (
    REASON_MALFORMED,
    REASON_PROTOCOL_ERROR,
    PublishProperties,
    header_from_properties,
    header_room,
    read_varint,
    scan_publish,
)
from leafbox.dataplane.mqtt_session cimport MqttSession
from leafbox.dataplane.mqtt_topics cimport TopicEntry, find_topic
from leafbox.dataplane.routing cimport AccountPlane, route
from leafbox.dataplane.stream_ingest cimport wall_ns

cdef enum:
    # A CONNECT with the longest client id, will, user name and password that the format has, and properties.
    CONNECT_BYTES_MAX = 6 * 65536
    REPLY_ROOM = 32             # `$MQTT.resp.` and its dot
    HEADER_ROOM = 80            # status line, `Nmqtt-Pub`, `Nmqtt-Retain`, `Nmqtt-Origin` without its text, end
    REPLY_BYTES_MAX = 131072
    REASON_NOT_AUTHORIZED = 0x87
    REASON_TOPIC_NAME_INVALID = 0x90
    REASON_RECEIVE_MAXIMUM = 0x93
    REASON_ALIAS_INVALID = 0x94
    REASON_TOO_LARGE = 0x95
    REASON_QUOTA = 0x97
    REASON_NOBODY = 0x10
    REASON_UNKNOWN_PACKET_ID = 0x92
    REASON_QOS_NOT_SUPPORTED = 0x9B

# Header block and payload of the publish that is being routed; a publish inside another takes memory of its own.
cdef char *message_room = NULL
cdef Py_ssize_t message_capacity = 0
cdef bint message_room_is_taken = False
cdef char *scan_room = NULL
cdef Py_ssize_t scan_capacity = 0


cdef char *scan_scratch(Py_ssize_t length) except NULL:
    global scan_room, scan_capacity
    cdef char *grown
    if length > scan_capacity:
        grown = <char *>realloc(scan_room, length)
        if grown == NULL:
            raise MemoryError
        scan_room = grown
        scan_capacity = length
    return scan_room


cdef class MqttConnection(MqttPeer):
    """One MQTT connection. The Python subclass decides (CONNECT, SUBSCRIBE, ...); this class moves messages."""

    def __init__(self, Engine engine not None):
        Connection.__init__(self, engine)
        self.packet_bytes_limit = CONNECT_BYTES_MAX
        self.max_payload = 1024 * 1024
        self.receive_maximum = 65535

    def __dealloc__(self):
        cdef int i
        if self.peer_aliases != NULL:
            for i in range(self.peer_alias_max + 1):
                free(self.peer_aliases[i].topic)
            free(self.peer_aliases)

    # -- hooks of the control plane -----------------------------------------------------------------------------------

    def on_packet(self, int first_byte, bytes body) -> None:
        """Any packet but PUBLISH, its acknowledgements and PINGREQ; may `suspend` while it decides."""

    def on_violation(self, int reason, str text) -> None:
        """The peer broke the protocol; the connection must end."""

    def on_publish_denied(self, bytes subject) -> None:
        """A publish was dropped for want of permission."""

    def on_not_stored(self, bytes subject) -> None:
        """A QoS 1 or 2 publish could not be stored, and MQTT 3 has no word for that: the connection must end."""

    def on_keep_alive_lapsed(self) -> None:
        """Nothing was heard for one and a half times the keep-alive."""

    def enter(self, AccountPlane account not None, MqttPlane plane not None, MqttSession session not None) -> None:
        """CONNECT was accepted, CONNACK is queued; `session.attach` may follow."""
        self.account = account
        self.plane = plane
        self.session = session
        self.is_accepted = True

    def leave(self) -> None:
        """The connection has no session any more."""
        self.session = None
        self.is_accepted = False

    def resume_writing(self) -> None:
        Connection.resume_writing(self)
        if self.session is not None and not self.closed and not self.write_is_blocked:
            self.session.resume_sending()

    # -- parse --------------------------------------------------------------------------------------------------------

    cdef Py_ssize_t consume(self, const char *data, Py_ssize_t length) except -1:
        cdef Py_ssize_t at = 0, used
        self.wanted = 0
        while at < length and not self.closed and not self.suspended:
            used = self.consume_packet(data + at, length - at)
            if used < 0:
                break
            at += used
        return at

    cdef Py_ssize_t consume_packet(self, const char *data, Py_ssize_t length) except -2:
        """One packet; returns the bytes used, -1 when it is not complete."""
        cdef uint32_t remaining = 0
        cdef Py_ssize_t size = read_varint(data + 1, length - 1, &remaining), total
        cdef uint8_t first = <uint8_t>data[0]
        if not self.is_accepted and first != 0x10 and (first != 0xF0 or self.version != 5):
            # [MQTT-3.1.0-1]: the first packet is CONNECT. Also the place where other protocols are told apart.
            self.on_violation(REASON_PROTOCOL_ERROR, "the first packet is not CONNECT")
            return length
        if size < 0:
            self.on_violation(REASON_MALFORMED, "the remaining length is malformed")
            return length
        if size == 0:
            return -1
        total = 1 + size + <Py_ssize_t>remaining
        if total > self.packet_bytes_limit:
            self.on_violation(REASON_TOO_LARGE, "the packet is larger than allowed")
            return length
        if length < total:
            self.wanted = total
            return -1
        self.take_packet(first, data + 1 + size, remaining)
        return total

    cdef int take_packet(self, uint8_t first, const char *body, Py_ssize_t length) except -1:
        cdef int kind = first >> 4
        if self.is_accepted:
            if kind == 3:
                return self.take_publish(first, body, length)
            if 4 <= kind <= 7:
                return self.take_ack(first, body, length)
            if first == 0xC0 and length == 0:
                return self.append(b"\xd0\x00", 2)
        self.on_packet(first, body[:length])
        return 0

    cdef int take_ack(self, uint8_t first, const char *body, Py_ssize_t length) except -1:
        cdef uint16_t packet_id
        cdef uint8_t reason = 0
        cdef int kind = first >> 4, found
        if length > 3 or (length == 3 and self.version != 5) or length < 2 or (
                first & 0x0F) != (2 if kind == 6 else 0):
            # Properties, or a fault: the codec knows. It raises no alarm for what is fine.
            if not self.check_ack(first, body[:length]):
                return 0
        if length < 2:
            return 0
        packet_id = <uint16_t>((<uint16_t>(<uint8_t>body[0]) << 8) | <uint8_t>body[1])
        if packet_id == 0:
            self.on_violation(REASON_PROTOCOL_ERROR, "packet identifier 0")
            return 0
        if length > 2:
            reason = <uint8_t>body[2]
            if length == 3 and reason and not self.check_ack(first, body[:length]):
                return 0
        if kind == 4:
            return self.session.puback(packet_id)
        if kind == 7:
            return self.session.pubcomp(packet_id)
        if kind == 5:
            found = self.session.pubrec(packet_id, reason)
            if found == 0:
                return self.session.send_pubrel(packet_id)
            if found > 0:
                return self.send_ack(PACKET_PUBREL, packet_id, <uint8_t>found)
            return 0
        if self.session.free_received(packet_id):
            if self.session.is_persistent:
                return self.plane.push_ack(self, PACKET_PUBCOMP, packet_id, 0, 0)
            return self.send_ack(PACKET_PUBCOMP, packet_id, 0)
        # No fault while a session is recovered (section 3.7.2.1): our PUBCOMP was lost with the last connection.
        return self.send_ack(PACKET_PUBCOMP, packet_id, 0 if self.is_resumed else REASON_UNKNOWN_PACKET_ID)

    def check_ack(self, int first_byte, bytes body) -> bool:
        """Whether an acknowledgement with reason code or properties is well formed; False after a violation."""
        return True

    cdef int take_publish(self, uint8_t first, const char *body, Py_ssize_t length) except -1:
        cdef int qos = (first >> 1) & 3, reason
        cdef Py_ssize_t topic_len, at, size
        cdef uint16_t packet_id = 0
        cdef uint32_t properties_len
        cdef PublishProperties properties
        cdef TopicEntry *topic
        properties.forward_len = 0
        properties.has_expiry = False
        properties.alias = 0
        properties.response_topic = properties.correlation = NULL
        if qos == 3 or (qos == 0 and first & 8):
            # [MQTT-3.3.1-4], [MQTT-3.3.1-2]
            self.on_violation(REASON_MALFORMED, "the QoS of a PUBLISH")
            return 0
        topic_len = ((<Py_ssize_t>(<uint8_t>body[0]) << 8) | <uint8_t>body[1]) if length >= 2 else 0
        at = 2 + topic_len
        if length < at + (2 if qos else 0):
            self.on_violation(REASON_MALFORMED, "a PUBLISH that is cut short")
            return 0
        if qos:
            packet_id = <uint16_t>((<uint16_t>(<uint8_t>body[at]) << 8) | <uint8_t>body[at + 1])
            at += 2
            if packet_id == 0:
                # [MQTT-2.2.1-3]
                self.on_violation(REASON_PROTOCOL_ERROR, "packet identifier 0")
                return 0
        if self.version == 5:
            size = read_varint(body + at, length - at, &properties_len)
            if size <= 0 or <Py_ssize_t>properties_len > length - at - size:
                self.on_violation(REASON_MALFORMED, "the property length of a PUBLISH")
                return 0
            at += size
            if properties_len:
                reason = scan_publish(body + at, properties_len, scan_scratch(properties_len), &properties)
                if reason:
                    self.on_violation(reason, "the properties of a PUBLISH")
                    return 0
                at += properties_len
        topic = self.resolve_topic(body + 2, topic_len, properties.alias)
        if topic == NULL or self.closed:
            return 0
        if length - at > self.max_payload and self.max_payload >= 0:
            self.on_violation(REASON_TOO_LARGE, "the payload is larger than allowed")
            return 0
        if qos == 2 and self.refuses_qos2:
            self.on_violation(REASON_QOS_NOT_SUPPORTED, "QoS 2 is refused by the configuration")
            return 0
        return self.publish(topic, qos, first & 1, packet_id, body + at, length - at, &properties)

    cdef TopicEntry *resolve_topic(self, const char *topic, Py_ssize_t length, uint16_t alias) except? NULL:
        """The topic named by a PUBLISH, by its text or its alias; NULL after a violation."""
        cdef int reason = 0
        cdef TopicEntry *entry
        cdef TopicAlias *known
        if alias:
            if alias > self.peer_alias_max:
                # [MQTT-3.3.2-9]
                self.on_violation(REASON_ALIAS_INVALID, "a topic alias above the maximum")
                return NULL
            if self.peer_aliases == NULL:
                self.peer_aliases = <TopicAlias *>calloc(self.peer_alias_max + 1, sizeof(TopicAlias))
                if self.peer_aliases == NULL:
                    raise MemoryError
            known = &self.peer_aliases[alias]
            if length == 0:
                if known.topic == NULL:
                    self.on_violation(REASON_PROTOCOL_ERROR, "a topic alias without a topic")
                    return NULL
                topic = known.topic
                length = known.length
        elif length == 0:
            # Section 3.3.2.1.
            self.on_violation(REASON_PROTOCOL_ERROR, "a PUBLISH without a topic")
            return NULL
        entry = find_topic(topic, length, &reason)
        if entry == NULL:
            self.on_violation(reason, "the topic name of a PUBLISH")
            return NULL
        if alias and topic != known.topic:
            free(known.topic)
            known.topic = <char *>malloc(length)
            if known.topic == NULL:
                raise MemoryError
            memcpy(known.topic, topic, length)
            known.length = length
        return entry

    # -- publish ------------------------------------------------------------------------------------------------------

    cdef int answer(self, int qos, uint16_t packet_id, uint8_t reason, uint64_t lsn) except -1:
        if packet_id == 0:
            # QoS 0, or a will: nobody waits for an answer.
            return 0
        return self.plane.push_ack(self, PACKET_PUBACK if qos == 1 else PACKET_PUBREC, packet_id, reason, lsn)

    cdef int publish(self, TopicEntry *topic, int qos, bint retain, uint16_t packet_id, const char *payload,
                     Py_ssize_t payload_len, PublishProperties *properties) except -1:
        """Make the message of a PUBLISH and route it."""
        global message_room, message_capacity, message_room_is_taken
        cdef Message message
        cdef Publication publication
        cdef Publication *before
        cdef char *room
        cdef char *memory
        cdef char *at
        cdef Py_ssize_t size
        cdef bint is_inner = message_room_is_taken
        self.in_msgs += 1
        self.in_bytes += payload_len
        self.engine.in_msgs += 1
        self.engine.in_bytes += payload_len
        self.account.in_msgs += 1
        self.account.in_bytes += payload_len
        if packet_id:
            if qos == 2 and self.session.has_received(packet_id):
                # A copy of what is known already: only the answer was lost [MQTT-4.3.3-10].
                return self.answer(2, packet_id, 0, self.plane.newest_lsn())
            self.unacknowledged += 1
            if self.version == 5 and self.unacknowledged > self.receive_maximum:
                self.on_violation(REASON_RECEIVE_MAXIMUM, "more publishes under way than the receive maximum")
                return 0
        size = HEADER_ROOM + header_room(properties.forward_len) + payload_len + topic.topic_len + topic.subject_len
        if properties.response_topic != NULL:
            size += REPLY_ROOM + 3 * properties.response_topic_len + 2 * properties.correlation_len
        if is_inner:
            room = <char *>malloc(size)
        else:
            if size > message_capacity:
                free(message_room)
                message_capacity = max(size, <Py_ssize_t>65536)
                message_room = <char *>malloc(message_capacity)
            room = message_room
        if room == NULL:
            if not is_inner:
                message_capacity = 0
            raise MemoryError
        memory = room
        # Copies, because another publish inside this one's route may take the table's entry.
        memcpy(room, topic.topic, topic.topic_len)
        publication.topic = room
        publication.topic_len = topic.topic_len
        room += topic.topic_len
        memcpy(room, topic.subject, topic.subject_len)
        message.subject = publication.subject = room
        message.subject_len = topic.subject_len
        room += topic.subject_len
        memcpy(room, b"NATS/1.0\r\nNmqtt-Pub:0\r\n", 23)
        room[20] = <char>(c'0' + qos)
        at = room + 23
        if retain:
            memcpy(at, b"Nmqtt-Retain:1\r\n", 16)
            at += 16
        if properties.forward_len:
            at += header_from_properties(properties.forward, properties.forward_len, at)
        at[0] = c'\r'
        at[1] = c'\n'
        at += 2
        memcpy(at, payload, payload_len)
        message.reply = NULL
        message.reply_len = 0
        message.body = room
        message.header_len = at - room
        message.body_len = at - room + payload_len
        message.wire_subject = NULL
        if properties.response_topic != NULL:
            self.set_reply(&message, at + payload_len, properties)
        publication.body = room
        publication.payload = payload
        publication.payload_len = payload_len
        publication.properties = properties.forward
        publication.properties_len = properties.forward_len
        publication.expires_ns = 0
        if properties.has_expiry:
            publication.expires_ns = max(wall_ns() + <int64_t>properties.expiry_s * 1000000000, <int64_t>1)
        publication.qos = qos
        publication.is_retained = retain
        publication.has_failed = False
        publication.stored_plane = NULL
        publication.stored_seq = 0
        before = set_publication(&publication)
        message_room_is_taken = True
        try:
            self.route_publication(&publication, &message, packet_id)
        finally:
            set_publication(before)
            message_room_is_taken = is_inner
            if is_inner:
                free(memory)
        return 0

    cdef int set_reply(self, Message *message, char *room, PublishProperties *properties) except -1:
        """A response topic is the reply subject; with correlation data it leads through the gateway, which gives the
        data back: `$MQTT.resp.<hex>.<subject>`."""
        cdef int reason = 0
        cdef Py_ssize_t i
        cdef TopicEntry *topic
        cdef char *at = room
        cdef const char *digits = b"0123456789ABCDEF"
        topic = find_topic(properties.response_topic, properties.response_topic_len, &reason)
        if topic == NULL or topic.subject_len > 3 * properties.response_topic_len:
            return 0
        if topic.subject_len + 2 * properties.correlation_len > REPLY_BYTES_MAX:
            return 0
        if properties.correlation != NULL and properties.correlation_len:
            memcpy(at, b"$MQTT.resp.", 11)
            at += 11
            for i in range(properties.correlation_len):
                at[0] = digits[<uint8_t>properties.correlation[i] >> 4]
                at[1] = digits[<uint8_t>properties.correlation[i] & 15]
                at += 2
            at[0] = c'.'
            at += 1
        memcpy(at, topic.subject, topic.subject_len)
        at += topic.subject_len
        message.reply = room
        message.reply_len = at - room
        return 0

    cdef int route_publication(self, Publication *publication, Message *message, uint16_t packet_id) except -1:
        cdef bytes mapped
        cdef uint64_t before, lsn
        cdef Py_ssize_t delivered
        cdef int qos = publication.qos
        cdef uint8_t reason = 0
        if self.account.mappings is not None:
            mapped = self.account.mappings.map(message.subject[:message.subject_len])
            if mapped is None:
                return self.answer(qos, packet_id, 0, 0)
            message.subject = mapped
            message.subject_len = len(mapped)
        if (message.subject_len >= 6 and memcmp(message.subject, b"$MQTT.", 6) == 0) or (
                self.permissions is not None and self.permissions.restricts_publish
                and not self.permissions.may_publish(message.subject, message.subject_len)):
            self.on_publish_denied(message.subject[:message.subject_len])
            return 0 if self.closed else self.answer(qos, packet_id, REASON_NOT_AUTHORIZED, 0)
        before = self.plane.newest_lsn()
        if qos == 2 and packet_id and self.session.is_persistent:
            self.plane.open_group()
        if qos and self.plane.full_sessions and meets_full_queue(self.account, self, message):
            publication.has_failed = True
            delivered = 0
        else:
            delivered = route(self.account, self, message)
        if publication.is_retained and not publication.has_failed:
            self.plane.keep_retained(publication, message)
        lsn = self.plane.newest_lsn()
        if lsn == before:
            lsn = 0
        if publication.has_failed:
            if packet_id and self.version != 5 and not self.closed:
                self.on_not_stored(message.subject[:message.subject_len])
                return 0
            reason = REASON_QUOTA
        elif delivered == 0:
            reason = REASON_NOBODY
        if qos == 2 and packet_id and reason < 0x80:
            self.session.note_received(packet_id)
        return 0 if self.closed else self.answer(qos, packet_id, reason, lsn)

    def publish_own(self, bytes topic not None, bytes payload not None, int qos=0, bint retain=False,
                    bytes properties not None=b"", int64_t expiry_s=-1) -> None:
        """Publish in the peer's name, with its rights: its will. `properties` are those that are passed on."""
        cdef int reason = 0
        cdef PublishProperties found
        cdef TopicEntry *entry = find_topic(topic, len(topic), &reason)
        cdef bytearray scratch = bytearray(len(properties) + 1)
        cdef char *room = scratch
        if entry == NULL or self.account is None:
            return
        # What its owner logs in the same turn (that it has no will any more) is on flash together with the message.
        self.plane.open_group()
        scan_publish(properties, len(properties), room, &found)
        found.has_expiry = expiry_s >= 0
        if expiry_s >= 0:
            found.expiry_s = <uint32_t>expiry_s
        self.publish(entry, qos, retain, 0, payload, len(payload), &found)


def lapsed(list connections not None) -> list:
    """Those connections whose keep-alive has run out."""
    cdef int64_t now_ns = monotonic_ns()
    cdef MqttConnection connection
    found = []
    for item in connections:
        connection = <MqttConnection>item
        if connection.keep_alive_ns and now_ns - connection.last_activity_ns > connection.keep_alive_ns:
            found.append(connection)
    return found
