"""Keys of operator (JWT) mode and of trusted proxies.

Operator JWTs are decoded far enough to be named and to find their system account and resolver; whether they are signed
and valid is checked by security at start. Source: nats-server 2.15.1 `processConfigFileLine`, `readOperatorJWT`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re

from leafbox.app.configuration.addresses import AddressError, parse_url
from leafbox.app.configuration.durations import DurationError, parse_duration_ns
from leafbox.app.configuration.fields import (
    NANOSECONDS,
    NOTHING,
    Block,
    Entry,
    Key,
    as_boolean,
    as_integer,
    as_string,
)
from leafbox.app.configuration.go_text import quoted, type_name
from leafbox.app.configuration.problems import fail, problem_at
from leafbox.app.configuration.tree import Node
from leafbox.protocol.nkeys import KeyRole, is_public
from leafbox.security.config import ResolverKind, ResolverOptions

RESOLVER = "security.operator.resolver"
_JWT = re.compile(r"eyJ[A-Za-z0-9_\-]*\.[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]*")


def _claims(token: str) -> dict[str, object]:
    """The claims of a JWT, unverified. Raises `ValueError`."""
    match = _JWT.search(token)
    if match is None:
        raise ValueError("expected 3 chunks")
    body = match.group().split(".")[1]
    try:
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"illegal token: {error}") from error
    if not isinstance(claims, dict):
        raise ValueError("illegal token: claims are no object")
    return claims


def _kind(claims: dict[str, object]) -> str:
    nats = claims.get("nats")
    inner = nats.get("type") if isinstance(nats, dict) else None
    return str(inner or claims.get("type") or "")


def _operator_jwt(text: str, entry: Entry) -> str:
    """The JWT in a file, or inline. Raises `ValueError` with nats-server's text."""
    try:
        content = entry.reading.read_file(text).decode("utf-8", "replace")
    except (OSError, ValueError) as error:
        if not text.startswith("eyJ"):
            reason = getattr(error, "strerror", None) or "invalid argument"
            raise ValueError(f"open {text}: {reason.lower()}") from error
        content = text
    match = _JWT.search(content)
    if match is None:
        raise ValueError("expected 3 chunks")
    if _kind(_claims(match.group())) != "operator":
        raise ValueError("not operator claim")
    return match.group()


def operators(entry: Entry) -> object:
    """Reader of `operator`: paths or JWTs."""
    tokens: list[str] = []
    for text in _texts(entry, "operators"):
        try:
            tokens.append(_operator_jwt(text, entry))
        except ValueError as error:
            reason = f"error parsing operator JWT: {error}"
            entry.reading.problems.errors.append(problem_at(entry.node, reason))
    if len(tokens) == 1:
        nats = _claims(tokens[0]).get("nats")
        details = nats if isinstance(nats, dict) else {}
        url = details.get("account_server_url")
        if url and RESOLVER not in entry.into:
            entry.into[RESOLVER] = ResolverOptions(ResolverKind.URL, url=f"{url}/accounts")
        system_account = details.get("system_account")
        if system_account and not entry.into.get("broker.system_account"):
            entry.into["broker.system_account"] = str(system_account)
    return tuple(tokens)


def _texts(entry: Entry, what: str) -> list[str]:
    value = entry.node.value
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        fail(entry.node, f"error parsing {what}: unsupported type {type_name(value)}")
    texts: list[str] = []
    for node in value:
        if not isinstance(node.value, str):
            fail(entry.node, f"error parsing {what}: unsupported type *conf.token where string is expected")
        texts.append(node.value)
    return texts


def trusted_keys(entry: Entry) -> object:
    """Reader of `trusted_keys`."""
    value = entry.node.value
    if not isinstance(value, str | list):
        fail(entry.node, f"error parsing trusted: unsupported type {type_name(value)}")
    keys: list[str] = []
    for node in value if isinstance(value, list) else [entry.node]:
        if isinstance(node.value, str):
            keys.append(node.value)
        else:
            reason = f"error parsing trusted: unsupported type in array {type_name(node.value)}"
            entry.reading.problems.errors.append(problem_at(node, reason))
    for key in keys:
        if not is_public(key, KeyRole.OPERATOR):
            reason = f"trust key {quoted(key)} required to be a valid public operator nkey"
            entry.reading.problems.errors.append(problem_at(entry.node, reason))
    return tuple(keys)


# -- resolver --------------------------------------------------------------------------------------------------------

_RESOLVER_WANTED = (
    'error parsing account resolver, should be MEM or  URL("url") or a map containing dir and type state=[FULL|CACHE])'
)


def resolver(entry: Entry) -> object:
    """Reader of `resolver`."""
    value = entry.node.value
    if isinstance(value, str):
        return _named_resolver(value, entry.node)
    if isinstance(value, dict):
        return _directory_resolver(value, entry)
    raise problem_at(entry.node, f"error parsing operator resolver, wrong type {type_name(value)}")


def _named_resolver(text: str, node: Node) -> ResolverOptions:
    if re.search("(MEM|MEMORY)", text, re.IGNORECASE):
        return ResolverOptions(ResolverKind.MEMORY)
    match = re.search(r'URL(?:\(\s*"?([^\s"]*)"?\s*\))?', text, re.IGNORECASE)
    if match is None:
        fail(node, _RESOLVER_WANTED)
    url = match.group(1) or ""
    try:
        parse_url(url)
    except AddressError:
        fail(node, f"error parsing account resolver url [{quoted(url)}]")
    return ResolverOptions(ResolverKind.URL, url=url if url.endswith("/") else url + "/")


def _directory_resolver(nodes: dict[str, Node], entry: Entry) -> ResolverOptions:
    directory = as_string(nodes["dir"]) if "dir" in nodes else ""
    kind = as_string(nodes["type"]).upper() if "type" in nodes else ""
    is_delete_allowed = as_boolean(nodes["allow_delete"]) if "allow_delete" in nodes else False
    is_delete_final = as_boolean(nodes["hard_delete"]) if "hard_delete" in nodes else False
    limit = as_integer(nodes["limit"]) if "limit" in nodes else 0
    try:
        ttl = _seconds(nodes.get("ttl"))
        interval = _seconds(nodes.get("interval"))
        fetch_timeout = _seconds(nodes.get("timeout")) or 1.9
    except DurationError as error:
        fail(entry.node, str(error))
    if kind in ("MEM", "MEMORY"):
        return ResolverOptions(ResolverKind.MEMORY)
    if kind not in ("CACHE", "FULL"):
        fail(entry.node, _RESOLVER_WANTED)
    complaints = [] if directory else ["dir has no value and needs to point to a directory"]
    if kind == "CACHE":
        complaints += ["CACHE does not accept sync"] if interval else []
        complaints += ["CACHE does not accept allow_delete"] if is_delete_allowed else []
        complaints += ["CACHE does not accept hard_delete"] if "hard_delete" in nodes else []
    else:
        complaints += ["FULL does not accept ttl"] if ttl else []
        if "hard_delete" in nodes and not is_delete_allowed:
            complaints.append("hard_delete has no effect without delete")
    entry.reading.problems.errors.extend(problem_at(entry.node, reason) for reason in complaints)
    return ResolverOptions(
        ResolverKind(kind.lower()),
        directory=directory,
        is_delete_allowed=is_delete_allowed,
        is_delete_final=is_delete_final,
        accounts_max=limit,
        sync_interval_s=interval,
        ttl_s=ttl,
        fetch_timeout_s=fetch_timeout,
    )


def _seconds(node: Node | None) -> float:
    return parse_duration_ns(as_string(node)) / NANOSECONDS if node is not None else 0.0


def resolver_preload(entry: Entry) -> object:
    """Reader of `resolver_preload`: account key to account JWT."""
    if not isinstance(entry.node.value, dict):
        fail(entry.node, "preload should be a map of account_public_key:account_jwt")
    tokens: dict[str, str] = {}
    for key, node in entry.node.value.items():
        reason = ""
        if not isinstance(node.value, str):
            reason = "preload map value should be a string JWT"
        elif not _is_account_jwt(node.value):
            reason = "invalid account JWT"
        else:
            tokens[key] = node.value
        if reason:
            entry.reading.problems.errors.append(problem_at(node, reason))
    return tokens


def _is_account_jwt(token: str) -> bool:
    try:
        return _kind(_claims(token)) == "account"
    except ValueError:
        return False


def resolver_pinned_accounts(entry: Entry) -> object:
    """Reader of `resolver_pinned_accounts`."""
    value = entry.node.value
    if isinstance(value, str):
        return frozenset((value,))
    if not isinstance(value, list):
        fail(entry.node, f"error parsing resolver_pinned_accounts: unsupported type {type_name(value)}")
    names: set[str] = set()
    for node in value:
        if isinstance(node.value, str):
            names.add(node.value)
        else:
            reason = f"error parsing resolver_pinned_accounts: unsupported type in array {type_name(node.value)}"
            entry.reading.problems.errors.append(problem_at(node, reason))
    return frozenset(names)


# -- proxies ---------------------------------------------------------------------------------------------------------


def _proxy_key(entry: Entry) -> object:
    key = as_string(entry.node)
    if not any(is_public(key, role) for role in KeyRole):
        fail(entry.node, f"invalid proxy key {quoted(key)}")
    return key


TRUSTED_PROXY_KEYS = Block((Key(("key", "public_key"), "key", _proxy_key),))


def _trusted_proxies(entry: Entry) -> object:
    if not isinstance(entry.node.value, list):
        fail(
            entry.node,
            f"expected proxies' trusted field to be an array, got {type_name(entry.node.value)}",
        )
    keys: list[str] = []
    for node in entry.node.value:
        if not isinstance(node.value, dict):
            reason = f"expected proxies' trusted entry to be a map/struct, got {type_name(node.value)}"
            entry.reading.problems.errors.append(problem_at(node, reason))
            continue
        values: dict[str, object] = {}
        if TRUSTED_PROXY_KEYS.read(node.value, values, entry.reading):
            keys.append(str(values.get("key", "")))
    return tuple(keys)


PROXY_KEYS = Block((Key(("trusted",), "security.trusted_proxies", _trusted_proxies, TRUSTED_PROXY_KEYS),))


def proxies(entry: Entry) -> object:
    """Reader of the `proxies {}` key."""
    if not isinstance(entry.node.value, dict):
        fail(entry.node, f"expected proxies to be a map/struct, got {type_name(entry.node.value)}")
    PROXY_KEYS.read(entry.node.value, entry.into, entry.reading)
    return NOTHING
