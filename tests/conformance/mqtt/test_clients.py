"""Clients that others wrote, on our gateway: paho, aiomqtt, gmqtt and amqtt, each as its users use it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import aiomqtt
import gmqtt
import paho.mqtt.client as paho
import pytest
from amqtt.client import MQTTClient
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.support.mqtt_brokers import BrokerKind, MqttBroker

pytestmark = [pytest.mark.capability("MQ03", "MQ04", "MQ16"), pytest.mark.filterwarnings("ignore")]

WAIT_S = 30
COUNT = 50
EXPECTED = [b"%d" % number for number in range(COUNT)]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MqttBroker]:
    with MqttBroker(BrokerKind.LEAFBOX, tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.mark.normative(v5="4.2-1", v311="7.0.0-2 7.1.1-1")
@pytest.mark.parametrize(
    "protocol", [MQTTProtocolVersion.MQTTv31, MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5]
)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_paho(gateway: MqttBroker, protocol: MQTTProtocolVersion, qos: int) -> None:
    topic, came, is_done, is_subscribed = f"paho/{protocol}/{qos}", [], threading.Event(), threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"paho-{protocol}-{qos}", protocol=protocol)

    def on_message(_client: object, _data: object, message: paho.MQTTMessage) -> None:
        came.append(message.payload)
        if len(came) == COUNT:
            is_done.set()

    client.on_message = on_message
    client.on_subscribe = lambda *_: is_subscribed.set()
    client.connect("127.0.0.1", gateway.port)
    client.loop_start()
    client.subscribe(topic, qos)
    assert is_subscribed.wait(WAIT_S)
    for payload in EXPECTED:
        client.publish(topic, payload, qos).wait_for_publish(WAIT_S)
    assert is_done.wait(WAIT_S)
    client.disconnect()
    client.loop_stop()
    assert came == EXPECTED


@pytest.mark.parametrize("protocol", [aiomqtt.ProtocolVersion.V311, aiomqtt.ProtocolVersion.V5])
def test_aiomqtt(gateway: MqttBroker, protocol: aiomqtt.ProtocolVersion) -> None:
    async def run() -> list[object]:
        async with aiomqtt.Client("127.0.0.1", gateway.port, protocol=protocol) as client:
            await client.subscribe(f"aio/{protocol.name}", 1)
            for payload in EXPECTED:
                await client.publish(f"aio/{protocol.name}", payload, 1)
            return [(await anext(client.messages)).payload for _ in EXPECTED]

    assert asyncio.run(asyncio.wait_for(run(), WAIT_S)) == EXPECTED


def test_gmqtt(gateway: MqttBroker) -> None:
    async def run() -> list[bytes]:
        client, came, is_done = gmqtt.Client("gmqtt"), [], asyncio.Event()

        async def on_message(
            _client: object, _topic: str, payload: bytes, _qos: int, properties: dict[str, Any]
        ) -> int:
            assert properties["user_property"] == [("unit", "C")]
            came.append(payload)
            if len(came) == COUNT:
                is_done.set()
            return 0

        client.on_message = on_message
        is_subscribed = asyncio.Event()
        client.on_subscribe = lambda *_: is_subscribed.set()
        await client.connect("127.0.0.1", gateway.port)
        client.subscribe("gmqtt/#", qos=1)
        await is_subscribed.wait()
        for payload in EXPECTED:
            client.publish("gmqtt/x", payload, qos=1, user_property=("unit", "C"))
        await is_done.wait()
        await client.disconnect()
        return came

    assert asyncio.run(asyncio.wait_for(run(), WAIT_S)) == EXPECTED


def test_amqtt(gateway: MqttBroker) -> None:
    async def run() -> list[bytes]:
        client = MQTTClient(client_id="amqtt", config={"auto_reconnect": False})
        await client.connect(f"mqtt://127.0.0.1:{gateway.port}/")
        await client.subscribe([("amqtt/#", 2)])
        came = []
        for payload in EXPECTED[:10]:
            await client.publish("amqtt/x", payload, qos=2)
            message = await client.deliver_message(WAIT_S)
            came.append(bytes(message.data))
        await client.disconnect()
        return came

    assert asyncio.run(asyncio.wait_for(run(), WAIT_S)) == EXPECTED[:10]
