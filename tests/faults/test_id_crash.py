"""SIGKILL while publishers with message ids and a consumer are at work: whoever asks again hears that it is known.

`LEAFBOX_KILLS` asks for so many kills.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from pathlib import Path

import nats
import nats.errors
import pytest
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StreamConfig

from tests.support.servers import ServerKind, ServerProcess

KILLS = int(os.environ.get("LEAFBOX_KILLS", "2"))
PUBLISHERS = 20
BEFORE_KILL_S = (0.1, 0.6)
CONFIG = 'jetstream {{ store_dir: "{directory}" }}'


async def connected(port: int) -> JetStreamContext:
    async def silent(_error: Exception) -> None:
        """The server is killed."""

    client = await nats.connect(f"nats://127.0.0.1:{port}", allow_reconnect=False, error_cb=silent)
    return client.jetstream(timeout=15)


async def publish_on(js: JetStreamContext, name: str, stored: dict[str, int], enough: asyncio.Event) -> None:
    number = 0
    while True:
        if number == 2:
            enough.set()
        msg_id = f"{name}-{number}"
        number += 1
        stored[msg_id] = (await js.publish("q", b"x", headers={"Nats-Msg-Id": msg_id})).seq


async def consume(js: JetStreamContext) -> None:
    subscription = await js.pull_subscribe_bind("C", "Q")
    while True:
        with contextlib.suppress(nats.errors.TimeoutError):
            for message in await subscription.fetch(50, timeout=1):
                await message.ack()


async def work_until_killed(server: ServerProcess, life: int, stored: dict[str, int], after_s: float) -> None:
    js = await connected(server.client_port)
    if life == 0:
        await js.add_stream(
            StreamConfig("Q", subjects=["q"], retention=RetentionPolicy.WORK_QUEUE, duplicate_window=3600)
        )
        await js.add_consumer("Q", ConsumerConfig(durable_name="C", ack_policy=AckPolicy.EXPLICIT))
    enough = asyncio.Event()
    tasks = [asyncio.create_task(publish_on(js, f"{life}-{number}", stored, enough)) for number in range(PUBLISHERS)]
    tasks.append(asyncio.create_task(consume(js)))
    await asyncio.wait_for(enough.wait(), 60)
    await asyncio.sleep(after_s)
    server.kill()
    working = set(tasks)
    while working:
        # The client may swallow the cancellation of a request and wait on: it is told again.
        for task in working:
            task.cancel()
        _, working = await asyncio.wait(working, timeout=0.2)
    await js._nc.close()


async def check(port: int, stored: dict[str, int]) -> None:
    js = await connected(port)
    acks = await asyncio.gather(*(js.publish("q", b"again", headers={"Nats-Msg-Id": msg_id}) for msg_id in stored))
    for (msg_id, seq), ack in zip(stored.items(), acks, strict=True):
        assert (ack.seq, ack.duplicate) == (seq, True), msg_id
    await js._nc.close()


@pytest.mark.slow
@pytest.mark.timeout(60 + 20 * KILLS)
@pytest.mark.capability("JS09", "JS40")
def test_an_acknowledged_id_is_known_after_a_kill(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance, stored = random.Random(seed), dict[str, int]()
    config = CONFIG.format(directory=tmp_path / "store")
    for life in range(KILLS):
        with ServerProcess(ServerKind.LEAFBOX, tmp_path / "server", config=config) as server:
            with contextlib.suppress(nats.errors.Error):
                asyncio.run(work_until_killed(server, life, stored, chance.uniform(*BEFORE_KILL_S)))
            server.start()
            asyncio.run(check(server.client_port, stored))
    assert len(set(stored.values())) == len(stored)
