"""A commit that was torn anywhere: what a QoS 2 publish caused is there as a whole, or not at all.

The disk of `PowerCutDisk` tears at random; here the log's last commit is cut behind each of its records in turn.
"""

from __future__ import annotations

import asyncio
import shutil
import struct
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import nats
import pytest
from nats.js.api import StreamConfig

from leafbox.dataplane.store_scan import read_label, survey
from leafbox.protocol.mqtt.packets import (
    Connect,
    Packet,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Subscribe,
    Subscription,
    Version,
    Will,
)
from tests.faults.mqtt_load import Link
from tests.support.servers import ServerKind, ServerProcess

HEADER = struct.Struct("<IIQBBHI")
"""Body size, checksum, number, kind, flags, distance, owner."""
CONFIG = """
server_name: torn
jetstream {{ store_dir: "{store}" }}
mqtt {{ listen: "127.0.0.1:-1" }}
"""
MESSAGES = 5

Heard = tuple[list[bytes], int]
"""What the subscriber got, and how much the stream has."""
Act = Callable[[ServerProcess], Coroutine[None, None, None]]
Look = Callable[[ServerProcess], Coroutine[None, None, Heard]]


def server_on(store: Path, work: Path) -> ServerProcess:
    return ServerProcess(ServerKind.LEAFBOX, work, config=CONFIG.format(store=store))


def records_of(store: Path) -> list[tuple[Path, int, int, int]]:
    """Every record of the log: its file, where it begins, its number, and the last one that was synced before it."""
    found = []
    for path in store.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        label = read_label(data) if len(data) > 4096 else None
        if label is None:
            continue
        for run in survey(data, label, 1 << 62).runs:
            at = run.start
            while at < run.end:
                size, _, number, _, _, distance, _ = HEADER.unpack_from(data, at)
                found.append((path, at, number, number - distance))
                at += (HEADER.size + size + 7) & ~7
    return sorted(found, key=lambda record: record[2])


def tear(path: Path, offset: int) -> None:
    """What stood behind this place never reached the disk."""
    data = bytearray(path.read_bytes())
    data[offset:] = bytes(len(data) - offset)
    path.write_bytes(data)


async def link_as(name: str, port: int) -> Link:
    link, _, more = await Link.open(port, Connect(name, Version.V3_1_1, is_clean=False))
    assert more == [] or name == "subscriber"
    return link


async def prepare(server: ServerProcess) -> None:
    """A stream that captures, a session that is away, one that publishes."""
    connection = await nats.connect(server.url)
    await connection.jetstream().add_stream(StreamConfig(name="USER", subjects=["q.>"]))
    await connection.close()
    for name in ("subscriber", "publisher"):
        link = await link_as(name, server.port("mqtt"))
        link.send(Subscribe(1, (Subscription(b"q/#" if name == "subscriber" else b"none", 2),)))
        await link.receive()
        await closed(link)


async def closed(link: Link) -> None:
    link.close()
    for _ in range(3):
        await asyncio.sleep(0)


def publishes(again: bool) -> list[Publish]:
    return [Publish(b"q/x", b"%d" % number, 2, is_duplicate=again, packet_id=number + 1) for number in range(MESSAGES)]


async def publish(server: ServerProcess) -> None:
    """Some messages of QoS 2, up to PUBREC."""
    link = await link_as("publisher", server.port("mqtt"))
    for message in publishes(again=False):
        link.send(message)
    answered = 0
    while answered < MESSAGES:
        answered += sum(isinstance(packet, Pubrec) for packet in await link.receive())
    server.kill()
    await closed(link)


async def vanish(server: ServerProcess) -> None:
    """A client with a will is cut off; the box goes down once the will is stored."""
    port, will = server.port("mqtt"), Will(b"q/will", b"gone", 1)
    # Gets the message when it is on flash, and leaves no trace in the log.
    watcher, _, _ = await Link.open(port, Connect("watcher", Version.V3_1_1))
    watcher.send(Subscribe(1, (Subscription(b"q/#", 1),)))
    await watcher.receive()
    link, _, _ = await Link.open(port, Connect("dying", Version.V3_1_1, is_clean=False, keep_alive_s=60, will=will))
    await closed(link)
    [message] = await watcher.receive()
    assert isinstance(message, Publish)
    server.kill()
    await closed(watcher)


async def heard(server: ServerProcess) -> Heard:
    """What the subscriber and the stream have after a start."""
    port = server.port("mqtt")
    subscriber, _, packets = await Link.open(port, Connect("subscriber", Version.V3_1_1, is_clean=False))
    return await until_end(server, subscriber, packets)


async def finish(server: ServerProcess) -> Heard:
    """The publisher, who saw no PUBREC, tries again; what the subscriber and the stream have in the end."""
    port = server.port("mqtt")
    link = await link_as("publisher", port)
    for message in publishes(again=True):
        link.send(message)
    done = 0
    while done < MESSAGES:
        for packet in await link.receive():
            if isinstance(packet, Pubrec):
                link.send(Pubrel(packet.packet_id))
            done += isinstance(packet, Pubcomp)
    await closed(link)
    return await heard(server)


async def until_end(server: ServerProcess, subscriber: Link, packets: list[Packet]) -> Heard:
    """Everything that waits for the subscriber, and how much the stream has of it."""
    link = await link_as("publisher", server.port("mqtt"))
    # Behind everything that waits: this one says that nothing more does.
    link.send(Publish(b"q/end", b"end", 1, packet_id=99))
    found: list[bytes] = []
    while b"end" not in found:
        for packet in packets:
            if isinstance(packet, Publish):
                found.append(packet.payload)
                subscriber.send(Puback(packet.packet_id) if packet.qos == 1 else Pubrec(packet.packet_id))
            elif isinstance(packet, Pubrel):
                subscriber.send(Pubcomp(packet.packet_id))
        packets = await subscriber.receive() if b"end" not in found else []
    await closed(link)
    await closed(subscriber)
    connection = await nats.connect(server.url)
    state = (await connection.jetstream().stream_info("USER")).state
    await connection.close()
    return found[:-1], state.messages - 1


def done_to(tmp_path: Path, act: Act) -> tuple[Path, set[int]]:
    """A store that was prepared and killed, and to which then `act` was done; the records from before that."""
    before, full = tmp_path / "before", tmp_path / "full"
    with server_on(before, tmp_path / "w0") as server:
        asyncio.run(prepare(server))
        server.kill()
    known = {number for _, _, number, _ in records_of(before)}
    shutil.copytree(before, full)
    with server_on(full, tmp_path / "w1") as server:
        asyncio.run(act(server))
    return full, known


def after_each(cuts: list[tuple[Path, int]], full: Path, tmp_path: Path, look: Look) -> Iterator[tuple[str, Heard]]:
    """What is found on copies of `full`, each torn at one place; the place's name for a failure."""
    for index, (path, offset) in enumerate(cuts):
        store = tmp_path / f"cut{index}"
        shutil.copytree(full, store)
        tear(store / path.relative_to(full), offset)
        with server_on(store, tmp_path / f"work{index}") as server:
            found = asyncio.run(asyncio.wait_for(look(server), 60))
            server.kill()
        yield f"cut in front of record {index} of {len(cuts)}", found
        shutil.rmtree(store)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.capability("MQ06")
def test_a_torn_commit_doubles_and_loses_nothing(tmp_path: Path) -> None:
    full, known = done_to(tmp_path, publish)
    cuts = [(path, offset) for path, offset, number, _ in records_of(full) if number not in known]
    assert len(cuts) > MESSAGES, "messages, and steps of both sessions"
    expected = [b"%d" % number for number in range(MESSAGES)]
    for where, (found, in_stream) in after_each(cuts, full, tmp_path, finish):
        assert (sorted(found), in_stream) == (expected, MESSAGES), where


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.capability("MQ05")
def test_a_torn_commit_sends_a_will_once(tmp_path: Path) -> None:
    """The message and that it was sent: either both are there, or the next start sends it."""
    full, _ = done_to(tmp_path, vanish)
    records = records_of(full)
    synced = records[-1][3]
    cuts = [(path, offset) for path, offset, number, _ in records if number > synced]
    assert len(cuts) > 1, "the message and the session's record"
    for where, heard_then in after_each(cuts, full, tmp_path, heard):
        assert heard_then == ([b"gone"], 1), where
