"""What a stream's store promises beyond the model: accounting like nats-server's, memory, links, observers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import nats
import nats.js.api
import pytest

from leafbox.dataplane.stream_store import StreamStore
from leafbox.storage.config import StorageOptions
from leafbox.storage.engine import Store
from tests.support.servers import ServerKind, StartServer


async def drive_real(url: str, storage: str) -> list[tuple[int, int, int, int]]:
    """(messages, bytes, first, last) of a real stream after each step of a fixed script."""
    connection = await nats.connect(url)
    context = connection.jetstream()
    name = f"S{storage}"
    await context.add_stream(
        name=name, subjects=[f"{storage}.>"], storage=nats.js.api.StorageType(storage), first_seq=5
    )
    found = []

    async def note() -> None:
        state = (await context.stream_info(name)).state
        found.append((state.messages, state.bytes, state.first_seq, state.last_seq))

    await note()
    for index in range(6):
        headers = {"A": "b"} if index == 3 else None
        await context.publish(f"{storage}.{'x' * index}a", b"y" * index * 10, headers=headers)
    await note()
    await context.delete_msg(name, 6)
    await note()
    await context.delete_msg(name, 5)
    await note()
    await context.purge_stream(name, subject=f"{storage}.xxa")
    await note()
    await context.purge_stream(name, keep=1)
    await note()
    await context.purge_stream(name)
    await note()
    await context.purge_stream(name, seq=40)
    await note()
    await connection.close()
    return found


def drive_ours(stream: StreamStore, storage: str) -> list[tuple[int, int, int, int]]:
    """The same script."""
    found = []

    def note() -> None:
        found.append((stream.messages, stream.stored_bytes, stream.first_seq, stream.last_seq))

    note()
    for index in range(6):
        header = b"NATS/1.0\r\nA: b\r\n\r\n" if index == 3 else b""
        stream.append_message(f"{storage}.{'x' * index}a".encode(), b"y" * index * 10, header)
    note()
    stream.remove_message(6)
    note()
    stream.remove_message(5)
    note()
    stream.purge_messages(stream.filter(f"{storage}.xxa".encode()))
    note()
    stream.purge_messages(keep=1)
    note()
    stream.purge_messages()
    note()
    stream.purge_messages(before_seq=40)
    note()
    return found


@pytest.mark.parametrize("storage", ["file", "memory"])
def test_state_equals_the_real_servers(start_server: StartServer, tmp_path: Path, storage: str) -> None:
    """Messages, bytes and bounds after each step, for both storage types."""
    config = f'jetstream {{ store_dir: "{tmp_path / "real"}" }}'
    server = start_server(ServerKind.REAL, config=config)
    expected = asyncio.run(drive_real(server.url, storage))
    store = Store(StorageOptions(str(tmp_path / "ours"), segment_bytes=1 << 18, free_bytes_min=0))
    stream = store.create_stream(b"S", first_seq=5, is_memory=storage == "memory")
    assert drive_ours(stream, storage) == expected
    store.close()


@pytest.mark.capability("OP05")
def test_memory_per_message_is_bounded() -> None:
    """At most 64 bytes of RAM per stored message besides its data; the record is in ADR 0002."""
    stream = StreamStore(b"S")
    for index in range(100_000):
        stream.append_message(b"sensors.room.%d" % (index % 100), b"x" * 100)
    assert stream.memory_bytes()["index"] <= 20 * 100_000


def test_walking_a_subject_survives_removed_blocks() -> None:
    """The next message of a subject is found though every block its links led through is gone."""
    stream = StreamStore(b"S")
    wanted = stream.filter(b"rare")
    first = stream.append_message(b"rare", b"1")
    middle = [stream.append_message(b"rare", b"x" * 30_000) for _ in range(8)]
    last = stream.append_message(b"rare", b"2")
    for seq in middle:
        stream.remove_message(seq)
    assert stream.next_sequence(first + 1, wanted) == last
    stream.remove_message(first)
    assert stream.subject_bounds(b"rare") == (1, last, last)


def test_expiry_looks_at_the_front_only() -> None:
    """After a clock jump a younger first message shields older ones, as in nats-server."""
    stream = StreamStore(b"S")
    for ts_ns in (100, 50, 200, 300):
        stream.append_message(b"a", b"", ts_ns=ts_ns)
    assert stream.expire_before(60) == 0
    assert stream.expire_before(150) == 2
    assert (stream.first_seq, stream.state().first_ts_ns) == (3, 200)


@pytest.mark.parametrize("subject", [b"", b"x" * 70_000])
def test_unstorable_subjects_are_refused_whole(subject: bytes) -> None:
    """A refused append leaves no trace."""
    stream = StreamStore(b"S")
    with pytest.raises(Exception, match="subject"):
        stream.append_message(subject, b"payload")
    assert stream.state()[:2] == (0, 0)
    assert stream.append_message(b"a", b"") == 1


def test_messages_with_headers_are_found_without_reading() -> None:
    """Removed ones are passed over; 0 behind the last."""
    store = StreamStore(b"S")
    for seq in range(1, 6_001):
        store.append_message(b"a", b"", b"NATS/1.0\r\nA: b\r\n\r\n" if seq in (3, 2_500, 6_000) else b"")
    store.remove_message(2_500)
    assert store.next_with_header(0) == 3
    assert store.next_with_header(3) == 3
    assert store.next_with_header(4) == 6_000
    assert store.next_with_header(6_001) == 0
    assert StreamStore(b"T").next_with_header(1) == 0
