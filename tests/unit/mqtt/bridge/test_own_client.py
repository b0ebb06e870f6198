"""Our client against a scripted broker, byte by byte where a real one cannot be made to do it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from leafbox.mqtt.bridge.own_client import OwnClient
from leafbox.mqtt.bridge.ports import BridgeMessage, MessageRefused
from leafbox.mqtt.bridge.rules import BridgeOptions, TopicRule
from leafbox.protocol.mqtt.encoder import encode_packet
from leafbox.protocol.mqtt.framing import PacketReader
from leafbox.protocol.mqtt.packets import Connack, Packet, Puback, Publish, Role, Version
from leafbox.protocol.mqtt.properties import NO_PROPERTIES, Properties
from leafbox.protocol.mqtt.reason_codes import ReasonCode

pytestmark = pytest.mark.capability("AP42")

TIMEOUT_S = 20
Play = Callable[["Broker", OwnClient, list[BridgeMessage]], Coroutine[None, None, None]]


class Broker:
    """Answers a login with the given bytes, and notes what it gets."""

    def __init__(self, hello: bytes, version: Version) -> None:
        self._hello = hello
        self._reader = PacketReader(Role.SERVER, 1 << 20, version)
        self._writer: asyncio.StreamWriter | None = None
        self.got: asyncio.Queue[Packet] = asyncio.Queue()
        self.ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        writer.write(self._hello)
        while data := await reader.read(1 << 16):
            for packet in self._reader.receive_data(data):
                self.got.put_nowait(packet)
        writer.close()
        await writer.wait_closed()
        self.ended.set()

    def send(self, data: bytes) -> None:
        assert self._writer is not None
        self._writer.write(data)

    async def until(self, kind: type[Packet]) -> Packet:
        """The next packet of this kind."""
        while not isinstance(packet := await self.got.get(), kind):
            pass
        return packet


def play(hello: bytes, script: Play, version: Version = Version.V5) -> None:
    """The script with a client that is logged in; what comes in is taken at once."""

    async def run() -> None:
        broker, taken = Broker(hello, version), list[BridgeMessage]()

        def take(message: BridgeMessage) -> asyncio.Future[None]:
            taken.append(message)
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            if message.payload == b"too large":
                future.set_exception(MessageRefused(ReasonCode.QUOTA_EXCEEDED, "too large"))
            else:
                future.set_result(None)
            return future

        async with asyncio.timeout(TIMEOUT_S), await asyncio.start_server(broker.serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            options = BridgeOptions("b", f"mqtt://127.0.0.1:{port}", (TopicRule("#"),), version=version)
            async with asyncio.TaskGroup() as tasks:
                client = OwnClient(options, None, take, tasks)
                await client.connect()
                await script(broker, client, taken)
                await client.close()
                await broker.ended.wait()
                assert client._streams is not None
                await client._streams[1].wait_closed()
                for task in asyncio.all_tasks():
                    if task.get_name().startswith("bridge b"):
                        task.cancel()

    asyncio.run(run())


def connack(version: Version = Version.V5, properties: Properties = NO_PROPERTIES) -> bytes:
    return encode_packet(Connack(ReasonCode.SUCCESS, True, properties), version)


@pytest.mark.parametrize("version", [Version.V3_1_1, Version.V5])
def test_messages_in_one_piece_with_connack_are_taken(version: Version) -> None:
    """A resumed session's messages come so; thrown away, they block the other broker's window for ever."""
    messages = b"".join(encode_packet(Publish(b"t", b"%d" % n, 1, packet_id=n), version) for n in (1, 2, 3))

    async def script(broker: Broker, _client: OwnClient, taken: list[BridgeMessage]) -> None:
        acknowledged = [await broker.until(Puback) for _ in range(3)]
        assert acknowledged == [Puback(1), Puback(2), Puback(3)]
        assert [message.payload for message in taken] == [b"1", b"2", b"3"]

    play(connack(version) + messages, script, version)


def test_what_cannot_be_taken_is_refused_and_the_next_is_taken() -> None:
    async def script(broker: Broker, _client: OwnClient, taken: list[BridgeMessage]) -> None:
        for number, payload in ((1, b"too large"), (2, b"good")):
            broker.send(encode_packet(Publish(b"t", payload, 1, packet_id=number), Version.V5))
        assert [await broker.until(Puback) for _ in range(2)] == [Puback(1, ReasonCode.QUOTA_EXCEEDED), Puback(2)]
        assert len(taken) == 2

    play(connack(), script)


def test_the_other_sides_limits_are_kept() -> None:
    """[MQTT-3.2.2-11] [MQTT-3.2.2-15]: no higher QoS, no larger packet; and what is no text of MQTT is not sent."""

    async def script(broker: Broker, client: OwnClient, _taken: list[BridgeMessage]) -> None:
        for message, code in (
            (BridgeMessage(b"t", b"x" * 100, 1), ReasonCode.PACKET_TOO_LARGE),
            (BridgeMessage(b"t", b"x", 1, user_properties=(("name", "x" * 100),)), ReasonCode.PACKET_TOO_LARGE),
            (BridgeMessage(b"t", b"x", 1, user_properties=(("name", "\0"),)), ReasonCode.MALFORMED_PACKET),
            (BridgeMessage(b"t", b"x", 1, user_properties=(("name", "\ud800"),)), ReasonCode.MALFORMED_PACKET),
            (BridgeMessage(b"t" * 65536, b"x", 1), ReasonCode.MALFORMED_PACKET),
        ):
            with pytest.raises(MessageRefused) as refused:
                await client.publish(message)
            assert refused.value.code is code
        fitting = client.publish(BridgeMessage(b"t", b"x" * 90, 2))
        sent = await broker.until(Publish)
        assert isinstance(sent, Publish)
        assert (sent.qos, len(encode_packet(sent, Version.V5))) == (1, 98)
        broker.send(encode_packet(Puback(sent.packet_id), Version.V5))
        await fitting

    play(connack(properties=Properties(maximum_packet_size=98, maximum_qos=1)), script)


def test_a_refusal_leaves_the_connection_alone() -> None:
    """Also with a code that the standard's table lacks: mosquitto says 0x95."""

    async def script(broker: Broker, client: OwnClient, _taken: list[BridgeMessage]) -> None:
        for code in (ReasonCode.NOT_AUTHORIZED, ReasonCode.PACKET_TOO_LARGE):
            future = client.publish(BridgeMessage(b"t", b"x", 1))
            sent = await broker.until(Publish)
            assert isinstance(sent, Publish)
            broker.send(b"\x40\x03" + sent.packet_id.to_bytes(2, "big") + bytes((code,)))
            with pytest.raises(MessageRefused) as refused:
                await future
            assert refused.value.code is code

    play(connack(), script)
