"""Subject rules the configuration checks: validity, subset, overlap. Works on text, not on the hot path.

Source: nats-server 2.15.1 `server/sublist.go`; ADR-6.
"""

from __future__ import annotations

import re

from leafbox.app.configuration.go_text import quoted

_BLANK = re.compile("[\t\n\f\r ]")


def is_valid_subject(subject: str) -> bool:
    """No empty token, no white space, `>` only as the last token."""
    tokens = subject.split(".")
    return all(tokens) and ">" not in tokens[:-1] and not _BLANK.search(subject)


def has_wildcard(subject: str) -> bool:
    """Whether a token is `*` or `>`."""
    tokens = subject.split(".")
    return "*" in tokens or tokens[-1] == ">"


def is_valid_publish_subject(subject: str) -> bool:
    """A valid subject without wildcards."""
    return is_valid_subject(subject) and not has_wildcard(subject)


def is_subset(subject: str, pattern: str) -> bool:
    """Whether everything `subject` (may hold wildcards) matches is matched by `pattern`."""
    tokens, wanted = subject.split("."), pattern.split(".")
    for index, want in enumerate(wanted):
        if index >= len(tokens) or (want == ">" and index < len(wanted) - 1):
            return False
        if want == ">":
            return True
        if tokens[index] == ">":
            return False
        if want != "*" and want != tokens[index]:
            return False
    return len(tokens) == len(wanted)


def overlaps(first: str, second: str) -> bool:
    """Whether some subject is matched by both patterns."""
    if first == second:
        return True
    left, right = first.split("."), second.split(".")
    for one, other in zip(left, right, strict=False):
        if ">" in (one, other):
            return True
        if one != other and "*" not in (one, other):
            return False
    return len(left) == len(right)


def permission_problem(subject: str, is_queue_allowed: bool) -> str:
    """Why an entry of a permission list is refused; empty if it is fine. Queue entries are "subject queue"."""
    if is_valid_subject(subject):
        return ""
    words = subject.split() if is_queue_allowed else []
    if len(words) != 2:
        return f"subject {quoted(subject)} is not a valid subject"
    if not is_valid_subject(words[0]):
        return f"subject {quoted(words[0])} is not a valid subject"
    if not is_valid_subject(words[1]):
        return f"queue {quoted(words[1])} is not a valid queue"
    return ""
