"""Durations as nats-server writes them: `1h2m3.5s`, `250ms`, also `-1s` and `0`.

Parsing works in integer nanoseconds with Go's 64-bit range and error texts; options hold float seconds.
Source: Go `time.ParseDuration`, `Duration.String`.
"""

from __future__ import annotations

import re

from leafbox.app.configuration.go_text import quoted

NANOSECONDS_MAX = 2**63 - 1
_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(r"([0-9]*)(?:(\.)([0-9]*))?([^0-9.]*)")


class DurationError(ValueError):
    """The text is no duration; the message is Go's."""


def parse_duration_ns(text: str) -> int:
    """Nanoseconds of a duration. Raises `DurationError`."""
    rest = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    if rest == "0":
        return 0
    if not rest:
        raise DurationError(f"time: invalid duration {quoted(text)}")
    total = 0
    position = 0
    while position < len(rest):
        match = _PART.match(rest, position)
        assert match is not None, "the pattern matches the empty string"
        digits, _, fraction, unit = match.groups()
        if not digits and not fraction:
            raise DurationError(f"time: invalid duration {quoted(text)}")
        if not unit:
            raise DurationError(f"time: missing unit in duration {quoted(text)}")
        if unit not in _UNITS_NS:
            raise DurationError(f"time: unknown unit {quoted(unit)} in duration {quoted(text)}")
        if len(digits) > 20:
            raise DurationError(f"time: invalid duration {quoted(text)}")
        total += int(digits or "0") * _UNITS_NS[unit]
        # Digits below a nanosecond cannot change the result.
        total += int((fraction or "0")[:20]) * _UNITS_NS[unit] // 10 ** len((fraction or "0")[:20])
        position = match.end()
    if total > NANOSECONDS_MAX:
        raise DurationError(f"time: invalid duration {quoted(text)}")
    return -total if text.startswith("-") else total


def duration_text(nanoseconds: int) -> str:
    """`1m30s`: Go's form of a duration."""
    if nanoseconds == 0:
        return "0s"
    sign = "-" if nanoseconds < 0 else ""
    magnitude = abs(nanoseconds)
    if magnitude < 1_000_000_000:
        for unit, size in (("ms", 1_000_000), ("µs", 1_000), ("ns", 1)):
            if magnitude >= size:
                return f"{sign}{_decimal(magnitude, size)}{unit}"
    minutes, rest = divmod(magnitude, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, 1_000_000_000)}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{sign}{hours}h{text}" if hours else sign + text


def seconds_text(seconds: float) -> str:
    """Go's form of a duration held in float seconds."""
    return duration_text(round(seconds * 1e9))


def _decimal(value: int, unit: int) -> str:
    whole, fraction = divmod(value, unit)
    if not fraction:
        return str(whole)
    digits = len(str(unit)) - 1
    return f"{whole}.{str(fraction).zfill(digits).rstrip('0')}"
