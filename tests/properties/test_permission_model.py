"""The data plane's permission tables against the obvious model, on generated rules and subjects."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from leafbox.broker.config import Permissions, SubjectPermission
from leafbox.broker.permission_tables import permission_tables
from tests.support.permission_model import PermissionModel, contains, matches

TOKENS = st.sampled_from(["a", "b", "c", "*"])
SUBJECTS = st.tuples(st.lists(TOKENS, min_size=1, max_size=3), st.booleans()).map(
    lambda parts: ".".join([*parts[0], ">"] if parts[1] else parts[0])
)
LITERALS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4).map(".".join)
QUEUES = st.sampled_from(["q", "v.a", "v.b", "v.*", ">"])
ENTRIES = st.one_of(SUBJECTS, st.tuples(SUBJECTS, QUEUES).map(" ".join))
RULES = st.builds(
    lambda allow, deny: SubjectPermission(None if allow is None else tuple(allow), tuple(deny)),
    st.none() | st.lists(ENTRIES, max_size=3),
    st.lists(ENTRIES, max_size=3),
)
PLAIN_RULES = st.builds(
    lambda allow, deny: SubjectPermission(None if allow is None else tuple(allow), tuple(deny)),
    st.none() | st.lists(SUBJECTS, max_size=3),
    st.lists(SUBJECTS, max_size=3),
)


@pytest.mark.capability("SE03", "SE05")
@given(rules=RULES, subject=SUBJECTS, queue=st.none() | QUEUES)
def test_subscribing(rules: SubjectPermission, subject: str, queue: str | None) -> None:
    permissions = Permissions(subscribe=rules)
    tables = permission_tables(permissions)
    assert tables is not None
    raw_queue = None if queue is None else queue.encode()
    is_allowed = not tables.restricts_subscribe or tables.allows_subscribe(subject.encode(), raw_queue)
    assert is_allowed == PermissionModel(permissions).may_subscribe(subject, queue or "")


@pytest.mark.capability("SE04")
@given(rules=RULES, subscribed=SUBJECTS, subject=LITERALS)
def test_what_is_delivered(rules: SubjectPermission, subscribed: str, subject: str) -> None:
    permissions = Permissions(subscribe=rules)
    model, tables = PermissionModel(permissions), permission_tables(permissions)
    assert tables is not None
    if not model.may_subscribe(subscribed) or not matches(subscribed, subject):
        return
    is_filtered = tables.filters(subscribed.encode()) and tables.denies_message(subject.encode())
    assert is_filtered != model.is_delivered(subscribed, subject)


@pytest.mark.capability("SE03")
@given(rules=PLAIN_RULES, subject=LITERALS)
def test_publishing(rules: SubjectPermission, subject: str) -> None:
    permissions = Permissions(publish=rules)
    tables = permission_tables(permissions)
    assert tables is not None
    is_allowed = not tables.restricts_publish or tables.allows_publish(subject.encode())
    assert is_allowed == PermissionModel(permissions).may_publish(subject)


@given(pattern=SUBJECTS, subject=SUBJECTS, literal=LITERALS)
def test_what_contains_a_subject_matches_what_it_matches(pattern: str, subject: str, literal: str) -> None:
    """Holds the model's own two relations together."""
    if contains(pattern, subject) and matches(subject, literal):
        assert matches(pattern, literal)
