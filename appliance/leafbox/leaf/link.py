"""One leaf link, whoever dialled: interest both ways, rules, pings, loop detection, and how it ends.

The compiled base parses and moves messages. Who shakes hands how is in `accepted` and `dialled`; what is told to the
peer is in `interest`. All of it runs on the event loop, to completion.

A link is *spoke* on the side whose peer is a hub. A spoke keeps to itself what it hears from other hubs.
"""

from __future__ import annotations

import random
import time
from asyncio import TimerHandle

from leafbox.broker import tracing
from leafbox.broker.account import STAYS_HERE, Account
from leafbox.broker.config import WriteTimeoutPolicy
from leafbox.broker.registry import ConnectionSnapshot, picture
from leafbox.broker.tracing import KIND_LEAF, Arrival, TracePoint
from leafbox.dataplane.leaf_connection import CONTROL_LINE_FACTOR, LeafConnection
from leafbox.dataplane.routing import Receiver, Subscription
from leafbox.dataplane.s2 import S2Framing
from leafbox.dataplane.subjects import is_valid_subject
from leafbox.leaf.compression import running_mode
from leafbox.leaf.config import CompressionMode, CompressionOptions
from leafbox.leaf.context import LOOP_PREFIX, LeafContext
from leafbox.leaf.interest import LeafInterest
from leafbox.leaf.rules import LinkRules
from leafbox.monitoring.links import LeafSnapshot
from leafbox.protocol.leaf_info import LEAF_PROTOCOL
from leafbox.security.tls_accept import TlsFacts

# The first ping measures the round trip soon after the handshake (nats-server: 1 s).
FIRST_PING_S = 1.0
LOOP_DELAY_S = 30
"""How long the side that dialled stays away from a hub through which it heard itself."""


def error_line(text: str) -> bytes:
    """`-ERR` as the peer sees it."""
    return f"-ERR '{text}'\r\n".encode()


def quoted(subject: bytes) -> str:
    """A subject in double quotes as Go's %q prints it."""
    text = subject.decode("utf-8", "replace")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class LeafLink(LeafConnection):
    """The part that both directions share. `account` is set while the link is up."""

    def __init__(self, context: LeafContext, *, is_spoke: bool, ip: str = "", port: int = 0) -> None:
        super().__init__(context.broker.engine)
        self.context = context
        self.is_spoke = is_spoke
        self.is_isolated = False
        self.is_dialled = False
        self.ip = ip
        self.peer_port = port
        self.tls: TlsFacts | None = None
        self.peer_name = ""
        self.peer_version = ""
        self.peer_protocol = 0
        self.rtt_ns = 0
        self.start_ns = time.time_ns()
        self.start_monotonic = time.monotonic()
        self.stop_ns = 0
        self.rules = LinkRules()
        self.remote_interest: dict[tuple[bytes, bytes | None], Subscription] = {}
        self.compression = CompressionMode.OFF
        self._agreed_compression = CompressionMode.OFF
        self._s2: S2Framing | None = None
        self.told = LeafInterest(self, self.send, context.broker.engine.loop.call_soon)
        self._held: list[bytes] = []
        self._ping_timer: TimerHandle | None = None
        self._handshake_timer: TimerHandle | None = None
        self._pings_out = 0
        self._ping_sent_ns = 0
        self._denied_logged: set[bytes] = set()
        options = context.broker.options
        self.max_payload = options.payload_bytes_max
        self.max_control_line = options.control_line_bytes_max * CONTROL_LINE_FACTOR
        self.max_pending = options.pending_bytes_max
        self.cid = context.broker.registry.next_cid()

    def __str__(self) -> str:
        return f"{self.ip}:{self.peer_port} - lid:{self.cid}"

    # -- coming up ----------------------------------------------------------------------------------------------------

    def on_connected(self) -> None:
        if not self.ip:
            peer = self.transport.get_extra_info("peername")
            if isinstance(peer, tuple):
                self.ip, self.peer_port = str(peer[0]), int(peer[1])
        self.context.broker.registry.add(self)

    def compression_options(self) -> CompressionOptions:
        """What the configuration wants of this link."""
        raise AssertionError("each direction has its own")

    def begin_compression(self, agreed: CompressionMode) -> None:
        """From here on both directions are S2 streams, around the WebSocket's frames if there are any."""
        self._agreed_compression = agreed
        self.compression = running_mode(agreed, self.compression_options(), self.rtt_ns)
        self._s2 = S2Framing(self.compression is CompressionMode.S2_FAST, self.framing)
        self.begin_framing(self._s2)

    def come_up(self, account: Account, rules: LinkRules, cluster: str) -> None:
        """Take the place in the account: messages and interest flow from here on."""
        self.stop_handshake_timer()
        if self._s2 is not None:
            self._s2.trust()
        self.rules = rules
        self.outgoing, self.incoming = rules.outgoing, rules.incoming
        self.cluster = cluster.encode() or None
        self.max_payload = account.payload_limit(self.context.broker.options.payload_bytes_max)
        self.account = account
        account.leaf_links.add(self)
        self._held = [*mapping_sources(account), self.context.loop_subject(account)]
        self.told.open(account, list(self._held))
        self._schedule_ping(min(FIRST_PING_S, self._ping_interval_s()) * (1 + random.random() * 0.2))

    def refresh_mappings(self) -> None:
        """After a reload: announce the sources of new mappings, take back those that are gone."""
        account = self.account
        if not isinstance(account, Account):
            return
        before, after = set(self._held[:-1]), set(mapping_sources(account))
        for subject in after - before:
            self.told.hold(subject)
        for subject in before - after:
            self.told.release(subject)
        self._held = [*after, self._held[-1]]

    def start_handshake_timer(self, delay_s: float, text: str, reason: str) -> None:
        """End the link with this error unless the handshake gets on in time."""
        self.stop_handshake_timer()
        self._handshake_timer = self.engine.loop.call_later(delay_s, self.fail, text, reason)

    def stop_handshake_timer(self) -> None:
        """The step was taken."""
        if self._handshake_timer is not None:
            self._handshake_timer.cancel()
            self._handshake_timer = None

    # -- what we tell -------------------------------------------------------------------------------------------------

    def includes(self, subscription: Subscription) -> bool:
        """Whether this interest counts for the peer (leaf node specification section 2)."""
        receiver = subscription.receiver
        if not isinstance(receiver, LeafLink):
            return subscription.context is not STAYS_HERE
        if receiver is self or (self.is_spoke and receiver.is_spoke):
            return False
        return not self.is_isolated and not (self.cluster is not None and self.cluster == receiver.cluster)

    def may_tell(self, subject: bytes, queue: bytes | None) -> bool:
        """A hub would close the link for interest in what our user may not subscribe; `$LDS` is never checked."""
        telling = self.rules.telling
        return telling is None or subject.startswith(LOOP_PREFIX) or telling.allows_subscribe(subject, queue)

    # -- what we are told ---------------------------------------------------------------------------------------------

    def on_interest(self, subject: bytes, queue: bytes | None, weight: int) -> None:
        account = self.account
        assert isinstance(account, Account)
        if not is_valid_subject(subject):
            self.on_violation("", "Protocol Violation")
            return
        if subject.startswith(LOOP_PREFIX):
            if subject == self.context.loop_subject(account):
                self.on_loop(account)
                return
        elif self.rules.user is not None and not self.rules.user.allows_subscribe(subject, queue):
            self._end_for_violation(f"Permissions Violation for Subscription to {quoted(subject)}")
            return
        known = self.remote_interest.get((subject, queue))
        if known is not None:
            self._reweigh(account, known, weight)
            return
        most = account.subscription_limit(self.context.broker.options.subscriptions_max)
        if 0 <= most <= len(self.remote_interest):
            self.send(error_line("maximum subscriptions exceeded"))
            return
        subscription = Subscription(account, self, subject, queue)
        subscription.queue_weight = weight
        self.remote_interest[subject, queue] = subscription
        account.add(subscription)

    def on_interest_gone(self, subject: bytes, queue: bytes | None) -> None:
        subscription = self.remote_interest.pop((subject, queue), None)
        if subscription is not None:
            account = subscription.account
            assert isinstance(account, Account)
            account.remove(subscription)

    def _reweigh(self, account: Account, subscription: Subscription, weight: int) -> None:
        if subscription.queue is None or weight == subscription.queue_weight:
            return
        change = weight - subscription.queue_weight
        subscription.queue_weight = weight
        for link in account.leaf_links:
            if isinstance(link, LeafLink):
                link.told.interest_reweighed(subscription, change)

    def on_loop(self, account: Account) -> None:
        """We heard ourselves through the peer."""
        text = (
            f"Loop detected for leafnode account={quoted(account.name.encode())}. "
            f"Delaying attempt to reconnect for {LOOP_DELAY_S}s"
        )
        self.context.logger.error("%s - %s", self, text)
        self.fail(text, "Loop Detected")

    # -- violations ---------------------------------------------------------------------------------------------------

    def on_violation(self, text: str, reason: str) -> None:
        self.context.logger.error("%s - %s", self, text or reason)
        self.close(reason, error_line(text) if text else b"")

    def on_message_denied(self, subject: bytes) -> None:
        user = self.rules.user
        if user is not None and user.responses_max is None and not user.allows_publish(subject):
            self._end_for_violation(f"Permissions Violation for Publish to {quoted(subject)}")
        elif subject not in self._denied_logged and len(self._denied_logged) < 100:
            self._denied_logged.add(subject)
            self.context.logger.debug("%s - message on %s is kept out by a deny rule", self, quoted(subject))

    def _end_for_violation(self, text: str) -> None:
        self.context.logger.error("%s - %s", self, text)
        self.fail(text, "Permissions Violation")

    def on_slow_consumer(self) -> None:
        if isinstance(self.account, Account):
            self.account.slow_consumers += 1
        self.context.logger.warning("%s - Slow Consumer Detected: MaxPending of %d Exceeded", self, self.max_pending)

    def on_write_deadline(self) -> None:
        """A thin uplink may be slower than the deadline: links wait, as nats-server's do, unless told to close."""
        policy = self.context.options.write_timeout
        if policy is WriteTimeoutPolicy.DEFAULT:
            policy = self.context.broker.options.write_timeout
        deadline_s = self.context.options.write_deadline_s
        blocked_s = (time.monotonic_ns() - self.blocked_since_ns) / 1e9
        if policy is WriteTimeoutPolicy.CLOSE and blocked_s > deadline_s:
            self.abort("Slow Consumer (Write Deadline)")

    def fail(self, text: str, reason: str) -> None:
        """Tell the peer, then close."""
        self.close(reason, error_line(text))

    # -- pings --------------------------------------------------------------------------------------------------------

    def _ping_interval_s(self) -> float:
        return self.context.broker.options.ping_interval_s

    def _schedule_ping(self, delay_s: float) -> None:
        self._ping_timer = self.engine.loop.call_later(delay_s, self._ping)

    def _ping(self) -> None:
        """Whatever came since the last ping shows that the peer lives: on a thin uplink its PONG may wait in a row."""
        if self.closed:
            return
        self._schedule_ping(self._ping_interval_s())
        if self.last_activity_ns > self._ping_sent_ns:
            self._pings_out = 0
        if self._pings_out + 1 > self.context.broker.options.pings_out_max:
            self.engine.stale_connections += 1
            self.context.logger.warning("%s - Stale Connection", self)
            self.fail("Stale Connection", "Stale Connection")
            return
        self._pings_out += 1
        self._ping_sent_ns = time.monotonic_ns()
        self.send(b"PING\r\n")

    def ask_alive(self) -> None:
        """One ping out of turn: whatever comes back shows that the peer itself still answers."""
        self._ping_sent_ns = time.monotonic_ns()
        self.send(b"PING\r\n")

    def on_pong(self) -> None:
        self._pings_out = 0
        if self._ping_sent_ns:
            self.rtt_ns = max(time.monotonic_ns() - self._ping_sent_ns, 1)
        if self._s2 is not None:
            self.compression = running_mode(self._agreed_compression, self.compression_options(), self.rtt_ns)
            self._s2.encoder.compresses = self.compression is CompressionMode.S2_FAST

    # -- message traces -----------------------------------------------------------------------------------------------

    def trace_point(self) -> TracePoint:
        """How traces name this link."""
        return TracePoint(KIND_LEAF, self.cid, self.peer_name, self.peer_protocol >= LEAF_PROTOCOL)

    def trace_refusal(self, subscription: Subscription, origin: Receiver | None, subject: bytes) -> str:
        """Why the link would not take it; empty: it would."""
        if self.outgoing is not None and not self.outgoing.allows_publish(subject):
            return tracing.PUBLISH_DENIED
        return tracing.CLIENT_CLOSED if self.closed else ""

    def on_traceable(
        self, subject: bytes, reply: bytes, header: bytes, payload: bytes, queues: list[bytes]
    ) -> bytes | None:
        account = self.account
        if not isinstance(account, Account):
            return header
        incoming = self.incoming

        def allows(wanted: bytes) -> bool:
            if incoming is None or incoming.allows_publish(wanted):
                return True
            self.on_message_denied(wanted)
            return False

        def refuses(mapped: bytes) -> str | None:
            return None if allows(subject) else ""

        size = len(header) + len(payload)
        arrival = Arrival(
            self, account, self.trace_point(), subject, reply, header, payload, size, allows, refuses, _routed, queues
        )
        return self.context.broker.tracing.begin(arrival)

    # -- end ----------------------------------------------------------------------------------------------------------

    def on_closing(self) -> None:
        self.stop_handshake_timer()
        if self._ping_timer is not None:
            self._ping_timer.cancel()
        self.stop_ns = time.time_ns()
        account = self.account
        if isinstance(account, Account):
            account.leaf_links.discard(self)
            self.told.close(account)
            for subscription in list(self.remote_interest.values()):
                account.remove(subscription)
        self.context.broker.registry.remove(self)
        self.remote_interest.clear()

    # -- for monitoring -----------------------------------------------------------------------------------------------

    @property
    def account_name(self) -> str:
        """Empty until the link is up."""
        return self.account.name if isinstance(self.account, Account) else ""

    def leaf_snapshot(self) -> LeafSnapshot:
        """The link as `/leafz` shows it."""
        return LeafSnapshot(
            cid=self.cid,
            name=self.peer_name,
            is_spoke=self.is_spoke,
            account=self.account_name,
            ip=self.ip,
            port=self.peer_port,
            rtt_ns=self.rtt_ns,
            in_msgs=self.in_msgs,
            out_msgs=self.out_msgs,
            in_bytes=self.in_bytes,
            out_bytes=self.out_bytes,
            subscriptions=tuple(subject.decode("utf-8", "replace") for subject, _ in self.remote_interest),
            compression=self.compression.value,
            is_isolated=self.is_isolated,
        )

    def snapshot(self, *, subscriptions_max: int = 0) -> ConnectionSnapshot:
        """The link as a connection of the server."""
        subscriptions = self.remote_interest.values()
        return picture(
            self, "Leafnode", subscriptions, subscriptions_max, name=self.peer_name, version=self.peer_version
        )


def _routed(subject: bytes, taken: int) -> None:
    """Nobody is waiting for a word about it: the sender's server knows its interests."""


def mapping_sources(account: Account) -> list[bytes]:
    """What clients of the peer may publish to because a mapping here leads on."""
    sources: tuple[bytes, ...] = getattr(account.mappings, "sources", ())
    return list(dict.fromkeys(sources))
