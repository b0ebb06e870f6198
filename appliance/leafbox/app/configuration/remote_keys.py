"""Keys of `leafnodes { remotes [ ] }`: the hubs we connect to.

Source: nats-server 2.15.1 `parseRemoteLeafNodes`, `validateLeafNodeProxyOptions`.
"""

from __future__ import annotations

import os
import re

from leafbox.app.configuration.addresses import AddressError, Url, parse_url
from leafbox.app.configuration.compression_keys import COMPRESSION_KEYS, compression
from leafbox.app.configuration.fields import (
    NOTHING,
    Block,
    Entry,
    Key,
    as_map,
    as_string,
    boolean,
    build,
    duration,
    own_duration,
    string,
)
from leafbox.app.configuration.go_text import quoted, quoted_list, shown, type_name
from leafbox.app.configuration.permission_keys import permission_subjects
from leafbox.app.configuration.problems import fail, problem_at
from leafbox.app.configuration.tls_keys import TLS_KEYS, tls
from leafbox.app.configuration.tree import Node
from leafbox.leaf.config import (
    DEFAULT_LEAF_PORT,
    CompressionMode,
    LeafProxyOptions,
    LeafRemoteOptions,
    LeafUrl,
)
from leafbox.protocol.errors import ConfigError
from leafbox.protocol.nkeys import InvalidNkey, KeyPair, KeyRole


def _url(text: str, node: Node) -> LeafUrl:
    stripped = text.strip()
    try:
        return _leaf_url(parse_url(stripped))
    except AddressError:
        fail(node, f"error parsing leafnode url [{quoted(stripped)}]")


def _leaf_url(url: Url) -> LeafUrl:
    port = int(url.port) if url.port else DEFAULT_LEAF_PORT
    return LeafUrl(url.scheme, url.host, port, url.path, url.username, url.password)


def _urls(entry: Entry) -> object:
    value = entry.node.value
    if isinstance(value, str):
        return (_url(value, entry.node),)
    if not isinstance(value, list):
        fail(entry.node, f"Expected remote leafnode url to be an array or string, got {shown(value)}")
    texts: list[str] = []
    urls: list[LeafUrl] = []
    for node in value:
        text = as_string(node)
        if text in texts:
            entry.reading.problems.warn_use(node, text, "Duplicate leafnode entry detected")
            continue
        texts.append(text)
        urls.append(_url(text, node))
    return tuple(urls)


def expanded_path(text: str, environment: dict[str, str]) -> str:
    """A path with `$NAME`, `${NAME}` and a leading `~` replaced. Raises `ValueError` without `$HOME`."""

    def value(match: re.Match[str]) -> str:
        return environment.get(match.group(1) or match.group(2), "")

    path = re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, text)
    if not path.startswith("~"):
        return path
    home = environment.get("HOME", "")
    if not home:
        raise ValueError("failed to get home dir, require $HOME")
    return os.path.normpath(home + "/" + path[1:])


def _credentials(entry: Entry) -> object:
    try:
        path = expanded_path(as_string(entry.node), dict(entry.reading.environment))
    except ValueError as error:
        fail(entry.node, str(error))
    if entry.into.get("nkey_seed"):
        fail(entry.node, "Remote leafnode can not have both creds and nkey defined")
    return path


def _is_user_seed(text: str) -> bool:
    try:
        return KeyPair.from_seed(text).role is KeyRole.USER
    except InvalidNkey:
        return False


def _seed(entry: Entry) -> object:
    seed = as_string(entry.node)
    if not _is_user_seed(seed):
        fail(entry.node, f"Remote leafnode nkey is not a valid seed: {quoted(seed)}")
    if entry.into.get("credentials_file"):
        fail(entry.node, "Remote leafnode can not have both creds and nkey defined")
    return seed


def _denied(entry: Entry) -> object:
    return permission_subjects(entry.node, is_queue_allowed=False) or ()


def _cluster_migrate(entry: Entry) -> object:
    value = entry.node.value
    if isinstance(value, dict):
        if "leader_migrate_delay" in value:
            delay = Entry("leader_migrate_delay", value["leader_migrate_delay"], entry.into, entry.reading)
            entry.into["jetstream_cluster_migrate_delay_s"] = own_duration(delay)
    elif not isinstance(value, bool):
        raise ConfigError(f"Expected boolean or map for jetstream_cluster_migrate, got {type_name(value)}")
    entry.into["is_jetstream_cluster_migrated"] = bool(value) if isinstance(value, bool) else True
    return NOTHING


PROXY_KEYS = Block(
    (
        Key(("url",), "url", string),
        Key(("username",), "username", string),
        Key(("password",), "password", string),
        Key(("timeout",), "timeout_s", duration("proxy timeout")),
    )
)


def _proxy(entry: Entry) -> object:
    if not isinstance(entry.node.value, dict):
        fail(entry.node, f"Expected proxy to be a map, got {type_name(entry.node.value)}")
    values: dict[str, object] = {"url": ""}
    if not PROXY_KEYS.read(entry.node.value, values, entry.reading):
        return NOTHING
    entry.into["proxy_place"] = entry.node
    return build(LeafProxyOptions, values) if values["url"] else None


REMOTE_KEYS = Block(
    (
        Key(("urls", "url"), "urls", _urls),
        Key(("account", "local"), "account", string),
        Key(("no_randomize", "dont_randomize"), "is_url_order_kept", boolean),
        Key(("credentials", "creds"), "credentials_file", _credentials),
        Key(("nkey", "seed"), "nkey_seed", _seed),
        Key(("tls",), "tls", tls, TLS_KEYS),
        Key(("hub",), "is_hub", boolean),
        Key(("deny_imports", "deny_import"), "deny_imports", _denied),
        Key(("deny_exports", "deny_export"), "deny_exports", _denied),
        Key(
            ("ws_compression", "ws_compress", "websocket_compress", "websocket_compression"),
            "is_websocket_compression_wanted",
            boolean,
        ),
        Key(("ws_no_masking", "websocket_no_masking"), "is_websocket_masking_unwanted", boolean),
        Key(
            ("jetstream_cluster_migrate", "js_cluster_migrate"),
            "is_jetstream_cluster_migrated jetstream_cluster_migrate_delay_s",
            _cluster_migrate,
        ),
        Key(("isolate_leafnode_interest", "isolate"), "is_local_interest_isolated", boolean),
        Key(("request_isolation",), "is_isolation_requested", boolean),
        Key(("compression",), "compression", compression(CompressionMode.S2_AUTO), COMPRESSION_KEYS),
        Key(("first_info_timeout",), "first_info_timeout_s", own_duration),
        Key(("dial_timeout",), "dial_timeout_s", own_duration),
        Key(("proxy",), "proxy", _proxy, PROXY_KEYS),
        Key(("disabled",), "is_disabled", boolean),
        Key(("ignore_discovered_servers",), "are_discovered_servers_ignored", boolean),
    )
)


def remotes(entry: Entry) -> object:
    if not isinstance(entry.node.value, list):
        fail(entry.node, f"Expected remotes field to be an array, got {type_name(entry.node.value)}")
    remotes: list[LeafRemoteOptions] = []
    names: set[str] = set()
    for node in entry.node.value:
        try:
            remote = _remote(node, entry)
        except ConfigError as error:
            entry.reading.problems.errors.append(error)
            continue
        if remote is None:
            continue
        if remote_name(remote) in names:
            last = [node, *as_map(node).values()][-1]
            reason = f"duplicate remote {safe_remote_name(remote)}"
            entry.reading.problems.errors.append(problem_at(last, reason))
            continue
        names.add(remote_name(remote))
        remotes.append(remote)
    return tuple(remotes)


def _remote(node: Node, entry: Entry) -> LeafRemoteOptions | None:
    if not isinstance(node.value, dict):
        fail(node, f"Expected remote leafnode entry to be a map/struct, got {shown(node.value)}")
    values: dict[str, object] = {}
    if not REMOTE_KEYS.read(node.value, values, entry.reading):
        return None
    place = values.pop("proxy_place", node)
    assert isinstance(place, Node), "stored by the proxy's reader"
    if not values.get("account"):
        values.pop("account", None)
    first_info = values.get("first_info_timeout_s", 1.0)
    if isinstance(first_info, float) and first_info <= 0:
        values.pop("first_info_timeout_s")
    values.setdefault("urls", ())
    remote = build(LeafRemoteOptions, values)
    if problem := proxy_problem(remote):
        fail(place, problem)
    return remote


def proxy_problem(remote: LeafRemoteOptions) -> str:
    """Why a remote's HTTP proxy is refused; empty when fine."""
    proxy = remote.proxy
    if proxy is None:
        return ""
    try:
        url = parse_url(proxy.url)
    except AddressError as error:
        return f"invalid proxy URL: parse {quoted(proxy.url)}: {error}"
    if url.scheme not in ("http", "https"):
        return f"proxy URL scheme must be http or https, got: {url.scheme}"
    if not url.host and not url.port:
        return "proxy URL must specify a host"
    if proxy.timeout_s < 0:
        return "proxy timeout must be >= 0"
    if bool(proxy.username) != bool(proxy.password):
        return "proxy username and password must both be specified or both be empty"
    for remote_url in remote.urls:
        if remote_url.scheme == "wss" and remote.tls is None:
            return (
                f"proxy is configured but remote URL {remote_url.redacted()} requires TLS and no TLS configuration "
                "is provided. When using proxy with TLS endpoints, ensure TLS is properly configured for the "
                "leafnode remote"
            )
    return ""


def remote_name(remote: LeafRemoteOptions) -> str:
    """What tells remotes apart: URLs, account, credentials. Holds secrets; never log it."""
    urls = "|".join(f"{url.scheme}://{url.username}:{url.password}@{url.host}:{url.port}" for url in remote.urls)
    return f"{urls} {remote.account} {remote.credentials_file} {remote.nkey_seed}"


def safe_remote_name(remote: LeafRemoteOptions) -> str:
    """The same without secrets."""
    extra = ""
    if remote.credentials_file:
        extra = f", credentials={quoted(remote.credentials_file)}"
    elif remote.nkey_seed:
        extra = ', nkey="[REDACTED]"'
    urls = quoted_list([url.redacted() for url in remote.urls])
    return f"urls={urls}, account={quoted(remote.account)}{extra}"
