"""Sessions of an account: resumed, expired, ended, brought back after the power was gone."""

from __future__ import annotations

import logging

import pytest

from leafbox.mqtt.config import MqttOptions
from leafbox.mqtt.ports import SessionValue
from leafbox.mqtt.sessions import record_key
from leafbox.protocol.mqtt.packets import Disconnect, Puback, Publish, Subscribe, Subscription, Version
from leafbox.protocol.mqtt.properties import Properties
from tests.support.gateway_box import Device, GatewayBox

KEPT = Properties(session_expiry_interval_s=10)


def away(box: GatewayBox, name: str = "away", *filters: bytes, properties: Properties = KEPT) -> None:
    """A session whose client has left."""
    client = box.joined(name, Version.V5, clean=False, properties=properties)
    client.send(Subscribe(1, tuple(Subscription(each, 1) for each in filters or (b"a/#",))), Disconnect())
    assert client.is_closed


def publish(box: GatewayBox, *payloads: bytes) -> None:
    publisher = box.joined("publisher", Version.V5)
    publisher.send(*(Publish(b"a/x", each, 1, packet_id=n + 1) for n, each in enumerate(payloads)))
    assert len([each for each in publisher.sent() if isinstance(each, Puback)]) == len(payloads)
    publisher.send(Disconnect())


def got(client: Device) -> list[bytes]:
    return [each.payload for each in client.sent() if isinstance(each, Publish)]


def test_a_session_ends_after_its_time() -> None:
    """Not a moment before, and everything of it goes."""
    with GatewayBox() as box:
        away(box)
        publish(box, b"1")
        box.loop.advance(9.5)
        assert box.gateway.accounts["$G"].by_id.keys() == {"away"}
        box.loop.advance(1.0)
        assert not box.gateway.accounts["$G"].by_id
        assert all(not kept for kept in box.store.kept.values())
        assert box.owner.streams["$MQTT_msgs"].store.messages == 0


def test_the_time_that_the_box_was_down_counts() -> None:
    with GatewayBox() as box:
        away(box)
        away(box, "long", properties=Properties(session_expiry_interval_s=1000))
        box.loop.advance(5)
        box.restart()
        box.loop.advance(6)
        assert box.gateway.accounts["$G"].by_id.keys() == {"long"}


def test_the_configuration_bounds_how_long_sessions_stay() -> None:
    with GatewayBox(options=MqttOptions(port=1883, consumer_inactive_threshold_s=3)) as box:
        client = box.joined("c", Version.V5, clean=False, properties=KEPT)
        assert client.connack.properties.session_expiry_interval_s == 3
        client.send(Disconnect())
        box.loop.advance(4)
        assert not box.gateway.accounts["$G"].by_id


@pytest.mark.parametrize("folds", [False, True], ids=["from deltas", "from a checkpoint"])
def test_a_power_cut_takes_nothing(folds: bool) -> None:
    """Subscriptions, the queue, what was in flight, what was acknowledged, in both ways that the store keeps them."""
    with GatewayBox() as box:
        client = box.joined("c", Version.V5, clean=False, properties=KEPT)
        client.send(Subscribe(1, (Subscription(b"a/#", 1), Subscription(b"b", 2, is_no_local=True))))
        publish(box, b"1", b"2")
        first, second = (each for each in client.sent() if isinstance(each, Publish))
        client.send(Puback(first.packet_id))
        client.vanish()
        publish(box, b"3")
        if folds:
            box.store.fold()
        box.restart()
        session = box.gateway.accounts["$G"].by_id["c"]
        assert list(session.records) == [b"a/#", b"b"]
        assert session.records[b"b"].no_local
        back = box.joined("c", Version.V5, clean=False, properties=KEPT)
        assert back.connack.is_session_present
        packets = [each for each in back.sent() if isinstance(each, Publish)]
        assert [(each.payload, each.is_duplicate) for each in packets] == [(b"2", True), (b"3", False)]
        assert packets[0].packet_id == second.packet_id
        publish(box, b"4")
        assert got(back) == [b"4"]


def test_a_clean_start_forgets() -> None:
    with GatewayBox() as box:
        away(box)
        publish(box, b"1")
        fresh = box.joined("away", Version.V5, clean=True, properties=KEPT)
        assert not fresh.connack.is_session_present
        publish(box, b"2")
        assert got(fresh) == []


def test_a_damaged_record_costs_one_session(caplog: pytest.LogCaptureFixture) -> None:
    with GatewayBox() as box:
        away(box, "good")
        away(box, "bad")
        box.store.kept[SessionValue.DEFINITION][record_key("$G", "bad")] = (b"{", [])
        with caplog.at_level(logging.ERROR):
            box.restart()
        assert box.gateway.accounts["$G"].by_id.keys() == {"good"}
        assert "session record is damaged" in caplog.text


def test_a_group_keeps_for_who_is_away_only_when_nobody_is_here() -> None:
    with GatewayBox() as box:
        away(box, "away", b"$share/g/a/#")
        here = box.joined("here", Version.V5)
        here.send(Subscribe(1, (Subscription(b"$share/g/a/#", 1),)))
        publish(box, *(b"%d" % n for n in range(6)))
        assert len(got(here)) == 6
        here.send(Disconnect())
        publish(box, b"kept")
        back = box.joined("away", Version.V5, clean=False, properties=KEPT)
        assert got(back) == [b"kept"]


def test_a_queue_at_its_limit_is_told_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    with GatewayBox(options=MqttOptions(port=1883, queued_messages_max=2)) as box:
        away(box)
        with caplog.at_level(logging.WARNING):
            publish(box, b"1", b"2")
            back = box.joined("away", Version.V5, clean=False, properties=KEPT)
            back.send(*(Puback(each.packet_id) for each in back.sent() if isinstance(each, Publish)), Disconnect())
            publish(box, b"3", b"4")
        assert caplog.text.count("queue of an MQTT session is full client_id='away'") == 1
