"""What the other broker does not take: the rest arrives in order, and nothing is lost that it refused."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import nats
import nats.js.errors
import pytest
from nats.js.api import RawStreamMsg

from leafbox.protocol.mqtt.packets import Version
from tests.e2e.test_bridge import KEPT, PATIENCE_S, command, publish, received, state, stored, wait_state
from tests.e2e.test_run import running
from tests.support.mqtt_brokers import BrokerKind, MqttBroker
from tests.support.mqtt_client import RawMqttClient

pytestmark = [pytest.mark.capability("AP42"), pytest.mark.slow, pytest.mark.timeout(300)]

PACKET_BYTES_MAX = 5000
MESSAGE_BYTES_MAX = 1000


def bridge(folder: Path, name: str, port: int, *arguments: str) -> None:
    done = command(folder, "bridge", "add", name, f"mqtt://127.0.0.1:{port}", *arguments)
    assert done.returncode == 0, done.stderr


def publish_all(url: str, messages: list[tuple[str, bytes]]) -> None:
    """In this order, each acknowledged by its stream."""

    async def run() -> None:
        async with await nats.connect(url) as client:
            stream = client.jetstream()
            for subject, payload in messages:
                await stream.publish(subject, payload, headers={"Origin": "sensor"})

    asyncio.run(run())


def set_aside(url: str, name: str, count: int) -> list[RawStreamMsg]:
    """The refused messages, waiting until there are so many."""

    async def run() -> list[RawStreamMsg]:
        async with await nats.connect(url) as client:
            manager = client.jetstream()
            deadline = time.monotonic() + PATIENCE_S
            while True:
                try:
                    if (await manager.stream_info(f"BRIDGE_{name}_REFUSED")).state.messages >= count:
                        break
                except nats.js.errors.NotFoundError:
                    pass
                assert time.monotonic() < deadline
                await asyncio.sleep(0.2)
            return [await manager.get_msg(f"BRIDGE_{name}_REFUSED", number) for number in range(1, count + 1)]

    return asyncio.run(run())


def wait_streams(url: str, *streams: str) -> None:
    """A new bridge's stream is there a moment after the command."""

    async def run() -> None:
        async with await nats.connect(url) as client:
            manager = client.jetstream()
            deadline = time.monotonic() + PATIENCE_S
            for stream in streams:
                while True:
                    try:
                        await manager.stream_info(stream)
                        break
                    except nats.js.errors.NotFoundError:
                        assert time.monotonic() < deadline
                        await asyncio.sleep(0.1)

    asyncio.run(run())


def purge(url: str, stream: str) -> None:
    async def run() -> None:
        async with await nats.connect(url) as client:
            await client.jetstream().purge_stream(stream)

    asyncio.run(run())


def wait_backlog_gone(folder: Path) -> dict[str, object]:
    deadline = time.monotonic() + PATIENCE_S
    while (found := state(folder))["backlog_messages"] or found["state"] != "flowing":
        assert time.monotonic() < deadline, found
        time.sleep(0.3)
    return found


def test_refused_in_mqtt_5(tmp_path: Path) -> None:
    """By right, by size of the message and by size of the packet, among messages that are taken."""
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite good/#\ntopic readwrite in/#\n", encoding="utf-8")
    limits = (
        f"acl_file {acl}\nmessage_size_limit {MESSAGE_BYTES_MAX}\nmax_packet_size {PACKET_BYTES_MAX}\n"
        "max_queued_messages 0\n"
    )
    box = tmp_path / "box"
    box.mkdir()
    with MqttBroker(BrokerKind.MOSQUITTO, tmp_path / "other", limits) as other, running(box) as url:
        reader = RawMqttClient(other.port, Version.V5)
        reader.connect("reader", clean=False, keep_alive_s=0, properties=KEPT)
        reader.subscribe("good/#", 1)
        bridge(box, "b", other.port, "--out", "good/#", "--out", "bad/#", "--out", "other/#:2")
        wait_state(box, "flowing")
        messages, refused = [], []
        for number in range(60):
            messages.append(("good.x", b"%d" % number))
            if number in (20, 40):
                refused += [
                    ("bad.y", b"%d" % number, 0x87),
                    ("good.x", b"%d " % number + b"x" * MESSAGE_BYTES_MAX, 0x95),
                    ("other.z", b"%d" % number, 0x87),
                    ("good.x", b"%d " % number + b"x" * PACKET_BYTES_MAX, 0x95),
                ]
                messages += [(subject, payload) for subject, payload, _ in refused[-4:]]
        publish_all(url, messages)
        taken = received(reader, b"59")
        assert taken == [(b"good/x", b"%d" % number) for number in range(60)]
        kept = set_aside(url, "b", len(refused))
        wait_backlog_gone(box)
        assert [(each.subject, each.data) for each in kept] == [
            (f"BRIDGE_REFUSED.b.{subject}", payload) for subject, payload, _ in refused
        ]
        for each, (subject, _, code) in zip(kept, refused, strict=True):
            assert each.headers is not None
            assert each.headers["Leafbox-Bridge-Reason-Code"] == f"0x{code:02X}"
            assert each.headers["Leafbox-Bridge-Subject"] == subject
            assert each.headers["Origin"] == "sensor"
        found = wait_backlog_gone(box)
        assert (found["severity"], found["refused_messages"]) == ("warning", len(refused))
        shown = command(box, "bridge", "ls")
        assert (shown.returncode, "8 refused messages are kept in BRIDGE_b_REFUSED" in shown.stdout) == (3, True)
        assert "[bridge-refused]" in command(box, "doctor").stdout
        # Whoever purges the stream has seen it.
        purge(url, "BRIDGE_b_REFUSED")
        deadline = time.monotonic() + PATIENCE_S
        while command(box, "bridge", "ls").returncode:
            assert time.monotonic() < deadline
        reader.close()


def test_what_ends_the_connection_does_not_stop_the_others(tmp_path: Path) -> None:
    """MQTT 3.1.1 has no word for a refusal: mosquitto closes the connection, of either client."""
    box = tmp_path / "box"
    box.mkdir()
    limits = f"max_packet_size {PACKET_BYTES_MAX}\nmax_queued_messages 0\n"
    with MqttBroker(BrokerKind.MOSQUITTO, tmp_path / "other", limits) as other, running(box) as url:
        reader = RawMqttClient(other.port, Version.V5)
        reader.connect("reader", clean=False, keep_alive_s=0, properties=KEPT)
        reader.subscribe("#", 1)
        names = ("own", "amqtt")
        for name in names:
            bridge(box, name, other.port, "--out", f"{name}/#", "--client", name, "--version", "3.1.1")
        wait_streams(url, *(f"BRIDGE_{name}" for name in names))
        large = b"x" * PACKET_BYTES_MAX
        before, after = [b"%d" % number for number in range(30)], [b"%d" % number for number in range(30, 60)]
        for name in names:
            publish(url, f"{name}.x", [*before, large, *after])
        taken: dict[bytes, dict[bytes, None]] = {b"own/x": {}, b"amqtt/x": {}}
        while not all(b"59" in each for each in taken.values()):
            message = reader.receive_message(PATIENCE_S)
            taken[message.topic][message.payload] = None
        assert [list(each) for each in taken.values()] == [[*before, *after]] * 2
        for name in names:
            [kept] = set_aside(url, name, 1)
            assert kept.data == large
            assert kept.headers is not None
            assert "ended each of the 5 times" in kept.headers["Leafbox-Bridge-Reason"]
        reader.close()


def test_what_is_too_large_for_us_does_not_come_again_for_ever(tmp_path: Path) -> None:
    box = tmp_path / "box"
    box.mkdir()
    with MqttBroker(BrokerKind.MOSQUITTO, tmp_path / "other") as other, running(box) as url:
        bridge(box, "b", other.port, "--in", "a/+:1", "--in", "b/+:2")
        wait_state(box, "flowing")
        with RawMqttClient(other.port, Version.V5) as writer:
            writer.connect("writer")
            for topic, qos in (("a/x", 1), ("b/x", 2)):
                writer.publish(topic, b"first", qos)
                writer.publish(topic, bytes(1_048_576), qos)
                writer.publish(topic, b"last", qos)
        assert sorted(stored(url, "BRIDGE_b_IN", 4)) == [
            ("a.x", b"first"),
            ("a.x", b"last"),
            ("b.x", b"first"),
            ("b.x", b"last"),
        ]
        assert state(box)["not_taken"] == 2
        assert state(box)["state"] == "flowing"
