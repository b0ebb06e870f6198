"""The outage ledger: when data did not flow, why, and what became of the messages that waited. Durable.

An outage begins when an uplink stops flowing and ends when it flows again; what waited at that moment is `queued`, and
`delivered` follows until all of it is at the hub. `lost` counts messages that left the local buffer without the hub's
acknowledgement (somebody purged them, or damage on the flash): by design there is no other way, so it says 0.
An outage that is open when the box stops is continued by the next start.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

OUTAGES_MAX = 500
"""Kept per uplink, the newest; one an hour for three weeks, 100 KiB of store."""


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
        last = self.outages[-1] if self.outages else None
        return last if last is not None and not last.end_ns else None

    @property
    def unsettled(self) -> Outage | None:
        """The last outage, if it is over and what waited is still on its way."""
        last = self.outages[-1] if self.outages else None
        return last if last is not None and last.end_ns and not last.is_settled else None

    def begin(self, now_ns: int, reason: str, detail: str) -> None:
        """Data stopped flowing."""
        number = self.outages[-1].number + 1 if self.outages else 1
        self.outages.append(Outage(number, now_ns, reason, detail))
        self._save(number, self.outages[-1])
        while len(self.outages) > OUTAGES_MAX:
            self._save(self.outages.pop(0).number, None)

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
        self.outages[-1] = changed
        if changed.is_settled:
            self._save(changed.number, changed)

    def _replace(self, outage: Outage) -> None:
        self.outages[-1] = outage
        self._save(outage.number, outage)
