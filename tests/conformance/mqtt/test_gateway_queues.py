"""A client that stays away: what its full queue means for those who publish, for itself and for a person who looks."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from leafbox.protocol.mqtt.packets import Puback, Publish, Version
from leafbox.protocol.mqtt.properties import Properties
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from tests.support.mqtt_brokers import BrokerKind, MqttBroker
from tests.support.mqtt_client import RawMqttClient


def client(broker: MqttBroker, name: str, version: Version = Version.V3_1_1, *, clean: bool = True) -> RawMqttClient:
    made = RawMqttClient(broker.port, version)
    assert made.connect(name, clean=clean).reason_code is ReasonCode.SUCCESS
    return made


def answers(publisher: RawMqttClient, *payloads: bytes) -> list[ReasonCode]:
    codes = []
    for number, payload in enumerate(payloads, 1):
        publisher.send(Publish(b"q/x", payload, 1, packet_id=number))
        codes.append(publisher.expect(Puback).reason_code)
    return codes


def waiting(broker: MqttBroker, count: int) -> list[bytes]:
    """What the client gets that comes back, acknowledged."""
    back = client(broker, "away", clean=False)
    found = []
    for _ in range(count):
        message = back.expect(Publish)
        back.send(Puback(message.packet_id))
        found.append(message.payload)
    assert back.until_ping() == []
    back.disconnect()
    return found


@pytest.mark.capability("MQ06", "MQ12", "MQ15")
def test_a_full_queue_refuses_until_there_is_room(tmp_path: Path) -> None:
    """Nothing acknowledged is lost, over a restart too: MQTT 5 hears 0x97, MQTT 3 closes, the log names the session."""
    limits = "max_queued_messages: 3"
    with MqttBroker(BrokerKind.LEAFBOX, tmp_path, mqtt=limits) as broker:
        away = client(broker, "away", clean=False)
        away.subscribe("q/#", 1)
        away.disconnect()
        publisher = client(broker, "new", Version.V5)
        kept = answers(publisher, b"1", b"2", b"3", b"4")
        assert kept == [ReasonCode.SUCCESS] * 3 + [ReasonCode.QUOTA_EXCEEDED]
        old = client(broker, "old")
        old.send(Publish(b"q/x", b"5", 1, packet_id=9))
        assert old.until_closed() == []
        assert broker.server is not None
        broker.server.wait_for_log(r"queue of an MQTT session is full client_id='away' account=\$G messages=3")
        broker.restart(crash=True)
        publisher = client(broker, "new", Version.V5)
        assert answers(publisher, b"6") == [ReasonCode.QUOTA_EXCEEDED]
        assert waiting(broker, 3) == [b"1", b"2", b"3"]
        assert answers(publisher, b"7") == [ReasonCode.SUCCESS]
        assert waiting(broker, 1) == [b"7"]


@pytest.mark.capability("MQ06", "MQ12")
def test_a_queue_that_drops_its_oldest(tmp_path: Path) -> None:
    """Where that is configured; the policy and the limit can be changed while the server runs."""
    with MqttBroker(BrokerKind.LEAFBOX, tmp_path, mqtt="max_queued_messages: 2, when_queue_full: drop_old") as broker:
        away = client(broker, "away", clean=False)
        away.subscribe("q/#", 1)
        away.disconnect()
        publisher = client(broker, "new", Version.V5)
        assert answers(publisher, b"1", b"2", b"3") == [ReasonCode.SUCCESS] * 3
        server = broker.server
        assert server is not None
        text = server.config_path.read_text(encoding="utf-8")
        changed = text.replace("max_queued_messages: 2, when_queue_full: drop_old", "max_queued_messages: 3")
        assert changed != text
        server.config_path.write_text(changed, encoding="utf-8")
        seen = server.log_line_count
        server.send_signal(signal.SIGHUP)
        server.wait_for_log("Reloaded server configuration", after=seen)
        assert answers(publisher, b"4", b"5") == [ReasonCode.SUCCESS, ReasonCode.QUOTA_EXCEEDED]
        broker.restart(crash=True)
        assert waiting(broker, 3) == [b"2", b"3", b"4"]


@pytest.mark.capability("MQ06", "MQ14")
def test_queued_messages_keep_their_subscription_identifiers(tmp_path: Path) -> None:
    """[MQTT-3.3.4-3] over SIGKILL: one filter's, both filters' where they overlap, none where there is none."""
    kept = Properties(session_expiry_interval_s=3600)
    with MqttBroker(BrokerKind.LEAFBOX, tmp_path) as broker:
        away = RawMqttClient(broker.port, Version.V5)
        away.connect("away", clean=False, properties=kept)
        for topic_filter, identifier in (("i/#", 7), ("i/both", 200_000_000), ("plain", 0)):
            named = Properties(subscription_identifiers=(identifier,) if identifier else ())
            away.subscribe(topic_filter, 1, properties=named)
        away.disconnect()
        publisher = client(broker, "publisher")
        for number, topic in enumerate((b"i/one", b"i/both", b"plain"), 1):
            publisher.send(Publish(topic, b"x", 1, packet_id=number))
            publisher.expect(Puback)
        broker.restart(crash=True)
        back = RawMqttClient(broker.port, Version.V5)
        assert back.connect("away", clean=False, properties=kept).is_session_present
        found = [set(back.expect(Publish).properties.subscription_identifiers) for _ in range(3)]
        assert found == [{7}, {7, 200_000_000}, set()]
