"""Who may open a link, with every kind of credentials, and what is said when he may not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from leafbox.protocol.nkeys import KeyPair, KeyRole
from tests.conformance.leaf.pairs import (
    Client,
    PairStarter,
    document,
    edge_config,
    hub_config,
    leafs_of,
    wait_interest,
)
from tests.support.blocking_client import CLOSED, BlockingClient
from tests.support.jwt_maker import OperatorMode
from tests.support.servers import ServerKind, StartServer

PAIR = KeyPair(KeyRole.USER, bytes(range(32)))
TWO_ACCOUNTS = "accounts { A { users: [ {user: a, password: pw} ] }, B { users: [ {user: b, password: pw} ] } }"

# Name to (listen block, rest of the hub's file, user in the URL, lines of the remote, account at the hub).
LOGINS = {
    "user of the server": ("", TWO_ACCOUNTS, "b:pw@", "", "B"),
    "token": ("", "authorization { token: t0ken }", "t0ken@", "", "$G"),
    "nkey": (
        "",
        f"accounts {{ N {{ users: [ {{nkey: {PAIR.public}}} ] }} }}",
        "",
        f"nkey: {PAIR.seed}",
        "N",
    ),
    "single leaf user": ("authorization { user: l, password: pw, account: A }", TWO_ACCOUNTS, "l:pw@", "", "A"),
    "leaf users": (
        "authorization { users: [ {user: l, password: pw, account: A}, {user: m, password: pw, account: B} ] }",
        TWO_ACCOUNTS,
        "m:pw@",
        "",
        "B",
    ),
    "leaf nkey": (f"authorization {{ nkey: {PAIR.public}, account: B }}", TWO_ACCOUNTS, "", f"nkey: {PAIR.seed}", "B"),
    "only leafs": (
        "",
        "accounts { A { users: [ {user: l, password: pw, allowed_connection_types: [LEAFNODE]} ] } }",
        "l:pw@",
        "",
        "A",
    ),
}


@pytest.mark.capability("LF01", "LF16")
@pytest.mark.parametrize("login", LOGINS)
def test_a_link_opens_with(login: str, start_pair: PairStarter) -> None:
    listen, rest, user, remote, account = LOGINS[login]
    pair = start_pair(listen, rest, remote, url=f"nats-leaf://{user}127.0.0.1:{{port}}")
    (at_hub,) = leafs_of(pair.hub)
    (at_edge,) = leafs_of(pair.edge)
    assert (at_hub["name"], at_hub["account"], at_hub.get("is_spoke", False)) == ("edge", account, False)
    assert (at_edge["name"], at_edge["account"], at_edge["is_spoke"]) == ("hub", "$G", True)
    assert document(pair.hub, "varz")["leafnodes"] == document(pair.edge, "varz")["leafnodes"] == 1


@pytest.mark.capability("LF01")
def test_a_credentials_file_opens_a_link(start_edge: PairStarter, tmp_path: Path) -> None:
    mode = OperatorMode()
    creds = mode.credentials_file(tmp_path / "leaf.creds")
    pair = start_edge(hub=mode.config(), remote=f'credentials: "{creds}"')
    (at_hub,) = leafs_of(pair.hub)
    assert (at_hub["name"], at_hub["account"]) == ("edge", mode.account.public)


@pytest.mark.capability("LF01")
def test_expired_credentials_are_named(start_server: StartServer, tmp_path: Path) -> None:
    mode = OperatorMode()
    creds = mode.credentials_file(tmp_path / "leaf.creds", exp=int(time.time()) - 60)
    hub = start_server(ServerKind.REAL, config=hub_config(rest=mode.config()))
    edge = start_server(ServerKind.LEAFBOX, config=edge_config(hub.port("leafnode"), f'credentials: "{creds}"'))
    edge.wait_for_log(r"the credentials expired at .* UTC; this server's clock says ")


REFUSALS = {
    "wrong password": ("", TWO_ACCOUNTS, "a:nope@"),
    "no credentials": ("", TWO_ACCOUNTS, ""),
    "a client's user": ("authorization { user: l, password: pw }", TWO_ACCOUNTS, "a:pw@"),
    "not for leafs": (
        "",
        "accounts { A { users: [ {user: c, password: pw, allowed_connection_types: [STANDARD]} ] } }",
        "c:pw@",
    ),
}


@pytest.mark.capability("LF01", "LF16")
@pytest.mark.parametrize("case", REFUSALS)
def test_a_link_is_refused_for(case: str, start_pair: PairStarter) -> None:
    listen, rest, user = REFUSALS[case]
    hub = start_pair.start_server(start_pair.hub_kind, config=hub_config(listen, rest))
    port = hub.port("leafnode")
    edge = start_pair.start_server(
        start_pair.edge_kind, config=edge_config(port, url=f"nats-leaf://{user}127.0.0.1:{port}")
    )
    edge.wait_for_log("Authorization Violation")
    assert leafs_of(hub) == []
    assert "pw@" not in edge.log
    assert "nope" not in edge.log


@pytest.mark.capability("LF16")
@pytest.mark.parametrize(
    ("said", "answered"),
    [
        (b"SUB a 1\r\n", b"-ERR 'Authorization Violation'\r\n" + CLOSED),
        (
            b'CONNECT {"lang":"go","user":"l","pass":"pw"}\r\n',
            b"-ERR 'attempted to connect to leaf node port'\r\n" + CLOSED,
        ),
        (b"", b"-ERR 'Authentication Timeout'\r\n" + CLOSED),
    ],
)
def test_who_is_no_leaf_is_told(
    said: bytes, answered: bytes, server_kind: ServerKind, start_server: StartServer
) -> None:
    login = "authorization { user: l, password: pw, timeout: 1 }"
    server = start_server(server_kind, config=hub_config(login))
    with BlockingClient(server.port("leafnode")) as stranger:
        assert stranger.info["leafnode_urls"]
        assert stranger.info["nonce"]
        stranger.send(said)
        assert stranger.read_to_end() == answered


@pytest.mark.capability("LF01")
def test_a_client_port_is_named_as_the_wrong_one(start_server: StartServer) -> None:
    hub = start_server(ServerKind.REAL)
    edge = start_server(ServerKind.LEAFBOX, config=edge_config(hub.client_port))
    edge.wait_for_log(r"a client port answered: the URL must name the hub's leafnodes port")


@pytest.mark.capability("LF01")
@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("nats-leaf://no-such-host.invalid:7422", r"DNS: no-such-host\.invalid:7422: "),
        ("nats-leaf://127.0.0.1:1", r"127\.0\.0\.1:1 refuses the connection: nothing listens there"),
    ],
)
def test_what_keeps_us_from_the_hub_is_named(url: str, named: str, start_server: StartServer) -> None:
    edge = start_server(ServerKind.LEAFBOX, config=edge_config(0, url=url))
    edge.wait_for_log(named)


@pytest.mark.capability("LF18")
def test_accounts_have_links_of_their_own(start_pair: PairStarter) -> None:
    hub = start_pair.start_server(start_pair.hub_kind, config=hub_config("", TWO_ACCOUNTS))
    port = hub.port("leafnode")
    remotes = ", ".join(
        f'{{ url: "nats-leaf://{user}:pw@127.0.0.1:{port}", account: {account} }}'
        for user, account in (("a", "X"), ("b", "Y"))
    )
    accounts = "accounts { X { users: [ {user: x, password: pw} ] }, Y { users: [ {user: y, password: pw} ] } }"
    config = f'http: "127.0.0.1:-1"\nserver_name: edge\nleafnodes {{ remotes: [ {remotes} ] }}\n{accounts}'
    edge = start_pair.start_server(start_pair.edge_kind, config=config)
    with Client(edge, "x") as x, Client(edge, "y") as y, Client(hub, "a") as a, Client(hub, "b") as b:
        x.subscribe("one")
        y.subscribe("two")
        wait_interest(hub, "one", "two")
        a.publish("two", b"not yours")
        b.publish("two", b"yours")
        a.publish("one", b"mine")
        assert y.next_message() == (b"two", b"1", b"yours")
        assert x.next_message() == (b"one", b"1", b"mine")


@pytest.mark.capability("LF18")
def test_a_second_link_of_the_same_leaf_replaces_the_first(server_kind: ServerKind, start_server: StartServer) -> None:
    server = start_server(server_kind, config=hub_config())
    connect = b'CONNECT {"name":"box","cluster":"box","headers":true,"remote_account":"$G","version":"2.15.1"}\r\n'
    with BlockingClient(server.port("leafnode")) as first:
        first.send(connect)
        first.read_until(b'"connect_info":true')
        with BlockingClient(server.port("leafnode")) as second:
            second.send(connect)
            second.read_until(b'"connect_info":true')
            assert first.read_to_end().endswith(b"-ERR 'Duplicate Remote LeafNode Connection'\r\n" + CLOSED)
            assert b"PONG" in second.ask()
