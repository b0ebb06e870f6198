"""Subject rules used by the configuration."""

from __future__ import annotations

import pytest

from leafbox.app.configuration.subjects import (
    is_subset,
    is_valid_publish_subject,
    is_valid_subject,
    numbered_wildcards,
    overlaps,
    unnumbered_wildcards,
)


@pytest.mark.parametrize("subject", ["a", "a.b", "*", ">", "a.*.c", "a.>", "a*b", "$SYS.x", "a>.b"])
def test_valid(subject: str) -> None:
    assert is_valid_subject(subject)


@pytest.mark.parametrize("subject", ["", ".", "a..b", ".a", "a.", ">.a", "a b", "a\t", "a.>.b"])
def test_invalid(subject: str) -> None:
    assert not is_valid_subject(subject)


def test_a_publish_subject_has_no_wildcard() -> None:
    assert [is_valid_publish_subject(text) for text in ("a.b", "a*", "a.*", "a.>")] == [True, True, False, False]


@pytest.mark.parametrize(
    ("subject", "pattern", "expected"),
    [
        ("a.b", "a.*", True),
        ("a.b", "a.>", True),
        ("a", "a.>", False),
        ("a.*", "a.*", True),
        ("a.>", "a.*", False),
        ("a.>", ">", True),
        ("*.b", "a.b", False),
        ("a.b.c", "a.b", False),
    ],
)
def test_subset(subject: str, pattern: str, expected: bool) -> None:
    assert is_subset(subject, pattern) is expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [("a.*", "*.b", True), ("a.>", "a.b.c", True), ("a", "b", False), ("a.*", "a.b.c", False), ("a.b", "a.>", True)],
)
def test_overlap(first: str, second: str, expected: bool) -> None:
    assert overlaps(first, second) is expected
    assert overlaps(second, first) is expected


def test_wildcards_are_numbered_and_back() -> None:
    assert numbered_wildcards("a.*.b.*.>") == "a.$1.b.$2.>"
    assert unnumbered_wildcards("a.$2.{{wildcard(1)}}.$x.>") == "a.*.*.$x.>"
