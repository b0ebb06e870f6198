"""The configuration digest: SHA-256 over the parsed tree as JSON, equal to what `nats-server -t` prints.

nats-server hashes Go's JSON of the tree: keys sorted by bytes, `< > &` and U+2028/9 escaped, invalid UTF-8 replaced,
floats in Go's shortest form, one newline at the end. Comments, order and file layout do not change the digest.
Source: Go `encoding/json` (escaping, float format), nats-server 2.15.1 `conf/parse.go`.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from decimal import Decimal

from leafbox.app.configuration.tree import Node, Value

_ESCAPED = re.compile('[\x00-\x1f"\\\\<>&\u2028\u2029\ud800-\udfff]')
_SHORT_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}


def config_digest(tree: dict[str, Node]) -> str:
    """`sha256:<hex>` of the tree."""
    parts: list[str] = []
    _encode(tree, parts)
    parts.append("\n")
    return "sha256:" + hashlib.sha256("".join(parts).encode()).hexdigest()


def _encode(value: Value, parts: list[str]) -> None:
    if isinstance(value, dict):
        parts.append("{")
        for index, key in enumerate(sorted(value, key=_key_bytes)):
            parts.append("," if index else "")
            parts.append(_quoted(key) + ":")
            _encode(value[key].value, parts)
        parts.append("}")
    elif isinstance(value, list):
        parts.append("[")
        for index, node in enumerate(value):
            parts.append("," if index else "")
            _encode(node.value, parts)
        parts.append("]")
    else:
        parts.append(_scalar(value))


def _key_bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")


def _scalar(value: str | int | float | bool | datetime) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _float(value)
        case datetime():
            return (
                f'"{value:%Y-%m-%dT%H:%M:%S}Z"' if value.year >= 1000 else f'"{value.year:04d}{value:-%m-%dT%H:%M:%S}Z"'
            )
        case str():
            return _quoted(value)


def _quoted(text: str) -> str:
    return '"' + _ESCAPED.sub(_escape, text) + '"'


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    if "\ud800" <= character <= "\udfff":
        return "\ufffd"
    return f"\\u{ord(character):04x}"


def _float(number: float) -> str:
    """Go's shortest form: plain digits between 1e-6 and 1e21, else an exponent without leading zeros."""
    magnitude = abs(number)
    if magnitude != 0 and (magnitude < 1e-6 or magnitude >= 1e21):
        mantissa, _, exponent = repr(number).partition("e")
        if not exponent:
            mantissa, _, exponent = f"{Decimal(repr(number)).normalize():e}".partition("e")
        sign = "-" if exponent.startswith("-") else "+"
        return f"{mantissa.removesuffix('.0')}e{sign}{exponent.lstrip('+-').lstrip('0').zfill(1)}"
    text = format(Decimal(repr(number)), "f")
    return text.removesuffix(".0") if "." in text else text
