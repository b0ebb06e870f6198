"""`$LEAFBOX` nouns setup, login, people, sessions, tokens and audit: from requests to the registries, durable before
each answer.

The web process has checked who asks; passwords reach core only as argon2id hashes, cookies and tokens only as digests.
"""

from __future__ import annotations

import re
import time
from typing import TypeVar

from leafbox.monitoring.box_services import BoxServices
from leafbox.protocol.errors import BoxRequestFailed
from leafbox.protocol.jetstream.go_json import Json, JsonObject
from leafbox.security.dashboard.api_tokens import TokenRecord, TokenRegistry
from leafbox.security.dashboard.audit import PAGE_MAX, AuditLog, AuditRecord
from leafbox.security.dashboard.people import PeopleRegistry, PersonRecord, Role
from leafbox.security.dashboard.records import Records
from leafbox.security.dashboard.sessions import SessionRecord, SessionRegistry
from leafbox.security.dashboard.setup_code import SetupCode
from leafbox.security.dashboard.throttle import FAILURES_FREE_OF_ADDRESS, Throttle

T = TypeVar("T", str, int, float)

DIGEST = re.compile(r"[0-9a-f]{64}")
CLAIM_KEY = "setup"


class PeopleServices:
    """Registries and throttles of one box."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self.people = PeopleRegistry(records)
        self.sessions = SessionRegistry(records)
        self.tokens = TokenRegistry(records)
        self.audit = AuditLog(records)
        self.setup_code = SetupCode()
        if self.people.is_claimed:
            self.setup_code.use_up()
        self._names = Throttle()
        self._addresses = Throttle(FAILURES_FREE_OF_ADDRESS)

    def register(self, services: BoxServices) -> None:
        """Answer the nouns."""
        for name, handler in (
            ("setup.get", self.get_setup),
            ("setup.check", self.check_code),
            ("setup.code", self.tell_code),
            ("login.begin", self.begin_login),
            ("login.failed", self.login_failed),
            ("people.list", self.list_people),
            ("sessions.resolve", self.resolve_session),
            ("sessions.peek", self.peek_session),
            ("sessions.list", self.list_sessions),
            ("tokens.resolve", self.resolve_token),
            ("tokens.peek", self.peek_token),
            ("tokens.list", self.list_tokens),
            ("audit.list", self.list_audit),
        ):
            services.add(name, handler)
        services.add("setup.claim", self.claim)
        services.add("people.add", self.add_person)
        services.add("people.change", self.change_person)
        services.add("people.remove", self.remove_person)
        services.add("sessions.open", self.open_session)
        services.add("sessions.end", self.end_session)
        services.add("tokens.add", self.add_token)
        services.add("tokens.remove", self.remove_token)
        services.add("audit.begin", self.begin_audit)
        services.add("audit.finish", self.finish_audit)

    # -- set-up -------------------------------------------------------------------------------------------------------

    def get_setup(self, request: JsonObject) -> JsonObject:
        """Whether the box is claimed."""
        return {"claimed": self.people.is_claimed}

    def check_code(self, request: JsonObject) -> JsonObject:
        """Whether a code opens an unclaimed box; wrong ones cost time."""
        if self.people.is_claimed:
            raise BoxRequestFailed("claimed", "this box has been claimed already", "log in")
        now_s, ip = time.monotonic(), text(request, "ip")
        self._refuse_while_waiting(CLAIM_KEY, ip, now_s)
        if not self.setup_code.matches(text(request, "code")):
            self._names.failed(CLAIM_KEY, now_s)
            self._addresses.failed(ip, now_s)
            step = "`leafbox run` prints it when it starts; it is another one after each start"
            raise BoxRequestFailed("wrong_code", "the code is wrong", step)
        return {}

    def tell_code(self, request: JsonObject) -> JsonObject:
        """The code, for the owner's command line; empty once the box is claimed."""
        return {"code": self.setup_code.text}

    async def claim(self, request: JsonObject) -> JsonObject:
        """Make the first administrator."""
        self.check_code(request)
        person = self.people.add(text(request, "name"), Role.ADMIN, text(request, "password_hash"), time.time())
        self.setup_code.use_up()
        await self._records.durable()
        return self._person(person)

    # -- login --------------------------------------------------------------------------------------------------------

    def begin_login(self, request: JsonObject) -> JsonObject:
        """The hash to check against, empty for an unknown name; refused while a name or address has to wait."""
        name, ip = text(request, "name"), text(request, "ip")
        self._refuse_while_waiting(name, ip, time.monotonic())
        person = self.people.get(name)
        return {"password_hash": person.password_hash if person is not None else ""}

    def login_failed(self, request: JsonObject) -> JsonObject:
        """Count a wrong password."""
        name, ip, now_s = text(request, "name"), text(request, "ip"), time.monotonic()
        wait_s = max(self._names.failed(name, now_s), self._addresses.failed(ip, now_s))
        return {"wait_s": wait_s}

    def _refuse_while_waiting(self, name: str, ip: str, now_s: float) -> None:
        wait_s = max(self._names.wait_s(name, now_s), self._addresses.wait_s(ip, now_s))
        if wait_s > 0:
            step = f"wait {wait_s:.0f} s and try again"
            raise BoxRequestFailed("throttled", "there were too many wrong tries", step, retry_after_s=wait_s)

    # -- people -------------------------------------------------------------------------------------------------------

    def list_people(self, request: JsonObject) -> JsonObject:
        """Everybody."""
        people: list[Json] = [self._person(person) for person in self.people.all()]
        return {"people": people}

    async def add_person(self, request: JsonObject) -> JsonObject:
        """Somebody more."""
        role = role_of(request)
        person = self.people.add(text(request, "name"), role, text(request, "password_hash"), time.time())
        self.setup_code.use_up()
        await self._records.durable()
        return self._person(person)

    async def change_person(self, request: JsonObject) -> JsonObject:
        """A role or password; ends the sessions of whoever it concerns, but for `keep_session`."""
        name, kept = text(request, "name"), optional(request, "keep_session", "")
        role = role_of(request) if request.get("role") is not None else None
        person = self.people.change(name, role, optional(request, "password_hash", "") or None)
        if role is not None and role is not Role.ADMIN:
            # Only administrators make tokens; they may do more than their maker may now.
            self.tokens.remove_of(name)
        self.sessions.end_where(lambda session: session.name == name and session.id != kept)
        self._names.succeeded(name)
        await self._records.durable()
        return self._person(person)

    async def remove_person(self, request: JsonObject) -> JsonObject:
        """Somebody less, with sessions and tokens."""
        name = text(request, "name")
        self.people.remove(name)
        self.sessions.end_where(lambda session: session.name == name)
        self.tokens.remove_of(name)
        await self._records.durable()
        return {}

    def _person(self, person: PersonRecord) -> JsonObject:
        now_s = time.time()
        wait_s = self._names.wait_s(person.name, time.monotonic())
        return {
            "name": person.name,
            "role": person.role.value,
            "created_s": person.created_s,
            "last_login_s": person.last_login_s,
            "sessions": sum(session.name == person.name for session in self.sessions.all(now_s)),
            "locked_until_s": now_s + wait_s if wait_s else 0,
        }

    # -- sessions -----------------------------------------------------------------------------------------------------

    async def open_session(self, request: JsonObject) -> JsonObject:
        """Somebody has given the right password."""
        name, now_s = text(request, "name"), time.time()
        person = self.people.need(name)
        session = self.sessions.open(
            digest_of(request), name, text(request, "ip"), optional(request, "agent", ""), now_s
        )
        self._names.succeeded(name)
        self.people.logged_in(name, now_s)
        await self._records.durable()
        return self._session(session, person)

    def resolve_session(self, request: JsonObject) -> JsonObject:
        """Whose session a digest is."""
        session = self.sessions.resolve(digest_of(request), time.time())
        return self._known_session(session)

    def peek_session(self, request: JsonObject) -> JsonObject:
        """Whether the session of an id still holds."""
        return self._known_session(self.sessions.find(text(request, "id"), time.time()))

    def list_sessions(self, request: JsonObject) -> JsonObject:
        """Open sessions, of everybody or of one name."""
        name = optional(request, "name", "")
        found: list[Json] = [
            {
                "id": session.id,
                "name": session.name,
                "created_s": session.created_s,
                "last_seen_s": session.last_seen_s,
                "expires_s": session.expires_s,
                "ip": session.ip,
                "agent": session.agent,
            }
            for session in self.sessions.all(time.time())
            if not name or session.name == name
        ]
        return {"sessions": found}

    async def end_session(self, request: JsonObject) -> JsonObject:
        """End one, of anybody or of one name only."""
        id, name = text(request, "id"), optional(request, "name", "")
        ended = self.sessions.end_where(lambda session: session.id == id and (not name or session.name == name))
        if not ended:
            raise BoxRequestFailed("not_found", f"there is no session {id}", "it may have ended already")
        await self._records.durable()
        return {}

    def _known_session(self, session: SessionRecord | None) -> JsonObject:
        person = self.people.get(session.name) if session is not None else None
        if session is None or person is None:
            raise BoxRequestFailed("not_found", "there is no such session", "log in")
        return self._session(session, person)

    def _session(self, session: SessionRecord, person: PersonRecord) -> JsonObject:
        return {
            "id": session.id,
            "name": person.name,
            "role": person.role.value,
            "created_s": session.created_s,
            "expires_s": session.expires_s,
            "idle_timeout_s": self.sessions.idle_s,
        }

    # -- tokens -------------------------------------------------------------------------------------------------------

    async def add_token(self, request: JsonObject) -> JsonObject:
        """A token, by the digest of its secret."""
        scopes, now_s = request.get("scopes") or [], time.time()
        if not isinstance(scopes, list):
            raise BoxRequestFailed("invalid", "scopes is no list", "give a list of names")
        lives_s = optional(request, "expires_in_s", 0.0)
        token = TokenRecord(
            digest_of(request),
            text(request, "name"),
            role_of(request),
            tuple(map(str, scopes)),
            now_s,
            optional(request, "created_by", ""),
            now_s + lives_s if lives_s else 0,
        )
        self.tokens.add(token)
        await self._records.durable()
        return _token(token)

    def list_tokens(self, request: JsonObject) -> JsonObject:
        """All of them."""
        found: list[Json] = [_token(token) for token in self.tokens.all()]
        return {"tokens": found}

    async def remove_token(self, request: JsonObject) -> JsonObject:
        """One less."""
        if not self.tokens.remove(text(request, "id")):
            raise BoxRequestFailed("not_found", f"there is no token {request['id']}", "it may be gone already")
        await self._records.durable()
        return {}

    def resolve_token(self, request: JsonObject) -> JsonObject:
        """Which token a digest is."""
        return _known_token(self.tokens.resolve(digest_of(request), time.time()))

    def peek_token(self, request: JsonObject) -> JsonObject:
        """Whether the token of an id still holds."""
        return _known_token(self.tokens.find(text(request, "id"), time.time()))

    # -- audit --------------------------------------------------------------------------------------------------------

    async def begin_audit(self, request: JsonObject) -> JsonObject:
        """Somebody sets out to change something."""
        record = self.audit.begin(
            AuditRecord(
                id=0,
                at_s=time.time(),
                who=text(request, "who"),
                via=text(request, "via"),
                ip=text(request, "ip"),
                action=text(request, "action"),
                target=optional(request, "target", ""),
                account=optional(request, "account", ""),
            )
        )
        await self._records.durable()
        return {"id": record.id}

    async def finish_audit(self, request: JsonObject) -> JsonObject:
        """How it ended."""
        self.audit.finish(optional(request, "id", 0), optional(request, "status", 0))
        await self._records.durable()
        return {}

    def list_audit(self, request: JsonObject) -> JsonObject:
        """A page, newest first."""
        before = optional(request, "before", 0)
        found, has_more = self.audit.page(before or None, optional(request, "limit", PAGE_MAX))
        entries: list[Json] = [
            {
                "id": record.id,
                "at_s": record.at_s,
                "who": record.who,
                "via": record.via,
                "ip": record.ip,
                "action": record.action,
                "target": record.target,
                "account": record.account,
                "status": record.status,
            }
            for record in found
        ]
        return {"entries": entries, "has_more": has_more}


def _token(token: TokenRecord) -> JsonObject:
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role.value,
        "scopes": list(token.scopes),
        "created_s": token.created_s,
        "created_by": token.created_by,
        "last_used_s": token.last_used_s,
        "expires_s": token.expires_s,
    }


def _known_token(token: TokenRecord | None) -> JsonObject:
    if token is None:
        raise BoxRequestFailed("not_found", "there is no such token", "make one in the dashboard")
    return _token(token)


def text(request: JsonObject, name: str) -> str:
    """A text that must be there."""
    value = request.get(name)
    if not isinstance(value, str):
        raise BoxRequestFailed("invalid", f"{name} is missing or no text", f"give {name}")
    return value


def optional(request: JsonObject, name: str, default: T) -> T:
    """A value of the default's type, or the default."""
    value = request.get(name, default)
    if isinstance(default, float) and isinstance(value, int):
        value = float(value)
    if not isinstance(value, type(default)) or isinstance(value, bool):
        raise BoxRequestFailed("invalid", f"{name} is {value!r}", f"give a {type(default).__name__}")
    return value


def role_of(request: JsonObject) -> Role:
    """The role of a request."""
    try:
        return Role(text(request, "role"))
    except ValueError:
        roles = ", ".join(role.value for role in Role)
        raise BoxRequestFailed("invalid", f"there is no role {request['role']}", f"one of {roles}") from None


def digest_of(request: JsonObject) -> str:
    """A SHA-256 in hexadecimal."""
    digest = text(request, "digest")
    if not DIGEST.fullmatch(digest):
        raise BoxRequestFailed("invalid", "digest is no SHA-256", "give 64 hexadecimal digits")
    return digest
