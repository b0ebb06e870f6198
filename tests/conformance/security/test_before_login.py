"""What a stranger can make the server spend before it knows him (SE23)."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack

import psutil
import pytest

from tests.support.blocking_client import CLOSED, BlockingClient
from tests.support.servers import ServerKind, StartServer

pytestmark = pytest.mark.capability("SE23")

STRANGERS = 500
GARBAGE_BYTES = 4000  # One control line short of max_control_line (4096).
GROWTH_BYTES_MAX = 60_000_000
"""500 strangers with 4 kB each are 2 MB of input; the rest is what a connection costs."""

CONFIG = "authorization { user: u, password: p, timeout: 30 }\n"


def test_half_open_sockets_with_garbage_cost_little(start_server: StartServer, server_kind: ServerKind) -> None:
    server = start_server(server_kind, config=CONFIG)
    process = psutil.Process(server.pid)
    with BlockingClient(server.client_port) as friend, ExitStack() as strangers:
        assert friend.login(user="u", **{"pass": "p"}).endswith(b"PONG\r\n")
        before = process.memory_info().rss
        for _ in range(STRANGERS):
            stranger = strangers.enter_context(socket.create_connection(("127.0.0.1", server.client_port), timeout=20))
            # Begins as CONNECT would, so that it is kept as an unfinished line.
            stranger.sendall(b'CONNECT {"name":"' + b"x" * GARBAGE_BYTES)
        assert friend.ask().endswith(b"PONG\r\n")
        assert process.memory_info().rss - before < GROWTH_BYTES_MAX
        cpu = process.cpu_times()
        time.sleep(1)
        spent = process.cpu_times()
        assert (spent.user + spent.system) - (cpu.user + cpu.system) < 0.3


def test_a_line_over_the_limit_closes_before_it_ends(start_server: StartServer, server_kind: ServerKind) -> None:
    server = start_server(server_kind, config=CONFIG)
    with BlockingClient(server.client_port) as stranger:
        stranger.send(b'CONNECT {"name":"' + b"x" * 5000)
        assert stranger.read_to_end() == b"-ERR 'maximum control line exceeded'\r\n" + CLOSED


def test_anything_but_connect_is_refused_at_once(start_server: StartServer, server_kind: ServerKind) -> None:
    server = start_server(server_kind, config=CONFIG)
    for words in (b"PUB a 100000\r\n", b"SUB a 1\r\n", b"PING\r\n", b"\r\n", b"GET / HTTP/1.1\r\n"):
        with BlockingClient(server.client_port) as stranger:
            stranger.send(words)
            assert stranger.read_to_end() == b"-ERR 'Authorization Violation'\r\n" + CLOSED, words


def test_silence_ends_after_the_timeout(start_server: StartServer, server_kind: ServerKind) -> None:
    server = start_server(server_kind, config=CONFIG.replace("timeout: 30", 'timeout: "300ms"'))
    started = time.monotonic()
    with BlockingClient(server.client_port) as stranger:
        assert stranger.read_to_end() == b"-ERR 'Authentication Timeout'\r\n" + CLOSED
    assert 0.2 < time.monotonic() - started < 10
