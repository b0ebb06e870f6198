"""A hub behind an HTTP proxy: the tunnel, its credentials, and what is said when the proxy does not play along."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.conformance.leaf.pairs import LINKED, OURS, REAL, edge_config, eventually, hub_config, leafs_of
from tests.support.certificates import TestAuthority
from tests.support.servers import ServerKind, StartServer


class ConnectProxy:
    """An HTTP proxy that only knows CONNECT. `login`: what it demands; `answer`: what it says instead of connecting."""

    def __init__(self, login: str = "", answer: bytes = b"") -> None:
        self.requests: list[bytes] = []
        self._login = login
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        for connection in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(near)
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            if not (piece := near.recv(4096)):
                return
            head += piece
        self.requests.append(head)
        expected = b"Proxy-Authorization: Basic " + base64.b64encode(self._login.encode())
        if self._login and expected not in head:
            near.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n")
        elif self._answer:
            near.sendall(self._answer)
        else:
            host, _, port = head.split(b" ")[1].decode().rpartition(":")
            far = socket.create_connection((host, int(port)))
            self._sockets.append(far)
            near.sendall(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 here\r\n\r\n")
            threading.Thread(target=_pass_on, args=(far, near), daemon=True).start()
            _pass_on(near, far)
            return
        near.close()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxies() -> Iterator[list[ConnectProxy]]:
    made: list[ConnectProxy] = []
    yield made
    for proxy in made:
        proxy.close()


@pytest.mark.capability("LF15")
@pytest.mark.parametrize(
    ("kind", "scheme"),
    # nats-server goes through the proxy with WebSocket URLs only.
    [(OURS, "nats-leaf"), (OURS, "ws"), (OURS, "wss"), (REAL, "ws"), (REAL, "wss")],
)
def test_a_hub_behind_a_proxy(
    kind: ServerKind, scheme: str, proxies: list[ConnectProxy], start_server: StartServer, authority: TestAuthority
) -> None:
    server = authority.issue_server()
    files = f'tls {{ cert_file: "{server.cert_file}", key_file: "{server.key_file}" }}'
    tls = files if scheme == "wss" else "no_tls: true"
    hub = start_server(REAL, config=hub_config(rest=f'websocket {{ listen: "127.0.0.1:-1", {tls} }}'))
    proxies.append(ConnectProxy("user:p4ss"))
    port = hub.port("leafnode" if scheme == "nats-leaf" else "websocket")
    trust = f'tls {{ ca_file: "{authority.ca_file}" }}' if scheme == "wss" else ""
    remote = f'{trust}\nproxy {{ url: "{proxies[0].url}", username: user, password: p4ss }}'
    edge = start_server(
        OURS if kind is OURS else REAL, config=edge_config(0, remote, url=f"{scheme}://localhost:{port}")
    )
    edge.wait_for_log(LINKED)
    eventually(lambda: len(leafs_of(hub)) == 1, "the hub shows the link")
    assert proxies[0].requests[0].startswith(f"CONNECT localhost:{port} HTTP/1.1\r\n".encode())


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (
            b"HTTP/1.1 403 Forbidden by policy\r\n\r\n",
            r"the proxy 127.0.0.1:\d+ refuses a connection to localhost:\d+: 403",
        ),
        (b"220 mail ready\r\n", r"the proxy 127.0.0.1:\d+ does not speak HTTP"),
    ],
    ids=["forbidden", "not a proxy"],
)
def test_a_proxy_that_refuses_is_named(
    answer: bytes, named: str, proxies: list[ConnectProxy], start_server: StartServer
) -> None:
    proxies.append(ConnectProxy(answer=answer))
    config = edge_config(0, f'proxy {{ url: "{proxies[0].url}" }}', url="ws://localhost:9")
    start_server(OURS, config=config).wait_for_log(named)


def test_wrong_credentials_for_the_proxy_are_named_and_not_shown(
    proxies: list[ConnectProxy], start_server: StartServer
) -> None:
    proxies.append(ConnectProxy("user:right"))
    remote = f'proxy {{ url: "{proxies[0].url}", username: user, password: wr0ng }}'
    edge = start_server(OURS, config=edge_config(0, remote, url="ws://localhost:9"))
    edge.wait_for_log(r"wants credentials, or others: set proxy.username and proxy.password")
    assert "wr0ng" not in edge.log


def test_a_proxy_that_is_not_there_is_named(start_server: StartServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    config = edge_config(0, f'proxy {{ url: "http://127.0.0.1:{port}" }}', url="ws://localhost:9")
    start_server(OURS, config=config).wait_for_log(rf"the proxy 127.0.0.1:{port} refuses the connection")
