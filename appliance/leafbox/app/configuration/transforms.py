"""Checks of subject mapping destinations, with nats-server's error texts; applying a transform is the broker's job.

Rules: a destination has no `*`, and `>` exactly if the source has it; `$n` and `{{function(args)}}` stand for whole
tokens; imports (strict) may only reorder wildcards and must use all of them.
Source: nats-server 2.15.1 `server/subject_transform.go`, `server/sublist.go`; ADR-30.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from leafbox.app.configuration.subjects import is_valid_subject

_PREFIX = "invalid mapping destination: "
_INT32_MAX = 2**31 - 1
_NAMES = {
    "wildcard": "[wW]ildcard",
    "partition": "[pP]artition",
    "splitfromleft": "[sS]plit[fF]rom[lL]eft",
    "splitfromright": "[sS]plit[fF]rom[rR]ight",
    "slicefromleft": "[sS]lice[fF]rom[lL]eft",
    "slicefromright": "[sS]lice[fF]rom[rR]ight",
    "right": "[rR]ight",
    "left": "[lL]eft",
    "split": "[sS]plit",
    "random": "[rR]andom",
}
_FUNCTIONS = {name: re.compile(rf"\{{\{{\s*{spelling}\s*\((.*)\)\s*\}}\}}") for name, spelling in _NAMES.items()}
_INDEX_AND_NUMBER = ("splitfromleft", "splitfromright", "slicefromleft", "slicefromright", "right", "left")


class TransformError(ValueError):
    """The destination cannot be used; the message is nats-server's."""


@dataclass(frozen=True, slots=True)
class _Placeholder:
    """A destination token: the function and the wildcards it reads."""

    function: str
    indexes: tuple[int, ...] = ()


def check_mapping(source: str, destination: str) -> None:
    """Refuse a mapping destination that cannot work. Raises `TransformError`."""
    if not destination:
        return
    tokens = destination.split(".")
    for index, part in enumerate(tokens):
        if not part or ">" in tokens[:index]:
            # nats-server names the offending token; an empty one adds nothing.
            raise TransformError(_PREFIX + "invalid transform" + (f" in {part}" if part else ""))
        if _is_function(part):
            if not any(pattern.search(part) for pattern in _FUNCTIONS.values()):
                raise TransformError(f"{_PREFIX}unknown function in {part}")
        elif part != ">" and re.search("[\t\n\f\r ]", part):
            raise TransformError(_PREFIX + "invalid transform")
    check_transform(source, destination, is_strict=False)


def check_transform(source: str, destination: str, is_strict: bool) -> None:
    """Refuse a transform; `is_strict` for imports. Raises `TransformError`."""
    if not destination:
        return
    pattern = source or ">"
    source_tokens, tokens = pattern.split("."), destination.split(".")
    has_tail = source_tokens[-1] == ">"
    if not is_valid_subject(pattern) or not _is_valid_destination(tokens) or has_tail != (tokens[-1] == ">"):
        raise TransformError("invalid subject")
    wildcards = source_tokens.count("*")
    if not wildcards and not has_tail:
        _check_literal_source(tokens)
        return
    used = 0
    for part in tokens:
        place = _placeholder(part)
        if place is None:
            continue
        if is_strict and place.function != "wildcard":
            raise TransformError(
                f"{_PREFIX}the only mapping function allowed for import transforms is {{{{Wildcard()}}}} in {part}"
            )
        for index in place.indexes:
            if index > wildcards:
                raise TransformError(f"{_PREFIX}wildcard index out of range in {part}: [{index}]")
        used += len(place.indexes)
    if is_strict and used < wildcards:
        raise TransformError(f"{_PREFIX}not using all of the token wildcard(s) in {destination}")


def numbered_wildcards(subject: str) -> str:
    """`foo.*.*` as destination: `foo.$1.$2`."""
    number = 0
    tokens = []
    for part in subject.split("."):
        if part == "*":
            number += 1
            part = f"${number}"
        tokens.append(part)
    return ".".join(tokens)


def unnumbered_wildcards(subject: str) -> str:
    """`foo.$2.{{wildcard(1)}}` as pattern: `foo.*.*`."""
    return ".".join("*" if _names_a_wildcard(part) else part for part in subject.split("."))


def _names_a_wildcard(part: str) -> bool:
    if len(part) > 1 and part[0] == "$" and "1" <= part[1] <= "9":
        return True
    match = _FUNCTIONS["wildcard"].search(part)
    return match is not None and bool(match.group(1)) and "," not in match.group(1)


def _is_function(part: str) -> bool:
    return len(part) > 4 and part.startswith("{{") and part.endswith("}}")


def _is_valid_destination(tokens: list[str]) -> bool:
    return all(tokens) and ">" not in tokens[:-1] and "*" not in tokens


def _check_literal_source(tokens: list[str]) -> None:
    for part in tokens:
        place = _placeholder(part)
        if place is not None and place.function not in ("random", "partition"):
            raise TransformError(f"{_PREFIX}wildcard index out of range in {part}")


def _placeholder(part: str) -> _Placeholder | None:
    """What a destination token stands for; `None`: itself."""
    if len(part) > 1 and part[0] == "$":
        return _Placeholder("wildcard", (int(part[1:]),)) if re.fullmatch(r"[+-]?[0-9]{1,18}", part[1:]) else None
    if not _is_function(part):
        return None
    for name, pattern in _FUNCTIONS.items():
        if match := pattern.search(part):
            return _call(name, re.split(r",\s*", match.group(1)), part)
    raise TransformError(f"{_PREFIX}unknown function in {part}")


def _call(name: str, arguments: list[str], part: str) -> _Placeholder:
    match name:
        case "wildcard":
            if arguments == [""]:
                raise _not_enough(part)
            if len(arguments) > 1:
                raise _too_many(part)
            return _Placeholder(name, (_number(arguments[0], part),))
        case "partition":
            _number(arguments[0], part, _INT32_MAX)
            return _Placeholder(name, tuple(_number(argument, part) for argument in arguments[1:]))
        case "random":
            if len(arguments) != 1:
                raise _not_enough(part)
            _number(arguments[0], part, _INT32_MAX)
            return _Placeholder(name)
    if len(arguments) < 2:
        raise _not_enough(part)
    if len(arguments) > 2:
        raise _too_many(part)
    index = _number(arguments[0], part)
    if name in _INDEX_AND_NUMBER:
        _number(arguments[1], part, _INT32_MAX)
    elif " " in arguments[1] or "." in arguments[1]:
        raise _invalid(part)
    return _Placeholder(name, (index,))


def _number(text: str, part: str, highest: int = 2**63 - 1) -> int:
    stripped = text.strip(" ")
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", stripped) or int(stripped) > highest:
        raise _invalid(part)
    return int(stripped)


def _not_enough(part: str) -> TransformError:
    return TransformError(f"{_PREFIX}not enough arguments passed to the function in {part}")


def _too_many(part: str) -> TransformError:
    return TransformError(f"{_PREFIX}too many arguments passed to the function in {part}")


def _invalid(part: str) -> TransformError:
    return TransformError(f"{_PREFIX}function argument is invalid or in the wrong format in {part}")
