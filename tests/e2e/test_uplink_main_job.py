"""The main job, as a user does it: `leafbox run`, one `uplink add`, readings in, hub off for a while, all there."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.support.box import RunningBox, free_port
from tests.support.sensors import Sensors, difference, payloads_of
from tests.support.servers import ServerKind, ServerProcess


@pytest.mark.slow
@pytest.mark.capability("LF06", "LF12")
def test_readings_reach_the_hub_although_it_is_off_for_a_while(tmp_path: Path) -> None:
    port, client_port = free_port(), free_port()
    config = (
        f'server_name: hub\nleafnodes {{ listen: "127.0.0.1:{port}" }}\n'
        f'jetstream {{ store_dir: "{tmp_path / "store"}", domain: HUB }}\n'
    )
    hub = ServerProcess(ServerKind.REAL, tmp_path / "hub", "-p", str(client_port), config=config)
    with RunningBox(tmp_path / "box") as box:
        hub.start()
        added = box.command("uplink", "add", f"nats-leaf://127.0.0.1:{port}", "--forward", "sensors.>")
        assert added.returncode == 0, added.stderr
        with Sensors(box.url) as sensors:
            box.wait_uplink("flowing")
            time.sleep(1)
            hub.stop()
            down = box.wait_uplink("down")
            assert down["reasons"][0]["next_step"]
            time.sleep(3)
            hub.start()
            box.wait_uplink("flowing")
            sensors.stop()
        drained = box.command("uplink", "drain", "--timeout", "60")
        assert drained.returncode == 0, drained.stdout + drained.stderr
        found = asyncio.run(payloads_of(f"nats://127.0.0.1:{client_port}", "sensors"))
        assert len(sensors.acknowledged) > 100
        assert not difference(found, sensors)
        (outage,) = box.ask("uplink.outages")["outages"]
        assert outage["queued"] > 0
        assert (outage["delivered"], outage["lost"]) == (outage["queued"], 0)
    hub.stop()
