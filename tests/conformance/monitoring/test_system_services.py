"""Requests and events of the system account: the same keys, texts and silences as nats-server's."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from tests.support.key_tree import key_tree, tree_difference
from tests.support.servers import ServerKind, ServerProcess

CONFIG = """
server_name: monitored
server_tags: [site-a]
accounts {
  A {
    users: [{
      user: a, password: pw
      permissions: { publish: {allow: ["$SYS.>", "foo"], deny: "bar"}, allow_responses: true }
    }]
    imports: [{service: {account: SYS, subject: "$SYS.DEBUG.SUBSCRIBERS"}, share: true}]
  }
  B { users: [{user: b, password: pw}] }
  SYS { users: [{user: s, password: pw}], exports: [{service: "$SYS.DEBUG.SUBSCRIBERS"}] }
}
system_account: SYS
"""
# How long nothing must come for "no answer"; the servers answer within milliseconds.
SILENCE_S = 0.4


@asynccontextmanager
async def connected(server: ServerProcess, user: str, name: str = "n") -> AsyncIterator[Client]:
    client = await nats.connect(
        server.url, user=user, password="pw", name=name, allow_reconnect=False, connect_timeout=10
    )
    try:
        yield client
    finally:
        await client.close()


async def fail_to_log_in(server: ServerProcess) -> None:
    """A stranger with a wrong password; read to the end, so that the server has seen it off."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.client_port)
    writer.write(b'CONNECT {"user":"b","pass":"wrong","name":"stranger","lang":"x","version":"1"}\r\nPING\r\n')
    assert b"Authorization Violation" in await reader.read(-1)
    writer.close()
    await writer.wait_closed()


async def ask(client: Client, subject: str, body: str = "", headers: dict[str, str] | None = None) -> object:
    """The decoded answer, or `silence`, or `nobody`."""
    try:
        message = await client.request(
            subject, body.encode(), timeout=SILENCE_S if "silent" in body else 10, headers=headers
        )
    except TimeoutError:
        return "silence"
    except nats.errors.NoRespondersError:
        return "nobody"
    return decoded(message)


def decoded(message: Msg) -> object:
    is_compressed = (message.headers or {}).get("Content-Encoding") == "gzip"
    return json.loads(gzip.decompress(message.data) if is_compressed else message.data)


def run(body: Callable[[], Awaitable[object]]) -> object:
    async def main() -> object:
        return await body()

    return asyncio.run(main())


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    """The real server and ours with the same accounts."""
    directory: Path = tmp_path_factory.mktemp("system")
    with (
        ServerProcess(ServerKind.REAL, directory / "real", config=CONFIG) as real,
        ServerProcess(ServerKind.LEAFBOX, directory / "leafbox", config=CONFIG) as leafbox,
    ):
        yield real, leafbox


Servers = tuple[ServerProcess, ServerProcess]
FREE = frozenset({".data.http_req_stats"})
# Only in builds made from a commit.
EXCUSED = {".data.git_commit"}


def differences(answers: list[object]) -> list[str]:
    expected, got = (key_tree(answer, free=FREE) for answer in answers)
    return [line for line in tree_difference(expected, got) if line.split(":")[0] not in EXCUSED]


REQUESTS: dict[str, tuple[str, str, str]] = {
    "idz": ("s", "$SYS.REQ.SERVER.PING.IDZ", ""),
    "ping": ("s", "$SYS.REQ.SERVER.PING", ""),
    "statsz": ("s", "$SYS.REQ.SERVER.<id>.STATSZ", ""),
    "varz": ("s", "$SYS.REQ.SERVER.PING.VARZ", ""),
    "varz by name": ("s", "$SYS.REQ.SERVER.PING.VARZ", '{"server_name":"monitored","exact_match":true}'),
    "varz by part of a name": ("s", "$SYS.REQ.SERVER.PING.VARZ", '{"server_name":"monit"}'),
    "varz by tag": ("s", "$SYS.REQ.SERVER.PING.VARZ", '{"tags":["site-a"]}'),
    "varz of another server": ("s", "$SYS.REQ.SERVER.PING.VARZ", '{"server_name":"silent"}'),
    "varz of no exact name": (
        "s",
        "$SYS.REQ.SERVER.PING.VARZ",
        '{"server_name":"monit","exact_match":true,"x":"silent"}',
    ),
    "varz of another tag": ("s", "$SYS.REQ.SERVER.PING.VARZ", '{"tags":["silent"]}'),
    "connz": ("s", "$SYS.REQ.SERVER.<id>.CONNZ", '{"auth":true,"subscriptions_detail":true,"state":2}'),
    "connz sorted badly": ("s", "$SYS.REQ.SERVER.PING.CONNZ", '{"sort":"bad"}'),
    "subsz": ("s", "$SYS.REQ.SERVER.PING.SUBSZ", '{"limit":10}'),
    "accountz": ("s", "$SYS.REQ.SERVER.PING.ACCOUNTZ", ""),
    "accountz of one": ("s", "$SYS.REQ.SERVER.PING.ACCOUNTZ", '{"account":"B"}'),
    "accountz of none": ("s", "$SYS.REQ.SERVER.PING.ACCOUNTZ", '{"account":"NO"}'),
    "jsz": ("s", "$SYS.REQ.SERVER.PING.JSZ", ""),
    "leafz": ("s", "$SYS.REQ.SERVER.PING.LEAFZ", ""),
    "routez": ("s", "$SYS.REQ.SERVER.PING.ROUTEZ", ""),
    "gatewayz": ("s", "$SYS.REQ.SERVER.PING.GATEWAYZ", ""),
    "healthz": ("s", "$SYS.REQ.SERVER.PING.HEALTHZ", ""),
    "raftz": ("s", "$SYS.REQ.SERVER.PING.RAFTZ", ""),
    "profile of no name": ("s", "$SYS.REQ.SERVER.PING.PROFILEZ", "{}"),
    "profile of a wrong name": ("s", "$SYS.REQ.SERVER.<id>.PROFILEZ", '{"name":"nope"}'),
    "account connz": ("s", "$SYS.REQ.ACCOUNT.A.CONNZ", ""),
    "account connz of none": ("s", "$SYS.REQ.ACCOUNT.NO.CONNZ", ""),
    "account subsz": ("s", "$SYS.REQ.ACCOUNT.A.SUBSZ", ""),
    "account info": ("s", "$SYS.REQ.ACCOUNT.B.INFO", ""),
    "account info of none": ("s", "$SYS.REQ.ACCOUNT.NO.INFO", ""),
    "account statz": ("s", "$SYS.REQ.ACCOUNT.A.STATZ", ""),
    "account conns": ("s", "$SYS.REQ.ACCOUNT.A.CONNS", ""),
    "account jsz": ("s", "$SYS.REQ.ACCOUNT.A.JSZ", ""),
    "account leafz": ("s", "$SYS.REQ.ACCOUNT.A.LEAFZ", ""),
    "all accounts": ("s", "$SYS.REQ.ACCOUNT.PING.STATZ", '{"include_unused":true}'),
    "kick nobody": ("s", "$SYS.REQ.SERVER.<id>.KICK", '{"cid":99999}'),
    "send nobody away": ("s", "$SYS.REQ.SERVER.<id>.LDM", '{"cid":99999}'),
    "own statz": ("b", "$SYS.REQ.ACCOUNT.PING.STATZ", ""),
    "own connz": ("b", "$SYS.REQ.ACCOUNT.PING.CONNZ", ""),
    "own connz of the server": ("b", "$SYS.REQ.SERVER.PING.CONNZ", '{"acc":"SYS"}'),
    "not for normal users": ("b", "$SYS.REQ.SERVER.PING.VARZ", ""),
    "nor this": ("b", "$SYS.REQ.SERVER.PING", ""),
    "nor that": ("b", "$SYS.REQ.ACCOUNT.A.CONNZ", ""),
    "user info": ("b", "$SYS.REQ.USER.INFO", ""),
    "user info with permissions": ("a", "$SYS.REQ.USER.INFO", ""),
    "user info of the system": ("s", "$SYS.REQ.USER.INFO", ""),
}
ROWS = {"own": ("AC09",), "user": ("CS07",), "kick": ("MO08", "AC07"), "send": ("MO08", "AC07")}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.capability(*ROWS.get(name.split()[0], ("AC07", "MO07"))))
        for name in REQUESTS
    ],
)
def test_an_answer_has_the_keys_of_nats_server(servers: Servers, name: str) -> None:
    user, subject, body = REQUESTS[name]

    async def answer(server: ServerProcess) -> object:
        async with connected(server, "a") as other, connected(server, user) as client, connected(server, "s") as system:
            await other.subscribe("foo")
            await other.flush()
            identity = await ask(system, "$SYS.REQ.SERVER.PING.IDZ")
            assert isinstance(identity, dict)
            return await ask(client, subject.replace("<id>", identity["id"]), body)

    answers = [run(lambda server=server: answer(server)) for server in servers]  # type: ignore[misc]
    assert differences(answers) == []
    errors = [answer.get("error") if isinstance(answer, dict) else answer for answer in answers]
    assert errors[1] == errors[0]


@pytest.mark.capability("CS07")
@pytest.mark.parametrize("user", ["a", "b", "s"])
def test_user_info_is_the_same(servers: Servers, user: str) -> None:
    async def data(server: ServerProcess) -> object:
        async with connected(server, user) as client:
            answer = await ask(client, "$SYS.REQ.USER.INFO")
            assert isinstance(answer, dict)
            # nats-server lists allowed and denied subjects in any order.
            for rules in answer["data"].get("permissions", {}).values():
                for subjects in rules.values():
                    if isinstance(subjects, list):
                        subjects.sort()
            return answer["data"]

    real, leafbox = [run(lambda server=server: data(server)) for server in servers]  # type: ignore[misc]
    assert leafbox == real


@pytest.mark.capability("C24")
def test_subscribers_are_counted_alike(servers: Servers) -> None:
    """Literal and wildcard subjects, with and without a queue, in the requester's own account."""

    async def counts(server: ServerProcess) -> object:
        async with connected(server, "a") as client, connected(server, "b") as other, connected(server, "s") as system:
            await client.subscribe("foo")
            await client.subscribe("foo", queue="crew")
            await client.subscribe("foo.*")
            await client.flush()
            subject = "$SYS.DEBUG.SUBSCRIBERS"
            questions = ("foo", "foo crew", "foo none", "foo.bar", "foo.*", "f*", "*", ">", "", "a..b")
            return {
                (who, question): await ask(asking, subject, question)
                for who, asking in (("a", client), ("b", other), ("s", system))
                for question in questions
            }

    real, leafbox = [run(lambda server=server: counts(server)) for server in servers]  # type: ignore[misc]
    assert leafbox == real


@pytest.mark.capability("MO07")
def test_a_broken_body_is_error_400(servers: Servers) -> None:
    async def codes(server: ServerProcess) -> object:
        async with connected(server, "s") as client:
            answers = [
                await ask(client, "$SYS.REQ.SERVER.PING.CONNZ", body) for body in ("{bad", "[]", '{"limit":"x"}')
            ]
            return [(sorted(a), a["error"]["code"]) for a in answers if isinstance(a, dict)]

    real, leafbox = [run(lambda server=server: codes(server)) for server in servers]  # type: ignore[misc]
    assert leafbox == real


@pytest.mark.capability("MO07")
def test_answers_are_compressed_on_request(servers: Servers) -> None:
    async def answer(server: ServerProcess) -> tuple[object, object]:
        async with connected(server, "s") as client:
            message = await client.request("$SYS.REQ.SERVER.PING.VARZ", b"", 10, headers={"Accept-Encoding": "gzip"})
            return (message.headers or {}).get("Content-Encoding"), key_tree(decoded(message))[".data"]

    real, leafbox = [run(lambda server=server: answer(server)) for server in servers]  # type: ignore[misc]
    assert leafbox == real == ("gzip", "object")


@pytest.mark.capability("AC08")
def test_events_of_clients_that_come_and_go(servers: Servers) -> None:
    async def events(server: ServerProcess) -> dict[str, object]:
        seen: dict[str, object] = {}
        is_complete = asyncio.Event()
        async with connected(server, "s") as system:
            identity = await ask(system, "$SYS.REQ.SERVER.PING.IDZ")
            assert isinstance(identity, dict)

            async def take(message: Msg) -> None:
                seen[message.subject.replace(identity["id"], "<id>")] = decoded(message)
                if {"$SYS.SERVER.<id>.CLIENT.AUTH.ERR", "$SYS.ACCOUNT.$G.DISCONNECT"} <= seen.keys():
                    is_complete.set()

            for subject in ("$SYS.ACCOUNT.>", "$SYS.SERVER.*.CLIENT.AUTH.ERR", "$SYS.SERVER.ACCOUNT.>"):
                await system.subscribe(subject, cb=take)
            await system.flush()
            async with connected(server, "b", name="comer") as client:
                await client.subscribe("x")
                await client.publish("x", b"12345")
                await client.flush()
            await fail_to_log_in(server)
            await asyncio.wait_for(is_complete.wait(), 10)
        return seen

    found = [run(lambda server=server: events(server)) for server in servers]  # type: ignore[misc]
    real, leafbox = found
    assert isinstance(real, dict)
    assert isinstance(leafbox, dict)
    assert leafbox.keys() == real.keys()
    for subject in real:
        expected, got = key_tree(real[subject]), key_tree(leafbox[subject])
        # The round trip is known by chance: after the first ping.
        changed = [line for line in tree_difference(expected, got) if not line.startswith(".client.rtt")]
        assert (subject, changed) == (subject, [])
    for subject in ("$SYS.ACCOUNT.B.CONNECT", "$SYS.ACCOUNT.B.DISCONNECT", "$SYS.SERVER.<id>.CLIENT.AUTH.ERR"):
        facts = [
            (
                {k: event["client"].get(k) for k in ("acc", "user", "name", "kind", "client_type", "name_tag")},
                event.get("sent"),
                event.get("received"),
                event.get("reason"),
                event["type"],
            )
            for event in (real[subject], leafbox[subject])
        ]
        assert facts[1] == facts[0]


@pytest.mark.capability("MO08")
def test_a_kicked_client_is_gone_and_named_so(tmp_path: Path) -> None:
    async def body(server: ServerProcess) -> object:
        async with connected(server, "s") as system:
            identity = await ask(system, "$SYS.REQ.SERVER.PING.IDZ")
            assert isinstance(identity, dict)
            closed = asyncio.Event()

            async def note_closed() -> None:
                closed.set()

            victim = await nats.connect(
                server.url, user="b", password="pw", allow_reconnect=False, closed_cb=note_closed
            )
            answer = await ask(system, f"$SYS.REQ.SERVER.{identity['id']}.KICK", json.dumps({"cid": victim.client_id}))
            await asyncio.wait_for(closed.wait(), 10)
            rows = await ask(system, "$SYS.REQ.SERVER.PING.CONNZ", '{"state":1}')
            assert isinstance(answer, dict)
            assert isinstance(rows, dict)
            return sorted(answer), [row["reason"] for row in rows["data"]["connections"]]

    shown = []
    for kind in ServerKind:
        with ServerProcess(kind, tmp_path / kind.value, config=CONFIG) as server:
            shown.append(run(lambda server=server: body(server)))  # type: ignore[misc]
    assert shown[1] == shown[0] == (["server"], ["Kicked"])


@pytest.mark.capability("MO08", "CF07")
def test_a_reload_can_be_asked_for(tmp_path: Path) -> None:
    async def body(server: ServerProcess) -> object:
        async with connected(server, "s") as system:
            identity = await ask(system, "$SYS.REQ.SERVER.PING.IDZ")
            assert isinstance(identity, dict)
            subject = f"$SYS.REQ.SERVER.{identity['id']}.RELOAD"
            server.config_path.write_text(CONFIG + "max_payload: 4096\n", encoding="utf-8")
            good = await ask(system, subject)
            varz = await ask(system, "$SYS.REQ.SERVER.PING.VARZ")
            server.config_path.write_text(CONFIG + "nonsense: 1\n", encoding="utf-8")
            bad = await ask(system, subject)
            assert isinstance(good, dict)
            assert isinstance(varz, dict)
            assert isinstance(bad, dict)
            return sorted(good), varz["data"]["max_payload"], sorted(bad), bad["error"]["code"]

    shown = []
    for kind in ServerKind:
        with ServerProcess(kind, tmp_path / kind.value, config=CONFIG) as server:
            shown.append(run(lambda server=server: body(server)))  # type: ignore[misc]
    assert shown[1] == shown[0]


@pytest.mark.capability("MO08")
def test_statistics_come_by_themselves(servers: Servers) -> None:
    async def first(server: ServerProcess) -> object:
        async with connected(server, "s") as system:
            subscription = await system.subscribe("$SYS.SERVER.*.STATSZ")
            return decoded(await subscription.next_msg(15))

    real, leafbox = [run(lambda server=server: first(server)) for server in servers]  # type: ignore[misc]
    assert tree_difference(key_tree(real), key_tree(leafbox)) == []
