"""Credentials files (`.creds`): a user JWT and the seed it was issued for, in two armoured blocks.

Only what a client of somebody else's account needs: the token is sent as it is and judged by the hub. Its times are
read so that an expired token, or a box whose clock is wrong, can be named before the hub says no.
Source: the format that `nsc` writes (ADR-14).
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field

import msgspec

from leafbox.protocol.errors import LeafboxError
from leafbox.protocol.nkeys import InvalidNkey, KeyPair, KeyRole

BLOCK = re.compile(r"-{3,}[^\n]*-{3,}\r?\n(.+?)\r?\n-{3,}[^\n]*-{3,}(?:\r?\n|\Z)", re.DOTALL)


class InvalidCredentials(LeafboxError):
    """A text that is no credentials file. Neither token nor seed are part of the text of this error."""


@dataclass(frozen=True, slots=True)
class UserCredentials:
    """What a credentials file holds; times are wall-clock seconds, 0 where the token says nothing."""

    jwt: str = field(repr=False)
    keys: KeyPair
    not_before_s: int = 0
    expires_s: int = 0


class _Times(msgspec.Struct):
    exp: int = 0
    nbf: int = 0


def parse_credentials(text: str) -> UserCredentials:
    """The token and the key pair of a credentials file. Raises `InvalidCredentials`."""
    blocks = [found.strip() for found in BLOCK.findall(text)]
    if len(blocks) < 2:
        raise InvalidCredentials("no user JWT and seed found in it")
    jwt = "".join(blocks[0].split())
    try:
        keys = KeyPair.from_seed(blocks[1])
    except InvalidNkey as error:
        raise InvalidCredentials(f"its seed is not usable: {error}") from error
    if keys.role is not KeyRole.USER:
        raise InvalidCredentials(f"its seed is a {keys.role.name.lower()}'s, not a user's")
    times = _times(jwt)
    return UserCredentials(jwt, keys, times.nbf, times.exp)


def _times(jwt: str) -> _Times:
    parts = jwt.split(".")
    if len(parts) != 3:
        raise InvalidCredentials("its first block is no JWT")
    try:
        claims = base64.b64decode(parts[1] + "=" * (-len(parts[1]) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(claims, type=_Times)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise InvalidCredentials("its first block is no JWT") from error
