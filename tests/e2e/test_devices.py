"""`leafbox device` and `leafbox translate` on a running box: hot, durable, and rights that hold."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sysconfig
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nats
import pytest
from paho.mqtt import publish

from leafbox.app.control_client import ask
from tests.e2e.test_run import running
from tests.support.nats_py_login import SUCCEEDED, attempt

LEAFBOX = Path(sysconfig.get_path("scripts")) / "leafbox"

pytestmark = pytest.mark.capability("AP06", "AP41")


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([LEAFBOX, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def add(folder: Path, *arguments: str) -> str:
    """The new device's password."""
    done = command(folder, "device", "add", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["password"])


async def may_publish(url: str, user: str, password: str, subject: str) -> bool:
    """Whether a message of this device arrives at someone without rights to ask."""
    errors: list[Exception] = []

    async def note(error: Exception) -> None:
        errors.append(error)

    async with await nats.connect(url) as reader:
        inbox = await reader.subscribe(subject)
        await reader.flush()
        device = await nats.connect(url, user=user, password=password, allow_reconnect=False, error_cb=note)
        await device.publish(subject, b"x")
        await device.flush()
        await device.close()
        await reader.flush()
        return inbox.pending_msgs == 1


def may_log_in(url: str, user: str, password: str) -> bool:
    return attempt([{"servers": url, "user": user, "password": password}]) == [SUCCEEDED]


def test_a_device_may_do_what_it_was_given_and_nothing_else(tmp_path: Path) -> None:
    with running(tmp_path) as url:
        own = add(tmp_path, "kitchen-1")
        other = add(tmp_path, "meter", "--publish", "site/+/power", "--subscribe", "cmd.meter.>")
        assert asyncio.run(may_publish(url, "kitchen-1", own, "kitchen-1.temperature"))
        assert not asyncio.run(may_publish(url, "kitchen-1", own, "site.hall.power"))
        assert asyncio.run(may_publish(url, "meter", other, "site.hall.power"))
        assert not asyncio.run(may_publish(url, "meter", other, "meter.x"))
        assert not may_log_in(url, "kitchen-1", other)
        assert not may_log_in(url, "kitchen-1", "")


def test_rotating_and_revoking_count_at_once_and_after_a_restart(tmp_path: Path) -> None:
    async def is_closed_by(*arguments: str) -> bool:
        closed = asyncio.Event()

        async def note_closed() -> None:
            closed.set()

        async def ignore(_error: Exception) -> None:
            return

        client = await nats.connect(
            url, user="pump", password=password, allow_reconnect=False, closed_cb=note_closed, error_cb=ignore
        )
        shown = json.loads((await asyncio.to_thread(command, tmp_path, "device", "show", "pump", "--json")).stdout)
        assert shown["state"] == "online"
        assert shown["protocol"] == "nats"
        done = await asyncio.to_thread(command, tmp_path, "device", *arguments)
        assert done.returncode == 0, done.stderr
        await asyncio.wait_for(closed.wait(), 10)
        return client.is_closed

    with running(tmp_path) as url:
        password = add(tmp_path, "pump")
        assert asyncio.run(is_closed_by("rotate", "pump"))
        assert not may_log_in(url, "pump", password)
        password = add(tmp_path, "kept")
    with running(tmp_path) as url:
        assert asyncio.run(may_publish(url, "kept", password, "kept.x"))
        password = str(json.loads(command(tmp_path, "device", "rotate", "pump", "--json").stdout)["password"])
        assert asyncio.run(is_closed_by("revoke", "pump"))
        assert "pump" not in command(tmp_path, "device", "ls").stdout
        assert password not in (tmp_path / "data" / "devices.json").read_text(encoding="utf-8")


def test_the_printed_lines_are_for_this_box(tmp_path: Path) -> None:
    with running(tmp_path) as url:
        done = command(tmp_path, "device", "add", "hall", "--publish", "site/hall/#")
        assert done.returncode == 0
        assert "pub site.hall.temperature 21.5" in done.stdout
        assert url.rpartition(":")[2] in done.stdout


def test_what_cannot_be_done_says_why_and_what_next(tmp_path: Path) -> None:
    with running(tmp_path):
        add(tmp_path, "a")
        for arguments, code, said in [
            (("device", "add", "a"), 1, "there is a device a"),
            (("device", "add", "a b"), 1, "1 to 64 letters"),
            (("device", "add", "b", "--publish", "a/#/b"), 1, "no MQTT filter"),
            (("device", "add", "b", "--publish", "a..b"), 1, "neither subject nor filter"),
            (("device", "add", "b", "--account", "none"), 1, "no account none"),
            (("device", "revoke", "none"), 1, "no device none"),
        ]:
            done = command(tmp_path, *arguments)
            assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert command(tmp_path, "device", "ls").returncode == 4


@pytest.mark.capability("MQ02")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("a/b.c",), "subject  a.b//c\n"),
        (("a/#",), "subject  a.>\nsubject  a\n"),
        (("$share/g/a/+",), "queue    g\nsubject  a.*\n"),
        (("a.*.>",), "topic    a/+/#\n"),
        (("foo", "--topic"), "subject  foo\n"),
        (("q.a/b", "--subject"), "topic    q/a\uf02fb\n"),
    ],
)
def test_translate_knows_both_ways(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = command(tmp_path, "translate", *arguments)
    assert (done.returncode, done.stdout) == (0, said)


def test_translate_refuses_what_is_neither(tmp_path: Path) -> None:
    for text in ("a/#/b", "a..b"):
        assert command(tmp_path, "translate", text).returncode == 1
    assert command(tmp_path, "translate", "a", "--topic", "--subject").returncode == 2


def said(folder: Path, name: str) -> dict[str, Any]:
    return dict(ask(folder / "data", "device.get", {"name": name}))


def wait_said(folder: Path, name: str, value: str) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while (found := said(folder, name)).get("last_value") != value:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


def test_what_a_device_said_last_is_kept_by_the_box(tmp_path: Path) -> None:
    """Of both protocols, while nobody looks; told apart under a shared rule; there again after a restart."""
    with running(tmp_path) as url:
        addresses: Any = ask(tmp_path / "data", "status.get")["addresses"]
        mqtt = urlsplit(addresses["mqtt"][0])
        passwords = {name: add(tmp_path, name, "--publish", "site/+/t") for name in ("one", "two")}
        publish.single(
            "site/hall/t", "21.5", qos=1, hostname=str(mqtt.hostname), port=int(mqtt.port or 0),
            auth={"username": "one", "password": passwords["one"]},
        )  # fmt: skip

        async def send() -> None:
            async with await nats.connect(url, user="two", password=passwords["two"]) as client:
                await client.publish("site.hall.t", b'{"t": 4}')

        asyncio.run(send())
        assert wait_said(tmp_path, "one", "21.5")["last_subject"] == "site.hall.t"
        wait_said(tmp_path, "two", '{"t": 4}')
    with running(tmp_path):
        assert wait_said(tmp_path, "one", "21.5")["state"] == "offline"
