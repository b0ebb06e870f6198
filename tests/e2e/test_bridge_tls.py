"""Bridges over TLS to a mosquitto that wants a client certificate: what is missing is said, with it messages flow."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography.x509.oid import NameOID

from leafbox.protocol.mqtt.packets import Version
from tests.e2e.test_bridge import command, publish, received, stored, wait_state
from tests.e2e.test_run import running
from tests.support.certificates import TestAuthority
from tests.support.mqtt_brokers import BrokerKind, MqttBroker
from tests.support.mqtt_client import RawMqttClient

pytestmark = [pytest.mark.capability("AP42"), pytest.mark.slow, pytest.mark.timeout(300)]


def add(box: Path, name: str, port: int, *arguments: object) -> None:
    url = f"mqtts://localhost:{port}"
    done = command(box, "bridge", "add", name, url, *map(str, arguments))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("client", "version"), [("own", "5"), ("amqtt", "3.1.1")])
def test_authority_and_client_certificate(tmp_path: Path, client: str, version: str) -> None:
    box = tmp_path / "box"
    box.mkdir()
    authority, stranger = TestAuthority(tmp_path), TestAuthority(tmp_path / "box", "stranger")
    server, ours = authority.issue_server(), authority.issue("site7", subject=[(NameOID.COMMON_NAME, "site7")])
    config = (
        f"cafile {authority.ca_file}\ncertfile {server.cert_file}\nkeyfile {server.key_file}\n"
        "require_certificate true\nuse_identity_as_username true\n"
    )
    who = ("--client", client, "--version", version)
    with MqttBroker(BrokerKind.MOSQUITTO, tmp_path / "other", config) as other, running(box) as url:
        # An authority that did not sign the broker's certificate, then no certificate of our own.
        for arguments in (("--ca", stranger.ca_file), ("--ca", authority.ca_file)):
            add(box, "site", other.port, "--out", "up/#", *who, *arguments)
            # In TLS 1.3 the broker judges us after the handshake, so we may see no more than a connection that closes.
            late = ("closed", "refused", "timeout") if arguments[1] == authority.ca_file else ()
            assert wait_state(box, "tls", *late)["severity"] == "warning"
            assert command(box, "bridge", "rm", "site").returncode == 0
        files = ("--ca", authority.ca_file, "--cert", ours.cert_file, "--key", ours.key_file)
        add(box, "site", other.port, "--out", "up/#:2", "--in", "down/#", "--remote-prefix", "far/", *who, *files)
        wait_state(box, "flowing")
        context = ssl.create_default_context(cafile=str(authority.ca_file))
        context.load_cert_chain(ours.cert_file, ours.key_file)
        reader = RawMqttClient(other.port, Version.V5, tls=context)
        reader.connect("reader")
        reader.subscribe("far/up/#", 2)
        publish(url, "up.a", [b"1", b"2"])
        assert received(reader, b"2") == [(b"far/up/a", b"1"), (b"far/up/a", b"2")]
        reader.publish("far/down/a", b"back", 1)
        assert stored(url, "BRIDGE_site_IN", 1) == [("down.a", b"back")]
        reader.close()
