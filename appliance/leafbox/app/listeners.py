"""Where the server listens, in words and with which TLS: what listeners, welcome text, ports file and INFO say of it.

Plain functions of the options and of the ports that were bound. Not here: binding and serving (`server`).
"""

from __future__ import annotations

from collections.abc import Mapping

from leafbox.app.configuration.options import Options
from leafbox.clients.config import ClientListenerOptions
from leafbox.security.tls import TlsListener


def addresses(options: Options, ports: Mapping[str, int], monitoring_port: int) -> dict[str, list[str]]:
    """By kind, as the ports file lists them. `ports`: bound ones by listener; `monitoring_port` 0: there is none."""
    schemes = {
        "client": ("nats", "tls" if options.clients.tls else "nats", options.clients.host),
        "websocket": ("websocket", "wss" if options.websocket.tls else "ws", options.websocket.host),
        "mqtt": ("mqtt", "mqtts" if options.mqtt.tls else "mqtt", options.mqtt.host),
    }
    found: dict[str, list[str]] = {}
    for name, port in ports.items():
        kind, scheme, host = schemes[name]
        found[kind] = [f"{scheme}://{reachable(host)}:{port}"]
    if monitoring_port:
        scheme = "http" if options.monitoring.http_port else "https"
        host = reachable(options.monitoring.host or options.clients.host)
        found["monitoring"] = [f"{scheme}://{host}:{monitoring_port}"]
    return found


def tls_listeners(options: Options) -> dict[str, TlsListener | None]:
    """TLS of each listener, from the files as they are now. Raises `ConfigError`."""
    clients, websocket = options.clients, options.websocket
    return {
        "client": TlsListener(clients.tls, allows_plain=clients.is_clear_text_allowed) if clients.tls else None,
        "websocket": TlsListener(websocket.tls) if websocket.tls and websocket.port else None,
        "mqtt": TlsListener(options.mqtt.tls) if options.mqtt.tls and options.mqtt.port else None,
        "leafnode": TlsListener(options.leaf.tls) if options.leaf.tls and options.leaf.port else None,
    }


def advertised(options: ClientListenerOptions, port: int) -> tuple[str, int]:
    """The address that INFO tells clients: `client_advertise`, with the listener's port if it names none."""
    if not options.advertise:
        return options.host, port
    host, _, text = options.advertise.rpartition(":") if ":" in options.advertise else (options.advertise, "", "")
    return host.strip("[]"), int(text) if text.isdigit() and int(text) > 0 else port


def shown(host: str) -> str:
    """A host as it stands in an address."""
    return f"[{host}]" if ":" in host else host


def reachable(host: str) -> str:
    """An address that tools on this machine can connect to."""
    return "127.0.0.1" if host in ("0.0.0.0", "") else shown(host)
