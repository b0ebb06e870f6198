"""Core messaging: fan-in and fan-out, publish only, requests, connections, many subscriptions, memory, start-up."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.benchmarks.generator import held_connections
from tests.benchmarks.machine import memory_bytes, processor_seconds
from tests.benchmarks.scenario import Bench, Metric, Scenario, Values

IDLE_CONNECTIONS = 1000
SUBSCRIPTIONS = 10_000
# How long memory is given to settle after start or after the last connection.
SETTLE_S = 1.0


def _flow(pubs: int, subs: int, size: int, count: int, **more: int) -> Callable[[Bench], Values]:
    def measure(bench: Bench) -> Values:
        with bench.server() as server:
            used = processor_seconds(server.pid)
            figures = bench.load(server, "flow", pubs=pubs, subs=subs, size=size, count=bench.amount(count), **more)
            used = processor_seconds(server.pid) - used
        return {"rate": figures["rate"], "server time": max(used, 0.001) / figures["messages"] * 1e9}

    return measure


def _rate(limit: float | None = None, unit: str = "deliveries/s") -> tuple[Metric, ...]:
    """A rate, and what it costs the server: processor time is less disturbed by others than the clock."""
    return (Metric("rate", unit, ratio_limit=limit), Metric("server time", "ns of processor each", False))


def _requests(bench: Bench) -> Values:
    with bench.server() as server:
        bench.load(server, "requests", subject="bench.ask", responder=1, count=bench.amount(2000))  # Warm-up.
        figures = bench.load(server, "requests", subject="bench.ask", responder=1, count=bench.amount(30_000))
    return {"p50": figures["p50_us"], "p99": figures["p99_us"]}


def _connections(bench: Bench) -> Values:
    with bench.server() as server:
        with held_connections(server.client_port, bench.placement, 1):
            pass  # The first connection loads what a server loads lazily.
        _settle(bench)
        before = memory_bytes(server.pid)
        count = bench.amount(IDLE_CONNECTIONS)
        with held_connections(server.client_port, bench.placement, count) as figures:
            _settle(bench)
            grown = memory_bytes(server.pid) - before
    return {"connect rate": figures["rate"], "memory per connection": grown / count / 1024}


def _idle_memory(bench: Bench) -> Values:
    with bench.server() as server:
        _settle(bench)
        return {"memory": memory_bytes(server.pid) / (1 << 20)}


def _start_up(bench: Bench) -> Values:
    """From starting the process to `Server is ready` in its log."""
    started = time.monotonic()
    with bench.server():
        return {"start": (time.monotonic() - started) * 1000}


def _settle(bench: Bench) -> None:
    time.sleep(SETTLE_S * min(bench.scale, 1.0))


SCENARIOS = [
    Scenario("1:1, 16 B", _flow(1, 1, 16, 5_000_000), _rate(2.0)),
    Scenario("1:1, 128 B", _flow(1, 1, 128, 3_000_000), _rate(2.0)),
    Scenario("1:1, 4 KiB", _flow(1, 1, 4096, 200_000), _rate(1.0)),
    Scenario("1:10, 128 B", _flow(1, 10, 128, 400_000), _rate(3.0)),
    Scenario("4:4, 128 B", _flow(4, 4, 128, 300_000), _rate(2.5)),
    Scenario("publish only, 16 B", _flow(1, 0, 16, 12_000_000), _rate(1.2, "messages/s")),
    Scenario(
        "request and reply, one at a time",
        _requests,
        (Metric("p50", "µs", False, 1.1), Metric("p99", "µs", False)),
    ),
    Scenario(
        "1000 idle connections",
        _connections,
        (Metric("connect rate", "connections/s"), Metric("memory per connection", "KiB", False, 1.0)),
    ),
    Scenario(
        "10,000 literal subscriptions, each subject in turn",
        _flow(1, 1, 16, 1_000_000, subjects=SUBSCRIPTIONS),
        _rate(),
    ),
    Scenario(
        "10,000 subscriptions, 100 subjects (warm)",
        _flow(1, 1, 16, 1_000_000, subjects=SUBSCRIPTIONS, used=100),
        _rate(),
    ),
    Scenario(
        "10,000 wildcard subscriptions, no subject twice (cold)",
        _flow(1, 1, 16, 1_000_000, subjects=SUBSCRIPTIONS, unique=1),
        _rate(),
    ),
    Scenario("idle memory", _idle_memory, (Metric("memory", "MiB", False),)),
    Scenario("start-up", _start_up, (Metric("start", "ms", False),)),
]
