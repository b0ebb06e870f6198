"""The errors of the whole appliance: one tree, so that a caller can say who is at fault and what is still true.

A decoder raises only `ProtocolViolation`; a session turns it into bytes for the peer. Texts never hold secrets.
"""

from __future__ import annotations

from dataclasses import dataclass


class LeafboxError(Exception):
    """Root of every expected failure; anything else that escapes a task is a defect."""


@dataclass
class ProtocolViolation(LeafboxError):
    """The peer broke the protocol's rules.

    `text_for_peer` is what the protocol lets us tell it (empty: close silently); `closes_connection` says whether
    the connection survives.
    """

    text_for_peer: str
    closes_connection: bool = True

    def __str__(self) -> str:
        return self.text_for_peer or "protocol violation"


@dataclass
class RequestRejected(LeafboxError):
    """A valid request that we refuse; the fields are those of a JetStream API error (ADR-1)."""

    code: int
    err_code: int
    description: str

    def __str__(self) -> str:
        return f"{self.description} ({self.err_code})"


@dataclass
class BoxRequestFailed(LeafboxError):
    """A request to the box itself (dashboard, command line) that cannot be done.

    `code` is stable, for programs (`not_found`, `invalid`, `denied`, `conflict`, `unavailable`, ...); `description`
    says what, where and why; `next_step` what a person can do now.
    """

    code: str
    description: str
    next_step: str = ""
    retry_after_s: float = 0
    """When the same request may succeed; 0: not known."""

    def __str__(self) -> str:
        return f"{self.description} ({self.next_step})" if self.next_step else self.description


@dataclass
class LimitExceeded(LeafboxError):
    """A named limit, its value, and the attempt that went over it."""

    limit: str
    value: int
    attempt: int

    def __str__(self) -> str:
        return f"{self.limit} is {self.value}, attempted {self.attempt}"


class StoreError(LeafboxError):
    """The local store cannot do what was asked; nothing was acknowledged."""


class StoreFull(StoreError):
    """Flash or a configured limit is full; reads and core messaging go on."""


class StoreCorrupt(StoreError):
    """A checksum or a structure does not hold; names what it hit."""


class StoreClosed(StoreError):
    """The store was closed, or stopped after a failed fsync."""


class UplinkError(LeafboxError):
    """The link to a hub cannot carry data."""


class UplinkRefused(UplinkError):
    """The hub answered and refused us."""


class UplinkLost(UplinkError):
    """The link was there and is gone."""


@dataclass
class ConfigError(LeafboxError):
    """A configuration that cannot be used: where, why and what to do next.

    `line` and `column` start at 1; 0 means "no position" (a cross-field check).
    """

    reason: str
    file: str = ""
    line: int = 0
    column: int = 0
    suggestion: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: " if self.line else ""
        hint = f" ({self.suggestion})" if self.suggestion else ""
        return f"{where}{self.reason}{hint}"
