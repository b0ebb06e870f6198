"""The way from an accepted socket to a running connection, over real sockets on uvloop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvloop

from leafbox.security.tls_accept import HandshakeFailed, HandshakeOrder, TlsFacts, accept
from tests.support.certificates import TestAuthority

HELLO = b'INFO {"tls_required":true} \r\n'
CLIENT_TIMEOUT_S = 10.0
LARGE = bytes(range(256)) * 2000


@dataclass
class Policy:
    """A `TlsPolicy` in plain sight."""

    context: ssl.SSLContext
    order: HandshakeOrder
    allows_plain: bool = False
    first_wait_s: float = 0.05
    handshake_timeout_s: float = 5.0
    refused_because: str | None = None
    is_throttling: bool = False

    def allows_connection(self, now_s: float) -> bool:
        return not self.is_throttling

    def refusal(self, facts: TlsFacts) -> str | None:
        return self.refused_because


class Echo(asyncio.BufferedProtocol):
    """Sends back what it gets, from a buffer it owns, as the data plane's connection does."""

    def __init__(self, facts: TlsFacts | None) -> None:
        self.facts = facts
        self.lost = asyncio.get_running_loop().create_future()
        self._buffer = bytearray(65536)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._buffer)

    def buffer_updated(self, nbytes: int) -> None:
        assert self._transport is not None
        self._transport.write(bytes(self._buffer[:nbytes]))

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set_result(error)


@dataclass
class Outcome:
    """What both sides saw."""

    client: bytes = b""
    failure: str = ""
    seconds: float = 0.0
    protocols: list[Echo] = field(default_factory=list)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TestAuthority:
    return TestAuthority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def server_context(authority: TestAuthority) -> ssl.SSLContext:
    issued = authority.issue_server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert_file, issued.key_file)
    return context


@pytest.fixture(scope="module")
def client_context(authority: TestAuthority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.ca_file))


def run_accept(policy: Policy, client: Callable[[socket.socket], bytes]) -> Outcome:
    """Accept one connection of `client` (which runs in a thread with a blocking socket) and wait for both ends."""

    async def run() -> Outcome:
        loop, outcome = asyncio.get_running_loop(), Outcome()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            running = loop.run_in_executor(None, run_client, listener.getsockname(), client)
            accepted, _ = await loop.sock_accept(listener)
            accepted.setblocking(False)
            started = time.monotonic()

            def make(facts: TlsFacts | None) -> Echo:
                outcome.protocols.append(Echo(facts))
                return outcome.protocols[-1]

            try:
                await accept(loop, accepted, policy, HELLO, make)
            except HandshakeFailed as failure:
                outcome.failure = str(failure)
            outcome.seconds = time.monotonic() - started
            outcome.client = await running
            for protocol in outcome.protocols:
                await protocol.lost
        return outcome

    return uvloop.run(run())


def run_client(address: tuple[str, int], client: Callable[[socket.socket], bytes]) -> bytes:
    with socket.create_connection(address, timeout=CLIENT_TIMEOUT_S) as connection:
        return client(connection)


def read_exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(65536)
        if not more:
            break
        data += more
    return data


@pytest.fixture
def info_then_tls(client_context: ssl.SSLContext) -> Callable[[socket.socket], bytes]:
    """The usual NATS client: reads INFO in plain text, upgrades, has a lot echoed."""

    def client(connection: socket.socket) -> bytes:
        hello = read_exactly(connection, len(HELLO))
        with client_context.wrap_socket(connection, server_hostname="localhost") as tls:
            tls.sendall(LARGE)
            return hello + read_exactly(tls, len(LARGE))

    return client


@pytest.fixture
def tls_first(client_context: ssl.SSLContext) -> Callable[[socket.socket], bytes]:
    """A `tls_handshake_first` client."""

    def client(connection: socket.socket) -> bytes:
        with client_context.wrap_socket(connection, server_hostname="localhost") as tls:
            tls.sendall(b"PING\r\n")
            return read_exactly(tls, len(HELLO) + 6)

    return client


def plain(connection: socket.socket) -> bytes:
    connection.sendall(b"PING\r\n")
    return read_exactly(connection, len(HELLO) + 6)


def until_end(connection: socket.socket) -> bytes:
    with contextlib.suppress(ConnectionResetError):
        return read_exactly(connection, 1_000_000)
    return b""


@pytest.mark.capability("SE14")
def test_info_goes_out_in_plain_text_and_the_same_socket_is_upgraded(
    server_context: ssl.SSLContext, info_then_tls: Callable[[socket.socket], bytes]
) -> None:
    outcome = run_accept(Policy(server_context, HandshakeOrder.INFO_FIRST), info_then_tls)
    assert outcome.client == HELLO + LARGE
    facts = outcome.protocols[0].facts
    assert facts is not None
    assert (facts.version, facts.peer_certificate) == ("TLSv1.3", None)


@pytest.mark.capability("SE16")
def test_handshake_first_sends_info_inside_tls(
    server_context: ssl.SSLContext, tls_first: Callable[[socket.socket], bytes]
) -> None:
    assert run_accept(Policy(server_context, HandshakeOrder.TLS_FIRST), tls_first).client == HELLO + b"PING\r\n"


@pytest.mark.capability("SE16")
def test_auto_takes_a_client_hello_at_once(
    server_context: ssl.SSLContext, tls_first: Callable[[socket.socket], bytes]
) -> None:
    policy = Policy(server_context, HandshakeOrder.TLS_FIRST_OR_INFO, first_wait_s=CLIENT_TIMEOUT_S)
    outcome = run_accept(policy, tls_first)
    assert outcome.client == HELLO + b"PING\r\n"
    assert outcome.seconds < CLIENT_TIMEOUT_S / 2


@pytest.mark.capability("SE16")
def test_auto_falls_back_to_info_for_an_old_client(
    server_context: ssl.SSLContext, info_then_tls: Callable[[socket.socket], bytes]
) -> None:
    outcome = run_accept(Policy(server_context, HandshakeOrder.TLS_FIRST_OR_INFO), info_then_tls)
    assert outcome.client == HELLO + LARGE
    assert outcome.seconds > 0.04


@pytest.mark.capability("SE16")
def test_allow_non_tls_serves_both_kinds_of_client(
    server_context: ssl.SSLContext, info_then_tls: Callable[[socket.socket], bytes]
) -> None:
    policy = Policy(server_context, HandshakeOrder.INFO_FIRST, allows_plain=True)
    assert run_accept(policy, info_then_tls).client == HELLO + LARGE
    outcome = run_accept(policy, plain)
    assert outcome.client == HELLO + b"PING\r\n"
    assert outcome.protocols[0].facts is None


@pytest.mark.capability("SE16")
def test_allow_non_tls_takes_a_silent_client_for_plain_after_the_wait(server_context: ssl.SSLContext) -> None:
    """As nats-server: the connection then lives under the authorization timeout."""

    def late(connection: socket.socket) -> bytes:
        time.sleep(0.2)
        return plain(connection)

    policy = Policy(server_context, HandshakeOrder.INFO_FIRST, allows_plain=True, handshake_timeout_s=0.05)
    assert run_accept(policy, late).client == HELLO + b"PING\r\n"


def test_plain_text_on_a_tls_listener_is_closed_silently(server_context: ssl.SSLContext) -> None:
    outcome = run_accept(Policy(server_context, HandshakeOrder.INFO_FIRST), lambda peer: plain(peer) + until_end(peer))
    assert outcome.client == HELLO
    assert "wrong version number" in outcome.failure.lower().replace("_", " ")
    assert not outcome.protocols


@pytest.mark.capability("SE23")
@pytest.mark.parametrize("order", [HandshakeOrder.INFO_FIRST, HandshakeOrder.TLS_FIRST])
def test_a_silent_client_is_closed_after_the_handshake_timeout(
    server_context: ssl.SSLContext, order: HandshakeOrder
) -> None:
    outcome = run_accept(Policy(server_context, order, handshake_timeout_s=0.1), until_end)
    assert outcome.client == (HELLO if order is HandshakeOrder.INFO_FIRST else b"")
    assert outcome.failure
    assert 0.09 < outcome.seconds < CLIENT_TIMEOUT_S  # The loop's clock counts whole milliseconds.


@pytest.mark.parametrize("order", list(HandshakeOrder))
@pytest.mark.parametrize("allows_plain", [False, True])
def test_a_client_that_goes_away_fails_the_handshake(
    server_context: ssl.SSLContext, order: HandshakeOrder, allows_plain: bool
) -> None:
    outcome = run_accept(Policy(server_context, order, allows_plain), lambda peer: b"")
    assert outcome.failure.startswith("TLS handshake error: ")
    assert not outcome.protocols


@pytest.mark.capability("SE15")
def test_a_refused_peer_never_reaches_the_protocol(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    def client(connection: socket.socket) -> bytes:
        read_exactly(connection, len(HELLO))
        with (
            contextlib.suppress(ssl.SSLError, ConnectionError),
            client_context.wrap_socket(connection, server_hostname="localhost") as tls,
        ):
            tls.sendall(b"PING\r\n")
            return read_exactly(tls, 6)
        return b""

    policy = Policy(server_context, HandshakeOrder.INFO_FIRST, refused_because="certificate not pinned")
    outcome = run_accept(policy, client)
    assert (outcome.client, outcome.protocols) == (b"", [])
    assert outcome.failure == "TLS handshake error: certificate not pinned"


@pytest.mark.capability("SE23")
@pytest.mark.parametrize("order", [HandshakeOrder.INFO_FIRST, HandshakeOrder.TLS_FIRST])
def test_over_the_limit_a_peer_is_told_if_it_can_be_and_closed(
    server_context: ssl.SSLContext, order: HandshakeOrder
) -> None:
    outcome = run_accept(Policy(server_context, order, is_throttling=True), until_end)
    told = HELLO + b"-ERR 'Connection throttling is active. Please try again later.'\r\n"
    assert outcome.client == (told if order is HandshakeOrder.INFO_FIRST else b"")
    assert "rate limit" in outcome.failure


def test_plain_clients_are_not_counted(server_context: ssl.SSLContext) -> None:
    policy = Policy(server_context, HandshakeOrder.INFO_FIRST, allows_plain=True, is_throttling=True)
    assert run_accept(policy, plain).client == HELLO + b"PING\r\n"


def test_a_failing_protocol_factory_closes_the_socket_and_is_reported(server_context: ssl.SSLContext) -> None:
    """Without the gate's catch the transport would swallow the error and `accept` would wait for ever."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.sendall(b"PING\r\n")

        def make(facts: TlsFacts | None) -> asyncio.BaseProtocol:
            raise LookupError("no room")

        policy = Policy(server_context, HandshakeOrder.INFO_FIRST, allows_plain=True)
        with theirs, pytest.raises(LookupError, match="no room"):
            await accept(loop, ours, policy, HELLO, make)
        assert ours.fileno() == -1

    uvloop.run(run())


def test_cancelling_closes_the_socket(server_context: ssl.SSLContext) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            task = asyncio.ensure_future(
                accept(
                    loop, ours, Policy(server_context, HandshakeOrder.TLS_FIRST_OR_INFO, first_wait_s=5), HELLO, Echo
                )
            )
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert ours.fileno() == -1
            theirs.settimeout(CLIENT_TIMEOUT_S)
            assert theirs.recv(100) == b""

    uvloop.run(run())


@pytest.fixture(autouse=True)
def no_descriptor_is_left_open() -> Iterator[None]:
    uvloop.run(asyncio.sleep(0))  # The first loop opens descriptors that it shares with later ones.
    before = len(list(Path("/proc/self/fd").iterdir()))
    yield
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
