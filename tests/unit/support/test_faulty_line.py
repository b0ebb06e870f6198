"""The bad line does what it is told."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest

from tests.support.faulty_line import FaultyLine

pytestmark = pytest.mark.oracle


def echo_server() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(4096):
                connection.sendall(data)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener


def test_all_its_faults() -> None:
    with echo_server() as server, FaultyLine(server.getsockname()[1]) as line:

        def connected() -> socket.socket:
            return socket.create_connection(("127.0.0.1", line.port), timeout=2)

        first = connected()
        first.sendall(b"a")
        assert first.recv(1) == b"a"
        line.stall()
        first.sendall(b"b")
        first.settimeout(0.2)
        with pytest.raises(TimeoutError):
            first.recv(1)
        line.heal()
        first.settimeout(2)
        assert first.recv(1) == b"b"
        line.half_open()
        first.sendall(b"lost")
        first.settimeout(0.2)
        with pytest.raises(TimeoutError):
            first.recv(1)
        second = connected()
        second.sendall(b"c")
        assert second.recv(1) == b"c"
        line.cut()
        with contextlib.suppress(ConnectionError):
            assert second.recv(1) == b""
        line.refuse()
        third = connected()
        assert third.recv(1) == b""
        line.heal()
        line.bytes_per_second = 1000
        fourth = connected()
        started = time.monotonic()
        fourth.sendall(b"x" * 200)
        assert fourth.recv(1) == b"x"
        assert time.monotonic() - started > 0.15
        for end in (first, second, third, fourth):
            end.close()


def test_a_later_connect_overtakes_an_earlier() -> None:
    with echo_server() as server, FaultyLine(server.getsockname()[1]) as line:

        def connected() -> socket.socket:
            return socket.create_connection(("127.0.0.1", line.port), timeout=5)

        line.reorder()
        first = connected()
        first.sendall(b"1")
        first.settimeout(0.2)
        with pytest.raises(TimeoutError):
            first.recv(1)
        second = connected()
        second.sendall(b"2")
        assert second.recv(1) == b"2"
        first.settimeout(5)
        assert first.recv(1) == b"1"
        third = connected()
        third.sendall(b"3")
        third.settimeout(0.2)
        with pytest.raises(TimeoutError):
            third.recv(1)
        line.heal()
        third.settimeout(5)
        assert third.recv(1) == b"3"
        for end in (first, second, third):
            end.close()
