"""Every monitoring document of ours has the keys, types and texts of nats-server's in the same situation."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

from tests.support.key_tree import key_tree, tree_difference
from tests.support.servers import ServerKind, ServerProcess, StartServer

ACCOUNTS = """
server_name: monitored
server_tags: [site-a]
http: "127.0.0.1:-1"
websocket { listen: "127.0.0.1:-1", no_tls: true, compression: true, same_origin: true, allowed_origins: ["http://a"] }
accounts {
  A {
    users: [{user: a, password: pw}]
    mappings { "old.*": "new.$1", "split": [{destination: one, weight: 30%}, {destination: two, weight: 20%}] }
    exports: [{service: "svc.>"}, {stream: "data.>", accounts: [B]}]
  }
  B { users: [{user: b, password: pw}], imports: [{service: {account: A, subject: "svc.x"}, to: "local.x"}] }
  SYS { users: [{user: s, password: pw}] }
}
system_account: SYS
"""
OPEN = 'http: "127.0.0.1:-1"\n'


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; `headers` without those that name a time or a length."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str

    @property
    def document(self) -> object:
        return json.loads(self.body)


def ask(server: ServerProcess, target: str, method: str = "GET") -> Answer:
    """One request to the monitoring listener."""
    url = f"http://127.0.0.1:{server.port('monitor')}{target}"
    request = urllib.request.Request(url, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return _answer(response.status, dict(response.headers), response.read())
    except urllib.error.HTTPError as error:
        with error:
            return _answer(error.code, dict(error.headers), error.read())


def _answer(status: int, headers: dict[str, str], body: bytes) -> Answer:
    # Go sends long documents in chunks, we never do; that is the transport's business.
    ignored = {"date", "content-length", "transfer-encoding", "connection"}
    kept = tuple(sorted((k, v) for k, v in headers.items() if k.lower() not in ignored))
    return Answer(status, kept, body.decode())


async def busy_clients(server: ServerProcess) -> list[Client]:
    """The same clients on either server: two in A (one queue, one limited subscription), one closed, one in B."""

    async def connect(user: str, name: str) -> Client:
        return await nats.connect(server.url, user=user, password="pw", name=name, allow_reconnect=False)

    first = await connect("a", "first")
    await first.subscribe("data.*")
    await first.subscribe("work", queue="crew")
    limited = await first.subscribe("few")
    await limited.unsubscribe(limit=5)
    second = await connect("a", "second")
    for _ in range(3):
        await second.publish("data.x", b"hello")
        await second.publish("few", b"")
    await second.flush()
    await first.flush()
    closed = await connect("b", "closed")
    await closed.subscribe("gone", queue="q")
    await closed.flush()
    await closed.close()
    third = await connect("b", "third")
    return [first, second, third]


@contextmanager
def with_clients(server: ServerProcess) -> Iterator[None]:
    """Keep the busy clients connected meanwhile."""
    loop = asyncio.new_event_loop()
    try:
        clients = loop.run_until_complete(busy_clients(server))
        yield
        for client in clients:
            loop.run_until_complete(client.close())
    finally:
        loop.close()


@pytest.fixture(scope="module")
def busy_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    """The real server and ours, both with accounts and clients."""
    directory: Path = tmp_path_factory.mktemp("monitoring")
    with (
        ServerProcess(ServerKind.REAL, directory / "real", config=ACCOUNTS) as real,
        ServerProcess(ServerKind.LEAFBOX, directory / "leafbox", config=ACCOUNTS) as leafbox,
        with_clients(real),
        with_clients(leafbox),
    ):
        yield real, leafbox


# Keys below these are data.
FREE = frozenset({".http_req_stats", ".account_detail.mappings"})
# Their presence depends on timing, not on the situation.
VOLATILE = {".connections[].stalls"}
# Only in builds made from a commit; nats-server's binary is one, ours is built on the spot.
FREE_OF_COMMIT = {".git_commit"}

TARGETS = {
    "/varz": ("MO01",),
    "/connz": ("MO02",),
    "/connz?subs=1&auth=1": ("MO02",),
    "/connz?subs=detail&auth=true": ("MO02",),
    "/connz?state=closed&subs=detail&auth=1": ("MO02",),
    "/connz?state=any&limit=2&offset=1": ("MO02",),
    "/connz?state=all&sort=subs": ("MO02",),
    "/connz?acc=A": ("MO02",),
    "/connz?acc=NOPE": ("MO02",),
    "/connz?user=b&auth=1": ("MO02",),
    "/connz?cid=999999": ("MO02",),
    "/subsz": ("MO03",),
    "/subscriptionsz?acc=A": ("MO03",),
    "/subsz?subs=1&acc=A&test=data.x": ("MO03",),
    "/accountz": ("MO03",),
    "/accountz?acc=A": ("MO03",),
    "/accountz?acc=B": ("MO03",),
    "/accountz?acc=SYS": ("MO03",),
    "/accstatz": ("MO03",),
    "/accstatz?unused=1": ("MO03",),
    "/leafz": ("MO03",),
    "/routez": ("MO03", "CL03"),
    "/gatewayz": ("MO03", "CL03"),
    "/jsz": ("MO04",),
    "/healthz": ("MO05",),
    "/healthz?js-enabled-only=1&account=A": ("MO05",),
    "/healthz?details=1": ("MO05",),
}


@pytest.mark.parametrize(
    "target", [pytest.param(target, marks=pytest.mark.capability(*rows)) for target, rows in TARGETS.items()]
)
def test_a_document_has_the_keys_of_nats_server(busy_servers: tuple[ServerProcess, ServerProcess], target: str) -> None:
    real, leafbox = (ask(server, target) for server in busy_servers)
    assert (leafbox.status, leafbox.headers) == (real.status, real.headers)
    expected, got = (key_tree(answer.document, free=FREE) for answer in (real, leafbox))
    excused = VOLATILE | FREE_OF_COMMIT
    assert [line for line in tree_difference(expected, got) if line.split(":")[0] not in excused] == []


def order_of(document: object) -> object:
    """Keys in their order, for the tools that show documents as they come."""
    if isinstance(document, dict):
        return [(key, order_of(value)) for key, value in document.items() if key != "git_commit"]
    return [order_of(member) for member in document[:1]] if isinstance(document, list) else None


@pytest.mark.capability("MO01", "MO02", "MO03")
@pytest.mark.parametrize("target", ["/varz", "/connz?auth=1&subs=1", "/accstatz", "/accountz?acc=B"])
def test_keys_come_in_the_same_order(busy_servers: tuple[ServerProcess, ServerProcess], target: str) -> None:
    real, leafbox = (order_of(ask(server, target).document) for server in busy_servers)
    assert leafbox == real


@pytest.mark.parametrize(
    "target",
    [
        *(
            pytest.param(target, marks=pytest.mark.capability("MO02"))
            for target in (
                "/connz?sort=bogus",
                "/connz?sort=stop",
                "/connz?sort=reason",
                "/connz?state=foo",
                "/connz?auth=zz",
                "/connz?subs=zz",
                "/connz?limit=a",
                "/connz?offset=1x",
                "/connz?cid=-1",
                "/connz?cid=99999999999999999999",
            )
        ),
        *(
            pytest.param(target, marks=pytest.mark.capability("MO03"))
            for target in (
                "/accountz?acc=NOPE",
                "/subsz?test=q.*",
                "/subsz?limit=z",
                "/accstatz?unused=2",
                "/leafz?subs=x",
            )
        ),
        *(
            pytest.param(target, marks=pytest.mark.capability("MO05"))
            for target in ("/healthz?stream=S", "/healthz?account=A&consumer=C", "/healthz?js-server-only=maybe")
        ),
        *(
            pytest.param(target, marks=pytest.mark.capability("MO06"))
            for target in ("/varz/", "/nope", "/expvarz", "/healthz", "/raftz", "/ipqueuesz")
        ),
    ],
)
def test_an_answer_is_the_same_text(busy_servers: tuple[ServerProcess, ServerProcess], target: str) -> None:
    real, leafbox = (ask(server, target) for server in busy_servers)
    assert leafbox == real


@pytest.mark.capability("MO06")
@pytest.mark.parametrize("method", ["POST", "HEAD", "DELETE", "OPTIONS"])
def test_any_method_is_answered(busy_servers: tuple[ServerProcess, ServerProcess], method: str) -> None:
    real, leafbox = (ask(server, "/healthz", method) for server in busy_servers)
    assert leafbox == real


@pytest.mark.capability("MO02")
def test_counters_and_subscriptions_are_the_same(busy_servers: tuple[ServerProcess, ServerProcess]) -> None:
    names = ("name", "in_msgs", "out_msgs", "in_bytes", "out_bytes", "subscriptions", "authorized_user", "account")
    shown = []
    for server in busy_servers:
        document = ask(server, "/connz?auth=1&subs=detail").document
        assert isinstance(document, dict)
        rows = [
            (
                [row.get(name) for name in names],
                [{k: v for k, v in s.items() if k != "cid"} for s in row.get("subscriptions_list_detail", [])],
            )
            for row in document["connections"]
        ]
        shown.append(sorted(rows, key=lambda row: str(row[0][0])))
    for _, subscriptions in [row for rows in shown for row in rows]:
        subscriptions.sort(key=lambda s: s["sid"])
    assert shown[1] == shown[0]


@pytest.mark.capability("MO02")
@pytest.mark.parametrize("sort", ["cid", "start", "subs", "msgs_to", "msgs_from", "bytes_to", "bytes_from", "uptime"])
def test_rows_come_in_the_same_order(busy_servers: tuple[ServerProcess, ServerProcess], sort: str) -> None:
    keys = {
        "subs": "subscriptions",
        "msgs_to": "out_msgs",
        "msgs_from": "in_msgs",
        "bytes_to": "out_bytes",
        "bytes_from": "in_bytes",
    }
    shown = []
    for server in busy_servers:
        document = ask(server, f"/connz?sort={sort}").document
        assert isinstance(document, dict)
        shown.append([row[keys.get(sort, "name")] for row in document["connections"]])
    if sort == "uptime":
        # Go sorts by whole texts of a second; ours must at least hold the same rows.
        shown = [sorted(rows) for rows in shown]
    assert shown[1] == shown[0]


@pytest.mark.capability("MO01")
def test_varz_counts_requests_and_connections(busy_servers: tuple[ServerProcess, ServerProcess]) -> None:
    shown = []
    for server in busy_servers:
        before = ask(server, "/varz").document
        ask(server, "/subscriptionsz")
        after = ask(server, "/varz").document
        assert isinstance(before, dict)
        assert isinstance(after, dict)
        counts = (
            after["http_req_stats"]["/varz"] - before["http_req_stats"]["/varz"],
            after["http_req_stats"]["/subsz"] - before["http_req_stats"].get("/subsz", 0),
        )
        fixed = {
            key: after[key]
            for key in (
                "server_name",
                "version",
                "max_payload",
                "connections",
                "total_connections",
                "in_msgs",
                "in_bytes",
                "out_msgs",
                "out_bytes",
                "tags",
                "system_account",
                "auth_required",
                "feature_flags",
                "ping_interval",
                "write_deadline",
                "auth_timeout",
                "tls_timeout",
            )
        }
        websocket = {key: value for key, value in after["websocket"].items() if key != "port"}
        shown.append((counts, fixed, websocket))
    assert shown[1] == shown[0]


@pytest.mark.capability("MO06")
@pytest.mark.parametrize("base", ["mon", "/mon", "/a/b"])
def test_a_base_path_moves_everything(tmp_path: Path, base: str) -> None:
    config = f'{OPEN}http_base_path: "{base}"\n'
    path = f"/{base.strip('/')}"
    targets = (f"{path}/varz", f"{path}/healthz", path, f"{path}/", "/varz", "/", f"{path}x/varz")
    statuses: list[list[object]] = []
    for kind in ServerKind:
        with ServerProcess(kind, tmp_path / kind.value, config=config) as server:
            statuses.append([ask(server, target).status for target in targets])
            document = ask(server, f"{path}/varz").document
            assert isinstance(document, dict)
            statuses[-1].append(document["http_base_path"])
    assert statuses[1] == statuses[0]


@pytest.mark.capability("MO01")
def test_a_server_without_configuration_has_the_same_keys(start_server: StartServer) -> None:
    trees = [key_tree(ask(start_server(kind, "-m", "-1"), "/varz").document, free=FREE) for kind in ServerKind]
    assert [line for line in tree_difference(*trees) if line.split(":")[0] not in FREE_OF_COMMIT] == []
