# Subject rules (core-protocol section 2.2) as inline C helpers, shared by trie, parser and permissions.
from libc.stdint cimport uint64_t

cdef enum:
    # The index walks a subject recursively, a call per token. A control line of the default 4096 bytes holds half as
    # many; a peer with a longer one (leaf nodes: 64 KiB) must not choose how deep our stack goes.
    TOKENS_MAX = 4096

cdef uint64_t hash_bytes(const char *data, Py_ssize_t length) noexcept nogil
cdef bint has_empty_token(const char *subject, Py_ssize_t length) noexcept nogil
cdef bint valid_subject(const char *subject, Py_ssize_t length) noexcept nogil
cdef bint literal_subject(const char *subject, Py_ssize_t length) noexcept nogil
cdef bint matches(const char *literal, Py_ssize_t literal_len,
                  const char *pattern, Py_ssize_t pattern_len) noexcept nogil
cdef bint subset(const char *subject, Py_ssize_t subject_len,
                 const char *pattern, Py_ssize_t pattern_len) noexcept nogil
cdef bint collide(const char *a, Py_ssize_t a_len, const char *b, Py_ssize_t b_len) noexcept nogil
