"""The files of the write-ahead log: made ahead, filled by the committer, recycled after a checkpoint.

Threads.  `lock` guards the table and the numbers below it.  The loop, the committer and the checkpoint's worker come in
through short critical sections; one thread of this class makes files ahead of need, never holding `lock` meanwhile.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass
    ctypedef struct pthread_condattr_t:
        pass
    int pthread_mutex_init(pthread_mutex_t* mutex, void* attributes)
    int pthread_mutex_lock(pthread_mutex_t* mutex)
    int pthread_mutex_unlock(pthread_mutex_t* mutex)
    int pthread_mutex_destroy(pthread_mutex_t* mutex)
    int pthread_condattr_init(pthread_condattr_t* attributes)
    int pthread_condattr_setclock(pthread_condattr_t* attributes, int clock)
    int pthread_cond_init(pthread_cond_t* condition, pthread_condattr_t* attributes)
    int pthread_cond_wait(pthread_cond_t* condition, pthread_mutex_t* mutex)
    int pthread_cond_signal(pthread_cond_t* condition)
    int pthread_cond_broadcast(pthread_cond_t* condition)
    int pthread_cond_destroy(pthread_cond_t* condition)


cdef enum:
    SEGMENT_DATA_START = 8192
    SEGMENTS_MAX = 1024


cdef struct Segment:
    int fd                  # -1: the entry is empty
    uint64_t file_number
    uint64_t epoch          # 0: free, may become active
    uint64_t former_epoch
    uint64_t first_lsn
    uint64_t previous_lsn
    uint64_t last_lsn       # last record written to it
    uint64_t size           # bytes used
    bint is_broken          # a write or sync on it failed: never used again, deleted when its records are not needed


cdef double now_s() noexcept nogil
cdef int write_fully(int fd, const char* data, size_t size, int64_t offset) noexcept nogil
cdef int wait_until(pthread_cond_t* condition, pthread_mutex_t* lock, double at_s) noexcept nogil


cdef class SegmentPool:
    # --- configuration, fixed once open
    cdef readonly str directory
    cdef bytes directory_bytes
    cdef const char* directory_path   # points into directory_bytes
    cdef readonly uint64_t segment_bytes
    cdef readonly uint64_t log_bytes_max
    cdef readonly uint64_t free_bytes_min
    cdef readonly double probe_interval_s
    cdef uint64_t store_salt

    cdef pthread_mutex_t making     # held while a segment file is made
    cdef object maker               # thread
    cdef int event_fd               # readable: the loop has something to look at

    # --- guarded by `lock`
    cdef pthread_mutex_t lock
    cdef pthread_cond_t wake_maker
    cdef Segment segments[SEGMENTS_MAX]
    cdef int segment_count
    cdef int active                 # index into segments, -1 none; changed by the committer only
    cdef uint64_t next_epoch
    cdef uint64_t next_file_number
    cdef int spares_kept            # when segments are recycled
    cdef double last_claim_s
    cdef bint is_claim_waiting      # the committer stands still until a file is made
    cdef bint is_maker_stopping
    cdef uint64_t free_bytes        # of the file system, as last probed
    cdef bint is_space_low

    cdef readonly uint64_t segments_created

    cdef int open_pool(self) except -1
    cdef int start_maker(self) except -1
    cdef int stop_maker(self) except -1
    cdef void notify(self) noexcept nogil
    cdef void probe_space(self) noexcept nogil
    cdef void segment_path(self, char* path, size_t size, uint64_t file_number) noexcept nogil
    cdef int spares(self) noexcept nogil
    cdef int claim_free(self, uint64_t first_lsn, uint64_t previous_lsn) noexcept nogil
    cdef int add_segment(self, int fd, uint64_t file_number) noexcept nogil
    cdef void recycled(self) noexcept nogil
    # for the committer, which needs it now
    cdef int create_segment(self) noexcept nogil
    # making
    cdef void make_ahead(self) noexcept nogil
    cdef bint wants_spare(self) noexcept nogil
    cdef bint has_spare(self) noexcept nogil
    cdef int make_segment(self) noexcept nogil
    cdef int fill_segment(self, int fd) noexcept nogil
    cdef int publish_segment(self, int fd, uint64_t file_number, const char* unfinished) noexcept nogil
