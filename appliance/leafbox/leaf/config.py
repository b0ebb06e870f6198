"""Configuration of leaf links: the listener for leafs that connect to us and the remotes (hubs) we connect to.

Values only. Source: nats-server 2.15.1 `server/opts.go`, `server/leafnode.go`; keys and wire meaning in the leaf
protocol notes.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from leafbox.broker.config import WriteTimeoutPolicy
from leafbox.security.config import TlsOptions

DEFAULT_LEAF_PORT = 7422


class CompressionMode(enum.Enum):
    """S2 compression of a link; `S2_AUTO` picks the level by round-trip time."""

    NOT_SUPPORTED = "not supported"
    OFF = "off"
    ACCEPT = "accept"
    S2_AUTO = "s2_auto"
    S2_UNCOMPRESSED = "s2_uncompressed"
    S2_FAST = "s2_fast"
    S2_BETTER = "s2_better"
    S2_BEST = "s2_best"


@dataclass(frozen=True, slots=True)
class CompressionOptions:
    """Compression wanted on a link; both sides negotiate."""

    mode: CompressionMode = CompressionMode.S2_AUTO
    """Wanted mode."""
    rtt_thresholds_s: tuple[float, ...] = (0.01, 0.05, 0.1)
    """`S2_AUTO`: round-trip times in seconds up to which to use uncompressed, fast, better; above the last: best."""


@dataclass(frozen=True, slots=True)
class LeafUserOptions:
    """A user that only leaf links may use."""

    name: str
    """User name."""
    password: str = field(default="", repr=False)
    """Password, clear or bcrypt."""
    account: str = ""
    """Account the link is bound to; empty: `$G`."""
    is_proxy_required: bool = False
    """Only through a trusted proxy."""


@dataclass(frozen=True, slots=True)
class LeafUrl:
    """Address of a hub; credentials are split off so that they never reach a log."""

    scheme: str
    """`nats-leaf`, `nats`, `tls`, `ws` or `wss`."""
    host: str
    """Host name or address, without brackets."""
    port: int = DEFAULT_LEAF_PORT
    """TCP port."""
    path: str = ""
    """Path in front of `/leafnode` (WebSocket only)."""
    username: str = ""
    """User, or the token when there is no password."""
    password: str | None = field(default=None, repr=False)
    """Password; `None`: the URL has none."""

    @property
    def is_websocket(self) -> bool:
        """Whether the link runs over WebSocket."""
        return self.scheme in ("ws", "wss")

    def redacted(self) -> str:
        """The URL as it may be logged."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = ""
        if self.username or self.password is not None:
            user = f"{self.username}:xxxxx@" if self.password is not None else "xxxxx@"
        return f"{self.scheme}://{user}{host}:{self.port}{self.path}"


@dataclass(frozen=True, slots=True)
class LeafProxyOptions:
    """HTTP proxy (CONNECT tunnel) towards a hub."""

    url: str
    """`http://host:port` of the proxy."""
    username: str = ""
    """Proxy user."""
    password: str = field(default="", repr=False)
    """Proxy password."""
    timeout_s: float = 0.0
    """Seconds to wait for the tunnel; 0: the dial timeout."""


@dataclass(frozen=True, slots=True)
class LeafRemoteOptions:
    """One hub we connect to, for one local account."""

    urls: tuple[LeafUrl, ...]
    """Addresses of the hub; all WebSocket or none."""
    account: str = "$G"
    """Local account whose subjects the link carries."""
    is_url_order_kept: bool = False
    """Try the URLs in file order instead of shuffled."""
    credentials_file: str = ""
    """Path of a `.creds` file (user JWT and seed)."""
    nkey_seed: str = field(default="", repr=False)
    """User seed (`SU...`); not together with a credentials file."""
    tls: TlsOptions | None = None
    """TLS towards the hub; not given: only if the hub asks or the scheme is `tls`/`wss`."""
    is_hub: bool = False
    """We play the hub although we dial."""
    deny_imports: tuple[str, ...] = ()
    """Subjects that must not come from the hub."""
    deny_exports: tuple[str, ...] = ()
    """Subjects that must not go to the hub."""
    is_websocket_compression_wanted: bool = False
    """Offer permessage-deflate on WebSocket URLs."""
    is_websocket_masking_unwanted: bool = False
    """Ask the hub to accept unmasked frames (saves CPU)."""
    is_jetstream_cluster_migrated: bool = False
    """Move clustered stream leaders away while the link is down; without clustering it changes nothing."""
    jetstream_cluster_migrate_delay_s: float = 0.0
    """Seconds of outage before that."""
    is_local_interest_isolated: bool = False
    """Do not tell this hub the interest of other leaf links."""
    is_isolation_requested: bool = False
    """Ask the hub not to send us the interest of other leaf links."""
    compression: CompressionOptions = CompressionOptions()
    """Compression of the link."""
    first_info_timeout_s: float = 1.0
    """Seconds to wait for the hub's INFO; raise it on satellite links."""
    dial_timeout_s: float = 0.0
    """Seconds for the TCP connect; 0: `leafnodes.dial_timeout`."""
    proxy: LeafProxyOptions | None = None
    """HTTP proxy towards the hub."""
    is_disabled: bool = False
    """Keep the entry but do not connect; can be switched by a reload."""
    are_discovered_servers_ignored: bool = False
    """Use only the configured URLs, never those the hub announces."""


@dataclass(frozen=True, slots=True)
class LeafOptions:
    """Leaf links in both directions."""

    host: str = "0.0.0.0"
    """Address to listen on for leafs."""
    port: int = 0
    """TCP port; -1: a free one, 0: no listener."""
    advertise: str = ""
    """`host:port` told to leafs as this server's address."""
    is_advertise_disabled: bool = False
    """Do not tell leafs the addresses of this server."""
    tls: TlsOptions | None = None
    """TLS of the listener."""
    username: str = ""
    """Single user for leafs; not together with `users`."""
    password: str = field(default="", repr=False)
    """Its password, clear or bcrypt."""
    nkey: str = ""
    """Single public user key for leafs."""
    account: str = ""
    """Account of links that use the single user or key; empty: `$G`."""
    users: tuple[LeafUserOptions, ...] = ()
    """Users only for leafs; empty and no single user: the server's users count."""
    auth_timeout_s: float = 2.0
    """Seconds for a leaf's CONNECT."""
    is_proxy_required: bool = False
    """The single user is only accepted through a trusted proxy."""
    version_min: str = ""
    """Lowest server version accepted from a leaf, at least 2.8.0; empty: any."""
    compression: CompressionOptions = CompressionOptions()
    """Compression offered to leafs."""
    is_interest_isolated: bool = False
    """Never forward the interest of one leaf to another."""
    write_deadline_s: float = 0.0
    """Seconds one write to a leaf may take; 0: the server's."""
    write_timeout: WriteTimeoutPolicy = WriteTimeoutPolicy.DEFAULT
    """What a missed write deadline does; the default retries leaf links."""
    reconnect_interval_s: float = 1.0
    """Seconds between attempts to reach a hub; constant, no back-off, as nats-server."""
    dial_timeout_s: float = 1.0
    """Seconds for the TCP connect to a hub."""
    remotes: tuple[LeafRemoteOptions, ...] = ()
    """Hubs to connect to."""
