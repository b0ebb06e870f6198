"""The configuration grammar against anything: only `ConfigError` escapes, and what is written is read back."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from leafbox.app.configuration.check import check_file
from leafbox.app.configuration.digest import config_digest
from leafbox.app.configuration.durations import DurationError, duration_text, parse_duration_ns
from leafbox.app.configuration.flags import FlagError, parse_flags
from leafbox.app.configuration.grammar import parse_text
from leafbox.app.configuration.tree import plain
from leafbox.protocol.errors import ConfigError

# Bytes that steer the lexer, and words the readers look for.
FRAGMENTS = [
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "=",
    ":",
    ",",
    ";",
    "#",
    "/",
    "\\",
    '"',
    "'",
    "$",
    "-",
    ".",
    "0",
    "9",
    "k",
    "M",
    "b",
    "x",
    "é",
    "//",
    "/*",
    "\\x41",
    '"2m"',
    "true",
    "$A",
    "$2a$",
    "127.0.0.1",
    "2020-01-01T00:00:00Z",
    "include",
    "port:",
    "authorization",
    "users",
    "user",
    "password",
    "permissions",
    "publish",
    "allow",
    "accounts",
    "A",
    "jetstream",
    "leafnodes",
    "remotes",
    "url",
    "mqtt",
    "websocket",
    "tls",
    "cert_file",
    "mappings",
    "weight",
    "destination",
    "exports",
    "imports",
    "stream",
    "service",
    "account",
    "subject",
    "limits",
    "cluster",
    "gateway",
    "x.conf",
    "\n",
    "\r",
    "\t",
    "\x00",
    " ",
    "\x85",
]
soup = st.lists(st.sampled_from(FRAGMENTS), max_size=40).map(" ".join) | st.lists(
    st.sampled_from(FRAGMENTS), max_size=40
).map("".join)


@pytest.mark.capability("CF01", "CF03")
@given(st.one_of(st.binary(max_size=200), soup.map(str.encode)))
@example(b"a = 1kbi\nb = 2")
@example(b"m { a = }")
@example(b"\0")
@example(b"a\0b")
@example(b'"')
@example(b"a: (\n\0)")
def test_any_bytes_parse_or_raise_config_error(data: bytes) -> None:
    files = {"x.conf": data, "server.conf": data}

    def read(path: str) -> bytes:
        return files[path] if path in files else _missing(path)

    code, text = check_file("server.conf", {"A": data.decode("utf-8", "replace")}, read)
    assert code in (0, 1)
    assert text.startswith("nats-server: ")


def _missing(path: str) -> bytes:
    raise FileNotFoundError(2, "No such file or directory", path)


keys = st.text(string.ascii_lowercase + "_.$>*é <&", min_size=1, max_size=8)
scalars = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(0.001, 1e9, allow_nan=False).map(lambda number: round(number, 3)),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12),
)
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=15
)


def written(value: object, indent: str = "") -> str:
    """One of the ways to write a value."""
    match value:
        case bool():
            return "true" if value else "off"
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
            return '"' + escaped.replace("\t", "\\t") + '"'
        case list():
            return "[" + "".join(f"\n{indent} {written(item, indent + ' ')} ," for item in value)[:-1] + f"\n{indent}]"
        case dict():
            lines = (f"\n{indent} '{key}' = {written(item, indent + ' ')}" for key, item in value.items())
            return "{" + "".join(lines) + f"\n{indent}}}"
        case float():
            return format(value, ".3f")
        case _:
            return str(value)


@pytest.mark.capability("CF01")
@given(st.dictionaries(keys, trees, max_size=5))
def test_what_is_written_is_read_back(tree: dict[str, object]) -> None:
    text = "".join(f"'{key}': {written(value)} # comment\n" for key, value in tree.items())
    read = parse_text(text, {})
    assert plain(read) == tree
    # A JSON-like file is the same configuration, with the same digest.
    braces = "{" + ",\n".join(f'"{key}": {written(value)}' for key, value in tree.items()) + "\n}"
    assert config_digest(parse_text(braces, {})) == config_digest(read)


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_a_printed_duration_is_parsed_back(nanoseconds: int) -> None:
    assert parse_duration_ns(duration_text(nanoseconds)) == nanoseconds


@given(st.text("0123456789.+-hmsunµx ", max_size=12))
def test_a_parsed_duration_prints_to_the_same_duration(text: str) -> None:
    try:
        nanoseconds = parse_duration_ns(text)
    except DurationError:
        return
    assert parse_duration_ns(duration_text(nanoseconds)) == nanoseconds


words = st.sampled_from(["-p", "--port=1", "-D", "-", "--", "x", "-=", "---", "-c", "é", "-m=1e", ""])


@given(st.lists(words, max_size=8))
def test_any_arguments_are_flags_or_not(arguments: list[str]) -> None:
    try:
        values, rest = parse_flags(arguments)
    except FlagError:
        return
    assert len(rest) + len(values) <= len(arguments)


def test_config_error_is_all_that_escapes_a_directory(tmp_path: Path) -> None:
    assert check_file(str(tmp_path), {}) == (1, f"nats-server: read {tmp_path}: is a directory\n")
    with pytest.raises(ConfigError):
        parse_text("include x", {})
