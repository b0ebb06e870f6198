"""A publisher and a subscriber that keep their MQTT sessions whatever happens, and remember what they were promised.

Their state outlives connections as if it were on flash: packet ids in flight, packet ids received, messages counted. So
whatever is lost or doubled is the server's doing.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass, field

from leafbox.protocol.mqtt.encoder import encode_packet
from leafbox.protocol.mqtt.framing import PacketReader
from leafbox.protocol.mqtt.packets import (
    Connack,
    Connect,
    Packet,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Role,
    Suback,
    Subscribe,
    Subscription,
    Version,
)
from leafbox.protocol.mqtt.properties import NO_PROPERTIES, Properties

WINDOW = 20
DRAIN_TIMEOUT_S = 40.0


class Link:
    """One connection: packets in, packets out."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, version: Version) -> None:
        self._reader = reader
        self._writer = writer
        self._version = version
        self._packets = PacketReader(Role.CLIENT, 1 << 20, version)

    @classmethod
    async def open(cls, port: int, connect: Connect) -> tuple[Link, Connack, list[Packet]]:
        """Connect; the answer, and what came behind it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        link = cls(reader, writer, connect.version)
        try:
            link.send(connect)
            packets = await link.receive()
        except BaseException:
            link.close()
            raise
        assert isinstance(packets[0], Connack), packets
        return link, packets[0], packets[1:]

    def send(self, packet: Packet) -> None:
        if self._writer.transport.is_closing():
            raise ConnectionError("closed")
        self._writer.write(encode_packet(packet, self._version))

    async def receive(self) -> list[Packet]:
        """The packets of one read; ConnectionError at the end."""
        while True:
            data = await self._reader.read(65536)
            if not data:
                raise ConnectionError("closed")
            packets = list(self._packets.receive_data(data))
            if packets:
                return packets

    def close(self) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            self._writer.transport.abort()
            self._writer.close()


def connect_packet(name: str, version: Version) -> Connect:
    """A client that keeps its session."""
    kept = Properties(session_expiry_interval_s=3600) if version is Version.V5 else NO_PROPERTIES
    return Connect(name, version, is_clean=False, properties=kept)


@dataclass
class Publisher:
    """Sends numbered messages at QoS 1 and 2. `stop` lets it finish what is under way."""

    version: Version
    name: str = "publisher"
    next_number: int = 0
    under_way: dict[int, tuple[int, int, bool]] = field(default_factory=dict)
    """Packet id -> number, QoS, whether PUBREC came; in order of sending."""
    acknowledged: set[int] = field(default_factory=set)
    was_acknowledged: bool = False
    first_acknowledged: asyncio.Event | None = None
    stop: bool = False

    async def wait_acknowledged(self) -> None:
        """Until the server has acknowledged something, in this life or one before."""
        if not self.acknowledged:
            self.first_acknowledged = asyncio.Event()
            await self.first_acknowledged.wait()

    async def run(self, port: int) -> None:
        """Until the connection ends, or everything is done."""
        link, connack, more = await Link.open(port, connect_packet(self.name, self.version))
        try:
            assert connack.is_session_present or not self.was_acknowledged, "the session is gone"
            for packet_id, (number, qos, is_released) in self.under_way.items():
                link.send(Pubrel(packet_id) if is_released else self.publish(packet_id, number, qos, True))
            while True:
                for packet in more:
                    self.take(link, packet)
                while not self.stop and len(self.under_way) < WINDOW:
                    self.send_next(link)
                if self.stop and not self.under_way:
                    return
                more = await link.receive()
        finally:
            link.close()

    def publish(self, packet_id: int, number: int, qos: int, again: bool) -> Publish:
        return Publish(b"load/%d" % qos, b"%d" % number, qos, is_duplicate=again, packet_id=packet_id)

    def send_next(self, link: Link) -> None:
        # The lowest that is free: an id is used again as soon as the server has let go of it, or it seems so.
        packet_id = next(each for each in range(1, WINDOW + 1) if each not in self.under_way)
        number, qos = self.next_number, 1 + self.next_number % 2
        self.next_number += 1
        self.under_way[packet_id] = (number, qos, False)
        link.send(self.publish(packet_id, number, qos, False))

    def take(self, link: Link, packet: Packet) -> None:
        if isinstance(packet, Puback):
            self.acknowledged.add(self.under_way.pop(packet.packet_id)[0])
        elif isinstance(packet, Pubrec):
            number, qos, _ = self.under_way[packet.packet_id]
            self.under_way[packet.packet_id] = (number, qos, True)
            self.acknowledged.add(number)
            link.send(Pubrel(packet.packet_id))
        elif isinstance(packet, Pubcomp):
            self.under_way.pop(packet.packet_id, None)
        self.was_acknowledged = True
        if self.acknowledged and self.first_acknowledged is not None:
            self.first_acknowledged.set()


@dataclass
class Subscriber:
    """Counts messages; those of QoS 2 as its packet ids say that they are new."""

    version: Version
    choices: random.Random
    name: str = "subscriber"
    has_subscribed: bool = False
    subscribed: asyncio.Event | None = None
    received_ids: set[int] = field(default_factory=set)
    counts: dict[int, int] = field(default_factory=dict)
    drops_link: float = 0.002
    """How probable it is at each packet that the subscriber's own line breaks."""

    async def wait_subscribed(self) -> None:
        """Until the server has said that it has the subscription, in this life or one before."""
        if not self.has_subscribed:
            self.subscribed = asyncio.Event()
            await self.subscribed.wait()

    async def run(self, port: int, enough: int | None = None) -> None:
        """Until the connection ends, or `enough` different messages were counted."""
        while True:
            link, connack, more = await Link.open(port, connect_packet(self.name, self.version))
            try:
                assert connack.is_session_present or not self.has_subscribed, "the session is gone"
                if not self.has_subscribed:
                    link.send(Subscribe(1, (Subscription(b"load/#", 2),)))
                while True:
                    for packet in more:
                        self.take(link, packet)
                    if enough is not None and len(self.counts) >= enough:
                        return
                    if self.choices.random() < self.drops_link:
                        break
                    more = await link.receive()
            finally:
                link.close()

    def take(self, link: Link, packet: Packet) -> None:
        if isinstance(packet, Suback):
            self.has_subscribed = True
            if self.subscribed is not None:
                self.subscribed.set()
        elif isinstance(packet, Publish):
            if packet.qos == 1:
                self.count(packet)
                link.send(Puback(packet.packet_id))
            else:
                if packet.packet_id not in self.received_ids:
                    self.received_ids.add(packet.packet_id)
                    self.count(packet)
                link.send(Pubrec(packet.packet_id))
        elif isinstance(packet, Pubrel):
            self.received_ids.discard(packet.packet_id)
            link.send(Pubcomp(packet.packet_id))

    def count(self, packet: Publish) -> None:
        number = int(packet.payload)
        self.counts[number] = self.counts.get(number, 0) + 1


async def until_cut(work: object) -> None:
    """Run a client; its connection's end is what these tests are about."""
    with contextlib.suppress(OSError, EOFError):
        await work  # type: ignore[misc]


def check(publisher: Publisher, subscriber: Subscriber) -> None:
    """After everything was drained: nothing acknowledged is lost, nothing of QoS 2 is doubled."""
    lost = publisher.acknowledged - subscriber.counts.keys()
    assert not lost, f"{len(lost)} acknowledged messages are lost: {sorted(lost)[:10]}"
    doubled = [number for number, count in subscriber.counts.items() if count > 1 and number % 2 == 1]
    assert not doubled, f"{len(doubled)} QoS 2 messages came twice: {sorted(doubled)[:10]}"
