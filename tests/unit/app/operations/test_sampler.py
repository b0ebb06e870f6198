"""What a second of the history says, measured on a broker without connections."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from leafbox.app.jetstream import DurableSide
from leafbox.app.operations.sampler import Sampler
from leafbox.broker.broker import Broker
from leafbox.broker.config import BrokerOptions
from leafbox.broker.identity import ServerIdentity
from leafbox.monitoring.machine import Machine
from leafbox.monitoring.series import SERIES


class Server:
    """As much of a server as is measured."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.broker = Broker(loop, ServerIdentity("N", "box", "X", 0), BrokerOptions())
        self.durable: DurableSide | None = None


@pytest.fixture
def server() -> Iterator[Server]:
    loop = asyncio.new_event_loop()
    yield Server(loop)
    loop.close()


def test_the_conversation_of_the_box_with_itself_is_no_traffic(server: Server, tmp_path: Path) -> None:
    """Dashboard and commands talk in the system account; a chart that shows them is never at rest."""
    sampler = Sampler(server, Machine(tmp_path), lambda: None)
    system = server.broker.system_account
    assert system is not None
    for counted, messages in ((server.broker.engine, 1_000), (system, 900)):
        counted.in_msgs = counted.out_msgs = messages
        counted.in_bytes = counted.out_bytes = 10 * messages
    row = dict(zip((series.name for series in SERIES), sampler.values(), strict=True))
    assert row["messages_in"] == row["messages_out"] > 0
    assert row["bytes_in"] == row["bytes_out"] == pytest.approx(10 * row["messages_in"])
    server.broker.engine.in_msgs += 50
    system.in_msgs += 50
    row = dict(zip((series.name for series in SERIES), sampler.values(), strict=True))
    assert (row["messages_in"], row["messages_out"]) == (0, 0)
