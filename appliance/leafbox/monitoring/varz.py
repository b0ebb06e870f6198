"""`/varz`: what the server is configured to be and how it is doing (monitoring section 2.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from leafbox.monitoring.snapshots import ServerSnapshot
from leafbox.monitoring.wire_format import SECOND_NS, Document, number, time_text, uptime_text, without_empty

# nats-server counts what happened on each kind of connection; routes and gateways do not exist here.
KINDS = ("clients", "routes", "gateways", "leafs")
# Known to nats-server 2.15.1, with their defaults.
FEATURE_FLAGS = {
    "js_ack_fc_v2": False,
    "js_api_reply_v2": False,
    "js_raft_delete_range": True,
    "js_snapshot_sources": False,
}


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """The configuration as monitoring shows it; replaced as a whole at a reload. Times in seconds, sizes in bytes.

    `sections` holds the documents of `cluster`, `gateway`, `leaf`, `mqtt` and `websocket` by name.
    """

    host: str = "0.0.0.0"
    port: int = 4222
    is_auth_required: bool = False
    is_tls_required: bool = False
    is_tls_verified: bool = False
    connect_urls: tuple[str, ...] = ()
    websocket_connect_urls: tuple[str, ...] = ()
    connections_max: int = 65536
    subscriptions_max: int = 0
    ping_interval_s: float = 120.0
    pings_out_max: int = 2
    http_host: str = ""
    http_port: int = 0
    http_base_path: str = ""
    https_port: int = 0
    auth_timeout_s: float = 2.0
    control_line_bytes_max: int = 4096
    payload_bytes_max: int = 1024 * 1024
    pending_bytes_max: int = 64 * 1024 * 1024
    tls_timeout_s: float = 2.0
    write_deadline_s: float = 10.0
    sections: Mapping[str, Document] = field(default_factory=dict)
    config_load_ns: int = 0
    config_digest: str = ""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    feature_flags: Mapping[str, bool] = field(default_factory=dict)
    system_account: str = ""
    tls_certificate_not_after_ns: int = 0
    jetstream_domain: str = ""


def varz_document(
    server: ServerSnapshot, facts: ServerFacts, jetstream: Document, request_counts: Mapping[str, int]
) -> Document:
    """The whole document. `jetstream` is empty while JetStream is off; `request_counts` by path."""
    return {
        **_identity(server, facts),
        **_limits(facts),
        **{name: facts.sections.get(name, {}) for name in ("cluster", "gateway", "leaf", "mqtt", "websocket")},
        "jetstream": jetstream,
        "tls_timeout": number(facts.tls_timeout_s),
        "write_deadline": int(facts.write_deadline_s * SECOND_NS),
        "start": time_text(server.start_ns),
        "now": time_text(server.now_ns),
        "uptime": uptime_text(server.now_ns - server.start_ns),
        "mem": server.memory_bytes,
        "cores": server.cores,
        "gomaxprocs": server.cores,
        "cpu": number(server.cpu_percent),
        **_counters(server),
        "http_req_stats": dict(sorted(request_counts.items())),
        "config_load_time": time_text(facts.config_load_ns),
        "config_digest": facts.config_digest,
        **_labels(facts),
        "slow_consumer_stats": dict.fromkeys(KINDS, 0) | {"clients": server.slow_consumers},
        "stale_connection_stats": dict.fromkeys(KINDS, 0) | {"clients": server.stale_connections},
        "disk_io_wait_stats": dict.fromkeys(("waiters", "waits", "wait_time", "max_wait_time"), 0),
        **_certificate(facts),
    }


def _identity(server: ServerSnapshot, facts: ServerFacts) -> Document:
    return without_empty(
        {
            "server_id": server.server_id,
            "server_name": server.name,
            "version": server.version,
            "proto": 1,
            "git_commit": server.git_commit,
            "go": server.language,
            "host": facts.host,
            "port": facts.port,
            "auth_required": facts.is_auth_required,
            "tls_required": facts.is_tls_required,
            "tls_verify": facts.is_tls_verified,
            "connect_urls": list(facts.connect_urls),
            "ws_connect_urls": list(facts.websocket_connect_urls),
        },
        "git_commit",
        "auth_required",
        "tls_required",
        "tls_verify",
        "connect_urls",
        "ws_connect_urls",
    )


def _limits(facts: ServerFacts) -> Document:
    return without_empty(
        {
            "max_connections": facts.connections_max,
            "max_subscriptions": facts.subscriptions_max,
            "ping_interval": int(facts.ping_interval_s * SECOND_NS),
            "ping_max": facts.pings_out_max,
            "http_host": facts.http_host,
            "http_port": facts.http_port,
            "http_base_path": facts.http_base_path,
            "https_port": facts.https_port,
            "auth_timeout": number(facts.auth_timeout_s),
            "max_control_line": facts.control_line_bytes_max,
            "max_payload": facts.payload_bytes_max,
            "max_pending": facts.pending_bytes_max,
        },
        "max_subscriptions",
    )


def _counters(server: ServerSnapshot) -> Document:
    return {
        "connections": server.connections,
        "total_connections": server.total_connections,
        "routes": 0,
        "remotes": 0,
        "leafnodes": server.leaf_connections,
        "in_msgs": server.in_msgs,
        "in_bytes": server.in_bytes,
        "in_client_msgs": server.in_msgs - server.leaf_in_msgs,
        "in_client_bytes": server.in_bytes - server.leaf_in_bytes,
        "out_msgs": server.out_msgs,
        "out_bytes": server.out_bytes,
        "out_client_msgs": server.out_msgs - server.leaf_out_msgs,
        "out_client_bytes": server.out_bytes - server.leaf_out_bytes,
        "slow_consumers": server.slow_consumers,
        "stale_connections": server.stale_connections,
        "stalled_clients": server.stalled_clients,
        "subscriptions": server.subscriptions,
    }


def _labels(facts: ServerFacts) -> Document:
    return without_empty(
        {
            "tags": list(facts.tags),
            "metadata": dict(sorted(facts.metadata.items())),
            "feature_flags": {name: facts.feature_flags.get(name, value) for name, value in FEATURE_FLAGS.items()},
            "system_account": facts.system_account,
        },
        "tags",
        "metadata",
        "system_account",
    )


def _certificate(facts: ServerFacts) -> Document:
    if not facts.tls_certificate_not_after_ns:
        return {}
    return {"tls_cert_not_after": time_text(facts.tls_certificate_not_after_ns)}
