"""The subject index under any sequence of changes and questions: memory safety, and the naive model's answers."""

from __future__ import annotations

from collections import Counter

from leafbox.dataplane.sublist import Sublist
from tests.fuzz.choices import Choices
from tests.support.subject_model import NaiveSublist, is_valid

SEEDS = [
    b"\x03" + b"\x00\x03a.b\x00\x01\x00\x03a.*\x01\x01\x02\x03a.b\x01\x03a.b\x00\x01\x02\x03a.b",
    b"\x00" + b"\x03" * 8 + b"\x00\x01>\x00\x00" + b"\x03" * 8,
    b"\x05" + b"".join(b"\x00\x04%04d\x00\x01\x02\x04%04d" % (number, number) for number in range(40)),
]
QUEUES = (None, b"q", b"r", b"")


def one_input(data: bytes) -> None:
    """A cache size, then operations."""
    choices = Choices(data)
    real, model = Sublist(choices.pick((0, 1, 2, 16, 64, 16384))), NaiveSublist()
    fresh = 0
    while not choices.is_exhausted:
        operation = choices.number(4)
        if operation == 3:
            # Many different subjects, so that the cache overflows.
            for _ in range(choices.number(100)):
                fresh += 1
                real.find(b"f.%d" % fresh)
            continue
        subject = choices.some_bytes(12)
        if operation == 2:
            compare(real, model, subject)
            continue
        if not is_valid(subject):
            continue
        queue, entry = choices.pick(QUEUES), choices.number(6)
        if operation == 0:
            real.insert(subject, queue, entry)
            model.insert(subject, queue, entry)
        else:
            assert real.remove(subject, queue, entry) is model.remove(subject, queue, entry)
        assert real.count == len(model.entries)
    for subject, _, _ in list(model.entries):
        compare(real, model, subject.replace(b"*", b"x").replace(b">", b"y"))
    for key in list(model.entries):
        assert real.remove(*key)
    assert real.count == 0


def compare(real: Sublist, model: NaiveSublist, subject: bytes) -> None:
    """From the tree and from the cache."""
    for _ in range(2):
        found = real.find(subject)
        assert Counter(found.entries) == model.plain(subject)
        assert dict(zip(found.queue_names, map(Counter, found.groups), strict=True)) == model.groups(subject)
