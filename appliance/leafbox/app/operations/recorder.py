"""Keeps the history of the box: a row each second into the rings, their chunks into the store, excerpts to who asks.

Without JetStream there is no store, and the history lives in memory only.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from leafbox.app.operations.sampler import Sampler
from leafbox.monitoring.history import DAY_S, HOUR_S, Chunk, History
from leafbox.monitoring.series import BY_NAME, COLUMN, SERIES
from leafbox.protocol.errors import BoxRequestFailed, LeafboxError
from leafbox.protocol.jetstream.go_json import Json, JsonObject
from leafbox.storage.engine import Store
from leafbox.storage.records import BlobKind

logger = logging.getLogger(__name__)

SPANS = {"1h": HOUR_S, "24h": DAY_S, "30d": 30 * DAY_S}
POINTS_DEFAULT = 720
"""Points of one line: more than a chart on a large screen has pixels to show apart."""
POINTS_MAX = 3600


class Recorder:
    """The history of one server; belongs to the loop."""

    def __init__(self, sampler: Sampler, store: Store | None) -> None:
        self.history = History()
        self._sampler = sampler
        self._store = store
        self.last_row: Sequence[float] = ()
        if store is not None:
            unusable = self.history.load(body for _, body in store.list_blobs(BlobKind.HISTORY))
            if unusable:
                logger.warning("history chunks that cannot be read count=%d; the charts have gaps there", unusable)

    def record(self) -> None:
        """Measure once."""
        self.last_row = self._sampler.values()
        self._keep(self.history.add(int(time.time()), self.last_row))

    def value(self, name: str) -> float:
        """The newest value of a series; NaN before the first."""
        return self.last_row[COLUMN[BY_NAME[name].number]] if self.last_row else float("nan")

    def stop(self) -> None:
        """Keep what no chunk has yet; before the store closes."""
        self._keep(self.history.flush())

    def _keep(self, chunks: list[Chunk]) -> None:
        if self._store is None:
            return
        for chunk in chunks:
            try:
                self._store.put_blob(BlobKind.HISTORY, chunk.key, chunk.body)
            except LeafboxError as error:
                # A store that refuses is an issue of its own; the rings in memory go on.
                logger.debug("history not kept key=%s reason=%s", chunk.key.hex(), error)

    # -- what is answered ---------------------------------------------------------------------------------------------

    def answer(self, request: JsonObject) -> JsonObject:
        """`history.get`: `series` (names; all if left out), `span` (`1h`, `24h`, `30d`), `points` at most."""
        names = self._names(request.get("series"))
        span = request.get("span", "1h")
        points = request.get("points", POINTS_DEFAULT)
        if not isinstance(span, str) or span not in SPANS:
            raise BoxRequestFailed("invalid", f"span is {span!r}", f"one of {', '.join(SPANS)}")
        if not isinstance(points, int) or not 1 <= points <= POINTS_MAX:
            raise BoxRequestFailed("invalid", f"points is {points!r}", f"a number from 1 to {POINTS_MAX}")
        columns = [COLUMN[BY_NAME[name].number] for name in names]
        excerpt = self.history.excerpt(columns, SPANS[span], int(time.time()), points)
        lines: list[Json] = []
        for name, mean, peak in zip(names, excerpt.means, excerpt.peaks, strict=True):
            series = BY_NAME[name]
            lines.append({"name": name, "label": series.title, "unit": series.unit, "means": [*mean], "peaks": [*peak]})
        return {
            "span": span,
            "step_s": excerpt.step_s,
            "times_s": [*excerpt.times_s],
            "series": lines,
            "available": [*BY_NAME],
        }

    @staticmethod
    def _names(wanted: object) -> list[str]:
        if wanted is None or wanted == []:
            return [series.name for series in SERIES]
        names = wanted.split(",") if isinstance(wanted, str) else wanted
        if not isinstance(names, list):
            raise BoxRequestFailed("invalid", f"series is {wanted!r}", "a list of names")
        unknown = [name for name in names if name not in BY_NAME]
        if unknown:
            raise BoxRequestFailed("not_found", f"there is no series {unknown[0]!r}", f"one of {', '.join(BY_NAME)}")
        return [str(name) for name in names]
