"""A browser at a claimed box. A module says by its own `box` which one; one that needs more has fixtures of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser as Chromium

from tests.support.dashboard import DashboardBox, Visits, open_browser
from tests.support.web_client import Browser


@pytest.fixture(scope="module")
def admin(box: DashboardBox) -> Browser:
    """The administrator, by whom the box is claimed."""
    return box.claim()


@pytest.fixture(scope="module")
def chromium(admin: Browser) -> Iterator[Chromium]:
    """After the box, which asks for its code in a loop of its own; Playwright occupies this thread's."""
    with open_browser() as browser:
        yield browser


@pytest.fixture
def visit(box: DashboardBox, chromium: Chromium, admin: Browser) -> Iterator[Visits]:
    """Opens pages as the administrator; all are closed afterwards."""
    with Visits(chromium, box.url, admin.cookie) as visits:
        yield visits
