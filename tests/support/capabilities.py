"""The capability list: a pytest plugin that records which rows a run proves, and the page written from the record.

The list is `capabilities.toml` beside this file. A mark naming an unknown row stops the run: a typing error would
otherwise leave a row unproven for ever. With `--record-capabilities=FILE` the outcome of every marked test is written
as JSON; `python -m tests.support.capabilities RECORD PAGE` turns it into the page.

Two things keep the page honest. A test marked `oracle` checks the measure (the real server, a table of cases) and so
proves no row. And a row of the nats-server list is only proven by tests that run the server; tests of its modules
alone leave it `in parts`.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

LIST_PATH = Path(__file__).with_name("capabilities.toml")
TESTS_NAMED_PER_ROW_MAX = 3
STATES = ("proven", "failing", "in parts", "not yet")
OWN_GROUP = "Appliance"
ROWS_PROPERTY = "capability rows"
# Where tests run the server as its users do. Rows of our own are often about the code, so any test proves them.
FOLDERS_THAT_RUN_THE_SERVER = ("tests/conformance/", "tests/e2e/", "tests/faults/", "tests/simulation/")

Record = dict[str, dict[str, bool]]
"""Row id -> test name without parameters -> whether every run of it passed."""


@dataclass(frozen=True, slots=True)
class Capability:
    """One row of the list."""

    id: str
    group: str
    text: str


def load_capabilities(path: Path = LIST_PATH) -> dict[str, Capability]:
    """Read the list; ids are unique over all groups."""
    rows: dict[str, Capability] = {}
    for group, texts in tomllib.loads(path.read_text(encoding="utf-8")).items():
        for row_id, text in texts.items():
            assert row_id not in rows, f"{row_id} is listed twice"
            rows[row_id] = Capability(row_id, group, text)
    return rows


def marked_rows(item: pytest.Item, known: Mapping[str, Capability]) -> list[str]:
    """The rows one test proves; a usage error for an empty mark or an unknown row."""
    rows: list[str] = []
    for mark in item.iter_markers("capability"):
        if not mark.args or mark.kwargs:
            raise pytest.UsageError(f"{item.nodeid}: a capability mark takes row ids, nothing else")
        unknown = [row for row in mark.args if row not in known]
        if unknown:
            raise pytest.UsageError(f"{item.nodeid}: no capability {unknown[0]!r} in {LIST_PATH.name}")
        rows += mark.args
    return [] if item.get_closest_marker("oracle") else rows


class CapabilityRecorder:
    """Collects outcomes while pytest runs and writes them at the end."""

    def __init__(self, output: Path | None) -> None:
        self.output = output
        self._known = load_capabilities()
        self._rows_of_test: dict[str, list[str]] = {}
        self._passed: dict[str, bool] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Check every mark before the first test runs."""
        for item in items:
            if rows := marked_rows(item, self._known):
                # Reports carry properties, also from one process to another (pytest-xdist).
                item.user_properties.append((ROWS_PROPERTY, rows))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test passed when set-up, call and tear-down all passed; a skipped one proves nothing."""
        rows = dict(report.user_properties).get(ROWS_PROPERTY)
        if isinstance(rows, list):
            self._rows_of_test[report.nodeid] = rows
            before = self._passed.get(report.nodeid, True)
            self._passed[report.nodeid] = before and report.outcome == "passed"

    def record(self) -> Record:
        """What ran, by row. Runs of one test with several parameters count as one, which passes if all do."""
        outcome: Record = {}
        for node, passed in self._passed.items():
            test = node.partition("[")[0]
            for row in self._rows_of_test[node]:
                tests = outcome.setdefault(row, {})
                tests[test] = tests.get(test, True) and passed
        return outcome

    def pytest_sessionfinish(self) -> None:
        """Write the record, if one was asked for."""
        if self.output is not None:
            self.output.parent.mkdir(parents=True, exist_ok=True)
            self.output.write_text(json.dumps(self.record(), indent=1, sort_keys=True), encoding="utf-8")


def status(capability: Capability, tests: Mapping[str, bool]) -> str:
    """One of `STATES` for a row, from the tests that name it and whether they passed."""
    if not tests:
        return "not yet"
    if not all(tests.values()):
        return "failing"
    runs_the_server = any(name.startswith(FOLDERS_THAT_RUN_THE_SERVER) for name in tests)
    return "proven" if runs_the_server or capability.group == OWN_GROUP else "in parts"


def page(capabilities: Mapping[str, Capability], record: Mapping[str, Mapping[str, bool]]) -> str:
    """The text of docs/capabilities.md."""
    groups = list(dict.fromkeys(capability.group for capability in capabilities.values()))
    lines = [
        "# Capabilities",
        "",
        "Written by `make test` from [the list](../tests/support/capabilities.toml) and the tests that passed; not"
        " edited by hand. A row is proven when tests that run the server name it and all tests that name it pass; with"
        " tests of its modules only it is there in parts.",
        "",
        f"| group | rows | {' | '.join(STATES)} |",
        "|---|---|---|---|---|---|",
    ]
    rows_of_group = {group: [row for row in capabilities.values() if row.group == group] for group in groups}
    for title, rows in [*rows_of_group.items(), ("All", list(capabilities.values()))]:
        states = [status(row, record.get(row.id, {})) for row in rows]
        counts = " | ".join(str(states.count(state)) for state in STATES)
        lines.append(f"| {title} | {len(rows)} | {counts} |")
    for group, rows in rows_of_group.items():
        lines += ["", f"## {group}", "", "| id | capability | status | tests |", "|---|---|---|---|"]
        for row in rows:
            tests = record.get(row.id, {})
            lines.append(
                f"| {row.id} | {row.text.replace('|', chr(92) + '|')} | {status(row, tests)} | {_named(tests)} |"
            )
    return "\n".join(lines) + "\n"


def _named(tests: Mapping[str, bool]) -> str:
    # Failing tests first: they are what the reader looks for.
    names = sorted(tests, key=lambda name: (tests[name], name))
    shown = [f"`{name.removeprefix('tests/')}`" for name in names[:TESTS_NAMED_PER_ROW_MAX]]
    more = len(names) - len(shown)
    return "<br>".join([*shown, f"and {more} more"] if more else shown)


def summary(capabilities: Mapping[str, Capability], record: Mapping[str, Mapping[str, bool]]) -> str:
    """One line for the terminal."""
    states = [status(row, record.get(row.id, {})) for row in capabilities.values()]
    parts = [f"{states.count(state)} {state}" for state in STATES]
    return f"capabilities: {', '.join(parts)} of {len(states)}"


def main(arguments: Sequence[str]) -> None:
    """Write the page from a record: `RECORD PAGE`."""
    record_path, page_path = map(Path, arguments)
    capabilities, record = load_capabilities(), json.loads(record_path.read_text(encoding="utf-8"))
    page_path.write_text(page(capabilities, record), encoding="utf-8")
    sys.stdout.write(summary(capabilities, record) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
