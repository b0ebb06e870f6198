"""`/accountz` and `/accstatz`: what accounts there are, what they share, and their traffic (monitoring 2.7, 2.8)."""

from __future__ import annotations

from collections.abc import Sequence

from leafbox.broker.config import AccountOptions, ServiceImport, ServiceResponseType, SubjectMapping
from leafbox.monitoring.snapshots import AccountSnapshot
from leafbox.monitoring.subsz import sublist_document
from leafbox.monitoring.wire_format import Document, time_text, without_empty

RESPONSE_TYPES = {
    ServiceResponseType.SINGLETON: "Singleton",
    ServiceResponseType.STREAM: "Streamed",
    ServiceResponseType.CHUNKED: "Chunked",
}


def _export(subject: str, kind: str, response_type: str = "") -> Document:
    document: Document = {"subject": subject, "type": kind, "response_type": response_type}
    return without_empty(document, "response_type")


SYSTEM_EXPORTS = [
    _export("$SYS.REQ.ACCOUNT.*.CONNZ", "service", "Streamed"),
    _export("$SYS.REQ.ACCOUNT.*.STATZ", "service", "Streamed"),
    _export("$SYS.DEBUG.SUBSCRIBERS", "service", "Singleton"),
    _export("$SYS.REQ.USER.*.INFO", "service", "Singleton"),
]
"""What the system account offers to every account without being told to."""


def accountz_document(
    server_id: str, now_ns: int, accounts: Sequence[AccountSnapshot], detail: Document | None
) -> Document:
    """All names, or the `detail` of one account."""
    system = next((account.name for account in accounts if account.is_system), "")
    document: Document = {"server_id": server_id, "now": time_text(now_ns), "system_account": system}
    without_empty(document, "system_account")
    if detail is not None:
        return document | {"account_detail": detail}
    return document | {"accounts": [account.name for account in accounts]}


def account_detail(
    account: AccountSnapshot, options: AccountOptions, updated_ns: int, system_account: str, *, has_jetstream: bool
) -> Document:
    """One account with its exports, imports and mappings as configured, the implicit imports included."""
    implicit = implicit_imports(account, system_account, has_jetstream)
    imports = [_stream_import(item.subject, item.account, item.to, item.prefix) for item in options.stream_imports]
    imports += [_service_import(item) for item in options.service_imports]
    imports += [_service_import(item) for item in implicit]
    document: Document = {
        "account_name": account.name,
        "update_time": time_text(updated_ns),
        "is_system": account.is_system,
        "expired": False,
        "complete": True,
        "jetstream_enabled": has_jetstream,
        "leafnode_connections": account.leaf_connections,
        "client_connections": account.client_connections,
        "subscriptions": account.sublist.subscriptions,
        "mappings": {mapping.source: _destinations(mapping) for mapping in options.mappings},
        "exports": _exports(options) + (SYSTEM_EXPORTS if account.is_system else []),
        "imports": imports,
        "name_tag": account.name,
        "sublist_stats": sublist_document(account.sublist),
    }
    return without_empty(document, "is_system", "mappings", "exports", "imports")


def implicit_imports(account: AccountSnapshot, system_account: str, has_jetstream: bool) -> list[ServiceImport]:
    """What every account imports from the system account without being told to."""
    if not system_account:
        return []
    user_info = ServiceImport(
        system_account, f"$SYS.REQ.USER.{account.name}.INFO", "$SYS.REQ.USER.INFO", is_shared=True
    )
    if account.is_system:
        return [user_info]
    own = f"$SYS.REQ.ACCOUNT.{account.name}"
    imports = [
        ServiceImport(system_account, f"{own}.CONNZ", "$SYS.REQ.ACCOUNT.PING.CONNZ"),
        ServiceImport(system_account, f"{own}.CONNZ", "$SYS.REQ.SERVER.PING.CONNZ"),
        ServiceImport(system_account, f"{own}.STATZ", "$SYS.REQ.ACCOUNT.PING.STATZ"),
        user_info,
    ]
    if has_jetstream:
        imports.append(ServiceImport(system_account, "$JS.API.>", "$JS.API.>", is_shared=True))
    return imports


def _service_import(item: ServiceImport) -> Document:
    local = item.to or item.subject
    return {
        "subject": item.subject,
        "account": item.account,
        "to": local,
        "local_subject": local,
        "type": "service",
        "invalid": False,
        "share": item.is_shared,
        "tracking": False,
    }


def _stream_import(subject: str, account: str, to: str, prefix: str) -> Document:
    local = to or (f"{prefix}.{subject}" if prefix else subject)
    return {
        "subject": subject,
        "account": account,
        "local_subject": local,
        "type": "stream",
        "invalid": False,
        "share": False,
        "tracking": False,
    }


def _exports(options: AccountOptions) -> list[Document]:
    found: list[Document] = []
    for service in options.service_exports:
        document = _export(service.subject, "service", RESPONSE_TYPES[service.response_type])
        found.append(document | ({"approved_accounts": list(service.accounts)} if service.accounts else {}))
    for stream in options.stream_exports:
        document = _export(stream.subject, "stream")
        found.append(document | ({"approved_accounts": list(stream.accounts)} if stream.accounts else {}))
    return found


def _destinations(mapping: SubjectMapping) -> list[Document]:
    """The destinations as nats-server chooses among them: smallest share first, weights summed up."""
    found: list[Document] = []
    for cluster in dict.fromkeys(item.cluster for item in mapping.destinations):
        chosen = sorted(
            (item for item in mapping.destinations if item.cluster == cluster), key=lambda item: item.weight_percent
        )
        reached = 0
        for item in chosen:
            reached += item.weight_percent
            found.append(without_empty({"subject": item.subject, "weight": reached, "cluster": cluster}, "cluster"))
        if reached < 100 and mapping.source not in (item.subject for item in chosen):
            found.append(without_empty({"subject": mapping.source, "weight": 100, "cluster": cluster}, "cluster"))
    return found


def accstatz_document(
    server_id: str, now_ns: int, accounts: Sequence[AccountSnapshot], *, includes_unused: bool
) -> Document:
    """Traffic by account; those without a connection only with `includes_unused`."""
    shown = [account for account in accounts if includes_unused or account.total_connections]
    return {
        "server_id": server_id,
        "now": time_text(now_ns),
        "account_statz": [statz_document(account) for account in shown],
    }


def statz_document(account: AccountSnapshot) -> Document:
    """One account's traffic; `sent` is what we sent to its connections."""
    return {
        "acc": account.name,
        "name": account.name,
        "conns": account.client_connections,
        "leafnodes": account.leaf_connections,
        "total_conns": account.total_connections,
        "num_subscriptions": account.sublist.subscriptions,
        "sent": _traffic(account.out_msgs, account.out_bytes),
        "received": _traffic(account.in_msgs, account.in_bytes),
        "slow_consumers": account.slow_consumers,
    }


def _traffic(msgs: int, size_bytes: int) -> Document:
    nothing = {"msgs": 0, "bytes": 0}
    return {"msgs": msgs, "bytes": size_bytes, "gateways": nothing, "routes": nothing, "leafs": nothing}
