"""The HTTP listener of the monitoring endpoints: requests in, answers out, everything bounded.

HTTP/1.1 with keep-alive and pipelining, no chunked requests. It has no login (nats-server has none either), so it
must be bound to a trusted address. Source: monitoring section 1, RFC 9112.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import cast

from leafbox.monitoring.endpoints import Answer
from leafbox.protocol.errors import ProtocolViolation
from leafbox.protocol.http_head import RequestReader, error_response, http_date, response_head

logger = logging.getLogger(__name__)

CONNECTIONS_MAX = 128
"""Clients served at once; a site has a handful of dashboards and probes. Further ones are closed at once."""
IDLE_S = 60.0
"""A connection that asks nothing for so long is closed; probes come every few seconds."""

Answering = Callable[[str, str], Answer]


class MonitoringListener:
    """Listens on one bound socket. `answer` gets path and query of each request, on the loop."""

    def __init__(self, listener: socket.socket, answer: Answering, tls: ssl.SSLContext | None = None) -> None:
        self._socket = listener
        self._answer = answer
        self._tls = tls
        self._server: asyncio.Server | None = None
        self.connections: set[MonitoringConnection] = set()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._socket.getsockname()[1])

    async def start(self) -> None:
        """Begin to accept."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: MonitoringConnection(loop, self._answer, self.connections), sock=self._socket, ssl=self._tls
        )

    def stop(self) -> None:
        """Accept no more and close what is open."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.end()
        self._socket.close()


class MonitoringConnection(asyncio.Protocol):
    """One client: reads heads, drops bodies, writes answers in order."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, answer: Answering, connections: set[MonitoringConnection]
    ) -> None:
        self._loop = loop
        self._answer = answer
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._reader = RequestReader()
        self._is_blocked = False
        self._idle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the interface of asyncio.Transport, not its type.
        self._transport = cast(asyncio.Transport, transport)
        if len(self._connections) >= CONNECTIONS_MAX:
            logger.warning("monitoring connection refused: %d are open", len(self._connections))
            self._transport.close()
            return
        self._connections.add(self)
        self._wait_idle()

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        self._transport = None
        if self._idle is not None:
            self._idle.cancel()

    def data_received(self, data: bytes) -> None:
        self._wait_idle()
        self._reader.receive_data(data)
        self._serve()

    def pause_writing(self) -> None:
        """A client that does not read its answers gets no more of them."""
        self._is_blocked = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._is_blocked = False
        if self._transport is not None:
            self._transport.resume_reading()
            self._serve()

    @property
    def waiting_bytes(self) -> int:
        """Bytes of answers that the client has not taken."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def end(self) -> None:
        """Close after what was written."""
        if self._transport is not None:
            self._transport.close()

    def _wait_idle(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = self._loop.call_later(IDLE_S, self._give_up)

    def _give_up(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _serve(self) -> None:
        """Answer every whole request that is there, as long as the client takes the answers."""
        while not self._is_blocked and self._transport is not None and not self._transport.is_closing():
            try:
                request = self._reader.next_request()
            except ProtocolViolation as violation:
                self._transport.write(error_response(violation.text_for_peer))
                self.end()
                return
            if request is None:
                return
            answer = self._answer(request.path, request.query)
            is_head = request.method == "HEAD"
            self._transport.write(_response(answer, is_head=is_head, keeps_alive=request.keeps_alive))
            if not request.keeps_alive:
                self.end()


def _response(answer: Answer, *, is_head: bool, keeps_alive: bool) -> bytes:
    fields = [*answer.fields, ("Content-Type", answer.content_type)]
    fields += [("Date", http_date()), ("Content-Length", str(len(answer.body)))]
    if not keeps_alive:
        fields.append(("Connection", "close"))
    return response_head(answer.status, fields) + (b"" if is_head else answer.body)
