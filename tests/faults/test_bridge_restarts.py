"""Bridges while the other broker restarts at random: both directions complete and in order.

Each seed draws when mosquitto goes down and for how long, while readings go out and commands come in. It stops orderly,
because a killed mosquitto forgets what it acknowledged. Repetitions are allowed (at least once), losses and a first
arrival out of order are not.

LEAFBOX_BRIDGE_SEEDS=20 runs it, LEAFBOX_BRIDGE_FIRST=7 begins with another seed, LEAFBOX_BRIDGE_CLIENTS=own,amqtt
takes both clients; a failure names its seed. Not by default: on a machine that is very short of processor time (load
above ten on two cores) about one run in twenty did not come to its end, and why is not known.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from pathlib import Path

import msgspec
import nats
import pytest

from leafbox.app.control_client import ask
from leafbox.mqtt.bridge.rules import BridgeOptions, ClientKind, TopicRule
from leafbox.protocol.mqtt.packets import Version
from tests.e2e.test_bridge import KEPT, PATIENCE_S
from tests.e2e.test_run import running
from tests.support.mqtt_brokers import BrokerKind, MqttBroker
from tests.support.mqtt_client import Closed, RawMqttClient

FIRST = int(os.environ.get("LEAFBOX_BRIDGE_FIRST", "1"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("LEAFBOX_BRIDGE_SEEDS", "0")))
RESTARTS = 4
CLIENTS = tuple(os.environ.get("LEAFBOX_BRIDGE_CLIENTS", "own").split(","))
READING_EVERY_S = 0.01
READINGS_MIN = 100
COMMANDS_MIN = 10

pytestmark = [pytest.mark.capability("AP42"), pytest.mark.slow, pytest.mark.timeout(400)]


class Readings(threading.Thread):
    """Publishes on NATS for each bridge in turn, acknowledged by its stream, until told to end."""

    def __init__(self, url: str) -> None:
        super().__init__(name="readings")
        self._url = url
        self.is_over = False
        self.count = 0

    def run(self) -> None:
        asyncio.run(self._publish())

    async def _publish(self) -> None:
        async with await nats.connect(self._url) as client:
            stream = client.jetstream()
            while not self.is_over:
                for name in CLIENTS:
                    await stream.publish(f"{name}.out", b"%d" % self.count)
                self.count += 1
                await asyncio.sleep(READING_EVERY_S)


class Commands(threading.Thread):
    """Publishes at the other broker with QoS 1, each until it is acknowledged, until told to end."""

    def __init__(self, port: int) -> None:
        super().__init__(name="commands")
        self._port = port
        self.is_over = False
        self.count = 0

    def run(self) -> None:
        client: RawMqttClient | None = None
        while not self.is_over:
            try:
                if client is None:
                    client = RawMqttClient(self._port)
                    client.connect("commands", keep_alive_s=0)
                for name in CLIENTS:
                    client.publish(f"{name}/in", b"%d" % self.count, 1)
                self.count += 1
                time.sleep(READING_EVERY_S)
            except (OSError, Closed):
                if client is not None:
                    client.close()
                client = None
                time.sleep(0.05)
        if client is not None:
            client.close()


def arrived(url: str, name: str, last: bytes) -> list[bytes]:
    """What the bridge brought in, without repetitions, once the last of it is there."""

    async def run() -> list[bytes]:
        async with await nats.connect(url) as client:
            subscription = await client.jetstream().subscribe(f"{name}.in", ordered_consumer=True)
            found: dict[bytes, None] = {}
            while last not in found:
                found[(await subscription.next_msg(PATIENCE_S)).data] = None
            return list(found)

    return asyncio.run(run())


def run_seed(tmp_path: Path, seed: int) -> None:
    """One broker that restarts at random."""
    chance = random.Random(seed)
    box = tmp_path / "box"
    box.mkdir()
    with MqttBroker(BrokerKind.MOSQUITTO, tmp_path / "other", "max_queued_messages 0\n") as other, running(box) as url:
        # Its session waits at the other broker for all that goes out.
        with RawMqttClient(other.port, Version.V5) as reader:
            reader.connect("reader", clean=False, properties=KEPT)
            for name in CLIENTS:
                reader.subscribe(f"{name}/out", 1)
            reader.disconnect()
        for name in CLIENTS:
            url_there = f"mqtt://127.0.0.1:{other.port}"
            rules = (TopicRule(f"{name}/out"),), (TopicRule(f"{name}/in"),)
            bridge = BridgeOptions(name, url_there, *rules, version=Version.V3_1_1, client=ClientKind(name))
            ask(box / "data", "bridge.add", msgspec.to_builtins(bridge), PATIENCE_S)
        wait_flowing(box)
        readings, commands = Readings(url), Commands(other.port)
        readings.start()
        commands.start()
        try:
            for _ in range(RESTARTS):
                time.sleep(chance.uniform(0, 2))
                other.stop()
                time.sleep(chance.uniform(0, 1.5))
                other.start()
            deadline = time.monotonic() + PATIENCE_S
            while readings.count < READINGS_MIN or commands.count < COMMANDS_MIN:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        finally:
            readings.is_over = commands.is_over = True
            readings.join(PATIENCE_S)
            commands.join(PATIENCE_S)
        assert not readings.is_alive()
        assert not commands.is_alive()
        for name in CLIENTS:
            expected = [b"%d" % number for number in range(commands.count)]
            assert arrived(url, name, expected[-1]) == expected, (name, "in", seed)
        wait_flowing(box)
        with RawMqttClient(other.port, Version.V5) as reader:
            reader.connect("reader", clean=False, keep_alive_s=0, properties=KEPT)
            for name in CLIENTS:
                publish_last(url, name)
            got: dict[bytes, dict[bytes, None]] = {name.encode(): {} for name in CLIENTS}
            while not all(b"last" in each for each in got.values()):
                message = reader.receive_message(PATIENCE_S)
                got[message.topic.partition(b"/")[0]][message.payload] = None
        expected = [*(b"%d" % number for number in range(readings.count)), b"last"]
        for name in CLIENTS:
            assert list(got[name.encode()]) == expected, (name, "out", seed)


def publish_last(url: str, name: str) -> None:
    async def run() -> None:
        async with await nats.connect(url) as client:
            await client.jetstream().publish(f"{name}.out", b"last")

    asyncio.run(run())


def wait_flowing(folder: Path) -> None:
    """Until all bridges are connected."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = ask(folder / "data", "bridge.list", timeout_s=PATIENCE_S)["bridges"]
        if isinstance(found, list) and [each["state"] for each in found if isinstance(each, dict)] == ["flowing"] * len(
            CLIENTS
        ):
            return
        assert time.monotonic() < deadline, found
        time.sleep(0.3)


if SEEDS:

    @pytest.mark.parametrize("seed", SEEDS)
    def test_a_broker_that_restarts_at_random(tmp_path: Path, seed: int) -> None:
        run_seed(tmp_path, seed)
