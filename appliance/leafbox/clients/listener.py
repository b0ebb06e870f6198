"""The TCP listener for NATS clients: accepts, does TLS in the configured order, and hands over to `ClientConnection`.

A listener without TLS is served by the event loop alone. With TLS each accepted socket goes through `tls_accept`,
because INFO may have to be sent in clear text first and clients may choose.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import cast

from leafbox.clients.client import ClientConnection
from leafbox.clients.context import ClientContext
from leafbox.security.tls import TlsListener
from leafbox.security.tls_accept import HandshakeFailed, TlsFacts, accept

# Connections that wait to be accepted: a site's sensors all reconnect at once after a power cut.
BACKLOG = 1024
# Sockets in their TLS handshake at once; further ones wait in the backlog. Bounds memory and CPU before login.
HANDSHAKES_MAX = 256

TlsReady = Callable[[TlsFacts | None], asyncio.BaseProtocol]


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port -1 or 0 takes a free one. Raises OSError with the address in its text."""
    if host == "::" or ":" in host:
        listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    else:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, max(port, 0)))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"listen {host}:{port}: {error.strerror}") from error
    listener.setblocking(False)
    return listener


class ClientListener:
    """Listens on one socket. `tls` None: clear text."""

    def __init__(
        self,
        context: ClientContext,
        listener: socket.socket,
        tls: TlsListener | None,
        tasks: asyncio.TaskGroup,
        logger: logging.Logger,
    ) -> None:
        self._context = context
        self._socket = listener
        self.tls = tls
        self._tasks = tasks
        self._logger = logger
        self._server: asyncio.AbstractServer | None = None
        self._acceptor: asyncio.Task[None] | None = None
        self._handshakes = asyncio.Semaphore(HANDSHAKES_MAX)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._socket.getsockname()[1])

    async def start(self) -> None:
        """Begin to accept."""
        if self.tls is None:
            loop = asyncio.get_running_loop()
            # A duplicate, because a server closes its socket at its end and TLS may be switched on later.
            self._server = await loop.create_server(self.make_protocol, sock=self._socket.dup(), backlog=BACKLOG)
        else:
            self._acceptor = self._tasks.create_task(self._accept_all(), name="client listener")

    def make_protocol(self) -> asyncio.BaseProtocol:
        """The protocol of one accepted socket that speaks no TLS."""
        # Compiled classes have the methods of asyncio.BufferedProtocol, not its type.
        return cast(asyncio.BaseProtocol, ClientConnection(self._context))

    def hello_and_protocol(self, ip: str, port: int) -> tuple[bytes, TlsReady]:
        """What is sent in clear text before the TLS handshake, and what takes over once the facts of it are known."""
        client = ClientConnection(self._context, ip, port)
        client.first_info_sent = True

        def take_over(facts: TlsFacts | None) -> asyncio.BaseProtocol:
            client.tls = facts
            return cast(asyncio.BaseProtocol, client)

        return client.hello(), take_over

    def use_tls(self, tls: TlsListener | None) -> None:
        """After a reload: TLS for new connections, also on and off. Live connections stay, as in nats-server."""
        is_switched = (tls is None) != (self.tls is None)
        self.tls = tls
        self.describe_tls()
        if is_switched:
            self._stop_accepting()
            self._tasks.create_task(self.start(), name="client listener switches TLS")

    def describe_tls(self) -> None:
        """Bring INFO and the login rules in line with `tls`."""
        said = self.tls.info_fields() if self.tls is not None else {}
        self._context.with_facts(
            is_tls_required=said.get("tls_required", False),
            is_tls_verified=said.get("tls_verify", False),
            is_tls_available=said.get("tls_available", False),
        )
        self._set_certificate_rule()

    def _set_certificate_rule(self) -> None:
        maps_certificates = self.tls is not None and self.tls.maps_certificates
        self._context.rules = replace(self._context.rules, maps_certificates=maps_certificates)

    def stop(self) -> None:
        """Accept no more; live connections stay."""
        self._stop_accepting()
        self._socket.close()

    def _stop_accepting(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._acceptor is not None:
            self._acceptor.cancel()
            self._acceptor = None

    async def _accept_all(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._handshakes.acquire()
            try:
                accepted, peer = await loop.sock_accept(self._socket)
            except OSError as error:
                self._handshakes.release()
                # Out of descriptors, or the peer was gone already: neither ends the listener.
                self._logger.warning("accept failed: %s", error)
                await asyncio.sleep(0.1)
                continue
            except asyncio.CancelledError:
                self._handshakes.release()
                raise
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._tasks.create_task(self._shake_hands(accepted, str(peer[0]), int(peer[1])), name="tls handshake")

    async def _shake_hands(self, accepted: socket.socket, ip: str, port: int) -> None:
        tls = self.tls
        hello, take_over = self.hello_and_protocol(ip, port)
        try:
            if tls is None:
                raise HandshakeFailed("TLS was switched off meanwhile")
            await accept(asyncio.get_running_loop(), accepted, tls, hello, take_over)
        except (HandshakeFailed, OSError) as failure:
            text = str(failure) if isinstance(failure, HandshakeFailed) else f"TLS handshake error: {failure}"
            self._logger.error("%s:%d - %s", ip, port, text)
        finally:
            self._handshakes.release()
