"""An account's claims as the configuration of an account: limits, exports, imports, mappings (ADR-14).

The account is named by its public key. `objections` are what makes claims unusable before anybody trusts them; imports
that their exporter does not allow are no objection, they are left out (`security.activations`).
Source: config specification sections 5 and 7; nats-server 2.15.1 `server/accounts.go`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from leafbox.broker.config import (
    AccountJetStreamLimits,
    AccountLimits,
    AccountOptions,
    MappingDestination,
    MessageTrace,
    ServiceExport,
    ServiceImport,
    ServiceLatency,
    ServiceResponseType,
    StreamExport,
    StreamImport,
    SubjectMapping,
)
from leafbox.broker.imports import check_import
from leafbox.broker.mappings import AccountMappings
from leafbox.dataplane.subjects import is_literal, is_valid_literal, is_valid_subject
from leafbox.protocol.jwt import Claims, InvalidJwt, decode_jwt
from leafbox.protocol.nkeys import KeyRole, is_public
from leafbox.protocol.subject_transform import InvalidTransform
from leafbox.security.activations import Activations, is_stream
from leafbox.security.user_claims import rights_objection, strings

# No account has this name: an export that needs an activation which nobody has.
NOBODY = ("-",)
ANY_ACCOUNT = "*"
_WHOLE = 100


@dataclass(frozen=True, slots=True)
class KnownAccount:
    """An account whose claims were checked."""

    claims: Claims
    token: str = field(repr=False)
    signers: Mapping[str, Mapping[str, Any] | None]
    """Keys that sign its users: plain ones (None), and scoped ones with the template of their users."""

    @property
    def key(self) -> str:
        """Its public key, which is its name."""
        return self.claims.subject

    def is_revoked(self, user: str, issued_at_s: int) -> bool:
        """A revocation counts for tokens issued up to its time; `*` stands for every user."""
        revocations = self.claims.nats.get("revocations") or {}
        return any(each in revocations and issued_at_s <= int(revocations[each]) for each in (user, "*"))


def read_account(token: str, *, is_strict: bool = False) -> KnownAccount:
    """An account's token whose signature is good. Raises `InvalidJwt`; whether its issuer is trusted is not said.

    `is_strict`: the account's own key signs no users.
    """
    claims = decode_jwt(token)
    if claims.kind != "account":
        raise InvalidJwt("not account claim")
    if not is_public(claims.subject, KeyRole.ACCOUNT):
        raise InvalidJwt("its subject is no account key")
    try:
        signers = dict(_signers(claims))
    except (TypeError, AttributeError) as error:
        raise InvalidJwt("signing_keys are not readable") from error
    if not is_strict:
        signers[claims.subject] = None
    return KnownAccount(claims, token.strip(), signers)


def _signers(claims: Claims) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    for entry in claims.nats.get("signing_keys") or []:
        if isinstance(entry, str):
            yield entry, None
        elif entry.get("kind") == "user_scope":
            yield str(entry.get("key") or ""), entry.get("template") or {}
        else:
            raise InvalidJwt(f"unknown signing key scope {entry.get('kind')!r}")


# -- what cannot be meant --------------------------------------------------------------------------------------------


def objections(account: KnownAccount) -> list[str]:
    """What makes the claims unusable, each in one sentence."""
    try:
        return list(_objections(account))
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        return [f"unexpected content ({type(error).__name__}: {error})"]


def _objections(account: KnownAccount) -> Iterator[str]:
    claims = account.claims.nats
    limits = claims.get("limits") or {}
    exports, imports = claims.get("exports") or [], claims.get("imports") or []
    if 0 <= int(limits.get("imports") or 0) < len(imports):
        yield "the account contains more imports than allowed by the operator"
    if 0 <= (most := int(limits.get("exports") or 0)) < len(exports):
        yield "the account contains more exports than allowed by the operator"
    if most >= 0 and not limits.get("wildcards") and any(_has_wildcards(entry) for entry in exports):
        yield "the account contains wildcard exports that are not allowed by the operator"
    if limits.get("tiered_limits") and (limits.get("mem_storage") or limits.get("disk_storage")):
        yield "JetStream limits are either tiered or not"
    for entry in exports:
        yield from _export_objections(entry)
    for entry in imports:
        yield from _import_objections(entry)
    if text := rights_objection(claims.get("default_permissions") or {}):
        yield f"default_permissions: {text}"
    for key, template in account.signers.items():
        if not is_public(key, KeyRole.ACCOUNT):
            yield f"signing key {key!r} is no account key"
        if text := rights_objection(_without_placeholders(template or {})):
            yield f"template of {key}: {text}"
    _revocations(claims)
    yield from _mapping_objections(claims.get("mappings") or {})
    yield from _authorization_objections(claims.get("authorization") or {})
    yield from _trace_objections(claims.get("trace") or {})
    if claims.get("cluster_traffic") not in (None, "", "system", "owner"):
        yield f"unknown cluster traffic option: {claims['cluster_traffic']!r}"
    # What is read once the account counts: numbers that are none would stop the server then.
    account_options(account.key, {**claims, "imports": [], "exports": []}, Activations({}, {}, 0))


def _has_wildcards(entry: Mapping[str, Any]) -> bool:
    return not is_literal(str(entry.get("subject") or "").encode())


def _without_placeholders(template: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is checked before a user is known."""
    return {key: value for key, value in template.items() if key not in ("pub", "sub")}


def _export_objections(entry: Mapping[str, Any]) -> Iterator[str]:
    subject = str(entry.get("subject") or "")
    if entry.get("type") not in ("stream", "service", 1, 2):
        yield f"export {subject!r}: invalid export type {entry.get('type')!r}"
    if not is_valid_subject(subject.encode()):
        yield f"export {subject!r}: no valid subject"
        return
    position, tokens = int(entry.get("account_token_position") or 0), subject.split(".")
    if position and (position > len(tokens) or tokens[position - 1] != "*"):
        yield f"export {subject!r}: the account token position {position} is no `*`"
    if not is_stream(entry) and int(entry.get("response_threshold") or 0) < 0:
        yield f"export {subject!r}: negative response threshold is invalid"
    _revocations(entry)


def _revocations(entry: Mapping[str, Any]) -> None:
    """Raises `ValueError` or `TypeError` when they are no times."""
    for at_s in (entry.get("revocations") or {}).values():
        int(at_s)


def _import_objections(entry: Mapping[str, Any]) -> Iterator[str]:
    subject = str(entry.get("subject") or "")
    if entry.get("type") not in ("stream", "service", 1, 2):
        yield f"import {subject!r}: invalid import type {entry.get('type')!r}"
    if not entry.get("account"):
        yield f"import {subject!r}: account to import from is not specified"
    if not is_valid_subject(subject.encode()):
        yield f"import {subject!r}: no valid subject"
        return
    if entry.get("local_subject") and entry.get("to"):
        yield f"import {subject!r}: local_subject replaces to"
    try:
        check_import(_stream_import(entry) if is_stream(entry) else _service_import(entry))
    except InvalidTransform as error:
        yield f"import {subject!r}: {error}"


def _mapping_objections(mappings: Mapping[str, Any]) -> Iterator[str]:
    try:
        AccountMappings(_mappings(mappings))
    except InvalidTransform as error:
        yield f"mappings: {error}"


def _authorization_objections(claims: Mapping[str, Any]) -> Iterator[str]:
    users, accounts = strings(claims.get("auth_users")), strings(claims.get("allowed_accounts"))
    if accounts and not users:
        yield "External authorization cannot have accounts without users specified"
    if bad := [each for each in users if not is_public(each, KeyRole.USER)]:
        yield f"auth_users: {bad[0]!r} is no user key"
    if bad := [each for each in accounts if each != ANY_ACCOUNT and not is_public(each, KeyRole.ACCOUNT)]:
        yield f"allowed_accounts: {bad[0]!r} is no account key"
    if ANY_ACCOUNT in accounts and len(accounts) > 1:
        yield 'allowed_accounts: either a list of accounts or "*"'
    if claims.get("xkey") and not is_public(str(claims["xkey"]), KeyRole.CURVE):
        yield "xkey is no public curve key"


def _trace_objections(claims: Mapping[str, Any]) -> Iterator[str]:
    destination = str(claims.get("dest") or "")
    if claims and not is_valid_literal(destination.encode()):
        yield f"trace: {destination!r} is no subject to publish to"
    if not 0 <= int(claims.get("sampling") or 0) <= _WHOLE:
        yield "trace: sampling is 1 to 100"


# -- as configuration ------------------------------------------------------------------------------------------------


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
            connections_max=_most(limits, "conn"),
            subscriptions_max=_most(limits, "subs"),
            payload_bytes_max=_most(limits, "payload"),
            leafnodes_max=_most(limits, "leaf"),
        ),
        mappings=_mappings(claims.get("mappings") or {}),
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


def _most(limits: Mapping[str, Any], name: str) -> int:
    """A limit that is left out is 0: nothing is allowed."""
    return max(int(limits.get(name) or 0), -1)


def _mappings(claims: Mapping[str, Any]) -> tuple[SubjectMapping, ...]:
    return tuple(
        SubjectMapping(
            source,
            tuple(
                MappingDestination(str(entry["subject"]), _weight(entry), str(entry.get("cluster") or ""))
                for entry in destinations
            ),
        )
        for source, destinations in claims.items()
    )


def _weight(entry: Mapping[str, Any]) -> int:
    weight = int(entry.get("weight") or _WHOLE)
    if weight < 0:
        raise ValueError("a weight is negative")
    return weight


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
