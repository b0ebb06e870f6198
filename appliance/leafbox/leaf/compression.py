"""S2 compression of a link: which mode two sides agree on, and what that makes of the connection.

Leaf node specification section 3; the agreement is nats-server 2.15.1's. There is one encoder, so `s2_better` and
`s2_best` are run as `s2_fast` and told as that; every mode of the peer is read.
"""

from __future__ import annotations

from leafbox.leaf.config import CompressionMode, CompressionOptions

COMPRESSING = frozenset(
    (
        CompressionMode.S2_AUTO,
        CompressionMode.S2_UNCOMPRESSED,
        CompressionMode.S2_FAST,
        CompressionMode.S2_BETTER,
        CompressionMode.S2_BEST,
    )
)
"""Modes in which the link is an S2 stream."""


def agreed_mode(own: CompressionMode, told: str) -> CompressionMode:
    """What follows from our mode and the one in the peer's INFO; a mode nobody knows means none."""
    try:
        peer = CompressionMode(told)
    except ValueError:
        return CompressionMode.OFF
    if own in (CompressionMode.OFF, CompressionMode.NOT_SUPPORTED):
        return CompressionMode.OFF
    if peer is CompressionMode.ACCEPT:
        return CompressionMode.OFF if own is CompressionMode.ACCEPT else own
    if peer not in COMPRESSING:
        return CompressionMode.OFF
    if own is CompressionMode.ACCEPT:
        return CompressionMode.S2_FAST if peer is CompressionMode.S2_AUTO else peer
    return own


def running_mode(agreed: CompressionMode, options: CompressionOptions, rtt_ns: int) -> CompressionMode:
    """What is done now: `S2_AUTO` compresses once the round trip is longer than the first threshold."""
    if agreed is CompressionMode.S2_AUTO:
        is_near = rtt_ns <= options.rtt_thresholds_s[0] * 1e9 if options.rtt_thresholds_s else True
        return CompressionMode.S2_UNCOMPRESSED if is_near else CompressionMode.S2_FAST
    return CompressionMode.S2_UNCOMPRESSED if agreed is CompressionMode.S2_UNCOMPRESSED else CompressionMode.S2_FAST
