"""Texts and numbers as Go writes them; the expected values were printed by Go programs or by nats-server 2.15.1."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leafbox.monitoring.wire_format import (
    duration_text,
    encode,
    number,
    rtt_text,
    time_text,
    uptime_text,
    without_empty,
)

pytestmark = pytest.mark.capability("MO01")

S = 1_000_000_000


@pytest.mark.parametrize(
    ("wall_ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_795_418_739_866_227_203, "2026-11-23T07:25:39.866227203Z"),
        (1_795_418_739_500_000_000, "2026-11-23T07:25:39.5Z"),
    ],
)
def test_times(wall_ns: int, text: str) -> None:
    assert time_text(wall_ns) == text


@pytest.mark.parametrize(
    ("duration_ns", "text"),
    [
        (0, "0s"),
        (-1, "0s"),
        (2 * S + 999_999_999, "2s"),
        (60 * S, "1m0s"),
        (3600 * S, "1h0m0s"),
        (5 * 86400 * S + S, "5d0h0m1s"),
        (366 * 86400 * S, "1y1d0h0m0s"),
    ],
)
def test_uptimes(duration_ns: int, text: str) -> None:
    assert uptime_text(duration_ns) == text


@pytest.mark.parametrize(
    ("duration_ns", "text"),
    [
        (0, "0s"),
        (999, "999ns"),
        (1_000, "1µs"),
        (406_500, "406.5µs"),
        (1_100_634, "1.100634ms"),
        (1_500_000_000, "1.5s"),
        (60 * S, "1m0s"),
        (3600 * S + 2 * S + 1, "1h0m2.000000001s"),
    ],
)
def test_durations(duration_ns: int, text: str) -> None:
    assert duration_text(duration_ns) == text


def test_round_trips_below_a_millisecond_are_whole_microseconds() -> None:
    assert [rtt_text(ns) for ns in (0, 999, 653_999, 1_100_634)] == ["0s", "999ns", "653µs", "1.100634ms"]


def test_whole_floats_lose_their_point() -> None:
    assert [repr(number(value)) for value in (2.0, 0.0, 0.25)] == ["2", "0", "0.25"]


def test_documents_look_like_those_of_go() -> None:
    document = {"a": ["<&>"], "b": {}, "c": [], "d": "µ"}
    assert encode(document).decode() == (
        '{\n  "a": [\n    "\\u003c\\u0026\\u003e"\n  ],\n  "b": {},\n  "c": [],\n  "d": "µ"\n}'
    )
    assert encode({"status": "ok"}, indent=None) == b'{"status":"ok"}'


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.booleans()))
def test_documents_are_json(document: dict[str, object]) -> None:
    clean = json.loads(json.dumps(document).encode("utf-8", "replace"))
    decoded = json.loads(encode(document))
    assert decoded == clean or "\\ud" in json.dumps(document)


def test_only_named_fields_are_left_out() -> None:
    assert without_empty({"a": 0, "b": "", "c": 1}, "b", "c") == {"a": 0, "c": 1}
