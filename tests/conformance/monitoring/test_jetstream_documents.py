"""JetStream in monitoring: the same documents as nats-server's over the same streams and consumers."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nats
import pytest

from tests.support.servers import ServerKind, ServerProcess

# What differs from run to run: identities, times, sizes of the machine, inboxes.
VOLATILE = {"server_id", "server_name", "now", "leader", "store_dir", "max_memory", "max_storage", "deliver_subject"}
TIMES = re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+Z$")


def ask(server: ServerProcess, target: str) -> tuple[int, object]:
    """Status and document of one request."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port('monitor')}{target}", timeout=10) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def settled(document: object) -> object:
    """The document with `*` where values differ from run to run; key order counts."""
    if isinstance(document, dict):
        return [(key, "*" if key in VOLATILE else settled(value)) for key, value in document.items()]
    if isinstance(document, list):
        # nats-server lists streams and consumers in the random order of a Go map.
        named = [member for member in document if isinstance(member, dict) and "name" in member]
        return [settled(member) for member in (sorted(named, key=lambda member: member["name"]) or document)]
    return "*" if isinstance(document, str) and TIMES.match(document) else document


async def use(server: ServerProcess, user: str | None = None) -> None:
    """Two streams, four messages, two consumers."""
    client = await nats.connect(server.url, user=user, password=user)
    jetstream = client.jetstream()
    await jetstream.add_stream(name="S1", subjects=["a.>"])
    await jetstream.add_stream(name="S2", subjects=["b"], storage="memory", max_bytes=1_000_000)
    for _ in range(3):
        await jetstream.publish("a.x", b"hello")
    await jetstream.publish("b", b"x")
    await jetstream.pull_subscribe("a.x", "P")
    await jetstream.pull_subscribe("a.>", "Q")
    await client.close()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    """The real server and ours, both with the same streams."""
    directory: Path = tmp_path_factory.mktemp("jetstream")
    config = 'http: "127.0.0.1:-1"\nserver_name: box\njetstream {{ store_dir: "{}" }}\n'
    real_home, leafbox_home = directory / "real", directory / "leafbox"
    with (
        ServerProcess(ServerKind.REAL, real_home, config=config.format(real_home)) as real,
        ServerProcess(ServerKind.LEAFBOX, leafbox_home, config=config.format(leafbox_home)) as leafbox,
    ):
        for server in (real, leafbox):
            asyncio.run(use(server))
        yield real, leafbox


@pytest.mark.capability("MO04")
@pytest.mark.parametrize(
    "target",
    [
        "/jsz",
        "/jsz?accounts=1",
        "/jsz?acc=$G&streams=1",
        "/jsz?acc=NOPE&streams=1",
        "/jsz?streams=true",
        "/jsz?streams=1&config=1",
        "/jsz?consumers=1",
        "/jsz?consumers=true&config=true&raft=true",
        "/jsz?leader-only=1",
        "/jsz?accounts=1&limit=1&offset=1",
    ],
)
def test_jsz_is_the_same(servers: tuple[ServerProcess, ServerProcess], target: str) -> None:
    real, leafbox = (ask(server, target) for server in servers)
    # Raft group names are random, and a box has no Raft groups.
    assert (leafbox[0], settled(leafbox[1])) == (real[0], settled(real[1]))


@pytest.mark.capability("MO01")
def test_varz_shows_jetstream_alike(servers: tuple[ServerProcess, ServerProcess]) -> None:
    shown = []
    for server in servers:
        _, document = ask(server, "/varz")
        assert isinstance(document, dict)
        shown.append(settled(document["jetstream"]))
    assert shown[1] == shown[0]


@pytest.mark.capability("MO05")
@pytest.mark.parametrize(
    "target",
    [
        "/healthz",
        "/healthz?js-enabled-only=1",
        "/healthz?account=NOPE",
        "/healthz?account=NOPE&details=1",
        "/healthz?account=$G",
        "/healthz?account=$G&stream=NO",
        "/healthz?account=$G&stream=NO&details=1",
        "/healthz?account=$G&stream=S1",
        "/healthz?account=$G&stream=S1&consumer=NO",
        "/healthz?account=$G&stream=S1&consumer=NO&details=true",
        "/healthz?account=$G&stream=S1&consumer=P&details=1",
    ],
)
def test_health_of_assets_is_the_same(servers: tuple[ServerProcess, ServerProcess], target: str) -> None:
    real, leafbox = (ask(server, target) for server in servers)
    assert leafbox == real


ACCOUNTS = """
server_name: box
jetstream {{ store_dir: "{}", max_mem: 64MB, max_file: 64MB }}
accounts {{
  A {{ jetstream: enabled, users: [{{user: a, password: a}}] }}
  B {{ users: [{{user: b, password: b}}] }}
  SYS {{ users: [{{user: s, password: s}}] }}
}}
system_account: SYS
"""
ACCOUNT_REQUESTS = (
    ("ACCOUNT.A.JSZ", ""),
    ("ACCOUNT.A.JSZ", '{"streams":true}'),
    ("ACCOUNT.A.JSZ", '{"consumer":true,"config":true}'),
    ("ACCOUNT.A.JSZ", '{"streams":true,"consumer":true,"config":true}'),
    ("ACCOUNT.B.JSZ", ""),
    ("ACCOUNT.SYS.JSZ", '{"account":"A"}'),
    ("ACCOUNT.NOPE.JSZ", ""),
    ("SERVER.PING.JSZ", '{"account":"A","streams":true}'),
)


async def ask_about_accounts(server: ServerProcess) -> list[object]:
    await use(server, "a")
    client = await nats.connect(server.url, user="s", password="s")
    answers = []
    for subject, body in ACCOUNT_REQUESTS:
        answer = json.loads((await client.request(f"$SYS.REQ.{subject}", body.encode(), timeout=10)).data)
        del answer["server"]
        answers.append(settled(answer))
    await client.close()
    return answers


@pytest.mark.capability("MO07")
def test_an_account_is_reported_alike(tmp_path: Path) -> None:
    """One account's entry, not the server's report; with limits given, the configuration has one more field."""
    answers = []
    for kind in ServerKind:
        with ServerProcess(kind, tmp_path / kind.value, config=ACCOUNTS.format(tmp_path / kind.value)) as server:
            answers.append(asyncio.run(ask_about_accounts(server)))
    assert answers[0] == answers[1]
