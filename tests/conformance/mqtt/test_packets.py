"""Packets that must not be accepted, sent to running brokers: the connection ends, in MQTT 5 with the reason.

Where the measures themselves are lenient is listed, so that the lists say what the table demands beyond them.
"""

from __future__ import annotations

import pytest

from leafbox.protocol.mqtt.packets import Connack, Disconnect, Packet, Pingreq, Pingresp, Version
from tests.support.mqtt_bad_cases import BAD_AFTER_CONNECT, BAD_CONNECTS, BAD_HEADERS, BadPacket
from tests.support.mqtt_brokers import BrokerKind, MqttBroker
from tests.support.mqtt_client import Closed, RawMqttClient

pytestmark = pytest.mark.capability("MQ01", "MQ16", "MQ17")

# What each accepts although the standard forbids it; seen on mosquitto 2.0.11 and nats-server 2.15.1.
ACCEPTED_BY: dict[BrokerKind, set[str]] = {
    BrokerKind.LEAFBOX: set(),
    BrokerKind.NATS_SERVER: {"publish DUP at QoS 0, V3_1_1", "connect, user name not flagged, V3_1_1"},
    BrokerKind.MOSQUITTO: {
        "connect 5, authentication data without method",
        "connect 5, will response topic with wildcard",
        "suback to a server, V3_1_1",
        "suback to a server, V5",
        "unsuback to a server, V3_1_1",
        "pingresp to a server, V3_1_1",
        "pingresp to a server, V5",
        "publish DUP at QoS 0, V3_1_1",
        "publish DUP at QoS 0, V5",
        "puback with flags, V3_1_1",
        "puback with flags, V5",
        "puback too long in 3.1.1",
        "pingreq with a body, V3_1_1",
        "pingreq with a body, V5",
        "pingreq with flags, V3_1_1",
        "pingreq with flags, V5",
        "subscribe, no local when shared, V5",
        "publish with a subscription id, V5",
        "publish, response topic with wildcard, V5",
        "publish, payload format 2, V5",
        "puback, unknown reason code, V5",
        "pubrec, a code of SUBACK, V5",
        "pubrel, unknown reason code, V5",
        "pubcomp, unknown reason code, V5",
        "puback, bytes after the properties, V5",
    },
}


def answers(broker: MqttBroker, case: BadPacket) -> list[Packet] | None:
    """What came before the broker closed; None: it did not close, as its answer to a ping shows."""
    packets: list[Packet] = []
    with RawMqttClient(broker.port, case.version) as client:
        try:
            if not case.is_connect:
                client.connect()
            client.send_bytes(case.data)
            # Who took it answers: a CONNECT with a CONNACK, anything else by going on.
            if not case.is_connect:
                client.send(Pingreq())
            while True:
                packet = client.receive()
                if isinstance(packet, Pingresp) or (isinstance(packet, Connack) and not packet.reason_code):
                    return None
                packets.append(packet)
        except Closed:
            return packets


@pytest.mark.normative(v5="3.1.4-1 4.13.1-1", v311="3.1.4-1 4.8.0-1")
@pytest.mark.parametrize("group", [BAD_CONNECTS, BAD_AFTER_CONNECT], ids=["connects", "later packets"])
def test_what_must_not_be_accepted_ends_the_connection(any_broker: MqttBroker, group: list[BadPacket]) -> None:
    versions = {Version.V3_1_1} if any_broker.kind is BrokerKind.NATS_SERVER else set(Version)
    cases = [case for case in group if case.version in versions]
    accepted = {case.name for case in cases if answers(any_broker, case) is None}
    known = ACCEPTED_BY[any_broker.kind] & {case.name for case in cases}
    # Newer mosquittos than the one that was looked at refuse more.
    assert accepted <= known if any_broker.kind is BrokerKind.MOSQUITTO else accepted == known


@pytest.mark.normative(v5="4.13.1-1 4.13.2-1")
def test_mqtt_5_is_told_why(broker: MqttBroker) -> None:
    """[MQTT-4.13.1-1], [MQTT-4.13.2-1]: if there is a word, it is a CONNACK or DISCONNECT that names a failure."""
    told: dict[str, str] = {}
    for case in BAD_CONNECTS + BAD_AFTER_CONNECT:
        if case.version is not Version.V5 or case.name in ACCEPTED_BY[broker.kind]:
            continue
        packets = answers(broker, case)
        assert packets is not None, case.name
        for packet in packets:
            assert isinstance(packet, Connack | Disconnect), (case.name, packet)
            assert packet.reason_code.is_failure, case.name
            if packet.reason_code is not case.reason_code:
                told[case.name] = packet.reason_code.name
    if broker.kind is BrokerKind.LEAFBOX:
        assert told == {}, "other reasons than the table's"


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, text, _ in BAD_HEADERS])
def test_a_bad_length_ends_the_connection_before_login(broker: MqttBroker, name: str, text: str) -> None:
    if broker.kind is BrokerKind.MOSQUITTO and name == "256 MiB announced":
        return  # It waits for the packet unless max_packet_size is set.
    with RawMqttClient(broker.port) as client:
        client.send_bytes(bytes.fromhex(text))
        assert client.until_closed() == []
