"""People and the gateway's sessions: seen and removed through the control channel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leafbox.protocol.mqtt.packets import Disconnect, Version, Will
from leafbox.protocol.mqtt.properties import Properties
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from tests.support.box import RunningBox, free_port
from tests.support.mqtt_client import RawMqttClient

Opened = Callable[[RawMqttClient], RawMqttClient]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Remembers a client and closes it at the end."""
    clients: list[RawMqttClient] = []

    def remember(client: RawMqttClient) -> RawMqttClient:
        clients.append(client)
        return client

    yield remember
    for client in clients:
        client.close()


@pytest.mark.capability("MQ15")
def test_people_see_sessions_and_remove_them(tmp_path: Path, opened: Opened) -> None:
    """`mqtt.sessions` and `mqtt.delete` on the control channel: removing says goodbye to a client that is there."""
    config, port = tmp_path / "box.conf", free_port()
    config.write_text(
        f'listen: "127.0.0.1:{free_port()}"\nserver_name: edge\njetstream: enabled\n'
        f'mqtt {{ listen: "127.0.0.1:{port}" }}\n',
        encoding="utf-8",
    )
    with RunningBox(tmp_path, "--config", str(config)) as box:
        kept = Properties(session_expiry_interval_s=600)
        away = opened(RawMqttClient(port, Version.V5))
        away.connect("away", clean=False, properties=kept)
        away.subscribe("q/#", 1)
        away.disconnect()
        here = opened(RawMqttClient(port, Version.V5))
        here.connect("here", clean=False, properties=kept, will=Will(b"q/will", b"gone", 1))
        here.publish("q/a", b"1", 1)
        here.publish("q/a", b"2", 1)
        found = {each["client_id"]: each for each in box.ask("mqtt.sessions")["sessions"]}
        assert set(found) == {"away", "here"}
        assert (found["away"]["is_connected"], found["away"]["queued"], found["away"]["filters"]) == (False, 2, 1)
        assert (found["here"]["is_connected"], found["here"]["version"]) == (True, 5)
        assert [each["client_id"] for each in box.ask("mqtt.sessions", offset=1)["sessions"]] == ["here"]
        account = found["away"]["account"]
        watcher = opened(RawMqttClient(port))
        watcher.connect("watcher")
        watcher.subscribe("q/will", 1)
        box.ask("mqtt.delete", account=account, client_id="here")
        [said] = here.until_closed()
        assert isinstance(said, Disconnect)
        assert said.reason_code is ReasonCode.ADMINISTRATIVE_ACTION
        # The session ended, and with it the wait of its will [MQTT-3.1.2-8].
        assert watcher.receive_message().payload == b"gone"
        assert box.ask("mqtt.delete", account=account, client_id="away")["dropped_messages"] >= 2
        assert [each["client_id"] for each in box.ask("mqtt.sessions")["sessions"]] == ["watcher"]
        for name in ("away", "here"):
            back = opened(RawMqttClient(port, Version.V5))
            assert not back.connect(name, clean=False, properties=kept).is_session_present
            assert back.until_ping() == []
