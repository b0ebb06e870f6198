"""Claims of any content, well signed: logins are decided, pushes are judged, and what passes can be used."""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leafbox.broker.config import ConnectionType
from leafbox.broker.imports import check_imports
from leafbox.broker.mappings import AccountMappings
from leafbox.broker.permission_tables import permission_tables
from leafbox.protocol.jwt import InvalidJwt
from leafbox.protocol.nkeys import KeyPair, KeyRole
from leafbox.security.account_claims import objections
from leafbox.security.authentication import ConnectionFacts, Credentials, Identity, Refusal
from leafbox.security.config import OperatorOptions
from leafbox.security.operator import OperatorMode
from tests.support.jwt_maker import UNLIMITED, make_jwt

pytestmark = pytest.mark.capability("SE08", "SE09", "SE11")

OPERATOR, ACCOUNT, USER = (KeyPair.create(role) for role in (KeyRole.OPERATOR, KeyRole.ACCOUNT, KeyRole.USER))
OTHER, SIGNER = KeyPair.create(KeyRole.ACCOUNT), KeyPair.create(KeyRole.ACCOUNT)
NONCE = b"nonce"
SIGNATURE = base64.urlsafe_b64encode(USER.sign(NONCE)).rstrip(b"=").decode()
FACTS = ConnectionFacts(ConnectionType.STANDARD, nonce=NONCE, ip="127.0.0.1")

SUBJECTS = st.sampled_from(["a", "a.*", "a.>", "", "a b", "a..b", "$1.b", "{{name()}}.x", "{{tag(t)}}", ">", "*.a.$2"])
NUMBERS = st.sampled_from([-(2**70), -2, -1, 0, 1, 5, 101, 2**40, 2**70])
WORDS = st.sampled_from(
    ["stream", "service", "owner", "127.0.0.0/8", "10:00:00", "UTC", "*", "t:1", ACCOUNT.public, OTHER.public]
)
LEAVES = st.none() | st.booleans() | NUMBERS | st.floats(allow_nan=False, allow_infinity=False) | SUBJECTS | WORDS
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SUBJECTS, inner, max_size=3), max_leaves=4
)
RULES: dict[str, Any] = {"allow": ["a", "{{name()}}.x"], "deny": ["b.{{tag(t)}}"]}
USER_CLAIMS: dict[str, Any] = {
    "subs": -1,
    "data": -1,
    "payload": 9,
    "pub": {"allow": ["a"], "deny": ["b.>"]},
    "sub": {"allow": ["a q"]},
    "resp": {"max": 1, "ttl": 5},
    "src": ["127.0.0.0/8"],
    "times": [{"start": "00:00:00", "end": "23:59:59"}],
    "times_location": "UTC",
    "bearer_token": False,
    "allowed_connection_types": ["STANDARD"],
    "issuer_account": ACCOUNT.public,
    "tags": ["t:1"],
}
ACCOUNT_CLAIMS: dict[str, Any] = {
    "limits": UNLIMITED | {"mem_storage": 0, "disk_storage": 5, "streams": 1, "consumer": 1, "tiered_limits": {}},
    "signing_keys": [OTHER.public, {"kind": "user_scope", "key": SIGNER.public, "template": {"pub": RULES, "subs": 1}}],
    "default_permissions": {"pub": {"allow": ["a"]}, "sub": {}},
    "mappings": {"m.*": [{"subject": "n.$1", "weight": 50, "cluster": "c"}]},
    "revocations": {"*": 1},
    "authorization": {"auth_users": [USER.public], "allowed_accounts": [OTHER.public], "xkey": ""},
    "trace": {"dest": "t", "sampling": 5},
    "exports": [
        {"subject": "s.*", "type": "stream", "account_token_position": 2, "revocations": {"*": 1}},
        {
            "subject": "q",
            "type": "service",
            "response_type": "stream",
            "response_threshold": 5,
            "token_req": True,
            "service_latency": {"results": "l", "sampling": 5},
        },
        {"subject": "p.>", "type": "service"},
    ],
    "imports": [
        {"subject": "p.x.*", "account": OTHER.public, "type": "service", "local_subject": "l.$1", "share": True},
        {"subject": "s.x", "account": OTHER.public, "type": "stream", "to": "here", "token": "x.y.z"},
    ],
    "cluster_traffic": "owner",
    "tags": ["t:1"],
}


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a tree of claims."""
    if path:
        yield path
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def damaged(tree: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """The claims with something else in a few places."""
    faults = st.lists(st.tuples(st.sampled_from(list(places(tree))), VALUES), max_size=3)
    return faults.map(lambda found: with_faults(tree, found))


def with_faults(tree: dict[str, Any], faults: list[tuple[tuple[Any, ...], Any]]) -> dict[str, Any]:
    result = copy.deepcopy(tree)
    for path, value in faults:
        at: Any = result
        for key in path[:-1]:
            at = at[key] if isinstance(at, dict | list) and has(at, key) else None
        if isinstance(at, dict) or (isinstance(at, list) and has(at, path[-1])):
            at[path[-1]] = value
    return result


def has(container: Any, key: Any) -> bool:
    return key in container if isinstance(container, dict) else isinstance(key, int) and key < len(container)


@settings(max_examples=300)
@given(damaged(ACCOUNT_CLAIMS), damaged(USER_CLAIMS), st.sampled_from([ACCOUNT, OTHER, SIGNER]))
def test_every_login_is_decided(claims: dict[str, Any], user: dict[str, Any], signer: KeyPair) -> None:
    mode = mode_with(claims)
    if signer is SIGNER:
        user = {key: value for key, value in user.items() if key in ("issuer_account", "tags")}
    token = make_jwt("user", USER.public, signer, user)
    decision = mode.decide(Credentials(jwt=token, signature=SIGNATURE), FACTS, None)
    assert isinstance(decision, Identity | Refusal)
    if isinstance(decision, Identity):
        permission_tables(decision.permissions)
        assert isinstance(mode.still_authorised(decision, FACTS), Identity | Refusal)


@settings(max_examples=300)
@given(damaged(ACCOUNT_CLAIMS), damaged(ACCOUNT_CLAIMS))
def test_what_has_no_faults_can_be_used(first: dict[str, Any], second: dict[str, Any]) -> None:
    options = mode_with(first, second).account_options()
    check_imports({account.name: account for account in options})
    for each in options:
        AccountMappings(each.mappings)


def mode_with(*claims: dict[str, Any]) -> OperatorMode:
    """A mode that knows those of the accounts that have no faults."""
    mode = OperatorMode(OperatorOptions(trusted_keys=(OPERATOR.public,)))
    for key, each in zip((ACCOUNT, OTHER), claims, strict=False):
        try:
            account = mode.read(make_jwt("account", key.public, OPERATOR, each))
        except InvalidJwt:
            continue
        if not objections(account):
            mode.accounts[account.key] = account
    return mode


def test_what_is_damaged_was_whole() -> None:
    mode = mode_with(ACCOUNT_CLAIMS, ACCOUNT_CLAIMS)
    assert len(mode.accounts) == 2
    token = make_jwt("user", USER.public, ACCOUNT, USER_CLAIMS)
    assert isinstance(mode.decide(Credentials(jwt=token, signature=SIGNATURE), FACTS, None), Identity)
