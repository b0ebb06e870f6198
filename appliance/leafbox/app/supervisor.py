"""Keeps the processes beside core running: the dashboard, adapters. Core never waits for them.

A child that ends is started again after a pause that doubles with each failure; one that ran for a while starts from
the shortest pause again. What it writes goes into our log line by line. At the end children are asked to stop, then
made to. They are in sessions of their own, so that one Ctrl-C reaches core only and core decides the order.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from leafbox.monitoring.box_snapshot import ChildFact

logger = logging.getLogger(__name__)

PAUSE_FIRST_S = 0.5
PAUSE_MOST_S = 30.0
"""A dashboard that cannot start (a taken port) tries twice a minute: soon enough for people, no load."""
STABLE_S = 60.0
"""Who ran so long begins at the shortest pause again."""
STOP_GRACE_S = 3.0
LINE_BYTES_MAX = 16384
"""Of one line of a child's output; a longer one is cut into several."""
STARTS_REMEMBERED = 64
HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """A process to keep running. `command` begins with a path; secrets go into `environment`, never into `command`."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    niceness: int = 0
    """How far it stands back where there are too few processors for all; core itself has 0."""


@dataclass(slots=True)
class Child:
    """One child as it runs."""

    spec: ChildSpec
    process: asyncio.subprocess.Process | None = None
    pause_s: float = PAUSE_FIRST_S
    last_end: str = ""
    ends_s: deque[float] = field(default_factory=lambda: deque(maxlen=STARTS_REMEMBERED))


class Supervisor:
    """The children of one server; belongs to the loop. `on_end(name, text)` is told of each unwanted end."""

    def __init__(self, tasks: asyncio.TaskGroup, on_end: Callable[[str, str], None] | None = None) -> None:
        self._tasks = tasks
        self._on_end = on_end
        self._children: list[Child] = []
        self._stopping = asyncio.Event()

    def start(self, spec: ChildSpec) -> None:
        """Keep this process running from now on; returns at once."""
        child = Child(spec)
        self._children.append(child)
        self._tasks.create_task(self._keep(child), name=f"supervisor of {spec.name}")

    def stop(self) -> None:
        """End the children; the task group waits until they are gone, at most STOP_GRACE_S."""
        self._stopping.set()

    def facts(self) -> tuple[ChildFact, ...]:
        """How they do."""
        since_s = time.monotonic() - HOUR_S
        return tuple(
            ChildFact(
                name=child.spec.name,
                is_running=child.process is not None,
                restarts_last_hour=sum(end_s >= since_s for end_s in child.ends_s),
                last_end=child.last_end,
            )
            for child in self._children
        )

    def pids(self) -> dict[str, int]:
        """Process ids of those that run."""
        return {child.spec.name: child.process.pid for child in self._children if child.process is not None}

    # -- one child ----------------------------------------------------------------------------------------------------

    async def _keep(self, child: Child) -> None:
        while not self._stopping.is_set():
            started_s = time.monotonic()
            end = await self._run_once(child)
            if self._stopping.is_set():
                return
            child.ends_s.append(time.monotonic())
            child.last_end = end
            if time.monotonic() - started_s >= STABLE_S:
                child.pause_s = PAUSE_FIRST_S
            logger.warning("process ended name=%s %s; again in %.1f s", child.spec.name, end, child.pause_s)
            if self._on_end is not None:
                self._on_end(child.spec.name, end)
            await self._pause(child.pause_s)
            child.pause_s = min(child.pause_s * 2, PAUSE_MOST_S)

    async def _pause(self, pause_s: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), pause_s)
        except TimeoutError:
            return

    async def _run_once(self, child: Child) -> str:
        """Run it to its end; how it ended, in words."""
        spec = child.spec
        child_file = str(Path(__file__).with_name("child.py"))
        starter = (sys.executable, "-I", "-S", child_file, str(os.getpid()), str(spec.niceness))
        try:
            process = await asyncio.create_subprocess_exec(
                *starter,
                *spec.command,
                env={**os.environ, **spec.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
                limit=LINE_BYTES_MAX,
            )
        except OSError as error:
            return f"it could not be started: {error}"
        child.process = process
        logger.debug("process started name=%s pid=%d", spec.name, process.pid)
        try:
            await self._follow(child, process)
        finally:
            child.process = None
        return _in_words(process.returncode)

    async def _follow(self, child: Child, process: asyncio.subprocess.Process) -> None:
        """Log what it says until it ends or we stop."""
        reading = self._tasks.create_task(_log_output(child.spec.name, process), name=f"output of {child.spec.name}")
        stopping = self._tasks.create_task(self._stopping.wait(), name=f"stop of {child.spec.name}")
        ending = self._tasks.create_task(process.wait(), name=f"end of {child.spec.name}")
        try:
            await asyncio.wait({stopping, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                _signal_group(process, signal.SIGTERM)
                await asyncio.wait({ending}, timeout=STOP_GRACE_S)
        finally:
            stopping.cancel()
            # Also grandchildren that outlived it: they would hold its port.
            _signal_group(process, signal.SIGKILL)
            await ending
            # Of the last words of a dead child what is in the pipe, and not what a stray heir of it may yet say.
            await asyncio.wait({reading}, timeout=0.2)
            reading.cancel()


async def _log_output(name: str, process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    child_logger = logging.getLogger(f"leafbox.{name}")
    while True:
        try:
            line = await process.stdout.readline()
        except ValueError:
            # Longer than the limit; asyncio has thrown it away.
            child_logger.warning("a line of more than %d bytes was left out", LINE_BYTES_MAX)
            continue
        if not line:
            return
        child_logger.info("%s", line.decode("utf-8", "replace").rstrip())


def _signal_group(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return


def _in_words(code: int | None) -> str:
    if code is None or code >= 0:
        return f"with exit code {code}"
    names = {number.value: number.name for number in signal.Signals}
    return f"killed by {names.get(-code, f'signal {-code}')}"
