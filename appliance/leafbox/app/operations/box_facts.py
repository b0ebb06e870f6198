"""Takes the `BoxSnapshot` of a running server: where the facts of all its parts come together.

Costs one pass over the streams and one over the consumers, of which at most CONSUMERS_LOOKED_AT are asked; it is taken
every ten seconds and when somebody asks. Not here: what is wrong with the facts (`monitoring.issues`).
"""

from __future__ import annotations

import logging
import math
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol

from leafbox.app.configuration.options import Options
from leafbox.app.jetstream import DurableSide
from leafbox.app.operations.recorder import Recorder
from leafbox.dataplane.journal import JournalState
from leafbox.jetstream.stream import Stream
from leafbox.leaf.remote import UplinkSnapshot
from leafbox.monitoring.box_snapshot import (
    BacklogFact,
    BoxSnapshot,
    BridgeFact,
    CertificateFact,
    ChildFact,
    ConsumerFact,
    ListenerFact,
    StoreFact,
    StreamFact,
    UplinkFact,
)
from leafbox.monitoring.history import HOUR_S, MINUTE_S
from leafbox.monitoring.machine import Machine
from leafbox.monitoring.series import BY_NAME, COLUMN
from leafbox.monitoring.snapshots import resident_bytes
from leafbox.protocol.jetstream.stream_config import DiscardPolicy
from leafbox.security.authentication import Authenticator, ListenerRules
from leafbox.security.config import TlsOptions
from leafbox.storage.engine import Store

logger = logging.getLogger(__name__)

CONSUMERS_LOOKED_AT = 1000
"""A consumer's info costs some 20 µs; a box with more consumers has other worries."""
CERTIFICATES_READ_EVERY_S = 600.0
HISTORY_READ_EVERY_S = 10.0
"""What the last hour says is worked out so often: its 3600 rows cost more than all the rest of a snapshot."""
STATES = {
    JournalState.JOURNAL_READY: "ready",
    JournalState.JOURNAL_FAILED: "failed",
    JournalState.JOURNAL_FULL: "full",
    JournalState.JOURNAL_CLOSED: "closed",
}


class UplinkSource(Protocol):
    """What of the leaf links is looked at."""

    def uplinks(self) -> list[UplinkSnapshot]:
        """The hubs."""
        ...


class WatchedServer(Protocol):
    """What of the server is looked at."""

    options: Options
    authenticator: Authenticator
    durable: DurableSide | None

    @property
    def leafs(self) -> UplinkSource: ...

    def ports(self) -> dict[str, int]:
        """Bound ports by listener: `client`, `websocket`, `mqtt`, `leafnode`, `monitoring`."""
        ...


class BoxFacts:
    """Takes snapshots of one server. The callables are set by those who know; unset they mean "not known"."""

    def __init__(self, server: WatchedServer, data: Path, machine: Machine, recorder: Callable[[], Recorder]) -> None:
        self._server = server
        self._data = data
        self._machine = machine
        self._recorder = recorder
        self._start_s = int(time.time())
        self._certificates: tuple[CertificateFact, ...] = ()
        self._certificates_read_s = -math.inf
        self._hour: tuple[BacklogFact | None, int] = None, 0
        self._hour_read_s = -math.inf
        self.is_claimed: Callable[[], bool | None] = lambda: None
        self.uplinks: Callable[[], Sequence[UplinkFact]] = self._links
        self.bridges: Callable[[], Sequence[BridgeFact]] = tuple
        self.children: Callable[[], Sequence[ChildFact]] = tuple
        self.dashboard: Callable[[], ListenerFact | None] = lambda: None

    def take(self) -> BoxSnapshot:
        """The box now."""
        options, durable = self._server.options, self._server.durable
        streams = list(_streams(durable)) if durable is not None else []
        backlog, slow_consumers = self._last_hour()
        return BoxSnapshot(
            now_s=int(time.time()),
            start_s=self._start_s,
            machine=self._machine.facts(),
            memory_bytes=resident_bytes(),
            is_claimed=self.is_claimed(),
            listeners=tuple(self.listeners()),
            has_plain_passwords=self._server.authenticator.has_plain_secrets,
            config_file=options.config_file,
            config_mode=_mode(Path(options.config_file)) if options.config_file else None,
            data_directory=str(self._data),
            data_mode=_mode(self._data),
            store=store_fact(durable.store) if durable is not None else None,
            sync_mean_us=self._recent("sync_us", MINUTE_S),
            free_bytes_min=durable.store.options.free_bytes_min if durable is not None else 0,
            certificates=self.certificates(),
            uplinks=tuple(self.uplinks()),
            backlog=backlog,
            slow_consumers_last_hour=slow_consumers,
            streams=tuple(_stream_fact(stream) for stream in streams),
            consumers=tuple(islice(_consumers(streams), CONSUMERS_LOOKED_AT)),
            children=tuple(self.children()),
            bridges=tuple(self.bridges()),
        )

    # -- doors --------------------------------------------------------------------------------------------------------

    def listeners(self) -> Iterator[ListenerFact]:
        """Every listener that is bound."""
        options, ports = self._server.options, self._server.ports()
        clients, websocket, mqtt, leaf = options.clients, options.websocket, options.mqtt, options.leaf
        authenticator = self._server.authenticator
        demanded = authenticator.shows_auth_required(ListenerRules())
        if "client" in ports:
            is_tls = clients.tls is not None and not clients.is_clear_text_allowed
            yield ListenerFact("NATS", clients.host, ports["client"], demanded, is_tls)
        if "websocket" in ports:
            rules = ListenerRules(no_auth_user=websocket.no_auth_user, single=websocket.authorization)
            is_demanded = authenticator.shows_auth_required(rules)
            yield ListenerFact("WebSocket", websocket.host, ports["websocket"], is_demanded, websocket.tls is not None)
        if "mqtt" in ports:
            rules = ListenerRules(no_auth_user=mqtt.no_auth_user, single=mqtt.authorization)
            is_demanded = authenticator.shows_auth_required(rules)
            yield ListenerFact("MQTT", mqtt.host, ports["mqtt"], is_demanded, mqtt.tls is not None)
        if "leafnode" in ports:
            is_demanded = demanded or bool(leaf.username or leaf.nkey or leaf.users)
            yield ListenerFact("leaf", leaf.host, ports["leafnode"], is_demanded, leaf.tls is not None)
        if "monitoring" in ports:
            monitoring = options.monitoring
            host = monitoring.host or clients.host
            # As in nats-server, these pages know no login.
            yield ListenerFact("monitoring", host, ports["monitoring"], False, bool(monitoring.https_port))
        dashboard = self.dashboard()
        if dashboard is not None:
            yield dashboard

    def certificates(self) -> tuple[CertificateFact, ...]:
        """Certificates of the listeners, read again now and then: somebody may have put new ones there."""
        now_s = time.monotonic()
        if now_s - self._certificates_read_s > CERTIFICATES_READ_EVERY_S:
            self._certificates_read_s = now_s
            options = self._server.options
            doors = (
                ("NATS", options.clients.tls),
                ("WebSocket", options.websocket.tls if options.websocket.port else None),
                ("MQTT", options.mqtt.tls if options.mqtt.port else None),
                ("leaf", options.leaf.tls if options.leaf.port else None),
            )
            self._certificates = tuple(
                fact for name, tls in doors if tls is not None for fact in _certificates(name, tls)
            )
        return self._certificates

    # -- from the history ---------------------------------------------------------------------------------------------

    def _values(self, name: str, span_s: int) -> list[float]:
        column = COLUMN[BY_NAME[name].number]
        excerpt = self._recorder().history.excerpt([column], span_s, int(time.time()), span_s)
        return [value for value in excerpt.means[0] if value is not None]

    def _recent(self, name: str, span_s: int) -> float | None:
        values = self._values(name, span_s)
        return math.fsum(values) / len(values) if values else None

    def _last_hour(self) -> tuple[BacklogFact | None, int]:
        now_s = time.monotonic()
        if now_s - self._hour_read_s >= HISTORY_READ_EVERY_S:
            self._hour_read_s = now_s
            self._hour = self._backlog(), self._slow_consumers()
        return self._hour

    def _slow_consumers(self) -> int:
        return round(math.fsum(self._values("slow_consumers", HOUR_S)))

    def _backlog(self) -> BacklogFact | None:
        values = self._values("backlog", HOUR_S)
        if len(values) < MINUTE_S:
            return None
        return BacklogFact(int(values[-1]), int(values[0]), len(values))

    def _links(self) -> list[UplinkFact]:
        return [_uplink_fact(snapshot) for snapshot in self._server.leafs.uplinks()]


def store_fact(store: Store) -> StoreFact:
    """The store now."""
    health = store.health()
    return StoreFact(
        state=STATES[health.state],
        reason=health.reason,
        is_accepting=health.is_accepting,
        is_congested=health.is_congested,
        damages=tuple(str(damage) for damage in health.damages),
        checkpoint_error=health.checkpoint_error,
        written_bytes=health.written_bytes,
        checkpoint_bytes=health.checkpoint_bytes,
        commit_count=health.commit_count,
        sync_count=health.sync_count,
        sync_us=health.sync_us,
        unsaved_bytes=health.unsaved_bytes,
        segment_count=health.segment_count,
        failure_count=health.failure_count,
    )


def _streams(durable: DurableSide) -> Iterator[Stream]:
    for account in durable.jetstream.accounts.values():
        yield from account.streams.values()


def _stream_fact(stream: Stream) -> StreamFact:
    return StreamFact(
        account=stream.account.name,
        name=stream.name,
        messages=stream.store.messages,
        stored_bytes=stream.store.stored_bytes,
        max_messages=stream.config.max_msgs,
        max_bytes=stream.config.max_bytes,
        refuses_when_full=stream.config.discard is DiscardPolicy.NEW,
    )


def _consumers(streams: Sequence[Stream]) -> Iterator[ConsumerFact]:
    for stream in streams:
        for consumer in stream.public_consumers():
            info = consumer.info()
            yield ConsumerFact(
                account=stream.account.name,
                stream=stream.name,
                name=info.name,
                waiting_messages=info.num_pending,
                ack_pending=info.num_ack_pending,
                max_ack_pending=consumer.config.max_ack_pending,
                last_acknowledged_s=(info.ack_floor.last_active or 0) // 1_000_000_000,
                last_delivered_s=(info.delivered.last_active or 0) // 1_000_000_000,
                is_paused=bool(info.paused),
            )


def _uplink_fact(snapshot: UplinkSnapshot) -> UplinkFact:
    return UplinkFact(
        name=snapshot.hub_name or snapshot.url,
        state=snapshot.state.value,
        since_s=snapshot.since_ns // 1_000_000_000,
        reason=str(snapshot.failure) if snapshot.failure is not None else "",
    )


def _certificates(listener: str, tls: TlsOptions) -> Iterator[CertificateFact]:
    # 9 MiB that a box without TLS has better uses for.
    from cryptography import x509

    paths = [tls.cert_file] if tls.cert_file else [pair.cert_file for pair in tls.certificates]
    for path in paths:
        try:
            certificate = x509.load_pem_x509_certificate(Path(path).read_bytes())
        except (OSError, ValueError) as error:
            logger.debug("certificate not readable path=%s reason=%s", path, error)
            continue
        yield CertificateFact(listener, path, int(certificate.not_valid_after_utc.timestamp()))


def _mode(path: Path) -> int | None:
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except OSError:
        return None
