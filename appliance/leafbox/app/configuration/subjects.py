"""Subject rules the configuration checks, on text: the broker's rules, plus overlap and permission entries.

Source: nats-server 2.15.1 `server/sublist.go`, `server/subject_transform.go`; ADR-6.
"""

from __future__ import annotations

import re

from leafbox.app.configuration.go_text import quoted
from leafbox.protocol import subject_transform as transform

_WILDCARD_CALL = re.compile(r"\{\{\s*[wW]ildcard\s*\(([^,]+)\)\s*\}\}")


def is_valid_subject(subject: str) -> bool:
    """No empty token, no white space, `>` only as the last token."""
    return transform.is_valid_subject(as_bytes(subject))


def has_wildcard(subject: str) -> bool:
    """Whether a token is `*` or `>`."""
    tokens = subject.split(".")
    return "*" in tokens or tokens[-1] == ">"


def is_valid_publish_subject(subject: str) -> bool:
    """A valid subject without wildcards."""
    return is_valid_subject(subject) and not has_wildcard(subject)


def is_subset(subject: str, pattern: str) -> bool:
    """Whether everything `subject` (may hold wildcards) matches is matched by `pattern`."""
    return transform.is_match(as_bytes(pattern).split(b"."), as_bytes(subject).split(b"."))


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


def numbered_wildcards(subject: str) -> str:
    """`foo.*.*` as destination: `foo.$1.$2`."""
    return transform.tokenize_wildcards(as_bytes(subject)).decode("utf-8", "surrogateescape")


def unnumbered_wildcards(subject: str) -> str:
    """`foo.$2.{{wildcard(1)}}` as pattern: `foo.*.*`."""
    return ".".join("*" if _names_a_wildcard(part) else part for part in subject.split("."))


def _names_a_wildcard(part: str) -> bool:
    is_number = len(part) > 1 and part[0] == "$" and "1" <= part[1] <= "9"
    return is_number or _WILDCARD_CALL.search(part) is not None


def as_bytes(subject: str) -> bytes:
    """A subject as it is on the wire."""
    return subject.encode("utf-8", "surrogateescape")
