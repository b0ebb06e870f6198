"""JetStream as monitoring shows it: the `jetstream` part of `/varz`, `/jsz`, and its share of `/healthz`.

Reads snapshots of the feature and the health of the store; the two do not know monitoring. Shapes: monitoring 2.1, 2.9
and 2.10; texts are nats-server 2.15.1's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from leafbox.app.configuration.options import Options
from leafbox.broker.account import Account
from leafbox.broker.identity import API_LEVEL, ServerIdentity
from leafbox.jetstream.account import JetStreamAccount
from leafbox.jetstream.service import JetStream
from leafbox.jetstream.stream import Stream
from leafbox.monitoring.healthz import ErrorKind, HealthError, HealthzOptions
from leafbox.monitoring.jsz import JszOptions
from leafbox.monitoring.query import UINT64_MAX
from leafbox.monitoring.wire_format import SECOND_NS, Document, time_text, without_empty
from leafbox.protocol.jetstream.go_json import to_object
from leafbox.storage.health import StoreHealth

ACCOUNTS_DEFAULT = 1024


class JetstreamReporter:
    """`monitoring.documents.JetstreamReport` of one server."""

    def __init__(
        self,
        jetstream: JetStream,
        store_health: Callable[[], StoreHealth],
        options: Callable[[], Options],
        identity: ServerIdentity,
        directory: Path,
        memory_bytes_max: int,
        storage_bytes_max: int,
    ) -> None:
        self._jetstream = jetstream
        self._store_health = store_health
        self._options = options
        self._identity = identity
        self._directory = directory
        self._memory_bytes_max = memory_bytes_max
        self._storage_bytes_max = storage_bytes_max

    # -- documents ----------------------------------------------------------------------------------------------------

    def varz(self) -> Document:
        """Configuration, totals and limits."""
        return {"config": self._config(), "stats": self._stats(), "limits": self._limits()}

    def jsz(self, options: JszOptions) -> Document:
        """Totals, and as much detail as is asked for; filters do not change the totals."""
        usage = self._jetstream.usage()
        accounts = self._accounts(options)
        document: Document = {
            **self._stats(),
            "server_id": self._identity.server_id,
            "now": time_text(time.time_ns()),
            "config": self._config(),
            "limits": self._limits(),
            "streams": usage.streams,
            "streams_leader": usage.streams if options.raft else 0,
            "consumers": usage.consumers,
            "consumers_leader": usage.consumers if options.raft else 0,
            "messages": usage.messages,
            "bytes": usage.stored_bytes,
            "account_details": [self._account(account, options) for account in accounts],
            "total": len(usage.accounts),
        }
        return without_empty(document, "streams_leader", "consumers_leader", "account_details")

    def account_detail(self, name: str, options: JszOptions) -> Document | None:
        """One account, with its streams and consumers if asked for."""
        owner = self._jetstream.account(name)
        return self._account(owner, options) if owner is not None else None

    def is_enabled_for(self, account: Account) -> bool:
        """Whether the account has JetStream."""
        return self._jetstream.account(account.name) is not None

    def _accounts(self, options: JszOptions) -> list[JetStreamAccount]:
        accounts = self._jetstream.accounts
        if options.account:
            return [accounts[options.account]] if options.account in accounts else []
        if not options.accounts:
            return []
        offset = max(options.offset, 0)
        limit = options.limit if options.limit > 0 else ACCOUNTS_DEFAULT
        return [accounts[name] for name in sorted(accounts)][offset : offset + limit]

    def _config(self) -> Document:
        configured = self._options().jetstream
        document: Document = {
            "max_memory": self._memory_bytes_max,
            "max_storage": self._storage_bytes_max,
            "store_dir": str(self._directory),
            "sync_interval": int(configured.sync_interval_s * SECOND_NS),
            "sync_always": configured.is_sync_always,
            "domain": configured.domain,
            # nats-server says so only where the configuration gives both limits.
            "compress_ok": configured.memory_bytes_max > 0 and configured.storage_bytes_max > 0,
            "unique_tag": configured.unique_tag,
            "strict": configured.is_strict,
        }
        return without_empty(document, "sync_always", "domain", "compress_ok", "unique_tag", "strict")

    def _stats(self) -> Document:
        usage = self._jetstream.usage()
        return {
            "memory": usage.memory_bytes,
            "storage": usage.storage_bytes,
            "reserved_memory": usage.reserved_memory_bytes,
            "reserved_storage": usage.reserved_storage_bytes,
            "accounts": len(usage.accounts),
            "ha_assets": 0,
            "api": {"level": API_LEVEL, "total": usage.api_total, "errors": usage.api_errors},
        }

    def _limits(self) -> Document:
        limits = self._options().jetstream.limits
        document: Document = {
            "max_request_batch": limits.request_batch_max,
            "max_ack_pending": limits.ack_pending_max,
            "max_ha_assets": limits.ha_assets_max,
            "max_duplicate_window": int(limits.duplicate_window_max_s * SECOND_NS),
            "default_max_consumers": limits.consumers_default_max,
        }
        return without_empty(document, *(name for name in document if name != "default_max_consumers"))

    def _account(self, owner: JetStreamAccount, options: JszOptions) -> Document:
        usage = owner.usage()
        name = owner.account.name
        streams = [owner.streams[stream] for stream in sorted(owner.streams)] if options.streams else []
        document: Document = {
            "name": name,
            "id": name,
            "memory": usage.memory,
            "storage": usage.storage,
            # nats-server shows the limits here; none at all is -1 as an unsigned number.
            "reserved_memory": usage.limits.max_memory if usage.limits.max_memory >= 0 else UINT64_MAX,
            "reserved_storage": usage.limits.max_storage if usage.limits.max_storage >= 0 else UINT64_MAX,
            "accounts": 0,
            "ha_assets": 0,
            "api": {"level": 0, "total": usage.api.total, "errors": usage.api.errors},
            "stream_detail": [self._stream(stream, options) for stream in streams],
        }
        return without_empty(document, "stream_detail")

    def _stream(self, stream: Stream, options: JszOptions) -> Document:
        info = to_object(stream.info())
        document: Document = {"name": stream.name, "created": info["created"]}
        document["cluster"] = {"leader": self._identity.name}
        if options.config:
            # As stored: the API adds metadata about the server, monitoring does not.
            document["config"] = to_object(stream.config)
        document["state"] = info["state"]
        consumers = stream.public_consumers() if options.consumers else []
        details = [to_object(consumer.info()) for consumer in consumers]
        for consumer, detail in zip(consumers, details, strict=True):
            if options.config:
                detail["config"] = to_object(consumer.config)
            else:
                detail.pop("config", None)
        for shown in stream.shown_infos() if options.consumers else []:
            detail = to_object(shown)
            if not options.config:
                detail.pop("config", None)
            details.append(detail)
        if details:
            document["consumer_detail"] = details
        document.update({name: info[name] for name in ("mirror", "sources") if name in info})
        return document

    # -- health -------------------------------------------------------------------------------------------------------

    def is_up(self) -> bool:
        """JetStream is configured whenever this exists, and runs until the server stops."""
        return True

    def errors(self, options: HealthzOptions) -> list[HealthError]:
        """What is wrong: an asset asked for that does not exist, else the store and what could not be recovered."""
        if options.account:
            missing = self._missing(options)
            if missing is not None:
                return [missing]
        health = self._store_health()
        found = []
        if not health.is_accepting:
            found.append(HealthError(ErrorKind.JETSTREAM, f"JetStream storage: {health.reason}"))
        for name in sorted(self._jetstream.failed_assets):
            found.append(HealthError(ErrorKind.STREAM, f"JetStream stream '{name}' could not be recovered"))
        return found

    def _missing(self, options: HealthzOptions) -> HealthError | None:
        owner = self._jetstream.account(options.account)
        if owner is None:
            text = f'JetStream account "{options.account}" not found'
            return HealthError(ErrorKind.ACCOUNT, text, 404, account=options.account)
        if not options.stream:
            return None
        where = {"account": options.account, "stream": options.stream}
        stream = owner.streams.get(options.stream)
        if stream is None:
            text = f'JetStream stream "{options.stream}" not found on account "{options.account}"'
            return HealthError(ErrorKind.STREAM, text, 404, **where)
        if options.consumer and options.consumer not in {consumer.name for consumer in stream.public_consumers()}:
            text = (
                f'JetStream consumer "{options.consumer}" not found for stream "{options.stream}" '
                f'on account "{options.account}"'
            )
            return HealthError(ErrorKind.CONSUMER, text, 404, consumer=options.consumer, **where)
        return None
