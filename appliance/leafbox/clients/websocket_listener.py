"""The WebSocket listener: accepts, does TLS, and lets `UpgradeProtocol` decide which connection each socket becomes."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping

from leafbox.clients.config import WebsocketOptions
from leafbox.clients.context import ClientContext
from leafbox.clients.listener import ClientListener, TlsReady
from leafbox.clients.websocket_client import WebsocketClient
from leafbox.clients.websocket_upgrade import UpgradeHandler, UpgradeKind, UpgradeProtocol, UpgradeRules
from leafbox.security.tls import TlsListener


class WebsocketListener(ClientListener):
    """Listens on one socket and serves NATS clients; `handlers` are those of other protocols (MQTT, leaf links)."""

    def __init__(
        self,
        context: ClientContext,
        listener: socket.socket,
        tls: TlsListener | None,
        tasks: asyncio.TaskGroup,
        logger: logging.Logger,
        options: WebsocketOptions,
        handlers: Mapping[UpgradeKind, UpgradeHandler],
    ) -> None:
        super().__init__(context, listener, tls, tasks, logger)
        self._options = options
        self._handlers: dict[UpgradeKind, UpgradeHandler] = {
            **handlers,
            UpgradeKind.CLIENT: lambda upgrade: WebsocketClient(context, upgrade),
        }
        self._rules = UpgradeRules(
            options, frozenset(self._handlers), max_payload=context.broker.options.payload_bytes_max
        )

    def make_protocol(self) -> asyncio.BaseProtocol:
        """What reads the upgrade request of one socket."""
        loop = asyncio.get_running_loop()
        return UpgradeProtocol(loop, self._rules, self._handlers, timeout_s=self._options.handshake_timeout_s)

    def hello_and_protocol(self, ip: str, port: int) -> tuple[bytes, TlsReady]:
        """Nothing is said before the upgrade."""
        return b"", lambda facts: self.make_protocol()

    def describe_tls(self) -> None:
        """A reload cannot switch this listener's TLS, so INFO stays; who the certificate names may change."""
        self._set_certificate_rule()
