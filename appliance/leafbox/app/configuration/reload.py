"""Which changes of the configuration a running server can take: compare the old and the new options.

Either everything in the new configuration can be applied, or nothing is: the first change that cannot raises
`ConfigError` with nats-server's text. The table below lists every option with the name nats-server prints for it, in
its order. Source: nats-server 2.15.1 `server/reload.go` (`diffOptions`).
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from dataclasses import dataclass, replace

from leafbox.app.configuration.durations import seconds_text
from leafbox.app.configuration.go_text import float_text
from leafbox.app.configuration.options import Options
from leafbox.app.configuration.remote_keys import remote_name, safe_remote_name
from leafbox.broker.config import SYSTEM_ACCOUNT, WriteTimeoutPolicy
from leafbox.jetstream.config import JetStreamOptions
from leafbox.leaf.config import LeafOptions, LeafRemoteOptions
from leafbox.mqtt.config import MqttOptions
from leafbox.protocol.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between two configurations that can follow each other."""

    options: Options
    """The options to run with: the new ones, free ports as they were."""
    changed: frozenset[str] = frozenset()
    """Paths of changed options, for example `broker.payload_bytes_max`; a leaf remote counts as `leaf.remotes`."""
    remotes_added: tuple[LeafRemoteOptions, ...] = ()
    """Hubs to connect to."""
    remotes_removed: tuple[LeafRemoteOptions, ...] = ()
    """Hubs to leave."""
    remotes_changed: tuple[tuple[LeafRemoteOptions, LeafRemoteOptions], ...] = ()
    """(old, new) of hubs whose TLS, compression or `disabled` changed."""

    def touches(self, *paths: str) -> bool:
        """Whether any of these options changed; a path may name a section (`security`)."""
        return any(known == path or known.startswith(path + ".") for known in self.changed for path in paths)


class _Policy(enum.Enum):
    FREE = "may change"
    FIXED = "needs a restart"


_FREE, _FIXED = _Policy.FREE, _Policy.FIXED

RELOAD_TABLE: tuple[tuple[str, str, _Policy], ...] = (
    ("server.name", "ServerName", _FIXED),
    ("clients.host", "Host", _FIXED),
    ("clients.port", "Port", _FIXED),
    ("clients.advertise", "ClientAdvertise", _FREE),
    ("logging.is_trace", "Trace", _FREE),
    ("logging.is_debug", "Debug", _FREE),
    ("logging.is_trace_verbose", "TraceVerbose", _FREE),
    ("logging.is_trace_headers_only", "TraceHeaders", _FREE),
    ("broker.is_sublist_cache_disabled", "NoSublistCache", _FIXED),
    ("broker.is_header_support_disabled", "NoHeaderSupport", _FIXED),
    ("logging.is_time_logged", "Logtime", _FREE),
    ("logging.is_time_utc", "LogtimeUTC", _FREE),
    ("broker.connections_max", "MaxConn", _FREE),
    ("broker.subscriptions_max", "MaxSubs", _FIXED),
    ("broker.subject_tokens_max", "MaxSubTokens", _FIXED),
    ("security.users", "Users", _FREE),
    ("broker.accounts", "Accounts", _FREE),
    ("security.operator.default_sentinel", "DefaultSentinel", _FREE),
    ("broker.is_system_account_disabled", "NoSystemAccount", _FIXED),
    ("security.username", "Username", _FREE),
    ("security.password", "Password", _FREE),
    ("security.is_proxy_required", "ProxyRequired", _FIXED),
    ("clients.is_proxy_protocol_expected", "ProxyProtocol", _FIXED),
    ("security.token", "Authorization", _FREE),
    ("security.auth_callout", "AuthCallout", _FIXED),
    ("broker.ping_interval_s", "PingInterval", _FREE),
    ("broker.pings_out_max", "MaxPingsOut", _FREE),
    ("monitoring.host", "HTTPHost", _FIXED),
    ("monitoring.http_port", "HTTPPort", _FIXED),
    ("monitoring.base_path", "HTTPBasePath", _FIXED),
    ("monitoring.https_port", "HTTPSPort", _FIXED),
    ("security.auth_timeout_s", "AuthTimeout", _FREE),
    ("broker.control_line_bytes_max", "MaxControlLine", _FREE),
    ("broker.payload_bytes_max", "MaxPayload", _FREE),
    ("broker.pending_bytes_max", "MaxPending", _FIXED),
    ("broker.is_fast_producer_stall_disabled", "NoFastProducerStall", _FREE),
    ("jetstream.is_enabled", "JetStream", _FREE),
    ("jetstream.is_strict", "NoJetStreamStrict", _FIXED),
    ("jetstream.domain", "JetStreamDomain", _FIXED),
    ("jetstream.extension_hint", "JetStreamExtHint", _FIXED),
    ("jetstream.encryption_key", "JetStreamKey", _FIXED),
    ("jetstream.previous_encryption_key", "JetStreamOldKey", _FIXED),
    ("jetstream.cipher", "JetStreamCipher", _FIXED),
    ("jetstream.unique_tag", "JetStreamUniqueTag", _FIXED),
    ("jetstream.limits", "JetStreamLimits", _FIXED),
    ("jetstream.tpm", "JetStreamTpm", _FIXED),
    ("jetstream.catchup_bytes_max", "JetStreamMaxCatchup", _FIXED),
    ("jetstream.request_queue_max", "JetStreamRequestQueueLimit", _FIXED),
    ("jetstream.info_queue_max", "JetStreamInfoQueueLimit", _FIXED),
    ("jetstream.meta_compact", "JetStreamMetaCompact", _FREE),
    ("jetstream.meta_compact_bytes", "JetStreamMetaCompactSize", _FREE),
    ("jetstream.is_meta_compact_sync", "JetStreamMetaCompactSync", _FREE),
    ("jetstream.concurrent_io_max", "JetStreamConcurrentIOs", _FIXED),
    ("jetstream.buffered_messages_max", "StreamMaxBufferedMsgs", _FIXED),
    ("jetstream.buffered_bytes_max", "StreamMaxBufferedSize", _FIXED),
    ("jetstream.acknowledge_after", "AcknowledgeAfter", _FIXED),
    ("jetstream.sync_interval_s", "SyncInterval", _FIXED),
    ("jetstream.is_sync_always", "SyncAlways", _FIXED),
    ("jetstream.default_domains", "JsAccDefaultDomain", _FIXED),
    ("server.profiling_port", "ProfPort", _FIXED),
    ("server.profiling_block_rate", "ProfBlockRate", _FREE),
    ("bridges", "Bridges", _FREE),
    ("server.pid_file", "PidFile", _FREE),
    ("server.ports_file_directory", "PortsFileDir", _FREE),
    ("logging.file", "LogFile", _FREE),
    ("logging.file_bytes_max", "LogSizeLimit", _FIXED),
    ("logging.files_max", "LogMaxFiles", _FIXED),
    ("logging.is_syslog", "Syslog", _FREE),
    ("logging.remote_syslog", "RemoteSyslog", _FREE),
    ("cluster.routes", "Routes", _FREE),
    ("clients.is_clear_text_allowed", "AllowNonTLS", _FIXED),
    ("broker.write_deadline_s", "WriteDeadline", _FREE),
    ("broker.write_timeout", "WriteTimeout", _FIXED),
    ("broker.closed_clients_max", "MaxClosedClients", _FIXED),
    ("server.lame_duck_duration_s", "LameDuckDuration", _FIXED),
    ("server.lame_duck_grace_period_s", "LameDuckGracePeriod", _FIXED),
    ("logging.traced_message_bytes_max", "MaxTracedMsgLen", _FREE),
    ("security.operator.trusted_keys", "TrustedKeys", _FIXED),
    ("security.operator.operators", "TrustedOperators", _FIXED),
    ("security.operator.resolver_tls", "AccountResolverTLSConfig", _FREE),
    ("security.operator.resolver_preload", "resolverPreloads", _FREE),
    ("security.operator.resolver_pinned_accounts", "resolverPinnedAccounts", _FREE),
    ("server.connect_error_reports", "ConnectErrorReports", _FREE),
    ("server.reconnect_error_reports", "ReconnectErrorReports", _FREE),
    ("server.tags", "Tags", _FREE),
    ("server.metadata", "Metadata", _FREE),
    ("server.feature_flags", "FeatureFlags", _FIXED),
    ("security.ocsp", "OCSPConfig", _FREE),
    ("security.trusted_proxies", "Proxies", _FREE),
    ("security.ocsp_cache_type", "OCSPCacheConfig", _FREE),
    ("security.ocsp_cache_directory", "OCSPCacheConfig", _FREE),
    ("security.is_authorization_block_defined", "authBlockDefined", _FREE),
)
SPECIAL_PATHS = (
    "security.no_auth_user",
    "broker.system_account",
    "security.operator.resolver",
    "clients.tls",
    "jetstream.memory_bytes_max",
    "jetstream.storage_bytes_max",
    "jetstream.store_directory",
    "websocket",
    "mqtt",
    "leaf",
    "cluster",
    "gateway",
)
"""Options and sections with rules of their own, below."""

_SECRETS = frozenset(("jetstream.encryption_key", "jetstream.previous_encryption_key", "jetstream.tpm"))
_SHOWN_UNSET: dict[str, tuple[object, str]] = {
    "broker.write_timeout": (WriteTimeoutPolicy.DEFAULT, ""),
    "broker.system_account": (SYSTEM_ACCOUNT, ""),
    "monitoring.base_path": ("/", ""),
    "jetstream.buffered_messages_max": (JetStreamOptions().buffered_messages_max, "0"),
    "jetstream.buffered_bytes_max": (JetStreamOptions().buffered_bytes_max, "0"),
}
"""Options whose default nats-server fills in only where it is used, and so prints as unset."""
_TLS_FIXED = (("is_peer_mapped_to_user", "TLSMap"), ("connections_per_second_max", "TLSRateLimit"))
_MQTT_FREE = (
    "tls",
    "ack_wait_s",
    "ack_pending_max",
    "keep_alive_max_s",
    "queued_messages_max",
    "when_queue_full",
    "server_reference",
    "redirect",
    "stream_replicas",
    "is_consumer_storage_memory",
    "consumer_inactive_threshold_s",
)
_LEAF_FREE = ("compression", "remotes", "tls")
_REMOTE_FREE = ("compression", "is_disabled", "tls")


def compare(old: Options, new: Options) -> Changes:
    """The changes from `old` (running) to `new`. Raises `ConfigError` if they need a restart; then nothing changed."""
    new = _with_kept_ports(old, new)
    changed: set[str] = set()
    for path, name, policy in RELOAD_TABLE:
        before, after = _value(old, path), _value(new, path)
        if before != after:
            if policy is _FIXED and not _is_left_with_jetstream(path, new):
                shown = (
                    ("[REDACTED]", "[REDACTED]") if path in _SECRETS else (_shown(before, path), _shown(after, path))
                )
                raise _refused(name, *shown)
            changed.add(path)
    for check in _SPECIAL_CHECKS:
        changed |= check(old, new)
    added, removed, kept = _remote_changes(old.leaf, new.leaf)
    if added or removed or kept:
        changed.add("leaf.remotes")
    return Changes(new, frozenset(changed), added, removed, kept)


def is_reloadable(path: str) -> bool:
    """Whether a change of one option can be applied to a running server (some only in one direction)."""
    for known, _, policy in RELOAD_TABLE:
        if known == path:
            return policy is _FREE
    section, _, field = path.partition(".")
    match section:
        case "mqtt":
            return field in _MQTT_FREE
        case "leaf":
            return field in _LEAF_FREE
        case "websocket":
            return field == "tls"
        case "cluster":
            return field not in ("host", "port")
        case "gateway":
            return False
    return path not in ("security.no_auth_user", "broker.system_account", "jetstream.store_directory")


def _refused(name: str, before: str, after: str) -> ConfigError:
    return ConfigError(f"config reload not supported for {name}: old={before}, new={after}")


def _is_left_with_jetstream(path: str, new: Options) -> bool:
    """Settings of a JetStream that is being switched off do not matter."""
    return path == "jetstream.concurrent_io_max" and not new.jetstream.is_enabled


def _with_kept_ports(old: Options, new: Options) -> Options:
    """A free port asked for again is the port already bound."""
    kept = {}
    for section in ("clients", "websocket", "mqtt", "leaf", "cluster", "gateway"):
        before, after = getattr(old, section), getattr(new, section)
        if after.port == -1 and before.port != 0:
            kept[section] = replace(after, port=before.port)
    return replace(new, **kept)


def _value(options: Options, path: str) -> object:
    value: object = options
    for field in path.split("."):
        value = getattr(value, field)
    return value


def _shown(value: object, path: str = "") -> str:
    """A value as Go's `%v` prints the option."""
    if path == "jetstream.is_strict":
        # nats-server keeps the opposite.
        value = not value
    unset = _SHOWN_UNSET.get(path)
    if unset is not None and unset[0] == value:
        return unset[1]
    match value:
        case bool():
            return "true" if value else "false"
        case float() if path.endswith("_s"):
            return seconds_text(value)
        case float():
            return float_text(value)
        case enum.Enum():
            return str(value.value)
        case tuple() | list() | frozenset():
            return "[" + " ".join(_shown(item) for item in value) + "]"
        case dict():
            return "map[" + " ".join(f"{key}:{_shown(value[key])}" for key in sorted(value)) + "]"
        case None:
            return "<nil>"
    if dataclasses.is_dataclass(value):
        return "{" + " ".join(_shown(getattr(value, item.name), item.name) for item in _shown_fields(value)) + "}"
    return str(value)


def _shown_fields(value: object) -> list[dataclasses.Field[object]]:
    assert dataclasses.is_dataclass(value), "only called with options"
    return [item for item in dataclasses.fields(value) if item.repr]


# -- options with rules of their own ---------------------------------------------------------------------------------


def _no_auth_user(old: Options, new: Options) -> set[str]:
    before, after = old.security.no_auth_user, new.security.no_auth_user
    if before == after:
        return set()
    # Only removing it is possible, and only once that user is gone.
    if after or before in {user.name for user in new.security.users}:
        raise _refused("NoAuthUser", before, after)
    return {"security.no_auth_user"}


def _system_account(old: Options, new: Options) -> set[str]:
    before, after = old.broker.system_account, new.broker.system_account
    if before != after:
        path = "broker.system_account"
        raise _refused("SystemAccount", _shown(before, path), _shown(after, path))
    return set()


def _resolver(old: Options, new: Options) -> set[str]:
    before, after = old.security.operator.resolver, new.security.operator.resolver
    if (before is None) != (after is None):
        raise ConfigError("config reload does not support moving to or from an account resolver")
    if before is not None and after is not None and before.kind is not after.kind:
        raise ConfigError(
            f"config reload not supported for AccountResolver: old={before.kind.value}, new={after.kind.value}"
        )
    return {"security.operator.resolver"} if before != after else set()


def _tls(old: Options, new: Options) -> set[str]:
    before, after = old.clients.tls, new.clients.tls
    if before is not None or after is not None:
        for field, name in _TLS_FIXED:
            was, will = getattr(before, field, False), getattr(after, field, False)
            if (was or 0) != (will or 0):
                raise _refused(name, _shown(was), _shown(will))
    # Certificates are read again at every reload, so TLS counts as changed whenever it is on.
    return {"clients.tls"} if after is not None or before is not None else set()


def _jetstream(old: Options, new: Options) -> set[str]:
    if not old.jetstream.is_enabled:
        fields = ("memory_bytes_max", "storage_bytes_max", "store_directory")
        return {
            f"jetstream.{field}" for field in fields if getattr(old.jetstream, field) != getattr(new.jetstream, field)
        }
    changed: set[str] = set()
    is_staying = new.jetstream.is_enabled
    for field in ("memory_bytes_max", "storage_bytes_max"):
        before, after = getattr(old.jetstream, field), getattr(new.jetstream, field)
        if before == after:
            continue
        if after == -1:
            if is_staying:
                raise ConfigError("config reload not supported for jetstream max memory and max store")
        elif before == -1:
            raise ConfigError("config reload not supported for jetstream dynamic max memory and store")
        elif after < before:
            raise ConfigError("config reload not supported for decreasing jetstream max memory and store")
        changed.add(f"jetstream.{field}")
    if old.jetstream.store_directory != new.jetstream.store_directory:
        if new.jetstream.store_directory:
            raise ConfigError("config reload not supported for jetstream storage directory")
        if is_staying:
            raise ConfigError("config reload not supported for jetstream storage dir")
        changed.add("jetstream.store_directory")
    return changed


def _differing(before: object, after: object, ignored: tuple[str, ...]) -> list[str]:
    assert dataclasses.is_dataclass(before), "sections are dataclasses"
    names = [item.name for item in dataclasses.fields(before) if item.name not in ignored]
    return [name for name in names if getattr(before, name) != getattr(after, name)]


def _section_refused(name: str, before: object, after: object, fields: list[str]) -> ConfigError:
    """nats-server prints the whole section, passwords included; we print what changed, without secrets."""
    secret = {item.name for item in dataclasses.fields(before) if not item.repr}  # type: ignore[arg-type]
    texts = []
    for section in (before, after):
        values = ("[REDACTED]" if field in secret else _shown(getattr(section, field), field) for field in fields)
        texts.append("{" + " ".join(f"{field}:{value}" for field, value in zip(fields, values, strict=True)) + "}")
    return _refused(name, *texts)


def _websocket(old: Options, new: Options) -> set[str]:
    if fields := _differing(old.websocket, new.websocket, ("tls",)):
        raise _section_refused("Websocket", old.websocket, new.websocket, fields)
    return {"websocket.tls"} if new.websocket.tls is not None else set()


def _mqtt(old: Options, new: Options) -> set[str]:
    if fields := _differing(old.mqtt, new.mqtt, _MQTT_FREE):
        raise _section_refused("MQTT", old.mqtt, new.mqtt, fields)
    frozen = tuple(item.name for item in dataclasses.fields(MqttOptions) if item.name not in _MQTT_FREE)
    changed = {f"mqtt.{field}" for field in _differing(old.mqtt, new.mqtt, frozen)}
    return changed | ({"mqtt.tls"} if new.mqtt.tls is not None else set())


def _leaf(old: Options, new: Options) -> set[str]:
    for field in _differing(old.leaf, new.leaf, _LEAF_FREE):
        before, after = getattr(old.leaf, field), getattr(new.leaf, field)
        shown = ("[REDACTED]", "[REDACTED]") if field == "password" else (_shown(before, field), _shown(after, field))
        raise ConfigError(
            f'config reload not supported for LeafNode: field "{_leaf_name(field)}": old={shown[0]}, new={shown[1]}'
        )
    changed = {"leaf.compression"} if old.leaf.compression != new.leaf.compression else set()
    return changed | ({"leaf.tls"} if new.leaf.tls is not None else set())


_LEAF_NAMES = {
    "host": "Host",
    "port": "Port",
    "advertise": "Advertise",
    "is_advertise_disabled": "NoAdvertise",
    "username": "Username",
    "password": "Password",
    "nkey": "Nkey",
    "account": "Account",
    "users": "Users",
    "auth_timeout_s": "AuthTimeout",
    "is_proxy_required": "ProxyRequired",
    "version_min": "MinVersion",
    "is_interest_isolated": "IsolateLeafnodeInterest",
    "write_deadline_s": "WriteDeadline",
    "write_timeout": "WriteTimeout",
    "reconnect_interval_s": "ReconnectInterval",
    "dial_timeout_s": "DialTimeout",
    "is_url_order_kept": "NoRandomize",
    "is_hub": "Hub",
    "deny_imports": "DenyImports",
    "deny_exports": "DenyExports",
    "first_info_timeout_s": "FirstInfoTimeout",
    "is_websocket_compression_wanted": "Websocket",
    "is_websocket_masking_unwanted": "Websocket",
    "proxy": "Proxy",
    "is_jetstream_cluster_migrated": "JetStreamClusterMigrate",
    "jetstream_cluster_migrate_delay_s": "JetStreamClusterMigrateDelay",
    "is_local_interest_isolated": "LocalIsolation",
    "is_isolation_requested": "RequestIsolation",
    "are_discovered_servers_ignored": "IgnoreDiscoveredServers",
}


def _leaf_name(field: str) -> str:
    return _LEAF_NAMES.get(field, field)


def _remote_changes(
    old: LeafOptions, new: LeafOptions
) -> tuple[
    tuple[LeafRemoteOptions, ...],
    tuple[LeafRemoteOptions, ...],
    tuple[tuple[LeafRemoteOptions, LeafRemoteOptions], ...],
]:
    """(added, removed, changed) remotes; a remote is the same if its URLs, account and credentials are."""
    before = {remote_name(remote): remote for remote in old.remotes}
    after = {remote_name(remote): remote for remote in new.remotes}
    changed = []
    for name in before.keys() & after.keys():
        was, will = before[name], after[name]
        for field in _differing(was, will, _REMOTE_FREE):
            texts = (_shown(getattr(was, field), field), _shown(getattr(will, field), field))
            raise ConfigError(
                f"config reload not supported for LeafNode: remote {safe_remote_name(will)}: "
                f'field "{_leaf_name(field)}": old={texts[0]}, new={texts[1]}'
            )
        if was != will:
            changed.append((was, will))
    added = tuple(remote for name, remote in after.items() if name not in before)
    removed = tuple(remote for name, remote in before.items() if name not in after)
    return added, removed, tuple(changed)


def _cluster(old: Options, new: Options) -> set[str]:
    for field in ("host", "port"):
        before, after = getattr(old.cluster, field), getattr(new.cluster, field)
        if before != after:
            raise ConfigError(f"config reload not supported for cluster {field}: old={before}, new={after}")
    return {f"cluster.{field}" for field in _differing(old.cluster, new.cluster, ("routes",))}


def _gateway(old: Options, new: Options) -> set[str]:
    if fields := _differing(old.gateway, new.gateway, ("tls",)):
        raise _section_refused("Gateway", old.gateway, new.gateway, fields)
    return set()


_SPECIAL_CHECKS: tuple[Callable[[Options, Options], set[str]], ...] = (
    _no_auth_user,
    _system_account,
    _cluster,
    _gateway,
    _leaf,
    _jetstream,
    _websocket,
    _mqtt,
    _tls,
    _resolver,
)
