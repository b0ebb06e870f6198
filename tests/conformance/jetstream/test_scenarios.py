"""Whole conversations with JetStream, held against the real server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import nats
import pytest

from tests.conformance.jetstream import consumer_scenarios, stream_scenarios
from tests.conformance.jetstream.scenarios import SCENARIOS, Observations
from tests.conformance.jetstream.test_api_differential import CONFIG
from tests.support.servers import ServerKind, ServerProcess

# Importing them registers their scenarios.
assert consumer_scenarios, stream_scenarios


async def observe(port: int, name: str) -> Observations:
    client = await nats.connect(f"nats://127.0.0.1:{port}")
    try:
        return await SCENARIOS[name][1](client)
    finally:
        await client.close()


def observations_of(kind: ServerKind, directory: Path, name: str) -> list[str]:
    """One line for each observation, so that a difference is easy to see."""
    config = CONFIG.format(directory=directory / "store")
    with ServerProcess(kind, directory, config=config) as server:
        return [str(item) for item in asyncio.run(observe(server.client_port, name))]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.capability(*rows)) for name, (rows, _) in SCENARIOS.items()]
)
def test_both_servers_behave_the_same(name: str, tmp_path: Path) -> None:
    """The observations of a scenario are equal, one by one."""
    real = observations_of(ServerKind.REAL, tmp_path / "real", name)
    ours = observations_of(ServerKind.LEAFBOX, tmp_path / "ours", name)
    different = [
        f"{index}\n  real {expected}\n  ours {actual}"
        for index, (expected, actual) in enumerate(zip(real, ours, strict=False))
        if expected != actual
    ]
    assert not different, "\n".join(different)
    assert len(real) == len(ours)
