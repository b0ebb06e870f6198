"""The compiled way from an origin into a stream stores what the Python way, which knows all messages, would store."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leafbox.dataplane.origin_intake import place_of
from leafbox.protocol.jetstream.ack_reply import parse_ack_reply
from tests.support.jetstream_harness import Harness

Stored = tuple[int, bytes, bytes, bytes, int]


@pytest.mark.parametrize(
    "reply",
    [
        b"$JS.ACK.S.C.1.2.3.4.5",
        b"$JS.ACK._.hash.S.C.1.2.3.4.5",
        b"$JS.ACK.domain.hash.S.C.1.2.3.4.5.random.more",
        b"$JS.ACK.S.C.9.9223372036854775807.1.1800000000000000000.0",
    ],
)
def test_places_are_read(reply: bytes) -> None:
    expected = parse_ack_reply(reply)
    assert expected is not None
    assert place_of(reply) == tuple(expected)


_tokens = st.one_of(st.integers(0, 10**20).map(str), st.sampled_from(("", "$JS", "ACK", "C", "-1", "1x")))
_replies = st.lists(_tokens, min_size=0, max_size=11).map(lambda rest: ".".join(["$JS", "ACK", *rest]).encode())


@given(st.one_of(_replies, st.binary(max_size=40)))
def test_whatever_is_read_is_read_as_python_reads_it(reply: bytes) -> None:
    expected = parse_ack_reply(reply)
    assert place_of(reply) == (None if expected is None else tuple(expected))


def stored(harness: Harness, name: str) -> list[Stored]:
    store, seq, found = harness.owner.streams[name].store, 0, []
    while (message := store.next_matching(seq)) is not None:
        found.append((message.seq, message.subject, message.header, message.payload, message.ts_ns))
        seq = message.seq + 1
    return found


def followed(is_plain: bool, **config: object) -> tuple[list[Stored], list[Stored], list[object]]:
    """What a mirror and a stream with two sources have of the same origins, and what they report."""
    with Harness() as harness:
        for name in "OP":
            harness.stream(name, storage="file")
            for number in range(30):
                harness.publish(
                    f"{name.lower()}.{number % 4}", b"x" * number, **({"X": "y"} if number % 5 == 1 else {})
                )
            harness.publish(f"{name.lower()}.id", b"id", Nats_Msg_Id="1")
            harness.api(f"STREAM.MSG.DELETE.{name}", {"seq": 7})
        harness.stream("M", storage="file", subjects=[], mirror={"name": "O"}, **config)
        harness.stream("S", storage="file", subjects=[], sources=[{"name": "O"}, {"name": "P"}], **config)
        for name in "MS":
            for origin in harness.owner.streams[name].sourcing._origins.values():
                origin.intake.is_plain = is_plain
        harness.loop.advance(1)
        harness.publish("o.last", b"late")
        harness.loop.advance(1)
        places = harness.owner.streams["S"].sourcing.recovered.places
        reports: list[object] = [origin.place for origin in harness.owner.streams["S"].sourcing._origins.values()]
        reports += [places[index].seq for index in sorted(places)]
        reports += [origin["lag"] for origin in harness.info("S")["sources"]]
        return stored(harness, "M"), stored(harness, "S"), reports


@pytest.mark.capability("JS31", "JS32")
@pytest.mark.parametrize(
    "config",
    [{}, {"max_msgs": 20}, {"max_msgs": 20, "discard": "new"}, {"max_msg_size": 20}, {"max_msgs_per_subject": 2}],
)
def test_streams_are_followed_as_python_follows_them(config: dict[str, object]) -> None:
    compiled, python = followed(True, **config), followed(False, **config)
    assert compiled == python
    if not config:
        mirrored, sourced, reports = compiled
        assert [message[0] for message in mirrored] == [*range(1, 7), *range(8, 33)]
        assert len(sourced) == 31 + 30
        assert b"Nats-Stream-Source: O 1 > > o.0 " in sourced[0][2]
        assert reports == [32, 31, 32, 31, 0, 0]
