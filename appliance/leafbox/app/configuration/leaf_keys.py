"""Keys of the `leafnodes {}` block: the listener for leafs, and the remotes (hubs).

Source: nats-server 2.15.1 `parseLeafNodes`, `parseRemoteLeafNodes`, `parseLeafAuthorization`.
"""

from __future__ import annotations

import re

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
    integer,
    listen,
    string,
    timeout,
    write_timeout,
)
from leafbox.app.configuration.go_text import quoted, shown, type_name
from leafbox.app.configuration.problems import fail, problem_at
from leafbox.app.configuration.remote_keys import REMOTE_KEYS, remotes
from leafbox.app.configuration.tls_keys import TLS_KEYS, tls
from leafbox.leaf.config import (
    CompressionMode,
    LeafUserOptions,
)
from leafbox.protocol.nkeys import KeyRole, is_public

_SEMVER = re.compile(r"v?([0-9]+)\.?([0-9]+)?\.?([0-9]+)?")


def _nkey(entry: Entry) -> object:
    key = as_string(entry.node)
    if not is_public(key, KeyRole.USER):
        fail(entry.node, "Not a valid public nkey for leafnode authorization")
    return key


USER_KEYS = Block(
    (
        Key(("user", "username"), "name", string),
        Key(("password", "pass"), "password", string),
        Key(("account",), "account", string),
        Key(("proxy_required",), "is_proxy_required", boolean),
    )
)


def _users(entry: Entry) -> object:
    if not isinstance(entry.node.value, list):
        fail(entry.node, f"Expected users field to be an array, got {shown(entry.node.value)}")
    users: list[LeafUserOptions] = []
    for node in entry.node.value:
        if not isinstance(node.value, dict):
            reason = f"Expected user entry to be a map/struct, got {shown(node.value)}"
            entry.reading.problems.errors.append(problem_at(node, reason))
            continue
        values: dict[str, object] = {"name": ""}
        if USER_KEYS.read(node.value, values, entry.reading):
            users.append(build(LeafUserOptions, values))
    return tuple(users)


AUTHORIZATION_KEYS = Block(
    (
        Key(("user", "username"), "leaf.username", string),
        Key(("password", "pass"), "leaf.password", string),
        Key(("nkey",), "leaf.nkey", _nkey),
        Key(("account",), "leaf.account", string),
        Key(("users",), "leaf.users", _users, USER_KEYS),
        Key(
            ("timeout",),
            "leaf.auth_timeout_s",
            timeout("error parsing leafnode authorization config", is_long_doubtful=True),
        ),
        Key(("proxy_required",), "leaf.is_proxy_required", boolean),
    )
)


def _authorization(entry: Entry) -> object:
    if not AUTHORIZATION_KEYS.read(as_map(entry.node), entry.into, entry.reading):
        return NOTHING
    users = entry.into.get("leaf.users", ())
    assert isinstance(users, tuple), "read as a tuple"
    username, nkey = str(entry.into.get("leaf.username", "")), str(entry.into.get("leaf.nkey", ""))
    if problem := leaf_user_problem(username, nkey, users):
        fail(entry.node, problem)
    return NOTHING


def leaf_user_problem(username: str, nkey: str, users: tuple[LeafUserOptions, ...]) -> str:
    """Why the listener's users do not go together; empty if they do."""
    if not users:
        return ""
    if username:
        return "can not have a single user/pass and a users array"
    if nkey:
        return "can not have a single nkey and a users array"
    names = [user.name for user in users]
    for index, name in enumerate(names):
        if name in names[:index]:
            return f"duplicate user {quoted(name)} detected in leafnode authorization"
    return ""


def min_version_problem(version: str) -> str:
    """Why a minimum version is refused; empty if it is fine."""
    match = _SEMVER.match(version)
    if match is None or not match.group(1):
        return "invalid leafnode's minimum version: invalid semver"
    numbers = tuple(int(part or 0) for part in match.groups())
    return "" if numbers >= (2, 8, 0) else "the minimum version should be at least 2.8.0"


def _min_version(entry: Entry) -> object:
    version = as_string(entry.node)
    if problem := min_version_problem(version):
        fail(entry.node, problem)
    return version


LEAF_KEYS = Block(
    (
        Key(("listen",), "leaf.host leaf.port", listen("leaf.host", "leaf.port")),
        Key(("host", "net"), "leaf.host", string),
        Key(("port",), "leaf.port", integer),
        Key(("advertise", "leafnode_advertise"), "leaf.advertise", string),
        Key(("no_advertise",), "leaf.is_advertise_disabled", boolean),
        Key(("authorization",), "", _authorization, AUTHORIZATION_KEYS),
        Key(("tls",), "leaf.tls", tls, TLS_KEYS),
        Key(("min_version", "minimum_version"), "leaf.version_min", _min_version),
        Key(("compression",), "leaf.compression", compression(CompressionMode.S2_AUTO), COMPRESSION_KEYS),
        Key(("isolate_leafnode_interest", "isolate"), "leaf.is_interest_isolated", boolean),
        Key(("write_deadline",), "leaf.write_deadline_s", duration("write_deadline")),
        Key(("write_timeout",), "leaf.write_timeout", write_timeout),
        Key(("reconnect", "reconnect_delay", "reconnect_interval"), "leaf.reconnect_interval_s", duration("reconnect")),
        Key(("dial_timeout",), "leaf.dial_timeout_s", duration("dial_timeout")),
        Key(("remotes",), "leaf.remotes", remotes, REMOTE_KEYS),
    )
)


def leafnodes(entry: Entry) -> object:
    """Reader of the `leafnodes {}` key."""
    if not isinstance(entry.node.value, dict):
        fail(entry.node, f"Expected map to define a leafnode, got {type_name(entry.node.value)}")
    LEAF_KEYS.read(entry.node.value, entry.into, entry.reading)
    return NOTHING
