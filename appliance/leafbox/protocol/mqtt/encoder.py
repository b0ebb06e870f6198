"""Control packets to bytes, in the words of the version the peer speaks (MQTT 5 section 3, 3.1.1 section 3, 3.1).

What a version cannot say is left out: properties and reason strings in 3.x, reason codes where 3.x has none. Bounds of
the format are asserted; whoever makes packets from untrusted input checks before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import singledispatch

from leafbox.protocol.mqtt import fields as wire
from leafbox.protocol.mqtt.decoder import BRIDGE_BIT, PROTOCOL_NAMES
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
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
    Version,
)
from leafbox.protocol.mqtt.properties import NO_PROPERTIES, Place, Properties, write_properties
from leafbox.protocol.mqtt.reason_codes import (
    CONNACK_CODES,
    DISCONNECT_CODES_OF_SERVER,
    SUBACK_3_FAILURE,
    ReasonCode,
    connack_code_to_3,
)
from leafbox.protocol.mqtt.violation import MqttViolation

# The only refusals 3.x puts into words; anything else about a CONNECT closes the connection (3.1.1 section 3.2.2.3).
_REFUSED_IN_WORDS_BY_3 = {ReasonCode.UNSUPPORTED_PROTOCOL_VERSION, ReasonCode.CLIENT_IDENTIFIER_NOT_VALID}


def encode_packet(packet: Packet, version: Version) -> bytes:
    """The whole packet, fixed header included."""
    first_byte, body = _encoded(packet, version)
    return bytes((first_byte,)) + wire.variable_integer(len(body)) + body


def encode_within(packet: Packet, version: Version, packet_bytes_max: int | None) -> bytes | None:
    """The packet if it fits the peer's maximum packet size, else without reason string and user properties, which must
    then be left out [MQTT-3.2.2-19] [MQTT-3.2.2-20]; None when it still does not fit and so must not be sent
    [MQTT-3.1.2-24]. A PUBLISH keeps its user properties: they are the message's."""
    encoded = encode_packet(packet, version)
    if packet_bytes_max is None or len(encoded) <= packet_bytes_max:
        return encoded
    if isinstance(packet, Pingreq | Pingresp | Publish) or packet.properties is NO_PROPERTIES:
        return None
    shorter = replace(packet.properties, reason_string=None, user_properties=())
    encoded = encode_packet(replace(packet, properties=shorter), version)
    return encoded if len(encoded) <= packet_bytes_max else None


def refusal(violation: MqttViolation, version: Version | None) -> bytes:
    """What to send before closing on a CONNECT that broke a rule; empty: close without a word.

    `version` is `decoder.version_of_connect`. A level we do not know is answered as 3.1.1 demands of its servers
    (311:[MQTT-3.1.2-2]); MQTT 5 leaves the answer open.
    """
    if version != Version.V5:
        is_worded = violation.reason_code in _REFUSED_IN_WORDS_BY_3
        return encode_packet(Connack(violation.reason_code), Version.V3_1_1) if is_worded else b""
    code = violation.reason_code if violation.reason_code in CONNACK_CODES else ReasonCode.PROTOCOL_ERROR
    return encode_packet(Connack(code, properties=_reason(violation)), version)


def farewell(violation: MqttViolation, version: Version) -> bytes:
    """What a server sends before closing on a later packet that broke a rule: a DISCONNECT in MQTT 5, else nothing."""
    if version != Version.V5:
        return b""
    is_sayable = violation.reason_code in DISCONNECT_CODES_OF_SERVER
    code = violation.reason_code if is_sayable else ReasonCode.PROTOCOL_ERROR
    return encode_packet(Disconnect(code, _reason(violation)), version)


def _reason(violation: MqttViolation) -> Properties:
    return Properties(reason_string=violation.text_for_peer) if violation.text_for_peer else NO_PROPERTIES


@singledispatch
def _encoded(packet: Packet, version: Version) -> tuple[int, bytes]:
    """First byte and body."""
    raise AssertionError(f"no control packet: {packet!r}")


def _first(packet_type: PacketType, flags: int = 0) -> int:
    return packet_type << 4 | flags


def _properties(properties: Properties, place: Place, version: Version) -> bytes:
    return write_properties(properties, place) if version == Version.V5 else b""


@_encoded.register
def _connect(packet: Connect, _version: Version) -> tuple[int, bytes]:
    version, will = packet.version, packet.will
    assert version == Version.V5 or packet.password is None or packet.user_name is not None
    flags = (packet.is_clean << 1) | ((packet.password is not None) << 6) | ((packet.user_name is not None) << 7)
    if will is not None:
        flags |= 0x04 | will.qos << 3 | will.is_retained << 5
    parts = [
        wire.binary(PROTOCOL_NAMES[version]),
        bytes((version | BRIDGE_BIT * packet.is_bridge, flags)),
        packet.keep_alive_s.to_bytes(2),
        _properties(packet.properties, Place.CONNECT, version),
        wire.text(packet.client_id),
    ]
    if will is not None:
        parts += [_properties(will.properties, Place.WILL, version), wire.binary(will.topic), wire.binary(will.payload)]
    if packet.user_name is not None:
        parts.append(wire.text(packet.user_name))
    if packet.password is not None:
        parts.append(wire.binary(packet.password))
    return _first(PacketType.CONNECT), b"".join(parts)


@_encoded.register
def _connack(packet: Connack, version: Version) -> tuple[int, bytes]:
    is_v5 = version == Version.V5
    flags = packet.is_session_present and not packet.reason_code and version != Version.V3_1
    code = packet.reason_code if is_v5 else connack_code_to_3(packet.reason_code)
    return _first(PacketType.CONNACK), bytes((flags, code)) + _properties(packet.properties, Place.CONNACK, version)


@_encoded.register
def _publish(packet: Publish, version: Version) -> tuple[int, bytes]:
    assert bool(packet.qos) == bool(packet.packet_id), "a packet identifier goes with QoS 1 and 2"
    flags = packet.is_duplicate << 3 | packet.qos << 1 | packet.is_retained
    packet_id = packet.packet_id.to_bytes(2) if packet.qos else b""
    properties = _properties(packet.properties, Place.PUBLISH, version)
    return _first(PacketType.PUBLISH, flags), wire.binary(packet.topic) + packet_id + properties + packet.payload


def _ack_encoder(
    packet_type: PacketType, place: Place, flags: int = 0
) -> Callable[[Puback | Pubrec | Pubrel | Pubcomp, Version], tuple[int, bytes]]:
    def encode(packet: Puback | Pubrec | Pubrel | Pubcomp, version: Version) -> tuple[int, bytes]:
        body = packet.packet_id.to_bytes(2)
        if version == Version.V5:
            body += _code_and_properties(packet.reason_code, packet.properties, place)
        return _first(packet_type, flags), body

    return encode


def _code_and_properties(code: ReasonCode, properties: Properties, place: Place) -> bytes:
    """The shortest form: without properties their length goes, with success the code too (section 3.4.2.1)."""
    if properties != NO_PROPERTIES:
        return bytes((code,)) + write_properties(properties, place)
    return bytes((code,)) if code else b""


_encoded.register(Puback, _ack_encoder(PacketType.PUBACK, Place.PUBACK))
_encoded.register(Pubrec, _ack_encoder(PacketType.PUBREC, Place.PUBREC))
_encoded.register(Pubrel, _ack_encoder(PacketType.PUBREL, Place.PUBREL, 0b0010))
_encoded.register(Pubcomp, _ack_encoder(PacketType.PUBCOMP, Place.PUBCOMP))


@_encoded.register
def _subscribe(packet: Subscribe, version: Version) -> tuple[int, bytes]:
    assert packet.subscriptions, "a SUBSCRIBE has filters"
    parts = [packet.packet_id.to_bytes(2), _properties(packet.properties, Place.SUBSCRIBE, version)]
    for one in packet.subscriptions:
        options = one.qos
        if version == Version.V5:
            options |= one.is_no_local << 2 | one.is_retain_as_published << 3 | one.retain_handling << 4
        parts += [wire.binary(one.filter), bytes((options,))]
    return _first(PacketType.SUBSCRIBE, 0b0010), b"".join(parts)


@_encoded.register
def _suback(packet: Suback, version: Version) -> tuple[int, bytes]:
    codes = bytes(packet.reason_codes)
    if version != Version.V5:
        codes = bytes(SUBACK_3_FAILURE if code >= 0x80 else code for code in codes)
    properties = _properties(packet.properties, Place.SUBACK, version)
    return _first(PacketType.SUBACK), packet.packet_id.to_bytes(2) + properties + codes


@_encoded.register
def _unsubscribe(packet: Unsubscribe, version: Version) -> tuple[int, bytes]:
    assert packet.filters, "an UNSUBSCRIBE has filters"
    properties = _properties(packet.properties, Place.UNSUBSCRIBE, version)
    body = packet.packet_id.to_bytes(2) + properties + b"".join(map(wire.binary, packet.filters))
    return _first(PacketType.UNSUBSCRIBE, 0b0010), body


@_encoded.register
def _unsuback(packet: Unsuback, version: Version) -> tuple[int, bytes]:
    body = packet.packet_id.to_bytes(2)
    if version == Version.V5:
        body += write_properties(packet.properties, Place.UNSUBACK) + bytes(packet.reason_codes)
    return _first(PacketType.UNSUBACK), body


@_encoded.register
def _pingreq(_packet: Pingreq, _version: Version) -> tuple[int, bytes]:
    return _first(PacketType.PINGREQ), b""


@_encoded.register
def _pingresp(_packet: Pingresp, _version: Version) -> tuple[int, bytes]:
    return _first(PacketType.PINGRESP), b""


@_encoded.register
def _disconnect(packet: Disconnect, version: Version) -> tuple[int, bytes]:
    is_v5 = version == Version.V5
    body = _code_and_properties(packet.reason_code, packet.properties, Place.DISCONNECT) if is_v5 else b""
    return _first(PacketType.DISCONNECT), body


@_encoded.register
def _auth(packet: Auth, version: Version) -> tuple[int, bytes]:
    assert version == Version.V5, "AUTH exists in MQTT 5 only"
    return _first(PacketType.AUTH), _code_and_properties(packet.reason_code, packet.properties, Place.AUTH)
