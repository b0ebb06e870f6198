"""Rates and the estimate of when a backlog is gone."""

from __future__ import annotations

import pytest

from leafbox.leaf.uplink_backlog import BacklogMeter, BufferState

pytestmark = pytest.mark.capability("LF06")
SECOND = 10**9


def test_a_draining_backlog_has_an_end() -> None:
    meter = BacklogMeter()
    for second in range(20):
        left = 10_000 - 100 * second
        meter.measure(BufferState(left, left * 50, 1 + 100 * second, 10_000, 5 * SECOND), float(second + 1))
    backlog = meter.backlog(25 * SECOND)
    assert backlog.messages == 8100
    assert backlog.oldest_age_s == 20.0
    assert backlog.drain_per_s == pytest.approx(100, abs=1)
    assert backlog.eta_s == pytest.approx(81, abs=2)


def test_a_backlog_that_grows_has_no_end_and_says_since_when_it_is_still() -> None:
    meter = BacklogMeter()
    meter.measure(BufferState(0, 0, 1, 0), 1.0)
    for second in range(2, 10):
        meter.measure(BufferState(second * 10, 1, 1, second * 10), float(second))
    backlog = meter.backlog(0)
    assert backlog.eta_s is None
    assert backlog.fill_per_s == pytest.approx(10, abs=3)
    assert meter.still_since_s == 1.0


def test_an_empty_buffer_needs_no_time() -> None:
    meter = BacklogMeter()
    meter.measure(BufferState(0, 0, 11, 10), 1.0)
    assert (meter.backlog(0).messages, meter.backlog(0).eta_s) == (0, 0.0)


def test_what_stood_still_without_a_link_is_not_stuck() -> None:
    meter = BacklogMeter()
    for second in range(1, 100):
        meter.measure(BufferState(second, 1, 1, second), float(second))
    meter.link_is_up(99.5)
    meter.measure(BufferState(100, 1, 1, 100), 100.0)
    assert meter.still_since_s == 99.5
    meter.measure(BufferState(100, 1, 2, 101), 101.0)
    assert meter.still_since_s == 101.0
