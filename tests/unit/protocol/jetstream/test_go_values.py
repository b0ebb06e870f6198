"""Times, durations and JSON errors as Go writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leafbox.protocol.jetstream.consumer_config import ConsumerConfig
from leafbox.protocol.jetstream.go_json import InvalidJson, decode, encode, to_object, unmarshal
from leafbox.protocol.jetstream.go_syntax import syntax_error
from leafbox.protocol.jetstream.go_time import ZERO_TIME, format_duration, format_time, parse_duration, parse_time
from leafbox.protocol.jetstream.stream_config import StorageType, StreamConfig

SECOND = 10**9


def test_times_lose_their_trailing_zeros() -> None:
    assert format_time(ZERO_TIME) == "0001-01-01T00:00:00Z"
    assert format_time(1_700_000_000 * SECOND + 120_000_000) == "2023-11-14T22:13:20.12Z"


@given(st.integers(ZERO_TIME, 253_402_300_799 * SECOND))
def test_a_time_survives_its_text(time_ns: int) -> None:
    assert parse_time(format_time(time_ns)) == time_ns


def test_times_with_a_zone_are_moved_to_utc() -> None:
    assert parse_time("2023-11-14T23:13:20+01:00") == 1_700_000_000 * SECOND


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("2024-13-01T00:00:00Z", 'parsing time "2024-13-01T00:00:00Z": month out of range'),
        (
            "today",
            'parsing time "today" as "2006-01-02T15:04:05Z07:00": cannot parse "today" as "2006"',
        ),
    ],
)
def test_bad_times_are_refused_in_gos_words(text: str, refusal: str) -> None:
    with pytest.raises(ValueError, match="parsing time") as caught:
        parse_time(text)
    assert str(caught.value) == refusal


@given(st.integers(-(1 << 62), 1 << 62))
def test_a_duration_survives_its_text(duration_ns: int) -> None:
    assert parse_duration(format_duration(duration_ns)) == duration_ns


@pytest.mark.parametrize(
    ("text", "duration_ns"), [("1h30m", 5400 * SECOND), ("-1.5s", -1_500_000_000), ("0", 0), ("100ms", 100_000_000)]
)
def test_durations_in_words(text: str, duration_ns: int) -> None:
    assert parse_duration(text) == duration_ns


@pytest.mark.capability("JS02")
@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (b'{"name":"S","x":1}', 'json: unknown field "x"'),
        (b'{"name":1}', "json: cannot unmarshal number into Go struct field StreamConfig.name of type string"),
        (b'{"name":"S"', "unexpected EOF"),
        (b"[]", "json: cannot unmarshal array into Go value of type server.StreamConfig"),
    ],
)
def test_strict_decoding_refuses_in_gos_words(body: bytes, refusal: str) -> None:
    with pytest.raises(InvalidJson) as caught:
        decode(StreamConfig, body)
    assert str(caught.value) == refusal


def test_keys_match_without_regard_to_case_and_null_changes_nothing() -> None:
    config = decode(StreamConfig, b'{"NAME":"S","storage":"memory","max_msgs":null}')
    assert (config.name, config.storage, config.max_msgs) == ("S", StorageType.MEMORY, 0)


def test_unmarshal_lets_unknown_fields_pass_but_wants_a_value() -> None:
    assert unmarshal(StreamConfig, b'{"name":"S","x":1}').name == "S"
    with pytest.raises(InvalidJson, match="unexpected end of JSON input"):
        unmarshal(StreamConfig, b"")


def test_a_configuration_survives_its_json() -> None:
    config = ConsumerConfig(durable_name="C", backoff=(1, 2), metadata={"b": "2", "a": "1"}, pause_until=5 * SECOND)
    assert decode(ConsumerConfig, encode(config)) == config
    assert list(to_object(config))[:2] == ["durable_name", "deliver_policy"]


@given(st.text(max_size=30))
def test_the_syntax_checker_never_fails(text: str) -> None:
    assert isinstance(syntax_error(text), str)
