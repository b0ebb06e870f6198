"""Keys of `compression`, for leaf links and routes: a mode, on/off, or a block with round-trip time thresholds.

Source: nats-server 2.15.1 `parseCompression`, `validateAndNormalizeCompressionOption`.
"""

from __future__ import annotations

from leafbox.app.configuration.durations import DurationError, parse_duration_ns, seconds_text
from leafbox.app.configuration.fields import (
    NANOSECONDS,
    NOTHING,
    Block,
    Entry,
    Key,
    ReadValue,
    as_list,
    as_string,
    string,
)
from leafbox.app.configuration.go_text import quoted, type_name
from leafbox.app.configuration.problems import fail
from leafbox.leaf.config import CompressionMode, CompressionOptions

_MODES = {
    "not supported": CompressionMode.NOT_SUPPORTED,
    "not_supported": CompressionMode.NOT_SUPPORTED,
    "disabled": CompressionMode.OFF,
    "off": CompressionMode.OFF,
    "false": CompressionMode.OFF,
    "accept": CompressionMode.ACCEPT,
    "auto": CompressionMode.S2_AUTO,
    "s2_auto": CompressionMode.S2_AUTO,
    "s2_uncompressed": CompressionMode.S2_UNCOMPRESSED,
    "fast": CompressionMode.S2_FAST,
    "s2_fast": CompressionMode.S2_FAST,
    "better": CompressionMode.S2_BETTER,
    "s2_better": CompressionMode.S2_BETTER,
    "best": CompressionMode.S2_BEST,
    "s2_best": CompressionMode.S2_BEST,
}


def compression(mode_when_on: CompressionMode) -> ReadValue:
    """Reader of a `compression` key; a mode nobody knows is only refused at start."""

    def read(entry: Entry) -> object:
        value = entry.node.value
        if isinstance(value, bool):
            return CompressionOptions(mode_when_on if value else CompressionMode.OFF)
        values: dict[str, object] = {"mode": value}
        if isinstance(value, dict):
            values = {}
            if not COMPRESSION_KEYS.read(value, values, entry.reading):
                return NOTHING
        elif not isinstance(value, str):
            fail(entry.node, f"field {quoted(entry.key)} should be a boolean or a structure, got {type_name(value)}")
        thresholds = values.get("rtt_thresholds_s", ())
        assert isinstance(thresholds, tuple), "read as a tuple"
        text = str(values.get("mode") or "s2_auto")
        name = text.lower()
        mode = mode_when_on if name in ("on", "enabled", "true") else _MODES.get(name)
        problem = f"unsupported compression mode {quoted(text)}" if mode is None else ""
        if mode is CompressionMode.S2_AUTO and thresholds:
            kept, problem = _checked_thresholds(text, thresholds)
            if not problem:
                return CompressionOptions(mode, kept)
        if problem:
            entry.reading.deferred.append(problem)
        return CompressionOptions(mode or mode_when_on)

    return read


def _checked_thresholds(mode: str, thresholds: tuple[float, ...]) -> tuple[tuple[float, ...], str]:
    """The thresholds without trailing zeros, and why they are refused."""
    shown_all = "[" + " ".join(seconds_text(value) for value in thresholds) + "]"
    kept: list[float] = []
    for value in (max(0.0, threshold) for threshold in thresholds):
        if value and any(value < earlier for earlier in kept):
            return (), f"RTT threshold values {shown_all} should be in ascending order"
        kept.append(value)
    while kept and not kept[-1]:
        kept.pop()
    if len(kept) > 4:
        return (), f"compression mode {quoted(mode)} should have no more than 4 RTT thresholds: {shown_all}"
    if not kept:
        return (), f"compression mode {quoted(mode)} requires at least one RTT threshold"
    return tuple(kept), ""


def _thresholds(entry: Entry) -> object:
    try:
        return tuple(parse_duration_ns(as_string(node)) / NANOSECONDS for node in as_list(entry.node))
    except DurationError as error:
        fail(entry.node, str(error))


COMPRESSION_KEYS = Block(
    (
        Key(("mode",), "mode", string),
        Key(("rtt_thresholds", "thresholds", "rtts", "rtt"), "rtt_thresholds_s", _thresholds),
    )
)
