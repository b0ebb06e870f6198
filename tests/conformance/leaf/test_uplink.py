"""The uplink of a box against real hubs: what it says when something is wrong, and that it moves what it should.

Every reason is provoked at a real nats-server, or by a line or a clock that is really wrong.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leafbox.protocol.nkeys import KeyPair, KeyRole
from tests.conformance.leaf.pairs import REAL, eventually
from tests.support.box import RunningBox
from tests.support.certificates import IssuedCertificate, TestAuthority
from tests.support.faulty_line import FaultyLine
from tests.support.jwt_maker import OperatorMode
from tests.support.sensors import nats_client, payloads_of
from tests.support.servers import ServerProcess, StartServer

pytestmark = pytest.mark.slow

LEAF_USERS = "authorization { users: [ { user: box, password: pw, account: A } ] }"


def with_users(jetstream: str = "true", permissions: str = "") -> str:
    """A user `box` of an account; with permissions the leaf login falls back to the account's user, who has them."""
    leaf = "" if permissions else LEAF_USERS
    user = f"{{ user: box, password: pw {permissions} }}"
    return (
        f'leafnodes {{ listen: "127.0.0.1:-1"\n{leaf} }}\n'
        f"accounts {{ A {{ jetstream: {jetstream}, users: [ {user} ] }} }}\n"
    )


def hub_config(folder: Path, rest: str = "", domain: str = "HUB") -> str:
    """A hub with a leaf listener and JetStream."""
    listen = "" if "leafnodes" in rest else 'leafnodes { listen: "127.0.0.1:-1" }'
    where = f'store_dir: "{folder / "hub-store"}"' + (f", domain: {domain}" if domain else "")
    return f"server_name: hub\njetstream {{ {where} }}\n{listen}\n{rest}\n"


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBox]:
    """One box for all tests here; each removes its uplink."""
    with RunningBox(tmp_path_factory.mktemp("box")) as running:
        yield running


class Uplinked:
    """An uplink that goes at the end of a test."""

    def __init__(self, box: RunningBox, url: str, **options: Any) -> None:
        self.box = box
        self.name = f"u{time.monotonic_ns()}"
        box.ask("uplink.add", url=url, name=self.name, **options)

    def status(self) -> dict[str, Any]:
        return self.box.uplink(self.name)

    def wait(self, code: str, timeout_s: float = 30.0) -> dict[str, Any]:
        """Until this is the first reason (empty: flowing)."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = self.status()
            reasons = found["reasons"]
            if found["condition"] == "flowing" if not code else bool(reasons) and reasons[0]["code"] == code:
                return found
            assert time.monotonic() < deadline, f"not {code or 'flowing'} within {timeout_s} s: {found}"
            time.sleep(0.05)

    def __enter__(self) -> Uplinked:
        return self

    def __exit__(self, *exception: object) -> None:
        self.box.ask("uplink.rm", name=self.name, is_forced=True)


def leaf_url(hub: ServerProcess, user: str = "") -> str:
    return f"nats-leaf://{user}127.0.0.1:{hub.port('leafnode')}"


def test_an_unknown_name_and_a_silent_port(box: RunningBox) -> None:
    with Uplinked(box, "nats-leaf://no-such-host.invalid") as uplink:
        found = uplink.wait("dns")
        assert found["condition"] == "down"
        report = box.ask("uplink.test", name=uplink.name)
        assert not report["is_ok"]
        assert [step["is_done"] for step in report["steps"]] == [False]
    with socket.create_server(("127.0.0.1", 0)) as nothing:
        port = nothing.getsockname()[1]
    with Uplinked(box, f"nats-leaf://127.0.0.1:{port}") as uplink:
        assert uplink.wait("connection_refused")["reasons"][0]["next_step"]


@pytest.mark.capability("AP07")
def test_a_hub_that_accepts_and_never_answers_is_stalled_within_15_s(box: RunningBox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        kept: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    kept.append(mute.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        started = time.monotonic()
        with Uplinked(box, f"nats-leaf://127.0.0.1:{mute.getsockname()[1]}") as uplink:
            assert uplink.wait("no_info", 15)["condition"] == "stalled"
            assert time.monotonic() - started < 15
        for connection in kept:
            connection.close()


@pytest.mark.capability("AP07")
def test_a_line_that_dies_without_a_word_is_stalled_within_15_s(
    box: RunningBox, start_server: StartServer, tmp_path: Path
) -> None:
    hub = start_server(REAL, config=hub_config(tmp_path))
    with FaultyLine(hub.port("leafnode")) as line, Uplinked(box, f"nats-leaf://127.0.0.1:{line.port}") as uplink:
        assert uplink.wait("")["probe"]["kind"] == "stored"
        line.stall()
        started = time.monotonic()
        assert uplink.wait("hub_silent", 15)["condition"] == "stalled"
        assert time.monotonic() - started < 15
        line.heal()
        uplink.wait("")
        (outage,) = box.ask("uplink.outages", name=uplink.name)["outages"]
        assert (outage["reason"], outage["lost"]) == ("hub_silent", 0)
        assert outage["end"]


def test_wrong_password(box: RunningBox, start_server: StartServer, tmp_path: Path) -> None:
    hub = start_server(REAL, config=hub_config(tmp_path, with_users()))
    with Uplinked(box, leaf_url(hub, "box:wrong@")) as uplink:
        found = uplink.wait("authorization")
        assert found["condition"] == "denied"
        assert "wrong" not in json.dumps(found["url"])
        shown = box.command("uplink", "status", uplink.name)
        assert shown.returncode == 5
        assert "refuses the login" in shown.stdout


def test_the_hubs_jetstream_is_off(box: RunningBox, start_server: StartServer, tmp_path: Path) -> None:
    off = start_server(REAL, config='server_name: plain\nleafnodes { listen: "127.0.0.1:-1" }\n')
    with Uplinked(box, leaf_url(off)) as uplink:
        uplink.wait("hub_jetstream_off")
    account = start_server(REAL, config=hub_config(tmp_path, with_users("disabled")))
    with Uplinked(box, leaf_url(account, "box:pw@")) as uplink:
        uplink.wait("hub_jetstream_off")


def test_domains_that_cannot_work(box: RunningBox, start_server: StartServer, tmp_path: Path) -> None:
    own = (box.data / "box-name").read_text().strip()
    clash = start_server(REAL, config=hub_config(tmp_path / "a", domain=own))
    with Uplinked(box, leaf_url(clash)) as uplink:
        uplink.wait("domain_clash")
    none = start_server(REAL, config=hub_config(tmp_path / "b", domain=""))
    with Uplinked(box, leaf_url(none)) as uplink:
        uplink.wait("hub_domain_missing")


def test_a_permission_is_missing(box: RunningBox, start_server: StartServer, tmp_path: Path) -> None:
    denied = ', permissions: { publish: { deny: ["$JS.HUB.API.>"] } }'
    hub = start_server(REAL, config=hub_config(tmp_path, with_users(permissions=denied)))
    with Uplinked(box, leaf_url(hub, "box:pw@")) as uplink:
        found = uplink.wait("permissions")
        assert "$JS.HUB.API" in found["reasons"][0]["detail"]
        assert "$JS.HUB.API.>" in box.ask("uplink.hub-snippet", name=uplink.name)["text"]


def test_the_hubs_stream_is_full_and_then_has_room(box: RunningBox, start_server: StartServer, tmp_path: Path) -> None:
    hub = start_server(REAL, config=hub_config(tmp_path))

    async def change(config: dict[str, Any], verb: str) -> None:
        client = await nats_client(hub.url)
        answer = await client.request(f"$JS.API.STREAM.{verb}.full", json.dumps(config).encode(), timeout=5)
        assert "error" not in json.loads(answer.data), answer.data
        await client.close()

    asyncio.run(change({"name": "full", "max_msgs": 5, "discard": "new", "storage": "file"}, "CREATE"))
    with Uplinked(box, leaf_url(hub), forwards=[{"subjects": ["full.>"]}]) as uplink:
        uplink.wait("")
        asyncio.run(publish(box, "full.x", 12))
        found = uplink.wait("hub_full")
        assert found["condition"] == "degraded"
        assert found["queued"] >= 7

        async def widen() -> None:
            client = await nats_client(hub.url)
            info = json.loads((await client.request("$JS.API.STREAM.INFO.full", b"", timeout=5)).data)
            await client.close()
            await change({**info["config"], "max_msgs": 1000}, "UPDATE")

        asyncio.run(widen())
        eventually(lambda: uplink.status()["queued"] == 0, "drained", timeout_s=60)
        assert asyncio.run(payloads_of(hub.url, "full")) == [b"%d" % number for number in range(12)]


async def publish(box: RunningBox, subject: str, count: int) -> None:
    """Acknowledged messages with their numbers."""
    client = await nats_client(box.url)
    context = client.jetstream()
    for number in range(count):
        await context.publish(subject, b"%d" % number)
    await client.close()


def test_priorities_caps_and_drain(box: RunningBox, start_server: StartServer, tmp_path: Path) -> None:
    hub = start_server(REAL, config=hub_config(tmp_path))
    forwards = [
        {"subjects": ["first.>"], "priority": 1, "rate_bytes": 1000},
        {"subjects": ["second.>"], "priority": 2},
    ]
    with Uplinked(box, leaf_url(hub), forwards=forwards) as uplink:
        uplink.wait("")
        asyncio.run(publish(box, "first.x", 200))
        eventually(lambda: uplink.status()["forwards"][1]["is_held"], "the second stream waits", timeout_s=5)
        asyncio.run(publish(box, "second.x", 5))

        def waits() -> bool:
            held = uplink.status()["forwards"][1]
            return bool(held["is_held"] and held["backlog"]["messages"] == 5)

        eventually(waits, "five messages are held back", timeout_s=5)
        box.ask("uplink.drain", name=uplink.name)
        eventually(lambda: uplink.status()["queued"] == 0, "drained without caps", timeout_s=10)


def test_certificates_and_the_clock(box: RunningBox, start_server: StartServer, tmp_path: Path) -> None:
    """A certificate that is over by this machine's clock is what a wrong clock looks like."""
    authority = TestAuthority(tmp_path)

    def hub(certificate: IssuedCertificate, name: str) -> str:
        tls = f'tls {{ cert_file: "{certificate.cert_file}", key_file: "{certificate.key_file}" }}'
        rest = f'leafnodes {{ listen: "127.0.0.1:-1"\n{tls} }}'
        return f"tls://127.0.0.1:{start_server(REAL, config=hub_config(tmp_path / name, rest)).port('leafnode')}"

    good = hub(authority.issue_server(), "good")
    with Uplinked(box, good) as uplink:
        assert uplink.wait("tls_untrusted")["condition"] == "down"
    with Uplinked(box, good, ca_file=str(authority.ca_file)) as uplink:
        uplink.wait("")
    over = hub(authority.issue("over", addresses=["127.0.0.1"], days_valid=0), "over")
    with Uplinked(box, over, ca_file=str(authority.ca_file)) as uplink:
        found = uplink.wait("clock")
        assert "this server's clock says" in found["reasons"][0]["detail"]
        assert "timedatectl" in found["reasons"][0]["next_step"]
    ahead = hub(authority.issue("ahead", addresses=["127.0.0.1"], days_until_valid=1), "ahead")
    with Uplinked(box, ahead, ca_file=str(authority.ca_file)) as uplink:
        assert "not yet valid" in uplink.wait("clock")["reasons"][0]["detail"]


def test_credentials_that_do_not_count(box: RunningBox, start_server: StartServer, tmp_path: Path) -> None:
    """Too late, too early, of another operator, no file at all: the hub says the same to all, the box does not."""
    mode, now_s = OperatorMode(), int(time.time())
    hub = start_server(REAL, config=hub_config(tmp_path, mode.config()))
    over = mode.credentials_file(tmp_path / "over.creds", exp=now_s - 60)
    early = mode.credentials_file(tmp_path / "early.creds", nbf=now_s + 3600)
    strange = OperatorMode().credentials_file(tmp_path / "strange.creds")
    broken = tmp_path / "broken.creds"
    broken.write_text("nothing of the kind\n")
    expected = {
        over: ("credentials_expired", r"the credentials expired at .* UTC; this server's clock says .* UTC"),
        early: ("credentials_early", r"valid from .* UTC on; this server's clock says .* UTC"),
        strange: ("credentials_refused", r"the hub says: Authorization Violation"),
        broken: ("credentials", r"no user JWT and seed found"),
    }
    sentences = set()
    for file, (code, detail) in expected.items():
        with Uplinked(box, leaf_url(hub), credentials_file=str(file)) as uplink:
            found = uplink.wait(code)
            assert found["condition"] == "denied"
            assert re.search(detail, found["reasons"][0]["detail"]), found
            sentences.add(found["sentence"])
            shown = box.command("uplink", "status", uplink.name)
            assert shown.returncode == 5
            assert f"next: {found['reasons'][0]['next_step']}" in shown.stdout
    assert len(sentences) == len(expected)


def test_credentials_end_on_a_standing_link(box: RunningBox, start_server: StartServer, tmp_path: Path) -> None:
    """They are revoked, or their time is over; new ones in the same file count without a restart."""
    mode, user = OperatorMode(), KeyPair.create(KeyRole.USER)
    hub = start_server(REAL, config=hub_config(tmp_path, mode.config(tmp_path / "accounts")))
    operator = mode.credentials_file(tmp_path / "operator.creds", is_system=True)

    async def revoke() -> None:
        client = await nats_client(hub.url, user_credentials=str(operator))
        answer = await client.request("$SYS.REQ.CLAIMS.UPDATE", mode.account_jwt([user]).encode(), timeout=10)
        await client.close()
        assert json.loads(answer.data)["data"]["code"] == 200, answer.data

    file = mode.credentials_file(tmp_path / "box.creds", user, iat=int(time.time()) - 10)
    with Uplinked(box, leaf_url(hub), credentials_file=str(file)) as uplink:
        uplink.wait("")
        asyncio.run(revoke())
        found = uplink.wait("credentials_revoked")
        assert "ask the operator" in found["reasons"][0]["next_step"].lower()
        eventually(lambda: "it had said before" in uplink.status()["reasons"][0]["detail"], "refused again")
        mode.credentials_file(file, exp=int(time.time()) + 4)
        uplink.wait("")
        uplink.wait("credentials_expired")
        mode.credentials_file(file)
        uplink.wait("")


@pytest.mark.capability("CL02")
def test_replicas_are_refused_with_the_hubs_domain(box: RunningBox, start_server: StartServer, tmp_path: Path) -> None:
    """The code and the start of the text are nats-server's; without a hub there is nothing to add."""

    async def refused() -> dict[str, Any]:
        client = await nats_client(box.url)
        body = json.dumps({"name": "R3", "num_replicas": 3}).encode()
        answer = json.loads((await client.request("$JS.API.STREAM.CREATE.R3", body, timeout=10)).data)
        await client.close()
        return dict(answer["error"])

    text = "replicas > 1 not supported in non-clustered mode"
    assert asyncio.run(refused()) == {"code": 500, "err_code": 10074, "description": text}
    hub = start_server(REAL, config=hub_config(tmp_path))
    with Uplinked(box, leaf_url(hub)) as uplink:
        uplink.wait("")
        found = asyncio.run(refused())
        assert found["err_code"] == 10074
        assert found["description"].startswith(text)
        assert "domain HUB" in found["description"]


@pytest.mark.capability("LF06")
def test_an_uplink_to_nowhere_never_says_that_data_flows(box: RunningBox) -> None:
    """Not even in the moment after `add`, before anything is known."""
    added = box.command("uplink", "add", "nats-leaf://127.0.0.1:9", "--name", "nowhere")
    assert added.returncode == 0, added.stderr
    assert "Data flows" not in added.stdout, added.stdout
    assert box.command("uplink", "rm", "nowhere").returncode == 0


def test_an_uplink_in_its_life(box: RunningBox, start_server: StartServer, tmp_path: Path) -> None:
    """Every command, with its exit code."""
    hub = start_server(REAL, config=hub_config(tmp_path))
    added = box.command("uplink", "add", leaf_url(hub), "--name", "life", "--forward", "life.>")
    assert added.returncode == 0, added.stderr
    assert box.command("uplink", "add", leaf_url(hub), "--name", "life").returncode == 1
    assert box.command("uplink", "add", "ftp://x").returncode == 1
    assert box.command("uplink", "add").returncode == 2
    eventually(lambda: box.uplink("life")["condition"] == "flowing", "flowing")
    shown = json.loads(box.command("uplink", "status", "--json").stdout)["uplinks"][0]
    assert shown["forwards"][0]["hub_stream"] == "life"
    tested = box.command("uplink", "test", "life")
    assert tested.returncode == 0, tested.stdout
    assert "message through the hub" in tested.stdout
    assert box.command("uplink", "pause", "life").returncode == 0
    asyncio.run(publish(box, "life.x", 3))
    eventually(lambda: box.uplink("life")["queued"] == 3, "three wait")
    assert box.command("uplink", "status").returncode == 3
    refused = box.command("uplink", "rm", "life")
    assert refused.returncode == 1
    assert "wait for the hub" in refused.stderr
    box.kill()
    box.start()
    assert box.uplink("life")["condition"] == "paused"
    assert box.command("uplink", "resume", "life").returncode == 0
    drained = box.command("uplink", "drain", "life", "--timeout", "60")
    assert drained.returncode == 0, drained.stderr
    assert asyncio.run(payloads_of(hub.url, "life")) == [b"0", b"1", b"2"]
    assert box.command("uplink", "outages", "life").returncode == 0
    assert "nats stream add life" in box.command("uplink", "hub-snippet", "life").stdout
    assert box.command("uplink", "rm", "life").returncode == 0
    assert box.ask("uplink.status")["uplinks"] == []
    hub.stop()
    with RunningBox(tmp_path / "nobody") as other:
        other.stop()
        assert other.command("uplink", "status").returncode == 4
