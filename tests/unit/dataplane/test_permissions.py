"""What one user may do: publish lists, subscribe rules with queues, the filter on delivery, replies only."""

from __future__ import annotations

import pytest

from leafbox.dataplane.permissions import Permissions

Rule = tuple[bytes, bytes | None]


def rules(*texts: bytes) -> list[Rule]:
    """`foo` or `foo queue`, as the configuration writes them."""
    return [(subject, queue or None) for subject, _, queue in (text.partition(b" ") for text in texts)]


@pytest.mark.capability("SE03")
def test_nothing_configured_allows_everything() -> None:
    permissions = Permissions()
    assert not permissions.restricts_publish
    assert not permissions.restricts_subscribe
    assert permissions.allows_publish(b"any")
    assert permissions.allows_subscribe(b">", b"q")
    assert not permissions.filters(b">")
    assert not permissions.denies_message(b"a")
    assert permissions.responses_max is None
    assert permissions.responses_ttl_s is None


@pytest.mark.capability("SE03")
@pytest.mark.parametrize(
    ("allow", "deny", "allowed", "denied"),
    [
        ([b"a.*"], [], [b"a.b"], [b"a", b"a.b.c", b"b"]),
        ([], [b"a.>"], [b"a", b"b"], [b"a.b", b"a.b.c"]),
        ([b">"], [b"secret"], [b"a", b"secret.a"], [b"secret"]),
        ([b"a", b"b.*"], [b"b.x"], [b"a", b"b.y"], [b"b.x", b"c"]),
        # What is published is never a pattern.
        ([b"a.b"], [], [b"a.b"], [b"a.*", b"a.>", b">"]),
        ([b"a.*"], [b"a.b"], [b"a.*", b"a.>"], [b"a.b"]),
        ([], [b">"], [], [b"a", b"a.b"]),
    ],
)
def test_publishing(allow: list[bytes], deny: list[bytes], allowed: list[bytes], denied: list[bytes]) -> None:
    permissions = Permissions(publish_allow=allow, publish_deny=deny)
    assert permissions.restricts_publish
    assert permissions.publish_deny_subjects == tuple(deny)
    # Twice: by rule, then from what is remembered.
    for _ in range(2):
        assert [subject for subject in allowed if not permissions.allows_publish(subject)] == []
        assert [subject for subject in denied if permissions.allows_publish(subject)] == []


def test_answers_stay_right_beyond_what_is_remembered() -> None:
    permissions = Permissions(publish_allow=[b"a.*"], publish_deny=[b"a.7"])
    for _ in range(2):
        for number in range(3000):
            assert permissions.allows_publish(b"a.%d" % number) is (number != 7)
            assert not permissions.allows_publish(b"b.%d" % number)


@pytest.mark.capability("SE04", "SE05")
@pytest.mark.parametrize(
    ("allow", "deny", "subject", "queue", "expected"),
    [
        ([b"a.*"], [], b"a.b", None, True),
        ([b"a.*"], [], b"a.*", None, True),
        ([b"a.*"], [], b"a.>", None, False),
        ([b"a.*"], [], b"b", None, False),
        ([b"a.*"], [], b"a.b", b"q", True),
        ([b"a.>"], [], b">", None, False),
        ([], [b"a.*"], b"b", None, True),
        ([], [b"a.*"], b"a.b", None, False),
        ([], [b"a.b"], b"a.*", None, True),
        ([], [b"a.*"], b"a.*", None, False),
        ([], [b"a.*"], b"a.>", None, False),
        ([b">"], [b"a"], b"a", None, False),
        # Rules that name a queue.
        ([b"a q"], [], b"a", b"q", True),
        ([b"a q"], [], b"a", b"r", False),
        ([b"a q"], [], b"a", None, False),
        ([b"a q.*"], [], b"a", b"q.1", True),
        ([b"a", b"a q"], [], b"a", None, True),
        ([b"a", b"a q"], [], b"a", b"q", True),
        ([b"a", b"a q"], [], b"a", b"r", False),
        ([b"a", b"b q"], [], b"a", b"r", True),
        ([], [b"a q"], b"a", b"q", False),
        ([], [b"a q"], b"a", b"r", True),
        ([], [b"a q"], b"a", None, True),
        ([], [b"a"], b"a", b"q", False),
        ([], [b"> q.>"], b"a.b", b"q.x", False),
    ],
)
def test_subscribing(
    allow: list[bytes], deny: list[bytes], subject: bytes, queue: bytes | None, expected: bool
) -> None:
    permissions = Permissions(subscribe_allow=rules(*allow), subscribe_deny=rules(*deny))
    assert permissions.restricts_subscribe
    assert permissions.subscribe_allow_rules == tuple(rules(*allow))
    assert permissions.subscribe_deny_rules == tuple(rules(*deny))
    assert permissions.allows_subscribe(subject, queue) is expected


@pytest.mark.capability("SE04")
@pytest.mark.parametrize(
    ("deny", "subject", "expected"),
    [
        ([b"a.secret"], b"a.*", True),
        ([b"a.secret"], b"a.>", True),
        ([b"a.secret"], b">", True),
        ([b"a.secret"], b"b.*", False),
        ([b"a.*"], b"*.b", True),
        ([b"a.secret"], b"a.secret", False),
        ([b"a.secret q"], b"a.*", False),
        ([], b">", False),
    ],
)
def test_a_wildcard_that_overlaps_a_denial_is_filtered(deny: list[bytes], subject: bytes, expected: bool) -> None:
    assert Permissions(subscribe_deny=rules(*deny)).filters(subject) is expected


@pytest.mark.capability("SE04")
def test_messages_are_denied_by_plain_entries_only() -> None:
    permissions = Permissions(subscribe_deny=rules(b"a.secret", b"b.>", b"c q"))
    assert [permissions.denies_message(subject) for subject in (b"a.secret", b"b.x", b"a.open", b"c")] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.capability("SE06")
def test_replies_only() -> None:
    """allow_responses without publish rules denies everything else; with rules they stand as they are."""
    permissions = Permissions(responses_max=1, responses_ttl_s=2.0)
    assert permissions.restricts_publish
    assert permissions.publish_deny_subjects == (b">",)
    assert not permissions.allows_publish(b"a")
    assert (permissions.responses_max, permissions.responses_ttl_s) == (1, 2.0)
    with_rules = Permissions(publish_allow=[b"a"], responses_max=1)
    assert with_rules.allows_publish(b"a")
    assert not with_rules.allows_publish(b"b")


def test_rules_may_come_from_iterators() -> None:
    """Read twice, an iterator was empty the second time, and an empty deny list denies nothing."""
    permissions = Permissions(
        publish_allow=iter([b">"]),
        publish_deny=iter([b"a"]),
        subscribe_allow=iter(rules(b">")),
        subscribe_deny=iter(rules(b"a")),
    )
    assert permissions.publish_deny_subjects == (b"a",)
    assert not permissions.allows_publish(b"a")
    assert permissions.allows_publish(b"b")
    assert permissions.subscribe_deny_rules == ((b"a", None),)
    assert permissions.denies_message(b"a")
    assert permissions.filters(b"*")
    assert not permissions.allows_subscribe(b"a")
    empty = Permissions(publish_deny=iter(()), subscribe_allow=iter(()))
    assert not empty.restricts_publish
    assert not empty.restricts_subscribe


@pytest.mark.capability("SE03")
@pytest.mark.parametrize(
    ("allow", "deny", "allowed", "denied"),
    [
        ([], [], [b"a"], []),
        ([b"a.*"], [], [b"a.b"], [b"a", b"a.b.c"]),
        ([], [b"a.>"], [b"a"], [b"a.b"]),
        ([b"a.>"], [b"a.b"], [b"a.c"], [b"a.b", b"b"]),
        # Who may only read with others of a group may have what was kept for that group.
        ([b"a q", b"a", b"b q"], [], [b"a", b"b"], [b"c"]),
    ],
)
def test_what_was_kept_is_judged_by_itself(
    allow: list[bytes], deny: list[bytes], allowed: list[bytes], denied: list[bytes]
) -> None:
    """A message that waited for its reader was meant for a subscription that was made under other rights."""
    permissions = Permissions(subscribe_allow=rules(*allow), subscribe_deny=rules(*deny))
    for _ in range(2):
        assert all(permissions.allows_message(subject) for subject in allowed)
        assert not any(permissions.allows_message(subject) for subject in denied)
