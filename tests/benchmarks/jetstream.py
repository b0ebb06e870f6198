"""JetStream: durable publishing, fetching, consuming, key-value, objects, and what it all writes to the device.

The generator speaks the JetStream protocol itself: a publish is a request whose answer is the PubAck, a pull is a
request to the consumer's NEXT subject. Stores lie on an ext4 image of their own (see `flash`).

nats-server acknowledges before data is on the device unless `sync_interval` is `always`; so it runs in both settings,
and only the second promises what ours promises.
"""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable

from tests.benchmarks.generator import LoadFailed
from tests.benchmarks.scenario import OURS, REAL, REAL_SYNCED, Bench, Contender, Metric, Scenario, Values
from tests.support.servers import ServerProcess

PUBLISH_SECONDS = 3
CHUNK_BYTES = 128 * 1024  # What clients cut objects into.
OBJECT_BYTES = 50 << 20
API_TIMEOUT_S = 30.0


def _config(bench: Bench) -> str:
    assert bench.flash is not None
    store = bench.flash.directory / "store"
    return f'jetstream {{ store_dir: "{store}", max_file: 1GB, {bench.contender.jetstream} }}'


def _api(server: ServerProcess, subject: str, request: dict[str, object]) -> dict[str, object]:
    """One JetStream API request; `LoadFailed` when it is refused."""
    body = json.dumps(request).encode()
    with (
        socket.create_connection(("127.0.0.1", server.client_port), API_TIMEOUT_S) as wire,
        wire.makefile("rb") as lines,
    ):
        wire.sendall(
            b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB _INBOX.api 1\r\n'
            b"PUB $JS.API.%s _INBOX.api %d\r\n%s\r\n" % (subject.encode(), len(body), body)
        )
        for line in lines:
            if line.startswith(b"MSG "):
                answer: dict[str, object] = json.loads(lines.read(int(line.split()[-1])))
                if "error" in answer:
                    raise LoadFailed(f"{subject}: {answer['error']}")
                return answer
            if line.startswith((b"HMSG ", b"-ERR")):
                break
    raise LoadFailed(f"{subject}: no JetStream answers")


def _create_stream(server: ServerProcess, name: str, subjects: list[str], **more: object) -> None:
    config = {"name": name, "subjects": subjects, "storage": "file", "retention": "limits", **more}
    _api(server, f"STREAM.CREATE.{name}", config)


def _create_consumer(server: ServerProcess, stream: str, name: str, **more: object) -> None:
    config = {"durable_name": name, "ack_policy": "explicit", **more}
    _api(server, f"CONSUMER.DURABLE.CREATE.{stream}.{name}", {"stream_name": stream, "config": config})


def _publish(in_flight: int, size: int) -> Callable[[Bench], Values]:
    """Publishes for a few seconds, each answered; what the device wrote is divided by the messages."""

    def measure(bench: Bench) -> Values:
        assert bench.flash is not None
        with bench.server(_config(bench)) as server:
            _create_stream(server, "BENCH", ["bench.js"])
            counted = bench.flash.written_bytes() if bench.flash.is_counted else 0
            figures = bench.load(
                server, "requests", subject="bench.js", size=size, window=in_flight, count=2_000_000,
                seconds=max(1, round(PUBLISH_SECONDS * bench.scale)),
            )  # fmt: skip
        values = {"rate": figures["rate"], "p50": figures["p50_us"], "p99": figures["p99_us"]}
        if bench.flash.is_counted:
            values["device"] = (bench.flash.written_bytes() - counted) / figures["messages"]
        return values

    return measure


def _filled(bench: Bench, server: ServerProcess, count: int, size: int = 128) -> None:
    _create_stream(server, "BENCH", ["bench.js"])
    bench.load(server, "requests", subject="bench.js", size=size, window=1000, count=count)


def _fetch(batch: int, acks: str) -> Callable[[Bench], Values]:
    def measure(bench: Bench) -> Values:
        count = bench.amount(50_000)
        with bench.server(_config(bench)) as server:
            _filled(bench, server, count)
            _create_consumer(server, "BENCH", "puller", ack_policy=acks, max_ack_pending=100_000)
            figures = bench.load(
                server, "fetch", stream="BENCH", consumer="puller", batch=batch, count=count, acks=acks
            )
        return {"rate": figures["rate"]}

    return measure


def _collect(bench: Bench, server: ServerProcess, stream: str, count: int) -> Values:
    """What an ordered consumer costs: ephemeral, push, no acknowledgements, flow control, in memory."""
    config = {
        "deliver_subject": "bench.deliver", "deliver_policy": "all", "ack_policy": "none", "flow_control": True,
        "idle_heartbeat": 5_000_000_000, "max_deliver": 1, "mem_storage": True, "num_replicas": 1,
    }  # fmt: skip
    body = json.dumps({"stream_name": stream, "config": config}, separators=(",", ":"))
    return bench.load(
        server, "collect", subject="bench.deliver", start=f"$JS.API.CONSUMER.CREATE.{stream}", body=body, count=count
    )


def _ordered(bench: Bench) -> Values:
    count = bench.amount(100_000)
    with bench.server(_config(bench)) as server:
        _filled(bench, server, count)
        return {"rate": _collect(bench, server, "BENCH", count)["rate"]}


def _key_value(bench: Bench) -> Values:
    keys = 1000
    with bench.server(_config(bench)) as server:
        _create_stream(
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
    with bench.server(_config(bench)) as server:
        _create_stream(server, "OBJ_bench", [f"$O.bench.C.{name}", f"$O.bench.M.{name}"], allow_rollup_hdrs=True)
        counted = bench.flash.written_bytes() if bench.flash.is_counted else 0
        put = bench.load(server, "requests", subject=f"$O.bench.C.{name}", size=CHUNK_BYTES, window=10, count=chunks)
        values = {}
        if bench.flash.is_counted:
            values["device"] = (bench.flash.written_bytes() - counted) / (chunks * CHUNK_BYTES)
        get = _collect(bench, server, "OBJ_bench", chunks)
    megabytes = CHUNK_BYTES / 1e6
    return {"put": put["rate"] * megabytes, "get": get["rate"] * megabytes, **values}


def _scenario(
    name: str, measure: Callable[[Bench], Values], *metrics: Metric, contenders: tuple[Contender, ...] = (REAL, OURS)
) -> Scenario:
    return Scenario(name, measure, metrics, "jetstream", contenders, stores=True)


def _publishing(name: str, in_flight: int, size: int) -> Scenario:
    """Only publishing meets nats-server in both settings: filling a synced stream to read it takes minutes."""
    metrics = (_RATE, *_ACK_TIME, _DEVICE)
    return _scenario(name, _publish(in_flight, size), *metrics, contenders=(REAL, REAL_SYNCED, OURS))


_RATE = Metric("rate", "messages/s")
_DEVICE = Metric("device", "bytes written per message", False)
_ACK_TIME = (Metric("p50", "µs to the ack", False), Metric("p99", "µs to the ack", False))

SCENARIOS = [
    *(
        _publishing(f"publish {text}, {flight} in flight", flight, size)
        for text, size in (("128 B", 128), ("4 KiB", 4096))
        for flight in (1, 100, 1000)
    ),
    _scenario("pull, batches of 100, no acks", _fetch(100, "none"), _RATE),
    _scenario("pull, batches of 100, explicit acks", _fetch(100, "explicit"), _RATE),
    _scenario("pull, one by one, explicit acks", _fetch(1, "explicit"), _RATE),
    _scenario("ordered consumer", _ordered, _RATE),
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
]
