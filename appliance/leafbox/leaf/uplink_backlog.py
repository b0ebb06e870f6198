"""What waits for the hub: messages, bytes, age of the oldest, how fast it drains, and when it will be empty.

Values measured about once a second by whoever supervises; nothing here asks anybody.
"""

from __future__ import annotations

from dataclasses import dataclass

_WEIGHT = 0.3
"""Of the newest second in the rates: a change shows within three seconds, a hiccup does not."""


@dataclass(frozen=True, slots=True)
class BufferState:
    """A local buffer as its stream stands. `acknowledged_seq`: up to here the hub has stored everything."""

    messages: int = 0
    stored_bytes: int = 0
    first_seq: int = 0
    last_seq: int = 0
    first_ts_ns: int = 0
    acknowledged_seq: int = 0
    is_fetched: bool = False
    """Whether the hub's stream has a consumer here."""
    is_listened: bool = False
    """Whether the hub listens to it at this moment."""
    is_full: bool = False
    asked_again: tuple[int, int] | None = None
    """The hub asked from the first sequence on, although it had acknowledged everything up to the second."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """Snapshot for screens; `eta_s` None: it does not get shorter."""

    messages: int = 0
    stored_bytes: int = 0
    oldest_age_s: float = 0.0
    drain_per_s: float = 0.0
    fill_per_s: float = 0.0
    eta_s: float | None = 0.0


class BacklogMeter:
    """Turns buffer states into rates."""

    def __init__(self) -> None:
        self.state = BufferState()
        self._drain_per_s = 0.0
        self._fill_per_s = 0.0
        self._at_s = 0.0
        self.still_since_s = 0.0
        """Since when there is a backlog of which nothing went although the link is there."""

    def measure(self, state: BufferState, now_s: float) -> None:
        """A new state; `now_s` of a monotonic clock."""
        before, self.state = self.state, state
        left_before, left = before.last_seq - before.messages, state.last_seq - state.messages
        if left != left_before or not state.messages:
            self.still_since_s = now_s
        elapsed_s = now_s - self._at_s
        if self._at_s and elapsed_s > 0:
            self._drain_per_s += _WEIGHT * (max(left - left_before, 0) / elapsed_s - self._drain_per_s)
            self._fill_per_s += _WEIGHT * (max(state.last_seq - before.last_seq, 0) / elapsed_s - self._fill_per_s)
        self._at_s = now_s

    def link_is_up(self, now_s: float) -> None:
        """What stood still before had no way to go."""
        self.still_since_s = now_s

    def backlog(self, now_ns: int) -> Backlog:
        """As it stands."""
        state = self.state
        if not state.messages:
            return Backlog(drain_per_s=round(self._drain_per_s, 1), fill_per_s=round(self._fill_per_s, 1))
        net = self._drain_per_s - self._fill_per_s
        return Backlog(
            messages=state.messages,
            stored_bytes=state.stored_bytes,
            oldest_age_s=round(max(now_ns - state.first_ts_ns, 0) / 1e9, 3) if state.first_ts_ns else 0.0,
            drain_per_s=round(self._drain_per_s, 1),
            fill_per_s=round(self._fill_per_s, 1),
            eta_s=round(state.messages / net, 1) if net > 0.5 else None,
        )
