"""The compiled subject rules against the naive model: exhaustively on small alphabets, and on arbitrary bytes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leafbox.dataplane import subjects
from tests.support import subject_model

pytestmark = pytest.mark.capability("C06", "AP10")

PATTERNS = [
    b".".join(tokens)
    for length in (1, 2, 3)
    for tokens in itertools.product((b"a", b"b", b"*", b">"), repeat=length)
    if b">" not in tokens[:-1]
]
# `c` occurs in no pattern, and four tokens are one more than any pattern has: between them they tell all wildcards
# from all literals.
LITERALS = [
    b".".join(tokens) for length in (1, 2, 3, 4) for tokens in itertools.product((b"a", b"b", b"c"), repeat=length)
]
REACH = {pattern: {literal for literal in LITERALS if subject_model.matches(literal, pattern)} for pattern in PATTERNS}

# Mostly dots and wildcards, now and then any byte.
odd_subjects = st.lists(st.sampled_from([b".", b"*", b">", b"a", b"b", b" "]) | st.binary(min_size=1, max_size=3)).map(
    b"".join
)


def test_matching_agrees_on_every_small_subject() -> None:
    for pattern in PATTERNS:
        assert {literal for literal in LITERALS if subjects.subject_matches(literal, pattern)} == REACH[pattern]


def test_subset_means_that_nothing_is_reached_beside() -> None:
    for subject, pattern in itertools.product(PATTERNS, repeat=2):
        assert subjects.is_subset(subject, pattern) is (REACH[subject] <= REACH[pattern]), (subject, pattern)


def test_colliding_means_that_something_is_reached_by_both() -> None:
    for first, second in itertools.product(PATTERNS, repeat=2):
        assert subjects.subjects_collide(first, second) is bool(REACH[first] & REACH[second]), (first, second)


@given(odd_subjects)
def test_validity_agrees(subject: bytes) -> None:
    assert subjects.is_valid_subject(subject) is subject_model.is_valid(subject)
    assert subjects.is_literal(subject) is subject_model.is_literal(subject)
    assert subjects.is_valid_literal(subject) is (subject_model.is_valid(subject) and subject_model.is_literal(subject))


@given(odd_subjects, odd_subjects)
def test_matching_agrees_on_odd_subjects(literal: bytes, pattern: bytes) -> None:
    assert subjects.subject_matches(literal, pattern) is subject_model.matches(literal, pattern)


@given(odd_subjects, odd_subjects)
def test_relations_hold_on_odd_subjects(first: bytes, second: bytes) -> None:
    """No meaning is defined for invalid patterns; the answers must still not contradict each other."""
    assert subjects.subjects_collide(first, second) is subjects.subjects_collide(second, first)
    if subject_model.is_valid(first) and subjects.is_subset(first, second):
        assert subjects.subjects_collide(first, second)
