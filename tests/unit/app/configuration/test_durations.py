"""Durations in Go's form."""

from __future__ import annotations

import pytest

from leafbox.app.configuration.durations import DurationError, duration_text, parse_duration_ns, seconds_text


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("1s", 10**9),
        ("-1.5h", -5_400_000_000_000),
        ("+5m", 300 * 10**9),
        ("1h2m3s4ms5us6ns", 3_723_004_005_006),
        (".5s", 500_000_000),
        ("1.s", 10**9),
        ("3µs", 3000),
    ],
)
def test_parsing(text: str, nanoseconds: int) -> None:
    assert parse_duration_ns(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", 'time: invalid duration ""'),
        ("abc", 'time: invalid duration "abc"'),
        ("-", 'time: invalid duration "-"'),
        (".s", 'time: invalid duration ".s"'),
        ("5", 'time: missing unit in duration "5"'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
        ("1s5", 'time: missing unit in duration "1s5"'),
        ("9999999999h", 'time: invalid duration "9999999999h"'),
        ("1" * 5000 + "h", "time: invalid duration"),
    ],
)
def test_what_is_no_duration(text: str, reason: str) -> None:
    with pytest.raises(DurationError) as wrong:
        parse_duration_ns(text)
    assert str(wrong.value).startswith(reason)


@pytest.mark.parametrize(
    "text", ["0s", "1ns", "1.5µs", "300ms", "2s", "1m30s", "2m0s", "1h0m0s", "100h0m0.000000001s", "-1m0s"]
)
def test_printing_is_the_inverse(text: str) -> None:
    assert duration_text(parse_duration_ns(text)) == text


def test_seconds_are_printed_without_float_noise() -> None:
    assert seconds_text(0.1) == "100ms"
