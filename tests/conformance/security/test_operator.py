"""Operator mode with preloaded accounts, on the real server and on ours."""

from __future__ import annotations

import base64
import time

import pytest

from leafbox.protocol.nkeys import KeyPair, KeyRole
from tests.support.blocking_client import CLOSED, BlockingClient
from tests.support.jwt_maker import UNLIMITED, Realm, make_jwt
from tests.support.servers import ServerKind, ServerProcess, StartServer

LOGIN_S = 12
"""Between making an account and its end: a server on a busy machine starts in this time, and a login gets in."""
REFUSED = b"-ERR 'Authorization Violation'\r\n" + CLOSED


@pytest.fixture
def realm() -> Realm:
    return Realm()


@pytest.fixture
def server(server_kind: ServerKind, start_server: StartServer, realm: Realm) -> ServerProcess:
    return start_server(server_kind, config=realm.config())


def enter(client: BlockingClient, token: str, key: KeyPair, **options: object) -> bytes:
    """Log in by a JWT, signing the nonce."""
    signature = base64.urlsafe_b64encode(key.sign(client.info["nonce"].encode())).rstrip(b"=").decode()
    return client.login(jwt=token, sig=signature, **options)


def logged_in(server: ServerProcess, token: str, key: KeyPair) -> BlockingClient:
    client = BlockingClient(server.client_port)
    assert enter(client, token, key, protocol=0) == b"PONG\r\n"
    return client


@pytest.mark.capability("SE08", "SE10")
@pytest.mark.parametrize("issuer", ["account", "signing key"])
def test_a_user_lands_in_the_account_that_signed(server: ServerProcess, realm: Realm, issuer: str) -> None:
    key = KeyPair.create(KeyRole.USER)
    nats = {} if issuer == "account" else {"issuer_account": realm.a.public}
    token = realm.user(realm.a if issuer == "account" else realm.signer, key, nats)
    with BlockingClient(server.client_port) as client:
        assert client.info["auth_required"] is True
        assert enter(client, token, key) == b"PONG\r\n"
        assert client.account() == realm.a.public


@pytest.mark.capability("SE08", "SE11", "SE12")
@pytest.mark.parametrize(
    "fault", ["expired", "early", "stranger", "wrong signature", "revoked", "kind", "none", "junk"]
)
def test_who_is_refused(server: ServerProcess, realm: Realm, fault: str) -> None:
    key, now = KeyPair.create(KeyRole.USER), int(time.time())
    signing = key
    match fault:
        case "expired":
            token = realm.user(realm.a, key, exp=now - 10)
        case "early":
            token = realm.user(realm.a, key, nbf=now + 100)
        case "stranger":
            token = realm.user(KeyPair.create(KeyRole.ACCOUNT), key)
        case "wrong signature":
            token, signing = realm.user(realm.a, key), KeyPair.create(KeyRole.USER)
        case "revoked":
            key = signing = realm.revoked
            token = realm.user(realm.a, key)
        case "kind":
            token = realm.user(realm.a, key, {"allowed_connection_types": ["MQTT"]})
        case "none":
            token = ""
        case _:
            token = realm.user(realm.a, key)[:-5] + "AAAAA"
    with BlockingClient(server.client_port) as client:
        assert enter(client, token, signing) == REFUSED


@pytest.mark.capability("SE11")
def test_a_bearer_token_needs_no_signature(server: ServerProcess, realm: Realm) -> None:
    token = realm.user(realm.a, KeyPair.create(KeyRole.USER), {"bearer_token": True})
    with BlockingClient(server.client_port) as client:
        assert client.login(jwt=token, protocol=0) == b"PONG\r\n"


@pytest.mark.capability("SE08", "AC01", "AC02")
def test_accounts_share_what_their_jwts_say(server: ServerProcess, realm: Realm) -> None:
    key_a, key_b = KeyPair.create(KeyRole.USER), KeyPair.create(KeyRole.USER)
    a = logged_in(server, realm.user(realm.a, key_a), key_a)
    b = logged_in(server, realm.user(realm.b, key_b), key_b)
    with a, b:
        b.ask(b"SUB > 1\r\n")
        a.ask(b"PUB pub.x 1\r\n1\r\nPUB own 1\r\n2\r\n")
        assert b.ask() == b"MSG pub.x 1 1\r\n1\r\nPONG\r\n"
        assert b.ask(b"PUB x 101\r\n") == b"-ERR 'Maximum Payload Violation'\r\n" + CLOSED


@pytest.mark.capability("SE08")
def test_a_user_s_permissions(server: ServerProcess, realm: Realm) -> None:
    key = KeyPair.create(KeyRole.USER)
    token = realm.user(realm.a, key, {"pub": {"allow": ["ok.>"]}, "sub": {"deny": ["no"]}})
    with logged_in(server, token, key) as client:
        assert b'Permissions Violation for Publish to "bad"' in client.ask(b"PUB bad 0\r\n\r\n")
        assert b'Permissions Violation for Subscription to "no"' in client.ask(b"SUB no 1\r\n")
        assert client.ask(b"SUB ok.> 2\r\nPUB ok.x 0\r\n\r\n") == b"MSG ok.x 2 0\r\n\r\nPONG\r\n"


@pytest.mark.capability("SE12")
def test_a_login_that_expires_ends_the_connection(server: ServerProcess, realm: Realm) -> None:
    key = KeyPair.create(KeyRole.USER)
    with logged_in(server, realm.user(realm.a, key, exp=int(time.time()) + 3), key) as client:
        assert b"-ERR 'User Authentication Expired'\r\n" + CLOSED in client.read_to_end()


@pytest.mark.capability("SE12")
def test_an_account_that_expires_ends_its_connections(server_kind: ServerKind, start_server: StartServer) -> None:
    operator, account, key = (KeyPair.create(role) for role in (KeyRole.OPERATOR, KeyRole.ACCOUNT, KeyRole.USER))
    token = make_jwt("account", account.public, operator, {"limits": UNLIMITED}, exp=int(time.time()) + LOGIN_S)
    server = start_server(
        server_kind,
        config=f"""
        operator: {make_jwt("operator", operator.public, operator, {})}
        resolver: MEMORY
        resolver_preload {{ {account.public}: {token} }}""",
    )
    user = make_jwt("user", key.public, account, {"subs": -1, "data": -1, "payload": -1})
    with logged_in(server, user, key) as client:
        assert b"-ERR 'Account Authentication Expired'\r\n" + CLOSED in client.read_to_end()
