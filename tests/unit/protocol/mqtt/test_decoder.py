"""Decoding by the table of packets: every good one has its value, every bad one its reason code."""

from __future__ import annotations

import pytest

from leafbox.protocol.mqtt.decoder import decode_packet, version_of_connect
from leafbox.protocol.mqtt.packets import Role, Version
from leafbox.protocol.mqtt.violation import MqttViolation
from tests.support.mqtt_bad_cases import BAD, BadPacket
from tests.support.mqtt_cases import GOOD, GoodPacket

pytestmark = pytest.mark.capability("MQ01", "MQ16")


def body_of(data: bytes) -> bytes:
    """A packet of the table without its fixed header; their lengths fit one byte."""
    assert data[1] == len(data) - 2, "the table's remaining length is wrong"
    return data[2:]


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.name)
def test_a_good_packet_has_its_value(case: GoodPacket) -> None:
    assert decode_packet(case.data[0], body_of(case.data), case.version, case.role) == case.packet


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_a_bad_packet_has_its_reason(case: BadPacket) -> None:
    with pytest.raises(MqttViolation) as caught:
        decode_packet(case.data[0], body_of(case.data), case.version, case.role)
    assert caught.value.reason_code is case.reason_code
    assert caught.value.closes_connection
    assert caught.value.text_for_peer.isascii()


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.name)
def test_a_good_packet_cut_anywhere_is_another_or_none(case: GoodPacket) -> None:
    body = body_of(case.data)
    for size in range(len(body)):
        try:
            packet = decode_packet(case.data[0], body[:size], case.version, case.role)
        except MqttViolation:
            continue
        # A reason code of success and an empty list of properties may be left out.
        assert packet != case.packet or not any(body[size:])


def test_names_of_cases_are_unique() -> None:
    names = [case.name for case in GOOD + BAD]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("body", "version"),
    [
        (b"\0\4MQTT\5", Version.V5),
        (b"\0\4MQTT\4junk", Version.V3_1_1),
        (b"\0\6MQIsdp\3", Version.V3_1),
        (b"\0\4MQTT\6", None),
        (b"\0\4MQT", None),
        (b"", None),
    ],
)
def test_the_version_of_a_refused_connect_is_told(body: bytes, version: Version | None) -> None:
    assert version_of_connect(body) == version


def test_a_password_is_not_shown() -> None:
    data = bytes.fromhex("1013 0004 4d515454 05 c2 0000 00 0000 0001 75 0001 70")
    packet = decode_packet(data[0], body_of(data), Version.V5, Role.SERVER)
    assert "p'" not in repr(packet)
    assert "password" not in repr(packet)
