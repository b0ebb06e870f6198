"""Credentials files: what is read from them and what is refused, without showing secrets."""

from __future__ import annotations

import base64
import json

import pytest

from leafbox.protocol.credentials import InvalidCredentials, parse_credentials
from leafbox.protocol.nkeys import KeyPair, KeyRole

pytestmark = pytest.mark.capability("LF01")

USER = KeyPair(KeyRole.USER, bytes(range(32)))


def token(claims: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{body}.c2ln"


def file_of(jwt: str, seed: str, end: str = "\n") -> str:
    lines = ["-----BEGIN NATS USER JWT-----", jwt, "------END NATS USER JWT------", "", "*** IMPORTANT ***", ""]
    lines += ["-----BEGIN USER NKEY SEED-----", seed, "------END USER NKEY SEED------", ""]
    return end.join(lines)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_token_keys_and_times_are_read(end: str) -> None:
    jwt = token({"exp": 20, "nbf": 10, "sub": "U"})
    found = parse_credentials(file_of(jwt, USER.seed, end))
    assert (found.jwt, found.keys.public, found.not_before_s, found.expires_s) == (jwt, USER.public, 10, 20)
    assert parse_credentials(file_of(token({}), USER.seed)).expires_s == 0


def test_secrets_are_not_shown() -> None:
    jwt = token({})
    shown = repr(parse_credentials(file_of(jwt, USER.seed)))
    assert jwt not in shown
    assert USER.seed not in shown


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no user JWT and seed"),
        ("-----BEGIN NATS USER JWT-----\na.b.c\n------END NATS USER JWT------\n", "no user JWT and seed"),
        (file_of("no-token", USER.seed), "no JWT"),
        (file_of("a.!!.c", USER.seed), "no JWT"),
        (file_of("a.e30x.c", USER.seed), "no JWT"),
        (file_of(token([1]), USER.seed), "no JWT"),
        (file_of(token({}), USER.seed[:-1] + "A"), "seed is not usable"),
        (file_of(token({}), KeyPair(KeyRole.ACCOUNT, bytes(32)).seed), "account's, not a user's"),
    ],
)
def test_other_texts_are_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidCredentials, match=reason) as raised:
        parse_credentials(text)
    assert USER.seed not in str(raised.value)
