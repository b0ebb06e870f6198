"""Kill the gateway, or take its power, under QoS 1 and 2 load: nothing acknowledged is lost, QoS 2 is not doubled."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from leafbox.protocol.mqtt.packets import Version
from tests.faults.mqtt_load import DRAIN_TIMEOUT_S, Publisher, Subscriber, check, until_cut
from tests.support.power_cut import PowerCutDisk
from tests.support.servers import ServerKind, ServerProcess

KILLS = int(os.environ.get("LEAFBOX_MQTT_KILLS", "8"))
"""Rounds of each crash test; longer runs ask for more."""
CUTS = int(os.environ.get("LEAFBOX_MQTT_CUTS", "4"))

# A machine that many campaigns share may take its time for a start.
START_TIMEOUT_S = 120.0
END_TIMEOUT_S = 60.0

CONFIG = """
server_name: crash
jetstream {{ store_dir: "{directory}" }}
mqtt {{ listen: "127.0.0.1:-1" }}
"""


def server_on(directory: Path, work: Path) -> ServerProcess:
    """A server whose store is in `directory`."""
    return ServerProcess(ServerKind.LEAFBOX, work, config=CONFIG.format(directory=directory))


async def load_until_killed(
    publisher: Publisher, subscriber: Subscriber, server: ServerProcess, seconds: float
) -> None:
    """Both clients at work; the server is killed under them."""
    port = server.port("mqtt")
    tasks = (
        asyncio.create_task(until_cut(publish_to(subscriber, publisher, port))),
        asyncio.create_task(until_cut(subscriber.run(port))),
    )
    await under_load(publisher)
    await asyncio.sleep(seconds)
    server.kill()
    await ended(subscriber, *tasks)


async def under_load(publisher: Publisher) -> None:
    """The first message was acknowledged: however slow the machine, there is something to lose."""
    await asyncio.wait_for(publisher.wait_acknowledged(), START_TIMEOUT_S)


async def ended(subscriber: Subscriber, publishing: asyncio.Task[None], subscribing: asyncio.Task[None]) -> None:
    """Both have noticed. Killed before SUBACK on a busy machine, nobody will tell the publisher to begin."""
    await asyncio.wait_for(subscribing, END_TIMEOUT_S)
    if not subscriber.has_subscribed:
        publishing.cancel()
    await asyncio.wait_for(asyncio.gather(publishing, return_exceptions=not subscriber.has_subscribed), END_TIMEOUT_S)


async def publish_to(subscriber: Subscriber, publisher: Publisher, port: int) -> None:
    """Publish once somebody has subscribed: before, an acknowledgement means that there was nobody to keep it for."""
    await subscriber.wait_subscribed()
    await publisher.run(port)


async def drain(publisher: Publisher, subscriber: Subscriber, port: int) -> None:
    """Let the publisher finish and the subscriber get everything that was sent."""
    publisher.stop = True
    subscriber.drops_link = 0.0
    await asyncio.wait_for(publisher.run(port), DRAIN_TIMEOUT_S)
    try:
        await asyncio.wait_for(subscriber.run(port, enough=publisher.next_number), DRAIN_TIMEOUT_S)
    except TimeoutError:
        missing = sorted(set(range(publisher.next_number)) - subscriber.counts.keys())
        pytest.fail(
            f"{len(missing)} of {publisher.next_number} messages never came: {missing[:20]}, "
            f"packet ids open: {sorted(subscriber.received_ids)[:20]}"
        )


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.capability("MQ06")
def test_sigkill_under_load(tmp_path: Path) -> None:
    """Killed again and again at random moments, in both versions; each round goes on with the sessions of the last."""
    for version in (Version.V3_1_1, Version.V5):
        publisher, subscriber = Publisher(version), Subscriber(version, random.Random(version))
        directory, work = tmp_path / f"store{version}", tmp_path / f"work{version}"
        for round_number in range(max(KILLS // 2, 1)):
            server = server_on(directory, work / str(round_number)).start(timeout_s=START_TIMEOUT_S)
            seconds = random.Random(f"{version}/{round_number}").uniform(0.05, 0.5)
            asyncio.run(load_until_killed(publisher, subscriber, server, seconds))
        with server_on(directory, work / "last").start(timeout_s=START_TIMEOUT_S) as server:
            asyncio.run(drain(publisher, subscriber, server.port("mqtt")))
        print(f"{version.name}: {publisher.next_number} sent, {len(publisher.acknowledged)} acknowledged")
        assert len(publisher.acknowledged) > 0
        check(publisher, subscriber)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.capability("MQ06", "AP02")
@pytest.mark.parametrize("policy", ["drop", "random"])
def test_power_cut_under_load(tmp_path: Path, policy: str) -> None:
    """The power goes while the log is written; what was not synced is gone, kept or torn."""
    publisher, subscriber = Publisher(Version.V3_1_1), Subscriber(Version.V3_1_1, random.Random(policy))
    source: Path | None = None
    for round_number in range(max(CUTS // 2, 1)):
        target = tmp_path / f"after{round_number}"
        with PowerCutDisk(tmp_path / f"disk{round_number}") as disk:
            if source is not None:
                copy_tree(source, disk.path)
            server = server_on(disk.path, tmp_path / f"work{round_number}").start(timeout_s=START_TIMEOUT_S)
            asyncio.run(load_and_cut(publisher, subscriber, server, disk, (round_number, policy, target)))
        source = target
    assert source is not None
    with server_on(source, tmp_path / "last").start(timeout_s=START_TIMEOUT_S) as server:
        asyncio.run(drain(publisher, subscriber, server.port("mqtt")))
    print(f"{policy}: {publisher.next_number} sent, {len(publisher.acknowledged)} acknowledged")
    assert len(publisher.acknowledged) > 0
    check(publisher, subscriber)


async def load_and_cut(
    publisher: Publisher,
    subscriber: Subscriber,
    server: ServerProcess,
    disk: PowerCutDisk,
    cut: tuple[int, str, Path],
) -> None:
    """Both clients at work; the disk stops keeping anything at one moment, then the server is killed.

    What reaches the clients between cut and kill is no promise: after the cut the disk's syncs fail.
    """
    port = server.port("mqtt")
    tasks = (
        asyncio.create_task(until_cut(publish_to(subscriber, publisher, port))),
        asyncio.create_task(until_cut(subscriber.run(port))),
    )
    seed, policy, target = cut
    await under_load(publisher)
    await asyncio.sleep(random.Random(f"{policy}/{seed}").uniform(0.1, 0.6))
    await asyncio.to_thread(disk.cut, seed, policy, target)
    server.kill()
    await ended(subscriber, *tasks)


def copy_tree(source: Path, target: Path) -> None:
    """Bring the files of the last cut onto a new disk, and sync them."""
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(exist_ok=True)
        else:
            with place.open("wb") as file:
                file.write(path.read_bytes())
                file.flush()
                os.fsync(file.fileno())
