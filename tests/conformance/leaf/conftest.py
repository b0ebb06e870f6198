"""Fixtures of the leaf tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.leaf.pairs import OURS, REAL, ROLE_NAMES, ROLES, PairStarter
from tests.support.certificates import TestAuthority
from tests.support.servers import StartServer


@pytest.fixture(params=ROLES, ids=ROLE_NAMES)
def start_pair(request: pytest.FixtureRequest, start_server: StartServer) -> PairStarter:
    """Runs the test with us as edge, as hub, as both and, to show the test right, as neither."""
    return PairStarter(start_server, request.param)


@pytest.fixture
def start_edge(start_server: StartServer) -> PairStarter:
    """Us as edge of a real hub."""
    return PairStarter(start_server, (REAL, OURS))


@pytest.fixture
def authority(tmp_path: Path) -> TestAuthority:
    """Makes certificates."""
    return TestAuthority(tmp_path)
