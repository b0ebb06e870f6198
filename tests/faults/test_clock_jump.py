"""A box without a clock of its own reaches a time server: its wall clock is set by years while messages are pending."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from pathlib import Path

import nats
import nats.errors
import pytest
from nats.js.api import ConsumerConfig

from tests.support.servers import ServerKind, ServerProcess

SOURCE = Path(__file__).parents[1] / "support" / "clock_shift.c"
TWO_YEARS_S = 2 * 365 * 86_400
ACK_WAIT_S = 8.0


@pytest.mark.capability("OP07")
@pytest.mark.slow
@pytest.mark.parametrize("step_s", [TWO_YEARS_S, -TWO_YEARS_S], ids=["forward", "back"])
def test_a_pending_message_comes_again_after_its_wait(tmp_path: Path, step_s: int) -> None:
    """Neither at once nor never; a waiting request is served, and new messages bear the new time."""
    compiler = shutil.which("gcc")
    assert compiler is not None
    library, shift = tmp_path / "clock_shift.so", tmp_path / "shift"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
    shift.write_text("0")
    config = f'listen: "127.0.0.1:-1"\njetstream {{ store_dir: "{tmp_path / "store"}" }}'
    environment = {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(shift)}
    with ServerProcess(ServerKind.LEAFBOX, tmp_path / "server", config=config, environment=environment) as server:
        asyncio.run(jump(server, shift, step_s))
        assert "clock set by_s=" in server.log


async def jump(server: ServerProcess, shift: Path, step_s: int) -> None:
    client = await nats.connect(server.url)
    stream = client.jetstream(timeout=10)
    await stream.add_stream(name="S", subjects=["s.>"])
    await stream.add_consumer("S", ConsumerConfig(durable_name="C", ack_wait=ACK_WAIT_S))
    await stream.publish("s.a", b"pending")
    consumer = await stream.pull_subscribe_bind("C", "S")
    before = time.monotonic()
    (first,) = await consumer.fetch(1, timeout=10)
    assert first.metadata.num_delivered == 1
    await asyncio.to_thread(shift.write_text, str(step_s))
    (again,) = await consumer.fetch(1, timeout=60)
    took_s = time.monotonic() - before
    assert again.metadata.num_delivered == 2
    assert took_s >= ACK_WAIT_S - 1.5, "it was still in its time"
    await stream.publish("s.a", b"later")
    (later,) = await consumer.fetch(1, timeout=10)
    assert abs(later.metadata.timestamp.timestamp() - time.time() - step_s) < 60
    await client.close()
