"""An account's claims: what makes them unusable, and what they are as configuration."""

from __future__ import annotations

from typing import Any

import pytest

from leafbox.broker.config import AccountLimits, MappingDestination, SubjectMapping
from leafbox.protocol.jwt import InvalidJwt
from leafbox.protocol.nkeys import KeyPair, KeyRole
from leafbox.security.account_claims import KnownAccount, account_options, objections, read_account
from leafbox.security.activations import Activations
from tests.support.jwt_maker import UNLIMITED, make_jwt

OPERATOR = KeyPair.create(KeyRole.OPERATOR)
KEY = KeyPair.create(KeyRole.ACCOUNT)
OTHER = KeyPair.create(KeyRole.ACCOUNT).public
NOTHING = Activations({}, {}, 0)


def account(claims: dict[str, Any]) -> KnownAccount:
    return read_account(make_jwt("account", KEY.public, OPERATOR, {"limits": UNLIMITED} | claims))


def export(subject: str, **more: object) -> dict[str, Any]:
    return {"exports": [{"subject": subject, "type": "stream", **more}]}


def imported(subject: str, **more: object) -> dict[str, Any]:
    return {"imports": [{"subject": subject, "type": "service", "account": OTHER, **more}]}


@pytest.mark.parametrize(
    "claims",
    [
        {"limits": UNLIMITED | {"imports": 0}, **imported("a")},
        {"limits": UNLIMITED | {"exports": 0}, **export("a")},
        {"limits": UNLIMITED | {"exports": 5, "wildcards": False}, **export("a.*")},
        {"limits": UNLIMITED | {"mem_storage": 1, "tiered_limits": {"R1": {"mem_storage": 1}}}},
        {"limits": UNLIMITED | {"conn": "many"}},
        {"limits": 7},
        export("a..b"),
        export("a", type="post"),
        export("a.b", account_token_position=1),
        export("a", revocations={"*": "now"}),
        imported("a..b"),
        imported("a", account=""),
        imported("a", to="b", local_subject="c"),
        imported("a.*.*", local_subject="b.$1"),
        {"default_permissions": {"pub": {"allow": ["a b"]}}},
        {"default_permissions": {"pub": {"allow": "a"}}},
        {"signing_keys": [OPERATOR.public]},
        {"signing_keys": [{"kind": "user_scope", "key": OTHER, "template": {"src": ["x"]}}]},
        {"mappings": {"a": [{"subject": "b", "weight": 60}, {"subject": "c", "weight": 60}]}},
        {"mappings": {"a.*": [{"subject": "b.$2"}]}},
        {"mappings": {"a": [{"subject": "b", "weight": -1}]}},
        {"authorization": {"allowed_accounts": [OTHER]}},
        {"authorization": {"auth_users": [OTHER]}},
        {"authorization": {"auth_users": [KeyPair.create(KeyRole.USER).public], "allowed_accounts": ["*", OTHER]}},
        {"authorization": {"auth_users": [KeyPair.create(KeyRole.USER).public], "xkey": OTHER}},
        {"trace": {"dest": "a.*"}},
        {"trace": {"dest": "a", "sampling": 101}},
        {"cluster_traffic": "mine"},
        {"revocations": {"*": "now"}},
        {"revocations": [1]},
    ],
)
def test_claims_that_cannot_be_meant(claims: dict[str, Any]) -> None:
    assert objections(account(claims))


def test_claims_that_can() -> None:
    claims = {
        **export("a.*", account_token_position=2),
        **imported("b.*", local_subject="c.$1"),
        "signing_keys": [OTHER, {"kind": "user_scope", "key": KEY.public, "template": {"pub": {"allow": ["{{x}}"]}}}],
        "mappings": {"d": [{"subject": "e", "weight": 50, "cluster": "east"}]},
        "revocations": {"*": 5, "U": 9},
        "trace": {"dest": "t"},
    }
    known = account(claims)
    assert objections(known) == []
    assert known.is_revoked("anybody", 5)
    assert known.is_revoked("U", 9)
    assert not known.is_revoked("anybody", 6)


@pytest.mark.parametrize("claims", [{"signing_keys": [{"kind": "other"}]}, {"signing_keys": [7]}, {"signing_keys": 7}])
def test_signing_keys_that_nobody_knows(claims: dict[str, Any]) -> None:
    with pytest.raises(InvalidJwt):
        account(claims)


def test_of_another_kind() -> None:
    with pytest.raises(InvalidJwt):
        read_account(make_jwt("user", KEY.public, OPERATOR, {}))
    with pytest.raises(InvalidJwt):
        read_account(make_jwt("account", OPERATOR.public, OPERATOR, {}))


def test_with_strict_keys_the_account_signs_nobody() -> None:
    token = make_jwt("account", KEY.public, OPERATOR, {"signing_keys": [OTHER]})
    assert set(read_account(token).signers) == {KEY.public, OTHER}
    assert set(read_account(token, is_strict=True).signers) == {OTHER}


def test_as_configuration() -> None:
    options = account_options("ACC", {"mappings": {"a": [{"subject": "b", "cluster": "east"}]}}, NOTHING)
    assert options.limits == AccountLimits(0, 0, 0, 0)
    assert options.mappings == (SubjectMapping("a", (MappingDestination("b", 100, "east"),)),)
    assert account_options("ACC", {"limits": UNLIMITED}, NOTHING).limits == AccountLimits()
