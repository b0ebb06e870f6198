"""Registry of connections: live ones by id, and a bounded ring of those that ended, for monitoring.

A connection is anything with a `cid`; the registry holds no protocol knowledge. What is remembered of a closed
connection is the immutable snapshot that the connection makes of itself.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from leafbox.dataplane.routing import Subscription


@dataclass(frozen=True, slots=True)
class SubscriptionSnapshot:
    """One subscription of a connection; `queue` empty: plain, `max_msgs` 0: no limit."""

    subject: bytes
    queue: bytes
    sid: bytes
    msgs: int
    max_msgs: int


@dataclass(frozen=True, slots=True)
class ConnectionSnapshot:
    """What monitoring shows of one connection; times are wall-clock ns, `stop_ns` 0 while it lives."""

    cid: int
    kind: str
    type: str
    ip: str
    port: int
    start_ns: int
    last_activity_ns: int
    stop_ns: int
    reason: str
    rtt_ns: int
    uptime_ns: int
    idle_ns: int
    pending_bytes: int
    in_msgs: int
    out_msgs: int
    in_bytes: int
    out_bytes: int
    stalls: int
    subscription_count: int
    subscriptions: tuple[SubscriptionSnapshot, ...] = ()
    name: str = ""
    lang: str = ""
    version: str = ""
    account: str = ""
    user: str = ""
    tls_version: str = ""
    tls_cipher: str = ""
    mqtt_client: str = ""


class _Tls(Protocol):
    @property
    def version(self) -> str: ...

    @property
    def cipher(self) -> str: ...


class Pictured(Protocol):
    """What connections of all protocols have in common."""

    cid: int
    ip: str
    peer_port: int
    start_ns: int
    start_monotonic: float
    stop_ns: int
    rtt_ns: int
    last_activity_ns: int
    in_msgs: int
    out_msgs: int
    in_bytes: int
    out_bytes: int
    stalls: int

    @property
    def close_reason(self) -> str | None: ...

    @property
    def pending_bytes(self) -> int: ...

    @property
    def account(self) -> object: ...

    @property
    def tls(self) -> _Tls | None: ...


def picture(
    connection: Pictured,
    kind: str,
    subscriptions: Collection[Subscription],
    subscriptions_max: int,
    *,
    type: str = "",
    name: str = "",
    lang: str = "",
    version: str = "",
    user: str = "",
) -> ConnectionSnapshot:
    """The snapshot of a connection, with at most so many of its subscriptions."""
    idle_ns = time.monotonic_ns() - connection.last_activity_ns if connection.last_activity_ns else 0
    return ConnectionSnapshot(
        cid=connection.cid,
        kind=kind,
        type=type,
        ip=connection.ip,
        port=connection.peer_port,
        start_ns=connection.start_ns,
        last_activity_ns=time.time_ns() - idle_ns,
        stop_ns=connection.stop_ns,
        reason=(connection.close_reason or "Client Closed") if connection.stop_ns else "",
        rtt_ns=connection.rtt_ns,
        uptime_ns=int((time.monotonic() - connection.start_monotonic) * 1e9),
        idle_ns=idle_ns,
        pending_bytes=connection.pending_bytes,
        in_msgs=connection.in_msgs,
        out_msgs=connection.out_msgs,
        in_bytes=connection.in_bytes,
        out_bytes=connection.out_bytes,
        stalls=connection.stalls,
        subscription_count=len(subscriptions),
        subscriptions=tuple(
            SubscriptionSnapshot(each.subject, each.queue or b"", each.sid, each.delivered, each.max_deliver)
            for each in islice(subscriptions, subscriptions_max)
        ),
        name=name,
        lang=lang,
        version=version,
        account=str(getattr(connection.account, "name", "")),
        user=user,
        tls_version=connection.tls.version if connection.tls else "",
        tls_cipher=connection.tls.cipher if connection.tls else "",
    )


class Registered(Protocol):
    """What the registry needs of a connection."""

    cid: int

    def snapshot(self, *, subscriptions_max: int = 0) -> ConnectionSnapshot:
        """The connection now, with at most so many of its subscriptions."""
        ...


CLOSED_SUBSCRIPTIONS_MAX = 32
"""Subscriptions remembered of a closed connection. nats-server keeps all; 10,000 connections times many subscriptions
would be most of a small box's memory."""


class Registry:
    """Connections of one server. `closed_max` bounds the ring (nats-server: max_closed_clients, 10,000)."""

    def __init__(self, closed_max: int) -> None:
        self._live: dict[int, Registered] = {}
        self._closed: deque[ConnectionSnapshot] = deque(maxlen=max(closed_max, 0))
        self._last_cid = 0
        self.total = 0

    def next_cid(self) -> int:
        """A connection id that was never used before in this server."""
        self._last_cid += 1
        return self._last_cid

    def add(self, connection: Registered) -> None:
        """Enter a connection under its cid."""
        self._live[connection.cid] = connection
        self.total += 1

    def remove(self, connection: Registered) -> None:
        """Forget a live connection and remember its last snapshot; unknown ones are ignored."""
        if self._live.pop(connection.cid, None) is not None:
            self._closed.append(connection.snapshot(subscriptions_max=CLOSED_SUBSCRIPTIONS_MAX))

    def get(self, cid: int) -> Registered | None:
        """The live connection with this id."""
        return self._live.get(cid)

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[Registered]:
        return iter(list(self._live.values()))

    @property
    def closed(self) -> tuple[ConnectionSnapshot, ...]:
        """Snapshots of ended connections, oldest first."""
        return tuple(self._closed)
