"""The acknowledgement subject of a delivered message, read: which consumer sent it and where it stands.

Short form: `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>`; the long form has
domain and account hash in front of the stream and may have more tokens at the end.
"""

from __future__ import annotations

from typing import NamedTuple

_SHORT_TOKENS = 9
_LONG_TOKENS_MIN = 11
_DIGITS_MAX = 19
NUMBER_MAX = (1 << 63) - 1
"""Largest sequence or time that is believed; the store's numbers have 64 bits."""


class AckReply(NamedTuple):
    """The parts of an acknowledgement subject."""

    consumer: bytes
    deliveries: int
    stream_seq: int
    consumer_seq: int
    time_ns: int
    pending: int


def parse_ack_reply(reply: bytes) -> AckReply | None:
    """The parts, or None if it is no acknowledgement subject."""
    tokens = reply.split(b".")
    count = len(tokens)
    if count == _SHORT_TOKENS:
        consumer, numbers = tokens[3], tokens[4:9]
    elif count >= _LONG_TOKENS_MIN:
        consumer, numbers = tokens[5], tokens[6:11]
    else:
        return None
    if tokens[0] != b"$JS" or tokens[1] != b"ACK":
        return None
    for number in numbers:
        if not number.isdigit() or len(number) > _DIGITS_MAX:
            return None
    deliveries, stream_seq, consumer_seq, time_ns, pending = map(int, numbers)
    if max(stream_seq, consumer_seq, time_ns) > NUMBER_MAX:
        return None
    return AckReply(consumer, deliveries, stream_seq, consumer_seq, time_ns, pending)
