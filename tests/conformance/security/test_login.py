"""Logins over the wire, on the real server and on ours: who gets in, where he lands, what the others are told."""

from __future__ import annotations

import base64
from contextlib import ExitStack
from pathlib import Path

import bcrypt
import pytest

from leafbox.protocol.nkeys import KeyPair, KeyRole
from tests.support.blocking_client import CLOSED, BlockingClient
from tests.support.nats_py_login import SUCCEEDED, attempt
from tests.support.servers import ServerKind, StartServer

PONG = b"PONG\r\n"
REFUSED = b"-ERR 'Authorization Violation'\r\n" + CLOSED
HASH = bcrypt.hashpw(b"pw", bcrypt.gensalt(4, b"2a")).decode()
HASHES = {prefix: f"$2{prefix}${HASH[4:]}" for prefix in "abxy"}
PAIR = KeyPair(KeyRole.USER, bytes(range(32)))
STRANGER = KeyPair(KeyRole.USER, bytes(range(1, 33)))

Options = dict[str, str]

USERS = f"""
accounts {{
  A {{ users: [ {{user: a, password: pw}}, {{user: hash, password: "{HASH}"}}, {{user: bare}} ] }}
  B {{ users: [ {{user: b, password: pw}}, {{nkey: {PAIR.public}}} ] }}
  C {{ users: [ {{user: mqtt, password: pw, allowed_connection_types: [MQTT]}}
               {{user: tcp, password: pw, allowed_connection_types: [standard, WEBSOCKET]}} ] }}
}}
"""

# Configuration to (CONNECT options, account or None for a refusal).
LOGINS: dict[str, tuple[str, list[tuple[Options, str | None]]]] = {
    "no login": ("", [({}, "$G"), ({"user": "x", "pass": "y"}, "$G"), ({"nkey": PAIR.public}, "$G")]),
    "empty authorization": ("authorization {}", [({}, "$G"), ({"user": "x"}, "$G")]),
    "token": (
        "authorization {token: t0ken}",
        [
            ({"auth_token": "t0ken"}, "$G"),
            ({"auth_token": "t0ken", "user": "x"}, "$G"),
            ({"auth_token": "T0ken"}, None),
            ({}, None),
            ({"pass": "t0ken"}, None),
        ],
    ),
    **{
        f"bcrypt token $2{prefix}$": (
            f'authorization {{token: "{stored}"}}',
            [({"auth_token": "pw"}, "$G"), ({"auth_token": stored}, None), ({"auth_token": "pw2"}, None)],
        )
        for prefix, stored in HASHES.items()
    },
    "single user": (
        "authorization {user: u, password: pw}",
        [({"user": "u", "pass": "pw"}, "$G"), ({"user": "u"}, None), ({"user": "v", "pass": "pw"}, None), ({}, None)],
    ),
    "single user with bcrypt": (
        f"authorization {{user: u, password: {HASH}}}",
        [({"user": "u", "pass": "pw"}, "$G"), ({"user": "u", "pass": HASH}, None), ({"user": "u", "pass": "x"}, None)],
    ),
    "users": (
        USERS,
        [
            ({"user": "a", "pass": "pw"}, "A"),
            ({"user": "hash", "pass": "pw"}, "A"),
            ({"user": "hash", "pass": HASH}, None),
            ({"user": "b", "pass": "pw"}, "B"),
            ({"user": "a", "pass": "PW"}, None),
            ({"user": "A", "pass": "pw"}, None),
            ({"user": "bare"}, "A"),
            ({"user": "bare", "pass": "pw"}, None),
            ({"user": "nobody", "pass": "pw"}, None),
            ({"auth_token": "pw"}, None),
            ({"user": "a", "pass": "pw", "nkey": STRANGER.public}, None),
            ({"nkey": PAIR.public}, None),
            ({"nkey": PAIR.public, "sig": "!!"}, None),
            ({"user": "mqtt", "pass": "pw"}, None),
            ({"user": "tcp", "pass": "pw"}, "C"),
            ({}, None),
        ],
    ),
    "no_auth_user": (
        USERS + "no_auth_user: a",
        [
            ({}, "A"),
            ({"jwt": "x"}, "A"),
            ({"user": "b", "pass": "pw"}, "B"),
            ({"user": "a"}, None),
            ({"pass": "pw"}, None),
            ({"auth_token": "pw"}, None),
        ],
    ),
    "no_auth_user is an nkey": (USERS + f"no_auth_user: {PAIR.public}", [({}, "B"), ({"nkey": PAIR.public}, "B")]),
    "no_auth_user with bcrypt": (USERS + "no_auth_user: hash", [({}, None), ({"user": "hash", "pass": "pw"}, "A")]),
}


@pytest.mark.capability("SE01", "SE02", "SE19")
@pytest.mark.parametrize("name", LOGINS)
def test_who_gets_in(start_server: StartServer, server_kind: ServerKind, name: str) -> None:
    config, logins = LOGINS[name]
    server = start_server(server_kind, config=config)
    for options, account in logins:
        with BlockingClient(server.client_port) as client:
            answer = client.login(**options)
            if account is None:
                assert answer == REFUSED, options
            else:
                assert answer == b"PONG\r\n", options
                assert client.account() == account, options


@pytest.mark.capability("SE07")
def test_nkey_challenge(start_server: StartServer, server_kind: ServerKind) -> None:
    server = start_server(server_kind, config=USERS)

    def attempt(pair: KeyPair, *, of: KeyPair = PAIR, spoil: bytes = b"", standard: bool = False) -> bytes:
        with BlockingClient(server.client_port) as client:
            nonce = client.info["nonce"].encode()
            signature = pair.sign(nonce + spoil)
            encoded = base64.b64encode(signature) if standard else base64.urlsafe_b64encode(signature).rstrip(b"=")
            return client.login(nkey=of.public, sig=encoded.decode())

    assert attempt(PAIR) == b"PONG\r\n"
    assert attempt(PAIR, standard=True) == b"PONG\r\n"
    assert attempt(STRANGER) == REFUSED
    assert attempt(STRANGER, of=STRANGER) == REFUSED
    assert attempt(PAIR, spoil=b"x") == REFUSED


@pytest.mark.capability("SE07")
def test_a_nonce_is_used_once(start_server: StartServer, server_kind: ServerKind) -> None:
    """A recorded login cannot be played again: each connection is challenged anew."""
    server = start_server(server_kind, config=USERS)
    with BlockingClient(server.client_port) as first, BlockingClient(server.client_port) as second:
        signature = base64.urlsafe_b64encode(PAIR.sign(first.info["nonce"].encode())).rstrip(b"=").decode()
        assert first.info["nonce"] != second.info["nonce"]
        assert first.login(nkey=PAIR.public, sig=signature) == b"PONG\r\n"
        assert second.login(nkey=PAIR.public, sig=signature) == REFUSED


@pytest.mark.capability("SE02", "SE07", "SE19")
def test_what_info_says_of_the_login(start_server: StartServer, server_kind: ServerKind) -> None:
    def shown(config: str) -> tuple[object, bool]:
        server = start_server(server_kind, config=config)
        with BlockingClient(server.client_port) as client:
            return client.info.get("auth_required"), "nonce" in client.info

    assert shown("") == (None, False)
    assert shown("authorization {token: t}") == (True, False)
    assert shown("authorization {users: [{user: a, password: pw}]}") == (True, False)
    assert shown(USERS) == (True, True)
    assert shown(USERS + "no_auth_user: a") == (None, True)


@pytest.mark.capability("SE01", "SE02", "SE07")
def test_nats_py_logs_in_in_every_way(start_server: StartServer, server_kind: ServerKind, tmp_path: Path) -> None:
    server = start_server(server_kind, config=USERS)
    token_server = start_server(server_kind, config=f'authorization {{token: "{HASHES["b"]}"}}')
    seeds = {pair: str(tmp_path / f"{number}.nk") for number, pair in enumerate((PAIR, STRANGER))}
    for pair, path in seeds.items():
        Path(path).write_text(pair.seed)
    url, token_url = server.url, token_server.url
    outcomes = attempt(
        [
            {"servers": url, "user": "hash", "password": "pw"},
            {"servers": url, "nkeys_seed": seeds[PAIR]},
            {"servers": token_url, "token": "pw"},
            {"servers": url, "user": "hash", "password": "no"},
            {"servers": url, "nkeys_seed": seeds[STRANGER]},
            {"servers": token_url, "token": "no"},
        ]
    )
    assert outcomes[:3] == [SUCCEEDED] * 3
    assert all("Authorization Violation" in outcome for outcome in outcomes[3:])


@pytest.mark.capability("SE02", "SE23")
def test_a_slow_hash_delays_only_who_waits_for_it(start_server: StartServer) -> None:
    """Ours alone: bcrypt runs beside the loop. nats-server runs each check in a goroutine of the connection."""
    slow = bcrypt.hashpw(b"pw", bcrypt.gensalt(10, b"2a")).decode()
    config = f"authorization {{users: [{{user: slow, password: {slow}}}, {{user: quick, password: pw}}]}}"
    server = start_server(ServerKind.LEAFBOX, config=config)
    with ExitStack() as open_clients:
        quick = open_clients.enter_context(BlockingClient(server.client_port))
        assert quick.login(user="quick", **{"pass": "pw"}) == b"PONG\r\n"
        waiting = [open_clients.enter_context(BlockingClient(server.client_port)) for _ in range(8)]
        for number, client in enumerate(waiting):
            client.send(b'CONNECT {"user":"slow","pass":"wrong%d"}\r\nSUB a 1\r\nPING\r\n' % number)
        assert quick.ask().endswith(b"PONG\r\n")
        for client in waiting:
            assert client.read_to_end() == REFUSED
    with BlockingClient(server.client_port) as slow_client:
        assert slow_client.login(user="slow", **{"pass": "pw"}) == b"PONG\r\n"


@pytest.mark.capability("SE02", "SE23")
def test_waiting_for_a_slow_check_is_no_authentication_timeout(start_server: StartServer) -> None:
    """After a power cut all sensors come back at once: who sent CONNECT in time gets in, however long the queue is.

    Ours alone: nats-server lets the clock run on while it checks, and throws out who has to wait.
    """
    users = ", ".join(
        f'{{user: u{number}, password: "{bcrypt.hashpw(b"pw", bcrypt.gensalt(8, b"2a")).decode()}"}}'
        for number in range(40)
    )
    server = start_server(ServerKind.LEAFBOX, config=f'authorization {{timeout: "200ms", users: [{users}]}}')
    with ExitStack() as open_clients:
        clients = [open_clients.enter_context(BlockingClient(server.client_port)) for _ in range(40)]
        for number, client in enumerate(clients):
            client.send(b'CONNECT {"verbose":false,"user":"u%d","pass":"pw"}\r\nPING\r\n' % number)
        assert [client.read_until(PONG) for client in clients] == [PONG] * 40


@pytest.mark.capability("SE23")
def test_a_queue_full_of_guesses_refuses_instead_of_growing(start_server: StartServer) -> None:
    """Ours alone: more than 16 waiting guesses at one user's password are refused at once, other users get in."""
    slow = bcrypt.hashpw(b"pw", bcrypt.gensalt(8, b"2a")).decode()
    config = f"authorization {{users: [{{user: target, password: {slow}}}, {{user: other, password: {slow}}}]}}"
    server = start_server(ServerKind.LEAFBOX, config=config)
    with ExitStack() as open_clients:
        guessing = [open_clients.enter_context(BlockingClient(server.client_port)) for _ in range(60)]
        for number, client in enumerate(guessing):
            client.send(b'CONNECT {"user":"target","pass":"guess%d"}\r\n' % number)
        with BlockingClient(server.client_port) as other:
            assert other.login(user="other", **{"pass": "pw"}) == b"PONG\r\n"
        for client in guessing:
            assert client.read_to_end() == REFUSED
    server.wait_for_log("password checks waiting of one user is 16")
