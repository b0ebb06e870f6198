"""The properties of MQTT 5: one table says id, type and packets, and reading and writing follow it (section 2.2.2).

A packet's properties are one frozen value; a property that is absent is None, or empty where it may be repeated. Not
here: what an absent property means, which is the packet's or the session's business.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, fields

from leafbox.protocol.mqtt import fields as wire
from leafbox.protocol.mqtt.fields import FieldReader
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from leafbox.protocol.mqtt.violation import MqttViolation, malformed, protocol_error


class Place(enum.Enum):
    """Where properties stand: a packet, or the will inside a CONNECT."""

    CONNECT = "CONNECT"
    WILL = "will"
    CONNACK = "CONNACK"
    PUBLISH = "PUBLISH"
    PUBACK = "PUBACK"
    PUBREC = "PUBREC"
    PUBREL = "PUBREL"
    PUBCOMP = "PUBCOMP"
    SUBSCRIBE = "SUBSCRIBE"
    SUBACK = "SUBACK"
    UNSUBSCRIBE = "UNSUBSCRIBE"
    UNSUBACK = "UNSUBACK"
    DISCONNECT = "DISCONNECT"
    AUTH = "AUTH"


@dataclass(frozen=True, slots=True)
class Properties:
    """All properties a packet may have, under the names of the standard."""

    payload_format_indicator: int | None = None
    message_expiry_interval_s: int | None = None
    content_type: str | None = None
    response_topic: bytes | None = None
    correlation_data: bytes | None = None
    subscription_identifiers: tuple[int, ...] = ()
    """Several in a PUBLISH, one in a SUBSCRIBE."""
    session_expiry_interval_s: int | None = None
    assigned_client_identifier: str | None = None
    server_keep_alive_s: int | None = None
    authentication_method: str | None = None
    authentication_data: bytes | None = None
    request_problem_information: int | None = None
    will_delay_interval_s: int | None = None
    request_response_information: int | None = None
    response_information: str | None = None
    server_reference: str | None = None
    reason_string: str | None = None
    receive_maximum: int | None = None
    topic_alias_maximum: int | None = None
    topic_alias: int | None = None
    maximum_qos: int | None = None
    retain_available: int | None = None
    user_properties: tuple[tuple[str, str], ...] = ()
    """In the order of the packet [MQTT-3.3.2-18]; a name may come several times."""
    maximum_packet_size: int | None = None
    wildcard_subscription_available: int | None = None
    subscription_identifier_available: int | None = None
    shared_subscription_available: int | None = None

    def __repr__(self) -> str:
        present = {field.name: getattr(self, field.name) for field in fields(self)}
        # Authentication data is a secret.
        shown = [
            f"{name}={'...' if name == 'authentication_data' else repr(value)}"
            for name, value in present.items()
            if value not in (None, ())
        ]
        return f"Properties({', '.join(shown)})"


NO_PROPERTIES = Properties()
SESSION_NEVER_EXPIRES_S = 0xFFFF_FFFF

Value = int | str | bytes | tuple[str, str]


@dataclass(frozen=True, slots=True)
class PropertyType:
    """How a property's value stands in a packet."""

    read: Callable[[FieldReader], Value]
    write: Callable[[Value], bytes]


def _number_writer(size: int) -> Callable[[Value], bytes]:
    def write(value: Value) -> bytes:
        assert isinstance(value, int), value
        return value.to_bytes(size)

    return write


def _write_variable(value: Value) -> bytes:
    assert isinstance(value, int), value
    return wire.variable_integer(value)


def _write_bytes(value: Value) -> bytes:
    assert isinstance(value, bytes), value
    return wire.binary(value)


def _write_text(value: Value) -> bytes:
    assert isinstance(value, str), value
    return wire.text(value)


def _write_pair(value: Value) -> bytes:
    assert isinstance(value, tuple), value
    return wire.text(value[0]) + wire.text(value[1])


BYTE = PropertyType(FieldReader.byte, _number_writer(1))
TWO_BYTES = PropertyType(FieldReader.two_byte_integer, _number_writer(2))
FOUR_BYTES = PropertyType(FieldReader.four_byte_integer, _number_writer(4))
VARIABLE = PropertyType(FieldReader.variable_integer, _write_variable)
BINARY = PropertyType(FieldReader.binary, _write_bytes)
TEXT = PropertyType(FieldReader.text, _write_text)
TOPIC = PropertyType(FieldReader.utf8, _write_bytes)
PAIR = PropertyType(lambda reader: (reader.text(), reader.text()), _write_pair)


@dataclass(frozen=True, slots=True)
class PropertyRule:
    """One row of table 2-4. `values` bounds a number; outside it the packet is a protocol error."""

    id: int
    name: str
    type: PropertyType
    places: frozenset[Place]
    values: range | None = None
    is_repeatable: bool = False
    """Whether the field of `Properties` is a tuple; only user properties may be repeated everywhere."""


def _in(*places: Place) -> frozenset[Place]:
    return frozenset(places)


_MESSAGE = _in(Place.PUBLISH, Place.WILL)
_ACKS = _in(
    Place.CONNACK, Place.PUBACK, Place.PUBREC, Place.PUBREL, Place.PUBCOMP, Place.SUBACK, Place.UNSUBACK,
    Place.DISCONNECT, Place.AUTH,
)  # fmt: skip
_BOOLEAN = range(2)
_POSITIVE_16 = range(1, 0x1_0000)

PROPERTY_RULES = (
    PropertyRule(0x01, "payload_format_indicator", BYTE, _MESSAGE, _BOOLEAN),
    PropertyRule(0x02, "message_expiry_interval_s", FOUR_BYTES, _MESSAGE),
    PropertyRule(0x03, "content_type", TEXT, _MESSAGE),
    PropertyRule(0x08, "response_topic", TOPIC, _MESSAGE),
    PropertyRule(0x09, "correlation_data", BINARY, _MESSAGE),
    PropertyRule(
        0x0B,
        "subscription_identifiers",
        VARIABLE,
        _in(Place.PUBLISH, Place.SUBSCRIBE),
        range(1, wire.VARIABLE_INTEGER_MAX + 1),
        is_repeatable=True,
    ),
    PropertyRule(0x11, "session_expiry_interval_s", FOUR_BYTES, _in(Place.CONNECT, Place.CONNACK, Place.DISCONNECT)),
    PropertyRule(0x12, "assigned_client_identifier", TEXT, _in(Place.CONNACK)),
    PropertyRule(0x13, "server_keep_alive_s", TWO_BYTES, _in(Place.CONNACK)),
    PropertyRule(0x15, "authentication_method", TEXT, _in(Place.CONNECT, Place.CONNACK, Place.AUTH)),
    PropertyRule(0x16, "authentication_data", BINARY, _in(Place.CONNECT, Place.CONNACK, Place.AUTH)),
    PropertyRule(0x17, "request_problem_information", BYTE, _in(Place.CONNECT), _BOOLEAN),
    PropertyRule(0x18, "will_delay_interval_s", FOUR_BYTES, _in(Place.WILL)),
    PropertyRule(0x19, "request_response_information", BYTE, _in(Place.CONNECT), _BOOLEAN),
    PropertyRule(0x1A, "response_information", TEXT, _in(Place.CONNACK)),
    PropertyRule(0x1C, "server_reference", TEXT, _in(Place.CONNACK, Place.DISCONNECT)),
    PropertyRule(0x1F, "reason_string", TEXT, _ACKS),
    PropertyRule(0x21, "receive_maximum", TWO_BYTES, _in(Place.CONNECT, Place.CONNACK), _POSITIVE_16),
    PropertyRule(0x22, "topic_alias_maximum", TWO_BYTES, _in(Place.CONNECT, Place.CONNACK)),
    PropertyRule(0x23, "topic_alias", TWO_BYTES, _in(Place.PUBLISH)),
    PropertyRule(0x24, "maximum_qos", BYTE, _in(Place.CONNACK), _BOOLEAN),
    PropertyRule(0x25, "retain_available", BYTE, _in(Place.CONNACK), _BOOLEAN),
    PropertyRule(0x26, "user_properties", PAIR, frozenset(Place), is_repeatable=True),
    PropertyRule(0x27, "maximum_packet_size", FOUR_BYTES, _in(Place.CONNECT, Place.CONNACK), range(1, 0x1_0000_0000)),
    PropertyRule(0x28, "wildcard_subscription_available", BYTE, _in(Place.CONNACK), _BOOLEAN),
    PropertyRule(0x29, "subscription_identifier_available", BYTE, _in(Place.CONNACK), _BOOLEAN),
    PropertyRule(0x2A, "shared_subscription_available", BYTE, _in(Place.CONNACK), _BOOLEAN),
)
RULE_OF_ID = {rule.id: rule for rule in PROPERTY_RULES}
assert {rule.name for rule in PROPERTY_RULES} == {field.name for field in fields(Properties)}


def read_properties(reader: FieldReader, place: Place) -> Properties:
    """Read a property length and the properties it spans; `NO_PROPERTIES` itself when there are none."""
    length = reader.variable_integer()
    if not length:
        return NO_PROPERTIES
    section = reader.sub_reader(length)
    found: dict[str, Value] = {}
    repeated: dict[str, list[Value]] = {}
    while not section.is_at_end:
        # The id is a variable byte integer too (section 2.2.2.2), and every known one is a single byte.
        rule = RULE_OF_ID.get(section.variable_integer())
        if rule is None:
            raise malformed(f"{reader.what}: unknown property")
        if place not in rule.places:
            raise malformed(f"{reader.what}: {_title(rule)} is not allowed here")  # Section 2.2.2.2.
        if rule.type is PAIR:
            repeated.setdefault(rule.name, []).extend(section.text_pairs(rule.id))
            continue
        value = rule.type.read(section)
        _check_value(rule, value, reader.what)
        if rule.is_repeatable:
            values = repeated.setdefault(rule.name, [])
            if values and rule.name == "subscription_identifiers" and place is Place.SUBSCRIBE:
                raise protocol_error(f"{reader.what}: {_title(rule)} twice")
            values.append(value)
        elif rule.name in found:
            raise protocol_error(f"{reader.what}: {_title(rule)} twice")
        else:
            found[rule.name] = value
    if "authentication_data" in found and "authentication_method" not in found:
        raise protocol_error(f"{reader.what}: authentication data without a method")  # Section 3.1.2.11.10.
    return Properties(**found, **{name: tuple(values) for name, values in repeated.items()})  # type: ignore[arg-type]


def write_properties(properties: Properties, place: Place) -> bytes:
    """The property length and the properties, in the order of their ids."""
    if properties is NO_PROPERTIES:
        return b"\0"
    parts: list[bytes] = []
    for rule in PROPERTY_RULES:
        value = getattr(properties, rule.name)
        if value is None or value == ():
            continue
        assert place in rule.places, f"{rule.name} in {place.value}"
        for one in value if rule.is_repeatable else (value,):
            assert rule.values is None or one in rule.values, f"{rule.name}: {one}"
            parts += [bytes((rule.id,)), rule.type.write(one)]
    body = b"".join(parts)
    return wire.variable_integer(len(body)) + body


def _check_value(rule: PropertyRule, value: Value, what: str) -> None:
    if rule.name == "topic_alias" and value == 0:
        # [MQTT-3.3.2-8], which names its own code.
        raise MqttViolation(f"{what}: topic alias 0", reason_code=ReasonCode.TOPIC_ALIAS_INVALID)
    if rule.values is not None and value not in rule.values:
        raise protocol_error(f"{what}: {_title(rule)} has a value that is not allowed")


def _title(rule: PropertyRule) -> str:
    return rule.name.removesuffix("_s").replace("_", " ")
