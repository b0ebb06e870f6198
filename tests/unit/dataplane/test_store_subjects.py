"""Interned subjects and filters: numbers are reused, decisions follow."""

from __future__ import annotations

import random

import pytest

from leafbox.dataplane.stream_store import StreamStore
from tests.support.stream_model import matches


@pytest.mark.parametrize(
    ("pattern", "subject"),
    [
        (b"a.*.c", b"a.b.c"),
        (b"a.>", b"a.b.c"),
        (b"a.>", b"a"),
        (b"*", b"a.b"),
        (b"a.b", b"a.b.c"),
        (b"a.b.c", b"a.b"),
        (b">", b"x"),
        (b"*.b", b".b"),
        (b"a*.b", b"a*.b"),
        (b"a*.b", b"ax.b"),
    ],
)
def test_filter_equals_the_model(pattern: bytes, subject: bytes) -> None:
    """Token-wise matching as in the core protocol."""
    assert StreamStore(b"S").filter(pattern).matches_subject(subject) == matches(pattern, subject)


def test_numbers_are_reused_without_mixing_up_filters() -> None:
    """A queue with one subject per job: the table stays small, and a filter never answers for a former subject."""
    stream = StreamStore(b"S")
    evens = stream.filter(b"job.*.even")
    for number in range(5_000):
        kind = b"even" if number % 2 == 0 else b"odd"
        seq = stream.append_message(b"job.%d.%s" % (number, kind), b"")
        assert (stream.next_sequence(seq, evens) == seq) == (number % 2 == 0)
        if number >= 10:
            stream.remove_message(seq - 10)
    assert stream.subjects.live == 10
    assert stream.subjects.memory_bytes() < 10_000


def test_many_subjects_survive_growth_and_removal() -> None:
    """The hash table against a dictionary, with removals in random order."""
    choices = random.Random(3)
    stream = StreamStore(b"S")
    counts: dict[bytes, int] = {}
    where: dict[int, bytes] = {}
    for _ in range(6_000):
        if where and choices.random() < 0.4:
            seq = choices.choice(list(where))
            subject = where.pop(seq)
            counts[subject] -= 1
            if not counts[subject]:
                del counts[subject]
            assert stream.remove_message(seq)
        else:
            subject = b"s.%d" % choices.randrange(800)
            where[stream.append_message(subject, b"")] = subject
            counts[subject] = counts.get(subject, 0) + 1
    assert stream.subject_counts() == counts
