"""A copy of a store that goes on working opens as after a power cut: everything durable before it is in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from leafbox.protocol.errors import StoreError
from leafbox.storage.config import StorageOptions
from leafbox.storage.engine import Store
from leafbox.storage.hot_copy import HotCopy
from leafbox.storage.records import BlobKind
from leafbox.storage.verify import verify


def small(directory: Path) -> StorageOptions:
    return StorageOptions(
        directory=str(directory),
        segment_bytes=1 << 18,
        staging_bytes_max=1 << 22,
        checkpoint_bytes=1 << 19,
        free_bytes_min=0,
        database_bytes_max=1 << 28,
    )


def fill(store: Store, name: bytes, first: int, count: int) -> None:
    stream = store.stream(name) or store.create_stream(name)
    for number in range(first, first + count):
        stream.append_message(b"s.x", b"%06d" % number + bytes(500))
    assert store.wait_durable(store.journal.last_lsn)


@pytest.mark.capability("OP06")
@pytest.mark.parametrize("has_checkpoint", [False, True])
def test_a_copy_holds_what_was_durable(tmp_path: Path, has_checkpoint: bool) -> None:
    store = Store(small(tmp_path / "live"))
    fill(store, b"S", 0, 1500)
    store.put_blob(BlobKind.SETTING, b"k", b"before")
    if has_checkpoint:
        store.checkpoint_and_wait()
    fill(store, b"S", 1500, 200)
    copy = HotCopy(store)
    target = tmp_path / "copy"
    assert copy.copy_log(target / "log") > 0
    # The store goes on between the two halves, also with a checkpoint that recycles the log.
    copy.release()
    fill(store, b"S", 1700, 2000)
    store.put_blob(BlobKind.SETTING, b"k", b"after")
    store.delete_stream(b"S")
    store.checkpoint_and_wait()
    copy.copy_database(target / "database")
    copy.end()
    store.close()

    assert verify(str(target)).is_sound
    opened = Store(small(target))
    stream = opened.stream(b"S")
    assert stream is not None
    assert stream.messages == 1700
    assert [stream.message(seq).payload[:6] for seq in (1, 1700)] == [b"000000", b"001699"]  # type: ignore[union-attr]
    assert opened.get_blob(BlobKind.SETTING, b"k") == b"before"
    assert opened.report.damages == ()
    opened.close()


def test_no_checkpoint_begins_while_the_log_is_copied(tmp_path: Path) -> None:
    store = Store(small(tmp_path))
    copy = HotCopy(store)
    with pytest.raises(StoreError, match="another copy"):
        HotCopy(store)
    store.checkpoint()
    assert not store.is_checkpointing
    copy.end()
    copy.end()
    HotCopy(store).end()
    store.close()
