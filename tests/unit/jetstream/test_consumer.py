"""Consumers on a clock that stands still: deliveries, acknowledgements, redeliveries, requests, priorities."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from leafbox.jetstream.ports import ValueKind
from tests.support.jetstream_harness import SECOND, Harness, MemoryStorage


@pytest.fixture
def harness() -> Iterator[Harness]:
    with Harness() as made:
        made.stream()
        yield made


def numbers(ack_subject: bytes) -> tuple[int, int, int]:
    """Deliveries, stream sequence, consumer sequence."""
    deliveries, stream_seq, consumer_seq = ack_subject.decode().split(".")[4:7]
    return int(deliveries), int(stream_seq), int(consumer_seq)


def floors(harness: Harness, consumer: str = "C") -> tuple[int, int, int]:
    """Ack floor in both sequences and the number of pending messages."""
    info = harness.info("S", consumer)
    return info["ack_floor"]["consumer_seq"], info["ack_floor"]["stream_seq"], info["num_ack_pending"]


@pytest.mark.capability("JC07")
def test_the_floor_is_below_the_first_gap(harness: Harness) -> None:
    for _ in range(4):
        harness.publish("s.a")
    harness.consumer()
    messages = harness.fetch(4)
    harness.ack(messages[1])
    harness.ack(messages[2])
    assert floors(harness) == (0, 0, 2)
    harness.ack(messages[0])
    assert floors(harness) == (3, 3, 1)
    harness.ack(messages[3])
    assert floors(harness) == (4, 4, 0)


@pytest.mark.capability("JC07")
def test_ack_all_takes_everything_below(harness: Harness) -> None:
    for _ in range(5):
        harness.publish("s.a")
    harness.consumer(ack_policy="all")
    messages = harness.fetch(5)
    harness.ack(messages[3])
    assert floors(harness) == (4, 4, 1)


@pytest.mark.capability("JC09")
def test_a_message_comes_again_after_ack_wait_with_a_new_consumer_sequence(harness: Harness) -> None:
    harness.publish("s.a")
    harness.consumer(ack_wait=10**9)
    assert numbers(harness.fetch(1)[0][1]) == (1, 1, 1)
    harness.loop.advance(0.9)
    assert harness.fetch(1) == []
    harness.loop.advance(0.2)
    assert numbers(harness.fetch(1)[0][1]) == (2, 1, 2)
    info = harness.info("S", "C")
    assert (info["num_redelivered"], info["delivered"]["consumer_seq"], info["delivered"]["stream_seq"]) == (1, 2, 1)


@pytest.mark.capability("JC10")
def test_backoff_and_max_deliver(harness: Harness) -> None:
    advisories = harness.inbox("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.S.C")
    harness.publish("s.a")
    harness.consumer(backoff=[10**9, 3 * 10**9], max_deliver=3)
    assert len(harness.fetch(1)) == 1
    harness.loop.advance(1.1)
    assert len(harness.fetch(1)) == 1
    harness.loop.advance(2.0)
    assert harness.fetch(1) == []
    harness.loop.advance(1.2)
    assert len(harness.fetch(1)) == 1
    harness.loop.advance(10)
    assert harness.fetch(1) == []
    harness.loop.advance(10)
    assert harness.fetch(1) == []
    (advisory,) = advisories.take()
    assert json.loads(advisory[3])["deliveries"] == 3
    assert harness.info("S", "C")["num_ack_pending"] == 0


@pytest.mark.capability("JC08")
@pytest.mark.parametrize(
    ("answer", "delay_s"),
    [(b"-NAK", 0.0), (b"-NAK 2s", 2.0), (b'-NAK {"delay": 2000000000}', 2.0), (b"-NAK junk", 0.0)],
)
def test_nak_brings_the_message_back_after_its_delay(harness: Harness, answer: bytes, delay_s: float) -> None:
    harness.publish("s.a")
    harness.consumer()
    harness.ack(harness.fetch(1)[0], answer)
    if delay_s:
        harness.loop.advance(delay_s - 0.1)
        assert harness.fetch(1) == []
        harness.loop.advance(0.2)
    assert numbers(harness.fetch(1)[0][1]) == (2, 1, 2)


@pytest.mark.capability("JC08")
def test_progress_restarts_the_wait(harness: Harness) -> None:
    harness.publish("s.a")
    harness.consumer(ack_wait=10**9)
    message = harness.fetch(1)[0]
    for _ in range(5):
        harness.loop.advance(0.8)
        harness.ack(message, b"+WPI")
    assert harness.fetch(1) == []
    harness.loop.advance(1.1)
    assert len(harness.fetch(1)) == 1


@pytest.mark.capability("JC08")
def test_term_ends_redelivery_and_says_why(harness: Harness) -> None:
    advisories = harness.inbox("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.S.C")
    harness.publish("s.a")
    harness.consumer(ack_wait=10**9)
    harness.ack(harness.fetch(1)[0], b"+TERM broken payload")
    harness.loop.advance(5)
    assert harness.fetch(1) == []
    assert json.loads(advisories.take()[0][3])["reason"] == "broken payload"


@pytest.mark.capability("JC08")
def test_next_acknowledges_and_asks_for_more(harness: Harness) -> None:
    harness.publish("s.a")
    harness.publish("s.b")
    harness.consumer()
    inbox = harness.inbox("more")
    harness.account.publish(harness.fetch(1)[0][1], b"+NXT", b"more")
    harness.loop.settle()
    assert [message[0] for message in inbox.take()] == ["s.b"]
    assert harness.info("S", "C")["num_ack_pending"] == 1


@pytest.mark.capability("JC07")
def test_a_double_ack_is_answered_also_the_second_time(harness: Harness) -> None:
    harness.publish("s.a")
    harness.consumer()
    ack_subject = harness.fetch(1)[0][1].decode()
    assert harness.request(ack_subject, b"+ACK") == b""
    assert harness.request(ack_subject, b"+ACK") == b""
    ahead = ack_subject.replace(".1.1.1.", ".1.7.7.")
    assert harness.request(ahead, b"+ACK") is None


@pytest.mark.capability("JC26")
def test_the_longer_ack_subject_is_understood(harness: Harness) -> None:
    harness.publish("s.a")
    harness.consumer()
    tokens = harness.fetch(1)[0][1].decode().split(".")
    subscriptions = harness.owner.streams["S"].consumers["C"]._subscriptions
    long_subject = subscriptions[1].subject.decode().split(".*")[0] + "." + ".".join(tokens[4:])
    harness.account.publish(long_subject.encode(), b"")
    harness.loop.settle()
    assert floors(harness) == (1, 1, 0)


@pytest.mark.capability("JC11")
def test_max_ack_pending_stalls_until_an_ack(harness: Harness) -> None:
    for _ in range(3):
        harness.publish("s.a")
    harness.consumer(max_ack_pending=2)
    inbox = harness.inbox("box")
    harness.pull(inbox, "box", batch=3)
    first, _second = inbox.take()
    harness.loop.advance(1)
    assert inbox.take() == []
    harness.ack(first)
    assert [numbers(message[1])[1] for message in inbox.take()] == [3]


@pytest.mark.capability("JC01")
def test_statuses_of_pull_requests(harness: Harness) -> None:
    harness.consumer(max_waiting=1)
    inbox = harness.inbox("box")
    harness.pull(inbox, "box", no_wait=True)
    assert inbox.take()[0][2].startswith(b"NATS/1.0 404 No Messages\r\n")
    harness.pull(inbox, "box", batch=3, expires=10**9)
    harness.pull(inbox, "box", batch=1)
    assert inbox.take()[0][2].startswith(b"NATS/1.0 409 Exceeded MaxWaiting\r\n")
    harness.publish("s.a")
    inbox.take()
    harness.loop.advance(1.1)
    (status,) = inbox.take()
    assert status[2] == b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 2\r\nNats-Pending-Bytes: 0\r\n\r\n"


@pytest.mark.capability("JC02")
def test_max_bytes_ends_a_request(harness: Harness) -> None:
    harness.publish("s.a", b"x" * 100)
    harness.publish("s.a", b"x" * 100)
    harness.consumer()
    inbox = harness.inbox("box")
    harness.pull(inbox, "box", batch=5, max_bytes=250)
    first, status = inbox.take()
    used = len("s.a") + len(first[1]) + 100
    assert status[2].startswith(b"NATS/1.0 409 Message Size Exceeds MaxBytes\r\nNats-Pending-Messages: 4\r\n")
    assert f"Nats-Pending-Bytes: {250 - used}\r\n".encode() in status[2]


@pytest.mark.capability("JC02")
def test_heartbeats_of_a_waiting_request(harness: Harness) -> None:
    harness.consumer()
    inbox = harness.inbox("box")
    harness.pull(inbox, "box", expires=3 * 10**9, idle_heartbeat=10**9)
    harness.loop.advance(2.1)
    beats = inbox.take()
    assert [beat[2].split(b"\r\n")[0] for beat in beats] == [b"NATS/1.0 100 Idle Heartbeat"] * 2
    assert b"Nats-Last-Consumer: 0\r\nNats-Last-Stream: 0\r\n" in beats[0][2]


@pytest.mark.capability("JC16")
def test_an_unused_consumer_goes(harness: Harness) -> None:
    harness.consumer(name="E", inactive_threshold=2 * 10**9)
    harness.loop.advance(1.5)
    harness.fetch(1, consumer="E")
    harness.loop.advance(1.5)
    assert "error" not in harness.info("S", "E")
    harness.loop.advance(2.5)
    assert harness.info("S", "E")["error"]["err_code"] == 10014


@pytest.mark.capability("JC19")
def test_a_paused_consumer_delivers_again_when_the_time_is_up(harness: Harness) -> None:
    advisories = harness.inbox("$JS.EVENT.ADVISORY.CONSUMER.PAUSE.S.C")
    harness.publish("s.a")
    harness.consumer()
    response = harness.api("CONSUMER.PAUSE.S.C", {"pause_until": "2027-01-15T08:00:02Z"})
    assert response["paused"]
    inbox = harness.inbox("box")
    harness.pull(inbox, "box", batch=1, expires=60 * 10**9)
    assert inbox.take() == []
    harness.loop.advance(2.1)
    assert len(inbox.take()) == 1
    assert [json.loads(advisory[3])["paused"] for advisory in advisories.take()] == [True, False]


@pytest.mark.capability("JC20")
def test_overflow_serves_above_the_threshold_only(harness: Harness) -> None:
    harness.consumer(priority_groups=["g"], priority_policy="overflow")
    inbox = harness.inbox("box")
    harness.pull(inbox, "box", batch=1, group="g", min_pending=3)
    for _ in range(2):
        harness.publish("s.a")
    assert inbox.take() == []
    harness.publish("s.a")
    assert len(inbox.take()) == 1


@pytest.mark.capability("JC21")
def test_one_client_is_pinned_until_it_is_unpinned(harness: Harness) -> None:
    harness.consumer(priority_groups=["g"], priority_policy="pinned_client", priority_timeout=10 * 10**9)
    one, two = harness.inbox("one"), harness.inbox("two")
    harness.pull(one, "one", batch=10, group="g")
    harness.pull(two, "two", batch=10, group="g")
    for _ in range(3):
        harness.publish("s.a")
    assert (len(one.messages), len(two.messages)) == (3, 0)
    pin = one.take()[0][2].split(b"Nats-Pin-Id: ")[1].split(b"\r\n")[0]
    assert harness.info("S", "C")["priority_groups"][0]["pinned_client_id"] == pin.decode()
    assert harness.api("CONSUMER.UNPIN.S.C", {"group": "g"}) == {
        "type": "io.nats.jetstream.api.v1.consumer_unpin_response"
    }
    harness.pull(one, "one", batch=1, group="g", id=pin.decode())
    harness.publish("s.a")
    statuses = [message[2].split(b"\r\n")[0] for message in one.take() if not message[1]]
    assert b"NATS/1.0 423 Nats-Wrong-Pin-Id" in statuses or len(two.take()) == 1


@pytest.mark.capability("JC22")
def test_lower_priority_numbers_are_served_first(harness: Harness) -> None:
    harness.consumer(priority_groups=["g"], priority_policy="prioritized")
    late, early = harness.inbox("late"), harness.inbox("early")
    harness.pull(late, "late", batch=2, group="g", priority=1)
    harness.pull(early, "early", batch=2, group="g", priority=0)
    for _ in range(3):
        harness.publish("s.a")
    assert (len(early.messages), len(late.messages)) == (2, 1)


@pytest.mark.capability("JC04", "JC05")
def test_push_waits_for_interest_and_stalls_without_flow_control_answers(harness: Harness) -> None:
    harness.publish("s.a", b"x" * 100)
    harness.consumer(deliver_subject="push", ack_policy="none", idle_heartbeat=10**9, flow_control=True)
    assert harness.info("S", "C")["num_pending"] == 1
    inbox = harness.inbox("push")
    harness.loop.settle()
    assert [message[0] for message in inbox.take()] == ["s.a"]
    for _ in range(40):
        harness.publish("s.a", b"x" * 100_000)
    delivered = inbox.take()
    requests = [message for message in delivered if message[2].startswith(b"NATS/1.0 100 FlowControl Request")]
    assert len(requests) == 1
    assert len(delivered) < 40
    harness.loop.advance(1.1)
    assert b"Nats-Consumer-Stalled: " + requests[0][1] in inbox.take()[-1][2]
    harness.account.publish(requests[0][1], b"")
    harness.loop.settle()
    assert len(inbox.take()) > 0


@pytest.mark.capability("JC25")
def test_progress_survives_a_restart() -> None:
    storage = MemoryStorage()
    with Harness(storage) as before:
        before.stream(storage="file")
        for _ in range(5):
            before.publish("s.a")
        before.consumer(ack_wait=10**9)
        messages = before.fetch(4)
        before.ack(messages[0])
        before.ack(messages[2])
        before.ack(messages[1], b"-NAK")
        assert numbers(before.fetch(1)[0][1]) == (2, 2, 5)
        expected = before.info("S", "C")
    with Harness(storage) as after:
        found = after.info("S", "C")
        for name in ("num_ack_pending", "num_redelivered", "num_pending"):
            assert found[name] == expected[name], name
        for name in ("delivered", "ack_floor"):
            for part in ("consumer_seq", "stream_seq"):
                assert found[name][part] == expected[name][part], (name, part)
        after.loop.advance(2)
        assert [numbers(message[1])[:2] for message in after.fetch(2)] == [(3, 2), (2, 4)]


@pytest.mark.capability("JC25")
def test_a_checkpoint_folds_progress_without_changing_it() -> None:
    storage = MemoryStorage()
    with Harness(storage) as before:
        before.stream(storage="file")
        for _ in range(5):
            before.publish("s.a")
        before.consumer()
        messages = before.fetch(3)
        before.ack(messages[1])
        ((key, (_, deltas)),) = storage.stored[ValueKind.PROGRESS].items()
        assert deltas
        body = storage.snapshots[ValueKind.PROGRESS](key)
        assert body is not None
        storage.stored[ValueKind.PROGRESS][key] = (body, [])
        expected = floors(before)
    with Harness(storage) as after:
        assert floors(after) == expected


@pytest.mark.capability("JS16", "JC13")
def test_a_purge_of_one_filter_leaves_the_messages_of_the_others(harness: Harness) -> None:
    """nats-server lets such a consumer pass over what is still stored of its other subjects."""
    harness.publish("s.b", b"first")
    harness.publish("s.a", b"second")
    harness.consumer(filter_subjects=["s.a", "s.b"])
    harness.api("STREAM.PURGE.S", {"filter": "s.a"})
    harness.publish("s.a", b"third")
    assert harness.info("S", "C")["num_pending"] == 2
    assert [message[3] for message in harness.fetch(5)] == [b"first", b"third"]


@pytest.mark.capability("JC07")
def test_a_purge_moves_no_floor_over_a_message_that_a_former_filter_let_through() -> None:
    """Else an acknowledgement of everything up to it would count as late, and it would come again for ever."""
    with Harness() as harness:
        harness.stream()
        harness.consumer(ack_policy="all", ack_wait=30 * SECOND, filter_subjects=["s.a", "s.b"])
        for subject in ("s.b", "s.a", "s.b"):
            harness.publish(subject)
        first, *_ = harness.fetch(1)
        harness.consumer(ack_policy="all", ack_wait=30 * SECOND, filter_subjects=["s.a"])
        harness.api("STREAM.PURGE.S", {"filter": "s.a"})
        info = harness.info("S", "C")
        assert (info["num_ack_pending"], info["ack_floor"]["stream_seq"]) == (1, 0)
        harness.ack(first)
        harness.loop.advance(40)
        assert harness.info("S", "C")["num_ack_pending"] == 0
        assert harness.fetch() == []


@pytest.mark.capability("JC04")
def test_two_groups_spread_over_all_their_members(harness: Harness) -> None:
    """As nats.go's TestJetStreamBindConsumer: a second group that is served in between starves no member."""
    harness.consumer(name="ONE", deliver_subject="one", deliver_group="g")
    harness.consumer(name="TWO", deliver_subject="two", deliver_group="g")
    counts = [0, 0, 0]

    def count(member: int) -> Callable[..., None]:
        def keep(*_message: object) -> None:
            counts[member] += 1

        return keep

    for member, subject in enumerate((b"one", b"two", b"two")):
        harness.account.subscribe(subject, count(member), b"g")
    for _ in range(200):
        harness.publish("s.a")
    assert counts[0] == counts[1] + counts[2] == 200
    # By chance either gets fewer than 40 of 200 once in 10^16 runs.
    assert min(counts[1:]) >= 40
