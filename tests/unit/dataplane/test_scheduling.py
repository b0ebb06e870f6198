"""Threads that the others wait for ask to be run soon; the kernel shows what it granted."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from leafbox.dataplane.scheduling import wake_loop_soon

LOOP_SLICE_NS = 300_000


def slice_of(thread: int) -> int:
    """The thread's slice in nanoseconds, as far as this kernel has such a thing and shows it."""
    path = Path(f"/proc/self/task/{thread}/sched")
    lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    found = [int(line.rpartition(":")[2]) for line in lines if line.startswith("se.slice")]
    if not found:
        pytest.skip("this kernel does not show slices")
    return found[0]


def test_the_wish_is_granted_to_the_thread_that_asks() -> None:
    """Only to that one: whoever runs beside it keeps the usual slices."""
    found: list[int] = []

    def ask() -> None:
        found.append(slice_of(threading.get_native_id()))
        wake_loop_soon()
        found.append(slice_of(threading.get_native_id()))

    before = slice_of(threading.get_native_id())
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert slice_of(threading.get_native_id()) == before
    if found[1] == found[0]:
        pytest.skip("this kernel has no slices of one's own (older than 6.12)")
    assert found == [before, LOOP_SLICE_NS]
