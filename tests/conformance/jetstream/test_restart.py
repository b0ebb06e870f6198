"""What a kill -9 leaves: acknowledged messages, deduplication, consumers' places; memory streams start empty."""

from __future__ import annotations

import asyncio
from pathlib import Path

import nats
import pytest
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, StorageType, StreamConfig

from tests.conformance.jetstream.test_api_differential import CONFIG
from tests.support.servers import ServerKind, ServerProcess

MESSAGES = 200


async def connected(port: int) -> JetStreamContext:
    client = await nats.connect(f"nats://127.0.0.1:{port}")
    return client.jetstream(timeout=15)


async def before(port: int) -> None:
    js = await connected(port)
    await js.add_stream(StreamConfig("F", subjects=["f.>"], storage=StorageType.FILE))
    await js.add_stream(StreamConfig("M", subjects=["m.>"], storage=StorageType.MEMORY))
    config = ConsumerConfig(durable_name="C", ack_policy=AckPolicy.EXPLICIT, ack_wait=600)
    await js.add_consumer("F", config)
    await asyncio.gather(
        *(js.publish(f"f.{index % 3}", b"%d" % index, headers={"Nats-Msg-Id": str(index)}) for index in range(MESSAGES))
    )
    await js.publish("m.1", b"gone")
    subscription = await js.pull_subscribe_bind("C", "F")
    messages = await subscription.fetch(10, timeout=15)
    for message in messages[:6]:
        await message.ack_sync(timeout=15)
    await js._nc.close()


async def after(port: int) -> list[object]:
    js = await connected(port)
    seen: list[object] = []
    state = (await js.stream_info("F")).state
    seen.append((state.messages, state.first_seq, state.last_seq))
    seen.append(sorted([int((await js.get_msg("F", seq)).data or b"-1") for seq in range(1, MESSAGES + 1)]))
    again = await js.publish("f.0", b"again", headers={"Nats-Msg-Id": "7"})
    seen.append(again.duplicate)
    info = await js.consumer_info("F", "C")
    assert info.ack_floor is not None
    seen.append((info.ack_floor.consumer_seq, info.ack_floor.stream_seq, info.num_ack_pending, info.num_pending))
    subscription = await js.pull_subscribe_bind("C", "F")
    (message,) = await subscription.fetch(1, timeout=15)
    seen.append((message.metadata.sequence.stream, message.metadata.num_delivered))
    seen.append(sum(info.state.messages for info in await js.streams_info() if info.config.name == "M"))
    await js._nc.close()
    return seen


@pytest.mark.capability("JS09", "JS12", "JC25")
@pytest.mark.parametrize("kind", list(ServerKind))
def test_a_kill_leaves_everything_that_was_acknowledged(kind: ServerKind, tmp_path: Path) -> None:
    config = CONFIG.format(directory=tmp_path / "store")
    with ServerProcess(kind, tmp_path / "server", config=config) as server:
        asyncio.run(before(server.client_port))
        server.restart(crash=True)
        found = asyncio.run(after(server.client_port))
    assert found[:3] == [(MESSAGES, 1, MESSAGES), list(range(MESSAGES)), True]
    assert found[-1] == 0
    # nats-server writes consumers' places later, and may deliver again what was acknowledged twice.
    if kind is ServerKind.LEAFBOX:
        assert found[3:5] == [(6, 6, 4, MESSAGES - 10), (11, 1)]
