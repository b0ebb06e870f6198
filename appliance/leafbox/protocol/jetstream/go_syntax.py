"""Where and why Go's JSON scanner stops: texts such as `invalid character '}' looking for beginning of value`.

Only run after a parser has refused the input, to say so in the words that nats-server's clients know. Input is the
decoded text; the offset counts bytes up to and including the offending one, as Go's `SyntaxError.Offset` does.
"""

from __future__ import annotations

from leafbox.protocol.jetstream.go_time import go_quote

_SPACE = " \t\r\n"


class _Stop(Exception):
    """Scanning ended: with a message at an index, or (message empty) at the end of the input."""

    def __init__(self, message: str = "", index: int = 0) -> None:
        super().__init__(message)
        self.message, self.index = message, index


def syntax_error(text: str, start: int = 0) -> str:
    """The error text for the value that starts at character `start` of `text`, with its offset.

    `unexpected EOF` when the text just ends. Returns "" if Go would accept the value.
    """
    try:
        _value(text, _skip(text, start))
    except _Stop as stop:
        if not stop.message:
            return "unexpected EOF"
        return f"{stop.message} at offset {len(text[: stop.index + 1].encode('utf-8', 'surrogatepass'))}"
    return ""


def _skip(text: str, index: int) -> int:
    while index < len(text) and text[index] in _SPACE:
        index += 1
    return index


def _at(text: str, index: int) -> str:
    if index >= len(text):
        raise _Stop
    return text[index]


def _invalid(text: str, index: int, context: str) -> _Stop:
    character = text[index]
    shown = {"'": "'\\''", '"': "'\"'"}.get(character) or "'" + go_quote(character)[1:-1] + "'"
    return _Stop(f"invalid character {shown} {context}", index)


def _value(text: str, index: int) -> int:
    character = _at(text, index)
    if character == "{":
        return _object(text, index)
    if character == "[":
        return _array(text, index)
    if character == '"':
        return _string(text, index)
    if character in "-0123456789":
        return _number(text, index)
    for literal in ("true", "false", "null"):
        if character == literal[0]:
            return _literal(text, index, literal)
    raise _invalid(text, index, "looking for beginning of value")


def _object(text: str, index: int) -> int:
    index = _skip(text, index + 1)
    if _at(text, index) == "}":
        return index + 1
    while True:
        if _at(text, index) != '"':
            raise _invalid(text, index, "looking for beginning of object key string")
        index = _skip(text, _string(text, index))
        if _at(text, index) != ":":
            raise _invalid(text, index, "after object key")
        index = _skip(text, _value(text, _skip(text, index + 1)))
        if _at(text, index) == "}":
            return index + 1
        if text[index] != ",":
            raise _invalid(text, index, "after object key:value pair")
        index = _skip(text, index + 1)


def _array(text: str, index: int) -> int:
    index = _skip(text, index + 1)
    if _at(text, index) == "]":
        return index + 1
    while True:
        index = _skip(text, _value(text, index))
        if _at(text, index) == "]":
            return index + 1
        if text[index] != ",":
            raise _invalid(text, index, "after array element")
        index = _skip(text, index + 1)


def _string(text: str, index: int) -> int:
    index += 1
    while (character := _at(text, index)) != '"':
        if character < " ":
            raise _invalid(text, index, "in string literal")
        if character == "\\":
            index += 1
            escape = _at(text, index)
            if escape == "u":
                for digit in range(index + 1, index + 5):
                    if _at(text, digit) not in "0123456789abcdefABCDEF":
                        raise _Stop(f"invalid escape sequence `{text[index - 1 : digit + 1]}` in string", digit)
                index += 4
            elif escape not in '"\\/bfnrt':
                raise _Stop(f"invalid escape sequence `\\{escape}` in string", index)
        index += 1
    return index + 1


def _number(text: str, index: int) -> int:
    if text[index] == "-":
        index += 1
        if _at(text, index) not in "0123456789":
            raise _invalid(text, index, "in numeric literal")
    if text[index] == "0":
        index += 1
    else:
        index = _digits(text, index)
    if index < len(text) and text[index] == ".":
        index = _digits(text, index + 1, "after decimal point in numeric literal")
    if index < len(text) and text[index] in "eE":
        index += 1
        if _at(text, index) in "+-":
            index += 1
        index = _digits(text, index, "in exponent of numeric literal")
    return index


def _digits(text: str, index: int, context: str = "") -> int:
    if context and _at(text, index) not in "0123456789":
        raise _invalid(text, index, context)
    while index < len(text) and text[index] in "0123456789":
        index += 1
    return index


def _literal(text: str, index: int, literal: str) -> int:
    for offset, expected in enumerate(literal):
        if _at(text, index + offset) != expected:
            raise _invalid(text, index + offset, f"in literal {literal} (expecting '{expected}')")
    return index + len(literal)
