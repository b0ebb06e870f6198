"""Interest as it is told on one link: counted, at once when it comes, at the end of the turn when it goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leafbox.broker.account import Account
from leafbox.dataplane.routing import Receiver, Subscription
from leafbox.leaf.interest import LeafInterest

pytestmark = pytest.mark.capability("LF02")


class Rules:
    """Everything counts, except what comes from `own`; `hidden` may not be told."""

    def __init__(self) -> None:
        self.own = Receiver()
        self.hidden: set[bytes] = set()

    def includes(self, subscription: Subscription) -> bool:
        return subscription.receiver is not self.own

    def may_tell(self, subject: bytes, queue: bytes | None) -> bool:
        return subject not in self.hidden


class Bench:
    """One account and the interest that one link tells of it."""

    def __init__(self) -> None:
        self.account = Account("A")
        self.rules = Rules()
        self.sent = b""
        self.later: list[Callable[[], None]] = []
        self.interest = LeafInterest(self.rules, self._send, self.later.append)

    def _send(self, data: bytes) -> None:
        self.sent += data

    def subscribe(
        self, subject: bytes, queue: bytes | None = None, weight: int = 1, receiver: Receiver | None = None
    ) -> Subscription:
        subscription = Subscription(self.account, receiver or Receiver(), subject, queue)
        subscription.queue_weight = weight
        self.account.add(subscription)
        return subscription

    def end_turn(self) -> None:
        later, self.later[:] = list(self.later), []
        for call in later:
            call()

    def told(self) -> list[bytes]:
        """The lines since the last call, after the end of the turn."""
        self.end_turn()
        sent, self.sent = self.sent, b""
        return sent.splitlines()


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.interest.open(bench.account, [])
    return bench


def test_the_first_makes_interest_and_the_last_one_takes_it(bench: Bench) -> None:
    first, second = bench.subscribe(b"a"), bench.subscribe(b"a")
    assert bench.told() == [b"LS+ a"]
    bench.account.remove(first)
    assert bench.told() == []
    bench.account.remove(second)
    assert bench.told() == [b"LS- a"]
    assert len(bench.interest) == 0


def test_interest_is_told_at_once_because_a_request_may_follow(bench: Bench) -> None:
    bench.subscribe(b"_INBOX.1")
    assert bench.sent == b"LS+ _INBOX.1\r\n"


def test_what_goes_and_comes_in_one_turn_is_not_told(bench: Bench) -> None:
    subscription = bench.subscribe(b"a")
    bench.told()
    bench.account.remove(subscription)
    bench.subscribe(b"a")
    assert bench.told() == []


def test_a_queue_group_carries_its_number_of_members(bench: Bench) -> None:
    members = [bench.subscribe(b"a", b"q") for _ in range(3)]
    assert bench.told() == [b"LS+ a q 1", b"LS+ a q 2", b"LS+ a q 3"]
    bench.account.remove(members.pop())
    bench.account.remove(members.pop())
    assert bench.told() == [b"LS+ a q 1"]
    bench.account.remove(members.pop())
    assert bench.told() == [b"LS- a q"]


def test_members_behind_another_link_count_with_their_weight(bench: Bench) -> None:
    behind = bench.subscribe(b"a", b"q", weight=5)
    bench.subscribe(b"a", b"q")
    assert bench.told() == [b"LS+ a q 5", b"LS+ a q 6"]
    behind.queue_weight = 2
    bench.interest.interest_reweighed(behind, -3)
    assert bench.told() == [b"LS+ a q 3"]
    bench.account.remove(behind)
    assert bench.told() == [b"LS+ a q 1"]


def test_opening_tells_everything_in_one_piece() -> None:
    bench = Bench()
    bench.subscribe(b"a")
    bench.subscribe(b"b", b"q")
    bench.subscribe(b"b", b"q")
    bench.subscribe(b"own", receiver=bench.rules.own)
    bench.rules.hidden = {b"hidden"}
    bench.subscribe(b"hidden")
    bench.interest.open(bench.account, [b"held", b"$LDS.x"])
    assert sorted(bench.told()) == [b"LS+ $LDS.x", b"LS+ a", b"LS+ b q 2", b"LS+ held"]


def test_what_may_not_be_told_is_neither_told_nor_taken_back(bench: Bench) -> None:
    bench.rules.hidden = {b"h"}
    subscription = bench.subscribe(b"h")
    assert bench.told() == []
    bench.account.remove(subscription)
    assert bench.told() == []
    assert len(bench.interest) == 0


def test_held_subjects_count_like_subscriptions(bench: Bench) -> None:
    bench.interest.hold(b"a")
    subscription = bench.subscribe(b"a")
    bench.interest.release(b"a")
    assert bench.told() == [b"LS+ a"]
    bench.account.remove(subscription)
    assert bench.told() == [b"LS- a"]


def test_closing_ends_it(bench: Bench) -> None:
    subscription = bench.subscribe(b"a")
    bench.told()
    bench.interest.close(bench.account)
    bench.account.remove(subscription)
    bench.subscribe(b"b")
    assert bench.told() == []
    assert bench.account.watchers == []
    assert len(bench.interest) == 0


Step = tuple[str, int, int, bool]
STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "remove"]), st.integers(0, 3), st.integers(0, 2), st.booleans()), max_size=40
)


@given(steps=STEPS)
def test_the_peer_always_knows_what_there_is(steps: list[Step]) -> None:
    """Replay what was told: at each end of a turn the peer's picture is the account's, and no line says old news."""
    bench = Bench()
    bench.interest.open(bench.account, [])
    live: list[Subscription] = []
    peer: dict[bytes, int] = {}
    for action, subject, queue, is_turn_end in steps:
        if action == "add":
            live.append(bench.subscribe(b"s%d" % subject, b"q%d" % queue if queue else None))
        elif live:
            bench.account.remove(live.pop(subject % len(live)))
        if not is_turn_end:
            continue
        for line in bench.told():
            sign, name, *rest = line.split()
            key = b" ".join([name, *rest[:1]])
            if sign == b"LS+":
                weight = int(rest[1]) if rest else 1
                assert peer.get(key) != weight
                peer[key] = weight
            else:
                del peer[key]
        wanted = Counter(b" ".join([s.subject, *([s.queue] if s.queue else [])]) for s in live)
        assert peer == {key: count if b" " in key else 1 for key, count in wanted.items()}
