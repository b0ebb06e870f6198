"""Rules of a bridge: names on both sides, and what cannot be a bridge."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leafbox.mqtt.bridge.rules import BridgeOptions, ClientKind, TopicRule
from leafbox.mqtt.bridge.worker import _covers, _is_header, _subjects
from leafbox.protocol.mqtt.packets import Version

pytestmark = pytest.mark.capability("AP42")

RULE = TopicRule("sensors/#", 1, "hall/", "site7/")
GOOD = BridgeOptions("b", "mqtts://broker.example:8884", (RULE,))


def test_a_topic_has_a_name_on_each_side() -> None:
    assert RULE.to_remote(b"hall/sensors/t") == b"site7/sensors/t"
    assert RULE.to_local(b"site7/sensors") == b"hall/sensors"
    assert RULE.to_remote(b"sensors/t") is RULE.to_local(b"hall/sensors/t") is None
    assert TopicRule("#").to_remote(b"a") == b"a"
    assert TopicRule("#").to_remote(b"$SYS/a") is None


def test_an_address_comes_apart() -> None:
    assert (GOOD.host, GOOD.port, GOOD.is_encrypted) == ("broker.example", 8884, True)
    plain = replace(GOOD, url="mqtt://h")
    assert (plain.host, plain.port, plain.is_encrypted) == ("h", 1883, False)
    assert GOOD.problem() == plain.problem() == ""


@pytest.mark.parametrize(
    "bad",
    [
        replace(GOOD, url="h:1883"),
        replace(GOOD, url="mqtt://"),
        replace(GOOD, url="mqtt://h:99999"),
        replace(GOOD, url="mqtt://u:p@h"),
        replace(GOOD, outbound=()),
        replace(GOOD, outbound=(RULE,) * 65),
        replace(GOOD, client=ClientKind.AMQTT),
        replace(GOOD, version=Version.V3_1),
        replace(GOOD, outbound=(TopicRule("a/#/b"),)),
        replace(GOOD, outbound=(TopicRule("a", 3),)),
        replace(GOOD, inbound=(TopicRule("a", 1, "+/"),)),
        replace(GOOD, inbound=(TopicRule("$share/g/a"),)),
    ],
)
def test_what_cannot_be_a_bridge_is_told(bad: BridgeOptions) -> None:
    assert bad.problem()


def test_a_password_is_not_shown() -> None:
    assert "s3cret" not in repr(replace(GOOD, password="s3cret"))


def test_a_streams_subjects_do_not_overlap() -> None:
    assert _subjects([b"a/#", b"a/b", b"c/+", b"c/d", b"e"]) == ["a.>", "a", "c.*", "e"]
    assert _covers("a.*.>", "a.b.c.d")
    assert not _covers("a.*", "a.>")
    assert not _covers("a.>", "a")


def test_user_properties_become_headers_where_they_can() -> None:
    assert _is_header("unit", "°C")
    for name, value in (("", "x"), ("a b", "x"), ("a:", "x"), ("ü", "x"), ("a", "x\r\ny"), ("Nats-Msg-Id", "1")):
        assert not _is_header(name, value)
