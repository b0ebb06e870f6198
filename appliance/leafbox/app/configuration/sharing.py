"""Whether the accounts' exports and imports fit together: every import is authorised, no cycles, no duplicates.

Checked when the file is read, as nats-server does, in its order: exports first, then stream imports, then service
imports; each import is checked against those before it. Source: nats-server 2.15.1 `parseAccounts`, `accounts.go`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from leafbox.app.configuration.go_text import quoted
from leafbox.app.configuration.subjects import (
    as_bytes,
    has_wildcard,
    is_subset,
    is_valid_publish_subject,
    is_valid_subject,
    numbered_wildcards,
    overlaps,
    unnumbered_wildcards,
)
from leafbox.broker.config import (
    AccountOptions,
    ServiceExport,
    ServiceImport,
    ServiceResponseType,
    StreamExport,
    StreamImport,
)
from leafbox.protocol.subject_transform import InvalidTransform, SubjectTransform

CYCLE_DEPTH_MAX = 1024
"""Accounts visited when looking for an import cycle."""


class SharingError(ValueError):
    """An export or import that cannot be; the message is nats-server's."""


class Sharing:
    """The accounts of one configuration while their exports and imports are checked."""

    def __init__(self, accounts: tuple[AccountOptions, ...], is_system_account_disabled: bool) -> None:
        self._accounts = {account.name: account for account in accounts}
        self._has_no_system_account = is_system_account_disabled
        self._streams: dict[str, list[tuple[str, str]]] = {name: [] for name in self._accounts}
        self._imported: dict[str, set[tuple[str, str]]] = {name: set() for name in self._accounts}
        self._services: dict[str, list[tuple[str, str, str]]] = {name: [] for name in self._accounts}

    def problems(self) -> list[str]:
        """Everything that is wrong, in nats-server's order and words."""
        checks: list[Callable[[], None]] = []
        accounts = list(self._accounts.values())
        for account in accounts:
            checks.extend(partial(self._check_stream_export, item) for item in account.stream_exports)
        for account in accounts:
            checks.extend(partial(self._check_service_export, account, item) for item in account.service_exports)
        for account in accounts:
            checks.extend(partial(self._check_stream_import, account, item) for item in account.stream_imports)
        for account in accounts:
            checks.extend(partial(self._check_service_import, account, item) for item in account.service_imports)
        found: list[str] = []
        for check in checks:
            try:
                check()
            except (SharingError, InvalidTransform) as error:
                found.append(str(error))
        return found

    # -- exports -----------------------------------------------------------------------------------------------------

    def _check_stream_export(self, export: StreamExport) -> None:
        for name in export.accounts:
            if name not in self._accounts:
                raise SharingError(f"{quoted(name)} account not defined for stream export")
        if not _is_position_wildcard(export):
            raise SharingError(f"Error adding stream export {quoted(export.subject)}: sublist: invalid subject")

    def _check_service_export(self, account: AccountOptions, export: ServiceExport) -> None:
        for name in export.accounts:
            if name not in self._accounts:
                raise SharingError(f"{quoted(name)} account not defined for service export")
        if not _is_position_wildcard(export):
            raise SharingError(f"Error adding service export {quoted(export.subject)}: sublist: invalid subject")
        if export.latency is None:
            return
        prefix = f"Error adding service latency sampling for {quoted(export.subject)}"
        if self._has_no_system_account:
            raise SharingError(f"{prefix}: system account not setup")
        subject = export.latency.subject
        prefix += f" on subject {quoted(subject)}"
        is_own = any(is_subset(subject, other.subject) for other in account.service_exports)
        if not is_valid_publish_subject(subject) or is_own:
            raise SharingError(f"{prefix}: invalid publish subject")
        if export.response_type is not ServiceResponseType.SINGLETON:
            raise SharingError(f"{prefix}: bad service response type")

    # -- stream imports ----------------------------------------------------------------------------------------------

    def _check_stream_import(self, account: AccountOptions, item: StreamImport) -> None:
        exporter = self._accounts.get(item.account)
        if exporter is None:
            raise SharingError(f"{quoted(item.account)} account not defined for stream import")
        try:
            to = self._stream_target(account, exporter, item)
        except (SharingError, InvalidTransform) as error:
            raise SharingError(f"Error adding stream import {quoted(item.subject)}: {error}") from error
        self._streams[account.name].append((item.account, to))

    def _stream_target(self, account: AccountOptions, exporter: AccountOptions, item: StreamImport) -> str:
        if not is_valid_subject(item.subject) or not _is_approved(exporter.stream_exports, account.name, item.subject):
            raise SharingError("stream import not authorized")
        to = item.to or item.subject
        if item.prefix:
            if has_wildcard(item.prefix):
                raise SharingError("stream import prefix can not contain wildcard tokens")
            to = item.prefix.removesuffix(".") + "." + item.subject
        for subject in (to, item.subject):
            self._check_stream_cycle(exporter.name, subject, {account.name})
        if has_wildcard(item.subject) and to != item.subject:
            try:
                _check_transform(item.subject, numbered_wildcards(to))
            except InvalidTransform as error:
                raise SharingError(
                    "failed to create mapping transform for stream import subject from "
                    f"{quoted(item.subject)} to {quoted(to)}: {error}"
                ) from error
            to = unnumbered_wildcards(to)
        if (item.account, item.subject) in self._imported[account.name]:
            raise SharingError("stream import already exists")
        self._imported[account.name].add((item.account, item.subject))
        return to

    def _check_stream_cycle(self, name: str, subject: str, visited: set[str]) -> None:
        if len(visited) >= CYCLE_DEPTH_MAX:
            raise SharingError("search cycle depth exhausted")
        if not any(is_subset(subject, export.subject) for export in self._accounts[name].stream_exports):
            return
        for source, to in self._streams[name]:
            if overlaps(subject, to):
                if source in visited:
                    raise SharingError("import forms a cycle")
                visited.add(name)
                self._check_stream_cycle(source, to if is_subset(to, subject) else subject, visited)

    # -- service imports ---------------------------------------------------------------------------------------------

    def _check_service_import(self, account: AccountOptions, item: ServiceImport) -> None:
        exporter = self._accounts.get(item.account)
        if exporter is None:
            raise SharingError(f"{quoted(item.account)} account not defined for service import")
        try:
            entry = self._service_entry(account, exporter, item)
        except (SharingError, InvalidTransform) as error:
            raise SharingError(f"Error adding service import {quoted(item.subject)}: {error}") from error
        self._services[account.name].append(entry)

    def _service_entry(
        self, account: AccountOptions, exporter: AccountOptions, item: ServiceImport
    ) -> tuple[str, str, str]:
        """(exporting account, local pattern, exported pattern) of a service import that is in order."""
        local, subject = item.to or item.subject, item.subject
        if not is_valid_subject(local) or not is_valid_subject(subject):
            raise SharingError("sublist: invalid subject")
        if not _is_approved(exporter.service_exports, account.name, subject):
            raise SharingError("service import not authorized")
        pattern = unnumbered_wildcards(local) if has_wildcard(subject) else local
        self._check_service_cycle(exporter.name, pattern, {account.name})
        for source, known, known_subject in self._services[account.name]:
            if (source, known) == (exporter.name, local):
                raise SharingError(
                    f"duplicate service import subject {quoted(local)}, previously used in import for account "
                    f"{quoted(source)}, subject {quoted(known_subject)}"
                )
        if has_wildcard(subject) and subject != local:
            target = unnumbered_wildcards(subject)
            try:
                _check_transform(target, numbered_wildcards(local))
            except InvalidTransform as error:
                raise SharingError(
                    "failed to create mapping transform for service import subject from "
                    f"{quoted(local)} to {quoted(target)}: {error}"
                ) from error
            local = unnumbered_wildcards(local)
        return exporter.name, local, subject

    def _check_service_cycle(self, name: str, subject: str, visited: set[str]) -> None:
        if len(visited) >= CYCLE_DEPTH_MAX:
            raise SharingError("search cycle depth exhausted")
        for source, local, exported in self._services[name]:
            if overlaps(subject, exported):
                if source in visited:
                    raise SharingError("import forms a cycle")
                visited.add(name)
                self._check_service_cycle(source, local if is_subset(local, subject) else subject, visited)


def _is_position_wildcard(export: StreamExport | ServiceExport) -> bool:
    """Whether the token that must name the importer is a `*` of the subject."""
    position = export.account_token_position
    tokens = export.subject.split(".")
    return position <= 0 or (position <= len(tokens) and tokens[position - 1] == "*")


def _is_approved(exports: tuple[StreamExport, ...] | tuple[ServiceExport, ...], importer: str, subject: str) -> bool:
    """Whether some export lets `importer` have `subject`; an export of exactly that subject decides alone."""
    for export in exports:
        if export.subject == subject:
            # Without tokens to look at, an export by account position refuses its own pattern.
            return export.account_token_position == 0 and (not export.accounts or importer in export.accounts)
    tokens = subject.split(".")
    for export in exports:
        if is_subset(subject, export.subject):
            position = export.account_token_position
            if position > 0:
                return position <= len(tokens) and tokens[position - 1] == importer
            return not export.accounts or importer in export.accounts
    return False


def _check_transform(source: str, destination: str) -> None:
    """Refuse a mapping of an import. Raises `InvalidTransform`."""
    if not is_valid_subject(source) or not is_valid_subject(destination):
        raise InvalidTransform("invalid subject")
    SubjectTransform.compile(as_bytes(source), as_bytes(destination), strict=True)
