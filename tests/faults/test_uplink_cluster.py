"""The main path into a hub that is a cluster of three with a replicated stream, one of its servers going away."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from tests.support.box import RunningBox, free_port
from tests.support.sensors import MqttSensors, Sensors, difference, nats_client, payloads_of
from tests.support.servers import ServerKind, ServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
NAMES = ("n1", "n2", "n3")


def start_cluster(folder: Path) -> tuple[dict[str, ServerProcess], dict[str, int], dict[str, int]]:
    """Three servers; with their client and leaf ports."""
    routes, leafs, clients = ({name: free_port() for name in NAMES} for _ in range(3))
    servers = {}
    for name in NAMES:
        others = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes.values())
        config = (
            f"server_name: {name}\n"
            f'cluster {{ name: hubs, listen: "127.0.0.1:{routes[name]}", routes: [{others}] }}\n'
            f'leafnodes {{ listen: "127.0.0.1:{leafs[name]}" }}\n'
            f'jetstream {{ store_dir: "{folder / name}", domain: HUB }}\n'
        )
        home = folder / f"home-{name}"
        servers[name] = ServerProcess(ServerKind.REAL, home, "-p", str(clients[name]), config=config).start()
    return servers, leafs, clients


async def leader_of(port: int, stream: str) -> str:
    """Name of the server that leads a stream; empty while there is none."""
    client = await nats_client(f"nats://127.0.0.1:{port}")
    try:
        answer = json.loads((await client.request(f"$JS.API.STREAM.INFO.{stream}", b"", timeout=5)).data)
        return str((answer.get("cluster") or {}).get("leader") or "")
    finally:
        await client.close()


@pytest.mark.capability("LF06", "LF12")
def test_a_replicated_stream_survives_the_loss_of_its_leader(tmp_path: Path) -> None:
    servers, leafs, clients = start_cluster(tmp_path)
    try:
        with RunningBox(tmp_path / "box", mqtt_port=free_port()) as box:
            url = ",".join(f"nats-leaf://127.0.0.1:{port}" for port in leafs.values())
            box.ask("uplink.add", url=url, forwards=[{"subjects": ["sensors.>"], "replicas": 3}])
            box.wait_uplink("flowing", timeout_s=90)
            with Sensors(box.url) as sensors, MqttSensors(box.mqtt_port) as devices:
                time.sleep(2)
                leader = asyncio.run(leader_of(clients["n1"], "sensors"))
                assert leader in NAMES
                servers[leader].stop()
                time.sleep(4)
                servers[leader].start()
                for publisher in (sensors, devices):
                    publisher.wait(100)
                    publisher.stop()
            deadline = time.monotonic() + 120
            while (status := box.uplink())["queued"] or status["condition"] != "flowing":
                assert time.monotonic() < deadline, status
                time.sleep(0.2)
        other = next(name for name in NAMES if name != leader)
        found = asyncio.run(payloads_of(f"nats://127.0.0.1:{clients[other]}", "sensors"))
        for publisher, start in ((sensors, b"reading "), (devices, b"mqtt reading ")):
            assert not difference([payload for payload in found if payload.startswith(start)], publisher)
    finally:
        for server in servers.values():
            if server.is_running:
                server.stop()
