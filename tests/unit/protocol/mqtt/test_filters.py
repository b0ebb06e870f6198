"""Topic names and filters: form, sharing, matching."""

from __future__ import annotations

import pytest

from leafbox.protocol.mqtt.filters import SharedFilter, filter_problem, matches, split_shared, topic_problem

pytestmark = pytest.mark.capability("MQ02", "MQ16")


@pytest.mark.parametrize("topic", [b"a", b"/", b"a//b", b"$SYS/x", b"a b", b"*/>", b"$share/g/t"])
def test_these_are_topic_names(topic: bytes) -> None:
    assert topic_problem(topic) == ""


@pytest.mark.parametrize("topic", [b"", b"+", b"a/#", b"a+b", b"#"])
def test_these_are_not(topic: bytes) -> None:
    assert topic_problem(topic)


@pytest.mark.parametrize(
    "topic_filter", [b"a", b"#", b"+", b"a/+/b", b"+/+/#", b"/+", b"/", b"$share/g/a/+", b"$share/g/#", b"$share/g//"]
)
def test_these_are_filters(topic_filter: bytes) -> None:
    assert filter_problem(topic_filter) == ""


@pytest.mark.parametrize(
    "topic_filter",
    [b"", b"a#", b"a/#/b", b"#/a", b"a+", b"+a/b", b"a/b+c", b"##", b"++", b"$share/g", b"$share//a", b"$share/g/",
     b"$share/+/a", b"$share/g#/a", b"$share/", b"$share/g/a#"],
)  # fmt: skip
def test_these_are_no_filters(topic_filter: bytes) -> None:
    assert filter_problem(topic_filter)


def test_shared_filters_come_apart() -> None:
    assert split_shared(b"$share/g/a/b") == SharedFilter(b"g", b"a/b")
    assert split_shared(b"$share/g//") == SharedFilter(b"g", b"/")
    assert split_shared(b"$share/g") is split_shared(b"share/g/a") is split_shared(b"$share//a") is None


# Examples of section 4.7 of the standard, and its borders.
@pytest.mark.parametrize(
    ("topic_filter", "yes", "no"),
    [
        (
            "sport/tennis/player1/#",
            ["sport/tennis/player1", "sport/tennis/player1/ranking", "sport/tennis/player1/a/b"],
            ["sport/tennis"],
        ),
        ("sport/tennis/+", ["sport/tennis/player1", "sport/tennis/"], ["sport/tennis/player1/ranking", "sport/tennis"]),
        ("sport/+", ["sport/"], ["sport"]),
        ("+/+", ["/finance"], ["finance"]),
        ("/+", ["/finance"], ["a/finance"]),
        ("+", ["finance"], ["/finance", "$SYS"]),
        ("#", ["a", "/", "a/$b"], ["$SYS", "$SYS/a"]),
        ("+/monitor/Clients", ["a/monitor/Clients"], ["$SYS/monitor/Clients"]),
        ("$SYS/#", ["$SYS", "$SYS/a"], ["a"]),
        ("$SYS/monitor/+", ["$SYS/monitor/Clients"], []),
        ("a/+/c/#", ["a/b/c", "a//c/d"], ["a/b"]),
        ("A", ["A"], ["a"]),
    ],
)
def test_filters_match_as_the_standard_says(topic_filter: str, yes: list[str], no: list[str]) -> None:
    assert [topic for topic in yes if not matches(topic_filter.encode(), topic.encode())] == []
    assert [topic for topic in no if matches(topic_filter.encode(), topic.encode())] == []
