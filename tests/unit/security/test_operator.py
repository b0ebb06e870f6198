"""Operator mode's decisions that no server is needed for; `tests/conformance/security` has the rest."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from typing import Any

import pytest

from leafbox import NATS_SERVER_VERSION
from leafbox.broker.config import ConnectionType, Permissions, SubjectPermission
from leafbox.protocol.errors import ConfigError
from leafbox.protocol.nkeys import KeyPair, KeyRole
from leafbox.security.authentication import ConnectionFacts, Credentials, Decision, Identity, Refusal
from leafbox.security.config import OperatorOptions
from leafbox.security.operator import REVOKED, OperatorMode
from tests.support.jwt_maker import UNLIMITED, make_jwt

OPERATOR, ACCOUNT, SIGNER, USER = (
    KeyPair.create(role) for role in (KeyRole.OPERATOR, KeyRole.ACCOUNT, KeyRole.ACCOUNT, KeyRole.USER)
)
NONCE = b"nonce"
FACTS = ConnectionFacts(ConnectionType.STANDARD, nonce=NONCE, ip="127.0.0.1")
OPEN: dict[str, Any] = {"subs": -1, "data": -1, "payload": -1}
NOW_S = 1_000_000.0


def account(claims: dict[str, Any] | None = None, **more: object) -> str:
    return make_jwt("account", ACCOUNT.public, OPERATOR, {"limits": UNLIMITED} | (claims or {}), iat=1, **more)


def mode(claims: dict[str, Any] | None = None, **more: object) -> OperatorMode:
    preload = {ACCOUNT.public: account(claims, **more)}
    options = OperatorOptions(trusted_keys=(OPERATOR.public,), resolver_preload=preload)
    return OperatorMode(options, lambda: NOW_S)


def change(known: OperatorMode, claims: dict[str, Any], **more: object) -> None:
    known.accounts[ACCOUNT.public] = known.read(account(claims, **more))


def login(
    known: OperatorMode, issuer: KeyPair = ACCOUNT, nats: dict[str, Any] | None = None, **more: object
) -> Decision:
    own: dict[str, Any] = {"issuer_account": ACCOUNT.public} if issuer is SIGNER else {}
    token = make_jwt("user", USER.public, issuer, own | (OPEN if nats is None else nats), iat=100, **more)
    signature = base64.urlsafe_b64encode(USER.sign(NONCE)).rstrip(b"=").decode()
    decision = known.decide(Credentials(jwt=token, signature=signature), FACTS, None)
    assert isinstance(decision, Identity | Refusal)
    return decision


def identity(known: OperatorMode, *arguments: Any, **more: Any) -> Identity:
    decision = login(known, *arguments, **more)
    assert isinstance(decision, Identity)
    return decision


def test_who_a_service_of_the_account_decides_about_is_not_let_in_without_it() -> None:
    other = KeyPair.create(KeyRole.USER).public
    assert isinstance(login(mode({"authorization": {"auth_users": [other]}})), Refusal)
    assert isinstance(login(mode({"authorization": {"auth_users": [other, USER.public]}})), Identity)


def test_a_revocation_counts_for_who_is_here() -> None:
    known = mode()
    who = identity(known)
    for revocations, is_revoked in (({USER.public: 99}, False), ({USER.public: 100}, True), ({"*": 100}, True)):
        change(known, {"revocations": revocations})
        assert (known.still_authorised(who, FACTS) == REVOKED) is is_revoked


def test_default_permissions_follow_the_account() -> None:
    known = mode()
    plain, own = identity(known), identity(known, ACCOUNT, OPEN | {"pub": {"deny": ["x"]}})
    change(known, {"default_permissions": {"pub": {"allow": ["a"]}}})
    permissions = Permissions(SubjectPermission(("a",)))
    assert known.still_authorised(plain, FACTS) == replace(plain, permissions=permissions)
    assert known.still_authorised(own, FACTS) == own


def test_a_signing_key_that_goes_or_changes_takes_its_users_with_it() -> None:
    scope = {"kind": "user_scope", "key": SIGNER.public, "template": {"pub": {"allow": ["a"]}}}
    known = mode({"signing_keys": [scope]})
    who = identity(known, SIGNER, {})
    assert known.still_authorised(who, FACTS) == who
    for keys in ([], [SIGNER.public], [scope | {"template": {}}]):
        change(known, {"signing_keys": keys})
        decision = known.still_authorised(who, FACTS)
        assert isinstance(decision, Refusal)
        assert decision.is_silent


def test_bearers_where_they_are_no_longer_allowed() -> None:
    known = mode()
    who = identity(known, ACCOUNT, OPEN | {"bearer_token": True})
    change(known, {"limits": UNLIMITED | {"disallow_bearer": True}})
    assert isinstance(known.still_authorised(who, FACTS), Refusal)


def test_the_first_end_counts() -> None:
    end_s = int(NOW_S) + 100
    known = mode()
    assert identity(known).expires_at_s is None
    who = identity(known, exp=end_s)
    assert (who.expires_at_s, who.is_account_expiring) == (end_s, False)
    change(known, {}, exp=end_s - 1)
    after = known.still_authorised(who, FACTS)
    assert isinstance(after, Identity)
    assert (after.expires_at_s, after.is_account_expiring) == (end_s - 1, True)
    change(known, {}, exp=int(NOW_S))
    gone = known.still_authorised(who, FACTS)
    assert isinstance(gone, Refusal)
    assert gone.peer_text == "Account Authentication Expired"


def test_the_version_an_operator_asks_for() -> None:
    def trust(version: str) -> None:
        token = make_jwt("operator", OPERATOR.public, OPERATOR, {"assert_server_version": version})
        OperatorMode(OperatorOptions(operators=(token,)))

    trust(NATS_SERVER_VERSION)
    trust("")
    for version in ("99.0.0", "2.15", "x"):
        with pytest.raises(ConfigError):
            trust(version)


def test_an_unknown_account_is_asked_for_first() -> None:
    class Lookup:
        def may_find(self, key: str) -> bool:
            return True

        def is_stale(self, key: str) -> bool:
            return False

        async def find(self, key: str) -> None:
            change(known, {})

    known = OperatorMode(OperatorOptions(trusted_keys=(OPERATOR.public,)), lambda: NOW_S)
    known.lookup = Lookup()
    token = make_jwt("user", USER.public, ACCOUNT, OPEN | {"bearer_token": True})
    decision = known.decide(Credentials(jwt=token), FACTS, None)
    assert not isinstance(decision, Identity | Refusal)

    async def wait() -> Decision:
        return await decision

    assert isinstance(asyncio.run(wait()), Identity)
