"""What an account may use of JetStream, by configuration and by the tiers of its JWT; and the purge of an account."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import nats
import nats.errors
import pytest
from nats.aio.client import Client

from leafbox.protocol.nkeys import KeyPair, KeyRole
from tests.conformance.jetstream.test_api_differential import comparable
from tests.support.jwt_maker import credentials_text, make_jwt
from tests.support.servers import ServerKind, ServerProcess

LIMITED = """
server_name: edge1
jetstream {{ store_dir: "{directory}", max_mem: 1G, max_file: 10G, limits {{ max_ack_pending: 80 }} }}
accounts {{
  A {{
    users: [{{user: a, password: a}}]
    jetstream {{
      max_mem: 2000, max_file: 6000, max_streams: 3, max_consumers: 2, max_ack_pending: 50
      mem_max_stream_bytes: 1500, disk_max_stream_bytes: 5000, max_bytes_required: true
    }}
  }}
  SYS {{ users: [{{user: s, password: s}}] }}
}}
system_account: SYS
no_auth_user: a
"""
TIERED = """
server_name: edge1
jetstream {{ store_dir: "{directory}", max_mem: 1G, max_file: 10G }}
operator: {operator}
resolver: MEMORY
resolver_preload: {{ {account}: {token}, {system}: {system_token} }}
system_account: {system}
"""
Request = tuple[str, object]


def api(subject: str, **body: object) -> Request:
    return f"$JS.API.{subject}", body


LIMIT_STEPS: list[Request] = [
    api("INFO"),
    api("STREAM.CREATE.N", name="N", subjects=["n"]),
    api("STREAM.CREATE.N", name="N", subjects=["n"], max_bytes=5001),
    api("STREAM.CREATE.N", name="N", subjects=["n"], max_bytes=1501, storage="memory"),
    api("STREAM.CREATE.F", name="F", subjects=["f.>"], max_bytes=5000),
    api("STREAM.CREATE.G", name="G", subjects=["g.>"], max_bytes=1001),
    api("STREAM.CREATE.G", name="G", subjects=["g.>"], max_bytes=1000),
    api("STREAM.CREATE.M", name="M", subjects=["m.>"], max_bytes=1500, storage="memory"),
    api("STREAM.CREATE.X", name="X", subjects=["x.>"], max_bytes=100, storage="memory"),
    api("STREAM.UPDATE.G", name="G", subjects=["g.>"], max_bytes=2000),
    *[
        api(f"CONSUMER.CREATE.F.{name}", stream_name="F", config={"durable_name": name, **config})
        for name, config in (
            ("big", {"ack_policy": "explicit", "max_ack_pending": 60}),
            ("huge", {"ack_policy": "explicit", "max_ack_pending": 90}),
            ("one", {"ack_policy": "explicit"}),
            ("two", {"ack_policy": "none"}),
            ("three", {"ack_policy": "none"}),
        )
    ],
    *[(f"m.{index % 3}", "x" * 400) for index in range(5)],
    *[(f"f.{index % 3}", "x" * 1500) for index in range(5)],
    api("INFO"),
]
TIER_STEPS: list[Request] = [
    api("INFO"),
    api("STREAM.CREATE.F", name="F", subjects=["f.>"]),
    api("STREAM.CREATE.G", name="G", subjects=["g.>"], num_replicas=3),
    api("STREAM.CREATE.M", name="M", subjects=["m.>"], storage="memory"),
    api("STREAM.CREATE.H", name="H", subjects=["h.>"]),
    api("CONSUMER.CREATE.F.one", stream_name="F", config={"durable_name": "one", "ack_policy": "explicit"}),
    api("CONSUMER.CREATE.F.two", stream_name="F", config={"durable_name": "two", "ack_policy": "explicit"}),
    *[(f"f.{index}", "x" * 1500) for index in range(4)],
    api("INFO"),
]


async def replay(client: Client, steps: list[Request]) -> list[str]:
    """One line for each step."""
    out = []
    for subject, body in steps:
        payload = json.dumps(body).encode() if body else b""
        reply = await client.request(subject, payload, timeout=15)
        out.append(f"{subject} {body}: {comparable(reply.data, reply.headers)}")
    await client.close()
    return out


async def under_limits(port: int) -> list[str]:
    return await replay(await nats.connect(f"nats://127.0.0.1:{port}"), LIMIT_STEPS)


async def under_tiers(port: int, credentials: Path) -> list[str]:
    client = await nats.connect(f"nats://127.0.0.1:{port}", user_credentials=str(credentials))
    return await replay(client, TIER_STEPS)


def tiered(directory: Path) -> tuple[str, Path]:
    """A configuration with one account that has a tier for single streams only, and credentials of a user."""
    roles = (KeyRole.OPERATOR, KeyRole.ACCOUNT, KeyRole.ACCOUNT, KeyRole.USER)
    operator, account, system, user = (KeyPair.create(role) for role in roles)
    tier = {"mem_storage": 1000, "disk_storage": 5000, "streams": 2, "consumer": 1, "max_ack_pending": 20}
    unlimited = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1)
    claims: dict[str, object] = {"limits": {**unlimited, "tiered_limits": {"R1": tier}}}
    token = make_jwt("user", user.public, account, {"subs": -1, "data": -1, "payload": -1})
    credentials = directory / "user.creds"
    credentials.write_text(credentials_text(token, user.seed), encoding="utf-8")
    config = TIERED.format(
        directory="{directory}",
        operator=make_jwt("operator", operator.public, operator, {}),
        account=account.public,
        token=make_jwt("account", account.public, operator, claims),
        system=system.public,
        system_token=make_jwt("account", system.public, operator, {"limits": unlimited}),
    )
    return config, credentials


def different(real: list[str], ours: list[str]) -> str:
    pairs = zip(real, ours, strict=True)
    return "\n".join(f"real {one}\nours {other}" for one, other in pairs if one != other)


@pytest.mark.capability("JS39")
def test_an_account_gets_what_it_may_use(tmp_path: Path) -> None:
    seen = {}
    for kind in ServerKind:
        config = LIMITED.format(directory=tmp_path / kind.value / "store")
        with ServerProcess(kind, tmp_path / kind.value, config=config) as server:
            seen[kind] = asyncio.run(under_limits(server.client_port))
    assert not different(seen[ServerKind.REAL], seen[ServerKind.LEAFBOX])


@pytest.mark.capability("JS39")
def test_tiers_of_an_account_jwt(tmp_path: Path) -> None:
    template, credentials = tiered(tmp_path)
    seen = {}
    for kind in ServerKind:
        config = template.replace("{directory}", str(tmp_path / kind.value / "store"))
        with ServerProcess(kind, tmp_path / kind.value, config=config) as server:
            seen[kind] = asyncio.run(under_tiers(server.client_port, credentials))
    assert not different(seen[ServerKind.REAL], seen[ServerKind.LEAFBOX])


async def purged(port: int) -> tuple[object, object]:
    client = await nats.connect(f"nats://127.0.0.1:{port}")
    system = await nats.connect(f"nats://127.0.0.1:{port}", user="s", password="s")
    for name in "FG":
        body = {"name": name, "subjects": [name], "max_bytes": 1000}
        await client.request(f"$JS.API.STREAM.CREATE.{name}", json.dumps(body).encode(), timeout=15)
        await client.request(name, b"x", timeout=15)
    with pytest.raises(nats.errors.TimeoutError):
        await client.request("$JS.API.ACCOUNT.PURGE.A", b"", timeout=0.5)
    answer = await system.request("$JS.API.ACCOUNT.PURGE.A", b"", timeout=15)
    names = await client.request("$JS.API.STREAM.NAMES", b"", timeout=15)
    await client.close()
    await system.close()
    return json.loads(answer.data), json.loads(names.data)["streams"]


@pytest.mark.parametrize("kind", list(ServerKind))
def test_the_system_account_purges_an_account(kind: ServerKind, tmp_path: Path) -> None:
    with ServerProcess(kind, tmp_path, config=LIMITED.format(directory=tmp_path / "store")) as server:
        answer, names = asyncio.run(purged(server.client_port))
    assert answer == {"type": "io.nats.jetstream.api.v1.account_purge_response", "initiated": True}
    assert names is None


ELSEWHERE = """
jetstream {{ store_dir: "{directory}", domain: edge }}
accounts {{
  WITH {{ jetstream: enabled, users: [{{user: w, password: w}}], exports: [{{service: "$JS.API.>"}}] }}
  WITHOUT {{ users: [{{user: a, password: a}}] }}
  BORROWS {{ users: [{{user: b, password: b}}], imports: [{{service: {{account: WITH, subject: "$JS.API.>"}}}}] }}
  SYS {{ users: [{{user: s, password: s}}] }}
}}
system_account: SYS
"""
ELSEWHERE_REQUESTS = [
    "$JS.API.INFO",
    "$JS.edge.API.INFO",
    "$JS.API.STREAM.INFO.X",
    "$JS.API.STREAM.LIST",
    "$JS.API.CONSUMER.CREATE.X.y",
    "$JS.API.CONSUMER.MSG.NEXT.X.y",
    "$JS.API.DIRECT.GET.X",
]


async def without_jetstream(port: int) -> list[str]:
    """What accounts hear that have no JetStream of their own: one line for each request of each user."""
    out = []
    for user in ("a", "b", "s"):
        client = await nats.connect(f"nats://{user}:{user}@127.0.0.1:{port}")
        for subject in ELSEWHERE_REQUESTS:
            if user == "s" and "edge" in subject:
                continue
            try:
                reply = await client.request(subject, b"", timeout=15)
                out.append(f"{user} {subject}: {comparable(reply.data, reply.headers)}")
            except nats.errors.NoRespondersError:
                out.append(f"{user} {subject}: nobody")
        await client.close()
    return out


@pytest.mark.capability("JS39")
def test_accounts_without_jetstream_are_told_so(tmp_path: Path) -> None:
    seen = {}
    for kind in ServerKind:
        config = ELSEWHERE.format(directory=tmp_path / kind.value / "store")
        with ServerProcess(kind, tmp_path / kind.value, config=config) as server:
            seen[kind] = asyncio.run(without_jetstream(server.client_port))
    real, ours = seen[ServerKind.REAL], seen[ServerKind.LEAFBOX]
    assert sum("JetStream not enabled for account" in line for line in ours) >= 8
    assert not different(real, ours)
