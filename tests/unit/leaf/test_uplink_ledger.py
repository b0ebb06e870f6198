"""The ledger keeps what an outage was, also across a restart."""

from __future__ import annotations

import pytest

from leafbox.leaf.uplink_ledger import HUB_LOST, OUTAGES_MAX, Ledger, Outage

pytestmark = pytest.mark.capability("LF06")


class Shelf:
    """Keeps what a ledger saves."""

    def __init__(self) -> None:
        self.kept: dict[int, Outage] = {}

    def save(self, number: int, outage: Outage | None) -> None:
        if outage is None:
            del self.kept[number]
        else:
            self.kept[number] = outage

    def ledger(self) -> Ledger:
        return Ledger(list(self.kept.values()), self.save)


def test_an_outage_from_its_begin_to_the_last_message() -> None:
    shelf = Shelf()
    ledger = shelf.ledger()
    ledger.begin(100, "closed", "gone")
    ledger.explain("dns", "no name")
    ledger.end(200, queued=50)
    assert shelf.kept[1] == Outage(1, 100, "dns", "no name", 200, 50)
    ledger.deliver(20, 0)
    assert ledger.unsettled is not None
    ledger.deliver(50, 0)
    assert ledger.unsettled is None
    assert shelf.kept[1].delivered == 50
    assert shelf.kept[1].lost == 0


def test_what_was_purged_is_told_as_lost() -> None:
    ledger = Shelf().ledger()
    ledger.begin(1, "closed", "")
    ledger.end(2, queued=10)
    ledger.deliver(7, 3)
    assert ledger.outages[-1].is_settled
    assert (ledger.outages[-1].delivered, ledger.outages[-1].lost) == (7, 3)


def test_the_next_start_goes_on_with_an_open_outage() -> None:
    shelf = Shelf()
    shelf.ledger().begin(100, "closed", "")
    again = shelf.ledger()
    assert again.current is not None
    again.end(300, queued=0)
    assert [outage.end_ns for outage in shelf.ledger().outages] == [300]


def test_the_oldest_outages_go() -> None:
    shelf = Shelf()
    ledger = shelf.ledger()
    for number in range(OUTAGES_MAX + 5):
        ledger.begin(number, "closed", "")
        ledger.end(number, queued=0)
    assert len(shelf.kept) == len(ledger.outages) == OUTAGES_MAX
    assert min(shelf.kept) == 6


def test_a_hub_that_asks_again_is_noted_once_and_hides_no_outage() -> None:
    shelf = Shelf()
    ledger = shelf.ledger()
    ledger.begin(100, "closed", "")
    assert ledger.note_hub_lost(150, "from 11, had 20", 10)
    assert not ledger.note_hub_lost(160, "from 11, had 20", 10)
    assert not shelf.ledger().note_hub_lost(170, "from 11, had 20", 10)
    ledger.end(200, queued=5)
    ledger.deliver(5, 0)
    assert shelf.kept[1] == Outage(1, 100, "closed", "", 200, 5, 5)
    assert shelf.kept[2] == Outage(2, 150, HUB_LOST, "from 11, had 20", 150, 10, 0, 10)
    assert (ledger.current, ledger.unsettled, ledger.lost) == (None, None, 10)
    ledger.begin(300, "dns", "")
    assert [outage.number for outage in ledger.outages] == [1, 2, 3]
