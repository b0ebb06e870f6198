"""Keeps secrets out of logs and traces: CONNECT lines, URLs, seeds, JWTs, bcrypt hashes, private keys, `password=...`.

`redact` is the last step of every log line (`app/logs.py`), so a secret that reached a text by way of an error message
or a repr is still caught; `redact_connect` is for the one protocol line that is made of secrets. Both err on the side
of hiding: what cannot be understood is not shown. The mask is nats-server's, so its users' log filters go on working.

No pattern can know a bare password in running text. That passwords never get there is the job of the callers; this is
the net below them.
"""

from __future__ import annotations

import json
import re

MASK = "[REDACTED]"
URL_MASK = "xxxxx"
"""In place of a password in a URL, as nats-server prints it."""

SECRET_FIELDS = frozenset({"pass", "password", "auth_token", "token", "jwt", "sig", "nkey_seed", "seed", "proxy_sig"})
"""Fields of CONNECT that prove something. `sig` answers one nonce only, but costs nothing to hide; a JWT may be a
bearer."""

CONNECT_LINE_BYTES_MAX = 65536
"""Longer lines are not taken apart; no listener accepts them anyway."""

_WORDS = r"pass(?:word|wd|phrase)?|auth_?token|token|jwt|sig|secret|seed|private_?key|api_?key|cookie|authorization"
_NAME = rf"""(?<![A-Za-z])["']?(?:{_WORDS})["']?\s*[:=]\s*"""
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"-----BEGIN ([A-Z ]*(?:PRIVATE KEY|SEED|JWT))-----.*?(?:-----+END \1-----+|\Z)", re.DOTALL),
        MASK,
    ),
    # user:password@ and token@ of a URL; the user's name stays. The password may itself hold : and @.
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@\"']*):[^\s/\"']*@", re.IGNORECASE), rf"\1:{URL_MASK}@"),
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/:@\"']+@", re.IGNORECASE), rf"\1{URL_MASK}@"),
    # "name": "value", name="value", name: value. In quotes up to the closing one, else up to a separator.
    (re.compile(rf"""({_NAME})"(?:[^"\\]|\\.)*(?:"|\Z)""", re.IGNORECASE | re.DOTALL), rf'\1"{MASK}"'),
    (re.compile(rf"""({_NAME})'(?:[^'\\]|\\.)*(?:'|\Z)""", re.IGNORECASE | re.DOTALL), rf"\1'{MASK}'"),
    (
        re.compile(rf"""({_NAME})(?!{re.escape(MASK)})(?:Bearer\s+|Basic\s+)?[^\s,;}}\])"']+""", re.IGNORECASE),
        rf"\1{MASK}",
    ),
    # A seed: S, the role, base32.
    (re.compile(r"S[ACNOPUX][A-Z2-7]{56}"), MASK),
    # A JWT: three parts of base64url, the first of which is a JSON object.
    (re.compile(r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), MASK),
    (re.compile(r"\$2[abxy]\$\d{2}\$[./A-Za-z0-9]{1,53}"), MASK),
)
_SUSPICIOUS = re.compile(rf"{_WORDS}|://|S[ACNOPUX][A-Z2-7]{{8}}|eyJ|\$2|-----BEGIN", re.IGNORECASE)


def redact(text: str) -> str:
    """`text` with everything masked that looks like a secret; other text is returned as it is."""
    if _SUSPICIOUS.search(text) is None:
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redact_connect(line: bytes) -> str:
    """A CONNECT line for the protocol trace: `CONNECT {...}` with the secret fields masked, in the order they came.

    Only the field names count, whatever their case, at any depth. A line that is not JSON is shown as `CONNECT` alone.
    """
    operation, _, body = line.strip().partition(b" ")
    shown = operation[:7].decode("ascii", "replace")
    if len(line) > CONNECT_LINE_BYTES_MAX:
        return f"{shown} {MASK}"
    try:
        options = json.loads(body)
    except (ValueError, RecursionError):
        return f"{shown} {MASK}"
    if not isinstance(options, dict):
        return f"{shown} {MASK}"
    return f"{shown} {json.dumps(_masked(options), separators=(',', ':'), ensure_ascii=True)}"


def _masked(value: object) -> object:
    if isinstance(value, dict):
        return {name: MASK if name.lower() in SECRET_FIELDS else _masked(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner) for inner in value]
    # A name or language field may hold a URL or a seed by mistake.
    return redact(value) if isinstance(value, str) else value
