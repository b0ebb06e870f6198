"""Over a leaf link: core messages both ways, and a backlog that drains from the edge into the hub's stream.

The hub is a real nats-server in every measurement; the contender is the edge. Both use what they use by default, the
link's compression included. The drain is the main job of an uplink: a work queue at the edge that a stream of the hub
sources and acknowledges (ADR-60), filled while nothing fetches, timed from the hub's stream being made.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks.generator import LoadFailed, run_load
from tests.benchmarks.machine import processor_seconds, processors
from tests.benchmarks.scenario import Bench, Metric, Scenario, Values
from tests.benchmarks.stream_setup import api
from tests.support.servers import ServerKind, ServerProcess

BACKLOG = 200_000
PAYLOAD_BYTES = 128
LINKED = "Leafnode connection created for account"
POLL_S = 0.01
DRAIN_TIMEOUT_S = 120.0


@contextlib.contextmanager
def _linked(bench: Bench, store: Path | None = None) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    """A real hub and the contender as its edge."""

    def jetstream(name: str) -> str:
        return f'jetstream {{ store_dir: "{store / name}", domain: {name}, max_file: 1GB }}' if store else ""

    home = bench.directory / f"hub-{time.monotonic_ns()}"
    config = f'server_name: hub\nleafnodes {{ listen: "127.0.0.1:-1" }}\n{jetstream("HUB")}\n'
    hub = ServerProcess(ServerKind.REAL, home, config=config)
    with processors(bench.placement.generator_processors):
        hub.start()
    try:
        url = f"nats-leaf://127.0.0.1:{hub.port('leafnode')}"
        config = f'server_name: edge\nleafnodes {{ remotes: [ {{ url: "{url}" }} ] }}\n{jetstream("EDGE")}\n'
        with bench.server(config) as edge:
            edge.wait_for_log(LINKED)
            yield hub, edge
    finally:
        hub.stop()


def _flow(is_up: bool, size: int, count: int) -> Callable[[Bench], Values]:
    """Messages from a client of one side to a client of the other."""

    def measure(bench: Bench) -> Values:
        with _linked(bench) as (hub, edge):
            source, target = (edge, hub) if is_up else (hub, edge)
            used = processor_seconds(edge.pid)
            figures = run_load(
                "flow", source.client_port, bench.placement, sub_port=target.client_port,
                pubs=1, subs=1, size=size, count=bench.amount(count),
            )  # fmt: skip
            used = processor_seconds(edge.pid) - used
        return {"rate": figures["rate"], "edge time": max(used, 0.001) / figures["messages"] * 1e9}

    return measure


def _drain(bench: Bench) -> Values:
    assert bench.flash is not None
    count = bench.amount(BACKLOG)
    with _linked(bench, bench.flash.directory) as (hub, edge):
        api(edge, "STREAM.CREATE.WORK", {"name": "WORK", "subjects": ["bench.js"], "retention": "workqueue"})
        bench.load(edge, "requests", subject="bench.js", size=PAYLOAD_BYTES, window=1000, count=count)
        stored = _messages(edge, "WORK")
        used = processor_seconds(edge.pid)
        started = time.monotonic()
        source = {"name": "WORK", "external": {"api": "$JS.EDGE.API", "deliver": ""}}
        api(hub, "STREAM.CREATE.ALL", {"name": "ALL", "sources": [source]})
        deadline = started + DRAIN_TIMEOUT_S
        while _messages(hub, "ALL") < stored or _messages(edge, "WORK"):
            if time.monotonic() > deadline:
                raise LoadFailed(f"{_messages(edge, 'WORK')} of {stored} messages are still at the edge")
            time.sleep(POLL_S)
        seconds = time.monotonic() - started
        used = processor_seconds(edge.pid) - used
        if (arrived := _messages(hub, "ALL")) != stored:
            raise LoadFailed(f"{arrived} messages at the hub, {stored} were at the edge")
    return {"rate": stored / seconds, "edge time": max(used, 0.001) / stored * 1e9}


def _messages(server: ServerProcess, stream: str) -> int:
    state = api(server, f"STREAM.INFO.{stream}", {})["state"]
    assert isinstance(state, dict), json.dumps(state)
    return int(state["messages"])


def _metrics(limit: float) -> tuple[Metric, ...]:
    return (Metric("rate", "messages/s", ratio_limit=limit), Metric("edge time", "ns of processor each", False))


SCENARIOS = [
    Scenario("leaf, edge to hub, 128 B", _flow(True, 128, 1_000_000), _metrics(1.2), group="leaf"),
    Scenario("leaf, hub to edge, 128 B", _flow(False, 128, 1_000_000), _metrics(1.2), group="leaf"),
    Scenario("leaf, a backlog drains into the hub", _drain, _metrics(0.8), group="leaf", stores=True),
]
