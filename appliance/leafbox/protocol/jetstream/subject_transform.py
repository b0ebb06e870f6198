"""Subject transforms of stream configurations: `src` with wildcards to `dest` with mapping functions (ADR-30).

Functions: `$1`, `{{wildcard(1)}}`, `{{partition(n[,1,2])}}`, `{{split(1,-)}}`, `{{splitFromLeft(1,3)}}`,
`{{splitFromRight}}`, `{{sliceFromLeft}}`, `{{sliceFromRight}}`, `{{left}}`, `{{right}}`, `{{random(n)}}`.
A transform that cannot be built is a `TransformError` with nats-server's text.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from typing import TypeAlias

from leafbox.protocol.jetstream import subjects

_FUNCTION = re.compile(r"\{\{\s*([A-Za-z]+)\s*\((.*)\)\s*\}\}")
_NAMES = {
    "partition": "partition",
    "wildcard": "wildcard",
    "splitfromleft": "splitFromLeft",
    "splitfromright": "splitFromRight",
    "slicefromleft": "sliceFromLeft",
    "slicefromright": "sliceFromRight",
    "split": "split",
    "left": "left",
    "right": "right",
    "random": "random",
}
_INVALID = "invalid mapping destination"
_RANGE = f"{_INVALID}: wildcard index out of range"
_FEW = f"{_INVALID}: not enough arguments passed to the function"
_MANY = f"{_INVALID}: too many arguments passed to the function"
_ARGUMENT = f"{_INVALID}: function argument is invalid or in the wrong format"
_UNKNOWN = f"{_INVALID}: unknown function"
_SUBJECT = f"{_INVALID}: invalid transform"
# Go's regular expressions allow a capital at each word of the name, nothing else.
_SPELLING = re.compile(
    r"[pP]artition|[wW]ildcard|[sS]plit[fF]rom[lL]eft|[sS]plit[fF]rom[rR]ight|[sS]lice[fF]rom[lL]eft|"
    r"[sS]lice[fF]rom[rR]ight|[sS]plit|[lL]eft|[rR]ight|[rR]andom"
)

_REST = (">",)

_Part: TypeAlias = Callable[[Sequence[str]], str]


class TransformError(ValueError):
    """The source or destination cannot be used; the text is nats-server's."""


class SubjectTransform:
    """Maps literal subjects that match `source`. Immutable."""

    def __init__(self, source: str, destination: str) -> None:
        self.source = source or ">"
        self.destination = destination
        source_tokens, destination_tokens = self.source.split("."), destination.split(".")
        source_ok, destination_ok = _well_formed(source_tokens), _well_formed(destination_tokens)
        if (
            not source_ok
            or not destination_ok
            or "*" in destination_tokens
            or (source_tokens[-1] == ">") != (destination_tokens[-1] == ">")
        ):
            raise TransformError("invalid subject")
        self._rest_from = len(source_tokens) - 1 if source_tokens[-1] == ">" else None
        wildcards = [index for index, part in enumerate(source_tokens) if part == "*"]
        has_wildcards = bool(wildcards) or self._rest_from is not None
        parts = destination_tokens[:-1] if self._rest_from is not None else destination_tokens
        self._parts = tuple(_part(token, wildcards, has_wildcards) for token in parts)

    def match(self, subject: str) -> str | None:
        """The mapped subject, or None if the subject does not match the source."""
        if self.source == ">" and self.destination == ">":
            return subject
        if self.source != ">" and not subjects.matches(subject, self.source):
            return None
        return self.apply(subject)

    def apply(self, subject: str) -> str:
        """The mapped subject of one that is known to match."""
        tokens = subject.split(".")
        mapped = [part(tokens) for part in self._parts]
        if self._rest_from is not None:
            mapped.extend(tokens[self._rest_from :])
        return ".".join(mapped)


def validate_mapping(source: str, destination: str) -> None:
    """Raises `TransformError` unless a transform can be built; an empty destination is "no transform"."""
    if not destination:
        return
    seen_rest = False
    for token in destination.split("."):
        if not token or seen_rest:
            raise TransformError(f"{_SUBJECT} in {token}" if token else _SUBJECT)
        if token.startswith("{{") and token.endswith("}}") and len(token) > 4:
            match = _FUNCTION.search(token)
            if match is None or not _SPELLING.fullmatch(match.group(1)):
                raise TransformError(f"{_UNKNOWN} in {token}")
            continue
        if token in _REST:
            seen_rest = True
        elif any(character in token for character in "\t\n\f\r "):
            raise TransformError(_SUBJECT)
    SubjectTransform(source, destination)


def _well_formed(tokens: list[str]) -> bool:
    return all(tokens) and ">" not in tokens[:-1]


def _part(token: str, wildcards: list[int], has_wildcards: bool) -> _Part:
    """A destination token as a function of the source's tokens."""
    if len(token) > 1 and token[0] == "$":
        if not re.fullmatch(r"[+-]?\d+", token[1:]):
            return _constant(token)
        function, arguments = "wildcard", [token[1:]]
    elif len(token) > 4 and token.startswith("{{") and token.endswith("}}"):
        match = _FUNCTION.search(token)
        if match is None or not _SPELLING.fullmatch(match.group(1)):
            raise TransformError(f"{_UNKNOWN} in {token}")
        function = _NAMES[match.group(1).lower()]
        arguments = re.split(r",\s*", match.group(2))
    else:
        return _constant(token)
    if not has_wildcards and function not in ("partition", "random"):
        _check_arguments(token, function, arguments)
        raise TransformError(f"{_RANGE} in {token}")
    return _function(token, function, arguments, wildcards)


def _constant(token: str) -> _Part:
    return lambda _tokens: token


def _integer(token: str, text: str) -> int:
    text = text.strip(" ")
    if not re.fullmatch(r"[+-]?\d+", text) or abs(int(text)) > 0x7FFFFFFF:
        raise TransformError(f"{_ARGUMENT} in {token}")
    return int(text)


def _check_arguments(token: str, function: str, arguments: list[str]) -> None:
    wanted = 1 if function in ("wildcard", "random") else 2
    if len(arguments) < wanted or (function == "wildcard" and arguments == [""]):
        raise TransformError(f"{_FEW} in {token}")
    if len(arguments) > wanted:
        raise TransformError(f"{_FEW if function == 'random' else _MANY} in {token}")


def _function(token: str, function: str, arguments: list[str], wildcards: list[int]) -> _Part:
    if function == "partition":
        count = _integer(token, arguments[0])
        positions = [_position(token, _integer(token, text), wildcards) for text in arguments[1:]]
        return lambda tokens: _partition(tokens, positions, count)
    _check_arguments(token, function, arguments)
    first = _integer(token, arguments[0])
    if function == "random":
        return lambda _tokens: str(secrets.randbelow(first)) if first > 0 else "0"
    if function == "split":
        separator = arguments[1]
        if " " in separator or "." in separator:
            raise TransformError(f"{_ARGUMENT} in {token}")
        position = _position(token, first, wildcards)
        return lambda tokens: ".".join(part for part in tokens[position].split(separator) if part)
    position = _position(token, first, wildcards)
    if function == "wildcard":
        return lambda tokens: tokens[position]
    size, cut = _integer(token, arguments[1]), _CUTS[function]

    def apply(tokens: Sequence[str]) -> str:
        text = tokens[position]
        return cut(text, size) if 0 < size < len(text) else text

    return apply


def _position(token: str, wildcard: int, wildcards: list[int]) -> int:
    if wildcard > len(wildcards):
        raise TransformError(f"{_RANGE} in {token}: [{wildcard}]")
    return wildcards[wildcard - 1] if wildcard > 0 else 0


def _partition(tokens: Sequence[str], positions: list[int], count: int) -> str:
    """FNV-1a, 32 bit, of the chosen tokens (or the whole subject) modulo the partitions."""
    key = "".join(tokens[position] for position in positions) if positions else ".".join(tokens)
    digest = 0x811C9DC5
    for byte in key.encode():
        digest = ((digest ^ byte) * 0x01000193) & 0xFFFFFFFF
    return str(digest % count) if count else "0"


def _slices_from_left(text: str, size: int) -> str:
    return ".".join(text[index : index + size] for index in range(0, len(text), size))


def _slices_from_right(text: str, size: int) -> str:
    rest = len(text) % size
    parts = [text[:rest]] if rest else []
    return ".".join(parts + [text[index : index + size] for index in range(rest, len(text), size)])


_CUTS: dict[str, Callable[[str, int], str]] = {
    "splitFromLeft": lambda text, size: f"{text[:size]}.{text[size:]}",
    "splitFromRight": lambda text, size: f"{text[:-size]}.{text[-size:]}",
    "sliceFromLeft": _slices_from_left,
    "sliceFromRight": _slices_from_right,
    "left": lambda text, size: text[:size],
    "right": lambda text, size: text[-size:],
}
