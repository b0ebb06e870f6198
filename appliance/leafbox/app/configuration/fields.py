"""How a block of keys is read: a table of keys, each with its names, the option it sets and a reader for its value.

The tables (in the `*_keys.py` modules) are the only list of what is understood; the reader, the reference page and the
"did you mean" suggestions all come from them. Errors of one key do not stop the others: a user sees all of them.
Texts and positions are nats-server's (`server/opts.go`), including those its type assertions produce.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from leafbox.app.configuration.addresses import AddressError, parse_host_port
from leafbox.app.configuration.durations import DurationError, parse_duration_ns
from leafbox.app.configuration.go_text import quoted, type_name
from leafbox.app.configuration.grammar import Reader
from leafbox.app.configuration.problems import Problems, fail, problem_at
from leafbox.app.configuration.tree import Node
from leafbox.broker.config import WriteTimeoutPolicy
from leafbox.protocol.errors import ConfigError

T = TypeVar("T")
NANOSECONDS = 1_000_000_000
NOTHING: Final = object()
"""Returned by a reader that has stored what it read itself."""


@dataclass(slots=True)
class Reading:
    """One pass over one tree: what was found wrong, and how to look at files the configuration names."""

    problems: Problems
    read_file: Reader
    environment: Mapping[str, str]
    deferred: list[str] = field(default_factory=list)
    """Problems nats-server finds only at start; `-t` passes."""


@dataclass(slots=True)
class Entry:
    """One key of a block while it is read."""

    key: str
    node: Node
    into: dict[str, object]
    reading: Reading


ReadValue = Callable[[Entry], object]


@dataclass(frozen=True, slots=True)
class Key:
    """A key, its aliases, the option fields it sets, and its reader, whose value goes to the first of them.

    `block` is the table of the keys inside, if the value is a map.
    """

    names: tuple[str, ...]
    fields: str
    read: ReadValue
    block: Block | None = None


class Block:
    """A map of known keys."""

    def __init__(self, keys: tuple[Key, ...], unknown: Callable[[str], str] | None = None) -> None:
        """`unknown` words the error for a key that is not in the table."""
        self.keys = keys
        self._by_name = {name: key for key in keys for name in key.names}
        self._unknown = unknown or (lambda key: f"unknown field {quoted(key)}")

    def read(self, nodes: Mapping[str, Node], into: dict[str, object], reading: Reading) -> bool:
        """Read all keys into `into` by field; errors are collected. Returns whether there were none."""
        count = len(reading.problems.errors)
        for name, node in nodes.items():
            try:
                self._read_key(Entry(name, node, into, reading))
            except ConfigError as error:
                reading.problems.errors.append(error)
        return len(reading.problems.errors) == count

    def _read_key(self, entry: Entry) -> None:
        key = self._by_name.get(entry.key.lower())
        if key is None:
            if not entry.node.is_used_variable:
                fail(entry.node, self._unknown(entry.key), self._nearest(entry.key))
            return
        value = key.read(entry)
        if value is not NOTHING:
            entry.into[key.fields.split()[0]] = value

    def _nearest(self, name: str) -> str:
        near = difflib.get_close_matches(name.lower(), self._by_name, n=1, cutoff=0.6)
        return f'did you mean "{near[0]}"?' if near else ""


def build(factory: Callable[..., T], values: Mapping[str, object]) -> T:
    """An options value from what a table collected; the tables' tests hold fields and types together."""
    return factory(**values)


# -- typed access ----------------------------------------------------------------------------------------------------


def _mismatch(node: Node, wanted: str) -> ConfigError:
    found = type_name(node.value)
    return problem_at(node, f"interface conversion: interface {{}} is {found}, not {wanted}")


def as_string(node: Node) -> str:
    """The node's string; anything else is an error at its place."""
    if not isinstance(node.value, str):
        raise _mismatch(node, "string")
    return node.value


def as_integer(node: Node) -> int:
    """The node's integer."""
    if not isinstance(node.value, int) or isinstance(node.value, bool):
        raise _mismatch(node, "int64")
    return node.value


def as_boolean(node: Node) -> bool:
    """The node's boolean."""
    if not isinstance(node.value, bool):
        raise _mismatch(node, "bool")
    return node.value


def as_map(node: Node) -> dict[str, Node]:
    """The node's map."""
    if not isinstance(node.value, dict):
        raise _mismatch(node, "map[string]interface {}")
    return node.value


def as_list(node: Node) -> list[Node]:
    """The node's array."""
    if not isinstance(node.value, list):
        raise _mismatch(node, "[]interface {}")
    return node.value


def in_map(entry: Entry) -> Iterator[Entry]:
    """The entries of a map of user data (names are kept as written)."""
    for key, node in as_map(entry.node).items():
        yield Entry(key, node, entry.into, entry.reading)


# -- readers ---------------------------------------------------------------------------------------------------------


def string(entry: Entry) -> str:
    """A string."""
    return as_string(entry.node)


def integer(entry: Entry) -> int:
    """An integer, size suffixes already applied."""
    return as_integer(entry.node)


def boolean(entry: Entry) -> bool:
    """A boolean."""
    return as_boolean(entry.node)


def int31(entry: Entry) -> int:
    """An integer that fits 31 bits."""
    number = as_integer(entry.node)
    if number > 2**31 - 1:
        fail(entry.node, f"{entry.key} value is too big")
    return number


def duration(name: str) -> ReadValue:
    """A duration string, in seconds; an integer counts as seconds and is warned about."""

    def read(entry: Entry) -> float:
        value = entry.node.value
        if isinstance(value, str):
            try:
                return parse_duration_ns(value) / NANOSECONDS
            except DurationError as error:
                fail(entry.node, f"error parsing {name}: {error}")
        entry.reading.problems.warn_use(entry.node, name, f"{name} should be converted to a duration")
        return float(as_integer(entry.node))

    return read


def own_duration(entry: Entry) -> float:
    """A duration whose errors name the key as written."""
    value = duration(entry.key)(entry)
    assert isinstance(value, float)
    return value


def duration_string(node: Node) -> float:
    """A duration that must be a string, in seconds. Raises `DurationError` for a bad one."""
    return parse_duration_ns(as_string(node)) / NANOSECONDS


def timeout(prefix: str, is_long_doubtful: bool = False) -> ReadValue:
    """Seconds as number, or a duration string; `is_long_doubtful` warns above a minute (`1m` is a million)."""

    def read(entry: Entry) -> float:
        value = entry.node.value
        if isinstance(value, str):
            try:
                seconds = parse_duration_ns(value) / NANOSECONDS
            except DurationError as error:
                fail(entry.node, f"{prefix}, 'timeout' {error}")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            seconds = float(value)
        else:
            fail(entry.node, f"{prefix}, 'timeout' wrong type")
        if is_long_doubtful and seconds > 60:
            written = value if isinstance(value, str | int) else f"{value:g}"
            entry.reading.problems.warn_use(
                entry.node,
                entry.key,
                f"timeout of {written} ({seconds:f} seconds) is high, consider keeping it under 60 seconds. "
                "possibly caused by unquoted duration; use '1m' instead of 1m, for example",
            )
        return seconds

    return read


def listen(host_field: str, port_field: str) -> ReadValue:
    """`host:port`, or a port alone."""

    def read(entry: Entry) -> object:
        value = entry.node.value
        if isinstance(value, str):
            try:
                host, port = parse_host_port(value)
            except AddressError as error:
                fail(entry.node, str(error))
        elif isinstance(value, int) and not isinstance(value, bool):
            host, port = "", value
        else:
            fail(entry.node, f"expected port or host:port, got {type_name(value)}")
        entry.into[host_field] = host
        entry.into[port_field] = port
        return NOTHING

    return read


def string_list(what: str) -> ReadValue:
    """A string or an array of strings; `what` is named in errors."""

    def read(entry: Entry) -> tuple[str, ...]:
        value = entry.node.value
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list):
            fail(entry.node, f"error parsing {what}: unsupported type {type_name(value)}")
        texts: list[str] = []
        for node in value:
            if isinstance(node.value, str):
                texts.append(node.value)
            else:
                reason = f"error parsing {what}: unsupported type in array {type_name(node.value)}"
                entry.reading.problems.errors.append(problem_at(node, reason))
        return tuple(texts)

    return read


def write_timeout(entry: Entry) -> WriteTimeoutPolicy:
    """`default`, `close` or `retry`."""
    try:
        return WriteTimeoutPolicy(as_string(entry.node))
    except ValueError:
        fail(entry.node, "write_timeout must be 'default', 'close' or 'retry'")


def ignored(entry: Entry) -> object:
    """A key that was read before the others, or that has no effect."""
    return NOTHING
