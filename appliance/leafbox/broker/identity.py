"""Who this server is on the wire: id, name, curve key, versions. Made once per start."""

from __future__ import annotations

from dataclasses import dataclass

from leafbox import NATS_SERVER_VERSION

# JetStream API level of nats-server 2.15, reported even while JetStream is off.
API_LEVEL = 5


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """`server_id` and `xkey` are nkey public keys (N..., X...); `name` is the id when none is configured."""

    server_id: str
    name: str
    xkey: str
    start_ns: int
    version: str = NATS_SERVER_VERSION
    git_commit: str = ""
    language: str = "go1.26"
    cluster: str = ""
