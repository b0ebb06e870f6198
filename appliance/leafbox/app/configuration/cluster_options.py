"""Options of clustering and gateways: read completely, so that a production file is named instead of misread.

Leafbox is one box; a cluster is the job of the hub. `unsupported.py` says what of this is refused or warned about.
Source: nats-server 2.15.1 `server/opts.go`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from leafbox.broker.config import Permissions, WriteTimeoutPolicy
from leafbox.leaf.config import CompressionOptions
from leafbox.security.config import TlsOptions


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """The `cluster {}` block."""

    name: str = ""
    """Cluster name, told to clients in INFO."""
    host: str = "0.0.0.0"
    """Address of the route listener."""
    port: int = 0
    """Port of the route listener; 0: not configured."""
    advertise: str = ""
    """Address told to other servers."""
    is_advertise_disabled: bool = False
    """Do not tell clients about other servers."""
    username: str = ""
    """User of routes."""
    password: str = field(default="", repr=False)
    """Password of routes."""
    auth_timeout_s: float = 2.0
    """Seconds for a route to authenticate."""
    permissions: Permissions | None = None
    """Import (publish) and export (subscribe) rules of routes."""
    tls: TlsOptions | None = None
    """TLS of routes."""
    routes: tuple[str, ...] = field(default=(), repr=False)
    """URLs of other servers (may hold credentials)."""
    connect_retries: int = 0
    """Attempts to reach an implicit route."""
    is_connect_backoff: bool = False
    """Grow the delay between attempts."""
    pool_size: int = 3
    """Connections per route; -1: one without pooling."""
    pinned_accounts: tuple[str, ...] = ()
    """Accounts with a route connection of their own."""
    compression: CompressionOptions | None = None
    """Compression of routes; not given: accept."""
    ping_interval_s: float = 0.0
    """Seconds between pings of routes; 0: the server's, at most 30."""
    pings_out_max: int = 0
    """Unanswered pings of routes; 0: the server's."""
    write_deadline_s: float = 0.0
    """Seconds one write to a route may take; 0: the server's."""
    write_timeout: WriteTimeoutPolicy = WriteTimeoutPolicy.DEFAULT
    """What a missed write deadline does."""

    @property
    def is_configured(self) -> bool:
        """Whether a route listener was asked for."""
        return self.port != 0


@dataclass(frozen=True, slots=True)
class GatewayRemoteOptions:
    """One remote cluster of a gateway."""

    name: str
    """Name of the remote cluster."""
    urls: tuple[str, ...] = field(default=(), repr=False)
    """Its addresses (may hold credentials)."""
    tls: TlsOptions | None = None
    """TLS towards it."""


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """The `gateway {}` block."""

    name: str = ""
    """Name of this cluster."""
    host: str = "0.0.0.0"
    """Address of the gateway listener."""
    port: int = 0
    """Port of the gateway listener; 0: not configured."""
    username: str = ""
    """User of gateways."""
    password: str = field(default="", repr=False)
    """Password of gateways."""
    auth_timeout_s: float = 2.0
    """Seconds for a gateway to authenticate."""
    tls: TlsOptions | None = None
    """TLS of gateways."""
    advertise: str = ""
    """Address told to other gateways."""
    connect_retries: int = 0
    """Attempts to reach an implicit gateway."""
    is_connect_backoff: bool = False
    """Grow the delay between attempts."""
    gateways: tuple[GatewayRemoteOptions, ...] = ()
    """Remote clusters."""
    is_unknown_rejected: bool = False
    """Refuse clusters that are not listed."""
    write_deadline_s: float = 0.0
    """Seconds one write to a gateway may take; 0: the server's."""
    write_timeout: WriteTimeoutPolicy = WriteTimeoutPolicy.DEFAULT
    """What a missed write deadline does."""

    @property
    def is_configured(self) -> bool:
        """Whether any part of a gateway was asked for."""
        return bool(self.name or self.port or self.gateways)
