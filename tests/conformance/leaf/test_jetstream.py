"""JetStream across a link between two domains: requests, consumers, a hub that sources from us (specification 8)."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.leaf.pairs import (
    OURS,
    REAL,
    Client,
    Pair,
    PairStarter,
    eventually,
    interest_of,
    wait_interest,
)
from tests.support.servers import StartServer


@pytest.fixture
def pair(start_pair: PairStarter, tmp_path: Path) -> Pair:
    """Linked servers, each with a JetStream domain."""
    return start_domains(start_pair, tmp_path)


@pytest.fixture(params=[OURS, REAL], ids=["edge", "neither"])
def origin_pair(request: pytest.FixtureRequest, start_server: StartServer, tmp_path: Path) -> Pair:
    """The same, with a real nats-server as the hub that gathers."""
    return start_domains(PairStarter(start_server, (REAL, request.param)), tmp_path)


def start_domains(start_pair: PairStarter, tmp_path: Path) -> Pair:
    """Start both and wait until each knows the other's domain."""
    hub, edge = (f'jetstream {{ store_dir: "{tmp_path / name}", domain: {name} }}' for name in ("HUB", "EDGE"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    pair = start_pair(f'listen: "127.0.0.1:{port}"', hub, edge=edge)
    eventually(lambda: any(subject.startswith("$JS.HUB.API.") for subject in interest_of(pair.edge)), "HUB's requests")
    eventually(lambda: any(subject.startswith("$JS.EDGE.API.") for subject in interest_of(pair.hub)), "EDGE's requests")
    return pair


def request(client: Client, subject: str, body: object = None) -> Any:
    """One request and its answer."""
    inbox = f"_INBOX.{client.info['server_name']}.{client.info['client_id']}.r"
    payload = json.dumps(body).encode() if body is not None else b""
    client.send(
        b"SUB %b 99\r\nPUB %b %b %d\r\n%b\r\n"
        % (inbox.encode(), subject.encode(), inbox.encode(), len(payload), payload)
    )
    operation = client.next_operation()
    client.ask(b"UNSUB 99\r\n")
    head, _, answer = operation.partition(b"\r\n")
    if head.startswith(b"HMSG"):
        answer = answer[int(head.split()[-2]) :]
    found = json.loads(answer)
    assert not (isinstance(found, dict) and "error" in found), found
    return found


def messages_of(client: Client, stream: str) -> int:
    return int(request(client, f"$JS.API.STREAM.INFO.{stream}")["state"]["messages"])


@pytest.mark.capability("LF08")
def test_each_side_reaches_the_others_domain_and_only_by_its_name(pair: Pair) -> None:
    with Client(pair.hub) as hub, Client(pair.edge) as edge:
        assert request(hub, "$JS.EDGE.API.INFO")["domain"] == "EDGE"
        assert request(edge, "$JS.HUB.API.INFO")["domain"] == "HUB"
        assert request(hub, "$JS.API.INFO")["domain"] == "HUB"
        assert request(edge, "$JS.API.INFO")["domain"] == "EDGE"
        request(hub, "$JS.EDGE.API.STREAM.CREATE.E", {"name": "E", "subjects": ["e"]})
        assert request(edge, "$JS.API.STREAM.NAMES")["streams"] == ["E"]
        assert request(hub, "$JS.API.STREAM.NAMES")["streams"] in (None, [])


@pytest.mark.capability("LF11")
def test_the_hub_pulls_and_acknowledges_at_an_edge_consumer(pair: Pair) -> None:
    with Client(pair.edge) as edge, Client(pair.hub) as hub:
        request(edge, "$JS.API.STREAM.CREATE.ORD", {"name": "ORD", "subjects": ["ord.>"]})
        request(edge, "ord.1", "first")
        config = {"durable_name": "D", "ack_policy": "explicit", "deliver_policy": "all"}
        request(hub, "$JS.EDGE.API.CONSUMER.CREATE.ORD.D", {"stream_name": "ORD", "config": config})
        hub.subscribe("_INBOX.pull", "7")
        wait_interest(pair.edge, "_INBOX.pull")
        hub.send(b"PUB $JS.EDGE.API.CONSUMER.MSG.NEXT.ORD.D _INBOX.pull 0\r\n\r\n")
        head, _, payload = hub.next_operation().partition(b"\r\n")
        operation, subject, sid, reply, _ = head.split()
        # The stream's subject and an acknowledgement subject without the `@` that carried it.
        assert (operation, subject, sid, payload) == (b"MSG", b"ord.1", b"7", b'"first"\r\n')
        assert reply.startswith(b"$JS.ACK.")
        assert b"@" not in reply
        hub.ask(b"PUB %b 0\r\n\r\n" % reply)
        info = "$JS.EDGE.API.CONSUMER.INFO.ORD.D"
        eventually(lambda: request(hub, info)["ack_floor"]["stream_seq"] == 1, "the acknowledgement took effect")


@pytest.mark.capability("LF11")
def test_a_push_consumer_delivers_across_the_link(pair: Pair) -> None:
    with Client(pair.edge) as edge, Client(pair.hub) as hub:
        request(edge, "$JS.API.STREAM.CREATE.ORD", {"name": "ORD", "subjects": ["ord.>"]})
        hub.subscribe("deliver.here", "5")
        wait_interest(pair.edge, "deliver.here")
        config = {"durable_name": "P", "ack_policy": "none", "deliver_subject": "deliver.here"}
        request(edge, "$JS.API.CONSUMER.CREATE.ORD.P", {"stream_name": "ORD", "config": config})
        for number in range(3):
            request(edge, f"ord.{number}", number)
        assert [hub.next_operation().split()[1] for _ in range(3)] == [b"ord.0", b"ord.1", b"ord.2"]


def source_of_edge(name: str, retention: str = "limits") -> dict[str, object]:
    """A stream at the hub that gathers ORD of the edge."""
    origin = {"name": "ORD", "external": {"api": "$JS.EDGE.API", "deliver": ""}}
    return {"name": name, "sources": [origin], "retention": retention}


@pytest.mark.capability("LF09", "LF06")
def test_the_hub_sources_an_edge_stream_also_after_an_outage(origin_pair: Pair) -> None:
    with Client(origin_pair.edge) as edge:
        request(edge, "$JS.API.STREAM.CREATE.ORD", {"name": "ORD", "subjects": ["ord.>"]})
        for number in range(20):
            request(edge, f"ord.{number}", number)
        with Client(origin_pair.hub) as hub:
            request(hub, "$JS.API.STREAM.CREATE.AGG", source_of_edge("AGG"))
            eventually(lambda: messages_of(hub, "AGG") == 20, "twenty messages at the hub")
            (source,) = request(hub, "$JS.API.STREAM.INFO.AGG")["sources"]
            assert source["lag"] == 0
            assert source["active"] >= 0
        # An orderly end: what a crash of nats-server loses is not the question here.
        origin_pair.hub.stop()
        for number in range(20, 40):
            request(edge, f"ord.{number}", number)
        origin_pair.hub.start()
        with Client(origin_pair.hub) as hub:
            eventually(lambda: messages_of(hub, "AGG") == 40, "forty messages, none twice", timeout_s=100)
            last = request(hub, "$JS.API.STREAM.MSG.GET.AGG", {"seq": 40})["message"]
            assert last["subject"] == "ord.39"


@pytest.mark.capability("LF12")
def test_a_work_queue_of_the_edge_drains_into_the_hub(origin_pair: Pair) -> None:
    with Client(origin_pair.edge) as edge, Client(origin_pair.hub) as hub:
        config = {"name": "ORD", "subjects": ["ord.>"], "retention": "workqueue"}
        request(edge, "$JS.API.STREAM.CREATE.ORD", config)
        for number in range(10):
            request(edge, f"ord.{number}", number)
        request(hub, "$JS.API.STREAM.CREATE.AGG", source_of_edge("AGG"))
        eventually(lambda: messages_of(hub, "AGG") == 10, "ten messages at the hub")
        eventually(lambda: messages_of(edge, "ORD") == 0, "none left at the edge", timeout_s=30)


@pytest.mark.capability("LF13")
def test_the_edge_writes_and_reads_a_bucket_of_the_hub(pair: Pair) -> None:
    with Client(pair.edge) as edge, Client(pair.hub) as hub:
        bucket = {"name": "KV_B", "subjects": ["$KV.B.>"], "max_msgs_per_subject": 1, "allow_direct": True}
        request(hub, "$JS.API.STREAM.CREATE.KV_B", bucket)
        assert request(edge, "$JS.HUB.API.$KV.B.k", "v1")["seq"] == 1
        assert request(edge, "$JS.HUB.API.DIRECT.GET.KV_B.$KV.B.k") == "v1"
