"""What the box measures of itself over time: the one table of series, with their numbers on flash, names and units.

The number is what a stored row is read back by, so it is never used twice; a series that goes leaves a gap. Not here:
how rows are kept (`history`), and who measures (`app/observation.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

NOT_MEASURED = math.nan
"""Value of a series that this box cannot measure, or not now: a gap in the chart, not a zero."""


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart."""

    number: int
    name: str
    unit: str
    """`per_s` of something counted, `bytes_per_s`, `bytes`, `count`, `us`, `percent` or `celsius`."""
    title: str


SERIES = (
    Series(1, "messages_in", "per_s", "Messages received"),
    Series(2, "messages_out", "per_s", "Messages delivered"),
    Series(3, "bytes_in", "bytes_per_s", "Bytes received"),
    Series(4, "bytes_out", "bytes_per_s", "Bytes delivered"),
    Series(5, "connections", "count", "Connections"),
    Series(6, "subscriptions", "count", "Subscriptions"),
    Series(7, "slow_consumers", "per_s", "Connections cut for being slow"),
    Series(8, "stored_messages", "count", "Messages in streams"),
    Series(9, "stored_bytes", "bytes", "Bytes in streams"),
    Series(10, "commits", "per_s", "Commits to flash"),
    Series(11, "sync_us", "us", "Duration of a sync, mean"),
    Series(12, "sync_longest_us", "us", "Duration of a sync, longest"),
    Series(13, "log_bytes", "bytes_per_s", "Bytes written to the log"),
    Series(14, "device_bytes", "bytes_per_s", "Bytes written to the storage device"),
    Series(15, "backlog", "count", "Messages waiting for the uplink"),
    Series(16, "cpu", "percent", "Processor, percent of one core"),
    Series(17, "memory_bytes", "bytes", "Memory of the server"),
    Series(18, "temperature", "celsius", "Temperature of the processor"),
    Series(19, "free_bytes", "bytes", "Free space on flash"),
    Series(20, "machine_cpu", "percent", "Processor of the machine, all cores"),
    Series(21, "machine_memory_bytes", "bytes", "Memory of the machine in use"),
    Series(22, "leaf_links", "count", "Links to other servers"),
)

BY_NAME: Mapping[str, Series] = {series.name: series for series in SERIES}
COLUMN: Mapping[int, int] = {series.number: column for column, series in enumerate(SERIES)}
"""Number on flash -> place in a row."""
