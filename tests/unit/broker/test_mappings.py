"""The mappings of an account: which one counts, how weights share, what is lost, what is remembered."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from leafbox.broker import mappings as mappings_module
from leafbox.broker.config import MappingDestination, SubjectMapping
from leafbox.broker.mappings import AccountMappings
from leafbox.protocol.subject_transform import InvalidTransform

pytestmark = pytest.mark.capability("CF04")


def mapping(source: str, *destinations: str | tuple[str, int] | tuple[str, int, str]) -> SubjectMapping:
    """`"b"` is all of it, `("b", 40)` a share, `("b", 40, "c1")` a share in cluster c1."""
    return SubjectMapping(
        source,
        tuple(
            MappingDestination(each) if isinstance(each, str) else MappingDestination(*each) for each in destinations
        ),
    )


def shares(mappings: AccountMappings, subject: bytes, count: int = 10_000) -> Counter[bytes | None]:
    return Counter(mappings.map(subject) for _ in range(count))


@pytest.fixture(autouse=True)
def seeded() -> None:
    random.seed(4)


def test_the_first_matching_mapping_counts() -> None:
    mappings = AccountMappings([mapping("a.b", "literal"), mapping("a.*", "star.$1"), mapping(">", "all.>")])
    assert [mappings.map(subject) for subject in (b"a.b", b"a.c", b"x.y", b"a.b")] == [
        b"literal",
        b"star.c",
        b"all.x.y",
        b"literal",
    ]
    assert AccountMappings([mapping("a.*", "star.$1"), mapping("a.b", "literal")]).map(b"a.b") == b"star.b"


def test_what_no_mapping_matches_stays() -> None:
    mappings = AccountMappings([mapping("a.*", "b.$1")])
    assert mappings.map(b"a") == b"a"
    assert mappings.map(b"b.x") == b"b.x"


def test_results_are_not_mapped_again() -> None:
    assert AccountMappings([mapping("a", "b"), mapping("b", "c")]).map(b"a") == b"b"


def test_an_account_without_mappings() -> None:
    assert not AccountMappings([])
    assert AccountMappings([]).map(b"a") == b"a"


def test_the_last_definition_of_a_source_counts_in_the_place_of_the_first() -> None:
    mappings = AccountMappings([mapping("a.*", "x"), mapping("a.b", "y"), mapping("a.*", "z")])
    assert mappings.map(b"a.b") == b"z"


def test_weights_share_and_the_rest_stays() -> None:
    found = shares(AccountMappings([mapping("a.*", ("b.$1", 20), ("c.$1", 30))]), b"a.x")
    assert set(found) == {b"b.x", b"c.x", b"a.x"}
    for subject, percent in ((b"b.x", 20), (b"c.x", 30), (b"a.x", 50)):
        assert abs(found[subject] / 100 - percent) < 3


def test_listing_the_source_itself_loses_the_rest() -> None:
    found = shares(AccountMappings([mapping("a", ("a", 50), ("b", 20))]), b"a")
    assert set(found) == {b"a", b"b", None}
    for subject, percent in ((b"a", 50), (b"b", 20), (None, 30)):
        assert abs(found[subject] / 100 - percent) < 3


def test_no_destination_at_all_keeps_the_subject() -> None:
    assert AccountMappings([mapping("a")]).map(b"a") == b"a"


def test_a_weight_of_zero_gets_nothing() -> None:
    assert set(shares(AccountMappings([mapping("a", ("b", 0), ("c", 100))]), b"a", 1000)) == {b"c"}
    assert set(shares(AccountMappings([mapping("a", ("b", 0))]), b"a", 1000)) == {b"a"}


def test_destinations_of_another_cluster_do_not_count() -> None:
    scoped = mapping("a", ("b", 100, "c1"), ("c", 100))
    assert AccountMappings([scoped]).map(b"a") == b"c"
    assert AccountMappings([scoped], cluster="c1").map(b"a") == b"b"
    assert AccountMappings([scoped], cluster="c2").map(b"a") == b"c"
    assert AccountMappings([mapping("a", ("b", 100, "c1"))]).map(b"a") == b"a"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (mapping("a", ("b", 60), ("c", 50)), "total weight needs to be <= 100"),
        (mapping("a", ("b", 101)), "individual weights need to be <= 100"),
        (mapping("a", ("b", 50), ("b", 20)), 'duplicate entry for "b"'),
        (mapping("a..b", "c"), "invalid subject"),
        (mapping("a.*", "b.{{foo(1)}}"), "invalid mapping destination: unknown function in {{foo(1)}}"),
    ],
)
def test_wrong_mappings_are_refused(wrong: SubjectMapping, reason: str) -> None:
    with pytest.raises(InvalidTransform) as caught:
        AccountMappings([wrong])
    assert str(caught.value) == reason


def test_weights_of_two_clusters_are_counted_apart() -> None:
    assert AccountMappings([mapping("a", ("b", 100, "c1"), ("c", 60), ("d", 40))])


@pytest.mark.capability("CF06")
def test_chance_is_not_remembered() -> None:
    mappings = AccountMappings([mapping("a.*", "b.{{random(5)}}")])
    assert len(shares(mappings, b"a.x", 200)) == 5


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mappings_module, "REMEMBERED_MAX", 3)
    mappings = AccountMappings([mapping("a.*", "b.$1")])
    for round_number in range(2):
        for number in range(10):
            assert mappings.map(b"a.%d" % number) == b"b.%d" % number, round_number
    assert mappings.map(b"a." + b"x" * 300) == b"b." + b"x" * 300


def test_partitions_of_a_literal_source() -> None:
    """nats-server hashes nothing when the first mapping's source equals the subject, and the subject otherwise."""
    partition = mapping("c", "x.{{partition(3)}}")
    assert AccountMappings([partition]).map(b"c") == b"x.1"
    assert AccountMappings([mapping("z", "y"), partition]).map(b"c") == b"x.2"
