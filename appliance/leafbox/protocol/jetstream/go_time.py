"""Times and durations the way Go writes and reads them, because JetStream's JSON and headers are Go's.

A time is nanoseconds since 1970 in UTC as an `int`; Go's zero time (year 1) is `ZERO_TIME`. Text is RFC 3339 with
up to nine fractional digits, trailing zeros cut. Errors are `ValueError` with the text of Go's `time` package,
since the API returns it to the client.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta
from typing import Final

SECOND: Final = 1_000_000_000
ZERO_TIME: Final = -62_135_596_800 * SECOND
"""Go's `time.Time{}`: 0001-01-01T00:00:00Z; means "never"."""
DURATION_MAX: Final = 2**63 - 1
"""Where Go's `time.Duration` ends: 292 years."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAYOUT = "2006-01-02T15:04:05Z07:00"
_RFC3339 = re.compile(r"(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:[.,](\d+))?(Z|[+-]\d{2}:\d{2})", re.ASCII)
_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
}
_ESCAPES: Final = dict(zip("\n\r\t\a\b\f\v", ("\\n", "\\r", "\\t", "\\a", "\\b", "\\f", "\\v"), strict=True))
_DURATION_PART = re.compile(r"(\d*)(?:\.(\d*))?([a-zµμ]+)")


def format_time(time_ns: int) -> str:
    """RFC3339Nano in UTC, as Go prints a time in JSON."""
    seconds, nanos = divmod(time_ns, SECOND)
    text = (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]
    return f"{text}.{nanos:09d}".rstrip("0") + "Z" if nanos else text + "Z"


def parse_time(text: str) -> int:
    """Nanoseconds since 1970 of an RFC 3339 text; `ValueError` carries Go's words."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"parsing time {go_quote(text)} as {go_quote(_LAYOUT)}: {_mismatch(text)}")
    year, month, day, hour, minute, second = (int(match.group(i)) for i in range(1, 7))
    problem = _out_of_range(year, month, day, hour, minute, second)
    if problem:
        raise ValueError(f"parsing time {go_quote(text)}: {problem} out of range")
    if year == 0:
        raise ValueError(f"parsing time {go_quote(text)}: year out of range")
    fraction = (match.group(7) or "")[:9].ljust(9, "0")
    seconds = (datetime(year, month, day, hour, minute, second, tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)
    zone = match.group(8)
    if zone != "Z":
        offset_s = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
        seconds -= offset_s if zone[0] == "+" else -offset_s
    return seconds * SECOND + int(fraction)


def _out_of_range(year: int, month: int, day: int, hour: int, minute: int, second: int) -> str:
    if not 1 <= month <= 12:
        return "month"
    if day < 1 or day > monthrange(max(year, 1), month)[1]:
        return "day"
    if hour > 23:
        return "hour"
    if minute > 59:
        return "minute"
    return "second" if second > 59 else ""


def _mismatch(text: str) -> str:
    """Which layout element Go would have stopped at, and on what rest of the text."""
    rest = text
    for pattern, element in (
        (r"\d{4}", "2006"), (r"-", "-"), (r"\d{2}", "01"), (r"-", "-"), (r"\d{2}", "02"), (r"T", "T"),
        (r"\d{2}", "15"), (r":", ":"), (r"\d{2}", "04"), (r":", ":"), (r"\d{2}(?:[.,]\d+)?", "05"),
        (r"Z|[+-]\d{2}:\d{2}", "Z07:00"),
    ):  # fmt: skip
        match = re.match(pattern, rest, re.ASCII)
        if match is None:
            return f"cannot parse {go_quote(rest)} as {go_quote(element)}"
        rest = rest[match.end() :]
    return f"extra text: {go_quote(rest)}"


def parse_duration(text: str) -> int:
    """Nanoseconds of a Go duration such as `1h30m` or `-1.5s`."""
    rest, negative = text, False
    if rest[:1] in ("-", "+"):
        negative, rest = rest[0] == "-", rest[1:]
    if rest == "0":
        return 0
    if not rest:
        raise ValueError(f"time: invalid duration {go_quote(text)}")
    total = 0
    while rest:
        match = _DURATION_PART.match(rest)
        if match is None or not (match.group(1) or match.group(2)):
            if re.match(r"\d+(\.\d*)?$", rest):
                raise ValueError(f"time: missing unit in duration {go_quote(text)}")
            raise ValueError(f"time: invalid duration {go_quote(text)}")
        unit = _UNITS.get(match.group(3))
        if unit is None:
            raise ValueError(f"time: unknown unit {go_quote(match.group(3))} in duration {go_quote(text)}")
        fraction = match.group(2) or ""
        total += int(match.group(1) or "0") * unit
        if fraction:
            total += int(fraction) * unit // 10 ** len(fraction)
        rest = rest[match.end() :]
    if total > (1 << 63) - (0 if negative else 1):
        raise ValueError(f"time: invalid duration {go_quote(text)}")
    return -total if negative else total


def format_duration(duration_ns: int) -> str:
    """A duration as Go prints it: `1m0s`, `1.5s`, `100ms`, `0s`."""
    if duration_ns == 0:
        return "0s"
    sign, rest = ("-", -duration_ns) if duration_ns < 0 else ("", duration_ns)
    if rest < SECOND:
        for unit, name in ((1_000_000, "ms"), (1_000, "µs"), (1, "ns")):
            if rest >= unit:
                return sign + _decimal(rest, unit) + name
    hours, rest = divmod(rest, 3600 * SECOND)
    minutes, rest = divmod(rest, 60 * SECOND)
    text = _decimal(rest, SECOND) + "s"
    if hours:
        return f"{sign}{hours}h{minutes}m{text}"
    return f"{sign}{minutes}m{text}" if minutes else sign + text


def _decimal(value: int, unit: int) -> str:
    whole, part = divmod(value, unit)
    if not part:
        return str(whole)
    return f"{whole}.{part:0{len(str(unit)) - 1}d}".rstrip("0")


def go_quote(text: str) -> str:
    """Go's `%q`: double quotes, backslash escapes."""
    out = ['"']
    for character in text:
        if character in '"\\':
            out.append("\\" + character)
        elif character in _ESCAPES:
            out.append(_ESCAPES[character])
        elif character.isprintable():
            out.append(character)
        elif ord(character) < 0x80:
            out.append(f"\\x{ord(character):02x}")
        else:
            out.append(f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}")
    out.append('"')
    return "".join(out)
