"""The TCP listener for leafs: accepts, does TLS in the configured order, hands over to `AcceptedLink`."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from typing import cast

from leafbox.leaf.accepted import AcceptedLink, LeafDoor
from leafbox.security.tls import TlsListener
from leafbox.security.tls_accept import HandshakeFailed, TlsFacts, accept

# Sockets in their TLS handshake at once; further ones wait in the backlog.
HANDSHAKES_MAX = 64
ACCEPT_RETRY_S = 0.1


class LeafListener:
    """Listens on one bound socket. `tls` None: clear text."""

    def __init__(self, door: LeafDoor, listener: socket.socket, tls: TlsListener | None) -> None:
        self.door = door
        self.tls = tls
        self._socket = listener
        self._acceptor: asyncio.Task[None] | None = None
        self._handshakes = asyncio.Semaphore(HANDSHAKES_MAX)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Begin to accept."""
        self._acceptor = self.door.context.tasks.create_task(self._accept_all(), name="leaf listener")

    def use_tls(self, tls: TlsListener | None) -> None:
        """After a reload: for new links."""
        self.tls = tls
        said = tls.info_fields() if tls is not None else {}
        self.door.is_tls_required = said.get("tls_required", False)
        self.door.is_tls_verified = said.get("tls_verify", False)
        self.door.rules = replace(self.door.rules, maps_certificates=tls is not None and tls.maps_certificates)

    def stop(self) -> None:
        """Accept no more; live links stay."""
        if self._acceptor is not None:
            self._acceptor.cancel()
            self._acceptor = None
        self._socket.close()

    async def _accept_all(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._handshakes.acquire()
            try:
                accepted, peer = await loop.sock_accept(self._socket)
            except OSError as error:
                self._handshakes.release()
                self.door.context.logger.warning("accept failed: %s", error)
                await asyncio.sleep(ACCEPT_RETRY_S)
                continue
            except asyncio.CancelledError:
                self._handshakes.release()
                raise
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.door.context.tasks.create_task(
                self._welcome(accepted, str(peer[0]), int(peer[1])), name="leaf handshake"
            )

    async def _welcome(self, accepted: socket.socket, ip: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        tls = self.tls
        link = AcceptedLink(self.door, ip, port, is_greeted=tls is not None)
        try:
            if tls is None:
                await loop.connect_accepted_socket(lambda: cast(asyncio.BaseProtocol, link), accepted)
                return

            def take_over(facts: TlsFacts | None) -> asyncio.BaseProtocol:
                link.tls = facts
                # Compiled classes have the methods of asyncio.BufferedProtocol, not its type.
                return cast(asyncio.BaseProtocol, link)

            own = accepted.getsockname()
            await accept(loop, accepted, tls, link.hello(f"{own[0]}:{own[1]}"), take_over)
        except (HandshakeFailed, OSError) as failure:
            text = str(failure) if isinstance(failure, HandshakeFailed) else f"TLS handshake error: {failure}"
            self.door.context.logger.error("%s:%d - %s", ip, port, text)
        finally:
            self._handshakes.release()
