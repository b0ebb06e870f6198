"""The control channel of a running box: its file, who gets in, where they land, and that it costs nobody a place."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import stat
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import nats
import nats.errors
import pytest

from leafbox.app.control import Control
from leafbox.app.control_client import BoxUnreachable, ask, connected, exit_code_of
from leafbox.protocol.errors import BoxRequestFailed
from tests.support.blocking_client import BlockingClient

pytestmark = pytest.mark.capability("AP08")

LEAFBOX = Path(sysconfig.get_path("scripts")) / "leafbox"


@contextmanager
def running_box(folder: Path, config: str) -> Iterator[str]:
    """`leafbox run --config` in `folder`; gives the client URL."""
    (folder / "box.conf").write_text(config)
    with subprocess.Popen(
        [LEAFBOX, "run", "--config", "box.conf"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said = ""
        try:
            for line in process.stderr:
                said += line
                if "Server is ready" in line:
                    break
            found = re.search(r"client connections on (\S+)", said)
            assert found, said
            yield f"nats://{found[1]}"
        finally:
            process.send_signal(signal.SIGINT)
            process.stderr.read()
        assert process.wait(timeout=30) == 0


CONFIG = """
listen: 127.0.0.1:-1
max_connections: 1
accounts { SITE { users: [{user: u, password: p}], limits: {max_conn: 1} } }
"""


def test_the_box_answers_its_own_and_nobody_else(tmp_path: Path) -> None:
    async def scenario(url: str) -> None:
        async with await nats.connect(url, user="u", password="p") as client:
            # The box is full now; its own processes come in all the same, on every account.
            async with connected(tmp_path / "data") as box:
                assert "services.list" in str(await box.request("services.list"))
                with pytest.raises(BoxRequestFailed, match="does not offer"):
                    await box.request("nothing.here")
                varz = await box.client.request("$SYS.REQ.SERVER.PING.VARZ", b"", timeout=5)
                assert msgspec.json.decode(varz.data)["data"]["connections"] == 1
            async with connected(tmp_path / "data", account="SITE") as box:
                inbox = await client.subscribe("a.b")
                await client.flush()
                await box.client.publish("a.b", b"from inside")
                assert (await inbox.next_msg(timeout=5)).data == b"from inside"
                with pytest.raises((nats.errors.Error, BoxUnreachable)):
                    await box.request("services.list", timeout_s=0.3)

    with running_box(tmp_path, CONFIG) as url:
        path = tmp_path / "data" / "control.json"
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        asyncio.run(scenario(url))
        control = Control.decode(path.read_bytes())
        port = int(control.url.rpartition(":")[2])
        for user, password in (("control", "guess"), ("u", "p"), ("control@NONE", control.password), ("", "")):
            with BlockingClient(port) as stranger:
                assert b"Authorization Violation" in stranger.login(user=user, password=password)
        assert "services.list" in str(ask(tmp_path / "data", "services.list"))
    assert not path.exists()
    with pytest.raises(BoxUnreachable) as failed:
        ask(tmp_path / "data", "services.list")
    assert exit_code_of(failed.value) == 4
