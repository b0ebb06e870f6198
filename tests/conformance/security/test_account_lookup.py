"""Accounts that are asked for when a user of theirs logs in: of a web server, and of the hub."""

from __future__ import annotations

import base64
import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from leafbox.protocol.nkeys import KeyPair, KeyRole
from tests.support.blocking_client import CLOSED, BlockingClient
from tests.support.jwt_maker import UNLIMITED, credentials_text, make_jwt
from tests.support.servers import ServerKind, ServerProcess, StartServer

pytestmark = pytest.mark.capability("SE09")

Claims = dict[str, object]
OPEN: Claims = {"subs": -1, "data": -1, "payload": -1}
WAIT_S = 60.0
REFUSED = b"-ERR 'Authorization Violation'\r\n" + CLOSED


class Web:
    """An account server on the loopback; `tokens` by path, `asked` are the paths in order."""

    def __init__(self) -> None:
        self.tokens: dict[str, str] = {}
        self.asked: list[str] = []
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rpartition("/")[2]
                web.asked.append(name)
                found = web.tokens.get(name) if name else ""
                self.send_response(404 if found is None else 200)
                self.end_headers()
                self.wfile.write((found or "").encode())

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/jwt/v1/accounts/"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def web() -> Iterator[Web]:
    web = Web()
    yield web
    web.stop()


class Realm:
    """An operator, its system account, and accounts made on the way."""

    def __init__(self) -> None:
        self.operator, self.system = KeyPair.create(KeyRole.OPERATOR), KeyPair.create(KeyRole.ACCOUNT)

    def account(self, key: KeyPair, claims: Claims | None = None, signer: KeyPair | None = None) -> str:
        return make_jwt("account", key.public, signer or self.operator, {"limits": UNLIMITED} | (claims or {}))

    @property
    def operator_jwt(self) -> str:
        return make_jwt("operator", self.operator.public, self.operator, {"system_account": self.system.public})

    def enter(self, server: ServerProcess, account: KeyPair) -> tuple[BlockingClient, bytes]:
        user = KeyPair.create(KeyRole.USER)
        client = BlockingClient(server.client_port)
        signature = base64.urlsafe_b64encode(user.sign(client.info["nonce"].encode())).rstrip(b"=").decode()
        return client, client.login(jwt=make_jwt("user", user.public, account, OPEN), sig=signature, protocol=0)

    def answer(self, server: ServerProcess, account: KeyPair) -> bytes:
        client, answer = self.enter(server, account)
        client.close()
        return answer


def test_accounts_of_a_web_server(server_kind: ServerKind, start_server: StartServer, web: Web) -> None:
    realm = Realm()
    a, b, unknown, strange, late = (KeyPair.create(KeyRole.ACCOUNT) for _ in range(5))
    export: Claims = {"exports": [{"name": "n", "subject": "news", "type": "stream"}]}
    imported: Claims = {"imports": [{"name": "n", "subject": "news", "account": a.public, "type": "stream"}]}
    web.tokens = {
        realm.system.public: realm.account(realm.system),
        a.public: realm.account(a, export),
        b.public: realm.account(b, imported),
        strange.public: realm.account(strange, signer=KeyPair.create(KeyRole.OPERATOR)),
    }
    config = f'operator: {realm.operator_jwt}\nresolver: URL("{web.url}")\nauthorization: {{ timeout: 20 }}\n'
    server = start_server(server_kind, config=config)
    subscriber, answer = realm.enter(server, b)
    assert answer == b"PONG\r\n"
    publisher, answer = realm.enter(server, a)
    assert answer == b"PONG\r\n"
    with publisher, subscriber:
        subscriber.ask(b"SUB news 1\r\n")
        publisher.ask(b"PUB news 1\r\n1\r\n")
        assert subscriber.ask() == b"MSG news 1 1\r\n1\r\nPONG\r\n"
    assert web.asked.count(b.public) == 1
    assert realm.answer(server, strange) == REFUSED
    assert realm.answer(server, unknown) == REFUSED
    web.tokens[late.public] = realm.account(late)
    assert realm.answer(server, late) == b"PONG\r\n"
    web.tokens.clear()
    assert realm.answer(server, a) == b"PONG\r\n"


def test_a_box_asks_its_hub_and_remembers(start_server: StartServer, tmp_path: Path) -> None:
    """The hub is the real server; the box keeps what it was told and lets users in without a line."""
    realm = Realm()
    account, unknown = KeyPair.create(KeyRole.ACCOUNT), KeyPair.create(KeyRole.ACCOUNT)
    system = f"{realm.system.public}: {realm.account(realm.system)}"
    hub = start_server(
        ServerKind.REAL,
        config=f"""
        operator: {realm.operator_jwt}
        resolver: {{ type: full, dir: "{tmp_path / "hub"}" }}
        leafnodes: {{ listen: "127.0.0.1:-1" }}
        resolver_preload: {{ {system}
          {account.public}: {realm.account(account)} }}""",
    )
    user = KeyPair.create(KeyRole.USER)
    token = make_jwt("user", user.public, realm.system, OPEN)
    credentials = tmp_path / "system.creds"
    credentials.write_text(credentials_text(token, user.seed))
    box = start_server(
        ServerKind.LEAFBOX,
        config=f"""
        operator: {realm.operator_jwt}
        resolver: {{ type: cache, dir: "{tmp_path / "box"}", timeout: "10s" }}
        resolver_preload: {{ {system} }}
        leafnodes: {{ remotes: [ {{ url: "nats-leaf://127.0.0.1:{hub.port("leafnode")}",
          account: {realm.system.public}, credentials: "{credentials}" }} ] }}""",
    )
    box.wait_for_log("Leafnode connection created for account")
    # What the hub listens to is told a moment after.
    deadline = time.monotonic() + WAIT_S
    while (answer := realm.answer(box, account)) != b"PONG\r\n":
        assert answer == REFUSED
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert (tmp_path / "box" / f"{account.public}.jwt").read_text() == (
        tmp_path / "hub" / f"{account.public}.jwt"
    ).read_text()
    assert realm.answer(box, unknown) == REFUSED
    hub.stop()
    box.restart()
    assert realm.answer(box, account) == b"PONG\r\n"
