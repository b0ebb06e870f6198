"""Message tracing: a message whose header asks for it has its way through this server written down (ADR-41).

A traced message leaves the compiled path: it is routed here, one receiver after the other, with an event for each. So
tracing costs an untraced message nothing but a look at its header, if it has one. What happened is one `MessageTrace`;
who turns that into a message for the trace's subject is the sink (`monitoring.trace_events`).

Source: ADR-41 and what nats-server 2.15.1 sends, text by text. A trace ends where an import or export leads into
another account, unless that says `allow_trace`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from leafbox.dataplane.routing import Receiver, Subscription, hand
from leafbox.protocol.jetstream import headers

if TYPE_CHECKING:
    from leafbox.broker.account import Account

DESTINATION = b"Nats-Trace-Dest"
DISABLED = b"trace disabled"
"""No valid subject: servers further on leave the message alone."""
HOP = b"Nats-Trace-Hop"
ORIGIN_ACCOUNT = b"Nats-Trace-Origin-Account"
ONLY = b"Nats-Trace-Only"
PARENT = b"traceparent"
HEADERS_MAX = 64
"""Of one message; nats-server counts on as many and takes more. Ours are bounded by the payload limit anyway."""

KIND_CLIENT, KIND_LEAF = 0, 4

NO_ECHO = "Not delivered because of no echo"
SUBSCRIPTION_DENIED = "Not delivered because subscription denies this subject"
PUBLISH_DENIED = "Not delivered because publish denied for this subject"
EXHAUSTED = "Not delivered because auto-unsubscribe exceeded"
CLIENT_CLOSED = "Not delivered because client is closed"
ONLY_NOT_SUPPORTED = "Not delivered because remote does not support message tracing"
NOT_SUPPORTED = "Message delivered but remote does not support message tracing so no trace event generated from there"

Event = dict[str, object]
"""One event in the order of its fields; `ts` in nanoseconds since 1970."""


@dataclass(frozen=True, slots=True)
class TracePoint:
    """How a connection appears in events."""

    kind: int
    cid: int
    name: str = ""
    is_tracing: bool = True
    """False: the other server knows no tracing."""


class TracedReceiver(Protocol):
    """What tracing asks of a connection, beside that it is a `Receiver`."""

    def trace_point(self) -> TracePoint: ...


@dataclass(frozen=True, slots=True)
class TraceRequest:
    """What a header asks for. `destination` empty: by `traceparent`, so the account says where to."""

    fields: dict[str, list[str]]
    destination: str = ""
    is_only: bool = False

    def first(self, name: bytes) -> str:
        """The first value of a header; names are compared exactly."""
        values = self.fields.get(name.decode())
        return values[0] if values else ""


def read_request(header: bytes) -> TraceRequest | None:
    """What a header block asks for; None: nothing."""
    if not header.startswith(headers.LINE):
        return None
    fields: dict[str, list[str]] = {}
    is_sampled = has_destination = False
    for line in header[len(headers.LINE) :].split(b"\r\n"):
        key, colon, value = line.partition(b":")
        value = value.strip(b" \t")
        if not colon:
            break
        if not key or not value:
            continue
        if key == DESTINATION:
            if value == DISABLED and not has_destination:
                return None
            has_destination = True
        elif key.lower() == PARENT:
            is_sampled = is_sampled or _is_sampled(value)
        fields.setdefault(key.decode("utf-8", "replace"), []).append(value.decode("utf-8", "replace"))
    if has_destination:
        only = (fields.get(ONLY.decode()) or [""])[0].lower()
        return TraceRequest(fields, fields[DESTINATION.decode()][0], only in ("1", "true", "on"))
    return TraceRequest(fields) if is_sampled else None


def _is_sampled(parent: bytes) -> bool:
    """The flag of `version-trace-span-flags`."""
    parts = parent.split(b"-")
    if len(parts) != 4 or len(parts[3]) != 2:
        return False
    try:
        flags = int(parts[3], 16)
    except ValueError:
        return False
    # nats-server reads the two digits as a signed byte and takes no other.
    return flags < 0x80 and bool(flags & 1)


@dataclass(slots=True)
class MessageTrace:
    """One message under way through this server."""

    account: Account
    request: TraceRequest
    destination: str
    size: int
    hop: str = ""
    hops: int = 0
    events: list[Event] = field(default_factory=list)

    @property
    def is_only(self) -> bool:
        """The message is not delivered, only its way is told."""
        return self.request.is_only

    def add(self, what: str, /, **fields: object) -> Event:
        """One more event; fields that are empty are left out by whoever writes it."""
        event: Event = {"type": what, "ts": time.time_ns(), **fields}
        self.events.append(event)
        return event

    def fail(self, text: str) -> None:
        """The message came no further than to this server."""
        self.events[0]["error"] = text

    # -- the way ------------------------------------------------------------------------------------------------------

    def route(
        self,
        account: Account,
        origin: Receiver | None,
        subject: bytes,
        reply: bytes,
        header: bytes,
        payload: bytes,
        queues: Sequence[bytes] | None = None,
    ) -> int:
        """Deliver to everybody as the compiled `route` does, one by one; how many took it. `queues`: only these."""
        way = _Way(self, origin, subject, reply, header, payload)
        result = account.sublist.find(subject)
        for subscription in result.entries:
            if not subscription.closed:
                way.offer(subscription)
        for name, members in zip(result.queue_names, result.groups, strict=True):
            if queues is None or name in queues:
                way.offer_group(members)
        return way.send_to_links()


class _Way:
    """One pass over the receivers of one subject."""

    def __init__(
        self, trace: MessageTrace, origin: Receiver | None, subject: bytes, reply: bytes, header: bytes, payload: bytes
    ) -> None:
        self._trace = trace
        self._origin = origin
        self._subject, self._reply, self._header, self._payload = subject, reply, header, payload
        self._links: dict[Receiver, list[Subscription]] = {}
        self._taken = 0

    def offer(self, subscription: Subscription) -> bool:
        """To one subscription; links are kept for the end. Whether it was taken."""
        receiver = subscription.receiver
        if receiver.is_remote:
            if receiver is not self._origin:
                self._links.setdefault(receiver, []).append(subscription)
            return False
        is_taken = self._deliver(subscription)
        self._taken += is_taken
        return is_taken

    def offer_group(self, members: list[Subscription]) -> None:
        """To one member of a queue group, one that is here if there is any."""
        start = random.randrange(len(members))
        remote = []
        for member in members[start:] + members[:start]:
            if member.closed:
                continue
            if member.receiver.is_remote:
                remote.append(member)
            elif self.offer(member):
                return
        candidates = [member for member in remote if member.receiver is not self._origin]
        if candidates:
            weights = [max(member.queue_weight, 1) for member in candidates]
            self.offer(random.choices(candidates, weights)[0])

    def send_to_links(self) -> int:
        """Once to each link; how many took the message in all."""
        trace = self._trace
        for link, subscriptions in self._links.items():
            trace.hops += 1
            hop = f"{trace.hop}.{trace.hops}" if trace.hop else str(trace.hops)
            header = headers.replace(self._header, HOP, hop.encode())
            point, refusal = _point(link), link.trace_refusal(subscriptions[0], self._origin, self._subject)
            is_silent = point is not None and not point.is_tracing
            if not refusal and is_silent and trace.is_only:
                refusal = ONLY_NOT_SUPPORTED
            error = refusal or (NOT_SUPPORTED if is_silent else "")
            self._egress(link, None, hop, error)
            if not refusal:
                self._taken += hand(subscriptions, self._origin, self._subject, self._reply, header, self._payload)
        return self._taken

    def _deliver(self, subscription: Subscription) -> bool:
        trace, receiver, subject = self._trace, subscription.receiver, self._subject
        if subscription.primary is not None:
            local = subscription.local_subject(subject) if subscription.local_subject is not None else subject
            if local is None:
                return False
            trace.add("se", acc=_account_name(receiver), to=_text(local))
            if not subscription.context:
                return trace.is_only or self._hand(subscription, local)
            subject = local
        into = getattr(receiver, "on_traced", None)
        if into is not None:
            # A stream: it stores what it is given, and servers it goes to later must not trace that again.
            header = self._header if trace.is_only else headers.replace(self._header, DESTINATION, DISABLED)
            into(trace, subject, self._reply, header, self._payload, self._origin)
            return True
        forward = getattr(subscription.context, "forward_traced", None)
        if forward is not None:
            return bool(forward(trace, subject, self._reply, self._header, self._payload, self._origin))
        if _point(receiver) is None:
            # Something inside the server, of which no server tells.
            return trace.is_only or self._hand(subscription, subject)
        refusal = receiver.trace_refusal(subscription, self._origin, subject)
        self._egress(receiver, subscription, "", refusal)
        return not refusal and (trace.is_only or self._hand(subscription, subject))

    def _hand(self, subscription: Subscription, subject: bytes) -> bool:
        return hand([subscription], self._origin, subject, self._reply, self._header, self._payload)

    def _egress(self, receiver: Receiver, subscription: Subscription | None, hop: str, error: str) -> None:
        point = _point(receiver)
        assert point is not None
        account = _account_name(receiver)
        shown = subscription.primary or subscription if subscription is not None else None
        self._trace.add(
            "eg",
            kind=point.kind,
            cid=point.cid,
            name=point.name,
            hop=hop,
            acc=account if account != self._trace.events[0]["acc"] else "",
            sub=_text(shown.subject) if shown is not None else "",
            queue=_text(shown.queue) if shown is not None and shown.queue is not None else "",
            error=error,
        )


class Tracing:
    """Begins traces for one server. Without a `sink` no message is traced."""

    def __init__(self) -> None:
        self.sink: Callable[[MessageTrace], None] | None = None

    def begin(self, arrival: Arrival) -> bytes | None:
        """Look at a message that may ask for a trace, and lead it through if it does.

        Returns the header with which it goes its usual way, or None when there is nothing left to do.
        """
        request = read_request(arrival.header) if self.sink is not None else None
        if request is None:
            return arrival.header
        if request.destination and request.first(ORIGIN_ACCOUNT):
            return None if request.is_only else headers.replace(arrival.header, DESTINATION, DISABLED)
        destination = request.destination
        if not destination:
            wanted = arrival.account.message_trace
            if wanted is None:
                return arrival.header
            if arrival.point.kind == KIND_CLIENT and random.random() * 100 >= wanted.sampling_percent:
                return headers.replace(arrival.header, DESTINATION, DISABLED)
            destination = wanted.destination
        if not _is_publishable(destination):
            return None if request.is_only else arrival.header
        if not arrival.allows(destination.encode()):
            return None
        self._lead(arrival, self._trace(arrival, request, destination))
        return None

    def refuse(self, arrival: Arrival, error: str) -> None:
        """Tell of a message that is not read at all."""
        request = read_request(arrival.header) if self.sink is not None else None
        wanted = arrival.account.message_trace
        destination = request.destination or (wanted.destination if wanted else "") if request is not None else ""
        if request is not None and _is_publishable(destination) and arrival.allows(destination.encode()):
            trace = self._trace(arrival, request, destination)
            trace.fail(error)
            self._finish(trace)

    def _trace(self, arrival: Arrival, request: TraceRequest, destination: str) -> MessageTrace:
        point = arrival.point
        hop = request.first(HOP) if point.kind != KIND_CLIENT else ""
        trace = MessageTrace(arrival.account, request, destination, arrival.size, hop)
        trace.add(
            "in",
            kind=point.kind,
            cid=point.cid,
            name=point.name,
            acc=arrival.account.name,
            subj=_text(arrival.subject),
            error="",
        )
        return trace

    def _lead(self, arrival: Arrival, trace: MessageTrace) -> None:
        account, subject, queues = arrival.account, arrival.subject, arrival.queues
        if account.mappings is not None:
            mapped = account.mappings.map(subject)
            if mapped is None:
                self._finish(trace)
                return
            if mapped != subject:
                # The sender could not know our mapping, so the groups it named do not bind us.
                subject, queues = mapped, None
                trace.add("sm", to=_text(mapped))
        refusal = arrival.refuses(subject)
        if refusal is None:
            taken = trace.route(
                account, arrival.origin, subject, arrival.reply, arrival.header, arrival.payload, queues
            )
            arrival.routed(subject, taken)
        elif refusal:
            trace.fail(refusal)
        self._finish(trace)

    def _finish(self, trace: MessageTrace) -> None:
        if self.sink is not None:
            self.sink(trace)


@dataclass(slots=True)
class Arrival:
    """A message as it came in, and what its connection says to it."""

    origin: Receiver
    account: Account
    point: TracePoint
    subject: bytes
    reply: bytes
    header: bytes
    payload: bytes
    size: int
    allows: Callable[[bytes], bool]
    """Whether the sender may publish to the trace's destination; tells it if not."""
    refuses: Callable[[bytes], str | None]
    """None: the message may go on; else the error of the event (perhaps empty), and the sender was told."""
    routed: Callable[[bytes, int], None]
    """After the message was routed to so many."""
    queues: list[bytes] | None = None


def _point(receiver: Receiver) -> TracePoint | None:
    point = getattr(receiver, "trace_point", None)
    found: TracePoint | None = point() if point is not None else None
    return found


def _account_name(receiver: Receiver) -> str:
    return str(getattr(getattr(receiver, "account", None), "name", ""))


def _text(subject: bytes) -> str:
    return subject.decode("utf-8", "replace")


def _is_publishable(subject: str) -> bool:
    """A literal subject: no empty tokens, no wildcards, no white space."""
    tokens = subject.split(".")
    return all(token and token not in ("*", ">") and not any(c.isspace() for c in token) for token in tokens)
