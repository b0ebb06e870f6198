"""The capability plugin and its page: unknown rows stop the run, failures are not proofs, counts are right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.capabilities import Capability, load_capabilities, page, status, summary

pytest_plugins = ["pytester"]

PLUGIN = """
from pathlib import Path
import pytest
from tests.support.capabilities import CapabilityRecorder

def pytest_configure(config):
    config.addinivalue_line("markers", "capability(*ids): rows")
    config.addinivalue_line("markers", "oracle: checks the measure")
    config.pluginmanager.register(CapabilityRecorder(Path("record.json")))
"""

THREE_TESTS = """
import pytest

@pytest.mark.capability("C01")
def test_passes(): pass

@pytest.mark.capability("C01", "C02")
@pytest.mark.parametrize("works", [True, False])
def test_fails_once(works): assert works

@pytest.mark.capability("C03")
@pytest.mark.skip(reason="nothing proven")
def test_skipped(): pass

@pytest.mark.oracle
@pytest.mark.capability("C04")
def test_the_real_server(): pass
"""


@pytest.mark.capability("AP11")
def test_the_list_has_every_row_once() -> None:
    rows = load_capabilities()
    assert len(rows) >= 220
    assert {rows[row].group for row in ("C01", "JS42", "AP01")} == {"Core", "JetStream streams", "Appliance"}
    assert all(capability.text for capability in rows.values())


@pytest.mark.parametrize(
    ("mark", "complaint"),
    [("('C999')", "no capability 'C999'"), ("()", "takes row ids"), ("(row='C01')", "takes row ids")],
)
def test_a_wrong_mark_stops_the_run(pytester: pytest.Pytester, mark: str, complaint: str) -> None:
    pytester.makeconftest(PLUGIN)
    pytester.makepyfile(f"import pytest\n@pytest.mark.capability{mark}\ndef test_any(): pass\n")
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(f"*{complaint}*")


def test_only_a_passing_test_proves_its_row(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(PLUGIN)
    pytester.makepyfile(test_three=THREE_TESTS)
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=3, failed=1, skipped=1)
    record = json.loads((pytester.path / "record.json").read_text(encoding="utf-8"))
    assert record == {
        "C01": {"test_three.py::test_passes": True, "test_three.py::test_fails_once": False},
        "C02": {"test_three.py::test_fails_once": False},
        "C03": {"test_three.py::test_skipped": False},
    }
    rows = load_capabilities()
    assert {status(rows[row], tests) for row, tests in record.items()} == {"failing"}


@pytest.mark.parametrize(
    ("group", "tests", "expected"),
    [
        ("Core", {}, "not yet"),
        ("Core", {"tests/unit/x.py::test": True}, "in parts"),
        ("Core", {"tests/unit/x.py::test": True, "tests/conformance/x.py::test": True}, "proven"),
        ("Core", {"tests/unit/x.py::test": False, "tests/conformance/x.py::test": True}, "failing"),
        ("Appliance", {"tests/architecture/x.py::test": True}, "proven"),
    ],
)
def test_only_a_test_that_runs_the_server_proves_a_row(group: str, tests: dict[str, bool], expected: str) -> None:
    assert status(Capability("X01", group, "text"), tests) == expected


def test_page_and_summary_count_states() -> None:
    rows = {row: Capability(row, group, f"does {row} | more") for row, group in [("A1", "A"), ("A2", "A"), ("B1", "B")]}
    record = {
        "A1": {f"tests/e2e/t.py::test_{number}": True for number in range(5)},
        "B1": {"tests/t.py::test_b": False},
    }
    text = page(rows, record)
    assert "| A | 2 | 1 | 0 | 0 | 1 |" in text
    assert "| All | 3 | 1 | 1 | 0 | 1 |" in text
    named = "<br>".join(f"`e2e/t.py::test_{number}`" for number in range(3))
    assert f"| A1 | does A1 \\| more | proven | {named}<br>and 2 more |" in text
    assert "| B1 | does B1 \\| more | failing | `t.py::test_b` |" in text
    assert summary(rows, record) == "capabilities: 1 proven, 1 failing, 0 in parts, 1 not yet of 3"


def test_page_follows_the_order_of_the_list(tmp_path: Path) -> None:
    path = tmp_path / "list.toml"
    path.write_text('[Z]\nZ1 = "z"\n[A]\nA1 = "a"\n', encoding="utf-8")
    text = page(load_capabilities(path), {})
    assert text.index("## Z") < text.index("## A")
