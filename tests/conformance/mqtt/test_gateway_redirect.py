"""Clients that are sent to another server: in lame duck mode, for now, for good (MQTT 5 section 4.11)."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from leafbox.protocol.mqtt.packets import Connack, Disconnect, Version
from leafbox.protocol.mqtt.properties import Properties
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from tests.support.mqtt_brokers import BrokerKind, MqttBroker
from tests.support.mqtt_client import RawMqttClient

REFERENCE = "other.example:1883"
TOLD = Properties(server_reference=REFERENCE)


def client(broker: MqttBroker, version: Version = Version.V5) -> RawMqttClient:
    return RawMqttClient(broker.port, version, timeout_s=30)


@pytest.mark.capability("MQ14")
@pytest.mark.parametrize(
    ("redirect", "code"), [("another", ReasonCode.USE_ANOTHER_SERVER), ("moved", ReasonCode.SERVER_MOVED)]
)
def test_a_reload_sends_everybody_elsewhere(tmp_path: Path, redirect: str, code: ReasonCode) -> None:
    """Who is here gets DISCONNECT, who comes CONNACK, both with the reference; MQTT 3 hears "unavailable"."""
    stays = f'server_reference: "{REFERENCE}"'
    with MqttBroker(BrokerKind.LEAFBOX, tmp_path, mqtt=stays) as broker:
        here, old = client(broker), client(broker, Version.V3_1_1)
        assert here.connect("here").reason_code is ReasonCode.SUCCESS
        assert old.connect("old").reason_code is ReasonCode.SUCCESS
        server = broker.server
        assert server is not None
        text = server.config_path.read_text(encoding="utf-8")
        server.config_path.write_text(text.replace(stays, f"{stays}, redirect: {redirect}"), encoding="utf-8")
        server.send_signal(signal.SIGHUP)
        assert here.until_closed() == [Disconnect(code, TOLD)]
        assert old.until_closed() == []
        new = client(broker)
        assert new.connect("new") == Connack(code, properties=TOLD)
        assert new.until_closed() == []
        assert client(broker, Version.V3_1_1).connect("new").reason_code is ReasonCode.SERVER_UNAVAILABLE


@pytest.mark.capability("MQ14")
@pytest.mark.parametrize("has_reference", [True, False])
def test_a_lame_duck_sends_its_clients_away(tmp_path: Path, has_reference: bool) -> None:
    mqtt = f'server_reference: "{REFERENCE}"' if has_reference else ""
    timing = 'lame_duck_duration: "30s"\nlame_duck_grace_period: "1s"\n'
    with MqttBroker(BrokerKind.LEAFBOX, tmp_path, timing, mqtt) as broker:
        here = client(broker)
        assert here.connect("here").reason_code is ReasonCode.SUCCESS
        assert broker.server is not None
        broker.server.send_signal(signal.SIGUSR2)
        said = (
            Disconnect(ReasonCode.USE_ANOTHER_SERVER, TOLD)
            if has_reference
            else Disconnect(ReasonCode.SERVER_SHUTTING_DOWN)
        )
        assert here.until_closed() == [said]
