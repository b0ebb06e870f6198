"""The document of a trace: nats-server's fields in its order, empty ones left out."""

from __future__ import annotations

import pytest

from leafbox.broker.account import Account
from leafbox.broker.tracing import MessageTrace, TraceRequest
from leafbox.monitoring.trace_events import trace_document

pytestmark = pytest.mark.capability("C23")


def test_a_document() -> None:
    trace = MessageTrace(Account("A"), TraceRequest({"Nats-Trace-Dest": ["t"]}, "t"), "t", size=30)
    trace.add("in", kind=0, cid=1, name="", acc="A", subj="s", error="")
    trace.add("js", stream="S", subject="", nointerest=False, error="no")
    trace.add("eg", kind=4, cid=2, name="hub", hop="1", acc="", sub="", queue="", error="")
    trace.hops = 1
    for event in trace.events:
        event["ts"] = 1_700_000_000_500_000_000
    at = "2023-11-14T22:13:20.5Z"
    assert trace_document(trace, {"name": "box"}) == {
        "server": {"name": "box"},
        "request": {"header": {"Nats-Trace-Dest": ["t"]}, "msgsize": 30},
        "hops": 1,
        "events": [
            {"type": "in", "ts": at, "kind": 0, "cid": 1, "acc": "A", "subj": "s"},
            {"type": "js", "ts": at, "stream": "S", "error": "no"},
            {"type": "eg", "ts": at, "kind": 4, "cid": 2, "name": "hub", "hop": "1"},
        ],
    }
