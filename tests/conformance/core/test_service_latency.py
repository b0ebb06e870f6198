"""What the latency metric of an exported service says, on the real server and on ours (ADR-3)."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from tests.support.blocking_client import BlockingClient
from tests.support.servers import ServerKind, ServerProcess, StartServer

CONFIG = """
accounts {
  SYS { users: [ {user: s, password: s} ] }
  A { users: [ {user: a, password: a} ]
      exports: [ {service: "all.*", latency: {sampling: 100, subject: "took.all"}, threshold: "400ms"}
                 {service: "traced", latency: {sampling: headers, subject: "took.traced"}} ] }
  B { users: [ {user: b, password: b} ]
      imports: [ {service: {account: A, subject: "all.add"}, to: "add"}
                 {service: {account: A, subject: "traced"}, share: true} ] }
}
system_account: SYS
"""
ENVELOPE = {"type", "id", "timestamp", "status", "requestor", "start", "service", "system", "total"}
CLIENT = {"start", "host", "id", "acc", "user", "rtt", "server", "kind", "client_type"}
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-"

pytestmark = pytest.mark.capability("AC04")


@pytest.fixture
def server(server_kind: ServerKind, start_server: StartServer) -> ServerProcess:
    return start_server(server_kind, config=CONFIG)


def login(server: ServerProcess, user: str) -> BlockingClient:
    client = BlockingClient(server.client_port)
    assert client.login(user=user, **{"pass": user}, protocol=0) == b"PONG\r\n"
    return client


def metric(listener: BlockingClient) -> dict[str, Any]:
    """The next metric that comes."""
    received = listener.read_until(b"}\r\n")
    found = re.search(rb"MSG took\.\S+ 9 +\d+\r\n(.*)\r\n", received)
    assert found is not None, received
    document: dict[str, Any] = json.loads(found[1])
    return document


def ask(asker: BlockingClient, subject: bytes, header: str = "") -> None:
    if not header:
        asker.ask(b"PUB %b answer 1\r\n?\r\n" % subject)
        return
    block = f"NATS/1.0\r\n{header}\r\n\r\n".encode()
    asker.ask(b"HPUB %b answer %d %d\r\n%b?\r\n" % (subject, len(block), len(block) + 1, block))


def answer_next(service: BlockingClient) -> bytes:
    """Answer the next request; its reply subject."""
    request = service.read_until(b"?\r\n")
    found = re.search(rb"MSG \S+ 1 (\S+) ", request)
    assert found is not None
    service.ask(b"PUB %b 1\r\n!\r\n" % found[1])
    return found[1]


def test_an_answer_is_measured(server: ServerProcess) -> None:
    """Every field adds up; the requester's details stay its own unless the import is shared."""
    with login(server, "a") as service, login(server, "a") as listener, login(server, "b") as asker:
        listener.ask(b"SUB took.> 9\r\n")
        service.ask(b"SUB all.* 1\r\n")
        asker.ask(b"SUB answer 1\r\n")
        ask(asker, b"add")
        time.sleep(0.05)
        assert answer_next(service).endswith(b".T")
        found = metric(listener)
        assert set(found) == ENVELOPE | {"responder"}
        assert list(found)[:4] == ["type", "id", "timestamp", "status"]
        assert found["type"] == "io.nats.server.metric.v1.service_latency"
        assert found["status"] == 200
        assert found["requestor"].keys() - {"rtt"} == {"acc"}
        assert found["requestor"]["acc"] == "B"
        assert CLIENT - {"rtt"} <= set(found["responder"]) <= CLIENT | {"name", "lang", "ver"}
        assert (found["responder"]["acc"], found["responder"]["user"]) == ("A", "a")
        assert found["responder"]["kind"] == "Client"
        assert found["total"] >= 45_000_000 > found["system"]
        assert asker.read_until(b"!\r\n").startswith(b"MSG answer 1 1\r\n")
        # Once a request, not once an answer.
        assert b"MSG" not in listener.ask()


def test_what_fails_is_told_with_its_status(server: ServerProcess) -> None:
    """Without a reply subject, without a service, and without an answer in time."""
    with login(server, "a") as service, login(server, "a") as listener, login(server, "b") as asker:
        listener.ask(b"SUB took.> 9\r\n")
        ask(asker, b"add")
        failures = [metric(listener)]
        service.ask(b"SUB all.* 1\r\n")
        asker.ask(b"PUB add 1\r\n?\r\n")
        failures.append(metric(listener))
        ask(asker, b"add")
        failures.append(metric(listener))
        told = [(each["status"], each["description"]) for each in failures]
        assert told == [(503, "Service Unavailable"), (400, "Bad Request"), (504, "Service Timeout")]
        for each in failures:
            assert set(each) == ENVELOPE | {"description"}
            assert (each["service"], each["system"], each["total"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("", None),
        ("X-B3-Sampled: 1\r\nX-B3-SpanId: 5", {"X-B3-Sampled": ["1"], "X-B3-Spanid": ["5"]}),
        ("X-B3-Sampled: 0\r\nX-B3-TraceId: 80f198ee56343ba8", None),
        ("X-B3-TraceId: 80f198ee56343ba8", {"X-B3-Traceid": ["80f198ee56343ba8"]}),
        ("X-B3-SpanId: 5", None),
        ("B3: 80f198ee56343ba8-e457b5a2e4d86bd1-1", {"B3": ["80f198ee56343ba8-e457b5a2e4d86bd1-1"]}),
        ("B3: 80f198ee56343ba8-e457b5a2e4d86bd1-0", None),
        ("B3: 0", None),
        ("Uber-Trace-Id: a:b:c:1\r\nUberctx-X: y", {"Uber-Trace-Id": ["a:b:c:1"], "Uberctx-X": ["y"]}),
        ("Uber-Trace-Id: a:b:c:0", None),
        ("Uber-Trace-Id: a:b:c:13", {"Uber-Trace-Id": ["a:b:c:13"]}),
        ("Uber-Trace-Id: a:b:c:x", None),
        (f"traceparent: {PARENT}01\r\ntracestate: k=v", {"Traceparent": [f"{PARENT}01"], "Tracestate": ["k=v"]}),
        (f"traceparent: {PARENT}00", None),
    ],
)
def test_a_trace_header_asks_to_be_measured(
    server: ServerProcess, sent: str, told: dict[str, list[str]] | None
) -> None:
    """Jaeger, Zipkin and W3C headers; `sampling: headers` measures nothing else. A shared import tells who asked."""
    with login(server, "a") as service, login(server, "a") as listener, login(server, "b") as asker:
        listener.ask(b"SUB took.> 9\r\n")
        service.ask(b"SUB traced 1\r\n")
        asker.ask(b"SUB answer 1\r\n")
        ask(asker, b"traced", sent)
        reply = answer_next(service)
        assert reply.endswith(b".T") == (told is not None)
        if told is None:
            assert asker.read_until(b"!\r\n").endswith(b"!\r\n")
            assert b"MSG" not in listener.ask()
            return
        found = metric(listener)
        assert found["header"] == told
        assert (found["requestor"]["acc"], found["requestor"]["user"]) == ("B", "b")
