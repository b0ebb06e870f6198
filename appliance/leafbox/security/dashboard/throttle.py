"""Slows down guessing: after a few failures a name, and after more an address, has to wait, longer each time.

Only failures cost; the wait ends by itself, so that nobody can lock an administrator out for good. Forgotten when the
process ends: then it takes seconds to start, which is a wait too.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

FAILURES_FREE = 5
"""A person mistypes a few times."""
FAILURES_FREE_OF_ADDRESS = 20
"""Several people may sit behind one address."""
WAIT_S = 15.0
"""The first wait; it doubles with each further failure."""
WAIT_S_MAX = 900.0
FORGET_S = 3600.0
"""Failures are forgotten after an hour without one."""
KEYS_MAX = 4096
"""Names and addresses remembered, about 150 bytes each; the longest quiet one goes first."""


@dataclass(slots=True)
class Failures:
    """Of one name or address."""

    count: int = 0
    last_s: float = 0
    locked_until_s: float = 0


class Throttle:
    """Times are monotonic seconds."""

    def __init__(self, free: int = FAILURES_FREE) -> None:
        self._free = free
        self._failures: OrderedDict[str, Failures] = OrderedDict()

    def wait_s(self, key: str, now_s: float) -> float:
        """How long to wait before the next try; 0: not at all."""
        known = self._failures.get(key)
        return 0.0 if known is None else max(0.0, known.locked_until_s - now_s)

    def failed(self, key: str, now_s: float) -> float:
        """Count a failure; returns the wait it costs."""
        known = self._failures.get(key)
        if known is None or now_s - known.last_s > FORGET_S:
            known = Failures()
        known.count += 1
        known.last_s = now_s
        over = known.count - self._free
        if over >= 0:
            known.locked_until_s = now_s + min(WAIT_S * 2 ** min(over, 16), WAIT_S_MAX)
        self._failures[key] = known
        self._failures.move_to_end(key)
        while len(self._failures) > KEYS_MAX:
            self._failures.popitem(last=False)
        return self.wait_s(key, now_s)

    def succeeded(self, key: str) -> None:
        """Forget what was."""
        self._failures.pop(key, None)
