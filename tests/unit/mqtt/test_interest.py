"""What filters ask for."""

from __future__ import annotations

from leafbox.mqtt.interest import wanted_by


def test_a_shared_filter_is_a_queue_in_every_version() -> None:
    wanted = wanted_by(b"$share/g 1/a/#")
    assert wanted.queue == b"g/=201"
    assert wanted.subjects == (b"a.>", b"a")
    assert wanted.has_wildcard


def test_only_a_leading_wildcard_skips_dollar_topics() -> None:
    assert wanted_by(b"#").skips_dollar
    assert wanted_by(b"+/a").skips_dollar
    assert not wanted_by(b"$SYS/#").skips_dollar


def test_the_gateways_own_subjects_are_internal() -> None:
    assert wanted_by(b"$MQTT/msgs/#").is_internal
    assert wanted_by(b"$MQTT/#").is_internal
    assert not wanted_by(b"$MQTTX/a").is_internal
    assert not wanted_by(b"#").is_internal
