"""Parsing into a tree: values, positions, scopes, includes, limits. Texts are compared with nats-server elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from leafbox.app.configuration.grammar import INCLUDE_DEPTH_MAX, NESTING_MAX, parse_file, parse_text
from leafbox.app.configuration.tree import Node, plain
from leafbox.protocol.errors import ConfigError


def values(text: str, environment: dict[str, str] | None = None) -> object:
    return plain(parse_text(text, environment or {}))


def from_files(files: dict[str, str], name: str = "main.conf") -> dict[str, Node]:
    def read(path: str) -> bytes:
        if path not in files:
            raise FileNotFoundError(2, "No such file or directory", path)
        return files[path].encode()

    return parse_file(name, read, {})


@pytest.mark.capability("CF01")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1", 1),
        ("a = -5", -5),
        ("a 1k", 1000),
        ("a 1KB", 1024),
        ("a 2Mi", 2 * 1024**2),
        ("a 1gib", 1024**3),
        ("a 1t", 10**12),
        ("a 8eb", -(2**63)),
        ("a 1.25", 1.25),
        ("a: yes", True),
        ("a: OFF", False),
        ('a: "yes"', "yes"),
        ("a: 127.0.0.1:4222", "127.0.0.1:4222"),
        ("a: 30s", "30s"),
        ("a: 1m", 1_000_000),
        ("a: 'x\\n'", "x\\n"),
        ('a: "x\\n\\x41"', "x\nA"),
        ('a: "\\xc3\\xa9"', "é"),
        ("a: (\none\n two\n)\n", "\none\n two\n"),
        ("a: 2020-01-02T03:04:05Z", datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("a: $2a$10$abc", "$2a$10$abc"),
        ("a: [ 1 , x, { b: c } ]", [1, "x", {"b": "c"}]),
        ("a { b { c: d } }", {"b": {"c": "d"}}),
        ('{"a": {"b": [true, "x"]}}', {"b": [True, "x"]}),
        ("a: 1\na: 2", 2),
    ],
)
def test_values(text: str, expected: object) -> None:
    assert values(text) == {"a": expected}


@pytest.mark.capability("CF03")
def test_a_value_has_the_position_of_its_key() -> None:
    tree = parse_text("a: 1\n  bb: {\n    'c' = [ x,\n      y ] }\n", {}, "f.conf")
    inner = tree["bb"].value
    assert isinstance(inner, dict)
    array = inner["c"].value
    assert isinstance(array, list)
    places = [(node.file, node.line, node.column) for node in (tree["a"], tree["bb"], inner["c"], *array)]
    # Columns are 0-based on the first line only; a quoted key starts after its quote.
    assert places == [
        ("f.conf", 1, 0),
        ("f.conf", 2, 3),
        ("f.conf", 3, 6),
        ("f.conf", 3, 13),
        ("f.conf", 4, 7),
    ]


def test_columns_count_bytes() -> None:
    tree = parse_text("x: [ é, é ]", {})
    array = tree["x"].value
    assert isinstance(array, list)
    assert [node.column for node in array] == [5, 9]


@pytest.mark.capability("CF02")
def test_a_reference_is_looked_up_from_the_inside_out_then_in_the_environment() -> None:
    text = "A: 1\nm { A: 2\n n { x: $A } }\ny: $A\nz: $B\n"
    assert values(text, {"A": "9", "B": "[ 5 , { c: $A } ]"}) == {
        "A": 1,
        "m": {"A": 2, "n": {"x": 2}},
        "y": 1,
        # The text of an environment variable is parsed on its own, so it does not see the file's variables.
        "z": [5, {"c": 9}],
    }


@pytest.mark.capability("CF02")
def test_a_referenced_key_is_marked_as_a_variable() -> None:
    tree = parse_text("A: 1\nB: 2\nx: $A\n", {})
    assert (tree["A"].is_used_variable, tree["B"].is_used_variable) == (True, False)


@pytest.mark.capability("CF02")
def test_an_include_is_relative_to_its_file_and_merges_into_the_map_it_stands_in() -> None:
    tree = from_files(
        {
            "main.conf": "include sub/a.conf\nm { include 'sub/b.conf'\n z: 1 }",
            "sub/a.conf": "x: 1\ninclude b.conf\n",
            "sub/b.conf": "y: 2\n",
        }
    )
    assert plain(tree) == {"x": 1, "y": 2, "m": {"y": 2, "z": 1}}
    assert tree["y"].file == "sub/b.conf"


@pytest.mark.capability("CF02")
def test_an_include_cycle_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"include cycle: main\.conf -> a\.conf -> main\.conf"):
        from_files({"main.conf": "include a.conf\n", "a.conf": "include main.conf\n"})


def test_includes_are_bounded_in_depth() -> None:
    files = {f"{number}.conf": f"include './{number + 1}.conf'\n" for number in range(INCLUDE_DEPTH_MAX + 2)}
    with pytest.raises(ConfigError, match="includes are nested deeper"):
        from_files(files, "0.conf")


def test_nesting_is_bounded() -> None:
    assert values("a: " + "[" * NESTING_MAX + "]" * NESTING_MAX)
    with pytest.raises(ConfigError, match="nested deeper"):
        values("a: " + "[" * (NESTING_MAX + 1))


def test_references_cannot_unfold_without_bound() -> None:
    lines = ["v0: [ x, x, x, x, x, x, x, x, x, x ]"]
    lines += [f"v{number + 1}: [{', '.join([f'$v{number}'] * 10)}]" for number in range(9)]
    with pytest.raises(ConfigError, match="unfolds to more than"):
        values("\n".join(lines))


def test_environment_variables_that_refer_to_each_other_are_bounded() -> None:
    environment = {f"V{number}": f"$V{number + 1}" for number in range(500)}
    with pytest.raises(ConfigError, match="refer to each other"):
        values("a: $V0", environment)


def test_a_file_that_cannot_be_read_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match=r"^open nope\.conf: no such file or directory$"):
        from_files({}, "nope.conf")
