"""Strangers in great numbers: half-open connections, garbage, a subscriber that never reads. Others keep being served.

Memory is read from /proc: it must stay bounded by what is configured, not grow with what the strangers send.
"""

from __future__ import annotations

import contextlib
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.blocking_client import BlockingClient
from tests.support.servers import ServerKind, ServerProcess, StartServer

pytestmark = pytest.mark.slow

HALF_OPEN = 500
GARBAGE_CONNECTIONS = 10_000
GARBAGE_AT_ONCE = 200
KIB = 1024


def resident_kib(server: ServerProcess) -> int:
    """Resident memory of the server's process."""
    lines = Path(f"/proc/{server.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1])


@contextlib.contextmanager
def many_files() -> Iterator[None]:
    """Enough file descriptors for the test's own ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def is_served(server: ServerProcess) -> bool:
    """Whether a new client gets its message through."""
    with BlockingClient(server.client_port) as client:
        client.login(user="a", **{"pass": "a"}, protocol=0)
        return b"MSG ping 1 2\r\nok\r\n" in client.ask(b"SUB ping 1\r\nPUB ping 2\r\nok\r\n")


@pytest.mark.capability("SE23")
def test_half_open_connections_that_send_garbage(start_server: StartServer) -> None:
    """500 sockets that never log in and announce endless lines: a few MiB at most, gone after the time-out."""
    server = start_server(ServerKind.LEAFBOX, config="authorization { user: a, password: a, timeout: 2 }")
    before = resident_kib(server)
    with many_files():
        strangers = [socket.create_connection(("127.0.0.1", server.client_port)) for _ in range(HALF_OPEN)]
        for stranger in strangers:
            with contextlib.suppress(OSError):
                stranger.sendall(b"CONNECT " + b"x" * 4000)
        assert is_served(server)
        grown = resident_kib(server) - before
        assert grown < HALF_OPEN * 24, f"{grown} KiB for {HALF_OPEN} strangers"
        deadline = time.monotonic() + 20
        for stranger in strangers:
            stranger.settimeout(max(deadline - time.monotonic(), 0.1))
            with contextlib.suppress(ConnectionError):
                while stranger.recv(65536):
                    pass
            stranger.close()
    assert is_served(server)


@pytest.mark.capability("SE23", "C08")
def test_ten_thousand_connections_with_garbage(start_server: StartServer) -> None:
    server = start_server(ServerKind.LEAFBOX, config="authorization { user: a, password: a }")
    assert is_served(server)
    before = resident_kib(server)
    garbage = (b"\x00\xff" * 100, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", b"PUB a 99999999999\r\n", b"\r\n")
    with many_files():
        for start in range(0, GARBAGE_CONNECTIONS, GARBAGE_AT_ONCE):
            strangers = []
            for number in range(start, start + GARBAGE_AT_ONCE):
                stranger = socket.create_connection(("127.0.0.1", server.client_port))
                with contextlib.suppress(OSError):
                    stranger.sendall(garbage[number % len(garbage)])
                strangers.append(stranger)
            for stranger in strangers:
                stranger.close()
    assert is_served(server)
    # The ring of closed connections (max_closed_clients: 10,000) is the largest thing that stays.
    assert resident_kib(server) - before < 40 * KIB


@pytest.mark.capability("C17")
def test_a_subscriber_that_never_reads(start_server: StartServer) -> None:
    """It is cut off at max_pending; what it held is given back, and other subscribers get everything."""
    config = "max_pending: 8388608\nno_fast_producer_stall: false\nauthorization { user: a, password: a }"
    server = start_server(ServerKind.LEAFBOX, config=config)
    with BlockingClient(server.client_port) as silent, BlockingClient(server.client_port) as reader:
        for client in (silent, reader):
            client.login(user="a", **{"pass": "a"}, protocol=0)
        silent.ask(b"SUB flood 1\r\n")
        before = resident_kib(server)
        payload = b"x" * 65536
        with BlockingClient(server.client_port) as publisher:
            publisher.login(user="a", **{"pass": "a"}, protocol=0)
            for _ in range(600):
                publisher.send(b"PUB flood %d\r\n%b\r\n" % (len(payload), payload))
            publisher.ask()
            assert resident_kib(server) - before < 24 * KIB
            reader.ask(b"SUB after 2\r\n")
            publisher.ask(b"PUB after 2\r\nok\r\n")
        assert reader.ask() == b"MSG after 2 2\r\nok\r\nPONG\r\n"
        server.wait_for_log("Slow Consumer Detected")
