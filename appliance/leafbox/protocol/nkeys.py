"""NKeys: Ed25519 and X25519 keys in the textual form of NATS, with role, checksum and signatures.

Layout before base32 (RFC 4648 alphabet, no padding)::

    public   | prefix 8 | key 32 bytes                    | CRC-16 little-endian |   56 characters
    seed     | S + role (5 bits of 'S', 8 of the role, 3 zero) | seed 32 bytes | CRC-16 |   58 characters

The prefix byte is chosen so that the text starts with the role's letter. CRC-16 is CCITT/XMODEM (polynomial 0x1021,
start 0). Source: nats-io/nkeys, ADR-14. Keys come from configuration files and from strangers, so every text is
checked: alphabet, length, checksum, role, and that it is the one canonical form of its key.

Secrets (`KeyPair`) show nothing in `repr`. Not here: JWT, encryption to curve keys.
"""

from __future__ import annotations

import base64
import binascii
import enum

import nacl.bindings
import nacl.exceptions
import nacl.signing
import nacl.utils

from leafbox.protocol.errors import LeafboxError

KEY_BYTES = 32
SIGNATURE_BYTES = 64
PUBLIC_CHARACTERS = 56
SEED_CHARACTERS = 58

_SEED_PREFIX = 18 << 3
"""Makes the text start with `S`."""


class KeyRole(enum.Enum):
    """What a key may speak for; the value is the prefix byte."""

    ACCOUNT = 0
    CLUSTER = 2 << 3
    SERVER = 13 << 3
    OPERATOR = 14 << 3
    USER = 20 << 3
    CURVE = 23 << 3

    @property
    def letter(self) -> str:
        """First character of the public key's text."""
        return "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[self.value >> 3]


class InvalidNkey(LeafboxError):
    """A text that is not an NKey, or not one of the wanted role. Seeds are never part of the text of this error."""


def encode_public(role: KeyRole, key: bytes) -> str:
    """The public key's text; `key` is the raw 32-byte Ed25519 (for CURVE: X25519) public key."""
    assert len(key) == KEY_BYTES
    return _to_base32(bytes([role.value]) + key)


def decode_public(text: str, role: KeyRole | None = None) -> bytes:
    """The raw 32-byte key of a public NKey. Raises `InvalidNkey`, also if it is not of the wanted `role`."""
    data = _from_base32(text, PUBLIC_CHARACTERS, "public nkey")
    found = _role_of(data[0], "public nkey")
    if role is not None and found is not role:
        raise InvalidNkey(f"public nkey is of role {found.name.lower()}, not {role.name.lower()}")
    return data[1:]


def role_of_public(text: str) -> KeyRole:
    """The role of a public NKey. Raises `InvalidNkey`."""
    return _role_of(_from_base32(text, PUBLIC_CHARACTERS, "public nkey")[0], "public nkey")


def is_public(text: str, role: KeyRole) -> bool:
    """Whether `text` is a well-formed public key of `role`."""
    try:
        decode_public(text, role)
    except InvalidNkey:
        return False
    return True


def verify(public: str, message: bytes, signature: bytes) -> bool:
    """Whether `signature` over `message` was made by the owner of `public`; False for anything malformed."""
    try:
        key = decode_public(public)
        if role_of_public(public) is KeyRole.CURVE or len(signature) != SIGNATURE_BYTES:
            return False
        nacl.signing.VerifyKey(key).verify(message, signature)
    except (InvalidNkey, nacl.exceptions.BadSignatureError):
        return False
    return True


def decode_signature(text: str) -> bytes:
    """CONNECT's `sig`: base64url without padding or, as older clients send it, standard base64 with padding.

    Raises `InvalidNkey`.
    """
    try:
        if "+" in text or "/" in text or "=" in text:
            return base64.b64decode(text, validate=True)
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidNkey("signature is not base64") from error


class KeyPair:
    """A private key with its role. Make one with `from_seed` or `create`."""

    __slots__ = ("_seed", "_signing_key", "public", "role")

    def __init__(self, role: KeyRole, raw_seed: bytes) -> None:
        assert len(raw_seed) == KEY_BYTES
        self.role = role
        self._seed = raw_seed
        self._signing_key: nacl.signing.SigningKey | None = None
        if role is KeyRole.CURVE:
            public = nacl.bindings.crypto_scalarmult_base(raw_seed)
        else:
            self._signing_key = nacl.signing.SigningKey(raw_seed)
            public = bytes(self._signing_key.verify_key)
        self.public = encode_public(role, public)

    @classmethod
    def create(cls, role: KeyRole) -> KeyPair:
        """A new random key from the system's entropy."""
        return cls(role, nacl.utils.random(KEY_BYTES))

    @classmethod
    def from_seed(cls, text: str) -> KeyPair:
        """The pair of a seed (`SU...`, `SA...`). Raises `InvalidNkey`, whose text does not show the seed."""
        data = _from_base32(text.strip(), SEED_CHARACTERS, "seed")
        if data[0] & 0xF8 != _SEED_PREFIX:
            raise InvalidNkey("seed does not start with S")
        # The role's prefix is spread over two bytes: its upper 5 bits after the S, its last 3 in the next byte.
        prefix = (data[0] & 0x07) << 5 | (data[1] & 0xF8) >> 3
        return cls(_role_of(prefix, "seed"), data[2:])

    @property
    def seed(self) -> str:
        """The seed's text: a secret, never logged."""
        first = _SEED_PREFIX | self.role.value >> 5
        return _to_base32(bytes([first, (self.role.value & 31) << 3]) + self._seed)

    @property
    def raw_seed(self) -> bytes:
        """The 32 secret bytes (for CURVE: the X25519 private key)."""
        return self._seed

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature; curve keys cannot sign (`InvalidNkey`)."""
        if self._signing_key is None:
            raise InvalidNkey("a curve key cannot sign")
        return self._signing_key.sign(message).signature

    def __repr__(self) -> str:
        return f"KeyPair({self.public})"


def _to_base32(data: bytes) -> str:
    checksum = binascii.crc_hqx(data, 0).to_bytes(2, "little")
    return base64.b32encode(data + checksum).rstrip(b"=").decode()


def _from_base32(text: str, characters: int, what: str) -> bytes:
    """The bytes before the checksum. Errors do not repeat the text: it may be a seed put in the wrong place."""
    if len(text) != characters:
        raise InvalidNkey(f"{what} has {len(text)} characters, not {characters}")
    try:
        data = base64.b32decode(text.encode("ascii") + b"=" * (-characters % 8))
    except (binascii.Error, UnicodeEncodeError) as error:
        raise InvalidNkey(f"{what} is not base32") from error
    body, checksum = data[:-2], data[-2:]
    if binascii.crc_hqx(body, 0).to_bytes(2, "little") != checksum:
        raise InvalidNkey(f"{what} has a wrong checksum")
    # 58 characters hold two bits more than a seed: without this, four texts would name one seed.
    if _to_base32(body) != text:
        raise InvalidNkey(f"{what} is not in its canonical form")
    return body


def _role_of(prefix: int, what: str) -> KeyRole:
    try:
        return KeyRole(prefix)
    except ValueError:
        raise InvalidNkey(f"{what} has an unknown role") from None
