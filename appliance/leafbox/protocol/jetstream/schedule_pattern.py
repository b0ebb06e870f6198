"""Patterns of scheduled messages: `@at <RFC 3339>`, `@every <duration>`, named periods, six-field cron (ADR-51).

Cron fields are second, minute, hour, day of month, month, day of week; `*`, lists, ranges, steps, month and weekday
names; a day matches if either day field matches, unless one of them is `*`. Times are nanoseconds since 1970.
"""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from leafbox.protocol.jetstream.go_time import SECOND, parse_duration, parse_time

_NAMED = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: index + 1 for index, name in enumerate(_MONTH_NAMES)}
_DAYS = {name: index for index, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
# A cron that matches nothing for this long (30 February) never will.
_YEARS_AHEAD = 5


class InvalidSchedule(ValueError):
    """The pattern or the time zone cannot be used; `is_zone` tells which."""

    def __init__(self, text: str, is_zone: bool = False) -> None:
        super().__init__(text)
        self.is_zone = is_zone


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a message is due, and whether it repeats."""

    due_ns: int
    repeats: bool


def next_due(pattern: str, zone: str | None, after_ns: int, now_ns: int) -> Schedule | None:
    """The first time after `after_ns`; None for an empty pattern. A one-shot time may lie in the past.

    A repeating schedule that missed times before `now_ns` skips them and goes on from now.

    `zone` is the header's value or None when it is absent; an empty or unknown one is refused, and it goes only with
    cron patterns.
    """
    location = _location(zone)
    if not pattern:
        return None
    if pattern.startswith("@at "):
        if location is not None:
            raise InvalidSchedule(pattern)
        try:
            return Schedule(parse_time(pattern[4:]), False)
        except ValueError:
            raise InvalidSchedule(pattern) from None
    if pattern.startswith("@every "):
        if location is not None:
            raise InvalidSchedule(pattern)
        return _every(pattern[7:], after_ns, now_ns)
    fields = _NAMED.get(pattern, pattern).split()
    if len(fields) != 6:
        raise InvalidSchedule(pattern)
    due_ns = _cron(fields, location or UTC, after_ns)
    if due_ns < now_ns:
        due_ns = _cron(fields, location or UTC, _rounded(now_ns))
    return Schedule(due_ns, True)


def _rounded(time_ns: int) -> int:
    return (time_ns + SECOND // 2) // SECOND * SECOND


def _location(zone: str | None) -> zoneinfo.ZoneInfo | None:
    if zone is None:
        return None
    try:
        return zoneinfo.ZoneInfo(zone) if zone else _unknown_zone(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return _unknown_zone(zone)


def _unknown_zone(zone: str) -> zoneinfo.ZoneInfo:
    raise InvalidSchedule(zone, is_zone=True)


def _every(text: str, after_ns: int, now_ns: int) -> Schedule:
    try:
        interval_ns = parse_duration(text)
    except ValueError:
        raise InvalidSchedule(text) from None
    if interval_ns < SECOND:
        raise InvalidSchedule(text)
    due_ns = _rounded(after_ns) + interval_ns
    return Schedule(due_ns if due_ns >= now_ns else _rounded(now_ns) + interval_ns, True)


def _cron(fields: list[str], location: tzinfo, after_ns: int) -> int:
    seconds = _field(fields[0], 0, 59)
    minutes = _field(fields[1], 0, 59)
    hours = _field(fields[2], 0, 23)
    days = _field(fields[3], 1, 31)
    months = _field(fields[4], 1, 12, _MONTHS)
    weekdays = {day % 7 for day in _field(fields[5], 0, 7, _DAYS)}
    any_day, any_weekday = fields[3] in ("*", "?"), fields[5] in ("*", "?")
    start = datetime.fromtimestamp(after_ns // SECOND, UTC).astimezone(location) + timedelta(seconds=1)
    day = start.replace(hour=0, minute=0, second=0)
    for _ in range(366 * _YEARS_AHEAD):
        in_days, in_weekdays = day.day in days, (day.weekday() + 1) % 7 in weekdays
        matches = (in_days and in_weekdays) if any_day or any_weekday else (in_days or in_weekdays)
        if day.month in months and matches:
            found = _first_time(day, start, sorted(hours), sorted(minutes), sorted(seconds))
            if found is not None:
                return int(found.timestamp()) * SECOND
        day = (day + timedelta(days=1)).replace(hour=0, minute=0, second=0)
    raise InvalidSchedule(" ".join(fields))


def _first_time(
    day: datetime, start: datetime, hours: list[int], minutes: list[int], seconds: list[int]
) -> datetime | None:
    for hour in hours:
        for minute in minutes:
            candidate = day.replace(hour=hour, minute=minute, second=59)
            if candidate < start.replace(second=0):
                continue
            for second in seconds:
                candidate = day.replace(hour=hour, minute=minute, second=second)
                if candidate >= start:
                    return candidate
    return None


def _field(text: str, low: int, high: int, names: dict[str, int] | None = None) -> set[int]:
    values: set[int] = set()
    for part in text.split(","):
        span, _, step_text = part.partition("/")
        step = _number(step_text, names) if step_text else 1
        if step < 1 or (not step_text and "/" in part):
            raise InvalidSchedule(text)
        if span in ("*", "?"):
            first, last = low, high
        else:
            first_text, dash, last_text = span.partition("-")
            first = _number(first_text, names)
            last = _number(last_text, names) if dash else (high if step_text else first)
        if first < low or last > high or first > last:
            raise InvalidSchedule(text)
        values.update(range(first, last + 1, step))
    return values


def _number(text: str, names: dict[str, int] | None) -> int:
    if names and text.lower() in names:
        return names[text.lower()]
    if not (text.isascii() and text.isdigit()):
        raise InvalidSchedule(text)
    return int(text)
