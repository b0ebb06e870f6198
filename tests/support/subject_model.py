"""What the subject rules and the subject index must do, written so that it is obviously right (core-protocol 2.2).

Slow on purpose: lists of tokens, every subscription looked at for every message. Property tests hold
`leafbox.dataplane.subjects` and `leafbox.dataplane.sublist` to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field

WHITE_SPACE = b" \t\r\n\f"
TOKENS_MAX = 4096

Key = tuple[bytes, bytes | None, Hashable]


def tokens_of(subject: bytes) -> list[bytes]:
    """`a.b` -> [a, b]; an empty subject is one empty token."""
    return subject.split(b".")


def is_valid(subject: bytes) -> bool:
    """One may subscribe to it."""
    tokens = tokens_of(subject)
    return (
        all(tokens)
        and not any(byte in WHITE_SPACE for byte in subject)
        and b">" not in tokens[:-1]
        and len(tokens) <= TOKENS_MAX
    )


def is_literal(subject: bytes) -> bool:
    """No token is a wildcard."""
    return not {b"*", b">"} & set(tokens_of(subject))


def matches(literal: bytes, pattern: bytes) -> bool:
    """A message published on `literal` reaches a subscription on the valid subject `pattern`."""
    return all(tokens_of(literal)) and _tokens_match(tokens_of(literal), tokens_of(pattern))


def _tokens_match(literal: list[bytes], pattern: list[bytes]) -> bool:
    if pattern == [b">"]:
        return len(literal) >= 1
    if not literal or not pattern:
        return not literal and not pattern
    return pattern[0] in (b"*", literal[0]) and _tokens_match(literal[1:], pattern[1:])


@dataclass(slots=True)
class NaiveSublist:
    """The index as a set of (subject, queue, entry)."""

    entries: dict[Key, None] = field(default_factory=dict)

    def insert(self, subject: bytes, queue: bytes | None, entry: Hashable) -> None:
        """Twice counts once."""
        self.entries[subject, queue, entry] = None

    def remove(self, subject: bytes, queue: bytes | None, entry: Hashable) -> bool:
        """False when it was not there."""
        key = (subject, queue, entry)
        was_there = key in self.entries
        self.entries.pop(key, None)
        return was_there

    def plain(self, literal: bytes) -> Counter[Hashable]:
        """Every plain entry, once per subscription that matches."""
        return Counter(entry for subject, queue, entry in self.entries if queue is None and matches(literal, subject))

    def groups(self, literal: bytes) -> dict[bytes, Counter[Hashable]]:
        """Members by queue name: subscriptions on different subjects with one name are one group."""
        found: dict[bytes, Counter[Hashable]] = {}
        for subject, queue, entry in self.entries:
            if queue is not None and matches(literal, subject):
                found.setdefault(queue, Counter())[entry] += 1
        return found
