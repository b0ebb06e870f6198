"""Values mean the same: what the real server reports in /varz for a file is what our options hold."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from leafbox.app.configuration.command_line import configure, parse_command_line
from leafbox.app.configuration.options import Options
from tests.support.servers import ServerKind, ServerProcess

FILE = """
server_name: values
http: "127.0.0.1:-1"
max_payload: 64KB
max_control_line: 2k
max_pending: 10M
max_connections: 7
max_subscriptions: 1Ki
ping_interval: "1m30s"
ping_max: 5
write_deadline: 3s
http_base_path: /nats
authorization { user: a, password: b, timeout: 4.5 }
server_tags: [ "Site:North", rack ]
server_metadata { floor: "2" }
feature_flags { js_snapshot_sources: true }
cluster { name: sites }
jetstream {
    max_mem: 32M, max_file: "2G", domain: edge, sync_interval: "30s"
    limits { max_ack_pending: 100, max_request_batch: 50, duplicate_window: "1h", default_max_consumers: 12,
             batch { max_inflight_per_stream: 3, max_inflight_total: 9, max_msgs: 70, timeout: "2s" } }
}
leafnodes { listen: "127.0.0.1:-1", authorization { timeout: 3 } }
websocket { listen: "127.0.0.1:-1", no_tls: true, handshake_timeout: "7s", compression: true }
mqtt { listen: "127.0.0.1:-1", ack_wait: "9s", max_ack_pending: 77, js_domain: edge }
"""


def _varz(options: Options) -> dict[str, Any]:
    """Our options in the shape of /varz, as far as it shows configuration."""
    broker, jetstream, limits = options.broker, options.jetstream, options.jetstream.limits
    return {
        "server_name": options.server.name,
        "max_payload": broker.payload_bytes_max,
        "max_control_line": broker.control_line_bytes_max,
        "max_pending": broker.pending_bytes_max,
        "max_connections": broker.connections_max,
        "max_subscriptions": broker.subscriptions_max,
        "ping_interval": round(broker.ping_interval_s * 1e9),
        "ping_max": broker.pings_out_max,
        "write_deadline": round(broker.write_deadline_s * 1e9),
        "http_base_path": options.monitoring.base_path,
        "http_host": options.monitoring.host,
        "auth_timeout": options.security.auth_timeout_s,
        "auth_required": options.security.is_login_needed,
        "tags": list(options.server.tags),
        "metadata": options.server.metadata,
        "config_digest": options.config_digest,
        "jetstream.config.max_memory": jetstream.memory_bytes_max,
        "jetstream.config.max_storage": jetstream.storage_bytes_max,
        "jetstream.config.domain": jetstream.domain,
        "jetstream.config.sync_interval": round(jetstream.sync_interval_s * 1e9),
        "jetstream.config.strict": jetstream.is_strict,
        "jetstream.limits.max_ack_pending": limits.ack_pending_max,
        "jetstream.limits.max_request_batch": limits.request_batch_max,
        "jetstream.limits.max_duplicate_window": round(limits.duplicate_window_max_s * 1e9),
        "jetstream.limits.default_max_consumers": limits.consumers_default_max,
        "jetstream.limits.max_batch_inflight_per_stream": limits.batches_inflight_per_stream_max,
        "jetstream.limits.max_batch_inflight_total": limits.batches_inflight_max,
        "jetstream.limits.max_batch_size": limits.batch_messages_max,
        "jetstream.limits.max_batch_timeout": round(limits.batch_timeout_s * 1e9),
        "leaf.auth_timeout": options.leaf.auth_timeout_s,
        "websocket.handshake_timeout": round(options.websocket.handshake_timeout_s * 1e9),
        "websocket.compression": options.websocket.is_compression_enabled,
        "mqtt.ack_wait": round(options.mqtt.ack_wait_s * 1e9),
        "mqtt.max_ack_pending": options.mqtt.ack_pending_max,
        "mqtt.js_domain": options.mqtt.jetstream_domain,
    }


def _shown(varz: dict[str, Any], path: str) -> object:
    value: Any = varz
    for key in path.split("."):
        value = value[key]
    return value


@pytest.mark.capability("CF01", "CF10")
def test_the_real_server_reports_the_values_we_read(tmp_path: Path) -> None:
    flags = ("-sd", str(tmp_path / "store"))
    with ServerProcess(ServerKind.REAL, tmp_path, *flags, config=FILE) as server:
        with urllib.request.urlopen(f"{server.monitor_url}/nats/varz", timeout=10) as response:
            varz = json.load(response)
        arguments = ["-a", "127.0.0.1", "-p", "-1", "-c", str(server.config_path), *flags]
        options = configure(parse_command_line(arguments), {}).options
    ours = _varz(options)
    assert ours == {path: _shown(varz, path) for path in ours}


@pytest.mark.capability("CF01", "OP01")
def test_the_defaults_are_those_of_the_real_server(tmp_path: Path) -> None:
    flags = ("-m", "-1", "-js", "-sd", str(tmp_path / "store"))
    with ServerProcess(ServerKind.REAL, tmp_path, *flags) as server:
        with urllib.request.urlopen(f"{server.monitor_url}/varz", timeout=10) as response:
            varz = json.load(response)
        options = configure(parse_command_line(["-a", "127.0.0.1", "-p", "-1", *flags]), {}).options
    ours = _varz(options)
    shown = ["max_payload", "max_control_line", "max_pending", "max_connections", "ping_interval", "ping_max"]
    shown += ["write_deadline", "auth_timeout", "http_host", "jetstream.config.sync_interval"]
    shown += ["jetstream.config.strict", "jetstream.limits.default_max_consumers"]
    assert {path: ours[path] for path in shown} == {path: _shown(varz, path) for path in shown}
