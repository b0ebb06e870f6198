"""Configuration of the listeners for NATS clients: TCP/TLS and WebSocket.

Values only. Ports: -1 asks the system for a free one, 0 switches an optional listener off.
Source: nats-server 2.15.1 `server/opts.go`, `server/websocket.go`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from leafbox.security.config import SimpleAuthorization, TlsOptions


@dataclass(frozen=True, slots=True)
class ClientListenerOptions:
    """The TCP listener for NATS clients."""

    host: str = "0.0.0.0"
    """Address to listen on. All interfaces as nats-server does; without users or TLS bind 127.0.0.1 instead."""
    port: int = 4222
    """TCP port; -1: a free one (written to the log and the ports file)."""
    advertise: str = ""
    """`host:port` told to clients as this server's address; needed behind NAT."""
    tls: TlsOptions | None = None
    """TLS of the listener; not given: clear text."""
    is_clear_text_allowed: bool = False
    """With `tls`: also accept clients that do not start TLS."""
    is_proxy_protocol_expected: bool = False
    """Each connection starts with a PROXY protocol v1/v2 header; direct clients then cannot connect."""


@dataclass(frozen=True, slots=True)
class WebsocketOptions:
    """The WebSocket listener, for NATS, MQTT (`/mqtt`) and leaf links (`/leafnode`)."""

    host: str = "0.0.0.0"
    """Address to listen on."""
    port: int = 0
    """TCP port; -1: a free one, 0: no listener."""
    advertise: str = ""
    """`host:port` told to WebSocket clients."""
    tls: TlsOptions | None = None
    """TLS of the listener; required unless `no_tls` is set."""
    is_tls_disabled: bool = False
    """Accept clear text. Bearer tokens and passwords are then readable on the network."""
    is_same_origin_required: bool = False
    """The browser's Origin must equal the requested host."""
    allowed_origins: tuple[str, ...] = ()
    """Accepted Origins; empty: any. Set it when browsers authenticate by cookie."""
    is_compression_enabled: bool = False
    """Offer permessage-deflate; costs memory and CPU per client."""
    handshake_timeout_s: float = 2.0
    """Seconds for the HTTP upgrade, TLS included."""
    ping_interval_s: float = 0.0
    """Seconds between NATS pings to WebSocket clients; 0: as for other clients. Proxies often cut at 60 s."""
    headers: dict[str, str] = field(default_factory=dict)
    """Extra headers of the upgrade response."""
    no_auth_user: str = ""
    """User taken for WebSocket clients without credentials."""
    authorization: SimpleAuthorization | None = None
    """One user or token only for this listener."""
    jwt_cookie: str = ""
    """Cookie that fills CONNECT `jwt`; needs operator mode."""
    user_cookie: str = ""
    """Cookie that fills CONNECT `user`."""
    pass_cookie: str = ""
    """Cookie that fills CONNECT `pass`."""
    token_cookie: str = ""
    """Cookie that fills CONNECT `auth_token`."""
