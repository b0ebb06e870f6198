"""Atomic batches and roll-ups on a server that dies: a batch is there whole or not at all, what was acknowledged is.

A batch's number says how long it is, so whatever a later start finds can be checked without a word of the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import nats
import nats.errors
import nats.js.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from tests.support.power_cut import PowerCutDisk
from tests.support.servers import ServerKind, ServerProcess, StartServer

KILLS = int(os.environ.get("LEAFBOX_KILLS", "2"))
"""Rounds of each test; the default keeps the suite short."""
WAIT_S = 300
"""For what must come; the disk is a program and the machine may be busy."""


def config_for(store: Path) -> str:
    return f'listen: "127.0.0.1:-1"\njetstream {{ store_dir: "{store}" }}'


def length_of(batch: int) -> int:
    """Messages of a batch; long ones need several writes and log segments."""
    return (2, 7, 30, 100)[batch % 4]


@dataclass
class Publisher:
    """Stores batches and roll-ups until the server is gone."""

    seed: int
    first_batch: int = 0
    next_batch: int = 0
    acknowledged: set[int] = field(default_factory=set)
    rolled_up: int = -1
    has_enough: asyncio.Event = field(default_factory=asyncio.Event)
    enough: int = 5
    is_over: bool = False

    async def run(self, url: str) -> None:
        client = await nats.connect(url, allow_reconnect=False, error_cb=_ignore)
        try:
            with contextlib.suppress(nats.errors.Error, nats.js.errors.Error, OSError):
                await asyncio.gather(*(self._publish(client) for _ in range(3)))
        finally:
            with contextlib.suppress(nats.errors.Error, OSError):
                await client.close()

    async def _publish(self, client: Client) -> None:
        while True:
            batch = self.next_batch
            self.next_batch += 1
            await self._one_batch(client, batch)
            self.acknowledged.add(batch)
            if batch % 4 == 0:
                await self._request(client, "s.roll", b"%d" % batch, {"Nats-Rollup": "sub"})
                self.rolled_up = max(self.rolled_up, batch)
            if len(self.acknowledged) >= self.enough:
                self.has_enough.set()

    async def _one_batch(self, client: Client, batch: int) -> None:
        choices = random.Random(self.seed * 1000 + batch)
        length = length_of(batch)
        for number in range(1, length + 1):
            payload = b"%d " % batch + bytes(choices.choice((10, 100, 700, 4_000)))
            headers = {"Nats-Batch-Id": f"batch-{batch}", "Nats-Batch-Sequence": str(number)}
            if number < length:
                await client.publish("s.batch", payload, headers=headers)
        answer = await self._request(client, "s.batch", payload, headers | {"Nats-Batch-Commit": "1"})
        assert f'"count":{length}' in answer.data.decode(), answer.data

    async def _request(self, client: Client, subject: str, payload: bytes, headers: dict[str, str]) -> Msg:
        if self.is_over:
            raise ConnectionResetError
        return await client.request(subject, payload, timeout=WAIT_S, headers=headers)

    async def end(self, work: asyncio.Task[None]) -> None:
        """The server is gone. A client may swallow the cancellation of a request and wait on: it is told again."""
        self.is_over = True
        while not work.done():
            work.cancel()
            await asyncio.wait({work}, timeout=0.2)
        self.is_over = False


async def _ignore(_: Exception) -> None:
    """The server is meant to vanish."""


async def broken_promises(url: str, publisher: Publisher) -> list[str]:
    """What the store should have and has not, or has and should not."""
    client = await nats.connect(url)
    stream = client.jetstream()
    counts: Counter[int] = Counter()
    roll_ups = []
    subscription = await stream.subscribe("s.>", ordered_consumer=True)
    for _ in range((await stream.stream_info("S")).state.messages):
        message = await subscription.next_msg(timeout=20)
        number = int(message.data.split(b" ")[0])
        if message.subject == "s.roll":
            roll_ups.append(number)
        else:
            counts[number] += 1
    await client.close()
    found = [f"{counts[b]} of {length_of(b)} of batch {b}" for b in counts if counts[b] != length_of(b)]
    found += [f"batch {batch} was acknowledged" for batch in publisher.acknowledged if batch not in counts]
    if len(roll_ups) > 1:
        found.append(f"roll-ups {roll_ups}")
    if publisher.rolled_up >= 0 and not roll_ups:
        found.append(f"roll-up {publisher.rolled_up} was acknowledged")
    return found


async def add_stream(url: str) -> None:
    client = await nats.connect(url)
    request = b'{"name":"S","subjects":["s.>"],"allow_atomic":true,"allow_rollup_hdrs":true,"max_bytes":900000000}'
    answer = await client.request("$JS.API.STREAM.CREATE.S", request, timeout=10)
    assert b'"error"' not in answer.data, answer.data
    await client.close()


async def publish_until_cut(
    server: ServerProcess, publisher: Publisher, disk: PowerCutDisk, seed: int, after: Path
) -> None:
    await add_stream(server.url)
    work = asyncio.create_task(publisher.run(server.url))
    await asyncio.wait_for(publisher.has_enough.wait(), WAIT_S)
    acknowledged = set(publisher.acknowledged), publisher.rolled_up
    await asyncio.to_thread(disk.cut, seed, "random", after)
    # Acknowledgements that came while the power was going do not count: they may be older or newer than the image.
    publisher.acknowledged, publisher.rolled_up = acknowledged
    server.kill()
    await publisher.end(work)


async def publish_until_killed(server: ServerProcess, publisher: Publisher, delay_s: float) -> None:
    publisher.has_enough = asyncio.Event()
    work = asyncio.create_task(publisher.run(server.url))
    await asyncio.wait_for(publisher.has_enough.wait(), WAIT_S)
    await asyncio.sleep(delay_s)
    server.kill()
    await publisher.end(work)


@pytest.mark.capability("JS27", "JS17", "JS40")
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_power_cut_leaves_no_part_of_a_batch(tmp_path: Path, start_server: StartServer) -> None:
    """Unsynced writes are kept, dropped and torn at random while batches are being written."""
    choices = random.Random(7)
    for round_number in range(KILLS):
        publisher = Publisher(round_number, enough=choices.choice((2, 6, 20)))
        after = tmp_path / f"after-{round_number}"
        with PowerCutDisk(tmp_path / "disk") as disk:
            server = start_server(ServerKind.LEAFBOX, config=config_for(disk.path / "store"))

            asyncio.run(publish_until_cut(server, publisher, disk, round_number, after))
        later = start_server(ServerKind.LEAFBOX, config=config_for(after / "store"))
        assert asyncio.run(broken_promises(later.url, publisher)) == [], f"round {round_number}"
        later.stop()


@pytest.mark.capability("JS27", "JS17", "JS40")
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_sigkill_leaves_no_part_of_a_batch(tmp_path: Path, start_server: StartServer) -> None:
    """One store, killed again and again while batches are being written."""
    choices = random.Random(8)
    publisher = Publisher(8)
    server = start_server(ServerKind.LEAFBOX, config=config_for(tmp_path / "store"))
    asyncio.run(add_stream(server.url))
    for round_number in range(KILLS):
        publisher.enough = len(publisher.acknowledged) + choices.choice((2, 6, 20))
        asyncio.run(publish_until_killed(server, publisher, choices.random() * 0.2))
        server = start_server(ServerKind.LEAFBOX, config=config_for(tmp_path / "store"))
        assert asyncio.run(broken_promises(server.url, publisher)) == [], f"round {round_number}"
