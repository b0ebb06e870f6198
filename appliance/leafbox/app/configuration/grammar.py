"""Parser of the nats.conf grammar: tokens in, a tree of values with positions out.

Covers variables (scopes from the inside out, then the environment, whose text is itself a value), includes, JSON files,
size suffixes and duplicates (the last one wins). No I/O but through the reader it is given; raises nothing but
`ConfigError`, with nats-server's text.

Values and keys are matched by two stacks, as in nats-server: a key without a value (`a { b = }`) leaves its key for
the enclosing map, which then reports that key as unknown. Files in the field depend on neither, but error texts do.
Source: nats-server 2.15.1 `conf/parse.go` (behaviour, checked against the binary).
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from leafbox.app.configuration.tokens import Lexer, Token, TokenKind
from leafbox.app.configuration.tree import Node, Value
from leafbox.protocol.errors import ConfigError

Reader = Callable[[str], bytes]
"""Returns a file's content; raises OSError."""

NESTING_MAX = 100
"""Maps and arrays inside each other; production files stay below 10, JSON tools refuse beyond 100..1000."""
INCLUDE_DEPTH_MAX = 32
"""Files that include files; nats-server has no limit and dies of stack overflow on a cycle."""
UNFOLDED_NODES_MAX = 1_000_000
"""Nodes of the tree with references unfolded; ten lines of nested references could otherwise take all memory."""
INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)

_BCRYPT_PREFIX = "2a$"
_ENVIRONMENT_KEY = "pk"
_SIZE_FACTORS = {"": 1} | {
    suffix: factor
    for power, letter in enumerate("kmgtpe", start=1)
    for suffix, factor in (
        (letter, 1000**power),
        (letter + "b", 1024**power),
        (letter + "i", 1024**power),
        (letter + "ib", 1024**power),
    )
}


def parse_file(path: str, read: Reader, environment: Mapping[str, str]) -> dict[str, Node]:
    """The tree of the file and all it includes. Raises `ConfigError`, also for a file that cannot be read."""
    return _Parser(path, read, environment, parents=()).parse(_content(path, read))


def parse_text(text: str, environment: Mapping[str, str], file: str = "") -> dict[str, Node]:
    """The tree of a text; includes are looked up relative to `file` on no disk at all, so they fail."""
    return _Parser(file, _read_nothing, environment, parents=()).parse(text)


def _read_nothing(path: str) -> bytes:
    raise FileNotFoundError(2, os.strerror(2), path)


def _content(path: str, read: Reader) -> str:
    try:
        return read(path).decode("utf-8", "surrogateescape")
    except IsADirectoryError as error:
        raise ConfigError(f"read {path}: {_reason(error)}") from error
    except OSError as error:
        raise ConfigError(f"open {path}: {_reason(error)}") from error
    except ValueError as error:
        raise ConfigError(f"open {path}: invalid argument") from error


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


class _Parser:
    """Builds the tree of one text. One object per file and per environment value."""

    def __init__(self, file: str, read: Reader, environment: Mapping[str, str], parents: tuple[str, ...]) -> None:
        self._file = file
        self._directory = posixpath.dirname(file) or "."
        self._read = read
        self._environment = environment
        self._parents = parents
        self._variables_in_progress: frozenset[str] = frozenset()
        self._root: dict[str, Node] = {}
        self._contexts: list[dict[str, Node] | list[Node]] = [self._root]
        self._keys: list[Token] = []
        self._size = 0

    def parse(self, text: str) -> dict[str, Node]:
        """The whole text as a map."""
        previous: Token | None = None
        for token in Lexer(text).tokens():
            if token.kind is TokenKind.END:
                # A JSON-like file may end with its closing bracket, which reads as a key.
                if previous is not None and previous.kind is TokenKind.KEY and previous.text != "}":
                    raise ConfigError(f"config is invalid ({self._file}:{token.line}:{token.column})")
                break
            previous = token
            self._accept(token)
        return self._root

    def _accept(self, token: Token) -> None:
        match token.kind:
            case TokenKind.KEY:
                self._keys.append(token)
            case TokenKind.MAP_START:
                self._open({})
            case TokenKind.ARRAY_START:
                self._open([])
            case TokenKind.MAP_END | TokenKind.ARRAY_END:
                self._place(token, self._contexts.pop())
            case TokenKind.VARIABLE:
                self._place(token, self._variable(token))
            case TokenKind.INCLUDE:
                self._include(token)
            case TokenKind.INTEGER:
                number = _integer(token.text)
                if number is not None:
                    self._place(token, number)
            case _:
                self._place(token, _scalar(token))

    def _open(self, context: dict[str, Node] | list[Node]) -> None:
        if len(self._contexts) > NESTING_MAX:
            raise ConfigError(f"maps and arrays are nested deeper than {NESTING_MAX} levels", file=self._file)
        self._contexts.append(context)

    def _place(self, token: Token, value: Value) -> None:
        """Put a value into the current map or array."""
        node = Node(value, self._file, token.line, token.column, size=_unfolded_size(value))
        self._size += node.size
        if self._size > UNFOLDED_NODES_MAX:
            raise ConfigError(f"configuration unfolds to more than {UNFOLDED_NODES_MAX} values", file=self._file)
        context = self._contexts[-1]
        if isinstance(context, list):
            context.append(node)
            return
        if not self._keys:
            raise ConfigError(f"Parse error on line {token.line}: 'value without a key'", file=self._file)
        key = self._keys.pop()
        # The key's place says more in an error than the value's.
        node.line, node.column = key.line, key.column
        context[key.text] = node

    def _variable(self, token: Token) -> Value:
        try:
            value = self._lookup(token.text)
        except ConfigError as error:
            raise ConfigError(
                f"variable reference for '{token.text}' on line {token.line} could not be parsed: {error}"
            ) from error
        if value is None:
            raise ConfigError(f"variable reference for '{token.text}' on line {token.line} can not be found")
        return value

    def _lookup(self, name: str) -> Value | None:
        if name.startswith(_BCRYPT_PREFIX):
            return "$" + name
        for context in reversed(self._contexts):
            if isinstance(context, dict) and name in context:
                context[name].is_used_variable = True
                return context[name].value
        if name in self._variables_in_progress:
            raise ConfigError(f"variable reference cycle for '{name}'")
        text = self._environment.get(name)
        if text is None:
            return None
        parser = _Parser(self._file, _read_nothing, self._environment, self._parents)
        parser._variables_in_progress = self._variables_in_progress | {name}
        if len(parser._variables_in_progress) > INCLUDE_DEPTH_MAX:
            raise ConfigError(f"more than {INCLUDE_DEPTH_MAX} environment variables refer to each other")
        node = parser.parse(f"{_ENVIRONMENT_KEY}={text}").get(_ENVIRONMENT_KEY)
        return None if node is None else node.value

    def _include(self, token: Token) -> None:
        path = posixpath.normpath(f"{self._directory}/{token.text}")
        try:
            nodes = self._included(path)
        except ConfigError as error:
            raise ConfigError(f"error parsing include file '{token.text}', {error}") from error
        context = self._contexts[-1]
        for key, node in nodes.items():
            if isinstance(context, dict):
                context[key] = node
            else:
                context.append(node)

    def _included(self, path: str) -> dict[str, Node]:
        if path in (*self._parents, posixpath.normpath(self._file or ".")):
            raise ConfigError(f"include cycle: {' -> '.join((*self._parents, self._file, path))}")
        if len(self._parents) >= INCLUDE_DEPTH_MAX:
            raise ConfigError(f"includes are nested deeper than {INCLUDE_DEPTH_MAX} files")
        parents = (*self._parents, posixpath.normpath(self._file))
        parser = _Parser(path, self._read, self._environment, parents)
        nodes = parser.parse(_content(path, self._read))
        self._size += parser._size
        return nodes


def _unfolded_size(value: Value) -> int:
    if isinstance(value, dict):
        return 1 + sum(node.size for node in value.values())
    if isinstance(value, list):
        return 1 + sum(node.size for node in value)
    return 1


def _integer(text: str) -> int | None:
    """An integer with its size suffix, in 64-bit arithmetic; `None` for a suffix that means nothing (`1kbi`)."""
    digits = re.match(r"[\d-]*", text)
    assert digits is not None, "matches the empty string"
    number_text = digits.group()
    if not re.fullmatch("-?[0-9]+", number_text):
        raise ConfigError(f"expected integer, but got '{text}'")
    # Longer numbers are out of range anyway, and converting them could take long.
    number = int(number_text) if len(number_text) <= 40 else INT64_MAX + 1
    if not INT64_MIN <= number <= INT64_MAX:
        raise ConfigError(f"integer '{text}' is out of the range")
    factor = _SIZE_FACTORS.get(text[len(number_text) :].strip().lower())
    if factor is None:
        return None
    wrapped: int = (number * factor - INT64_MIN) % 2**64 + INT64_MIN
    return wrapped


def _scalar(token: Token) -> Value:
    match token.kind:
        case TokenKind.BOOL:
            return token.text.lower() in ("true", "yes", "on")
        case TokenKind.FLOAT:
            return _float(token.text)
        case TokenKind.DATETIME:
            return _datetime(token.text)
        case _:
            return token.text


def _float(text: str) -> float:
    if not text.isascii():
        raise ConfigError(f"expected float, but got '{text}'")
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ConfigError(f"float '{text}' is out of the range")
    return number


def _datetime(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise ConfigError(f"expected Zulu formatted DateTime, but got '{text}'") from error
