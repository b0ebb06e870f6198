"""When scheduled messages are due."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leafbox.protocol.jetstream.go_time import parse_time
from leafbox.protocol.jetstream.schedule_pattern import InvalidSchedule, Schedule, next_due

SECOND = 10**9
NOON = parse_time("2026-03-10T12:00:00Z")


@pytest.mark.capability("JS28")
@pytest.mark.parametrize(
    ("pattern", "zone", "due"),
    [
        ("@at 2026-03-11T00:00:00Z", None, "2026-03-11T00:00:00Z"),
        ("@at 2020-01-01T00:00:00Z", None, "2020-01-01T00:00:00Z"),
        ("@every 90s", None, "2026-03-10T12:01:30Z"),
        ("@hourly", None, "2026-03-10T13:00:00Z"),
        ("@daily", None, "2026-03-11T00:00:00Z"),
        ("@daily", "Europe/Berlin", "2026-03-10T23:00:00Z"),
        ("@weekly", None, "2026-03-15T00:00:00Z"),
        ("@monthly", None, "2026-04-01T00:00:00Z"),
        ("@yearly", None, "2027-01-01T00:00:00Z"),
        ("*/10 * * * * *", None, "2026-03-10T12:00:10Z"),
        ("0 30 8-10 * * mon-fri", None, "2026-03-11T08:30:00Z"),
        ("0 0 0 29 feb *", None, "2028-02-29T00:00:00Z"),
        ("0 0 0 1 * sun", None, "2026-03-15T00:00:00Z"),
        ("0 0 2 * * 7", "America/New_York", "2026-03-15T06:00:00Z"),
    ],
)
def test_the_next_time(pattern: str, zone: str | None, due: str) -> None:
    found = next_due(pattern, zone, NOON, NOON)
    assert found is not None
    assert found.due_ns == parse_time(due)
    assert found.repeats is not pattern.startswith("@at")


def test_missed_times_are_skipped() -> None:
    assert next_due("@every 10s", None, NOON - 3600 * SECOND, NOON) == Schedule(NOON + 10 * SECOND, True)


def test_no_pattern_is_no_schedule() -> None:
    assert next_due("", None, NOON, NOON) is None


@pytest.mark.parametrize(
    "pattern",
    [
        "@at soon",
        "@every",
        "@every 10ms",
        "@every -5s",
        "* * * * *",
        "60 * * * * *",
        "*/0 * * * * *",
        "0 0 0 30 2 *",
        "x",
    ],
)
def test_other_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidSchedule):
        next_due(pattern, None, NOON, NOON)


@pytest.mark.parametrize(("pattern", "zone"), [("@daily", "Atlantis"), ("@daily", ""), ("@every 5s", "UTC")])
def test_zones_are_for_crons_and_must_exist(pattern: str, zone: str) -> None:
    with pytest.raises(InvalidSchedule):
        next_due(pattern, zone, NOON, NOON)


fields = st.sampled_from(["*", "0", "5", "1-3", "*/7", "2,4", "9-1", "99", "a", ""])


@given(st.tuples(fields, fields, fields, fields, fields, fields), st.integers(0, 4 * 10**9))
def test_a_due_time_is_later_and_whole_seconds_or_the_pattern_is_refused(cron: tuple[str, ...], seconds: int) -> None:
    try:
        found = next_due(" ".join(cron), None, seconds * SECOND, 0)
    except InvalidSchedule:
        return
    assert found is not None
    assert found.due_ns > seconds * SECOND
    assert found.due_ns % SECOND == 0
