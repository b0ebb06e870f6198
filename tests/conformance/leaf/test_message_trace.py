"""A traced message that crosses a link is written down on both sides (ADR-41)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.leaf.pairs import PairStarter, wait_interest
from tests.support.message_trace import TRACE, TracingClient, events_of
from tests.support.servers import ServerProcess

pytestmark = pytest.mark.capability("C23")


def by_server(watcher: TracingClient) -> dict[str, dict[str, Any]]:
    """The traces of both servers, whichever comes first."""
    traces = [watcher.next_trace(), watcher.next_trace()]
    return {trace["server"]["name"]: trace for trace in traces}


@pytest.mark.parametrize("direction", ["edge to hub", "hub to edge"])
@pytest.mark.parametrize("is_only", [False, True], ids=["delivered", "only told"])
def test_both_sides_tell(direction: str, is_only: bool, start_pair: PairStarter) -> None:
    pair = start_pair()
    near, far = (pair.edge, pair.hub) if direction == "edge to hub" else (pair.hub, pair.edge)
    near_name, far_name = direction.split(" to ")

    def client(server: ServerProcess, name: str) -> TracingClient:
        return TracingClient(server.client_port, name)

    with client(near, "sender") as sender, client(near, "watcher") as watcher, client(far, "reader") as reader:
        watcher.watch()
        reader.subscribe("far.*")
        reader.subscribe("far.one", "2", queue="workers")
        wait_interest(near, "far.*", "far.one")
        wait_interest(far, "trace.>")
        sender.publish("far.one", {**TRACE, **({"Nats-Trace-Only": "true"} if is_only else {})})
        traces = by_server(watcher)
        here, there = traces[near_name], traces[far_name]
        assert here["hops"] == 1
        assert events_of(here) == [
            {"type": "in", "kind": 0, "name": "sender", "acc": "$G", "subj": "far.one"},
            {"type": "eg", "kind": 4, "name": far_name, "hop": "1"},
        ]
        assert there["request"]["header"]["Nats-Trace-Hop"] == ["1"]
        assert "hops" not in there
        assert events_of(there) == [
            {"type": "in", "kind": 4, "name": near_name, "acc": "$G", "subj": "far.one"},
            {"type": "eg", "kind": 0, "name": "reader", "sub": "far.*"},
            {"type": "eg", "kind": 0, "name": "reader", "sub": "far.one", "queue": "workers"},
        ]
        if is_only:
            assert reader.ask() == b"PONG\r\n"
        else:
            head = reader.next_message()[1]
            assert b"Nats-Trace-Hop: 1\r\n" in head
            assert reader.next_message()[1] == head
            assert reader.ask() == b"PONG\r\n"


def test_what_may_not_cross_is_told(start_pair: PairStarter) -> None:
    """A hub's user keeps a subject from going out; the edge says so, and the link stays."""
    pair = start_pair(remote='deny_exports: "secret.>"')
    edge, hub = pair.edge.client_port, pair.hub.client_port
    with TracingClient(edge, "s") as sender, TracingClient(edge, "w") as watcher, TracingClient(hub, "r") as reader:
        watcher.watch()
        reader.subscribe(">")
        wait_interest(pair.edge, ">")
        sender.publish("secret.x", TRACE)
        error = "Not delivered because publish denied for this subject"
        refused = {"type": "eg", "kind": 4, "name": "hub", "hop": "1", "error": error}
        assert watcher.next_events()[1] == refused
        assert reader.next_message()[0] == "trace.events"
        sender.publish("free.x", {})
        assert reader.next_message()[0] == "free.x"
