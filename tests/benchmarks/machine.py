"""The machine a benchmark ran on: what it is, which processor each process may use, what a process costs."""

from __future__ import annotations

import contextlib
import enum
import os
import platform
import resource
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Calm is when others use less than this share of all processors, looked at for as long as below.
CALM_SHARE_MAX = 0.08
CALM_LOOK_S = 0.3
CALM_WAIT_MAX_S = 5.0


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


@dataclass(slots=True)
class Disturbance:
    """How much of all processors others used while something was measured; 0.5 of two is one of them all the time."""

    share: float = 0.0


@contextlib.contextmanager
def watched_for_others() -> Iterator[Disturbance]:
    """Tells afterwards how disturbed the block was. Processes started inside must have ended inside."""
    disturbance = Disturbance()
    busy, own, started = _busy_s(), _own_s(), time.monotonic()
    yield disturbance
    elapsed = (time.monotonic() - started) * (os.cpu_count() or 1)
    disturbance.share = max(0.0, (_busy_s() - busy) - (_own_s() - own)) / elapsed


def wait_calm() -> None:
    """Return when others leave the machine alone, or when that was waited for long enough."""
    deadline = time.monotonic() + CALM_WAIT_MAX_S
    while time.monotonic() < deadline:
        with watched_for_others() as disturbance:
            time.sleep(CALM_LOOK_S)
        if disturbance.share < CALM_SHARE_MAX:
            return


def take_priority() -> None:
    """Let this process and what it starts go before everything else on the machine; needs root.

    Where the kernel groups processes by session, a process's own niceness counts only inside its group.
    """
    os.setpriority(os.PRIO_PROCESS, 0, -20)
    group = Path("/proc/self/autogroup")
    if group.exists():
        group.write_text("-20", encoding="ascii")


def processor_seconds(pid: int) -> float:
    """Processor time a process has used, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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


def _busy_s() -> float:
    """Processor time everybody has used since boot (user, nice, system, interrupts, stolen)."""
    line = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = (int(f) for f in line.split()[1:9])
    return (user + nice + system + interrupts + soft_interrupts + stolen) / os.sysconf("SC_CLK_TCK")


def _own_s() -> float:
    """Processor time this process and the children it has waited for have used."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


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
