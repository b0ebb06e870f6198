"""The power-cut disk tells the truth: on it the real nats-server loses acknowledged messages, as its documents say."""

from __future__ import annotations

import asyncio
from pathlib import Path

import nats
import pytest

from tests.support.power_cut import PowerCutDisk
from tests.support.servers import ServerKind, StartServer

MESSAGES = 300

JETSTREAM = """
jetstream {{ store_dir: "{directory}", {sync} }}
"""


async def publish(url: str) -> int:
    """Store messages one by one; how many were acknowledged."""
    connection = await nats.connect(url)
    stream = connection.jetstream()
    await stream.add_stream(name="S", subjects=["s.>"])
    acknowledged = 0
    for index in range(MESSAGES):
        acknowledged = (await stream.publish("s.a", b"%d" % index)).seq
    await connection.close()
    return acknowledged


async def count(url: str) -> int:
    """How many messages the stream has; 0 if it is gone."""
    connection = await nats.connect(url)
    try:
        return (await connection.jetstream().stream_info("S")).state.messages
    except nats.js.errors.NotFoundError:
        return 0
    finally:
        await connection.close()


@pytest.mark.capability("JS40")
@pytest.mark.slow
@pytest.mark.parametrize(("sync", "loses"), [("", True), ("sync_interval: always", False)])
def test_real_server_after_a_power_cut(start_server: StartServer, tmp_path: Path, sync: str, loses: bool) -> None:
    """Acknowledge before the sync (its default): messages are gone. Sync each message: they are there."""
    with PowerCutDisk(tmp_path / "disk") as disk:
        server = start_server(
            ServerKind.REAL, config=JETSTREAM.format(directory=disk.path, sync=sync), directory=tmp_path / "one"
        )
        acknowledged = asyncio.run(publish(server.url))
        disk.cut(1, "drop", tmp_path / "after", "now")
        server.kill()
    assert acknowledged == MESSAGES
    after = start_server(
        ServerKind.REAL,
        config=JETSTREAM.format(directory=tmp_path / "after", sync=sync),
        directory=tmp_path / "two",
    )
    found = asyncio.run(count(after.url))
    print(f"{sync or 'default'}: {acknowledged} acknowledged, {found} found after the power cut")
    assert (found < acknowledged) is loses
