"""The listener on real sockets: keep-alive, pipelining, methods, bodies, limits."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine

import pytest
import uvloop

from leafbox.monitoring import http
from leafbox.monitoring.endpoints import NOT_FOUND, OPEN, Answer
from leafbox.monitoring.http import MonitoringListener

pytestmark = pytest.mark.capability("MO06")

GET = b"GET /varz?a=1 HTTP/1.1\r\nHost: h\r\n\r\n"


def answer(path: str, query: str) -> Answer:
    return Answer(200, "application/json", f"{path}?{query}".encode(), OPEN) if path == "/varz" else NOT_FOUND


def with_listener(body: Callable[[int], Coroutine[None, None, None]]) -> None:
    """Run `body` with the port of a listener that serves `answer`."""

    async def run() -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)
        listener = MonitoringListener(listening, answer)
        await listener.start()
        try:
            await body(listener.port)
        finally:
            listener.stop()

    uvloop.run(run())


async def talk(port: int, data: bytes, chunk: int = 0) -> bytes:
    """Everything that comes back until the server closes; the last request must ask for that."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for at in range(0, len(data), chunk or len(data)):
        writer.write(data[at : at + (chunk or len(data))])
        await writer.drain()
        await asyncio.sleep(0)
    received = await reader.read(-1)
    writer.close()
    return received


LAST = b"GET /varz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


def test_an_answer_has_the_fields_of_nats_server() -> None:
    async def body(port: int) -> None:
        head, _, content = (await talk(port, LAST)).partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        assert lines[:3] == [
            b"HTTP/1.1 200 OK",
            b"Access-Control-Allow-Origin: *",
            b"Content-Type: application/json",
        ]
        assert b"Content-Length: 6" in lines
        assert content == b"/varz?"

    with_listener(body)


@pytest.mark.parametrize("chunk", [0, 1, 13])
def test_requests_may_be_pipelined_and_cut(chunk: int) -> None:
    async def body(port: int) -> None:
        received = await talk(port, GET * 3 + LAST, chunk)
        assert received.count(b"HTTP/1.1 200 OK") == 4
        assert received.count(b"/varz?a=1") == 3

    with_listener(body)


def test_any_method_is_answered_and_bodies_are_dropped() -> None:
    async def body(port: int) -> None:
        post = b"POST /varz HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nGET / HTTP"
        head = b"HEAD /varz HTTP/1.1\r\nHost: h\r\n\r\n"
        received = await talk(port, post + head + LAST)
        assert received.count(b"HTTP/1.1 200 OK") == 3
        assert received.count(b"/varz?") == 2

    with_listener(body)


def test_unknown_paths_are_not_found() -> None:
    async def body(port: int) -> None:
        received = await talk(port, LAST.replace(b"/varz", b"/varz/"))
        assert received.startswith(b"HTTP/1.1 404 Not Found\r\nX-Content-Type-Options: nosniff\r\n")
        assert received.endswith(b"404 page not found\n")
        assert b"Access-Control" not in received

    with_listener(body)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400 Bad Request: missing required Host header"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", b"501 Not Implemented"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", b"400 Bad Request"),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999\r\n\r\n", b"413 Request Entity Too Large"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 66_000, b"431 Request Header Fields Too Large"),
    ],
)
def test_broken_requests_end_the_connection(data: bytes, status: bytes) -> None:
    async def body(port: int) -> None:
        assert (await talk(port, data)).startswith(b"HTTP/1.1 " + status)

    with_listener(body)


def test_a_silent_client_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "IDLE_S", 0.05)

    async def body(port: int) -> None:
        with pytest.raises((ConnectionResetError, AssertionError)):
            assert await talk(port, b"GET / HT")

    with_listener(body)


def test_clients_over_the_limit_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "CONNECTIONS_MAX", 1)

    async def body(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        second, second_writer = await asyncio.open_connection("127.0.0.1", port)
        assert await second.read() == b""
        writer.close()
        second_writer.close()

    with_listener(body)


def test_a_client_that_reads_nothing_holds_few_answers() -> None:
    """The answers to endlessly pipelined requests are not gathered in memory."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        listening.setblocking(False)
        listener = MonitoringListener(listening, lambda path, query: Answer(200, "text/plain", b"x" * 1000))
        await listener.start()
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", listener.port))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                while True:
                    await loop.sock_sendall(client, GET * 1000)
        (connection,) = listener.connections
        assert 0 < connection.waiting_bytes < 200_000
        client.close()
        listener.stop()

    uvloop.run(run())
