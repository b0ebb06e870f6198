"""The order of the health probes, their codes and texts."""

from __future__ import annotations

import pytest

from leafbox.monitoring.healthz import ErrorKind, HealthError, HealthzOptions, healthz
from leafbox.monitoring.query import Query

pytestmark = pytest.mark.capability("MO05")


class Jetstream:
    """JetStream in the state a test wants."""

    def __init__(self, *errors: HealthError, is_running: bool = True) -> None:
        self._errors = list(errors)
        self._is_running = is_running

    def is_up(self) -> bool:
        return self._is_running

    def errors(self, options: HealthzOptions) -> list[HealthError]:
        return self._errors


DOWN = Jetstream(is_running=False)
GHOST = HealthError(
    ErrorKind.STREAM, "JetStream stream 'A > GHOST' could not be recovered", account="A", stream="GHOST"
)
MISSING = HealthError(ErrorKind.ACCOUNT, 'JetStream account "NOPE" not found', 404, account="NOPE")


def ask(query: str, jetstream: Jetstream | None = None, missing: list[str] | None = None) -> tuple[int, object]:
    return healthz(HealthzOptions.from_query(Query(query)), missing_listeners=missing or [], jetstream=jetstream)


OK = (200, {"status": "ok"})


def test_a_healthy_server() -> None:
    assert ask("") == OK
    assert ask("", Jetstream()) == OK


def test_without_jetstream_its_options_do_not_matter() -> None:
    assert ask("js-enabled-only=1&account=A") == OK


def test_a_server_that_does_not_accept() -> None:
    assert ask("js-server-only=1", missing=["server"]) == (
        500,
        {"status": "error", "error": "failed to be ready for connections after 1ms: server"},
    )


def test_jetstream_that_is_down() -> None:
    down = (503, {"status": "unavailable", "error": "JetStream not enabled (10076)"})
    assert ask("", DOWN) == down
    assert ask("js-enabled-only=true", DOWN) == down
    assert ask("js-enabled=true", DOWN) == down
    assert ask("js-server-only=true", DOWN) == OK


def test_assets_are_looked_at_last() -> None:
    assert ask("", Jetstream(GHOST)) == (503, {"status": "unavailable", "error": GHOST.text})
    assert ask("js-enabled-only=1", Jetstream(GHOST)) == OK
    assert ask("account=NOPE", Jetstream(MISSING)) == (404, {"status": "unavailable", "error": MISSING.text})


def test_arguments_are_checked_first() -> None:
    assert ask("stream=S", missing=["server"]) == (
        400,
        {"status": "error", "error": '"account" must not be empty when checking stream health'},
    )
    assert ask("account=A&consumer=C") == (
        400,
        {"status": "error", "error": '"stream" must not be empty when checking consumer health'},
    )


def test_details_list_every_error() -> None:
    assert ask("details=1") == OK
    assert ask("details=1", Jetstream(GHOST)) == (
        503,
        {
            "status": "error",
            "errors": [{"type": "STREAM", "account": "A", "stream": "GHOST", "error": GHOST.text}],
        },
    )
