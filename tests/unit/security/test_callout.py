"""Asking a service who somebody is: what goes out, what is believed, and what happens when too many ask."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from leafbox.broker.config import ConnectionType, Permissions, ResponsePermission, SubjectPermission
from leafbox.protocol.jwt import InvalidJwt, decode_jwt, encode_jwt
from leafbox.protocol.nkeys import KeyPair, KeyRole
from leafbox.security import callout
from leafbox.security.authentication import ConnectionFacts, Credentials, Decision, Identity, Proof, Refusal
from leafbox.security.callout import SUBJECT, AuthCallout, ServerFacts, open_sealed, seal
from leafbox.security.config import AuthCalloutOptions
from leafbox.security.tls_accept import TlsFacts

ISSUER = KeyPair.create(KeyRole.ACCOUNT)
SERVER = ServerFacts(KeyPair.create(KeyRole.SERVER), KeyPair.create(KeyRole.CURVE), "box", "host", "2.15.1")
OPTIONS = AuthCalloutOptions(ISSUER.public, ("auth",), account="AUTH")
FACTS = ConnectionFacts(ConnectionType.MQTT, tls=TlsFacts("1.3", "X", b"der"), ip="10.0.0.1")
ANNA = Credentials(user="anna", password="secret")


class Link:
    """Answers requests with what `answer` makes of them."""

    def __init__(self, answer: Callable[[dict[str, Any]], bytes | None]) -> None:
        self.answer = answer
        self.requests: list[dict[str, Any]] = []

    async def ask(self, account: str, subject: str, header: bytes, body: bytes, timeout_s: float) -> bytes | None:
        assert (account, subject, header) == ("AUTH", SUBJECT, b"")
        claims = decode_jwt(body.decode())
        assert (claims.issuer, claims.audience) == (SERVER.keys.public, callout.AUDIENCE)
        self.requests.append(claims.nats)
        await asyncio.sleep(0)
        return self.answer(claims.nats)


def accepted(request: dict[str, Any], **user: Any) -> bytes:
    """A response that lets in."""
    subject = {"sub": request["user_nkey"], "iss": ISSUER.public}
    user_jwt = encode_jwt({**subject, "name": "anna", "aud": "APP", "nats": {"type": "user", **user}}, ISSUER)
    answer = {"type": "authorization_response", "jwt": user_jwt}
    return encode_jwt({**subject, "aud": SERVER.keys.public, "nats": answer}, ISSUER).encode()


def decided(decision: Decision | Awaitable[Decision]) -> Decision:
    if isinstance(decision, Identity | Refusal):
        return decision

    async def wait() -> Decision:
        return await decision

    return asyncio.run(wait())


def asked(link: Link, so_far: Decision | None = None, credentials: Credentials = ANNA) -> Decision:
    authority = AuthCallout(OPTIONS, SERVER, link, 1.0)
    return decided(authority.decide(credentials, FACTS, so_far or Refusal("unknown user")))


def test_an_answer_makes_an_identity() -> None:
    link = Link(lambda request: accepted(request, pub={"allow": ["a"]}))
    who = asked(link)
    assert isinstance(who, Identity)
    assert (who.name, who.account, who.proof) == ("anna", "APP", Proof.AUTHORITY)
    assert who.permissions == Permissions(SubjectPermission(("a",)))
    [request] = link.requests
    assert request["connect_opts"] == {"user": "anna", "pass": "secret", "protocol": 0}
    assert request["client_info"]["type"] == "mqtt"
    assert request["client_tls"]["certs"][0].startswith("-----BEGIN CERTIFICATE-----\n")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda request: None, "no answer"),
        (lambda request: b"", "without a reason"),
        (lambda request: b"eyJ", "three parts"),
        (lambda request: accepted(request, src=7), "unexpected content"),
        (lambda request: accepted(request, times=[{"start": "1:00:00"}]), "times of day"),
        (lambda request: accepted(request, src=["10.1.0.0/16"]), "source address"),
        (lambda request: accepted(request, allowed_connection_types=["STANDARD"]), "connection type"),
    ],
)
def test_what_is_not_believed(answer: Callable[[dict[str, Any]], bytes | None], reason: str) -> None:
    refusal = asked(Link(answer))
    assert isinstance(refusal, Refusal)
    assert reason in refusal.reason
    assert "secret" not in refusal.reason


def test_users_of_the_service_may_not_forge_requests() -> None:
    """Whatever else they may; who may only answer gets no right by that."""
    link = Link(accepted)
    auth = Credentials(user="auth", password="pw")
    free = Identity("auth", "AUTH")
    who = asked(link, free, auth)
    assert isinstance(who, Identity)
    assert who.permissions == Permissions(SubjectPermission(None, (SUBJECT,)))
    limited = replace(free, permissions=Permissions(SubjectPermission(("x",), ("y",))))
    who = asked(link, limited, auth)
    assert isinstance(who, Identity)
    assert who.permissions == Permissions(SubjectPermission(("x",), ("y", SUBJECT)))
    answers_only = replace(free, permissions=Permissions(responses=ResponsePermission()))
    assert asked(link, answers_only, auth) == answers_only
    elsewhere = Identity("auth", "APP")
    assert asked(link, elsewhere, auth) == elsewhere
    assert asked(link, Refusal("wrong password"), auth) == Refusal("wrong password")
    assert link.requests == []


def test_only_so_many_wait_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callout, "PENDING_MAX", 2)
    authority = AuthCallout(OPTIONS, SERVER, Link(accepted), 1.0)

    async def crowd() -> list[Decision]:
        waiting = [authority.decide(ANNA, FACTS, Refusal("")) for _ in range(2)]
        tasks = [asyncio.ensure_future(each) for each in waiting if not isinstance(each, Identity | Refusal)]
        await asyncio.sleep(0)
        late = authority.decide(ANNA, FACTS, Refusal(""))
        assert isinstance(late, Refusal)
        found = [await each for each in tasks]
        again = authority.decide(ANNA, FACTS, Refusal(""))
        assert not isinstance(again, Identity | Refusal)
        return [*found, await again]

    assert all(isinstance(each, Identity) for each in asyncio.run(crowd()))


def test_a_reload_lets_them_stay_until_they_expire() -> None:
    authority = AuthCallout(OPTIONS, SERVER, Link(accepted), 1.0)
    who = Identity("anna", "APP", proof=Proof.AUTHORITY, expires_at_s=time.time() + 60)
    assert authority.still_authorised(who, FACTS) is who
    assert isinstance(authority.still_authorised(replace(who, expires_at_s=1.0), FACTS), Refusal)


def test_sealed_is_opened_by_the_other_side_only() -> None:
    ours, theirs, stranger = (KeyPair.create(KeyRole.CURVE) for _ in range(3))
    sealed = seal(b"who?", ours, theirs.public)
    assert b"who?" not in sealed
    assert open_sealed(sealed, theirs, ours.public) == b"who?"
    for data, keys, public in ((sealed, stranger, ours.public), (b"xkv1", theirs, ours.public), (b"", theirs, "")):
        with pytest.raises(InvalidJwt):
            open_sealed(data, keys, public)
