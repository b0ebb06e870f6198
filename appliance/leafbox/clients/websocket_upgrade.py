"""The HTTP upgrade that opens a WebSocket: which requests pass, what is answered, what is taken over from them.

`UpgradeRules` decides on one request and is pure; `UpgradeProtocol` reads the request from a transport and hands the
transport to the connection that a handler makes. Not here: listening, TLS, frames, the protocols inside.
Source: RFC 6455 section 4.2, RFC 7692 section 5, nats-server 2.15.1 (core-protocol section 9).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import enum
import hashlib
import ipaddress
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from leafbox.clients.config import WebsocketOptions
from leafbox.dataplane.connection import Connection
from leafbox.dataplane.websocket_framing import (
    FRAME_BYTES_FOR_BROWSERS,
    Deflater,
    WebsocketFraming,
    message_bytes_max,
)
from leafbox.protocol.errors import ProtocolViolation
from leafbox.protocol.http_head import (
    RequestHead,
    RequestReader,
    error_response,
    http_date,
    response_head,
)
from leafbox.security.tls_accept import TlsFacts, peer_facts

logger = logging.getLogger(__name__)

ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
EXTENSION = "permessage-deflate"
EXTENSION_ANSWER = f"{EXTENSION}; server_no_context_takeover; client_no_context_takeover"
NO_MASKING = "Nats-No-Masking"
MQTT_PATH_END = "/mqtt"
LEAF_PATH_END = "/leafnode"


class UpgradeKind(enum.Enum):
    """Which protocol the path asks for."""

    CLIENT = "client"
    MQTT = "mqtt"
    LEAF = "leaf"


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of the transport."""

    ip: str = ""
    port: int = 0
    tls: TlsFacts | None = None

    def __str__(self) -> str:
        return f"{self.ip}:{self.port}"


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What the connection takes over from its upgrade request; empty texts where the request said nothing.

    `ip` is the peer's, or the client's own when a proxy says so (X-Forwarded-For); it is for showing only. The
    cookies stand in for CONNECT fields that the client leaves empty.
    """

    kind: UpgradeKind
    framing: WebsocketFraming
    ip: str
    port: int
    tls: TlsFacts | None = None
    cookie_jwt: str = ""
    cookie_user: str = ""
    cookie_password: str = ""
    cookie_token: str = ""


class UpgradeRefused(Exception):
    """The request gets `status` and no WebSocket; the text is for the log."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


UpgradeHandler = Callable[[Upgrade], Connection]
"""Makes the connection for one upgrade. Its framing is set and its transport attached by the caller."""


class UpgradeRules:
    """What one listener accepts. `kinds` are those the server has a handler for."""

    def __init__(self, options: WebsocketOptions, kinds: frozenset[UpgradeKind], *, max_payload: int) -> None:
        self._options = options
        self._kinds = kinds
        self._message_bytes_max = message_bytes_max(max_payload)
        self._allowed_origins = frozenset(_origin(origin) for origin in options.allowed_origins)
        self._deflater = Deflater() if options.is_compression_enabled else None
        self._extra_fields = tuple(options.headers.items())

    def accept(self, request: RequestHead, peer: Peer) -> tuple[Upgrade, bytes]:
        """The upgrade and the whole 101 answer. Raises `UpgradeRefused`."""
        kind = _kind(request.path)
        if kind is UpgradeKind.MQTT and kind not in self._kinds:
            raise UpgradeRefused(404, "mqtt websocket endpoint not enabled")
        key = _checked_key(request)
        self._check_origin(request, is_tls=peer.tls is not None)
        is_compressed = self._deflater is not None and _offers_deflate(request)
        is_unmasked = request.value(NO_MASKING.lower()) == "true"
        fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept_key(key))]
        if is_compressed:
            fields.append(("Sec-WebSocket-Extensions", EXTENSION_ANSWER))
        if is_unmasked:
            fields.append((NO_MASKING, "true"))
        if kind is UpgradeKind.MQTT:
            fields.append(("Sec-Websocket-Protocol", "mqtt"))
        fields.extend(self._extra_fields)
        framing = self._framing(request, kind, is_compressed, is_unmasked)
        return self._upgrade(request, peer, kind, framing), response_head(101, fields)

    def _check_origin(self, request: RequestHead, *, is_tls: bool) -> None:
        """Browsers say where a page came from; other clients send no Origin and pass (RFC 6455 section 10.2)."""
        if not self._options.is_same_origin_required and not self._allowed_origins:
            return
        text = request.value("origin") or request.value("sec-websocket-origin")
        if not text:
            return
        try:
            origin = _origin(text)
            own = _origin(f"{'https' if is_tls else 'http'}://{request.value('host')}")
        except ValueError as error:
            raise UpgradeRefused(403, f"origin not allowed: {error}") from error
        if self._options.is_same_origin_required and origin != own:
            raise UpgradeRefused(403, "origin not allowed: not same origin")
        if self._allowed_origins and origin not in self._allowed_origins:
            raise UpgradeRefused(403, "origin not allowed: not in the allowed list")

    def _framing(
        self, request: RequestHead, kind: UpgradeKind, is_compressed: bool, is_unmasked: bool
    ) -> WebsocketFraming:
        agent = request.value("user-agent")
        is_browser = kind is not UpgradeKind.LEAF and agent.startswith("Mozilla/")
        # Safari cannot read fragments of a compressed message; Chrome names Safari as well, but no Version.
        is_safari = "Version/" in agent and "Safari/" in agent
        return WebsocketFraming(
            demands_mask=not is_unmasked,
            forbids_mask=is_unmasked,
            # [MQTT-6.0.0-1]
            refuses_text=kind is UpgradeKind.MQTT,
            deflater=self._deflater if is_compressed else None,
            frame_bytes_max=FRAME_BYTES_FOR_BROWSERS if is_browser else 0,
            fragments_compressed=not is_safari,
            message_bytes_max=self._message_bytes_max,
        )

    def _upgrade(self, request: RequestHead, peer: Peer, kind: UpgradeKind, framing: WebsocketFraming) -> Upgrade:
        ip = _valid_ip(request.value("x-forwarded-for")) or peer.ip
        if kind is UpgradeKind.LEAF:
            return Upgrade(kind, framing, ip, peer.port, peer.tls)
        # The last cookie of a name counts, as in nats-server.
        cookies = {name: value for name, value in request.cookies if name}
        options = self._options
        return Upgrade(
            kind,
            framing,
            ip,
            peer.port,
            peer.tls,
            cookie_jwt=cookies.get(options.jwt_cookie, ""),
            cookie_user=cookies.get(options.user_cookie, ""),
            cookie_password=cookies.get(options.pass_cookie, ""),
            cookie_token=cookies.get(options.token_cookie, ""),
        )


def accept_key(key: str) -> str:
    """The Sec-WebSocket-Accept that belongs to a Sec-WebSocket-Key (RFC 6455 section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode() + ACCEPT_GUID, usedforsecurity=False).digest()).decode()


def _kind(path: str) -> UpgradeKind:
    if path.endswith(LEAF_PATH_END):
        return UpgradeKind.LEAF
    return UpgradeKind.MQTT if path.endswith(MQTT_PATH_END) else UpgradeKind.CLIENT


def _checked_key(request: RequestHead) -> str:
    """The key of a request that is a WebSocket upgrade by the letter (RFC 6455 section 4.2.1)."""
    if request.method != "GET":
        raise UpgradeRefused(405, "request method must be GET")
    if not request.value("host"):
        raise UpgradeRefused(400, "'Host' missing in request")
    if not request.has_token("upgrade", "websocket"):
        raise UpgradeRefused(400, "invalid value for header 'Upgrade'")
    if not request.has_token("connection", "upgrade"):
        raise UpgradeRefused(400, "invalid value for header 'Connection'")
    key = request.value("sec-websocket-key")
    try:
        is_valid = len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        is_valid = False
    if not is_valid:
        raise UpgradeRefused(400, "invalid websocket key" if key else "key missing")
    if not request.has_token("sec-websocket-version", "13"):
        raise UpgradeRefused(400, "invalid version")
    return key


def _offers_deflate(request: RequestHead) -> bool:
    offers = [offer for value in request.values("sec-websocket-extensions") for offer in value.split(",")]
    return any(part.strip(" \t").lower() == EXTENSION for offer in offers for part in offer.split(";"))


def _origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of an origin, default ports filled in. Raises ValueError when it is none."""
    parts = urlsplit(url)
    if not parts.scheme:
        raise ValueError(f'parse "{url}": missing protocol scheme')
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _valid_ip(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text)) if text else ""
    except ValueError:
        return ""


class UpgradeProtocol(asyncio.Protocol):
    """Reads requests until one is a good upgrade, answers it, and gives the transport to the connection.

    Each request has `timeout_s`. A client must wait for the answer before it sends frames: bytes behind the request end
    the connection, as in nats-server, for whoever sends them may be smuggling them past a proxy.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        rules: UpgradeRules,
        handlers: Mapping[UpgradeKind, UpgradeHandler],
        *,
        timeout_s: float,
    ) -> None:
        self._loop = loop
        self._rules = rules
        self._handlers = handlers
        self._timeout_s = timeout_s
        self._reader = RequestReader()
        self._transport: asyncio.Transport | None = None
        self._peer = Peer()
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the interface of asyncio.Transport, not its type.
        self._transport = cast(asyncio.Transport, transport)
        address = transport.get_extra_info("peername")
        if isinstance(address, tuple):
            self._peer = Peer(str(address[0]), int(address[1]), peer_facts(transport))
        self._wait_request()

    def connection_lost(self, error: Exception | None) -> None:
        self._stop_waiting()
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._reader.receive_data(data)
        while self._transport is not None and not self._transport.is_closing():
            try:
                request = self._reader.next_request()
            except ProtocolViolation as violation:
                self._end(error_response(violation.text_for_peer))
                return
            if request is None:
                return
            self._answer(request)

    def _answer(self, request: RequestHead) -> None:
        assert self._transport is not None
        try:
            upgrade, answer = self._rules.accept(request, self._peer)
        except UpgradeRefused as refusal:
            self._log(str(refusal))
            self._transport.write(_refusal(refusal.status, request))
            if request.keeps_alive:
                self._wait_request()
            else:
                self._end(b"")
            return
        if self._reader.has_unread:
            self._log("client sent data before handshake is complete")
            self._end(b"")
        else:
            self._hand_over(upgrade, answer)

    def _hand_over(self, upgrade: Upgrade, answer: bytes) -> None:
        transport = self._transport
        assert transport is not None
        self._stop_waiting()
        self._transport = None
        handler = self._handlers.get(upgrade.kind)
        if handler is None:
            # A link must learn it from the socket, as from nats-server: there is no text for it before the handshake.
            self._log(f"not configured to accept {upgrade.kind.value} connections")
            transport.write(answer)
            transport.close()
            return
        connection = handler(upgrade)
        connection.framing = upgrade.framing
        transport.write(answer)
        # Compiled classes have the methods of asyncio.BufferedProtocol, not its type.
        transport.set_protocol(cast(asyncio.BaseProtocol, connection))
        connection.connection_made(transport)

    def _wait_request(self) -> None:
        self._stop_waiting()
        if self._timeout_s > 0:
            self._deadline = self._loop.call_later(self._timeout_s, self._give_up)

    def _give_up(self) -> None:
        self._log("timeout waiting for the upgrade request")
        self._end(error_response("400 Bad Request"))

    def _end(self, answer: bytes) -> None:
        self._stop_waiting()
        if self._transport is not None:
            if answer:
                self._transport.write(answer)
            self._transport.close()

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _log(self, reason: str) -> None:
        logger.error("%s - websocket handshake error: %s", self._peer, reason)


def _refusal(status: int, request: RequestHead) -> bytes:
    """The answer to a request that is HTTP, but no upgrade we accept; fields as nats-server's."""
    text = {400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed"}[status] + "\n"
    fields = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Sec-Websocket-Version", "13"),
        ("X-Content-Type-Options", "nosniff"),
        ("Date", http_date()),
        ("Content-Length", str(len(text))),
    ]
    if not request.keeps_alive:
        fields.append(("Connection", "close"))
    return response_head(status, fields) + (b"" if request.method == "HEAD" else text.encode())
