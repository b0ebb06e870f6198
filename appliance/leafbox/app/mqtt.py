"""Ties the MQTT gateway to the store, the listeners and the server's life.

The feature and the store do not know each other: `SessionValues` is where they meet.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import cast

from leafbox.app.configuration.options import Options
from leafbox.app.jetstream import DurableSide
from leafbox.broker.broker import Broker
from leafbox.broker.config import ConnectionType
from leafbox.clients.context import ClientContext
from leafbox.clients.listener import ClientListener, TlsReady, bind
from leafbox.clients.websocket_upgrade import Upgrade
from leafbox.monitoring.box_services import BoxServices
from leafbox.mqtt.administration import MqttAdministration
from leafbox.mqtt.config import MqttOptions
from leafbox.mqtt.connection import MqttClient
from leafbox.mqtt.context import MqttContext
from leafbox.mqtt.gateway import MqttGateway
from leafbox.mqtt.ports import ConnectionEvents, SessionValue
from leafbox.mqtt.reevaluation import reevaluate
from leafbox.protocol.mqtt.reason_codes import ReasonCode
from leafbox.security.authentication import Authenticator, Credentials, Decision, ListenerRules
from leafbox.security.tls import TlsListener
from leafbox.security.tls_accept import TlsFacts
from leafbox.storage.engine import Store
from leafbox.storage.records import BlobKind

_KINDS = {SessionValue.DEFINITION: BlobKind.MQTT_SESSION, SessionValue.PROGRESS: BlobKind.MQTT_SESSION_STATE}


class SessionValues:
    """The store in the shape that the gateway asks for (`mqtt.ports.SessionStore`)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, kind: SessionValue, key: bytes, value: bytes) -> int:
        """Set a value."""
        return self._store.put_blob(_KINDS[kind], key, value)

    def extend(self, kind: SessionValue, key: bytes, delta: bytes, is_urgent: bool = True) -> int:
        """Add a delta to a value."""
        return self._store.append_delta(_KINDS[kind], key, delta, is_urgent)

    def delete(self, kind: SessionValue, key: bytes) -> int:
        """Remove a value."""
        return self._store.delete_blob(_KINDS[kind], key)

    def values(self, kind: SessionValue) -> Iterable[tuple[bytes, bytes, list[bytes]]]:
        """Everything of a kind with the deltas that a start found behind it."""
        deltas = dict(self._store.deltas(_KINDS[kind]))
        found = [(key, value, deltas.pop(key, [])) for key, value in self._store.list_blobs(_KINDS[kind])]
        return [*found, *((key, b"", rest) for key, rest in deltas.items())]

    def supply_snapshots(self, kind: SessionValue, snapshot: Callable[[bytes], bytes | None]) -> None:
        """Where checkpoints get values that supersede their deltas."""
        self._store.register_snapshots(_KINDS[kind], snapshot)


class MqttListener(ClientListener):
    """Listens on one socket for MQTT clients; accepting and TLS are those of the NATS clients' listener."""

    def __init__(
        self,
        facts: ClientContext,
        context: MqttContext,
        gateway: MqttGateway,
        listener: socket.socket,
        tls: TlsListener | None,
        tasks: asyncio.TaskGroup,
        logger: logging.Logger,
    ) -> None:
        super().__init__(facts, listener, tls, tasks, logger)
        self._mqtt = context
        self._gateway = gateway

    def make_protocol(self) -> asyncio.BaseProtocol:
        """The protocol of one accepted socket that speaks no TLS."""
        return cast(asyncio.BaseProtocol, MqttClient(self._gateway, self._mqtt))

    def hello_and_protocol(self, ip: str, port: int) -> tuple[bytes, TlsReady]:
        """Nothing is said before the TLS handshake."""

        def take_over(facts: TlsFacts | None) -> asyncio.BaseProtocol:
            return cast(asyncio.BaseProtocol, MqttClient(self._gateway, self._mqtt, ip, port, facts))

        return b"", take_over


def _maps_certificates(options: MqttOptions) -> bool:
    return options.tls is not None and options.tls.is_peer_mapped_to_user


class MqttSide:
    """The gateway of one server with its contexts and listener."""

    def __init__(
        self,
        options: Options,
        broker: Broker,
        durable: DurableSide,
        tasks: asyncio.TaskGroup,
        authenticator: Authenticator,
        events: ConnectionEvents,
    ) -> None:
        self.options = options
        self._tasks = tasks
        self.gateway = MqttGateway(
            broker.engine,
            durable.jetstream,
            durable.jetstream.gate,
            SessionValues(durable.store),
            lambda: self.options.mqtt,
            self._rights_of,
        )
        self.contexts = {
            kind: self._context(kind, broker, authenticator, events)
            for kind in (ConnectionType.MQTT, ConnectionType.MQTT_WS)
        }

    def _context(
        self, kind: ConnectionType, broker: Broker, authenticator: Authenticator, events: ConnectionEvents
    ) -> MqttContext:
        # Over WebSocket too it is the `mqtt` block that says who may come in, as in nats-server.
        mqtt = self.options.mqtt
        own_timeout_s = mqtt.authorization.timeout_s if mqtt.authorization else 0.0
        return MqttContext(
            broker=broker,
            authenticator=authenticator,
            options=mqtt,
            kind=kind,
            tasks=self._tasks,
            events=events,
            rules=ListenerRules(
                maps_certificates=_maps_certificates(mqtt),
                no_auth_user=mqtt.no_auth_user,
                single=mqtt.authorization,
            ),
            auth_timeout_s=own_timeout_s or self.options.security.auth_timeout_s,
        )

    def _rights_of(self, user: str, account: str) -> Decision:
        context = self.contexts[ConnectionType.MQTT]
        return context.authenticator.recalled(user, account, context.rules)

    def serve(self, services: BoxServices) -> None:
        """Answer the dashboard and the command line."""
        administration = MqttAdministration(self.gateway)
        services.add("mqtt.sessions", administration.sessions)
        services.add("mqtt.delete", administration.delete)

    def start(self) -> None:
        """Bring the sessions back."""
        self.gateway.start()

    def listener(self, facts: ClientContext, tls: TlsListener | None) -> MqttListener:
        """Bind the listener. Raises OSError with address and reason."""
        options = self.options.mqtt
        context = self.contexts[ConnectionType.MQTT]
        return MqttListener(
            facts, context, self.gateway, bind(options.host, options.port), tls, self._tasks, context.logger
        )

    def reload(self, options: Options, authenticator: Authenticator) -> None:
        """Apply a new configuration: to logins from now on, and to the clients that are here."""
        self.options = options
        for context in self.contexts.values():
            context.authenticator = authenticator
            context.options = options.mqtt
            context.rules = replace(context.rules, maps_certificates=_maps_certificates(options.mqtt))
        self.gateway.apply_options()
        for client in list(self.gateway.connections):
            reevaluate(client)

    def leavers(self) -> list[Callable[[], None]]:
        """Lame duck: for each client, what sends it away, to another server where one is configured."""
        reference = self.options.mqtt.server_reference
        code = ReasonCode.USE_ANOTHER_SERVER if reference else ReasonCode.SERVER_SHUTTING_DOWN
        return [partial(client.say_goodbye, code, "Server Shutdown", reference) for client in self.gateway.connections]

    def stop(self) -> None:
        """Send everybody away and keep what sessions must not forget; the store is still open."""
        for client in list(self.gateway.connections):
            client.say_goodbye(ReasonCode.SERVER_SHUTTING_DOWN, "Server Shutdown")
        self.gateway.stop()

    def websocket_client(self, upgrade: Upgrade) -> MqttClient:
        """The connection of one WebSocket whose path ends in `/mqtt`."""
        context = self.contexts[ConnectionType.MQTT_WS]
        client = MqttClient(self.gateway, context, upgrade.ip, upgrade.port, upgrade.tls)
        client.web_credentials = Credentials(
            user=upgrade.cookie_user,
            password=upgrade.cookie_password,
            token=upgrade.cookie_token,
            jwt=upgrade.cookie_jwt,
        )
        return client
