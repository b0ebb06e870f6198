"""What a benchmark is made of: contenders, metrics, and scenarios that measure a running server.

A scenario gets a `Bench`, starts the contender's server with it as it likes, and returns one value per metric.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.flash import Flash
from tests.benchmarks.generator import run_load
from tests.benchmarks.machine import Placement, processors
from tests.support.servers import ServerKind, ServerProcess


@dataclass(frozen=True, slots=True)
class Contender:
    """A server in one of its settings; `jetstream` is added to the `jetstream {}` block of scenarios that store."""

    name: str
    kind: ServerKind
    jetstream: str = ""


REAL = Contender("nats-server 2.15.1", ServerKind.REAL)
REAL_SYNCED = Contender("nats-server 2.15.1, sync_interval always", ServerKind.REAL, "sync_interval: always")
OURS = Contender("leafbox", ServerKind.LEAFBOX)


@dataclass(frozen=True, slots=True)
class Metric:
    """One value of a scenario. `ratio_limit` is what ours divided by theirs must reach (or stay under, where less is
    better), `synced_ratio_limit` the same for a nats-server that syncs before it acknowledges, `limit` what ours must
    be; None: it is reported and not judged."""

    name: str
    unit: str
    is_higher_better: bool = True
    ratio_limit: float | None = None
    synced_ratio_limit: float | None = None
    limit: float | None = None
    peer_limits: tuple[tuple[str, float], ...] | None = None
    """The wanted ratio by contender's name, where peers of other kinds stand beside the real server."""

    def limit_beside(self, contender: Contender) -> float | None:
        """What the ratio to this contender must be; for ourselves, the value itself."""
        if contender == OURS:
            return self.limit
        if self.peer_limits is not None:
            return dict(self.peer_limits).get(contender.name)
        return self.synced_ratio_limit if contender == REAL_SYNCED else self.ratio_limit


Values = dict[str, float]


@dataclass(frozen=True, slots=True)
class Bench:
    """One measurement's surroundings. `scale` shrinks the amounts, for a smoke test or a longer look."""

    contender: Contender
    placement: Placement
    directory: Path
    scale: float = 1.0
    flash: Flash | None = None

    def amount(self, full: int, least: int = 100) -> int:
        """An amount at this scale."""
        return max(least, int(full * self.scale))

    @contextlib.contextmanager
    def server(self, config: str | None = None, *flags: str) -> Iterator[ServerProcess]:
        """A fresh server of the contender on its processors."""
        home = Path(tempfile.mkdtemp(dir=self.directory))
        process = ServerProcess(self.contender.kind, home, *flags, config=config)
        with processors(self.placement.server_processors):
            process.start()
        try:
            yield process
        finally:
            process.stop()

    def load(self, server: ServerProcess, mode: str, **options: int | str) -> Values:
        """Put load on it."""
        return run_load(mode, server.client_port, self.placement, **options)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named measurement of each contender; `stores` says that it wants a `Flash`."""

    name: str
    measure: Callable[[Bench], Values]
    metrics: tuple[Metric, ...]
    group: str = "core"
    contenders: tuple[Contender, ...] = (REAL, OURS)
    stores: bool = False
    placements: tuple[Placement, ...] = field(default=tuple(Placement))
