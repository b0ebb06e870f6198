"""A NATS client's session: handshake, login, subscriptions, pings, and how it ends (core-protocol sections 1-3).

The compiled base parses and moves messages; this class decides. All of it runs on the event loop, to completion: no
await lies between reading bytes and queueing the answers.
"""

from __future__ import annotations

import base64
import os
import random
import time
from asyncio import TimerHandle
from collections.abc import Awaitable

from leafbox.broker import tracing
from leafbox.broker.account import Account
from leafbox.broker.config import UNLIMITED
from leafbox.broker.permission_tables import permission_tables
from leafbox.broker.registry import ConnectionSnapshot, picture
from leafbox.broker.request_info import RequestInfo
from leafbox.broker.tracing import KIND_CLIENT, Arrival, TracePoint
from leafbox.clients.context import ClientContext
from leafbox.dataplane.nats_connection import NatsConnection
from leafbox.dataplane.routing import Receiver, Subscription
from leafbox.dataplane.subjects import is_valid_subject
from leafbox.monitoring.wire_format import time_text
from leafbox.protocol.client_info import Connect, decode_connect
from leafbox.protocol.errors import ProtocolViolation
from leafbox.protocol.jetstream.go_time import go_quote
from leafbox.security.authentication import (
    ConnectionFacts,
    Credentials,
    Decision,
    Identity,
    PeerAbout,
    Refusal,
)
from leafbox.security.tls_accept import TlsFacts

# The first ping measures the round trip soon after CONNECT (nats-server: 2 s, spread by up to 20 %).
FIRST_PING_S = 2.0
# Of the nonce in INFO, before base64 (nats-server: 11).
NONCE_BYTES = 11
# A peer over its subscription limit is closed a moment after it was told.
LIMIT_CLOSE_S = 0.02
# A peer that keeps talking is still pinged once an hour, to know the round trip.
RTT_INTERVAL_NS = 3600 * 10**9
# Timers this far ahead are armed again, so that a clock that is set late still counts.
EXPIRY_WAIT_MAX_S = 3600.0
SYSTEM_QUEUE = b"_sys_"


def error_line(text: str) -> bytes:
    """`-ERR` as the peer sees it."""
    return f"-ERR '{text}'\r\n".encode()


def quoted(subject: bytes) -> str:
    """A subject in double quotes as Go's %q prints it."""
    # A byte that is no UTF-8 arrives as a lone surrogate and is printed as the byte it was.
    shown = [
        f"\\x{ord(character) - 0xDC00:02x}" if "\udc80" <= character <= "\udcff" else go_quote(character)[1:-1]
        for character in subject.decode("utf-8", "surrogateescape")
    ]
    return f'"{"".join(shown)}"'


class ClientConnection(NatsConnection):
    """One client. `kind` and TLS facts come from the listener it came through."""

    __slots__ = (
        "_expiry_timer",
        "_is_announced",
        "_login_timer",
        "_ping_sent_ns",
        "_ping_timer",
        "_pings_out",
        "connect",
        "context",
        "first_info_sent",
        "identity",
        "ip",
        "nonce",
        "peer_port",
        "rtt_ns",
        "start_monotonic",
        "start_ns",
        "stop_ns",
        "tls",
    )

    def __init__(self, context: ClientContext, ip: str = "", port: int = 0, tls: TlsFacts | None = None) -> None:
        super().__init__(context.broker.engine)
        self.context = context
        self.ip = ip
        self.peer_port = port
        self.tls = tls
        self.cid = context.broker.registry.next_cid()
        self.start_ns = time.time_ns()
        self.start_monotonic = time.monotonic()
        self.stop_ns = 0
        self.rtt_ns = 0
        self.connect: Connect | None = None
        self.identity: Identity | None = None
        self.first_info_sent = False
        self._is_announced = False
        self._ping_timer: TimerHandle | None = None
        self._login_timer: TimerHandle | None = None
        self._expiry_timer: TimerHandle | None = None
        self._pings_out = 0
        self._ping_sent_ns = 0
        self.nonce = ""
        if context.authenticator.sends_nonce:
            self.nonce = base64.urlsafe_b64encode(os.urandom(NONCE_BYTES)).rstrip(b"=").decode()
        options = context.broker.options
        self.max_payload = options.payload_bytes_max
        self.max_control_line = options.control_line_bytes_max
        self.max_pending = options.pending_bytes_max
        self.traces = context.is_tracing

    # -- start --------------------------------------------------------------------------------------------------------

    def hello(self) -> bytes:
        """The first INFO line."""
        return self.context.info(self.cid, self.ip, self.nonce).line()

    def on_connected(self) -> None:
        """Greet, apply the server's connection limit, and start the clock for CONNECT."""
        broker = self.context.broker
        if not self.ip:
            peer = self.transport.get_extra_info("peername")
            if isinstance(peer, tuple):
                self.ip, self.peer_port = str(peer[0]), int(peer[1])
        if not self.first_info_sent:
            self.first_info_sent = True
            self.send(self.hello())
        most = broker.options.connections_max
        is_full = not self.context.is_internal and (most <= 0 or len(broker.registry) >= most)
        if not self.context.is_internal:
            broker.registry.add(self)
        if is_full:
            self.fail("maximum connections exceeded", "Maximum Connections Exceeded")
            return
        self.context.logger.debug("%s - Client connection created", self)
        if self.context.authenticator.demands_login(self.context.rules):
            self.awaiting_auth = True
            self._login_timer = self.engine.loop.call_later(self.context.auth_timeout_s, self._login_timed_out)
        else:
            self._enter_default()
        self._schedule_ping(min(FIRST_PING_S, self._ping_interval_s()) * (1 + random.random() * 0.2))

    def __str__(self) -> str:
        return f"{self.ip}:{self.peer_port} - cid:{self.cid}"

    # -- login --------------------------------------------------------------------------------------------------------

    def on_connect(self, options: bytes) -> None:
        try:
            connect = decode_connect(options)
        except ProtocolViolation:
            self.close("Protocol Violation")
            return
        if self.connect is not None:
            self._withdraw_subscriptions()
        self.connect = connect
        if not self.rtt_ns:
            # Until the first PONG the handshake itself is the measure, as in nats-server.
            self.rtt_ns = time.time_ns() - self.start_ns
        self.echo = connect.echo is not False
        self.headers = bool(connect.headers) and not self.context.broker.options.is_header_support_disabled
        self.verbose = bool(connect.verbose) if connect.verbose is not None else self.verbose
        self.pedantic = bool(connect.pedantic) if connect.pedantic is not None else self.pedantic
        self.no_responders = bool(connect.no_responders)
        decision = self.context.authenticator.authenticate(self.credentials(connect), self.facts())
        if isinstance(decision, Identity | Refusal):
            self._decided(decision)
        else:
            # The peer did its part in time; how long the check takes is ours to bear.
            self._stop_login_timer()
            self.suspend()
            self.context.tasks.create_task(self._decide_later(decision), name=f"login cid:{self.cid}")

    def credentials(self, connect: Connect) -> Credentials:
        """What the peer says of itself."""
        return Credentials(
            user=connect.user or "",
            password=connect.password or "",
            token=connect.auth_token or "",
            nkey=connect.nkey or "",
            signature=connect.sig or "",
            jwt=connect.jwt or "",
        )

    def facts(self) -> ConnectionFacts:
        """What a decision about this connection may rest on."""
        connect, kind = self.connect, self.context.facts.kind
        about = PeerAbout(self.cid)
        if connect is not None:
            name, language, version = connect.name or "", connect.lang or "", connect.version or ""
            about = PeerAbout(self.cid, name, language, version, connect.protocol or 0)
        return ConnectionFacts(kind, self.context.rules, self.nonce.encode(), self.tls, self.ip, about)

    async def _decide_later(self, decision: Awaitable[Decision]) -> None:
        """A slow check (bcrypt) runs beside the loop; the connection parses nothing meanwhile."""
        self._decided(await decision)
        self.resume()

    def _decided(self, decision: Decision) -> None:
        if self.closed:
            return
        connect = self.connect
        assert connect is not None
        if isinstance(decision, Refusal):
            self.refuse(decision.reason, decision.peer_text, decision.closed_as)
            return
        if connect.account or connect.new_account:
            self.refuse("CONNECT names an account")
            return
        if not self._enter(decision):
            return
        if connect.protocol not in (None, 0, 1):
            self.fail("invalid client protocol", "Bad Client Protocol Version")
        elif self.no_responders and not self.headers:
            self.fail("no responders requires headers support", "No Responders Requires Headers")
        elif self.verbose:
            self.send(b"+OK\r\n")

    def _enter(self, identity: Identity) -> bool:
        """Take the place in the account that the identity gives. False when the account has no room."""
        self.awaiting_auth = False
        self._stop_login_timer()
        account = self.context.broker.account(identity.account)
        if account is None:
            self.refuse(f"account {identity.account} does not exist")
            return False
        previous = self.account
        if previous is not account:
            if isinstance(previous, Account):
                previous.detach(self)
            if not self.context.is_internal:
                if not account.has_room_for_connection():
                    self.account = None
                    self.fail("maximum account active connections exceeded", "Maximum Account Connections Exceeded")
                    return False
                account.attach(self)
            self.account = account
        self.identity = identity
        self.end_at_expiry(identity)
        self.permissions = permission_tables(identity.permissions)
        tracks_replies = self.permissions is not None and self.permissions.responses_max is not None
        self.reply_permissions = {} if tracks_replies else None
        self.max_payload = account.payload_limit(
            self.context.broker.options.payload_bytes_max, identity.limits.payload_bytes_max
        )
        if self.connect is not None and not self._is_announced:
            self._is_announced = True
            self.context.events.connected(self)
        self.keep_subscription_limit(account)
        return True

    def _subscriptions_max(self, account: Account) -> int:
        own = self.identity.limits.subscriptions_max if self.identity is not None else UNLIMITED
        return account.subscription_limit(self.context.broker.options.subscriptions_max, own)

    def keep_subscription_limit(self, account: Account) -> None:
        """Whoever has more subscriptions than it may have (any more), or may have none, is told and then closed."""
        most = self._subscriptions_max(account)
        if most == 0 or 0 < most < len(self.subscriptions):
            self.send(error_line("maximum subscriptions exceeded"))
            self.engine.loop.call_later(LIMIT_CLOSE_S, self.close, "Maximum Subscriptions Exceeded")

    def end_at_expiry(self, identity: Identity) -> None:
        """A login that ends at a time of day ends the connection then (a JWT's expiry)."""
        if self._expiry_timer is not None:
            self._expiry_timer.cancel()
            self._expiry_timer = None
        if identity.expires_at_s is not None:
            left_s = min(max(identity.expires_at_s - time.time(), 0.0), EXPIRY_WAIT_MAX_S)
            self._expiry_timer = self.engine.loop.call_later(left_s, self._expired)

    def _expired(self) -> None:
        identity = self.identity
        if identity is not None and identity.expires_at_s is not None and time.time() < identity.expires_at_s:
            self.end_at_expiry(identity)
            return
        who = "Account" if identity is not None and identity.is_account_expiring else "User"
        self.fail(f"{who} Authentication Expired", "Authentication Expired")

    def _enter_default(self) -> bool:
        decision = self.context.authenticator.authenticate(Credentials(), self.facts())
        return isinstance(decision, Identity) and self._enter(decision)

    def on_operation_before_auth(self) -> bool:
        may_enter = not self.context.authenticator.shows_auth_required(self.context.rules)
        if may_enter and self._enter_default():
            return True
        if not self.closed:
            self.refuse("first operation is not CONNECT")
        return False

    def refuse(
        self, reason: str, text: str = "Authorization Violation", closed_as: str = "Authentication Failure"
    ) -> None:
        """End the connection because it may not log in, or not stay."""
        self.context.logger.error("%s - authentication error: %s", self, reason)
        self.context.events.login_refused(self, reason)
        self.fail(text, closed_as)

    def _stop_login_timer(self) -> None:
        if self._login_timer is not None:
            self._login_timer.cancel()
            self._login_timer = None

    def _login_timed_out(self) -> None:
        self._login_timer = None
        if self.awaiting_auth:
            self.fail("Authentication Timeout", "Authentication Timeout")

    def fail(self, text: str, reason: str) -> None:
        """Tell the peer, then close."""
        self.close(reason, error_line(text))

    def on_first_pong(self) -> None:
        """The second INFO tells a client where it landed (core-protocol section 1, step 5)."""
        connect, account = self.connect, self.account
        if connect is None:
            # A PING before CONNECT does not count.
            return
        self.first_pong_sent = True
        if connect.protocol != 1 or not isinstance(account, Account):
            return
        changes: dict[str, object] = {
            "connect_info": True,
            "remote_account": account.name,
            "acc_is_sys": account.is_system,
            "max_payload": self.max_payload,
        }
        if self.context.authenticator.demands_login(self.context.rules):
            changes["auth_required"] = True
        if self.connect is not None and self.connect.protocol == 1:
            # Without the nonce: it was for the login, which is over.
            self.send(self.context.info(self.cid, self.ip, "", **changes).line())

    def send_info(self, **changes: object) -> None:
        """Push INFO to a client that understands it later in the connection (protocol 1)."""
        if self.connect is not None and self.connect.protocol == 1:
            changes.setdefault("max_payload", self.max_payload)
            self.send(self.context.info(self.cid, self.ip, self.nonce, **changes).line())

    # -- subscriptions ------------------------------------------------------------------------------------------------

    def on_subscribe(self, subject: bytes, queue: bytes | None, sid: bytes) -> None:
        account = self.account
        if not isinstance(account, Account):
            return
        broker_options = self.context.broker.options
        if queue == SYSTEM_QUEUE or (
            self.permissions is not None
            and self.permissions.restricts_subscribe
            and not self.permissions.allows_subscribe(subject, queue)
        ):
            self._deny_subscription(subject, queue)
            return
        tokens_most = broker_options.subject_tokens_max
        if tokens_most and subject.count(b".") + 1 > tokens_most:
            text = f"Permissions Violation for Subscription to {quoted(subject)}, too many tokens"
            self.send(error_line(text))
            return
        if 0 <= self._subscriptions_max(account) <= len(self.subscriptions):
            self.send(error_line("maximum subscriptions exceeded"))
            return
        if sid not in self.subscriptions:
            if not is_valid_subject(subject):
                self.send(error_line("Invalid Subject"))
                return
            subscription = Subscription(account, self, subject, queue, sid)
            subscription.filters_deliveries = self.permissions is not None and self.permissions.filters(subject)
            self.subscriptions[sid] = subscription
            account.add(subscription)
        if self.verbose:
            self.send(b"+OK\r\n")

    def _deny_subscription(self, subject: bytes, queue: bytes | None) -> None:
        text = f"Permissions Violation for Subscription to {quoted(subject)}"
        if queue is not None:
            text += f" using queue {quoted(queue)}"
        self.context.logger.error("%s - Subscription Violation - %s", self, text)
        self.send(error_line(text))

    def on_unsubscribe(self, sid: bytes, max_deliver: int) -> None:
        subscription = self.subscriptions.get(sid)
        if subscription is not None:
            if max_deliver > subscription.delivered:
                subscription.max_deliver = max_deliver
            else:
                self.withdraw(subscription)
        if self.verbose:
            self.send(b"+OK\r\n")

    def on_exhausted(self, subscription: Subscription) -> None:
        self.withdraw(subscription)

    def withdraw(self, subscription: Subscription) -> None:
        """End a subscription now."""
        self.subscriptions.pop(subscription.sid, None)
        account = subscription.account
        assert isinstance(account, Account)
        account.remove(subscription)

    def _withdraw_subscriptions(self) -> None:
        for subscription in list(self.subscriptions.values()):
            self.withdraw(subscription)

    # -- message traces -----------------------------------------------------------------------------------------------

    def trace_point(self) -> TracePoint:
        """How traces name this client."""
        return TracePoint(KIND_CLIENT, self.cid, (self.connect.name or "") if self.connect is not None else "")

    def trace_refusal(self, subscription: Subscription, origin: Receiver | None, subject: bytes) -> str:
        """Why `deliver` would not take it; empty: it would."""
        if origin is self and not self.echo:
            return tracing.NO_ECHO
        if (
            subscription.filters_deliveries
            and self.permissions is not None
            and self.permissions.denies_message(subject)
        ):
            return tracing.SUBSCRIPTION_DENIED
        counted = subscription.primary or subscription
        if counted.max_deliver and counted.delivered >= counted.max_deliver:
            return tracing.EXHAUSTED
        return tracing.CLIENT_CLOSED if self.closed else ""

    def on_traceable(self, subject: bytes, reply: bytes, header: bytes, payload: bytes) -> bytes | None:
        account = self.account
        if not isinstance(account, Account):
            return header
        arrival = self._arrival(account, subject, header, len(header) + len(payload))
        arrival.reply, arrival.payload = reply, payload
        return self.context.broker.tracing.begin(arrival)

    def on_traceable_oversize(self, subject: bytes, header: bytes, size: int) -> None:
        if isinstance(self.account, Account):
            arrival = self._arrival(self.account, subject, header, size)
            self.context.broker.tracing.refuse(arrival, "maximum payload exceeded")

    def _arrival(self, account: Account, subject: bytes, header: bytes, size: int) -> Arrival:
        def allows(destination: bytes) -> bool:
            if self.permissions is None or self.permissions.allows_publish(destination):
                return True
            self.on_publish_denied(destination)
            return False

        def refuses(mapped: bytes) -> str | None:
            if not self.may_publish_on(mapped):
                self.on_publish_denied(mapped)
                return f"Permissions Violation for Publish to {quoted(mapped)}"
            if not self.may_reply_to(arrival.reply):
                self.on_reply_denied(arrival.reply)
                return f"Permissions Violation for Publish with Reply of {quoted(arrival.reply)}"
            if self.verbose:
                self.send(b"+OK\r\n")
            return None

        def routed(mapped: bytes, taken: int) -> None:
            if not taken:
                self.tell_no_responders(mapped, arrival.reply)

        arrival = Arrival(self, account, self.trace_point(), subject, b"", header, b"", size, allows, refuses, routed)
        return arrival

    # -- violations ---------------------------------------------------------------------------------------------------

    def on_violation(self, text: str, reason: str) -> None:
        self.context.logger.error("%s - %s", self, text or reason)
        self.close(reason, error_line(text) if text else b"")

    def on_publish_denied(self, subject: bytes) -> None:
        self.context.logger.error("%s - Publish Violation - Subject %s", self, quoted(subject))
        self.send(error_line(f"Permissions Violation for Publish to {quoted(subject)}"))

    def on_reply_denied(self, reply: bytes) -> None:
        self.context.logger.error("%s - Publish Violation - Reply %s", self, quoted(reply))
        self.send(error_line(f"Permissions Violation for Publish with Reply of {quoted(reply)}"))

    def on_invalid_publish_subject(self) -> None:
        self.send(error_line("Invalid Publish Subject"))

    def on_peer_error(self, text: bytes) -> None:
        self.close("Parse Error")

    def on_info(self, text: bytes) -> None:
        """Clients may send INFO; it only has to be JSON."""
        try:
            decode_connect(text)
        except ProtocolViolation:
            self.close("Protocol Violation")

    def on_slow_consumer(self) -> None:
        if isinstance(self.account, Account):
            self.account.slow_consumers += 1
        self.context.logger.warning("%s - Slow Consumer Detected: MaxPending of %d Exceeded", self, self.max_pending)

    def on_trace(self, line: bytes) -> None:
        self.context.trace(self, line)

    # -- pings --------------------------------------------------------------------------------------------------------

    def _ping_interval_s(self) -> float:
        return self.context.facts.ping_interval_s or self.context.broker.options.ping_interval_s

    def _schedule_ping(self, delay_s: float) -> None:
        self._ping_timer = self.engine.loop.call_later(delay_s, self._ping_due)

    def _ping_due(self) -> None:
        """Send a PING unless the peer was heard of; give up after `pings_out_max` unanswered ones."""
        if self.closed:
            return
        interval_s = self._ping_interval_s()
        self._schedule_ping(interval_s)
        now_ns = time.monotonic_ns()
        if self.awaiting_auth:
            return
        heard_s = (now_ns - self.last_activity_ns) / 1e9
        rtt_is_fresh = self._ping_sent_ns and now_ns - self._ping_sent_ns < RTT_INTERVAL_NS
        if rtt_is_fresh and heard_s < interval_s:
            return
        if self._pings_out + 1 > self.context.broker.options.pings_out_max:
            self.engine.stale_connections += 1
            self.fail("Stale Connection", "Stale Connection")
            return
        self._pings_out += 1
        self._ping_sent_ns = now_ns
        self.send(b"PING\r\n")

    def on_pong(self) -> None:
        self._pings_out = 0
        if self._ping_sent_ns:
            self.rtt_ns = max(time.monotonic_ns() - self._ping_sent_ns, 1)

    # -- end ----------------------------------------------------------------------------------------------------------

    def on_closing(self) -> None:
        for timer in (self._ping_timer, self._login_timer, self._expiry_timer):
            if timer is not None:
                timer.cancel()
        self.stop_ns = time.time_ns()
        registry = self.context.broker.registry
        registry.remove(self)
        self._withdraw_subscriptions()
        if isinstance(self.account, Account):
            self.account.detach(self)
        if self._is_announced:
            self.context.events.disconnected(self)
        self.context.logger.debug("%s - Client connection closed: %s", self, self.close_reason or "Client Closed")

    def request_info(self) -> RequestInfo:
        """What a service import may tell of this client."""
        connect = self.connect or Connect()
        return RequestInfo(
            start=time_text(self.start_ns),
            host=self.ip,
            id=self.cid,
            user=self.identity.name if self.identity else "",
            name=connect.name or "",
            lang=connect.lang or "",
            ver=connect.version or "",
            rtt=self.rtt_ns,
            server=self.context.broker.identity.name,
            kind="Client",
            client_type=self._type(),
        )

    # -- for monitoring -----------------------------------------------------------------------------------------------

    def snapshot(self, *, subscriptions_max: int = 0) -> ConnectionSnapshot:
        """An immutable picture of this connection, with at most so many of its subscriptions."""
        connect = self.connect or Connect()
        return picture(
            self,
            "Client",
            self.subscriptions.values(),
            subscriptions_max,
            type=self._type(),
            name=connect.name or "",
            lang=connect.lang or "",
            version=connect.version or "",
            user=(self.identity.name if self.identity else "") or connect.user or "",
        )

    def _type(self) -> str:
        return "websocket" if self.framing is not None else "nats"
