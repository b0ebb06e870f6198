"""Fixtures of the NATS conformance tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.nats.stage import Stage


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Servers for the script table, shared by all of its tests."""
    stage = Stage(tmp_path_factory.mktemp("stage"))
    yield stage
    stage.close()
