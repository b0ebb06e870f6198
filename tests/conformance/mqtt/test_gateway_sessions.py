"""Sessions of the gateway over takeovers, SIGKILL and thousands of filters; what it shows to and takes from NATS."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import nats
import pytest

from leafbox.protocol.mqtt.packets import (
    Disconnect,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Subscription,
    Version,
    Will,
)
from leafbox.protocol.mqtt.properties import Properties
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from tests.support.mqtt_brokers import BrokerKind, MqttBroker
from tests.support.mqtt_client import RawMqttClient

DENIES_ONE = """
accounts { A { jetstream: enabled, users: [
  { user: any, password: any, permissions: { publish: ">", subscribe: { allow: ">", deny: "test.nosubscribe" } } }
] } }
no_auth_user: any
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MqttBroker]:
    """One server for the tests that do not end it."""
    with MqttBroker(BrokerKind.LEAFBOX, tmp_path_factory.mktemp("gateway")) as running:
        yield running


def client(
    broker: MqttBroker, name: str, *, version: Version = Version.V3_1_1, clean: bool = True, will: Will | None = None
) -> RawMqttClient:
    """A client that is connected; MQTT 5 sessions are kept for an hour unless clean."""
    connected = RawMqttClient(broker.port, version)
    kept = Properties(session_expiry_interval_s=3600) if version is Version.V5 and not clean else Properties()
    answer = connected.connect(name, clean=clean, will=will, properties=kept)
    assert answer.reason_code is ReasonCode.SUCCESS
    return connected


@pytest.mark.capability("MQ07")
@pytest.mark.capability("MQ05")
@pytest.mark.parametrize("version", [Version.V3_1_1, Version.V5])
def test_the_newer_client_wins_and_the_will_of_the_older_is_sent(gateway: MqttBroker, version: Version) -> None:
    watcher = client(gateway, f"watcher{version}", version=version)
    watcher.subscribe(f"wills/{version}", 1)
    old = client(gateway, f"same{version}", version=version, will=Will(b"wills/%d" % version, b"gone", 1))
    client(gateway, f"same{version}", version=version)
    old.until_closed()
    assert watcher.receive_message().payload == b"gone"


@pytest.mark.normative(v5="3.3.1-1 3.3.4-9 4.4.0-1")
@pytest.mark.capability("MQ06")
@pytest.mark.parametrize("qos", [1, 2])
def test_what_comes_again_keeps_to_the_new_receive_maximum(gateway: MqttBroker, qos: int) -> None:
    """[MQTT-3.3.4-9], [MQTT-4.6.0-1]: a connection may have less room than the last. mosquitto 2.0 sends it all."""
    name = f"narrow{qos}"
    session = client(gateway, name, version=Version.V5, clean=False)
    session.subscribe(name, qos)
    writer = client(gateway, f"{name}-writer", version=Version.V5)
    for number in range(6):
        writer.publish(name, b"%d" % number, qos)
    before = [session.expect(Publish) for _ in range(6)]
    session.close()
    narrow = RawMqttClient(gateway.port, Version.V5)
    narrow.connect(name, clean=False, properties=Properties(session_expiry_interval_s=3600, receive_maximum=2))
    came: list[Publish] = []
    while len(came) < 6:
        under_way = [narrow.expect(Publish), narrow.expect(Publish)]
        assert narrow.until_ping() == []
        came += under_way
        acknowledge(narrow, under_way)
    assert [(each.payload, each.packet_id, each.is_duplicate) for each in came] == [
        (each.payload, each.packet_id, True) for each in before
    ]
    writer.publish(name, b"new", qos)
    assert narrow.receive_message().payload == b"new"


@pytest.mark.normative(v5="3.8.4-7 3.9.3-1 3.9.3-2", v311="3.8.4-5 3.9.3-1 3.9.3-2")
@pytest.mark.capability("MQ09")
def test_a_filter_that_is_not_allowed_is_refused_beside_the_others(tmp_path: Path) -> None:
    """[MQTT-3.9.3-1], 311:[MQTT-3.9.3-2]: 0x80 is the only refusal of 3.1.1, MQTT 5 has 0x87 for it."""
    asked = (Subscription(b"test/yes", 1), Subscription(b"test/nosubscribe", 2), Subscription(b"test/#", 0))
    with MqttBroker(BrokerKind.LEAFBOX, tmp_path, DENIES_ONE) as broker:
        for version, refused in ((Version.V3_1_1, 0x80), (Version.V5, 0x87)):
            reader = client(broker, f"reader{version}", version=version)
            reader.send(Subscribe(7, asked))
            assert reader.expect(Suback) == Suback(7, (ReasonCode(1), ReasonCode(refused), ReasonCode(0)))
            reader.publish("test/nosubscribe", b"hidden", 1)
            reader.publish("test/yes", b"seen", 1)
            assert reader.receive_message().payload == b"seen"


@pytest.mark.capability("MQ16")
def test_a_client_that_is_still_writing_learns_why_it_was_closed(gateway: MqttBroker) -> None:
    """Sections 3.3.4 and 4.13: DISCONNECT 0x93 reaches a client that answers PUBRECs before it reads on."""
    writer = RawMqttClient(gateway.port, Version.V5)
    maximum = writer.connect("eager").properties.receive_maximum
    assert maximum is not None
    writer.send(*(Publish(b"eager", b"x", 2, packet_id=each) for each in range(1, maximum + 2)))
    for packet_id in range(1, 4):
        time.sleep(0.05)
        writer.send(Pubrel(packet_id))
    last = writer.until_closed()[-1]
    assert isinstance(last, Disconnect)
    assert last.reason_code is ReasonCode.RECEIVE_MAXIMUM_EXCEEDED


def acknowledge(receiver: RawMqttClient, messages: list[Publish]) -> None:
    """To the end; with QoS 2 nothing else may come before PUBCOMP when the window is full."""
    ids = [message.packet_id for message in messages]
    if messages[0].qos == 1:
        receiver.send(*(Puback(each) for each in ids))
        return
    receiver.send(*(Pubrec(each) for each in ids))
    assert [receiver.expect(Pubrel).packet_id for _ in ids] == ids
    receiver.send(*(Pubcomp(each) for each in ids))


@pytest.mark.normative(v5="3.1.2-23", v311="3.1.2-4 3.1.2-5 4.1.0-1")
@pytest.mark.slow
@pytest.mark.capability("MQ06")
@pytest.mark.parametrize("version", [Version.V3_1_1, Version.V5])
def test_session_queue_and_retained_survive_sigkill(tmp_path: Path, version: Version) -> None:
    """MQ06: what was acknowledged is there, in its order, and once at QoS 2."""
    with MqttBroker(BrokerKind.LEAFBOX, tmp_path) as broker:
        away = client(broker, "away", version=version, clean=False)
        away.subscribe("q/#", 2)
        away.disconnect()
        sender = client(broker, "sender", version=version)
        for number in range(40):
            sender.publish("q/a", b"%d" % number, 1 + number % 2)
        sender.publish("r/a", b"kept", 1, retain=True)
        broker.restart(crash=True)
        back = RawMqttClient(broker.port, version)
        kept = Properties(session_expiry_interval_s=3600) if version is Version.V5 else Properties()
        assert back.connect("away", clean=False, properties=kept).is_session_present
        got = [back.receive_message().payload for _ in range(40)]
        assert sorted(map(int, got)) == list(range(40))
        for remainder in (0, 1):
            of_one_qos = [int(payload) for payload in got if int(payload) % 2 == remainder]
            assert of_one_qos == sorted(of_one_qos)
        back.subscribe("r/+", 1)
        assert back.receive_message().payload == b"kept"


@pytest.mark.capability("MQ03")
def test_thousands_of_filters(gateway: MqttBroker) -> None:
    """nats-server refuses the 64th of QoS 1."""
    many = client(gateway, "many", clean=False)
    for start in range(0, 3000, 500):
        filters = (Subscription(b"many/%d/+" % number, 1) for number in range(start, start + 500))
        assert set(many.subscribe_many(*filters)) == {ReasonCode.GRANTED_QOS_1}
    sender = client(gateway, "many-sender")
    sender.publish("many/2999/x", b"x", 1)
    assert many.receive_message().topic == b"many/2999/x"


@pytest.mark.capability("MQ03")
def test_shared_subscriptions_in_3_1_1(gateway: MqttBroker) -> None:
    members = [client(gateway, f"member{number}") for number in range(2)]
    for member in members:
        member.subscribe("$share/group/shared/#", 1)
    sender = client(gateway, "share-sender")
    for number in range(30):
        sender.publish("shared/a", b"%d" % number, 1)
    got = [len([p for p in member.until_ping() if hasattr(p, "payload")]) for member in members]
    assert sum(got) == 30
    assert min(got) > 0


@pytest.mark.capability("MQ15")
def test_streams_are_shown_and_closed(gateway: MqttBroker) -> None:
    watcher = client(gateway, "mq15")
    assert watcher.subscribe("$MQTT/#").is_failure
    assert gateway.server is not None
    asyncio.run(tamper(gateway.server.url))


async def tamper(url: str) -> None:
    """What a NATS client with all rights tries."""
    connection = await nats.connect(url)
    try:
        stream = connection.jetstream()
        names = {info.config.name for info in await stream.streams_info()}
        assert {"$MQTT_msgs", "$MQTT_rmsgs", "$MQTT_sess", "$MQTT_out", "$MQTT_qos2in"} <= names
        before = (await stream.stream_info("$MQTT_rmsgs")).state.last_seq
        await connection.publish("$MQTT.rmsgs.forged", b"x")
        await connection.flush()
        assert (await stream.stream_info("$MQTT_rmsgs")).state.last_seq == before
        for attempt in (stream.delete_stream, stream.purge_stream):
            with pytest.raises(nats.js.errors.APIError):
                await attempt("$MQTT_msgs")
    finally:
        await connection.close()


@pytest.mark.capability("MQ14")
def test_a_request_of_mqtt_5_reaches_a_nats_service_and_back(gateway: MqttBroker) -> None:
    assert gateway.server is not None
    asyncio.run(ask(gateway, gateway.server.url))


async def ask(gateway: MqttBroker, url: str) -> None:
    """Response topic and correlation data are the reply subject, user properties the headers."""
    connection = await nats.connect(url)
    try:
        service = await connection.subscribe("svc.sum")
        await connection.flush()

        def request() -> RawMqttClient:
            asker = client(gateway, "asker", version=Version.V5)
            asker.subscribe("answers/1", 0)
            wanted = Properties(
                response_topic=b"answers/1", correlation_data=b"\x00id", user_properties=(("unit", "K"),)
            )
            asker.publish("svc/sum", b"1+1", properties=wanted)
            return asker

        asker = await asyncio.to_thread(request)
        asked = await service.next_msg(10)
        assert asked.headers is not None
        assert asked.headers["unit"] == "K"
        await asked.respond(b"2")
        await connection.flush()
        answer = await asyncio.to_thread(asker.receive_message, 10)
        assert (answer.payload, answer.properties.correlation_data) == (b"2", b"\x00id")
    finally:
        await connection.close()
