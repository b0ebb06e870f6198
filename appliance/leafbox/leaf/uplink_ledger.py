"""The outage ledger: when data did not flow, why, and what became of the messages that waited. Durable.

An outage begins when an uplink stops flowing and ends when it flows again; what waited at that moment is `queued`, and
`delivered` follows until all of it is at the hub. `lost` counts messages that left the local buffer without the hub's
acknowledgement (somebody purged them, or damage on the flash): by design there is no other way, so it says 0.
An outage that is open when the box stops is continued by the next start.

A row of another kind, `HUB_LOST`, is a hub that asks again for what it had acknowledged. It has left the box: nobody
here can bring it back, and keeping silent about it would be a lie.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

OUTAGES_MAX = 500
"""Kept per uplink, the newest; one an hour for three weeks, 100 KiB of store."""
HUB_LOST = "hub_lost"


class Outage(msgspec.Struct, frozen=True):
    """One outage; times in nanoseconds since 1970, `end_ns` 0: not over."""

    number: int
    start_ns: int
    reason: str
    detail: str = ""
    end_ns: int = 0
    queued: int = 0
    delivered: int = 0
    lost: int = 0

    @property
    def is_settled(self) -> bool:
        """Over, and everything that waited has been delivered or is accounted for."""
        return bool(self.end_ns) and self.delivered + self.lost >= self.queued


class Ledger:
    """The outages of one uplink, oldest first. `save(number, outage or None)` makes a change durable."""

    def __init__(self, outages: list[Outage], save: Callable[[int, Outage | None], None]) -> None:
        self.outages = sorted(outages, key=lambda outage: outage.number)
        self._save = save

    @property
    def current(self) -> Outage | None:
        """The outage that is not over."""
        last = self._last
        return last if last is not None and not last.end_ns else None

    @property
    def unsettled(self) -> Outage | None:
        """The last outage, if it is over and what waited is still on its way."""
        last = self._last
        return last if last is not None and last.end_ns and not last.is_settled else None

    @property
    def lost(self) -> int:
        """Messages of all rows that are nowhere any more."""
        return sum(outage.lost for outage in self.outages)

    @property
    def _last(self) -> Outage | None:
        return next((outage for outage in reversed(self.outages) if outage.reason != HUB_LOST), None)

    def begin(self, now_ns: int, reason: str, detail: str) -> None:
        """Data stopped flowing."""
        self._append(Outage(self._next_number(), now_ns, reason, detail))

    def note_hub_lost(self, now_ns: int, detail: str, count: int) -> bool:
        """The hub asks again for so many messages that it had acknowledged. False: that was noted before."""
        if any(outage.reason == HUB_LOST and outage.detail == detail for outage in self.outages):
            return False
        self._append(Outage(self._next_number(), now_ns, HUB_LOST, detail, now_ns, queued=count, lost=count))
        return True

    def explain(self, reason: str, detail: str) -> None:
        """The cause of the current outage is known better, or is another now."""
        last = self.current
        if last is not None and last.reason != reason:
            self._replace(msgspec.structs.replace(last, reason=reason, detail=detail))

    def end(self, now_ns: int, queued: int) -> None:
        """Data flows again; so many messages waited."""
        last = self.current
        if last is not None:
            self._replace(msgspec.structs.replace(last, end_ns=now_ns, queued=queued))

    def deliver(self, delivered: int, lost: int) -> None:
        """So many of those that waited are at the hub now. Durable once all are."""
        last = self.unsettled
        if last is None or (delivered, lost) == (last.delivered, last.lost):
            return
        changed = msgspec.structs.replace(last, delivered=min(delivered, last.queued - lost), lost=lost)
        self._put(changed)
        if changed.is_settled:
            self._save(changed.number, changed)

    def _next_number(self) -> int:
        return self.outages[-1].number + 1 if self.outages else 1

    def _append(self, outage: Outage) -> None:
        self.outages.append(outage)
        self._save(outage.number, outage)
        while len(self.outages) > OUTAGES_MAX:
            self._save(self.outages.pop(0).number, None)

    def _put(self, changed: Outage) -> None:
        self.outages = [changed if outage.number == changed.number else outage for outage in self.outages]

    def _replace(self, outage: Outage) -> None:
        self._put(outage)
        self._save(outage.number, outage)
