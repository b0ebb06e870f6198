"""Subject rules for configurations: validity, overlap, subset. On `str`, once per request; messages use the data plane.

`*` stands for one token, a last `>` for one or more. The relations are those of nats-server: `overlap` asks whether
some subject matches both, `is_subset` whether everything that matches the first also matches the second.
"""

from __future__ import annotations

_SPACE = " \t\n\f\r"


def is_valid(subject: str) -> bool:
    """Non-empty tokens without white space; `>` only at the end."""
    tokens = subject.split(".")
    if not all(tokens) or ">" in tokens[:-1]:
        return False
    return not any(character in subject for character in _SPACE)


def has_wildcard(subject: str) -> bool:
    """Whether a token is `*` or `>`."""
    return any(token in ("*", ">") for token in subject.split("."))


def is_literal(subject: str) -> bool:
    """No wildcard token; says nothing about validity."""
    return not has_wildcard(subject)


def is_publishable(subject: str) -> bool:
    """Valid and without wildcards."""
    return is_valid(subject) and not has_wildcard(subject)


def is_asset_name(name: str) -> bool:
    """A legal stream or consumer name: none of white space, `.`, `*`, `>`, `/`, backslash."""
    return bool(name) and not any(character in name for character in " \t\r\n\f.*>\\/")


def overlap(first: str, second: str) -> bool:
    """Whether some literal subject matches both."""
    one, two = first.split("."), second.split(".")
    for left, right in zip(one, two, strict=False):
        if left == ">" or right == ">":
            return True
        if left not in ("*", right) and right != "*":
            return False
    return len(one) == len(two)


def is_subset(subject: str, of: str) -> bool:
    """Whether every subject that matches `subject` matches `of`."""
    tokens, test = subject.split("."), of.split(".")
    for index, wanted in enumerate(test):
        if index >= len(tokens) or not wanted:
            return False
        if wanted == ">":
            return True
        part = tokens[index]
        if not part or part == ">" or (part == "*" and wanted != "*"):
            return False
        if wanted not in ("*", part):
            return False
    return len(tokens) == len(test)


def matches(subject: str, pattern: str) -> bool:
    """Whether a literal subject matches a pattern."""
    return subject == pattern or is_subset(subject, pattern)


def matches_any(subject: str, patterns: tuple[str, ...]) -> bool:
    """Whether a literal subject matches one of the patterns; no patterns match everything."""
    return not patterns or any(matches(subject, pattern) for pattern in patterns)
