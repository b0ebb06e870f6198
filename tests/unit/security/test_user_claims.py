"""What a user's claims allow, apart from who signed them."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from leafbox.broker.config import ConnectionType, Permissions, ResponsePermission, SubjectPermission
from leafbox.protocol.jwt import Claims
from leafbox.protocol.nkeys import KeyPair, KeyRole
from leafbox.security.user_claims import (
    NO_LIMITS,
    UserLimits,
    connection_types,
    has_no_rights,
    is_from,
    objection,
    read_limits,
    read_permissions,
    rights_objection,
    sources,
    window_end_s,
)

ACCOUNT = KeyPair.create(KeyRole.ACCOUNT).public
USER = KeyPair.create(KeyRole.USER).public


def user(nats: dict[str, Any], kind: str = "user", issuer: str = ACCOUNT) -> Claims:
    return Claims(kind, USER, issuer, "anna", 1, 0, 0, nats=nats)


def at(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("now", "ends"),
    [
        ("2026-03-01T12:00:00+00:00", "2026-03-01T13:00:00+00:00"),
        ("2026-03-01T08:59:59+00:00", None),
        ("2026-03-01T13:00:00+00:00", None),
        ("2026-03-01T23:30:00+00:00", "2026-03-02T02:00:00+00:00"),
        ("2026-03-01T01:59:59+00:00", "2026-03-01T02:00:00+00:00"),
        ("2026-03-01T02:00:00+00:00", None),
    ],
)
def test_windows_of_a_day(now: str, ends: str | None) -> None:
    windows = [{"start": "09:00:00", "end": "13:00:00"}, {"start": "22:00:00", "end": "02:00:00"}]
    rights = {"times": windows, "times_location": "UTC"}
    assert window_end_s(rights, at(now)) == ((True, at(ends)) if ends else (False, None))


def test_a_window_is_in_its_own_time_zone() -> None:
    rights = {"times": [{"start": "09:00:00", "end": "10:00:00"}], "times_location": "Asia/Tokyo"}
    assert window_end_s(rights, at("2026-03-01T00:30:00+00:00")) == (True, at("2026-03-01T01:00:00+00:00"))
    assert window_end_s(rights, at("2026-03-01T09:30:00+00:00")) == (False, None)
    assert window_end_s({}, 0.0) == (True, None)


def test_permissions() -> None:
    assert read_permissions({"pub": {}, "sub": {"allow": []}}) is None
    rights = {"pub": {"allow": ["a"]}, "sub": {"deny": ["b"]}, "resp": {}}
    assert read_permissions(rights) == Permissions(
        SubjectPermission(("a",)), SubjectPermission(None, ("b",)), ResponsePermission(1, 120.0)
    )
    assert read_permissions({"resp": {"max": 3, "ttl": 5_000_000_000}}) == Permissions(
        responses=ResponsePermission(3, 5.0)
    )


@pytest.mark.parametrize("wrong", ["a", 7, [7], {"a": 1}])
def test_rules_that_are_no_list_of_texts_are_not_taken_for_none(wrong: object) -> None:
    with pytest.raises(TypeError):
        read_permissions({"pub": {"deny": wrong}})


def test_limits() -> None:
    assert read_limits({}) == UserLimits(0, 0)
    assert read_limits({}, default=-1) == NO_LIMITS
    assert read_limits({"subs": 2, "payload": -7}) == UserLimits(2, -1)


def test_kinds_of_connections() -> None:
    assert connection_types({}) == frozenset()
    assert connection_types({"allowed_connection_types": ["mqtt", "PIGEON"]}) == frozenset((ConnectionType.MQTT,))
    assert connection_types({"allowed_connection_types": ["PIGEON"]}) is None


def test_where_from() -> None:
    assert sources({"src": "10.0.0.0/8, ::1/128"}) == ["10.0.0.0/8", "::1/128"]
    assert is_from("10.1.1.1", ["10.0.0.0/8"])
    assert not is_from("::1", ["10.0.0.0/8"])
    assert not is_from("", ["0.0.0.0/0"])


@pytest.mark.parametrize(
    "rights",
    [
        {"src": ["10.0.0.1"]},
        {"src": ["here/8"]},
        {"times_location": "Nowhere/Town"},
        {"times": [{"start": "9", "end": "10:00:00"}]},
        {"pub": {"allow": ["a queue"]}},
        {"sub": {"allow": ["a queue more"]}},
        {"sub": {"deny": [".a"]}},
    ],
)
def test_rights_that_cannot_be_meant(rights: dict[str, Any]) -> None:
    assert rights_objection(rights)
    assert objection(user(rights))


def test_who_is_no_user() -> None:
    assert objection(user({"sub": {"allow": ["a queue"]}, "issuer_account": ACCOUNT})) == ""
    assert objection(user({}, kind="account"))
    assert objection(user({}, issuer=USER))
    assert objection(user({"issuer_account": USER}))


def test_rights_of_ones_own() -> None:
    assert has_no_rights(user({"tags": ["a"], "pub": {"allow": []}, "subs": 0}))
    assert not has_no_rights(user({"subs": -1}))
    assert not has_no_rights(user({"sub": {"deny": ["a"]}}))
