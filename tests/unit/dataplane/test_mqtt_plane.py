"""What a message costs the flash: how many commits, and that nothing goes out before the one it waits for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from leafbox.protocol.mqtt.packets import Packet, Puback, Pubcomp, Publish, Pubrec, Pubrel
from leafbox.storage.config import StorageOptions
from leafbox.storage.engine import Store
from tests.support.gateway_stage import Stage, Wire

WAIT_S = 20.0
# Nothing is written for its age in this test.
NEVER_S = 3600.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    options = StorageOptions(
        str(tmp_path),
        sync_interval_s=NEVER_S,
        segment_bytes=1 << 18,
        staging_bytes_max=1 << 18,
        free_bytes_min=0,
        database_bytes_max=1 << 26,
    )
    opened = Store(options)
    yield opened
    opened.close()


def committed(stage: Stage, store: Store) -> None:
    """Wait for the commit that was asked for, and tell the gateway."""
    deadline = time.monotonic() + WAIT_S
    before = stage.gate.durable_lsn
    while store.journal.durable_lsn == before:
        assert time.monotonic() < deadline, "nobody asked for a commit"
        time.sleep(0.001)
    stage.gate.on_durable(store.journal.durable_lsn)
    stage.loop.run_ready()


def on_disk(store: Store) -> Stage:
    """A gateway whose streams are made, while the log rests."""
    stage = Stage(store)
    assert store.wait_durable(store.journal.last_lsn, WAIT_S)
    stage.gate.on_durable(store.journal.durable_lsn)
    return stage


def kinds(packets: list[Packet]) -> list[type[Packet]]:
    return [type(packet) for packet in packets]


def peers(stage: Stage, qos: int, *, are_kept: bool) -> tuple[Wire, Wire]:
    """A publisher, and who reads `a`."""
    reading, sending = (stage.session(name, is_persistent=are_kept) for name in ("reader", "sender"))
    stage.subscribe(reading, b"a", qos)
    return stage.peer(sending), stage.peer(reading)


@pytest.mark.parametrize("are_kept", [False, True], ids=["ends with its connection", "kept"])
def test_a_message_of_qos_1_is_one_commit(store: Store, are_kept: bool) -> None:
    """Its steps are in the same one; that it was acknowledged and leaves waits for the next."""
    stage = on_disk(store)
    publisher, reader = peers(stage, 1, are_kept=are_kept)
    before = store.journal.commit_count
    for number in range(1, 21):
        publisher.send(Publish(b"a", b"m", 1, packet_id=number))
        assert publisher.sent() == reader.sent() == []
        committed(stage, store)
        assert publisher.sent() == [Puback(number)]
        (message,) = reader.sent()
        assert isinstance(message, Publish)
        reader.send(Puback(message.packet_id))
    assert store.journal.commit_count - before == 20
    assert stage.plane.messages.store.messages == 0
    stage.end()


def test_a_message_of_qos_2_is_one_commit_when_sessions_end_with_their_connections(store: Store) -> None:
    """After PUBREC nothing of it waits: there is no session to go on with after a crash."""
    stage = on_disk(store)
    publisher, reader = peers(stage, 2, are_kept=False)
    before = store.journal.commit_count
    for number in range(1, 21):
        publisher.send(Publish(b"a", b"m", 2, packet_id=number))
        assert publisher.sent() == reader.sent() == []
        committed(stage, store)
        assert publisher.sent() == [Pubrec(number)]
        (message,) = reader.sent()
        assert isinstance(message, Publish)
        publisher.send(Pubrel(number))
        reader.send(Pubrec(message.packet_id))
        assert publisher.sent() == [Pubcomp(number)]
        assert reader.sent() == [Pubrel(message.packet_id)]
        reader.send(Pubcomp(message.packet_id))
    assert store.journal.commit_count - before == 20
    stage.end()


def test_a_message_of_qos_2_is_two_commits_between_kept_sessions(store: Store) -> None:
    """One in front of PUBREC and PUBLISH, one in front of PUBCOMP and PUBREL."""
    stage = on_disk(store)
    publisher, reader = peers(stage, 2, are_kept=True)
    before = store.journal.commit_count
    for number in range(1, 11):
        publisher.send(Publish(b"a", b"m", 2, packet_id=number))
        assert publisher.sent() == reader.sent() == []
        committed(stage, store)
        assert publisher.sent() == [Pubrec(number)]
        (message,) = reader.sent()
        assert isinstance(message, Publish)
        # Both arrive in one turn of the loop.
        publisher.transport.receive(b"\x62\x02" + number.to_bytes(2, "big"))
        reader.send(Pubrec(message.packet_id))
        assert publisher.sent() == reader.sent() == []
        committed(stage, store)
        assert publisher.sent() == [Pubcomp(number)]
        assert reader.sent() == [Pubrel(message.packet_id)]
        reader.send(Pubcomp(message.packet_id))
    assert store.journal.commit_count - before == 20
    stage.end()


def test_a_copy_that_comes_again_is_answered_though_nothing_urgent_is_logged(store: Store) -> None:
    """Its answer waits for the newest record, which may be one that asked for no commit."""
    stage = on_disk(store)
    publisher, reader = peers(stage, 1, are_kept=False)
    publisher.send(Publish(b"a", b"m", 2, packet_id=7))
    committed(stage, store)
    (message,) = reader.sent()
    assert isinstance(message, Publish)
    reader.send(Puback(message.packet_id))
    assert kinds(publisher.sent()) == [Pubrec]
    publisher.send(Publish(b"a", b"m", 2, packet_id=7, is_duplicate=True))
    committed(stage, store)
    assert publisher.sent() == [Pubrec(7)]
    assert reader.sent() == []
    stage.end()


def test_a_message_that_nobody_acknowledges_is_committed_all_the_same(store: Store) -> None:
    """For a session that is away, from a publisher on NATS: no acknowledgement waits, and it does not wait either."""
    stage = on_disk(store)
    away = stage.session("away", is_persistent=True)
    stage.subscribe(away, b"a", 1)
    stage.account.publish(b"a", b"m", header=b"NATS/1.0\r\nNmqtt-Pub: 1\r\n\r\n")
    stage.loop.run_ready()
    committed(stage, store)
    assert (away.queued, stage.plane.messages.store.messages) == (1, 1)
    stage.end()
