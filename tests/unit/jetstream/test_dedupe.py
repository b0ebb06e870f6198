"""Message ids on real files: a duplicate is known by its id after a kill, whatever became of its message."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from leafbox.dataplane.stream_ingest import freeze_clock
from leafbox.jetstream.dedupe import DurableIds
from leafbox.jetstream.ports import ValueKind
from tests.support.jetstream_files import FileHarness
from tests.support.jetstream_harness import MemoryStorage

SECOND = 10**9


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    freeze_clock(0)


@pytest.mark.capability("JS09", "JS40")
@pytest.mark.parametrize("has_checkpoint", [False, True])
def test_the_id_of_a_consumed_message_outlives_a_kill(folder: Path, has_checkpoint: bool) -> None:
    """A work queue's publisher that was not answered asks again after the restart."""
    box = FileHarness(folder / "one")
    box.stream(storage="file", retention="workqueue", duplicate_window=60 * SECOND)
    box.consumer()
    assert box.publish("s.a", b"1", Nats_Msg_Id="first") == {"stream": "S", "seq": 1}
    if has_checkpoint:
        box.checkpoint()
    box.publish("s.a", b"2", Nats_Msg_Id="second")
    for message in box.fetch(2):
        box.ack(message)
    if has_checkpoint:
        box.checkpoint()
    assert box.info()["state"]["messages"] == 0
    box.kill(folder / "two")
    box = FileHarness(folder / "two")
    assert box.publish("s.a", b"1", Nats_Msg_Id="first") == {"stream": "S", "seq": 1, "duplicate": True}
    assert box.publish("s.a", b"2", Nats_Msg_Id="second") == {"stream": "S", "seq": 2, "duplicate": True}
    box.loop.advance(61)
    assert box.publish("s.a", b"1", Nats_Msg_Id="first") == {"stream": "S", "seq": 3}
    box.leave()


@pytest.mark.capability("JS09", "JS40")
@pytest.mark.parametrize("checkpoints", ["", "a", "b", "abc"])
def test_ids_outlive_kills_however_they_came(folder: Path, checkpoints: str) -> None:
    """The first id of a chunk is logged by Python, the others in compiled code; a long one always by Python."""
    box = FileHarness(folder / "0")
    box.stream(storage="file", retention="workqueue", duplicate_window=600 * SECOND)
    box.consumer()
    known: dict[str, int] = {}
    for life, name in enumerate("abc", 1):
        for number in range(6):
            msg_id = f"{name}{number}" + "-long" * 50 * (number == 4)
            known[msg_id] = box.publish("s.a", b"x", Nats_Msg_Id=msg_id)["seq"]
            if number == 2 and name in checkpoints:
                box.checkpoint()
        for message in box.fetch(6):
            box.ack(message)
        box.kill(folder / str(life))
        box = FileHarness(folder / str(life))
        for msg_id, seq in known.items():
            answer = box.publish("s.a", b"x", Nats_Msg_Id=msg_id)
            assert answer == {"stream": "S", "seq": seq, "duplicate": True}, msg_id
    assert list(known.values()) == list(range(1, 19))
    box.leave()


@pytest.mark.capability("JS09")
def test_chunks_leave_with_the_window_and_with_the_stream() -> None:
    """One chunk per checkpoint; nothing is kept for ever."""
    storage = MemoryStorage()
    ids = DurableIds(storage, b"key")
    kept = storage.stored[ValueKind.IDS]
    for minute in range(10):
        ids.note(f"id-{minute}", minute + 1, minute * 60 * SECOND, 120 * SECOND)
        for key in list(kept):
            body = ids.snapshot(key)
            if body is not None:
                kept[key] = (body, [])
    assert len(kept) == 2, "one of each minute"
    later = DurableIds(storage, b"key")
    found = [
        entry for key, value, deltas in storage.values(ValueKind.IDS) for entry in later.recover(key, value, deltas)
    ]
    assert found == [(f"id-{minute}", minute + 1, minute * 60 * SECOND) for minute in (8, 9)]
    later.note("id-10", 11, 600 * SECOND, 120 * SECOND)
    later.delete()
    assert kept == {}
