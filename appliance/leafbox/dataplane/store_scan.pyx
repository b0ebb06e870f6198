# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Reads log segments back: which records verify, where they do not, and what the log itself proves about its tail.

Bytes come from a disk that may have torn or flipped them, so every size is checked against the buffer's end before use.
After a record that does not verify the scan goes on at each multiple of eight for one that does and continues the
numbers: that is how recovery knows a hole (valid records behind it) from the end of the log.
"""

from typing import NamedTuple

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from leafbox.dataplane.journal cimport (
    RECORD_CONTINUES,
    RECORD_HEADER_SIZE,
    SEGMENT_HEADER_COPY,
    RecordHeader,
    RecordVisitor,
    SegmentHeader,
    record_crc,
    segment_seed,
)
from leafbox.dataplane.segment_pool cimport SEGMENT_DATA_START
from leafbox.dataplane.store_crc cimport crc32c

cdef enum:
    # A hole of more numbers than this is not believed: the bytes look like a record by chance.
    HOLE_RECORDS_MAX = 1 << 30


class SegmentLabel(NamedTuple):
    """What a segment's header says."""

    store_salt: int
    epoch: int
    first_lsn: int
    previous_lsn: int
    former_epoch: int


class Run(NamedTuple):
    """Consecutive records that verify, in `data[start:end]`."""

    first_lsn: int
    last_lsn: int
    complete_lsn: int
    """The last record of the run that is not the beginning or middle of an atomic batch; 0 if there is none."""
    start: int
    end: int


class Survey(NamedTuple):
    """What one segment holds."""

    runs: list[Run]
    proven_lsn: int
    """Some record was written when everything up to here was already synced."""
    is_tail_torn: bool
    """Behind the last record lies the beginning of the next one, unreadable."""


def read_label(const unsigned char[::1] data not None):
    """The label of a segment file, from whichever copy verifies; None if neither does."""
    cdef SegmentHeader header
    cdef uint32_t crc
    cdef Py_ssize_t offset
    for offset in range(0, SEGMENT_HEADER_COPY + 1, SEGMENT_HEADER_COPY):
        if data.shape[0] < offset + <Py_ssize_t>sizeof(header):
            continue
        memcpy(&header, &data[offset], sizeof(header))
        crc = header.crc
        header.crc = 0
        if memcmp(header.magic, b"LFBXWAL\x01", 8) == 0 and crc32c(0, &header, sizeof(header)) == crc:
            return SegmentLabel(header.store_salt, header.epoch, header.first_lsn, header.previous_lsn,
                                header.former_epoch)
    return None


cdef inline size_t total_of(const RecordHeader* record) noexcept nogil:
    return (RECORD_HEADER_SIZE + <size_t>record.body_size + 7) & ~<size_t>7


cdef bint verifies(uint32_t seed, const RecordHeader* record, size_t room) noexcept nogil:
    if room < RECORD_HEADER_SIZE or record.body_size > room - RECORD_HEADER_SIZE or total_of(record) > room:
        return False
    return record_crc(seed, record) == record.crc


def survey(const unsigned char[::1] data not None, label, uint64_t limit_lsn) -> Survey:
    """Find the records of a segment up to `limit_lsn`; the bytes behind its last record are former life or zeros."""
    cdef uint32_t seed = segment_seed(label.store_salt, label.epoch)
    cdef uint64_t expected = label.first_lsn
    cdef const unsigned char* start
    cdef size_t size = data.shape[0], offset = SEGMENT_DATA_START, run_start = SEGMENT_DATA_START
    cdef const RecordHeader* record
    cdef uint64_t run_first = 0, complete = 0, proven = 0
    cdef list runs = []
    cdef size_t tail
    if size < SEGMENT_DATA_START + RECORD_HEADER_SIZE:
        return Survey([], 0, False)
    start = &data[0]
    tail = offset
    while offset + RECORD_HEADER_SIZE <= size:
        record = <const RecordHeader*>(start + offset)
        if record.lsn >= expected and record.lsn - expected < HOLE_RECORDS_MAX and record.lsn <= limit_lsn \
                and verifies(seed, record, size - offset):
            if record.lsn != expected or run_first == 0 or offset != tail:
                # A run has neither missing numbers nor bytes between its records that verified as nothing: `replay`
                # walks it from size to size.
                if run_first:
                    runs.append(Run(run_first, expected - 1, complete, run_start, tail))
                run_first = record.lsn
                run_start = offset
                complete = 0
            expected = record.lsn + 1
            if not record.flags & RECORD_CONTINUES:
                complete = record.lsn
            if record.durable_distance != 0 and record.durable_distance != 65535:
                proven = max(proven, record.lsn - record.durable_distance)
            offset += total_of(record)
            tail = offset
        else:
            offset += 8
    if run_first:
        runs.append(Run(run_first, expected - 1, complete, run_start, tail))
    return Survey(runs, proven, looks_torn(
        start, size, tail, expected, limit_lsn, segment_seed(label.store_salt, label.former_epoch)))


cdef bint looks_torn(const unsigned char* start, size_t size, size_t tail, uint64_t expected, uint64_t limit,
                     uint32_t former_seed) noexcept:
    """Whether the bytes behind the last record were to be record `expected`: its number, but for one damaged byte."""
    cdef const RecordHeader* record = <const RecordHeader*>(start + tail)
    cdef uint64_t difference
    cdef int byte
    if tail + RECORD_HEADER_SIZE > size or expected > limit:
        return False
    if verifies(former_seed, record, size - tail):
        return False    # left over from the file's former life
    difference = record.lsn ^ expected
    if difference == 0:
        return True
    for byte in range(8):
        if difference & ~(<uint64_t>0xFF << (byte * 8)) == 0:
            return record.kind != 0 and record.body_size <= size
    return False


def replay(const unsigned char[::1] data not None, runs, uint64_t after_lsn, uint64_t until_lsn,
           RecordVisitor visitor not None) -> int:
    """Visit the records of surveyed runs with after_lsn < LSN <= until_lsn, in order; returns how many."""
    cdef size_t offset, end
    cdef const RecordHeader* record
    cdef int64_t count = 0
    for run in runs:
        offset = run.start
        end = run.end
        assert end <= <size_t>data.shape[0]
        while offset < end:
            record = <const RecordHeader*>(&data[0] + offset)
            if after_lsn < record.lsn <= until_lsn:
                visitor.visit(record, <const char*>record + RECORD_HEADER_SIZE)
                count += 1
            offset += total_of(record)
    return count


cdef class RecordCounter(RecordVisitor):
    """Counts records and their bytes per kind, for `leafbox store stats`."""

    def __init__(self):
        self.counts = {}

    cdef int visit(self, const RecordHeader* record, const char* body) except -1:
        count, size = self.counts.get(record.kind, (0, 0))
        self.counts[record.kind] = (count + 1, size + total_of(record))
        return 0
