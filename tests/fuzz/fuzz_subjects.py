"""The subject rules on any two subjects: memory safety, and the naive model's answers."""

from __future__ import annotations

from leafbox.dataplane import subjects
from tests.support import subject_model

SEEDS = [b"a.b|a.*", b"a.b.c|a.>", b"*|>", b"a*b.>|a..", b"|", b"foo.*.bar|*.x.bar"]


def one_input(data: bytes) -> None:
    """`first|second`."""
    first, _, second = data.partition(b"|")
    assert subjects.is_valid_subject(first) is subject_model.is_valid(first)
    assert subjects.is_literal(first) is subject_model.is_literal(first)
    # The model recurses a call per token.
    if first.count(b".") < 200 and second.count(b".") < 200:
        assert subjects.subject_matches(first, second) is subject_model.matches(first, second)
    assert subjects.subjects_collide(first, second) is subjects.subjects_collide(second, first)
    if subjects.is_subset(first, second) and subject_model.is_valid(first):
        assert subjects.subjects_collide(first, second)
