"""Accounts that are pushed, listed, looked up and deleted while the server runs, on the real server and on ours."""

from __future__ import annotations

import base64
import contextlib
import json
import signal
import time
from pathlib import Path
from typing import Any, Self

import pytest

from leafbox.protocol.nkeys import KeyPair, KeyRole
from tests.support.blocking_client import CLOSED, BlockingClient, errors_in
from tests.support.jwt_maker import UNLIMITED, make_jwt
from tests.support.servers import ServerKind, ServerProcess, StartServer

pytestmark = pytest.mark.capability("SE09")

Claims = dict[str, object]
OPEN: Claims = {"subs": -1, "data": -1, "payload": -1}
WAIT_S = 20.0


class Realm:
    """An operator with a system account, and accounts that are made during the test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.operator, self.other = KeyPair.create(KeyRole.OPERATOR), KeyPair.create(KeyRole.OPERATOR)
        self.system = KeyPair.create(KeyRole.ACCOUNT)
        self._issued = int(time.time()) - 1000

    def token(
        self, account: KeyPair, claims: Claims | None = None, signer: KeyPair | None = None, **more: object
    ) -> str:
        """Each is newer than the one before."""
        self._issued += 1
        nats = {"limits": UNLIMITED} | (claims or {})
        return make_jwt("account", account.public, signer or self.operator, nats, iat=self._issued, **more)

    def config(self, resolver: str, *preloaded: str) -> str:
        """`resolver` without type-independent keys: `type: full, allow_delete: true`."""
        operator = make_jwt("operator", self.operator.public, self.operator, {"system_account": self.system.public})
        tokens = [f"{self.system.public}: {self.token(self.system)}", *preloaded]
        return (
            f'operator: {operator}\nresolver: {{ {resolver}, dir: "{self.directory}" }}\n'
            f'jetstream: {{ store_dir: "{self.directory.parent / "js"}", max_mem: 10MB, max_file: 100MB }}\n'
            # The real server asks others for 1.9 s before it refuses an account that it does not know.
            "authorization: { timeout: 30 }\n"
            "resolver_preload: {\n" + "\n".join(tokens) + "\n}\n"
        )

    def enter(
        self, server: ServerProcess, account: KeyPair, user: KeyPair | None = None
    ) -> tuple[BlockingClient, bytes]:
        """A client of the account, and what the server said to its login."""
        user = user or KeyPair.create(KeyRole.USER)
        token = make_jwt("user", user.public, account, OPEN, iat=int(time.time()) - 100)
        client = BlockingClient(server.client_port)
        signature = base64.urlsafe_b64encode(user.sign(client.info["nonce"].encode())).rstrip(b"=").decode()
        return client, client.login(jwt=token, sig=signature, protocol=0)


class Tool:
    """A user of the system account that asks."""

    def __init__(self, realm: Realm, server: ServerProcess) -> None:
        self._client, answer = realm.enter(server, realm.system)
        assert answer == b"PONG\r\n"
        self._client.ask(b"SUB _INBOX.> 1\r\n")

    def raw(self, subject: str, payload: str | bytes = "") -> bytes:
        data = payload.encode() if isinstance(payload, str) else payload
        self._client.send(b"PUB %s _INBOX.x %d\r\n%s\r\n" % (subject.encode(), len(data), data))
        head = self._client.read_until(b"\r\n")
        while not head.startswith(b"MSG _INBOX.x"):
            head = self._client.read_until(b"\r\n")
        return self._client.read_until(b"\r\n")[:-2]

    def ask(self, subject: str, payload: str | bytes = "") -> dict[str, Any]:
        answer = json.loads(self.raw(f"$SYS.REQ.{subject}", payload))
        assert answer["server"]["id"].startswith("N")
        return {key: value for key, value in answer.items() if key != "server"}

    def push(self, token: str) -> dict[str, Any]:
        return self.ask("CLAIMS.UPDATE", token)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._client.close()


def updated(account: KeyPair, message: str = "jwt updated") -> dict[str, Any]:
    return {"data": {"account": account.public, "code": 200, "message": message}}


def wait_for_error(client: BlockingClient, text: str) -> bool:
    """Whether the client is told this, and then closed."""
    return client.read_to_end().endswith(f"-ERR '{text}'\r\n".encode() + CLOSED)


@pytest.fixture
def realm(tmp_path: Path) -> Realm:
    return Realm(tmp_path / "accounts")


def test_a_pushed_account_counts_at_once_and_after_a_restart(
    server_kind: ServerKind, start_server: StartServer, realm: Realm
) -> None:
    server = start_server(server_kind, config=realm.config("type: full"))
    account = KeyPair.create(KeyRole.ACCOUNT)
    client, answer = realm.enter(server, account)
    client.close()
    assert answer == b"-ERR 'Authorization Violation'\r\n" + CLOSED
    token = realm.token(account)
    with Tool(realm, server) as tool:
        if server_kind is ServerKind.LEAFBOX:
            # An account that was not found a moment ago is forgotten as such.
            assert tool.ask("CLAIMS.LIST")["data"] == [realm.system.public]
        assert tool.push(token) == updated(account)
        assert tool.push(token) == updated(account)
        assert sorted(tool.ask("CLAIMS.LIST")["data"]) == sorted((realm.system.public, account.public))
        assert tool.raw(f"$SYS.REQ.ACCOUNT.{account.public}.CLAIMS.LOOKUP").decode() == token
        assert tool.raw(f"$SYS.REQ.ACCOUNT.{KeyPair.create(KeyRole.ACCOUNT).public}.CLAIMS.LOOKUP") == b""
        assert (realm.directory / f"{account.public}.jwt").read_text() == token
    client, answer = realm.enter(server, account)
    with client:
        assert answer == b"PONG\r\n"
        server.send_signal(signal.SIGHUP)
        server.wait_for_log("Reloaded")
        assert client.ask() == b"PONG\r\n"
    server.restart(crash=True)
    client, answer = realm.enter(server, account)
    client.close()
    assert answer == b"PONG\r\n"


def test_a_push_changes_those_who_are_here(server_kind: ServerKind, start_server: StartServer, realm: Realm) -> None:
    server = start_server(server_kind, config=realm.config("type: full"))
    a, b = KeyPair.create(KeyRole.ACCOUNT), KeyPair.create(KeyRole.ACCOUNT)
    revoked = KeyPair.create(KeyRole.USER)
    export: Claims = {"exports": [{"name": "n", "subject": "news", "type": "stream"}]}
    imported: Claims = {"imports": [{"name": "n", "subject": "news", "account": a.public, "type": "stream"}]}
    with Tool(realm, server) as tool, contextlib.ExitStack() as stack:

        def client_of(account: KeyPair, user: KeyPair | None = None) -> BlockingClient:
            client, answer = realm.enter(server, account, user)
            assert answer == b"PONG\r\n"
            return stack.enter_context(client)

        tool.push(realm.token(a))
        tool.push(realm.token(b))
        publisher, subscriber = client_of(a), client_of(b)
        subscriber.ask(b"SUB news 1\r\n")
        tool.push(realm.token(a, export))
        tool.push(realm.token(b, imported))
        publisher.ask(b"PUB news 1\r\n1\r\n")
        assert subscriber.ask() == b"MSG news 1 1\r\n1\r\nPONG\r\n"
        tool.push(realm.token(a))
        publisher.ask(b"PUB news 1\r\n2\r\n")
        assert subscriber.ask() == b"PONG\r\n"

        went = client_of(a, revoked)
        tool.push(realm.token(a, {"revocations": {revoked.public: int(time.time()) - 50}}))
        assert wait_for_error(went, "User Authentication Revoked")
        assert publisher.ask(b"PUB a 5\r\n12345\r\n") == b"PONG\r\n"
        second = client_of(a)
        tool.push(realm.token(a, {"limits": UNLIMITED | {"conn": 1, "payload": 4}}))
        assert wait_for_error(second, "maximum account active connections exceeded")
        assert b"Maximum Payload Violation" in publisher.ask(b"PUB a 5\r\n12345\r\n")


def test_jetstream_comes_and_goes_with_a_push(server_kind: ServerKind, start_server: StartServer, realm: Realm) -> None:
    server = start_server(server_kind, config=realm.config("type: full"))
    account = KeyPair.create(KeyRole.ACCOUNT)
    with_jetstream: Claims = {"limits": UNLIMITED | {"disk_storage": 1_000_000, "streams": 5, "consumer": 5}}
    with Tool(realm, server) as tool:

        def info() -> str:
            client, answer = realm.enter(server, account)
            assert answer == b"PONG\r\n"
            with client:
                client.ask(b"SUB i 1\r\n")
                deadline = time.monotonic() + WAIT_S
                heard = client.ask(b"PUB $JS.API.INFO i 0\r\n\r\n")
                while b"MSG i" not in heard and time.monotonic() < deadline:
                    heard += client.ask()
                return heard.decode()

        tool.push(realm.token(account))
        assert "10039" in info()
        tool.push(realm.token(account, with_jetstream))
        assert '"max_storage":1000000' in info()
        tool.push(realm.token(account))
        assert "10039" in info()


HOSTILE = ("garbage", "nothing", "of a user", "cut off", "another subject", "too many imports", "a strange operator")


@pytest.mark.parametrize("kind", ["full", "cache"])
def test_what_is_refused(server_kind: ServerKind, start_server: StartServer, realm: Realm, kind: str) -> None:
    account, user = KeyPair.create(KeyRole.ACCOUNT), KeyPair.create(KeyRole.USER)
    known = realm.token(account)
    server = start_server(server_kind, config=realm.config(f"type: {kind}", f"{account.public}: {known}"))
    imports: Claims = {
        "limits": UNLIMITED | {"imports": 0},
        "imports": [{"name": "n", "subject": "n", "account": account.public, "type": "stream"}],
    }
    payloads = {
        "garbage": b"\xff\x00" * 50_000,
        "nothing": b"",
        "of a user": make_jwt("user", user.public, account, OPEN).encode(),
        "cut off": realm.token(account)[:-5].encode(),
        "another subject": realm.token(KeyPair.create(KeyRole.ACCOUNT)).encode(),
        "too many imports": realm.token(account, imports).encode(),
    }
    is_cache = kind == "cache"
    failed = f"jwt update{' cache' if is_cache else ''} resulted in error - "
    client, _ = realm.enter(server, account)
    with client, Tool(realm, server) as tool:
        for name, payload in payloads.items():
            error = tool.ask(f"ACCOUNT.{account.public}.CLAIMS.UPDATE", payload)["error"]
            assert error["code"] == 500, name
            text = error["description"]
            if name == "too many imports":
                what = "jwt update cache validation failed" if is_cache else "jwt validation failed"
                assert text.startswith(f"{what} - validation errors: [the account contains more imports"), name
            else:
                assert text.startswith(failed), name
            is_named = is_cache or name in ("another subject", "too many imports")
            assert error["account"] == (account.public if is_named else "n/a"), name
        if server_kind is ServerKind.LEAFBOX:
            # The real server answers that it was updated, keeps the file, and ignores it.
            strange = tool.ask(f"ACCOUNT.{account.public}.CLAIMS.UPDATE", realm.token(account, {}, realm.other))
            assert "not signed by a trusted operator" in strange["error"]["description"]
            assert (realm.directory / f"{account.public}.jwt").read_text() == known
        unknown = KeyPair.create(KeyRole.ACCOUNT)
        assert tool.push(realm.token(unknown)) == updated(
            unknown, "jwt update cache skipped" if is_cache else "jwt updated"
        )
        assert tool.push(realm.token(account)) == updated(account, "jwt updated cache" if is_cache else "jwt updated")
        assert client.ask() == b"PONG\r\n"


def deletion(signer: KeyPair, accounts: object, subject: str = "") -> str:
    return make_jwt("generic", subject or signer.public, signer, {"accounts": accounts})


def test_a_deleted_account_is_gone(server_kind: ServerKind, start_server: StartServer, realm: Realm) -> None:
    account = KeyPair.create(KeyRole.ACCOUNT)
    server = start_server(server_kind, config=realm.config("type: full, allow_delete: true, hard_delete: true"))
    with Tool(realm, server) as tool:
        tool.push(realm.token(account))
        client, answer = realm.enter(server, account)
        assert answer == b"PONG\r\n"
        for request, why in (
            (deletion(realm.other, [account.public]), "not trusted"),
            (deletion(realm.operator, [account.public], realm.other.public), "not self signed"),
            (deletion(realm.operator, ["x"]), "malformed request"),
            (deletion(realm.operator, "x"), "malformed request"),
            (deletion(realm.operator, [realm.system.public]), "not allowed to delete system account"),
        ):
            error = tool.ask("CLAIMS.DELETE", request)["error"]
            assert error["code"] == 500
            assert error["description"].startswith("delete accounts request by O")
            assert error["description"].endswith(f"failed - {why}")
        assert tool.ask("CLAIMS.DELETE", deletion(realm.operator, [account.public])) == {
            "data": {"code": 200, "message": "deleted 1 accounts"}
        }
        assert wait_for_error(client, "Account Authentication Expired")
        client.close()
        assert tool.ask("CLAIMS.LIST")["data"] == [realm.system.public]
        assert [path.name for path in realm.directory.iterdir()] == [f"{realm.system.public}.jwt"]
        client, answer = realm.enter(server, account)
        client.close()
        assert len(errors_in(answer)) == 1
        tool.push(realm.token(account))
        client, answer = realm.enter(server, account)
        client.close()
        assert answer == b"PONG\r\n"


def test_deletes_must_be_allowed(server_kind: ServerKind, start_server: StartServer, realm: Realm) -> None:
    server = start_server(server_kind, config=realm.config("type: full, limit: 2"))
    account = KeyPair.create(KeyRole.ACCOUNT)
    with Tool(realm, server) as tool:
        tool.push(realm.token(account))
        error = tool.ask("CLAIMS.DELETE", deletion(realm.operator, [account.public]))["error"]
        assert error["description"].endswith("delete must be enabled in server config")
        full = tool.push(realm.token(KeyPair.create(KeyRole.ACCOUNT)))["error"]
        assert full["description"].startswith("jwt update resulted in error - jwt store is full")
