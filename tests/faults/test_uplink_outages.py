"""Store and forward through everything a line, a hub and a power supply can do: nothing lost, nothing twice, in order.

Each run is drawn from its seed: sensors publish (in every second run MQTT with QoS 1) into a box whose uplink goes over
a bad line to a real nats-server, while faults follow one another. At the end the hub's stream must be what was
acknowledged at the edge.

The hub syncs always: it is killed too, and what it acknowledged has left the box. (What a hub that does not sync loses
then is not on the box any more; `test_a_hub_that_loses_what_it_acknowledged` shows that this is told.)

LEAFBOX_UPLINK_SEEDS=100 runs more seeds, LEAFBOX_UPLINK_FIRST=7 begins with another; a failure names its seed.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import time
from pathlib import Path

import pytest

from tests.conformance.leaf.pairs import eventually
from tests.support.box import RunningBox, free_port
from tests.support.faulty_line import FaultyLine
from tests.support.sensors import MqttSensors, Sensors, difference, nats_client, payloads_of
from tests.support.servers import ServerKind, ServerProcess

FIRST = int(os.environ.get("LEAFBOX_UPLINK_FIRST", "1"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("LEAFBOX_UPLINK_SEEDS", "3")))
EVENTS = 5
READINGS_MIN = 100
DRAIN_TIMEOUT_S = 150.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


class Site:
    """A hub, a bad line, a box with one uplink over it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.leaf_port, self.client_port = free_port(), free_port()
        config = (
            # Its own address is kept from the box: the bad line is the only way.
            f'server_name: hub\nleafnodes {{ listen: "127.0.0.1:{self.leaf_port}", no_advertise: true }}\n'
            f'jetstream {{ store_dir: "{folder / "hub"}", domain: HUB, sync_interval: always }}\n'
        )
        self.hub = ServerProcess(ServerKind.REAL, folder / "hub-home", "-p", str(self.client_port), config=config)
        self.line = FaultyLine(self.leaf_port)
        self.box = RunningBox(folder / "box", mqtt_port=free_port())
        self.events: list[str] = []

    def start(self) -> None:
        self.hub.start()
        self.box.start()
        self.box.ask(
            "uplink.add", url=f"nats-leaf://127.0.0.1:{self.line.port}", forwards=[{"subjects": ["sensors.>"]}]
        )

    def close(self) -> None:
        self.box.stop()
        self.line.__exit__()
        if self.hub.is_running:
            self.hub.stop()

    def disturb(self) -> None:
        """One fault, and its end."""
        faults = (
            [self._cut] * 3 + [self._refuse] * 2 + [self._stall] * 2 + [self._throttle] * 2
            + [self._half_open] + [self._reorder] + [self._restart_hub] + [self._kill_hub] * 2 + [self._kill_box] * 3
        )  # fmt: skip
        fault = self.random.choice(faults)
        self.events.append(fault.__name__)
        fault()
        time.sleep(self.random.uniform(0.1, 1.5))

    def _cut(self) -> None:
        for _ in range(self.random.randint(1, 3)):
            self.line.cut()
            time.sleep(self.random.uniform(0, 0.4))

    def _refuse(self) -> None:
        self.line.refuse()
        time.sleep(self.random.uniform(0.2, 2.0))
        self.line.heal()

    def _stall(self) -> None:
        self.line.stall()
        time.sleep(self.random.uniform(0.2, 3.0))
        self.line.heal()

    def _throttle(self) -> None:
        self.line.bytes_per_second = self.random.randint(5_000, 50_000)
        self.line.connect_delay_s = self.random.uniform(0, 0.5)
        time.sleep(self.random.uniform(0.5, 2.0))
        self.line.heal()

    def _half_open(self) -> None:
        self.line.half_open()
        time.sleep(self.random.uniform(0.2, 2.0))
        if self.random.random() < 0.7:
            # Most half-open lines end otherwise before the watchdog would find them.
            self.box.ask("uplink.pause")
            self.box.ask("uplink.resume")

    def _reorder(self) -> None:
        """The box gives up a connection whose answer does not come and dials again; then the old one is heard."""
        self.line.reorder()
        self.line.cut()
        time.sleep(self.random.uniform(3.0, 5.0))
        self.line.heal()

    def _kill_hub(self) -> None:
        self.hub.kill()
        time.sleep(self.random.uniform(0.0, 1.5))
        self.hub.start()

    def _restart_hub(self) -> None:
        self.hub.stop()
        time.sleep(self.random.uniform(0.0, 1.5))
        self.hub.start()

    def _kill_box(self) -> None:
        self.box.kill()
        time.sleep(self.random.uniform(0.0, 0.5))
        self.box.start()

    def wait_drained(self, stored: int) -> dict[str, object]:
        """Until nothing waits any more; the status, which is a moment old, must know of so many stored here."""
        deadline = time.monotonic() + DRAIN_TIMEOUT_S
        while True:
            status = self.box.uplink()
            known = max((forward["stored_here_seq"] for forward in status["forwards"]), default=0)
            if known >= stored and not status["queued"] and status["condition"] == "flowing":
                return status
            assert time.monotonic() < deadline, f"{self.events}: not drained: {status}\n{self.box.log[-3000:]}"
            time.sleep(0.1)


@pytest.mark.capability("LF06", "LF12", "AP07")
@pytest.mark.parametrize("seed", SEEDS)
def test_the_hub_has_what_was_acknowledged_whatever_happens(seed: int, tmp_path: Path) -> None:
    site = Site(tmp_path, seed)
    try:
        site.start()
        with Sensors(site.box.url) if seed % 2 else MqttSensors(site.box.mqtt_port) as sensors:
            time.sleep(0.5)
            for _ in range(EVENTS):
                site.disturb()
            sensors.wait(READINGS_MIN)
            sensors.stop()
        site.line.heal()
        site.wait_drained(len(sensors.acknowledged))
        found = asyncio.run(payloads_of(f"nats://127.0.0.1:{site.client_port}", "sensors"))
        assert not (wrong := difference(found, sensors)), f"seed {seed}, {site.events}: {wrong}"
        outages = site.box.ask("uplink.outages")["outages"]
        assert all(outage["lost"] == 0 for outage in outages), f"seed {seed}: {outages}"
    finally:
        site.close()


def test_a_hub_that_loses_what_it_acknowledged_is_told_of(tmp_path: Path) -> None:
    """As a crash before its next sync does it, or a backup put back. The box has deleted them: it can only say so."""
    site = Site(tmp_path, 0)
    store, copy = tmp_path / "hub", tmp_path / "copy"
    url = f"nats://127.0.0.1:{site.client_port}"

    def publish(numbers: range) -> None:
        async def run() -> None:
            client = await nats_client(site.box.url)
            for number in numbers:
                await client.jetstream().publish("sensors.x", b"%d" % number)
            await client.close()

        asyncio.run(run())
        site.wait_drained(numbers.stop)

    try:
        site.start()
        site.box.wait_uplink("flowing")
        publish(range(10))
        site.hub.stop()
        shutil.copytree(store, copy)
        site.hub.start()
        publish(range(10, 16))
        site.hub.kill()
        shutil.rmtree(store)
        copy.rename(store)
        site.hub.start()
        publish(range(16, 20))
        assert asyncio.run(payloads_of(url, "sensors")) == [b"%d" % number for number in (*range(10), *range(16, 20))]

        def lost() -> list[int]:
            return [each["lost"] for each in site.box.ask("uplink.outages")["outages"] if each["reason"] == "hub_lost"]

        eventually(lambda: lost() == [6], "six are told")
        assert site.box.uplink()["lost"] == 6
        shown = site.box.command("uplink", "status").stdout
        assert "6 messages are lost" in shown
        # A box that starts again is asked anew; that makes no other row.
        site.box.kill()
        site.box.start()
        site.box.wait_uplink("flowing")
        assert lost() == [6]
    finally:
        site.close()
