"""Accounts on the real server and on ours: isolation, imports of streams and services, limits."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.blocking_client import CLOSED, BlockingClient
from tests.support.servers import ServerFailed, ServerKind, ServerProcess, StartServer

SHARED = """
accounts {
  A { users: [ {user: a, password: a} ]
      exports: [ {stream: "pub.>"}, {stream: "private.>", accounts: [B]}
                 {service: "svc.*"}, {service: "many", response_type: stream}
                 {service: "chunks", response_type: chunked} ] }
  B { users: [ {user: b, password: b} ]
      imports: [ {stream: {account: A, subject: "pub.>"}, prefix: "from.a"}
                 {stream: {account: A, subject: "private.x"}, to: "mine"}
                 {service: {account: A, subject: "svc.add"}, to: "local.add"}
                 {service: {account: A, subject: "svc.who"}, share: true}
                 {service: {account: A, subject: "many"}}, {service: {account: A, subject: "chunks"}} ] }
}
"""


def login(server: ServerProcess, user: str) -> BlockingClient:
    """A logged-in client."""
    client = BlockingClient(server.client_port)
    answer = client.login(user=user, **{"pass": user}, protocol=0)
    assert answer == b"PONG\r\n"
    return client


@pytest.mark.capability("AC01")
def test_accounts_do_not_hear_each_other(server_kind: ServerKind, start_server: StartServer) -> None:
    config = "accounts { A { users: [ {user: a, password: a} ] }, B { users: [ {user: b, password: b} ] } }"
    server = start_server(server_kind, config=config)
    with login(server, "a") as a, login(server, "b") as b:
        a.ask(b"SUB > 1\r\n")
        assert b.ask(b"SUB > 1\r\nPUB x 1\r\nb\r\n") == b"MSG x 1 1\r\nb\r\nPONG\r\n"
        assert a.ask() == b"PONG\r\n"


@pytest.mark.capability("AC02")
def test_imported_streams(server_kind: ServerKind, start_server: StartServer) -> None:
    server = start_server(server_kind, config=SHARED)
    with login(server, "a") as a, login(server, "b") as b:
        b.ask(b"SUB from.a.> 1\r\nSUB mine 2\r\nSUB from.a.pub.*.z 3\r\nSUB from.a.pub.q g 4\r\n")
        a.ask(b"PUB pub.y.z 1\r\n1\r\nPUB private.x 1\r\n2\r\nPUB private.y 1\r\n3\r\nPUB pub.q 1\r\n4\r\n")
        heard = b.ask()
        assert heard.count(b"MSG from.a.pub.y.z 1 1\r\n1\r\n") == 1
        assert heard.count(b"MSG from.a.pub.y.z 3 1\r\n1\r\n") == 1
        assert heard.count(b"MSG mine 2 1\r\n2\r\n") == 1
        assert heard.count(b"MSG from.a.pub.q 4 1\r\n4\r\n") == 1
        assert heard.count(b"MSG ") == 5
        # What the importer publishes stays with it.
        assert a.ask(b"SUB pub.> 9\r\n") == b"PONG\r\n"
        b.ask(b"PUB from.a.pub.y 0\r\n\r\n")
        assert a.ask() == b"PONG\r\n"
        b.ask(b"UNSUB 1\r\nUNSUB 2\r\nUNSUB 3\r\nUNSUB 4\r\n")
        a.ask(b"PUB pub.y.z 1\r\n1\r\n")
        assert b.ask() == b"PONG\r\n"


@pytest.mark.capability("AC02")
@pytest.mark.parametrize("kind", ["stream", "service"])
def test_an_import_without_export_is_refused_at_start(
    server_kind: ServerKind, start_server: StartServer, kind: str
) -> None:
    config = f"""accounts {{ A {{ users: [ {{user: a, password: a}} ], exports: [ {{{kind}: x, accounts: [C]}} ] }}
        B {{ imports: [ {{{kind}: {{account: A, subject: x}}}} ] }}, C {{}} }}"""
    with pytest.raises(ServerFailed, match=f"{kind} import not authorized"):
        start_server(server_kind, config=config)


@pytest.mark.capability("AC03")
def test_an_imported_service_answers_once(server_kind: ServerKind, start_server: StartServer) -> None:
    server = start_server(server_kind, config=SHARED)
    with login(server, "a") as a, login(server, "b") as b:
        a.ask(b"SUB svc.add 1\r\n")
        b.ask(b"SUB in.* 1\r\nPUB local.add in.1 3\r\n1+1\r\n")
        request = a.ask()
        reply = request.split(b" ")[3]
        assert re.fullmatch(rb"_R_\.\w{6}\.\w{6}", reply)
        assert b'Nats-Request-Info: {"acc":"B","rtt":' in request
        a.ask(b"PUB %b 1\r\n2\r\nPUB %b 1\r\n3\r\n" % (reply, reply))
        assert b.ask() == b"MSG in.1 1 1\r\n2\r\nPONG\r\n"


@pytest.mark.capability("AC03")
def test_streamed_and_chunked_answers(server_kind: ServerKind, start_server: StartServer) -> None:
    server = start_server(server_kind, config=SHARED)
    with login(server, "a") as a, login(server, "b") as b:
        a.ask(b"SUB many 1\r\nSUB chunks 2\r\n")
        b.ask(b"SUB in.* 1\r\nPUB many in.m 0\r\n\r\nPUB chunks in.c 0\r\n\r\n")
        lines = [line.split(b" ") for line in a.ask().split(b"\r\n") if line.startswith(b"HMSG")]
        replies = {line[1]: line[3] for line in lines}
        a.ask(b"".join(b"PUB %b 1\r\n%d\r\n" % (replies[b"many"], i) for i in range(3)))
        a.ask(b"PUB %b 1\r\nx\r\nPUB %b 0\r\n\r\nPUB %b 1\r\ny\r\n" % ((replies[b"chunks"],) * 3))
        heard = b.ask()
        assert heard.count(b"MSG in.m 1 1\r\n") == 3
        assert heard.count(b"MSG in.c 1 ") == 2


@pytest.mark.capability("AC03")
def test_pulling_from_a_stream_of_another_account(
    server_kind: ServerKind, start_server: StartServer, tmp_path: Path
) -> None:
    config = f"""
    jetstream {{ store_dir: "{tmp_path}/store" }}
    accounts {{
      S {{ jetstream: enabled, users: [ {{user: s, password: s}} ]
          exports: [ {{service: "$JS.API.>", response_type: stream}}, {{service: "$JS.ACK.>"}} ] }}
      P {{ users: [ {{user: p, password: p}} ]
          imports: [ {{service: {{account: S, subject: "$JS.API.>"}}, to: "api.>"}}
                     {{service: {{account: S, subject: "$JS.ACK.>"}}}} ] }}
    }}"""
    server = start_server(server_kind, config=config)
    with login(server, "s") as owner, login(server, "p") as puller:
        owner.ask(b"SUB in.* 1\r\n")
        for subject, body in (
            (b"STREAM.CREATE.T", b'{"name":"T","subjects":["t.*"],"storage":"memory"}'),
            (b"CONSUMER.CREATE.T.c", b'{"stream_name":"T","config":{"name":"c","ack_policy":"explicit"}}'),
        ):
            owner.send(b"PUB $JS.API.%b in.1 %d\r\n%b\r\n" % (subject, len(body), body))
            assert b"error" not in owner.read_until(b"_create_response")
        owner.send(b"PUB t.one in.2 1\r\n1\r\n")
        owner.read_until(b'"seq":1')

        # The message keeps its subject; the status message that ends the request comes to the inbox.
        puller.ask(b"SUB pulled.* 7\r\n")
        body = b'{"batch":2,"expires":300000000}'
        puller.send(b"PUB api.CONSUMER.MSG.NEXT.T.c pulled.1 %d\r\n%b\r\n" % (len(body), body))
        heard = puller.read_until(b"Request Timeout")
        message = re.search(rb"MSG t\.one 7 (\$JS\.ACK\.T\.c\.1\.1\.1\.\d+\.0) 1\r\n1\r\n", heard)
        assert message is not None
        assert b"HMSG pulled.1 7 " in heard
        puller.send(b"PUB %b pulled.2 4\r\n+ACK\r\n" % message[1])
        assert CLOSED not in puller.read_until(b"MSG pulled.2 7 0\r\n")


@pytest.mark.capability("AC03")
def test_nobody_behind_an_imported_service(server_kind: ServerKind, start_server: StartServer) -> None:
    server = start_server(server_kind, config=SHARED)
    with login(server, "b") as b:
        assert b"NATS/1.0 503\r\n" in b.ask(b"SUB in.* 1\r\nPUB local.add in.1 0\r\n\r\n")


@pytest.mark.capability("AC03")
def test_a_shared_service_learns_who_asks(server_kind: ServerKind, start_server: StartServer) -> None:
    server = start_server(server_kind, config=SHARED)
    with login(server, "a") as a, login(server, "b") as b:
        a.ask(b"SUB svc.who 1\r\n")
        b.ask(b"SUB in.* 1\r\nPUB svc.who in.1 0\r\n\r\n")
        request = a.ask()
        line = next(line for line in request.split(b"\r\n") if line.startswith(b"Nats-Request-Info: "))
        info = json.loads(line.partition(b" ")[2])
        assert info["acc"] == "B"
        assert set(info) == {"start", "host", "id", "acc", "user", "rtt", "server", "kind", "client_type"}


@pytest.mark.capability("AC06")
def test_account_limits(server_kind: ServerKind, start_server: StartServer) -> None:
    config = """accounts { A { users: [ {user: a, password: a} ]
        limits { max_connections: 1, max_subscriptions: 2, max_payload: 10 } } }"""
    server = start_server(server_kind, config=config)
    with login(server, "a") as a:
        with BlockingClient(server.client_port) as second:
            refused = second.login(user="a", **{"pass": "a"}, protocol=0)
            assert refused == b"-ERR 'maximum account active connections exceeded'\r\n" + CLOSED
        assert b"maximum subscriptions exceeded" in a.ask(b"SUB a 1\r\nSUB b 2\r\nSUB c 3\r\n")
        assert a.ask(b"PUB a 11\r\n") == b"-ERR 'Maximum Payload Violation'\r\n" + CLOSED
    with login(server, "a"):
        pass
