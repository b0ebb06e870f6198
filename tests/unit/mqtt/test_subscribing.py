"""SUBSCRIBE and UNSUBSCRIBE: a code for each filter, retained messages, and answers that wait for the log."""

from __future__ import annotations

import pytest

from leafbox.broker.config import AccountLimits, Permissions, SubjectPermission
from leafbox.mqtt.config import MqttOptions
from leafbox.protocol.mqtt.packets import (
    Pingreq,
    Pingresp,
    Publish,
    RetainHandling,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Version,
)
from leafbox.protocol.mqtt.properties import Properties
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from leafbox.security.config import SecurityOptions, UserOptions
from tests.support.gateway_box import Device, GatewayBox

KEPT = Properties(session_expiry_interval_s=100)
LIMITED = Permissions(subscribe=SubjectPermission(("a.>", "r.>"), ("a.secret",)))


def codes(client: Device, *subscriptions: Subscription) -> tuple[ReasonCode, ...]:
    client.send(Subscribe(7, subscriptions))
    [answer] = client.sent()
    assert isinstance(answer, Suback)
    assert answer.packet_id == 7
    return answer.reason_codes


def test_each_filter_is_judged_alone() -> None:
    users = SecurityOptions(users=(UserOptions("anna", "pw", permissions=LIMITED),))
    with GatewayBox(users) as box:
        client = box.joined("c", Version.V5, user="anna")
        wanted = (b"a/b", b"a/secret", b"b", b"a/+", b"$MQTT/sess/#", b"$share/g/a/x")
        found = codes(client, *(Subscription(each, 2) for each in wanted))
        granted, refused = ReasonCode.GRANTED_QOS_2, ReasonCode.NOT_AUTHORIZED
        assert found == (granted, refused, refused, granted, refused, granted)
        client.connection.permissions = None
        client.send(Publish(b"a/secret", b"x", 0))
        # `a/+` was granted, what is denied of it is left out.
        assert client.sent() == []


def test_qos_2_may_be_granted_as_1() -> None:
    with GatewayBox(options=MqttOptions(port=1883, is_qos2_subscribe_downgraded=True)) as box:
        assert codes(box.joined(), Subscription(b"a", 2)) == (ReasonCode.GRANTED_QOS_1,)


def test_an_account_bounds_the_filters_of_a_client() -> None:
    with GatewayBox() as box:
        box.account.limits = AccountLimits(subscriptions_max=2)
        client = box.joined("c", Version.V5)
        found = codes(client, *(Subscription(each, 0) for each in (b"a", b"b", b"c", b"a")))
        assert found == (*(ReasonCode.SUCCESS,) * 2, ReasonCode.QUOTA_EXCEEDED, ReasonCode.SUCCESS)


@pytest.mark.parametrize(
    ("handling", "is_shared", "first", "again"),
    [
        (RetainHandling.SEND, False, True, True),
        (RetainHandling.SEND_IF_NEW, False, True, False),
        (RetainHandling.DO_NOT_SEND, False, False, False),
        (RetainHandling.SEND, True, False, False),
    ],
)
def test_retained_messages_come_as_asked_for(
    handling: RetainHandling, is_shared: bool, first: bool, again: bool
) -> None:
    """[MQTT-3.3.1-9..11]; never to a shared subscription, and always behind SUBACK."""
    with GatewayBox() as box:
        box.joined("p").send(Publish(b"r/1", b"x", 1, is_retained=True, packet_id=1))
        client = box.joined("c", Version.V5)
        topic_filter = b"$share/g/r/#" if is_shared else b"r/#"
        for expected in (first, again):
            client.send(Subscribe(1, (Subscription(topic_filter, 0, retain_handling=handling),)))
            suback, *rest = client.sent()
            assert isinstance(suback, Suback)
            assert [each.is_retained for each in rest if isinstance(each, Publish)] == [True] * expected


def test_the_answer_to_a_kept_session_waits_for_the_log() -> None:
    """Nothing is parsed meanwhile, so answers keep the order of their requests; what changes nothing does not wait."""
    with GatewayBox() as box:
        kept = box.joined("kept", Version.V5, clean=False, properties=KEPT)
        clean = box.joined("clean")
        box.holds_log = True
        subscribe = Subscribe(1, (Subscription(b"a", 1),))
        clean.send(subscribe)
        kept.send(subscribe, Pingreq())
        assert [type(each) for each in clean.sent()] == [Suback]
        assert kept.sent() == []
        box.release_log()
        assert [type(each) for each in kept.sent()] == [Suback, Pingresp]
        box.holds_log = True
        kept.send(subscribe)
        assert [type(each) for each in kept.sent()] == [Suback]
        kept.send(Unsubscribe(2, (b"a", b"never")))
        assert kept.sent() == []
        box.release_log()
        assert kept.sent() == [Unsuback(2, (ReasonCode.SUCCESS, ReasonCode.NO_SUBSCRIPTION_EXISTED))]


def test_an_answer_for_who_has_gone_is_dropped() -> None:
    with GatewayBox() as box:
        kept = box.joined("kept", clean=False)
        box.holds_log = True
        kept.send(Subscribe(1, (Subscription(b"a", 1),)))
        kept.connection.close("test")
        box.release_log()
        assert kept.sent() == []
