"""MQTT beside mosquitto, nats-server and amqtt's broker: flows, latency, fan-out, idle clients, retained, backlogs.

The brokers keep what they promise to keep: mosquitto with persistence (written every half hour), nats-server as it
comes and with `sync_interval: always`, ours always before the acknowledgement. amqtt's broker keeps nothing.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.generator import RUN_TIMEOUT_S, LoadFailed, program
from tests.benchmarks.machine import Placement, memory_bytes, processor_seconds, processors
from tests.benchmarks.scenario import OURS, REAL, REAL_SYNCED, Bench, Contender, Metric, Scenario, Values
from tests.support.mqtt_brokers import BrokerKind, MqttBroker, free_port
from tests.support.servers import ServerKind

# The kind only says whether `--contender real` means it; what runs is decided by the name.
MOSQUITTO = Contender("mosquitto", ServerKind.REAL)
AMQTT = Contender("amqtt", ServerKind.REAL)
PEERS = (MOSQUITTO, REAL, REAL_SYNCED, AMQTT, OURS)
KEEPERS = (MOSQUITTO, REAL, REAL_SYNCED, OURS)

# Everybody's limits out of the way: mosquitto drops beyond 1,000 queued messages unless told otherwise.
MOSQUITTO_CONFIG = "max_queued_messages 0\nmax_inflight_messages 100\nset_tcp_nodelay true\nlog_type none\n"
NATS_MQTT = "max_ack_pending: 10000"
AMQTT_PROGRAM = Path(__file__).with_name("amqtt_broker.py")
SLOW = {REAL_SYNCED.name: 0.02, AMQTT.name: 0.05}
"""What peers get of an amount of messages so that a round ends: they do hundreds to thousands a second."""
SETTLE_S = 1.0
START_TIMEOUT_S = 20.0


class AmqttBroker:
    """amqtt's broker as a process."""

    def __init__(self, directory: Path) -> None:
        del directory
        self.port = free_port()
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(AMQTT_PROGRAM), str(self.port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            self.stop()
            raise LoadFailed("amqtt's broker did not start")

    def stop(self, *, crash: bool = False) -> None:
        assert self._process is not None
        self._process.kill() if crash else self._process.terminate()
        self._process.communicate()

    def restart(self, *, crash: bool = False) -> None:
        self.stop(crash=crash)
        self.start()


Broker = MqttBroker | AmqttBroker


def made(bench: Bench) -> Broker:
    """The contender's broker, with its data on the bench's flash."""
    where = bench.flash.directory if bench.flash is not None else bench.directory
    home = Path(tempfile.mkdtemp(dir=where))
    match bench.contender:
        case Contender(name=MOSQUITTO.name):
            return MqttBroker(BrokerKind.MOSQUITTO, home, MOSQUITTO_CONFIG)
        case Contender(name=AMQTT.name):
            return AmqttBroker(home)
        case Contender(kind=ServerKind.LEAFBOX):
            return MqttBroker(BrokerKind.LEAFBOX, home, "max_payload: 1MB", NATS_MQTT)
        case _:
            return MqttBroker(BrokerKind.NATS_SERVER, home, mqtt=NATS_MQTT, jetstream=bench.contender.jetstream)


@contextlib.contextmanager
def running(bench: Bench) -> Iterator[Broker]:
    """The broker on its processors."""
    broker = made(bench)
    with processors(bench.placement.server_processors):
        broker.start()
    try:
        yield broker
    finally:
        broker.stop(crash=True)


def load(bench: Bench, broker: Broker, mode: str, **options: int) -> Values:
    """Put load on it."""
    chosen = [f"{key}={value}" for key, value in {"port": broker.port, **options}.items()]
    with processors(bench.placement.generator_processors):
        ended = subprocess.run(
            [str(program("load_mqtt")), mode, *chosen], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=RUN_TIMEOUT_S, check=False,
        )  # fmt: skip
    if ended.returncode != 0:
        raise LoadFailed(f"{mode} {options}: {ended.stderr.strip()}")
    return {name: float(value) for name, value in json.loads(ended.stdout).items()}


@contextlib.contextmanager
def held(broker: Broker, placement: Placement, count: int) -> Iterator[float]:
    """So many silent clients; yields connections a second."""
    with processors(placement.generator_processors):
        process = subprocess.Popen(
            [str(program("load_mqtt")), "connect", f"port={broker.port}", f"count={count}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise LoadFailed(f"connect: {process.stderr.read().strip()}")
        yield float(json.loads(line)["rate"])
    finally:
        process.communicate()


def amount(bench: Bench, full: int) -> int:
    """An amount at this scale for this contender."""
    return bench.amount(int(full * SLOW.get(bench.contender.name, 1.0)))


def _flow(qos: int, count: int, **more: int) -> Callable[[Bench], Values]:
    def measure(bench: Bench) -> Values:
        with running(bench) as broker:
            load(bench, broker, "flow", qos=qos, count=100, **more)
            used = processor_seconds(broker.pid)
            figures = load(bench, broker, "flow", qos=qos, count=amount(bench, count), **more)
            used = processor_seconds(broker.pid) - used
        return {"rate": figures["rate"], "server time": max(used, 0.001) / figures["messages"] * 1e9}

    return measure


def _latency(qos: int) -> Callable[[Bench], Values]:
    def measure(bench: Bench) -> Values:
        with running(bench) as broker:
            load(bench, broker, "latency", qos=qos, count=100)
            figures = load(bench, broker, "latency", qos=qos, count=amount(bench, 5000))
        return {"p50": figures["p50_us"], "p99": figures["p99_us"]}

    return measure


def _idle(count: int) -> Callable[[Bench], Values]:
    def measure(bench: Bench) -> Values:
        with running(bench) as broker:
            with held(broker, bench.placement, 1):
                pass  # The first connection loads what a broker loads lazily.
            time.sleep(SETTLE_S * min(bench.scale, 1.0))
            before, wanted = memory_bytes(broker.pid), bench.amount(count)
            with held(broker, bench.placement, wanted) as rate:
                time.sleep(SETTLE_S * min(bench.scale, 1.0))
                grown = memory_bytes(broker.pid) - before
        return {"connect rate": rate, "memory per connection": max(grown, 1) / wanted / 1024}

    return measure


def _retained(count: int) -> Callable[[Bench], Values]:
    def measure(bench: Bench) -> Values:
        with running(bench) as broker:
            figures = load(bench, broker, "retain", count=amount(bench, count))
        return {"stored": figures["store_rate"], "all to one #": figures["all_ms"]}

    return measure


def _backlog(*, crash: bool) -> Callable[[Bench], Values]:
    def measure(bench: Bench) -> Values:
        count = amount(bench, 50_000)
        with running(bench) as broker:
            queued = load(bench, broker, "queue", count=count)["rate"]
            if crash:
                broker.restart(crash=True)
            # Every message must come; nats-server does not keep their order over a restart.
            is_ours = int(bench.contender is OURS)
            drained = load(bench, broker, "drain", count=count, ordered=is_ours)["rate"]
        return {"queued": queued, "drained": drained}

    return measure


def _rate() -> tuple[Metric, ...]:
    """A rate and what it costs the broker; the wanted ratios differ by peer and stand in `WANTED`."""
    return (Metric("rate", "deliveries/s"), Metric("server time", "ns of processor each", False))


# Scenario -> metric -> peer -> what ours divided by theirs must reach (or stay under, where less is better).
WANTED: dict[str, dict[str, dict[str, float]]] = {
    "MQTT QoS 0 1:1, 64 B": {"rate": {MOSQUITTO.name: 5.0, REAL.name: 1.0}},
    "MQTT QoS 1 1:1, 64 B, window 100": {"rate": {MOSQUITTO.name: 2.0, REAL_SYNCED.name: 40.0}},
    "MQTT QoS 2 1:1, 64 B, window 20": {"rate": {MOSQUITTO.name: 1.5, REAL_SYNCED.name: 40.0}},
    "MQTT QoS 0 1:100, 64 B": {"rate": {MOSQUITTO.name: 2.5, REAL.name: 1.0}},
    "MQTT QoS 1 1:100, 64 B": {"rate": {MOSQUITTO.name: 1.0}},
    "MQTT 10,000 retained": {"all to one #": {MOSQUITTO.name: 1.0}},
    "MQTT 100,000 retained": {"all to one #": {MOSQUITTO.name: 1.0}},
    "MQTT backlog of 50,000": {
        "queued": {MOSQUITTO.name: 0.8, REAL.name: 0.8},
        "drained": {MOSQUITTO.name: 0.8, REAL.name: 0.8},
    },
}

# What ours must be by itself.
LIMITS = {
    ("MQTT 10,000 idle connections", "memory per connection"): 16.0,
    ("MQTT 10,000 idle connections", "connect rate"): 5000.0,
}


def _scenario(
    name: str,
    measure: Callable[[Bench], Values],
    metrics: tuple[Metric, ...],
    contenders: tuple[Contender, ...] = PEERS,
) -> Scenario:
    wanted = WANTED.get(name, {})
    judged = tuple(
        replace(each, peer_limits=tuple(wanted.get(each.name, {}).items()), limit=LIMITS.get((name, each.name)))
        for each in metrics
    )
    return Scenario(name, measure, judged, group="mqtt", contenders=contenders, stores=True)


_BACKLOG = (Metric("queued", "messages/s"), Metric("drained", "messages/s"))
_IDLE = (Metric("connect rate", "connections/s"), Metric("memory per connection", "KiB", False))
_RETAINED = (Metric("stored", "messages/s"), Metric("all to one #", "ms", False))
_DELAY = (Metric("p50", "µs", False), Metric("p99", "µs", False))

SCENARIOS = [
    _scenario("MQTT QoS 0 1:1, 64 B", _flow(0, 500_000), _rate()),
    _scenario("MQTT QoS 1 1:1, 64 B, window 100", _flow(1, 100_000, window=100), _rate()),
    _scenario("MQTT QoS 2 1:1, 64 B, window 20", _flow(2, 30_000, window=20), _rate()),
    _scenario("MQTT QoS 0 1:100, 64 B", _flow(0, 5_000, subs=100, window=200), _rate()),
    _scenario("MQTT QoS 1 1:100, 64 B", _flow(1, 2_000, subs=100, window=100), _rate()),
    _scenario("MQTT QoS 1, one at a time", _latency(1), _DELAY),
    _scenario("MQTT QoS 2, one at a time", _latency(2), _DELAY),
    _scenario("MQTT 1,000 idle connections", _idle(1_000), _IDLE),
    _scenario("MQTT 10,000 idle connections", _idle(10_000), _IDLE, (MOSQUITTO, REAL, OURS)),
    _scenario("MQTT 10,000 retained", _retained(10_000), _RETAINED),
    _scenario("MQTT 100,000 retained", _retained(100_000), _RETAINED, (MOSQUITTO, REAL, OURS)),
    _scenario("MQTT backlog of 50,000", _backlog(crash=False), _BACKLOG, KEEPERS),
    # mosquitto loses its backlog when it is killed, so only those are here that keep it.
    _scenario("MQTT backlog of 50,000, killed between", _backlog(crash=True), _BACKLOG, (REAL, REAL_SYNCED, OURS)),
]
