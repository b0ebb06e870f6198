"""Fixtures and hooks every test may use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import hypothesis
import pytest

from tests.support.capabilities import CapabilityRecorder
from tests.support.servers import ServerKind, ServerProcess, StartServer

# Examples come from a fixed seed, so that a run can be repeated; `make properties` looks further with new ones.
hypothesis.settings.register_profile("default", deadline=None, derandomize=True)
hypothesis.settings.register_profile("fuzz", deadline=None, derandomize=False, max_examples=20_000)
hypothesis.settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--record-capabilities=FILE`, with the sign: a bare path would be taken for tests to run."""
    parser.addoption("--record-capabilities", type=Path, metavar="FILE", help="write which capabilities were proven")


def pytest_configure(config: pytest.Config) -> None:
    """Marks are checked in every run, recorded on demand: by the process to which all others report (pytest-xdist)."""
    is_worker = hasattr(config, "workerinput")
    config.pluginmanager.register(CapabilityRecorder(None if is_worker else config.getoption("--record-capabilities")))


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Start servers of either kind; all of them are stopped when the test ends."""
    started: list[ServerProcess] = []

    def start(
        kind: ServerKind,
        *flags: str,
        config: str | None = None,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> ServerProcess:
        home = directory or tmp_path / f"server-{len(started)}"
        home.mkdir(parents=True, exist_ok=True)
        server = ServerProcess(kind, home, *flags, config=config, environment=environment)
        started.append(server)
        return server.start()

    yield start
    for server in reversed(started):
        server.__exit__()


@pytest.fixture
def real_server(start_server: StartServer) -> ServerProcess:
    """A real nats-server with defaults: no login, no JetStream, no monitoring."""
    return start_server(ServerKind.REAL)


@pytest.fixture
def leafbox_server(start_server: StartServer) -> ServerProcess:
    """Our server with the same defaults."""
    return start_server(ServerKind.LEAFBOX)


@pytest.fixture(params=list(ServerKind), ids=lambda kind: kind.value)
def server_kind(request: pytest.FixtureRequest) -> ServerKind:
    """Runs the test twice: on the real server, which shows the test right, and on ours."""
    kind = request.param
    assert isinstance(kind, ServerKind)
    return kind
