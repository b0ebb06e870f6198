"""The connection shell on real sockets: both event loops, plain TCP and TLS, with kernel buffers that fill up.

The steps of one connection are in `test_connection.py`; here is what only a real transport shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, NamedTuple, cast

import pytest
import trustme
import uvloop

from leafbox.dataplane import connection as connection_module
from leafbox.dataplane.connection import Engine
from leafbox.dataplane.routing import AccountPlane
from tests.support.playbook import ScriptedClient


class Streams(NamedTuple):
    """The client's end of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    transport: asyncio.Transport


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
SMALL_SOCKET_BUFFER = 4096


class Service:
    """A listener whose connections share one account; `dial` gives a client and the connection that serves it."""

    def __init__(self, contexts: tuple[ssl.SSLContext, ssl.SSLContext] | None) -> None:
        self.engine = Engine(asyncio.get_running_loop())
        self.account = AccountPlane()
        self.contexts = contexts
        self.accepted: asyncio.Queue[ScriptedClient] = asyncio.Queue()
        self.errors: list[dict[str, Any]] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        # Accepted sockets inherit it: the kernel holds little, so writes are cut.
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_SOCKET_BUFFER)
        self.dialled: list[Streams] = []

    def _accepted(self) -> ScriptedClient:
        connection = ScriptedClient(self.engine)
        connection.account = self.account
        self.accepted.put_nowait(connection)
        return connection

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self.errors.append(context))
        self.server = await loop.create_server(
            self._accepted, sock=self.listener, ssl=self.contexts[0] if self.contexts else None
        )

    async def dial(self, limit: int = 65536) -> tuple[Streams, ScriptedClient]:
        """Connect; the client's kernel buffer is small as well."""
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_SOCKET_BUFFER)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, self.listener.getsockname())
        tls: dict[str, Any] = {"ssl": self.contexts[1], "server_hostname": "localhost"} if self.contexts else {}
        reader, writer = await asyncio.open_connection(sock=client, limit=limit, **tls)
        streams = Streams(reader, writer, cast(asyncio.Transport, writer.transport))
        self.dialled.append(streams)
        return streams, await self.accepted.get()

    async def stop(self) -> None:
        self.server.close()
        for streams in self.dialled:
            streams.transport.abort()
        await asyncio.sleep(0.01)


Scenario = Callable[[Service], Awaitable[None]]
RunScenario = Callable[[Scenario], None]


@contextlib.asynccontextmanager
async def running(contexts: tuple[ssl.SSLContext, ssl.SSLContext] | None) -> AsyncIterator[Service]:
    service = Service(contexts)
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS contexts of a server and of a client that trusts it."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    authority.configure_trust(client)
    return server, client


def run_on(loop_name: str, main: Coroutine[Any, Any, None]) -> None:
    """Run to the end on the named loop, in debug mode where the loop has one."""
    with asyncio.Runner(loop_factory=LOOPS[loop_name], debug=loop_name == "asyncio") as runner:
        runner.run(main)


@pytest.fixture(params=[(loop, link) for loop in LOOPS for link in ("tcp", "tls")], ids="-".join)
def run(request: pytest.FixtureRequest, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> RunScenario:
    """Runs a scenario against a fresh service, on each loop and link; no error may reach the loop's handler."""
    loop_name, link = request.param

    def run_scenario(scenario: Scenario) -> None:
        async def main() -> None:
            async with running(contexts if link == "tls" else None) as service:
                await asyncio.wait_for(scenario(service), 20)
                assert service.errors == []

        run_on(loop_name, main())

    return run_scenario


async def ask(streams: Streams, data: bytes, until: bytes) -> bytes:
    """Write, then read up to and including `until`."""
    streams.writer.write(data)
    return await streams.reader.readuntil(until)


@pytest.mark.capability("C03")
def test_operations_go_in_and_messages_come_out(run: RunScenario) -> None:
    async def scenario(service: Service) -> None:
        alice, _ = await service.dial()
        bob, _ = await service.dial()
        await ask(alice, b"SUB a.* 1\r\nPING\r\n", b"PONG\r\n")
        assert await ask(bob, b"PUB a.b 2\r\nhi\r\nPING\r\n", b"PONG\r\n") == b"PONG\r\n"
        assert await alice.reader.readuntil(b"hi\r\n") == b"MSG a.b 1 2\r\nhi\r\n"

    run(scenario)


@pytest.mark.capability("C03")
def test_a_silent_subscriber_keeps_getting_messages(run: RunScenario) -> None:
    """TLS transports pause at "at least" the limit: a limit of 0 stopped all output after the first write."""

    async def scenario(service: Service) -> None:
        alice, _ = await service.dial()
        await ask(alice, b"SUB a 1\r\nPING\r\n", b"PONG\r\n")
        for number in range(5):
            service.account.publish(b"a", b"message %d" % number)
            heard = await asyncio.wait_for(alice.reader.readuntil(b"message %d\r\n" % number), 2)
            assert heard == b"MSG a 1 9\r\nmessage %d\r\n" % number

    run(scenario)


@pytest.mark.capability("C20", "C04")
def test_cut_writes_keep_every_byte_in_order(run: RunScenario) -> None:
    """Direct writes, the transport's buffer and the flush that follows it take turns; the peer reads one stream."""

    async def scenario(service: Service) -> None:
        alice, served = await service.dial()
        await ask(alice, b"SUB a 1\r\nPING\r\n", b"PONG\r\n")
        expected = bytearray()
        blocked = 0
        payload = bytes(range(256)) * 40
        for number in range(300):
            body = b"%06d" % number + payload[: number * 37 % len(payload)]
            service.account.publish(b"a", body)
            expected += b"MSG a 1 %d\r\n%b\r\n" % (len(body), body)
            if number % 7 == 0:
                await asyncio.sleep(0)
            blocked += served.write_is_blocked
            if number % 50 == 49:
                expected[:] = expected.removeprefix(await alice.reader.readexactly(len(expected) // 2))
        assert blocked, "the kernel took everything: this run showed nothing"
        assert await alice.reader.readexactly(len(expected)) == expected

    run(scenario)


@pytest.mark.capability("C04")
def test_a_large_operation_arrives_whole(run: RunScenario) -> None:
    async def scenario(service: Service) -> None:
        alice, served = await service.dial(limit=4 * 1024 * 1024)
        served.max_payload = 2 * 1024 * 1024
        body = bytes(range(256)) * 4096
        await ask(alice, b"SUB a 1\r\nPING\r\n", b"PONG\r\n")
        alice.writer.write(b"PUB a %d\r\n%b\r\n" % (len(body), body))
        assert await alice.reader.readexactly(len(b"MSG a 1 1048576\r\n")) == b"MSG a 1 1048576\r\n"
        assert await alice.reader.readexactly(len(body) + 2) == body + b"\r\n"

    run(scenario)


def test_last_words_come_after_what_was_queued(run: RunScenario) -> None:
    async def scenario(service: Service) -> None:
        alice, served = await service.dial()
        await ask(alice, b"SUB a 1\r\nPING\r\n", b"PONG\r\n")
        for _ in range(20):
            service.account.publish(b"a", b"x" * 5000)
        served.close("Stale Connection", b"-ERR 'Stale Connection'\r\n")
        heard = await alice.reader.read()
        assert heard == (b"MSG a 1 5000\r\n" + b"x" * 5000 + b"\r\n") * 20 + b"-ERR 'Stale Connection'\r\n"
        assert served.close_reason == "Stale Connection"

    run(scenario)


def test_a_peer_that_reads_nothing_does_not_hold_a_closed_connection(
    run: RunScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "LINGER_S", 0.05)

    async def scenario(service: Service) -> None:
        alice, served = await service.dial()
        await ask(alice, b"SUB a 1\r\nPING\r\n", b"PONG\r\n")
        alice.transport.pause_reading()
        for _ in range(100):
            service.account.publish(b"a", b"x" * 2000)
        await asyncio.sleep(0)
        served.close("Server Shutdown")
        started = time.monotonic()
        while ("disconnected", None) not in served.events:
            await asyncio.sleep(0.01)
            assert time.monotonic() - started < 2

    run(scenario)


def test_a_peer_that_reads_late_gets_everything(run: RunScenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the peer has taken it all, the time limit finds nothing left to do."""
    monkeypatch.setattr(connection_module, "LINGER_S", 0.4)

    async def scenario(service: Service) -> None:
        alice, served = await service.dial()
        await ask(alice, b"SUB a 1\r\nPING\r\n", b"PONG\r\n")
        for _ in range(8):
            service.account.publish(b"a", b"x" * 4000)
        served.close("Server Shutdown", b"bye")
        heard = await alice.reader.read()
        assert heard.endswith(b"bye")
        assert heard.count(b"MSG a 1 4000\r\n") == 8
        await asyncio.sleep(0.5)

    run(scenario)


@pytest.mark.capability("C17")
def test_a_slow_consumer_is_cut_off_and_others_are_not(run: RunScenario) -> None:
    async def scenario(service: Service) -> None:
        slow, slow_served = await service.dial()
        quick, _ = await service.dial()
        slow_served.max_pending = 200_000
        await ask(slow, b"SUB a 1\r\nPING\r\n", b"PONG\r\n")
        await ask(quick, b"SUB a 1\r\nPING\r\n", b"PONG\r\n")
        slow.transport.pause_reading()
        line = b"MSG a 1 10000\r\n" + b"x" * 10000 + b"\r\n"
        count = 0
        while not slow_served.closed:
            service.account.publish(b"a", b"x" * 10000)
            assert await quick.reader.readexactly(len(line)) == line
            count += 1
            assert count < 2000
        assert slow_served.close_reason == "Slow Consumer (Pending Bytes)"
        assert service.engine.slow_consumers == 1
        assert slow_served.events.count(("slow consumer",)) == 1

    run(scenario)


@pytest.mark.capability("C18")
def test_a_producer_rests_and_reads_on(run: RunScenario) -> None:
    """The receiver is nearly full: its producer is not read for a few milliseconds, then everything arrives."""

    async def scenario(service: Service) -> None:
        sink, sink_served = await service.dial()
        source, source_served = await service.dial()
        # Three quarters are less than what comes, all of it is not: the producer rests and nobody is cut off.
        sink_served.max_pending = 3_050_000
        await ask(sink, b"SUB a 1\r\nPING\r\n", b"PONG\r\n")
        sink.transport.pause_reading()
        bodies = [b"%04d" % number * 1000 for number in range(750)]
        source.writer.writelines(b"PUB a 4000\r\n%b\r\n" % body for body in bodies)
        for _ in range(10_000):
            if source_served.stalls:
                break
            await asyncio.sleep(0)
        sink.transport.resume_reading()
        expected = b"".join(b"MSG a 1 4000\r\n%b\r\n" % body for body in bodies)
        received = await sink.reader.readexactly(len(expected))
        assert received == expected
        assert source_served.stalls == service.engine.stalled > 0

    run(scenario)


def test_an_error_in_a_hook_ends_one_connection(run: RunScenario) -> None:
    async def scenario(service: Service) -> None:
        alice, alice_served = await service.dial()
        bob, _ = await service.dial()
        await ask(bob, b"SUB a 1\r\nPING\r\n", b"PONG\r\n")

        def fail(*_: object) -> None:
            raise LookupError("a defect")

        alice_served.when["subscribe"] = fail
        alice.writer.write(b"PUB a 1\r\n1\r\nSUB a 1\r\nPUB a 1\r\n2\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert await alice.reader.read() == b""
        assert await ask(bob, b"PING\r\n", b"PONG\r\n") == b"MSG a 1 1\r\n1\r\nPONG\r\n"
        assert alice_served.close_reason == "Internal Error"
        (error,) = service.errors
        assert isinstance(error["exception"], LookupError)
        service.errors.clear()

    run(scenario)


def test_a_peer_that_leaves_is_noticed(run: RunScenario) -> None:
    async def scenario(service: Service) -> None:
        alice, served = await service.dial()
        await ask(alice, b"SUB a 1\r\nPING\r\n", b"PONG\r\n")
        alice.transport.abort()
        while not any(event[0] == "disconnected" for event in served.events):
            service.account.publish(b"a", b"into the void")
            await asyncio.sleep(0.001)
        assert served.closed
        assert service.account.sublist.count == 0

    run(scenario)
