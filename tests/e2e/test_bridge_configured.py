"""Bridges that stand in the configuration: they run, a reload changes them, commands leave them alone."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from leafbox.protocol.mqtt.packets import Version
from tests.e2e.test_bridge import LEAFBOX, command, publish, received, wait_state
from tests.support.mqtt_brokers import BrokerKind, MqttBroker
from tests.support.mqtt_client import RawMqttClient

pytestmark = [pytest.mark.capability("AP42", "CF01"), pytest.mark.slow, pytest.mark.timeout(300)]

BASE = 'host: 127.0.0.1\nport: -1\nserver_name: box\njetstream { store_dir: "data/jetstream" }\n'


@contextmanager
def configured(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The box with `leafbox.conf` of this folder."""
    with subprocess.Popen(
        [LEAFBOX, "run", "--config", "leafbox.conf", "--no-web"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = ""
        try:
            for line in process.stdout:
                said += line
                if found := re.match(r"  \S.*(nats://\S+)", line):
                    yield found[1], process
                    break
            else:
                raise AssertionError(said)
        finally:
            process.send_signal(signal.SIGINT)
            said += process.stdout.read()
        assert process.wait(30) == 0, said


def test_configured_bridges_run_and_are_reloaded(tmp_path: Path) -> None:
    file = tmp_path / "leafbox.conf"
    with MqttBroker(BrokerKind.MOSQUITTO, tmp_path / "other") as other:
        # There is none at first: the process of bridges starts with the first that a reload brings.
        file.write_text(BASE)
        with configured(tmp_path) as (url, process):
            assert command(tmp_path, "bridge", "ls").stdout == ""
            site = f'site {{ url: "mqtt://127.0.0.1:{other.port}", out: "s/#", remote_prefix: "far/" }}'
            file.write_text(f"{BASE}bridges {{ {site} }}\n")
            process.send_signal(signal.SIGHUP)
            wait_listed(tmp_path, 1)
            assert wait_state(tmp_path, "flowing")["origin"] == "configuration"
            reader = RawMqttClient(other.port, Version.V5)
            reader.connect("reader")
            reader.subscribe("far/#", 1)
            publish(url, "s.a", [b"x"])
            assert received(reader, b"x") == [(b"far/s/a", b"x")]
            reader.close()
            refused = command(tmp_path, "bridge", "rm", "site")
            assert (refused.returncode, "configuration" in refused.stderr) == (1, True), refused.stderr
            again = command(tmp_path, "bridge", "add", "site", f"mqtt://127.0.0.1:{other.port}", "--out", "t/#")
            assert again.returncode == 1
            file.write_text(BASE)
            process.send_signal(signal.SIGHUP)
            wait_listed(tmp_path, 0)


def wait_listed(folder: Path, count: int) -> None:
    """Until so many bridges are listed; each look takes a while."""
    for _ in range(100):
        listed = json.loads(command(folder, "bridge", "ls", "--json").stdout)["bridges"]
        if len(listed) == count:
            return
    raise AssertionError(listed)
