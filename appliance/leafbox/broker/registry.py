"""Registry of connections: live ones by id, and a bounded ring of those that ended, for monitoring.

A connection is anything with a `cid`; the registry holds no protocol knowledge. What is remembered of a closed
connection is the immutable snapshot that the connection makes of itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


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
