"""`leafbox run` without a configuration: one terminal, one Ctrl-C, everything kept in one folder."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nats
import pytest

LEAFBOX = Path(sysconfig.get_path("scripts")) / "leafbox"


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """The appliance in `folder` on a free port; gives its URL, ends with Ctrl-C and expects a clean exit."""
    with subprocess.Popen(
        [LEAFBOX, "run", "--port", "-1", "--mqtt-port", "-1", "--web-port", "0"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        said: list[str] = []
        reader = threading.Thread(target=said.extend, args=(process.stdout,), daemon=True)
        try:
            for line in process.stdout:
                said.append(line)
                # The welcome text indents the address; the log does not.
                if found := re.match(r"  \S.*(nats://\S+)", line):
                    break
            else:
                raise AssertionError("ended before it was ready:\n" + "".join(said))
            # A log that nobody takes fills the pipe, and then the server waits for its reader.
            reader.start()
            yield found[1]
        finally:
            process.send_signal(signal.SIGINT)
            if reader.ident is not None:
                reader.join(60)
        assert process.wait(timeout=30) == 0, "".join(said)


@pytest.mark.capability("AP01", "JS12")
def test_what_was_acknowledged_is_there_after_ctrl_c(tmp_path: Path) -> None:
    async def store(url: str) -> None:
        async with await nats.connect(url) as client:
            stream = client.jetstream()
            await stream.add_stream(name="site", subjects=["site.*"])
            for number in range(10):
                assert (await stream.publish("site.temperature", b"%d" % number)).seq == number + 1

    async def read(url: str) -> bytes | None:
        async with await nats.connect(url) as client:
            stream = client.jetstream()
            assert (await stream.stream_info("site")).state.messages == 10
            return (await stream.get_msg("site", 10)).data

    with running(tmp_path) as url:
        asyncio.run(store(url))
    with running(tmp_path) as url:
        assert asyncio.run(read(url)) == b"9"
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.capability("AP01")
def test_the_reading_of_the_welcome_text_can_be_published_as_printed(tmp_path: Path) -> None:
    with running(tmp_path) as url:
        done = subprocess.run(
            [LEAFBOX, "pub", "site.temperature", "21.5", "--server", url],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")


def test_without_a_configuration_only_this_machine_can_connect(tmp_path: Path) -> None:
    with running(tmp_path) as url:
        assert url.startswith("nats://127.0.0.1:")
