"""An account loses JetStream by a reload and has it again: its sessions wait meanwhile, with all their messages."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from leafbox.protocol.mqtt.packets import Publish, Version
from tests.support.mqtt_client import Closed, RawMqttClient
from tests.support.servers import ServerKind, ServerProcess

CONFIG = """
server_name: edge
jetstream {{ store_dir: "{directory}" }}
mqtt {{ listen: "127.0.0.1:-1" }}
accounts {{
  A {{ users: [{{user: a, password: a}}]{jetstream} }}
  B {{ users: [{{user: b, password: b}}], jetstream: enabled }}
}}
no_auth_user: a
"""
ENABLED = ", jetstream: enabled"


def configure(server: ServerProcess, tmp_path: Path, jetstream: str) -> str:
    server.config = CONFIG.format(directory=tmp_path / "store", jetstream=jetstream)
    return server.config


def reload(server: ServerProcess, tmp_path: Path, jetstream: str) -> None:
    server.config_path.write_text(configure(server, tmp_path, jetstream), encoding="utf-8")
    seen = server.log_line_count
    server.send_signal(signal.SIGHUP)
    server.wait_for_log("Reloaded server configuration", after=seen)


def client(server: ServerProcess, name: str, *, clean: bool = True) -> RawMqttClient:
    opened = RawMqttClient(server.port("mqtt"), Version.V3_1_1)
    opened.connect(name, clean=clean)
    return opened


def publish(server: ServerProcess, payload: bytes) -> None:
    publisher = client(server, "publisher")
    publisher.publish("q/a", payload, 1)
    publisher.disconnect()


@pytest.mark.capability("MQ06", "CF07")
@pytest.mark.parametrize("crashes", [False, True])
def test_sessions_wait_while_their_account_has_no_jetstream(crashes: bool, tmp_path: Path) -> None:
    server = ServerProcess(ServerKind.LEAFBOX, tmp_path / "server")
    configure(server, tmp_path, ENABLED)
    with server:
        away = client(server, "away", clean=False)
        away.subscribe("q/#", 1)
        away.disconnect()
        here = client(server, "here", clean=False)
        here.subscribe("q/#", 1)
        publish(server, b"1")
        assert here.expect(Publish).payload == b"1"
        reload(server, tmp_path, "")
        with pytest.raises(Closed):
            here.publish("q/a", b"refused", 1)
        with pytest.raises((Closed, AssertionError)):
            publish(server, b"refused")
        if crashes:
            server.restart(crash=True)
        reload(server, tmp_path, ENABLED)
        publish(server, b"2")
        if crashes:
            server.restart(crash=True)
        for name in ("away", "here"):
            back = RawMqttClient(server.port("mqtt"), Version.V3_1_1)
            assert back.connect(name, clean=False).is_session_present
            # What was not acknowledged comes again.
            assert [back.expect(Publish).payload for _ in range(2)] == [b"1", b"2"]
