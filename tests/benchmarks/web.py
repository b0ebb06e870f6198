"""What ten dashboards and a scraper that read everything each second cost core.

One box, its history filled as after a day, is looked at and left alone in turn, many short slices of each (off on, on
off, ...). In each slice core is put under full load for some seconds: publish rate, processor time for each message,
and the round trips of requests. What counts is the ratio of the two slices of a pair, which lie seconds apart, and of
these ratios the median: what else happens on the machine hits both or is an outlier. Pinned, core has a processor for
itself, and web, browsers and generator the other; the generator goes before both, so that what web and browsers use
does not look like a loss of core. Before that, how much of a processor core uses with and without visitors while there
is no other load: the one figure that a busy machine does not disturb. `python -m tests.benchmarks.web` prints also, as
a control, the same ratios of slices that were both left alone.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from leafbox.monitoring.history import DAY_S, History
from leafbox.monitoring.series import SERIES
from leafbox.storage.config import StorageOptions
from leafbox.storage.engine import Store
from leafbox.storage.records import BlobKind
from tests.benchmarks.generator import run_load
from tests.benchmarks.machine import Placement, processor_seconds, processors
from tests.benchmarks.scenario import OURS, Bench, Metric, Scenario, Values
from tests.support.web_client import RunningBox

PAIRS = 12
MESSAGES = 5_000_000
REQUESTS = 40_000
"""Two to three seconds of load each: every visitor has asked everything more than once in a slice."""
WARM_UP_S = 2.0
QUIET_S = 10.0
KEPT_MIN = 0.95
P99_GROWTH_MAX = 1.05
TAKEN_PERCENT_MAX = 5.0
STREAMS = 20


class Visitors:
    """The process of `web_visitors`, told to look or not."""

    def __init__(self, url: str, cookie: str, placement: Placement) -> None:
        with processors(placement.generator_processors):
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.benchmarks.web_visitors", url, cookie],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip

    def look(self, is_looking: bool) -> int:
        """Begin or end to look; returns how many answers came in the stretch that ended."""
        given, told = _stream(self._process.stdin), _stream(self._process.stdout)
        given.write("on\n" if is_looking else "off\n")
        given.flush()
        return int(told.readline())

    def close(self) -> None:
        """Also raises if it ended before."""
        _stream(self._process.stdin).close()
        assert self._process.wait(20) == 0, "the visitors met an error"


def fill_history(data: Path) -> None:
    """As a box has it that has been running for a day: charts cost most then."""
    store = Store(StorageOptions(directory=str(data / "jetstream"), free_bytes_min=0))
    try:
        history, now_s = History(), int(time.time())
        for time_s in range(now_s - 3700, now_s):
            row = [float(time_s * series.number % 1000) for series in SERIES]
            for chunk in history.add(time_s, row):
                store.put_blob(BlobKind.HISTORY, chunk.key, chunk.body)
        for time_s in range(now_s - DAY_S, now_s - 3700, 60):
            row = [float(series.number) for series in SERIES]
            history.minutes.put(time_s, row, row)
        for hour_s in range(now_s - DAY_S, now_s - 3700, 3600):
            hour = history.minutes.chunk(hour_s)
            assert hour is not None
            store.put_blob(BlobKind.HISTORY, hour.key, hour.body)
    finally:
        store.close()


@contextlib.contextmanager
def _visited_box(placement: Placement) -> Iterator[tuple[RunningBox, Visitors]]:
    with tempfile.TemporaryDirectory() as folder:
        fill_history(Path(folder) / "data")
        box = RunningBox(Path(folder), "--mqtt-port", "-1")
        with processors(placement.server_processors):
            box.__enter__()
        try:
            for thread in Path(f"/proc/{box.web_pid}/task").iterdir():
                os.sched_setaffinity(int(thread.name), placement.generator_processors)
            admin = box.claim()
            for number in range(STREAMS):
                answer = admin.post("streams", {"name": f"KEPT{number}", "subjects": [f"kept.{number}.>"]})
                assert answer.status == 201, answer.body
            visitors = Visitors(box.url, admin.cookie, placement)
            yield box, visitors
            visitors.close()
        finally:
            box.__exit__()


def _slice(box: RunningBox, placement: Placement, scale: float) -> Values:
    """Core under full load."""
    port = int(box.nats_url.rpartition(":")[2])
    used = processor_seconds(box.core_pid)
    flow = run_load("flow", port, placement, pubs=1, subs=1, size=128, count=max(1000, int(MESSAGES * scale)))
    used = processor_seconds(box.core_pid) - used
    asked = run_load(
        "requests", port, placement, subject="bench.ask", responder=1, count=max(500, int(REQUESTS * scale))
    )
    return {
        "rate": flow["rate"],
        "core ns each": max(used, 0.001) / flow["messages"] * 1e9,
        "p50 us": asked["p50_us"],
        "p99 us": asked["p99_us"],
    }


@dataclass(slots=True)
class Found:
    """(left alone, looked at) of each pair; pages a second; percent of a processor that the visitors take from core."""

    pairs: list[tuple[Values, Values]]
    pages_per_s: float
    taken_percent: float


def _taken_percent(box: RunningBox, visitors: Visitors, seconds: float) -> float:
    used: dict[bool, float] = {}
    for is_looked_at in (False, True):
        if is_looked_at:
            visitors.look(True)
            time.sleep(min(WARM_UP_S, seconds))
        before, started = processor_seconds(box.core_pid), time.monotonic()
        time.sleep(seconds)
        used[is_looked_at] = (processor_seconds(box.core_pid) - before) / (time.monotonic() - started)
    visitors.look(False)
    return 100 * (used[True] - used[False])


def measure_pairs(placement: Placement, pairs: int, scale: float) -> Found:
    """All of it, on one box."""
    found: list[tuple[Values, Values]] = []
    answers, looked_s = 0, 0.0
    with _visited_box(placement) as (box, visitors):
        taken_percent = _taken_percent(box, visitors, QUIET_S * min(scale, 1.0))
        before = visitors.look(False)
        _slice(box, placement, scale)
        for number in range(pairs):
            values: dict[bool, Values] = {}
            for is_looked_at in (False, True) if number % 2 == 0 else (True, False):
                if is_looked_at:
                    started = time.monotonic()
                    visitors.look(True)
                    time.sleep(WARM_UP_S * min(scale, 1.0))
                values[is_looked_at] = _slice(box, placement, scale)
                if is_looked_at:
                    answers = visitors.look(False)
                    looked_s += time.monotonic() - started
                    time.sleep(WARM_UP_S * min(scale, 1.0))
            found.append((values[False], values[True]))
    return Found(found, (answers - before) / looked_s, taken_percent)


def ratios(pairs: list[tuple[Values, Values]], name: str) -> list[float]:
    """Looked at divided by left alone, of each pair."""
    return [looked_at[name] / alone[name] for alone, looked_at in pairs]


def control(pairs: list[tuple[Values, Values]], name: str) -> list[float]:
    """Neighbouring slices that were both left alone: what the machine alone does to such a ratio."""
    alone = [values[name] for values, _ in pairs]
    return [later / earlier for earlier, later in itertools.pairwise(alone)]


def _dashboards(bench: Bench) -> Values:
    found = measure_pairs(bench.placement, max(1, int(PAIRS * min(bench.scale, 1.0))), bench.scale)
    median = {name: statistics.median(ratios(found.pairs, name)) for name in found.pairs[0][0]}
    return {
        "rate kept": median["rate"],
        "p99 growth": median["p99 us"],
        "processor taken": found.taken_percent,
        "answers": found.pages_per_s,
    }


SCENARIOS = [
    Scenario(
        "ten dashboards and a scraper look each second",
        _dashboards,
        (
            Metric("rate kept", "of the rate left alone", limit=KEPT_MIN),
            Metric("p99 growth", "of a request left alone", False, limit=P99_GROWTH_MAX),
            Metric("processor taken", "% of one processor of core", False, limit=TAKEN_PERCENT_MAX),
            Metric("answers", "pages/s"),
        ),
        group="web",
        contenders=(OURS,),
    )
]


def main() -> None:
    """Print each measure: both medians, the median ratio with its quartiles, and the control's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--placement", choices=[place.value for place in Placement], default=Placement.PINNED.value)
    options = parser.parse_args()
    found = measure_pairs(Placement(options.placement), options.pairs, options.scale)
    pairs = found.pairs
    for name in pairs[0][0]:
        alone, looked_at = (statistics.median(values[name] for values in side) for side in zip(*pairs, strict=True))
        print(
            f"{name:14} alone {alone:13,.1f}  looked at {looked_at:13,.1f}  "
            f"ratio {_spread(ratios(pairs, name))}  control {_spread(control(pairs, name))}"
        )
    print(
        f"visitors take {found.taken_percent:.1f} % of a processor from core (wanted: at most {TAKEN_PERCENT_MAX:.0f})"
    )
    print(f"{found.pages_per_s:.0f} pages/s; wanted: rate at least {KEPT_MIN}, p99 at most {P99_GROWTH_MAX}; "
          f"load {os.getloadavg()[0]:.1f}")  # fmt: skip


def _spread(values: list[float]) -> str:
    if len(values) < 2:
        return "-"
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


if __name__ == "__main__":
    main()
