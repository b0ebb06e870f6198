"""The table of properties: every one in every place it may stand, and nowhere else."""

from __future__ import annotations

import pytest

from leafbox.protocol.mqtt.fields import FieldReader
from leafbox.protocol.mqtt.properties import (
    BINARY,
    NO_PROPERTIES,
    PAIR,
    PROPERTY_RULES,
    TEXT,
    TOPIC,
    Place,
    Properties,
    PropertyRule,
    Value,
    read_properties,
    write_properties,
)
from leafbox.protocol.mqtt.violation import MqttViolation

pytestmark = pytest.mark.capability("MQ16")


def sample(rule: PropertyRule) -> Value:
    if rule.type is PAIR:
        return "k", "v"
    if rule.type is TEXT:
        return "text"
    if rule.type in (BINARY, TOPIC):
        return b"bytes"
    return 1


def made(rule: PropertyRule) -> Properties:
    value = sample(rule)
    return Properties(**{rule.name: (value,) if rule.is_repeatable else value})  # type: ignore[arg-type]


@pytest.mark.parametrize("place", list(Place), ids=lambda place: place.value)
@pytest.mark.parametrize("rule", PROPERTY_RULES, ids=lambda rule: rule.name)
def test_a_property_stands_where_the_table_says(rule: PropertyRule, place: Place) -> None:
    value = sample(rule)
    section = bytes((rule.id,)) + rule.type.write(value)
    data = bytes((len(section),)) + section
    needs_more = rule.name == "authentication_data"
    if place in rule.places and not needs_more:
        properties = made(rule)
        assert read_properties(FieldReader(data, "X"), place) == properties
        assert write_properties(properties, place) == data
        return
    with pytest.raises(MqttViolation):
        read_properties(FieldReader(data, "X"), place)
    if not needs_more:
        with pytest.raises(AssertionError):
            write_properties(made(rule), place)


@pytest.mark.parametrize(
    "rule", [rule for rule in PROPERTY_RULES if not rule.is_repeatable], ids=lambda rule: rule.name
)
def test_a_property_comes_once(rule: PropertyRule) -> None:
    one = bytes((rule.id,)) + rule.type.write(sample(rule))
    data = bytes((2 * len(one),)) + one * 2
    with pytest.raises(MqttViolation):
        read_properties(FieldReader(data, "X"), next(iter(rule.places)))


def test_no_properties_are_one_value() -> None:
    assert read_properties(FieldReader(b"\0", "X"), Place.CONNECT) is NO_PROPERTIES
    assert write_properties(NO_PROPERTIES, Place.CONNECT) == write_properties(Properties(), Place.CONNECT) == b"\0"


def test_order_and_repetition_of_user_properties_are_kept() -> None:
    pairs = (("b", "1"), ("a", "2"), ("b", "3"), ("", ""))
    data = write_properties(Properties(user_properties=pairs), Place.PUBLISH)
    assert read_properties(FieldReader(data, "X"), Place.PUBLISH).user_properties == pairs


def test_only_what_is_there_is_shown_and_no_secret() -> None:
    properties = Properties(authentication_method="m", authentication_data=b"secret", receive_maximum=0)
    assert repr(properties) == "Properties(authentication_method='m', authentication_data=..., receive_maximum=0)"
