"""Our client to another broker, in MQTT 3.1.1 or 5: acknowledges a message when the log has it, not before.

Sessions at the other side are kept (no clean start, no expiry), so what comes while we are away waits there. Flow
control both ways: at most RECEIVE_MAXIMUM messages wait for our log, and the other side's receive maximum bounds what
we have under way. Acknowledgements go out in the order of the messages [MQTT-4.6.0-2].

Delivery is at least once over a cut, at QoS 2 too: what was under way is sent again from the stream.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque

from leafbox.mqtt.bridge.ports import BridgeLost, BridgeMessage, MessageRefused, Taker, lost_by
from leafbox.mqtt.bridge.rules import BridgeOptions
from leafbox.protocol.mqtt.encoder import encode_packet
from leafbox.protocol.mqtt.fields import STRING_BYTES_MAX, VARIABLE_INTEGER_MAX
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
    Version,
)
from leafbox.protocol.mqtt.properties import NO_PROPERTIES, SESSION_NEVER_EXPIRES_S, Properties
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from leafbox.protocol.mqtt.violation import MqttViolation

CONNECT_TIMEOUT_S = 10.0
RECEIVE_MAXIMUM = 256
"""Messages of the other side that may wait for our log: several flushes' worth, a few hundred kB."""
PACKET_BYTES_MAX = 8 << 20
READ_BYTES = 1 << 16
PACKET_IDS = 0xFFFF
PUBLISH_OVERHEAD_BYTES = 16
"""More than a PUBLISH has beside topic, payload and user properties: only near the limit is it worth encoding twice."""
PAIR_OVERHEAD_BYTES = 5


class OwnClient:
    """One connection; make a new one for the next attempt. `take` gets what comes in."""

    def __init__(
        self, options: BridgeOptions, tls: ssl.SSLContext | None, take: Taker, tasks: asyncio.TaskGroup
    ) -> None:
        self._options = options
        self._tls = tls
        self._take = take
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._version = options.version
        self._packets = PacketReader(Role.CLIENT, PACKET_BYTES_MAX, options.version)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._under_way: dict[int, asyncio.Future[None]] = {}
        self._waiting_for_room: deque[tuple[BridgeMessage, asyncio.Future[None]]] = deque()
        self._subacks: dict[int, asyncio.Future[Suback]] = {}
        self._taken: asyncio.Queue[tuple[Publish, asyncio.Future[None]]] = asyncio.Queue(RECEIVE_MAXIMUM)
        self._unreleased: set[int] = set()
        """Packet ids of QoS 2 messages that were taken and not yet released."""
        self._early: list[Packet] = []
        """What came in one piece with CONNACK: a resumed session's messages do."""
        self._next_id = 0
        self._send_quota = PACKET_IDS
        self._packet_bytes_max: int | None = None
        self._qos_max = 2
        self._answered = True
        self.is_session_present = False

    async def connect(self) -> None:
        """Log in. Raises `BridgeLost` that says what failed."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                self._streams = await self._open()
                await self._log_in()
        except TimeoutError:
            raise BridgeLost(
                "timeout", f"the broker at {self._where} does not answer", "is it running, and is the port right?"
            ) from None
        self._tasks.create_task(self._read(), name=f"bridge {self._options.name} reader")
        self._tasks.create_task(self._acknowledge(), name=f"bridge {self._options.name} acknowledgements")
        self._tasks.create_task(self._ping(), name=f"bridge {self._options.name} ping")

    async def subscribe(self, filters: list[tuple[bytes, int]]) -> None:
        """Ask for filters; own messages are not sent back in MQTT 5, retained ones come for new subscriptions only."""
        is_v5 = self._version is Version.V5
        subscriptions = tuple(
            Subscription(topic_filter, qos, is_v5, is_v5, RetainHandling.SEND_IF_NEW if is_v5 else RetainHandling.SEND)
            for topic_filter, qos in filters
        )
        packet_id = self._new_id()
        future: asyncio.Future[Suback] = self._loop.create_future()
        self._subacks[packet_id] = future
        self._send(Subscribe(packet_id, subscriptions))
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                suback = await future
        except TimeoutError:
            raise BridgeLost("timeout", f"the broker at {self._where} does not answer a subscription") from None
        for (topic_filter, _), code in zip(filters, suback.reason_codes, strict=False):
            if code.is_failure:
                raise BridgeLost(
                    "auth",
                    f"the broker at {self._where} refuses the subscription {topic_filter.decode()}",
                    "give the bridge's user the right to read it there",
                )

    def publish(self, message: BridgeMessage) -> asyncio.Future[None]:
        """Send now, or when the other side has room."""
        future: asyncio.Future[None] = self._loop.create_future()
        qos = min(message.qos, self._qos_max)  # [MQTT-3.2.2-11]
        if self._lost.done():
            future.set_exception(BridgeLost("closed", "the connection is gone"))
        elif refused := self._cannot_send(message):
            future.set_exception(refused)
            future.exception()
        elif qos == 0:
            self._send(self._packet(message, 0, 0))
            future.set_result(None)
        elif len(self._under_way) < self._send_quota:
            self._send_tracked(message, future)
        else:
            self._waiting_for_room.append((message, future))
        return future

    async def wait_lost(self) -> None:
        """Raise when the connection is gone."""
        await asyncio.shield(self._lost)

    async def close(self) -> None:
        """Say goodbye."""
        if self._streams is None:
            return
        writer = self._streams[1]
        if not self._lost.done():
            self._send(Disconnect())
        self._give_up(BridgeLost("closed", "the bridge was stopped"))
        writer.close()

    # -- connection ---------------------------------------------------------------------------------------------------

    @property
    def _where(self) -> str:
        return f"{self._options.host}:{self._options.port}"

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        options = self._options
        try:
            return await asyncio.open_connection(options.host, options.port, ssl=self._tls)
        except OSError as error:
            raise lost_by(error, self._where) from error

    async def _log_in(self) -> None:
        options = self._options
        is_v5 = self._version is Version.V5
        properties = Properties(
            session_expiry_interval_s=SESSION_NEVER_EXPIRES_S,
            receive_maximum=RECEIVE_MAXIMUM,
            maximum_packet_size=PACKET_BYTES_MAX,
        )
        self._send(
            Connect(
                options.client_id or f"leafbox-{options.name}",
                self._version,
                False,
                options.keep_alive_s,
                None,
                options.user or None,
                options.password.encode() if options.password and (options.user or is_v5) else None,
                properties if is_v5 else NO_PROPERTIES,
            )
        )
        packet, *self._early = await self._next_packets()
        if not isinstance(packet, Connack):
            raise BridgeLost("protocol", f"{self._where} is no MQTT broker, or not of this version")
        if packet.reason_code:
            raise _refused(packet.reason_code, self._where)
        self.is_session_present = packet.is_session_present
        self._send_quota = min(self._send_quota, packet.properties.receive_maximum or PACKET_IDS)
        self._packet_bytes_max = packet.properties.maximum_packet_size
        if packet.properties.maximum_qos is not None:
            self._qos_max = packet.properties.maximum_qos

    async def _next_packets(self) -> list[Packet]:
        assert self._streams is not None
        while True:
            try:
                data = await self._streams[0].read(READ_BYTES)
                packets = list(self._packets.receive_data(data))
            except MqttViolation as error:
                raise BridgeLost("protocol", f"{self._where} sent what MQTT does not allow: {error}") from error
            except ssl.SSLError as error:
                raise lost_by(error, self._where) from error  # In TLS 1.3 a client's certificate is judged late.
            except OSError as error:
                raise BridgeLost("closed", f"the connection to {self._where} broke: {error}") from error
            if not data:
                raise BridgeLost("closed", f"{self._where} closed the connection")
            if packets:
                return packets

    async def _read(self) -> None:
        try:
            packets = self._early
            while True:
                for packet in packets:
                    await self._handle(packet)
                packets = await self._next_packets()
        except BridgeLost as lost:
            self._give_up(lost)

    async def _ping(self) -> None:
        pause_s = max(self._options.keep_alive_s * 0.75, 1.0)
        while not self._lost.done():
            if not self._answered:
                self._give_up(BridgeLost("timeout", f"{self._where} does not answer any more"))
                return
            self._answered = False
            self._send(Pingreq())
            await asyncio.wait({self._lost}, timeout=pause_s)

    def _give_up(self, lost: BridgeLost) -> None:
        if self._lost.done():
            return
        self._lost.set_exception(lost)
        self._lost.exception()  # Seen: whoever waits raises it, and nobody need wait.
        waiting: list[asyncio.Future[None] | asyncio.Future[Suback]] = [*self._under_way.values()]
        waiting += [*(future for _, future in self._waiting_for_room), *self._subacks.values()]
        self._under_way.clear()
        self._waiting_for_room.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(lost)
                future.exception()
        if self._streams is not None:
            self._streams[1].close()

    def _send(self, packet: Packet) -> None:
        if self._streams is not None and not self._streams[1].is_closing():
            self._streams[1].write(encode_packet(packet, self._version))

    # -- packets ------------------------------------------------------------------------------------------------------

    async def _handle(self, packet: Packet) -> None:
        match packet:
            case Publish():
                await self._received(packet)
            case Puback() | Pubcomp():
                self._acknowledged(packet.packet_id, packet.reason_code)
            case Pubrec():
                if packet.reason_code.is_failure:
                    self._acknowledged(packet.packet_id, packet.reason_code)
                else:
                    self._send(Pubrel(packet.packet_id))
            case Pubrel():
                self._unreleased.discard(packet.packet_id)
                self._send(Pubcomp(packet.packet_id))
            case Suback() if packet.packet_id in self._subacks:
                future = self._subacks.pop(packet.packet_id)
                if not future.done():  # Cancelled: the answer took too long.
                    future.set_result(packet)
            case Pingresp():
                self._answered = True
            case Disconnect():
                raise _refused(packet.reason_code, self._where)
            case _:
                pass

    async def _received(self, packet: Publish) -> None:
        if packet.qos == 2 and packet.packet_id in self._unreleased:
            self._send(Pubrec(packet.packet_id))  # It is in the log; only our answer was lost.
            return
        message = BridgeMessage(
            packet.topic, packet.payload, packet.qos, packet.is_retained, packet.properties.user_properties
        )
        await self._taken.put((packet, self._take(message)))

    async def _acknowledge(self) -> None:
        """Answers in the order of the messages, each when the log has it."""
        while not self._lost.done():
            packet, stored = await self._taken.get()
            code = ReasonCode.SUCCESS
            try:
                await stored
            except MessageRefused as refused:
                code = refused.code
            except BridgeLost as lost:
                self._give_up(lost)  # Not stored, so not acknowledged: it comes again with the next connection.
                return
            if packet.qos == 1:
                self._send(Puback(packet.packet_id, code))
            elif packet.qos == 2:
                if not code.is_failure or self._version is not Version.V5:
                    self._unreleased.add(packet.packet_id)
                self._send(Pubrec(packet.packet_id, code))

    def _cannot_send(self, message: BridgeMessage) -> MessageRefused | None:
        """Why this message would end the connection, so that it is not sent at all; None: it would not."""
        texts = [text for pair in message.user_properties for text in pair] if self._version is Version.V5 else []
        if len(message.topic) > STRING_BYTES_MAX or any(not _is_text(text) for text in texts):
            return MessageRefused(ReasonCode.MALFORMED_PACKET, "MQTT cannot carry its topic or one of its headers")
        size = len(message.topic) + len(message.payload) + PUBLISH_OVERHEAD_BYTES
        size += sum(PAIR_OVERHEAD_BYTES + len(text.encode()) for text in texts)
        most = min(self._packet_bytes_max or VARIABLE_INTEGER_MAX, VARIABLE_INTEGER_MAX)
        if size > most and len(encode_packet(self._packet(message, 1, 1), self._version)) > most:
            return MessageRefused(
                ReasonCode.PACKET_TOO_LARGE, f"the broker at {self._where} takes packets of {most} bytes at most"
            )
        return None

    def _packet(self, message: BridgeMessage, packet_id: int, qos: int) -> Publish:
        properties = NO_PROPERTIES
        if message.user_properties and self._version is Version.V5:
            properties = Properties(user_properties=message.user_properties)
        return Publish(message.topic, message.payload, qos, message.is_retained, False, packet_id, properties)

    def _send_tracked(self, message: BridgeMessage, future: asyncio.Future[None]) -> None:
        packet_id = self._new_id()
        self._under_way[packet_id] = future
        self._send(self._packet(message, packet_id, min(message.qos, self._qos_max)))

    def _acknowledged(self, packet_id: int, code: ReasonCode) -> None:
        future = self._under_way.pop(packet_id, None)
        if future is None:
            return
        if code.is_failure and not future.done():
            future.set_exception(MessageRefused(code, f"the broker at {self._where} refuses it: {_words(code)}"))
            future.exception()
        elif not future.done():
            future.set_result(None)
        if self._waiting_for_room and not self._lost.done():
            self._send_tracked(*self._waiting_for_room.popleft())

    def _new_id(self) -> int:
        while True:
            self._next_id = self._next_id % PACKET_IDS + 1
            if self._next_id not in self._under_way and self._next_id not in self._subacks:
                return self._next_id


def _words(code: ReasonCode) -> str:
    return code.name.lower().replace("_", " ")


def _is_text(text: str) -> bool:
    """Whether it is a string of MQTT [MQTT-1.5.4-1] [MQTT-1.5.4-2]."""
    try:
        return len(text.encode()) <= STRING_BYTES_MAX and "\0" not in text
    except UnicodeEncodeError:
        return False


def _refused(code: ReasonCode, where: str) -> BridgeLost:
    said = _words(code)
    if code in (ReasonCode.NOT_AUTHORIZED, ReasonCode.BAD_USER_NAME_OR_PASSWORD, ReasonCode.BANNED):
        return BridgeLost("auth", f"the broker at {where} refused us: {said}", "check --user and --password")
    if code is ReasonCode.UNSUPPORTED_PROTOCOL_VERSION:
        return BridgeLost("protocol", f"the broker at {where} does not speak this version", "try --version 3.1.1")
    return BridgeLost("refused", f"the broker at {where} ended the connection: {said}")
