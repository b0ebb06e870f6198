"""Immutable pictures of the server, its accounts and subscriptions, taken on the loop in one go.

Everything monitoring shows comes from these values (and from `ConnectionSnapshot`s that connections make of
themselves), so a document is never half old and half new and may be written on any thread. Not here: JSON, HTTP.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass

from leafbox.broker.account import Account
from leafbox.broker.broker import Broker
from leafbox.broker.registry import ConnectionSnapshot
from leafbox.dataplane.routing import Subscription

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class SublistSnapshot:
    """Counts of one account's subject index, or of several together."""

    subscriptions: int = 0
    cached: int = 0
    inserts: int = 0
    removes: int = 0
    matches: int = 0
    cache_hits: int = 0

    def __add__(self, other: SublistSnapshot) -> SublistSnapshot:
        return SublistSnapshot(
            self.subscriptions + other.subscriptions,
            self.cached + other.cached,
            self.inserts + other.inserts,
            self.removes + other.removes,
            self.matches + other.matches,
            self.cache_hits + other.cache_hits,
        )


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """One account; `in_*` is what its connections sent to us."""

    name: str
    is_system: bool
    client_connections: int
    leaf_connections: int
    total_connections: int
    in_msgs: int
    in_bytes: int
    out_msgs: int
    out_bytes: int
    slow_consumers: int
    sublist: SublistSnapshot


@dataclass(frozen=True, slots=True)
class AccountSubscription:
    """One subscription as `/subsz` lists it; `queue` and `sid` empty when it has none."""

    account: str
    subject: str
    queue: str
    sid: str
    msgs: int
    max_msgs: int
    cid: int


@dataclass(frozen=True, slots=True)
class ServerSnapshot:
    """The server as a whole; times are wall-clock ns."""

    server_id: str
    name: str
    version: str
    git_commit: str
    language: str
    start_ns: int
    now_ns: int
    memory_bytes: int
    cpu_percent: float
    cores: int
    connections: int
    leaf_connections: int
    total_connections: int
    in_msgs: int
    in_bytes: int
    out_msgs: int
    out_bytes: int
    leaf_in_msgs: int
    leaf_in_bytes: int
    leaf_out_msgs: int
    leaf_out_bytes: int
    slow_consumers: int
    stale_connections: int
    stalled_clients: int
    subscriptions: int


class ProcessorGauge:
    """Processor time of this process between two readings, in percent of one core.

    Readings less than a second apart give the last value again: the clock behind them ticks too coarsely.
    """

    def __init__(self) -> None:
        self._read_at_s = time.monotonic()
        self._used_s = _used_s()
        self._percent = 0.0

    def percent(self) -> float:
        """Percent since the previous reading."""
        now_s, used_s = time.monotonic(), _used_s()
        if now_s - self._read_at_s >= 1.0:
            self._percent = round(100 * (used_s - self._used_s) / (now_s - self._read_at_s), 1)
            self._read_at_s, self._used_s = now_s, used_s
        return self._percent


def take_server(broker: Broker, processor: ProcessorGauge) -> ServerSnapshot:
    """The server now. Costs one pass over the connections and one over the accounts."""
    identity, engine, registry = broker.identity, broker.engine, broker.registry
    # Links to other servers are registered like clients, but nats-server counts them apart.
    leafs = [connection.snapshot() for connection in registry if getattr(connection, "is_remote", False)]
    return ServerSnapshot(
        server_id=identity.server_id,
        name=identity.name,
        version=identity.version,
        git_commit=identity.git_commit,
        language=identity.language,
        start_ns=identity.start_ns,
        now_ns=time.time_ns(),
        memory_bytes=resident_bytes(),
        cpu_percent=processor.percent(),
        cores=os.cpu_count() or 1,
        connections=len(registry) - len(leafs),
        leaf_connections=len(leafs),
        total_connections=registry.total,
        in_msgs=engine.in_msgs,
        in_bytes=engine.in_bytes,
        out_msgs=engine.out_msgs,
        out_bytes=engine.out_bytes,
        leaf_in_msgs=sum(leaf.in_msgs for leaf in leafs),
        leaf_in_bytes=sum(leaf.in_bytes for leaf in leafs),
        leaf_out_msgs=sum(leaf.out_msgs for leaf in leafs),
        leaf_out_bytes=sum(leaf.out_bytes for leaf in leafs),
        slow_consumers=engine.slow_consumers,
        stale_connections=engine.stale_connections,
        stalled_clients=engine.stalled,
        subscriptions=sum(account.sublist.count for account in broker.accounts.values()),
    )


def take_account(account: Account) -> AccountSnapshot:
    """One account now."""
    sublist = account.sublist
    return AccountSnapshot(
        name=account.name,
        is_system=account.is_system,
        client_connections=len(account.connections),
        leaf_connections=len(account.leaf_links),
        total_connections=len(account.connections) + len(account.leaf_links),
        in_msgs=account.in_msgs,
        in_bytes=account.in_bytes,
        out_msgs=account.out_msgs,
        out_bytes=account.out_bytes,
        slow_consumers=account.slow_consumers,
        sublist=SublistSnapshot(
            sublist.count, sublist.cache_count, sublist.inserts, sublist.removes, sublist.matches, sublist.cache_hits
        ),
    )


def take_subscriptions(accounts: Iterable[Account]) -> list[AccountSubscription]:
    """Every subscription of these accounts, internal ones included (sid empty, cid 0)."""
    return [_subscription(account.name, entry) for account in accounts for entry in account.subscriptions()]


def take_connections(
    broker: Broker, *, is_open: bool, is_closed: bool, with_subscriptions: bool
) -> list[ConnectionSnapshot]:
    """Live connections, then closed ones that are remembered."""
    most = sys.maxsize if with_subscriptions else 0
    found = [connection.snapshot(subscriptions_max=most) for connection in broker.registry] if is_open else []
    return found + list(broker.registry.closed) if is_closed else found


def resident_bytes() -> int:
    """Memory of this process that is in RAM."""
    with open("/proc/self/statm", "rb") as statm:
        return int(statm.read().split()[1]) * PAGE_BYTES


def _subscription(account: str, entry: Subscription) -> AccountSubscription:
    return AccountSubscription(
        account=account,
        subject=_text(entry.subject),
        queue=_text(entry.queue or b""),
        sid=_text(entry.sid),
        msgs=entry.delivered,
        max_msgs=entry.max_deliver,
        cid=getattr(entry.receiver, "cid", 0),
    )


def _text(subject: bytes) -> str:
    return subject.decode("utf-8", "replace")


def _used_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
