"""The client parser against a naive one, however the bytes are cut; and what it sends, read back by another parser."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.parser_check import comparable, cut, expected_events, play
from tests.support.parser_model import Delivery, deliveries_of
from tests.support.playbook import Playbook
from tests.support.subject_model import tokens_of

words = st.text("abc.*>_$-", min_size=1, max_size=12).map(str.encode)
gaps = st.sampled_from([b" ", b"\t", b"  ", b" \t ", b" \r "]) | st.just(b" ")
ends = st.sampled_from([b"\r\n"] * 6 + [b"\n", b"\r\r\n", b" \r\n", b"\r \n"])
payloads = st.binary(max_size=40) | st.sampled_from([b"\r\n", b"PING\r\n", b"x" * 500])


@st.composite
def publishes(draw: st.DrawFn) -> bytes:
    """PUB or HPUB, now and then with a size that is not the payload's."""
    payload = draw(payloads)
    header = draw(st.none() | st.integers(min_value=0, max_value=len(payload)))
    parts = [draw(words)] + ([draw(words)] if draw(st.booleans()) else [])
    if header is not None:
        parts.append(b"%d" % header)
    parts.append(b"%d" % (len(payload) + draw(st.sampled_from([0] * 12 + [1, -1, 600, 10**9, 10**10]))))
    line = draw(gaps).join(parts)
    return (b"PUB" if header is None else b"HPUB") + draw(gaps) + line + draw(ends) + payload + b"\r\n"


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """Any other operation, right and wrong."""
    name = draw(
        st.sampled_from(
            [b"SUB", b"UNSUB", b"PING", b"PONG", b"CONNECT", b"INFO", b"+OK"] * 3 + [b"-ERR", b"MSG", b"PUN"]
        )
    )
    count = draw(st.integers(min_value=0, max_value=4))
    arguments = [
        draw(words | st.integers(min_value=-1, max_value=10**10).map(lambda n: b"%d" % n)) for _ in range(count)
    ]
    if draw(st.integers(min_value=0, max_value=30)) == 0:
        arguments.append(b"x" * draw(st.integers(min_value=100, max_value=140)))
    return draw(gaps).join([name, *arguments]) + draw(ends)


def any_case(data: bytes, upper: bool) -> bytes:
    return data if upper else data[:6].lower() + data[6:]


operations = st.one_of(publishes(), publishes(), lines(), lines(), st.binary(max_size=8)) | st.builds(
    any_case, lines(), st.booleans()
)
scripts = st.lists(operations, max_size=12).map(b"".join)


@pytest.mark.capability("C09", "C25", "AP10")
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(scripts, st.lists(st.integers(min_value=0, max_value=800), max_size=12))
@example(b"SUB " + b"a" * 126 + b" 1\r\nPING\r\n", [131, 132, 133])
@example(b"PUB a 1\r\nxyPING\r\n", [10])
@example(b"PUB a 3\r\nabc\r\nPING\r\n", [12, 13, 14])
@example(b"P", [])
@example(b"PING" + b" " * 65533 + b"\r\n", [])
def test_any_cut_gives_what_the_naive_parser_gives(script: bytes, cuts: list[int]) -> None:
    events, output, connection = play(cut(script, cuts))
    expected = expected_events(script)
    assert comparable(events) == expected
    whole_events, whole_output, _ = play([script])
    assert (events, output) == (whole_events, whole_output)
    assert connection.closed is bool(expected and expected[-1][0] in ("violation", "peer error"))


@pytest.mark.capability("C09")
@settings(max_examples=60)
@given(scripts)
def test_byte_by_byte_gives_the_same(script: bytes) -> None:
    assert play([script[at : at + 1] for at in range(len(script))])[:2] == play([script])[:2]


@pytest.mark.capability("C08")
@settings(max_examples=300)
@given(st.lists(st.binary(min_size=1, max_size=300), max_size=6))
def test_random_bytes_end_in_hooks_or_a_closed_connection(chunks: list[bytes]) -> None:
    events, _, connection = play(chunks)
    assert comparable(events) == expected_events(b"".join(chunks))
    if b"".join(chunks)[:1].upper() not in (b"P", b"H", b"S", b"U", b"C", b"I", b"+", b"-", b""):
        assert connection.close_reason == "Protocol Violation"


names = st.binary(min_size=1, max_size=30).filter(
    lambda name: not set(name) & set(b" \t\r\n") and all(tokens_of(name)) and not name.startswith((b"_R_.", b"_GR_."))
)


@pytest.mark.capability("C03", "C04", "C05", "AP10")
@settings(max_examples=300)
@given(
    subject=names,
    reply=st.just(b"") | names,
    header=st.just(b"") | st.binary(min_size=1, max_size=60),
    payload=st.binary(max_size=300),
    sid=names,
)
def test_what_is_sent_reads_back_as_what_was_published(
    subject: bytes, reply: bytes, header: bytes, payload: bytes, sid: bytes
) -> None:
    book = Playbook()
    new, old = book.client(), book.client(headers=False)
    for actor, own_sid in ((new, sid), (old, b"1")):
        actor.says(b"SUB > " + own_sid)
    assert book.account.publish(subject, payload, reply, header) == 2
    assert deliveries_of(new.hears()) == [Delivery(subject, sid, reply, header, payload)]
    assert deliveries_of(old.hears()) == [Delivery(subject, b"1", reply, b"", payload)]
