"""What a user's claims allow, apart from who signed them: permissions, limits, places and times (ADR-14).

`rights` is the part of the claims that a signing key's template replaces (`security.user_template`): both have the same
fields. Nothing here trusts anybody or looks at a clock. Source: config specification section 7; nats-server 2.15.1
`server/jwt.go`, `server/auth.go`, tried in `tests/conformance/security/test_user_claims.py`.
"""

from __future__ import annotations

import datetime
import ipaddress
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from leafbox.broker.config import UNLIMITED, ConnectionType, Permissions, ResponsePermission, SubjectPermission
from leafbox.protocol.jwt import Claims
from leafbox.protocol.nkeys import KeyRole, is_public

_TIME_OF_DAY = "%H:%M:%S"
_KNOWN_TYPES = {kind.value: kind for kind in ConnectionType}
_LIMIT_KEYS = ("subs", "data", "payload")
_OTHER_KEYS = ("src", "times", "times_location", "bearer_token", "proxy_required", "allowed_connection_types", "resp")
NANOSECONDS = 1e9


@dataclass(frozen=True, slots=True)
class UserLimits:
    """Limits of one user's connections; -1: no limit."""

    subscriptions_max: int = UNLIMITED
    payload_bytes_max: int = UNLIMITED


NO_LIMITS = UserLimits()


def objection(user: Claims) -> str:
    """Why the claims are no usable user's, whoever signed them; empty: they are."""
    if user.kind != "user":
        return "the JWT is not a user's"
    if not is_public(user.issuer, KeyRole.ACCOUNT):
        return "the JWT is not signed by an account"
    account = user.nats.get("issuer_account")
    if account and not (isinstance(account, str) and is_public(account, KeyRole.ACCOUNT)):
        return "issuer_account is no account"
    return rights_objection(user.nats)


def rights_objection(rights: Mapping[str, Any]) -> str:
    """Why these rights cannot be meant; empty: they can."""
    for direction, allows_queue in (("pub", False), ("sub", True)):
        claims = rights.get(direction) or {}
        for subject in (*strings(claims.get("allow")), *strings(claims.get("deny"))):
            if not _is_rule(subject, allows_queue):
                return f"{direction}: {subject!r} is no subject"
    for source in sources(rights):
        if "/" not in source or not _is_network(source):
            return f"src: {source!r} is no network"
    zone = rights.get("times_location")
    if zone and _zone(zone) is None:
        return f"times_location: {zone!r} is no time zone"
    for window in rights.get("times") or ():
        if _time_of_day(window.get("start")) is None or _time_of_day(window.get("end")) is None:
            return "times of day: start and end are written hh:mm:ss"
    return ""


def _is_rule(text: str, allows_queue: bool) -> bool:
    words = text.split(" ")
    return len(words) <= (2 if allows_queue else 1) and all(
        word and not word.startswith(".") and not word.endswith(".") and ".." not in word for word in words
    )


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def has_no_rights(user: Claims) -> bool:
    """Whether the claims leave everything to the template of the key that signed them."""
    claims = user.nats
    has_permissions = any((claims.get(direction) or {}).get(rule) for direction in ("pub", "sub") for rule in _RULES)
    return not has_permissions and not any(claims.get(key) for key in (*_LIMIT_KEYS, *_OTHER_KEYS))


_RULES = ("allow", "deny")

# -- what is allowed -------------------------------------------------------------------------------------------------


def read_permissions(rights: Mapping[str, Any]) -> Permissions | None:
    """`pub`, `sub` and `resp`; None when they restrict nothing."""
    publish, subscribe = _subjects(rights.get("pub")), _subjects(rights.get("sub"))
    responses = rights.get("resp")
    if publish is None and subscribe is None and responses is None:
        return None
    answer = None
    if responses is not None:
        default = ResponsePermission()
        ttl_ns = int(responses.get("ttl") or 0)
        answer = ResponsePermission(
            int(responses.get("max") or 0) or default.messages_max,
            ttl_ns / NANOSECONDS if ttl_ns else default.expires_s,
        )
    return Permissions(publish, subscribe, answer)


def _subjects(claims: Any) -> SubjectPermission | None:
    allow, deny = strings((claims or {}).get("allow")), strings((claims or {}).get("deny"))
    return SubjectPermission(tuple(allow) or None, tuple(deny)) if allow or deny else None


def read_limits(rights: Mapping[str, Any], default: int = 0) -> UserLimits:
    """`subs` and `payload`. A claim that is left out is 0: the user may not subscribe, or send, at all; a template's
    `default` is no limit. (`data` limits nothing, as in nats-server.)"""
    return UserLimits(_limit(rights.get("subs", default)), _limit(rights.get("payload", default)))


def _limit(value: object) -> int:
    number = int(value) if isinstance(value, int) else 0
    return number if number >= 0 else UNLIMITED


def connection_types(rights: Mapping[str, Any]) -> frozenset[ConnectionType] | None:
    """`allowed_connection_types`; empty: all, None: kinds are named and none of them is known here."""
    named = strings(rights.get("allowed_connection_types"))
    known = frozenset(_KNOWN_TYPES[name.upper()] for name in named if name.upper() in _KNOWN_TYPES)
    return None if named and not known else known


def sources(rights: Mapping[str, Any]) -> list[str]:
    """`src`: networks, in an array or in one string with commas."""
    found = rights.get("src")
    return [each.strip() for each in found.split(",") if each.strip()] if isinstance(found, str) else strings(found)


def is_from(ip: str, networks: list[str]) -> bool:
    """Whether the peer's address is in one of the networks that `src` of user claims names."""
    if not ip:
        return False
    address = ipaddress.ip_address(ip)
    return any(address in ipaddress.ip_network(network, strict=False) for network in networks)


# -- times of day ----------------------------------------------------------------------------------------------------


def window_end_s(rights: Mapping[str, Any], now_s: float) -> tuple[bool, float | None]:
    """Whether `times` let the user in now, and when the longest window that is open ends (None: never)."""
    windows = rights.get("times") or []
    if not windows:
        return True, None
    zone = _zone(rights.get("times_location") or "")
    now = datetime.datetime.fromtimestamp(now_s, zone).astimezone(zone)
    ends = [end for window in windows if (end := _end_of(window, now)) is not None]
    return bool(ends), max(ends, default=None)


def _end_of(window: Mapping[str, Any], now: datetime.datetime) -> float | None:
    opens, closes = _time_of_day(window.get("start")), _time_of_day(window.get("end"))
    if opens is None or closes is None:
        return None
    start = datetime.datetime.combine(now.date(), opens, now.tzinfo)
    end = datetime.datetime.combine(now.date(), closes, now.tzinfo)
    if start > end:
        # Over midnight: the second half of yesterday's window, or the first of today's.
        if now < end:
            return end.timestamp()
        end += datetime.timedelta(days=1)
    return end.timestamp() if start < now < end else None


def _time_of_day(text: object) -> datetime.time | None:
    try:
        return datetime.datetime.strptime(str(text), _TIME_OF_DAY).time()
    except ValueError:
        return None


def _zone(name: object) -> zoneinfo.ZoneInfo | None:
    """None: the machine's own, or there is no such zone."""
    try:
        return zoneinfo.ZoneInfo(str(name)) if name else None
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def strings(value: object) -> list[str]:
    """The texts of an array of claims. Raises `TypeError` when it is something else: what is allowed by it would be a
    guess."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TypeError("expected an array of strings")
    return value
