"""Sessions over the wire, on the real server and on ours: INFO, pings, time-outs, limits, order, queue groups."""

from __future__ import annotations

import json
import signal
import time

import pytest

from tests.support.blocking_client import CLOSED, BlockingClient
from tests.support.servers import ServerKind, StartServer

QUICK_PINGS = 'ping_interval: "1s"\nping_max: 2'


@pytest.mark.capability("C01")
def test_the_first_info_has_the_keys_clients_need(server_kind: ServerKind, start_server: StartServer) -> None:
    server = start_server(server_kind)
    with BlockingClient(server.client_port) as client:
        info = client.info
        assert {"server_id", "server_name", "version", "proto", "go", "host", "port", "headers", "max_payload"} <= set(
            info
        )
        assert info["version"] == "2.15.1"
        assert info["server_id"].startswith("N")
        assert len(info["server_id"]) == 56
        assert info["client_id"] >= 1
        assert info["client_ip"] == "127.0.0.1"
        assert client.login() == b"PONG\r\n"
        second = json.loads(client.read_until(b"\r\n")[5:])
        assert second["connect_info"] is True
        assert second["remote_account"] == "$G"


@pytest.mark.capability("C02")
def test_verbose_echo_and_headers(server_kind: ServerKind, start_server: StartServer) -> None:
    server = start_server(server_kind)
    with BlockingClient(server.client_port) as client:
        assert client.login(verbose=True, protocol=0) == b"+OK\r\nPONG\r\n"
        assert client.ask(b"SUB a 1\r\nPUB a 1\r\nx\r\nUNSUB 1\r\n").count(b"+OK\r\n") == 3
    with BlockingClient(server.client_port) as client:
        client.login(echo=False, protocol=0)
        assert client.ask(b"SUB a 1\r\nPUB a 1\r\nx\r\n") == b"PONG\r\n"


@pytest.mark.capability("C03", "C04", "C05")
def test_what_is_published_arrives_byte_for_byte(server_kind: ServerKind, start_server: StartServer) -> None:
    server = start_server(server_kind)
    header = b"NATS/1.0\r\nA: 1\r\na: 2\r\nA: 3\r\n\r\n"
    large = bytes(range(256)) * 4096
    with BlockingClient(server.client_port) as client:
        client.login(protocol=0)
        assert client.ask(b"SUB a.* 7\r\nPUB a.b back 0\r\n\r\n") == b"MSG a.b 7 back 0\r\n\r\nPONG\r\n"
        assert client.ask(b"PUB a.b 5\r\n\r\nPUB\r\n") == b"MSG a.b 7 5\r\n\r\nPUB\r\nPONG\r\n"
        size, total = len(header), len(header) + 2
        assert client.ask(b"HPUB a.b %d %d\r\n%bhi\r\n" % (size, total, header)) == (
            b"HMSG a.b 7 %d %d\r\n%bhi\r\nPONG\r\n" % (size, total, header)
        )
        assert client.ask(b"PUB a.b %d\r\n%b\r\n" % (len(large), large)) == (
            b"MSG a.b 7 %d\r\n%b\r\nPONG\r\n" % (len(large), large)
        )


@pytest.mark.capability("C06")
def test_wildcards(server_kind: ServerKind, start_server: StartServer) -> None:
    server = start_server(server_kind)
    subjects = (b"a", b"a.b", b"a.c", b"a.b.c", b"x.b", b"a.*")
    subscriptions = {b"1": b"a.*", b"2": b"a.>", b"3": b">", b"4": b"a.b", b"5": b"*.b"}
    expected = {
        b"a": {b"3"},
        b"a.b": {b"1", b"2", b"3", b"4", b"5"},
        b"a.c": {b"1", b"2", b"3"},
        b"a.b.c": {b"2", b"3"},
        b"x.b": {b"3", b"5"},
        b"a.*": {b"1", b"2", b"3"},
    }
    with BlockingClient(server.client_port) as client:
        client.login(protocol=0)
        client.ask(b"".join(b"SUB %b %b\r\n" % (subject, sid) for sid, subject in subscriptions.items()))
        for subject in subjects:
            lines = client.ask(b"PUB %b 0\r\n\r\n" % subject).split(b"\r\n")
            assert {line.split()[2] for line in lines if line.startswith(b"MSG")} == expected[subject], subject


@pytest.mark.capability("C07", "C08")
@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"SUB a..b 1\r\n", b"-ERR 'Invalid Subject'\r\nPONG\r\n"),
        (b"FOO\r\n", b"-ERR 'Unknown Protocol Operation'\r\n" + CLOSED),
        (b"PUB a 99999999\r\n", b"-ERR 'Maximum Payload Violation'\r\n" + CLOSED),
        (b"PUB a\r\n", CLOSED),
        (b"MSG a 1 0\r\n\r\n", b"-ERR 'Unknown Protocol Operation'\r\n" + CLOSED),
    ],
)
def test_errors_and_whether_the_connection_survives(
    server_kind: ServerKind, start_server: StartServer, sent: bytes, answer: bytes
) -> None:
    server = start_server(server_kind)
    with BlockingClient(server.client_port) as client:
        client.login(protocol=0)
        assert client.ask(sent) == answer


@pytest.mark.capability("C09")
def test_operations_cut_at_every_byte(server_kind: ServerKind, start_server: StartServer) -> None:
    server = start_server(server_kind)
    script = b"SUB a 1\r\nPUB a r 3\r\nxyz\r\nHPUB a 12 13\r\nNATS/1.0\r\n\r\ny\r\n"
    with BlockingClient(server.client_port) as client:
        client.login(protocol=0)
        for byte in script:
            client.send(bytes([byte]))
        assert client.ask() == b"MSG a 1 r 3\r\nxyz\r\nHMSG a 1 12 13\r\nNATS/1.0\r\n\r\ny\r\nPONG\r\n"


@pytest.mark.capability("C10")
def test_auto_unsubscribe(server_kind: ServerKind, start_server: StartServer) -> None:
    server = start_server(server_kind)
    with BlockingClient(server.client_port) as client:
        client.login(protocol=0)
        answer = client.ask(b"SUB a 1\r\nUNSUB 1 5\r\n" + b"PUB a 0\r\n\r\n" * 10)
        assert answer.count(b"MSG a 1 0") == 5


@pytest.mark.capability("C11")
def test_queue_groups_spread_and_plain_subscribers_get_all(server_kind: ServerKind, start_server: StartServer) -> None:
    server = start_server(server_kind)
    with BlockingClient(server.client_port) as client:
        client.login(protocol=0)
        client.ask(b"SUB q.* g 1\r\nSUB q.* g 2\r\nSUB q.* g 3\r\nSUB q.> 4\r\n")
        answer = client.ask(b"PUB q.a 0\r\n\r\n" * 300)
        counts = [answer.count(b"MSG q.a %d 0" % sid) for sid in (1, 2, 3, 4)]
        assert sum(counts[:3]) == 300
        assert counts[3] == 300
        assert min(counts[:3]) > 60


@pytest.mark.capability("C13")
def test_nobody_answers(server_kind: ServerKind, start_server: StartServer) -> None:
    server = start_server(server_kind)
    with BlockingClient(server.client_port) as client:
        client.login(protocol=0)
        header = b"NATS/1.0 503\r\nNats-Subject: nobody\r\n\r\n"
        assert client.ask(b"SUB in.* 1\r\nPUB nobody in.1 0\r\n\r\n") == (
            b"HMSG in.1 1 %d %d\r\n%b\r\nPONG\r\n" % (len(header), len(header), header)
        )


@pytest.mark.capability("C14")
def test_a_silent_client_is_pinged_then_closed(server_kind: ServerKind, start_server: StartServer) -> None:
    server = start_server(server_kind, config=QUICK_PINGS)
    with BlockingClient(server.client_port) as client:
        client.login(protocol=0)
        started = time.monotonic()
        assert client.read_to_end() == b"PING\r\nPING\r\n-ERR 'Stale Connection'\r\n" + CLOSED
        assert 2.0 <= time.monotonic() - started < 6.0


@pytest.mark.capability("C14")
def test_a_client_that_answers_stays(server_kind: ServerKind, start_server: StartServer) -> None:
    server = start_server(server_kind, config=QUICK_PINGS)
    with BlockingClient(server.client_port) as client:
        client.login(protocol=0)
        for _ in range(4):
            assert client.read_until(b"PING\r\n") == b"PING\r\n"
            client.send(b"PONG\r\n")
        assert client.ask() == b"PONG\r\n"


@pytest.mark.capability("C15")
def test_an_account_s_payload_limit_is_told_and_kept(server_kind: ServerKind, start_server: StartServer) -> None:
    config = "accounts { A { users: [ {user: a, password: a} ], limits { max_payload: 100 } } }"
    server = start_server(server_kind, config=config)
    with BlockingClient(server.client_port) as client:
        assert client.info["max_payload"] == 1048576
        client.login(user="a", **{"pass": "a"})
        assert json.loads(client.read_until(b"\r\n")[5:])["max_payload"] == 100
        assert client.ask(b"PUB a 101\r\n") == b"-ERR 'Maximum Payload Violation'\r\n" + CLOSED


@pytest.mark.capability("C16")
def test_limits(server_kind: ServerKind, start_server: StartServer) -> None:
    config = "max_control_line: 64\nmax_connections: 2\nmax_subscriptions: 2\nmax_sub_tokens: 3"
    server = start_server(server_kind, config=config)
    with BlockingClient(server.client_port) as client, BlockingClient(server.client_port) as other:
        client.send(b"CONNECT {}\r\n")
        client.read_until(b"+OK\r\n")
        assert b"too many tokens" in client.ask(b"SUB a.b.c.d 9\r\n")
        assert client.ask(b"SUB a 1\r\nSUB b 2\r\nSUB c 3\r\n").count(b"+OK") == 2
        assert b"-ERR 'maximum subscriptions exceeded'" in client.ask(b"SUB d 4\r\n")
        with BlockingClient(server.client_port) as third:
            assert third.read_to_end() == b"-ERR 'maximum connections exceeded'\r\n" + CLOSED
        other.send(b"CONNECT {}\r\n")
        other.read_until(b"+OK\r\n")
        assert other.ask(b"SUB %b 1\r\n" % (b"x" * 65)).endswith(b"-ERR 'maximum control line exceeded'\r\n" + CLOSED)


@pytest.mark.capability("C19")
def test_connect_must_come_in_time(server_kind: ServerKind, start_server: StartServer) -> None:
    server = start_server(server_kind, config="authorization { user: a, password: a, timeout: 1 }")
    with BlockingClient(server.client_port) as client:
        started = time.monotonic()
        assert client.read_to_end() == b"-ERR 'Authentication Timeout'\r\n" + CLOSED
        assert 0.8 < time.monotonic() - started < 4.0


@pytest.mark.capability("C20")
def test_each_publisher_s_order_is_kept_under_load(server_kind: ServerKind, start_server: StartServer) -> None:
    server = start_server(server_kind)
    publishers, count, batch = 4, 20_000, 500
    with BlockingClient(server.client_port) as subscriber:
        subscriber.login(protocol=0)
        subscriber.ask(b"SUB p.* 1\r\n")
        clients = [BlockingClient(server.client_port) for _ in range(publishers)]
        for client in clients:
            client.login(protocol=0)
        for start in range(0, count, batch):
            for number, client in enumerate(clients):
                client.send(b"".join(b"PUB p.%d 8\r\n%08d\r\n" % (number, i) for i in range(start, start + batch)))
        for client in clients:
            client.ask()
            client.close()
        lines = subscriber.ask().split(b"\r\n")
        for number in range(publishers):
            heads = [index for index, line in enumerate(lines) if line == b"MSG p.%d 1 8" % number]
            assert [int(lines[index + 1]) for index in heads] == list(range(count))


@pytest.mark.capability("C21")
def test_new_clients_learn_the_advertised_address(server_kind: ServerKind, start_server: StartServer) -> None:
    server = start_server(server_kind, config='client_advertise: "box.example:4222"')
    with BlockingClient(server.client_port) as client:
        assert (client.info["host"], client.info["port"]) == ("box.example", 4222)
    server.config_path.write_text('client_advertise: "other.example:4223"')
    server.send_signal(signal.SIGHUP)
    server.wait_for_log("Reloaded server configuration")
    with BlockingClient(server.client_port) as client:
        assert (client.info["host"], client.info["port"]) == ("other.example", 4223)


@pytest.mark.capability("C25")
def test_odd_but_legal(server_kind: ServerKind, start_server: StartServer) -> None:
    server = start_server(server_kind)
    with BlockingClient(server.client_port) as client:
        client.login(protocol=0)
        assert client.ask(b"sub\ta \t1\r\npub a\t1\nx\r\n") == b"MSG a 1 1\r\nx\r\nPONG\r\n"
        # The same sid again is ignored; a second CONNECT drops the subscriptions.
        assert client.ask(b"SUB b 1\r\nPUB b 0\r\n\r\n") == b"PONG\r\n"
        assert client.login(protocol=0) == b"PONG\r\n"
        assert client.ask(b"PUB a 0\r\n\r\n") == b"PONG\r\n"


@pytest.mark.capability("C14")
def test_a_client_that_talks_but_never_answers_stays(server_kind: ServerKind, start_server: StartServer) -> None:
    server = start_server(server_kind, config=QUICK_PINGS)
    with BlockingClient(server.client_port) as client:
        client.login(protocol=0)
        for _ in range(20):
            assert CLOSED not in client.ask(b"PUB a 0\r\n\r\n")
            time.sleep(0.25)
