"""Set-up, sessions, people, tokens, audit, access tests, certificates."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from leafbox.web.models.base import Asked, Role, Told

Name = Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")
Password = Field(min_length=10, max_length=256)
GivenPassword = Field(min_length=1, max_length=256)


class Setup(Told):
    """Whether somebody has claimed the box, and which box it is."""

    claimed: bool
    box_name: str = ""
    version: str = ""


class Claim(Asked):
    """The first person of a new box."""

    code: str = Field(min_length=1, max_length=64, description="The one-time code that `leafbox run` prints.")
    name: str = Name
    password: str = Password


class Login(Asked):
    """Name and password."""

    name: str = Field(min_length=1, max_length=64)
    password: str = GivenPassword


class Session(Told):
    """Who is logged in, and until when."""

    name: str
    role: Role
    via: Literal["session", "token"] = "session"
    scopes: list[str] = Field(default=[], description="Of a token: what it may do; empty: everything its role may.")
    created_s: float = 0
    expires_s: float = Field(default=0, description="Unix time at which the login ends whatever happens.")
    idle_timeout_s: float = 0
    accounts: list[str] = Field(default=[], description="NATS accounts that can be looked at.")
    default_account: str = ""
    box_name: str = ""
    version: str = ""


class OpenSession(Told):
    """One login of somebody, for looking at and ending."""

    id: str
    name: str
    created_s: float
    last_seen_s: float
    expires_s: float
    ip: str = ""
    agent: str = ""
    current: bool = False


class OpenSessions(Told):
    """Logins that are open."""

    sessions: list[OpenSession]


class Person(Told):
    """Somebody who may log in."""

    name: str
    role: Role
    created_s: float
    last_login_s: float = 0
    sessions: int = 0
    locked_until_s: float = 0


class People(Told):
    """Everybody who may log in."""

    people: list[Person]


class NewPerson(Asked):
    """Somebody more."""

    name: str = Name
    password: str = Password
    role: Role = "viewer"


class PersonChange(Asked):
    """What changes about somebody; a new password or role ends their sessions."""

    role: Role | None = None
    password: str | None = Field(default=None, min_length=10, max_length=256)
    current_password: str | None = Field(
        default=None, max_length=256, description="Needed to change one's own password."
    )


class Token(Told):
    """An API token, without its secret."""

    id: str
    name: str
    role: Role
    scopes: list[str] = []
    created_s: float
    created_by: str = ""
    last_used_s: float = 0
    expires_s: float = Field(default=0, description="0: never.")


class Tokens(Told):
    """All API tokens."""

    tokens: list[Token]
    scopes: list[str] = Field(default=[], description="Scopes there are.")


class NewToken(Asked):
    """A token to be made. Scopes narrow what its role may."""

    name: str = Name
    role: Role = "viewer"
    scopes: list[str] = Field(default=[], max_length=32)
    expires_in_s: float = Field(default=0, ge=0, le=10 * 366 * 86400, description="0: never.")


class NewTokenMade(Told):
    """The only time that the secret is shown."""

    token: Token
    secret: str


class AuditEntry(Told):
    """One change: who, what, from where, and how it ended."""

    id: int
    at_s: float
    who: str
    via: str = ""
    ip: str = ""
    action: str = Field(description="Method and path pattern, for example `POST /streams/{name}/purge`.")
    target: str = ""
    detail: dict[str, object] = {}
    status: int = Field(default=0, description="HTTP status of the outcome; 0: it is not known.")
    outcome: str = ""


class Audit(Told):
    """Newest first; `before` of the next page is the last id here."""

    entries: list[AuditEntry]
    has_more: bool = False


class AccessQuestion(Asked):
    """May this user do that?"""

    user: str = Field(max_length=256)
    action: Literal["publish", "subscribe"]
    subject: str = Field(min_length=1, max_length=1024)
    account: str | None = Field(default=None, max_length=256)


class AccessAnswer(Told):
    """The answer with the rule that decided."""

    allowed: bool
    reason: str
    user: str = ""
    account: str = ""
    rule: str = ""


class AccessUser(Told):
    """A user of the NATS configuration, without secrets."""

    name: str
    account: str = ""
    kind: str = Field(default="", description="password, nkey, ...")
    publish_allow: list[str] | None = None
    publish_deny: list[str] = []
    subscribe_allow: list[str] | None = None
    subscribe_deny: list[str] = []
    connections: int = 0


class AccessUsers(Told):
    """Users of the NATS configuration and the accounts there are."""

    users: list[AccessUser]
    accounts: list[str] = []
    login_needed: bool = False


class Certificate(Told):
    """A certificate of the box."""

    kind: Literal["authority", "server", "listener"]
    where: str = ""
    subject: str
    issuer: str = ""
    names: list[str] = []
    not_before_s: float
    not_after_s: float
    fingerprint_sha256: str
    serial: str = ""
    pem: str = ""


class Certificates(Told):
    """Certificates the box shows to others."""

    certificates: list[Certificate]
    https: bool = False
