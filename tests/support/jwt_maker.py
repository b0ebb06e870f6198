"""Makes NATS JWTs for tests: operators, accounts and users, signed as version 2 signs."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping

from leafbox.protocol.nkeys import KeyPair, KeyRole

HEADER = {"typ": "JWT", "alg": "ed25519-nkey"}


def encoded(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def make_jwt(kind: str, subject: str, issuer: KeyPair, nats: Mapping[str, object], **claims: object) -> str:
    """A token of `kind` about `subject`, signed by `issuer`."""
    body = {
        "jti": "test",
        "iat": int(time.time()),
        "iss": issuer.public,
        "name": f"a {kind}",
        "sub": subject,
        "nats": {**nats, "type": kind, "version": 2},
        **claims,
    }
    signed = f"{encoded(json.dumps(HEADER).encode())}.{encoded(json.dumps(body).encode())}"
    return f"{signed}.{encoded(issuer.sign(signed.encode()))}"


UNLIMITED: dict[str, object] = {
    **dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1),
    "wildcards": True,
}


class Realm:
    """An operator with two accounts, A and B, as a configuration with preloaded accounts."""

    def __init__(self) -> None:
        self.operator = KeyPair.create(KeyRole.OPERATOR)
        self.a, self.b = KeyPair.create(KeyRole.ACCOUNT), KeyPair.create(KeyRole.ACCOUNT)
        self.signer = KeyPair.create(KeyRole.ACCOUNT)
        self.revoked = KeyPair.create(KeyRole.USER)

    def config(self, **limits: object) -> str:
        """Account A shares `pub.>` with B, has a signing key, and has revoked one user. `limits` are added to A's."""
        export = {"name": "p", "subject": "pub.>", "type": "stream"}
        imported = {"name": "p", "subject": "pub.>", "account": self.a.public, "type": "stream"}
        claims_a = {
            "limits": UNLIMITED | limits,
            "exports": [export],
            "signing_keys": [self.signer.public],
            "revocations": {self.revoked.public: int(time.time()) + 60},
        }
        claims_b = {"limits": UNLIMITED | {"payload": 100}, "imports": [imported]}
        operator = make_jwt("operator", self.operator.public, self.operator, {})
        preload = "".join(
            f'{account.public}: "{make_jwt("account", account.public, self.operator, claims)}"\n'
            for account, claims in ((self.a, claims_a), (self.b, claims_b))
        )
        return f'operator: "{operator}"\nresolver: MEMORY\nresolver_preload {{\n{preload}}}\n'

    def user(self, issuer: KeyPair, key: KeyPair, nats: Mapping[str, object] | None = None, **claims: object) -> str:
        """A user's JWT."""
        return make_jwt("user", key.public, issuer, {"subs": -1, "data": -1, "payload": -1, **(nats or {})}, **claims)
