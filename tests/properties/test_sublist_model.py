"""The subject index against a list of all subscriptions, under any sequence of changes and questions."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from leafbox.dataplane.sublist import Sublist
from tests.support import subject_model

# Few tokens, so that subjects meet; odd ones, so that wildcards inside tokens and long tokens are among them.
TOKENS = [b"a", b"b", b"c", b"a*", b">b", b"x" * 90]
literal_tokens = st.sampled_from(TOKENS)
patterns = st.builds(
    lambda tokens, tail: b".".join([*tokens, b">"] if tail or not tokens else tokens),
    st.lists(literal_tokens | st.just(b"*"), max_size=4),
    st.booleans(),
)
literals = st.lists(literal_tokens | st.sampled_from([b"*", b">", b""]), min_size=1, max_size=5).map(b".".join)
queues = st.none() | st.sampled_from([b"q", b"r", b""])
entries = st.integers(min_value=0, max_value=4)


class SublistMachine(RuleBasedStateMachine):
    """Every change and every answer is compared; a small cache makes evictions common."""

    @initialize(capacity=st.sampled_from([0, 1, 2, 8, 64, 16384]), choosy_from=st.sampled_from([1, 1024]))
    def start(self, capacity: int, choosy_from: int) -> None:
        self.real = Sublist(capacity, choosy_from=choosy_from)
        self.model = subject_model.NaiveSublist()

    @rule(subject=patterns, queue=queues, entry=entries)
    def insert(self, subject: bytes, queue: bytes | None, entry: int) -> None:
        self.real.insert(subject, queue, entry)
        self.model.insert(subject, queue, entry)

    @rule(subject=patterns, queue=queues, entry=entries)
    def remove_any(self, subject: bytes, queue: bytes | None, entry: int) -> None:
        assert self.real.remove(subject, queue, entry) is self.model.remove(subject, queue, entry)

    @rule(data=st.data())
    def remove_known(self, data: st.DataObject) -> None:
        if self.model.entries:
            key = data.draw(st.sampled_from(list(self.model.entries)))
            assert self.real.remove(*key)
            self.model.remove(*key)

    @rule(subject=literals)
    def match(self, subject: bytes) -> None:
        # From the tree, from the cache, and in between from the tree for a newcomer.
        for _ in range(3):
            found = self.real.find(subject)
            assert Counter(found.entries) == self.model.plain(subject)
            groups = dict(zip(found.queue_names, map(Counter, found.groups), strict=True))
            assert groups == self.model.groups(subject)
            assert self.real.has_interest(subject) is bool(found.entries or found.groups)

    @rule(start=st.integers(min_value=0, max_value=10**6))
    def match_many(self, start: int) -> None:
        """Fill the cache beyond its size."""
        for number in range(start, start + 100):
            self.match(b"a.%d" % number)

    @invariant()
    def counts_agree(self) -> None:
        assert self.real.count == len(self.model.entries)
        assert self.real.cache_count <= self.real.cache_capacity_now


TestSublistMachine = pytest.mark.capability("C06", "C11", "AP10")(SublistMachine.TestCase)
TestSublistMachine.settings = settings(settings.default, max_examples=60, stateful_step_count=60)
