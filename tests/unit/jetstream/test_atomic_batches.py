"""Atomic batches and last firings of schedules on real files: all of it or nothing, also when a limit says no."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from leafbox.dataplane.stream_ingest import freeze_clock, now_ns
from leafbox.jetstream import atomic_batches
from leafbox.protocol.jetstream.go_time import format_time
from leafbox.protocol.jetstream.info import AccountLimits
from tests.support.jetstream_files import FileHarness

SECOND = 10**9


@pytest.fixture
def box(tmp_path: Path) -> Iterator[FileHarness]:
    made = FileHarness(tmp_path / "store")
    yield made
    made.leave()
    freeze_clock(0)


def send_batch(box: FileHarness, batch: str, payloads: list[bytes]) -> dict[str, object]:
    for number, payload in enumerate(payloads[:-1], 1):
        box.publish_silently("s.a", payload, {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)})
    headers = {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(len(payloads)), "Nats-Batch-Commit": "1"}
    return box.publish("s.a", payloads[-1], **headers)


@pytest.mark.capability("JS27")
def test_a_batch_that_the_log_cannot_take_leaves_nothing(box: FileHarness) -> None:
    """One message is larger than any record: the batch is refused before the first one is stored."""
    box.stream(storage="file", allow_atomic=True)
    answer = send_batch(box, "b", [b"small", bytes(300_000), b"small"])
    assert answer["error"] == {"code": 503, "err_code": 10023, "description": "insufficient resources"}
    assert box.info()["state"]["last_seq"] == 0
    assert send_batch(box, "c", [b"x"] * 3) == {"stream": "S", "seq": 3, "batch": "c", "count": 3}


@pytest.mark.capability("JS27")
def test_open_batches_are_bounded_in_bytes(box: FileHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """They wait in RAM; what was taken is given back when a batch is dropped."""
    monkeypatch.setattr(atomic_batches, "OPEN_BYTES_MAX", 1_000)
    box.stream(storage="file", allow_atomic=True)
    answer = send_batch(box, "b", [bytes(600), bytes(600), b"x"])
    assert "error" in answer
    assert box.info()["state"]["last_seq"] == 0
    assert send_batch(box, "c", [bytes(300)] * 2)["seq"] == 2


@pytest.mark.capability("JS29")
def test_a_schedule_that_cannot_be_stored_now_is_kept(tmp_path: Path) -> None:
    """It fires once the account has room, and goes with its firing."""
    box = FileHarness(tmp_path / "small", AccountLimits(max_storage=5_000))
    box.stream(storage="file", allow_msg_schedules=True)
    at = format_time(now_ns() + 5 * SECOND)
    answer = box.publish("s.plan", bytes(2_000), Nats_Schedule=f"@at {at}", Nats_Schedule_Target="s.due")
    assert answer == {"stream": "S", "seq": 1}
    assert box.publish("s.other", bytes(2_000))["seq"] == 2
    box.loop.advance(10)
    assert box.info()["state"]["last_seq"] == 2, "the account is full"
    box.api("STREAM.MSG.DELETE.S", {"seq": 2})
    box.loop.advance(10)
    state = box.info()["state"]
    assert (state["messages"], state["last_seq"]) == (1, 3)
    assert box.owner.streams["S"].store.subject_bounds(b"s.due") == (1, 3, 3)
    box.leave()
    freeze_clock(0)
