"""What a header asks for, and which messages are not traced although they ask (ADR-41)."""

from __future__ import annotations

import pytest

from leafbox.broker.account import Account
from leafbox.broker.config import MessageTrace as Wanted
from leafbox.broker.tracing import KIND_CLIENT, Arrival, MessageTrace, TracePoint, Tracing, read_request
from leafbox.dataplane.routing import CallbackReceiver

pytestmark = pytest.mark.capability("C23")
PARENT = b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-"


def block(*lines: bytes) -> bytes:
    return b"NATS/1.0\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


@pytest.mark.parametrize(
    ("header", "destination", "is_only"),
    [
        (block(b"Nats-Trace-Dest: t"), "t", False),
        (block(b"Nats-Trace-Dest:\tt "), "t", False),
        (block(b"Nats-Trace-Dest: t", b"Nats-Trace-Only: TRUE"), "t", True),
        (block(b"Nats-Trace-Dest: t", b"Nats-Trace-Only: yes"), "t", False),
        (block(PARENT + b"01"), "", False),
        (block(PARENT.upper() + b"03"), "", False),
        (block(PARENT + b"01", b"Nats-Trace-Dest: t"), "t", False),
    ],
)
def test_what_asks_for_a_trace(header: bytes, destination: str, is_only: bool) -> None:
    request = read_request(header)
    assert request is not None
    assert (request.destination, request.is_only) == (destination, is_only)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"NATS/1.0 503\r\nNats-Trace-Dest: t\r\n\r\n",
        block(b"nats-trace-dest: t"),
        block(b"Nats-Trace-Dest:"),
        block(b"Nats-Trace-Dest: trace disabled"),
        block(b"Nats-Trace-Only: 1"),
        block(PARENT + b"00"),
        block(PARENT + b"ff"),
        block(PARENT + b"1"),
        block(PARENT[:-4] + b"01"),
        block(b"no colon", b"Nats-Trace-Dest: t"),
    ],
)
def test_what_does_not(header: bytes) -> None:
    assert read_request(header) is None


def ignore(subject: bytes, taken: int) -> None:
    """Nobody is told."""


class Bench:
    """An account with one sender and no receivers."""

    def __init__(self) -> None:
        self.account = Account("A")
        self.traces: list[MessageTrace] = []
        self.tracing = Tracing()
        self.tracing.sink = self.traces.append

    def begin(self, header: bytes, *, is_allowed: bool = True) -> bytes | None:
        def allows(subject: bytes) -> bool:
            return is_allowed

        def refuses(subject: bytes) -> str | None:
            return None

        point = TracePoint(KIND_CLIENT, 7, "sender")
        origin = CallbackReceiver(lambda *message: None)
        size = len(header)
        arrival = Arrival(origin, self.account, point, b"s", b"", header, b"", size, allows, refuses, ignore)
        return self.tracing.begin(arrival)


def test_a_message_that_asks_is_dealt_with() -> None:
    bench = Bench()
    assert bench.begin(block(b"Nats-Trace-Dest: t")) is None
    (trace,) = bench.traces
    assert (trace.destination, trace.events[0]["cid"], trace.events[0]["subj"]) == ("t", 7, "s")


def test_without_a_sink_or_a_reason_it_goes_its_way() -> None:
    bench = Bench()
    header = block(PARENT + b"01")
    assert bench.begin(header) == header
    bench.tracing.sink = None
    header = block(b"Nats-Trace-Dest: t")
    assert bench.begin(header) == header
    assert bench.traces == []


def test_who_may_not_publish_to_the_destination_publishes_nothing() -> None:
    bench = Bench()
    assert bench.begin(block(b"Nats-Trace-Dest: t"), is_allowed=False) is None
    assert bench.traces == []


def test_what_is_not_sampled_is_not_traced_further_on_either() -> None:
    bench = Bench()
    bench.account.trace_messages(Wanted("t", sampling_percent=0))
    assert bench.account.traces_parents
    assert bench.begin(block(PARENT + b"01")) == block(PARENT + b"01", b"Nats-Trace-Dest: trace disabled")
    bench.account.trace_messages(Wanted("t"))
    assert bench.begin(block(PARENT + b"01")) is None
    assert [trace.destination for trace in bench.traces] == ["t"]


def test_the_old_header_of_another_account_turns_it_off() -> None:
    bench = Bench()
    old = b"Nats-Trace-Origin-Account: B"
    assert bench.begin(block(b"Nats-Trace-Dest: t", old)) == block(b"Nats-Trace-Dest: trace disabled", old)
    assert bench.begin(block(b"Nats-Trace-Dest: t", old, b"Nats-Trace-Only: 1")) is None
    assert bench.traces == []
