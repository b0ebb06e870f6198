from collections.abc import Iterable
from typing import NamedTuple

from _typeshed import ReadableBuffer

from leafbox.dataplane.journal import RecordVisitor

class SegmentLabel(NamedTuple):
    store_salt: int
    epoch: int
    first_lsn: int
    previous_lsn: int
    former_epoch: int

class Run(NamedTuple):
    first_lsn: int
    last_lsn: int
    complete_lsn: int
    start: int
    end: int

class Survey(NamedTuple):
    runs: list[Run]
    proven_lsn: int
    is_tail_torn: bool

def read_label(data: ReadableBuffer) -> SegmentLabel | None: ...
def survey(data: ReadableBuffer, label: SegmentLabel, limit_lsn: int) -> Survey: ...
def replay(
    data: ReadableBuffer, runs: Iterable[Run], after_lsn: int, until_lsn: int, visitor: RecordVisitor
) -> int: ...

class RecordCounter(RecordVisitor):
    counts: dict[int, tuple[int, int]]
