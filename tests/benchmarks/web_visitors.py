"""Ten dashboards and a scraper, as a process: `python -m tests.benchmarks.web_visitors URL COOKIE`.

Reads a line from stdin for each change: `on` opens the dashboards' event streams and begins to ask, `off` ends all of
it; answered by a line with how many answers came so far once the change is complete. A dashboard asks each second what
its pages ask; the scraper reads every monitoring document and /metrics each second.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.support.web_client import Browser

DASHBOARDS = 10
PAGE = ("status", "issues", "streams", "connections", "flow", "devices", "history?span=1h&series=messages_in")
SCRAPED = ("/varz", "/connz", "/jsz?streams=1&consumers=1", "/subsz", "/leafz", "/accountz", "/healthz", "/metrics")
NICE = 19
"""Browsers are on other machines; here they must not take the processor from who is measured."""


class Visitors:
    """One stretch of looking. The first answer that is not good ends the process."""

    def __init__(self, url: str, cookie: str) -> None:
        self._url, self._cookie = url, cookie
        self._stopping = threading.Event()
        self.answers = 0
        self.events = 0
        self._pool = ThreadPoolExecutor(2 * DASHBOARDS + 1)
        self._running = [
            *(self._pool.submit(self._each_second, PAGE, number / DASHBOARDS) for number in range(DASHBOARDS)),
            *(self._pool.submit(self._listen) for _ in range(DASHBOARDS)),
            self._pool.submit(self._each_second, SCRAPED, 0.5),
        ]

    def stop(self) -> None:
        """Ends all; raises what went wrong."""
        self._stopping.set()
        for each in self._running:
            each.result(timeout=10)
        self._pool.shutdown()

    def _each_second(self, paths: tuple[str, ...], offset_s: float) -> None:
        visitor = Browser(self._url, cookie=self._cookie)
        self._stopping.wait(offset_s)
        while not self._stopping.is_set():
            started = time.monotonic()
            for path in paths:
                answer = visitor.get(path)
                assert answer.status == 200, (path, answer.status, answer.body)
                self.answers += 1
            self._stopping.wait(max(0.0, 1.0 - (time.monotonic() - started)))

    def _listen(self) -> None:
        with Browser(self._url, cookie=self._cookie).events("events") as events:
            for _ in events:
                self.events += 1
                if self._stopping.is_set():
                    return


def main() -> None:
    """Obey until stdin ends."""
    os.nice(NICE)
    url, cookie = sys.argv[1:3]
    visitors: Visitors | None = None
    answers = 0
    for line in sys.stdin:
        if line.strip() == "on":
            visitors = Visitors(url, cookie)
        elif visitors is not None:
            visitors.stop()
            assert visitors.events > 0, "no event came"
            answers += visitors.answers
            visitors = None
        print(answers, flush=True)


if __name__ == "__main__":
    main()
