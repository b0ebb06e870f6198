"""Operator mode: what operator, account and user JWTs make of a connection (ADR-14).

The chain: a trusted operator key signs accounts, an account's key (or one of its signing keys) signs users, the user's
key signs the nonce. Accounts come from `resolver_preload` and from whatever puts them here later (`app.operator`); one
that is not known is asked for with `lookup`, where there is one to ask. An import that its exporter does not allow (any
more) is left out and said, as nats-server does; the other imports of the account hold.

Source: config specification section 7; nats-server 2.15.1 `server/auth.go` `processClientOrLeafAuthentication`. Not
here: what claims mean (`user_claims`, `user_template`, `account_claims`), where accounts are kept.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from leafbox import NATS_SERVER_VERSION
from leafbox.broker.config import UNLIMITED, AccountOptions, Permissions
from leafbox.broker.imports import without_cycles
from leafbox.protocol.errors import ConfigError
from leafbox.protocol.jwt import Claims, InvalidJwt, decode_jwt
from leafbox.protocol.nkeys import InvalidNkey, KeyRole, decode_signature, is_public, verify
from leafbox.security.account_claims import KnownAccount, account_options, objections, read_account
from leafbox.security.account_directory import AccountDirectory
from leafbox.security.activations import Activations
from leafbox.security.authentication import (
    ClaimFacts,
    ConnectionFacts,
    Credentials,
    Decision,
    Identity,
    Proof,
    Refusal,
)
from leafbox.security.config import OperatorOptions
from leafbox.security.user_claims import (
    connection_types,
    has_no_rights,
    is_from,
    objection,
    read_limits,
    read_permissions,
    sources,
    strings,
    window_end_s,
)
from leafbox.security.user_template import applied

logger = logging.getLogger(__name__)

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
ACCOUNT_EXPIRED = "Account Authentication Expired"
REVOKED = Refusal("credentials were revoked", peer_text="User Authentication Revoked", closed_as="Credentials Revoked")


class AccountLookup(Protocol):
    """Where accounts that are not known may be found."""

    def may_find(self, key: str) -> bool:
        """Whether asking makes sense: nobody has just said that there is none, and not too many are being asked for."""
        ...

    def is_stale(self, key: str) -> bool:
        """Whether a known account is to be asked for again."""
        ...

    async def find(self, key: str) -> None:
        """Ask, and put what was found into this operator's accounts. Bounded in time; raises nothing."""
        ...


@dataclass(frozen=True, slots=True)
class SignedUser:
    """A user JWT that its account's key signed, with the rights it gives."""

    claims: Claims
    account: KnownAccount
    rights: Mapping[str, Any]
    """The user's own claims, or its signing key's template."""
    template: str = ""


class OperatorMode:
    """Decides by JWT alone; an `Authority`. Raises `ConfigError` when an operator or account JWT is not usable."""

    def __init__(self, options: OperatorOptions, clock_s: Callable[[], float] = time.time) -> None:
        self._clock_s = clock_s
        self.activations_end_s: int | None = None
        """When the first activation token ends that `account_options` has counted; None: none does."""
        self.activations_watch: asyncio.TimerHandle | None = None
        """The timer that waits for it."""
        self.trusted = set(options.trusted_keys)
        """Operator keys whose accounts count."""
        self._strict: set[str] = set()
        self.strict_operators: set[str] = set()
        """Operators that sign accounts with their signing keys only."""
        self.system_account = ""
        self.lookup: AccountLookup | None = None
        self.directory: AccountDirectory | None = None
        """Where accounts are kept, if the configuration names a directory."""
        self._pinned = options.resolver_pinned_accounts
        self._sentinel = options.default_sentinel
        for token in options.operators:
            try:
                self._trust(_decode_operator(token))
            except (TypeError, ValueError) as error:
                raise ConfigError(f"operator JWT: unexpected content ({error})") from error
        self.accounts: dict[str, KnownAccount] = {}
        for key, token in options.resolver_preload.items():
            self._preload(key, token)

    def _trust(self, operator: Claims) -> None:
        keys = strings(operator.nats.get("signing_keys"))
        self.trusted.update(keys)
        if operator.nats.get("strict_signing_key_usage"):
            self._strict.update(keys)
            self.strict_operators.add(operator.subject)
        else:
            self.trusted.add(operator.subject)
        check_version(operator)
        # The first operator's counts.
        self.system_account = self.system_account or str(operator.nats.get("system_account") or "")

    def _preload(self, key: str, token: str) -> None:
        try:
            account = self.read(token)
        except InvalidJwt as error:
            raise ConfigError(f"resolver_preload: account {key}: {error}") from error
        if account.key != key:
            raise ConfigError(f"resolver_preload: the JWT for {key} is of another account")
        if found := objections(account):
            logger.warning("account=%s is left out, its JWT has faults: %s", key, "; ".join(found))
            return
        self.accounts[key] = account

    # -- accounts -----------------------------------------------------------------------------------------------------

    def read(self, token: str) -> KnownAccount:
        """The account of a token that a trusted operator signed. Raises `InvalidJwt`. Its content is not judged."""
        account = read_account(token)
        if account.claims.issuer not in self.trusted:
            raise InvalidJwt("account is not signed by a trusted operator")
        if account.claims.issuer in self._strict:
            return read_account(token, is_strict=True)
        return account

    def account_options(self) -> tuple[AccountOptions, ...]:
        """The known accounts, named by their public keys."""
        accounts = {key: account.claims for key, account in self.accounts.items()}
        signers = {key: account.signers.keys() | {key} for key, account in self.accounts.items()}
        activations = Activations(accounts, signers, self._clock_s())
        self.activations_end_s = activations.end_s
        options = {key: account_options(key, claims.nats, activations) for key, claims in accounts.items()}
        return tuple(without_cycles(options).values())

    # -- logins -------------------------------------------------------------------------------------------------------

    def decide(
        self, credentials: Credentials, facts: ConnectionFacts, so_far: Decision | None
    ) -> Decision | Awaitable[Decision]:
        """Who the user JWT in CONNECT makes of the connection."""
        try:
            user = self._user(credentials, facts)
            if isinstance(user, Refusal):
                return user
            key = _account_key(user)
            account = self.accounts.get(key)
            lookup = self.lookup
            is_good = account is not None and not account.claims.has_ended(self._clock_s())
            if lookup is not None and (not is_good or lookup.is_stale(key)) and lookup.may_find(key):
                return self._decide_after(lookup.find(key), user, credentials, facts)
            return self._decide(user, credentials, facts)
        except InvalidJwt as error:
            return Refusal(f"user JWT: {error}")
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            return Refusal(f"user JWT: unexpected content ({type(error).__name__})")

    def _user(self, credentials: Credentials, facts: ConnectionFacts) -> Claims | Refusal:
        """The claims that are presented, or the sentinel's for who presents none."""
        try:
            user = decode_jwt(credentials.jwt)
            if user.kind != "user":
                raise InvalidJwt("not user claim")
        except InvalidJwt:
            if not self._sentinel:
                if not credentials.jwt:
                    return Refusal("no user JWT")
                raise
            user = decode_jwt(self._sentinel)
        if text := objection(user):
            return Refusal(f"user JWT: {text}")
        if user.nats.get("proxy_required") and not facts.proxy_key:
            return Refusal("proxy required", peer_text="Proxy Required", closed_as="Proxy Required")
        user.check_time(self._clock_s())
        if self._pinned and _account_key(user) not in self._pinned and _account_key(user) != self.system_account:
            return Refusal("account is not listed in resolver_pinned_accounts")
        return user

    async def _decide_after(
        self, lookup: Awaitable[None], user: Claims, credentials: Credentials, facts: ConnectionFacts
    ) -> Decision:
        await lookup
        try:
            return self._decide(user, credentials, facts)
        except InvalidJwt as error:
            return Refusal(f"user JWT: {error}")
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            return Refusal(f"user JWT: unexpected content ({type(error).__name__})")

    def _decide(self, user: Claims, credentials: Credentials, facts: ConnectionFacts) -> Decision:
        account = self.accounts.get(_account_key(user))
        if account is None:
            return Refusal("the user's account is unknown")
        deciders = external_users(account)
        if deciders and user.subject not in deciders:
            # Its own JWT alone must not let it in: the account wants a service of its own to be asked.
            return Refusal("the account's authorization service is not asked: auth callout in operator mode is missing")
        return self._judge(sign_user(user, account), credentials, facts)

    def _judge(self, user: SignedUser, credentials: Credentials, facts: ConnectionFacts) -> Decision:
        now_s = self._clock_s()
        user.account.claims.check_time(now_s)
        refusal = check_limits(user, facts) or _check_signature(user, credentials, facts)
        if refusal is not None:
            return refusal
        if user.account.is_revoked(user.claims.subject, user.claims.issued_at_s):
            return Refusal("credentials were revoked")
        networks = sources(user.rights)
        if networks and not is_from(facts.ip, networks):
            return Refusal("source address not allowed")
        return identity_of(user, now_s)

    # -- while they are here ------------------------------------------------------------------------------------------

    def still_authorised(self, identity: Identity, facts: ConnectionFacts) -> Decision:
        """After accounts or the configuration have changed: what the identity is now."""
        account = self.accounts.get(identity.account)
        now_s = self._clock_s()
        if account is None or account.claims.has_ended(now_s):
            return Refusal("account is gone", peer_text=ACCOUNT_EXPIRED, closed_as="Authentication Expired")
        if identity.expires_at_s is not None and identity.expires_at_s <= now_s and not identity.is_account_expiring:
            return Refusal("claim is expired")
        claims = identity.claims
        if claims is None:
            return REVOKED if account.is_revoked(identity.nkey, 0) else identity
        if claims.is_bearer and _disallows_bearer(account):
            return Refusal("the account does not allow bearer tokens")
        if account.is_revoked(identity.nkey, claims.issued_at_s):
            return REVOKED
        if claims.signer not in account.signers or _template_text(account.signers[claims.signer]) != claims.template:
            return Refusal("the key that signed the user is gone or has changed", is_silent=True)
        permissions = identity.permissions
        if claims.takes_defaults:
            permissions = default_permissions(account)
        return _until(replace(identity, permissions=permissions), claims.ends_at_s, account)


def check_version(operator: Claims) -> None:
    """Raises `ConfigError` when the operator asks for a later server than the one we stand for."""
    wanted = str(operator.nats.get("assert_server_version") or "")
    if not wanted:
        return
    found, own = _VERSION.fullmatch(wanted), _VERSION.match(NATS_SERVER_VERSION)
    if found is None or own is None:
        raise ConfigError(
            f"operator {operator.subject}: assert_server_version {wanted!r} is not <major>.<minor>.<update>"
        )
    if tuple(map(int, found.groups())) > tuple(map(int, own.groups())):
        raise ConfigError(f"operator {operator.subject} expects server version {wanted}, this is {NATS_SERVER_VERSION}")


def sign_user(user: Claims, account: KnownAccount) -> SignedUser:
    """Check that the account signed the user. Raises `InvalidJwt`."""
    if user.issuer not in account.signers:
        raise InvalidJwt("its account did not sign it")
    template = account.signers[user.issuer]
    if template is None:
        return SignedUser(user, account, user.nats)
    if not has_no_rights(user):
        raise InvalidJwt("scoped users require no permissions or limits set")
    return SignedUser(user, account, applied(template, user, account.claims), _template_text(template))


def check_limits(user: SignedUser, facts: ConnectionFacts) -> Refusal | None:
    """What speaks against the user on this connection, before its key is asked for."""
    if user.rights.get("proxy_required") and not facts.proxy_key:
        return Refusal("proxy required", peer_text="Proxy Required", closed_as="Proxy Required")
    if user.rights.get("bearer_token") and _disallows_bearer(user.account):
        return Refusal("the account does not allow bearer tokens")
    allowed = connection_types(user.rights)
    if allowed is None or (allowed and facts.connection_type not in allowed):
        return Refusal("connection type not allowed")
    return None


def identity_of(user: SignedUser, now_s: float) -> Decision:
    """What the user is, if it may be here at this time of day."""
    claims = user.claims
    is_open, closes_at_s = window_end_s(user.rights, now_s)
    if not is_open:
        return Refusal("outside of the user's times of day")
    ends = [at_s for at_s in (float(claims.expires_at_s), closes_at_s) if at_s]
    permissions = read_permissions(user.rights)
    facts = ClaimFacts(
        claims.issued_at_s,
        claims.issuer,
        min(ends, default=None),
        user.template,
        is_bearer=bool(user.rights.get("bearer_token")),
        takes_defaults=permissions is None,
    )
    identity = Identity(
        name=claims.subject,
        account=user.account.key,
        permissions=permissions if permissions is not None else default_permissions(user.account),
        allowed_connection_types=connection_types(user.rights) or frozenset(),
        nkey=claims.subject,
        is_proxy_required=bool(user.rights.get("proxy_required")),
        proof=Proof.AUTHORITY,
        limits=read_limits(user.rights, default=UNLIMITED if user.template else 0),
        claims=facts,
    )
    return _until(identity, facts.ends_at_s, user.account)


def default_permissions(account: KnownAccount) -> Permissions | None:
    """Of users that have none of their own."""
    return read_permissions(account.claims.nats.get("default_permissions") or {})


def external_users(account: KnownAccount) -> list[str]:
    """The users that may enter by their own JWT where a service of the account decides about all others."""
    return strings((account.claims.nats.get("authorization") or {}).get("auth_users"))


def _until(identity: Identity, ends_at_s: float | None, account: KnownAccount) -> Identity:
    ends = [at_s for at_s in (ends_at_s, float(account.claims.expires_at_s)) if at_s]
    first = min(ends, default=None)
    return replace(identity, expires_at_s=first, is_account_expiring=first is not None and first != ends_at_s)


def _template_text(template: Mapping[str, Any] | None) -> str:
    return "" if template is None else json.dumps(template, sort_keys=True)


def _disallows_bearer(account: KnownAccount) -> bool:
    return bool((account.claims.nats.get("limits") or {}).get("disallow_bearer"))


def _account_key(user: Claims) -> str:
    return str(user.nats.get("issuer_account") or user.issuer)


def _check_signature(user: SignedUser, credentials: Credentials, facts: ConnectionFacts) -> Refusal | None:
    """The holder of the JWT also holds its key, unless it is a bearer token."""
    if user.rights.get("bearer_token"):
        return None
    if not credentials.signature:
        return Refusal("signature missing")
    try:
        signature = decode_signature(credentials.signature)
        if not facts.nonce or not verify(user.claims.subject, facts.nonce, signature):
            return Refusal("signature not verified")
    except InvalidNkey as error:
        return Refusal(str(error))
    return None


def _decode_operator(token: str) -> Claims:
    try:
        claims = decode_jwt(token)
    except InvalidJwt as error:
        raise ConfigError(f"operator JWT: {error}") from error
    if claims.kind != "operator" or not is_public(claims.subject, KeyRole.OPERATOR):
        raise ConfigError(f"expected the JWT of an operator, got {claims.kind or 'nothing known'}")
    return claims
