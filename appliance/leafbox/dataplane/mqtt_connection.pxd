# One MQTT connection: PUBLISH, its acknowledgements and pings are taken apart here, everything else goes to Python whole.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from leafbox.dataplane.message cimport Message
from leafbox.dataplane.mqtt_plane cimport MqttPeer, MqttPlane, Publication, TopicAlias
from leafbox.dataplane.mqtt_properties cimport PublishProperties
from leafbox.dataplane.mqtt_session cimport MqttSession
from leafbox.dataplane.mqtt_topics cimport TopicEntry
from leafbox.dataplane.permissions cimport Permissions
from leafbox.dataplane.routing cimport AccountPlane

cdef class MqttConnection(MqttPeer):
    cdef public AccountPlane account        # None until CONNECT is accepted
    cdef public MqttPlane plane
    cdef readonly MqttSession session
    cdef public Permissions permissions
    cdef public bint is_accepted            # CONNACK said yes
    cdef public bint is_resumed             # CONNACK said that the session was there before
    cdef public Py_ssize_t max_payload
    cdef public Py_ssize_t packet_bytes_limit       # from the peer
    cdef public int64_t keep_alive_ns       # 1.5 times what CONNECT says; 0: none
    cdef public int receive_maximum         # MQTT 5: QoS 1 and 2 publishes that the peer may have under way
    cdef public int peer_alias_max          # MQTT 5: topic aliases that the peer may use
    cdef public bint refuses_qos2
    cdef TopicAlias *peer_aliases
    # parse
    cdef Py_ssize_t consume_packet(self, const char *data, Py_ssize_t length) except -2
    cdef int take_packet(self, uint8_t first, const char *body, Py_ssize_t length) except -1
    cdef int take_ack(self, uint8_t first, const char *body, Py_ssize_t length) except -1
    cdef int take_publish(self, uint8_t first, const char *body, Py_ssize_t length) except -1
    cdef TopicEntry *resolve_topic(self, const char *topic, Py_ssize_t length, uint16_t alias) except? NULL
    cdef int publish(self, TopicEntry *topic, int qos, bint retain, uint16_t packet_id, const char *payload,
                     Py_ssize_t payload_len, PublishProperties *properties) except -1
    cdef int route_publication(self, Publication *publication, Message *message, uint16_t packet_id) except -1
    cdef int set_reply(self, Message *message, char *room, PublishProperties *properties) except -1
    cdef int answer(self, int qos, uint16_t packet_id, uint8_t reason, uint64_t lsn) except -1
