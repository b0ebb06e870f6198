"""Messages whose way is written down (ADR-41): every event of nats-server, shown on it and on ours."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.blocking_client import CLOSED
from tests.support.jwt_maker import OperatorMode
from tests.support.message_trace import EVENTS, TRACE, TracingClient, events_of
from tests.support.sensors import nats_client
from tests.support.servers import ServerKind, ServerProcess, StartServer

pytestmark = pytest.mark.capability("C23")

CONFIG = """
server_name: traced
max_payload: 2000
jetstream {{ store_dir: "{directory}" }}
accounts {{
  A {{
    jetstream: enabled
    users: [
      {{ user: a, password: pw }}
      {{ user: narrow, password: pw, permissions: {{
        publish: {{ allow: ["open.>", "trace.>"] }}, subscribe: {{ deny: "open.hidden" }}
      }} }}
    ]
    mappings {{ old: new }}
    exports: [
      {{ stream: "shown.>" }}, {{ stream: "told.>" }}
      {{ service: "quiet" }}, {{ service: "loud", allow_trace: true }}
    ]
    msg_trace {{ dest: "trace.parents" }}
  }}
  B {{
    users: [ {{ user: b, password: pw }} ]
    imports: [
      {{ stream: {{ account: A, subject: "shown.>" }}, prefix: from }}
      {{ stream: {{ account: A, subject: "told.>" }}, prefix: from, allow_trace: true }}
      {{ service: {{ account: A, subject: quiet }}, to: asked.quiet }}
      {{ service: {{ account: A, subject: loud }}, to: asked.loud }}
    ]
  }}
}}
"""
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-"


@pytest.fixture
def server(
    server_kind: ServerKind, start_server: StartServer, tmp_path_factory: pytest.TempPathFactory
) -> ServerProcess:
    return start_server(server_kind, config=CONFIG.format(directory=tmp_path_factory.mktemp("store")))


class Stage:
    """Clients by name, closed at the end."""

    def __init__(self, server: ServerProcess, stack: ExitStack) -> None:
        self._server, self._stack = server, stack

    def client(self, name: str, user: str = "a", **login: object) -> TracingClient:
        client = TracingClient(self._server.client_port, name, user=user, **{"pass": "pw", **login})
        return self._stack.enter_context(client)


@pytest.fixture
def stage(server: ServerProcess) -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(server, stack)


def ingress(subject: str, name: str = "sender", account: str = "A", **more: object) -> dict[str, Any]:
    return {"type": "in", "kind": 0, "name": name, "acc": account, "subj": subject, **more}


def egress(name: str, subject: str, **more: object) -> dict[str, Any]:
    return {"type": "eg", "kind": 0, "name": name, "sub": subject, **more}


def test_receivers_are_named(stage: Stage) -> None:
    sender, watcher = stage.client("sender"), stage.client("watcher")
    plain, worker = stage.client("plain"), stage.client("worker")
    watcher.watch()
    plain.subscribe("open.*")
    worker.subscribe("open.one", queue="workers")
    sender.publish("open.one", {**TRACE, "Other": "kept", "other": "too"})
    trace = watcher.next_trace()
    assert trace["server"]["name"] == "traced"
    assert {"host", "id", "ver", "jetstream", "flags", "seq", "time"} <= set(trace["server"])
    assert trace["request"]["header"] == {"Nats-Trace-Dest": [EVENTS], "Other": ["kept"], "other": ["too"]}
    assert trace["request"]["msgsize"] == len(
        "NATS/1.0\r\nNats-Trace-Dest: trace.events\r\nOther: kept\r\nother: too\r\n\r\nx"
    )
    assert "hops" not in trace
    assert events_of(trace) == [
        ingress("open.one"),
        egress("plain", "open.*"),
        egress("worker", "open.one", queue="workers"),
    ]
    assert plain.next_message()[2] == b"x"
    assert worker.next_message()[2] == b"x"


@pytest.mark.parametrize("value", ["1", "true", "On"])
def test_only_the_way_is_told(stage: Stage, value: str) -> None:
    sender, watcher, plain = stage.client("sender"), stage.client("watcher"), stage.client("plain")
    watcher.watch()
    plain.subscribe("open.one")
    sender.publish("open.one", {**TRACE, "Nats-Trace-Only": value})
    assert watcher.next_events() == [ingress("open.one"), egress("plain", "open.one")]
    assert plain.ask() == b"PONG\r\n"


def test_a_mapped_subject_and_nobody_there(stage: Stage) -> None:
    sender, watcher = stage.client("sender"), stage.client("watcher")
    watcher.watch()
    sender.subscribe("answers")
    said = sender.publish("old", TRACE, reply="answers")
    assert b"503" in said
    assert watcher.next_events() == [ingress("old"), {"type": "sm", "to": "new"}]


def test_why_a_message_is_not_delivered(stage: Stage) -> None:
    watcher, narrow = stage.client("watcher"), stage.client("sender", "narrow", echo=False)
    watcher.watch()
    narrow.subscribe("open.>")
    narrow.publish("open.mine", TRACE)
    assert watcher.next_events() == [
        ingress("open.mine"),
        egress("sender", "open.>", error="Not delivered because of no echo"),
    ]
    other = stage.client("other")
    other.publish("open.hidden", TRACE)
    assert watcher.next_events() == [
        ingress("open.hidden", "other"),
        egress("sender", "open.>", error="Not delivered because subscription denies this subject"),
    ]


def test_what_may_not_be_published(stage: Stage) -> None:
    watcher, narrow = stage.client("watcher"), stage.client("sender", "narrow")
    watcher.watch()
    assert b'Permissions Violation for Publish to "closed"' in narrow.publish("closed", TRACE)
    error = 'Permissions Violation for Publish to "closed"'
    assert watcher.next_events() == [ingress("closed", error=error)]
    assert b"Publish with Reply" in narrow.publish("open.x", TRACE, reply="_R_.x")
    error = 'Permissions Violation for Publish with Reply of "_R_.x"'
    assert watcher.next_events() == [ingress("open.x", error=error)]
    # The destination is checked first, and nothing is delivered.
    plain = stage.client("plain")
    plain.subscribe("open.x")
    said = narrow.publish("open.x", {"Nats-Trace-Dest": "elsewhere"})
    assert b'Permissions Violation for Publish to "elsewhere"' in said
    assert plain.ask() == b"PONG\r\n"


def test_destinations_that_do_not_count(stage: Stage) -> None:
    sender, watcher, plain = stage.client("sender"), stage.client("watcher"), stage.client("plain")
    watcher.watch(">")
    plain.subscribe("open.x")
    for destination in ("trace disabled", "trace.*", "trace..x"):
        sender.publish("open.x", {"Nats-Trace-Dest": destination})
        assert plain.next_message()[2] == b"x"
        assert watcher.next_message()[0] == "open.x"
    assert watcher.ask() == b"PONG\r\n"
    sender.publish("open.x", {"Nats-Trace-Dest": "trace.*", "Nats-Trace-Only": "1"})
    assert plain.ask() == b"PONG\r\n"


@pytest.mark.parametrize(("encoding", "header"), [("gzip", "gzip"), ("snappy", "snappy"), ("br, s2", "snappy")])
def test_events_are_compressed_when_asked(stage: Stage, encoding: str, header: str) -> None:
    sender, watcher = stage.client("sender"), stage.client("watcher")
    watcher.watch()
    sender.publish("open.x", {**TRACE, "Accept-Encoding": encoding})
    assert watcher.next_events() == [ingress("open.x")]
    sender.publish("open.x", {**TRACE, "Accept-Encoding": encoding})
    assert f"Content-Encoding: {header}".encode() in watcher.next_message()[1]


def test_a_message_that_is_too_large(stage: Stage) -> None:
    sender, watcher = stage.client("sender"), stage.client("watcher")
    watcher.watch()
    answer = sender.publish("open.x", TRACE, b"x" * 2000)
    assert answer.endswith(CLOSED)
    trace = watcher.next_trace()
    assert trace["request"]["msgsize"] > 2000
    assert events_of(trace) == [ingress("open.x", error="maximum payload exceeded")]


def test_a_traceparent_is_followed_where_the_account_says_so(stage: Stage) -> None:
    sender, watcher, plain = stage.client("sender"), stage.client("watcher"), stage.client("plain")
    watcher.watch()
    plain.subscribe("open.x")
    for parent in (PARENT + "00", PARENT + "zz", "00-short-01"):
        sender.publish("open.x", {"traceparent": parent})
        plain.next_message()
    assert watcher.ask() == b"PONG\r\n"
    sender.publish("open.x", {"TraceParent": PARENT + "01"})
    trace = watcher.next_trace()
    assert trace["request"]["header"] == {"TraceParent": [PARENT + "01"]}
    assert events_of(trace) == [ingress("open.x"), egress("plain", "open.x")]
    # What the message itself says comes first.
    sender.publish("open.x", {"traceparent": PARENT + "01", **TRACE})
    assert watcher.next_message()[0] == EVENTS
    stranger, other = stage.client("sender", "b"), stage.client("watcher", "b")
    other.watch(">")
    stranger.publish("open.x", {"traceparent": PARENT + "01"})
    assert other.next_message()[0] == "open.x"
    assert other.ask() == b"PONG\r\n"


def test_imports_of_streams(stage: Stage) -> None:
    sender, watcher, reader = stage.client("sender"), stage.client("watcher"), stage.client("reader", "b")
    watcher.watch()
    reader.subscribe("from.>")
    sender.publish("shown.x", TRACE)
    assert watcher.next_events() == [ingress("shown.x"), {"type": "se", "acc": "B", "to": "from.shown.x"}]
    assert reader.next_message()[0] == "from.shown.x"
    sender.publish("told.x", TRACE)
    found = watcher.next_events()
    assert found[:2] == [ingress("told.x"), {"type": "se", "acc": "B", "to": "from.told.x"}]
    assert {**found[2], "sub": ""} == egress("reader", "", acc="B")
    assert reader.next_message()[0] == "from.told.x"
    sender.publish("told.x", {**TRACE, "Nats-Trace-Only": "1"})
    assert len(watcher.next_events()) == 3
    assert reader.ask() == b"PONG\r\n"


def test_imports_of_services(stage: Stage) -> None:
    sender, watcher, server = stage.client("sender", "b"), stage.client("watcher", "b"), stage.client("server")
    watcher.watch()
    server.subscribe("loud")
    server.subscribe("quiet", "2")
    sender.subscribe("answers")
    sender.publish("asked.quiet", TRACE, reply="answers")
    crossing = {"type": "si", "acc": "A", "from": "asked.quiet", "to": "quiet"}
    assert watcher.next_events() == [ingress("asked.quiet", account="B"), crossing]
    assert b"Nats-Trace-Dest: trace disabled\r\n" in server.next_message()[1]
    sender.publish("asked.loud", TRACE, reply="answers")
    crossing = {"type": "si", "acc": "A", "from": "asked.loud", "to": "loud"}
    expected = [ingress("asked.loud", account="B"), crossing, egress("server", "loud", acc="A")]
    assert watcher.next_events() == expected
    assert b"Nats-Trace-Dest: _R_." in server.next_message()[1]
    sender.publish("asked.loud", {**TRACE, "Nats-Trace-Only": "1"}, reply="answers")
    assert watcher.next_events() == expected
    assert server.ask() == b"PONG\r\n"


def api(client: TracingClient, what: str, body: object) -> dict[str, Any]:
    client.ask(b"SUB inbox.js api\r\n")
    text = json.dumps(body).encode()
    client.send(b"PUB $JS.API.%b inbox.js %d\r\n%b\r\n" % (what.encode(), len(text), text))
    found: dict[str, Any] = json.loads(client.next_message()[2])
    client.ask(b"UNSUB api\r\n")
    return found


def test_a_stream_is_named(stage: Stage) -> None:
    sender, watcher = stage.client("sender"), stage.client("watcher")
    watcher.watch()
    config = {
        "name": "KEPT",
        "subjects": ["kept.>"],
        "subject_transform": {"src": "kept.>", "dest": "stored.>"},
        "max_msg_size": 500,
        "storage": "memory",
    }
    assert "error" not in api(sender, "STREAM.CREATE.KEPT", config)

    def told(headers: dict[str, str], payload: bytes = b"x") -> dict[str, Any]:
        sender.publish("kept.x", {**TRACE, **headers}, payload)
        first, second = watcher.next_events()
        assert first == ingress("kept.x")
        return second

    well = {"type": "js", "stream": "KEPT", "subject": "stored.x"}
    assert told({"Nats-Trace-Only": "1"}) == well
    assert api(sender, "STREAM.INFO.KEPT", {})["state"]["messages"] == 0
    assert told({"Nats-Msg-Id": "one"}) == well
    state = api(sender, "STREAM.INFO.KEPT", {})["state"]
    assert (state["messages"], state["last_seq"]) == (1, 1)
    stored = api(sender, "STREAM.MSG.GET.KEPT", {"seq": 1})["message"]
    assert b"Nats-Trace-Dest: trace disabled\r\n" in base64.b64decode(stored["hdrs"])
    failed = {"type": "js", "stream": "KEPT"}
    assert told({"Nats-Msg-Id": "one"}) == {**failed, "error": "msgid is duplicate"}
    assert told({}, b"x" * 600) == {**failed, "error": "maximum payload exceeded"}
    assert told({"Nats-Expected-Stream": "OTHER"}) == {**failed, "error": "expected stream does not match"}
    assert told({"Nats-Expected-Last-Sequence": "7"}) == {**failed, "error": "last sequence mismatch: 7 vs 1"}
    error = "last sequence by subject mismatch: 7 vs 1"
    assert told({"Nats-Expected-Last-Subject-Sequence": "7"}) == {**failed, "error": error}
    assert api(sender, "STREAM.INFO.KEPT", {})["state"]["messages"] == 1


def test_a_stream_that_nobody_reads(stage: Stage) -> None:
    sender, watcher = stage.client("sender"), stage.client("watcher")
    watcher.watch()
    api(sender, "STREAM.CREATE.I", {"name": "I", "subjects": ["i"], "retention": "interest", "storage": "memory"})
    sender.publish("i", TRACE)
    unread = {"type": "js", "stream": "I", "subject": "i", "nointerest": True}
    assert watcher.next_events() == [ingress("i"), unread]


def test_an_account_of_an_operator_says_so_in_its_claims(
    server_kind: ServerKind, start_server: StartServer, tmp_path: Path
) -> None:
    mode = OperatorMode(trace={"dest": "trace.claims", "sampling": 100})
    server = start_server(server_kind, config=mode.config())
    credentials = mode.credentials_file(tmp_path / "user.creds")

    async def traced() -> dict[str, Any]:
        client = await nats_client(server.url, user_credentials=str(credentials))
        events = await client.subscribe("trace.>")
        await client.publish("x", b"", headers={"traceparent": PARENT + "01"})
        message = await events.next_msg(timeout=10)
        await client.close()
        return {"subject": message.subject, **json.loads(message.data)}

    trace = asyncio.run(traced())
    assert trace["subject"] == "trace.claims"
    assert events_of(trace) == [{"type": "in", "kind": 0, "acc": mode.account.public, "subj": "x"}]
