"""Measures the running server once a second, for the history: counters become rates, gauges are read.

One row costs about 0.2 ms of the loop: a handful of attributes, one sum over the streams, five small files of the
kernel. Not here: keeping rows (`monitoring.history`) and writing them (`Recorder` beside).
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from leafbox.app.jetstream import DurableSide
from leafbox.broker.broker import Broker
from leafbox.monitoring.machine import Machine, ProcessorTimes
from leafbox.monitoring.series import NOT_MEASURED, SERIES
from leafbox.monitoring.snapshots import resident_bytes

STREAMS_EACH_SECOND = 1000
"""With more streams their messages are summed up every tenth second only: a sum costs 0.2 µs a stream."""


class SampledServer(Protocol):
    """What of the server is measured."""

    broker: Broker
    durable: DurableSide | None


@dataclass(slots=True)
class Counters:
    """Everything that only grows, at one moment."""

    monotonic_s: float
    in_msgs: int = 0
    out_msgs: int = 0
    in_bytes: int = 0
    out_bytes: int = 0
    slow_consumers: int = 0
    used_s: float = 0.0
    commits: int = 0
    syncs: int = 0
    sync_us: int = 0
    log_bytes: int = 0
    device_bytes: int | None = None
    ticks: ProcessorTimes | None = None


class Sampler:
    """`values()` gives the row since the last call, in the order of `SERIES`."""

    def __init__(self, server: SampledServer, machine: Machine, backlog: Callable[[], int | None]) -> None:
        self._server = server
        self._machine = machine
        self._backlog = backlog
        self._before = self._counters()
        self._stored = (0, 0)
        self._readings = 0

    def values(self) -> list[float]:
        """One row; NaN where something cannot be measured."""
        before, now = self._before, self._counters()
        self._before = now
        elapsed_s = max(now.monotonic_s - before.monotonic_s, 1e-3)

        def rate(name: str) -> float:
            return float(getattr(now, name) - getattr(before, name)) / elapsed_s

        row = {
            "messages_in": rate("in_msgs"),
            "messages_out": rate("out_msgs"),
            "bytes_in": rate("in_bytes"),
            "bytes_out": rate("out_bytes"),
            "slow_consumers": rate("slow_consumers"),
            "cpu": 100 * rate("used_s"),
            "memory_bytes": float(resident_bytes()),
            "machine_cpu": _busy_percent(before.ticks, now.ticks),
            "machine_memory_bytes": _known(self._machine.memory_used_bytes()),
            "temperature": _known(self._machine.temperature()),
            "free_bytes": float(self._machine.flash()[1]),
            "device_bytes": _written(before, now, elapsed_s),
            "backlog": _known(self._backlog()),
            **self._connections(),
            **self._store(before, now, rate),
        }
        return [row.get(series.name, NOT_MEASURED) for series in SERIES]

    def _connections(self) -> dict[str, float]:
        broker = self._server.broker
        links = sum(len(account.leaf_links) for account in broker.accounts.values())
        return {
            "connections": float(len(broker.registry) - links),
            "leaf_links": float(links),
            "subscriptions": float(sum(account.sublist.count for account in broker.accounts.values())),
        }

    def _store(self, before: Counters, now: Counters, rate: Callable[[str], float]) -> dict[str, float]:
        durable = self._server.durable
        if durable is None:
            return {}
        syncs = now.syncs - before.syncs
        messages, stored_bytes = self._sum_streams(durable)
        return {
            "stored_messages": float(messages),
            "stored_bytes": float(stored_bytes),
            "commits": rate("commits"),
            "sync_us": (now.sync_us - before.sync_us) / syncs if syncs else NOT_MEASURED,
            "sync_longest_us": float(durable.store.take_longest_sync_us()) if syncs else NOT_MEASURED,
            "log_bytes": rate("log_bytes"),
        }

    def _sum_streams(self, durable: DurableSide) -> tuple[int, int]:
        accounts = durable.jetstream.accounts.values()
        self._readings += 1
        if sum(len(account.streams) for account in accounts) <= STREAMS_EACH_SECOND or self._readings % 10 == 1:
            stores = [stream.store for account in accounts for stream in account.streams.values()]
            self._stored = (sum(store.messages for store in stores), sum(store.stored_bytes for store in stores))
        return self._stored

    def _counters(self) -> Counters:
        engine = self._server.broker.engine
        usage = resource.getrusage(resource.RUSAGE_SELF)
        device = self._machine.device()
        # The box's own conversation (dashboard, commands, events) is in the system account: no traffic of the site.
        own = self._server.broker.system_account
        counters = Counters(
            monotonic_s=time.monotonic(),
            in_msgs=engine.in_msgs - (own.in_msgs if own else 0),
            out_msgs=engine.out_msgs - (own.out_msgs if own else 0),
            in_bytes=engine.in_bytes - (own.in_bytes if own else 0),
            out_bytes=engine.out_bytes - (own.out_bytes if own else 0),
            slow_consumers=engine.slow_consumers,
            used_s=usage.ru_utime + usage.ru_stime,
            device_bytes=device.written_bytes if device is not None else None,
            ticks=self._machine.processor_times(),
        )
        if self._server.durable is not None:
            status = self._server.durable.store.journal.status()
            counters.commits, counters.log_bytes = status.commit_count, status.written_bytes
            counters.syncs, counters.sync_us = status.sync_count, status.sync_us
        return counters


def _known(value: float | None) -> float:
    return NOT_MEASURED if value is None else float(value)


def _busy_percent(before: ProcessorTimes | None, now: ProcessorTimes | None) -> float:
    if before is None or now is None or now.total <= before.total:
        return NOT_MEASURED
    return 100 * (now.busy - before.busy) / (now.total - before.total)


def _written(before: Counters, now: Counters, elapsed_s: float) -> float:
    if before.device_bytes is None or now.device_bytes is None:
        return NOT_MEASURED
    return (now.device_bytes - before.device_bytes) / elapsed_s
