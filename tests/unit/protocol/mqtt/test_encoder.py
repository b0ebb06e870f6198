"""Encoding by the same table, and what happens where a version or a peer cannot take everything."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leafbox.protocol.mqtt.encoder import encode_packet, encode_within, farewell, refusal
from leafbox.protocol.mqtt.framing import PacketReader
from leafbox.protocol.mqtt.packets import (
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Puback,
    Publish,
    Role,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Version,
)
from leafbox.protocol.mqtt.properties import Properties
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from leafbox.protocol.mqtt.violation import MqttViolation, malformed
from tests.support.mqtt_cases import GOOD, GoodPacket

pytestmark = pytest.mark.capability("MQ01", "MQ16")


def read(data: bytes, version: Version, role: Role) -> list[Packet]:
    return list(PacketReader(role, 1 << 20, version).receive_data(data))


@pytest.mark.parametrize("case", [case for case in GOOD if case.is_canonical], ids=lambda case: case.name)
def test_a_value_has_its_bytes(case: GoodPacket) -> None:
    assert encode_packet(case.packet, case.version).hex(" ") == case.data.hex(" ")


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.name)
def test_what_is_written_reads_as_the_same_value(case: GoodPacket) -> None:
    assert read(encode_packet(case.packet, case.version), case.version, case.role) == [case.packet]


def test_long_packets_have_long_lengths() -> None:
    for size in (0, 127, 128, 16_383, 16_384, 2_097_152):
        packet = Publish(b"a", b"x" * size)
        encoded = encode_packet(packet, Version.V3_1_1)
        assert list(PacketReader(Role.SERVER, 4_000_000, Version.V3_1_1).receive_data(encoded)) == [packet]


@pytest.mark.parametrize("version", [Version.V3_1, Version.V3_1_1])
def test_what_only_mqtt_5_says_is_left_out_before(version: Version) -> None:
    more = Properties(reason_string="r", user_properties=(("k", "v"),))
    cases: list[tuple[Packet, str]] = [
        (Connack(ReasonCode.BANNED, properties=more), "20020005"),
        (Connack(ReasonCode.QUOTA_EXCEEDED, True), "20020003"),
        (Puback(1, ReasonCode.NOT_AUTHORIZED, more), "40020001"),
        (Suback(1, (ReasonCode.NOT_AUTHORIZED, ReasonCode.GRANTED_QOS_2), more), "900400018002"),
        (Unsuback(1, (ReasonCode.SUCCESS,)), "b0020001"),
        (Disconnect(ReasonCode.SERVER_BUSY, more), "e000"),
        (Subscribe(1, (Subscription(b"a", 1, True, True),), more), "820600010001" + "6101"),
        (Publish(b"a", properties=Properties(content_type="t")), "3003000161"),
    ]
    for packet, expected in cases:
        assert encode_packet(packet, version).hex() == expected


def test_a_session_is_not_present_in_3_1() -> None:
    assert encode_packet(Connack(is_session_present=True), Version.V3_1) == b"\x20\x02\x00\x00"


@pytest.mark.capability("MQ16")
def test_a_peer_with_little_room_gets_no_diagnostics() -> None:
    packet = Puback(7, ReasonCode.NOT_AUTHORIZED, Properties(reason_string="r" * 50, user_properties=(("k", "v"),)))
    whole = encode_packet(packet, Version.V5)
    assert encode_within(packet, Version.V5, None) == encode_within(packet, Version.V5, len(whole)) == whole
    assert encode_within(packet, Version.V5, len(whole) - 1) == bytes.fromhex("4003 0007 87")
    assert encode_within(packet, Version.V5, 4) is None
    assert encode_within(Pingreq(), Version.V5, 1) is None
    # A message is sent whole or not at all.
    message = Publish(b"a", b"", properties=Properties(user_properties=(("k", "v"),)))
    assert encode_within(message, Version.V5, 8) is None


def test_refusals_are_worded_for_the_version() -> None:
    unknown = MqttViolation("level", reason_code=ReasonCode.UNSUPPORTED_PROTOCOL_VERSION)
    no_id = MqttViolation("id", reason_code=ReasonCode.CLIENT_IDENTIFIER_NOT_VALID)
    assert refusal(unknown, None) == b"\x20\x02\x00\x01"
    assert refusal(no_id, Version.V3_1_1) == refusal(no_id, Version.V3_1) == b"\x20\x02\x00\x02"
    assert refusal(malformed("x"), Version.V3_1_1) == refusal(malformed("x"), None) == b""
    [connack] = read(refusal(malformed("why"), Version.V5), Version.V5, Role.CLIENT)
    assert connack == Connack(ReasonCode.MALFORMED_PACKET, properties=Properties(reason_string="why"))
    # A code that no CONNACK may have.
    odd = MqttViolation("", reason_code=ReasonCode.TOPIC_ALIAS_INVALID)
    assert refusal(odd, Version.V5) == b"\x20\x03\x00\x82\x00"


def test_farewells_exist_in_mqtt_5_only() -> None:
    assert farewell(malformed("x"), Version.V3_1_1) == b""
    [disconnect] = read(farewell(malformed("why"), Version.V5), Version.V5, Role.CLIENT)
    assert disconnect == Disconnect(ReasonCode.MALFORMED_PACKET, Properties(reason_string="why"))
    odd = MqttViolation("", reason_code=ReasonCode.UNSUPPORTED_PROTOCOL_VERSION)
    assert farewell(odd, Version.V5) == b"\xe0\x01\x82"


def test_what_cannot_be_written_is_a_defect_of_the_writer() -> None:
    packets: list[Packet] = [
        Publish(b"a", qos=1),
        Publish(b"a", packet_id=1),
        Publish(b"a", properties=Properties(server_keep_alive_s=1)),
        Subscribe(1, ()),
        replace(Connect("a"), password=b"p"),
    ]
    for packet in packets:
        with pytest.raises(AssertionError):
            encode_packet(packet, Version.V5 if not isinstance(packet, Connect) else Version.V3_1_1)
