"""The value of `Nats-TTL`: seconds, a Go duration of at least a second, or `never` (ADR-43)."""

from __future__ import annotations

from leafbox.protocol.jetstream import error_catalog as errors
from leafbox.protocol.jetstream.go_time import SECOND, parse_duration

NEVER = -1


def parse_ttl(text: str) -> int:
    """Whole seconds, `NEVER`, or 0 for "no TTL"; `RequestRejected` (10165) if it is none of them."""
    if not text:
        return 0
    if text.lower() == "never":
        return NEVER
    try:
        duration_ns = parse_duration(text)
    except ValueError:
        if text.isascii() and text.isdigit():
            return int(text)
        raise errors.MESSAGE_TTL_INVALID.rejected() from None
    if duration_ns == 0 and text == "0":
        return 0
    if duration_ns < SECOND:
        raise errors.MESSAGE_TTL_INVALID.rejected()
    return duration_ns // SECOND
