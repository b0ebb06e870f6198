"""What the client connections of one listener share: the broker, how to authenticate, and what INFO says."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from leafbox.broker.broker import Broker
from leafbox.broker.config import ConnectionType
from leafbox.broker.identity import API_LEVEL
from leafbox.clients.ports import ConnectionEvents, NoEvents
from leafbox.protocol.client_info import Info
from leafbox.security.authentication import Authenticator, ListenerRules
from leafbox.security.redact import redact_connect

# Log level of protocol lines, below DEBUG.
TRACE = 5


@dataclass(frozen=True, slots=True)
class ListenerFacts:
    """What INFO says of the listener that a client came through."""

    host: str
    port: int
    kind: ConnectionType = ConnectionType.STANDARD
    is_tls_required: bool = False
    is_tls_verified: bool = False
    is_tls_available: bool = False
    connect_urls: tuple[str, ...] = ()
    is_proxied: bool = False
    ping_interval_s: float = 0.0


@dataclass(slots=True)
class ClientContext:
    """Mutable only by its owner (wiring and reload); connections read it when they need it, never keep parts."""

    broker: Broker
    authenticator: Authenticator
    facts: ListenerFacts
    logger: logging.Logger
    tasks: asyncio.TaskGroup
    rules: ListenerRules = field(default_factory=ListenerRules)
    events: ConnectionEvents = field(default_factory=NoEvents)
    is_jetstream_enabled: Callable[[], bool] = lambda: False
    domain: Callable[[], str] = lambda: ""
    auth_timeout_s: float = 2.0
    is_tracing: bool = False
    is_internal: bool = False
    """The box's own processes come through here: they take nobody's place under a connection limit and are not shown
    among the clients."""

    @property
    def shows_auth_required(self) -> bool:
        """INFO's `auth_required`. To WebSocket clients nats-server shows it even if a `no_auth_user` takes them in."""
        if self.facts.kind is ConnectionType.WEBSOCKET:
            return self.authenticator.demands_login(self.rules)
        return self.authenticator.shows_auth_required(self.rules)

    def info(self, client_id: int, client_ip: str, nonce: str, **changes: object) -> Info:
        """INFO for one client. `changes` replaces single fields (lame duck, the INFO after the first PONG)."""
        identity = self.broker.identity
        options = self.broker.options
        info = Info(
            server_id=identity.server_id,
            server_name=identity.name,
            version=identity.version,
            proto=1,
            git_commit=identity.git_commit,
            go=identity.language,
            host=self.facts.host,
            port=self.facts.port,
            headers=not options.is_header_support_disabled,
            auth_required=self.shows_auth_required,
            tls_required=self.facts.is_tls_required,
            tls_verify=self.facts.is_tls_verified,
            tls_available=self.facts.is_tls_available,
            max_payload=options.payload_bytes_max,
            jetstream=self.is_jetstream_enabled(),
            client_id=client_id,
            client_ip="" if self.facts.is_proxied else client_ip,
            nonce=nonce,
            cluster=identity.cluster,
            domain=self.domain(),
            connect_urls=list(self.facts.connect_urls),
            api_lvl=API_LEVEL,
            xkey=identity.xkey,
        )
        for name, value in changes.items():
            setattr(info, name, value)
        return info

    def trace(self, client: object, line: bytes) -> None:
        """Log an inbound control line, a CONNECT without its secrets."""
        is_connect = line.lstrip()[:7].upper() == b"CONNECT"
        shown = redact_connect(line) if is_connect else line.decode("utf-8", "replace")
        self.logger.log(TRACE, "%s - <<- [%s]", client, shown)

    def with_facts(self, **changes: object) -> None:
        """Change what INFO says of the listener (client_advertise on reload)."""
        self.facts = replace(self.facts, **changes)  # type: ignore[arg-type]
