"""Counter streams (ADR-49): each message carries an increment, the stored body the new sum.

Sums are integers of any size. A sourced message brings the origin's sum; its contribution is tracked per origin stream
and subject in `Nats-Counter-Sources`, and the stored increment is the difference to what was known of it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from leafbox.protocol.jetstream import error_catalog as errors
from leafbox.protocol.jetstream import headers

_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
# Far above any count, far below what makes arithmetic slow.
_DIGITS_MAX = 4096


@dataclass(frozen=True, slots=True)
class CounterMessage:
    """A counter's message as stored; `value` is the sum in decimal."""

    header: bytes
    payload: bytes
    value: str


def parse_increment(text: str) -> int | None:
    """The signed integer of a `Nats-Incr` header, or None."""
    return int(text) if _INTEGER.fullmatch(text) and len(text) <= _DIGITS_MAX else None


def apply_increment(last: tuple[bytes, bytes] | None, header: bytes, payload: bytes, increment: int) -> CounterMessage:
    """The message to store after `last` (header, payload of the counter's last message, None: none)."""
    total, sources = 0, {}
    if last is not None:
        total = _value(last[1])
        known = headers.get_text(last[0], headers.COUNTER_SOURCES)
        if known:
            sources = _sources(known)
    source = headers.get_text(header, headers.STREAM_SOURCE)
    if source:
        fields = source.split(" ")
        stream, subject = fields[0], fields[4] if len(fields) >= 5 else ""
        reported = _value(payload)
        contribution = sources.setdefault(stream, {})
        increment = reported - int(contribution.get(subject) or "0")
        contribution[subject] = str(reported)
        header = headers.replace(header, headers.INCREMENT, str(increment).encode())
    total += increment
    if sources:
        text = json.dumps(sources, separators=(",", ":"), sort_keys=True)
        header = headers.replace(header, headers.COUNTER_SOURCES, text.encode())
    return CounterMessage(header, f'{{"val":"{total}"}}'.encode(), str(total))


def _value(payload: bytes) -> int:
    try:
        value = parse_increment(json.loads(payload)["val"])
    except (ValueError, KeyError, TypeError):
        value = None
    if value is None:
        raise errors.MESSAGE_COUNTER_BROKEN.rejected()
    return value


def _sources(text: str) -> dict[str, dict[str, str]]:
    try:
        parsed = json.loads(text)
        return {str(stream): {str(key): str(value) for key, value in of.items()} for stream, of in parsed.items()}
    except (ValueError, AttributeError):
        raise errors.MESSAGE_COUNTER_BROKEN.rejected() from None
