"""What pull requests and acknowledgements hear when nothing will come of them, on the real server and on ours."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.blocking_client import CLOSED, BlockingClient
from tests.support.servers import ServerKind, ServerProcess, StartServer

STORAGES = ("file", "memory")
ACKNOWLEDGEMENT = b"$JS.ACK.%b.%b.1.1.1.1700000000000000000.0"


def ask_api(client: BlockingClient, request: bytes, body: bytes) -> None:
    """One request to the API; it must succeed."""
    client.send(b"PUB $JS.API.%b api.1 %d\r\n%b\r\n" % (request, len(body), body))
    assert b'"error"' not in client.read_until(b"_response") + client.ask()


@pytest.fixture
def server(server_kind: ServerKind, start_server: StartServer, tmp_path: Path) -> ServerProcess:
    """With a stream and two consumers for each storage: E wants acknowledgements, N does not."""
    server = start_server(server_kind, config=f'jetstream {{ store_dir: "{tmp_path}/store" }}')
    with logged_in(server) as client:
        for storage in STORAGES:
            ask_api(
                client,
                b"STREAM.CREATE.%b" % storage.encode(),
                b'{"name":"%b","subjects":["%b"],"storage":"%b"}' % ((storage.encode(),) * 3),
            )
            for name, policy in ((b"E", b"explicit"), (b"N", b"none")):
                ask_api(
                    client,
                    b"CONSUMER.CREATE.%b.%b" % (storage.encode(), name),
                    b'{"stream_name":"%b","config":{"durable_name":"%b","ack_policy":"%b"}}'
                    % (storage.encode(), name, policy),
                )
    return server


def logged_in(server: ServerProcess) -> BlockingClient:
    client = BlockingClient(server.client_port)
    assert client.login(protocol=0) == b"PONG\r\n"
    client.ask(b"SUB api.* 1\r\nSUB pull.> 2\r\n")
    return client


@pytest.mark.capability("JC02")
def test_waiting_requests_are_told_that_the_server_stops(server: ServerProcess) -> None:
    with logged_in(server) as client:
        for storage in STORAGES:
            for name in (b"E", b"N"):
                client.ask(
                    b'PUB $JS.API.CONSUMER.MSG.NEXT.%b.%b pull.%b.%b 34\r\n{"batch":3,"expires":600000000000}\r\n'
                    % (storage.encode(), name, storage.encode(), name)
                )
        server.stop()
        heard = client.read_to_end()
    told = re.findall(
        rb"HMSG (pull\S+) 2 \d+ \d+\r\nNATS/1.0 409 Server Shutdown\r\n"
        rb"Nats-Pending-Messages: 3\r\nNats-Pending-Bytes: 0\r\n\r\n",
        heard,
    )
    assert sorted(told) == [b"pull.file.E", b"pull.file.N", b"pull.memory.E", b"pull.memory.N"]
    assert heard.endswith(CLOSED)


@pytest.mark.capability("JC07")
def test_nobody_takes_acknowledgements_where_none_are_wanted(server: ServerProcess) -> None:
    with logged_in(server) as client:
        client.send(b"PUB file api.1 1\r\nx\r\n")
        client.read_until(b'"seq":1}\r\n')
        client.send(b"PUB %b pull.n 4\r\n+ACK\r\n" % (ACKNOWLEDGEMENT % (b"file", b"N")))
        assert b"NATS/1.0 503" in client.ask()
        client.send(b"PUB %b pull.e 4\r\n+ACK\r\n" % (ACKNOWLEDGEMENT % (b"file", b"E")))
        assert client.ask() == b"PONG\r\n"
