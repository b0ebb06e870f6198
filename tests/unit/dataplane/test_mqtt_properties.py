"""Properties through a NATS header block and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leafbox.dataplane.mqtt_properties import check_publish, header_of, properties_of
from leafbox.protocol.mqtt.properties import Place, Properties, write_properties

TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=8)


def encoded(properties: Properties) -> bytes:
    """As they stand in a packet; short enough for a length of one byte."""
    return write_properties(properties, Place.PUBLISH)[1:]


@given(
    st.builds(
        Properties,
        payload_format_indicator=st.sampled_from((None, 1)),
        content_type=st.none() | TEXT,
        correlation_data=st.none() | st.binary(max_size=8),
        user_properties=st.lists(st.tuples(TEXT, TEXT), max_size=2).map(tuple),
    )
)
def test_they_come_back_the_same(properties: Properties) -> None:
    raw = write_properties(properties, Place.PUBLISH)
    raw = raw[1:] if raw[0] < 128 else raw[2:]
    assert check_publish(raw) == (0, raw)
    back = properties_of(b"NATS/1.0\r\nNmqtt-Pub:1\r\n" + header_of(raw) + b"\r\n")
    assert sorted(back) == sorted(raw)


def test_no_property_acts_as_a_header_of_nats() -> None:
    lines = header_of(encoded(Properties(user_properties=(("Nats-Msg-Id", "1"), ("a\r\nNats-Rollup", "all")))))
    assert b"\nNats-" not in b"\n" + lines


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\x01\x02", 0x82),  # Payload format 2.
        (b"\x01\x01\x01\x01", 0x82),  # Twice.
        (b"\x0b\x01", 0x82),  # [MQTT-3.3.4-6]: a subscription identifier from a client.
        (b"\x23\x00\x00", 0x94),  # [MQTT-3.3.2-8]: alias 0.
        (b"\x08\x00\x02a#", 0x82),  # [MQTT-3.3.2-14]
        (b"\x08\x00\x00", 0x82),  # The fuzzer's find: an empty response topic is no topic name.
        (b"\x26\x00\x01a\x00", 0x81),  # Cut short.
        (b"\x7e", 0x81),  # Unknown.
    ],
)
def test_what_is_refused(raw: bytes, reason: int) -> None:
    assert check_publish(raw)[0] == reason
