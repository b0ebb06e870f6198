"""Brings one accepted TCP socket to the point where the connection's protocol takes over, with TLS or without.

NATS speaks first: the server's INFO goes out in plain text and the *same* socket is upgraded afterwards (core-protocol
section 1). `handshake_first` reverses that, `allow_non_tls` leaves the choice to the client (config section 9).

Approach: everything before the handshake happens on the raw, non-blocking socket, and the loop gets the socket only
once it is known whether TLS is spoken:

* INFO is sent with `socket.send`. A socket that was just accepted has an empty send buffer of many kilobytes, so a
  line of some hundred bytes is always taken whole; if the kernel takes less, the peer is not worth keeping.
* The first byte of the peer is looked at with `MSG_PEEK` and stays in the kernel for whoever reads next.
* TLS is then `loop.connect_accepted_socket(..., ssl=context)`.

The alternative, `loop.start_tls` on a running transport, was rejected: a ClientHello that arrives before the upgrade
coroutine ran lands in the plain protocol's receive buffer and has to be pushed back. Checked on uvloop 0.22 and 0.23.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

TLS_RECORD_HANDSHAKE = 0x16
"""First byte of a ClientHello: the record's content type (RFC 8446 section 5.1). No NATS operation starts with it."""

AUTO_FIRST_WAIT_S = 0.05
"""How long `handshake_first: auto` waits for a ClientHello before it sends INFO; nats-server's value."""


THROTTLED_LINE = b"-ERR 'Connection throttling is active. Please try again later.'\r\n"
"""What a peer over the handshake limit is told where INFO went out in plain text."""


class HandshakeOrder(enum.Enum):
    """Who speaks first on a TLS listener."""

    INFO_FIRST = "info first"
    TLS_FIRST = "tls first"
    TLS_FIRST_OR_INFO = "tls first, INFO after a wait"


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What is known of the peer once the handshake is done; certificates are DER, the leaf first."""

    version: str
    cipher: str
    peer_certificate: bytes | None


class TlsPolicy(Protocol):
    """What `accept` needs to know of a TLS listener; `security.tls.TlsListener` is the real one."""

    @property
    def context(self) -> ssl.SSLContext:
        """The context for *new* connections; a reload of certificates replaces it."""
        ...

    @property
    def order(self) -> HandshakeOrder: ...

    @property
    def first_wait_s(self) -> float:
        """For `TLS_FIRST_OR_INFO`: how long a ClientHello is waited for."""
        ...

    @property
    def allows_plain(self) -> bool:
        """True: a client that does not start with a ClientHello goes on in plain text (`allow_non_tls`)."""
        ...

    @property
    def handshake_timeout_s(self) -> float: ...

    def allows_connection(self, now_s: float) -> bool:
        """Count one handshake; False when there are too many in this second (`connection_rate_limit`)."""
        ...

    def refusal(self, facts: TlsFacts) -> str | None:
        """Why this peer is turned away after a good handshake (a pin that does not match), or None."""
        ...


ConnectionFactory = Callable[[TlsFacts | None], asyncio.BaseProtocol]
"""Makes the connection's protocol; `None` means that the connection goes on in plain text."""


class HandshakeFailed(Exception):
    """The peer did not get through to a usable connection; it is closed and saw at most INFO. The text is for logs."""


async def accept(
    loop: asyncio.AbstractEventLoop,
    connection: socket.socket,
    policy: TlsPolicy,
    hello: bytes,
    make_protocol: ConnectionFactory,
) -> None:
    """Send `hello` (the INFO line) and do the handshake, in the order of `policy`; then hand over.

    `connection` must be non-blocking; it belongs to this function from the call on and is closed on every failure.
    `make_protocol` runs once the outcome is known; its protocol gets `connection_made` and then bytes as from any
    other transport, and `hello` has been written before. Raises `HandshakeFailed`; the peer is closed silently then
    (as nats-server does), unless it was over the handshake limit. Cancelling closes the socket.
    """
    try:
        hello_is_sent = policy.order is HandshakeOrder.INFO_FIRST
        if hello_is_sent:
            _send_all(connection, hello)
        if policy.order is HandshakeOrder.TLS_FIRST_OR_INFO:
            first = await _wait_first_byte(loop, connection, policy.first_wait_s)
            if first != TLS_RECORD_HANDSHAKE:
                _send_all(connection, hello)
                hello_is_sent = True
        is_plain = policy.allows_plain and await _speaks_plain(loop, connection, policy.handshake_timeout_s)
        if not is_plain and not policy.allows_connection(loop.time()):
            if hello_is_sent and hello:
                _send_all(connection, THROTTLED_LINE)
            raise HandshakeFailed("TLS handshake error: connection rate limit exceeded")
        gate = _Gate(policy, b"" if hello_is_sent else hello, make_protocol)
        if is_plain:
            await loop.connect_accepted_socket(lambda: gate, connection)
        else:
            await loop.connect_accepted_socket(
                lambda: gate, connection, ssl=policy.context, ssl_handshake_timeout=policy.handshake_timeout_s
            )
    except (OSError, ssl.SSLError) as error:
        connection.close()
        raise HandshakeFailed(f"TLS handshake error: {error or type(error).__name__}") from error
    except BaseException:
        connection.close()
        raise
    if gate.failure is not None:
        raise gate.failure


async def _speaks_plain(loop: asyncio.AbstractEventLoop, connection: socket.socket, wait_s: float) -> bool:
    """True if the peer's first byte is not a ClientHello's; a peer that stays silent counts as plain.

    A silent plain client is legal until the authorization timeout, which the connection itself enforces.
    """
    return await _wait_first_byte(loop, connection, wait_s) != TLS_RECORD_HANDSHAKE


async def _wait_first_byte(loop: asyncio.AbstractEventLoop, connection: socket.socket, wait_s: float) -> int | None:
    """The peer's first byte, left unread; None if none came within `wait_s`. Raises OSError if the peer went away."""
    readable: asyncio.Future[None] = loop.create_future()

    def became_readable() -> None:
        if not readable.done():
            readable.set_result(None)

    loop.add_reader(connection, became_readable)
    try:
        await asyncio.wait_for(readable, wait_s)
    except TimeoutError:
        return None
    finally:
        loop.remove_reader(connection)
        # libuv lets go of the descriptor when the poll handle's close callback ran, in the next turn.
        await asyncio.sleep(0)
    first = connection.recv(1, socket.MSG_PEEK)
    if not first:
        raise ConnectionResetError("EOF")
    return first[0]


def _send_all(connection: socket.socket, data: bytes) -> None:
    if connection.send(data) != len(data):
        raise ConnectionAbortedError("the peer's receive window did not take INFO")


class _Gate(asyncio.BufferedProtocol):
    """Stands in until the handshake is done, so that the real protocol never sees a peer that is turned away.

    It runs in `connection_made`, before the transport delivers any decrypted byte, and swaps itself for the real
    protocol there.
    """

    def __init__(self, policy: TlsPolicy, hello: bytes, make_protocol: ConnectionFactory) -> None:
        self._policy = policy
        self._hello = hello
        self._make_protocol = make_protocol
        self.failure: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the interface of asyncio.Transport, not its type.
        transport = cast(asyncio.Transport, transport)
        try:
            self._hand_over(transport)
        except Exception as error:
            # The transport would log it and leave `accept` waiting for ever; `accept` raises it instead.
            self.failure = error
            transport.abort()

    def _hand_over(self, transport: asyncio.Transport) -> None:
        facts = peer_facts(transport)
        refusal = self._policy.refusal(facts) if facts is not None else None
        if refusal is not None:
            raise HandshakeFailed(f"TLS handshake error: {refusal}")
        if self._hello:
            transport.write(self._hello)
        protocol = self._make_protocol(facts)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        # Reached only by bytes that arrive after abort(): they are dropped.
        return memoryview(bytearray(max(sizehint, 4096)))

    def buffer_updated(self, nbytes: int) -> None:
        return None


def peer_facts(transport: asyncio.BaseTransport) -> TlsFacts | None:
    """The TLS facts of a transport, None if it speaks plain text."""
    tls = transport.get_extra_info("ssl_object")
    if tls is None:
        return None
    cipher = tls.cipher()
    certificate = None
    with contextlib.suppress(ValueError):
        certificate = tls.getpeercert(binary_form=True)
    return TlsFacts(tls.version() or "", cipher[0] if cipher else "", certificate)
