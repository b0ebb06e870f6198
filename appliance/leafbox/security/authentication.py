"""Decides who a connection is: a pure decision over the configured users, in the order nats-server takes.

The order (config.md section 6, each step tried on nats-server 2.15.1):

1. nothing configured: everybody is the global account;
2. operator mode: the plugged-in `Authority` alone decides;
3. `nkey` in CONNECT and NKey users configured: that user, by signature over the nonce;
4. password users: found by the client's certificate (`verify_and_map`), else by name; a CONNECT without any
   credentials is the `no_auth_user`;
5. no such user was named: the single token, or the single user of the listener or the server;
6. auth callout: the plugged-in `Authority` sees the outcome of 3-5 and has the last word.

An `Authenticator` is immutable; a reload builds a new one and asks it `still_authorised` for each live connection.
Passwords are not kept for that: `Identity.proof` is a keyed digest of the configured secret that was matched, so a
changed secret ends the connection and an unchanged one does not. (nats-server keeps the password and asks again, so it
lets a connection live when a hash was replaced by another one of the same password, or when credentials that were
not needed before are right now; ours closes and the client logs in again.)

Secrets never appear in reasons or in `repr`. Not here: sockets, timeouts, connection limits, compiled permissions.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from leafbox.broker.config import GLOBAL_ACCOUNT, ConnectionType, Permissions
from leafbox.protocol.errors import ConfigError, LimitExceeded
from leafbox.protocol.nkeys import InvalidNkey, decode_signature, verify
from leafbox.security.certificate_names import InvalidName, read_names
from leafbox.security.config import SecurityOptions, SimpleAuthorization, UserOptions
from leafbox.security.passwords import PasswordVerifier, is_bcrypt
from leafbox.security.tls_accept import TlsFacts
from leafbox.security.user_claims import NO_LIMITS, UserLimits


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the peer says of itself: CONNECT's fields, an MQTT login, a leaf's CONNECT. Empty means absent."""

    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    nkey: str = ""
    signature: str = field(default="", repr=False)
    """CONNECT's `sig`: the nonce signed with the NKey."""
    jwt: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ListenerRules:
    """What one kind of listener changes; the plain client listener's are the defaults."""

    maps_certificates: bool = False
    """The listener's TLS block has `verify_and_map`."""
    no_auth_user: str = ""
    """The listener's own; empty: the server's."""
    single: SimpleAuthorization | None = None
    """The listener's own single user or token; None: the server's."""

    @property
    def demands_login(self) -> bool:
        """Whether the listener alone makes a login necessary."""
        return bool(self.no_auth_user) or (self.single is not None and bool(self.single.username or self.single.token))


@dataclass(frozen=True, slots=True)
class PeerAbout:
    """What the peer says about itself beside its credentials: for an authority that wants to know, never for trust."""

    cid: int = 0
    name: str = ""
    language: str = ""
    version: str = ""
    protocol: int = 0
    mqtt_client_id: str = ""


@dataclass(frozen=True, slots=True)
class ConnectionFacts:
    """What we know of the connection without asking the peer."""

    connection_type: ConnectionType
    rules: ListenerRules = ListenerRules()
    nonce: bytes = b""
    """The nonce INFO carried, as the ASCII text the peer signs."""
    tls: TlsFacts | None = None
    ip: str = ""
    """The peer's address, for limits by source."""
    about: PeerAbout = PeerAbout()
    proxy_key: str = ""
    """Public key of the trusted proxy that vouched for the connection; empty: it came directly."""


@dataclass(frozen=True, slots=True)
class ClaimFacts:
    """What of a user JWT matters after the login: its account's claims may change under it."""

    issued_at_s: int
    signer: str
    """The key that signed it: the account's, or one of its signing keys."""
    ends_at_s: float | None = None
    """When the user's own claims end, or the time of day in which it may be here; None: never."""
    template: str = ""
    """The template of the signing key that gave the rights, as JSON; empty: the JWT has rights of its own."""
    is_bearer: bool = False
    takes_defaults: bool = False
    """It has no permissions of its own, so it has the account's default ones."""


class Proof(enum.Enum):
    """How an identity was established."""

    NOTHING = "no login needed"
    NKEY = "nkey"
    PASSWORD = "password"  # noqa: S105
    CERTIFICATE = "certificate"
    SINGLE = "single user or token"
    NO_AUTH_USER = "no_auth_user"
    AUTHORITY = "operator or callout"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the connection is; everything later decisions need."""

    name: str
    """User name or public NKey for logs and monitoring; `[REDACTED]` for a token, empty without login."""
    account: str
    """Name of the account it lives in."""
    permissions: Permissions | None = None
    """As configured; None: everything is allowed."""
    allowed_connection_types: frozenset[ConnectionType] = frozenset()
    nkey: str = ""
    is_proxy_required: bool = False
    proof: Proof = Proof.NOTHING
    secret_fingerprint: bytes = field(default=b"", repr=False)
    expires_at_s: float | None = None
    """Wall-clock time at which the connection must end (an expiring JWT); None: never."""
    is_account_expiring: bool = False
    """It is the account's JWT that ends then, and all its users with it."""
    limits: UserLimits = NO_LIMITS
    """The user's own, beside those of the account and the server."""
    claims: ClaimFacts | None = None
    """Of a user JWT that operator mode let in."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The peer is turned away with `peer_text`; `reason` is for our log and never for the peer.

    `is_silent`: it is closed without a word, as nats-server does after a reload that removed its user.
    """

    reason: str
    is_silent: bool = False
    peer_text: str = "Authorization Violation"
    closed_as: str = "Authentication Failure"
    """What monitoring shows of the closed connection."""


Decision = Identity | Refusal

TOKEN_NAME = "[REDACTED]"  # noqa: S105
"""Shown in place of a user name for connections that came in by token, as nats-server does."""


class Authority(Protocol):
    """A decision taken elsewhere: JWTs in operator mode, or an auth callout service."""

    def decide(
        self, credentials: Credentials, facts: ConnectionFacts, so_far: Decision | None
    ) -> Decision | Awaitable[Decision]:
        """`so_far` is the configured users' outcome for a callout (it may keep it) and None in operator mode."""
        ...

    def still_authorised(self, identity: Identity, facts: ConnectionFacts) -> Decision:
        """After a reload, for an identity with `Proof.AUTHORITY`."""
        ...


class Authenticator:
    """The decision for one state of the configuration.

    `operator` and `callout` are needed if, and only if, the options ask for them; without them construction fails with
    `ConfigError` rather than letting anybody in.
    """

    def __init__(
        self,
        options: SecurityOptions,
        passwords: PasswordVerifier,
        *,
        operator: Authority | None = None,
        callout: Authority | None = None,
        maps_certificates_somewhere: bool = False,
    ) -> None:
        if options.operator.is_enabled and operator is None:
            raise ConfigError("operator mode is not available in this server")
        if options.auth_callout is not None and callout is None:
            raise ConfigError("auth_callout is not available in this server")
        self._options = options
        self._passwords = passwords
        self._operator = operator if options.operator.is_enabled else None
        self._callout = callout if options.auth_callout is not None else None
        self._maps_certificates_somewhere = maps_certificates_somewhere
        self._users: Mapping[str, UserOptions] = {user.name: user for user in options.users if not user.nkey}
        self._nkeys: Mapping[str, UserOptions] = {user.nkey: user for user in options.users if user.nkey}

    @property
    def has_plain_secrets(self) -> bool:
        """Whether some configured password or token is not a bcrypt hash; worth a warning."""
        options = self._options
        stored = [options.password, options.token, *(user.password for user in self._users.values())]
        return any(secret and not is_bcrypt(secret) for secret in stored)

    @property
    def operator(self) -> Authority | None:
        """Operator mode, where it decides."""
        return self._operator

    @property
    def sends_nonce(self) -> bool:
        """Whether INFO must carry a nonce (core-protocol section 1.1)."""
        return bool(self._nkeys or self._options.operator.is_enabled or self._options.trusted_proxies)

    def demands_login(self, rules: ListenerRules) -> bool:
        """Whether a connection needs an identity before its first operation counts."""
        return self._options.is_login_needed or rules.demands_login

    def shows_auth_required(self, rules: ListenerRules) -> bool:
        """INFO's `auth_required`: false when a `no_auth_user` takes those who send nothing."""
        return self.demands_login(rules) and not self._no_auth_user(rules)

    def authenticate(self, credentials: Credentials, facts: ConnectionFacts) -> Decision | Awaitable[Decision]:
        """Who the peer is, or why it is turned away.

        Almost always at once; an awaitable when a bcrypt hash or an authority has to be asked: pause the connection's
        reading meanwhile. The awaitable raises nothing but cancellation.
        """
        if self._operator is not None:
            return self._operator.decide(credentials, facts, None)
        outcome = self._decide_configured(credentials, facts)
        if isinstance(outcome, _Pending):
            return self._finish_later(outcome, credentials, facts)
        return self._finish(outcome, credentials, facts)

    def still_authorised(self, identity: Identity, facts: ConnectionFacts) -> Decision:
        """After a reload: the identity the same peer has now (its account may be another), or why it has none."""
        if identity.proof is Proof.AUTHORITY:
            authority = self._operator or self._callout
            return authority.still_authorised(identity, facts) if authority else Refusal("no such authority any more")
        if self._operator is not None:
            return Refusal("operator mode accepts only JWTs")
        if not self.demands_login(facts.rules):
            is_somebody = identity.name not in ("", TOKEN_NAME)
            return USER_REMOVED if is_somebody else Identity("", GLOBAL_ACCOUNT)
        if identity.proof is Proof.NOTHING:
            return Refusal("a login is needed now")
        if identity.name == TOKEN_NAME:
            return self._still_token(identity, facts)
        return self._still_user(identity, facts)

    def recalled(self, name: str, account: str, rules: ListenerRules) -> Decision:
        """The rights by this configuration of a user who came in before a restart, without asking for secrets again.

        For what was promised then and is due now. Where an authority decided, it did so for good: it cannot be asked.
        """
        if self._operator is not None or self._callout is not None:
            return Identity(name, account, proof=Proof.AUTHORITY)
        if not self.demands_login(rules):
            return USER_REMOVED if name not in ("", TOKEN_NAME) else Identity("", GLOBAL_ACCOUNT)
        if name == TOKEN_NAME:
            return Identity(name, GLOBAL_ACCOUNT) if self._single(rules).token else USER_REMOVED
        user = self._nkeys.get(name) or self._users.get(name) or self._single_user(name, rules)
        return USER_REMOVED if user is None else _identity(user, Proof.PASSWORD)

    # The configured users -------------------------------------------------------------------------------------------

    def _decide_configured(self, credentials: Credentials, facts: ConnectionFacts) -> Decision | _Pending:
        if not self.demands_login(facts.rules):
            return Identity("", GLOBAL_ACCOUNT)
        no_auth_user = self._no_auth_user(facts.rules)
        is_anonymous = not (credentials.user or credentials.password or credentials.token or credentials.nkey)
        if self._nkeys:
            nkey = no_auth_user if is_anonymous and no_auth_user in self._nkeys else credentials.nkey
            if nkey:
                return self._decide_nkey(nkey, credentials, facts)
        if self._users:
            if facts.rules.maps_certificates:
                return self._decide_certificate(credentials, facts)
            if is_anonymous and no_auth_user in self._users:
                return self._decide_no_auth_user(no_auth_user, facts)
            if credentials.user:
                return self._decide_password(credentials, facts)
        return self._decide_single(credentials, facts)

    def _decide_nkey(self, nkey: str, credentials: Credentials, facts: ConnectionFacts) -> Decision:
        user = self._nkeys.get(nkey)
        if user is None:
            return Refusal("unknown nkey")
        if refusal := _refuse_user(user, facts):
            return refusal
        if nkey == self._no_auth_user(facts.rules):
            return _identity(user, Proof.NO_AUTH_USER)
        if not credentials.signature:
            return Refusal("signature missing")
        try:
            signature = decode_signature(credentials.signature)
        except InvalidNkey as error:
            return Refusal(str(error))
        if not facts.nonce or not verify(nkey, facts.nonce, signature):
            return Refusal("signature not verified")
        return _identity(user, Proof.NKEY)

    def _decide_certificate(self, credentials: Credentials, facts: ConnectionFacts) -> Decision | _Pending:
        certificate = facts.tls.peer_certificate if facts.tls is not None else None
        if certificate is None:
            return Refusal("user required in certificate, none presented")
        allowed = {name for name, user in self._users.items() if _refuse_user(user, facts) is None}
        try:
            name = read_names(certificate).find_user(allowed)
        except InvalidName as error:
            return Refusal(str(error))
        if name is None:
            return Refusal("no user matches the certificate")
        # The certificate names the user, a configured password is demanded all the same.
        return self._check(self._users[name], name, credentials.password, Proof.CERTIFICATE)

    def _decide_no_auth_user(self, name: str, facts: ConnectionFacts) -> Decision:
        user = self._users[name]
        if refusal := _refuse_user(user, facts):
            return refusal
        if is_bcrypt(user.password):
            # nats-server compares the hash with itself as if it were the password; give such a user a plain one.
            return Refusal("no_auth_user has a bcrypt password and so cannot be used without credentials")
        return _identity(user, Proof.NO_AUTH_USER, self._secret_fingerprint(user.password))

    def _decide_password(self, credentials: Credentials, facts: ConnectionFacts) -> Decision | _Pending:
        user = self._users.get(credentials.user)
        if user is None:
            return Refusal("unknown user")
        if refusal := _refuse_user(user, facts):
            return refusal
        if not user.password and self._maps_certificates_somewhere:
            return Refusal("user without password needs a certificate")
        return self._check(user, user.name, credentials.password, Proof.PASSWORD)

    def _decide_single(self, credentials: Credentials, facts: ConnectionFacts) -> Decision | _Pending:
        single = self._single(facts.rules)
        if self._options.is_proxy_required and not facts.proxy_key:
            return Refusal("proxy required")
        if single.token:
            return self._check(UserOptions(TOKEN_NAME, single.token), "", credentials.token, Proof.SINGLE)
        if not single.username:
            return Refusal("no credentials" if not credentials.user else "unknown user")
        if credentials.user != single.username:
            return Refusal("unknown user")
        user = UserOptions(single.username, single.password)
        return self._check(user, user.name, credentials.password, Proof.SINGLE)

    # Secrets --------------------------------------------------------------------------------------------------------

    def _check(self, user: UserOptions, name: str, secret: str, proof: Proof) -> Decision | _Pending:
        identity = _identity(user, proof, self._secret_fingerprint(user.password))
        try:
            matches = self._passwords.check(name, secret, user.password)
        except LimitExceeded as error:
            return Refusal(str(error))
        if isinstance(matches, bool):
            return identity if matches else WRONG_SECRET
        return _Pending(matches, identity)

    async def _finish_later(self, pending: _Pending, credentials: Credentials, facts: ConnectionFacts) -> Decision:
        try:
            matches = await asyncio.shield(pending.matches)
        except asyncio.CancelledError:
            if not pending.matches.cancelled():
                raise
            # The verifier was closed: the server is stopping.
            return Refusal("password check was given up")
        finished = self._finish(pending.identity if matches else WRONG_SECRET, credentials, facts)
        return finished if isinstance(finished, Identity | Refusal) else await finished

    def _finish(
        self, outcome: Decision, credentials: Credentials, facts: ConnectionFacts
    ) -> Decision | Awaitable[Decision]:
        # Leaf links are never sent to the callout (server/auth.go).
        is_leaf = facts.connection_type in (ConnectionType.LEAFNODE, ConnectionType.LEAFNODE_WS)
        if self._callout is None or is_leaf:
            return outcome
        return self._callout.decide(credentials, facts, outcome)

    def _secret_fingerprint(self, stored: str) -> bytes:
        return self._passwords.fingerprint(stored)

    # Reload ---------------------------------------------------------------------------------------------------------

    def _still_user(self, identity: Identity, facts: ConnectionFacts) -> Decision:
        user = self._nkeys.get(identity.nkey) if identity.nkey else self._users.get(identity.name)
        proof = identity.proof
        if user is None and not self._users:
            user = self._single_user(identity.name, facts.rules)
            proof = Proof.SINGLE
        if user is None:
            return USER_REMOVED
        if refusal := _refuse_user(user, facts):
            return refusal
        if identity.nkey and proof is Proof.NO_AUTH_USER and user.nkey != self._no_auth_user(facts.rules):
            return Refusal("no_auth_user was changed")
        if proof is Proof.CERTIFICATE and not facts.rules.maps_certificates:
            return Refusal("certificates no longer name users")
        if proof is Proof.SINGLE and self._users:
            proof = Proof.PASSWORD
        current = _identity(user, proof, b"" if user.nkey else self._secret_fingerprint(user.password))
        if current.secret_fingerprint != identity.secret_fingerprint:
            return Refusal("password was changed", is_silent=proof is Proof.SINGLE)
        return current

    def _single_user(self, name: str, rules: ListenerRules) -> UserOptions | None:
        single = self._single(rules)
        if single.token or not name or single.username != name:
            return None
        return UserOptions(name, single.password, is_proxy_required=self._options.is_proxy_required)

    def _still_token(self, identity: Identity, facts: ConnectionFacts) -> Decision:
        single = self._single(facts.rules)
        if self._users or self._nkeys or not single.token:
            return Refusal("the token was removed")
        if self._secret_fingerprint(single.token) != identity.secret_fingerprint:
            return Refusal("the token was changed")
        if self._options.is_proxy_required and not facts.proxy_key:
            return Refusal("proxy required")
        return identity

    # The listener's own rules ---------------------------------------------------------------------------------------

    def _no_auth_user(self, rules: ListenerRules) -> str:
        return rules.no_auth_user if rules.demands_login else self._options.no_auth_user

    def _single(self, rules: ListenerRules) -> SimpleAuthorization:
        if rules.demands_login:
            return rules.single or SimpleAuthorization()
        return SimpleAuthorization(self._options.username, self._options.password, self._options.token)


@dataclass(frozen=True, slots=True)
class _Pending:
    """A decision that hangs on one bcrypt check."""

    matches: asyncio.Future[bool]
    identity: Identity


WRONG_SECRET = Refusal("wrong password or token")
USER_REMOVED = Refusal("user was removed", is_silent=True)


def _refuse_user(user: UserOptions, facts: ConnectionFacts) -> Refusal | None:
    """What speaks against this user on this connection, before any secret is looked at."""
    if user.allowed_connection_types and facts.connection_type not in user.allowed_connection_types:
        return Refusal(f"connection type {facts.connection_type.value} not allowed for the user")
    if user.is_proxy_required and not facts.proxy_key:
        return Refusal("proxy required")
    return None


def _identity(user: UserOptions, proof: Proof, secret_fingerprint: bytes = b"") -> Identity:
    return Identity(
        name=user.nkey or user.name,
        account=user.account,
        permissions=user.permissions,
        allowed_connection_types=user.allowed_connection_types,
        nkey=user.nkey,
        is_proxy_required=user.is_proxy_required,
        proof=proof,
        secret_fingerprint=secret_fingerprint,
    )
