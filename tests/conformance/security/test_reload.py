"""A reload judges live connections anew (SE20), on the real server and on ours."""

from __future__ import annotations

import base64
import select
import signal

import pytest

from leafbox.protocol.nkeys import KeyPair, KeyRole
from tests.support.blocking_client import CLOSED, BlockingClient, errors_in, messages_in
from tests.support.servers import ServerKind, ServerProcess, StartServer

pytestmark = pytest.mark.capability("SE20")

PONG = b"PONG\r\n"
REFUSED = b"-ERR 'Authorization Violation'\r\n" + CLOSED
KEY = KeyPair(KeyRole.USER, bytes(range(32))).public


def reload(server: ServerProcess, config: str) -> None:
    """Replace the configuration file, send SIGHUP, wait until it is in force."""
    server.config_path.write_text(config, encoding="utf-8")
    after = server.log_line_count
    server.send_signal(signal.SIGHUP)
    server.wait_for_log("Reloaded server configuration", after=after)


def login(server: ServerProcess, user: str = "", password: str = "p", **options: object) -> BlockingClient:
    client = BlockingClient(server.client_port)
    credentials = {"user": user, "pass": password} if user else {}
    assert client.login(**credentials, **options) == PONG
    client.account()
    return client


def users(*names: str, extra: str = "") -> str:
    entries = [f"{{user: {name}, password: p}}" for name in names] + ([extra] if extra else [])
    return f"authorization {{ users: [ {', '.join(entries)} ] }}\n"


def test_a_removed_user_is_closed(start_server: StartServer, server_kind: ServerKind) -> None:
    server = start_server(server_kind, config=users("stays", "goes"))
    with login(server, "stays") as stays, login(server, "goes") as goes:
        reload(server, users("stays"))
        assert goes.read_to_end() == CLOSED
        assert stays.ask() == PONG
        with BlockingClient(server.client_port) as again:
            assert again.login(user="goes", **{"pass": "p"}) == REFUSED


def test_a_changed_password_ends_the_connection(start_server: StartServer, server_kind: ServerKind) -> None:
    server = start_server(server_kind, config=users("a"))
    with login(server, "a") as client:
        reload(server, users("a").replace("password: p", "password: q"))
        assert client.read_to_end() == REFUSED
        login(server, "a", "q").close()


CONNECTIONS = "accounts {{ A {{ users: [{{user: a, password: p}}], limits {{ max_conn: {} }} }} }}\n"


def test_an_account_that_may_have_fewer_connections_loses_some(
    start_server: StartServer, server_kind: ServerKind
) -> None:
    """Which one goes is chance on nats-server, the later one here."""
    server = start_server(server_kind, config=CONNECTIONS.format(2))
    with login(server, "a") as first, login(server, "a") as second:
        reload(server, CONNECTIONS.format(1))
        (ready, *_), _, _ = select.select([first, second], [], [], 20)
        gone, stays = (first, second) if ready is first else (second, first)
        assert server_kind is ServerKind.REAL or gone is second
        assert gone.read_to_end() == b"-ERR 'maximum account active connections exceeded'\r\n" + CLOSED
        assert stays.ask() == PONG


TOKEN, SINGLE = "authorization {token: t}", "authorization {user: u, password: p}"
BY_TOKEN, BY_NAME = {"auth_token": "t"}, {"user": "u", "pass": "p"}


@pytest.mark.parametrize(
    ("before", "options", "after", "answer"),
    [
        (TOKEN, BY_TOKEN, "authorization {token: u}", REFUSED),
        (TOKEN, BY_TOKEN, "authorization {token: t, timeout: 5}", PONG),
        (TOKEN, BY_TOKEN, "", PONG),
        (TOKEN, BY_TOKEN, users("u"), REFUSED),
        (TOKEN, BY_TOKEN, SINGLE, REFUSED),
        (SINGLE, BY_NAME, users("u"), PONG),
        (SINGLE, BY_NAME, users("v"), CLOSED),
        (SINGLE, BY_NAME, SINGLE.replace("p}", "q}"), CLOSED),
        (SINGLE, BY_NAME, TOKEN, CLOSED),
        (SINGLE, BY_NAME, "", CLOSED),
        ("", {}, users("u"), REFUSED),
        ("", {}, TOKEN, REFUSED),
        (users("u"), BY_NAME, "", CLOSED),
        (users("u"), BY_NAME, SINGLE, PONG),
        (users("u") + "no_auth_user: u", {}, users("v"), CLOSED),
        (users("u") + "no_auth_user: u", {}, users("u") + "no_auth_user: u\nmax_payload: 2000", PONG),
    ],
)
def test_other_ways_in(
    start_server: StartServer,
    server_kind: ServerKind,
    before: str,
    options: dict[str, str],
    after: str,
    answer: bytes,
) -> None:
    server = start_server(server_kind, config=before)
    with BlockingClient(server.client_port) as client:
        assert client.login(**options) == PONG
        client.account()
        reload(server, after)
        # A changed limit is announced by another INFO.
        said = client.ask() if answer == PONG else client.read_to_end()
        assert said.endswith(answer)
        assert said == answer or said.startswith(b"INFO ")


ACCOUNTS = """
accounts {{
  A {{ users: [ {in_a} ] }}
  B {{ users: [ {in_b} ] }}
}}
"""


def test_a_user_whose_account_moved_is_closed_and_lands_in_the_new_one(
    start_server: StartServer, server_kind: ServerKind
) -> None:
    user, other = "{user: u, password: p}", "{user: o, password: p}"
    server = start_server(server_kind, config=ACCOUNTS.format(in_a=user, in_b=other))
    with login(server, "u") as moved, login(server, "o") as stays:
        reload(server, ACCOUNTS.format(in_a="", in_b=f"{user}, {other}"))
        assert moved.read_to_end() == CLOSED
        assert stays.ask() == PONG
        with BlockingClient(server.client_port) as again:
            assert again.login(user="u", **{"pass": "p"}) == PONG
            assert again.account() == "B"


def permitted(text: str) -> str:
    """`admin` may do everything, `u` what the text says."""
    return f"""authorization {{ users: [
      {{user: admin, password: p}}
      {{user: u, password: p, permissions: {{{text}}}}}
    ] }}"""


def test_lost_subscriptions_are_removed_and_said(start_server: StartServer, server_kind: ServerKind) -> None:
    server = start_server(server_kind, config=permitted("publish: [a, b]"))
    with login(server, "u") as client, login(server, "admin") as admin:
        assert client.ask(b"SUB a 1\r\nSUB b 2\r\nSUB c q 3\r\nSUB d.* 4\r\n") == PONG
        reload(server, permitted("publish: a, subscribe: {allow: [a, d.>], deny: d.x}"))
        answer = client.ask()
        assert sorted(errors_in(answer)) == [
            'Permissions Violation for Subscription to "b" (sid "2")',
            'Permissions Violation for Subscription to "c" using queue "q" (sid "3")',
        ]
        admin.ask(b"".join(b"PUB %b 1\r\nx\r\n" % subject for subject in (b"a", b"b", b"c", b"d.x", b"d.y")))
        assert [subject for subject, _, _ in messages_in(client.ask())] == [b"a", b"d.y"]
        assert errors_in(client.ask(b"PUB a 0\r\n\r\nPUB b 0\r\n\r\n")) == ['Permissions Violation for Publish to "b"']
        # What was taken away can be given back, to the same connection.
        reload(server, permitted("publish: [a, b]"))
        assert errors_in(client.ask(b"SUB b 5\r\nPUB b 0\r\n\r\n")) == []


def test_a_removed_nkey_user_is_closed(start_server: StartServer, server_kind: ServerKind) -> None:
    server = start_server(server_kind, config=users("a", extra=f"{{nkey: {KEY}}}"))
    pair = KeyPair(KeyRole.USER, bytes(range(32)))
    with BlockingClient(server.client_port) as client:
        signature = base64.urlsafe_b64encode(pair.sign(client.info["nonce"].encode())).rstrip(b"=").decode()
        assert client.login(nkey=KEY, sig=signature) == PONG
        client.account()
        reload(server, users("a", extra=f"{{nkey: {KEY}, permissions: {{publish: x}}}}"))
        assert errors_in(client.ask(b"PUB y 0\r\n\r\n")) == ['Permissions Violation for Publish to "y"']
        reload(server, users("a"))
        assert client.read_to_end() == CLOSED


def test_a_refused_reload_changes_nobody(start_server: StartServer, server_kind: ServerKind) -> None:
    server = start_server(server_kind, config=users("a", "b"))
    with login(server, "b") as client:
        server.config_path.write_text(users("a") + "nonsense: 1\n")
        after = server.log_line_count
        server.send_signal(signal.SIGHUP)
        server.wait_for_log("Failed to reload server configuration", after=after)
        assert client.ask() == PONG
        login(server, "b").close()


@pytest.mark.capability("CS07")
def test_a_new_account_tells_its_users_who_they_are(start_server: StartServer, server_kind: ServerKind) -> None:
    """As those that were there from the start: `$SYS.REQ.USER.INFO` is answered in it."""
    account = "{ users: [ {user: %s, password: p} ] }"
    server = start_server(server_kind, config=f"accounts {{ A {account % 'a'} }}")
    reload(server, f"accounts {{ A {account % 'a'}, B {account % 'b'} }}")
    with login(server, "b") as client:
        client.ask(b"SUB info 1\r\n")
        client.send(b"PUB $SYS.REQ.USER.INFO info 0\r\n\r\n")
        assert b'"account":"B"' in client.read_until(b"}}\r\n")
