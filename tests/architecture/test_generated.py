"""Generated pages say what is true now: written again they would be the same, and every test they name exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.source import ROOT
from tests.support.capabilities import STATES, load_capabilities
from tests.support.licences import current_page

pytestmark = pytest.mark.capability("AP11")


def missing_tests(page: str, root: Path) -> list[str]:
    """The tests a capability page names and the tree does not have (`tests/` is left out of the names)."""
    missing = []
    for name in sorted(set(re.findall(r"`([\w/.-]+\.py::[\w:]+)`", page))):
        file, *path = name.split("::")
        if not has_definition(root / "tests" / file, path):
            missing.append(name)
    return missing


def has_definition(file: Path, path: list[str]) -> bool:
    """Whether a file defines `Class::function` or `function`."""
    if not file.exists():
        return False
    body = ast.parse(file.read_text(encoding="utf-8")).body
    for name in path:
        found = [
            node
            for node in body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name
        ]
        if not found:
            return False
        body = found[0].body
    return True


def listed_rows(page: str) -> dict[str, str]:
    """Row id -> text, as a capability page has them."""
    rows = re.findall(rf"^\| ([A-Z]{{1,2}}\d{{2}}) \| (.*) \| (?:{'|'.join(STATES)}) \|", page, re.MULTILINE)
    return {row: text.replace("\\|", "|") for row, text in rows}


def test_the_licences_page_is_up_to_date() -> None:
    page = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    assert page == current_page(), "run `make docs`"


def test_the_capabilities_page_has_the_rows_of_the_list() -> None:
    page = (ROOT / "docs" / "capabilities.md").read_text(encoding="utf-8")
    assert listed_rows(page) == {row: capability.text for row, capability in load_capabilities().items()}, (
        "run `make test`"
    )


def test_the_capabilities_page_names_only_tests_that_exist() -> None:
    page = (ROOT / "docs" / "capabilities.md").read_text(encoding="utf-8")
    assert missing_tests(page, ROOT) == [], "run `make test`"


def test_a_test_that_is_gone_is_found(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_a.py").write_text(
        "class TestA:\n    def test_b(self): pass\nasync def test_c(): pass\n", encoding="utf-8"
    )
    page = "`test_a.py::TestA::test_b` `test_a.py::test_c` `test_a.py::test_b` `test_no.py::test_c`"
    assert missing_tests(page, tmp_path) == ["test_a.py::test_b", "test_no.py::test_c"]


def test_a_changed_row_is_found() -> None:
    assert listed_rows("| C01 | one \\| two | proven | |\n| C02 | x | unclear | |\n") == {"C01": "one | two"}
