"""Activation tokens: an exporter's signed permission for one account to import what is not for everybody (ADR-14).

An export with `token_req` may be imported with a token that the exporting account's key, or one of its signing keys,
signed for the importing account; it names the subject that is allowed, ends at its time, and can be revoked by the
export. Tokens that are addresses to fetch are not fetched: the box must start without a line.
Source: config specification section 5 and 7; nats-server 2.15.1 `server/accounts.go` `checkActivation`.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from leafbox.dataplane.subjects import is_subset
from leafbox.protocol.jwt import Claims, InvalidJwt, decode_jwt

logger = logging.getLogger(__name__)


class Activations:
    """What the accounts of an operator may import from each other at one moment."""

    def __init__(self, accounts: Mapping[str, Claims], signers: Mapping[str, Collection[str]], now_s: float) -> None:
        self._accounts = accounts
        self._signers = signers
        self._now_s = now_s
        self.end_s: int | None = None
        """When the first token that counts now ends."""
        self._allowed = {
            (importer, number)
            for importer, claims in accounts.items()
            for number, entry in enumerate(claims.nats.get("imports") or [])
            if self._is_allowed(importer, entry)
        }

    def allows(self, importer: str, entry: Mapping[str, Any]) -> bool:
        """Whether an account may have this import of its claims."""
        entries = self._accounts[importer].nats.get("imports") or []
        return any(each is entry and (importer, number) in self._allowed for number, each in enumerate(entries))

    def importers(self, exporter: str, export: Mapping[str, Any]) -> tuple[str, ...]:
        """The accounts with an allowed import below this export."""
        return tuple(
            importer
            for importer, claims in self._accounts.items()
            for number, entry in enumerate(claims.nats.get("imports") or [])
            if (importer, number) in self._allowed
            and entry.get("account") == exporter
            and is_stream(entry) == is_stream(export)
            and _covers(str(export["subject"]), str(entry["subject"]))
        )

    def _is_allowed(self, importer: str, entry: Mapping[str, Any]) -> bool:
        reason = self._objection(importer, entry)
        if reason:
            kind = "stream" if is_stream(entry) else "service"
            logger.warning(
                "import left out account=%s %s=%s from=%s: %s",
                importer, kind, entry.get("subject"), entry.get("account"), reason,
            )  # fmt: skip
        return not reason

    def _objection(self, importer: str, entry: Mapping[str, Any]) -> str:
        exporter = str(entry.get("account") or "")
        subject = str(entry.get("subject") or "")
        if exporter not in self._accounts:
            return "the exporting account is not known here"
        exports = [each for each in self._exports(exporter, is_stream(entry)) if _covers(str(each["subject"]), subject)]
        if not exports:
            return "it is not exported"
        # An export of exactly this subject decides before wider ones, as everywhere.
        export = next((each for each in exports if each["subject"] == subject), exports[0])
        position = int(export.get("account_token_position") or 0)
        if position:
            tokens = subject.split(".")
            is_own = len(tokens) >= position and tokens[position - 1] == importer
            return "" if is_own else "the subject does not name the importing account"
        if not export.get("token_req"):
            return ""
        return self._token_objection(importer, exporter, entry, export)

    def _exports(self, exporter: str, of_streams: bool) -> Iterator[Mapping[str, Any]]:
        for export in self._accounts[exporter].nats.get("exports") or []:
            if is_stream(export) == of_streams:
                yield export

    def _token_objection(
        self, importer: str, exporter: str, entry: Mapping[str, Any], export: Mapping[str, Any]
    ) -> str:
        token = str(entry.get("token") or "")
        if not token:
            return "it needs an activation token"
        if "://" in token:
            return "activation tokens are not fetched: put the token itself into the import"
        try:
            claims = decode_jwt(token)
            claims.check_time(self._now_s)
        except InvalidJwt as error:
            return f"its activation: {error}"
        if claims.kind != "activation" or claims.subject != importer:
            return "the token is no activation of this account"
        if claims.issuer not in self._signers[exporter] or claims.nats.get("issuer_account") not in (
            None,
            "",
            exporter,
        ):
            return "the token is not signed by the exporting account"
        if (claims.nats.get("kind") in ("stream", 1)) != is_stream(entry):
            return "the token is for an import of the other kind"
        if not _covers(str(claims.nats.get("subject") or ""), str(entry["subject"])):
            return "the token is for another subject"
        revoked = export.get("revocations") or {}
        if any(key in revoked and claims.issued_at_s <= int(revoked[key]) for key in (importer, "*")):
            return "the token was revoked"
        if claims.expires_at_s:
            self.end_s = min(self.end_s or claims.expires_at_s, claims.expires_at_s)
        return ""


def is_stream(entry: Mapping[str, Any]) -> bool:
    """Whether an export or import of an account's claims is of messages, not of a service."""
    return entry.get("type") in ("stream", 1)


def _covers(pattern: str, subject: str) -> bool:
    return bool(pattern) and is_subset(subject.encode(), pattern.encode())
