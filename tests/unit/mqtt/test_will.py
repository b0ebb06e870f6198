"""Wills keep what is passed on and drop what was meant for us."""

from __future__ import annotations

from leafbox.dataplane.mqtt_properties import check_publish
from leafbox.mqtt.will import PendingWill
from leafbox.protocol.mqtt.packets import Will
from leafbox.protocol.mqtt.properties import Properties


def test_properties_of_a_will() -> None:
    properties = Properties(
        will_delay_interval_s=5, message_expiry_interval_s=9, content_type="t", user_properties=(("a", "b"),)
    )
    will = PendingWill.of(Will(b"w", b"gone", 1, True, properties))
    assert (will.delay_s, will.expiry_s, will.qos, will.is_retained) == (5, 9, 1, True)
    assert check_publish(will.properties) == (0, b"\x03\x00\x01t\x26\x00\x01a\x00\x01b")


def test_a_plain_will() -> None:
    will = PendingWill.of(Will(b"w", b""))
    assert (will.delay_s, will.expiry_s, will.properties) == (0, -1, b"")
