"""The normative statements of MQTT 5.0 and 3.1.1 and the tests that prove them: docs/mqtt/conformance.md.

The statements are `mqtt_statements.toml` beside this file. A test names those it proves with
`@pytest.mark.normative(v5="3.8.4-8", v311="3.8.4-6")`, several with spaces between; packets that must be refused name
theirs in `mqtt_bad_cases`. Marks are read from the sources, so the page needs no run; that the tests pass is the
suite's business. `python -m tests.support.mqtt_statements PAGE` writes the page.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from leafbox.protocol.mqtt.packets import Version
from tests.support.mqtt_bad_cases import BAD_AFTER_CONNECT, BAD_CONNECTS, BadPacket

TESTS = Path(__file__).resolve().parents[1]
LIST_PATH = Path(__file__).with_suffix(".toml")
MARK = "normative"
TITLES = {"v5": "MQTT 5.0", "v311": "MQTT 3.1.1"}
SIDES = ("server", "both", "client")
TESTS_NAMED_MAX = 3
REFUSING_TEST = "conformance/mqtt/test_packets.py::test_what_must_not_be_accepted_ends_the_connection"
"""Sends the packets of the table to running brokers."""

Key = tuple[str, str]
"""Version and number."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, and why it has no test if it has none."""

    version: str
    number: str
    side: str
    text: str
    excuse: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether a server must keep it."""
        return self.side != "client"


def load_statements(path: Path = LIST_PATH) -> dict[Key, Statement]:
    """Read the list."""
    found: dict[Key, Statement] = {}
    for version, rows in tomllib.loads(path.read_text(encoding="utf-8")).items():
        assert version in TITLES, version
        for number, row in rows.items():
            statement = Statement(version, number, *row)
            assert statement.side in SIDES, statement
            found[version, number] = statement
    return found


def named_in(source: str, name: str) -> list[tuple[Key, str]]:
    """Statements that the marks in one file name, with the test."""
    found: list[tuple[Key, str]] = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for mark in node.decorator_list:
            if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Attribute) and mark.func.attr == MARK:
                for keyword in mark.keywords:
                    numbers = ast.literal_eval(keyword.value)
                    found += [((keyword.arg or "", number), f"{name}::{node.name}") for number in numbers.split()]
    return found


def broken_by(case: BadPacket) -> list[Key]:
    """Statements that a packet which must be refused breaks; without `311:` the number is the same in both."""
    older = [each.removeprefix("311:MQTT-") for each in case.statements if each.startswith("311:")]
    plain = [each.removeprefix("MQTT-") for each in case.statements if not each.startswith("311:")]
    if case.version is Version.V5:
        return [("v5", number) for number in plain]
    return [("v311", number) for number in older or plain]


def named_by_tests() -> dict[Key, list[str]]:
    """Statement -> tests that name it, without those the list does not know."""
    found: dict[Key, list[str]] = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        source = path.read_text(encoding="utf-8")
        if f"mark.{MARK}" in source:
            for key, test in named_in(source, path.relative_to(TESTS).as_posix()):
                found[key].append(test)
    for case in BAD_CONNECTS + BAD_AFTER_CONNECT:
        for key in broken_by(case):
            if REFUSING_TEST not in found[key]:
                found[key].append(REFUSING_TEST)
    return dict(found)


def page(statements: dict[Key, Statement], tests: dict[Key, list[str]]) -> str:
    """The text of docs/mqtt/conformance.md."""
    lines = [
        "# MQTT conformance, statement by statement",
        "",
        "Written by `make docs` from [the list](../../tests/support/mqtt_statements.toml) and the marks of the tests;"
        " not edited by hand. Numbers are those of the OASIS standards, the words are ours. A client's duty is named"
        " with a test where the server must do something about who neglects it.",
        "",
        "| version | statements | a server's | proven | without a test, for a reason |",
        "|---|---|---|---|---|",
    ]
    for version, title in TITLES.items():
        ours = [each for each in statements.values() if each.version == version and each.is_ours]
        count = sum(each.version == version for each in statements.values())
        proven = sum((version, each.number) in tests for each in ours)
        lines.append(f"| {title} | {count} | {len(ours)} | {proven} | {sum(bool(each.excuse) for each in ours)} |")
    for version, title in TITLES.items():
        lines += ["", f"## {title}", "", "| MQTT- | duty of | what | tests |", "|---|---|---|---|"]
        for key, each in statements.items():
            if each.version == version:
                lines.append(f"| {each.number} | {each.side} | {each.text} | {_cell(each, tests.get(key, []))} |")
    return "\n".join(lines) + "\n"


def _cell(statement: Statement, tests: list[str]) -> str:
    if not tests:
        return f"none: {statement.excuse}" if statement.excuse else ""
    shown = [f"`{name}`" for name in tests[:TESTS_NAMED_MAX]]
    more = len(tests) - len(shown)
    return "<br>".join([*shown, f"and {more} more"] if more else shown)


def current_page() -> str:
    """What the page should say now."""
    return page(load_statements(), named_by_tests())


def main(arguments: Sequence[str]) -> None:
    """Write the page: `PAGE`."""
    [path] = map(Path, arguments)
    path.write_text(current_page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
