"""Makes NATS JWTs for tests: operators, accounts and users; and credentials files (ADR-14)."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

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


def make_old_jwt(kind: str, subject: str, issuer: KeyPair, nats: Mapping[str, object], **claims: object) -> str:
    """A token of version 1: the kind stands beside `nats`, and the claims alone are signed."""
    body = {"jti": "test", "iat": int(time.time()), "iss": issuer.public, "sub": subject, "type": kind}
    signed = encoded(json.dumps(body | claims | {"nats": nats}).encode())
    return (
        f"{encoded(json.dumps(HEADER | {'alg': 'ed25519'}).encode())}.{signed}.{encoded(issuer.sign(signed.encode()))}"
    )


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


class OperatorMode:
    """An operator with an account for JetStream and a system account; `config` makes a server trust it."""

    def __init__(self, **claims: object) -> None:
        """`claims` are added to the account's."""
        self._claims = claims
        self.operator = KeyPair.create(KeyRole.OPERATOR)
        self.account, self.system = KeyPair.create(KeyRole.ACCOUNT), KeyPair.create(KeyRole.ACCOUNT)

    def config(self, folder: Path | None = None) -> str:
        """With a `folder`, accounts can be changed while the server runs (`$SYS.REQ.CLAIMS.UPDATE`)."""
        resolver = "MEMORY" if folder is None else f'{{ type: full, dir: "{folder}" }}'
        operator = make_jwt("operator", self.operator.public, self.operator, {})
        system = make_jwt("account", self.system.public, self.operator, {"limits": UNLIMITED})
        return (
            f"operator: {operator}\nresolver: {resolver}\nsystem_account: {self.system.public}\n"
            f"resolver_preload: {{ {self.account.public}: {self.account_jwt()}, {self.system.public}: {system} }}\n"
        )

    def account_jwt(self, revoked: Sequence[KeyPair] = ()) -> str:
        """The account's claims; what these users were given until five seconds ago is revoked."""
        claims: dict[str, object] = {
            "limits": UNLIMITED | {"mem_storage": -1, "disk_storage": -1},
            "default_permissions": {"pub": {}, "sub": {}},
            "revocations": {user.public: int(time.time()) - 5 for user in revoked},
            **self._claims,
        }
        return make_jwt("account", self.account.public, self.operator, claims)

    def credentials_file(
        self, path: Path, user: KeyPair | None = None, *, is_system: bool = False, **claims: object
    ) -> Path:
        """A `.creds` file of a user without restrictions; `claims` as `exp` and `nbf`."""
        user = user or KeyPair.create(KeyRole.USER)
        account = self.system if is_system else self.account
        nats: dict[str, object] = {"subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {}}
        token = make_jwt("user", user.public, account, nats, **claims)
        path.write_text(credentials_text(token, user.seed), encoding="utf-8")
        return path


def credentials_text(token: str, seed: str) -> str:
    """A credentials file as `nsc` writes it."""
    return (
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
        "************************* IMPORTANT *************************\n"
        "NKEY Seed printed below can be used to sign and prove identity.\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n\n"
        "*************************************************************\n"
    )
