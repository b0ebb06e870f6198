"""When a message is tried again, when it is set aside, and that a message is only blamed for what it did."""

from __future__ import annotations

from typing import Any, cast

import pytest

from leafbox.mqtt.bridge.ports import BridgeLost, MessageRefused
from leafbox.mqtt.bridge.refusals import (
    CLOSED_SOON_S,
    CLOSED_TRIES,
    OTHER_TRIES,
    PERMANENT_TRIES,
    VERDICT_S,
    VERDICTS_MAX,
    Doubtful,
    Refusals,
    headers_bytes,
)
from leafbox.protocol.mqtt.reason_codes import ReasonCode

pytestmark = pytest.mark.capability("AP42")

CLOSED = BridgeLost("closed", "it closed the connection")
TOO_LARGE = MessageRefused(ReasonCode.PACKET_TOO_LARGE, "too large")
QUOTA = MessageRefused(ReasonCode.QUOTA_EXCEEDED, "quota exceeded")
WINDOW = 100


@pytest.fixture
def refusals() -> Refusals:
    """Judging needs no stream."""
    return Refusals("b", cast(Any, None), 1 << 20)


def message(sequence: int = 1, topic: bytes = b"t") -> Doubtful:
    return Doubtful("S", sequence, "t", topic, b"", {})


def pauses(refusals: Refusals, refused: MessageRefused, each: Doubtful, now_s: float = 0.0) -> list[float]:
    """Between the tries of one message, until it is set aside."""
    found = []
    while (pause_s := refusals.judge(each, refused, now_s)) is not None:
        found.append(pause_s)
    refusals.settled()
    return found


def test_what_is_the_messages_fault_is_tried_a_few_times_and_other_refusals_for_long(refusals: Refusals) -> None:
    assert pauses(refusals, TOO_LARGE, message()) == [0.25, 0.5]
    assert PERMANENT_TRIES == 3
    waited = pauses(refusals, QUOTA, message(2))
    assert waited[:6] == [1, 2, 4, 8, 16, 30]
    assert len(waited) == OTHER_TRIES - 1
    assert 500 < sum(waited) < 700


def test_a_topic_that_was_judged_is_not_judged_again_for_a_while(refusals: Refusals) -> None:
    assert pauses(refusals, TOO_LARGE, message(1))
    assert pauses(refusals, TOO_LARGE, message(2), VERDICT_S / 2) == []
    assert pauses(refusals, TOO_LARGE, message(3, b"other"), VERDICT_S / 2)
    assert pauses(refusals, TOO_LARGE, message(4), VERDICT_S + 1)
    assert pauses(refusals, MessageRefused(ReasonCode.NOT_AUTHORIZED, ""), message(5), VERDICT_S + 2)
    for number in range(VERDICTS_MAX + 10):
        pauses(refusals, TOO_LARGE, message(10 + number, b"%d" % number), VERDICT_S + 3)
    assert pauses(refusals, TOO_LARGE, message(9999, b"0"), VERDICT_S + 4)
    assert pauses(refusals, TOO_LARGE, message(9998, b"500"), VERDICT_S + 4) == []


def test_while_one_is_in_doubt_it_goes_alone(refusals: Refusals) -> None:
    refusals.judge(message(), QUOTA, 0)
    assert refusals.careful == 1
    refusals.settled()
    assert refusals.careful == 0


def test_tries_belong_to_a_message(refusals: Refusals) -> None:
    assert [refusals.judge(message(1), TOO_LARGE, 0), refusals.judge(message(1), TOO_LARGE, 0)] == [0.25, 0.5]
    assert refusals.judge(message(2), TOO_LARGE, 0) == 0.25


def test_connections_that_end_are_blamed_on_the_message_that_was_alone(refusals: Refusals) -> None:
    assert refusals.lost(7, CLOSED, None, WINDOW) is None
    assert refusals.careful == 0
    assert refusals.lost(7, CLOSED, None, WINDOW) is None
    assert refusals.careful == WINDOW
    for _ in range(CLOSED_TRIES - 1):
        assert refusals.lost(7, CLOSED, 0.1, WINDOW) is None
    refused = refusals.lost(7, CLOSED, 0.1, WINDOW)
    assert refused is not None
    assert "5 times" in str(refused)
    refusals.settled()
    assert refusals.careful == WINDOW - 1


@pytest.mark.parametrize(
    ("lost", "alone_for_s"),
    [
        (CLOSED, None),
        (CLOSED, CLOSED_SOON_S + 1),
        (BridgeLost("timeout", "no answer"), 0.1),
        (BridgeLost("dns", "no route"), 0.1),
    ],
)
def test_no_message_is_blamed_for_a_broker_that_is_away(
    refusals: Refusals, lost: BridgeLost, alone_for_s: float | None
) -> None:
    assert {refusals.lost(7, lost, alone_for_s, WINDOW) for _ in range(100)} == {None}


def test_it_has_to_end_the_connection_each_time(refusals: Refusals) -> None:
    for sequence in range(10):
        for _ in range(CLOSED_TRIES - 1):
            assert refusals.lost(sequence, CLOSED, 0.1, WINDOW) is None
        refusals.accepted()
        refusals.settled()


def test_when_the_next_message_ends_it_too_it_takes_longer_to_blame_it(refusals: Refusals) -> None:
    def tries(sequence: int) -> int:
        count = 1
        while refusals.lost(sequence, CLOSED, 0.1, WINDOW) is None:
            count += 1
        refusals.settled()
        return count

    assert [tries(number) for number in (1, 2, 3)] == [CLOSED_TRIES, 2 * CLOSED_TRIES, 4 * CLOSED_TRIES]
    refusals.accepted()
    assert tries(4) == CLOSED_TRIES


def test_the_room_of_headers() -> None:
    """Never less than they take on the wire."""
    headers = {"Leafbox-Bridge-Topic": "ü/" * 100, "a": ""}
    wire = b"NATS/1.0\r\n" + b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items()) + b"\r\n"
    assert headers_bytes(headers) >= len(wire) + len(
        "Nats-Msg-Id: BRIDGE_x:1\r\nNats-Expected-Stream: BRIDGE_x_REFUSED\r\n"
    )
