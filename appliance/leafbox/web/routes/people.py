"""People, their sessions, API tokens, the audit record, access tests and certificates."""

from __future__ import annotations

import secrets
from pathlib import Path as FilePath
from typing import Annotated

from fastapi import Path, Query, Request, Response

from leafbox.web import certificates
from leafbox.web.box import box_of
from leafbox.web.login import SCOPES, Visiting, digest_of
from leafbox.web.models.base import Done
from leafbox.web.models.people import (
    AccessAnswer,
    AccessQuestion,
    AccessUsers,
    Audit,
    Certificate,
    Certificates,
    NewPerson,
    NewToken,
    NewTokenMade,
    OpenSessions,
    People,
    Person,
    PersonChange,
    Token,
    Tokens,
)
from leafbox.web.passwords import TooBusy
from leafbox.web.problems import Refusal, documented
from leafbox.web.routes.setup import BUSY
from leafbox.web.routing import filled, may, resource, told

router = resource("access")

PersonName = Annotated[str, Path(min_length=1, max_length=64)]
Id = Annotated[str, Path(min_length=1, max_length=128)]
TOKEN_PREFIX = "lbx_"  # noqa: S105
"""So that secret scanners can know one."""


@router.get("/people", operation_id="list_people", dependencies=may("admin", "people"))
async def list_people(request: Request) -> People:
    """Everybody who may log in."""
    return told(People, await box_of(request).core.request("people.list"))


@router.post(
    "/people",
    operation_id="add_person",
    status_code=201,
    responses=documented(409),
    dependencies=may("admin", "people"),
)
async def add_person(request: Request, given: NewPerson) -> Person:
    """Let somebody more in."""
    box = box_of(request)
    try:
        stored = await box.passwords.hash(given.password)
    except TooBusy:
        raise BUSY from None
    body = {"name": given.name, "role": given.role, "password_hash": stored}
    return told(Person, await box.core.request("people.add", body))


@router.patch(
    "/people/{name}", operation_id="change_person", responses=documented(404), dependencies=may("viewer", "people")
)
async def change_person(request: Request, name: PersonName, given: PersonChange, visitor: Visiting) -> Person:
    """Change a role or password; everybody may change their own password, everything else needs an administrator."""
    box = box_of(request)
    is_own = visitor.name == name and visitor.via == "session"
    if not (is_own and given.role is None) and visitor.role != "admin":
        raise Refusal(403, "role_missing", "Only administrators change others.", "Ask an administrator of this box.")
    stored = None
    if given.password is not None:
        try:
            if is_own:
                known = await box.core.request("login.begin", {"name": name, "ip": visitor.ip})
                if not await box.passwords.check(given.current_password or "", str(known.get("password_hash", ""))):
                    await box.core.request("login.failed", {"name": name, "ip": visitor.ip})
                    raise Refusal(403, "wrong_password", "current_password is wrong.", "Give the present password.")
            stored = await box.passwords.hash(given.password)
        except TooBusy:
            raise BUSY from None
    keeps = visitor.id if is_own else None
    body = filled(name=name, role=given.role, password_hash=stored, keep_session=keeps)
    return told(Person, await box.core.request("people.change", body))


@router.delete(
    "/people/{name}", operation_id="remove_person", responses=documented(404, 409), dependencies=may("admin", "people")
)
async def remove_person(request: Request, name: PersonName) -> Done:
    """Take somebody's access and end their sessions and tokens. The last administrator stays."""
    await box_of(request).core.request("people.remove", {"name": name})
    return Done()


@router.get("/sessions", operation_id="list_sessions", dependencies=may("viewer", None), tags=["session"])
async def list_sessions(request: Request, visitor: Visiting) -> OpenSessions:
    """Open logins: one's own, of everybody for an administrator."""
    owner = None if visitor.role == "admin" else visitor.name
    found = await box_of(request).core.request("sessions.list", filled(name=owner))
    for session in found["sessions"]:
        session["current"] = session["id"] == visitor.id
    return told(OpenSessions, found)


@router.delete(
    "/sessions/{id}",
    operation_id="end_session",
    responses=documented(404),
    tags=["session"],
    dependencies=may("viewer", None),
)
async def end_session(request: Request, id: Id, visitor: Visiting) -> Done:
    """End a login, for example one left open on another machine."""
    owner = None if visitor.role == "admin" else visitor.name
    await box_of(request).core.request("sessions.end", filled(id=id, name=owner))
    return Done()


@router.get("/tokens", operation_id="list_tokens", dependencies=may("admin", "tokens"))
async def list_tokens(request: Request) -> Tokens:
    """All API tokens, without their secrets."""
    found = await box_of(request).core.request("tokens.list")
    return told(Tokens, {**found, "scopes": list(SCOPES)})


@router.post("/tokens", operation_id="add_token", status_code=201, dependencies=may("admin", "tokens"))
async def add_token(request: Request, given: NewToken, visitor: Visiting) -> NewTokenMade:
    """Make a token; its secret is shown this once."""
    if unknown := sorted(set(given.scopes) - set(SCOPES)):
        raise Refusal(422, "invalid", f"There is no scope {unknown[0]}.", f"Choose of: {', '.join(SCOPES)}.")
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    body = {
        "name": given.name,
        "role": given.role,
        "scopes": sorted(set(given.scopes)),
        "expires_in_s": given.expires_in_s,
        "created_by": visitor.name,
        "digest": digest_of(secret),
    }
    return NewTokenMade(token=told(Token, await box_of(request).core.request("tokens.add", body)), secret=secret)


@router.delete(
    "/tokens/{id}", operation_id="remove_token", responses=documented(404), dependencies=may("admin", "tokens")
)
async def remove_token(request: Request, id: Id) -> Done:
    """Make a token worthless, at once."""
    await box_of(request).core.request("tokens.remove", {"id": id})
    return Done()


@router.get("/audit", operation_id="list_audit", dependencies=may("admin", "audit"), tags=["audit"])
async def list_audit(
    request: Request,
    before: Annotated[int | None, Query(ge=0, le=2**53, description="Only entries with a smaller id.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Audit:
    """Who changed what, newest first."""
    return told(Audit, await box_of(request).core.request("audit.list", filled(before=before, limit=limit)))


@router.post("/access/test", operation_id="test_access", dependencies=may("viewer", "access"))
async def test_access(request: Request, given: AccessQuestion) -> AccessAnswer:
    """Whether a user of the NATS configuration may publish or subscribe, and which rule says so."""
    body = filled(user=given.user, action=given.action, subject=given.subject, account=given.account)
    return told(AccessAnswer, await box_of(request).core.request("access.test", body))


@router.get("/access/users", operation_id="list_access_users", dependencies=may("viewer", "access"))
async def list_access_users(request: Request) -> AccessUsers:
    """Users of the NATS configuration with their permissions, without secrets."""
    return told(AccessUsers, await box_of(request).core.request("access.users"))


@router.get("/certificates", operation_id="list_certificates", dependencies=may("viewer", "access"))
async def list_certificates(request: Request) -> Certificates:
    """The certificates dashboard and listeners show, and the authority to import into a browser."""
    settings = box_of(request).settings
    found: list[Certificate] = []
    if settings.uses_tls:
        found = [Certificate.model_validate(each) for each in certificates.described(settings.data_directory)]
    system = await box_of(request).core.document("system.get")
    for each in system.get("certificates") or []:
        known = certificates.described_listener(str(each["listener"]), FilePath(str(each["path"])))
        if known is not None:
            found.append(Certificate.model_validate(known))
    return Certificates(certificates=found, https=settings.uses_tls)


@router.get(
    "/certificates/authority",
    operation_id="download_authority",
    response_class=Response,
    responses={200: {"content": {"application/x-pem-file": {}}}, **documented(404)},
    dependencies=may("viewer", "access"),
)
async def download_authority(request: Request) -> Response:
    """The box's own certificate authority as PEM."""
    settings = box_of(request).settings
    if not settings.uses_tls:
        raise Refusal(404, "not_found", "The dashboard uses no certificate: it is reachable from this machine only.")
    pem = certificates.authority_pem(settings.data_directory)
    headers = {"Content-Disposition": 'attachment; filename="leafbox-ca.pem"'}
    return Response(pem, media_type="application/x-pem-file", headers=headers)
