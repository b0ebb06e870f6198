"""A blocking MQTT client that shows every packet: for tests that read like transcripts.

It uses our codec, which the tables of packets hold to the standard; whatever a broker sends is decoded strictly. Raw
bytes can be sent at any time. Nothing is acknowledged by itself.
"""

from __future__ import annotations

import itertools
import socket
import ssl
import time
from collections import deque
from typing import Self, TypeVar

from leafbox.protocol.mqtt.encoder import encode_packet
from leafbox.protocol.mqtt.framing import PacketReader
from leafbox.protocol.mqtt.packets import (
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    RetainHandling,
    Role,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Version,
    Will,
)
from leafbox.protocol.mqtt.properties import NO_PROPERTIES, Properties
from leafbox.protocol.mqtt.reason_codes import ReasonCode

TIMEOUT_S = 10.0
PACKET_BYTES_MAX = 1 << 28

Wanted = TypeVar("Wanted", bound=Packet)

_open: set[RawMqttClient] = set()


def close_clients() -> None:
    """Close what is still open, for the end of a test."""
    while _open:
        _open.pop().close()


class Closed(Exception):
    """The broker closed the connection."""


class RawMqttClient:
    """One connection. `version` decides how packets are written and read."""

    def __init__(
        self,
        port: int,
        version: Version = Version.V3_1_1,
        *,
        timeout_s: float = TIMEOUT_S,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.version = version
        self.timeout_s = timeout_s
        self._socket = self._dial(port)
        if tls is not None:
            self._socket = tls.wrap_socket(self._socket, server_hostname="localhost")
        self._reader = PacketReader(Role.CLIENT, PACKET_BYTES_MAX, version)
        self._received: deque[Packet] = deque()
        self._packet_ids = itertools.cycle(range(1, 0x10000))
        _open.add(self)

    def _dial(self, port: int) -> socket.socket:
        dialled = socket.create_connection(("127.0.0.1", port), self.timeout_s)
        dialled.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return dialled

    def connect(
        self,
        client_id: str = "",
        *,
        clean: bool = True,
        keep_alive_s: int = 60,
        will: Will | None = None,
        user_name: str | None = None,
        password: bytes | None = None,
        properties: Properties = NO_PROPERTIES,
    ) -> Connack:
        """Send CONNECT, return the CONNACK."""
        self.send(
            Connect(client_id, self.version, clean, keep_alive_s, will, user_name, password, properties),
        )
        return self.expect(Connack)

    def send(self, *packets: Packet) -> None:
        """Write packets."""
        self.send_bytes(b"".join(encode_packet(packet, self.version) for packet in packets))

    def send_bytes(self, data: bytes) -> None:
        """Write anything; raises `Closed`."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise Closed from error

    def receive(self, timeout_s: float | None = None) -> Packet:
        """The next packet. Raises TimeoutError, or `Closed` when the broker has closed."""
        deadline = time.monotonic() + (self.timeout_s if timeout_s is None else timeout_s)
        while not self._received:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("no packet")
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(1 << 16)
            except TimeoutError:
                raise TimeoutError("no packet") from None
            except OSError as error:
                raise Closed from error
            if not data:
                raise Closed
            self._received.extend(self._reader.receive_data(data))
        return self._received.popleft()

    def receive_bytes(self, count: int) -> bytes:
        """So many bytes as they come, past the decoder: before any packet of them was asked for."""
        self._socket.settimeout(self.timeout_s)
        data = b""
        while len(data) < count:
            part = self._socket.recv(count - len(data))
            if not part:
                raise Closed
            data += part
        return data

    def all_bytes(self) -> bytes:
        """Everything that comes until the broker closes, past the decoder."""
        data = b""
        try:
            while True:
                data += self.receive_bytes(1)
        except (Closed, OSError):
            return data

    def expect(self, kind: type[Wanted], timeout_s: float | None = None) -> Wanted:
        """The next packet, which must be of this kind."""
        packet = self.receive(timeout_s)
        assert isinstance(packet, kind), f"expected {kind.__name__}, got {packet!r}"
        return packet

    def until_ping(self) -> list[Packet]:
        """Everything that comes before the answer to a PINGREQ."""
        self.send(Pingreq())
        packets: list[Packet] = []
        while not isinstance(packet := self.receive(), Pingresp):
            packets.append(packet)
        return packets

    def until_closed(self, timeout_s: float | None = None) -> list[Packet]:
        """Everything that comes until the broker closes. Raises TimeoutError if it does not."""
        packets: list[Packet] = []
        try:
            while True:
                packets.append(self.receive(timeout_s))
        except Closed:
            return packets

    def subscribe(
        self,
        topic_filter: str | bytes,
        qos: int = 0,
        *,
        is_no_local: bool = False,
        is_retain_as_published: bool = False,
        retain_handling: RetainHandling = RetainHandling.SEND,
        properties: Properties = NO_PROPERTIES,
    ) -> ReasonCode:
        """Subscribe to one filter, return its code; retained messages stay to be received."""
        encoded = topic_filter.encode() if isinstance(topic_filter, str) else topic_filter
        subscription = Subscription(encoded, qos, is_no_local, is_retain_as_published, retain_handling)
        [code] = self.subscribe_many(subscription, properties=properties)
        return code

    def subscribe_many(
        self, *subscriptions: Subscription, properties: Properties = NO_PROPERTIES
    ) -> tuple[ReasonCode, ...]:
        """Subscribe to several."""
        packet_id = self.next_packet_id()
        self.send(Subscribe(packet_id, subscriptions, properties))
        before: list[Packet] = []
        while not isinstance(packet := self.receive(), Suback):
            # The server may send matching messages before its SUBACK (section 3.8.4).
            assert isinstance(packet, Publish), packet
            before.append(packet)
        self._received.extendleft(reversed(before))
        assert packet.packet_id == packet_id
        return packet.reason_codes

    def unsubscribe(self, *filters: str) -> Unsuback:
        """Unsubscribe, return the answer."""
        packet_id = self.next_packet_id()
        self.send(Unsubscribe(packet_id, tuple(each.encode() for each in filters)))
        answer = self.expect(Unsuback)
        assert answer.packet_id == packet_id
        return answer

    def publish(
        self,
        topic: str | bytes,
        payload: bytes = b"",
        qos: int = 0,
        *,
        retain: bool = False,
        properties: Properties = NO_PROPERTIES,
    ) -> ReasonCode:
        """Publish and see it through; the code of the first answer. QoS 0 is not waited for."""
        encoded = topic.encode() if isinstance(topic, str) else topic
        packet_id = self.next_packet_id() if qos else 0
        self.send(Publish(encoded, payload, qos, retain, False, packet_id, properties))
        if qos == 0:
            return ReasonCode.SUCCESS
        if qos == 1:
            puback = self._answer(Puback)
            assert puback.packet_id == packet_id
            return puback.reason_code
        pubrec = self._answer(Pubrec)
        assert pubrec.packet_id == packet_id
        if not pubrec.reason_code.is_failure:
            self.send(Pubrel(packet_id))
            assert self._answer(Pubcomp).packet_id == packet_id
        return pubrec.reason_code

    def receive_message(self, timeout_s: float | None = None) -> Publish:
        """The next message, acknowledged to the end."""
        message = self.expect(Publish, timeout_s)
        if message.qos == 1:
            self.send(Puback(message.packet_id))
        elif message.qos == 2:
            self.send(Pubrec(message.packet_id))
            assert self._answer(Pubrel).packet_id == message.packet_id
            self.send(Pubcomp(message.packet_id))
        return message

    def disconnect(self, reason_code: ReasonCode = ReasonCode.SUCCESS, properties: Properties = NO_PROPERTIES) -> None:
        """Say goodbye and wait for the broker to close."""
        self.send(Disconnect(reason_code, properties))
        self.until_closed()
        self.close()

    def close(self) -> None:
        """Close without a word."""
        _open.discard(self)
        self._socket.close()

    def next_packet_id(self) -> int:
        """Ids in turn."""
        return next(self._packet_ids)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _answer(self, kind: type[Wanted]) -> Wanted:
        """The next packet of this kind; messages that come meanwhile stay to be received."""
        others: list[Packet] = []
        while not isinstance(packet := self.receive(), kind):
            assert isinstance(packet, Publish), f"expected {kind.__name__}, got {packet!r}"
            others.append(packet)
        self._received.extendleft(reversed(others))
        return packet
