"""What consumers and messages that wait for an acknowledgement cost in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.leaf.pairs import Client
from tests.conformance.leaf.test_jetstream import request
from tests.support.servers import ServerKind, StartServer

PENDING = 100_000
# With the one that holds the messages as many as a stream may have by default.
CONSUMERS = 999
# A box has 512 MiB in the smallest case; these leave most of it to everything else.
PENDING_BYTES_MAX = 64
CONSUMER_BYTES_MAX = 24 * 1024
AT_ONCE = 1000
WAIT_S = 60


def resident_bytes(pid: int) -> int:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


def pull_all(client: Client) -> None:
    """Take everything and acknowledge nothing."""
    client.ask(b"SUB got 7\r\n")
    body = b'{"batch":%d,"expires":%d}' % (AT_ONCE, WAIT_S * 10**9)
    for last in range(AT_ONCE, PENDING + 1, AT_ONCE):
        client.send(b"PUB $JS.API.CONSUMER.MSG.NEXT.S.C got %d\r\n%b\r\n" % (len(body), body))
        client.read_until(b"$JS.ACK.S.C.1.%d.%d." % (last, last))
    client.ask()


@pytest.mark.slow
@pytest.mark.capability("JC27")
def test_unacknowledged_messages_and_consumers_stay_small(start_server: StartServer, tmp_path: Path) -> None:
    config = f'jetstream {{ store_dir: "{tmp_path / "store"}" }}'
    server = start_server(ServerKind.LEAFBOX, config=config)
    with Client(server) as client:
        request(client, "$JS.API.STREAM.CREATE.S", {"name": "S", "subjects": ["s"]})
        for _ in range(PENDING // AT_ONCE):
            client.ask(b"PUB s 1\r\nx\r\n" * AT_ONCE)
        consumer = {"durable_name": "C", "ack_policy": "explicit", "max_ack_pending": -1, "ack_wait": 3600 * 10**9}
        request(client, "$JS.API.CONSUMER.CREATE.S.C", {"stream_name": "S", "config": consumer})
        before = resident_bytes(server.pid)
        pull_all(client)
        assert request(client, "$JS.API.CONSUMER.INFO.S.C")["num_ack_pending"] == PENDING
        assert resident_bytes(server.pid) - before <= PENDING * PENDING_BYTES_MAX
        before = resident_bytes(server.pid)
        for number in range(CONSUMERS):
            settings = {"durable_name": f"N{number}", "ack_policy": "explicit", "filter_subject": "s"}
            request(client, f"$JS.API.CONSUMER.CREATE.S.N{number}.s", {"stream_name": "S", "config": settings})
        assert resident_bytes(server.pid) - before <= CONSUMERS * CONSUMER_BYTES_MAX
        client.send(b"PUB $JS.API.CONSUMER.MSG.NEXT.S.N998 got 0\r\n\r\n")
        client.read_until(b"$JS.ACK.S.N998.1.1.1.")
