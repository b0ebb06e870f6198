"""A hub and an edge, either of them a real nats-server or ours, with a leaf link between them."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.support.blocking_client import BlockingClient, messages_in
from tests.support.servers import ServerKind, ServerProcess, StartServer

REAL, OURS = ServerKind.REAL, ServerKind.LEAFBOX
WAIT_S = 15.0
LINKED = r"Leafnode connection created for account"

# (hub, edge); the pair of real servers shows the tests right.
ROLES = [(REAL, OURS), (OURS, REAL), (OURS, OURS), (REAL, REAL)]
ROLE_NAMES = ["edge", "hub", "both", "neither"]


def eventually(condition: Callable[[], Any], what: str, *, timeout_s: float = WAIT_S) -> Any:
    """The first true value of `condition`; servers of either kind offer nothing better than asking again."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.02)
    return value


def document(server: ServerProcess, path: str) -> dict[str, Any]:
    """A monitoring document; the server needs `http: "127.0.0.1:-1"`."""
    with urllib.request.urlopen(f"{server.monitor_url}/{path}", timeout=WAIT_S) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def leafs_of(server: ServerProcess) -> list[dict[str, Any]]:
    """The links as `/leafz` shows them."""
    found: list[dict[str, Any]] = document(server, "leafz?subs=1").get("leafs") or []
    return found


def interest_of(server: ServerProcess) -> set[str]:
    """Every subject that the peers of this server's links have asked for."""
    return {subject for leaf in leafs_of(server) for subject in leaf.get("subscriptions_list") or []}


def wait_interest(server: ServerProcess, *subjects: str) -> None:
    """Until the peers of `server` have asked for all of these."""
    eventually(lambda: interest_of(server) >= set(subjects), f"interest in {subjects}, not only {interest_of(server)}")


def wait_no_interest(server: ServerProcess, subject: str) -> None:
    """Until no peer of `server` asks for it any more."""
    eventually(lambda: subject not in interest_of(server), f"interest in {subject} gone")


def hub_config(listen: str = "", rest: str = "") -> str:
    """A hub with a leaf listener; `listen` goes into its block."""
    return f'http: "127.0.0.1:-1"\nserver_name: hub\nleafnodes {{ listen: "127.0.0.1:-1"\n{listen} }}\n{rest}\n'


def edge_config(hub_port: int, remote: str = "", rest: str = "", *, url: str = "", leaf: str = "") -> str:
    """An edge with one remote; `remote` goes into its entry, `leaf` into the block around it."""
    address = url or f"nats-leaf://127.0.0.1:{hub_port}"
    return (
        f'http: "127.0.0.1:-1"\nserver_name: edge\n'
        f'leafnodes {{ reconnect: 200ms\n{leaf}\nremotes: [ {{ url: "{address}"\n{remote} }} ] }}\n{rest}\n'
    )


@dataclass
class Pair:
    """Both servers, linked."""

    hub: ServerProcess
    edge: ServerProcess


class PairStarter:
    """Starts pairs of the given kinds."""

    def __init__(self, start_server: StartServer, kinds: tuple[ServerKind, ServerKind]) -> None:
        self.start_server = start_server
        self.hub_kind, self.edge_kind = kinds

    def __call__(
        self, listen: str = "", hub: str = "", remote: str = "", edge: str = "", *, url: str = "", leaf: str = ""
    ) -> Pair:
        """Start both and wait for the link. `url` may hold `{port}`."""
        hub_server = self.start_server(self.hub_kind, config=hub_config(listen, hub))
        port = hub_server.port("leafnode")
        config = edge_config(port, remote, edge, url=url.replace("{port}", str(port)), leaf=leaf)
        edge_server = self.start_server(self.edge_kind, config=config)
        edge_server.wait_for_log(LINKED)
        eventually(lambda: leafs_of(hub_server), "the hub shows the link")
        return Pair(hub_server, edge_server)


class Client(BlockingClient):
    """A client that is logged in."""

    def __init__(self, server: ServerProcess, user: str = "", password: str = "pw") -> None:
        super().__init__(server.client_port)
        # Protocol 0: no second INFO among the messages.
        answer = self.login(protocol=0, **({"user": user, "pass": password} if user else {}))
        assert answer.endswith(b"PONG\r\n"), answer

    def subscribe(self, subject: str, sid: str = "1", queue: str = "") -> None:
        """SUB, known to the server when this returns."""
        self.ask(f"SUB {subject} {queue} {sid}\r\n".encode())

    def publish(self, subject: str, payload: bytes = b"", reply: str = "") -> None:
        """PUB, taken by the server when this returns."""
        self.ask(b"PUB %b %b %d\r\n%b\r\n" % (subject.encode(), reply.encode(), len(payload), payload))

    def ask(self, data: bytes = b"") -> bytes:
        """As the base, with an answer to the server's own pings, which are left out."""
        return super().ask(data + b"PONG\r\n").replace(b"PING\r\n", b"")

    def next_message(self) -> tuple[bytes, bytes, bytes]:
        """Subject, sid and payload of the next MSG; payloads must be short of CRLF."""
        head = self._next_line()
        assert head.startswith(b"MSG "), head
        payload = self.read_until(b"\r\n")
        (found,) = messages_in(head + payload)
        return found

    def next_operation(self) -> bytes:
        """The next line and, for MSG and HMSG, its payload."""
        head = self._next_line()
        if not head.startswith((b"MSG ", b"HMSG ")):
            return head
        size = int(head.split()[-1])
        body = b""
        while len(body) < size + 2:
            body += self.read_until(b"\r\n")
        return head + body

    def _next_line(self) -> bytes:
        """The next line that is no PING: a test that takes long is pinged."""
        while (line := self.read_until(b"\r\n")) == b"PING\r\n":
            self.send(b"PONG\r\n")
        return line
