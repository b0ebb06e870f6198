"""The main job, as a user does it: `leafbox run`, one `uplink add`, readings in, hub off for a while, all there.

Readings come as NATS and as MQTT (QoS 1) at the same time, and one device is mosquitto's own client.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.box import RunningBox, free_port
from tests.support.sensors import MqttSensors, Sensors, difference, payloads_of
from tests.support.servers import ServerKind, ServerProcess


class Mosquitto:
    """`mosquitto_pub`, a reading for each line of its input."""

    def __init__(self, port: int) -> None:
        self._process = subprocess.Popen(
            ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-t", "sensors/mosquitto", "-l"],
            stdin=subprocess.PIPE,
        )
        self.sent: list[bytes] = []

    def say(self, count: int) -> None:
        """So many readings more."""
        assert self._process.stdin is not None
        for _ in range(count):
            self.sent.append(b"mosquitto %d" % len(self.sent))
            self._process.stdin.write(self.sent[-1] + b"\n")
        self._process.stdin.flush()

    def finish(self) -> None:
        """Everything has been acknowledged when this returns."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(timeout=30) == 0


@pytest.mark.slow
@pytest.mark.capability("LF06", "LF12")
def test_readings_reach_the_hub_although_it_is_off_for_a_while(tmp_path: Path) -> None:
    port, client_port = free_port(), free_port()
    config = (
        f'server_name: hub\nleafnodes {{ listen: "127.0.0.1:{port}" }}\n'
        f'jetstream {{ store_dir: "{tmp_path / "store"}", domain: HUB }}\n'
    )
    hub = ServerProcess(ServerKind.REAL, tmp_path / "hub", "-p", str(client_port), config=config)
    with RunningBox(tmp_path / "box", mqtt_port=free_port()) as box:
        hub.start()
        added = box.command("uplink", "add", f"nats-leaf://127.0.0.1:{port}", "--forward", "sensors.>")
        assert added.returncode == 0, added.stderr
        mosquitto = Mosquitto(box.mqtt_port)
        with Sensors(box.url) as sensors, MqttSensors(box.mqtt_port) as devices:
            box.wait_uplink("flowing")
            mosquitto.say(50)
            time.sleep(1)
            hub.stop()
            down = box.wait_uplink("down")
            assert down["reasons"][0]["next_step"]
            mosquitto.say(50)
            time.sleep(3)
            hub.start()
            box.wait_uplink("flowing")
            mosquitto.say(50)
            for publisher in (sensors, devices):
                publisher.wait(100)
                publisher.stop()
            mosquitto.finish()
        drained = box.command("uplink", "drain", "--timeout", "60")
        assert drained.returncode == 0, drained.stdout + drained.stderr
        found = asyncio.run(payloads_of(f"nats://127.0.0.1:{client_port}", "sensors"))
        by_device = {
            start: [payload for payload in found if payload.startswith(start)]
            for start in (b"reading ", b"mqtt reading ", b"mosquitto ")
        }
        for publisher, start in ((sensors, b"reading "), (devices, b"mqtt reading ")):
            assert not difference(by_device[start], publisher)
        assert by_device[b"mosquitto "] == mosquitto.sent
        assert sum(map(len, by_device.values())) == len(found)
        (outage,) = box.ask("uplink.outages")["outages"]
        assert outage["queued"] > 0
        assert (outage["delivered"], outage["lost"]) == (outage["queued"], 0)
    hub.stop()
