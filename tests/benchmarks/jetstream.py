"""JetStream: durable publishing, fetching, consuming, key-value, objects, and what it all writes to the device.

The generator speaks the JetStream protocol itself: a publish is a request whose answer is the PubAck, a pull is a
request to the consumer's NEXT subject. Stores lie on an ext4 image of their own (see `flash`).

nats-server acknowledges before data is on the device unless `sync_interval` is `always`; so it runs in both settings,
and only the second promises what ours promises.
"""

from __future__ import annotations

import base64
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace

from tests.benchmarks.generator import LoadFailed
from tests.benchmarks.machine import memory_bytes
from tests.benchmarks.scenario import OURS, REAL, REAL_SYNCED, Bench, Contender, Metric, Scenario, Values
from tests.benchmarks.stream_setup import api, config, create_consumer, create_stream, filled
from tests.support.servers import ServerProcess

PUBLISH_SECONDS = 3
STREAMS = 8
CONSUMERS = 1000
SETTLE_S = 0.5  # For memory after a start.
CHUNK_BYTES = 128 * 1024  # What clients cut objects into.
OBJECT_BYTES = 50 << 20
FRAMING_BYTES = 128  # Subject, time, checksum: more than either store adds to a message.
MESSAGES_MAX = 2_000_000
FOLLOWED = 200_000
FOLLOW_TIMEOUT_S = 60.0
FOLLOW_POLL_S = 0.005  # Either server takes a few hundred times as long; both wait 0.1 s before they ask an origin.


def _messages_that_fit(bench: Bench, size: int) -> int:
    """How many messages may be published. A quarter of the flash leaves room for log, checkpoints and framing; a full
    one makes nats-server drop messages unanswered, which a fast machine reaches within a second."""
    assert bench.flash is not None
    return min(MESSAGES_MAX, shutil.disk_usage(bench.flash.directory).free // 4 // (size + FRAMING_BYTES))


def _publish(in_flight: int, size: int) -> Callable[[Bench], Values]:
    """Publishes for a few seconds, each answered; what the device wrote is divided by the messages."""

    def measure(bench: Bench) -> Values:
        assert bench.flash is not None
        with bench.server(config(bench)) as server:
            create_stream(server, "BENCH", ["bench.js"])
            counted = bench.flash.written_bytes() if bench.flash.is_counted else 0
            figures = bench.load(
                server, "requests", subject="bench.js", size=size, window=in_flight,
                count=_messages_that_fit(bench, size), seconds=max(1, round(PUBLISH_SECONDS * bench.scale)),
            )  # fmt: skip
        values = {"rate": figures["rate"], "p50": figures["p50_us"], "p99": figures["p99_us"]}
        if bench.flash.is_counted:
            values["device"] = (bench.flash.written_bytes() - counted) / figures["messages"]
        return values

    return measure


def _publish_to_many(bench: Bench) -> Values:
    """Messages go to each stream in turn; one commit covers what came for all of them."""
    assert bench.flash is not None
    with bench.server(config(bench)) as server:
        for number in range(STREAMS):
            create_stream(server, f"BENCH{number}", [f"bench.many{number:05}"])
        counted = bench.flash.written_bytes() if bench.flash.is_counted else 0
        figures = bench.load(
            server, "requests", subject="bench.many", keys=STREAMS, size=128, window=1000,
            count=_messages_that_fit(bench, 128), seconds=max(1, round(PUBLISH_SECONDS * bench.scale)),
        )  # fmt: skip
    values = {"rate": figures["rate"], "p50": figures["p50_us"]}
    if bench.flash.is_counted:
        values["device"] = (bench.flash.written_bytes() - counted) / figures["messages"]
    return values


def _fetch(batch: int, acks: str) -> Callable[[Bench], Values]:
    def measure(bench: Bench) -> Values:
        count = bench.amount(50_000)
        with bench.server(config(bench)) as server:
            filled(bench, server, count)
            create_consumer(server, "BENCH", "puller", ack_policy=acks, max_ack_pending=100_000)
            figures = bench.load(
                server, "fetch", stream="BENCH", consumer="puller", batch=batch, count=count, acks=acks
            )
        return {"rate": figures["rate"]}

    return measure


def _collect(bench: Bench, server: ServerProcess, stream: str, count: int) -> Values:
    """What an ordered consumer costs: ephemeral, push, no acknowledgements, flow control, in memory."""
    wanted = {
        "deliver_subject": "bench.deliver", "deliver_policy": "all", "ack_policy": "none", "flow_control": True,
        "idle_heartbeat": 5_000_000_000, "max_deliver": 1, "mem_storage": True, "num_replicas": 1,
    }  # fmt: skip
    body = json.dumps({"stream_name": stream, "config": wanted}, separators=(",", ":"))
    return bench.load(
        server, "collect", subject="bench.deliver", start=f"$JS.API.CONSUMER.CREATE.{stream}", body=body, count=count
    )


def _push(bench: Bench) -> Values:
    """A durable push consumer, each message acknowledged; 1,000 may be unacknowledged, the usual limit."""
    count = bench.amount(100_000)
    with bench.server(config(bench)) as server:
        filled(bench, server, count)
        wanted = {
            "durable_name": "pushed", "deliver_subject": "bench.deliver", "ack_policy": "explicit",
            "max_ack_pending": 1000,
        }  # fmt: skip
        body = json.dumps({"stream_name": "BENCH", "config": wanted}, separators=(",", ":"))
        start = "$JS.API.CONSUMER.DURABLE.CREATE.BENCH.pushed"
        figures = bench.load(
            server, "collect", subject="bench.deliver", start=start, body=body, count=count, acks="explicit"
        )
    return {"rate": figures["rate"]}


def _ordered(bench: Bench) -> Values:
    count = bench.amount(100_000)
    with bench.server(config(bench)) as server:
        filled(bench, server, count)
        return {"rate": _collect(bench, server, "BENCH", count)["rate"]}


def _key_value(bench: Bench) -> Values:
    keys = 1000
    with bench.server(config(bench)) as server:
        create_stream(
            server, "KV_bench", ["$KV.bench.>"], max_msgs_per_subject=1, discard="new", allow_rollup_hdrs=True,
            allow_direct=True, deny_delete=True,
        )  # fmt: skip
        seconds = max(1, round(PUBLISH_SECONDS * bench.scale))
        spread = {"keys": keys, "count": 1_000_000, "seconds": seconds}
        put_one = bench.load(server, "requests", subject="$KV.bench.k", size=128, window=1, **spread)
        put = bench.load(server, "requests", subject="$KV.bench.k", size=128, window=100, **spread)
        get = bench.load(
            server, "requests", subject="$JS.API.DIRECT.GET.KV_bench.$KV.bench.k", size=0, window=100,
            keys=1000 if put["messages"] >= keys else int(put["messages"]), count=100_000, seconds=seconds,
        )  # fmt: skip
    return {
        "put p50, one at a time": put_one["p50_us"],
        "put, 100 at a time": put["rate"],
        "get, 100 at a time": get["rate"],
    }


def _object(bench: Bench) -> Values:
    """An object of 50 MB, written in chunks of 128 KiB with ten unanswered, read back by an ordered consumer."""
    chunks = bench.amount(OBJECT_BYTES // CHUNK_BYTES, 10)
    name = base64.urlsafe_b64encode(b"bench").decode()
    assert bench.flash is not None
    with bench.server(config(bench)) as server:
        create_stream(server, "OBJ_bench", [f"$O.bench.C.{name}", f"$O.bench.M.{name}"], allow_rollup_hdrs=True)
        counted = bench.flash.written_bytes() if bench.flash.is_counted else 0
        put = bench.load(server, "requests", subject=f"$O.bench.C.{name}", size=CHUNK_BYTES, window=10, count=chunks)
        values = {}
        if bench.flash.is_counted:
            values["device"] = (bench.flash.written_bytes() - counted) / (chunks * CHUNK_BYTES)
        get = _collect(bench, server, "OBJ_bench", chunks)
    megabytes = CHUNK_BYTES / 1e6
    return {"put": put["rate"] * megabytes, "get": get["rate"] * megabytes, **values}


def _start_full(bench: Bench) -> Values:
    """From starting the process to `Server is ready`, with a stream of 1,000 subjects; and what memory it took then."""
    count = bench.amount(1_000_000)
    with bench.server(config(bench)) as server:
        time.sleep(SETTLE_S)
        empty = memory_bytes(server.pid)
        filled(bench, server, count, subjects=1000)
    started = time.monotonic()
    with bench.server(config(bench)) as server:
        ready = time.monotonic() - started
        found = api(server, "STREAM.INFO.BENCH", {})
        state = found["state"]
        if not isinstance(state, dict) or state["messages"] != count:
            raise LoadFailed(f"the stream came back with {state}")
        time.sleep(SETTLE_S)
        grown = memory_bytes(server.pid) - empty
    return {"ready": ready, "memory per message": max(grown, 1) / count}


def _follow(origins: int) -> Callable[[Bench], Values]:
    """From making a mirror, or a stream with so many sources, until it has what its origins had."""

    def measure(bench: Bench) -> Values:
        count = bench.amount(FOLLOWED // origins)
        names = [f"BENCH{number}" for number in range(origins)]
        with bench.server(config(bench)) as server:
            for number, name in enumerate(names):
                create_stream(server, name, [f"bench.o{number}"])
                bench.load(server, "requests", subject=f"bench.o{number}", size=128, window=1000, count=count)
            origin = {"mirror": {"name": names[0]}} if origins == 1 else {"sources": [{"name": name} for name in names]}
            started = time.monotonic()
            api(server, "STREAM.CREATE.FOLLOW", {"name": "FOLLOW", "storage": "file", **origin})
            while (there := _messages_of(server, "FOLLOW")) < count * origins:
                if time.monotonic() - started > FOLLOW_TIMEOUT_S:
                    raise LoadFailed(f"{there} of {count * origins} messages followed")
                time.sleep(FOLLOW_POLL_S)
            return {"rate": count * origins / (time.monotonic() - started)}

    return measure


def _messages_of(server: ServerProcess, stream: str) -> int:
    state = api(server, f"STREAM.INFO.{stream}", {})["state"]
    assert isinstance(state, dict)
    return int(state["messages"])


def _many_consumers(bench: Bench) -> Values:
    """Durable pull consumers without requests: what each publish has to look past."""
    count = bench.amount(CONSUMERS)
    with bench.server(config(bench)) as server:
        create_stream(server, "BENCH", ["bench.js"])
        time.sleep(SETTLE_S)
        before = memory_bytes(server.pid)
        started = time.monotonic()
        for number in range(count):
            create_consumer(server, "BENCH", f"c{number}")
        elapsed = time.monotonic() - started
        grown = memory_bytes(server.pid) - before
        figures = bench.load(
            server, "requests", subject="bench.js", size=128, window=1000, count=500_000,
            seconds=max(1, round(PUBLISH_SECONDS * bench.scale)),
        )  # fmt: skip
    return {
        "created": count / elapsed,
        "memory per consumer": max(grown, 1) / count / 1024,
        "publish, 1000 in flight": figures["rate"],
    }


def _scenario(
    name: str, measure: Callable[[Bench], Values], *metrics: Metric, contenders: tuple[Contender, ...] = (REAL, OURS)
) -> Scenario:
    return Scenario(name, measure, metrics, "jetstream", contenders, stores=True)


def _publishing(name: str, in_flight: int, size: int) -> Scenario:
    """Only publishing meets nats-server in both settings: filling a synced stream to read it takes minutes.

    What is wanted is wanted of small messages; large ones are bound by the device.
    """
    rate, p50, device = _RATE, _ACK_P50, _DEVICE
    if size == 128 and in_flight == 1:
        p50, device = replace(_ACK_P50, synced_ratio_limit=1.0), replace(_DEVICE, limit=5000)
    elif size == 128 and in_flight == 1000:
        rate, device = replace(_RATE, ratio_limit=1.2, synced_ratio_limit=40), replace(_DEVICE, limit=500)
    return _scenario(name, _publish(in_flight, size), rate, p50, _ACK_P99, device, contenders=(REAL, REAL_SYNCED, OURS))


_RATE = Metric("rate", "messages/s")
_READ_RATE = Metric("rate", "messages/s", ratio_limit=1.0)
_DEVICE = Metric("device", "bytes written per message", False)
_ACK_P50 = Metric("p50", "µs to the ack", False)
_ACK_P99 = Metric("p99", "µs to the ack", False)

SCENARIOS = [
    *(
        _publishing(f"publish {text}, {flight} in flight", flight, size)
        for text, size in (("128 B", 128), ("4 KiB", 4096))
        for flight in (1, 100, 1000)
    ),
    # Not beside `sync_interval: always`, which loses requests when thousands wait.
    _scenario("publish 128 B, 4000 in flight", _publish(4000, 128), _RATE, _ACK_P50, _ACK_P99, _DEVICE),
    _scenario(
        f"publish 128 B, {STREAMS} streams at once, 1000 in flight",
        _publish_to_many,
        _RATE,
        _ACK_P50,
        _DEVICE,
        contenders=(REAL, REAL_SYNCED, OURS),
    ),
    _scenario("pull, batches of 100, no acks", _fetch(100, "none"), _READ_RATE),
    _scenario("pull, batches of 100, explicit acks", _fetch(100, "explicit"), _READ_RATE),
    _scenario("pull, one by one, explicit acks", _fetch(1, "explicit"), _READ_RATE),
    _scenario("push, explicit acks", _push, _READ_RATE),
    _scenario("ordered consumer", _ordered, _READ_RATE),
    _scenario(
        "key-value, 128 B",
        _key_value,
        Metric("put p50, one at a time", "µs", False),
        Metric("put, 100 at a time", "puts/s"),
        Metric("get, 100 at a time", "gets/s"),
    ),
    _scenario(
        "object of 50 MB",
        _object,
        Metric("put", "MB/s"),
        Metric("get", "MB/s"),
        Metric("device", "bytes written per byte", False),
    ),
    _scenario(f"mirror of {FOLLOWED:,} messages", _follow(1), _READ_RATE),
    _scenario(f"two sources of {FOLLOWED // 2:,} messages", _follow(2), _READ_RATE),
    _scenario(
        "start with 1,000,000 messages",
        _start_full,
        Metric("ready", "s", False, limit=2.0),
        Metric("memory per message", "bytes", False, limit=64),
    ),
    _scenario(
        f"{CONSUMERS:,} consumers of one stream",
        _many_consumers,
        Metric("created", "consumers/s"),
        Metric("memory per consumer", "KiB", False),
        Metric("publish, 1000 in flight", "messages/s"),
    ),
]
