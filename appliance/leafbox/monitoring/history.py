"""The box's own history: rings of rows, one a second for an hour, one a minute for a day, one an hour for 30 days.

A row is one value per series (`series.SERIES`) and, above the first ring, the highest value beside the mean. Rows stand
in the slot of their time, so a clock that jumps makes gaps and nothing else: a slot tells the time it was written for,
and a query takes only those of its span.

On flash a ring is cut into chunks, each written once when it is complete: the 60 seconds of a minute, the 60 minutes of
an hour, the 24 hours of a day. What an unfinished hour or day has so far is worked out again at the start from the
chunks of the finer ring, so nothing is ever written twice and a kill loses at most the last minute. That makes one
small record a minute: docs/operating/history.md has the bytes a day. The alternative, a delta a second, costs the
device one page of 4 KiB a second, 350 MB a day.

A chart of the hour has 720 points, each of five seconds. These are kept as a ring of their own, in memory only: to work
them out of 3600 rows for each page that looks costs some ms of the loop (measured with ten dashboards).

Memory: 22 series take 1 MB. Belongs to the loop; no clock and no disk in here.
"""

from __future__ import annotations

import math
import struct
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from leafbox.monitoring.series import COLUMN, NOT_MEASURED, SERIES

FIVE_S = 5
MINUTE_S = 60
HOUR_S = 3600
DAY_S = 86400

CHUNK_FORMAT = 1
_HEAD = struct.Struct("<BBHIqH")
"""Format, ring, series, seconds between rows, time of the first row, rows; then the numbers of the series, then for
each series its means and (not for seconds) its peaks, float32, deflated."""
CHUNK_BYTES_MAX = 1 << 20
"""Of one inflated chunk: a damaged one must not take the memory of the box. A real one has 12 KB."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of history to keep under `key`, in place of the one that had it a ring's length ago."""

    key: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A stretch of history, oldest first. `means[i][j]` belongs to `columns[i]` and `times_s[j]`; None is a gap."""

    step_s: int
    times_s: list[int]
    columns: list[int]
    means: list[list[float | None]]
    peaks: list[list[float | None]]


class Ring:
    """`capacity` rows `step_s` apart. `chunk_rows` rows make one chunk on flash, `chunks` chunks the ring there."""

    def __init__(self, letter: bytes, step_s: int, capacity: int, chunk_rows: int) -> None:
        self.letter = letter
        self.step_s = step_s
        self.capacity = capacity
        self.chunk_rows = chunk_rows
        self.chunk_s = chunk_rows * step_s
        # One more than is shown: the chunk being written must not replace one that is still in the span.
        self.chunks = capacity // chunk_rows + 1
        rows = self.chunks * chunk_rows
        gap = array("f", [NOT_MEASURED]) * rows
        self._rows = rows
        self._times = array("q", [0]) * rows
        self._means = [gap[:] for _ in SERIES]
        # Of a single reading mean and peak are the same.
        self._peaks = self._means if step_s == 1 else [gap[:] for _ in SERIES]

    def _slot(self, time_s: int) -> int:
        return time_s // self.step_s % self._rows

    def put(self, time_s: int, means: Sequence[float], peaks: Sequence[float]) -> None:
        """Set the row of a time."""
        time_s -= time_s % self.step_s
        slot = self._slot(time_s)
        self._times[slot] = time_s
        for column in range(len(SERIES)):
            self._means[column][slot] = means[column]
            if self._peaks is not self._means:
                self._peaks[column][slot] = peaks[column]

    def has(self, time_s: int) -> bool:
        """Whether the row of that time is here."""
        time_s -= time_s % self.step_s
        return self._times[self._slot(time_s)] == time_s and time_s > 0

    def newest_s(self) -> int:
        """Time of the newest row, 0 without any."""
        return max(self._times)

    def rows(self, first_s: int, end_s: int) -> Iterator[tuple[int, int]]:
        """(time, slot) of the rows from `first_s` up to but not including `end_s`, ascending."""
        first_s = max(first_s, end_s - self._rows * self.step_s, 1)
        first_s += -first_s % self.step_s
        for time_s in range(first_s, end_s, self.step_s):
            slot = self._slot(time_s)
            if self._times[slot] == time_s:
                yield time_s, slot

    def summary(self, first_s: int, end_s: int) -> tuple[list[float], list[float]] | None:
        """(means, peaks) over the rows of a stretch; None without any."""
        slots = [slot for _, slot in self.rows(first_s, end_s)]
        if not slots:
            return None
        means, peaks = [], []
        for mean_column, peak_column in zip(self._means, self._peaks, strict=True):
            mean, _ = _mean_and_peak(mean_column[slot] for slot in slots)
            _, peak = _mean_and_peak(peak_column[slot] for slot in slots)
            means.append(mean)
            peaks.append(peak)
        return means, peaks

    def excerpt(self, columns: Sequence[int], first_s: int, end_s: int, points_max: int) -> Excerpt:
        """The rows of a stretch, several taken together where there are more than `points_max`; gaps stay gaps."""
        steps = max((end_s - first_s) // self.step_s, 1)
        # One point more than fits may come of the aligned beginning.
        stride = -(-steps // max(points_max - 1, 1)) if steps > points_max else 1
        width_s = stride * self.step_s
        first_s -= first_s % width_s
        times = list(range(first_s, end_s, width_s))
        if stride == 1:
            means = [self._column(self._means[column], first_s, times) for column in columns]
            if self._peaks is self._means:
                return Excerpt(width_s, times, list(columns), means, means)
            peaks = [self._column(self._peaks[column], first_s, times) for column in columns]
            return Excerpt(width_s, times, list(columns), means, peaks)
        groups: list[list[int]] = [[] for _ in times]
        for time_s, slot in self.rows(first_s, end_s):
            groups[(time_s - first_s) // width_s].append(slot)
        means, peaks = [], []
        for column in columns:
            mean_column, peak_column = self._means[column], self._peaks[column]
            means.append([_shown(_mean_and_peak(mean_column[slot] for slot in slots)[0]) for slots in groups])
            peaks.append([_shown(_mean_and_peak(peak_column[slot] for slot in slots)[1]) for slots in groups])
        return Excerpt(width_s, times, list(columns), means, peaks)

    def _column(self, column: array[float], first_s: int, times: Sequence[int]) -> list[float | None]:
        """The values of consecutive rows, by slices: this is what a chart asks for again and again."""
        assert len(times) <= self._rows
        slot = self._slot(first_s)
        last = slot + len(times)
        values, written = column[slot:last], self._times[slot:last]
        if last > self._rows:
            values += column[: last - self._rows]
            written += self._times[: last - self._rows]
        return [
            # Unequal to itself: NaN.
            round(value, 3) if at == time_s and value == value else None
            for value, at, time_s in zip(values, written, times, strict=True)
        ]

    # -- chunks -------------------------------------------------------------------------------------------------------

    def chunk(self, time_s: int) -> Chunk | None:
        """The chunk that holds a time, as far as it has rows; None without any."""
        first_s = time_s - time_s % self.chunk_s
        slots = dict(self.rows(first_s, first_s + self.chunk_s))
        if not slots:
            return None
        times = range(first_s, first_s + self.chunk_s, self.step_s)
        columns = (
            self._means
            if self._peaks is self._means
            else [c for pair in zip(self._means, self._peaks, strict=True) for c in pair]
        )
        values = array("f", [column[slots[t]] if t in slots else NOT_MEASURED for column in columns for t in times])
        numbers = array("H", [series.number for series in SERIES])
        head = _HEAD.pack(CHUNK_FORMAT, self.letter[0], len(SERIES), self.step_s, first_s, self.chunk_rows)
        key = self.letter + bytes([first_s // self.chunk_s % self.chunks])
        return Chunk(key, head + zlib.compress(numbers.tobytes() + _planes(values.tobytes()), 9))

    def load(self, body: bytes) -> bool:
        """Take the rows of a chunk in; False if it is none of this ring's, or damaged."""
        if len(body) < _HEAD.size:
            return False
        version, letter, series_count, step_s, first_s, rows = _HEAD.unpack_from(body)
        if (version, letter, step_s, rows) != (CHUNK_FORMAT, self.letter[0], self.step_s, self.chunk_rows):
            return False
        inflater = zlib.decompressobj()
        try:
            raw = inflater.decompress(body[_HEAD.size :], CHUNK_BYTES_MAX)
        except zlib.error:
            return False
        if not inflater.eof:
            # Cut off, or larger than any chunk of ours; only at its end its checksum is checked.
            return False
        per_series = 1 if self._peaks is self._means else 2
        if len(raw) != series_count * 2 + series_count * per_series * rows * 4 or first_s <= 0:
            return False
        numbers, values = array("H"), array("f")
        numbers.frombytes(raw[: series_count * 2])
        values.frombytes(_unplaned(raw[series_count * 2 :]))
        self._load_rows(first_s, numbers, values, per_series)
        return True

    def _load_rows(self, first_s: int, numbers: array[int], values: array[float], per_series: int) -> None:
        rows = self.chunk_rows
        for row in range(rows):
            means, peaks = [NOT_MEASURED] * len(SERIES), [NOT_MEASURED] * len(SERIES)
            for place, number in enumerate(numbers):
                # A series that an older or newer version wrote and this one does not know.
                if (column := COLUMN.get(number)) is not None:
                    at = place * per_series * rows + row
                    means[column], peaks[column] = values[at], values[at + (per_series - 1) * rows]
            if not all(math.isnan(value) for value in means):
                self.put(first_s + row * self.step_s, means, peaks)


class History:
    """The three rings. `add` a row each second and keep the chunks it returns; `load` them at the next start."""

    def __init__(self) -> None:
        self.seconds = Ring(b"s", 1, HOUR_S, MINUTE_S)
        self.fives = Ring(b"f", FIVE_S, HOUR_S // FIVE_S, MINUTE_S // FIVE_S)
        self.minutes = Ring(b"m", MINUTE_S, DAY_S // MINUTE_S, HOUR_S // MINUTE_S)
        self.hours = Ring(b"h", HOUR_S, 30 * DAY_S // HOUR_S, DAY_S // HOUR_S)
        self._last_s = 0

    def load(self, bodies: Iterable[bytes]) -> int:
        """Take chunks in, in any order; returns how many could not be used (damaged, or of another version)."""
        unusable = 0
        for body in bodies:
            ring = {ring.letter: ring for ring in (self.seconds, self.minutes, self.hours)}.get(body[1:2])
            if ring is None or not ring.load(body):
                unusable += 1
        self._fill(self.seconds, self.fives)
        self._fill(self.seconds, self.minutes)
        self._fill(self.minutes, self.hours)
        self._last_s = self.seconds.newest_s()
        return unusable

    def _fill(self, fine: Ring, coarse: Ring) -> None:
        """Work out the coarse rows that were not yet on flash when the box went down."""
        newest_s = fine.newest_s()
        oldest_s = newest_s - fine.chunks * fine.chunk_s
        for start_s in sorted({time_s - time_s % coarse.step_s for time_s, _ in fine.rows(oldest_s, newest_s + 1)}):
            if not coarse.has(start_s):
                self._summarise(fine, coarse, start_s)

    @staticmethod
    def _summarise(fine: Ring, coarse: Ring, time_s: int) -> None:
        start_s = time_s - time_s % coarse.step_s
        summary = fine.summary(start_s, start_s + coarse.step_s)
        if summary is not None:
            coarse.put(start_s, *summary)

    def add(self, time_s: int, values: Sequence[float]) -> list[Chunk]:
        """The row of one second, in the order of `SERIES`; returns the chunks that are complete now."""
        last_s, self._last_s = self._last_s, time_s
        complete = self._completed(last_s, time_s) if last_s else []
        self.seconds.put(time_s, values, values)
        return complete

    def _completed(self, last_s: int, time_s: int) -> list[Chunk]:
        chunks: list[Chunk | None] = []
        if last_s // FIVE_S != time_s // FIVE_S:
            self._summarise(self.seconds, self.fives, last_s)
        # By "another one", not by "a later one": clocks of boxes without a battery jump both ways.
        if last_s // MINUTE_S != time_s // MINUTE_S:
            self._summarise(self.seconds, self.minutes, last_s)
            chunks.append(self.seconds.chunk(last_s))
        if last_s // HOUR_S != time_s // HOUR_S:
            self._summarise(self.minutes, self.hours, last_s)
            chunks.append(self.minutes.chunk(last_s))
        if last_s // DAY_S != time_s // DAY_S:
            chunks.append(self.hours.chunk(last_s))
        return [chunk for chunk in chunks if chunk is not None]

    def flush(self) -> list[Chunk]:
        """The seconds that no chunk on flash has yet; for an orderly stop."""
        chunk = self.seconds.chunk(self._last_s) if self._last_s else None
        return [chunk] if chunk is not None else []

    def excerpt(self, columns: Sequence[int], span_s: int, now_s: int, points_max: int) -> Excerpt:
        """The last `span_s` seconds from the finest ring that reaches so far. The minute or hour under way is in it."""
        if span_s <= HOUR_S and -(-span_s // points_max) >= FIVE_S:
            self._summarise(self.seconds, self.fives, now_s)
            return self.fives.excerpt(columns, now_s - span_s + FIVE_S, now_s + 1, points_max)
        if span_s <= HOUR_S:
            return self.seconds.excerpt(columns, now_s - span_s + 1, now_s + 1, points_max)
        self._summarise(self.seconds, self.minutes, now_s)
        if span_s <= DAY_S:
            return self.minutes.excerpt(columns, now_s - span_s + MINUTE_S, now_s + 1, points_max)
        self._summarise(self.minutes, self.hours, now_s)
        return self.hours.excerpt(columns, now_s - span_s + HOUR_S, now_s + 1, points_max)


def _mean_and_peak(values: Iterable[float]) -> tuple[float, float]:
    measured = [value for value in values if not math.isnan(value)]
    if not measured:
        return NOT_MEASURED, NOT_MEASURED
    return math.fsum(measured) / len(measured), max(measured)


def _shown(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 3)


def _planes(values: bytes) -> bytes:
    """All first bytes, then all second ones, ...: neighbours differ least in their exponents, so this deflates best."""
    return b"".join(values[plane::4] for plane in range(4))


def _unplaned(planes: bytes) -> bytes:
    count = len(planes) // 4
    values = bytearray(len(planes))
    for plane in range(4):
        values[plane::4] = planes[plane * count : (plane + 1) * count]
    return bytes(values)
