"""Who asks: session cookie or API token, role and scope, and that the request comes from our own page.

Sessions and tokens are opaque random texts; core knows their SHA-256 and is asked before every change, and for what
only looks once a second, so a login that was ended is over within a second. A request with a cookie that changes
something must come from our own page: browsers say so in Sec-Fetch-Site or Origin, and a request that says neither is
refused. Tokens are not sent by browsers on their own, so this does not concern them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, cast
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette.responses import Response

from leafbox.web.box import Box, box_of
from leafbox.web.core import CoreRefused, Object
from leafbox.web.models.base import Role
from leafbox.web.problems import Refusal

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
RANK: dict[str, int] = {"viewer": 0, "operator": 1, "admin": 2}
SCOPES = (
    "access",
    "audit",
    "backups",
    "bridges",
    "config",
    "connections",
    "devices",
    "flow",
    "history",
    "issues",
    "kv",
    "live",
    "logs",
    "monitoring",
    "objects",
    "people",
    "status",
    "streams",
    "system",
    "tokens",
    "uplinks",
)
"""What a token can be narrowed to: the resources of the API, and `monitoring` for /varz and its like and /metrics."""

COOKIE_PLAIN = "leafbox_session"
COOKIE_TLS = "__Host-leafbox_session"
"""Browsers take a cookie of this prefix only over TLS, for this host and the whole of it."""

SECRET = re.compile(r"[A-Za-z0-9_-]{20,128}")
AGENT_CHARACTERS_MAX = 160


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who a request comes from."""

    name: str
    role: Role
    via: str
    """`session` or `token`."""
    id: str
    scopes: tuple[str, ...] = ()
    created_s: float = 0
    expires_s: float = 0
    idle_timeout_s: float = 0
    ip: str = ""


def digest_of(secret: str) -> str:
    """By which core knows a session or token."""
    return hashlib.sha256(secret.encode()).hexdigest()


def cookie_name(box: Box) -> str:
    """Depends on whether the connection is encrypted."""
    return COOKIE_TLS if box.settings.uses_tls else COOKIE_PLAIN


def set_cookie(box: Box, response: Response, secret: str) -> None:
    """Log the browser in: until it closes, or core ends the session."""
    response.set_cookie(
        cookie_name(box), secret, path="/", httponly=True, samesite="strict", secure=box.settings.uses_tls
    )


def drop_cookie(box: Box, response: Response) -> None:
    """Log the browser out."""
    response.delete_cookie(cookie_name(box), path="/", httponly=True, samesite="strict", secure=box.settings.uses_tls)


def ip_of(request: Request) -> str:
    """The peer's address; headers of proxies are not believed."""
    return request.client.host if request.client else ""


def agent_of(request: Request) -> str:
    """The browser, shortened."""
    return request.headers.get("user-agent", "")[:AGENT_CHARACTERS_MAX]


def check_origin(request: Request, *, is_proof_needed: bool) -> None:
    """Refuse a request that another site's page sent; `is_proof_needed`: also one that does not say where from."""
    fetched_from = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if fetched_from is not None:
        is_own = fetched_from == "same-origin"
    elif origin is not None:
        is_own = urlsplit(origin).netloc == request.headers.get("host", "") and origin != "null"
    else:
        is_own = not is_proof_needed
    if not is_own:
        step = "Use the dashboard's own page, or an API token in the Authorization header."
        raise Refusal(403, "foreign_origin", "The request does not come from this dashboard.", step)


async def visitor_of(request: Request) -> Visitor:
    """Who asks; raises 401 for nobody."""
    box = box_of(request)
    authorization = request.headers.get("authorization", "")
    if authorization:
        kind, _, secret = authorization.partition(" ")
        secret = secret.strip()
        if kind.lower() != "bearer" or not SECRET.fullmatch(secret):
            raise _nobody()
        name, via = "tokens.resolve", "token"
    else:
        secret = request.cookies.get(cookie_name(box), "")
        if not SECRET.fullmatch(secret):
            raise _nobody()
        if request.method not in SAFE_METHODS:
            check_origin(request, is_proof_needed=True)
        name, via = "sessions.resolve", "session"
    body = {"digest": digest_of(secret), "ip": ip_of(request)}
    try:
        if request.method in SAFE_METHODS:
            found = await box.core.document(name, body)
        else:
            found = await box.core.request(name, body)
    except CoreRefused as error:
        if error.code == "not_found":
            raise _nobody() from None
        raise
    return _visitor(found, via, ip_of(request))


def _visitor(found: Object, via: str, ip: str) -> Visitor:
    return Visitor(
        name=str(found["name"]),
        role=found["role"],
        via=via,
        id=str(found["id"]),
        scopes=tuple(found.get("scopes", ())),
        created_s=float(found.get("created_s", 0)),
        expires_s=float(found.get("expires_s", 0)),
        idle_timeout_s=float(found.get("idle_timeout_s", 0)),
        ip=ip,
    )


def _nobody() -> Refusal:
    step = "Log in, or send an API token as `Authorization: Bearer <token>`."
    return Refusal(401, "login_needed", "This needs a login.", step, {"WWW-Authenticate": 'Bearer realm="leafbox"'})


def needs(role: Role, scope: str | None) -> Callable[[Request], Awaitable[Visitor]]:
    """A dependency: somebody of at least this role, with a token at least of this scope; changes are recorded."""

    async def check(request: Request) -> Visitor:
        visitor = await visitor_of(request)
        if visitor.scopes and (scope is None or scope not in visitor.scopes):
            raise Refusal(403, "scope_missing", f"This token may not use {scope or 'this'}.", "Make a token that may.")
        if RANK[visitor.role] < RANK[role]:
            detail = f"This needs the role {role}; {visitor.name} is {visitor.role}."
            raise Refusal(403, "role_missing", detail, "Ask an administrator of this box.")
        request.state.visitor = visitor
        if request.method not in SAFE_METHODS:
            await record_change(request, visitor)
        return visitor

    check.leafbox_role = role  # type: ignore[attr-defined]
    check.leafbox_scope = scope  # type: ignore[attr-defined]
    return check


async def record_change(request: Request, visitor: Visitor) -> None:
    """Write into the audit record that somebody sets out to change something; durable when this returns."""
    route = request.scope.get("route")
    pattern = getattr(route, "path", request.url.path)
    target = "/".join(str(value) for value in request.path_params.values())
    await begin_audit(request, visitor.name, visitor.via, f"{request.method} {pattern}", target)


async def begin_audit(request: Request, who: str, via: str, action: str, target: str = "") -> None:
    """The outcome is added when the answer goes out (`headers.AuditOutcome`)."""
    entry = {"who": who, "via": via, "ip": ip_of(request), "action": action, "target": target}
    account = request.query_params.get("account")
    if account is not None:
        entry["account"] = account[:256]
    core = box_of(request).core
    recorded = await core.request("audit.begin", entry)
    core.forget()
    request.state.audit_id = recorded["id"]


def _present(request: Request) -> Visitor:
    return cast(Visitor, request.state.visitor)


Visiting = Annotated[Visitor, Depends(_present)]
"""Who asks, for routes whose `dependencies` have checked that already."""


async def renew(request: Request) -> None:
    """Whether the login of a long-lived response still holds; raises 401 if not. Does not count as activity."""
    visitor: Visitor = request.state.visitor
    body = {"id": visitor.id, "peek": True}
    try:
        await box_of(request).core.request(f"{visitor.via}s.peek", body)
    except CoreRefused as error:
        raise _nobody() from error
