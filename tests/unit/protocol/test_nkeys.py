"""NKeys against the reference package `nkeys` and against everything that is not one."""

from __future__ import annotations

import base64
import binascii

import hypothesis.strategies as st
import nkeys as reference
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given

from leafbox.protocol.nkeys import (
    InvalidNkey,
    KeyPair,
    KeyRole,
    decode_public,
    decode_signature,
    encode_public,
    is_public,
    role_of_public,
    verify,
)

SIGNING_ROLES = [role for role in KeyRole if role is not KeyRole.CURVE]


@pytest.mark.parametrize(
    ("role", "letter"),
    [
        (KeyRole.ACCOUNT, "A"),
        (KeyRole.CLUSTER, "C"),
        (KeyRole.SERVER, "N"),
        (KeyRole.OPERATOR, "O"),
        (KeyRole.USER, "U"),
        (KeyRole.CURVE, "X"),
    ],
)
def test_a_key_starts_with_its_roles_letter(role: KeyRole, letter: str) -> None:
    pair = KeyPair.create(role)
    assert pair.public[0] == role.letter == letter
    assert pair.seed[:2] == "S" + letter
    assert (len(pair.public), len(pair.seed)) == (56, 58)
    assert role_of_public(pair.public) is role


@given(raw=st.binary(min_size=32, max_size=32), role=st.sampled_from(SIGNING_ROLES), message=st.binary())
def test_keys_and_signatures_are_those_of_the_reference(raw: bytes, role: KeyRole, message: bytes) -> None:
    theirs = reference.from_seed(reference.encode_seed(raw, role.value))
    ours = KeyPair.from_seed(theirs.seed.decode())
    assert ours.public == theirs.public_key.decode()
    assert ours.seed == theirs.seed.decode()
    assert ours.sign(message) == theirs.sign(message)
    assert verify(ours.public, message, theirs.sign(message))


@given(raw=st.binary(min_size=32, max_size=32), role=st.sampled_from(KeyRole))
def test_text_and_key_are_inverse(raw: bytes, role: KeyRole) -> None:
    assert decode_public(encode_public(role, raw), role) == raw
    assert KeyPair.from_seed(KeyPair(role, raw).seed).raw_seed == raw


def test_a_signature_of_another_message_key_or_length_does_not_verify() -> None:
    pair, other = KeyPair.create(KeyRole.USER), KeyPair.create(KeyRole.USER)
    signature = pair.sign(b"nonce")
    assert verify(pair.public, b"nonce", signature)
    assert not verify(pair.public, b"Nonce", signature)
    assert not verify(other.public, b"nonce", signature)
    assert not verify(pair.public, b"nonce", signature[:-1])
    assert not verify(pair.public, b"nonce", b"")
    assert not verify("not a key", b"nonce", signature)


def test_a_curve_key_neither_signs_nor_verifies() -> None:
    curve = KeyPair.create(KeyRole.CURVE)
    with pytest.raises(InvalidNkey, match="cannot sign"):
        curve.sign(b"x")
    assert not verify(curve.public, b"x", bytes(64))


@given(raw=st.binary(min_size=32, max_size=32))
def test_a_curve_seed_gives_the_x25519_public_key(raw: bytes) -> None:
    expected = X25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw()
    assert decode_public(KeyPair(KeyRole.CURVE, raw).public, KeyRole.CURVE) == expected


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: "", "0 characters, not 56"),
        (lambda text: text[:-1], "55 characters"),
        (lambda text: text + "A", "57 characters"),
        (lambda text: text.lower(), "not base32"),
        (lambda text: text[:-1] + "1", "not base32"),
        (lambda text: text[:-1] + "é", "not base32"),
        (lambda text: text[:20] + ("A" if text[20] != "A" else "B") + text[21:], "wrong checksum"),
    ],
)
def test_a_damaged_public_key_is_refused_with_the_reason(change: object, reason: str) -> None:
    assert callable(change)
    text = KeyPair(KeyRole.USER, bytes(range(32))).public
    with pytest.raises(InvalidNkey, match=reason):
        decode_public(change(text))


def test_a_key_of_another_role_is_refused() -> None:
    account = KeyPair.create(KeyRole.ACCOUNT).public
    with pytest.raises(InvalidNkey, match="of role account, not user"):
        decode_public(account, KeyRole.USER)
    assert is_public(account, KeyRole.ACCOUNT)
    assert not is_public(account, KeyRole.USER)
    assert not is_public("junk", KeyRole.USER)


def test_an_unknown_role_is_refused() -> None:
    unknown = reference.encode_seed(bytes(32), KeyRole.USER.value).decode()
    data = bytearray(base64.b32decode(unknown + "=" * 6)[:-2])
    data[1] = 7 << 3
    text = base64.b32encode(bytes(data) + binascii.crc_hqx(bytes(data), 0).to_bytes(2, "little")).rstrip(b"=").decode()
    with pytest.raises(InvalidNkey, match="unknown role"):
        KeyPair.from_seed(text)


def test_errors_and_repr_never_show_a_seed() -> None:
    pair = KeyPair.create(KeyRole.USER)
    assert pair.seed not in repr(pair)
    damaged = pair.seed[:30] + ("A" if pair.seed[30] != "A" else "B") + pair.seed[31:]
    for text in (damaged, pair.seed[:-1], pair.seed + "A", pair.public):
        with pytest.raises(InvalidNkey) as caught:
            KeyPair.from_seed(text)
        assert text[4:20] not in str(caught.value)


def test_a_seed_in_another_spelling_is_refused() -> None:
    """58 characters hold 290 bits, a seed only 288: the last character has spare bits."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    seed = KeyPair.create(KeyRole.USER).seed
    spare = alphabet[alphabet.index(seed[-1]) ^ 1]
    with pytest.raises(InvalidNkey, match="canonical"):
        KeyPair.from_seed(seed[:-1] + spare)


def test_a_seed_may_be_surrounded_by_white_space() -> None:
    """Seeds are read from files that end in a newline."""
    pair = KeyPair.create(KeyRole.USER)
    assert KeyPair.from_seed(f" {pair.seed}\n").public == pair.public


@given(raw=st.binary(min_size=64, max_size=64))
def test_signatures_are_read_in_both_spellings(raw: bytes) -> None:
    assert decode_signature(base64.urlsafe_b64encode(raw).rstrip(b"=").decode()) == raw
    assert decode_signature(base64.b64encode(raw).decode()) == raw


@given(text=st.text())
def test_any_text_is_read_or_refused_as_a_signature(text: str) -> None:
    try:
        decode_signature(text)
    except InvalidNkey:
        return


@given(text=st.text(), signature=st.binary())
def test_any_text_is_no_key(text: str, signature: bytes) -> None:
    assert not verify(text, b"", signature)
