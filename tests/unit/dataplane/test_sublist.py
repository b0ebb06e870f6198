"""The subject index: who is found, what the cache remembers and forgets, and that it gives back what it took."""

from __future__ import annotations

import gc
import sys
import time
import weakref

import pytest

from leafbox.dataplane.sublist import CACHE_CAPACITY_MAX, MatchResult, Sublist


def plain(sublist: Sublist, subject: bytes) -> list[object]:
    return sublist.find(subject).entries


class Entry:
    """Compared by identity and visible to weak references, as subscriptions are."""


# -- matching ----------------------------------------------------------------------------------------------------------


@pytest.mark.capability("C06")
def test_wildcards_and_literals() -> None:
    sublist = Sublist()
    for pattern in (b"a", b"a.b", b"a.*", b"*.b", b"a.>", b">", b"a.*.c", b"*.*.*", b"a*", b"x.y"):
        sublist.insert(pattern, None, pattern)
    assert set(plain(sublist, b"a")) == {b"a", b">"}
    assert set(plain(sublist, b"a.b")) == {b"a.b", b"a.*", b"*.b", b"a.>", b">"}
    assert set(plain(sublist, b"a.b.c")) == {b"a.*.c", b"*.*.*", b"a.>", b">"}
    assert set(plain(sublist, b"a*")) == {b"a*", b">"}
    assert set(plain(sublist, b"nothing.here.at.all")) == {b">"}


@pytest.mark.capability("C06")
def test_wildcards_in_a_published_subject_are_characters() -> None:
    sublist = Sublist()
    sublist.insert(b"a.b", None, "literal")
    sublist.insert(b"a.*", None, "star")
    assert plain(sublist, b"a.*") == ["star"]
    assert plain(sublist, b"a.>") == ["star"]


@pytest.mark.parametrize("subject", [b"", b".", b".a", b"a.", b"a..b"])
def test_an_empty_token_reaches_nobody(subject: bytes) -> None:
    sublist = Sublist()
    sublist.insert(b">", None, "all")
    sublist.insert(b"*", None, "star")
    assert plain(sublist, subject) == []
    assert not sublist.has_interest(subject)


def test_entries_come_in_order_of_insertion() -> None:
    sublist = Sublist()
    for number in range(100):
        sublist.insert(b"a", None, number)
    assert plain(sublist, b"a") == list(range(100))


def test_one_entry_on_two_matching_subjects_is_found_twice() -> None:
    sublist = Sublist()
    sublist.insert(b"a.*", None, "x")
    sublist.insert(b"*.b", None, "x")
    assert plain(sublist, b"a.b") == ["x", "x"]


def test_any_bytes_may_stand_in_a_token() -> None:
    sublist = Sublist()
    subject = bytes(set(range(256)) - {ord(".")})
    sublist.insert(subject, None, 1)
    assert plain(sublist, subject) == [1]
    assert plain(sublist, subject[:-1]) == []


# -- queue groups ------------------------------------------------------------------------------------------------------


def groups(result: MatchResult) -> dict[bytes, list[object]]:
    return dict(zip(result.queue_names, result.groups, strict=True))


@pytest.mark.capability("C11")
def test_members_of_one_queue_name_are_one_group() -> None:
    """nats-server picks one per name, whatever subjects the members used."""
    sublist = Sublist()
    sublist.insert(b"a.b", b"q", 1)
    sublist.insert(b"a.*", b"q", 2)
    sublist.insert(b">", b"q", 3)
    sublist.insert(b"a.b", b"other", 4)
    sublist.insert(b"a.b", None, 5)
    result = sublist.find(b"a.b")
    assert {name: set(members) for name, members in groups(result).items()} == {b"q": {1, 2, 3}, b"other": {4}}
    assert result.entries == [5]
    assert groups(sublist.find(b"x")) == {b"q": [3]}
    assert sublist.find(b"x").entries == []


def test_many_groups_keep_their_members_apart() -> None:
    sublist = Sublist()
    for number in range(300):
        sublist.insert((b"a.b", b"a.*", b"*.b")[number % 3], b"q%d" % (number % 17), number)
    found = groups(sublist.find(b"a.b"))
    assert {name: sorted(members) for name, members in found.items()} == {  # type: ignore[type-var]
        b"q%d" % group: list(range(group, 300, 17)) for group in range(17)
    }


def test_the_same_entry_plain_and_in_two_queues() -> None:
    sublist = Sublist()
    for queue in (None, b"q", b"r"):
        sublist.insert(b"a", queue, 1)
    assert sublist.count == 3
    assert sublist.remove(b"a", b"q", 1)
    result = sublist.find(b"a")
    assert (result.entries, groups(result)) == ([1], {b"r": [1]})


# -- removal -----------------------------------------------------------------------------------------------------------


def test_inserting_twice_counts_once() -> None:
    sublist = Sublist()
    for _ in range(2):
        sublist.insert(b"a", None, 1)
        sublist.insert(b"a", b"q", 1)
    assert (sublist.count, sublist.inserts) == (2, 2)
    assert sublist.remove(b"a", None, 1)
    assert not sublist.remove(b"a", None, 1)
    assert sublist.remove(b"a", b"q", 1)
    assert (sublist.count, sublist.removes) == (0, 2)
    assert not sublist.has_interest(b"a")


@pytest.mark.parametrize(
    ("subject", "queue", "entry"),
    [
        *((other, None, 1) for other in (b"a.c", b"a", b"a.b.c", b"a.*", b"a.>", b">", b"", b"a..b")),
        *((b"a.b", b"q", 1), (b"a.b", None, 2), (b"x.y", b"r", 3), (b"x.y", b"q", 4)),
    ],
)
def test_removing_what_is_not_there_changes_nothing(subject: bytes, queue: bytes | None, entry: int) -> None:
    sublist = Sublist()
    sublist.insert(b"a.b", None, 1)
    sublist.insert(b"x.y", b"q", 3)
    assert not sublist.remove(subject, queue, entry)
    assert (sublist.count, sublist.removes) == (2, 0)
    assert plain(sublist, b"a.b") == [1]
    assert groups(sublist.find(b"x.y")) == {b"q": [3]}


def test_removal_gives_back_the_entries() -> None:
    """Nothing of a subscription stays behind, neither in the tree nor, once the subject changed, in the cache."""
    sublist = Sublist(64)
    entry = Entry()
    seen = weakref.ref(entry)
    for queue in (None, b"q"):
        for subject in (b"a.b.c", b"a.*", b"a.>"):
            sublist.insert(subject, queue, entry)
            sublist.find(b"a.b.c")
            sublist.find(b"a.b")
            assert sublist.remove(subject, queue, entry)
    # Stale results go a bounded number at a time, with each change of a wildcard: 64 places are one change.
    sublist.insert(b"x.>", None, 0)
    del entry
    gc.collect()
    assert seen() is None
    assert sublist.cache_count == 0


@pytest.mark.memory
@pytest.mark.memory
def test_removal_prunes_what_became_unused() -> None:
    """A site that subscribes to ever new subjects must not grow: a tree of dead nodes would show as memory."""

    def churn(rounds: int) -> None:
        for number in range(rounds):
            subject = b"device.%d.*.reading.%d.>" % (number, number)
            sublist.insert(subject, b"q", number)
            sublist.remove(subject, b"q", number)

    sublist = Sublist()
    churn(2000)
    before = resident_bytes()
    churn(20_000)
    # 20,000 dead branches of six nodes would be more than 10 MB.
    assert resident_bytes() - before < 2_000_000


def resident_bytes() -> int:
    """What the process holds in memory now."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * 4096


def test_removal_leaves_colliding_neighbours() -> None:
    """Literal children stand in one small table; a gap must never hide who was placed behind it."""
    sublist = Sublist()
    names = [b"n%d" % number for number in range(200)]
    for name in names:
        sublist.insert(name, None, name)
    for gone, name in enumerate(names):
        assert sublist.remove(name, None, name)
        for other in names[gone + 1 :]:
            assert sublist.has_interest(other)
        assert not sublist.has_interest(name)


def test_clearing_takes_everything_out() -> None:
    sublist = Sublist()
    entry = Entry()
    seen = weakref.ref(entry)
    for subject in (b"a", b"a.*", b"b.>"):
        for queue in (None, b"q"):
            sublist.insert(subject, queue, entry)
    sublist.find(b"a.b")
    result = sublist.find(b"a")
    sublist.clear()
    assert (sublist.count, sublist.cache_count, sublist.cached_references) == (0, 0, 0)
    assert sublist.find(b"a").entries == []
    assert result.entries == [entry]
    del entry, result
    gc.collect()
    assert seen() is None
    sublist.insert(b"a", None, 1)
    assert plain(sublist, b"a") == [1]
    sublist.clear()
    sublist.clear()
    assert not sublist.remove(b"a", None, 1)


class Clearer:
    """An entry whose end clears the index it was in."""

    def __init__(self, sublist: Sublist) -> None:
        self.sublist = sublist

    def __del__(self) -> None:
        self.sublist.clear()


def test_a_finaliser_may_clear_the_index() -> None:
    sublist = Sublist()
    for most in (1, 70, 2000):
        for number in range(most):
            entry = Clearer(sublist)
            sublist.insert(b"x.%d" % number, None, entry)
            sublist.find(b"x.%d" % number)
        # The cache holds the last one alone; each of these changes looks at it.
        sublist.remove(b"x.%d" % number, None, entry)
        del entry
        for change in range(300):
            sublist.insert(b"w.*", None, change)
    assert sublist.find(b"w.x").entries


def test_the_end_of_an_index_may_change_another() -> None:
    first, second = Sublist(), Sublist()
    for _ in range(3):
        first.insert(b"x.*", None, Meddler(second))
        first.find(b"x.y")
        second.insert(b"y", None, Meddler(first))
        second.find(b"y")
        first.clear()
        second.clear()
        first.clear()


def colliding_tokens(pairs: int) -> list[bytes]:
    """Tokens that were equal to the first hash function, whatever its secret start value was.

    The top bit of one word is cancelled by two bits of the next; each pair of words doubles the number.
    """
    tokens = [b""]
    for _ in range(pairs):
        tokens = [head + tail for head in tokens for tail in (b"abcdefghabcdefgh", b"abcdefg\xe8abc\xe4efg\xe8")]
    return tokens


def test_nobody_can_aim_at_one_bucket() -> None:
    def seconds_for(tokens: list[bytes]) -> float:
        sublist = Sublist()
        started = time.process_time()
        for token in tokens:
            sublist.insert(token, None, 1)
        assert sublist.count == len(tokens)
        return time.process_time() - started

    tokens = colliding_tokens(12)
    others = [bytes(reversed(b"%016d" % number)) * 12 for number in range(len(tokens))]
    # They took ten times as long. Time of this process only, and the best of three: the machine is shared.
    assert min(seconds_for(tokens) for _ in range(3)) < 4 * min(seconds_for(others) for _ in range(3))


# -- cache -------------------------------------------------------------------------------------------------------------


def test_a_second_look_is_a_hit() -> None:
    sublist = Sublist()
    sublist.insert(b"a.>", None, 1)
    sublist.find(b"a.b")
    assert (sublist.matches, sublist.cache_hits, sublist.cache_count) == (1, 0, 1)
    sublist.find(b"a.b")
    assert (sublist.matches, sublist.cache_hits, sublist.cache_count) == (2, 1, 1)
    assert sublist.has_interest(b"a.b")
    assert (sublist.matches, sublist.cache_hits) == (3, 2)


def test_a_miss_is_remembered_as_well() -> None:
    sublist = Sublist()
    sublist.insert(b"a", None, 1)
    for _ in range(2):
        assert plain(sublist, b"b") == []
    assert sublist.cache_hits == 1


def test_a_literal_change_forgets_that_subject_only() -> None:
    sublist = Sublist()
    sublist.insert(b"a", None, 1)
    sublist.insert(b"b", None, 2)
    sublist.find(b"a")
    sublist.find(b"b")
    sublist.insert(b"a", None, 3)
    assert plain(sublist, b"b") == [2]
    assert sublist.cache_hits == 1
    assert plain(sublist, b"a") == [1, 3]
    assert sublist.cache_hits == 1
    sublist.remove(b"a", None, 1)
    assert plain(sublist, b"a") == [3]
    assert plain(sublist, b"b") == [2]
    assert sublist.cache_hits == 2


@pytest.mark.parametrize("wildcard", [b"*", b">", b"a.*", b"a.>"])
def test_a_wildcard_change_forgets_everything(wildcard: bytes) -> None:
    sublist = Sublist()
    sublist.insert(b"a.b", None, 1)
    sublist.find(b"a.b")
    sublist.find(b"x")
    sublist.insert(wildcard, None, 2)
    sublist.find(b"x")
    assert set(plain(sublist, b"a.b")) - {2} == {1}
    assert sublist.cache_hits == 0
    sublist.remove(wildcard, None, 2)
    assert plain(sublist, b"a.b") == [1]
    assert sublist.cache_hits == 0


def test_a_hit_needs_the_whole_subject() -> None:
    sublist = Sublist()
    sublist.insert(b"a.*", None, 1)
    for number in range(5000):
        subject = b"a.%d" % number
        assert plain(sublist, subject) == [1]
        assert plain(sublist, subject + b".b") == []


@pytest.mark.parametrize("most", [0, 1, 2, 3, 64, 100, 1024, CACHE_CAPACITY_MAX])
def test_the_cache_is_bounded(most: int) -> None:
    sublist = Sublist(most)
    sublist.insert(b">", None, 1)
    for number in range(3000):
        assert plain(sublist, b"s.%d" % number) == [1]
    assert sublist.cache_count <= sublist.cache_capacity_now <= most
    assert sublist.cache_count > 0 or most == 0


def test_a_large_cache_remembers_what_comes_twice() -> None:
    """Inboxes that are used once leave it alone, and their result is one object used over and over."""
    sublist = Sublist(choosy_from=64)
    sublist.insert(b"_INBOX.*", None, 1)
    sublist.find(b"_INBOX.first")
    assert sublist.cache_count == 1, "there was no table yet"
    for number in range(1000):
        assert plain(sublist, b"_INBOX.%d" % number) == [1]
    assert sublist.cache_count == 1
    hits = sublist.cache_hits
    for _ in range(3):
        sublist.find(b"_INBOX.again")
    assert (sublist.cache_count, sublist.cache_hits) == (2, hits + 1)


def test_a_result_in_use_is_not_used_again() -> None:
    """Whoever holds a result sees it unchanged, queue groups included."""
    sublist = Sublist(choosy_from=64)
    sublist.insert(b"a.*", None, 1)
    sublist.insert(b"b.*", None, 2)
    sublist.insert(b"b.*", b"q", 3)
    sublist.find(b"x")
    held = [sublist.find(b"b.1"), sublist.find(b"a.1"), sublist.find(b"b.2")]
    assert [(found.entries, found.groups, found.queue_names) for found in held] == [
        ([2], [[3]], (b"q",)),
        ([1], [], ()),
        ([2], [[3]], (b"q",)),
    ]
    del held
    for number in range(3, 100):
        found = sublist.find(b"%c.%d" % (b"ab"[number % 2], number))
        assert (found.entries, found.groups) == (([1], []) if number % 2 == 0 else ([2], [[3]]))


def test_an_unremembered_result_does_not_keep_what_was_removed() -> None:
    sublist = Sublist(choosy_from=64)
    entry = Entry()
    gone = weakref.ref(entry)
    sublist.insert(b"a.*", None, entry)
    sublist.insert(b"b", None, 1)
    sublist.find(b"x")
    sublist.find(b"a.1")
    sublist.remove(b"a.*", None, entry)
    del entry
    assert gone() is None


def test_long_subjects_are_not_remembered() -> None:
    sublist = Sublist()
    sublist.insert(b">", None, 1)
    for length, remembered in ((256, 1), (257, 1), (4000, 1)):
        assert plain(sublist, b"x" * length) == [1]
        assert sublist.cache_count == remembered


def test_cached_results_share_a_budget_of_references() -> None:
    """2,000 wildcard subscribers make every result 2,000 references long; 16,384 of them would be 262 MB."""
    sublist = Sublist()
    for number in range(2000):
        sublist.insert(b">", None, number)
    for number in range(500):
        assert len(plain(sublist, b"s.%d" % number)) == 2000
        assert sublist.cached_references <= 256 * 1024
    assert sublist.cached_references > 200 * 1024
    # What comes by often still finds its place.
    for _ in range(50):
        sublist.find(b"often")
    hits = sublist.cache_hits
    sublist.find(b"often")
    assert sublist.cache_hits == hits + 1
    sublist.insert(b"often", None, "one more")
    assert len(plain(sublist, b"often")) == 2001
    for number in range(2000):
        sublist.remove(b">", None, number)
    assert sublist.cached_references == 0 or sublist.cache_count > 0


def test_a_result_too_long_for_the_budget_is_not_remembered() -> None:
    sublist = Sublist()
    for number in range(270_000):
        sublist.insert(b"a", None, number)
    assert len(plain(sublist, b"a")) == 270_000
    assert (sublist.cache_count, sublist.cached_references) == (0, 0)


def test_a_result_outlives_changes_of_the_index() -> None:
    sublist = Sublist()
    entry = Entry()
    sublist.insert(b"a", None, entry)
    sublist.insert(b"a", b"q", entry)
    result = sublist.find(b"a")
    sublist.remove(b"a", None, entry)
    sublist.remove(b"a", b"q", entry)
    del sublist
    assert result.entries == [entry]
    assert result.groups == [[entry]]


def test_references_balance() -> None:
    entry = Entry()
    before = sys.getrefcount(entry)
    for _ in range(50):
        sublist = Sublist(64)
        for queue in (None, b"q"):
            sublist.insert(b"a.*", queue, entry)
            sublist.insert(b"a.b", queue, entry)
        for number in range(200):
            sublist.find(b"a.%d" % number)
            sublist.find(b"a.b").groups  # noqa: B018
        del sublist
    assert sys.getrefcount(entry) == before


# -- misuse and re-entrancy --------------------------------------------------------------------------------------------


def test_an_entry_must_be_hashable() -> None:
    """An unhashable queue member left an empty group behind, and routing divided by its size."""
    sublist = Sublist()
    for queue in (None, b"q"):
        with pytest.raises(TypeError, match="unhashable"):
            sublist.insert(b"a", queue, [])  # type: ignore[arg-type]
    assert sublist.count == 0
    assert not sublist.has_interest(b"a")


def test_an_entry_must_have_the_type_that_was_promised() -> None:
    sublist = Sublist(entry_type=Entry)
    with pytest.raises(TypeError, match="an entry must be a Entry, not str"):
        sublist.insert(b"a", None, "text")
    sublist.insert(b"a", None, Entry())
    assert sublist.count == 1


def test_a_subject_has_at_most_4096_tokens() -> None:
    """The walk is recursive; what may be inserted fits the stack in every direction."""
    sublist = Sublist()
    deepest = b".".join([b"*"] * 4096)
    sublist.insert(deepest, None, 1)
    sublist.insert(b".".join([b"a"] * 4096), b"q", 1)
    assert plain(sublist, b".".join([b"a"] * 4096)) == [1]
    assert plain(sublist, b".".join([b"a"] * 100_000)) == []
    with pytest.raises(ValueError, match="at most 4096 tokens"):
        sublist.insert(deepest + b".*", None, 1)
    assert not sublist.remove(deepest + b".*", None, 1)
    assert sublist.remove(deepest, None, 1)
    sublist.insert(deepest, None, 1)
    del sublist


@pytest.mark.parametrize("wrong", [None, "a", 1])
def test_subjects_are_bytes(wrong: object) -> None:
    sublist = Sublist()
    for call in (sublist.find, sublist.has_interest):
        with pytest.raises(TypeError):
            call(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        sublist.insert(wrong, None, 1)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        sublist.remove(wrong, None, 1)  # type: ignore[arg-type]
    assert sublist.count == 0


class Meddler:
    """An entry whose end changes the index it was in."""

    def __init__(self, sublist: Sublist) -> None:
        self.sublist = sublist

    def __del__(self) -> None:
        for number in range(400):
            self.sublist.insert(b"m.%d" % number, None, number)
            self.sublist.find(b"m.%d" % number)
        self.sublist.insert(b"m.*", None, 0)
        self.sublist.remove(b"m.*", None, 0)


def test_a_finaliser_may_change_the_index() -> None:
    """Dropping a cached result can run anything; the tables must be whole by then (run under AddressSanitizer)."""
    sublist = Sublist()
    for round_number in range(20):
        for number in range(60):
            meddler = Meddler(sublist)
            sublist.insert(b"x.%d" % number, None, meddler)
            sublist.find(b"x.%d" % number)
            # Only the cache holds it now, as a stale result.
            sublist.insert(b"w.*", None, round_number)
            sublist.remove(b"x.%d" % number, None, meddler)
            del meddler
            sublist.remove(b"w.*", None, round_number)
        for number in range(300):
            assert plain(sublist, b"y.%d" % number) == []
    for number in range(400):
        assert plain(sublist, b"m.%d" % number) == [number]


class Cycle:
    """Garbage only the collector finds; its end removes a subscription."""

    def __init__(self, sublist: Sublist, subject: bytes, entry: Entry) -> None:
        self.myself = self
        self.work = (sublist, subject, entry)

    def __del__(self) -> None:
        sublist, subject, entry = self.work
        sublist.remove(subject, b"q", entry)


def test_a_collection_during_a_match_may_remove_subscriptions() -> None:
    """CPython 3.11 collects at any allocation: what a walk has found must not vanish under it, nor be cached stale."""
    thresholds = gc.get_threshold()
    sublist = Sublist()
    try:
        for number in range(30):
            entry = Entry()
            sublist.insert(b"a.b", b"q", entry)
            Cycle(sublist, b"a.b", entry)
            del entry
            gc.set_threshold(1, 10_000, 10_000)
            result = sublist.find(b"a.b")
            assert len(result.groups) == len(result.queue_names) <= 1
            gc.set_threshold(*thresholds)
            gc.collect()
            assert sublist.find(b"a.b").groups == [], number
    finally:
        gc.set_threshold(*thresholds)
    assert sublist.count == 0
