"""The log's files as recovery and verification see them: which exist, which matter, where their records end.

Every segment's label names the last record before it (`previous_lsn`), so the order of the log, records that were
written a second time after a failed sync, and missing files all follow from the labels alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from leafbox.dataplane.store_scan import Run, SegmentLabel, read_label, survey

SEGMENT_NAME = re.compile(r"segment-(\d{16})\.log")
LABEL_BYTES = 8192
LSN_MAX = (1 << 64) - 1


@dataclass(slots=True)
class SegmentFile:
    """One file of the log."""

    path: Path
    number: int
    size: int
    label: SegmentLabel | None
    is_blank: bool
    """All zeros: it was never used."""
    runs: list[Run] = field(default_factory=list)
    last_lsn: int = 0
    """Last record that belongs to the log, 0 if none."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Records that should be in the log and do not verify."""

    first_lsn: int
    last_lsn: int
    detail: str


@dataclass(slots=True)
class LogSurvey:
    """The whole log behind a checkpoint."""

    segments: list[SegmentFile]
    """Every file, in log order; files without a label last."""
    relevant: list[SegmentFile]
    """Those that hold records behind the checkpoint."""
    gaps: list[Gap]
    """Holes in what the log itself proves to have been synced: damage."""
    unreadable: list[SegmentFile]
    """Used files whose labels do not verify."""
    end_lsn: int
    """Last record to replay."""
    torn_records: int
    torn_detail: str


def list_segments(directory: Path, store_salt: int | None) -> list[SegmentFile]:
    """Every segment file of the log, in order. With a salt, files of another store count as unreadable."""
    found = []
    for path in sorted(directory.glob("segment-*.log")):
        match = SEGMENT_NAME.fullmatch(path.name)
        if match is None:
            continue
        with path.open("rb") as file:
            head = file.read(LABEL_BYTES)
        label = read_label(head)
        if label is not None and store_salt is not None and label.store_salt != store_salt:
            label = None
        is_blank = label is None and len(head) == LABEL_BYTES and not any(head)
        found.append(SegmentFile(path, int(match[1]), path.stat().st_size, label, is_blank))
    found.sort(key=lambda segment: segment.label.epoch if segment.label else LSN_MAX)
    return found


def survey_log(directory: Path, store_salt: int | None, checkpoint_lsn: int) -> LogSurvey:
    """Read the log behind `checkpoint_lsn` and decide where it ends and what of it is damaged."""
    segments = list_segments(directory, store_salt)
    labelled = [segment for segment in segments if segment.label is not None]
    found = LogSurvey(
        segments, [], [], [s for s in segments if s.label is None and not s.is_blank], checkpoint_lsn, 0, ""
    )
    proven = checkpoint_lsn
    gaps: list[Gap] = []
    seen = checkpoint_lsn
    limits = _limits(labelled)
    for index, segment in enumerate(labelled):
        assert segment.label is not None
        following = labelled[index + 1].label if index + 1 < len(labelled) else None
        limit = limits[index]
        if limit <= checkpoint_lsn or segment.label.previous_lsn > limit:
            continue
        if segment.label.previous_lsn > seen:
            gaps.append(Gap(seen + 1, segment.label.previous_lsn, f"missing before {segment.path.name}"))
        result = survey(segment.path.read_bytes(), segment.label, limit)
        segment.runs = result.runs
        proven = max(proven, segment.label.previous_lsn, result.proven_lsn)
        seen = _walk_runs(segment, limit if following is not None else 0, gaps, max(seen, segment.label.previous_lsn))
        if following is None and result.is_tail_torn:
            found.torn_detail = f"{segment.path.name} behind record {seen}"
        found.relevant.append(segment)
    _conclude(found, gaps, proven, seen, checkpoint_lsn)
    return found


def _limits(labelled: list[SegmentFile]) -> list[int]:
    """The last record of each segment that still counts.

    Every later label has a say, not only the next one: a start that cut the log off inside a segment, because a group
    had no end, left the segments behind that one as they were.
    """
    limits, limit = [], LSN_MAX
    for segment in reversed(labelled):
        assert segment.label is not None
        limits.append(limit)
        limit = min(limit, segment.label.previous_lsn)
    return limits[::-1]


def _walk_runs(segment: SegmentFile, limit: int, gaps: list[Gap], seen: int) -> int:
    """Note the holes inside one segment; returns the last record accounted for."""
    assert segment.label is not None
    expected = segment.label.first_lsn
    for run in segment.runs:
        if run.first_lsn > expected:
            gaps.append(Gap(expected, run.first_lsn - 1, f"in {segment.path.name} before byte {run.start}"))
        expected = run.last_lsn + 1
        segment.last_lsn = seen = run.last_lsn
    if limit > seen:
        # Below the first number of this run of the appliance nothing was ever written: all of it was a torn tail.
        if limit >= expected:
            gaps.append(Gap(expected, limit, f"at the end of {segment.path.name}"))
        seen = limit
    return seen


def _conclude(found: LogSurvey, gaps: list[Gap], proven: int, seen: int, checkpoint_lsn: int) -> None:
    """Tell damage from a torn tail: a hole behind everything that was proven synced was promised to nobody."""
    found.end_lsn = seen
    for gap in gaps:
        if gap.last_lsn <= checkpoint_lsn:
            continue
        if gap.first_lsn > proven:
            found.end_lsn = gap.first_lsn - 1
            found.torn_detail = found.torn_detail or gap.detail
            break
        found.gaps.append(Gap(max(gap.first_lsn, checkpoint_lsn + 1), gap.last_lsn, gap.detail))
    complete = checkpoint_lsn
    for segment in found.relevant:
        for run in segment.runs:
            if run.last_lsn <= found.end_lsn:
                complete = max(complete, run.complete_lsn)
            else:
                found.torn_records += run.last_lsn - run.first_lsn + 1
    if complete < found.end_lsn and any(run.last_lsn == found.end_lsn for s in found.relevant for run in s.runs):
        # The tail is the beginning of an atomic batch whose end did not make it: none of it happened.
        found.torn_records += found.end_lsn - complete
        found.torn_detail = found.torn_detail or f"unfinished atomic batch behind record {complete}"
        found.end_lsn = complete
