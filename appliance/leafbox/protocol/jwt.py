"""NATS JWTs: signed claims of operators, accounts and users (ADR-14).

Not JOSE: `alg` is `ed25519-nkey` and the issuer is an nkey. Version 2 signs header and claims, version 1 (`alg`
`ed25519`) the claims alone; both are still in the field. Decoding verifies the signature with the issuer named inside;
whether that issuer is trusted is for the caller to say. Nothing here looks at the clock.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from typing import Any

import msgspec

from leafbox.protocol.errors import LeafboxError
from leafbox.protocol.nkeys import InvalidNkey, KeyPair, verify

# An account with thousands of imports stays below; CONNECT lines are bounded long before.
JWT_BYTES_MAX = 1024 * 1024


class InvalidJwt(LeafboxError):
    """A token that cannot be used. The text says why and holds nothing of the token."""


@dataclass(frozen=True, slots=True)
class Claims:
    """Verified claims. Times are Unix seconds, 0: not set. `nats` is the part that depends on `kind`."""

    kind: str
    subject: str
    issuer: str
    name: str
    issued_at_s: int
    expires_at_s: int
    not_before_s: int
    audience: str = ""
    nats: dict[str, Any] = field(default_factory=dict)

    def has_ended(self, now_s: float) -> bool:
        """Whether the claims' time is over."""
        return bool(self.expires_at_s) and now_s >= self.expires_at_s

    def check_time(self, now_s: float) -> None:
        """Raises `InvalidJwt` when the claims are not valid at this time."""
        if self.has_ended(now_s):
            raise InvalidJwt("claim is expired")
        if self.not_before_s and now_s < self.not_before_s:
            raise InvalidJwt("claim is not yet valid")


def decode_jwt(token: str) -> Claims:
    """The claims of a token whose signature its own issuer made. Raises `InvalidJwt`."""
    if len(token) > JWT_BYTES_MAX:
        raise InvalidJwt("token is too long")
    parts = token.strip().split(".")
    if len(parts) != 3:
        raise InvalidJwt("expected three parts")
    header, claims = _object(parts[0]), _object(parts[1])
    algorithm = header.get("alg")
    if header.get("typ", "").lower() != "jwt" or algorithm not in ("ed25519", "ed25519-nkey"):
        raise InvalidJwt("unknown type or algorithm")
    signed = parts[1] if algorithm == "ed25519" else f"{parts[0]}.{parts[1]}"
    issuer = _text(claims, "iss")
    try:
        is_signed = verify(issuer, signed.encode(), _bytes(parts[2]))
    except InvalidNkey as error:
        raise InvalidJwt(f"issuer: {error}") from error
    if not is_signed:
        raise InvalidJwt("claim failed signature verification")
    nats = claims.get("nats", {})
    if not isinstance(nats, dict):
        raise InvalidJwt("nats is not an object")
    return Claims(
        kind=_text(claims, "type") or _text(nats, "type"),
        subject=_text(claims, "sub"),
        issuer=issuer,
        name=_text(claims, "name"),
        issued_at_s=_number(claims, "iat"),
        expires_at_s=_number(claims, "exp"),
        not_before_s=_number(claims, "nbf"),
        audience=_text(claims, "aud"),
        nats=_moved(claims, nats) if _text(claims, "type") else nats,
    )


def _moved(claims: dict[str, Any], nats: dict[str, Any]) -> dict[str, Any]:
    """Claims of version 1 as version 2 writes them: what stood beside `nats` goes in, limits left out are none."""
    moved: dict[str, Any] = {key: claims[key] for key in ("issuer_account", "tags") if key in claims}
    defaults = dict.fromkeys(("subs", "data", "payload"), -1) if claims["type"] == "user" else {}
    return {**defaults, **nats, **moved}


def encode_jwt(claims: dict[str, Any], keys: KeyPair) -> str:
    """A token of these claims, version 2, signed by `keys`; `jti` is added."""
    header = _base64(b'{"typ":"JWT","alg":"ed25519-nkey"}')
    digest = hashlib.sha256(msgspec.json.encode(claims)).digest()
    body = _base64(msgspec.json.encode({**claims, "jti": base64.b32encode(digest).decode().rstrip("=")}))
    signature = keys.sign(f"{header}.{body}".encode())
    return f"{header}.{body}.{_base64(signature)}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidJwt("not base64") from error


def _object(part: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(_bytes(part))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidJwt("not JSON") from error
    if not isinstance(value, dict):
        raise InvalidJwt("not an object")
    return value


def _text(claims: dict[str, Any], key: str) -> str:
    value = claims.get(key) or ""
    if not isinstance(value, str):
        raise InvalidJwt(f"{key} is not a string")
    return value


def _number(claims: dict[str, Any], key: str) -> int:
    value = claims.get(key) or 0
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidJwt(f"{key} is not a number")
    return value
