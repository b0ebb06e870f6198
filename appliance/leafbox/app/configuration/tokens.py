"""Lexer of the nats.conf grammar: text in, tokens out, positions as nats-server reports them.

nats-server's lexer has habits that files in the field rely on, so they are kept: a lone `/` between values is skipped,
a bare number followed by `]` becomes a string, a top-level `{ }` is transparent (a JSON file is a configuration).
The lexer is a set of states; a stack says where to go on after a value or comment, so nesting costs no recursion.

Source: nats-server 2.15.1 `conf/lex.go` (behaviour, checked against the binary).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from leafbox.app.configuration.text_cursor import TextCursor, byte_count
from leafbox.protocol.errors import ConfigError


class TokenKind(enum.Enum):
    """What a token is."""

    KEY = enum.auto()
    STRING = enum.auto()
    BOOL = enum.auto()
    INTEGER = enum.auto()
    FLOAT = enum.auto()
    DATETIME = enum.auto()
    ARRAY_START = enum.auto()
    ARRAY_END = enum.auto()
    MAP_START = enum.auto()
    MAP_END = enum.auto()
    VARIABLE = enum.auto()
    INCLUDE = enum.auto()
    END = enum.auto()


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `text` is already unescaped."""

    kind: TokenKind
    text: str
    line: int
    column: int


# unicode.IsSpace; Python's `\s` also holds U+001C..U+001F, which are ordinary characters here.
_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_SPACES = re.compile(f"[{_SPACE}]*")
_IS_SPACE = re.compile(f"[{_SPACE}]")
_BLANKS = re.compile("[\t ]*")
_BARE_KEY = re.compile(f"[^{_SPACE}=:\0]*")
_COMMENT = re.compile("[^\n\r\0]*")
_BARE_STRING = re.compile("[^\\\\\n\r\0;,\\]}\t ']*")
_DOUBLE_QUOTED = re.compile('[^\\\\"\0]*')
_SINGLE_QUOTED = re.compile("[^'\0]*")
_INCLUDE_STRING = re.compile("[^\n\r\0;}\t ']*")
_DIGITS = re.compile(r"\d*")
_IS_DIGIT = re.compile(r"\d")
_SIZE_UNIT = re.compile("[bBiI]*")
_ADDRESS = re.compile(r"[\d.:\-]*")
_DATE_REST = "00-00T00:00:00Z"

_END = ("", "\0")
_NEWLINE = ("\n", "\r")
_BLANK = (" ", "\t")
_SEPARATOR = ("=", ":")
_AFTER_NUMBER = ("", "\0", "\n", "\r", "}", ";", ",", " ", "\t")
_SIZE_SUFFIX = frozenset("kKmMgGtTpPeE")
_BOOL_WORDS = frozenset(("true", "false", "on", "off", "yes", "no"))
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", '"': '"', "\\": "\\"}
_ARRAY_ENDS = 'an array value terminator "," or an array terminator "]"'
_MAP_ENDS = 'a map value terminator "," or a map terminator "}"'

_State = Callable[[], "_State | None"]


class Lexer(TextCursor):
    """Splits one text into tokens; raises `ConfigError` with nats-server's text for the first thing it cannot read."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._resume: list[_State] = []
        self._ready: list[Token] = []

    def tokens(self) -> Iterator[Token]:
        """All tokens up to and including `END`."""
        state: _State | None = self._top
        while state is not None:
            state = state()
            yield from self._ready
            self._ready.clear()

    # -- emitting tokens -----------------------------------------------------------------------------------------------

    def _emit(self, kind: TokenKind, start: int, end: int | None = None) -> None:
        stop = self._position if end is None else end
        self._ready.append(Token(kind, self._text[start:stop], self._line(), self._column(start, start)))

    def _emit_string(self, start: int, parts: list[str]) -> None:
        """A string with escapes: its column is counted back from its end by its unescaped length."""
        text = _joined_bytes("".join(parts))
        column = self._column(start, self._position) - byte_count(text)
        self._ready.append(Token(TokenKind.STRING, text, self._line(), column))

    def _error(self, reason: str) -> ConfigError:
        return ConfigError(f"Parse error on line {self._line()}: '{reason}'")

    def _finish(self, start: int) -> None:
        """Accept the end of the text, unless something was being read."""
        if self._position > start:
            raise self._error("Unexpected EOF.")
        self._emit(TokenKind.END, self._position)

    def _is_comment(self, first: str) -> bool:
        """Whether `first` starts a comment; a second slash is consumed."""
        if first == "#":
            return True
        if first != "/":
            return False
        if self._next() == "/":
            return True
        self._back()
        return False

    def _comment(self, then: _State) -> _State:
        self._skip(_COMMENT)
        return then

    # -- top level ---------------------------------------------------------------------------------------------------

    def _top(self) -> _State | None:
        self._skip(_SPACES)
        start = self._position
        character = self._next()
        if character == "{":
            self._resume.append(self._top)
            return self._block
        if self._is_comment(character):
            return self._comment(self._top)
        if character == "/" or character in _END:
            self._finish(start)
            return None
        self._back()
        self._resume.append(self._top_end)
        return self._key

    def _top_end(self) -> _State:
        while True:
            character = self._next()
            if self._is_comment(character):
                return self._comment(self._top)
            if character in _NEWLINE or character in _END or character in (";", ",", "}"):
                return self._top
            if character not in _BLANK and character != "/":
                raise self._error(
                    "Expected a top-level value to end with a new line, comment or EOF, but got "
                    f"'{_shown(character)}' instead."
                )

    def _block(self) -> _State | None:
        """Inside a top-level `{`; its keys belong to the top level."""
        self._skip(_SPACES)
        start = self._position
        character = self._next()
        if character == "{":
            self._resume.append(self._block_end)
            return self._block
        if character == "}":
            return self._resume.pop()
        if self._is_comment(character):
            return self._comment(self._block)
        if character == "/" or character in _END:
            self._finish(start)
            return None
        self._back()
        self._resume.append(self._block_value_end)
        return self._key

    def _block_value_end(self) -> _State:
        while True:
            character = self._next()
            if self._is_comment(character):
                return self._comment(self._block_value_end)
            if character in _NEWLINE or character in (";", ","):
                return self._block
            if character == "}":
                return self._resume.pop()
            if character not in _BLANK and character != "/":
                raise self._error(
                    "Expected a block-level value to end with a new line, comment or EOF, but got "
                    f"'{_shown(character)}' instead."
                )

    def _block_end(self) -> _State:
        while True:
            character = self._next()
            if self._is_comment(character):
                return self._comment(self._block)
            if character in (";", ","):
                return self._block
            if character == "}":
                return self._resume.pop()
            if character not in _NEWLINE and character not in _BLANK and character != "/":
                raise self._error(f"Expected a block-level to end with a '}}', but got '{_shown(character)}' instead.")

    def _key(self) -> _State | None:
        self._skip(_SPACES)
        character = self._peek()
        if character in _SEPARATOR:
            raise self._error(f"Unexpected key separator '{character}'")
        if character in ('"', "'"):
            return self._quoted_key(character)
        start = self._position
        self._next()
        self._skip(_BARE_KEY)
        if _IS_SPACE.match(self._peek()) and self._text[start : self._position].lower() == "include":
            return self._include()
        self._emit(TokenKind.KEY, start)
        return self._key_end

    def _quoted_key(self, quote: str) -> _State | None:
        self._next()
        start = self._position
        self._skip(re.compile(f"[^{quote}\0]*"))
        if self._peek() in _END:
            self._finish(start)
            return None
        self._emit(TokenKind.KEY, start)
        self._next()
        return self._key_end

    def _key_end(self) -> _State | None:
        self._skip(_SPACES)
        character = self._next()
        if character in _END:
            self._emit(TokenKind.END, self._position)
            return None
        if character not in _SEPARATOR:
            self._back()
        return self._value

    # -- include -----------------------------------------------------------------------------------------------------

    def _include(self) -> _State:
        self._skip(_BLANKS)
        character = self._next()
        for started, what in _INCLUDE_REFUSALS:
            if character and character in started:
                raise self._error(f"Expected include value but found {what}")
        if _IS_DIGIT.match(character):
            raise self._error("Expected include value but found start of a number")
        if character in ('"', "'"):
            start = self._position
            self._skip(re.compile(f"[^{character}\0]*"))
            if self._peek() in _END:
                self._next()
                raise self._error(f"Unexpected EOF in {'double ' if character == chr(34) else ''}quoted include")
            self._emit(TokenKind.INCLUDE, start)
            self._next()
            return self._resume.pop()
        self._back()
        start = self._position
        self._skip(_INCLUDE_STRING)
        self._emit(TokenKind.INCLUDE, start)
        if self._peek() == "'":
            self._next()
        return self._resume.pop()

    # -- values ------------------------------------------------------------------------------------------------------

    def _value(self) -> _State | None:
        self._skip(_BLANKS)
        start = self._position
        character = self._next()
        match character:
            case "[":
                self._emit(TokenKind.ARRAY_START, self._position)
                return self._array_value
            case "{":
                self._emit(TokenKind.MAP_START, self._position)
                return self._map_key
            case "'":
                return self._single_quoted()
            case '"':
                return self._string(self._position, is_quoted=True)
            case "-":
                return self._negative_number(start)
            case "(":
                return self._block_string()
            case ".":
                raise self._error("Floats must start with a digit")
            case "\n" | "\r":
                raise self._error("Expected value but found new line")
        if _IS_DIGIT.match(character):
            return self._number(start)
        self._back()
        return self._string(start, is_quoted=False)

    def _single_quoted(self) -> _State | None:
        start = self._position
        self._skip(_SINGLE_QUOTED)
        if self._peek() in _END:
            self._next()
            self._finish(start)
            return None
        self._emit(TokenKind.STRING, start)
        self._next()
        return self._resume.pop()

    def _string(self, start: int, is_quoted: bool) -> _State | None:
        """A double-quoted or bare string; both know backslash escapes."""
        pattern = _DOUBLE_QUOTED if is_quoted else _BARE_STRING
        parts: list[str] = []
        part_start = start
        while True:
            self._skip(pattern)
            character = self._next()
            if character != "\\":
                break
            parts.append(self._text[part_start : self._position - 1])
            parts.append(self._escape())
            part_start = self._position
        if is_quoted and character in _END:
            self._finish(part_start)
            return None
        self._back()
        parts.append(self._text[part_start : self._position])
        if is_quoted or character == "'":
            self._emit_string(start, parts)
            self._next()
        elif len(parts) > 1:
            self._emit_string(start, parts)
        else:
            self._emit_bare(start, parts[0])
        return self._resume.pop()

    def _emit_bare(self, start: int, text: str) -> None:
        if text.lower() in _BOOL_WORDS:
            self._emit(TokenKind.BOOL, start)
        elif text.startswith("$"):
            self._emit(TokenKind.VARIABLE, start + 1)
        else:
            self._emit(TokenKind.STRING, start)

    def _escape(self) -> str:
        character = self._next()
        if character == "x":
            return self._hex_escape()
        if character not in _ESCAPES:
            raise self._error(
                f"Invalid escape character '{_shown(character)}'. Only the following escape characters are allowed: "
                '\\xXX, \\t, \\n, \\r, \\", \\\\.'
            )
        return _ESCAPES[character]

    def _hex_escape(self) -> str:
        for _ in range(2):
            if self._next() in _NEWLINE:
                raise self._error("Expected two hexadecimal digits after '\\x', but hit end of line")
        digits = self._text[self._position - 2 : self._position]
        if not re.fullmatch("[0-9a-fA-F]{2}", digits):
            raise self._error(f"Expected two hexadecimal digits after '\\x', but got '{digits}'")
        byte = int(digits, 16)
        return chr(byte) if byte < 0x80 else chr(0xDC00 + byte)

    def _block_string(self) -> _State:
        """`(` ... `)` with the closing bracket alone on its line."""
        start = self._position
        while True:
            end = self._text.find(")", self._position)
            nul = self._text.find("\0", self._position, end if end >= 0 else len(self._text))
            if end < 0 or nul >= 0:
                self._position = len(self._text) if nul < 0 else nul + 1
                raise self._error("Unexpected EOF processing block.")
            self._position = end + 1
            if self._text[end - 1] != "\n" or self._peek() not in ("\n", "", "\0"):
                continue
            # At the very end of the text nats-server keeps the bracket in the value.
            stop = end + 1 if self._position == len(self._text) else end
            self._emit(TokenKind.STRING, start, stop)
            return self._resume.pop()

    # -- numbers, dates, addresses -----------------------------------------------------------------------------------

    def _number(self, start: int) -> _State | None:
        self._skip(_DIGITS)
        character = self._next()
        if character == "-":
            if byte_count(self._text[start : self._position]) != 5:
                raise self._error("All ISO8601 dates must be in full Zulu form.")
            return self._date(start)
        if character == ".":
            return self._float(start)
        if character in _SIZE_SUFFIX:
            return self._sized_number(start)
        if character not in _AFTER_NUMBER:
            return self._string(start, is_quoted=False)
        self._back()
        self._emit(TokenKind.INTEGER, start)
        return self._resume.pop()

    def _negative_number(self, start: int) -> _State | None:
        character = self._next()
        if not _IS_DIGIT.match(character):
            if character == ".":
                raise self._error("Floats must start with a digit, not '.'.")
            raise self._error(f"Expected a digit but got '{_shown(character)}'.")
        self._skip(_DIGITS)
        character = self._next()
        if character == ".":
            return self._float(start)
        if character in _SIZE_SUFFIX:
            return self._sized_number(start)
        self._back()
        self._emit(TokenKind.INTEGER, start)
        return self._resume.pop()

    def _sized_number(self, start: int) -> _State | None:
        self._skip(_SIZE_UNIT)
        character = self._peek()
        if character in _AFTER_NUMBER or _IS_DIGIT.match(character):
            self._emit(TokenKind.INTEGER, start)
            return self._resume.pop()
        return self._string(start, is_quoted=False)

    def _float(self, start: int) -> _State:
        character = self._next()
        if not _IS_DIGIT.match(character):
            raise self._error(f"Floats must have a digit after the '.', but got '{_shown(character)}' instead.")
        self._skip(_DIGITS)
        if self._peek() == ".":
            self._skip(_ADDRESS)
            self._emit(TokenKind.STRING, start)
        else:
            self._emit(TokenKind.FLOAT, start)
        return self._resume.pop()

    def _date(self, start: int) -> _State:
        for wanted in _DATE_REST:
            character = self._next()
            if wanted == "0":
                if not _IS_DIGIT.match(character):
                    raise self._error(f"Expected digit in ISO8601 datetime, but found '{_shown(character)}' instead.")
            elif wanted != character:
                raise self._error(f"Expected '{wanted}' in ISO8601 datetime, but found '{_shown(character)}' instead.")
        self._emit(TokenKind.DATETIME, start)
        return self._resume.pop()

    # -- arrays ------------------------------------------------------------------------------------------------------

    def _array_value(self) -> _State:
        self._skip(_SPACES)
        character = self._next()
        if self._is_comment(character):
            return self._comment(self._array_value)
        if character in (",", "/"):
            raise self._error("Unexpected array value terminator ','.")
        if character == "]":
            return self._array_end()
        self._back()
        self._resume.append(self._array_value_end)
        return self._value

    def _array_value_end(self) -> _State:
        self._skip(_BLANKS)
        character = self._next()
        if self._is_comment(character):
            return self._comment(self._array_value_end)
        if character in (",", "/") or character in _NEWLINE:
            return self._array_value
        if character == "]":
            return self._array_end()
        raise self._error(f"Expected {_ARRAY_ENDS}, but got '{_shown(character)}' instead.")

    def _array_end(self) -> _State:
        self._emit(TokenKind.ARRAY_END, self._position)
        return self._resume.pop()

    # -- maps --------------------------------------------------------------------------------------------------------

    def _map_key(self) -> _State:
        self._skip(_SPACES)
        character = self._peek()
        if character in _SEPARATOR:
            raise self._error(f"Unexpected key separator '{character}'.")
        if character == "]":
            raise self._error(f"Unexpected array end '{character}' processing map.")
        if character == "}":
            self._next()
            return self._map_end()
        if character in ("#", "/"):
            self._next()
            if self._is_comment(character):
                return self._comment(self._map_key)
        elif character in ("'", '"'):
            return self._quoted_map_key(character)
        elif character in _END:
            raise self._error("Unexpected EOF processing map.")
        start = self._position
        self._next()
        self._skip(_BARE_KEY)
        if self._peek() in _END:
            raise self._error("Unexpected EOF processing map key.")
        if _IS_SPACE.match(self._peek()) and self._text[start : self._position].lower() == "include":
            self._resume.append(self._map_value_end)
            return self._include()
        self._emit(TokenKind.KEY, start)
        return self._map_key_end

    def _quoted_map_key(self, quote: str) -> _State:
        self._next()
        start = self._position
        self._skip(re.compile(f"[^{quote}\0]*"))
        if self._peek() in _END:
            raise self._error(f"Unexpected EOF processing {'double ' if quote == chr(34) else ''}quoted map key.")
        self._emit(TokenKind.KEY, start)
        self._next()
        return self._map_key_end

    def _map_key_end(self) -> _State:
        self._skip(_SPACES)
        if self._peek() in _SEPARATOR:
            self._next()
        return self._map_value

    def _map_value(self) -> _State:
        self._skip(_SPACES)
        character = self._peek()
        if character == ",":
            self._next()
            raise self._error('Unexpected map value terminator ",".')
        if character == "}":
            self._next()
            return self._map_end()
        self._resume.append(self._map_value_end)
        return self._value

    def _map_value_end(self) -> _State:
        self._skip(_BLANKS)
        character = self._next()
        if self._is_comment(character):
            return self._comment(self._map_value_end)
        if character in (";", ",", "/") or character in _NEWLINE:
            return self._map_key
        if character == "}":
            return self._map_end()
        raise self._error(f"Expected {_MAP_ENDS}, but got '{_shown(character)}' instead.")

    def _map_end(self) -> _State:
        self._emit(TokenKind.MAP_END, self._position)
        return self._resume.pop()


_INCLUDE_REFUSALS = (
    ("[", "start of an array"),
    ("{", "start of a map"),
    ("(", "start of a block"),
    ("-", "start of a number"),
    ("\\", "escape sequence"),
    ("\n\r", "new line"),
)


def _shown(character: str) -> str:
    """A character in an error text: the end shows as NUL, a newline escaped."""
    return {"": "\0", "\n": "\\n"}.get(character, character)


def _joined_bytes(text: str) -> str:
    """Let `\\x` escapes of one UTF-8 sequence become the character they spell."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
