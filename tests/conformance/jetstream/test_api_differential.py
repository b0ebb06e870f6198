"""The JetStream API of both servers, request by request: same keys in the same order, same values but times and ids."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import nats
import nats.errors
import pytest

from tests.conformance.jetstream.api_requests import SCRIPTS, Step
from tests.support.servers import ServerKind, ServerProcess

CONFIG = """
server_name: edge1
jetstream {{ store_dir: "{directory}", max_mem: 1G, max_file: 10G }}
accounts {{ A {{ users: [{{user: a, password: a}}], jetstream: enabled }} }}
no_auth_user: a
"""
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
NUID = re.compile(r"[0-9A-Za-z]{22}")
# Values that differ from run to run; names made up by the server among them.
VOLATILE = {"ts", "created", "first_ts", "last_ts", "time", "last_active", "pause_remaining", "active", "pinned_ts"}


def masked(value: object, key: str = "") -> object:
    """A parsed response without what differs from run to run."""
    if isinstance(value, dict):
        return {name: masked(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [masked(item, key) for item in value]
    if key in VOLATILE and not (isinstance(value, str) and value.startswith("0001-")):
        return "<volatile>"
    if isinstance(value, str):
        return TIME.sub("<time>", value)
    return value


def comparable(data: bytes, headers: dict[str, str] | None) -> str:
    """A response as text that two servers can agree on; JSON keeps its key order."""
    shown = {name: TIME.sub("<time>", value) for name, value in (headers or {}).items()}
    try:
        body: object = masked(json.loads(data))
    except ValueError:
        body = data.decode("utf-8", "replace")
    return json.dumps({"headers": shown, "body": body}, ensure_ascii=False)


async def replay(port: int, steps: list[Step], expected: list[str]) -> list[str]:
    """Send every step and collect what came back; where an answer is expected, a busy machine gets time for it."""
    client = await nats.connect(f"nats://127.0.0.1:{port}")
    answers = []
    for index, step in enumerate(steps):
        timeout_s = 1.0 if not expected else 0.4 if expected[index] == "timeout" else 15.0
        try:
            reply = await client.request(step.subject, step.body.encode(), timeout=timeout_s, headers=step.headers)
            answers.append(comparable(reply.data, reply.headers))
        except nats.errors.TimeoutError:
            answers.append("timeout")
        except nats.errors.NoRespondersError:
            answers.append("no responders")
    await client.close()
    return answers


def answers_of(kind: ServerKind, directory: Path, steps: list[Step], expected: list[str]) -> list[str]:
    config = CONFIG.format(directory=directory / "store")
    with ServerProcess(kind, directory, config=config) as server:
        return asyncio.run(replay(server.client_port, steps, expected))


@pytest.mark.capability(
    "JS01", "JS02", "JS03", "JS06", "JS07", "JS08", "JS10", "JS11", "JS13", "JS14", "JS15", "JS16", "JS17", "JS18",
    "JS20", "JS22", "JS23", "JS26", "JS35", "JS36", "JC12", "JC13", "JC17", "JC18", "JC23", "JC24",
)  # fmt: skip
@pytest.mark.parametrize("name", SCRIPTS)
def test_api_answers_like_nats_server(name: str, tmp_path: Path) -> None:
    """Every request of a script gets the same answer from both servers."""
    steps = SCRIPTS[name]
    real = answers_of(ServerKind.REAL, tmp_path / "real", steps, [])
    ours = answers_of(ServerKind.LEAFBOX, tmp_path / "ours", steps, real)
    different = [
        f"{step.subject} {step.body} {step.headers or ''}\n  real {expected}\n  ours {actual}"
        for step, expected, actual in zip(steps, real, ours, strict=True)
        if expected != actual
    ]
    assert not different, f"{len(different)} of {len(steps)} differ\n" + "\n".join(different)
