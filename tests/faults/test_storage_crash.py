"""Kill the storing process, or take the power, at any moment: what was acknowledged is there, nothing comes back."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from leafbox.storage.engine import Store
from tests.support.power_cut import PowerCutDisk
from tests.support.storage_workload import Promises, options_for

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("LEAFBOX_KILLS", "12"))
"""Rounds of each crash test; the default keeps the suite short, the record of longer runs is in ADR 0002."""


class Victim:
    """A running workload and the lines it has said."""

    def __init__(self, directory: Path, seed: int, sync: str = "always") -> None:
        self.promises = Promises()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.storage_workload", str(directory), str(seed), sync],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
        self.output = b""
        self._has_said = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        stream = self._process.stdout.fileno()
        while chunk := os.read(stream, 1 << 16):
            with self._has_said:
                self.output += chunk
                self._has_said.notify()
        with self._has_said:
            self._has_said.notify()

    def wait_output(self, size: int) -> None:
        """Until that many bytes of lines have come."""
        with self._has_said:
            self._has_said.wait_for(lambda: len(self.output) >= size or self._process.poll() is not None, timeout=60)
            if len(self.output) < size:
                self.kill()
                raise AssertionError(f"only {len(self.output)} bytes came")

    def kill(self) -> list[str]:
        """SIGKILL; the whole lines it said before."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stderr is not None
        errors = self._process.stderr.read().decode()
        self._process.stderr.close()
        assert self._process.stdout is not None
        self._process.stdout.close()
        # Once the disk is gone the store says so first; anything else is a defect. The workload may then fail, too.
        assert not errors or "Input/output error" in errors.splitlines()[0], errors
        return self.lines()

    def lines(self) -> list[str]:
        return self.output.decode().rpartition("\n")[0].splitlines()


@pytest.mark.capability("JS40")
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_sigkill_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """One store, killed again and again at random points of its work, checked after every kill."""
    choices = random.Random(41)
    directory = tmp_path / "store"
    promises = Promises()
    for round_number in range(KILLS):
        victim = Victim(directory, round_number)
        victim.wait_output(choices.choice((10, 400, 3_000, 12_000, 30_000)))
        promises.note(victim.kill())
        store = Store(options_for(str(directory)))
        broken = promises.broken(store)
        if choices.random() < 0.3:
            store.close()
        else:
            # Let go without a last checkpoint, so that the next start replays over an unclean stop, too.
            store.journal.close()
            store._database.close()
            os.close(store._lock)
        assert broken == [], f"round {round_number}"
    assert promises.count > 10 * KILLS


@pytest.mark.capability("JS40", "AP02")
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("policy", ["drop", "random"])
def test_power_cut_loses_nothing_acknowledged(tmp_path: Path, policy: str) -> None:
    """Unsynced writes are dropped, or each kept, dropped or torn: acknowledged data does not depend on them."""
    choices = random.Random(42)
    before = tmp_path / "empty"
    promises = Promises()
    torn = unsynced = 0
    for round_number in range(KILLS):
        with PowerCutDisk(tmp_path / "disk") as disk:
            if before.exists():
                shutil.copytree(before, disk.path / "store")
                settle(disk.path)
            victim = Victim(disk.path / "store", round_number)
            victim.wait_output(choices.choice((10, 400, 3_000, 9_000)))
            said = victim.lines()
            after = tmp_path / f"after-{round_number}"
            lost = disk.cut(round_number, policy, after)
            victim.kill()
        promises.note(said)
        # Announcements matter however late they came: what they speak of may have happened.
        promises.note(line for line in victim.lines() if line[0] in "xXg")
        store = Store(options_for(str(after / "store")))
        broken = promises.broken(store)
        unsynced += lost
        torn += bool(store.report.torn_detail)
        store.close()
        assert broken == [], f"round {round_number}"
        shutil.rmtree(before, ignore_errors=True)
        (after / "store").rename(before)
        shutil.rmtree(after)
    assert promises.count > 10 * KILLS
    assert unsynced >= KILLS, "the disk never had anything to lose"
    print(f"{policy}: {unsynced} unsynced writes at {KILLS} cuts, {torn} torn tails")


def settle(folder: Path) -> None:
    """Sync every file, as if the machine had run for a while."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)


@pytest.mark.capability("JS40")
@pytest.mark.slow
def test_interval_mode_is_what_loses_messages(tmp_path: Path) -> None:
    """The check can fail: acknowledging before the sync loses acknowledged messages on the same disk. A cut may come
    just behind a checkpoint, which syncs all there is; not fifteen times in a row."""
    seen = []
    for cut in range(15):
        with PowerCutDisk(tmp_path / f"disk-{cut}") as disk:
            victim = Victim(disk.path / "store", cut, "interval")
            victim.wait_output(500)
            said = victim.lines()
            disk.cut(1, "drop", tmp_path / f"after-{cut}", "now")
            victim.kill()
        victim.promises.note(said)
        store = Store(options_for(str(tmp_path / f"after-{cut}" / "store")))
        broken = victim.promises.broken(store)
        store.close()
        if any("lost" in complaint or "is gone" in complaint for complaint in broken):
            return
        seen.append((said[-3:], broken))
    pytest.fail(f"nothing acknowledged was lost: {seen}")
