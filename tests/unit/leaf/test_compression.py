"""What two sides agree on, and what is done then (leaf node specification section 3)."""

from __future__ import annotations

import pytest

from leafbox.leaf.compression import agreed_mode, running_mode
from leafbox.leaf.config import CompressionMode, CompressionOptions

OFF, ACCEPT, AUTO, FAST = (
    CompressionMode.OFF,
    CompressionMode.ACCEPT,
    CompressionMode.S2_AUTO,
    CompressionMode.S2_FAST,
)
PLAIN, BEST = CompressionMode.S2_UNCOMPRESSED, CompressionMode.S2_BEST


@pytest.mark.parametrize(
    ("own", "told", "agreed"),
    [
        (AUTO, "s2_auto", AUTO),
        (AUTO, "accept", AUTO),
        (AUTO, "s2_best", AUTO),
        (FAST, "s2_auto", FAST),
        (ACCEPT, "s2_auto", FAST),
        (ACCEPT, "s2_best", BEST),
        (ACCEPT, "accept", OFF),
        (AUTO, "off", OFF),
        (AUTO, "not supported", OFF),
        (AUTO, "", OFF),
        (AUTO, "zstd", OFF),
        (OFF, "s2_fast", OFF),
        (CompressionMode.NOT_SUPPORTED, "s2_fast", OFF),
    ],
)
def test_what_two_sides_agree_on(own: CompressionMode, told: str, agreed: CompressionMode) -> None:
    assert agreed_mode(own, told) is agreed


@pytest.mark.parametrize(
    ("agreed", "rtt_ms", "done"),
    [(AUTO, 0, PLAIN), (AUTO, 10, PLAIN), (AUTO, 11, FAST), (AUTO, 500, FAST), (BEST, 0, FAST), (PLAIN, 500, PLAIN)],
)
def test_what_is_done_depends_on_the_round_trip(agreed: CompressionMode, rtt_ms: int, done: CompressionMode) -> None:
    assert running_mode(agreed, CompressionOptions(), rtt_ms * 1_000_000) is done


def test_without_thresholds_auto_does_not_compress() -> None:
    assert running_mode(AUTO, CompressionOptions(AUTO, ()), 10**9) is PLAIN
