"""From settings by field name (of a file, then of flags) to the immutable `Options`, defaults filled in.

A setting of zero means "the default" for many fields, as in nats-server (`setBaselineOptions`); those are listed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from leafbox.app.configuration.cluster_options import ClusterOptions, GatewayOptions
from leafbox.app.configuration.fields import build
from leafbox.app.configuration.options import Options
from leafbox.app.configuration.server_options import LoggingOptions, ServerOptions
from leafbox.broker.config import BrokerOptions
from leafbox.clients.config import ClientListenerOptions, WebsocketOptions
from leafbox.jetstream.config import JetStreamOptions
from leafbox.leaf.config import LeafOptions
from leafbox.monitoring.config import MonitoringOptions
from leafbox.mqtt.bridge.rules import BridgeOptions
from leafbox.mqtt.config import MqttOptions
from leafbox.security.config import OperatorOptions, SecurityOptions, TlsOptions

Settings = dict[str, object]
"""Field path (`broker.payload_bytes_max`) to the value a file or a flag gave it."""

ZERO_MEANS_DEFAULT = frozenset(
    (
        "clients.host",
        "clients.port",
        "server.lame_duck_duration_s",
        "server.lame_duck_grace_period_s",
        "server.connect_error_reports",
        "server.reconnect_error_reports",
        "broker.payload_bytes_max",
        "broker.control_line_bytes_max",
        "broker.pending_bytes_max",
        "broker.connections_max",
        "broker.closed_clients_max",
        "broker.ping_interval_s",
        "broker.pings_out_max",
        "broker.write_deadline_s",
        "broker.system_account",
        "security.auth_timeout_s",
        "monitoring.base_path",
        "websocket.host",
        "websocket.handshake_timeout_s",
        "mqtt.host",
        "mqtt.ack_wait_s",
        "mqtt.api_timeout_s",
        "mqtt.ack_pending_max",
        "leaf.host",
        "leaf.auth_timeout_s",
        "leaf.reconnect_interval_s",
        "leaf.dial_timeout_s",
        "jetstream.buffered_bytes_max",
        "jetstream.buffered_messages_max",
        "jetstream.request_queue_max",
        "cluster.host",
        "cluster.auth_timeout_s",
        "cluster.pool_size",
        "gateway.host",
        "gateway.auth_timeout_s",
    )
)
_AUTH_TIMEOUT_OF = {"security": "clients", "leaf": "leaf", "cluster": "cluster", "gateway": "gateway"}
"""Section with an authentication timeout, and the section whose TLS delays it."""


def compose(settings: Mapping[str, object], config_file: str = "", config_digest: str = "") -> Options:
    """The options that these settings make."""
    kept = {path: value for path, value in settings.items() if value or path not in ZERO_MEANS_DEFAULT}
    _fill_timeouts(kept)
    _fill_dependent(kept)
    return Options(
        server=build(ServerOptions, _section(kept, "server")),
        logging=build(LoggingOptions, _section(kept, "logging")),
        clients=build(ClientListenerOptions, _section(kept, "clients")),
        websocket=build(WebsocketOptions, _section(kept, "websocket")),
        broker=build(BrokerOptions, _section(kept, "broker")),
        security=build(
            SecurityOptions,
            _section(kept, "security") | {"operator": build(OperatorOptions, _section(kept, "security.operator"))},
        ),
        leaf=build(LeafOptions, _section(kept, "leaf")),
        mqtt=build(MqttOptions, _section(kept, "mqtt")),
        bridges=cast(tuple[BridgeOptions, ...], kept.get("bridges", ())),
        jetstream=build(JetStreamOptions, _section(kept, "jetstream")),
        monitoring=build(MonitoringOptions, _section(kept, "monitoring")),
        cluster=build(ClusterOptions, _section(kept, "cluster")),
        gateway=build(GatewayOptions, _section(kept, "gateway")),
        config_file=config_file,
        config_digest=config_digest,
    )


def _section(settings: Mapping[str, object], name: str) -> Settings:
    """The settings directly below a section, by field."""
    prefix = name + "."
    return {
        path.removeprefix(prefix): value
        for path, value in settings.items()
        if path.startswith(prefix) and "." not in path.removeprefix(prefix)
    }


def _fill_timeouts(settings: Settings) -> None:
    """Where TLS comes before the login, the login's time starts after it: one second more than the handshake's."""
    for section, tls_section in _AUTH_TIMEOUT_OF.items():
        tls = settings.get(f"{tls_section}.tls")
        if f"{section}.auth_timeout_s" not in settings and isinstance(tls, TlsOptions):
            settings[f"{section}.auth_timeout_s"] = tls.timeout_s + 1.0


def _fill_dependent(settings: Settings) -> None:
    """Defaults that are other settings' values."""
    if not settings.get("monitoring.host"):
        settings["monitoring.host"] = settings.get("clients.host", ClientListenerOptions().host)
    request_queue = settings.get("jetstream.request_queue_max", JetStreamOptions().request_queue_max)
    if isinstance(request_queue, int) and request_queue <= 0:
        request_queue = settings["jetstream.request_queue_max"] = JetStreamOptions().request_queue_max
    info_queue = settings.get("jetstream.info_queue_max", 0)
    if not isinstance(info_queue, int) or info_queue <= 0:
        settings["jetstream.info_queue_max"] = request_queue
    if settings.get("broker.is_system_account_disabled") and "broker.system_account" not in settings:
        settings["broker.system_account"] = ""
