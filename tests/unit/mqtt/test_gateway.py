"""The gateway's own: which accounts can have sessions, silent clients, repeating to MQTT 3."""

from __future__ import annotations

import pytest

from leafbox.broker.account import Account
from leafbox.mqtt.config import MqttOptions
from leafbox.protocol.errors import LeafboxError
from leafbox.protocol.mqtt.packets import Connack, Publish, Subscribe, Subscription, Version, Will
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from tests.support.gateway_box import GatewayBox


def test_an_account_without_jetstream_has_no_sessions() -> None:
    with GatewayBox() as box, pytest.raises(LeafboxError, match="JetStream is not enabled"):
        box.gateway.sessions_of(Account("plain"))


def test_the_streams_are_made_with_the_first_client() -> None:
    with GatewayBox() as box:
        assert not box.owner.streams
        box.joined()
        assert sorted(box.owner.streams) == ["$MQTT_msgs", "$MQTT_out", "$MQTT_qos2in", "$MQTT_rmsgs", "$MQTT_sess"]


def test_where_the_streams_cannot_be_made_nobody_comes_in() -> None:
    """Somebody took their subjects: MQTT 3 hears "unavailable", and the log why."""
    with GatewayBox() as box:
        made = box.account
        made.publish(
            b"$JS.API.STREAM.CREATE.MINE", b'{"name":"MINE","subjects":["$MQTT.msgs.>"],"storage":"memory"}', b"", b""
        )
        box.loop.run_ready()
        assert list(box.owner.streams) == ["MINE"]
        refused = box.client()
        assert refused.sent() == [Connack(ReasonCode.SERVER_UNAVAILABLE)]


def test_silent_clients_are_ended() -> None:
    """[MQTT-3.1.2-22], with their wills."""
    with GatewayBox() as box:
        watching = box.joined("watcher")
        watching.send(Subscribe(1, (Subscription(b"will", 0),)))
        watching.sent()
        silent = box.joined("silent", keep_alive_s=10, will=Will(b"will", b"gone", 0))
        box.loop.advance(1)
        assert not silent.is_closed
        silent.connection.keep_alive_ns = 1
        box.loop.advance(0.5)
        assert silent.is_closed
        assert [each.payload for each in watching.sent() if isinstance(each, Publish)] == [b"gone"]
        assert box.broker.engine.stale_connections == 1


def test_mqtt_3_is_sent_again_what_it_left_unacknowledged() -> None:
    """[MQTT-4.4.0-1]: MQTT 5 repeats on a new connection only."""
    with GatewayBox(options=MqttOptions(port=1883, ack_wait_s=0.000_001)) as box:
        old, new = box.joined("old"), box.joined("new", Version.V5)
        for client in (old, new):
            client.send(Subscribe(1, (Subscription(b"a", 1),)))
        box.joined("publisher").send(Publish(b"a", b"x", 1, packet_id=1))
        for client in (old, new):
            assert [each.is_duplicate for each in client.sent() if isinstance(each, Publish)] == [False]
        box.loop.advance(0.25)
        assert next(each.is_duplicate for each in old.sent() if isinstance(each, Publish))
        assert new.sent() == []


def test_a_reload_reaches_sessions_that_are_here() -> None:
    with GatewayBox() as box:
        box.joined("c")
        box.options = MqttOptions(port=1883, queued_messages_max=7)
        box.gateway.apply_options()
        assert box.gateway.accounts["$G"].by_id["c"].core.queue_max == 7
