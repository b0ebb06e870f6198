"""Keys of `authorization {}` blocks, users and the auth callout.

Source: nats-server 2.15.1 `parseAuthorization`, `parseUsers`, `parseAuthCallout`, `parseSimpleAuth`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from leafbox.app.configuration.fields import (
    NOTHING,
    Block,
    Entry,
    Key,
    ReadValue,
    as_map,
    as_string,
    boolean,
    build,
    string,
    string_list,
    timeout,
)
from leafbox.app.configuration.go_text import quoted, quoted_list, shown
from leafbox.app.configuration.permission_keys import PERMISSION_KEYS, permissions
from leafbox.app.configuration.problems import fail, problem_at
from leafbox.app.configuration.tree import Node
from leafbox.broker.config import ConnectionType, Permissions
from leafbox.protocol.nkeys import KeyRole, is_public
from leafbox.security.config import AuthCalloutOptions, SimpleAuthorization, UserOptions


@dataclass(frozen=True, slots=True)
class Authorization:
    """What an `authorization {}` block says, before it is known whose it is."""

    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    timeout_s: float = 0.0
    users: tuple[UserOptions, ...] | None = None
    default_permissions: Permissions | None = None
    callout: AuthCalloutOptions | None = None
    is_proxy_required: bool = False


def _connection_types(entry: Entry) -> object:
    names = string_list("allowed connection types")(entry)
    assert isinstance(names, tuple)
    known = {kind.value for kind in ConnectionType}
    upper = [name.upper() for name in names]
    unknown = [name for name in upper if name not in known]
    if unknown:
        fail(entry.node, f"invalid connection types {quoted_list(unknown)}")
    return frozenset(ConnectionType(name) for name in upper)


USER_KEYS = Block(
    (
        Key(("user", "username"), "name", string),
        Key(("password", "pass"), "password", string),
        Key(("nkey",), "nkey", string),
        Key(("permissions", "permission", "authorization"), "permissions", permissions, PERMISSION_KEYS),
        Key(("allowed_connection_types", "connection_types", "clients"), "allowed_connection_types", _connection_types),
        Key(("proxy_required",), "is_proxy_required", boolean),
    )
)


def users_of(entry: Entry, is_placed: bool = True) -> tuple[UserOptions, ...] | None:
    """The users of an array; `None` if some were refused (already reported)."""
    if not isinstance(entry.node.value, list):
        place = entry.node if is_placed else Node(entry.node.value)
        fail(place, f"Expected users field to be an array, got {shown(entry.node.value)}")
    users: list[UserOptions] = []
    is_complete = True
    for node in entry.node.value:
        if not isinstance(node.value, dict):
            reason = f"Expected user entry to be a map/struct, got {shown(node.value)}"
            entry.reading.problems.errors.append(problem_at(node, reason))
            is_complete = False
            continue
        values: dict[str, object] = {}
        if not USER_KEYS.read(node.value, values, entry.reading):
            is_complete = False
            continue
        user = build(UserOptions, values)
        _check_user(user, [node, *node.value.values()][-1])
        users.append(user)
    return tuple(users) if is_complete else None


def _check_user(user: UserOptions, place: Node) -> None:
    if not user.nkey and not user.name:
        fail(place, "User entry requires a user")
    if user.nkey and not is_public(user.nkey, KeyRole.USER):
        fail(place, "Not a valid public nkey for a user")
    if user.nkey and (user.name or user.password):
        fail(place, "Nkey users do not take usernames or passwords")


def with_default_permissions(users: tuple[UserOptions, ...], default: Permissions | None) -> tuple[UserOptions, ...]:
    """The users, those without permissions given the default ones."""
    if default is None:
        return users
    return tuple(user if user.permissions else replace(user, permissions=default) for user in users)


def _users(entry: Entry) -> object:
    users = users_of(entry)
    return NOTHING if users is None else users


def _text_array(what: str) -> ReadValue:
    def read(entry: Entry) -> object:
        if not isinstance(entry.node.value, list):
            # The value's own type is hidden in nats-server's text too.
            fail(entry.node, f"Expected {what} field to be an array, got *conf.token")
        return tuple(as_string(node) for node in entry.node.value)

    return read


def _issuer(entry: Entry) -> object:
    key = as_string(entry.node)
    if not is_public(key, KeyRole.ACCOUNT):
        fail(entry.node, f"Expected callout user to be a valid public account nkey, got {quoted(key)}")
    return key


def _xkey(entry: Entry) -> object:
    key = as_string(entry.node)
    if not is_public(key, KeyRole.CURVE):
        fail(entry.node, f"Expected callout xkey to be a valid public xkey, got {quoted(key)}")
    return key


CALLOUT_KEYS = Block(
    (
        Key(("issuer",), "issuer", _issuer),
        Key(("account", "acc"), "account", string),
        Key(("auth_users", "users"), "auth_users", _text_array("auth_users")),
        Key(("xkey", "key"), "xkey", _xkey),
        Key(("allowed_accounts",), "allowed_accounts", _text_array("allowed accounts")),
    ),
    unknown=lambda key: f"Unknown field {quoted(key)} parsing authorization callout",
)


def _callout(entry: Entry) -> object:
    if not isinstance(entry.node.value, dict):
        fail(entry.node, f"Expected authorization callout to be a map/struct, got {shown(entry.node.value)}")
    values: dict[str, object] = {}
    if not CALLOUT_KEYS.read(entry.node.value, values, entry.reading):
        return NOTHING
    last = [entry.node, *entry.node.value.values()][-1]
    if not values.get("account"):
        values.pop("account", None)
    if not values.get("issuer"):
        fail(last, "Authorization callouts require an issuer to be specified")
    if not values.get("auth_users"):
        fail(last, "Authorization callouts require authorized users to be specified")
    return build(AuthCalloutOptions, values)


AUTHORIZATION_KEYS = Block(
    (
        Key(("user", "username"), "username", string),
        Key(("password", "pass"), "password", string),
        Key(("token",), "token", string),
        Key(
            ("timeout",),
            "timeout_s",
            timeout("error parsing authorization config", is_long_doubtful=True),
        ),
        Key(("users",), "users", _users, USER_KEYS),
        Key(
            ("default_permissions", "default_permission", "permissions"),
            "default_permissions",
            permissions,
            PERMISSION_KEYS,
        ),
        Key(("auth_callout", "auth_hook"), "callout", _callout, CALLOUT_KEYS),
        Key(("proxy_required",), "is_proxy_required", boolean),
    )
)


def authorization_of(entry: Entry) -> Authorization | None:
    """An `authorization {}` block; `None` if it was refused (already reported)."""
    values: dict[str, object] = {}
    if not AUTHORIZATION_KEYS.read(as_map(entry.node), values, entry.reading):
        return None
    read = build(Authorization, values)
    if read.users is None:
        return read
    return replace(read, users=with_default_permissions(read.users, read.default_permissions))


def _simple_timeout(entry: Entry) -> object:
    value = entry.node.value
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 1.0


SIMPLE_AUTHORIZATION_KEYS = Block(
    (
        Key(("user", "username"), "username", string),
        Key(("password", "pass"), "password", string),
        Key(("token",), "token", string),
        Key(("timeout",), "timeout_s", _simple_timeout),
    )
)


def simple_authorization(entry: Entry) -> object:
    """Reader of the `authorization {}` block of the WebSocket and MQTT listeners."""
    values: dict[str, object] = {}
    if not SIMPLE_AUTHORIZATION_KEYS.read(as_map(entry.node), values, entry.reading):
        return NOTHING
    return build(SimpleAuthorization, values)
