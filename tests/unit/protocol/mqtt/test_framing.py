"""Cutting the stream: any chunking gives the same packets, and nothing is held beyond the limit."""

from __future__ import annotations

import pytest

from leafbox.protocol.mqtt.framing import PacketBuffer, PacketReader
from leafbox.protocol.mqtt.packets import Connect, Pingreq, Publish, Role, Version
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from leafbox.protocol.mqtt.violation import MqttViolation
from tests.support.mqtt_bad_cases import BAD_HEADERS
from tests.support.mqtt_cases import GOOD

pytestmark = pytest.mark.capability("MQ17")


@pytest.mark.parametrize("version", list(Version))
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_chunks_do_not_matter(version: Version, size: int) -> None:
    cases = [case for case in GOOD if case.version is version and case.role is Role.SERVER]
    stream = b"".join(case.data for case in cases)
    reader = PacketReader(Role.SERVER, 200, version)
    packets = [
        packet for start in range(0, len(stream), size) for packet in reader.receive_data(stream[start : start + size])
    ]
    assert packets == [case.packet for case in cases]


def test_a_server_learns_the_version_from_the_connect() -> None:
    reader = PacketReader(Role.SERVER, 200)
    stream = bytes.fromhex("100d 0004 4d515454 04 02 000a 0001 61 3003 0001 61 c000")
    assert list(reader.receive_data(stream)) == [Connect("a", Version.V3_1_1, True, 10), Publish(b"a"), Pingreq()]
    assert reader.version is Version.V3_1_1


@pytest.mark.parametrize(("name", "text", "reason_code"), BAD_HEADERS, ids=[name for name, *_ in BAD_HEADERS])
def test_a_bad_length_is_refused_at_once(name: str, text: str, reason_code: ReasonCode) -> None:
    del name
    buffer = PacketBuffer(1 << 20)
    with pytest.raises(MqttViolation) as caught:
        list(buffer.receive_data(bytes.fromhex(text)))
    assert caught.value.reason_code is reason_code


def test_the_limit_counts_the_whole_packet() -> None:
    assert list(PacketBuffer(6).receive_data(b"\x30\x04\0\1ax")) == [(0x30, b"\0\1ax")]
    with pytest.raises(MqttViolation):
        list(PacketBuffer(5).receive_data(b"\x30\x04"))


def test_packets_before_a_violation_are_given() -> None:
    reader = PacketReader(Role.SERVER, 100, Version.V3_1_1)
    packets = reader.receive_data(b"\xc0\x00\xc1\x00")
    assert next(packets) == Pingreq()
    with pytest.raises(MqttViolation):
        next(packets)
