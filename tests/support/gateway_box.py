"""The MQTT gateway of one account in memory: control plane and data plane are the real ones, sockets and disk are not.

Time stands still until `advance`, and the log is on flash a turn after something was written to it. `restart` is a
power cut: connections are gone, and a new gateway finds what the log had.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Self, cast

from leafbox.broker.broker import Broker
from leafbox.broker.config import BrokerOptions, ConnectionType
from leafbox.broker.identity import ServerIdentity
from leafbox.dataplane.stream_ingest import freeze_clock, now_ns
from leafbox.jetstream.config import JetStreamOptions
from leafbox.jetstream.service import JetStream
from leafbox.mqtt.config import MqttOptions
from leafbox.mqtt.connection import MqttClient
from leafbox.mqtt.context import MqttContext
from leafbox.mqtt.gateway import MqttGateway
from leafbox.mqtt.ports import SessionValue
from leafbox.protocol.jetstream.info import AccountLimits
from leafbox.protocol.mqtt.encoder import encode_packet
from leafbox.protocol.mqtt.framing import PacketReader
from leafbox.protocol.mqtt.packets import Connack, Connect, Packet, Role, Version, Will
from leafbox.protocol.mqtt.properties import NO_PROPERTIES, Properties
from leafbox.security.authentication import Authenticator, Decision, ListenerRules
from leafbox.security.config import SecurityOptions
from leafbox.security.passwords import PasswordVerifier
from tests.support.jetstream_harness import START_NS, MemoryStorage
from tests.support.memory_transport import ManualLoop, MemoryTransport


class ClockedLoop(ManualLoop):
    """A loop whose time is the wall clock of streams and sessions, too."""

    def __init__(self) -> None:
        super().__init__()
        freeze_clock(max(START_NS, now_ns()))

    def advance(self, seconds: float) -> None:
        """Let time pass in steps, so that what a timer does sees its time."""
        while seconds > 0:
            step = min(seconds, 0.25)
            freeze_clock(now_ns() + round(step * 1e9))
            super().advance(step)
            seconds -= step


class MemorySessions:
    """Durable values of sessions (`mqtt.ports.SessionStore`); they are on flash in the next turn."""

    def __init__(self) -> None:
        self.kept: dict[SessionValue, dict[bytes, tuple[bytes, list[bytes]]]] = {kind: {} for kind in SessionValue}
        self.snapshots: dict[SessionValue, Callable[[bytes], bytes | None]] = {}
        self.changed: Callable[[], int] = lambda: 0

    def put(self, kind: SessionValue, key: bytes, value: bytes) -> int:
        self.kept[kind][key] = (value, [])
        return self.changed()

    def extend(self, kind: SessionValue, key: bytes, delta: bytes, is_urgent: bool = True) -> int:
        self.kept[kind].setdefault(key, (b"", []))[1].append(delta)
        return self.changed()

    def delete(self, kind: SessionValue, key: bytes) -> int:
        self.kept[kind].pop(key, None)
        return self.changed()

    def values(self, kind: SessionValue) -> Iterable[tuple[bytes, bytes, list[bytes]]]:
        return [(key, value, list(deltas)) for key, (value, deltas) in self.kept[kind].items()]

    def supply_snapshots(self, kind: SessionValue, snapshot: Callable[[bytes], bytes | None]) -> None:
        self.snapshots[kind] = snapshot

    def fold(self) -> None:
        """A checkpoint: snapshots in place of values and their deltas."""
        for kind, kept in self.kept.items():
            for key in list(kept):
                value = self.snapshots[kind](key)
                if value is None:
                    del kept[key]
                else:
                    kept[key] = (value, [])


class Events:
    """What monitoring would hear (`mqtt.ports.ConnectionEvents`)."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def connected(self, client: MqttClient) -> None:
        self.seen.append(f"connected {client.connect.client_id if client.connect else ''}")

    def disconnected(self, client: MqttClient) -> None:
        self.seen.append(f"disconnected {client.connect.client_id if client.connect else ''}")

    def login_refused(self, client: MqttClient, reason: str) -> None:
        self.seen.append(f"refused {reason}")


class GatewayBox:
    """One server's gateway. Use as a context manager: the clock thaws at the end."""

    def __init__(self, security: SecurityOptions | None = None, options: MqttOptions | None = None) -> None:
        self.options = options or MqttOptions(port=1883)
        self.security = security or SecurityOptions()
        self.storage, self.store = MemoryStorage(), MemorySessions()
        self.holds_log = False
        """Nothing gets to flash while this is set."""
        self._open()

    def _open(self) -> None:
        self.loop = ClockedLoop()
        loop = self.loop.as_loop
        identity = ServerIdentity("N", "box", "X", now_ns())
        self.broker = Broker(loop, identity, BrokerOptions())
        self.account = self.broker.global_account
        self.jetstream = JetStream(
            loop,
            self.storage,
            JetStreamOptions(is_enabled=True),
            server_name="box",
            server_version="2.15.1",
            max_payload_bytes=1 << 20,
            max_pending_bytes=1 << 26,
            describe_client=lambda _origin: None,
        )
        self.owner = self.jetstream.enable_account(self.account, {"": AccountLimits()})
        self.jetstream.start()
        self.passwords = PasswordVerifier(loop)
        self.authenticator = Authenticator(self.security, self.passwords)
        self.events = Events()
        self.context = MqttContext(
            self.broker,
            self.authenticator,
            self.options,
            ConnectionType.MQTT,
            cast(asyncio.TaskGroup, None),
            self.events,
        )
        self.store.changed = self._log
        self.gateway = MqttGateway(
            self.broker.engine, self.jetstream, self.jetstream.gate, self.store, lambda: self.options, self._rights_of
        )
        self.gateway.start()
        self.loop.run_ready()

    def _rights_of(self, user: str, account: str) -> Decision:
        return self.context.authenticator.recalled(user, account, ListenerRules())

    def _log(self) -> int:
        self.storage.lsn += 1
        self.loop.call_soon(self._sync)
        return self.storage.lsn

    def _sync(self) -> None:
        if not self.holds_log:
            self.jetstream.gate.on_durable(self.storage.lsn)

    def release_log(self) -> None:
        """What was written is on flash now."""
        self.holds_log = False
        self._sync()
        self.loop.run_ready()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._close()
        freeze_clock(0)

    def _close(self) -> None:
        self.loop.run_ready()
        assert self.loop.errors == []
        self.passwords.close()
        for connection in list(self.gateway.connections):
            connection.member = None
        self.account.sublist.clear()

    def restart(self) -> None:
        """The power goes and comes back."""
        self._close()
        self._open()

    # -- clients ------------------------------------------------------------------------------------------------------

    def device(self, version: Version = Version.V3_1_1) -> Device:
        """A connection that has said nothing yet."""
        return Device(self, version)

    def client(
        self,
        client_id: str = "c",
        version: Version = Version.V3_1_1,
        *,
        clean: bool = True,
        will: Will | None = None,
        user: str | None = None,
        keep_alive_s: int = 0,
        properties: Properties = NO_PROPERTIES,
    ) -> Device:
        """A client that said CONNECT; its first packet is the answer."""
        made = self.device(version)
        password = b"pw" if user is not None else None
        made.send(Connect(client_id, version, clean, keep_alive_s, will, user, password, properties))
        return made

    def joined(self, client_id: str = "c", version: Version = Version.V3_1_1, **options: Any) -> Device:
        """A client that was let in."""
        made = self.client(client_id, version, **options)
        answer, *made.early = made.sent()
        assert isinstance(answer, Connack)
        assert not answer.reason_code.is_failure
        made.connack = answer
        return made


class Device:
    """The other end of one connection."""

    def __init__(self, box: GatewayBox, version: Version) -> None:
        self.box = box
        self.version = version
        self.connection = MqttClient(box.gateway, box.context, "10.0.0.1", 5)
        self.connack = Connack()
        self.early: list[Packet] = []
        """What came right behind CONNACK."""
        self.transport = MemoryTransport(box.loop, cast(Any, self.connection))
        self.transport.connect()
        self._reader = PacketReader(Role.CLIENT, 1 << 20, version)

    def send(self, *packets: Packet) -> None:
        self.send_bytes(b"".join(encode_packet(packet, self.version) for packet in packets))

    def send_bytes(self, data: bytes) -> None:
        """Anything."""
        self.transport.receive(data)
        self.box.loop.run_ready()

    def sent(self) -> list[Packet]:
        """What came since the last time."""
        self.box.loop.run_ready()
        early, self.early = self.early, []
        return [*early, *self._reader.receive_data(self.transport.take_output())]

    def vanish(self) -> None:
        """The line is gone without a word."""
        self.transport.receive_eof()
        self.box.loop.run_ready()

    @property
    def is_closed(self) -> bool:
        """Whether the server has ended the connection."""
        self.box.loop.run_ready()
        return self.connection.closed
