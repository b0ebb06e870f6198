"""All top-level keys of a configuration file.

Source: nats-server 2.15.1 `processConfigFileLine`. What a key sets is named `<section>.<field>` of `Options`.
"""

from __future__ import annotations

from dataclasses import replace

from leafbox.app.configuration.account_keys import ACCOUNT_KEYS, accounts, add_user, global_mappings
from leafbox.app.configuration.authorization_keys import AUTHORIZATION_KEYS, authorization_of
from leafbox.app.configuration.bridge_keys import BRIDGE_KEYS, bridges
from leafbox.app.configuration.cluster_keys import CLUSTER_KEYS, GATEWAY_KEYS, cluster, gateway
from leafbox.app.configuration.durations import DurationError, duration_text, parse_duration_ns
from leafbox.app.configuration.fields import (
    NANOSECONDS,
    NOTHING,
    Block,
    Entry,
    Key,
    ReadValue,
    as_boolean,
    as_integer,
    as_string,
    boolean,
    duration,
    ignored,
    int31,
    integer,
    listen,
    string,
    write_timeout,
)
from leafbox.app.configuration.go_text import quoted, type_name
from leafbox.app.configuration.jetstream_keys import JETSTREAM_KEYS, jetstream, store_directory
from leafbox.app.configuration.leaf_keys import LEAF_KEYS, leafnodes
from leafbox.app.configuration.listener_keys import MQTT_KEYS, WEBSOCKET_KEYS, mqtt, websocket
from leafbox.app.configuration.mapping_keys import DESTINATION_KEYS
from leafbox.app.configuration.ocsp_keys import OCSP_CACHE_KEYS, OCSP_KEYS, ocsp, ocsp_cache
from leafbox.app.configuration.operator_keys import (
    PROXY_KEYS,
    RESOLVER,
    operators,
    proxies,
    resolver,
    resolver_pinned_accounts,
    resolver_preload,
    trusted_keys,
)
from leafbox.app.configuration.problems import fail, problem_at
from leafbox.app.configuration.tls_keys import TLS_KEYS, tls
from leafbox.app.configuration.tree import Node

_LAME_DUCK_MIN_NS = 30 * NANOSECONDS


def _server_name(entry: Entry) -> object:
    name = as_string(entry.node)
    if " " in name:
        fail(entry.node, "server name cannot contain spaces")
    return name


def _tracing(field: str) -> ReadValue:
    """A kind of tracing, which switches tracing on as well."""

    def read(entry: Entry) -> object:
        entry.into["logging.is_trace"] = as_boolean(entry.node)
        entry.into[field] = as_boolean(entry.node)
        return NOTHING

    return read


def _monitoring_listen(port_field: str) -> ReadValue:
    return listen("monitoring.host", port_field)


def _connections_max(entry: Entry) -> object:
    # nats-server turns zero into "refuse everyone".
    return as_integer(entry.node) or -1


def _subject_tokens_max(entry: Entry) -> object:
    number = as_integer(entry.node)
    if number > 255:
        fail(entry.node, f"{entry.key} value is too big")
    if number <= 0:
        fail(entry.node, f"{entry.key} value can not be negative")
    return number


def _lame_duck_duration(entry: Entry) -> object:
    try:
        nanoseconds = parse_duration_ns(as_string(entry.node))
    except DurationError as error:
        fail(entry.node, f"error parsing lame_duck_duration: {error}")
    if nanoseconds < _LAME_DUCK_MIN_NS:
        text = duration_text(nanoseconds)
        fail(entry.node, f"invalid lame_duck_duration of {text}, minimum is 30 seconds")
    return nanoseconds / NANOSECONDS


def _lame_duck_grace_period(entry: Entry) -> object:
    try:
        nanoseconds = parse_duration_ns(as_string(entry.node))
    except DurationError as error:
        fail(entry.node, f"error parsing lame_duck_grace_period: {error}")
    if nanoseconds < 0:
        fail(entry.node, "invalid lame_duck_grace_period, needs to be positive")
    return nanoseconds / NANOSECONDS


def _tags(entry: Entry) -> object:
    value = entry.node.value
    if isinstance(value, str):
        texts = [value]
    elif isinstance(value, list):
        texts = []
        for node in value:
            if not isinstance(node.value, str):
                fail(entry.node, "error parsing tags: unsupported type *conf.token where string is expected")
            texts.append(node.value)
    else:
        fail(entry.node, f"error parsing tags: unsupported type {type_name(value)}")
    return tuple(dict.fromkeys(text.strip().lower() for text in texts if text.strip()))


def _metadata(entry: Entry) -> object:
    if not isinstance(entry.node.value, dict):
        fail(entry.node, f"error parsing metadata: unsupported type {type_name(entry.node.value)}")
    return {name: as_string(node) for name, node in entry.node.value.items()}


def _feature_flags(entry: Entry) -> object:
    if not isinstance(entry.node.value, dict):
        fail(entry.node, f"error parsing feature flags: unsupported type {type_name(entry.node.value)}")
    flags: dict[str, bool] = {}
    for name, node in entry.node.value.items():
        if not isinstance(node.value, bool):
            fail(
                node,
                f"error parsing feature flag {quoted(name)}: expected bool, got {type_name(node.value)}",
            )
        flags[name] = node.value
    return flags


def _default_domains(entry: Entry) -> object:
    if not isinstance(entry.node.value, dict):
        fail(entry.node, f"error default_js_domain config: unsupported type {type_name(entry.node.value)}")
    wrong = next((node for node in entry.node.value.values() if not isinstance(node.value, str)), None)
    if wrong is not None:
        as_string(replace(entry.node, value=wrong.value))
    return {name: as_string(node) for name, node in entry.node.value.items()}


def _authorization(entry: Entry) -> object:
    read = authorization_of(entry)
    if read is None:
        return NOTHING
    entry.into["security.is_authorization_block_defined"] = True
    entry.into["security.username"] = read.username
    entry.into["security.password"] = read.password
    entry.into["security.token"] = read.token
    entry.into["security.auth_timeout_s"] = read.timeout_s
    entry.into["security.is_proxy_required"] = read.is_proxy_required
    entry.into["security.auth_callout"] = read.callout
    if (read.username or read.password) and read.token:
        fail(entry.node, "Cannot have a user/pass and token")
    if read.users is None and not entry.into.get("security.users"):
        return NOTHING
    if read.username:
        fail(entry.node, "Can not have a single user/pass and a users array")
    if read.token:
        fail(entry.node, "Can not have a token and a users array")
    for user in read.users or ():
        add_user(entry, user, entry.node)
    entry.into.setdefault("security.users", ())
    return NOTHING


TOP_LEVEL_KEYS = Block(
    (
        Key(("listen",), "clients.host clients.port", listen("clients.host", "clients.port")),
        Key(("host", "net"), "clients.host", string),
        Key(("port",), "clients.port", integer),
        Key(("client_advertise",), "clients.advertise", string),
        Key(("tls",), "clients.tls", tls, TLS_KEYS),
        Key(("allow_non_tls",), "clients.is_clear_text_allowed", boolean),
        Key(("proxy_protocol",), "clients.is_proxy_protocol_expected", boolean),
        Key(("server_name",), "server.name", _server_name),
        Key(("server_tags",), "server.tags", _tags),
        Key(("server_metadata",), "server.metadata", _metadata),
        Key(("feature_flags",), "server.feature_flags", _feature_flags),
        Key(("pid_file", "pidfile"), "server.pid_file", string),
        Key(("ports_file_dir",), "server.ports_file_directory", string),
        Key(("lame_duck_duration",), "server.lame_duck_duration_s", _lame_duck_duration),
        Key(("lame_duck_grace_period",), "server.lame_duck_grace_period_s", _lame_duck_grace_period),
        Key(("connect_error_reports",), "server.connect_error_reports", integer),
        Key(("reconnect_error_reports",), "server.reconnect_error_reports", integer),
        Key(("prof_port",), "server.profiling_port", integer),
        Key(("prof_block_rate",), "server.profiling_block_rate", integer),
        Key(("debug",), "logging.is_debug", boolean),
        Key(("trace",), "logging.is_trace", boolean),
        Key(("trace_verbose",), "logging.is_trace_verbose", _tracing("logging.is_trace_verbose")),
        Key(("trace_headers",), "logging.is_trace_headers_only", _tracing("logging.is_trace_headers_only")),
        Key(("logtime",), "logging.is_time_logged", boolean),
        Key(("logtime_utc",), "logging.is_time_utc", boolean),
        Key(("log_file", "logfile"), "logging.file", string),
        Key(("log_size_limit", "logfile_size_limit"), "logging.file_bytes_max", integer),
        Key(("log_max_num", "logfile_max_num"), "logging.files_max", integer),
        Key(("syslog",), "logging.is_syslog", boolean),
        Key(("remote_syslog",), "logging.remote_syslog", string),
        Key(("max_traced_msg_len",), "logging.traced_message_bytes_max", integer),
        Key(("http",), "monitoring.host monitoring.http_port", _monitoring_listen("monitoring.http_port")),
        Key(("https",), "monitoring.host monitoring.https_port", _monitoring_listen("monitoring.https_port")),
        Key(("http_port", "monitor_port"), "monitoring.http_port", integer),
        Key(("https_port",), "monitoring.https_port", integer),
        Key(("http_base_path",), "monitoring.base_path", string),
        Key(("max_payload",), "broker.payload_bytes_max", int31),
        Key(("max_control_line",), "broker.control_line_bytes_max", int31),
        Key(("max_pending",), "broker.pending_bytes_max", integer),
        Key(("max_connections", "max_conn"), "broker.connections_max", _connections_max),
        Key(("max_subscriptions", "max_subs"), "broker.subscriptions_max", integer),
        Key(("max_sub_tokens", "max_subscription_tokens"), "broker.subject_tokens_max", _subject_tokens_max),
        Key(("max_closed_clients",), "broker.closed_clients_max", integer),
        Key(("ping_interval",), "broker.ping_interval_s", duration("ping_interval")),
        Key(("ping_max",), "broker.pings_out_max", integer),
        Key(("write_deadline",), "broker.write_deadline_s", duration("write_deadline")),
        Key(("write_timeout",), "broker.write_timeout", write_timeout),
        Key(("no_fast_producer_stall",), "broker.is_fast_producer_stall_disabled", boolean),
        Key(("disable_sublist_cache", "no_sublist_cache"), "broker.is_sublist_cache_disabled", boolean),
        Key(("no_header_support",), "broker.is_header_support_disabled", boolean),
        Key(("system_account", "system"), "broker.system_account", ignored),
        Key(("no_system_account", "no_system", "no_sys_acc"), "broker.is_system_account_disabled", boolean),
        Key(("accounts",), "broker.accounts", accounts, ACCOUNT_KEYS),
        Key(("mappings", "maps"), "broker.accounts", global_mappings, DESTINATION_KEYS),
        Key(("authorization",), "", _authorization, AUTHORIZATION_KEYS),
        Key(("no_auth_user",), "security.no_auth_user", string),
        Key(
            ("operator", "operators", "roots", "root", "root_operators", "root_operator"),
            "security.operator.operators",
            operators,
        ),
        Key(("resolver", "account_resolver", "accounts_resolver"), RESOLVER, resolver),
        Key(("resolver_tls",), "security.operator.resolver_tls", tls, TLS_KEYS),
        Key(("resolver_preload",), "security.operator.resolver_preload", resolver_preload),
        Key(
            ("resolver_pinned_accounts",),
            "security.operator.resolver_pinned_accounts",
            resolver_pinned_accounts,
        ),
        Key(("trusted_keys", "trusted"), "security.operator.trusted_keys", trusted_keys),
        Key(("default_sentinel",), "security.operator.default_sentinel", string),
        Key(("proxies",), "security.trusted_proxies", proxies, PROXY_KEYS),
        Key(("ocsp",), "security.ocsp", ocsp, OCSP_KEYS),
        Key(("ocsp_cache",), "", ocsp_cache, OCSP_CACHE_KEYS),
        Key(("jetstream",), "jetstream.is_enabled", jetstream, JETSTREAM_KEYS),
        Key(("store_dir", "storedir"), "jetstream.store_directory", store_directory),
        Key(("default_js_domain",), "jetstream.default_domains", _default_domains),
        Key(("websocket", "ws"), "", websocket, WEBSOCKET_KEYS),
        Key(("mqtt",), "", mqtt, MQTT_KEYS),
        Key(("bridges",), "bridges", bridges, BRIDGE_KEYS),
        Key(("leafnodes", "leaf"), "", leafnodes, LEAF_KEYS),
        Key(("cluster",), "", cluster, CLUSTER_KEYS),
        Key(("gateway",), "", gateway, GATEWAY_KEYS),
    )
)


def system_account_name(tree: dict[str, Node]) -> str:
    """The configured system account, read before everything else. Raises `ConfigError`."""
    for key in ("system_account", "system"):
        if key in tree:
            node = tree[key]
            if not isinstance(node.value, str):
                raise problem_at(node, "system account name must be a string")
            return node.value
    return ""
