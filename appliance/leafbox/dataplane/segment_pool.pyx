# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The files of the write-ahead log; see segment_pool.pxd for who calls what.

A segment is written full of zeros when it is made, so that a sync of records moves data blocks only and no file-system
metadata (measured on ext4: 4 KiB instead of 17 KiB per single-record commit), and it is recycled after a checkpoint.

Writing 16 MiB of zeros takes flash 50 to 800 ms.  A commit that had to wait for it would stop every acknowledgement for
that long, so a thread of its own makes a spare when there is none and half of the active segment is used.  It syncs
piece by piece, since a sync of the log waits for everything that the device was given before it.  Making more, or
earlier, would only write zeros that recycling makes superfluous; what a busy log recycles is kept instead of deleted.
"""

import os
import threading

from libc.errno cimport errno as c_errno
from libc.stdio cimport rename as c_rename
from libc.stdio cimport snprintf
from libc.string cimport memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from leafbox.protocol.errors import LimitExceeded

cdef extern from "<pthread.h>" nogil:
    int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex, const timespec* deadline)

cdef extern from "<fcntl.h>" nogil:
    int O_RDWR, O_CREAT, O_TRUNC, O_CLOEXEC, O_DIRECTORY, O_RDONLY
    int c_open "open"(const char* path, int flags, ...)
    int posix_fallocate(int fd, int64_t offset, int64_t size)

cdef extern from "<unistd.h>" nogil:
    ssize_t pwrite(int fd, const void* data, size_t size, int64_t offset)
    ssize_t c_write "write"(int fd, const void* data, size_t size)
    int fdatasync(int fd)
    int fsync(int fd)
    int c_close "close"(int fd)
    int unlink(const char* path)

cdef extern from "<errno.h>" nogil:
    int EINTR, ENOSPC, ECANCELED

cdef extern from "<sys/statvfs.h>" nogil:
    struct c_statvfs "statvfs":
        unsigned long f_frsize
        unsigned long f_bavail
    int statvfs_of "statvfs"(const char* path, c_statvfs* result)

cdef enum:
    # What is written between two syncs while a spare is made: a sync of the log waits for no more than this.
    ZERO_CHUNK = 1 << 20
    # Spares kept on a quiet box, and on a busy one: what fills between two checkpoints and during one at the highest
    # rate measured (60 MB/s, 16 MiB segments).
    SPARES_KEPT = 2
    SPARES_KEPT_MAX = 6

# For each segment that fills faster than this one spare more is kept; one that took as long as the second ends that.
cdef double QUICK_FILL_S = 2.0
cdef double QUIET_S = 60.0

cdef char ZEROS[ZERO_CHUNK]     # static storage: zero from the start


cdef double now_s() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec + now.tv_nsec / 1e9


cdef int write_fully(int fd, const char* data, size_t size, int64_t offset) noexcept nogil:
    """0, or the errno of the write that failed."""
    cdef ssize_t written
    while size:
        written = pwrite(fd, data, size, offset)
        if written < 0:
            if c_errno == EINTR:
                continue
            return c_errno
        if written == 0:
            return ENOSPC
        data += written
        size -= written
        offset += written
    return 0


cdef int wait_until(pthread_cond_t* condition, pthread_mutex_t* lock, double at_s) noexcept nogil:
    """Wait on a condition of the monotonic clock; not 0 when the time came."""
    cdef timespec deadline
    deadline.tv_sec = <long>at_s
    deadline.tv_nsec = <long>((at_s - <long>at_s) * 1e9)
    return pthread_cond_timedwait(condition, lock, &deadline)


cdef class SegmentPool:
    """The table of segment files. `Journal` is the only user and opens it."""

    def __cinit__(self, *args, **options):
        cdef pthread_condattr_t attributes
        pthread_mutex_init(&self.lock, NULL)
        pthread_mutex_init(&self.making, NULL)
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(&self.wake_maker, &attributes)
        self.event_fd = -1
        self.active = -1
        self.segment_count = 0
        self.spares_kept = SPARES_KEPT

    def __dealloc__(self):
        for index in range(self.segment_count):
            if self.segments[index].fd >= 0:
                c_close(self.segments[index].fd)
        if self.event_fd >= 0:
            c_close(self.event_fd)
        pthread_cond_destroy(&self.wake_maker)
        pthread_mutex_destroy(&self.lock)
        pthread_mutex_destroy(&self.making)

    cdef int open_pool(self) except -1:
        self.directory_bytes = os.fsencode(self.directory)
        self.directory_path = self.directory_bytes
        self.event_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        return 0

    def adopt(self, uint64_t file_number, uint64_t epoch, uint64_t first_lsn, uint64_t previous_lsn,
              uint64_t last_lsn, uint64_t former_epoch) -> None:
        """Take over a segment file that recovery found: sealed, or free if `epoch` is 0."""
        cdef char path[4096]
        cdef int fd, index
        self.segment_path(path, sizeof(path), file_number)
        fd = c_open(path, O_RDWR | O_CLOEXEC)
        if fd < 0:
            raise OSError(c_errno, os.strerror(c_errno), os.fsdecode(path))
        index = self.add_segment(fd, file_number)
        if index < 0:
            c_close(fd)
            raise LimitExceeded("segments", SEGMENTS_MAX, SEGMENTS_MAX + 1)
        self.segments[index].epoch = epoch
        self.segments[index].former_epoch = former_epoch
        self.segments[index].first_lsn = first_lsn
        self.segments[index].previous_lsn = previous_lsn
        self.segments[index].last_lsn = last_lsn
        self.segments[index].size = self.segment_bytes
        # Of another size (the option changed): deleted instead of recycled.
        self.segments[index].is_broken = <uint64_t>os.fstat(fd).st_size != self.segment_bytes

    cdef void notify(self) noexcept nogil:
        cdef uint64_t one = 1
        # The eventfd counter saturates at 2**64-2, far out of reach; a full counter would still be readable.
        if c_write(self.event_fd, &one, sizeof(one)) != sizeof(one):
            pass

    cdef void probe_space(self) noexcept nogil:
        cdef c_statvfs result
        cdef uint64_t available
        cdef bint was_low = self.is_space_low
        if statvfs_of(self.directory_path, &result) != 0:
            return
        available = <uint64_t>result.f_frsize * result.f_bavail
        pthread_mutex_lock(&self.lock)
        self.free_bytes = available
        self.is_space_low = available < self.free_bytes_min
        pthread_cond_signal(&self.wake_maker)
        if was_low != self.is_space_low:
            # Whoever saw it: the committer looks again at intervals while space is low, and may be asleep for good.
            self.recycled()
        pthread_mutex_unlock(&self.lock)
        if was_low != self.is_space_low:
            self.notify()

    def probe(self) -> None:
        """Look at the free space now (something else, a checkpoint, has used some); any thread."""
        self.probe_space()

    cdef void segment_path(self, char* path, size_t size, uint64_t file_number) noexcept nogil:
        snprintf(path, size, b"%s/segment-%016llu.log", self.directory_path,
                 <unsigned long long>file_number)

    # ------------------------------------------------------------------------------------------------ use and recycling

    cdef int spares(self) noexcept nogil:
        """Free segments.  Holds `lock`."""
        cdef int index, found = 0
        for index in range(self.segment_count):
            found += self.segments[index].fd >= 0 and self.segments[index].epoch == 0 \
                and not self.segments[index].is_broken
        return found

    cdef int claim_free(self, uint64_t first_lsn, uint64_t previous_lsn) noexcept nogil:
        """Make a free segment the active one in the table; its index, or -1."""
        cdef int index, found = -1
        cdef Segment* segment
        cdef double now = now_s()
        pthread_mutex_lock(&self.lock)
        for index in range(self.segment_count):
            segment = &self.segments[index]
            if segment.fd < 0 or segment.epoch != 0 or segment.is_broken:
                continue
            segment.epoch = self.next_epoch
            self.next_epoch += 1
            segment.first_lsn = first_lsn
            segment.previous_lsn = previous_lsn
            segment.last_lsn = 0
            segment.size = SEGMENT_DATA_START
            self.active = found = index
            if now - self.last_claim_s < QUICK_FILL_S:
                self.spares_kept = min(self.spares_kept + 1, <int>SPARES_KEPT_MAX)
            elif now - self.last_claim_s > QUIET_S:
                self.spares_kept = SPARES_KEPT
            self.last_claim_s = now
            pthread_cond_signal(&self.wake_maker)
            break
        pthread_mutex_unlock(&self.lock)
        return found

    cdef int add_segment(self, int fd, uint64_t file_number) noexcept nogil:
        """Enter a file into the table.  Entries never move: the committer keeps a pointer to the active one."""
        cdef int index
        cdef Segment* segment
        pthread_mutex_lock(&self.lock)
        index = 0
        while index < self.segment_count and self.segments[index].fd >= 0:
            index += 1
        if index == SEGMENTS_MAX:
            pthread_mutex_unlock(&self.lock)
            return -1
        segment = &self.segments[index]
        memset(segment, 0, sizeof(Segment))
        segment.fd = fd
        segment.file_number = file_number
        if index == self.segment_count:
            self.segment_count += 1
        pthread_mutex_unlock(&self.lock)
        return index

    def release(self, uint64_t lsn) -> int:
        """Recycle the segments whose records are all at or below `lsn` (a synced checkpoint holds them).

        Some stay as spares, more while the log is busy, one when space is low; the rest and broken ones are deleted.
        Returns how many were let go.
        """
        cdef char path[4096]
        cdef int index, released = 0, spare = 0
        cdef int kept = 1 if self.is_space_low else self.spares_kept
        cdef Segment* segment
        pthread_mutex_lock(&self.lock)
        for index in range(self.segment_count):
            segment = &self.segments[index]
            if segment.fd < 0 or index == self.active:
                continue
            if segment.epoch != 0 and max(segment.last_lsn, segment.first_lsn) <= lsn:
                segment.former_epoch = segment.epoch
                segment.epoch = 0
                released += 1
            if segment.epoch != 0:
                continue
            if segment.is_broken or spare == kept:
                c_close(segment.fd)
                segment.fd = -1
                self.segment_path(path, sizeof(path), segment.file_number)
                unlink(path)
            else:
                spare += 1
        self.recycled()
        pthread_mutex_unlock(&self.lock)
        return released

    cdef void recycled(self) noexcept nogil:
        """Called with `lock` held when segments may have become free, or free space passed its reserve."""

    # ---------------------------------------------------------------------------------------------------------- making

    cdef int start_maker(self) except -1:
        self.maker = threading.Thread(target=self._make, name="journal-segments", daemon=True)
        self.maker.start()
        return 0

    cdef int stop_maker(self) except -1:
        """A file that is being made is left behind unfinished and removed."""
        pthread_mutex_lock(&self.lock)
        self.is_maker_stopping = True
        pthread_cond_broadcast(&self.wake_maker)
        pthread_mutex_unlock(&self.lock)
        if self.maker is not None:
            self.maker.join()
        return 0

    def _make(self):
        with nogil:
            self.make_ahead()

    cdef void make_ahead(self) noexcept nogil:
        cdef int error
        pthread_mutex_lock(&self.lock)
        while not self.is_maker_stopping:
            if not self.wants_spare() or self.is_space_low:
                pthread_cond_wait(&self.wake_maker, &self.lock)
                continue
            pthread_mutex_unlock(&self.lock)
            pthread_mutex_lock(&self.making)
            # The committer may have made one meanwhile.
            error = 0 if self.has_spare() else self.make_segment()
            pthread_mutex_unlock(&self.making)
            # Between two timed probes a fast writer could use up the reserve.
            self.probe_space()
            pthread_mutex_lock(&self.lock)
            if error and not self.is_maker_stopping:
                # The committer will say what is wrong when it needs one; here it is tried again.
                wait_until(&self.wake_maker, &self.lock, now_s() + self.probe_interval_s)
        pthread_mutex_unlock(&self.lock)

    cdef bint wants_spare(self) noexcept nogil:
        """Holds `lock`."""
        if self.spares():
            return False
        return self.active < 0 or self.segments[self.active].size >= self.segment_bytes // 2

    cdef bint has_spare(self) noexcept nogil:
        cdef bint is_there
        pthread_mutex_lock(&self.lock)
        is_there = self.spares() > 0
        pthread_mutex_unlock(&self.lock)
        return is_there

    cdef int create_segment(self) noexcept nogil:
        """Have one free segment at once; 0 or an errno.  Joins in when one is being made already."""
        cdef int error
        self.is_claim_waiting = True
        pthread_mutex_lock(&self.making)
        error = 0 if self.has_spare() else self.make_segment()
        self.is_claim_waiting = False
        pthread_mutex_unlock(&self.making)
        self.probe_space()
        return error

    cdef int make_segment(self) noexcept nogil:
        """Make one more segment file, full of zeros and synced; 0 or an errno.  Holds `making`."""
        cdef char unfinished[4096]
        cdef int fd, error, index
        cdef uint64_t file_number, used = 0
        pthread_mutex_lock(&self.lock)
        for index in range(self.segment_count):
            used += self.segments[index].fd >= 0
        if (used + 1) * self.segment_bytes > self.log_bytes_max:
            pthread_mutex_unlock(&self.lock)
            return ENOSPC
        file_number = self.next_file_number
        self.next_file_number += 1
        pthread_mutex_unlock(&self.lock)
        # Made under another name: whatever is called a segment is whole, so a short one is damage.
        snprintf(unfinished, sizeof(unfinished), b"%s/unfinished", self.directory_path)
        fd = c_open(unfinished, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        if fd < 0:
            return c_errno
        error = self.fill_segment(fd)
        if error == 0:
            error = self.publish_segment(fd, file_number, unfinished)
        if error:
            c_close(fd)
            unlink(unfinished)
            return error
        self.segments_created += 1
        return 0

    cdef int fill_segment(self, int fd) noexcept nogil:
        cdef uint64_t offset = 0
        cdef size_t chunk
        cdef int error = posix_fallocate(fd, 0, self.segment_bytes)
        while error == 0 and offset < self.segment_bytes:
            chunk = min(<uint64_t>ZERO_CHUNK, self.segment_bytes - offset)
            error = write_fully(fd, ZEROS, chunk, offset)
            offset += chunk
            if error == 0 and not self.is_claim_waiting:
                if self.is_maker_stopping:
                    return ECANCELED
                if fdatasync(fd) != 0:
                    return c_errno
        return error

    cdef int publish_segment(self, int fd, uint64_t file_number, const char* unfinished) noexcept nogil:
        cdef char path[4096]
        cdef int directory_fd, error = 0
        self.segment_path(path, sizeof(path), file_number)
        if fsync(fd) != 0 or c_rename(unfinished, path) != 0:
            return c_errno
        directory_fd = c_open(self.directory_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if directory_fd < 0 or fsync(directory_fd) != 0:
            error = c_errno
        if directory_fd >= 0:
            c_close(directory_fd)
        if error == 0 and self.add_segment(fd, file_number) < 0:
            error = ENOSPC
        if error:
            unlink(path)
        return error
