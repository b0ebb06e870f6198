"""Accounts fetched from a web server, on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from leafbox.protocol.jwt import JWT_BYTES_MAX
from leafbox.security.account_sources import WebSource

OK = b"HTTP/1.1 200 OK\r\n"


@contextlib.contextmanager
def web_server(answer: bytes | None) -> Iterator[tuple[int, list[bytes]]]:
    """One that answers one request so (None: not at all); its port and what it was asked."""
    asked: list[bytes] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError), listening, listening.accept()[0] as connection:
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(4096)
            asked.append(request)
            if answer is not None:
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield int(listening.getsockname()[1]), asked
    thread.join(20)
    assert not thread.is_alive()


def fetched(answer: bytes | None, timeout_s: float = 20.0) -> tuple[str | None, bytes]:
    with web_server(answer) as (port, asked):
        source = WebSource(f"http://me:s%40cret@127.0.0.1:{port}/jwt/v1/accounts/", None, timeout_s)
        found = asyncio.run(source.fetch("AKEY"))
    return found, asked[0]


def test_what_is_asked_and_what_comes() -> None:
    found, asked = fetched(OK + b"Content-Length: 5\r\n\r\ntoken and more")
    assert found is not None
    assert found.startswith("token")
    assert asked.startswith(b"GET /jwt/v1/accounts/AKEY HTTP/1.0\r\nHost: 127.0.0.1:")
    assert b"Authorization: Basic bWU6c0BjcmV0\r\n" in asked
    assert fetched(b"HTTP/1.0 200 fine\r\n\r\ntoken")[0] == "token"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 Not Found\r\n\r\nno",
        b"HTTP/1.1 302 Found\r\nLocation: /else\r\n\r\n",
        b"SSH-2.0-x\r\n\r\n",
        b"",
        OK,
        OK + b"Content-Length: 9\r\n\r\nshort",
        OK + b"Content-Length: many\r\n\r\nx",
        OK + b"X: " + b"y" * 20_000 + b"\r\n\r\nx",
        OK + b"\r\n" + b"x" * (JWT_BYTES_MAX + 1),
    ],
)
def test_answers_that_are_none(answer: bytes) -> None:
    assert fetched(answer)[0] is None


def test_a_server_that_does_not_answer() -> None:
    assert fetched(None, timeout_s=0.2)[0] is None


def test_nobody_there(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert asyncio.run(WebSource(f"http://me:s%40cret@127.0.0.1:{port}/", None).fetch("AKEY")) is None
    assert "could not be fetched from http://127.0.0.1:" in caplog.text
    assert "cret" not in caplog.text
