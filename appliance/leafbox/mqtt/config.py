"""Configuration of the MQTT gateway.

Values only. Source: nats-server 2.15.1 `server/mqtt.go`, `server/opts.go`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from leafbox.security.config import SimpleAuthorization, TlsOptions


class QueueFull(enum.Enum):
    """What becomes of a QoS 1 or 2 message that a session has no room for."""

    REFUSE = "refuse"
    """Nobody gets it, and its publisher hears so: 0x97 in MQTT 5, in MQTT 3 the end of the connection."""
    DROP_NEW = "drop_new"
    """That session does not get it. Everybody else does, and the publisher is acknowledged."""
    DROP_OLD = "drop_old"
    """That session loses its oldest message instead."""


class Redirect(enum.Enum):
    """When clients are sent to `server_reference`."""

    LAME_DUCK = "lame_duck"
    """When the server is being taken out of service (0x9C, "use another server")."""
    ANOTHER = "another"
    """Always, for now (0x9C): whoever is here or comes is sent there."""
    MOVED = "moved"
    """Always, for good (0x9D, "server moved")."""


@dataclass(frozen=True, slots=True)
class MqttOptions:
    """The MQTT listener and how its sessions use JetStream."""

    host: str = "0.0.0.0"
    """Address to listen on."""
    port: int = 0
    """TCP port; -1: a free one, 0: MQTT is off."""
    tls: TlsOptions | None = None
    """TLS of the listener; MQTT passwords are clear text without it."""
    authorization: SimpleAuthorization | None = None
    """One user or token only for this listener; not together with users."""
    no_auth_user: str = ""
    """User taken for MQTT clients without credentials. Danger: open to the network."""
    ack_wait_s: float = 30.0
    """Seconds before an unacknowledged QoS 1/2 delivery is repeated; a change applies to new subscriptions."""
    keep_alive_max_s: float = 0.0
    """Longest keep-alive, up to 65535 s: MQTT 5 clients that want a longer one or none are told this one; 0: theirs."""
    api_timeout_s: float = 5.0
    """Seconds an internal JetStream call may take."""
    ack_pending_max: int = 1024
    """Unacknowledged deliveries per subscription and per session, 1..65535."""
    queued_messages_max: int = 1_000_000
    """QoS 1/2 messages that may wait for one client; each costs 16 bytes of memory beside its place on flash."""
    when_queue_full: QueueFull = QueueFull.REFUSE
    """A message beyond that: `refuse` it to its publisher, so that none is lost, `drop_new` or `drop_old`."""
    server_reference: str = ""
    """Where MQTT 5 clients are sent: `host:port`, or several with spaces between. MQTT 3 clients are only closed."""
    redirect: Redirect = Redirect.LAME_DUCK
    """When: in `lame_duck` mode, or always: `another` (for now), `moved` (for good)."""
    jetstream_domain: str = ""
    """JetStream domain that holds sessions and messages: this server's, which is the default."""
    stream_replicas: int = 0
    """Replicas of the MQTT streams; one box always has 1."""
    is_consumer_storage_memory: bool = False
    """Keep delivery state in memory: less flash wear, but a power cut repeats deliveries."""
    consumer_inactive_threshold_s: float = 0.0
    """Seconds after which delivery state of an absent session is removed; 0: never."""
    is_qos2_publish_rejected: bool = False
    """Close clients that publish with QoS 2."""
    is_qos2_subscribe_downgraded: bool = False
    """Grant QoS 1 to clients that subscribe with QoS 2."""
