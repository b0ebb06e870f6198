"""An MQTT client's connection: CONNECT and login, subscriptions, and how it ends (MQTT 5 and 3.1.1 sections 3.1-3.14).

The compiled base moves messages; this class decides. All of it runs on the event loop, to completion; where an answer
must wait for a password check or for the log, the connection is suspended and parses nothing meanwhile.
"""

from __future__ import annotations

import time
from asyncio import TimerHandle
from collections.abc import Awaitable
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from leafbox.broker.account import Account
from leafbox.broker.permission_tables import permission_tables
from leafbox.broker.registry import ConnectionSnapshot, SubscriptionSnapshot
from leafbox.dataplane.mqtt_connection import MqttConnection
from leafbox.jetstream.names import nuid
from leafbox.mqtt import subscribing
from leafbox.mqtt.accepting import elsewhere, refused_as, terms_for
from leafbox.mqtt.context import MqttContext
from leafbox.mqtt.login import credentials_of
from leafbox.mqtt.session import Session
from leafbox.mqtt.will import PendingWill
from leafbox.protocol.errors import LeafboxError
from leafbox.protocol.mqtt.decoder import decode_packet, version_of_connect
from leafbox.protocol.mqtt.encoder import encode_within, farewell, refusal
from leafbox.protocol.mqtt.packets import (
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Role,
    Subscribe,
    Unsubscribe,
    Version,
)
from leafbox.protocol.mqtt.properties import NO_PROPERTIES, Properties
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from leafbox.protocol.mqtt.violation import MqttViolation
from leafbox.security.authentication import (
    ConnectionFacts,
    Credentials,
    Decision,
    Identity,
    PeerAbout,
    Refusal,
)
from leafbox.security.tls_accept import TlsFacts

if TYPE_CHECKING:
    from leafbox.mqtt.gateway import MqttGateway

# Above the payload: topic, packet id and properties, or a SUBSCRIBE with thousands of filters.
PACKET_EXTRA_BYTES = 256 * 1024
# Timers this far ahead are armed again, so that a clock that is set late still counts.
EXPIRY_WAIT_MAX_S = 3600.0
# A keep-alive may be late by half of itself [MQTT-3.1.2-22].
KEEP_ALIVE_GRACE = 1.5


class MqttClient(MqttConnection):
    """One client. What kind of listener it came through stands in `context`."""

    __slots__ = (
        "_expiry_timer",
        "_has_ended",
        "_is_announced",
        "_is_entering",
        "_login_timer",
        "connect",
        "context",
        "gateway",
        "identity",
        "ip",
        "keep_alive_s",
        "member",
        "peer_port",
        "start_monotonic",
        "start_ns",
        "stop_ns",
        "tls",
        "web_credentials",
        "will",
    )

    def __init__(
        self, gateway: MqttGateway, context: MqttContext, ip: str = "", port: int = 0, tls: TlsFacts | None = None
    ) -> None:
        super().__init__(context.broker.engine)
        self.gateway = gateway
        self.context = context
        self.ip = ip
        self.peer_port = port
        self.tls = tls
        self.cid = context.broker.registry.next_cid()
        self.start_ns = time.time_ns()
        self.start_monotonic = time.monotonic()
        self.stop_ns = 0
        self.connect: Connect | None = None
        self.identity: Identity | None = None
        self.member: Session | None = None
        """The session it has taken on."""
        self.will: PendingWill | None = None
        self.keep_alive_s = 0
        self.web_credentials = Credentials()
        """What the HTTP upgrade said, for what CONNECT leaves out."""
        self._is_announced = False
        self._is_entering = False
        self._has_ended = False
        self._login_timer: TimerHandle | None = None
        self._expiry_timer: TimerHandle | None = None
        self.max_pending = context.broker.options.pending_bytes_max
        self.refuses_qos2 = context.options.is_qos2_publish_rejected

    def __str__(self) -> str:
        name = f' - "{self.connect.client_id}"' if self.connect is not None else ""
        return f"{self.ip}:{self.peer_port} - mid:{self.cid}{name}"

    # -- start --------------------------------------------------------------------------------------------------------

    def on_connected(self) -> None:
        """Apply the server's connection limit and start the clock for CONNECT."""
        broker = self.context.broker
        if not self.ip:
            peer = self.transport.get_extra_info("peername")
            if isinstance(peer, tuple):
                self.ip, self.peer_port = str(peer[0]), int(peer[1])
        most = broker.options.connections_max
        is_full = most <= 0 or len(broker.registry) >= most
        broker.registry.add(self)
        self.gateway.connections.add(self)
        if is_full:
            self.close("Maximum Connections Exceeded")
            return
        self._login_timer = self.engine.loop.call_later(self.context.auth_timeout_s, self._login_timed_out)

    def _login_timed_out(self) -> None:
        self._login_timer = None
        if not self.is_accepted:
            self.close("Authentication Timeout")

    def _stop_login_timer(self) -> None:
        if self._login_timer is not None:
            self._login_timer.cancel()
            self._login_timer = None

    # -- packets ------------------------------------------------------------------------------------------------------

    @property
    def protocol_version(self) -> Version:
        """The peer's version; 3.1.1 before CONNECT."""
        return Version(self.version) if self.version else Version.V3_1_1

    def on_packet(self, first_byte: int, body: bytes) -> None:
        """CONNECT, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT, AUTH."""
        try:
            packet = decode_packet(first_byte, body, self.protocol_version, Role.SERVER)
        except MqttViolation as violation:
            if self.connect is None:
                self._stop_login_timer()
                self.close("Protocol Violation", refusal(violation, version_of_connect(body)))
            else:
                self.fail(violation)
            return
        match packet:
            case Connect():
                self._on_connect(packet)
            case Subscribe():
                subscribing.subscribe(self, packet)
            case Unsubscribe():
                subscribing.unsubscribe(self, packet)
            case Disconnect():
                self._on_disconnect(packet)
            case Auth():
                # Enhanced authentication is refused in CONNECT, so nothing can be continued [MQTT-4.12.0-6].
                self.fail(MqttViolation("no enhanced authentication", reason_code=ReasonCode.PROTOCOL_ERROR))
            case Pingreq():
                self.send_packet(Pingresp())
            case _:
                self.fail(MqttViolation("a packet out of place"))

    def send_packet(self, packet: Packet) -> None:
        """Queue one packet, shortened to what the peer takes; nothing if even that is too large."""
        encoded = encode_within(packet, self.protocol_version, self.packet_bytes_max)
        if encoded is not None:
            self.send(encoded)

    def check_ack(self, first_byte: int, body: bytes) -> bool:
        """Whether an acknowledgement with reason code or properties is well formed; the connection ends if not."""
        try:
            decode_packet(first_byte, body, self.protocol_version, Role.SERVER)
        except MqttViolation as violation:
            self.fail(violation)
            return False
        return True

    # -- login --------------------------------------------------------------------------------------------------------

    def _on_connect(self, connect: Connect) -> None:
        if self.connect is not None:
            # [MQTT-3.1.0-2]
            self.fail(MqttViolation("a second CONNECT"))
            return
        self.connect = connect
        self.version = connect.version
        properties = connect.properties
        if properties.maximum_packet_size is not None:
            self.packet_bytes_max = properties.maximum_packet_size
        if properties.authentication_method is not None:
            self.refuse(ReasonCode.BAD_AUTHENTICATION_METHOD, "enhanced authentication is not supported")
            return
        if not connect.client_id and not connect.is_clean and connect.version != Version.V5:
            # [MQTT-3.1.3-8] of 3.1.1
            self.refuse(ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, "an empty client id needs a clean session")
            return
        if connect.will is not None and connect.will.qos == 2 and self.refuses_qos2:
            self.refuse(ReasonCode.QOS_NOT_SUPPORTED, "QoS 2 is refused by the configuration")
            return
        credentials = credentials_of(connect, self.web_credentials)
        decision = self.context.authenticator.authenticate(credentials, self.facts())
        if isinstance(decision, Identity | Refusal):
            self._decided(decision)
            return
        # The peer did its part in time; how long the check takes is ours to bear.
        self._stop_login_timer()
        self.suspend()
        self.context.tasks.create_task(self._decide_later(decision), name=f"login mid:{self.cid}")

    async def _decide_later(self, decision: Awaitable[Decision]) -> None:
        self._decided(await decision)
        if not self._is_entering:
            self.resume()

    def facts(self) -> ConnectionFacts:
        """What a decision about this connection may rest on."""
        client_id = self.connect.client_id if self.connect is not None else ""
        about = PeerAbout(self.cid, mqtt_client_id=client_id)
        return ConnectionFacts(self.context.kind, self.context.rules, b"", self.tls, self.ip, about)

    def _decided(self, decision: Decision) -> None:
        if self.closed:
            return
        self._stop_login_timer()
        if isinstance(decision, Refusal):
            self.context.logger.error("%s - authentication error: %s", self, decision.reason)
            self.context.events.login_refused(self, decision.reason)
            self.refuse(ReasonCode.NOT_AUTHORIZED, decision.reason, reason="Authentication Failure", is_logged=True)
            return
        account = self.context.broker.account(decision.account)
        if account is None:
            self.refuse(ReasonCode.NOT_AUTHORIZED, f"account {decision.account} does not exist")
            return
        if not account.has_room_for_connection():
            self.refuse(ReasonCode.QUOTA_EXCEEDED, "maximum account active connections exceeded")
            return
        if (code := elsewhere(self.context.options)) is not None:
            self.context.logger.info("%s - sent to another server", self)
            self.close("Redirected", refused_as(code, self.protocol_version, self.context.options.server_reference))
            return
        try:
            self._enter(decision, account)
        except LeafboxError as error:
            self.refuse(ReasonCode.SERVER_UNAVAILABLE, f"unable to connect: {error}")

    def refuse(
        self, code: ReasonCode, text: str, *, reason: str = "Protocol Violation", is_logged: bool = False
    ) -> None:
        """Answer CONNECT with a refusal and close. The text is for our log: it may say what the peer must not know."""
        if not is_logged:
            self.context.logger.error("%s - %s", self, text)
        self.close(reason, refused_as(code, self.protocol_version))

    def _enter(self, identity: Identity, account: Account) -> None:
        """Take a session on and say yes."""
        connect = self.connect
        assert connect is not None
        sessions = self.gateway.sessions_of(account)
        assigned_id = "" if connect.client_id else nuid()
        client_id = connect.client_id or assigned_id
        if assigned_id:
            self.connect = connect = replace(connect, client_id=client_id)
        former = sessions.by_id.get(client_id)
        if former is not None:
            self._take_over(former, connect)
        terms = terms_for(self, connect, assigned_id)
        self.will = PendingWill.of(connect.will) if connect.will is not None else None
        session, is_present = sessions.open(
            client_id, connect.is_clean, terms.session_expiry_s, has_will=self.will is not None
        )
        self.take_identity(identity)
        self.permissions = permission_tables(identity.permissions)
        self._set_limits(connect, account, identity, terms.keep_alive_s)
        account.attach(self)
        self.account = account
        session.user = identity.name
        session.version = connect.version
        core = session.core
        core.is_persistent = session.expiry_s > 0
        core.permissions = self.permissions
        core.window = min(connect.properties.receive_maximum or 65535, self.context.options.ack_pending_max or 1024)
        self.member = session
        lsn = sessions.taken(session, self, self.will)
        connack = Connack(ReasonCode.SUCCESS, is_present, terms.properties)
        if lsn <= sessions.gate.durable_lsn or sessions.is_store_refusing:
            # A box whose flash fails still lets its sensors in; that their wills are not kept is part of that alarm.
            self._admit(session, account, connack)
            return
        self._is_entering = True
        self.suspend()

        def kept() -> None:
            self._is_entering = False
            if not self.closed:
                self._admit(session, account, connack)
                self.resume()

        # [MQTT-3.1.2-7]: the will is stored; what CONNACK says holds over a power cut.
        sessions.gate.when_durable(lsn, kept)

    def _admit(self, session: Session, account: Account, connack: Connack) -> None:
        """Say yes; messages flow from now on."""
        sessions, core = session.owner, session.core
        self.is_resumed = connack.is_session_present
        self.enter(account, sessions.plane, core)
        self.send_packet(connack)
        self._is_announced = True
        self.context.events.connected(self)
        if connack.is_session_present:
            for lost in session.apply_permissions():
                self.context.logger.warning("%s - subscription is not permitted any more: %r", self, lost)
        sessions.attached(session)
        core.attach(self)

    def take_identity(self, identity: Identity) -> None:
        """Who the client is from now on. A login that ends at a time of day ends the connection then."""
        self.identity = identity
        self._stop_expiry_timer()
        if identity.expires_at_s is not None:
            left_s = min(max(identity.expires_at_s - time.time(), 0.0), EXPIRY_WAIT_MAX_S)
            self._expiry_timer = self.engine.loop.call_later(left_s, self._login_expired)

    def _login_expired(self) -> None:
        identity = self.identity
        if identity is not None and identity.expires_at_s is not None and time.time() < identity.expires_at_s:
            self.take_identity(identity)
            return
        self.context.logger.error("%s - User Authentication Expired", self)
        self.say_goodbye(ReasonCode.NOT_AUTHORIZED, "Authentication Expired")

    def _stop_expiry_timer(self) -> None:
        if self._expiry_timer is not None:
            self._expiry_timer.cancel()
            self._expiry_timer = None

    def _set_limits(self, connect: Connect, account: Account, identity: Identity, keep_alive_s: int) -> None:
        options = self.context.broker.options
        self.max_payload = account.payload_limit(options.payload_bytes_max, identity.limits.payload_bytes_max)
        self.packet_bytes_limit = max(self.max_payload, 0) + PACKET_EXTRA_BYTES
        self.keep_alive_s = keep_alive_s
        self.keep_alive_ns = int(keep_alive_s * KEEP_ALIVE_GRACE * 1e9)
        self.alias_max = connect.properties.topic_alias_maximum or 0

    def _take_over(self, former: Session, connect: Connect) -> None:
        """The client id is in use, or its session waits: the newer connection wins [MQTT-3.1.4-3]."""
        if former.will_timer is not None:
            former.will_timer.cancel()
            former.will_timer = None
        sender, former.will_sender = former.will_sender, None
        if sender is not None and connect.is_clean:
            sender.publish_will()
        old = former.client
        if old is None:
            return
        self.context.logger.info("%s - Replacing old client %s since both have the same client ID", self, old)
        if old.will is not None and old.will.delay_s > 0 and not connect.is_clean:
            # Somebody is back before the delay is over.
            old.will = None
        words = encode_within(Disconnect(ReasonCode.SESSION_TAKEN_OVER), Version.V5, None) if old.version == 5 else None
        old.close("Duplicate Client ID", words or b"")
        old.end_session(is_taken_over=True)

    # -- end ----------------------------------------------------------------------------------------------------------

    def fail(self, violation: MqttViolation) -> None:
        """The peer broke a rule: tell it if its version has a word for that, then close. Its will is sent."""
        self.context.logger.error("%s - %s", self, violation.text_for_peer)
        words = farewell(violation, self.protocol_version) if self.is_accepted else b""
        self.close("Protocol Violation", words, hears_out=bool(words))

    def on_violation(self, reason: int, text: str) -> None:
        """From the data plane."""
        if self.connect is None and reason == ReasonCode.PROTOCOL_ERROR:
            self.context.logger.error("%s - %s", self, text)
            self.close("Protocol Violation")
            return
        self.fail(MqttViolation(text, reason_code=ReasonCode(reason)))

    def on_publish_denied(self, subject: bytes) -> None:
        self.context.logger.error("%s - Publish Violation - Subject %r", self, subject.decode("utf-8", "replace"))

    def on_not_stored(self, subject: bytes) -> None:
        """MQTT 3 has no refusal, so the connection ends and the message stays with its sender."""
        self.context.logger.error(
            "%s - there is no room to keep %r, so it is not acknowledged", self, subject.decode("utf-8", "replace")
        )
        self.close("Insufficient Storage")

    def on_keep_alive_lapsed(self) -> None:
        """[MQTT-3.1.2-22]"""
        self.engine.stale_connections += 1
        words = farewell(MqttViolation("", reason_code=ReasonCode.KEEP_ALIVE_TIMEOUT), self.protocol_version)
        self.close("Stale Connection", words)

    def on_slow_consumer(self) -> None:
        if isinstance(self.account, Account):
            self.account.slow_consumers += 1
        self.context.logger.warning("%s - Slow Consumer Detected: MaxPending of %d Exceeded", self, self.max_pending)

    def say_goodbye(self, code: ReasonCode, reason: str, reference: str = "") -> None:
        """End the connection from our side. The peer did not ask for that, so its will is due [MQTT-3.1.2-8].

        `reference`: the server to go to instead.
        """
        words = None
        if self.version == 5 and self.is_accepted:
            properties = Properties(server_reference=reference) if reference else NO_PROPERTIES
            words = encode_within(Disconnect(code, properties), Version.V5, self.packet_bytes_max)
        self.close(reason, words or b"")
        self.end_session()

    def _on_disconnect(self, packet: Disconnect) -> None:
        member = self.member
        expiry_s = packet.properties.session_expiry_interval_s
        if member is not None and expiry_s is not None:
            if member.expiry_s == 0 and expiry_s > 0:
                # Section 3.14.2.2.2: a session that was to end cannot be kept after all.
                self.fail(MqttViolation("a session expiry where CONNECT had none"))
                return
            member.expiry_s = expiry_s
        if packet.reason_code != ReasonCode.DISCONNECT_WITH_WILL:
            # [MQTT-3.14.4-3]
            self.will = None
        self.close("Client Closed")

    def on_closing(self) -> None:
        self._stop_login_timer()
        self._stop_expiry_timer()
        self.stop_ns = time.time_ns()
        self.gateway.connections.discard(self)
        self.end_session()
        self.context.broker.registry.remove(self)
        if isinstance(self.account, Account):
            self.account.detach(self)
        if self._is_announced:
            self.context.events.disconnected(self)
        self.context.logger.debug("%s - Client connection closed: %s", self, self.close_reason or "Client Closed")

    def end_session(self, *, is_taken_over: bool = False) -> None:
        """Let go of the session: the will is sent or waits, the session ends or stays. Once."""
        member = self.member
        if member is None or self._has_ended:
            return
        self._has_ended = True
        if not self.is_accepted:
            # It left before CONNACK: there was no connection that could have ended without a word.
            self.will = None
        self.leave()
        will = self.will
        waits = (
            will is not None
            and will.delay_s > 0
            and member.expiry_s > 0
            and not is_taken_over
            and member.client is self
        )
        if will is not None and not waits:
            self.publish_will()
        if member.client is self:
            if waits and will is not None:
                member.will_sender = self
                member.owner.send_will_later(member, min(will.delay_s, member.expiry_s))
            else:
                member.will = None
            member.owner.detached(member)

    def publish_will(self) -> None:
        """Send the will, once."""
        will, self.will = self.will, None
        if will is not None:
            if self.member is not None and self.member.will is will:
                self.member.will = None
            self.publish_own(will.topic, will.payload, will.qos, will.is_retained, will.properties, will.expiry_s)

    # -- for monitoring -----------------------------------------------------------------------------------------------

    def snapshot(self, *, subscriptions_max: int = 0) -> ConnectionSnapshot:
        """An immutable picture of this connection, with at most so many of its subscriptions."""
        now_ns = time.time_ns()
        idle_ns = time.monotonic_ns() - self.last_activity_ns if self.last_activity_ns else 0
        account, member = self.account, self.member
        interests = list(member.interests.values()) if member is not None else []
        subscriptions = (each for interest in interests for each in interest.subscriptions)
        return ConnectionSnapshot(
            cid=self.cid,
            kind="Client",
            type="mqtt",
            ip=self.ip,
            port=self.peer_port,
            start_ns=self.start_ns,
            last_activity_ns=now_ns - idle_ns,
            stop_ns=self.stop_ns,
            reason=(self.close_reason or "Client Closed") if self.stop_ns else "",
            rtt_ns=0,
            uptime_ns=int((time.monotonic() - self.start_monotonic) * 1e9),
            idle_ns=idle_ns,
            pending_bytes=self.pending_bytes,
            in_msgs=self.in_msgs,
            out_msgs=self.out_msgs,
            in_bytes=self.in_bytes,
            out_bytes=self.out_bytes,
            stalls=self.stalls,
            subscription_count=sum(len(interest.subscriptions) for interest in interests),
            subscriptions=tuple(
                SubscriptionSnapshot(s.subject, s.queue or b"", s.sid, s.delivered, 0)
                for s in islice(subscriptions, subscriptions_max)
            ),
            account=account.name if isinstance(account, Account) else "",
            user=self.identity.name if self.identity else "",
            tls_version=self.tls.version if self.tls else "",
            tls_cipher=self.tls.cipher if self.tls else "",
            mqtt_client=self.connect.client_id if self.connect is not None else "",
        )
