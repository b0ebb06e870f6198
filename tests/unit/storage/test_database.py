"""Blocks that are staged ahead of their checkpoint: part of the database only when the checkpoint says so."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from leafbox.dataplane.store_block import BlockBuffer
from leafbox.protocol.errors import StoreError
from leafbox.storage.database import STAGED_KEY, Changes, Database, MessageBlock

MAP_BYTES = 1 << 26


def block(stream: int, first_seq: int, filling: bytes, size: int = 3_000) -> MessageBlock:
    return stream, first_seq, cast("BlockBuffer", filling * size)


def open_database(directory: Path) -> Database:
    """Stages after every two blocks."""
    return Database(directory, MAP_BYTES, checkpoint_bytes=32 * 6_000)


class UnwritableIndex:
    """What makes the last transaction of a checkpoint fail, after the staging ones."""


def fail_after_staging(database: Database, blocks: list[MessageBlock]) -> None:
    with pytest.raises(TypeError):
        database.write(Changes(blocks=blocks, indexes=[(1, 1, cast("bytes", UnwritableIndex()))]))


@pytest.mark.capability("JS40")
def test_a_checkpoint_takes_up_what_it_staged(tmp_path: Path) -> None:
    """All blocks are there afterwards, each byte counted once, and nothing is called staged any more."""
    database = open_database(tmp_path)
    blocks = [block(1, first_seq, b"a") for first_seq in range(1, 8)]
    assert database.write(Changes(blocks=blocks)) == 7 * 3_000
    assert list(database.block_keys(1)) == list(range(1, 8))
    assert database.raw(b"meta", STAGED_KEY) is None
    database.close()


@pytest.mark.capability("JS40")
def test_staged_blocks_of_a_checkpoint_that_did_not_end_do_not_exist(tmp_path: Path) -> None:
    """Not for a start, and not for the checkpoint after it, which removes them."""
    database = open_database(tmp_path)
    fail_after_staging(database, [block(1, first_seq, b"a") for first_seq in range(1, 6)])
    assert database.raw(b"meta", STAGED_KEY) is not None
    assert database.read_block(1, 1) is not None, "something was staged"
    assert list(database.block_keys(1)) == []
    database.close()
    again = open_database(tmp_path)
    assert list(again.block_keys(1)) == []
    again.write(Changes(blocks=[block(1, 3, b"b")]))
    assert list(again.block_keys(1)) == [3]
    assert again.read_block(1, 1) is None
    assert again.read_block(1, 3) == b"b" * 3_000
    again.close()


@pytest.mark.capability("JS40")
def test_a_block_in_use_is_replaced_by_the_checkpoint_itself(tmp_path: Path) -> None:
    """Until then the old state must find the old block."""
    database = open_database(tmp_path)
    database.write(Changes(blocks=[block(1, 1, b"a")]))
    fail_after_staging(database, [block(1, 1, b"b"), block(1, 2, b"b"), block(1, 3, b"b")])
    assert database.read_block(1, 1) == b"a" * 3_000
    assert list(database.block_keys(1)) == [1]
    database.write(Changes(blocks=[block(1, 1, b"c"), block(1, 2, b"c"), block(1, 3, b"c")]))
    assert {database.read_block(1, first_seq) for first_seq in (1, 2, 3)} == {b"c" * 3_000}
    database.close()


@pytest.mark.capability("JS40")
def test_a_key_that_is_deleted_and_used_again_keeps_its_new_block(tmp_path: Path) -> None:
    """Deletions are carried out first, so such a block must not be staged."""
    database = open_database(tmp_path)
    blocks = [block(1, 1, b"n"), block(1, 2, b"n"), block(2, 1, b"n"), block(2, 2, b"n")]
    database.write(Changes(blocks=blocks, blocks_deleted=[(1, 1)], streams_deleted=[2]))
    assert list(database.block_keys(1)) == [1, 2]
    assert list(database.block_keys(2)) == [1, 2]
    database.close()


def test_a_closed_checkpoint_error_is_ours(tmp_path: Path) -> None:
    """A full database is said as StoreFull, staged or not."""
    database = Database(tmp_path, 1 << 18, checkpoint_bytes=32 * 6_000)
    with pytest.raises(StoreError, match="database_bytes_max"):
        database.write(Changes(blocks=[block(1, first_seq, b"a") for first_seq in range(1, 200)]))
    database.close()
