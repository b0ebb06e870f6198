"""The table of raw conversations held with the real server and with ours (see `tests/support/differential`)."""

from __future__ import annotations

from tests.conformance.nats.scripts import (
    access,
    handshake,
    lexing,
    limits,
    mapping,
    publishing,
    routing,
    sharing,
    subscribing,
    websocket,
)

TOPICS = {
    module.__name__.rpartition(".")[2]: module.SCRIPTS
    for module in (lexing, handshake, publishing, subscribing, routing, limits, access, mapping, sharing, websocket)
}
CONFIGS = {
    "open": "server_name: differential",
    **limits.CONFIGS,
    **access.CONFIGS,
    **mapping.CONFIGS,
    **sharing.CONFIGS,
    **websocket.CONFIGS,
}
SCRIPTS = [script for scripts in TOPICS.values() for script in scripts]
