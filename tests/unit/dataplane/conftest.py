"""What the data plane's tests share."""

from __future__ import annotations

import pytest

from tests.support.playbook import Playbook


@pytest.fixture
def book() -> Playbook:
    """Clients around one account, in memory."""
    return Playbook()
