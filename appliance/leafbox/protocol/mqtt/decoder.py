"""Control packets from bytes: strict, for both sides, in all versions (MQTT 5 section 3, 3.1.1 section 3, 3.1).

`decode_packet` takes a packet's first byte and body and returns a value of `packets` or raises `MqttViolation`, nothing
else. The tags name the normative statement a branch enforces; `311:` marks the numbering of MQTT 3.1.1 where MQTT 5
numbers differently. Not here: cutting the stream (`framing`), rules over several packets (the session's).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from leafbox.protocol.mqtt.fields import FieldReader
from leafbox.protocol.mqtt.filters import SHARE_PREFIX, topic_problem
from leafbox.protocol.mqtt.packets import (
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    PacketType,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    RetainHandling,
    Role,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Version,
    Will,
)
from leafbox.protocol.mqtt.properties import NO_PROPERTIES, Place, Properties, read_properties
from leafbox.protocol.mqtt.reason_codes import (
    AUTH_CODES,
    CONNACK_CODES,
    DISCONNECT_CODES_OF_CLIENT,
    DISCONNECT_CODES_OF_SERVER,
    PUBACK_CODES,
    PUBREL_CODES,
    SUBACK_CODES,
    UNSUBACK_CODES,
    ReasonCode,
    connack_code_from_3,
)
from leafbox.protocol.mqtt.violation import MqttViolation, malformed, protocol_error

PROTOCOL_NAMES = {Version.V3_1: b"MQIsdp", Version.V3_1_1: b"MQTT", Version.V5: b"MQTT"}
# Set in the level by bridges of mosquitto and others unless told not to (`try_private`); it changes nothing for us.
BRIDGE_BIT = 0x80

_FLAGS_WANTED = {PacketType.PUBREL: 0b0010, PacketType.SUBSCRIBE: 0b0010, PacketType.UNSUBSCRIBE: 0b0010}
_ONLY_TO_SERVER = {PacketType.CONNECT, PacketType.SUBSCRIBE, PacketType.UNSUBSCRIBE, PacketType.PINGREQ}
_ONLY_TO_CLIENT = {PacketType.CONNACK, PacketType.SUBACK, PacketType.UNSUBACK, PacketType.PINGRESP}

Ack = TypeVar("Ack", Puback, Pubrec, Pubrel, Pubcomp)


def decode_packet(first_byte: int, body: bytes, version: Version, role: Role) -> Packet:
    """One packet sent to `role`. `version` is the connection's; a CONNECT tells its own and ignores it.

    `body` is everything after the remaining length. `MqttViolation` means that the connection must be closed.
    """
    kind = first_byte >> 4
    if kind == 0 or (kind == PacketType.AUTH and version != Version.V5):
        raise malformed("a packet type that does not exist")
    packet_type = PacketType(kind)
    if packet_type in (_ONLY_TO_CLIENT if role is Role.SERVER else _ONLY_TO_SERVER):
        raise protocol_error(f"{packet_type.name} sent the wrong way")
    if packet_type is PacketType.PUBLISH:
        return _publish(first_byte & 0x0F, body, version, role)
    flags = first_byte & 0x0F
    # [MQTT-2.1.3-1] 311:[MQTT-2.2.2-2]. In 3.1 the bits are a QoS and a DUP that mean nothing.
    if flags != _FLAGS_WANTED.get(packet_type, 0) and (version != Version.V3_1 or packet_type is PacketType.CONNECT):
        raise malformed(f"{packet_type.name}: reserved flags")
    return _DECODERS[packet_type](FieldReader(body, packet_type.name), version, role)


def version_of_connect(body: bytes) -> Version | None:
    """How a refusal of this CONNECT must be worded; None: it names no version we know."""
    try:
        return _protocol(FieldReader(body, "CONNECT"))[0]
    except MqttViolation:
        return None


# Connection -----------------------------------------------------------------------------------------------------------


def _protocol(reader: FieldReader) -> tuple[Version, bool]:
    """Version, and whether the bridge bit is set."""
    name = reader.binary()
    if name not in PROTOCOL_NAMES.values():
        raise protocol_error("CONNECT: not MQTT")  # [MQTT-3.1.2-1]
    level = reader.byte()
    for version, its_name in PROTOCOL_NAMES.items():
        if level & ~BRIDGE_BIT == version and name == its_name:
            return version, bool(level & BRIDGE_BIT)
    raise MqttViolation(
        "CONNECT: protocol levels 3 (MQIsdp), 4 and 5 are supported",
        reason_code=ReasonCode.UNSUPPORTED_PROTOCOL_VERSION,
    )  # [MQTT-3.1.2-2]


def _connect(reader: FieldReader, _version: Version, _role: Role) -> Connect:
    version, is_bridge = _protocol(reader)
    flags = reader.byte()
    if flags & 0x01 and version != Version.V3_1:
        raise malformed("CONNECT: the reserved flag is set")  # [MQTT-3.1.2-3]
    keep_alive_s = reader.two_byte_integer()
    properties = read_properties(reader, Place.CONNECT) if version == Version.V5 else NO_PROPERTIES
    client_id = reader.text()  # [MQTT-3.1.3-1] .. [MQTT-3.1.3-4]
    is_clean = bool(flags & 0x02)
    if not client_id and (version == Version.V3_1 or (version == Version.V3_1_1 and not is_clean)):
        raise MqttViolation(
            "CONNECT: a client id is needed", reason_code=ReasonCode.CLIENT_IDENTIFIER_NOT_VALID
        )  # 311:[MQTT-3.1.3-8]
    will = _will(reader, flags, version)
    has_user_name, has_password = bool(flags & 0x80), bool(flags & 0x40)
    if has_password and not has_user_name and version != Version.V5:
        raise malformed("CONNECT: a password without a user name")  # 311:[MQTT-3.1.2-22]
    # MQTT 3.1 lets the remaining length win over these two flags.
    is_short = version == Version.V3_1 and reader.is_at_end
    user_name = reader.text() if has_user_name and not is_short else None  # [MQTT-3.1.3-12]
    is_short = version == Version.V3_1 and reader.is_at_end
    password = reader.binary() if has_password and not is_short else None
    reader.expect_end()
    return Connect(client_id, version, is_clean, keep_alive_s, will, user_name, password, properties, is_bridge)


def _will(reader: FieldReader, flags: int, version: Version) -> Will | None:
    qos, is_retained = flags >> 3 & 3, bool(flags & 0x20)
    if not flags & 0x04:
        if qos or is_retained:
            raise malformed("CONNECT: will options without a will")  # [MQTT-3.1.2-11] [MQTT-3.1.2-13]
        return None
    if qos == 3:
        raise malformed("CONNECT: will QoS 3")  # [MQTT-3.1.2-12]
    properties = read_properties(reader, Place.WILL) if version == Version.V5 else NO_PROPERTIES
    topic = reader.utf8()  # [MQTT-3.1.3-11]
    _check_topic(topic, "CONNECT, will")
    _check_response_topic(properties, "CONNECT, will")
    return Will(topic, reader.binary(), qos, is_retained, properties)


def _connack(reader: FieldReader, version: Version, _role: Role) -> Connack:
    flags, number = reader.byte(), reader.byte()
    if version == Version.V5:
        code = _reason_code(number, CONNACK_CODES, reader.what)  # [MQTT-3.2.2-8]
        properties = read_properties(reader, Place.CONNACK)
    else:
        known = connack_code_from_3(number)
        if known is None:
            raise malformed("CONNACK: reserved return code")
        code, properties = known, NO_PROPERTIES
    reader.expect_end()
    if version == Version.V3_1:
        return Connack(code)
    if flags & ~0x01:
        raise malformed("CONNACK: reserved flags")  # [MQTT-3.2.2-1]
    if flags and code is not ReasonCode.SUCCESS:
        raise protocol_error("CONNACK: a session with a refusal")  # [MQTT-3.2.2-6] 311:[MQTT-3.2.2-4]
    return Connack(code, bool(flags), properties)


def _disconnect(reader: FieldReader, version: Version, role: Role) -> Disconnect:
    if version != Version.V5:
        if role is Role.CLIENT:
            raise protocol_error("DISCONNECT sent the wrong way")
        reader.expect_end()
        return Disconnect()
    if reader.is_at_end:
        return Disconnect()
    allowed = DISCONNECT_CODES_OF_CLIENT if role is Role.SERVER else DISCONNECT_CODES_OF_SERVER
    code = _reason_code(reader.byte(), allowed, reader.what)  # [MQTT-3.14.2-1]
    properties = _optional_properties(reader, Place.DISCONNECT)
    if role is Role.CLIENT and properties.session_expiry_interval_s is not None:
        raise protocol_error("DISCONNECT: a session expiry from the server")  # [MQTT-3.14.2-2]
    return Disconnect(code, properties)


def _auth(reader: FieldReader, _version: Version, _role: Role) -> Auth:
    if reader.is_at_end:
        return Auth()
    code = _reason_code(reader.byte(), AUTH_CODES, reader.what)  # [MQTT-3.15.2-1]
    return Auth(code, _optional_properties(reader, Place.AUTH))


def _pingreq(reader: FieldReader, _version: Version, _role: Role) -> Pingreq:
    reader.expect_end()
    return Pingreq()


def _pingresp(reader: FieldReader, _version: Version, _role: Role) -> Pingresp:
    reader.expect_end()
    return Pingresp()


# Messages and their acknowledgements ----------------------------------------------------------------------------------


def _publish(flags: int, body: bytes, version: Version, role: Role) -> Publish:
    reader = FieldReader(body, "PUBLISH")
    qos = flags >> 1 & 3
    if qos == 3:
        raise malformed("PUBLISH: QoS 3")  # [MQTT-3.3.1-4]
    if flags & 0x08 and not qos and version != Version.V3_1:
        raise malformed("PUBLISH: DUP at QoS 0")  # [MQTT-3.3.1-2]
    topic = reader.utf8()  # [MQTT-3.3.2-1]
    packet_id = _packet_id(reader) if qos else 0
    properties = read_properties(reader, Place.PUBLISH) if version == Version.V5 else NO_PROPERTIES
    if topic or properties.topic_alias is None:
        _check_topic(topic, "PUBLISH")
    _check_response_topic(properties, "PUBLISH")
    if role is Role.SERVER and properties.subscription_identifiers:
        raise protocol_error("PUBLISH: a subscription identifier from a client")  # [MQTT-3.3.4-6]
    return Publish(topic, reader.rest(), qos, bool(flags & 0x01), bool(flags & 0x08), packet_id, properties)


def _ack_decoder(
    make: Callable[[int, ReasonCode, Properties], Ack], place: Place, codes: frozenset[int]
) -> Callable[[FieldReader, Version, Role], Ack]:
    # Table 3-4 has no 0x95, and yet mosquitto refuses a large message so: to a client every failure is a refusal.
    to_client = codes | {code for code in ReasonCode if code.is_failure}

    def decode(reader: FieldReader, version: Version, role: Role) -> Ack:
        packet_id = _packet_id(reader)
        if version != Version.V5 or reader.is_at_end:
            reader.expect_end()
            return make(packet_id, ReasonCode.SUCCESS, NO_PROPERTIES)
        code = _reason_code(reader.byte(), codes if role is Role.SERVER else to_client, reader.what)
        return make(packet_id, code, _optional_properties(reader, place))

    return decode


# Subscriptions --------------------------------------------------------------------------------------------------------


def _subscribe(reader: FieldReader, version: Version, _role: Role) -> Subscribe:
    packet_id = _packet_id(reader)
    properties = read_properties(reader, Place.SUBSCRIBE) if version == Version.V5 else NO_PROPERTIES
    subscriptions = []
    while not reader.is_at_end:
        topic_filter = _filter(reader)  # [MQTT-3.8.3-1]
        subscriptions.append(_subscription(topic_filter, reader.byte(), version))
    if not subscriptions:
        raise protocol_error("SUBSCRIBE: no filter")  # [MQTT-3.8.3-2] 311:[MQTT-3.8.3-3]
    return Subscribe(packet_id, tuple(subscriptions), properties)


def _subscription(topic_filter: bytes, options: int, version: Version) -> Subscription:
    qos = options & 3
    if qos == 3:
        raise malformed("SUBSCRIBE: QoS 3")
    if version != Version.V5:
        if options > 3 and version != Version.V3_1:
            raise malformed("SUBSCRIBE: reserved bits")  # 311:[MQTT-3.8.3-4]
        return Subscription(topic_filter, qos)
    if options & 0xC0:
        raise malformed("SUBSCRIBE: reserved bits")  # [MQTT-3.8.3-5]
    handling = options >> 4 & 3
    if handling == 3:
        raise protocol_error("SUBSCRIBE: retain handling 3")
    is_no_local = bool(options & 0x04)
    if is_no_local and topic_filter.startswith(SHARE_PREFIX):
        raise protocol_error("SUBSCRIBE: no local on a shared subscription")  # [MQTT-3.8.3-4]
    return Subscription(topic_filter, qos, is_no_local, bool(options & 0x08), RetainHandling(handling))


def _suback(reader: FieldReader, version: Version, _role: Role) -> Suback:
    packet_id = _packet_id(reader)
    properties = read_properties(reader, Place.SUBACK) if version == Version.V5 else NO_PROPERTIES
    allowed = SUBACK_CODES if version == Version.V5 else frozenset((0, 1, 2, 0x80))  # 311:[MQTT-3.9.3-2]
    codes = tuple(_reason_code(number, allowed, reader.what) for number in reader.rest())
    if not codes:
        raise malformed("SUBACK: no reason code")
    return Suback(packet_id, codes, properties)


def _unsubscribe(reader: FieldReader, version: Version, _role: Role) -> Unsubscribe:
    packet_id = _packet_id(reader)
    properties = read_properties(reader, Place.UNSUBSCRIBE) if version == Version.V5 else NO_PROPERTIES
    filters = []
    while not reader.is_at_end:
        filters.append(_filter(reader))  # [MQTT-3.10.3-1]
    if not filters:
        raise protocol_error("UNSUBSCRIBE: no filter")  # [MQTT-3.10.3-2]
    return Unsubscribe(packet_id, tuple(filters), properties)


def _unsuback(reader: FieldReader, version: Version, _role: Role) -> Unsuback:
    packet_id = _packet_id(reader)
    if version != Version.V5:
        reader.expect_end()
        return Unsuback(packet_id)
    properties = read_properties(reader, Place.UNSUBACK)
    codes = tuple(_reason_code(number, UNSUBACK_CODES, reader.what) for number in reader.rest())
    if not codes:
        raise malformed("UNSUBACK: no reason code")
    return Unsuback(packet_id, codes, properties)


# Parts ----------------------------------------------------------------------------------------------------------------


def _packet_id(reader: FieldReader) -> int:
    packet_id = reader.two_byte_integer()
    if not packet_id:
        raise protocol_error(f"{reader.what}: packet identifier 0")  # [MQTT-2.2.1-3] 311:[MQTT-2.3.1-1]
    return packet_id


def _filter(reader: FieldReader) -> bytes:
    topic_filter = reader.utf8()
    if not topic_filter:
        raise MqttViolation(
            f"{reader.what}: an empty filter", reason_code=ReasonCode.TOPIC_FILTER_INVALID
        )  # [MQTT-4.7.3-1]
    return topic_filter


def _optional_properties(reader: FieldReader, place: Place) -> Properties:
    """Properties that may be left out with their length, at the end of a packet."""
    if reader.is_at_end:
        return NO_PROPERTIES
    properties = read_properties(reader, place)
    reader.expect_end()
    return properties


def _reason_code(number: int, allowed: frozenset[int], what: str) -> ReasonCode:
    if number not in allowed:
        raise protocol_error(f"{what}: a reason code it may not have")
    return ReasonCode(number)


def _check_topic(topic: bytes, what: str) -> None:
    if problem := topic_problem(topic):
        code = ReasonCode.TOPIC_NAME_INVALID if topic else ReasonCode.PROTOCOL_ERROR
        raise MqttViolation(f"{what}: {problem}", reason_code=code)


def _check_response_topic(properties: Properties, what: str) -> None:
    topic = properties.response_topic
    if topic is not None and topic_problem(topic):
        raise protocol_error(f"{what}: the response topic is no topic name")  # [MQTT-3.3.2-14]


_DECODERS: dict[PacketType, Callable[[FieldReader, Version, Role], Packet]] = {
    PacketType.CONNECT: _connect,
    PacketType.CONNACK: _connack,
    PacketType.PUBACK: _ack_decoder(Puback, Place.PUBACK, PUBACK_CODES),
    PacketType.PUBREC: _ack_decoder(Pubrec, Place.PUBREC, PUBACK_CODES),
    PacketType.PUBREL: _ack_decoder(Pubrel, Place.PUBREL, PUBREL_CODES),
    PacketType.PUBCOMP: _ack_decoder(Pubcomp, Place.PUBCOMP, PUBREL_CODES),
    PacketType.SUBSCRIBE: _subscribe,
    PacketType.SUBACK: _suback,
    PacketType.UNSUBSCRIBE: _unsubscribe,
    PacketType.UNSUBACK: _unsuback,
    PacketType.PINGREQ: _pingreq,
    PacketType.PINGRESP: _pingresp,
    PacketType.DISCONNECT: _disconnect,
    PacketType.AUTH: _auth,
}
