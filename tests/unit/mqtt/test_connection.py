"""One connection: who is let in and when, how it ends, and what becomes of its will."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leafbox.broker.config import Permissions, SubjectPermission
from leafbox.mqtt.config import MqttOptions
from leafbox.protocol.mqtt.packets import (
    Auth,
    Connack,
    Connect,
    Disconnect,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Subscription,
    Version,
    Will,
)
from leafbox.protocol.mqtt.properties import Properties
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from leafbox.security.config import SecurityOptions, UserOptions
from tests.support.gateway_box import Device, GatewayBox

WILL = Will(b"will", b"gone", 1)
KEPT = Properties(session_expiry_interval_s=100)


def watcher(box: GatewayBox) -> Device:
    made = box.joined("watcher", Version.V5)
    made.send(Subscribe(1, (Subscription(b"will", 1),)))
    made.sent()
    return made


def wills(watching: Device) -> list[bytes]:
    return [each.payload for each in watching.sent() if isinstance(each, Publish)]


# What CONNECT asks for -> the answer.
REFUSALS = {
    "enhanced authentication": (
        Connect("c", Version.V5, properties=Properties(authentication_method="SCRAM")),
        ReasonCode.BAD_AUTHENTICATION_METHOD,
    ),
    "no client id for a session that is kept": (
        Connect("", Version.V3_1_1, is_clean=False),
        ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
    ),
    "a will of QoS 2": (Connect("c", Version.V5, will=Will(b"w", b"", 2)), ReasonCode.QOS_NOT_SUPPORTED),
}


@pytest.mark.parametrize(("connect", "code"), REFUSALS.values(), ids=REFUSALS)
def test_a_connect_that_is_refused(connect: Connect, code: ReasonCode) -> None:
    with GatewayBox(options=MqttOptions(port=1883, is_qos2_publish_rejected=True)) as box:
        asking = box.device(connect.version)
        asking.send(connect)
        [answer] = asking.sent()
        assert isinstance(answer, Connack)
        assert answer.reason_code is code
        assert asking.is_closed
        assert box.gateway.connections == set()


def test_who_says_nothing_is_closed_in_time() -> None:
    """Packets before CONNECT are no protocol of ours, either."""
    with GatewayBox() as box:
        silent, rude = box.device(), box.device()
        rude.send(Pingreq())
        assert rude.is_closed
        assert rude.sent() == []
        box.loop.advance(1.5)
        assert not silent.is_closed
        box.loop.advance(1.0)
        assert silent.is_closed


def test_a_second_connect_and_a_step_of_authentication_end_it() -> None:
    with GatewayBox() as box:
        for packet in (Connect("c", Version.V5), Auth(ReasonCode.CONTINUE_AUTHENTICATION)):
            client = box.joined("c", Version.V5)
            client.send(packet)
            [said] = client.sent()
            assert isinstance(said, Disconnect)
            assert said.reason_code is ReasonCode.PROTOCOL_ERROR
            assert client.is_closed


def test_a_login_that_fails_is_told_and_counted() -> None:
    users = SecurityOptions(users=(UserOptions("anna", "pw"),))
    with GatewayBox(users) as box:
        stranger = box.client(user="berta")
        assert stranger.sent() == [Connack(ReasonCode.NOT_AUTHORIZED)]
        anna = box.joined(user="anna")
        assert box.events.seen == ["refused unknown user", "connected c"]
        anna.send(Disconnect())
        box.loop.run_ready()
        assert box.events.seen[-1] == "disconnected c"


def test_a_login_that_ends_ends_the_connection() -> None:
    """A JWT's expiry; the will is due."""
    with GatewayBox() as box:
        watching = watcher(box)
        client = box.joined("c", Version.V5, will=WILL)
        identity = client.connection.identity
        assert identity is not None
        client.connection.take_identity(replace(identity, expires_at_s=1.0))
        box.loop.advance(0.25)
        assert client.sent() == [Disconnect(ReasonCode.NOT_AUTHORIZED)]
        assert wills(watching) == [b"gone"]


def test_connack_to_a_client_with_a_will_waits_for_the_log() -> None:
    """What was sent behind CONNECT is taken afterwards, in order; a client without a will does not wait."""
    with GatewayBox() as box:
        box.holds_log = True
        assert isinstance(box.client("plain").sent()[0], Connack)
        client = box.client("c", Version.V5, will=WILL)
        client.send(Subscribe(1, (Subscription(b"a", 1),)), Publish(b"a", b"x", 0), Pingreq())
        assert client.sent() == []
        assert not client.connection.is_accepted
        box.release_log()
        kinds = [type(packet) for packet in client.sent()]
        assert kinds == [Connack, Suback, Publish, Pingresp]


def test_who_is_replaced_before_connack_leaves_no_will() -> None:
    """It was never connected, so it did not go without a word."""
    with GatewayBox() as box:
        watching = watcher(box)
        box.holds_log = True
        first, second = box.client("c", will=WILL), box.client("c")
        assert first.is_closed
        box.release_log()
        assert isinstance(second.sent()[0], Connack)
        assert wills(watching) == []
        assert first.sent() == []
        assert first.connection not in box.account.connections


def test_the_newer_connection_takes_over() -> None:
    """The old one hears why, its will is sent, unless it had a delay and the session goes on."""
    with GatewayBox() as box:
        watching = watcher(box)
        old = box.joined("c", Version.V5, will=WILL, clean=False, properties=KEPT)
        new = box.joined("c", Version.V5, clean=False, properties=KEPT)
        assert new.connack.is_session_present
        assert old.sent() == [Disconnect(ReasonCode.SESSION_TAKEN_OVER)]
        assert old.is_closed
        assert wills(watching) == [b"gone"]
        late = replace(WILL, properties=Properties(will_delay_interval_s=50))
        box.joined("c", Version.V5, will=late, clean=False, properties=KEPT)
        box.joined("c", Version.V5, clean=False, properties=KEPT)
        box.loop.advance(60)
        assert wills(watching) == []


@pytest.mark.parametrize("says_goodbye", [True, False])
def test_a_will_is_for_those_who_say_nothing(says_goodbye: bool) -> None:
    with GatewayBox() as box:
        watching = watcher(box)
        client = box.joined("c", will=WILL)
        if says_goodbye:
            client.send(Disconnect())
        client.vanish()
        assert wills(watching) == ([] if says_goodbye else [b"gone"])
        assert box.store.kept[next(iter(box.store.kept))] == {}


def test_a_session_that_was_to_end_cannot_be_kept_after_all() -> None:
    """Section 3.14.2.2.2; the other way round is allowed."""
    with GatewayBox() as box:
        ends = box.joined("ends", Version.V5)
        ends.send(Disconnect(properties=KEPT))
        [said] = ends.sent()
        assert isinstance(said, Disconnect)
        assert said.reason_code is ReasonCode.PROTOCOL_ERROR
        kept = box.joined("kept", Version.V5, clean=False, properties=KEPT)
        kept.send(Disconnect(properties=Properties(session_expiry_interval_s=0)))
        assert kept.is_closed
        assert not box.joined("kept", Version.V5, clean=False).connack.is_session_present


def test_what_may_not_be_published_is_not() -> None:
    """MQTT 5 hears so, MQTT 3 gets its acknowledgement (decision of nats-server, too)."""
    limited = Permissions(publish=SubjectPermission(("a",)))
    with GatewayBox(SecurityOptions(users=(UserOptions("anna", "pw", permissions=limited),))) as box:
        new, old = (box.joined(str(version), version, user="anna") for version in (Version.V5, Version.V3_1_1))
        for client in (new, old):
            client.send(Publish(b"b", b"x", 1, packet_id=1))
        assert new.sent() == [Puback(1, ReasonCode.NOT_AUTHORIZED)]
        assert old.sent() == [Puback(1)]


def test_what_monitoring_sees() -> None:
    with GatewayBox() as box:
        client = box.joined("c", Version.V5)
        client.send(Subscribe(1, (Subscription(b"a/#", 1), Subscription(b"b", 0))), Publish(b"b", b"xyz", 0))
        seen = client.connection.snapshot(subscriptions_max=2)
        assert (seen.type, seen.mqtt_client, seen.ip, seen.account) == ("mqtt", "c", "10.0.0.1", "$G")
        assert (seen.in_msgs, seen.in_bytes, seen.out_msgs) == (1, 3, 1)
        # `a/#` is two subjects.
        assert (seen.subscription_count, len(seen.subscriptions)) == (3, 2)
        assert str(client.connection).endswith('- "c"')
