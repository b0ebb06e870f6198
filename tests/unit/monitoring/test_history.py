"""Rings, chunks and excerpts: what was measured is what is shown, also after a restart and a clock that jumps."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leafbox.monitoring.history import DAY_S, HOUR_S, MINUTE_S, History
from leafbox.monitoring.series import BY_NAME, COLUMN, NOT_MEASURED, SERIES

T0 = 1_800_000_000 - 1_800_000_000 % DAY_S
Kept = dict[bytes, bytes]


def row(value: float) -> list[float]:
    return [value] * len(SERIES)


def record(
    history: History, kept: Kept, first_s: int, seconds: int, value: float | None = None, step_s: int = 1
) -> None:
    """Rows whose value is the second's place in its minute, or `value`."""
    for time_s in range(first_s, first_s + seconds, step_s):
        for chunk in history.add(time_s, row(float(time_s % MINUTE_S) if value is None else value)):
            kept[chunk.key] = chunk.body


def restarted(kept: Kept) -> History:
    history = History()
    assert history.load(kept.values()) == 0
    return history


def test_numbers_on_flash_are_used_once() -> None:
    assert len({series.number for series in SERIES}) == len(SERIES) == len(BY_NAME) == len(COLUMN)


def test_an_hour_by_seconds() -> None:
    history = History()
    record(history, {}, T0, HOUR_S)
    excerpt = history.excerpt([0], HOUR_S, T0 + HOUR_S - 1, 3600)
    assert excerpt.step_s == 1
    assert excerpt.times_s == list(range(T0, T0 + HOUR_S))
    assert excerpt.means[0] == [float(t % 60) for t in excerpt.times_s]


def test_fewer_points_are_means_and_peaks_of_many() -> None:
    history = History()
    record(history, {}, T0, HOUR_S)
    excerpt = history.excerpt([0], HOUR_S, T0 + HOUR_S - 1, 60)
    assert excerpt.step_s == 65
    assert len(excerpt.times_s) <= 60
    assert max(value for value in excerpt.peaks[0] if value is not None) == 59.0
    assert all(25 < value < 34 for value in excerpt.means[0][1:-1] if value is not None)


def test_a_chart_of_the_hour_is_drawn_from_rows_of_five_seconds() -> None:
    """720 points whose means and peaks are those of the seconds, gaps included; also after a restart."""
    history = History()
    kept: Kept = {}
    record(history, kept, T0, 1800)
    record(history, kept, T0 + 1820, HOUR_S - 1820)
    now_s = T0 + HOUR_S - 1
    seconds = history.excerpt([0], HOUR_S, now_s, 3600).means[0]
    for known in (history, restarted(kept | {c.key: c.body for c in history.flush()})):
        chart = known.excerpt([0], HOUR_S, now_s, 720)
        assert (chart.step_s, len(chart.times_s)) == (5, 720)
        assert chart.times_s == list(range(T0, T0 + HOUR_S, 5))
        for index, (mean, peak) in enumerate(zip(chart.means[0], chart.peaks[0], strict=True)):
            rows = [value for value in seconds[5 * index : 5 * index + 5] if value is not None]
            assert mean == (pytest.approx(sum(rows) / 5, abs=0.001) if rows else None)
            assert peak == (max(rows) if rows else None)
        assert chart.means[0][360:364] == [None] * 4


def test_a_day_by_minutes_and_a_month_by_hours() -> None:
    history = History()
    record(history, {}, T0, 2 * HOUR_S)
    now_s = T0 + 2 * HOUR_S - 1
    day = history.excerpt([0], DAY_S, now_s, 3600)
    assert day.step_s == MINUTE_S
    assert [value for value in day.means[0] if value is not None] == [29.5] * 120
    assert [value for value in day.peaks[0] if value is not None] == [59.0] * 120
    month = history.excerpt([0], 30 * DAY_S, now_s, 3600)
    assert month.step_s == HOUR_S
    assert len(month.times_s) == 720
    assert month.means[0][-2:] == [29.5, 29.5]


def test_gaps_stay_gaps() -> None:
    history = History()
    record(history, {}, T0, 10)
    record(history, {}, T0 + 20, 10, NOT_MEASURED)
    record(history, {}, T0 + 30, 1)
    excerpt = history.excerpt([0], HOUR_S, T0 + 30, 3600)
    shown = [value for value in excerpt.means[0] if value is not None]
    assert shown == [*map(float, range(10)), 30.0]


def test_a_kill_loses_at_most_a_minute_and_a_stop_nothing() -> None:
    kept: Kept = {}
    history = History()
    record(history, kept, T0, HOUR_S + 90)
    now_s = T0 + HOUR_S + 89
    killed = restarted(kept).excerpt([0], HOUR_S, now_s, 3600)
    lost = [time_s for time_s, value in zip(killed.times_s, killed.means[0], strict=True) if value is None]
    assert lost == list(range(T0 + HOUR_S + 60, now_s + 1))
    for chunk in history.flush():
        kept[chunk.key] = chunk.body
    stopped = restarted(kept)
    for span_s in (HOUR_S, DAY_S, 30 * DAY_S):
        assert stopped.excerpt([0], span_s, now_s, 3600) == history.excerpt([0], span_s, now_s, 3600)


def test_what_was_not_yet_a_chunk_is_worked_out_again_and_kept_later() -> None:
    """The hour a box was switched off in is written as a chunk when the next hour comes after the restart."""
    kept: Kept = {}
    record(History(), kept, T0, HOUR_S // 2)
    assert not [key for key in kept if key[:1] == b"m"]
    history = restarted(kept)
    record(history, kept, T0 + 3 * HOUR_S, 2)
    assert [key for key in kept if key[:1] == b"m"]
    day = restarted(kept).excerpt([0], DAY_S, T0 + 3 * HOUR_S + 2, 3600)
    assert len([value for value in day.means[0] if value is not None]) >= 29


def test_chunks_on_flash_are_bounded() -> None:
    kept: Kept = {}
    record(History(), kept, T0, 26 * HOUR_S, 1.0, step_s=15)
    letters = [key[:1] for key in kept]
    assert (letters.count(b"s"), letters.count(b"m")) == (61, 25)
    assert letters.count(b"h") <= 31


@pytest.mark.parametrize("jump_s", [-400 * DAY_S, -HOUR_S, HOUR_S, 400 * DAY_S])
def test_a_clock_that_jumps_makes_gaps_and_nothing_else(jump_s: int) -> None:
    kept: Kept = {}
    history = History()
    record(history, kept, T0, 300, 1.0)
    record(history, kept, T0 + 300 + jump_s, 300, 2.0)
    now_s = T0 + 300 + jump_s + 299
    shown = history.excerpt([0], HOUR_S, now_s, 3600).means[0]
    assert [value for value in shown if value is not None][-300:] == [2.0] * 300
    assert len([value for value in shown if value == 2.0]) == 300


@given(body=st.binary(max_size=200), cut=st.integers(0, 2000), flip=st.integers(0, 2000))
def test_damaged_chunks_are_counted_and_change_nothing(body: bytes, cut: int, flip: int) -> None:
    history = History()
    record(history, {}, T0, 5)
    chunk = history.flush()[0].body
    damaged = bytearray(chunk[: cut % len(chunk)])
    fresh = History()
    assert fresh.load([body, bytes(damaged)]) == 2
    assert set(fresh.excerpt([0], HOUR_S, T0 + 5, 10).means[0]) == {None}
    flipped = bytearray(chunk)
    flipped[flip % len(chunk)] ^= 0xFF
    # zlib has a checksum of its own; the head has none, but a wrong one fits no ring or other times.
    fresh.load([bytes(flipped)])


def test_rows_of_unknown_series_are_left_out() -> None:
    history = History()
    record(history, {}, T0, 5)
    body = history.flush()[0].body
    renumbered = History()
    number = SERIES[0].number
    COLUMN_BEFORE = COLUMN[number]
    try:
        del COLUMN[number]  # type: ignore[attr-defined]
        assert renumbered.load([body]) == 0
    finally:
        COLUMN[number] = COLUMN_BEFORE  # type: ignore[index]
    shown = renumbered.excerpt([0, 1], HOUR_S, T0 + 4, 3600)
    assert set(shown.means[0]) == {None}
    assert [value for value in shown.means[1] if value is not None] == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_a_day_costs_few_bytes() -> None:
    """About 3 MB a day with noise in every series; what a real box writes is in docs/operating/history.md."""
    history = History()
    size = 0
    for time_s in range(T0, T0 + HOUR_S):
        values = [1000 + 50 * math.sin(time_s * series.number) for series in SERIES]
        size += sum(len(chunk.body) for chunk in history.add(time_s, values))
    assert size * 24 < 8_000_000
