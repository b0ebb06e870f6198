"""A site with two boxes at one hub, as docs/operating/scale.md says."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.conformance.leaf.pairs import REAL, eventually
from tests.support.box import RunningBox
from tests.support.sensors import nats_client, payloads_of
from tests.support.servers import ServerProcess, StartServer

pytestmark = [pytest.mark.slow, pytest.mark.capability("LF12", "CL02")]
COUNT = 40


async def publish(box: RunningBox, readings: list[tuple[bytes, str]]) -> None:
    """Payloads, each with an id or without; all of them acknowledged."""
    client = await nats_client(box.url)
    context = client.jetstream()
    for payload, msg_id in readings:
        await context.publish("site.x", payload, headers={"Nats-Msg-Id": msg_id} if msg_id else None)
    await client.close()


def is_source(hub: ServerProcess, box: RunningBox) -> bool:
    """Whether the hub's stream fetches from this box."""

    async def run() -> bool:
        client = await nats_client(hub.url)
        info = json.loads((await client.request("$JS.API.STREAM.INFO.both", b"", timeout=10)).data)
        await client.close()
        sources = info.get("config", {}).get("sources") or []
        domain = (box.data / "box-name").read_text().strip()
        return any(source["external"]["api"] == f"$JS.{domain}.API" for source in sources)

    return asyncio.run(run())


def wait_source(hub: ServerProcess, box: RunningBox) -> None:
    """Until it does."""
    eventually(lambda: is_source(hub, box), "the hub's stream has the box as a source", timeout_s=60)


def wait_drained(box: RunningBox) -> None:
    """Until everything is at the hub."""
    box.wait_uplink("flowing", timeout_s=90)
    known = "the status, which is a moment old, knows of all readings"
    eventually(lambda: box.uplink()["forwards"][0]["stored_here_seq"] == 2 * COUNT, known)
    eventually(lambda: box.uplink()["queued"] == 0, "drained", timeout_s=90)


def test_two_boxes_fill_one_stream_of_the_hub(start_server: StartServer, tmp_path: Path) -> None:
    """Inputs of one box arrive once and in their order, none by way of the other box.

    What a sensor gave to both is there twice: nats-server does not look for duplicates among what it sources.
    """
    config = (
        'server_name: hub\nleafnodes { listen: "127.0.0.1:-1" }\n'
        f'jetstream {{ store_dir: "{tmp_path / "store"}", domain: HUB }}\n'
    )
    hub = start_server(REAL, config=config)
    url = f"nats-leaf://127.0.0.1:{hub.port('leafnode')}"
    with RunningBox(tmp_path / "left") as left, RunningBox(tmp_path / "right") as right:
        for box in (left, right):
            box.ask("uplink.add", url=url, forwards=[{"subjects": ["site.>"], "hub_stream": "both"}])
            # One after the other: the hub's stream has no way to refuse a change that was made from an old state.
            wait_source(hub, box)
        shared = [(b"shared %d" % number, f"reading {number}") for number in range(COUNT)]
        for name, box in ((b"left", left), (b"right", right)):
            inputs = [(b"%b %d" % (name, number), "") for number in range(COUNT)]
            asyncio.run(publish(box, inputs + shared))
        for box in (left, right):
            wait_drained(box)
        found = asyncio.run(payloads_of(hub.url, "both"))
        for start in (b"left ", b"right "):
            own = [payload for payload in found if payload.startswith(start)]
            assert own == [b"%b%d" % (start, number) for number in range(COUNT)]
        for payload, _ in shared:
            assert found.count(payload) == 2
        assert len(found) == 4 * COUNT
