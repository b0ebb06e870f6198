"""The machine a benchmark ran on: what it is, which processor each process may use, what a process costs."""

from __future__ import annotations

import contextlib
import enum
import os
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path


class Placement(enum.Enum):
    """Which processors the two sides get. The same rule holds for every server.

    `PINNED`: the server has the first processor to itself, the generator the last, so neither can slow the other (a
    Go program sees one processor then). `FREE`: both may use all, and the generator takes time a server could use.
    """

    PINNED = "pinned"
    FREE = "free"

    @property
    def server_processors(self) -> set[int]:
        available = sorted(os.sched_getaffinity(0))
        return set(available[:1] if self is Placement.PINNED else available)

    @property
    def generator_processors(self) -> set[int]:
        available = sorted(os.sched_getaffinity(0))
        return set(available[-1:] if self is Placement.PINNED else available)


@contextlib.contextmanager
def processors(allowed: set[int]) -> Iterator[None]:
    """Processes started inside inherit these processors; ours comes back afterwards."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, allowed)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def memory_bytes(pid: int) -> int:
    """Resident memory of a process and its children, as the kernel counts it."""
    total = 0
    for each in [pid, *_descendants(pid)]:
        with contextlib.suppress(FileNotFoundError):
            for line in Path(f"/proc/{each}/status").read_text(encoding="ascii").splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1]) * 1024
    return total


def facts(repository: Path) -> dict[str, str | int]:
    """What a figure must be read with."""
    return {
        "machine": _processor_name(),
        "processors": os.cpu_count() or 0,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": _commit(repository),
    }


def _descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text(encoding="ascii").split():
            found += [int(child), *_descendants(int(child))]
    return found


def _processor_name() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit(repository: Path) -> str:
    """The commit's short name, with `+` when the work tree differs from it."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"], cwd=repository, capture_output=True, text=True, check=False
    )
    return described.stdout.strip() or "unknown"
