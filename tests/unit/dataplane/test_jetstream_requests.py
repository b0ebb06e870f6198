"""Pull requests and direct gets in compiled code do what the Python handlers, which know all forms, would do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leafbox.dataplane.jetstream_requests import plain_pull_request, time_text
from leafbox.jetstream.pull_requests import BadPullRequest, parse_pull_request
from leafbox.protocol.jetstream.go_time import format_time
from tests.support.jetstream_harness import SECOND, START_NS, Harness

PLAIN = (b"", b"7", b"12", b'{"batch":1}', b'{ "batch" : 3 , "expires":5000000000}', b'{"batch":2,"max_bytes":900}')
LEFT_TO_PYTHON = (
    b"{}", b"0", b"007", b"-3", b"+4", b" 5", b"5 ", b"x", b'{"batch":0}', b'{"batch":1.0}', b'{"batch":-1}',
    b'{"batch":"1"}', b'{"batch":1,}', b'{"batch":1}x', b'{"batch":1', b'{"Batch":1}', b'{"batch":1,"no_wait":true}',
    b'{"batch":1,"idle_heartbeat":5}', b'{"batch":1,"group":"g"}', b'{"batch":01}', b'{"batch":1e3}',
    b'{"batch":9999999999999999999}', b'{"b\\u0061tch":1}', b'{"batch":1 "expires":1}', b'{,"batch":1}', b"[1]",
)  # fmt: skip
FIELDS = (
    "batch", "bytes_left", "expires_ns", "heartbeat_ns", "no_wait", "has_group", "group", "pin_id", "min_pending",
    "min_ack_pending", "priority",
)  # fmt: skip


def fields_of(request: object) -> list[object]:
    return [getattr(request, name) for name in FIELDS]


@pytest.mark.parametrize("body", PLAIN)
def test_a_plain_body_is_read_as_python_reads_it(body: bytes) -> None:
    request = plain_pull_request(body)
    assert request is not None
    assert fields_of(request) == fields_of(parse_pull_request(b"", body, 0))


@pytest.mark.parametrize("body", LEFT_TO_PYTHON)
def test_everything_else_is_left_to_python(body: bytes) -> None:
    assert plain_pull_request(body) is None


_numbers = st.integers(0, 10**19)
_keys = st.sampled_from(("batch", "expires", "max_bytes", "no_wait", "id", "idle_heartbeat", "x"))
_objects = st.dictionaries(_keys, st.one_of(_numbers, st.booleans(), st.text(max_size=3))).map(json.dumps)


@given(st.one_of(_objects, _numbers.map(str), st.text('{}":, batch0123456789', max_size=30)))
def test_whatever_is_read_is_read_as_python_reads_it(text: str) -> None:
    body = text.encode()
    request = plain_pull_request(body)
    if request is not None:
        try:
            expected = parse_pull_request(b"", body, 0)
        except BadPullRequest as error:
            raise AssertionError(f"{body!r} is refused: {error}") from error
        assert fields_of(request) == fields_of(expected)


@given(st.integers(0, 2**63 - 1))
def test_times_are_written_as_python_writes_them(time_ns: int) -> None:
    assert time_text(time_ns).decode() == format_time(time_ns)


@pytest.mark.parametrize("time_ns", [0, SECOND - 1, 951_782_399 * SECOND, 951_868_800 * SECOND, 4_107_542_400 * SECOND])
def test_times_at_the_edges(time_ns: int) -> None:
    assert time_text(time_ns).decode() == format_time(time_ns)


@pytest.mark.capability("JC03")
def test_limits_of_requests_hold_for_plain_ones() -> None:
    with Harness() as harness:
        harness.stream()
        harness.consumer(max_batch=2, max_expires=10 * SECOND, max_bytes=100)
        harness.publish("s.a")
        inbox = harness.inbox("in")
        cases: tuple[tuple[dict[str, Any], bytes], ...] = (
            ({"batch": 3}, b"Exceeded MaxRequestBatch of 2"),
            ({"batch": 1, "expires": 11 * SECOND}, b"Exceeded MaxRequestExpires of 10s"),
            ({"batch": 1, "max_bytes": 101}, b"Exceeded MaxRequestMaxBytes of 100"),
        )
        for request, refusal in cases:
            harness.pull(inbox, "in", **request)
            ((_, reply, header, _),) = inbox.take()
            assert not reply
            assert refusal in header
        harness.pull(inbox, "in", batch=1, expires=9 * SECOND)
        assert [message[3] for message in inbox.take()] == [b"x"]


@pytest.mark.capability("JC01")
def test_a_plain_request_ends_in_time_and_counts_as_use() -> None:
    with Harness() as harness:
        harness.stream()
        harness.consumer(inactive_threshold=20 * SECOND, max_waiting=1)
        inbox = harness.inbox("in")
        for _ in range(3):
            harness.loop.advance(15)
            harness.pull(inbox, "in", batch=2, expires=SECOND)
            assert harness.info("S", "C")["num_waiting"] == 1
            harness.pull(inbox, "in", batch=2, expires=SECOND)
            assert b"409 Exceeded MaxWaiting" in inbox.take()[0][2]
            harness.loop.advance(2)
            assert b"408 Request Timeout\r\nNats-Pending-Messages: 2" in inbox.take()[0][2]
        harness.loop.advance(30)
        assert "error" in harness.info("S", "C")
        assert harness.request("$JS.API.CONSUMER.MSG.NEXT.S.C", b"1") is None, "nobody is there any more"


@pytest.mark.capability("JS20")
@pytest.mark.parametrize("header", ["", "h"])
@pytest.mark.parametrize("size", [0, 10, 5000])
def test_a_direct_get_answers_as_python_does(header: str, size: int) -> None:
    with Harness() as harness:
        harness.stream(allow_direct=True)
        harness.publish("s.key", b"old")
        harness.publish("s.key", b"p" * size, **({"X": header} if header else {}))
        harness.publish("s.other")
        inbox = harness.inbox("in")
        for subject, body in (("S.s.key", b""), ("S", b'{"last_by_subj":"s.key"}')):
            harness.account.publish(f"$JS.API.DIRECT.GET.{subject}".encode(), body, b"in")
        compiled, python = inbox.take()
        assert compiled == python
        assert compiled[3] == b"p" * size
        assert f"Nats-Time-Stamp: {format_time(START_NS)}\r\n".encode() in compiled[2]


@pytest.mark.capability("JS20")
@pytest.mark.parametrize("key", ["s.none", "s.*", "s.>"])
def test_a_direct_get_of_more_than_one_subject_is_left_to_python(key: str) -> None:
    with Harness() as harness:
        harness.stream(allow_direct=True)
        harness.publish("s.a", b"1")
        inbox = harness.inbox("in")
        harness.account.publish(f"$JS.API.DIRECT.GET.S.{key}".encode(), b"", b"in")
        ((_, _, header, payload),) = inbox.take()
        assert (payload, b"404" in header) == ((b"", True) if key == "s.none" else (b"1", False))
