"""Subject rules one by one; `tests/properties/test_subject_rules.py` compares them with the model on all inputs."""

from __future__ import annotations

import pytest

from leafbox.dataplane.subjects import (
    is_literal,
    is_subset,
    is_valid_literal,
    is_valid_subject,
    subject_matches,
    subjects_collide,
)

VALID = [b"a", b"a.b", b"*", b">", b"a.*", b"a.>", b"*.*", b"a*.b>", b"**", b">>.a", b"\x00", b"\xff.\xfe", b"a" * 5000]
INVALID = [b"", b".", b"a.", b".a", b"a..b", b">.a", b"a.>.b", b"a b", b"a\tb", b"a\r", b"\na", b"a\x0cb"]


@pytest.mark.capability("C07")
@pytest.mark.parametrize("subject", VALID)
def test_valid(subject: bytes) -> None:
    assert is_valid_subject(subject)


@pytest.mark.capability("C07")
@pytest.mark.parametrize("subject", INVALID)
def test_invalid(subject: bytes) -> None:
    assert not is_valid_subject(subject)
    assert not is_valid_literal(subject)


def test_a_subject_has_at_most_4096_tokens() -> None:
    """The index walks a call per token: a peer must not choose the depth of our stack."""
    assert is_valid_subject(b".".join([b"a"] * 4096))
    assert not is_valid_subject(b".".join([b"a"] * 4097))


@pytest.mark.parametrize("subject", [b"a", b"a.b", b"a*", b"*a", b"a>", b"a.b>.c", b"**", b">>"])
def test_wildcards_inside_a_token_are_characters(subject: bytes) -> None:
    assert is_literal(subject)
    assert is_valid_literal(subject)


@pytest.mark.parametrize("subject", [b"*", b">", b"a.*", b"*.a", b"a.*.b", b"a.>"])
def test_wildcard_tokens(subject: bytes) -> None:
    assert not is_literal(subject)
    assert not is_valid_literal(subject)
    assert is_valid_subject(subject)


MATCHING: list[tuple[bytes, bytes]] = [
    (b"a", b"a"),
    (b"a", b"*"),
    (b"a", b">"),
    (b"a.b", b"a.b"),
    (b"a.b", b"a.*"),
    (b"a.b", b"*.b"),
    (b"a.b", b"*.*"),
    (b"a.b", b"a.>"),
    (b"a.b.c", b"a.>"),
    (b"a.b.c", b"*.>"),
    (b"a.*", b"a.*"),
    (b"a.>", b"a.*"),
    (b"a.*", b"a.>"),
    (b"a*", b"a*"),
]
NOT_MATCHING: list[tuple[bytes, bytes]] = [
    (b"a", b"b"),
    (b"a", b"a.b"),
    (b"a.b", b"a"),
    (b"a", b"a.*"),
    (b"a", b"a.>"),
    (b"a.b.c", b"a.*"),
    (b"a.b", b"*"),
    (b"ab", b"a*"),
    (b"a.b", b"a.>b"),
    (b"a.*", b"a.b"),
    (b"A", b"a"),
    (b"", b">"),
    (b"a..b", b">"),
    (b"a..b", b"a.>"),
    (b"a..b", b"a.*.b"),
    (b"a.", b"a.>"),
    (b".a", b"*.a"),
]


@pytest.mark.capability("C06")
@pytest.mark.parametrize(("literal", "pattern"), MATCHING)
def test_matches(literal: bytes, pattern: bytes) -> None:
    assert subject_matches(literal, pattern)


@pytest.mark.capability("C06")
@pytest.mark.parametrize(("literal", "pattern"), NOT_MATCHING)
def test_does_not_match(literal: bytes, pattern: bytes) -> None:
    assert not subject_matches(literal, pattern)


@pytest.mark.parametrize(
    ("subject", "pattern", "expected"),
    [
        (b"a.b", b"a.*", True),
        (b"a.*", b"a.*", True),
        (b"a.*", b"a.>", True),
        (b"a.>", b">", True),
        (b"a.b.>", b"a.>", True),
        (b"a.>", b"a.*", False),
        (b"a.*", b"a.b", False),
        (b">", b"*", False),
        (b"a", b"a.>", False),
        (b"a.b", b"a", False),
    ],
)
def test_subset(subject: bytes, pattern: bytes, expected: bool) -> None:
    assert is_subset(subject, pattern) is expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (b"a.*", b"*.b", True),
        (b"a.>", b"*.b.c", True),
        (b"a.b", b"a.b", True),
        (b"a.>", b"a", False),
        (b"a.*", b"a.b.c", False),
        (b"a.*.c", b"*.b.d", False),
        (b"*", b"*.*", False),
    ],
)
def test_collide(first: bytes, second: bytes, expected: bool) -> None:
    assert subjects_collide(first, second) is expected
    assert subjects_collide(second, first) is expected


@pytest.mark.parametrize("function", [is_valid_subject, is_literal, is_valid_literal])
def test_only_bytes_are_subjects(function: object) -> None:
    assert callable(function)
    for wrong in ("a", None, bytearray(b"a")):
        with pytest.raises(TypeError):
            function(wrong)
