"""Operator, account and user JWTs for a hub in operator mode, and the credentials file of a leaf (ADR-14)."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from pathlib import Path

from leafbox.protocol.nkeys import KeyPair, KeyRole


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def make_token(issuer: KeyPair, subject: str, name: str, claims: dict[str, object], *, expires_s: int = 0) -> str:
    """A NATS JWT, version 2."""
    body: dict[str, object] = {"iat": int(time.time()) - 5, "iss": issuer.public, "name": name, "sub": subject}
    if expires_s:
        body["exp"] = expires_s
    body["nats"] = {**claims, "version": 2}
    body["jti"] = base64.b32encode(hashlib.sha256(json.dumps(body).encode()).digest()).decode().rstrip("=")
    head = _encoded(json.dumps({"typ": "JWT", "alg": "ed25519-nkey"}).encode())
    text = f"{head}.{_encoded(json.dumps(body).encode())}"
    return f"{text}.{_encoded(issuer.sign(text.encode()))}"


class OperatorMode:
    """One operator with one account; `config` makes a server trust it."""

    def __init__(self) -> None:
        self.operator = KeyPair.create(KeyRole.OPERATOR)
        self.account = KeyPair.create(KeyRole.ACCOUNT)
        limits = {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": True}
        claims: dict[str, object] = {
            "type": "account",
            "limits": {**limits, "conn": -1, "leaf": -1},
            "default_permissions": {"pub": {}, "sub": {}},
        }
        operator_token = make_token(self.operator, self.operator.public, "op", {"type": "operator"})
        account_token = make_token(self.operator, self.account.public, "acc", claims)
        self.config = (
            f"operator: {operator_token}\nresolver: MEMORY\n"
            f"resolver_preload: {{ {self.account.public}: {account_token} }}\n"
        )

    def user_token(self, user: KeyPair, *, expires_s: int = 0) -> str:
        """The JWT of a user without restrictions."""
        claims: dict[str, object] = {"type": "user", "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {}}
        return make_token(self.account, user.public, "user", claims, expires_s=expires_s)

    def credentials_file(self, path: Path, *, expires_s: int = 0) -> Path:
        """A `.creds` file of a new user."""
        user = KeyPair.create(KeyRole.USER)
        path.write_text(credentials_text(self.user_token(user, expires_s=expires_s), user.seed), encoding="utf-8")
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
