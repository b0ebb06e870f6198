"""The whole configuration as one immutable value: each feature's section, composed, nothing else.

A feature receives its own section and no other. Tests may build any of this directly; files and flags go through
`load.py` and `flags.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from leafbox.app.configuration.cluster_options import ClusterOptions, GatewayOptions
from leafbox.app.configuration.server_options import LoggingOptions, ServerOptions
from leafbox.broker.config import BrokerOptions
from leafbox.clients.config import ClientListenerOptions, WebsocketOptions
from leafbox.jetstream.config import JetStreamOptions
from leafbox.leaf.config import LeafOptions
from leafbox.monitoring.config import MonitoringOptions
from leafbox.mqtt.bridge.rules import BridgeOptions
from leafbox.mqtt.config import MqttOptions
from leafbox.security.config import SecurityOptions


@dataclass(frozen=True, slots=True)
class Options:
    """Everything that can be configured; `Options()` is nats-server's behaviour without a file."""

    server: ServerOptions = field(default_factory=ServerOptions)
    """Identity and life cycle of the process."""
    logging: LoggingOptions = field(default_factory=LoggingOptions)
    """Log destination and level."""
    clients: ClientListenerOptions = field(default_factory=ClientListenerOptions)
    """Listener for NATS clients."""
    websocket: WebsocketOptions = field(default_factory=WebsocketOptions)
    """Listener for WebSocket clients."""
    broker: BrokerOptions = field(default_factory=BrokerOptions)
    """Accounts and limits."""
    security: SecurityOptions = field(default_factory=SecurityOptions)
    """Who may connect."""
    leaf: LeafOptions = field(default_factory=LeafOptions)
    """Leaf links in both directions."""
    mqtt: MqttOptions = field(default_factory=MqttOptions)
    """MQTT gateway."""
    bridges: tuple[BridgeOptions, ...] = ()
    """Bridges to other MQTT brokers."""
    jetstream: JetStreamOptions = field(default_factory=JetStreamOptions)
    """Durable streams."""
    monitoring: MonitoringOptions = field(default_factory=MonitoringOptions)
    """HTTP monitoring."""
    cluster: ClusterOptions = field(default_factory=ClusterOptions)
    """Clustering (read, not supported)."""
    gateway: GatewayOptions = field(default_factory=GatewayOptions)
    """Gateways (read, not supported)."""
    config_file: str = ""
    """Path of the file the options came from; empty: none."""
    config_digest: str = ""
    """`sha256:<hex>` over the parsed file, as `-t` prints it; empty without a file."""
