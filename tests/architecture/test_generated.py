"""Generated pages say what is true now: written again they would be the same.

Of the capability page only the rows are held here; its states come from a full run, which writes it anew each time.
"""

from __future__ import annotations

import re

import pytest

from tests.architecture.source import ROOT
from tests.support.capabilities import STATES, load_capabilities
from tests.support.licences import current_page
from tests.support.mqtt_statements import current_page as mqtt_page

pytestmark = pytest.mark.capability("AP11")


def listed_rows(page: str) -> dict[str, str]:
    """Row id -> text, as a capability page has them."""
    rows = re.findall(rf"^\| ([A-Z]{{1,2}}\d{{2}}) \| (.*) \| (?:{'|'.join(STATES)}) \|", page, re.MULTILINE)
    return {row: text.replace("\\|", "|") for row, text in rows}


def test_the_licences_page_is_up_to_date() -> None:
    page = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    assert page == current_page(), "run `make docs`"


def test_the_mqtt_conformance_page_is_up_to_date() -> None:
    page = (ROOT / "docs" / "mqtt" / "conformance.md").read_text(encoding="utf-8")
    assert page == mqtt_page(), "run `make docs`"


def test_the_capabilities_page_has_the_rows_of_the_list() -> None:
    page = (ROOT / "docs" / "capabilities.md").read_text(encoding="utf-8")
    assert listed_rows(page) == {row: capability.text for row, capability in load_capabilities().items()}, (
        "run `make test`"
    )


def test_a_changed_row_is_found() -> None:
    assert listed_rows("| C01 | one \\| two | proven | |\n| C02 | x | unclear | |\n") == {"C01": "one | two"}
