"""`/healthz`: may traffic be sent to this server (monitoring section 2.10).

The order of the probes is nats-server's: arguments, listeners, JetStream as a whole, then its streams. JetStream's own
part is asked of `JetstreamHealth`, which the feature supplies.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from leafbox.monitoring.query import Query
from leafbox.monitoring.wire_format import Document


class ErrorKind(enum.Enum):
    """What a failed probe looked at; the values are those of `details=1`."""

    CONNECTION = "CONNECTION"
    BAD_REQUEST = "BAD_REQUEST"
    JETSTREAM = "JETSTREAM"
    ACCOUNT = "ACCOUNT"
    STREAM = "STREAM"
    CONSUMER = "CONSUMER"


@dataclass(frozen=True, slots=True)
class HealthError:
    """One failed probe. `status` is the HTTP status it leads to."""

    kind: ErrorKind
    text: str
    status: int = 503
    account: str = ""
    stream: str = ""
    consumer: str = ""


@dataclass(frozen=True, slots=True)
class HealthzOptions:
    """How deep to look, and at which asset only."""

    js_enabled_only: bool = False
    js_server_only: bool = False
    js_meta_only: bool = False
    account: str = ""
    stream: str = ""
    consumer: str = ""
    details: bool = False

    @classmethod
    def from_query(cls, query: Query) -> HealthzOptions:
        """The options of an HTTP request. Raises `BadQuery`."""
        js_enabled = query.boolean("js-enabled")
        return cls(
            js_enabled_only=query.boolean("js-enabled-only") or js_enabled,
            js_server_only=query.boolean("js-server-only"),
            js_meta_only=query.boolean("js-meta-only"),
            details=query.boolean("details"),
            account=query.text("account"),
            stream=query.text("stream"),
            consumer=query.text("consumer"),
        )


class JetstreamHealth(Protocol):
    """JetStream's view of itself."""

    def is_up(self) -> bool:
        """False: configured, but not running."""
        ...

    def errors(self, options: HealthzOptions) -> list[HealthError]:
        """What is wrong with the assets asked for; those that do not exist are 404."""
        ...


def healthz(
    options: HealthzOptions, *, missing_listeners: list[str], jetstream: JetstreamHealth | None
) -> tuple[int, Document]:
    """Status code and body. `missing_listeners` names those that should accept and do not."""
    errors = _errors(options, missing_listeners, jetstream)
    if not errors:
        return 200, {"status": "ok"}
    status = errors[0].status
    if options.details:
        return status, {"status": "error", "errors": [_error_document(error) for error in errors]}
    return status, {"status": "unavailable" if status in (404, 503) else "error", "error": errors[0].text}


def _errors(
    options: HealthzOptions, missing_listeners: list[str], jetstream: JetstreamHealth | None
) -> list[HealthError]:
    if options.stream and not options.account:
        text = '"account" must not be empty when checking stream health'
        return [HealthError(ErrorKind.BAD_REQUEST, text, 400)]
    if options.consumer and not options.stream:
        text = '"stream" must not be empty when checking consumer health'
        return [HealthError(ErrorKind.BAD_REQUEST, text, 400)]
    if missing_listeners:
        text = f"failed to be ready for connections after 1ms: {', '.join(missing_listeners)}"
        return [HealthError(ErrorKind.CONNECTION, text, 500)]
    if options.js_server_only or jetstream is None:
        return []
    if not jetstream.is_up():
        return [HealthError(ErrorKind.JETSTREAM, "JetStream not enabled (10076)")]
    return [] if options.js_enabled_only else jetstream.errors(options)


def _error_document(error: HealthError) -> Document:
    document: Document = {"type": error.kind.value}
    names = (("account", error.account), ("stream", error.stream), ("consumer", error.consumer))
    document.update({name: value for name, value in names if value})
    return document | {"error": error.text}
