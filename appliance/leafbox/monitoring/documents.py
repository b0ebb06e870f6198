"""The monitoring documents of one running server, by name: the same for HTTP and for requests over NATS.

Takes snapshots and hands them to the module of each document. What it needs of features that may be absent (JetStream,
leaf links, listeners) comes through `MonitoredFeatures`, which the wiring supplies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from leafbox.broker.account import Account
from leafbox.broker.broker import Broker
from leafbox.broker.config import AccountOptions
from leafbox.monitoring.accountz import account_detail, accountz_document, accstatz_document
from leafbox.monitoring.connz import (
    ConnectionState,
    ConnzOptions,
    check_options,
    connz_document,
    unknown_account_document,
)
from leafbox.monitoring.healthz import HealthzOptions, JetstreamHealth, healthz
from leafbox.monitoring.jsz import JszOptions, disabled_document
from leafbox.monitoring.links import LeafSnapshot, gatewayz_document, leafz_document, routez_document
from leafbox.monitoring.query import BadQuery
from leafbox.monitoring.snapshots import (
    ProcessorGauge,
    ServerSnapshot,
    SublistSnapshot,
    take_account,
    take_connections,
    take_server,
    take_subscriptions,
)
from leafbox.monitoring.statsz import statsz
from leafbox.monitoring.subsz import SubszOptions, subsz_document
from leafbox.monitoring.varz import ServerFacts, varz_document
from leafbox.monitoring.wire_format import Document


class Unavailable(Exception):
    """There is no such document; the text says why."""


class JetstreamReport(JetstreamHealth, Protocol):
    """JetStream as monitoring shows it."""

    def varz(self) -> Document:
        """The `jetstream` part of `/varz`: config, stats, limits."""
        ...

    def jsz(self, options: JszOptions) -> Document:
        """The whole of `/jsz`."""
        ...

    def account_detail(self, name: str, options: JszOptions) -> Document | None:
        """One entry of `account_details` in `/jsz`; None if the account has no JetStream."""
        ...

    def is_enabled_for(self, account: Account) -> bool:
        """Whether the account may use it."""
        ...


class MonitoredFeatures(Protocol):
    """What the wiring tells of the parts that a server may have."""

    @property
    def facts(self) -> ServerFacts:
        """The configuration in force."""
        ...

    @property
    def jetstream(self) -> JetstreamReport | None:
        """None while JetStream is off."""
        ...

    def leafs(self) -> Sequence[LeafSnapshot]:
        """Live links to other servers."""
        ...

    def missing_listeners(self) -> list[str]:
        """Names of listeners that should accept and do not (starting, lame duck, stopping)."""
        ...


class MonitoringDocuments:
    """Makes each document on demand. Belongs to the loop; methods may raise `BadQuery`."""

    def __init__(self, broker: Broker, features: MonitoredFeatures) -> None:
        self._broker = broker
        self._features = features
        self._processor = ProcessorGauge()
        self.request_counts: dict[str, int] = {}

    @property
    def _server_id(self) -> str:
        return self._broker.identity.server_id

    def server(self) -> ServerSnapshot:
        """The server now."""
        return take_server(self._broker, self._processor)

    def varz(self) -> Document:
        """Configuration and counters."""
        jetstream = self._features.jetstream
        report = jetstream.varz() if jetstream is not None else {}
        return varz_document(self.server(), self._features.facts, report, self.request_counts)

    def statsz(self) -> Document:
        """The counters in short."""
        jetstream = self._features.jetstream
        active = sum(bool(account.connections or account.leaf_links) for account in self._broker.accounts.values())
        return statsz(self.server(), active, jetstream.varz() if jetstream is not None else {})

    def connz(self, options: ConnzOptions, now_ns: int) -> Document:
        """Connections."""
        check_options(options)
        if options.account and self._broker.account(options.account) is None:
            return unknown_account_document(now_ns, options)
        state = options.state
        connections = take_connections(
            self._broker,
            is_open=state is not ConnectionState.CLOSED,
            is_closed=state is not ConnectionState.OPEN,
            with_subscriptions=options.needs_subscriptions,
        )
        return connz_document(self._server_id, now_ns, connections, options)

    def subsz(self, options: SubszOptions, now_ns: int) -> Document:
        """Subject indexes and subscriptions."""
        accounts = [a for a in self._broker.accounts.values() if options.account in ("", a.name)]
        sublist = sum((take_account(account).sublist for account in accounts), SublistSnapshot())
        return subsz_document(self._server_id, now_ns, sublist, lambda: take_subscriptions(accounts), options)

    def accountz(self, name: str, now_ns: int) -> Document:
        """Accounts, or one of them in detail."""
        accounts = [take_account(account) for account in self._broker.accounts.values()]
        detail = self.account_detail(name) if name else None
        return accountz_document(self._server_id, now_ns, accounts, detail)

    def account_detail(self, name: str) -> Document:
        """One account in detail."""
        account = self._broker.account(name)
        if account is None:
            raise BadQuery(f"Account {name} does not exist")
        options = next((o for o in self._broker.options.accounts if o.name == name), AccountOptions(name=name))
        system, jetstream = self._broker.system_account, self._features.jetstream
        return account_detail(
            take_account(account),
            options,
            self._features.facts.config_load_ns,
            system.name if system is not None else "",
            has_jetstream=jetstream is not None and jetstream.is_enabled_for(account),
        )

    def accstatz(self, *, includes_unused: bool, now_ns: int, names: Sequence[str] = ()) -> Document:
        """Traffic by account, of all or of those in `names`."""
        accounts = [take_account(a) for a in self._broker.accounts.values() if not names or a.name in names]
        return accstatz_document(self._server_id, now_ns, accounts, includes_unused=includes_unused)

    def leafz(self, *, account: str, lists_subscriptions: bool, now_ns: int) -> Document:
        """Links to other servers."""
        leafs = self._features.leafs()
        return leafz_document(self._server_id, now_ns, leafs, account=account, lists_subscriptions=lists_subscriptions)

    def routez(self, now_ns: int) -> Document:
        """No routes."""
        return routez_document(self._server_id, self._broker.identity.name, now_ns)

    def gatewayz(self, now_ns: int) -> Document:
        """No gateways."""
        return gatewayz_document(self._server_id, now_ns)

    def jsz(self, options: JszOptions, now_ns: int) -> Document:
        """JetStream."""
        jetstream = self._features.jetstream
        return disabled_document(self._server_id, now_ns) if jetstream is None else jetstream.jsz(options)

    def account_jsz(self, name: str, options: JszOptions) -> Document:
        """JetStream of one account. `Unavailable` if it has none."""
        jetstream = self._features.jetstream
        if jetstream is None:
            raise Unavailable("jetstream not enabled")
        if self._broker.account(name) is None:
            raise Unavailable(f'account "{name}" not found')
        document = jetstream.account_detail(name, options)
        if document is None:
            raise Unavailable(f'account "{name}" not jetstream enabled')
        return document

    def healthz(self, options: HealthzOptions) -> tuple[int, Document]:
        """Status code and document."""
        return healthz(
            options, missing_listeners=self._features.missing_listeners(), jetstream=self._features.jetstream
        )
