# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The appliance's write-ahead log; see journal.pxd for the format and who owns what.

A commit is: swap the staging buffer out, fill in the checksums, write it behind the last record, one `fdatasync`.  While
that runs the loop goes on appending, so everything that arrives meanwhile shares the next sync: with one message in
flight a commit is one message, with a thousand it is hundreds, and nobody has to choose a batch size.  Who knows that
more is about to come, because what it just acknowledged is answered with new messages, may ask for patience (`gather`).

The committer never needs the GIL: a busy loop thread would make it wait up to the interpreter's switch interval (5 ms,
longer than many a sync).  It tells the loop through an eventfd, once per commit, instead of `call_soon_threadsafe`.

The files it writes to are made and recycled by `segment_pool`.

A failed write or sync leaves page-cache pages in an unknown state (Linux marks them clean), so the segment is never
touched again: what is not known durable is written once more into another segment and synced there before any
acknowledgement.  Records are therefore kept in memory until a sync has succeeded, in `interval` mode too.
"""

import os
import threading
from typing import NamedTuple

from libc.errno cimport errno as c_errno
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset
from posix.time cimport CLOCK_MONOTONIC

from leafbox.dataplane.scheduling cimport COMMITTER_SLICE_NS, take_short_slices
from leafbox.dataplane.segment_pool cimport (
    SEGMENT_DATA_START,
    Segment,
    SegmentPool,
    now_s,
    pthread_cond_broadcast,
    pthread_cond_destroy,
    pthread_cond_init,
    pthread_cond_signal,
    pthread_cond_wait,
    pthread_condattr_init,
    pthread_condattr_setclock,
    pthread_condattr_t,
    pthread_mutex_lock,
    pthread_mutex_unlock,
    wait_until,
    write_fully,
)
from leafbox.dataplane.store_crc cimport crc32c
from leafbox.protocol.errors import LimitExceeded, StoreClosed, StoreError, StoreFull

cdef extern from "<unistd.h>" nogil:
    ssize_t c_read "read"(int fd, void* data, size_t size)
    int fdatasync(int fd)

cdef extern from "<errno.h>" nogil:
    int EINTR, ENOSPC, EDQUOT, EFBIG

cdef enum:
    FIRST_STAGING = 1 << 16
    # A commit is never put off longer, however slow the device is.
    GATHER_US_MAX = 5000
    # Above this an emptied buffer is given back, so that one burst does not stay in RAM for ever.
    KEPT_STAGING = 1 << 22
    SEGMENT_VERSION = 1
    # All records of one group, which are staged at once whatever `staging_bytes_max` says.
    GROUP_BYTES_MAX = 1 << 25

SEGMENT_MAGIC = b"LFBXWAL\x01"
cdef char* SEGMENT_MAGIC_C = b"LFBXWAL\x01"


cdef uint32_t segment_seed(uint64_t store_salt, uint64_t epoch) noexcept nogil:
    cdef uint64_t words[2]
    words[0] = store_salt
    words[1] = epoch
    return crc32c(0, words, sizeof(words))


cdef uint32_t record_crc(uint32_t seed, const RecordHeader* record) noexcept nogil:
    return crc32c(seed, <const char*>record + 8, RECORD_HEADER_SIZE - 8 + record.body_size)


cdef inline size_t record_total(const RecordHeader* record) noexcept nogil:
    return (RECORD_HEADER_SIZE + <size_t>record.body_size + 7) & ~<size_t>7


class JournalStatus(NamedTuple):
    """A journal at one moment."""

    state: JournalState
    error_number: int
    error_operation: str
    is_space_low: bool
    free_bytes: int
    last_lsn: int
    durable_lsn: int
    staged_bytes: int
    held_bytes: int
    segment_count: int
    segments_free: int
    commit_count: int
    record_count: int
    written_bytes: int
    failure_count: int
    sync_count: int
    sync_us: int


cdef class RecordVisitor:
    """Receives the records of a replay in LSN order; a subclass overrides `visit`."""

    cdef int visit(self, const RecordHeader* record, const char* body) except -1:
        return 0


cdef class Journal(SegmentPool):
    """One open log.  Made by `leafbox.storage.engine.Store`, which recovers first and passes what it found."""

    def __cinit__(self, *args, **options):
        cdef pthread_condattr_t attributes
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(&self.wake_committer, &attributes)
        pthread_cond_init(&self.progress, &attributes)
        self.error_operation = b""

    def __init__(self, str directory, *, uint64_t store_salt, uint64_t recovered_lsn, uint64_t next_lsn,
                 uint64_t next_epoch, uint64_t next_file_number, list segments, uint64_t segment_bytes,
                 uint64_t staging_bytes_max, uint64_t log_bytes_max, uint64_t free_bytes_min, bint syncs_always,
                 double sync_interval_s, double probe_interval_s):
        self.directory = directory
        self.open_pool()
        self.segment_bytes = segment_bytes
        self.staging_bytes_max = staging_bytes_max
        self.congestion_bytes = staging_bytes_max // 2
        self.log_bytes_max = log_bytes_max
        self.free_bytes_min = free_bytes_min
        self.body_bytes_max = min(staging_bytes_max, segment_bytes - SEGMENT_DATA_START) - RECORD_HEADER_SIZE - 8
        self.syncs_always = syncs_always
        self.sync_interval_s = sync_interval_s
        self.probe_interval_s = probe_interval_s
        self.store_salt = store_salt
        self.newest_lsn = next_lsn - 1
        self.wanted_lsn = next_lsn - 1
        self.recovered_lsn = recovered_lsn
        self.base_lsn = next_lsn - 1
        self.synced_lsn = next_lsn - 1
        self.acknowledged_lsn = next_lsn - 1
        self.reported_lsn = next_lsn - 1
        self.next_epoch = next_epoch
        self.next_file_number = next_file_number
        self.durable_callbacks = []
        self.state_callbacks = []
        self.staging = <char*>malloc(FIRST_STAGING)
        if self.staging == NULL:
            raise MemoryError
        self.staging_capacity = FIRST_STAGING
        for known in segments:
            self.adopt(*known)
        self.state = JOURNAL_READY
        self.reported_state = JOURNAL_READY
        self.probe_space()
        self.last_probe_s = self.last_sync_s = now_s()
        self.is_running = True
        self.start_maker()
        self.thread = threading.Thread(target=self._run, name="journal-committer", daemon=True)
        self.thread.start()

    def __dealloc__(self):
        free(self.staging)
        free(self.held)
        pthread_cond_destroy(&self.wake_committer)
        pthread_cond_destroy(&self.progress)

    def _run(self):
        with nogil:
            take_short_slices(COMMITTER_SLICE_NS)
            self.commit_forever()

    # ------------------------------------------------------------------------------------------ append (loop thread)

    cdef uint64_t append(self, uint8_t kind, uint32_t owner, const char* first, size_t first_size,
                         const char* second, size_t second_size, bint is_urgent) except 0:
        cdef char* body = self.begin_record(kind, owner, first_size + second_size)
        if first_size:
            memcpy(body, first, first_size)
        if second_size:
            memcpy(body + first_size, second, second_size)
        return self.end_record(is_urgent)

    cdef char* begin_record(self, uint8_t kind, uint32_t owner, size_t body_size) except NULL:
        """Room for one body; takes `lock`, which `end_record` gives back.  Raises without holding it."""
        cdef size_t needed, capacity
        cdef char* grown
        cdef RecordHeader* record
        if body_size > self.body_bytes_max:
            raise LimitExceeded("store record bytes", self.body_bytes_max, body_size)
        pthread_mutex_lock(&self.lock)
        if self.is_stopping or not self.is_running:
            pthread_mutex_unlock(&self.lock)
            raise StoreClosed("the store is closed")
        needed = self.staging_size + ((RECORD_HEADER_SIZE + body_size + 7) & ~<size_t>7)
        if needed > self.staging_capacity:
            # A group was measured when it began: it is taken whole, and may go beyond the limit by its own size.
            if needed > self.staging_bytes_max and self.group_depth == 0:
                pthread_mutex_unlock(&self.lock)
                raise StoreFull(f"{self.staging_bytes_max} bytes wait to be written to flash")
            capacity = max(min(self.staging_capacity * 2, self.staging_bytes_max), needed)
            grown = <char*>realloc(self.staging, capacity)
            if grown == NULL:
                pthread_mutex_unlock(&self.lock)
                raise MemoryError
            self.staging = grown
            self.staging_capacity = capacity
        record = <RecordHeader*>(self.staging + self.staging_size)
        self.record_size = needed - self.staging_size
        # The padding behind the body goes to the device too; nothing of a former record may shine through.
        memset(<char*>record + self.record_size - 8, 0, 8)
        record.body_size = <uint32_t>body_size
        record.crc = 0
        record.lsn = self.newest_lsn + 1
        record.kind = kind
        record.flags = RECORD_CONTINUES if self.group_depth else 0
        record.durable_distance = 0
        record.owner = owner
        return <char*>record + RECORD_HEADER_SIZE

    cdef uint64_t end_record(self, bint is_urgent) noexcept:
        cdef uint64_t lsn
        self.last_record_at = self.staging_size
        self.staging_size += self.record_size
        self.newest_lsn += 1
        lsn = self.newest_lsn
        if self.loop is None:
            self.is_wake_wanted = self.is_wake_wanted or is_urgent
            pthread_cond_signal(&self.wake_committer)
        pthread_mutex_unlock(&self.lock)
        if is_urgent and self.loop is not None and not self.is_wake_scheduled:
            # Once per loop turn: what this turn still appends shares the commit.
            self.is_wake_scheduled = True
            self.schedule_wake()
        elif not is_urgent and self.loop is not None and not self.is_late_wake_scheduled:
            # The committer may sleep without a deadline, and a signal for each of them would cost the loop its time.
            self.is_late_wake_scheduled = True
            self.schedule_late_wake()
        return lsn

    def begin_group(self, uint64_t count, uint64_t body_bytes, uint64_t body_bytes_largest) -> None:
        """What is appended until `end_group` is replayed as a whole or not at all. Groups may nest: the outer one counts.

        `count` bodies of `body_bytes` altogether; raises, before anything is appended, whatever would keep one of them
        out. The committer waits for the end, so between the two nothing may leave the loop's hands.
        """
        cdef uint64_t size = body_bytes + count * (RECORD_HEADER_SIZE + 8)
        if self.refuses_messages():
            self.raise_refusal()
        if body_bytes_largest > self.body_bytes_max:
            raise LimitExceeded("store record bytes", self.body_bytes_max, body_bytes_largest)
        if size > GROUP_BYTES_MAX:
            raise LimitExceeded("store group bytes", GROUP_BYTES_MAX, size)
        pthread_mutex_lock(&self.lock)
        if self.group_depth == 0 and self.staging_size > self.staging_bytes_max - RECORD_HEADER_SIZE:
            pthread_mutex_unlock(&self.lock)
            raise StoreFull(f"{self.staging_bytes_max} bytes wait to be written to flash")
        if self.group_depth == 0:
            self.group_start = self.staging_size
        self.group_depth += 1
        pthread_mutex_unlock(&self.lock)

    def end_group(self) -> None:
        """The newest record is the group's last."""
        pthread_mutex_lock(&self.lock)
        self.group_depth -= 1
        if self.group_depth == 0:
            if self.staging_size > self.group_start:
                (<RecordHeader*>(self.staging + self.last_record_at)).flags &= ~RECORD_CONTINUES
            pthread_cond_signal(&self.wake_committer)
        pthread_mutex_unlock(&self.lock)

    cdef void schedule_wake(self) noexcept:
        try:
            self.loop.call_soon(self._wake)
        except RuntimeError:
            # The loop is closed already: what is appended on the way out is committed all the same.
            self._wake()

    cdef void schedule_late_wake(self) noexcept:
        try:
            self.loop.call_later(self.sync_interval_s, self._wake_late)
        except RuntimeError:
            self._wake_late()

    def _wake_late(self):
        self.is_late_wake_scheduled = False
        self.ask_for_commit()

    cpdef void gather(self) noexcept:
        """More is about to come: the next commit waits for it, as long as the last sync took at most, until
        `end_gathering`. Who blocks in `wait_durable`, a full buffer and `close` do not wait."""
        pthread_mutex_lock(&self.lock)
        self.gather_until_s = now_s() + min(self.sync_last_us, <uint64_t>GATHER_US_MAX) / 1e6
        pthread_mutex_unlock(&self.lock)

    cpdef void end_gathering(self) noexcept:
        """What was expected is here."""
        cdef bint is_due
        pthread_mutex_lock(&self.lock)
        is_due = self.gather_until_s != 0 and self.is_wake_wanted
        self.gather_until_s = 0
        pthread_mutex_unlock(&self.lock)
        if is_due:
            pthread_cond_signal(&self.wake_committer)

    cdef bint refuses_messages(self) noexcept:
        # A group that has begun is taken: half of it would be worse than one that has to wait.
        return self.group_depth == 0 and (self.state != JOURNAL_READY or self.is_space_low)

    cdef bint congested(self) noexcept:
        return self.is_pressed or self.staging_size > self.congestion_bytes

    cdef int raise_refusal(self) except -1:
        """Say why new messages are refused; records that free space (removals, progress) are still taken."""
        if self.state == JOURNAL_CLOSED:
            raise StoreClosed("the store is closed")
        if self.state == JOURNAL_FAILED:
            raise StoreError(f"{self.error_operation.decode()} failed: {os.strerror(self.error_number)}")
        if self.state == JOURNAL_FULL:
            raise StoreFull(f"no log segment to be had: {os.strerror(self.error_number)}")
        raise StoreFull(f"{self.free_bytes} bytes free, {self.free_bytes_min} are kept in reserve")

    def append_record(self, uint8_t kind, uint32_t owner, const unsigned char[::1] body not None,
                      bint is_urgent=True) -> int:
        """Append one record and return its LSN; it is durable when `on_durable` reports that LSN or a later one."""
        cdef const char* data = NULL
        if body.shape[0]:
            data = <const char*>&body[0]
        return self.append(kind, owner, data, body.shape[0], NULL, 0, is_urgent)

    def _wake(self):
        self.is_wake_scheduled = False
        self.ask_for_commit()

    cpdef void want_commit(self, uint64_t lsn):
        """Somebody waits for the record `lsn`, which was not urgent when it was appended: commit now what there is.

        For who appends a turn's records in pieces, and asks once they are all there.
        """
        if lsn > self.wanted_lsn:
            self.ask_for_commit()

    cdef void ask_for_commit(self) noexcept:
        cdef bint is_new
        pthread_mutex_lock(&self.lock)
        # A committer that was asked before looks again by itself; while a group is open it could only go back to sleep,
        # and `end_group` wakes it. Each needless wake costs the loop some 20 us in a virtual machine.
        is_new = self.staging_size > (self.congestion_bytes if self.is_wake_wanted else 0) and self.group_depth == 0
        self.is_wake_wanted = self.staging_size > 0
        self.wanted_lsn = self.newest_lsn
        pthread_mutex_unlock(&self.lock)
        # Only now: the committer runs at once, and would go back to sleep over a lock that is still held.
        if is_new:
            pthread_cond_signal(&self.wake_committer)

    # ------------------------------------------------------------------------------------------------- notification

    def attach(self, loop) -> None:
        """Report to `loop` from now on; called on its thread."""
        self.loop = loop
        loop.add_reader(self.event_fd, self._on_event)
        self._on_event()

    def detach(self) -> None:
        """Stop reporting to the loop; appends wake the committer themselves again."""
        if self.loop is not None:
            if not self.loop.is_closed():
                self.loop.remove_reader(self.event_fd)
            self.loop = None
            self._wake()

    def add_durable_callback(self, callback) -> None:
        """`callback(lsn)` runs on the loop once per commit: every record up to `lsn` may be acknowledged."""
        self.durable_callbacks.append(callback)

    def add_state_callback(self, callback) -> None:
        """`callback()` runs on the loop when `state` or `is_space_low` changed."""
        self.state_callbacks.append(callback)

    def _on_event(self):
        cdef uint64_t acknowledged
        cdef int state
        cdef bint is_space_low
        cdef uint64_t count
        # Fails if nothing is there, which is fine, too.
        if c_read(self.event_fd, &count, sizeof(count)) < 0:
            pass
        pthread_mutex_lock(&self.lock)
        acknowledged = self.acknowledged_lsn
        state = self.state
        is_space_low = self.is_space_low
        pthread_mutex_unlock(&self.lock)
        if state != self.reported_state or is_space_low != self.reported_space_low:
            self.reported_state = state
            self.reported_space_low = is_space_low
            for callback in self.state_callbacks:
                callback()
        if acknowledged != self.reported_lsn:
            self.reported_lsn = acknowledged
            for callback in self.durable_callbacks:
                callback(acknowledged)

    # ------------------------------------------------------------------------------------- committer (its own thread)

    cdef void commit_forever(self) noexcept nogil:
        cdef double patience
        pthread_mutex_lock(&self.lock)
        while True:
            while True:
                patience = self.wait_time()
                if patience == 0:
                    break
                if patience < 0:
                    pthread_cond_wait(&self.wake_committer, &self.lock)
                    continue
                wait_until(&self.wake_committer, &self.lock, now_s() + patience)
            if self.is_stopping and (self.state != JOURNAL_READY or (self.staging_size == 0 and self.held_size == 0)):
                break
            self.take_staged()
            pthread_mutex_unlock(&self.lock)
            if now_s() - self.last_probe_s >= self.probe_interval_s:
                self.last_probe_s = now_s()
                self.probe_space()
            self.flush_held()
            pthread_mutex_lock(&self.lock)
        self.is_running = False
        if self.state == JOURNAL_READY:
            self.state = JOURNAL_CLOSED
        pthread_cond_broadcast(&self.progress)
        pthread_mutex_unlock(&self.lock)

    cdef double wait_time(self) noexcept nogil:
        """Seconds until the next thing to do: 0 now, negative never (until signalled).  Holds `lock`."""
        cdef double now = now_s()
        cdef double until_probe, patience = -1
        if self.is_stopping:
            return 0
        if self.state != JOURNAL_READY:
            return max(0.0, self.last_probe_s + self.probe_interval_s - now)
        if self.staging_size == 0:
            # Nobody asks for nothing: whoever asks next wakes us.
            self.is_wake_wanted = False
        if self.staging_size and self.is_wake_wanted and self.group_depth == 0:
            return 0 if self.staging_size > self.congestion_bytes else max(0.0, self.gather_until_s - now)
        if self.held_size or (self.staging_size and self.group_depth == 0):
            patience = max(0.0, self.last_sync_s + self.sync_interval_s - now)
        if self.is_space_low:
            until_probe = max(0.0, self.last_probe_s + self.probe_interval_s - now)
            patience = until_probe if patience < 0 else min(patience, until_probe)
        return patience

    cdef int take_staged(self) noexcept nogil:
        """Swap or move the staged records to `held`, never a part of a group.  Holds `lock`."""
        cdef char* data
        cdef size_t size
        if self.group_depth:
            return 0
        self.is_wake_wanted = False
        self.gather_until_s = 0
        if self.staging_size == 0:
            return 0
        if self.held_size == 0:
            data = self.held
            size = self.held_capacity
            self.held = self.staging
            self.held_capacity = self.staging_capacity
            self.held_size = self.staging_size
            self.held_written = 0
            self.staging = data
            self.staging_capacity = size
        else:
            # Unsynced records are still held (interval mode, or a failure): only as much as memory is promised for.
            if self.held_size + self.staging_size > self.staging_bytes_max and self.state != JOURNAL_READY:
                return 0
            if self.held_size + self.staging_size > self.held_capacity:
                data = <char*>realloc(self.held, self.held_size + self.staging_size)
                if data == NULL:
                    return 0
                self.held = data
                self.held_capacity = self.held_size + self.staging_size
            memcpy(self.held + self.held_size, self.staging, self.staging_size)
            self.held_size += self.staging_size
        self.held_last_lsn = self.newest_lsn
        self.staging_size = 0
        return 0

    cdef void flush_held(self) noexcept nogil:
        cdef double now
        cdef bint was_bad = self.state != JOURNAL_READY
        self.last_probe_s = now_s() if was_bad else self.last_probe_s
        if self.held_size == 0:
            if was_bad:
                # Nothing waits: the failure came from an empty probe; a segment that can be had ends it.
                self.settle(self.synced_lsn, self.acknowledged_lsn)
            return
        if self.write_held() != 0:
            return
        now = now_s()
        if self.syncs_always or self.is_stopping or was_bad or self.held_size > self.staging_bytes_max // 2 \
                or now - self.last_sync_s >= self.sync_interval_s:
            if self.sync_active() != 0:
                return
            self.last_sync_s = now
            self.commit_count += 1
            self.forget_held()
            self.settle(self.held_last_lsn, self.held_last_lsn)
        else:
            self.settle(self.synced_lsn, self.held_last_lsn)

    cdef void settle(self, uint64_t synced_lsn, uint64_t acknowledged_lsn) noexcept nogil:
        pthread_mutex_lock(&self.lock)
        self.synced_lsn = synced_lsn
        self.acknowledged_lsn = max(self.acknowledged_lsn, acknowledged_lsn)
        self.state = JOURNAL_READY
        self.error_number = 0
        pthread_cond_broadcast(&self.progress)
        pthread_mutex_unlock(&self.lock)
        self.notify()

    cdef void forget_held(self) noexcept nogil:
        self.held_size = 0
        self.held_written = 0
        if self.held_capacity > KEPT_STAGING:
            free(self.held)
            self.held = NULL
            self.held_capacity = 0

    cdef int write_held(self) noexcept nogil:
        """Write what `held` still has to write, rolling to further segments; 0, or -1 after `fail`."""
        cdef Segment* segment
        cdef RecordHeader* record
        cdef size_t end
        cdef uint64_t last_lsn = 0
        cdef bint is_half_used = False
        cdef int error
        while self.held_written < self.held_size:
            record = <RecordHeader*>(self.held + self.held_written)
            if self.active < 0 and self.open_active(record.lsn) != 0:
                return -1
            segment = &self.segments[self.active]
            end = self.seal_records(self.held_written, self.segment_bytes - segment.size, segment, &last_lsn)
            if end == self.held_written:
                if self.sync_active() != 0:
                    return -1
                pthread_mutex_lock(&self.lock)
                self.synced_lsn = segment.last_lsn
                pthread_mutex_unlock(&self.lock)
                self.active = -1
                continue
            error = write_fully(segment.fd, self.held + self.held_written, end - self.held_written, segment.size)
            if error:
                return self.fail(JOURNAL_FAILED, error, b"write")
            self.written_bytes += end - self.held_written
            if segment.size < self.segment_bytes // 2 <= segment.size + end - self.held_written:
                is_half_used = True
            segment.size += end - self.held_written
            segment.last_lsn = last_lsn
            self.held_written = end
            if is_half_used:
                # Time to make a spare, if there is none.
                is_half_used = False
                pthread_mutex_lock(&self.lock)
                pthread_cond_signal(&self.wake_maker)
                pthread_mutex_unlock(&self.lock)
        return 0

    cdef size_t seal_records(self, size_t start, size_t room, const Segment* segment, uint64_t* last_lsn) noexcept nogil:
        """Fill in checksums of the records from `start` on that fit in `room`; returns the end of the last one."""
        cdef RecordHeader* record
        cdef size_t end = start
        cdef size_t size
        cdef uint64_t distance
        cdef uint32_t seed = segment_seed(self.store_salt, segment.epoch)
        while end < self.held_size:
            record = <RecordHeader*>(self.held + end)
            size = record_total(record)
            if end - start + size > room:
                break
            distance = record.lsn - self.synced_lsn
            record.durable_distance = <uint16_t>(distance if distance < 65535 else 65535)
            record.crc = record_crc(seed, record)
            last_lsn[0] = record.lsn
            self.record_count += 1
            end += size
        return end

    cdef int sync_active(self) noexcept nogil:
        cdef double begun = now_s()
        cdef uint64_t took_us
        while self.active >= 0 and fdatasync(self.segments[self.active].fd) != 0:
            if c_errno != EINTR:
                return self.fail(JOURNAL_FAILED, c_errno, b"fdatasync")
        if self.active >= 0:
            took_us = <uint64_t>((now_s() - begun) * 1e6)
            self.sync_count += 1
            self.sync_us += took_us
            self.sync_last_us = took_us
            self.sync_longest_us = max(self.sync_longest_us, took_us)
        return 0

    cdef int fail(self, int state, int error_number, const char* operation) noexcept nogil:
        """Enter a failed state: nothing more is acknowledged until `held` could be written and synced afresh."""
        pthread_mutex_lock(&self.lock)
        if state == JOURNAL_FAILED and self.active >= 0:
            self.segments[self.active].is_broken = True
            self.active = -1
        self.state = state
        self.error_number = error_number
        self.error_operation = operation
        self.failure_count += 1
        self.last_probe_s = now_s()
        pthread_cond_broadcast(&self.progress)
        pthread_mutex_unlock(&self.lock)
        self.rewind_held()
        self.notify()
        return -1

    cdef void rewind_held(self) noexcept nogil:
        """Start again at the first held record that is not known durable."""
        cdef RecordHeader* record
        self.held_written = 0
        while self.held_written < self.held_size:
            record = <RecordHeader*>(self.held + self.held_written)
            if record.lsn > self.synced_lsn:
                break
            self.held_written += record_total(record)

    # ------------------------------------------------------------------------------------------------------ segments

    cdef int open_active(self, uint64_t first_lsn) noexcept nogil:
        """Make a free (or new) segment the active one, its header written but not yet synced; 0, or -1 after `fail`."""
        cdef SegmentHeader header
        cdef Segment* segment
        cdef int error, index
        cdef uint64_t previous_lsn = self.synced_lsn if self.synced_lsn > self.base_lsn else self.recovered_lsn
        index = self.claim_free(first_lsn, previous_lsn)
        if index < 0:
            error = self.create_segment()
            if error:
                return self.fail(JOURNAL_FULL if error == ENOSPC or error == EDQUOT or error == EFBIG
                                 else JOURNAL_FAILED, error, b"making a log segment")
            index = self.claim_free(first_lsn, previous_lsn)
            if index < 0:
                return self.fail(JOURNAL_FULL, ENOSPC, b"making a log segment")
        segment = &self.segments[index]
        memcpy(header.magic, SEGMENT_MAGIC_C, 8)
        header.version = SEGMENT_VERSION
        header.crc = 0
        header.store_salt = self.store_salt
        header.epoch = segment.epoch
        header.first_lsn = first_lsn
        header.previous_lsn = segment.previous_lsn
        header.former_epoch = segment.former_epoch
        header.crc = crc32c(0, &header, sizeof(header))
        error = write_fully(segment.fd, <char*>&header, sizeof(header), 0)
        if error == 0:
            error = write_fully(segment.fd, <char*>&header, sizeof(header), SEGMENT_HEADER_COPY)
        if error:
            return self.fail(JOURNAL_FAILED, error, b"write")
        return 0

    cdef void recycled(self) noexcept nogil:
        # A full log may go on at once.
        self.last_probe_s = 0
        pthread_cond_signal(&self.wake_committer)

    # -------------------------------------------------------------------------------------------------- slow paths

    def wait_durable(self, uint64_t lsn, double timeout_s=30.0) -> bool:
        """Block (without the GIL) until `lsn` is synced; False at the timeout or when the log failed or closed."""
        cdef double deadline_s = now_s() + timeout_s
        cdef bint is_durable
        with nogil:
            pthread_mutex_lock(&self.lock)
            self.is_wake_wanted = True
            self.gather_until_s = 0
            pthread_cond_signal(&self.wake_committer)
            while self.synced_lsn < lsn and self.state == JOURNAL_READY and self.is_running:
                if wait_until(&self.progress, &self.lock, deadline_s) != 0:
                    break
            is_durable = self.synced_lsn >= lsn
            pthread_mutex_unlock(&self.lock)
        return is_durable

    def close(self) -> bool:
        """Write and sync what is staged, stop the committer; True if everything is durable.  Idempotent."""
        self.detach()
        pthread_mutex_lock(&self.lock)
        # A group that nobody finished is written as it is, and a replay passes it over.
        self.group_depth = 0
        self.is_stopping = True
        pthread_cond_signal(&self.wake_committer)
        pthread_mutex_unlock(&self.lock)
        self.thread.join()
        # After the committer, which may have needed one more file.
        self.stop_maker()
        return self.staging_size == 0 and self.held_size == 0

    @property
    def last_lsn(self) -> int:
        """The LSN of the newest record, durable or not."""
        return self.newest_lsn

    @property
    def durable_lsn(self) -> int:
        """Every record up to this LSN is on the device."""
        return self.synced_lsn

    @property
    def is_congested(self) -> bool:
        """More than half of the staging limit waits for the device, or too much for a checkpoint: readers should pause."""
        return self.congested()

    @property
    def is_refusing(self) -> bool:
        """Whether new messages are refused (failed, full, or free space below its reserve)."""
        return self.refuses_messages()

    def status(self) -> JournalStatus:
        """State and counters at this moment."""
        cdef int index, count = 0, free_count = 0
        pthread_mutex_lock(&self.lock)
        for index in range(self.segment_count):
            count += self.segments[index].fd >= 0
            free_count += self.segments[index].fd >= 0 and self.segments[index].epoch == 0
        pthread_mutex_unlock(&self.lock)
        return JournalStatus(
            JournalState(self.state), self.error_number, self.error_operation.decode() if self.error_number else "",
            self.is_space_low, self.free_bytes, self.newest_lsn, self.synced_lsn, self.staging_size, self.held_size,
            count, free_count, self.commit_count, self.record_count, self.written_bytes, self.failure_count,
            self.sync_count, self.sync_us)
