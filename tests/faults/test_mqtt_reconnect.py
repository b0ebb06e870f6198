"""The power comes back at a site: everything with an MQTT client connects at the same moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from leafbox.protocol.mqtt.packets import (
    Connect,
    Packet,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Subscription,
    Version,
    Will,
)
from leafbox.protocol.mqtt.properties import NO_PROPERTIES, Properties
from tests.faults.mqtt_load import Link
from tests.support.servers import ServerKind, ServerProcess

SENSORS = 200
SERVED_LIMIT_S = 60.0
"""On a machine with far too much to do; on an idle one it takes well under a second."""
CONFIG = """
server_name: site
jetstream {{ store_dir: "{store}" }}
mqtt {{ listen: "127.0.0.1:-1" }}
"""


class Sensor:
    """A device as it comes out of the box: own session, will, one subscription, a retained state, readings."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.version = (Version.V3_1_1, Version.V5)[number % 2]
        self.link: Link | None = None
        self.commands: list[bytes] = []

    async def start(self, port: int, *, is_first: bool) -> float:
        """Connect, subscribe, say hello and send a reading; how long it took."""
        begun = time.monotonic()
        name, kept = f"sensor{self.number}", NO_PROPERTIES
        if self.version is Version.V5:
            kept = Properties(session_expiry_interval_s=3600)
        will = Will(f"state/{name}".encode(), b"offline", 1, is_retained=True)
        self.link, connack, more = await Link.open(
            port, Connect(name, self.version, is_clean=False, keep_alive_s=60, will=will, properties=kept)
        )
        assert connack.is_session_present is not is_first
        self.link.send(Subscribe(1, (Subscription(f"command/{name}/#".encode(), 1),)))
        self.link.send(Publish(f"state/{name}".encode(), b"online", 1, is_retained=True, packet_id=2))
        self.link.send(Publish(f"reading/{name}".encode(), b"21.5", 1, packet_id=3))
        await self.until(more, is_done=lambda seen: {Suback, (Puback, 2), (Puback, 3)} <= seen)
        return time.monotonic() - begun

    async def until(self, packets: list[Packet], is_done: Callable[[set[object]], bool]) -> None:
        """Take packets until enough was seen."""
        seen: set[object] = set()
        assert self.link is not None
        while True:
            for packet in packets:
                if isinstance(packet, Suback):
                    seen.add(Suback)
                elif isinstance(packet, Puback):
                    seen.add((Puback, packet.packet_id))
                elif isinstance(packet, Publish):
                    self.commands.append(packet.payload)
                    self.link.send(Puback(packet.packet_id))
            if is_done(seen):
                return
            packets = await self.link.receive()

    async def until_commands(self, count: int) -> None:
        if len(self.commands) < count:
            await self.until([], is_done=lambda seen: len(self.commands) >= count)


async def publish(port: int, topic_of: str, payload: bytes) -> None:
    """One command for each sensor, acknowledged."""
    link, _, _ = await Link.open(port, Connect("control", Version.V3_1_1))
    try:
        for number in range(SENSORS):
            link.send(Publish(topic_of.format(number).encode(), payload, 1, packet_id=number + 1))
        acknowledged = 0
        while acknowledged < SENSORS:
            acknowledged += sum(isinstance(packet, Puback) for packet in await link.receive())
    finally:
        await ended(link)


async def all_start(sensors: list[Sensor], port: int, *, is_first: bool) -> tuple[float, float]:
    """Everybody at once; when the last one was served, and the middle one."""
    begun = time.monotonic()
    async with asyncio.timeout(SERVED_LIMIT_S):
        took = await asyncio.gather(*(sensor.start(port, is_first=is_first) for sensor in sensors))
    return time.monotonic() - begun, sorted(took)[len(took) // 2]


async def ended(*links: Link | None) -> None:
    """Close connections while the loop is there to do it."""
    for link in links:
        if link is not None:
            link.close()
    for _ in range(3):
        await asyncio.sleep(0)


async def states_of(port: int) -> dict[bytes, bytes]:
    """The retained states."""
    watcher, _, _ = await Link.open(port, Connect("watcher", Version.V3_1_1))
    states: dict[bytes, bytes] = {}
    try:
        watcher.send(Subscribe(1, (Subscription(b"state/#", 0),)))
        async with asyncio.timeout(SERVED_LIMIT_S):
            while len(states) < SENSORS:
                for packet in await watcher.receive():
                    if isinstance(packet, Publish):
                        states[packet.topic] = packet.payload
    finally:
        await ended(watcher)
    return states


@pytest.mark.slow
@pytest.mark.capability("MQ06", "MQ05")
def test_two_hundred_sensors_come_back_at_once(tmp_path: Path) -> None:
    """After SIGKILL: sessions are there, commands that were acknowledged come, the last states are right."""
    sensors = [Sensor(number) for number in range(SENSORS)]
    config = CONFIG.format(store=tmp_path / "store")

    async def first(server: ServerProcess) -> None:
        try:
            await all_start(sensors, server.port("mqtt"), is_first=True)
            server.kill()
        finally:
            await ended(*(sensor.link for sensor in sensors))

    async def again(server: ServerProcess) -> None:
        port = server.port("mqtt")
        # The wills of before: the box sent them when it started.
        assert set((await states_of(port)).values()) == {b"offline"}
        await publish(port, "command/sensor{}/set", b"while away")
        try:
            last_s, middle_s = await all_start(sensors, port, is_first=False)
            print(f"{SENSORS} sensors: the last served after {last_s:.2f} s, half of them within {middle_s:.2f} s")
            async with asyncio.timeout(SERVED_LIMIT_S):
                await asyncio.gather(*(sensor.until_commands(1) for sensor in sensors))
            assert all(sensor.commands == [b"while away"] for sensor in sensors)
            assert set((await states_of(port)).values()) == {b"online"}
        finally:
            await ended(*(sensor.link for sensor in sensors))

    with ServerProcess(ServerKind.LEAFBOX, tmp_path / "1", config=config) as server:
        asyncio.run(first(server))
    with ServerProcess(ServerKind.LEAFBOX, tmp_path / "2", config=config) as server:
        asyncio.run(again(server))
