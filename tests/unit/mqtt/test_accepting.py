"""What CONNACK says: limits, what was changed of the client's wishes, and where else to go."""

from __future__ import annotations

import pytest

from leafbox.mqtt.accepting import RECEIVE_MAXIMUM, TOPIC_ALIAS_MAXIMUM, elsewhere, refused_as
from leafbox.mqtt.config import MqttOptions, Redirect
from leafbox.protocol.mqtt.framing import PacketReader
from leafbox.protocol.mqtt.packets import Connack, Role, Version
from leafbox.protocol.mqtt.properties import NO_PROPERTIES, Properties
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from tests.support.gateway_box import GatewayBox


def decoded(data: bytes, version: Version) -> Connack:
    [packet] = PacketReader(Role.CLIENT, 1 << 16, version).receive_data(data)
    assert isinstance(packet, Connack)
    return packet


def test_mqtt_5_hears_the_limits_and_mqtt_3_does_not() -> None:
    with GatewayBox(options=MqttOptions(port=1883, is_qos2_publish_rejected=True)) as box:
        said = box.joined("c", Version.V5).connack.properties
        assert (said.receive_maximum, said.topic_alias_maximum) == (RECEIVE_MAXIMUM, TOPIC_ALIAS_MAXIMUM)
        assert (said.maximum_qos, said.assigned_client_identifier, said.session_expiry_interval_s) == (1, None, None)
        assert box.joined("d").connack.properties is NO_PROPERTIES


def test_who_has_no_name_gets_one() -> None:
    """[MQTT-3.1.3-7]; it is told in MQTT 5 only."""
    with GatewayBox() as box:
        names = [box.joined("", Version.V5).connack.properties.assigned_client_identifier for _ in range(2)]
        assert names[0] != names[1]
        box.joined("")
        assert {*names} < box.gateway.accounts["$G"].by_id.keys()
        assert len(box.gateway.accounts["$G"].by_id) == 3


@pytest.mark.parametrize(
    ("asked_s", "longest_s", "granted_s", "told"),
    [(100, 0.0, 100, False), (100, 50.0, 50, True), (10, 50.0, 10, False), (0xFFFF_FFFF, 50.0, 50, True)],
)
def test_how_long_a_session_stays(asked_s: int, longest_s: float, granted_s: int, told: bool) -> None:
    with GatewayBox(options=MqttOptions(port=1883, consumer_inactive_threshold_s=longest_s)) as box:
        client = box.joined("c", Version.V5, clean=False, properties=Properties(session_expiry_interval_s=asked_s))
        assert box.gateway.accounts["$G"].by_id["c"].expiry_s == granted_s
        assert client.connack.properties.session_expiry_interval_s == (granted_s if told else None)


@pytest.mark.normative(v5="3.1.2-21 3.2.2-21 3.2.2-22")
@pytest.mark.parametrize(
    ("asked_s", "longest_s", "counts_s", "told"),
    [(120, 60, 60, True), (0, 60, 60, True), (60, 60, 60, False), (30, 60, 30, False), (0, 0, 0, False)],
)
def test_a_server_may_shorten_the_keep_alive_of_mqtt_5(asked_s: int, longest_s: int, counts_s: int, told: bool) -> None:
    """Who cannot be told keeps its own."""
    with GatewayBox(options=MqttOptions(port=1883, keep_alive_max_s=longest_s)) as box:
        client = box.joined("c", Version.V5, keep_alive_s=asked_s)
        assert client.connack.properties.server_keep_alive_s == (counts_s if told else None)
        assert client.connection.keep_alive_ns == counts_s * 1_500_000_000
        assert box.joined("d", keep_alive_s=asked_s).connection.keep_alive_ns == asked_s * 1_500_000_000


def test_a_refusal_names_the_other_server_where_there_is_a_word_for_it() -> None:
    code = ReasonCode.SERVER_MOVED
    assert decoded(refused_as(code, Version.V5, "b:1"), Version.V5).properties.server_reference == "b:1"
    assert decoded(refused_as(code, Version.V5), Version.V5).properties.server_reference is None
    old = decoded(refused_as(code, Version.V3_1_1, "b:1"), Version.V3_1_1)
    assert old.reason_code is ReasonCode.SERVER_UNAVAILABLE


def test_when_clients_are_sent_elsewhere() -> None:
    found = {redirect: elsewhere(MqttOptions(redirect=redirect)) for redirect in Redirect}
    assert found == {
        Redirect.LAME_DUCK: None,
        Redirect.ANOTHER: ReasonCode.USE_ANOTHER_SERVER,
        Redirect.MOVED: ReasonCode.SERVER_MOVED,
    }
