# The one value that crosses every edge: a message being routed.
#
#   subject ──┐
#   reply   ──┤  pointers into the origin's receive buffer (or a bytes object the caller holds);
#   body    ──┘  valid only until `deliver` returns: a receiver that keeps a message copies it.
#
# `body` is the header block followed by the payload without a gap, as HPUB carries it;
# header_len is 0 for a message without headers.

cdef struct Message:
    const char *subject
    Py_ssize_t subject_len
    const char *reply
    Py_ssize_t reply_len
    const char *body
    Py_ssize_t header_len
    Py_ssize_t body_len
    # What the receivers were found by, when that is not `subject`: a stream's message keeps its own subject and goes to
    # an inbox. NULL otherwise. Links to other servers need both.
    const char *wire_subject
    Py_ssize_t wire_subject_len
