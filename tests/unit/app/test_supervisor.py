"""Children are started, started again, stopped in order, and end with their parent."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from leafbox.app import supervisor
from leafbox.app.supervisor import ChildSpec, Supervisor

SLEEPER = (sys.executable, "-c", "import time; time.sleep(60)")


async def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "waited too long"
        await asyncio.sleep(0.01)


def supervised(act: Callable[[Supervisor], Awaitable[None]]) -> list[tuple[str, str]]:
    """Run `act` with a supervisor, stop it, and return the ends it told of."""
    ends: list[tuple[str, str]] = []

    async def run() -> None:
        async with asyncio.TaskGroup() as tasks:
            children = Supervisor(tasks, lambda name, text: ends.append((name, text)))
            try:
                await act(children)
            finally:
                children.stop()

    uvloop.run(run())
    return ends


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.mark.capability("AP08")
def test_a_child_stands_back_as_far_as_it_is_told() -> None:
    async def act(children: Supervisor) -> None:
        children.start(ChildSpec("modest", SLEEPER, niceness=5))
        children.start(ChildSpec("equal", SLEEPER))
        own = os.getpriority(os.PRIO_PROCESS, 0)

        def niceness(name: str) -> int:
            return os.getpriority(os.PRIO_PROCESS, children.pids()[name]) - own

        await until(lambda: len(children.pids()) == 2 and niceness("modest") == min(5, 19 - own))
        assert niceness("equal") == 0

    assert supervised(act) == []


@pytest.mark.capability("AP08")
def test_a_killed_child_comes_back_and_is_counted() -> None:
    async def act(children: Supervisor) -> None:
        children.start(ChildSpec("sleeper", SLEEPER))
        await until(lambda: bool(children.pids()))
        first = children.pids()["sleeper"]
        os.kill(first, signal.SIGKILL)
        await until(lambda: children.pids().get("sleeper", first) != first)
        (fact,) = children.facts()
        assert (fact.is_running, fact.restarts_last_hour, fact.last_end) == (True, 1, "killed by SIGKILL")

    assert supervised(act) == [("sleeper", "killed by SIGKILL")]


def test_what_cannot_start_is_tried_again_ever_more_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "PAUSE_FIRST_S", 0.02)
    monkeypatch.setattr(supervisor, "PAUSE_MOST_S", 0.08)
    pauses: list[float] = []

    async def act(children: Supervisor) -> None:
        children.start(ChildSpec("broken", (sys.executable, "-c", "raise SystemExit(3)")))
        children._children[0].pause_s = 0.02
        while children.facts()[0].restarts_last_hour < 4:
            pauses.append(children._children[0].pause_s)
            await asyncio.sleep(0.005)

    ends = supervised(act)
    assert ends[:3] == [("broken", "with exit code 3")] * 3
    assert sorted(set(pauses)) == [0.02, 0.04, 0.08]


def test_stopping_asks_first_and_then_kills(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(supervisor, "STOP_GRACE_S", 0.5)
    polite = (
        f"import signal,sys,time; signal.signal(15, lambda *_: (open({str(tmp_path / 'asked')!r}, 'w'), sys.exit()))"
    )
    stubborn = "import signal,time; signal.signal(15, signal.SIG_IGN)"
    after = "; print('ready', flush=True); time.sleep(60)"
    pids: dict[str, int] = {}

    async def act(children: Supervisor) -> None:
        children.start(ChildSpec("polite", (sys.executable, "-c", polite + after)))
        children.start(ChildSpec("stubborn", (sys.executable, "-c", stubborn + after)))
        await until(lambda: len(children.pids()) == 2)
        await asyncio.sleep(0.5)
        pids.update(children.pids())

    assert supervised(act) == []
    assert (tmp_path / "asked").exists()
    assert [pid for pid in pids.values() if is_alive(pid)] == []


def test_its_words_are_in_our_log_and_its_secrets_are_not_in_its_arguments(caplog: pytest.LogCaptureFixture) -> None:
    say = (
        sys.executable,
        "-c",
        "import os; print('secret has', len(os.environ['SECRET']), 'letters'); print('x' * 20000)",
    )

    async def act(children: Supervisor) -> None:
        children.start(ChildSpec("speaker", say, {"SECRET": "abcd"}))
        await until(lambda: children.facts()[0].restarts_last_hour > 0)

    logging.getLogger("leafbox").propagate = True
    with caplog.at_level(logging.INFO):
        supervised(act)
    assert ("leafbox.speaker", "secret has 4 letters") in [(r.name, r.getMessage()) for r in caplog.records]
    assert "abcd" not in repr(ChildSpec("speaker", say, {"SECRET": "abcd"}))


@pytest.mark.capability("AP08")
def test_children_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    program = f"""
import asyncio, sys
from leafbox.app.supervisor import ChildSpec, Supervisor
async def run():
    async with asyncio.TaskGroup() as tasks:
        children = Supervisor(tasks)
        children.start(ChildSpec("sleeper", {SLEEPER!r}))
        while not children.pids():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)
        print(children.pids()["sleeper"], flush=True)
        await asyncio.sleep(60)
asyncio.run(run())
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
    end_s = time.monotonic() + 10
    while is_alive(pid):
        assert time.monotonic() < end_s, "the child outlived its parent"
        time.sleep(0.02)
