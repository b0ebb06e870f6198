"""The MQTT data plane without sockets and disk: an account, its plane on streams in memory, and scripted peers.

For unit tests and the fuzzer. What the control plane decides is played by `ScriptedPeer`: it takes part without
CONNECT, and a violation ends it.
"""

from __future__ import annotations

import asyncio

from leafbox.dataplane.connection import Engine
from leafbox.dataplane.mqtt_connection import MqttConnection
from leafbox.dataplane.mqtt_interest import MqttInterest
from leafbox.dataplane.mqtt_plane import MqttPlane
from leafbox.dataplane.mqtt_session import MqttSession
from leafbox.dataplane.routing import AccountPlane, CallbackReceiver, Subscription
from leafbox.dataplane.stream_ingest import CommitGate, StreamIngest
from leafbox.dataplane.stream_store import StreamStore
from leafbox.mqtt.interest import wanted_by
from leafbox.protocol.mqtt.encoder import encode_packet
from leafbox.protocol.mqtt.framing import PacketReader
from leafbox.protocol.mqtt.packets import Packet, Role, Version
from leafbox.storage.engine import Store
from leafbox.storage.records import BlobKind
from tests.support.memory_transport import ManualLoop, MemoryTransport


class ScriptedPeer(MqttConnection, asyncio.BufferedProtocol):
    """A connection that notes what the control plane would hear."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.violations: list[tuple[int, str]] = []
        self.packets: list[tuple[int, bytes]] = []
        self.denied: list[bytes] = []

    def on_packet(self, first_byte: int, body: bytes) -> None:
        self.packets.append((first_byte, body))

    def on_violation(self, reason: int, text: str) -> None:
        self.violations.append((reason, text))
        self.close(text)

    def on_publish_denied(self, subject: bytes) -> None:
        self.denied.append(subject)

    def on_not_stored(self, subject: bytes) -> None:
        self.close("not stored")


class Stage:
    """One account with its gateway; with `store` its messages and its sessions' steps are on disk."""

    def __init__(self, store: Store | None = None) -> None:
        self.loop = ManualLoop()
        self.engine, self.account = Engine(self.loop.as_loop), AccountPlane()
        self.gate = CommitGate(self.loop.as_loop)
        self.store = store
        if store is None:
            messages, retained = StreamStore(b"messages"), StreamStore(b"retained")
            for each in (messages, retained):
                each.begin(0, 0)
        else:
            messages, retained = store.create_stream(b"messages"), store.create_stream(b"retained")
        retained.set_limits(max_messages=-1, max_bytes=-1, max_messages_per_subject=1)
        self.logged: list[tuple[bytes, bytes]] = []
        self.plane = MqttPlane(
            self.account,
            StreamIngest(messages, self.account, self.gate, b""),
            StreamIngest(retained, self.account, self.gate, b""),
            self.gate,
            self._extend,
        )
        self.heard: list[tuple[bytes, bytes, bytes]] = []
        self._interests: list[tuple[MqttSession, MqttInterest]] = []

    def _extend(self, key: bytes, steps: bytes, is_urgent: bool) -> int:
        """The log is on flash a turn later."""
        self.logged.append((key, steps))
        if self.store is not None:
            return self.store.append_delta(BlobKind.MQTT_SESSION_STATE, key, steps, is_urgent)
        lsn = len(self.logged)
        self.loop.call_soon(self.gate.on_durable, lsn)
        return lsn

    def session(self, name: str, is_persistent: bool = False) -> MqttSession:
        return MqttSession(self.plane, name.encode(), is_persistent)

    def restored(self, session: MqttSession) -> MqttSession:
        """The same session made of its logged steps."""
        copy = self.session("copy", is_persistent=True)
        for key, steps in self.logged:
            if key == session.key:
                copy.restore_steps(steps)
        return copy

    def peer(self, session: MqttSession, version: Version = Version.V3_1_1) -> Wire:
        return Wire(self, session, version)

    def subscribe(self, session: MqttSession, topic_filter: bytes, qos: int, **options: int) -> MqttInterest:
        wanted = wanted_by(topic_filter)
        interest = MqttInterest(
            topic_filter,
            qos,
            is_shared=wanted.queue is not None,
            skips_dollar=wanted.skips_dollar,
            **options,  # type: ignore[arg-type]
        )
        for subject in wanted.subjects:
            subscription = Subscription(self.account, session, subject, wanted.queue, topic_filter)
            subscription.context = interest
            interest.subscriptions.append(subscription)
        session.add_interest(interest)
        self._interests.append((session, interest))
        for subscription in interest.subscriptions:
            self.account.sublist.insert(subscription.subject, subscription.queue, subscription)
        return interest

    def listen(self) -> None:
        """Hear everything as a NATS client would: subject, header, payload."""

        def take(subject: bytes, reply: bytes, header: bytes, payload: bytes, origin: object) -> None:
            self.heard.append((subject, header, payload))

        self.account.sublist.insert(b">", None, Subscription(self.account, CallbackReceiver(take), b">"))

    def end(self) -> None:
        """Break the circles of account, subscriptions and sessions, of which a fuzzer makes thousands a minute."""
        self.loop.run_ready()
        assert self.loop.errors == []
        self.account.sublist.clear()
        for session, interest in self._interests:
            session.remove_interest(interest)
            interest.subscriptions.clear()


class Wire:
    """A scripted peer with its transport: packets in, packets out."""

    def __init__(self, stage: Stage, session: MqttSession, version: Version) -> None:
        self._stage = stage
        self.version = version
        self.connection = ScriptedPeer(stage.engine)
        self.connection.version = version
        self.session = session
        self.transport = MemoryTransport(stage.loop, self.connection)
        self.transport.connect()
        self.connection.packet_bytes_limit = 70000
        self.connection.enter(stage.account, stage.plane, session)
        session.attach(self.connection)
        self._reader = PacketReader(Role.CLIENT, 1 << 20, version)

    def send(self, *packets: Packet) -> None:
        self.receive(b"".join(encode_packet(packet, self.version) for packet in packets))

    def receive(self, data: bytes) -> None:
        """Bytes from the peer."""
        self.transport.receive(data)
        self._stage.loop.run_ready()

    def sent(self) -> list[Packet]:
        """What the peer got since the last time."""
        self._stage.loop.run_ready()
        return list(self._reader.receive_data(self.transport.take_output()))
