"""What must not be in a log is not in it, and the rest is still readable."""

from __future__ import annotations

import pytest

from leafbox.protocol.nkeys import KeyPair, KeyRole
from leafbox.security.redact import redact, redact_connect

pytestmark = pytest.mark.capability("SE22")

SEED = KeyPair(KeyRole.USER, bytes(range(32))).seed
JWT = "eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.eyJqdGkiOiJYIn0.c2lnbmF0dXJl"
HASH = "$2a$11$" + "aB./" * 13 + "x"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, nothing to hide", "plain text, nothing to hide"),
        ("dialling nats://anna:s3cret@hub:7422", "dialling nats://anna:xxxxx@hub:7422"),
        ("dialling tls://s3cret@hub", "dialling tls://xxxxx@hub"),
        ("nats://a:p:w@x@hub/x and ws://b:c@d", "nats://a:xxxxx@hub/x and ws://b:xxxxx@d"),
        ("http://hub:8222/varz mail a@b", "http://hub:8222/varz mail a@b"),
        ('{"user":"anna","pass":"s3cret","lang":"py"}', '{"user":"anna","pass":"[REDACTED]","lang":"py"}'),
        ('{"pass" : "s3\\"cret"}', '{"pass" : "[REDACTED]"}'),
        ('{"pass":"s3cret', '{"pass":"[REDACTED]"'),
        ("password: s3cret, user: anna", "password: [REDACTED], user: anna"),
        ("PASSWORD=s3cret", "PASSWORD=[REDACTED]"),
        ("auth_token='s3 cret' rest", "auth_token='[REDACTED]' rest"),
        ("Authorization: Bearer s3cret.x", "Authorization: [REDACTED]"),
        ("cookie=s3cret; path", "cookie=[REDACTED]; path"),
        ("bypass: open", "bypass: open"),
        (f"seed is {SEED}.", "seed is [REDACTED]."),
        (f"bad user {JWT}", "bad user [REDACTED]"),
        (f"hash {HASH}", "hash [REDACTED]"),
        ("-----BEGIN USER NKEY SEED-----\nabc\n------END USER NKEY SEED------\nrest", "[REDACTED]\nrest"),
        ("-----BEGIN PRIVATE KEY-----\nabc", "[REDACTED]"),
        ("-----BEGIN CERTIFICATE-----\nabc", "-----BEGIN CERTIFICATE-----\nabc"),
    ],
)
def test_texts(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert redact(shown) == shown


def test_public_keys_stay() -> None:
    public = KeyPair.create(KeyRole.USER).public
    assert redact(f"user {public}") == f"user {public}"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            b'CONNECT {"verbose":false,"user":"anna","pass":"s3cret",'
            b'"auth_token":"t","jwt":"j","sig":"s","lang":"py"}\r\n',
            'CONNECT {"verbose":false,"user":"anna","pass":"[REDACTED]","auth_token":"[REDACTED]","jwt":"[REDACTED]",'
            '"sig":"[REDACTED]","lang":"py"}',
        ),
        (b'connect {"PASS":["s3cret"],"x":[{"pass":1}]}', 'connect {"PASS":"[REDACTED]","x":[{"pass":"[REDACTED]"}]}'),
        (b'CONNECT {"name":"nats://a:b@c"}', 'CONNECT {"name":"nats://a:xxxxx@c"}'),
        (b'CONNECT {"pass":"s3cret"', "CONNECT [REDACTED]"),
        (b'CONNECT ["s3cret"]', "CONNECT [REDACTED]"),
        (b"CONNECT s3cret", "CONNECT [REDACTED]"),
        (b"CONNECT", "CONNECT [REDACTED]"),
        (b"CONNECT " + b"[" * 60_000, "CONNECT [REDACTED]"),
        (b'CONNECT {"pass":"' + b"x" * 70_000 + b'"}', "CONNECT [REDACTED]"),
        (b'CONNECT {"pass":"\xff\xfe"}', "CONNECT [REDACTED]"),
        (b'CONNECT {"name":"a\\nb"}', 'CONNECT {"name":"a\\nb"}'),
    ],
)
def test_connect_lines(line: bytes, shown: str) -> None:
    assert redact_connect(line) == shown
