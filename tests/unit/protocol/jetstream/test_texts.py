"""Small texts of JetStream: error catalogue, TTLs, batch replies, headers, transforms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leafbox.protocol.errors import RequestRejected
from leafbox.protocol.jetstream import error_catalog, generate_error_catalog, headers, subjects
from leafbox.protocol.jetstream.fast_batch import FastPlace, is_fast_reply, parse_place
from leafbox.protocol.jetstream.message_ttl import NEVER, parse_ttl
from leafbox.protocol.jetstream.subject_transform import SubjectTransform, TransformError, validate_mapping


@pytest.mark.capability("JS02")
def test_the_error_catalogue_is_generated() -> None:
    assert Path(error_catalog.__file__).read_text() == generate_error_catalog.render()


def test_error_codes_are_unique() -> None:
    rows = json.loads(Path(error_catalog.__file__).with_suffix(".json").read_text())
    assert len({row["err_code"] for row in rows}) == len({row["name"] for row in rows}) == len(rows)


def test_placeholders_are_filled() -> None:
    rejected = error_catalog.STREAM_WRONG_LAST_SEQUENCE.rejected(seq=7)
    assert (rejected.code, rejected.err_code, rejected.description) == (400, 10071, "wrong last sequence: 7")


@pytest.mark.capability("JS24")
@pytest.mark.parametrize(
    ("text", "seconds"), [("", 0), ("0", 0), ("5", 5), ("1h", 3600), ("1500ms", 1), ("never", NEVER), ("NEVER", NEVER)]
)
def test_ttls(text: str, seconds: int) -> None:
    assert parse_ttl(text) == seconds


@pytest.mark.parametrize("text", ["10ms", "-1", "-5s", "soon", "1.5"])
def test_bad_ttls(text: str) -> None:
    with pytest.raises(RequestRejected) as caught:
        parse_ttl(text)
    assert caught.value.err_code == 10165


@pytest.mark.capability("JS27")
def test_the_place_in_a_fast_batch() -> None:
    assert is_fast_reply("_INBOX.x.b1.5.ok.1.0.$FI")
    assert parse_place("_INBOX.x.b1.5.ok.1.0.$FI") == FastPlace("b1", 5, True, 1, 0)
    place = parse_place("r.b1.junk.fail.7.2.$FI")
    assert place == FastPlace("b1", 10, False, 7, 2)
    assert place.is_commit


@pytest.mark.parametrize(
    "reply", ["b1.5.ok.1.0.$FI", "r.b.5.ok.2.0.$FI", "r.b.5.ok.1.1.$FI", "r.b.5.maybe.1.0.$FI", "r.b.5.ok.0.0.$FI"]
)
def test_malformed_places(reply: str) -> None:
    assert parse_place(reply) is None


HEADER = b"NATS/1.0\r\nA: 1\r\nNats-Msg-Id:  x \r\nA: 2\r\n\r\n"


def test_headers_are_found_changed_and_removed() -> None:
    assert headers.get(HEADER, b"A") == b"1"
    assert headers.get_text(HEADER, headers.MSG_ID) == "x"
    assert headers.get(HEADER, b"B") is None
    assert headers.remove(HEADER, b"A") == b"NATS/1.0\r\nNats-Msg-Id:  x \r\n\r\n"
    assert headers.remove_prefix(headers.remove(HEADER, b"A"), b"Nats-") == b""
    assert headers.replace(HEADER, b"A", b"9").startswith(b"NATS/1.0\r\nA: 9\r\n")
    assert headers.add(b"", b"A", b"1") == b"NATS/1.0\r\nA: 1\r\n\r\n"
    assert headers.without_status(b"NATS/1.0 404 x\r\nA: 1\r\n\r\n") == b"NATS/1.0\r\nA: 1\r\n\r\n"


@pytest.mark.capability("JS21")
@pytest.mark.parametrize(
    ("source", "destination", "subject", "mapped"),
    [
        ("a.*.*", "b.$2.$1", "a.1.2", "b.2.1"),
        ("a.*", "b.{{wildcard(1)}}", "a.x", "b.x"),
        ("a.>", "b.>", "a.x.y", "b.x.y"),
        ("*", "p.{{split(1,-)}}", "x-y", "p.x.y"),
        ("*", "p.{{SplitFromLeft(1,2)}}", "abcd", "p.ab.cd"),
        ("*", "p.{{sliceFromRight(1,2)}}", "abcde", "p.a.bc.de"),
        ("*", "p.{{left(1,2)}}", "abcd", "p.ab"),
        ("a.*", "b.$1", "c.x", None),
    ],
)
def test_transforms(source: str, destination: str, subject: str, mapped: str | None) -> None:
    assert SubjectTransform(source, destination).match(subject) == mapped


@given(st.text("abc.", min_size=1, max_size=12).filter(subjects.is_valid), st.integers(1, 20))
def test_a_partition_is_below_their_number(subject: str, count: int) -> None:
    mapped = SubjectTransform(">", f"{{{{partition({count})}}}}.>").apply(subject)
    assert int(mapped.partition(".")[0]) < count


@pytest.mark.parametrize("destination", ["b.{{wildcard(2)}}", "b.{{junk(1)}}", "b..c", "b.{{split(1)}}"])
def test_mappings_that_cannot_be_built(destination: str) -> None:
    with pytest.raises(TransformError):
        validate_mapping("a.*", destination)


PATTERNS = st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=3).flatmap(
    lambda tokens: st.sampled_from([".".join(tokens), ".".join([*tokens, ">"])])
)
LITERALS = st.lists(st.sampled_from("ab"), min_size=1, max_size=4).map(".".join)


@given(PATTERNS, PATTERNS, LITERALS)
def test_relations_of_patterns_agree_with_matching(first: str, second: str, literal: str) -> None:
    if subjects.matches(literal, first) and subjects.matches(literal, second):
        assert subjects.overlap(first, second)
    if subjects.is_subset(first, second) and subjects.matches(literal, first):
        assert subjects.matches(literal, second)
