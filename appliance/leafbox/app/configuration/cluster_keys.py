"""Keys of the `cluster {}` and `gateway {}` blocks: read and checked like the others, refused or warned about later.

Source: nats-server 2.15.1 `parseCluster`, `parseGateway`, `parseGateways`.
"""

from __future__ import annotations

from leafbox.app.configuration.addresses import AddressError, parse_url
from leafbox.app.configuration.authorization_keys import AUTHORIZATION_KEYS, authorization_of
from leafbox.app.configuration.cluster_options import GatewayRemoteOptions
from leafbox.app.configuration.compression_keys import COMPRESSION_KEYS, compression
from leafbox.app.configuration.fields import (
    NOTHING,
    Block,
    Entry,
    Key,
    ReadValue,
    as_list,
    as_string,
    boolean,
    build,
    duration,
    integer,
    listen,
    string,
    string_list,
    write_timeout,
)
from leafbox.app.configuration.go_text import quoted, shown, type_name
from leafbox.app.configuration.permission_keys import PERMISSION_KEYS, permissions_of
from leafbox.app.configuration.problems import fail, problem_at
from leafbox.app.configuration.subjects import permission_problem
from leafbox.app.configuration.tls_keys import ROUTE_TLS_KEYS, route_tls
from leafbox.app.configuration.tree import Node
from leafbox.broker.config import Permissions
from leafbox.leaf.config import CompressionMode
from leafbox.protocol.errors import ConfigError

ROUTE_PING_INTERVAL_MAX_S = 30.0


def _name(kind: str) -> ReadValue:
    def read(entry: Entry) -> object:
        name = as_string(entry.node)
        if " " in name:
            fail(entry.node, f"{kind} name cannot contain spaces")
        return name

    return read


def _url(text: str, kind: str, node: Node) -> str:
    stripped = text.strip()
    try:
        parse_url(stripped)
    except AddressError:
        fail(node, f"error parsing {kind} url [{quoted(stripped)}]")
    return stripped


def _urls(kind: str) -> ReadValue:
    def read(entry: Entry) -> object:
        texts: list[str] = []
        for node in as_list(entry.node):
            text = as_string(node)
            if text in texts:
                entry.reading.problems.warn_use(node, text, f"Duplicate {kind} entry detected")
                continue
            texts.append(_url(text, kind, node))
        return tuple(texts)

    return read


def _authorization(section: str, label: str) -> ReadValue:
    def read(entry: Entry) -> object:
        read = authorization_of(entry)
        if read is None:
            return NOTHING
        if read.users is not None:
            fail(entry.node, f"{label} authorization does not allow multiple users")
        if read.token:
            fail(entry.node, f"{label} authorization does not support tokens")
        if read.callout is not None:
            fail(entry.node, f"{label} authorization does not support callouts")
        entry.into[f"{section}.username"] = read.username
        entry.into[f"{section}.password"] = read.password
        entry.into[f"{section}.auth_timeout_s"] = read.timeout_s
        if section == "cluster" and read.default_permissions is not None:
            _check_route_subjects(read.default_permissions, entry.node)
            reason = 'setting "permissions" within cluster authorization block is deprecated'
            entry.reading.problems.warn_use(entry.node, entry.key, reason)
            entry.into.setdefault("cluster.permissions", read.default_permissions)
        return NOTHING

    return read


def _check_route_subjects(permissions: Permissions, node: Node) -> None:
    for direction, rules in (("import", permissions.publish), ("export", permissions.subscribe)):
        for kind, subjects in (("allow", rules.allow), ("deny", rules.deny)) if rules else ():
            for subject in subjects or ():
                if problem := permission_problem(subject, is_queue_allowed=False):
                    fail(node, f"cluster {direction} {kind}: {problem}")


def _permissions(entry: Entry) -> object:
    if not isinstance(entry.node.value, dict):
        raise ConfigError(f"Expected permissions to be a map/struct, got {shown(entry.node.value)}")
    read = permissions_of(entry)
    if read is None:
        return NOTHING
    if read.responses is not None:
        fail(entry.node, "Cluster permissions do not support dynamic responses")
    _check_route_subjects(read, entry.node)
    return read


def _ping_interval(entry: Entry) -> object:
    seconds = duration("ping_interval")(entry)
    if isinstance(seconds, float) and seconds > ROUTE_PING_INTERVAL_MAX_S:
        reason = "Cluster 'ping_interval' will reset to 30s which is the max for routes"
        entry.reading.problems.warn(entry.node, reason)
        return ROUTE_PING_INTERVAL_MAX_S
    return seconds


CLUSTER_KEYS = Block(
    (
        Key(("name",), "cluster.name", _name("cluster")),
        Key(("listen",), "cluster.host cluster.port", listen("cluster.host", "cluster.port")),
        Key(("host", "net"), "cluster.host", string),
        Key(("port",), "cluster.port", integer),
        Key(("routes",), "cluster.routes", _urls("route")),
        Key(("authorization",), "", _authorization("cluster", "Cluster"), AUTHORIZATION_KEYS),
        Key(("permissions",), "cluster.permissions", _permissions, PERMISSION_KEYS),
        Key(("tls",), "cluster.tls", route_tls, ROUTE_TLS_KEYS),
        Key(("advertise", "cluster_advertise"), "cluster.advertise", string),
        Key(("no_advertise",), "cluster.is_advertise_disabled", boolean),
        Key(("connect_retries",), "cluster.connect_retries", integer),
        Key(("connect_backoff",), "cluster.is_connect_backoff", boolean),
        Key(("pool_size",), "cluster.pool_size", integer),
        Key(("accounts",), "cluster.pinned_accounts", string_list("accounts")),
        Key(("compression",), "cluster.compression", compression(CompressionMode.S2_FAST), COMPRESSION_KEYS),
        Key(("ping_interval",), "cluster.ping_interval_s", _ping_interval),
        Key(("ping_max",), "cluster.pings_out_max", integer),
        Key(("write_deadline",), "cluster.write_deadline_s", duration("write_deadline")),
        Key(("write_timeout",), "cluster.write_timeout", write_timeout),
    )
)


def cluster(entry: Entry) -> object:
    """Reader of the `cluster {}` key."""
    if not isinstance(entry.node.value, dict):
        fail(entry.node, f"Expected map to define cluster, got {type_name(entry.node.value)}")
    CLUSTER_KEYS.read(entry.node.value, entry.into, entry.reading)
    return NOTHING


def _single_url(entry: Entry) -> object:
    urls = entry.into.get("urls", ())
    assert isinstance(urls, tuple), "read as a tuple"
    entry.into["urls"] = (*urls, _url(as_string(entry.node), "gateway", entry.node))
    return NOTHING


GATEWAY_REMOTE_KEYS = Block(
    (
        Key(("name",), "name", string),
        Key(("tls",), "tls", route_tls, ROUTE_TLS_KEYS),
        Key(("url",), "urls", _single_url),
        Key(("urls",), "urls", _urls("gateway")),
    )
)


def _gateways(entry: Entry) -> object:
    if not isinstance(entry.node.value, list):
        raise ConfigError(f"Expected gateways field to be an array, got {type_name(entry.node.value)}")
    remotes: list[GatewayRemoteOptions] = []
    for node in entry.node.value:
        if not isinstance(node.value, dict):
            reason = f"Expected gateway entry to be a map/struct, got {shown(node.value)}"
            entry.reading.problems.errors.append(problem_at(node, reason))
            continue
        values: dict[str, object] = {"name": ""}
        if GATEWAY_REMOTE_KEYS.read(node.value, values, entry.reading):
            remotes.append(build(GatewayRemoteOptions, values))
    return tuple(remotes)


GATEWAY_KEYS = Block(
    (
        Key(("name",), "gateway.name", _name("gateway")),
        Key(("listen",), "gateway.host gateway.port", listen("gateway.host", "gateway.port")),
        Key(("host", "net"), "gateway.host", string),
        Key(("port",), "gateway.port", integer),
        Key(("authorization",), "", _authorization("gateway", "Gateway"), AUTHORIZATION_KEYS),
        Key(("tls",), "gateway.tls", route_tls, ROUTE_TLS_KEYS),
        Key(("advertise",), "gateway.advertise", string),
        Key(("connect_retries",), "gateway.connect_retries", integer),
        Key(("connect_backoff",), "gateway.is_connect_backoff", boolean),
        Key(("gateways",), "gateway.gateways", _gateways, GATEWAY_REMOTE_KEYS),
        Key(("reject_unknown_cluster", "reject_unknown"), "gateway.is_unknown_rejected", boolean),
        Key(("write_deadline",), "gateway.write_deadline_s", duration("write_deadline")),
        Key(("write_timeout",), "gateway.write_timeout", write_timeout),
    )
)


def gateway(entry: Entry) -> object:
    """Reader of the `gateway {}` key."""
    if not isinstance(entry.node.value, dict):
        fail(entry.node, f"Expected gateway to be a map, got {type_name(entry.node.value)}")
    GATEWAY_KEYS.read(entry.node.value, entry.into, entry.reading)
    return NOTHING
