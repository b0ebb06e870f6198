"""From a hub's URL to a transport with a `DialledLink` on it: DNS, TCP, proxy, TLS, WebSocket; each fails by name.

TLS starts after the hub's first INFO unless `handshake_first` is set, so that INFO is read from the bare socket, byte
exactly: the hub says nothing more before it hears from us. Credentials are sent only after the peer has proved itself,
and never in clear text to a hub that TLS was configured for.
"""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import ssl
from typing import cast

from leafbox.dataplane.websocket_framing import WebsocketFraming, message_bytes_max
from leafbox.leaf.config import LeafOptions, LeafRemoteOptions, LeafUrl
from leafbox.leaf.dialled import DialledLink
from leafbox.leaf.failures import Failure, FailureKind, UplinkFailed, failure_of_error
from leafbox.leaf.tunnel import open_tunnel, proxy_address
from leafbox.protocol.errors import ConfigError, ProtocolViolation
from leafbox.protocol.leaf_info import decode_leaf_info
from leafbox.security.config import TlsOptions
from leafbox.security.tls import client_context, pin_refusal
from leafbox.security.tls_accept import peer_facts

# INFO with hundreds of cluster addresses stays below it; more is no INFO.
INFO_BYTES_MAX = 64 * 1024
UPGRADE_BYTES_MAX = 16 * 1024


async def dial(link: DialledLink, options: LeafOptions) -> None:
    """Connect `link` and let its handshake begin. Raises `UplinkFailed`; the socket is closed then."""
    remote, url = link.remote, link.url
    where = f"{url.host}:{url.port}"
    try:
        tls = _tls_context(remote, url)
        connection = await _reach(remote, url, remote.dial_timeout_s or options.dial_timeout_s)
        await _open(link, connection, tls, where)
    except (OSError, ssl.SSLError) as error:
        raise UplinkFailed(failure_of_error(error, where)) from error


async def probe_transport(remote: LeafRemoteOptions, url: LeafUrl, timeout_s: float) -> str:
    """Walk the way up to, not including, the login and close again; what was found on it. Raises as `dial`'s steps."""
    where = f"{url.host}:{url.port}"
    tls = _tls_context(remote, url)
    connection = await _reach(remote, url, timeout_s)
    try:
        if not url.is_websocket and not (remote.tls is not None and remote.tls.is_handshake_first):
            tls = _upgrade(await _read_info(connection, remote.first_info_timeout_s, where), tls, remote)
        if tls is None:
            return "TCP, no TLS"
        options = remote.tls or TlsOptions()
        transport, _ = await asyncio.get_running_loop().create_connection(
            asyncio.Protocol, sock=connection, ssl=tls, server_hostname=url.host,
            ssl_handshake_timeout=options.timeout_s,
        )  # fmt: skip
        version = transport.get_extra_info("ssl_object").version()
        transport.abort()
        return f"TCP, {version}"
    finally:
        connection.close()


def _tls_context(remote: LeafRemoteOptions, url: LeafUrl) -> ssl.SSLContext | None:
    if remote.tls is None and url.scheme not in ("tls", "wss"):
        return None
    return _client_context(remote)


def _client_context(remote: LeafRemoteOptions) -> ssl.SSLContext:
    try:
        return client_context(remote.tls)
    except ConfigError as error:
        raise UplinkFailed(Failure(FailureKind.TLS, f"TLS: {error}")) from error


async def _reach(remote: LeafRemoteOptions, url: LeafUrl, timeout_s: float) -> socket.socket:
    """A TCP connection to the hub, through the proxy if there is one."""
    proxy = remote.proxy
    if proxy is None:
        return await _connect(url.host, url.port, timeout_s)
    host, port = proxy_address(proxy)
    try:
        connection = await _connect(host, port, timeout_s)
    except (OSError, TimeoutError) as error:
        failure = failure_of_error(error, f"the proxy {host}:{port}")
        raise UplinkFailed(Failure(FailureKind.PROXY, failure.text)) from error
    try:
        await open_tunnel(connection, proxy, url, proxy.timeout_s or timeout_s)
        # The event loop lets go of the descriptor in its next turn.
        await asyncio.sleep(0)
    except BaseException:
        connection.close()
        raise
    return connection


async def _connect(host: str, port: int, timeout_s: float) -> socket.socket:
    """A TCP connection to the first address of the host that takes one."""
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: Exception = OSError("no address")
    for family, kind, protocol, _, address in addresses:
        connection = socket.socket(family, kind, protocol)
        connection.setblocking(False)
        try:
            await asyncio.wait_for(loop.sock_connect(connection, address), timeout_s)
        except (OSError, TimeoutError) as error:
            connection.close()
            failure = error
            continue
        except BaseException:
            connection.close()
            raise
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection
    raise failure


async def _open(link: DialledLink, connection: socket.socket, tls: ssl.SSLContext | None, where: str) -> None:
    remote, url = link.remote, link.url
    if url.is_websocket:
        await _attach(link, connection, tls if url.scheme == "wss" else None)
        return
    line = b""
    if remote.tls is None or not remote.tls.is_handshake_first:
        try:
            line = await _read_info(connection, remote.first_info_timeout_s, where)
            tls = _upgrade(line, tls, remote)
        except BaseException:
            connection.close()
            raise
    await _attach(link, connection, tls, line)


def _upgrade(line: bytes, tls: ssl.SSLContext | None, remote: LeafRemoteOptions) -> ssl.SSLContext | None:
    """Whether TLS follows INFO: the hub says so, and we may insist on it."""
    try:
        is_offered = decode_leaf_info(line[5:]).tls_required
    except ProtocolViolation as error:
        raise UplinkFailed(Failure(FailureKind.PROTOCOL, "the hub's INFO is not readable")) from error
    if is_offered:
        return tls or _client_context(remote)
    if tls is not None:
        raise UplinkFailed(Failure(FailureKind.TLS, "TLS is configured for this hub, but the hub does not offer it"))
    return None


async def _read_info(connection: socket.socket, timeout_s: float, where: str) -> bytes:
    """The INFO line, without its end."""
    loop = asyncio.get_running_loop()
    received = b""
    try:
        async with asyncio.timeout(timeout_s):
            while b"\n" not in received and len(received) < INFO_BYTES_MAX:
                piece = await loop.sock_recv(connection, 4096)
                if not piece:
                    raise UplinkFailed(Failure(FailureKind.CLOSED, f"{where} closed the connection without a word"))
                received += piece
    except TimeoutError as error:
        text = f"{where} sent no INFO within {timeout_s:g} s (first_info_timeout)"
        raise UplinkFailed(Failure(FailureKind.NO_INFO, text)) from error
    line, _, behind = received.partition(b"\n")
    if not line.startswith(b"INFO "):
        raise UplinkFailed(Failure(FailureKind.PROTOCOL, f"{where} is no NATS server, or TLS comes first there"))
    if behind.startswith(b"-ERR"):
        raise UplinkFailed(Failure(FailureKind.CLOSED, f"{where} says: {behind.strip().decode('utf-8', 'replace')}"))
    # The event loop lets go of the descriptor in its next turn.
    await asyncio.sleep(0)
    return line.rstrip(b"\r")


async def _attach(
    link: DialledLink, connection: socket.socket, tls: ssl.SSLContext | None, info_line: bytes = b""
) -> None:
    """Give the socket to the event loop, which closes it from now on, with the link as its protocol."""
    loop = asyncio.get_running_loop()
    url = link.url
    options = link.remote.tls or TlsOptions()
    upgrade = _WebsocketUpgrade(url, link) if url.is_websocket else None
    # Compiled classes have the methods of asyncio.BufferedProtocol, not its type.
    protocol = upgrade or cast(asyncio.BaseProtocol, link)
    if tls is None:
        transport, _ = await loop.create_connection(lambda: protocol, sock=connection)
    else:
        transport, _ = await loop.create_connection(
            lambda: protocol,
            sock=connection,
            ssl=tls,
            server_hostname=url.host,
            ssl_handshake_timeout=options.timeout_s,
        )
    facts = peer_facts(transport)
    if facts is not None and (refusal := pin_refusal(options.pinned_certs, facts)):
        transport.abort()
        raise UplinkFailed(Failure(FailureKind.TLS_UNTRUSTED, f"TLS: {refusal}"))
    if upgrade is not None:
        await upgrade.wait_done(link.remote.first_info_timeout_s)
    link.begin(facts)
    if info_line:
        link.feed(info_line + b"\r\n")


class _WebsocketUpgrade(asyncio.Protocol):
    """Asks for the upgrade and puts the link in its place once the hub has agreed (RFC 6455 section 4.1)."""

    def __init__(self, url: LeafUrl, link: DialledLink) -> None:
        self._url = url
        self._link = link
        self._received = b""
        self._transport: asyncio.Transport | None = None
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def wait_done(self, timeout_s: float) -> None:
        """Until the link has the transport. Raises `UplinkFailed`."""
        try:
            await asyncio.wait_for(self._done, timeout_s)
        except TimeoutError as error:
            self._abort()
            raise UplinkFailed(Failure(FailureKind.WEBSOCKET, "the hub does not answer the upgrade request")) from error

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        url = self._url
        host = f"[{url.host}]" if ":" in url.host else url.host
        lines = [
            f"GET {url.path.rstrip('/')}/leafnode HTTP/1.1",
            f"Host: {host}:{url.port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            "Sec-WebSocket-Version: 13",
        ]
        if self._link.remote.is_websocket_masking_unwanted:
            lines.append("Nats-No-Masking: true")
        self._transport.write("\r\n".join([*lines, "", ""]).encode())

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, behind = self._received.partition(b"\r\n\r\n")
        if not found:
            if len(self._received) > UPGRADE_BYTES_MAX:
                self._refuse("its answer does not end")
            return
        status = head.split(b"\r\n", 1)[0].decode("ascii", "replace")
        if status.split(" ")[1:2] != ["101"]:
            self._refuse(f"it answers {status}")
            return
        if not self._done.done():
            self._hand_over(head.lower(), behind)

    def connection_lost(self, error: Exception | None) -> None:
        self._refuse("it closed the connection")

    def _hand_over(self, head: bytes, behind: bytes) -> None:
        link, transport = self._link, self._transport
        assert transport is not None
        is_unmasked = b"nats-no-masking: true" in head
        limit = message_bytes_max(link.context.broker.options.payload_bytes_max)
        # A server never masks; the accept key proves nothing that TLS does not prove better.
        link.framing = WebsocketFraming(demands_mask=False, masks_output=not is_unmasked, message_bytes_max=limit)
        transport.set_protocol(cast(asyncio.BaseProtocol, link))
        link.connection_made(transport)
        self._done.set_result(None)
        if behind:
            link.feed(behind)

    def _refuse(self, why: str) -> None:
        if not self._done.done():
            failure = Failure(FailureKind.WEBSOCKET, f"the hub does not open a WebSocket: {why}")
            self._done.set_exception(UplinkFailed(failure))
        self._abort()

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
