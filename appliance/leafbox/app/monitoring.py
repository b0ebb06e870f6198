"""What monitoring shows of this server: its configuration as facts, and the features that supply parts of documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from leafbox.app.configuration.options import Options
from leafbox.broker.broker import Broker
from leafbox.monitoring.advisories import ServerStamp
from leafbox.monitoring.documents import JetstreamReport
from leafbox.monitoring.links import LeafSnapshot
from leafbox.monitoring.trace_events import TraceEvents
from leafbox.monitoring.varz import ServerFacts
from leafbox.monitoring.wire_format import SECOND_NS, Document, number


class ServerFeatures:
    """The parts of one server for `MonitoringDocuments`. Wiring fills in what exists; the rest stays absent."""

    def __init__(self, facts: ServerFacts, is_accepting: Callable[[], bool]) -> None:
        self.facts = facts
        self.jetstream: JetstreamReport | None = None
        self.leafs: Callable[[], Sequence[LeafSnapshot]] = tuple
        self._is_accepting = is_accepting

    def missing_listeners(self) -> list[str]:
        """The client listener is called `server`, as in nats-server."""
        return [] if self._is_accepting() else ["server"]


def server_stamp(broker: Broker, features: ServerFeatures) -> ServerStamp:
    """What names this server in its events; message traces are the first that bear it."""
    stamp = ServerStamp(broker, features)
    broker.tracing.sink = TraceEvents(stamp.document).publish
    return stamp


def server_facts(
    options: Options, ports: Mapping[str, int], *, is_auth_required: bool, config_load_ns: int
) -> ServerFacts:
    """The configuration as `/varz` shows it; `ports` are the bound ports by listener (`client`, `websocket`, ...)."""
    clients, broker, monitoring = options.clients, options.broker, options.monitoring
    is_monitored = bool(monitoring.http_port or monitoring.https_port)
    return ServerFacts(
        host=clients.host,
        port=ports.get("client", clients.port),
        is_auth_required=is_auth_required,
        is_tls_required=clients.tls is not None and not clients.is_clear_text_allowed,
        is_tls_verified=clients.tls is not None and clients.tls.is_peer_verified,
        connect_urls=(clients.advertise,) if clients.advertise else (),
        websocket_connect_urls=(options.websocket.advertise,) if options.websocket.advertise else (),
        connections_max=broker.connections_max,
        subscriptions_max=broker.subscriptions_max,
        ping_interval_s=broker.ping_interval_s,
        pings_out_max=broker.pings_out_max,
        http_host=monitoring.host or (clients.host if is_monitored else ""),
        http_port=monitoring.http_port,
        http_base_path="" if monitoring.base_path == "/" else monitoring.base_path,
        https_port=monitoring.https_port,
        auth_timeout_s=options.security.auth_timeout_s,
        control_line_bytes_max=broker.control_line_bytes_max,
        payload_bytes_max=broker.payload_bytes_max,
        pending_bytes_max=broker.pending_bytes_max,
        tls_timeout_s=clients.tls.timeout_s if clients.tls else 2.0,
        write_deadline_s=broker.write_deadline_s,
        sections={
            "leaf": _leaf(options, ports),
            "mqtt": _mqtt(options, ports),
            "websocket": _websocket(options, ports),
        },
        config_load_ns=config_load_ns,
        config_digest=options.config_digest,
        tags=options.server.tags,
        metadata=options.server.metadata,
        feature_flags=options.server.feature_flags,
        jetstream_domain=options.jetstream.domain,
        system_account="" if broker.is_system_account_disabled else broker.system_account,
    )


def _filled(document: Document) -> Document:
    """Sections leave out whatever is empty."""
    return {name: value for name, value in document.items() if value}


def _websocket(options: Options, ports: Mapping[str, int]) -> Document:
    websocket = options.websocket
    if not websocket.port:
        return {}
    timeout_s = websocket.authorization.timeout_s if websocket.authorization else 0.0
    return _filled(
        {
            "host": websocket.host,
            "port": ports.get("websocket", websocket.port),
            "advertise": websocket.advertise,
            "no_auth_user": websocket.no_auth_user,
            "jwt_cookie": websocket.jwt_cookie,
            "handshake_timeout": 0
            if websocket.handshake_timeout_s == 2.0
            else int(websocket.handshake_timeout_s * SECOND_NS),
            "auth_timeout": number(timeout_s),
            "no_tls": websocket.is_tls_disabled,
            "tls_map": websocket.tls is not None and websocket.tls.is_peer_mapped_to_user,
            "tls_pinned_certs": sorted(websocket.tls.pinned_certs) if websocket.tls else [],
            "same_origin": websocket.is_same_origin_required,
            "allowed_origins": list(websocket.allowed_origins),
            "compression": websocket.is_compression_enabled,
        }
    )


def _mqtt(options: Options, ports: Mapping[str, int]) -> Document:
    mqtt = options.mqtt
    if not mqtt.port:
        return {}
    timeout_s = mqtt.authorization.timeout_s if mqtt.authorization else 0.0
    return _filled(
        {
            "host": mqtt.host,
            "port": ports.get("mqtt", mqtt.port),
            "no_auth_user": mqtt.no_auth_user,
            "auth_timeout": number(timeout_s),
            "tls_map": mqtt.tls is not None and mqtt.tls.is_peer_mapped_to_user,
            "tls_timeout": number(mqtt.tls.timeout_s if mqtt.tls else 2.0),
            "tls_pinned_certs": sorted(mqtt.tls.pinned_certs) if mqtt.tls else [],
            "js_domain": mqtt.jetstream_domain,
            "ack_wait": int(mqtt.ack_wait_s * SECOND_NS),
            "max_ack_pending": mqtt.ack_pending_max,
        }
    )


def _leaf(options: Options, ports: Mapping[str, int]) -> Document:
    leaf = options.leaf
    document: Document = {}
    if leaf.port:
        document = {
            "host": leaf.host,
            "port": ports.get("leafnode", leaf.port),
            "auth_timeout": number(leaf.auth_timeout_s),
            "tls_timeout": number(leaf.tls.timeout_s if leaf.tls else 2.0),
            "tls_required": leaf.tls is not None,
            "tls_verify": leaf.tls is not None and leaf.tls.is_peer_verified,
        }
    # Names and passwords in URLs are for the hub, not for whoever reads monitoring.
    document["remotes"] = [
        _filled(
            {
                "local_account": remote.account,
                "tls_timeout": number(remote.tls.timeout_s if remote.tls else 0.0),
                "urls": [f"{url.scheme}://{url.host}:{url.port}{url.path}" for url in remote.urls],
                "deny": _filled({"exports": list(remote.deny_exports), "imports": list(remote.deny_imports)}),
            }
        )
        for remote in leaf.remotes
    ]
    return _filled(document)
