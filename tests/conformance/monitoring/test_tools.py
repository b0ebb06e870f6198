"""What nats-top and prometheus-nats-exporter read: the same fields, types and metric names on either server.

Neither tool can be had here (both are Go programs), so their reading is done again: nats-top's decoding into typed
fields, strict as Go's is, and the exporter's names by way of `monitoring.metrics`, which the unit tests hold to the
exporter's source. Sources: monitoring 4.1 and 4.2.
"""

from __future__ import annotations

import asyncio
import json
import urllib.request
from typing import Any

import msgspec
import nats
import pytest
from prometheus_client.parser import text_string_to_metric_families

from leafbox.monitoring.metrics import render
from tests.support.servers import ServerKind, ServerProcess

CONFIG = 'http: "127.0.0.1:-1"\nserver_name: box\njetstream {{ store_dir: "{}", domain: edge }}\n'


class Varz(msgspec.Struct):
    """The fields that nats-top takes, with the types of the Go struct; a number never becomes a string."""

    server_id: str
    server_name: str
    version: str
    now: str
    uptime: str
    cpu: float
    mem: int
    connections: int
    slow_consumers: int
    in_msgs: int
    out_msgs: int
    in_bytes: int
    out_bytes: int


class Connection(msgspec.Struct):
    """One row of nats-top."""

    cid: int
    ip: str
    port: int
    subscriptions: int
    pending_bytes: int
    in_msgs: int
    out_msgs: int
    in_bytes: int
    out_bytes: int
    uptime: str
    last_activity: str
    name: str = ""
    lang: str = ""
    version: str = ""
    authorized_user: str = ""
    subscriptions_list: list[str] = []


class Connz(msgspec.Struct):
    """The page of rows."""

    num_connections: int
    connections: list[Connection]


SORTS = ("cid", "subs", "pending", "msgs_to", "msgs_from", "bytes_to", "bytes_from", "last", "idle", "uptime")


def get(server: ServerProcess, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port('monitor')}{path}", timeout=10) as answer:
        return bytes(answer.read())


async def use(server: ServerProcess) -> dict[str, bytes]:
    """A stream, a consumer and traffic; then what the tools fetch while the client is connected."""
    async with await nats.connect(server.url, name="sensor") as client:
        stream = client.jetstream()
        await stream.add_stream(name="S", subjects=["s.*"], max_bytes=1_000_000)
        subscription = await stream.pull_subscribe("s.*", durable="C")
        for number in range(5):
            await stream.publish("s.x", b"%d" % number)
        for message in await subscription.fetch(2):
            await message.ack_sync()
        jsz = "/jsz?consumers=true&config=true"
        paths = ["/varz", "/connz?limit=1024&subs=1", "/subsz", "/leafz", "/accstatz?unused=1", "/healthz", jsz]
        paths += [f"/connz?limit=10&sort={sort}" for sort in SORTS]
        found = [await asyncio.to_thread(get, server, path) for path in paths]
        return dict(zip(paths, found, strict=True))


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[ServerKind, dict[str, bytes]]:
    found = {}
    for kind in ServerKind:
        home = tmp_path_factory.mktemp(kind.value)
        with ServerProcess(kind, home, config=CONFIG.format(home / "store")) as server:
            found[kind] = asyncio.run(use(server))
    return found


@pytest.mark.capability("MO09")
@pytest.mark.parametrize("kind", list(ServerKind), ids=lambda kind: kind.value)
def test_nats_top_can_decode_everything(kind: ServerKind, answers: dict[ServerKind, dict[str, bytes]]) -> None:
    found = answers[kind]
    varz = msgspec.json.decode(found["/varz"], type=Varz)
    assert (varz.server_name, varz.connections) == ("box", 1)
    assert varz.in_msgs >= 5
    page = msgspec.json.decode(found["/connz?limit=1024&subs=1"], type=Connz)
    (row,) = page.connections
    assert (row.name, row.lang, row.ip) == ("sensor", "python3", "127.0.0.1")
    assert row.in_msgs >= 5
    assert row.subscriptions == len(row.subscriptions_list) > 0
    for sort in SORTS:
        assert msgspec.json.decode(found[f"/connz?limit=10&sort={sort}"], type=Connz).num_connections == 1


def metrics(found: dict[str, bytes]) -> dict[str, set[tuple[str, ...]]]:
    """Metric name -> the label names it comes with."""
    documents: dict[str, Any] = {
        path.partition("?")[0].strip("/"): json.loads(body) for path, body in found.items() if "sort=" not in path
    }
    names: dict[str, set[tuple[str, ...]]] = {}
    for family in text_string_to_metric_families(render(documents)):
        for sample in family.samples:
            names.setdefault(sample.name, set()).add(tuple(sorted(sample.labels)))
    return names


@pytest.mark.capability("MO10")
def test_metric_names_are_those_of_nats_server(answers: dict[ServerKind, dict[str, bytes]]) -> None:
    ours, real = metrics(answers[ServerKind.LEAFBOX]), metrics(answers[ServerKind.REAL])
    assert len(real) > 100
    # Numbers that Go's runtime has and ours has not.
    missing = {name for name in real if name not in ours}
    assert missing <= {"gnatsd_varz_gomemlimit"}, sorted(missing)
    assert {name: ours[name] for name in real if name in ours} == {n: real[n] for n in real if n in ours}
