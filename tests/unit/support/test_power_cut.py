"""The power-cut file system itself: synced bytes stay, unsynced ones go, names follow the next sync."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.power_cut import PowerCutDisk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[PowerCutDisk]:
    with PowerCutDisk(tmp_path / "mounted") as mounted:
        yield mounted


def test_only_synced_writes_survive(disk: PowerCutDisk, tmp_path: Path) -> None:
    """fdatasync keeps what came before it; the rest of the file and a file never synced are gone."""
    file = os.open(disk.path / "file", os.O_RDWR | os.O_CREAT)
    os.pwrite(file, b"synced", 0)
    os.fdatasync(file)
    os.pwrite(file, b"SYNCED and more", 0)
    (disk.path / "other").write_bytes(b"never synced")
    assert (disk.path / "file").read_bytes() == b"SYNCED and more"
    lost = disk.cut(1, "drop", tmp_path / "after")
    os.close(file)
    assert lost == 2
    assert (tmp_path / "after" / "file").read_bytes() == b"synced"
    assert not (tmp_path / "after" / "other").exists()


def test_names_follow_the_next_sync(disk: PowerCutDisk, tmp_path: Path) -> None:
    """A rename before a sync survives, one after it does not."""
    folder = disk.path / "folder"
    folder.mkdir()
    (folder / "a").write_bytes(b"1")
    (folder / "a").rename(folder / "b")
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    (folder / "b").rename(folder / "c")
    disk.cut(1, "drop", tmp_path / "after")
    os.close(descriptor)
    assert [path.name for path in (tmp_path / "after" / "folder").iterdir()] == ["b"]


def test_synchronous_and_mapped_writes(disk: PowerCutDisk, tmp_path: Path) -> None:
    """O_DSYNC writes need no call; a mapped file shows what was written (LMDB relies on both)."""
    file = os.open(disk.path / "file", os.O_RDWR | os.O_CREAT | os.O_DSYNC)
    os.pwrite(file, b"x" * 5000, 0)
    with mmap.mmap(file, 5000, mmap.MAP_SHARED, mmap.PROT_READ) as mapped:
        assert mapped[4990:] == b"x" * 10
        os.pwrite(file, b"yy", 4990)
        assert mapped[4990:4992] == b"yy"
    disk.cut(1, "drop", tmp_path / "after")
    os.close(file)
    assert (tmp_path / "after" / "file").read_bytes() == b"x" * 4990 + b"yy" + b"x" * 8


def test_random_policy_tears(disk: PowerCutDisk, tmp_path: Path) -> None:
    """Some seed leaves a write half done at a sector boundary."""
    file = os.open(disk.path / "file", os.O_RDWR | os.O_CREAT)
    os.pwrite(file, b"\0" * 4096, 0)
    os.fsync(file)
    os.pwrite(file, b"\1" * 4096, 0)
    found = set()
    for seed in range(8):
        disk.cut(seed, "random", tmp_path / str(seed))
        found.add((tmp_path / str(seed) / "file").read_bytes().count(1))
    os.close(file)
    assert any(0 < count < 4096 and count % 512 == 0 for count in found)
