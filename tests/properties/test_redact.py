"""Whatever the secret and whatever stands around it, it is not in what is logged."""

from __future__ import annotations

import json

import hypothesis.strategies as st
import pytest
from hypothesis import given

from leafbox.protocol.nkeys import KeyPair, KeyRole
from leafbox.security.redact import SECRET_FIELDS, redact, redact_connect

pytestmark = pytest.mark.capability("SE22")

# The marker keeps a secret from being part of what surrounds it, such as a field name.
MARKER = "zQ7"
SECRETS = st.text(st.characters(exclude_categories=()), min_size=4, max_size=40).map(lambda text: MARKER + text)
FIELDS = st.sampled_from(sorted(SECRET_FIELDS)).flatmap(
    lambda name: st.sampled_from([name, name.upper(), name.title()])
)
OTHERS = st.dictionaries(st.text(max_size=5), st.one_of(st.booleans(), st.integers(), st.text(max_size=5)), max_size=4)


def visible(secret: str, shown: str) -> bool:
    """Whether the secret can be read in the text, plainly or in JSON's spelling."""
    return secret in shown or json.dumps(secret)[1:-1] in shown or json.dumps(secret, ensure_ascii=False)[1:-1] in shown


@given(secret=SECRETS, field=FIELDS, before=OTHERS, after=OTHERS, depth=st.integers(0, 3), ascii_only=st.booleans())
def test_a_secret_field_of_connect_is_never_shown(
    secret: str, field: str, before: dict[str, object], after: dict[str, object], depth: int, ascii_only: bool
) -> None:
    options: object = {**before, field: secret, **{name: value for name, value in after.items() if name != field}}
    for _ in range(depth):
        options = {"nested": [options]}
    body = json.dumps(options, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    assert not visible(secret, redact_connect(b"CONNECT " + body))


@given(secret=SECRETS, cut=st.integers(0, 200))
def test_a_broken_connect_shows_nothing(secret: str, cut: int) -> None:
    line = b"CONNECT " + json.dumps({"user": "a", "pass": secret, "lang": "py"}).encode()
    shown = redact_connect(line[:cut])
    assert not visible(secret, shown)


@given(line=st.binary(max_size=200))
def test_any_bytes_can_be_shown(line: bytes) -> None:
    redact_connect(b"CONNECT " + line).encode()


@given(
    before=st.text(max_size=20),
    after=st.text(max_size=20),
    raw=st.binary(min_size=32, max_size=32),
    role=st.sampled_from(KeyRole),
)
def test_a_seed_is_never_shown(before: str, after: str, raw: bytes, role: KeyRole) -> None:
    seed = KeyPair(role, raw).seed
    assert seed not in redact(before + seed + after)


WORDS = st.text(
    alphabet="abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:@!$%&*+=?^_|~.-", min_size=4
).map(lambda text: MARKER + text)


@given(
    secret=WORDS,
    user=st.text(alphabet="abc_", max_size=5),
    scheme=st.sampled_from(["nats", "tls", "wss", "mqtt", "nats-leaf"]),
)
def test_a_password_in_a_url_is_never_shown(secret: str, user: str, scheme: str) -> None:
    assert secret not in redact(f"cannot reach {scheme}://{user}:{secret}@hub.example:7422/path: refused")


@given(
    secret=WORDS,
    name=st.sampled_from(["password", "pass", "token", "auth_token"]),
    quote=st.sampled_from(["", '"', "'"]),
)
def test_a_named_secret_is_never_shown(secret: str, name: str, quote: str) -> None:
    assert secret not in redact(f"user=x {name}={quote}{secret}{quote} more")


@given(text=st.text())
def test_masking_twice_changes_nothing_more(text: str) -> None:
    assert redact(redact(text)) == redact(text)
