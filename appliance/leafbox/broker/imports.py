"""Stream and service imports: the only ways between accounts (config spec section 5).

Stream import: a local subscription that overlaps the import gets a *shadow* in the exporter's subject index; the data
plane delivers through it with the local subject. So importing costs nothing per message but one subject mapping.

Service import: a subscription in the importing account republishes the request in the exporter's account, with a reply
subject of our own (`_R_....`), and maps the answer back. Pending answers are bounded in number and time.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import string
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from leafbox.broker.account import Account
from leafbox.broker.config import (
    AccountOptions,
    ServiceExport,
    ServiceImport,
    ServiceResponseType,
    StreamExport,
    StreamImport,
)
from leafbox.broker.request_info import with_request_info
from leafbox.broker.service_latency import BAD_REQUEST, NO_RESPONDERS, TIMEOUT, Measurement, measurement_of
from leafbox.broker.tracing import DESTINATION, DISABLED, MessageTrace
from leafbox.dataplane.routing import CallbackReceiver, InboxReceiver, Receiver, Subscription
from leafbox.dataplane.subjects import is_subset, subject_matches, subjects_collide
from leafbox.protocol.errors import ConfigError
from leafbox.protocol.jetstream import headers
from leafbox.protocol.subject_transform import SubjectTransform, tokenize_wildcards

# Answers waited for per exporting account; the oldest gives way. Each costs about 400 bytes.
PENDING_RESPONSES_MAX = 65_536
# How long an answer may take when the export names no threshold (nats-server: 2 minutes).
RESPONSE_THRESHOLD_S = 120.0
RESPONSE_PREFIX = b"_R_."
RESPONSE_TOKEN_CHARACTERS = 6
# Of the reply subject of a request whose latency is measured, as nats-server marks it.
MEASURED_SUFFIX = b".T"
BASE62 = string.digits + string.ascii_letters

logger = logging.getLogger(__name__)

SubjectMap = Callable[[bytes], bytes | None]


@dataclass(slots=True)
class _PendingResponse:
    """Where the answers to one forwarded request go."""

    account: Account
    reply: bytes
    kind: ServiceResponseType
    deadline: float
    measurement: Measurement | None = None
    timer: asyncio.TimerHandle | None = None

    def stop_timer(self) -> None:
        """The answer is there, or nobody waits for it any more."""
        if self.timer is not None:
            self.timer.cancel()


class ResponseMap:
    """Reply subjects that stand for requests forwarded into one exporting account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._pending: dict[bytes, _PendingResponse] = {}
        self._prefix = RESPONSE_PREFIX + _random_token() + b"."
        self._subscription: Subscription | None = None

    def open(
        self,
        account: Account,
        reply: bytes,
        kind: ServiceResponseType,
        threshold_s: float,
        measurement: Measurement | None = None,
    ) -> bytes:
        """A fresh reply subject whose answers go to `reply` in `account`; the first ends the measurement."""
        if self._subscription is None:
            self._subscription = Subscription(self._account, InboxReceiver(self._answer), self._prefix + b">")
            self._account.add(self._subscription)
        self._drop_late()
        subject = self._prefix + _random_token()
        threshold_s = threshold_s or RESPONSE_THRESHOLD_S
        pending = _PendingResponse(account, reply, kind, time.monotonic() + threshold_s, measurement)
        if measurement is not None:
            subject += MEASURED_SUFFIX
            pending.timer = asyncio.get_running_loop().call_later(threshold_s, self._time_out, subject)
        self._pending[subject] = pending
        return subject

    def cancel(self, subject: bytes) -> None:
        """Nobody took the request."""
        pending = self._pending.pop(subject, None)
        if pending is not None and pending.measurement is not None:
            pending.stop_timer()
            pending.measurement.failed(NO_RESPONDERS)

    def _time_out(self, subject: bytes) -> None:
        pending = self._pending.pop(subject, None)
        if pending is not None and pending.measurement is not None:
            pending.measurement.failed(TIMEOUT)

    def _drop_late(self) -> None:
        now = time.monotonic()
        while self._pending:
            subject = next(iter(self._pending))
            if self._pending[subject].deadline > now and len(self._pending) < PENDING_RESPONSES_MAX:
                break
            self._pending.pop(subject).stop_timer()

    def _answer(
        self, inbox: bytes, subject: bytes, reply: bytes, header: bytes, payload: bytes, origin: Receiver | None
    ) -> bool:
        pending = self._pending.get(inbox)
        if pending is None or pending.deadline < time.monotonic():
            if pending is not None:
                self._time_out(inbox)
                pending.stop_timer()
            return False
        answered_ns = time.time_ns()
        # An empty message ends a streamed answer like a chunked one (seen with nats-server 2.15.1).
        is_last = pending.kind is ServiceResponseType.SINGLETON or not (payload or header)
        if is_last:
            del self._pending[inbox]
        if subject != inbox:
            # A stream's message keeps its own subject on the way to whoever pulls from another account.
            is_delivered = pending.account.publish_to(pending.reply, subject, payload, reply, header) > 0
        else:
            is_delivered = pending.account.publish(pending.reply, payload, reply, header, origin) > 0
        if pending.measurement is not None:
            pending.stop_timer()
            pending.measurement.answered(answered_ns, origin)
            pending.measurement = None
        return is_delivered


def _random_token() -> bytes:
    """Nobody can guess a pending reply: 36 bits, and it lives for one request."""
    return "".join(secrets.choice(BASE62) for _ in range(RESPONSE_TOKEN_CHARACTERS)).encode()


class StreamImportLink:
    """One stream import of one account: keeps shadows of the local subscriptions that overlap it."""

    def __init__(self, importer: Account, exporter: Account, options: StreamImport) -> None:
        self._exporter = exporter
        self._remote = options.subject.encode()
        self._to_local = import_transform(self._remote, _local_subject(options).encode())
        self._to_remote = self._to_local.reverse()
        self._local = self._to_remote.source
        self._is_same = self._local == self._remote
        self._shadows: dict[Subscription, Subscription] = {}
        self._importer = importer
        self._allows_trace = options.allow_trace

    def interest_added(self, subscription: Subscription) -> None:
        if not subjects_collide(subscription.subject, self._local):
            return
        subject = self._remote
        if is_subset(subscription.subject, self._local):
            subject = self._to_remote.apply(subscription.subject)
        shadow = Subscription(self._exporter, subscription.receiver, subject, subscription.queue, subscription.sid)
        shadow.primary = subscription.primary or subscription
        shadow.filters_deliveries = subscription.filters_deliveries
        shadow.local_subject = self._mapping_for(subscription)
        # Whether a message trace goes on behind it; through further imports only if they all say so.
        shadow.context = self._allows_trace and (subscription.primary is None or bool(subscription.context))
        self._shadows[subscription] = shadow
        self._exporter.add(shadow)

    def interest_removed(self, subscription: Subscription) -> None:
        shadow = self._shadows.pop(subscription, None)
        if shadow is not None:
            self._exporter.remove(shadow)

    def _mapping_for(self, subscription: Subscription) -> SubjectMap | None:
        """From the exporter's subject to the one the subscriber sees; through further imports if there are any."""
        outer = subscription.local_subject
        if self._is_same and outer is None and is_subset(self._remote, subscription.subject):
            return None
        to_local, pattern = self._to_local, subscription.subject

        def to_subscriber(subject: bytes) -> bytes | None:
            local = to_local.match(subject)
            if local is None or not subject_matches(local, pattern):
                return None
            return outer(local) if outer is not None else local

        return to_subscriber

    def withdraw(self) -> None:
        """The import is gone."""
        for subscription in list(self._shadows):
            self.interest_removed(subscription)


class ServiceImportLink:
    """One service import of one account."""

    def __init__(
        self,
        importer: Account,
        exporter: Account,
        options: ServiceImport,
        export: ServiceExport,
        responses: ResponseMap,
    ) -> None:
        self._importer = importer
        self._exporter = exporter
        self._responses = responses
        self._export = export
        self._is_shared = options.is_shared
        remote = options.subject.encode()
        # `to` may reorder: for `*.ask.*` the requests of `to: "$2.$1.asked"` are told apart by turning it round.
        self._to_remote = import_transform(remote, (options.to or options.subject).encode()).reverse()
        self._subscription = Subscription(importer, CallbackReceiver(self._forward), self._to_remote.source)
        # Here a traced message asks for `forward_traced`.
        self._subscription.context = self
        importer.add(self._subscription)

    def forward_traced(
        self,
        trace: MessageTrace,
        subject: bytes,
        reply: bytes,
        header: bytes,
        payload: bytes,
        origin: Receiver | None,
    ) -> bool:
        """A request whose way is written down; it is further on only if the export allows that."""
        remote = self._to_remote.match(subject)
        if remote is None:
            return False
        trace.add("si", acc=self._exporter.name, **{"from": subject.decode(), "to": remote.decode()})
        if not self._export.allow_trace:
            if trace.is_only:
                return False
            return self._forward(subject, reply, headers.replace(header, DESTINATION, DISABLED), payload, origin)
        measurement = self._measurement(header, origin) if reply and not trace.is_only else None
        header = self._with_request_info(header, origin)
        # Servers behind the exporter tell of it there; what they tell comes back here.
        told_to = self._responses.open(
            self._importer, trace.destination.encode(), ServiceResponseType.STREAM, RESPONSE_THRESHOLD_S
        )
        header = headers.replace(header, DESTINATION, told_to)
        answer_to = b""
        if reply:
            export = self._export
            answer_to = self._responses.open(
                self._importer, reply, export.response_type, export.response_threshold_s, measurement
            )
        hops_before = trace.hops
        taken = trace.route(self._exporter, origin, remote, answer_to, header, payload)
        if trace.hops == hops_before:
            self._responses.cancel(told_to)
        if answer_to and (trace.is_only or not taken):
            self._responses.cancel(answer_to)
        return taken > 0

    def _measurement(self, header: bytes, origin: Receiver | None) -> Measurement | None:
        latency = self._export.latency
        if latency is None:
            return None
        return measurement_of(latency, self._exporter, self._importer, header, origin, is_shared=self._is_shared)

    def _with_request_info(self, header: bytes, origin: Receiver | None) -> bytes:
        is_shared = self._is_shared or self._exporter.is_system
        return with_request_info(header, self._importer, origin, is_shared=is_shared)

    def _forward(self, subject: bytes, reply: bytes, header: bytes, payload: bytes, origin: Receiver | None) -> bool:
        remote = self._to_remote.match(subject)
        if remote is None:
            return False
        measurement = self._measurement(header, origin)
        header = self._with_request_info(header, origin)
        if not reply:
            if measurement is not None:
                measurement.failed(BAD_REQUEST)
            return self._exporter.publish(remote, payload, b"", header, origin) > 0
        answer_to = self._responses.open(
            self._importer, reply, self._export.response_type, self._export.response_threshold_s, measurement
        )
        if self._exporter.publish(remote, payload, answer_to, header, origin) > 0:
            return True
        self._responses.cancel(answer_to)
        return False

    def withdraw(self) -> None:
        """The import is gone."""
        self._importer.remove(self._subscription)


class ImportLinks:
    """All imports of all accounts; `apply` replaces them as a whole."""

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        self._accounts = accounts
        self._links: list[tuple[Account, StreamImportLink | ServiceImportLink]] = []
        self._responses: dict[str, ResponseMap] = {}

    def apply(self, options: Iterable[AccountOptions]) -> None:
        """Bring the imports in line with the configuration; raises `ConfigError` and changes nothing when invalid."""
        by_name = {account.name: account for account in options}
        check_imports(by_name)
        for importer, link in self._links:
            if isinstance(link, StreamImportLink):
                importer.watchers.remove(link)
            link.withdraw()
        self._links.clear()
        for account in by_name.values():
            for stream in account.stream_imports:
                self._link_stream(self._accounts[account.name], self._accounts[stream.account], stream)
            for service in account.service_imports:
                export = find_export(by_name[service.account].service_exports, service.subject, account.name)
                assert isinstance(export, ServiceExport)
                self._link_service(self._accounts[account.name], self._accounts[service.account], service, export)

    def _link_stream(self, importer: Account, exporter: Account, options: StreamImport) -> None:
        link = StreamImportLink(importer, exporter, options)
        self._links.append((importer, link))
        importer.watchers.append(link)
        for subscription in importer.subscriptions():
            link.interest_added(subscription)

    def _link_service(
        self, importer: Account, exporter: Account, options: ServiceImport, export: ServiceExport
    ) -> None:
        responses = self._responses.get(exporter.name)
        if responses is None:
            responses = self._responses[exporter.name] = ResponseMap(exporter)
        self._links.append((importer, ServiceImportLink(importer, exporter, options, export, responses)))


def import_transform(source: bytes, destination: bytes) -> SubjectTransform:
    """From one side's subjects to the other's; plain wildcards in `destination` stand for those of `source`, in order.

    Raises `InvalidTransform` when the two cannot be mapped onto each other.
    """
    return SubjectTransform.compile(source, tokenize_wildcards(destination), strict=True)


def check_import(options: StreamImport | ServiceImport) -> None:
    """Raises `InvalidTransform` when the subjects of an import cannot be mapped onto each other."""
    local = _local_subject(options) if isinstance(options, StreamImport) else options.to or options.subject
    import_transform(options.subject.encode(), local.encode()).reverse()


def without_cycles(accounts: Mapping[str, AccountOptions]) -> dict[str, AccountOptions]:
    """The accounts without the service imports that lead back to where they came from; for accounts that others
    define, where one that is wrong must not keep the rest away."""
    kept = dict(accounts)
    for name, account in accounts.items():
        for service in account.service_imports:
            try:
                _check_cycle(kept, name, service)
            except ConfigError as error:
                logger.warning("import left out account=%s: %s", name, error)
                left = tuple(each for each in kept[name].service_imports if each is not service)
                kept[name] = replace(kept[name], service_imports=left)
    return kept


def find_export(
    exports: Iterable[StreamExport | ServiceExport], subject: str, importer: str
) -> StreamExport | ServiceExport | None:
    """The export that lets `importer` import `subject`, or None."""
    for export in exports:
        if not is_subset(subject.encode(), export.subject.encode()):
            continue
        position = export.account_token_position
        if position:
            tokens = subject.split(".")
            if len(tokens) >= position and tokens[position - 1] == importer:
                return export
        elif not export.accounts or importer in export.accounts:
            return export
    return None


def check_imports(accounts: Mapping[str, AccountOptions]) -> None:
    """Refuse imports of what is not exported, and service imports that lead back to where they came from."""
    for account in accounts.values():
        for stream in account.stream_imports:
            exporter = accounts.get(stream.account)
            if exporter is None or find_export(exporter.stream_exports, stream.subject, account.name) is None:
                raise ConfigError(f'Error adding stream import "{stream.subject}": stream import not authorized')
        for service in account.service_imports:
            exporter = accounts.get(service.account)
            if exporter is None or find_export(exporter.service_exports, service.subject, account.name) is None:
                raise ConfigError(f'Error adding service import "{service.subject}": service import not authorized')
            _check_cycle(accounts, account.name, service)


def _check_cycle(accounts: Mapping[str, AccountOptions], start: str, first: ServiceImport) -> None:
    seen = {(start, first.to or first.subject)}
    pending = [first]
    while pending:
        current = pending.pop()
        for onward in accounts[current.account].service_imports:
            local = onward.to or onward.subject
            if not subjects_collide(local.encode(), current.subject.encode()):
                continue
            if (current.account, local) in seen or onward.account == start:
                raise ConfigError(f'Error adding service import "{first.subject}": import forms a cycle')
            seen.add((current.account, local))
            pending.append(onward)


def _local_subject(options: StreamImport) -> str:
    if options.to:
        return options.to
    return f"{options.prefix.rstrip('.')}.{options.subject}" if options.prefix else options.subject
