"""What both standards say about messages and sessions, on mosquitto, which shows the tests right, and on ours.

Each test runs in 3.1.1 and 5.0; its docstring names the statements, `311:` where 3.1.1 numbers them differently.
"""

from __future__ import annotations

import itertools

import pytest

from leafbox.protocol.mqtt.packets import Puback, Publish, Pubrec, Pubrel, Version, Will
from leafbox.protocol.mqtt.properties import NO_PROPERTIES, SESSION_NEVER_EXPIRES_S, Properties
from tests.support.mqtt_brokers import MqttBroker
from tests.support.mqtt_client import RawMqttClient

pytestmark = pytest.mark.capability("MQ16")


@pytest.fixture(params=[Version.V3_1_1, Version.V5], ids=["3.1.1", "5"])
def version(request: pytest.FixtureRequest) -> Version:
    assert isinstance(request.param, Version)
    return request.param


def connected(
    broker: MqttBroker, version: Version, client_id: str = "", *, keep: bool = False, will: Will | None = None
) -> RawMqttClient:
    client = RawMqttClient(broker.port, version, timeout_s=20)
    kept = Properties(session_expiry_interval_s=SESSION_NEVER_EXPIRES_S)
    client.connect(
        client_id, clean=not keep, will=will, properties=kept if keep and version is Version.V5 else NO_PROPERTIES
    )
    return client


@pytest.mark.normative(v5="3.8.4-1 3.8.4-2 3.8.4-7 3.8.4-8", v311="3.8.4-1 3.8.4-2 3.8.4-5 3.8.4-6")
@pytest.mark.capability("MQ03")
def test_delivery_is_at_the_lesser_qos(broker: MqttBroker, version: Version, name: str) -> None:
    """[MQTT-3.8.4-8] 311:[MQTT-3.8.4-6]."""
    for published, asked in itertools.product(range(3), range(3)):
        with connected(broker, version) as reader, connected(broker, version) as writer:
            topic = f"{name}/{published}{asked}"
            assert reader.subscribe(topic, asked) == asked
            writer.publish(topic, b"x", published)
            message = reader.receive_message()
            assert (message.qos, message.payload, message.is_duplicate) == (min(published, asked), b"x", False)


@pytest.mark.normative(v5="3.3.1-5 3.3.1-6 3.3.1-9 3.3.1-12", v311="3.3.1-5 3.3.1-6 3.3.1-8 3.3.1-9 3.3.1-10")
@pytest.mark.capability("MQ04")
def test_retained_messages_are_given_replaced_and_taken_away(broker: MqttBroker, version: Version, name: str) -> None:
    """[MQTT-3.3.1-5], [MQTT-3.3.1-6], [MQTT-3.3.1-8] 311:[MQTT-3.3.1-5] .. 311:[MQTT-3.3.1-12]."""
    with connected(broker, version) as writer, connected(broker, version) as live:
        live.subscribe(f"{name}/#", 1)
        for payload in (b"old", b"new"):
            writer.publish(f"{name}/r", payload, 1, retain=True)
            message = live.receive_message()
            assert (message.payload, message.is_retained) == (payload, False)
        with connected(broker, version) as late:
            late.subscribe(f"{name}/+", 1)
            message = late.receive_message()
            assert (message.payload, message.is_retained, message.qos) == (b"new", True, 1)
        writer.publish(f"{name}/r", b"", 1, retain=True)
        assert live.receive_message().payload == b""
        with connected(broker, version) as late:
            late.subscribe(f"{name}/#", 1)
            assert late.until_ping() == []


@pytest.mark.normative(v5="3.1.2-7 3.1.2-8 3.1.2-10 3.14.4-3", v311="3.1.2-8 3.1.2-10 3.14.4-3")
@pytest.mark.capability("MQ05")
def test_a_will_comes_when_the_client_goes_without_a_word(broker: MqttBroker, version: Version, name: str) -> None:
    """[MQTT-3.1.2-8], [MQTT-3.1.2-10], [MQTT-3.14.4-3]."""
    will = Will(f"{name}/gone".encode(), b"bye", 1, True)
    with connected(broker, version) as reader:
        reader.subscribe(f"{name}/#", 1)
        connected(broker, version, f"{name}-polite", will=will).disconnect()
        connected(broker, version, f"{name}-rude", will=will).close()
        message = reader.receive_message()
        assert (message.topic, message.payload, message.is_retained) == (will.topic, b"bye", False)
        assert reader.until_ping() == []


@pytest.mark.normative(
    v5="3.1.2-5 3.1.2-23 4.5.0-1 4.6.0-5 4.6.0-6", v311="3.1.2-4 3.1.2-5 4.1.0-1 4.5.0-1 4.6.0-5 4.6.0-6"
)
@pytest.mark.capability("MQ06")
def test_a_session_keeps_what_came_meanwhile_in_order(broker: MqttBroker, version: Version, name: str) -> None:
    """[MQTT-3.1.2-5], [MQTT-3.1.2-6], [MQTT-4.6.0-5] 311:[MQTT-3.1.2-4], [MQTT-4.6.0-1]."""
    session = connected(broker, version, name, keep=True)
    session.subscribe(f"{name}/#", 2)
    session.disconnect()
    with connected(broker, version) as writer:
        for number in range(50):
            writer.publish(f"{name}/q", b"%d" % number, 1 + number % 2)
    with connected(broker, version, name, keep=True) as session:
        came = [session.receive_message() for _ in range(50)]
    # Order is promised for one topic and QoS, not between QoS 1 and 2.
    for qos in (1, 2):
        expected = [b"%d" % number for number in range(50) if 1 + number % 2 == qos]
        assert [message.payload for message in came if message.qos == qos] == expected


@pytest.mark.normative(
    v5="3.3.1-1 4.3.2-3 4.3.3-4 4.3.3-5 4.3.3-6 4.4.0-1", v311="2.3.1-4 3.3.1-1 4.3.2-1 4.3.3-1 4.4.0-1"
)
@pytest.mark.capability("MQ06")
def test_what_was_not_acknowledged_comes_again_as_duplicate(broker: MqttBroker, version: Version, name: str) -> None:
    """[MQTT-4.4.0-1], [MQTT-3.3.1-1]."""
    session = connected(broker, version, name, keep=True)
    session.subscribe(name, 2)
    with connected(broker, version) as writer:
        writer.publish(name, b"one", 1)
        writer.publish(name, b"two", 2)
    first, second = session.expect(Publish), session.expect(Publish)
    session.send(Pubrec(second.packet_id))
    session.expect(Pubrel)
    session.close()
    with connected(broker, version, name, keep=True) as session:
        again = {type(packet): packet for packet in (session.receive(), session.receive())}
        message, release = again[Publish], again[Pubrel]
        assert isinstance(message, Publish)
        assert isinstance(release, Pubrel)
        assert (message.payload, message.is_duplicate, message.packet_id) == (b"one", True, first.packet_id)
        assert release.packet_id == second.packet_id
        session.send(Puback(message.packet_id))


@pytest.mark.normative(v5="4.3.3-8 4.3.3-10 4.3.3-11", v311="4.3.3-2")
def test_qos_2_is_taken_once(broker: MqttBroker, version: Version, name: str) -> None:
    """[MQTT-4.3.3-10], [MQTT-4.3.3-12] 311:[MQTT-4.3.3-2]: the same packet twice before its release is one message."""
    with connected(broker, version) as reader, connected(broker, version) as writer:
        reader.subscribe(name, 0)
        for is_duplicate in (False, True):
            writer.send(Publish(name.encode(), b"x", 2, False, is_duplicate, 7))
            assert writer.expect(Pubrec).packet_id == 7
        writer.send(Pubrel(7))
        writer.receive()
        assert reader.receive_message().payload == b"x"
        assert reader.until_ping() == []


@pytest.mark.normative(v5="3.1.4-3", v311="3.1.4-2")
@pytest.mark.capability("MQ07")
def test_a_second_client_of_the_same_id_ends_the_first(broker: MqttBroker, version: Version, name: str) -> None:
    """[MQTT-3.1.4-3] 311:[MQTT-3.1.4-2]."""
    first = connected(broker, version, name)
    with connected(broker, version, name) as second:
        first.until_closed()
        assert second.until_ping() == []
    first.close()


@pytest.mark.normative(v5="4.7.2-1", v311="4.7.2-1")
@pytest.mark.capability("MQ02")
def test_topics_that_dollar_begins_are_not_for_leading_wildcards(
    broker: MqttBroker, version: Version, name: str
) -> None:
    """[MQTT-4.7.2-1]."""
    with connected(broker, version) as reader, connected(broker, version) as writer:
        for topic_filter in ("#", "+/x"):
            reader.subscribe(topic_filter, 1)
        writer.publish(f"${name}/x", b"hidden", 1)
        writer.publish(f"{name}/seen", b"seen", 1)
        while (message := reader.receive_message()).topic != f"{name}/seen".encode():
            assert not message.topic.startswith(b"$")


@pytest.mark.normative(v5="3.3.2-3 4.7.3-4", v311="3.3.2-3 4.7.3-4")
@pytest.mark.capability("MQ02")
def test_topics_are_letters_only_to_whom_they_are(broker: MqttBroker, version: Version, name: str) -> None:
    """[MQTT-4.7.3-4]: nothing but `+`, `#` and `/` means anything; spaces, dots, `*` and `>` arrive as sent."""
    with connected(broker, version) as reader, connected(broker, version) as writer:
        reader.subscribe(f"{name}/#", 1)
        for rest in ("a b", "a.b", "*", ">", "a//b", "", "/", "ü/🌡", "a*/>b", " "):
            writer.publish(f"{name}/{rest}", b"x", 1)
            assert reader.receive_message().topic == f"{name}/{rest}".encode()
        reader.unsubscribe(f"{name}/#")
        reader.subscribe(f"{name}/*/c", 1)
        writer.publish(f"{name}/b/c", b"no", 1)
        writer.publish(f"{name}/*/c", b"yes", 1)
        assert reader.receive_message().payload == b"yes"


@pytest.mark.normative(v5="3.10.4-2 3.10.4-4 3.10.4-6", v311="3.10.4-2 3.10.4-4 3.10.4-6")
def test_unsubscribing_ends_deliveries(broker: MqttBroker, version: Version, name: str) -> None:
    """[MQTT-3.10.4-2], [MQTT-3.10.4-4], [MQTT-3.10.4-5]."""
    with connected(broker, version) as reader, connected(broker, version) as writer:
        reader.subscribe(f"{name}/a", 1)
        reader.subscribe(f"{name}/b", 1)
        reader.unsubscribe(f"{name}/a", f"{name}/unknown")
        writer.publish(f"{name}/a", b"no", 1)
        writer.publish(f"{name}/b", b"yes", 1)
        assert reader.receive_message().payload == b"yes"
