"""A small file system of its own for a store, whose block device counts what is written to it.

An ext4 image is mounted through a loop device; the kernel's counters of that device say how many bytes a store really
costs, journal and metadata included. Needs root and a free loop device; without them a plain directory is used and
nothing is counted.

The image is written once per run and given a new file system for each measurement. A sparse one would make the file
system below it allocate blocks in the middle of the measured syncs, which no flash does.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

IMAGE_BYTES = 2 << 30
SMALL_IMAGE_BYTES = 256 << 20  # For a smoke test, which stores next to nothing.
# /sys/block/<device>/stat counts sectors of this size whatever the device's own are.
SECTOR_BYTES = 512
_WRITTEN_SECTORS_FIELD = 6
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Flash:
    """Where a store may write; `device` is the name under /sys/block, empty when nothing is counted."""

    directory: Path
    device: str

    @property
    def is_counted(self) -> bool:
        return bool(self.device)

    def written_bytes(self) -> int:
        """Bytes written to the device so far, after everything pending has been written."""
        descriptor = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.sync()
        finally:
            os.close(descriptor)
        fields = Path(f"/sys/block/{self.device}/stat").read_text(encoding="ascii").split()
        return int(fields[_WRITTEN_SECTORS_FIELD]) * SECTOR_BYTES


@contextlib.contextmanager
def mounted_flash(directory: Path, image_bytes: int = IMAGE_BYTES) -> Iterator[Flash]:
    """A fresh file system mounted below `directory`, unmounted afterwards. One at a time."""
    image, mount = _image(image_bytes), directory / "flash"
    mount.mkdir(parents=True)
    # No lazy initialisation: its background writes would be counted as the store's. No discard: it punches holes.
    options = "lazy_itable_init=0,lazy_journal_init=0,nodiscard"
    made = _succeeds("mkfs.ext4", "-q", "-F", "-E", options, str(image)) and _succeeds(
        "mount", "-o", "loop", str(image), str(mount)
    )
    if not made:
        yield Flash(mount, "")
        return
    try:
        yield Flash(mount, _device_of(mount))
    finally:
        subprocess.run(["umount", str(mount)], check=True)


@functools.cache
def _image(size: int) -> Path:
    """The image's file, every block of it written; deleted when the process ends."""
    descriptor, name = tempfile.mkstemp(prefix="leafbox-bench-flash-")
    atexit.register(Path(name).unlink, missing_ok=True)
    zeros = bytes(_PIECE_BYTES)
    with os.fdopen(descriptor, "wb") as file:
        for _ in range(size // _PIECE_BYTES):
            file.write(zeros)
        file.flush()
        os.fsync(file.fileno())
    return Path(name)


def _succeeds(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _device_of(mount: Path) -> str:
    number = os.stat(mount).st_dev
    target = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    return target.resolve().name
