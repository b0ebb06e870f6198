"""The wall clock is set while streams and consumers wait: no wait ends early, late or never (OP07)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from leafbox.dataplane.stream_ingest import now_ns
from leafbox.jetstream.ports import ValueKind
from leafbox.protocol.jetstream.go_time import format_time
from tests.support.jetstream_harness import Harness

SECOND = 10**9
TWO_YEARS_S = 2 * 365 * 86_400
STEPS = pytest.mark.parametrize("step_s", [TWO_YEARS_S, -TWO_YEARS_S], ids=["forward", "back"])


@pytest.fixture
def harness() -> Iterator[Harness]:
    with Harness() as made:
        yield made


def set_clock(harness: Harness, seconds: float) -> None:
    harness.jetstream.follow_clock(harness.loop.set_clock(seconds))
    harness.loop.settle()


@pytest.mark.capability("OP07")
@STEPS
def test_an_ack_wait_ends_when_it_would_have(harness: Harness, step_s: int) -> None:
    harness.stream()
    harness.consumer(ack_wait=30 * SECOND)
    harness.publish("s.a")
    harness.fetch(1)
    harness.loop.advance(20)
    set_clock(harness, step_s)
    harness.loop.advance(5)
    assert harness.fetch(1) == []
    harness.loop.advance(10)
    assert len(harness.fetch(1)) == 1


@pytest.mark.capability("OP07")
def test_progress_that_is_stored_follows() -> None:
    """Also a restart after the step sees a message that has waited for seconds, not for years."""
    with Harness() as harness:
        harness.stream(storage="file")
        harness.consumer(ack_wait=30 * SECOND)
        harness.publish("s.a")
        harness.fetch(1)
        set_clock(harness, TWO_YEARS_S)
        harness.jetstream.stop()
        harness.loop.settle()
        assert harness.storage.stored[ValueKind.PROGRESS]
        with Harness(harness.storage) as later:
            later.loop.advance(5)
            assert later.fetch(1) == []
            later.loop.advance(40)
            assert len(later.fetch(1)) == 1


@pytest.mark.capability("OP07")
@STEPS
def test_requests_pins_and_idle_consumers_live_as_long_as_they_would_have(harness: Harness, step_s: int) -> None:
    harness.stream()
    harness.api(
        "CONSUMER.CREATE.S.E",
        {"stream_name": "S", "config": {"name": "E", "ack_policy": "none", "inactive_threshold": 60 * SECOND}},
    )
    inbox = harness.inbox("got")
    harness.pull(inbox, "got", consumer="E", batch=1, expires=20 * SECOND)
    set_clock(harness, step_s)
    harness.loop.advance(15)
    assert inbox.take() == []
    harness.publish("s.a", b"in time")
    assert [message[3] for message in inbox.take()] == [b"in time"]
    harness.loop.advance(45)
    assert "error" not in harness.info("S", "E")
    harness.loop.advance(20)
    assert harness.info("S", "E")["error"]["err_code"] == 10014


@pytest.mark.capability("OP07", "JS09")
@STEPS
def test_a_duplicate_is_known_as_long_as_it_would_have_been(harness: Harness, step_s: int) -> None:
    harness.stream(duplicate_window=60 * SECOND)
    harness.publish("s.a", Nats_Msg_Id="one")
    set_clock(harness, step_s)
    harness.loop.advance(50)
    assert harness.publish("s.a", Nats_Msg_Id="one")["duplicate"]
    harness.loop.advance(15)
    assert harness.publish("s.a", Nats_Msg_Id="one") == {"stream": "S", "seq": 2}


@pytest.mark.capability("OP07", "JS27")
@STEPS
def test_an_open_batch_waits_as_long_as_it_would_have(harness: Harness, step_s: int) -> None:
    harness.stream(allow_atomic=True)
    harness.publish_silently("s.a", b"1", {"Nats-Batch-Id": "b", "Nats-Batch-Sequence": "1"})
    set_clock(harness, step_s)
    harness.loop.advance(5)
    last = {"Nats-Batch-Id": "b", "Nats-Batch-Sequence": "2", "Nats-Batch-Commit": "1"}
    assert harness.publish("s.a", b"2", **last)["count"] == 2


@pytest.mark.capability("OP07", "JS05", "JS29")
def test_ages_and_schedules_go_by_the_clock_as_it_is_set(harness: Harness) -> None:
    """What is too old by the right time goes at once, as in nats-server; what is due by it is done."""
    harness.stream(max_age=3600 * SECOND)
    harness.stream("T", allow_msg_schedules=True)
    harness.publish("s.a")
    at = format_time(now_ns() + 1000 * SECOND)
    harness.publish("t.plan", Nats_Schedule=f"@at {at}", Nats_Schedule_Target="t.due")
    set_clock(harness, 1800)
    harness.loop.advance(1)
    assert harness.info()["state"]["messages"] == 1
    assert harness.owner.streams["T"].store.subject_bounds(b"t.due")[0] == 1
    set_clock(harness, 1800)
    harness.loop.advance(1)
    assert harness.info()["state"]["messages"] == 0
    harness.publish("s.a")
    set_clock(harness, -1800)
    harness.loop.advance(3000)
    assert harness.info()["state"]["messages"] == 1, "it is of a time that has yet to come"
    harness.loop.advance(3000)
    assert harness.info()["state"]["messages"] == 0
