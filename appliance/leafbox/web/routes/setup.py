"""Claiming a new box, logging in and out."""

from __future__ import annotations

import secrets

from fastapi import Request, Response

from leafbox.web.accounts import accounts_of
from leafbox.web.box import Box, box_of
from leafbox.web.core import CoreRefused
from leafbox.web.login import (
    Visiting,
    Visitor,
    agent_of,
    begin_audit,
    check_origin,
    digest_of,
    drop_cookie,
    ip_of,
    set_cookie,
)
from leafbox.web.models.base import Done
from leafbox.web.models.people import Claim, Login, Session, Setup
from leafbox.web.passwords import TooBusy
from leafbox.web.problems import Refusal, documented
from leafbox.web.routing import may, resource

router = resource("setup")

SECRET_BYTES = 32
BUSY = Refusal(429, "throttled", "Too many logins at once.", "Try again in a moment.", {"Retry-After": "2"})


@router.get("/setup", operation_id="get_setup")
async def get_setup(request: Request) -> Setup:
    """Whether the box has been claimed. Needs no login, so it says no more than the login page must know."""
    found = await box_of(request).core.request("setup.get")
    return Setup(claimed=bool(found["claimed"]))


@router.post("/setup", operation_id="claim", responses=documented(409))
async def claim(request: Request, response: Response, given: Claim) -> Session:
    """Become the first administrator, with the one-time code; logs in."""
    box = box_of(request)
    check_origin(request, is_proof_needed=False)
    # Before the costly hash, so that guessing costs us little.
    await box.core.request("setup.check", {"code": given.code, "ip": ip_of(request)})
    await begin_audit(request, given.name, "setup", "claim the box")
    stored = await _hash(box, given.password)
    await box.core.request(
        "setup.claim", {"code": given.code, "name": given.name, "password_hash": stored, "ip": ip_of(request)}
    )
    return await _open(request, response, given.name)


@router.post("/session", operation_id="login", tags=["session"])
async def login(request: Request, response: Response, given: Login) -> Session:
    """Log in; the session is a cookie."""
    box = box_of(request)
    check_origin(request, is_proof_needed=False)
    who = {"name": given.name, "ip": ip_of(request)}
    found = await box.core.request("login.begin", who)
    try:
        is_right = await box.passwords.check(given.password, str(found.get("password_hash", "")))
    except TooBusy:
        raise BUSY from None
    if not is_right:
        await box.core.request("login.failed", who)
        raise Refusal(401, "wrong_login", "Name or password is wrong.", "Try again, or ask an administrator.")
    return await _open(request, response, given.name)


@router.get("/session", operation_id="get_session", tags=["session"], dependencies=may("viewer", None))
async def get_session(request: Request, visitor: Visiting) -> Session:
    """Who is logged in."""
    return await _session(box_of(request), visitor)


@router.delete("/session", operation_id="logout", tags=["session"], dependencies=may("viewer", None))
async def logout(request: Request, response: Response, visitor: Visiting) -> Done:
    """Log out; the session is over everywhere."""
    box = box_of(request)
    if visitor.via == "session":
        await box.core.request("sessions.end", {"id": visitor.id, "name": visitor.name})
    drop_cookie(box, response)
    return Done()


async def _hash(box: Box, password: str) -> str:
    try:
        return await box.passwords.hash(password)
    except TooBusy:
        raise BUSY from None


async def _open(request: Request, response: Response, name: str) -> Session:
    box = box_of(request)
    secret = secrets.token_urlsafe(SECRET_BYTES)
    opened = {"name": name, "digest": digest_of(secret), "ip": ip_of(request), "agent": agent_of(request)}
    try:
        found = await box.core.request("sessions.open", opened)
    except CoreRefused as error:
        if error.code == "not_found":
            # Removed between the check of the password and now.
            raise Refusal(401, "wrong_login", "Name or password is wrong.") from None
        raise
    set_cookie(box, response, secret)
    visitor = Visitor(
        name, found["role"], "session", found["id"], (), found["created_s"], found["expires_s"], found["idle_timeout_s"]
    )
    return await _session(box, visitor)


async def _session(box: Box, visitor: Visitor) -> Session:
    accounts = await accounts_of(box.core)
    return Session(
        name=visitor.name,
        role=visitor.role,
        via="token" if visitor.via == "token" else "session",
        scopes=list(visitor.scopes),
        created_s=visitor.created_s,
        expires_s=visitor.expires_s,
        idle_timeout_s=visitor.idle_timeout_s,
        accounts=list(accounts.names),
        default_account=accounts.default,
        box_name=accounts.box_name,
        version=accounts.version,
    )
