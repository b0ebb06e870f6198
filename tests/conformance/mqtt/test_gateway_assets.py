"""The `$MQTT_*` streams, and sessions as consumers: what tools see and what nobody may do, beside nats-server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from leafbox.protocol.mqtt.packets import Puback, Publish, Version
from leafbox.protocol.mqtt.properties import Properties
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from tests.support.mqtt_brokers import BrokerKind, MqttBroker
from tests.support.mqtt_client import RawMqttClient

KEPT = Properties(session_expiry_interval_s=3600)
SERVERS = [BrokerKind.NATS_SERVER, BrokerKind.LEAFBOX]
STREAMS = ["$MQTT_msgs", "$MQTT_out", "$MQTT_qos2in", "$MQTT_rmsgs", "$MQTT_sess"]


def client(broker: MqttBroker, name: str, version: Version = Version.V3_1_1, *, clean: bool = False) -> RawMqttClient:
    made = RawMqttClient(broker.port, version)
    kept = KEPT if version is Version.V5 and not clean else Properties()
    assert made.connect(name, clean=clean, properties=kept).reason_code is ReasonCode.SUCCESS
    return made


async def ask(connection: Client, subject: str, body: object = None) -> dict[str, Any]:
    """One API request, as any tool sends it."""
    text = json.dumps(body).encode() if body is not None else b""
    answer = await connection.request(f"$JS.API.{subject}", text, timeout=10)
    found: dict[str, Any] = json.loads(answer.data)
    return found


async def with_nats(broker: MqttBroker, work: Any) -> None:
    assert broker.server is not None
    connection = await nats.connect(broker.server.url)
    try:
        await work(connection)
    finally:
        await connection.close()


@pytest.mark.capability("MQ15")
@pytest.mark.parametrize("kind", SERVERS, ids=lambda kind: kind.value)
def test_tools_see_streams_and_sessions(tmp_path: Path, kind: BrokerKind) -> None:
    """Both servers list the same streams, and a consumer with true numbers for who waits for QoS 1 and 2 messages.

    nats-server has one for each filter, ours one for each session.
    """
    with MqttBroker(kind, tmp_path) as broker:
        sensor = client(broker, "sensor")
        for topic_filter, qos in (("a/+", 1), ("b", 1 if kind is BrokerKind.NATS_SERVER else 2), ("zero", 0)):
            sensor.subscribe(topic_filter, qos)
        publisher = client(broker, "publisher", clean=True)
        for number in range(3):
            publisher.publish(f"a/{number}", b"x", 1)
        got = [sensor.expect(Publish) for _ in range(3)]
        sensor.send(Puback(got[0].packet_id))
        sensor.disconnect()
        publisher.publish("a/4", b"x", 1)

        async def look(connection: Client) -> None:
            names = await ask(connection, "STREAM.NAMES")
            assert sorted(names["streams"]) == STREAMS
            state = (await ask(connection, "STREAM.INFO.$MQTT_msgs"))["state"]
            consumers = await ask(connection, "CONSUMER.NAMES.$MQTT_msgs")
            assert state["consumer_count"] == consumers["total"] == len(consumers["consumers"])
            listed = await ask(connection, "CONSUMER.LIST.$MQTT_msgs")
            assert [each["name"] for each in listed["consumers"]] == sorted(consumers["consumers"])
            filters: set[str] = set()
            waiting = under_way = 0
            for each in listed["consumers"]:
                info = await ask(connection, f"CONSUMER.INFO.$MQTT_msgs.{each['name']}")
                config = info["config"]
                assert info["stream_name"] == "$MQTT_msgs"
                assert config["durable_name"] == each["name"]
                assert (config["ack_policy"], config["ack_wait"]) == ("explicit", 30_000_000_000)
                assert config["deliver_subject"].startswith("$MQTT.sub.")
                filters |= {config["filter_subject"]} if "filter_subject" in config else set(config["filter_subjects"])
                waiting += info["num_pending"]
                under_way += info["num_ack_pending"]
            assert filters == {"$MQTT.msgs.a.*", "$MQTT.msgs.b"}
            assert waiting + under_way == 3
            # nats-server may have sent the last one to a subscription that was just ending.
            assert (waiting, under_way) == (1, 2) or kind is BrokerKind.NATS_SERVER

        asyncio.run(with_nats(broker, look))


@pytest.mark.capability("MQ15")
def test_the_numbers_of_a_session_are_true(tmp_path: Path) -> None:
    """Over QoS 1 and 2, a reconnect, a restart after SIGKILL and the session's end."""
    with MqttBroker(BrokerKind.LEAFBOX, tmp_path) as broker:
        sensor = client(broker, "a sensor/1", Version.V5)
        sensor.subscribe("n/#", 1)
        publisher = client(broker, "publisher", clean=True)
        for number in range(4):
            publisher.publish(f"n/{number}", b"x", 1)
        got = [sensor.expect(Publish) for _ in range(4)]
        sensor.send(Puback(got[1].packet_id))
        sensor.until_ping()

        async def numbers(connection: Client) -> dict[str, Any]:
            [name] = (await ask(connection, "CONSUMER.NAMES.$MQTT_msgs"))["consumers"]
            return await ask(connection, f"CONSUMER.INFO.$MQTT_msgs.{name}")

        async def connected(connection: Client) -> None:
            info = await numbers(connection)
            assert (info["num_pending"], info["num_ack_pending"], info["num_redelivered"]) == (0, 3, 0)
            assert info["delivered"] == {"consumer_seq": 4, "stream_seq": 4}
            assert info["ack_floor"] == {"consumer_seq": 1, "stream_seq": 0}
            assert info["push_bound"] is True
            config = info["config"]
            assert config["filter_subjects"] == ["$MQTT.msgs.n.>", "$MQTT.msgs.n"]
            assert config["metadata"]["mqtt.client_id"] == "a sensor/1"
            assert config["metadata"]["mqtt.version"] == "5.0"

        async def away(connection: Client) -> None:
            info = await numbers(connection)
            assert (info["num_pending"], info["num_ack_pending"]) == (1, 3)
            assert info["delivered"]["stream_seq"] == 4
            assert "push_bound" not in info

        async def back(connection: Client) -> None:
            info = await numbers(connection)
            assert (info["num_pending"], info["num_ack_pending"], info["num_redelivered"]) == (0, 4, 3)

        async def over(connection: Client) -> None:
            assert (await ask(connection, "CONSUMER.NAMES.$MQTT_msgs"))["total"] == 0
            assert (await ask(connection, "STREAM.INFO.$MQTT_msgs"))["state"]["messages"] == 0

        asyncio.run(with_nats(broker, connected))
        sensor.disconnect()
        publisher.publish("n/5", b"x", 1)
        broker.restart(crash=True)
        asyncio.run(with_nats(broker, away))
        again = client(broker, "a sensor/1", Version.V5)
        assert [again.expect(Publish).is_duplicate for _ in range(4)] == [True, True, True, False]
        asyncio.run(with_nats(broker, back))
        again.disconnect()
        client(broker, "a sensor/1", Version.V5, clean=True)
        asyncio.run(with_nats(broker, over))


# What a NATS client with all rights tries on the gateway's streams and on the sessions' consumers.
ATTEMPTS: dict[str, tuple[str, object]] = {
    "delete a stream": ("STREAM.DELETE.$MQTT_out", None),
    "purge a stream": ("STREAM.PURGE.$MQTT_msgs", None),
    "change a stream": ("STREAM.UPDATE.$MQTT_msgs", {"name": "$MQTT_msgs", "subjects": ["x"]}),
    "make a stream": ("STREAM.CREATE.$MQTT_more", {"name": "$MQTT_more", "subjects": ["more"]}),
    "delete a message": ("STREAM.MSG.DELETE.$MQTT_msgs", {"seq": 1}),
    "delete a consumer": ("CONSUMER.DELETE.$MQTT_msgs.NAME", None),
    "pause a consumer": ("CONSUMER.PAUSE.$MQTT_msgs.NAME", {"pause_until": "2100-01-01T00:00:00Z"}),
    "reset a consumer": ("CONSUMER.RESET.$MQTT_msgs.NAME", {"seq": 1}),
    "change a consumer": (
        "CONSUMER.DURABLE.CREATE.$MQTT_msgs.NAME",
        {"stream_name": "$MQTT_msgs", "config": {"durable_name": "NAME", "ack_policy": "none"}},
    ),
    "take a consumer's name": (
        "CONSUMER.CREATE.$MQTT_msgs",
        {"stream_name": "$MQTT_msgs", "config": {"name": "NAME", "ack_policy": "none"}},
    ),
}


async def name_of_session(connection: Client) -> str:
    [name] = (await ask(connection, "CONSUMER.NAMES.$MQTT_msgs"))["consumers"]
    return str(name)


async def forge(connection: Client) -> None:
    """A message in the gateway's place, an acknowledgement in a session's place."""
    name = await name_of_session(connection)
    await connection.publish("$MQTT.msgs.q.x", b"forged", headers={"Nmqtt-Pub": "1"})
    await connection.publish(f"$JS.ACK.$MQTT_msgs.{name}.1.1.1.1.1", b"+ACK")
    await connection.publish("$MQTT.sess.forged", b"{}")
    await connection.flush()


def with_one_waiting(broker: MqttBroker) -> None:
    """A session that is away, and a message for it."""
    away = client(broker, "away")
    away.subscribe("q/x", 1)
    away.disconnect()
    client(broker, "publisher", clean=True).publish("q/x", b"true", 1)


def waiting(broker: MqttBroker) -> list[bytes]:
    """What the session gets when its client is back."""
    return [each.payload for each in client(broker, "away").until_ping() if isinstance(each, Publish)]


@pytest.mark.capability("MQ15")
def test_nobody_tampers_with_what_devices_rely_on(tmp_path: Path) -> None:
    """Every attempt is refused with words that say whose it is; what was acknowledged comes, and nothing else."""

    async def tamper(connection: Client) -> None:
        name = await name_of_session(connection)
        for text, (subject, body) in ATTEMPTS.items():
            filled = json.loads(json.dumps(body).replace("NAME", name))
            answer = await ask(connection, subject.replace("NAME", name), filled)
            assert "MQTT" in answer["error"]["description"], (text, answer)
        pulled = await connection.request(f"$JS.API.CONSUMER.MSG.NEXT.$MQTT_msgs.{name}", b"", timeout=10)
        assert (pulled.headers or {}).get("Status") == "409"

    with MqttBroker(BrokerKind.LEAFBOX, tmp_path) as broker:
        with_one_waiting(broker)
        asyncio.run(with_nats(broker, forge))
        asyncio.run(with_nats(broker, tamper))
        assert waiting(broker) == [b"true"]


@pytest.mark.capability("MQ15")
def test_what_nats_server_lets_through(tmp_path: Path) -> None:
    """Why ours is closed: there, who may use the API or publish below `$MQTT.` adds messages and takes them away."""

    async def purge(connection: Client) -> None:
        assert "error" not in await ask(connection, "STREAM.PURGE.$MQTT_msgs")

    with MqttBroker(BrokerKind.NATS_SERVER, tmp_path) as broker:
        with_one_waiting(broker)
        asyncio.run(with_nats(broker, purge))
        asyncio.run(with_nats(broker, forge))
        # Not `waiting`: it answers a ping before it delivers what waits.
        assert client(broker, "away").expect(Publish).payload == b"forged"


@pytest.mark.capability("MQ15")
def test_people_may_read_along(tmp_path: Path) -> None:
    """A consumer of one's own on the gateway's streams takes nothing from anybody."""
    with MqttBroker(BrokerKind.LEAFBOX, tmp_path) as broker:
        away = client(broker, "away")
        away.subscribe("q/x", 1)
        away.disconnect()
        publisher = client(broker, "publisher", clean=True)
        publisher.send(Publish(b"q/x", b"one", 1, is_retained=True, packet_id=7))
        publisher.expect(Puback)

        async def read(connection: Client) -> None:
            for stream, expected in (("$MQTT_msgs", "$MQTT.msgs.q.x"), ("$MQTT_rmsgs", "$MQTT.rmsgs.q.x")):
                own = {"durable_name": "mine", "ack_policy": "explicit"}
                made = await ask(
                    connection, f"CONSUMER.DURABLE.CREATE.{stream}.mine", {"stream_name": stream, "config": own}
                )
                assert made["name"] == "mine", made
                inbox = await connection.subscribe(subject := connection.new_inbox())
                await connection.publish(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.mine", b"", reply=subject)
                message = await inbox.next_msg(10)
                assert (message.subject, message.data) == (expected, b"one")
                await connection.publish(message.reply, b"+ACK")
            await connection.flush()
            assert len((await ask(connection, "CONSUMER.NAMES.$MQTT_msgs"))["consumers"]) == 2
            assert (await ask(connection, "CONSUMER.DELETE.$MQTT_msgs.mine"))["success"] is True

        asyncio.run(with_nats(broker, read))
        assert client(broker, "away").expect(Publish).payload == b"one"
