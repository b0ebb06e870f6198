"""How monitoring documents look on the wire: Go's ways of writing times, durations and JSON.

Tools decode these documents with the Go structs of nats-server, so forms and number types must match (monitoring
section 1). Values in, text out; nothing here knows what a document is about.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

Document = dict[str, object]

SECOND_NS = 1_000_000_000


def time_text(wall_ns: int) -> str:
    """RFC 3339 in UTC with the nanoseconds that count, as Go's RFC3339Nano."""
    seconds, ns = divmod(wall_ns, SECOND_NS)
    at = time.gmtime(seconds)
    fraction = f".{ns:09}".rstrip("0") if ns else ""
    return f"{at.tm_year:04}-{at.tm_mon:02}-{at.tm_mday:02}T{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02}{fraction}Z"


def uptime_text(duration_ns: int) -> str:
    """Whole seconds as `1y2d3h4m5s`; leading zero units are left out, seconds never."""
    minutes, seconds = divmod(max(duration_ns, 0) // SECOND_NS, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    years, days = divmod(days, 365)
    units = ((years, "y"), (days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s"))
    first = next((index for index, (count, _) in enumerate(units) if count), len(units) - 1)
    return "".join(f"{count}{unit}" for count, unit in units[first:])


def duration_text(duration_ns: int) -> str:
    """A duration as Go's `Duration.String`: `0s`, `406µs`, `1.100634ms`, `1h2m3.5s`."""
    if duration_ns == 0:
        return "0s"
    for unit_ns, unit in ((1, "ns"), (1_000, "µs"), (1_000_000, "ms")):
        if duration_ns < unit_ns * 1_000:
            return _decimal(duration_ns, unit_ns) + unit
    minutes, rest_ns = divmod(duration_ns, 60 * SECOND_NS)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h" if hours else ""
    text += f"{minutes}m" if hours or minutes else ""
    return text + _decimal(rest_ns, SECOND_NS) + "s"


def rtt_text(rtt_ns: int) -> str:
    """A round trip; below a millisecond only whole microseconds are shown."""
    if 1_000 < rtt_ns < 1_000_000:
        rtt_ns -= rtt_ns % 1_000
    return duration_text(rtt_ns)


def number(value: float) -> float | int:
    """A float that JSON shows without `.0` when it is whole, as Go does."""
    return int(value) if value == int(value) else value


def without_empty(document: Document, *names: str) -> Document:
    """The document without those of `names` whose value is empty (Go's `omitempty`)."""
    for name in names:
        if not document[name]:
            del document[name]
    return document


def encode(document: Mapping[str, object], *, indent: int | None = 2) -> bytes:
    """JSON as Go writes it: `<`, `>` and `&` escaped, two spaces; `indent` None: compact."""
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(document, indent=indent, separators=separators, ensure_ascii=False, allow_nan=False)
    # These characters occur inside strings only.
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode("utf-8", "replace")


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    if not rest:
        return str(whole)
    digits = len(str(unit)) - 1
    return f"{whole}.{rest:0{digits}}".rstrip("0")
