"""The lines `leafbox device add` prints are run as they stand: shell, Python, and what the NATS line says."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import sys
from pathlib import Path

import nats
import pytest

from tests.e2e.test_devices import command
from tests.e2e.test_run import running
from tests.support.mqtt_brokers import mosquitto_program

pytestmark = [pytest.mark.capability("AP41"), pytest.mark.slow]

WAIT_S = 60


def test_the_printed_lines_send_a_reading(tmp_path: Path) -> None:
    mosquitto_program("mosquitto_pub")
    with running(tmp_path) as url:
        done = command(tmp_path, "device", "add", "hall-2", "--publish", "site/hall two/+", "--json")
        assert done.returncode == 0, done.stderr
        lines = {each["label"]: each["text"] for each in json.loads(done.stdout)["snippets"]}
        asyncio.run(sent(url, lines))


async def sent(url: str, lines: dict[str, str]) -> None:
    async with await nats.connect(url) as reader:
        inbox = await reader.subscribe("site.>")
        await reader.flush()
        for label in ("mosquitto_pub", "Python (paho-mqtt)", "nats"):
            await asyncio.to_thread(run, label, lines[label])
            message = await inbox.next_msg(WAIT_S)
            assert (message.subject, message.data) == ("site.hall/=20two.temperature", b"21.5"), label


def run(label: str, text: str) -> None:
    if label == "nats":
        # Its program is no Debian package, so its options are followed with nats-py.
        words = shlex.split(text)
        options = {words[at].removeprefix("--"): words[at + 1] for at in range(1, 7, 2)}
        assert words[7] == "pub"
        asyncio.run(publish(options, words[8], words[9].encode()))
        return
    arguments = [sys.executable, "-c", text] if label.startswith("Python") else ["sh", "-c", text]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=WAIT_S)
    assert done.returncode == 0, (label, done.stderr)


async def publish(options: dict[str, str], subject: str, payload: bytes) -> None:
    async with await nats.connect(
        options["server"], user=options["user"], password=options["password"], allow_reconnect=False
    ) as device:
        await device.publish(subject, payload)
        await device.flush()
