"""An account that loses JetStream by a reload and has it again later finds everything as it left it."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import nats
import pytest
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, StorageType, StreamConfig
from nats.js.errors import APIError, ServiceUnavailableError

from tests.support.servers import ServerKind, ServerProcess

CONFIG = """
server_name: edge1
jetstream {{ store_dir: "{directory}", max_mem: 1G, max_file: 10G }}
accounts {{
  A {{ users: [{{user: a, password: a}}]{jetstream} }}
  B {{ users: [{{user: b, password: b}}], jetstream: enabled }}
}}
no_auth_user: a
"""
MESSAGES = 20
ENABLED = ", jetstream: enabled"


async def connected(port: int) -> JetStreamContext:
    client = await nats.connect(f"nats://127.0.0.1:{port}")
    return client.jetstream(timeout=15)


async def take(js: JetStreamContext, name: str, count: int, acks: int) -> list[int]:
    """Fetch and acknowledge some; the sequences that came."""
    subscription = await js.pull_subscribe_bind(name, "F")
    messages = await subscription.fetch(count, timeout=15)
    for message in messages[:acks]:
        await message.ack_sync(timeout=15)
    return [message.metadata.sequence.stream for message in messages]


async def first_life(port: int) -> None:
    js = await connected(port)
    await js.add_stream(StreamConfig("F", subjects=["f"], storage=StorageType.FILE, duplicate_window=600))
    for name in ("C", "D"):
        await js.add_consumer("F", ConsumerConfig(durable_name=name, ack_policy=AckPolicy.EXPLICIT, ack_wait=600))
    for index in range(MESSAGES):
        await js.publish("f", b"%d" % index, headers={"Nats-Msg-Id": str(index)})
    assert await take(js, "C", 3, 3) == [1, 2, 3]
    await js._nc.close()


async def second_life(port: int) -> None:
    """Changes that the state of the start does not have."""
    js = await connected(port)
    assert await take(js, "C", 4, 2) == [4, 5, 6, 7]
    await js.delete_consumer("F", "D")
    await js.add_consumer("F", ConsumerConfig(durable_name="E", ack_policy=AckPolicy.EXPLICIT, ack_wait=600))
    assert await take(js, "E", 2, 2) == [1, 2]
    await js.publish("f", b"new", headers={"Nats-Msg-Id": "new"})
    await js.add_stream(StreamConfig("G", subjects=["g"], storage=StorageType.FILE))
    await js.publish("g", b"1")
    await js.add_stream(StreamConfig("M", subjects=["m"], storage=StorageType.MEMORY))
    await js.publish("m", b"1")
    await js._nc.close()


async def refused(port: int) -> None:
    js = await connected(port)
    with pytest.raises((APIError, ServiceUnavailableError)):
        await js.stream_info("F")
    await js._nc.close()


async def found(port: int) -> dict[str, object]:
    js = await connected(port)
    seen: dict[str, object] = {}
    infos = {info.config.name: info.state for info in await js.streams_info()}
    seen["streams"] = {str(name): (state.messages, state.last_seq) for name, state in infos.items() if name != "M"}
    seen["memory"] = infos["M"].messages if "M" in infos else 0
    for info in await js.consumers_info("F"):
        assert info.ack_floor is not None
        assert info.delivered is not None
        seen[info.name] = (info.ack_floor.stream_seq, info.delivered.stream_seq, info.num_ack_pending, info.num_pending)
    again = [await js.publish("f", b"x", headers={"Nats-Msg-Id": known}) for known in ("4", "new")]
    seen["duplicates"] = [(ack.seq, ack.duplicate) for ack in again]
    await js._nc.close()
    return seen


EXPECTED: dict[str, object] = {
    "streams": {"F": (MESSAGES + 1, MESSAGES + 1), "G": (1, 1)},
    "memory": 0,
    "C": (5, 7, 2, MESSAGES + 1 - 7),
    "E": (2, 2, 0, MESSAGES + 1 - 2),
    "duplicates": [(5, True), (MESSAGES + 1, True)],
}


def configure(server: ServerProcess, tmp_path: Path, jetstream: str) -> None:
    server.config = CONFIG.format(directory=tmp_path / "store", jetstream=jetstream)


def reload(server: ServerProcess, tmp_path: Path, jetstream: str) -> None:
    configure(server, tmp_path, jetstream)
    assert server.config is not None
    server.config_path.write_text(server.config)
    seen = server.log_line_count
    server.send_signal(signal.SIGHUP)
    server.wait_for_log(r"Reloaded server configuration", after=seen)


@pytest.mark.capability("CF07", "JC25")
@pytest.mark.parametrize("kind", list(ServerKind))
def test_an_account_comes_back_as_it_was(kind: ServerKind, tmp_path: Path) -> None:
    server = ServerProcess(kind, tmp_path / "server")
    configure(server, tmp_path, ENABLED)
    with server:
        asyncio.run(first_life(server.client_port))
        server.restart()
        asyncio.run(second_life(server.client_port))
        reload(server, tmp_path, "")
        asyncio.run(refused(server.client_port))
        reload(server, tmp_path, ENABLED)
        assert asyncio.run(found(server.client_port)) == EXPECTED
        if kind is ServerKind.LEAFBOX:
            server.restart(crash=True)
            assert asyncio.run(found(server.client_port)) == EXPECTED


@pytest.mark.capability("JC25", "JS40")
@pytest.mark.parametrize("crashes", [False, True])
def test_an_account_rests_through_lives_of_the_server(crashes: bool, tmp_path: Path) -> None:
    """Checkpoints and starts without it keep what only its streams and consumers could make sense of."""
    server = ServerProcess(ServerKind.LEAFBOX, tmp_path / "server")
    configure(server, tmp_path, ENABLED)
    with server:
        asyncio.run(first_life(server.client_port))
        server.restart()
        asyncio.run(second_life(server.client_port))
        # Killed, so that the log is all that knows; the next life must not drop it.
        configure(server, tmp_path, "")
        server.restart(crash=True)
        asyncio.run(refused(server.client_port))
        for _ in range(2):
            server.restart(crash=crashes)
        reload(server, tmp_path, ENABLED)
        assert asyncio.run(found(server.client_port)) == EXPECTED
        server.restart(crash=crashes)
        assert asyncio.run(found(server.client_port)) == EXPECTED
