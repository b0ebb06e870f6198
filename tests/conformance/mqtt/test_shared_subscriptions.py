"""Shared subscriptions of MQTT 5, section 4.8.2: on mosquitto, which shows the tests right, and on ours."""

from __future__ import annotations

import pytest

from leafbox.protocol.mqtt.packets import Packet, Puback, Pubcomp, Publish, Pubrec, Pubrel, Version
from leafbox.protocol.mqtt.properties import NO_PROPERTIES, SESSION_NEVER_EXPIRES_S, Properties
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from tests.support.mqtt_brokers import MqttBroker
from tests.support.mqtt_client import RawMqttClient

pytestmark = pytest.mark.capability("AP43", "MQ16")

KEPT = Properties(session_expiry_interval_s=SESSION_NEVER_EXPIRES_S)


def client(broker: MqttBroker, client_id: str = "", *, keep: bool = False, is_present: bool = False) -> RawMqttClient:
    """A client that is in."""
    entered = RawMqttClient(broker.port, Version.V5, timeout_s=20)
    answer = entered.connect(client_id, clean=not keep, properties=KEPT if keep else NO_PROPERTIES)
    assert (answer.reason_code, answer.is_session_present) == (ReasonCode.SUCCESS, is_present)
    return entered


def messages(packets: list[Packet]) -> list[Publish]:
    return [packet for packet in packets if isinstance(packet, Publish)]


def members(broker: MqttBroker, name: str, *levels: int) -> list[RawMqttClient]:
    """Clients with kept sessions that share `NAME/#` at these QoS."""
    found = []
    for number, qos in enumerate(levels):
        member = client(broker, f"{name}-{number}", keep=True)
        assert member.subscribe(f"$share/g/{name}/#", qos) == qos
        found.append(member)
    return found


@pytest.mark.normative(v5="4.8.2-3")
def test_each_member_gets_its_own_qos(broker: MqttBroker, name: str) -> None:
    low, high = members(broker, name, 0, 1)
    writer = client(broker)
    for number in range(20):
        writer.publish(f"{name}/x", b"%d" % number, 1)
    got = [messages(each.until_ping()) for each in (low, high)]
    assert {packet.qos for packet in got[0]} <= {0}
    assert {packet.qos for packet in got[1]} <= {1}
    assert sorted(int(packet.payload) for packets in got for packet in packets) == list(range(20))


@pytest.mark.normative(v5="4.8.2-4 4.8.2-5")
@pytest.mark.parametrize("comes_back", [True, False])
def test_qos_2_that_a_member_began_stays_with_it(broker: MqttBroker, name: str, comes_back: bool) -> None:
    both = members(broker, name, 2, 2)
    writer = client(broker)
    writer.publish(f"{name}/x", b"one", 2)
    held = [messages(each.until_ping()) for each in both]
    owner = 0 if held[0] else 1
    [message] = held[owner]
    assert held[1 - owner] == []
    both[owner].send(Pubrec(message.packet_id))
    both[owner].expect(Pubrel)
    both[owner].close()
    if comes_back:
        back = client(broker, f"{name}-{owner}", keep=True, is_present=True)
        assert back.expect(Pubrel).packet_id == message.packet_id
        back.send(Pubcomp(message.packet_id))
    else:
        client(broker, f"{name}-{owner}").disconnect()
    assert both[1 - owner].until_ping() == []


@pytest.mark.normative(v5="4.8.2-6")
def test_what_a_member_refuses_goes_to_nobody_else(broker: MqttBroker, name: str) -> None:
    both = members(broker, name, 1, 1)
    writer = client(broker)
    writer.publish(f"{name}/x", b"one", 1)
    held = [messages(each.until_ping()) for each in both]
    owner = 0 if held[0] else 1
    both[owner].send(Puback(held[owner][0].packet_id, ReasonCode.NOT_AUTHORIZED))
    both[owner].disconnect()
    assert both[1 - owner].until_ping() == []
    assert client(broker, f"{name}-{owner}", keep=True, is_present=True).until_ping() == []
