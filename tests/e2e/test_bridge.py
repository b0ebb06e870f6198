"""Bridges on a running box, with mosquitto as the other broker: cuts, restarts and crashes lose nothing."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sysconfig
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nats
import pytest

from leafbox.protocol.mqtt.packets import Version
from leafbox.protocol.mqtt.properties import SESSION_NEVER_EXPIRES_S, Properties
from tests.e2e.test_run import running
from tests.support.mqtt_brokers import BrokerKind, MqttBroker
from tests.support.mqtt_client import RawMqttClient

LEAFBOX = Path(sysconfig.get_path("scripts")) / "leafbox"
PATIENCE_S = 90
KEPT = Properties(session_expiry_interval_s=SESSION_NEVER_EXPIRES_S)

pytestmark = [pytest.mark.capability("AP42"), pytest.mark.slow, pytest.mark.timeout(300)]

CLIENTS = [("own", "5"), ("own", "3.1.1"), ("amqtt", "3.1.1")]


@pytest.fixture
def other(tmp_path: Path) -> Iterator[MqttBroker]:
    """The other broker; keeps its sessions over orderly restarts."""
    with MqttBroker(BrokerKind.MOSQUITTO, tmp_path / "other", "max_queued_messages 0\n") as broker:
        yield broker


@contextmanager
def killed(folder: Path) -> Iterator[str]:
    """The box, ended by SIGKILL."""
    with subprocess.Popen(
        [LEAFBOX, "run", "--port", "-1", "--no-web"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if found := re.match(r"  \S.*(nats://\S+)", line):
                    break
            else:
                raise AssertionError("ended before it was ready")
            # A log that nobody takes fills the pipe, and then the server waits for its reader.
            threading.Thread(target=deque, args=(process.stdout, 0), daemon=True).start()
            yield found[1]
        finally:
            process.kill()


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([LEAFBOX, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def add(folder: Path, port: int, *arguments: str) -> None:
    done = command(folder, "bridge", "add", "site", f"mqtt://127.0.0.1:{port}", *arguments)
    assert done.returncode == 0, done.stderr


def state(folder: Path) -> dict[str, object]:
    done = command(folder, "bridge", "ls", "--json")
    assert done.stdout, done.stderr
    [document] = json.loads(done.stdout)["bridges"]
    return dict(document)


def wait_state(folder: Path, *wanted: str) -> dict[str, object]:
    """Until it is one of these."""
    deadline = time.monotonic() + PATIENCE_S
    while (found := state(folder))["state"] not in wanted:
        assert time.monotonic() < deadline, found
        time.sleep(0.3)
    return found


def publish(url: str, subject: str, payloads: list[bytes]) -> None:
    """Acknowledged by the stream of the bridge."""

    async def run() -> None:
        async with await nats.connect(url) as client:
            stream = client.jetstream()
            for payload in payloads:
                await stream.publish(subject, payload)

    asyncio.run(run())


def stored(url: str, stream: str, count: int) -> list[tuple[str, bytes]]:
    """The first messages of a local stream, waiting until there are so many."""

    async def run() -> list[tuple[str, bytes]]:
        async with await nats.connect(url) as client:
            manager = client.jetstream()
            deadline = time.monotonic() + PATIENCE_S
            while (await manager.stream_info(stream)).state.messages < count:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.2)
            found = [await manager.get_msg(stream, number) for number in range(1, count + 1)]
            return [(message.subject or "", message.data or b"") for message in found]

    return asyncio.run(run())


def received(reader: RawMqttClient, last: bytes) -> list[tuple[bytes, bytes]]:
    """Messages until the last one, without repetitions."""
    found: dict[tuple[bytes, bytes], None] = {}
    while (b"", last) not in {(b"", payload) for _, payload in found}:
        message = reader.receive_message(PATIENCE_S)
        found[message.topic, message.payload] = None
    return list(found)


@pytest.mark.normative(v311="7.0.0-1")
@pytest.mark.parametrize(("client", "version"), CLIENTS)
def test_both_ways_with_prefixes_and_over_restarts(
    tmp_path: Path, other: MqttBroker, client: str, version: str
) -> None:
    box = tmp_path / "box"
    box.mkdir()
    options = ("--client", client, "--version", version, "--remote-prefix", "site7/")
    with running(box) as url:
        add(box, other.port, "--out", "sensors/#", "--in", "commands/+:1", *options)
        wait_state(box, "flowing")
        reader = RawMqttClient(other.port, Version.V5)
        reader.connect("reader", clean=False, properties=KEPT)
        reader.subscribe("site7/#", 1)
        publish(url, "sensors.hall", [b"%d" % number for number in range(50)])
        assert received(reader, b"49") == [(b"site7/sensors/hall", b"%d" % number) for number in range(50)]
        writer = RawMqttClient(other.port)
        writer.connect("writer")
        for number in range(20):
            writer.publish("site7/commands/lamp", b"%d" % number, 1)
        expected = [("commands.lamp", b"%d" % number) for number in range(20)]
        assert stored(url, "BRIDGE_site_IN", 20) == expected
        # The other side goes away while readings go on.
        reader.disconnect()
        writer.disconnect()
        other.stop()
        wait_state(box, "refused")
        publish(url, "sensors.hall", [b"away %d" % number for number in range(300)])
        assert state(box)["backlog_messages"] is not None
    # The box restarts too, and keeps what waits.
    with running(box) as url:
        other.start()
        reader = RawMqttClient(other.port, Version.V5)
        reader.connect("reader", clean=False, properties=KEPT)
        reader.subscribe("site7/#", 1)
        away = [payload for _, payload in received(reader, b"away 299") if payload.startswith(b"away")]
        assert away == [b"away %d" % number for number in range(300)]
        reader.close()
        deadline = time.monotonic() + PATIENCE_S
        while wait_state(box, "flowing")["backlog_messages"]:
            assert time.monotonic() < deadline
            time.sleep(0.3)


def test_a_killed_box_sends_everything(tmp_path: Path, other: MqttBroker) -> None:
    """Killed in mid-flow three times: what its stream had acknowledged arrives, perhaps twice."""
    box = tmp_path / "box"
    box.mkdir()
    reader = RawMqttClient(other.port, Version.V5)
    reader.connect("reader", keep_alive_s=0)
    reader.subscribe("s/#", 1)
    total = 0
    for turn in range(3):
        with killed(box) as url:
            if not turn:
                add(box, other.port, "--out", "s/#")
                wait_state(box, "flowing")
            publish(url, "s.x", [b"%d" % number for number in range(total, total + 300)])
            total += 300
    with running(box):
        seen: set[bytes] = set()
        while len(seen) < total:
            seen.add(reader.receive_message(PATIENCE_S).payload)
    reader.close()


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with running(tmp_path):
        for arguments, said in [
            (("x", "http://h"), "no broker's address"),
            (("x", "mqtt://u:p@h"), "do not belong"),
            (("x", "mqtt://h"), "carries nothing"),
            (("x", "mqtt://h", "--out", "a/#/b"), "#"),
            (("x", "mqtt://h", "--out", "a/#", "--client", "amqtt"), "3.1.1 only"),
            (("x y", "mqtt://h", "--out", "a/#"), "name"),
        ]:
            done = command(tmp_path, "bridge", "add", *arguments)
            assert (done.returncode, said in done.stderr) == (1, True), done.stderr
        assert command(tmp_path, "bridge", "rm", "none").returncode == 1
        add(tmp_path, 1, "--out", "a/#")
        found = wait_state(tmp_path, "refused")
        assert found["severity"] == "warning"
        assert command(tmp_path, "bridge", "ls").returncode == 3
        assert command(tmp_path, "bridge", "rm", "site").returncode == 0
        assert command(tmp_path, "bridge", "ls").stdout == ""
