"""Values printed the way nats-server prints them, so that its error texts can be reproduced word for word.

nats-server's texts come from Go's fmt verbs: `%q` (quoted), `%T` (type), `%v` (plain). Source: Go `strconv`, `fmt`.
"""

from __future__ import annotations

from datetime import datetime

from leafbox.app.configuration.tree import Value

_SHORT = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", '"': '\\"'}


def quoted(text: str) -> str:
    """`%q`: double quotes, backslash escapes for everything that does not print."""
    return '"' + "".join(_quoted_character(character) for character in text) + '"'


def _quoted_character(character: str) -> str:
    code = ord(character)
    if character == "\\":
        return "\\\\"
    if character in _SHORT:
        return _SHORT[character]
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if character.isprintable():
        return character
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def quoted_list(texts: list[str] | tuple[str, ...]) -> str:
    """`%q` of a list of strings."""
    return "[" + " ".join(quoted(text) for text in texts) + "]"


def type_name(value: Value) -> str:
    """`%T` of a parsed value."""
    match value:
        case bool():
            return "bool"
        case int():
            return "int64"
        case float():
            return "float64"
        case str():
            return "string"
        case datetime():
            return "time.Time"
        case list():
            return "[]interface {}"
        case dict():
            return "map[string]interface {}"


def shown(value: Value) -> str:
    """`%v` of a parsed value; inside maps and arrays Go prints addresses, we print the values."""
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return float_text(value)
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S} +0000 UTC"
        case list():
            return "[" + " ".join(shown(node.value) for node in value) + "]"
        case dict():
            return "map[" + " ".join(f"{key}:{shown(value[key].value)}" for key in sorted(value)) + "]"
        case _:
            return str(value)


def float_text(number: float) -> str:
    """`%v` of a float: shortest form, exponent below 1e-4 and from 1e21."""
    magnitude = abs(number)
    if number == int(number) and magnitude < 1e21:
        return str(int(number))
    if magnitude and (magnitude < 1e-4 or magnitude >= 1e21):
        mantissa, _, exponent = f"{number!r}".partition("e")
        if exponent:
            return f"{mantissa}e{exponent[0] if exponent[0] in '+-' else '+'}{exponent.lstrip('+-').zfill(2)}"
    return repr(number)
