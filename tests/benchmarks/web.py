"""What dashboards cost core: `python -m tests.benchmarks.web`. A box alone against the same box looked at.

Looked at means ten dashboards with their event stream, each asking what a page asks each second, and a scraper that
reads every monitoring document and /metrics each second. Measured are the publish rate, the processor time of core for
each message, and the round trip of requests, each pair in turn (A B, B A, ...) with a fresh box; printed are medians
and ratios. Processor time is the measure that others on the machine disturb least: the rate also contains what the web
process itself takes from a machine of two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.generator import run_load
from tests.benchmarks.machine import Placement, processor_seconds
from tests.support.web_client import Browser, RunningBox

DASHBOARDS = 10
PAGE = ("status", "issues", "streams", "connections", "flow", "history?span=1h&series=messages_in")
SCRAPED = ("/varz", "/connz", "/jsz?streams=1&consumers=1", "/subsz", "/leafz", "/accountz", "/metrics")
WANTED_LOSS = 0.05
WARM_UP_S = 2.0


class Visitors:
    """Ten dashboards and a scraper, as threads; `requests` counts what was answered."""

    def __init__(self, admin: Browser) -> None:
        self._stopping = threading.Event()
        self.requests = 0
        self._threads = [
            *(threading.Thread(target=self._dashboard, args=[admin, number]) for number in range(DASHBOARDS)),
            *(threading.Thread(target=self._listen, args=[admin], daemon=True) for _ in range(DASHBOARDS)),
            threading.Thread(target=self._scrape, args=[admin]),
        ]

    def __enter__(self) -> Visitors:
        for thread in self._threads:
            thread.start()
        time.sleep(WARM_UP_S)
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(5)

    def _each_second(self, visitor: Browser, paths: tuple[str, ...]) -> None:
        while not self._stopping.is_set():
            started = time.monotonic()
            for path in paths:
                assert visitor.get(path).status == 200, path
                self.requests += 1
            self._stopping.wait(max(0.0, 1.0 - (time.monotonic() - started)))

    def _dashboard(self, admin: Browser, number: int) -> None:
        self._stopping.wait(number / DASHBOARDS)
        self._each_second(Browser(admin.url, cookie=admin.cookie), PAGE)

    def _scrape(self, admin: Browser) -> None:
        self._each_second(Browser(admin.url, cookie=admin.cookie), SCRAPED)

    def _listen(self, admin: Browser) -> None:
        with Browser(admin.url, cookie=admin.cookie).events("events") as events:
            while not self._stopping.is_set():
                next(events)


@contextlib.contextmanager
def box_looked_at(is_watched: bool) -> Iterator[tuple[RunningBox, Visitors | None]]:
    """A fresh box, alone or with its visitors."""
    with tempfile.TemporaryDirectory() as folder, RunningBox(Path(folder)) as box:
        admin = box.claim()
        admin.post("streams", {"name": "KEPT", "subjects": ["kept.>"]})
        if not is_watched:
            yield box, None
            return
        with Visitors(admin) as visitors:
            yield box, visitors


def measure(is_watched: bool, scale: float) -> dict[str, float]:
    """One box, one set of values."""
    with box_looked_at(is_watched) as (box, visitors):
        port = int(box.nats_url.rpartition(":")[2])
        used, started = processor_seconds(box.core_pid), time.monotonic()
        before = visitors.requests if visitors is not None else 0
        flow = run_load("flow", port, Placement.FREE, pubs=1, subs=1, size=128, count=int(3_000_000 * scale))
        used = processor_seconds(box.core_pid) - used
        asked = run_load("requests", port, Placement.FREE, subject="bench.ask", responder=1, count=int(20_000 * scale))
        seconds = time.monotonic() - started
        return {
            "rate": flow["rate"],
            "core ns each": used / flow["messages"] * 1e9,
            "p50 us": asked["p50_us"],
            "p99 us": asked["p99_us"],
            "pages/s": (visitors.requests - before) / seconds if visitors is not None else 0.0,
        }


def main() -> None:
    """Print medians of both and what looking costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    found: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    for number in range(options.rounds):
        for is_watched in (False, True) if number % 2 == 0 else (True, False):
            found[is_watched].append(measure(is_watched, options.scale))
    for name in found[False][0]:
        alone, watched = (statistics.median(values[name] for values in found[key]) for key in (False, True))
        ratio = f"{watched / alone:.3f}" if alone else ""
        print(f"{name:14} alone {alone:14,.1f}   looked at {watched:14,.1f}   {ratio}")
    print(f"wanted: the rate loses at most {WANTED_LOSS:.0%}, p99 grows at most as much")


if __name__ == "__main__":
    main()
