# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Subject rules: validity, literal match, subset and overlap; and the hash that caches and tables share.

Tokens are separated by `.`; `*` is exactly one token, `>` is one or more trailing tokens (core-protocol section 2.2).
Every function walks both subjects once, token by token, without splitting them.

The hash must not let anybody outside aim at one bucket: tables probe linearly. A secret start value is not enough for
that. Flipping the top bit of a word flips the top bit of its product, whatever was there before; shift and exclusive-or
move it to a known place, and the next word can cancel it: 8192 such tokens took ten times as long as others. So
every word is multiplied by a secret a second time, after the bits have moved.
"""
from libc.stdint cimport uint64_t
from libc.string cimport memchr, memcmp, memcpy

import os

cdef uint64_t SEED = int.from_bytes(os.urandom(8), "little") | 1
cdef uint64_t MULTIPLIER = int.from_bytes(os.urandom(8), "little") | 1


cdef uint64_t hash_bytes(const char *data, Py_ssize_t length) noexcept nogil:
    """Multiply-xorshift over 8-byte words: a few ns for a typical subject; never 0, which tables use for 'empty'."""
    cdef uint64_t value = SEED ^ (<uint64_t>length * <uint64_t>0x9E3779B97F4A7C15)
    cdef uint64_t word
    while length >= 8:
        memcpy(&word, data, 8)
        value = (value ^ word) * <uint64_t>0x9FB21C651E98DF25
        value = (value ^ value >> 32) * MULTIPLIER
        value ^= value >> 29
        data += 8
        length -= 8
    if length > 0:
        word = 0
        memcpy(&word, data, length)
        value = (value ^ word) * <uint64_t>0x9FB21C651E98DF25
        value = (value ^ value >> 32) * MULTIPLIER
        value ^= value >> 29
    value *= <uint64_t>0xD6E8FEB86659FD93
    value ^= value >> 32
    return value | 1


cdef inline Py_ssize_t token_end(const char *subject, Py_ssize_t start, Py_ssize_t length) noexcept nogil:
    cdef const char *dot = <const char *>memchr(subject + start, c'.', length - start)
    return length if dot == NULL else dot - subject


cdef bint has_empty_token(const char *subject, Py_ssize_t length) noexcept nogil:
    """True when two dots, or a dot and an end, have nothing between them. Such a subject can be published."""
    cdef Py_ssize_t i
    if length == 0 or subject[0] == c'.' or subject[length - 1] == c'.':
        return True
    for i in range(1, length):
        if subject[i] == c'.' and subject[i - 1] == c'.':
            return True
    return False


cdef bint valid_subject(const char *subject, Py_ssize_t length) noexcept nogil:
    """True for a subject one may subscribe to: no empty token, no white space, `>` only as the last token."""
    cdef Py_ssize_t start = 0, end, i, tokens = 0
    cdef char c
    if length == 0:
        return False
    for i in range(length):
        c = subject[i]
        if c == c' ' or c == c'\t' or c == c'\r' or c == c'\n' or c == 12:
            return False
    while True:
        end = token_end(subject, start, length)
        tokens += 1
        if end == start or tokens > TOKENS_MAX:
            return False
        if end - start == 1 and subject[start] == c'>' and end != length:
            return False
        if end == length:
            return True
        start = end + 1


cdef bint literal_subject(const char *subject, Py_ssize_t length) noexcept nogil:
    """True when no token is `*` or `>` (inside a longer token both are plain characters)."""
    cdef Py_ssize_t i
    cdef char c
    for i in range(length):
        c = subject[i]
        if ((c == c'*' or c == c'>') and (i == 0 or subject[i - 1] == c'.')
                and (i + 1 == length or subject[i + 1] == c'.')):
            return False
    return True


cdef bint matches(const char *literal, Py_ssize_t literal_len,
                  const char *pattern, Py_ssize_t pattern_len) noexcept nogil:
    """True when a published subject matches a subscription's pattern; the first argument is never interpreted.

    A subject with an empty token reaches nobody, not even `>` (as the index and nats-server have it).
    """
    cdef Py_ssize_t a = 0, b = 0, a_end, b_end
    if has_empty_token(literal, literal_len):
        return False
    while True:
        b_end = token_end(pattern, b, pattern_len)
        if b_end - b == 1 and pattern[b] == c'>' and b_end == pattern_len:
            return True
        a_end = token_end(literal, a, literal_len)
        if not (b_end - b == 1 and pattern[b] == c'*'):
            if a_end - a != b_end - b or memcmp(literal + a, pattern + b, a_end - a) != 0:
                return False
        if a_end == literal_len or b_end == pattern_len:
            return a_end == literal_len and b_end == pattern_len
        a = a_end + 1
        b = b_end + 1


cdef bint subset(const char *subject, Py_ssize_t subject_len,
                 const char *pattern, Py_ssize_t pattern_len) noexcept nogil:
    """True when every subject that `subject` (wildcards allowed) matches is matched by `pattern` as well."""
    cdef Py_ssize_t a = 0, b = 0, a_end, b_end
    cdef bint a_star, b_star
    while True:
        a_end = token_end(subject, a, subject_len)
        b_end = token_end(pattern, b, pattern_len)
        if b_end - b == 1 and pattern[b] == c'>' and b_end == pattern_len:
            return True
        if a_end - a == 1 and subject[a] == c'>' and a_end == subject_len:
            return False
        a_star = a_end - a == 1 and subject[a] == c'*'
        b_star = b_end - b == 1 and pattern[b] == c'*'
        if not b_star:
            if a_star or a_end - a != b_end - b or memcmp(subject + a, pattern + b, a_end - a) != 0:
                return False
        if a_end == subject_len or b_end == pattern_len:
            return a_end == subject_len and b_end == pattern_len
        a = a_end + 1
        b = b_end + 1


cdef bint collide(const char *first, Py_ssize_t first_len, const char *second, Py_ssize_t second_len) noexcept nogil:
    """True when some subject is matched by both patterns."""
    cdef Py_ssize_t a = 0, b = 0, a_end, b_end
    cdef bint a_wild, b_wild
    while True:
        a_end = token_end(first, a, first_len)
        b_end = token_end(second, b, second_len)
        if a_end - a == 1 and first[a] == c'>' and a_end == first_len:
            return True
        if b_end - b == 1 and second[b] == c'>' and b_end == second_len:
            return True
        a_wild = a_end - a == 1 and first[a] == c'*'
        b_wild = b_end - b == 1 and second[b] == c'*'
        if not a_wild and not b_wild:
            if a_end - a != b_end - b or memcmp(first + a, second + b, a_end - a) != 0:
                return False
        if a_end == first_len or b_end == second_len:
            return a_end == first_len and b_end == second_len
        a = a_end + 1
        b = b_end + 1


def is_valid_subject(bytes subject not None) -> bool:
    """Whether one may subscribe to `subject` (wildcards allowed)."""
    return valid_subject(subject, len(subject))


def is_literal(bytes subject not None) -> bool:
    """Whether `subject` has no wildcard token."""
    return literal_subject(subject, len(subject))


def is_valid_literal(bytes subject not None) -> bool:
    """Whether `subject` is a well-formed subject to publish to."""
    return valid_subject(subject, len(subject)) and literal_subject(subject, len(subject))


def subject_matches(bytes literal not None, bytes pattern not None) -> bool:
    """Whether a message published on `literal` reaches a subscription on `pattern`."""
    return matches(literal, len(literal), pattern, len(pattern))


def is_subset(bytes subject not None, bytes pattern not None) -> bool:
    """Whether everything `subject` matches is matched by `pattern`."""
    return subset(subject, len(subject), pattern, len(pattern))


def subjects_collide(bytes first not None, bytes second not None) -> bool:
    """Whether both patterns match some common subject."""
    return collide(first, len(first), second, len(second))
