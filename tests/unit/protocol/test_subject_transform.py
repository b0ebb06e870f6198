"""Subject transforms by example, their errors, and the strict form of imports."""

from __future__ import annotations

import pytest

from leafbox.protocol.subject_transform import (
    InvalidTransform,
    SubjectTransform,
    fnv1a_32,
    is_match,
    is_valid_subject,
    tokenize_wildcards,
)
from tests.support.transform_cases import REFUSED, TRANSFORMED, Transformed


@pytest.mark.capability("CF05", "CF06")
@pytest.mark.parametrize("case", TRANSFORMED, ids=lambda case: f"{case[0]} to {case[1]}")
def test_examples(case: Transformed) -> None:
    source, destination, results = case
    transform = SubjectTransform.compile(source.encode(), destination.encode())
    for subject, expected in results.items():
        matches = is_match(source.encode().split(b"."), subject.encode().split(b"."))
        assert transform.match(subject.encode()) == (expected.encode() if matches else None)
        assert matches or expected == subject, subject


@pytest.mark.capability("CF05")
@pytest.mark.parametrize(("source", "destination", "reason"), REFUSED)
def test_refusals(source: str, destination: str, reason: str) -> None:
    with pytest.raises(InvalidTransform) as caught:
        SubjectTransform.compile(source.encode(), destination.encode())
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("source", "destination"), [("a..b", "c"), ("a.>.b", "c"), ("a b", "c"), (".", "c"), ("a", "")]
)
def test_what_is_no_subject_is_refused(source: str, destination: str) -> None:
    with pytest.raises(InvalidTransform, match=r"^invalid "):
        SubjectTransform.compile(source.encode(), destination.encode())


def test_an_empty_source_is_everything() -> None:
    assert SubjectTransform.compile(b"", b"b.>").match(b"a.x") == b"b.a.x"


@pytest.mark.parametrize(
    ("source", "destination", "reason"),
    [
        (
            b"a.*",
            b"b.{{partition(3,1)}}",
            "the only mapping function allowed for import transforms is {{Wildcard()}} in {{partition(3,1)}}",
        ),
        (b"a.*.*", b"b.$1", "not using all of the token wildcard(s) in b.$1"),
        (b"a.*.*", b"b", "not using all of the token wildcard(s) in b"),
    ],
)
def test_a_strict_transform_must_be_reversible(source: bytes, destination: bytes, reason: str) -> None:
    with pytest.raises(InvalidTransform) as caught:
        SubjectTransform.compile(source, destination, strict=True)
    assert str(caught.value) == "invalid mapping destination: " + reason


def test_reversing() -> None:
    transform = SubjectTransform.compile(b"a.*.b.*.*", b"x.$3.{{wildcard(1)}}.y.$2", strict=True)
    back = transform.reverse()
    assert (back.source, back.destination) == (b"x.*.*.y.*", b"a.$2.b.$3.$1")
    assert back.match(b"x.3.1.y.2") == b"a.1.b.2.3"
    assert repr(back) == "SubjectTransform('x.*.*.y.*', 'a.$2.b.$3.$1')"


def test_reversing_a_subscription_keeps_its_wildcards() -> None:
    """An import `to: "local.$1.>"` turns a local subscription into one in the exporting account."""
    transform = SubjectTransform.compile(b"remote.*.>", b"local.$1.>", strict=True)
    assert transform.reverse().apply(b"local.*.>") == b"remote.*.>"
    assert transform.reverse().apply(b"local.x.*.y") == b"remote.x.*.y"


@pytest.mark.parametrize(("source", "destination"), [(b"a.*", b"b"), (b"a.*", b"b.{{left(1,2)}}")])
def test_what_cannot_be_turned_round_is_refused(source: bytes, destination: bytes) -> None:
    with pytest.raises(InvalidTransform):
        SubjectTransform.compile(source, destination).reverse()


@pytest.mark.capability("CF06")
@pytest.mark.parametrize("count", [b"4", b"-4"])
def test_random_covers_its_range(count: bytes) -> None:
    transform = SubjectTransform.compile(b"a.*", b"b.{{random(%b)}}" % count)
    assert transform.is_random
    assert {transform.apply(b"a.x") for _ in range(400)} == {b"b.0", b"b.1", b"b.2", b"b.3"}


def test_tokens_are_cut_by_bytes() -> None:
    transform = SubjectTransform.compile(b"a.*", b"b.{{left(1,2)}}")
    assert transform.apply("a.äöü".encode()) == "b.ä".encode()
    assert SubjectTransform.compile(b"a.*", b"b.{{split(1,)}}").apply(
        "a.äb\udcff".encode(errors="surrogateescape")
    ) == ("b.ä.b.\udcff".encode(errors="surrogateescape"))


@pytest.mark.parametrize(
    ("data", "expected"), [(b"", 0x811C9DC5), (b"a", 0xE40C292C), (b"b", 0xE70C2DE5), (b"foobar", 0xBF9CF968)]
)
def test_fnv1a(data: bytes, expected: int) -> None:
    """Test vectors of the FNV authors."""
    assert fnv1a_32(data) == expected


def test_helpers() -> None:
    assert tokenize_wildcards(b"a.*.b.*.>") == b"a.$1.b.$2.>"
    assert is_valid_subject(b"a.*.>")
    assert not is_valid_subject(b"a.>.b")
    assert not is_valid_subject(b"a\tb")
    assert is_match([b"a", b">"], [b"a", b"b"])
    assert not is_match([b"a", b"*"], [b"a", b">"])
