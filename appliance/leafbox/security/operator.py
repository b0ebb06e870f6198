"""Operator mode with preloaded accounts: what operator, account and user JWTs make of a connection (ADR-14).

The chain: a trusted operator key signs accounts, an account's key (or one of its signing keys) signs users, the user's
key signs the nonce. Accounts come from `resolver_preload`; other resolvers and scoped signing keys are refused where
they are met, never taken for allowed. An import that its exporter does not allow (any more) is left out and said, as
nats-server does; the other imports of the account hold.
Source: config specification section 7; nats-server 2.15.1 `server/auth.go` `processClientOrLeafAuthentication`.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from leafbox.broker.config import (
    AccountJetStreamLimits,
    AccountLimits,
    AccountOptions,
    ConnectionType,
    MessageTrace,
    Permissions,
    ResponsePermission,
    ServiceExport,
    ServiceImport,
    ServiceLatency,
    ServiceResponseType,
    StreamExport,
    StreamImport,
    SubjectPermission,
)
from leafbox.protocol.errors import ConfigError
from leafbox.protocol.jwt import Claims, InvalidJwt, decode_jwt
from leafbox.protocol.nkeys import InvalidNkey, decode_signature, verify
from leafbox.security.activations import Activations, is_stream
from leafbox.security.authentication import ConnectionFacts, Credentials, Decision, Identity, Proof, Refusal
from leafbox.security.config import OperatorOptions, ResolverKind

# No account has this name: an export that needs an activation which nobody has.
NOBODY = ("-",)


class OperatorMode:
    """Decides by JWT alone; an `Authority`. Raises `ConfigError` when an operator or account JWT is not usable."""

    def __init__(self, options: OperatorOptions, clock_s: Callable[[], float] = time.time) -> None:
        self._clock_s = clock_s
        self.activations_end_s: int | None = None
        """When the first activation token ends that `account_options` has counted; None: none does."""
        self._trusted = set(options.trusted_keys)
        self.system_account = ""
        if options.resolver is not None and options.resolver.kind is not ResolverKind.MEMORY:
            raise ConfigError("only resolver: MEMORY with resolver_preload is supported")
        for token in options.operators:
            self._trust(_decode(token, "operator"))
        self._accounts = {key: self._account(key, token) for key, token in options.resolver_preload.items()}
        self._signers = {key: {key, *_signing_keys(claims)} for key, claims in self._accounts.items()}

    def _trust(self, operator: Claims) -> None:
        self._trusted.update((operator.subject, *_strings(operator.nats.get("signing_keys"))))
        self.system_account = str(operator.nats.get("system_account") or self.system_account)

    def _account(self, key: str, token: str) -> Claims:
        claims = _decode(token, "account")
        if claims.subject != key:
            raise ConfigError(f"resolver_preload: the JWT for {key} is of another account")
        if claims.issuer not in self._trusted:
            raise ConfigError(f"resolver_preload: account {key} is not signed by a trusted operator")
        return claims

    # -- accounts -----------------------------------------------------------------------------------------------------

    def account_options(self) -> tuple[AccountOptions, ...]:
        """The preloaded accounts, named by their public keys."""
        activations = Activations(self._accounts, self._signers, self._clock_s())
        self.activations_end_s = activations.end_s
        return tuple(account_options(key, claims.nats, activations) for key, claims in self._accounts.items())

    # -- logins -------------------------------------------------------------------------------------------------------

    def decide(self, credentials: Credentials, facts: ConnectionFacts, so_far: Decision | None) -> Decision:
        """Who the user JWT in CONNECT makes of the connection."""
        try:
            return self._decide(credentials, facts)
        except InvalidJwt as error:
            return Refusal(f"user JWT: {error}")
        except (TypeError, ValueError, AttributeError) as error:
            return Refusal(f"user JWT: unexpected content ({type(error).__name__})")

    def still_authorised(self, identity: Identity, facts: ConnectionFacts) -> Decision:
        """After a reload: the account must still be there and nothing may have expired."""
        account = self._accounts.get(identity.account)
        if account is None:
            return Refusal("account is gone")
        if identity.expires_at_s is not None and identity.expires_at_s <= self._clock_s():
            return Refusal("claim is expired")
        if _is_revoked(account, identity.nkey, 0):
            return Refusal("credentials were revoked")
        return identity

    def _decide(self, credentials: Credentials, facts: ConnectionFacts) -> Decision:
        if not credentials.jwt:
            return Refusal("no user JWT")
        user, now_s = decode_jwt(credentials.jwt), self._clock_s()
        if user.kind != "user":
            return Refusal("the JWT is not a user's")
        user.check_time(now_s)
        key = str(user.nats.get("issuer_account") or user.issuer)
        account = self._accounts.get(key)
        if account is None or user.issuer not in self._signers[key]:
            return Refusal("the user's account is unknown or did not sign the user")
        account.check_time(now_s)
        if _is_revoked(account, user.subject, user.issued_at_s):
            return Refusal("credentials were revoked")
        refusal = _check_limits(user, account, facts, now_s) or _check_signature(user, credentials, facts)
        if refusal is not None:
            return refusal
        return _identity(user, account, key)


def _identity(user: Claims, account: Claims, key: str) -> Identity:
    permissions = read_permissions(user.nats) or read_permissions(account.nats.get("default_permissions") or {})
    ends = [at_s for at_s in (user.expires_at_s, account.expires_at_s) if at_s]
    return Identity(
        name=user.subject,
        account=key,
        permissions=permissions,
        allowed_connection_types=connection_types(user),
        nkey=user.subject,
        proof=Proof.AUTHORITY,
        expires_at_s=float(min(ends)) if ends else None,
        is_account_expiring=bool(ends) and min(ends) != user.expires_at_s,
    )


def _check_limits(user: Claims, account: Claims, facts: ConnectionFacts, now_s: float) -> Refusal | None:
    allowed = connection_types(user)
    if allowed and facts.connection_type not in allowed:
        return Refusal("connection type not allowed")
    if user.nats.get("times"):
        return Refusal("times of day in a user JWT are not supported")
    sources = _strings(user.nats.get("src"))
    if sources and not is_from(facts, sources):
        return Refusal("source address not allowed")
    if user.nats.get("bearer_token") and (account.nats.get("limits") or {}).get("disallow_bearer"):
        return Refusal("the account does not allow bearer tokens")
    return None


def _check_signature(user: Claims, credentials: Credentials, facts: ConnectionFacts) -> Refusal | None:
    """The holder of the JWT also holds its key, unless it is a bearer token."""
    if user.nats.get("bearer_token"):
        return None
    if not credentials.signature:
        return Refusal("signature missing")
    try:
        signature = decode_signature(credentials.signature)
        if not verify(user.subject, facts.nonce, signature):
            return Refusal("signature not verified")
    except InvalidNkey as error:
        return Refusal(str(error))
    return None


def is_from(facts: ConnectionFacts, sources: list[str]) -> bool:
    """Whether the peer's address is in one of the networks that `src` of user claims names."""
    if not facts.ip:
        return False
    ip = ipaddress.ip_address(facts.ip)
    return any(ip in ipaddress.ip_network(source, strict=False) for source in sources)


def _is_revoked(account: Claims, user: str, issued_at_s: int) -> bool:
    """A revocation counts for tokens issued up to its time; `*` stands for every user."""
    revocations = account.nats.get("revocations") or {}
    return any(key in revocations and issued_at_s <= int(revocations[key]) for key in (user, "*"))


def connection_types(user: Claims) -> frozenset[ConnectionType]:
    """`allowed_connection_types` of user claims; empty: all."""
    known = {kind.value: kind for kind in ConnectionType}
    named = _strings(user.nats.get("allowed_connection_types"))
    return frozenset(known[name.upper()] for name in named if name.upper() in known)


def _signing_keys(account: Claims) -> list[str]:
    """Plain signing keys; a scoped one (an object) would need its template, so it signs nothing here."""
    return _strings(account.nats.get("signing_keys"))


def _decode(token: str, kind: str) -> Claims:
    try:
        claims = decode_jwt(token)
    except InvalidJwt as error:
        raise ConfigError(f"{kind} JWT: {error}") from error
    if claims.kind != kind:
        raise ConfigError(f"expected the JWT of an {kind}, got {claims.kind or 'nothing known'}")
    return claims


def _strings(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def read_permissions(claims: Mapping[str, Any]) -> Permissions | None:
    """`pub`, `sub` and `resp` of user claims; None when they restrict nothing."""
    publish, subscribe = _subjects(claims.get("pub")), _subjects(claims.get("sub"))
    responses = claims.get("resp")
    if publish is None and subscribe is None and not responses:
        return None
    answer = None
    if responses:
        ttl_ns = int(responses.get("ttl") or 0)
        answer = ResponsePermission(int(responses.get("max") or 1), ttl_ns / 1e9 if ttl_ns else -1.0)
    return Permissions(publish, subscribe, answer)


def _subjects(claims: Any) -> SubjectPermission | None:
    allow, deny = _strings((claims or {}).get("allow")), _strings((claims or {}).get("deny"))
    return SubjectPermission(tuple(allow) or None, tuple(deny)) if allow or deny else None


def account_options(key: str, claims: Mapping[str, Any], activations: Activations) -> AccountOptions:
    """An account's claims as the configuration of an account named by its key, with the imports it may have."""
    limits = claims.get("limits") or {}
    options = AccountOptions(
        name=key,
        nkey=key,
        jetstream=_jetstream_limits(limits),
        jetstream_tiers={
            tier: tier_limits
            for tier, of_tier in (limits.get("tiered_limits") or {}).items()
            if (tier_limits := _jetstream_limits(of_tier)) is not None
        },
        message_trace=_message_trace(claims.get("trace")),
        limits=AccountLimits(
            connections_max=int(limits.get("conn", -1)),
            subscriptions_max=int(limits.get("subs", -1)),
            payload_bytes_max=int(limits.get("payload", -1)),
            leafnodes_max=int(limits.get("leaf", -1)),
        ),
    )
    exports = claims.get("exports") or []
    imports = [entry for entry in claims.get("imports") or [] if activations.allows(key, entry)]
    return replace(
        options,
        stream_exports=tuple(_stream_export(key, entry, activations) for entry in exports if is_stream(entry)),
        service_exports=tuple(_service_export(key, entry, activations) for entry in exports if not is_stream(entry)),
        stream_imports=tuple(_stream_import(entry) for entry in imports if is_stream(entry)),
        service_imports=tuple(_service_import(entry) for entry in imports if not is_stream(entry)),
    )


def _message_trace(claims: Mapping[str, Any] | None) -> MessageTrace | None:
    destination = str((claims or {}).get("dest") or "")
    return MessageTrace(destination, int((claims or {}).get("sampling") or 100)) if destination else None


def _jetstream_limits(limits: Mapping[str, Any]) -> AccountJetStreamLimits | None:
    """None unless the claims give the account some storage."""
    memory, storage = int(limits.get("mem_storage") or 0), int(limits.get("disk_storage") or 0)
    if not memory and not storage:
        return None
    return AccountJetStreamLimits(
        memory_bytes_max=memory,
        storage_bytes_max=storage,
        streams_max=int(limits.get("streams") or -1),
        consumers_max=int(limits.get("consumer") or -1),
        ack_pending_max=int(limits.get("max_ack_pending") or -1),
        memory_stream_bytes_max=int(limits.get("mem_max_stream_bytes") or -1),
        storage_stream_bytes_max=int(limits.get("disk_max_stream_bytes") or -1),
        is_stream_size_required=bool(limits.get("max_bytes_required")),
    )


def _importers(key: str, entry: Mapping[str, Any], activations: Activations) -> tuple[str, ...]:
    return activations.importers(key, entry) or NOBODY if entry.get("token_req") else ()


def _stream_export(key: str, entry: Mapping[str, Any], activations: Activations) -> StreamExport:
    position = int(entry.get("account_token_position") or 0)
    return StreamExport(str(entry["subject"]), _importers(key, entry, activations), position)


def _latency(entry: Mapping[str, Any]) -> ServiceLatency | None:
    found = entry.get("service_latency")
    if not isinstance(found, dict) or not found.get("results"):
        return None
    sampling = found.get("sampling")
    return ServiceLatency(str(found["results"]), sampling if isinstance(sampling, int) else 0)


def _service_export(key: str, entry: Mapping[str, Any], activations: Activations) -> ServiceExport:
    kinds = {"stream": ServiceResponseType.STREAM, "chunked": ServiceResponseType.CHUNKED}
    return ServiceExport(
        str(entry["subject"]),
        _importers(key, entry, activations),
        kinds.get(str(entry.get("response_type", "")).lower(), ServiceResponseType.SINGLETON),
        int(entry.get("response_threshold") or 0) / 1e9,
        _latency(entry),
        account_token_position=int(entry.get("account_token_position") or 0),
        allow_trace=bool(entry.get("allow_trace")),
    )


def _stream_import(entry: Mapping[str, Any]) -> StreamImport:
    prefix = str(entry.get("to") or "")
    return StreamImport(
        str(entry["account"]),
        str(entry["subject"]),
        prefix,
        str(entry.get("local_subject") or ""),
        allow_trace=bool(entry.get("allow_trace")),
    )


def _service_import(entry: Mapping[str, Any]) -> ServiceImport:
    local = str(entry.get("local_subject") or entry.get("to") or "")
    return ServiceImport(str(entry["account"]), str(entry["subject"]), local, bool(entry.get("share")))
