"""The connection of the data plane: what is refused, with which reason, and that cuts change nothing."""

from __future__ import annotations

import pytest

from leafbox.protocol.mqtt.encoder import encode_packet
from leafbox.protocol.mqtt.packets import Pingreq, Pingresp, Puback, Pubcomp, Publish, Pubrel, Version
from leafbox.protocol.mqtt.properties import Properties
from tests.support.gateway_stage import Stage


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"\x36\x06\x00\x01a\x00\x01x", 0x81, id="QoS 3 [MQTT-3.3.1-4]"),
        pytest.param(b"\x38\x04\x00\x01ax", 0x81, id="DUP with QoS 0 [MQTT-3.3.1-2]"),
        pytest.param(b"\x32\x06\x00\x01a\x00\x00x", 0x82, id="packet id 0 [MQTT-2.2.1-3]"),
        pytest.param(b"\x30\x03\x00\x00x", 0x82, id="empty topic [MQTT-4.7.3-1]"),
        pytest.param(b"\x30\x05\x00\x02a#x", 0x90, id="wildcard [MQTT-3.3.2-2]"),
        pytest.param(b"\x30\x04\x00\x01\x00x", 0x81, id="U+0000 [MQTT-1.5.4-2]"),
        pytest.param(b"\x30\x04\x00\x01\xffx", 0x81, id="not UTF-8 [MQTT-1.5.4-1]"),
        pytest.param(b"\x30\x02\x00\x09", 0x81, id="topic cut short"),
        pytest.param(b"\x30\x80\x80\x80\x80\x01", 0x81, id="remaining length of five bytes"),
        pytest.param(b"\x30\xff\xff\xff\x7f", 0x95, id="larger than allowed, before its bytes come"),
        pytest.param(b"\x40\x02\x00\x00", 0x82, id="PUBACK of packet id 0"),
    ],
)
def test_what_is_refused(data: bytes, reason: int) -> None:
    stage = Stage()
    wire = stage.peer(stage.session("s"))
    wire.receive(data)
    assert [found for found, _ in wire.connection.violations] == [reason]
    assert wire.connection.closed
    stage.end()


def test_cuts_anywhere_change_nothing() -> None:
    sent = b"".join(
        encode_packet(packet, Version.V3_1_1)
        for packet in (Publish(b"a", b"x" * 200), Publish(b"b/c", b"y", 1, packet_id=9), Pubrel(4), Pingreq())
    )
    for at in range(len(sent)):
        stage = Stage()
        stage.listen()
        wire = stage.peer(stage.session("s"))
        wire.receive(sent[:at])
        wire.receive(sent[at:])
        # PUBACK waits for the end of the turn, the others do not.
        assert sorted(map(repr, wire.sent())) == sorted(map(repr, (Puback(9), Pubcomp(4), Pingresp())))
        assert [subject for subject, _, _ in stage.heard] == [b"a", b"b.c"]
        stage.end()


def test_topic_aliases_of_the_peer() -> None:
    stage = Stage()
    stage.listen()
    wire = stage.peer(stage.session("s"), Version.V5)
    wire.connection.peer_alias_max = 2
    alias = Properties(topic_alias=2)
    wire.send(Publish(b"long/topic", b"1", properties=alias), Publish(b"", b"2", properties=alias))
    assert [(subject, payload) for subject, _, payload in stage.heard] == [
        (b"long.topic", b"1"),
        (b"long.topic", b"2"),
    ]
    wire.send(Publish(b"t", b"3", properties=Properties(topic_alias=3)))
    assert [reason for reason, _ in wire.connection.violations] == [0x94]
    stage.end()


def test_topic_aliases_towards_the_peer() -> None:
    stage = Stage()
    session = stage.session("s")
    wire = stage.peer(session, Version.V5)
    wire.connection.alias_max = 1
    stage.subscribe(session, b"#", 0)
    stage.account.publish(b"a.b", b"1")
    stage.account.publish(b"a.b", b"2")
    stage.account.publish(b"c", b"3")
    got = [(packet.topic, packet.properties.topic_alias) for packet in wire.sent() if isinstance(packet, Publish)]
    assert got == [(b"a/b", 1), (b"", 1), (b"c", None)]
    stage.end()


@pytest.mark.normative(v5="3.1.2-24 3.1.2-25")
@pytest.mark.parametrize("alias_max", [0, 4])
def test_a_packet_as_large_as_the_peer_takes_is_sent_and_one_byte_more_is_not(alias_max: int) -> None:
    """Found with mosquitto's own tests; around each size at which a length takes one more byte."""
    for payload_size in (*range(110, 130), *range(16370, 16390)):
        stage = Stage()
        session = stage.session("s")
        wire = stage.peer(session, Version.V5)
        wire.connection.alias_max = alias_max
        stage.subscribe(session, b"#", 0, identifier=3)
        payload = b"x" * payload_size
        properties = Properties(subscription_identifiers=(3,))
        size = len(encode_packet(Publish(b"a", payload, properties=properties), Version.V5))
        for most in range(size - 2, size + 12):
            wire.connection.packet_bytes_max = most
            stage.account.publish(b"a", payload)
            got = wire.sent()
            assert len(got) == (most >= size), (payload_size, most)
            assert all(len(encode_packet(packet, Version.V5)) <= most for packet in got)
        stage.end()


def test_receive_maximum_is_kept() -> None:
    stage = Stage()
    wire = stage.peer(stage.session("s"), Version.V5)
    wire.connection.receive_maximum = 2
    wire.send(*(Publish(b"a", b"x", 2, packet_id=number) for number in (1, 2, 3)))
    assert [reason for reason, _ in wire.connection.violations] == [0x93]
    stage.end()


def test_the_gateways_own_subjects_are_closed() -> None:
    stage = Stage()
    stage.listen()
    wire = stage.peer(stage.session("s"))
    wire.send(Publish(b"$MQTT/msgs/a", b"x", 1, packet_id=1))
    assert wire.connection.denied == [b"$MQTT.msgs.a"]
    assert stage.heard == []
    assert wire.sent() == [Puback(1)]
    stage.end()
