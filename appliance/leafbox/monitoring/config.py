"""Configuration of the HTTP monitoring endpoints.

Values only. Source: nats-server 2.15.1 `server/opts.go`, `server/monitor.go`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MonitoringOptions:
    """The nats-server style monitoring listener. It has no login of its own: bind it to a trusted address."""

    host: str = ""
    """Address to listen on; empty: the client listener's."""
    http_port: int = 0
    """HTTP port; -1: a free one, 0: off."""
    https_port: int = 0
    """HTTPS port with the client listener's certificate; -1: a free one, 0: off. Not together with `http_port`."""
    base_path: str = "/"
    """Prefix of all paths."""
