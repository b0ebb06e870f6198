"""Keys of the `accounts {}` block.

Source: nats-server 2.15.1 `parseAccounts` and what it calls. Users of all accounts and of `authorization {}` share one
name space; imports and exports are checked when every account is known.
"""

from __future__ import annotations

import re
from dataclasses import replace

from leafbox.app.configuration.authorization_keys import USER_KEYS, users_of, with_default_permissions
from leafbox.app.configuration.fields import (
    NOTHING,
    Block,
    Entry,
    Key,
    as_integer,
    as_list,
    as_string,
    build,
)
from leafbox.app.configuration.go_text import quoted, shown, type_name
from leafbox.app.configuration.mapping_keys import DESTINATION_KEYS, mappings
from leafbox.app.configuration.permission_keys import PERMISSION_KEYS, permissions
from leafbox.app.configuration.problems import fail, problem_at
from leafbox.app.configuration.share_keys import EXPORT_KEYS, IMPORT_KEYS, exports_of, imports_of
from leafbox.app.configuration.sharing import Sharing
from leafbox.app.configuration.subjects import is_valid_publish_subject
from leafbox.app.configuration.tree import Node
from leafbox.broker.config import (
    GLOBAL_ACCOUNT,
    AccountJetStreamLimits,
    AccountLimits,
    AccountOptions,
    MessageTrace,
    ServiceExport,
    ServiceImport,
    StreamExport,
    StreamImport,
)
from leafbox.protocol.errors import ConfigError
from leafbox.protocol.nkeys import KeyRole, is_public
from leafbox.security.config import UserOptions

ACCOUNTS = "broker.accounts"
USERS = "security.users"


# -- one account -----------------------------------------------------------------------------------------------------


def _nkey(entry: Entry) -> object:
    value = entry.node.value
    if not isinstance(value, str) or not is_public(value, KeyRole.ACCOUNT):
        written = quoted(value) if isinstance(value, str) else f"%!q({type_name(value)}={shown(value)})"
        fail(entry.node, f"Not a valid public nkey for an account: {written}")
    return value


def _exports(entry: Entry) -> object:
    exports = exports_of(entry)
    entry.into["stream_exports"] = tuple(item for item in exports if isinstance(item, StreamExport))
    entry.into["service_exports"] = tuple(item for item in exports if isinstance(item, ServiceExport))
    return NOTHING


def _imports(entry: Entry) -> object:
    imports = imports_of(entry)
    entry.into["stream_imports"] = tuple(item for item in imports if isinstance(item, StreamImport))
    entry.into["service_imports"] = tuple(item for item in imports if isinstance(item, ServiceImport))
    return NOTHING


def _users(entry: Entry) -> object:
    users = users_of(entry, is_placed=False)
    entry.into["users_place"] = entry.node
    return NOTHING if users is None else users


def _size(entry: Entry) -> object:
    if not isinstance(entry.node.value, int) or isinstance(entry.node.value, bool):
        fail(entry.node, f"Expected a parseable size for {quoted(entry.key)}, got {shown(entry.node.value)}")
    return entry.node.value


def _size_required(entry: Entry) -> object:
    if not isinstance(entry.node.value, bool):
        fail(entry.node, f"Expected a parseable bool for {quoted(entry.key)}, got {shown(entry.node.value)}")
    return entry.node.value


def _cluster_traffic(entry: Entry) -> object:
    value = entry.node.value
    if not isinstance(value, str):
        fail(
            entry.node,
            f"Expected either 'system' or 'owner' string value for {quoted(entry.key)}, got {shown(value)}",
        )
    if value not in ("", "system", "owner"):
        fail(entry.node, f"Expected 'system' or 'owner' string value for {quoted(entry.key)}, got {value}")
    return value == "owner"


JETSTREAM_KEYS = Block(
    (
        Key(("max_memory", "max_mem", "mem", "memory"), "memory_bytes_max", _size),
        Key(("max_file", "max_store", "max_disk", "store", "disk"), "storage_bytes_max", _size),
        Key(("max_streams", "streams"), "streams_max", _size),
        Key(("max_consumers", "consumers"), "consumers_max", _size),
        Key(("max_bytes_required", "max_stream_bytes", "max_bytes"), "is_stream_size_required", _size_required),
        Key(("memory_max_stream_bytes", "mem_max_stream_bytes"), "memory_stream_bytes_max", _size),
        Key(("disk_max_stream_bytes", "store_max_stream_bytes"), "storage_stream_bytes_max", _size),
        Key(("max_ack_pending",), "ack_pending_max", _size),
        Key(("cluster_traffic",), "is_cluster_traffic_owner", _cluster_traffic),
    )
)


def _jetstream(entry: Entry) -> object:
    value = entry.node.value
    if isinstance(value, bool):
        return AccountJetStreamLimits() if value else None
    if isinstance(value, str):
        if value.lower() in ("enabled", "enable"):
            return AccountJetStreamLimits()
        if value.lower() in ("disabled", "disable"):
            return None
        raise ConfigError(f"Expected 'enabled' or 'disabled' for string value, got '{value}'")
    if not isinstance(value, dict):
        raise ConfigError(f"Expected map, bool or string to define JetStream, got {type_name(value)}")
    values: dict[str, object] = {}
    if not JETSTREAM_KEYS.read(value, values, entry.reading):
        return NOTHING
    entry.into["is_cluster_traffic_owner"] = values.pop("is_cluster_traffic_owner", False)
    return build(AccountJetStreamLimits, values)


def _int32(entry: Entry) -> object:
    # nats-server cuts the value to 32 bits.
    return (as_integer(entry.node) + 2**31) % 2**32 - 2**31


LIMIT_KEYS = Block(
    (
        Key(("max_connections", "max_conn"), "connections_max", _int32),
        Key(("max_subscriptions", "max_subs"), "subscriptions_max", _int32),
        Key(("max_payload", "max_pay"), "payload_bytes_max", _int32),
        Key(("max_leafnodes", "max_leafs"), "leafnodes_max", _int32),
    ),
    unknown=lambda key: f"Unknown field {quoted(key)} parsing account limits",
)


def _limits(entry: Entry) -> object:
    if not isinstance(entry.node.value, dict):
        fail(entry.node, f"Expected account limits to be a map/struct, got {shown(entry.node.value)}")
    values: dict[str, object] = {}
    if not LIMIT_KEYS.read(entry.node.value, values, entry.reading):
        return NOTHING
    return build(AccountLimits, values)


def _trace_destination(entry: Entry) -> object:
    value = entry.node.value
    if not isinstance(value, str):
        fail(entry.node, f"Field {quoted(entry.key)} should be a string, got {type_name(value)}")
    if not is_valid_publish_subject(value):
        fail(entry.node, f"Trace destination {quoted(value)} is not valid")
    return value


def _trace_sampling(entry: Entry) -> object:
    value = entry.node.value
    if isinstance(value, str):
        digits = value.removesuffix("%")
        if not re.fullmatch("[+-]?[0-9]{1,18}", digits):
            fail(entry.node, f"Invalid trace destination sampling value {quoted(value)}")
        value = int(digits)
    if not isinstance(value, int) or isinstance(value, bool):
        fail(
            entry.node,
            f"Trace destination sampling field {quoted(entry.key)} should be an integer or a percentage, "
            f"got {type_name(value)}",
        )
    if not 1 <= value <= 100:
        # The first word is misspelt in nats-server; tools may look for the whole text.
        fail(entry.node, f"Ttrace destination sampling value {value} is invalid, needs to be [1..100]")
    return value


def _trace_keys(parent: str) -> Block:
    return Block(
        (
            Key(("dest",), "destination", _trace_destination),
            Key(("sampling",), "sampling_percent", _trace_sampling),
        ),
        unknown=lambda key: f"Unknown field {quoted(key)} parsing account message trace map/struct {quoted(parent)}",
    )


TRACE_KEYS = _trace_keys("msg_trace")


def _message_trace(entry: Entry) -> object:
    value = entry.node.value
    if isinstance(value, str):
        return MessageTrace(str(_trace_destination(entry)))
    if not isinstance(value, dict):
        fail(
            entry.node,
            f"Expected account message trace {quoted(entry.key)} to be a string or a map/struct, "
            f"got {type_name(value)}",
        )
    values: dict[str, object] = {}
    if not _trace_keys(entry.key).read(value, values, entry.reading):
        return NOTHING
    if "destination" not in values:
        if values:
            reason = "Trace destination sampling ignored since no destination was set"
            entry.reading.problems.warn(entry.node, reason)
        return None
    return build(MessageTrace, values)


ACCOUNT_KEYS = Block(
    (
        Key(("nkey",), "nkey", _nkey),
        Key(("users",), "users", _users, USER_KEYS),
        Key(("default_permissions",), "default_permissions", permissions, PERMISSION_KEYS),
        Key(("exports",), "stream_exports service_exports", _exports, EXPORT_KEYS),
        Key(("imports",), "stream_imports service_imports", _imports, IMPORT_KEYS),
        Key(("mappings", "maps"), "mappings", mappings, DESTINATION_KEYS),
        Key(("limits",), "limits", _limits, LIMIT_KEYS),
        Key(("jetstream",), "jetstream is_cluster_traffic_owner", _jetstream, JETSTREAM_KEYS),
        Key(("msg_trace", "trace_dest"), "message_trace", _message_trace, TRACE_KEYS),
    )
)


# -- all accounts ----------------------------------------------------------------------------------------------------


def accounts(entry: Entry) -> object:
    """Reader of the `accounts` key: an array of names, or a map."""
    value = entry.node.value
    errors_before = len(entry.reading.problems.errors)
    if isinstance(value, list):
        _add_named_accounts(entry)
    elif isinstance(value, dict):
        for name, node in value.items():
            if node.is_used_variable:
                continue
            try:
                _add_account(Entry(name, node, entry.into, entry.reading))
            except ConfigError as error:
                entry.reading.problems.errors.append(error)
    if len(entry.reading.problems.errors) == errors_before == 0:
        _check_sharing(entry)
    return NOTHING


def _add_named_accounts(entry: Entry) -> None:
    names: list[str] = []
    for node in as_list(entry.node):
        name = as_string(node)
        reason = ""
        if name == GLOBAL_ACCOUNT:
            reason = f"{quoted(name)} is a Reserved Account"
        elif name in names:
            reason = f"Duplicate Account Entry: {name}"
        if reason:
            entry.reading.problems.errors.append(problem_at(node, reason))
        else:
            names.append(name)
            _append(entry.into, ACCOUNTS, AccountOptions(name))


def _add_account(entry: Entry) -> None:
    if not isinstance(entry.node.value, dict):
        fail(entry.node, "Expected map entries for accounts")
    if entry.key == GLOBAL_ACCOUNT:
        fail(entry.node, f"{quoted(entry.key)} is a Reserved Account")
    values: dict[str, object] = {}
    if not ACCOUNT_KEYS.read(entry.node.value, values, entry.reading):
        return
    users, place = values.pop("users", ()), values.pop("users_place", entry.node)
    assert isinstance(users, tuple), "users are read as a tuple"
    assert isinstance(place, Node), "and with their place"
    account = build(AccountOptions, {"name": entry.key, **values})
    _append(entry.into, ACCOUNTS, account)
    _check_single_user(entry, users, place)
    for user in with_default_permissions(users, account.default_permissions):
        add_user(entry, replace(user, account=entry.key), place)


def _check_single_user(entry: Entry, users: tuple[UserOptions, ...], place: Node) -> None:
    if not users:
        return
    if entry.into.get("security.username"):
        fail(place, "Can not have a single user/pass and accounts")
    if entry.into.get("security.token"):
        fail(place, "Can not have a token and accounts")


def add_user(entry: Entry, user: UserOptions, place: Node) -> None:
    """Add a user to those of the server; names are unique over all accounts. Duplicates are reported at `place`."""
    known = entry.into.get(USERS, ())
    assert isinstance(known, tuple), "users are kept as a tuple"
    if (user.nkey or user.name) in {other.nkey or other.name for other in known}:
        kind = "nkey" if user.nkey else "user"
        reason = f"Duplicate {kind} {quoted(user.nkey or user.name)} detected"
        entry.reading.problems.errors.append(problem_at(place, reason))
        return
    _append(entry.into, USERS, user)


def _append(into: dict[str, object], field: str, item: object) -> None:
    known = into.get(field, ())
    assert isinstance(known, tuple), "collected as tuples"
    into[field] = (*known, item)


def _check_sharing(entry: Entry) -> None:
    known = entry.into.get(ACCOUNTS, ())
    assert isinstance(known, tuple), "accounts are kept as a tuple"
    sharing = Sharing(known, bool(entry.into.get("broker.is_system_account_disabled", False)))
    for reason in sharing.problems():
        entry.reading.problems.errors.append(problem_at(entry.node, reason))


def global_mappings(entry: Entry) -> object:
    """Reader of the top-level `mappings`, which belong to the account of clients without one."""
    read = mappings(entry)
    _append(entry.into, ACCOUNTS, build(AccountOptions, {"name": GLOBAL_ACCOUNT, "mappings": read}))
    return NOTHING
