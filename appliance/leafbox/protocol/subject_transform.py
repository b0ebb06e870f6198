"""Subject transforms: `orders.*` to `order.$1.{{partition(4,1)}}`. Used by mappings, imports, streams, republish.

A transform is compiled once into a template of bytes with one getter for each variable token, so applying it costs one
split, the getters and one formatting. Tokens are bytes, as in nats-server's Go strings: `left(1,3)` cuts after three
bytes, also inside a character.

The grammar and every odd corner are those of nats-server 2.15.1 (`server/subject_transform.go`, ADR-30), tried on the
binary; `tests/conformance/security/test_transform.py` holds both together. The odd corners worth knowing: an index of
0 or below names the source's *first token*; when the source has no wildcard, `partition` ignores its indexes and hashes
the whole subject; function names ignore case only at the start of each word; `$text` that is no number and `{{..}}`
that does not fill its token are literal text.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from leafbox.protocol.errors import LeafboxError

Tokens = Sequence[bytes]
Getter = Callable[[Tokens], bytes]

INVALID_SUBJECT = "invalid subject"
_DESTINATION = "invalid mapping destination: "
INVALID_TRANSFORM = _DESTINATION + "invalid transform"
UNKNOWN_FUNCTION = _DESTINATION + "unknown function"
INDEX_OUT_OF_RANGE = _DESTINATION + "wildcard index out of range"
NOT_ENOUGH_ARGUMENTS = _DESTINATION + "not enough arguments passed to the function"
INVALID_ARGUMENT = _DESTINATION + "function argument is invalid or in the wrong format"
TOO_MANY_ARGUMENTS = _DESTINATION + "too many arguments passed to the function"
NOT_ALL_WILDCARDS = _DESTINATION + "not using all of the token wildcard(s)"
NOT_FOR_IMPORT = _DESTINATION + "the only mapping function allowed for import transforms is {{Wildcard()}}"


class InvalidTransform(LeafboxError):
    """A transform that cannot be: the text is nats-server's, word for word."""


@dataclass(frozen=True, slots=True)
class _Token:
    """One token of a destination: which 1-based wildcards it reads and how; literal text has no `make`."""

    text: bytes
    wildcards: tuple[int, ...] = ()
    make: Callable[[Sequence[int]], Getter] | None = None
    is_plain_wildcard: bool = False
    is_random: bool = False


class SubjectTransform:
    """A compiled transform. Immutable, made by `compile`."""

    __slots__ = ("_getters", "_source_tokens", "_split_limit", "_template", "destination", "is_random", "source")

    def __init__(self, source: bytes, destination: bytes, tokens: Sequence[_Token]) -> None:
        self.source = source
        self.destination = destination
        self._source_tokens = source.split(b".")
        positions = [index for index, token in enumerate(self._source_tokens) if token == b"*"]
        getters: list[Getter] = []
        parts: list[bytes] = []
        for token in tokens:
            if token.make is not None:
                # An index below 1 names the first token; without wildcards there is nothing to index.
                indexes = [positions[number - 1] if number > 0 else 0 for number in token.wildcards if positions]
                getters.append(token.make(indexes))
                parts.append(b"%b")
            elif token.text == b">":
                getters.append(_pick(len(self._source_tokens) - 1))
                parts.append(b"%b")
            else:
                parts.append(token.text.replace(b"%", b"%%"))
        self._template = b".".join(parts)
        self._getters = tuple(getters)
        self.is_random = any(token.is_random for token in tokens)
        # The tail of a `>` stays one piece; without `>` every token counts.
        self._split_limit = len(self._source_tokens) - 1 if self._source_tokens[-1] == b">" else -1

    @classmethod
    def compile(cls, source: bytes, destination: bytes, *, strict: bool = False) -> SubjectTransform:
        """Compile; an empty `source` is `>`. Raises `InvalidTransform` with nats-server's text.

        `strict` is for imports, which must be reversible: only `$n` and `{{wildcard(n)}}`, and all wildcards used.
        """
        source = source or b">"
        if not is_valid_subject(source):
            raise InvalidTransform(INVALID_SUBJECT)
        _check_text(destination)
        destination_tokens = destination.split(b".")
        if b"*" in destination_tokens or (source.split(b".")[-1] == b">") != (destination_tokens[-1] == b">"):
            raise InvalidTransform(INVALID_SUBJECT)
        tokens = [_read_token(text) for text in destination_tokens]
        _check_wildcards(source, destination, tokens, strict)
        return cls(source, destination, tokens)

    def match(self, subject: bytes) -> bytes | None:
        """The transformed subject, or None if `subject` (literal) does not match the source."""
        return self.apply(subject) if is_match(self._source_tokens, subject.split(b".")) else None

    def apply(self, subject: bytes) -> bytes:
        """Transform a subject that is known to match the source; it may be a wildcard subset of it (imports)."""
        if not self._getters:
            return self.destination
        # partition(b) hashes the whole subject: it finds it after the tokens it may index.
        tokens = subject.split(b".", self._split_limit)
        tokens.append(subject)
        return self._template % tuple([getter(tokens) for getter in self._getters])

    def reverse(self) -> SubjectTransform:
        """The inverse of a transform that was compiled with `strict`: from destination subjects back to source ones.

        Raises `InvalidTransform` for one that cannot be turned round.
        """
        numbers: list[int] = []
        pattern: list[bytes] = []
        for text in self.destination.split(b"."):
            token = _read_token(text)
            if token.make is not None and not token.is_plain_wildcard:
                raise InvalidTransform(f"{NOT_FOR_IMPORT} in {_show(text)}")
            if token.is_plain_wildcard:
                numbers.append(token.wildcards[0])
            pattern.append(b"*" if token.is_plain_wildcard else text)
        back: list[bytes] = []
        wildcard = 0
        for text in self._source_tokens:
            if text != b"*":
                back.append(text)
                continue
            wildcard += 1
            if wildcard not in numbers:
                raise InvalidTransform(f"{NOT_ALL_WILDCARDS} in {_show(self.destination)}")
            back.append(b"$%d" % (numbers.index(wildcard) + 1))
        return SubjectTransform.compile(b".".join(pattern), b".".join(back))

    def __repr__(self) -> str:
        return f"SubjectTransform({_show(self.source)!r}, {_show(self.destination)!r})"


def is_valid_subject(subject: bytes) -> bool:
    """Whether it can be subscribed to: no empty token, no white space, `>` only as the last token."""
    if any(space in subject for space in b" \t\n\r\f"):
        return False
    tokens = subject.split(b".")
    return all(tokens) and b">" not in tokens[:-1]


def is_match(pattern: Sequence[bytes], tokens: Sequence[bytes]) -> bool:
    """Whether a subject is in the pattern; a wildcard subject only if every subject it stands for is."""
    for index, token in enumerate(pattern):
        if index >= len(tokens):
            return False
        if token == b">":
            return True
        if tokens[index] == b">" or (token != b"*" and token != tokens[index]):
            return False
    return len(pattern) == len(tokens)


def tokenize_wildcards(pattern: bytes) -> bytes:
    """The destination that maps a pattern to itself: `a.*.*` gives `a.$1.$2`."""
    number = 0
    tokens = []
    for token in pattern.split(b"."):
        if token == b"*":
            number += 1
            token = b"$%d" % number
        tokens.append(token)
    return b".".join(tokens)


def check_destination(destination: bytes) -> None:
    """Raises `InvalidTransform` for a destination that no source could have (nats-server's ValidateMapping)."""
    _check_text(destination)
    for token in destination.split(b"."):
        if _is_function(token) and not any(pattern.search(token) for _, pattern in _FUNCTIONS):
            raise InvalidTransform(f"{UNKNOWN_FUNCTION} in {_show(token)}")


def _check_text(destination: bytes) -> None:
    has_ended = False
    for token in destination.split(b"."):
        if not token or (not _is_function(token) and any(space in token for space in b"\t\n\f\r ")):
            raise InvalidTransform(INVALID_TRANSFORM)
        if has_ended:
            raise InvalidTransform(f"{INVALID_TRANSFORM} in {_show(token)}")
        has_ended = token == b">"


def _check_wildcards(source: bytes, destination: bytes, tokens: Sequence[_Token], strict: bool) -> None:
    source_tokens = source.split(b".")
    count = source_tokens.count(b"*")
    has_wildcards = count > 0 or source_tokens[-1] == b">"
    used = 0
    for token in tokens:
        if token.make is None:
            continue
        if strict and not token.is_plain_wildcard:
            raise InvalidTransform(f"{NOT_FOR_IMPORT} in {_show(token.text)}")
        if not has_wildcards:
            # nats-server does not look at the indexes of partition() and random() here.
            if not token.is_random and not token.text.lower().lstrip(b"{ \t").startswith(b"partition"):
                raise InvalidTransform(f"{INDEX_OUT_OF_RANGE} in {_show(token.text)}")
            continue
        used += len(token.wildcards)
        for number in token.wildcards:
            if number > count:
                raise InvalidTransform(f"{INDEX_OUT_OF_RANGE} in {_show(token.text)}: [{number}]")
    if strict and used < count:
        raise InvalidTransform(f"{NOT_ALL_WILDCARDS} in {_show(destination)}")


# Functions --------------------------------------------------------------------------------------------------------

_FUNCTIONS: tuple[tuple[str, re.Pattern[bytes]], ...] = tuple(
    (name, re.compile(rb"{{\s*" + spelling + rb"\s*\((.*)\)\s*}}"))
    for name, spelling in (
        ("wildcard", rb"[wW]ildcard"),
        ("partition", rb"[pP]artition"),
        ("splitfromleft", rb"[sS]plit[fF]rom[lL]eft"),
        ("splitfromright", rb"[sS]plit[fF]rom[rR]ight"),
        ("slicefromleft", rb"[sS]lice[fF]rom[lL]eft"),
        ("slicefromright", rb"[sS]lice[fF]rom[rR]ight"),
        ("split", rb"[sS]plit"),
        ("left", rb"[lL]eft"),
        ("right", rb"[rR]ight"),
        ("random", rb"[rR]andom"),
    )
)
_COMMA = re.compile(rb",\s*")
_INTEGER = re.compile(rb"[+-]?[0-9]+")


def _is_function(token: bytes) -> bool:
    return len(token) > 4 and token.startswith(b"{{") and token.endswith(b"}}")


def _read_token(text: bytes) -> _Token:
    """What one destination token stands for; `*` and `>` count as text here."""
    if text.startswith(b"$") and _INTEGER.fullmatch(text[1:]):
        return _wildcard(text, int(text[1:]))
    if not _is_function(text):
        return _Token(text)
    for name, pattern in _FUNCTIONS:
        if found := pattern.search(text):
            return _READERS[name](text, _COMMA.split(found[1]))
    raise InvalidTransform(f"{UNKNOWN_FUNCTION} in {_show(text)}")


def _wildcard(text: bytes, number: int) -> _Token:
    return _Token(text, (number,), lambda indexes: _pick(indexes[0]), is_plain_wildcard=True)


def _read_wildcard(text: bytes, arguments: list[bytes]) -> _Token:
    if len(arguments) > 1:
        raise InvalidTransform(f"{TOO_MANY_ARGUMENTS} in {_show(text)}")
    if not arguments[0]:
        raise InvalidTransform(f"{NOT_ENOUGH_ARGUMENTS} in {_show(text)}")
    return _wildcard(text, _integer(text, arguments[0]))


def _read_partition(text: bytes, arguments: list[bytes]) -> _Token:
    # Go's uint32(int32): -1 becomes the largest count; 0 is answered with partition 0.
    count = _integer(text, arguments[0], bits=32) % 2**32
    wildcards = tuple(_integer(text, argument) for argument in arguments[1:])
    return _Token(text, wildcards, lambda indexes: _partition(indexes, count))


def _read_random(text: bytes, arguments: list[bytes]) -> _Token:
    if len(arguments) > 1:
        raise InvalidTransform(f"{NOT_ENOUGH_ARGUMENTS} in {_show(text)}")
    count = abs(_integer(text, arguments[0], bits=32))
    return _Token(text, (), lambda indexes: _random(count), is_random=True)


def _read_split(text: bytes, arguments: list[bytes]) -> _Token:
    _two(text, arguments)
    delimiter = arguments[1]
    if b" " in delimiter or b"." in delimiter:
        raise InvalidTransform(f"{INVALID_ARGUMENT} in {_show(text)}")
    return _Token(text, (_integer(text, arguments[0]),), lambda indexes: _split(indexes[0], delimiter))


def _read_cut(cut: Callable[[bytes, int], bytes]) -> Callable[[bytes, list[bytes]], _Token]:
    """For the functions of (wildcard, size): a size outside the token leaves it as it is."""

    def read(text: bytes, arguments: list[bytes]) -> _Token:
        _two(text, arguments)
        wildcard, size = _integer(text, arguments[0]), _integer(text, arguments[1], bits=32)

        def make(indexes: Sequence[int]) -> Getter:
            index = indexes[0]

            def get(tokens: Tokens) -> bytes:
                token = tokens[index]
                return cut(token, size) if 0 < size < len(token) else token

            return get

        return _Token(text, (wildcard,), make)

    return read


def _two(text: bytes, arguments: list[bytes]) -> None:
    if len(arguments) != 2:
        reason = NOT_ENOUGH_ARGUMENTS if len(arguments) < 2 else TOO_MANY_ARGUMENTS
        raise InvalidTransform(f"{reason} in {_show(text)}")


def _integer(text: bytes, argument: bytes, bits: int = 64) -> int:
    argument = argument.strip(b" ")
    # 20 characters hold every 64-bit number; longer ones need not be computed.
    if _INTEGER.fullmatch(argument) and len(argument) <= 20 and -(2 ** (bits - 1)) <= int(argument) < 2 ** (bits - 1):
        return int(argument)
    raise InvalidTransform(f"{INVALID_ARGUMENT} in {_show(text)}")


def _pick(index: int) -> Getter:
    return lambda tokens: tokens[index]


def _partition(indexes: Sequence[int], count: int) -> Getter:
    indexes = tuple(indexes) or (-1,)  # Without wildcards: the whole subject, which stands behind the tokens.

    def get(tokens: Tokens) -> bytes:
        return b"%d" % (fnv1a_32(b"".join([tokens[index] for index in indexes])) % count if count else 0)

    return get


def fnv1a_32(data: bytes) -> int:
    """FNV-1a with 32 bits: offset basis 2166136261, prime 16777619."""
    value = 2166136261
    for byte in data:
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value


def _random(count: int) -> Getter:
    # Spreading load, no secret.
    return lambda tokens: b"%d" % (random.randrange(count) if count else 0)


def _split(index: int, delimiter: bytes) -> Getter:
    def get(tokens: Tokens) -> bytes:
        token = tokens[index]
        # Go splits by an empty delimiter after each character.
        parts = token.split(delimiter) if delimiter else _characters(token)
        return b".".join([part for part in parts if part])

    return get


def _characters(token: bytes) -> list[bytes]:
    return [letter.encode(errors="surrogateescape") for letter in token.decode(errors="surrogateescape")]


def _split_from_left(token: bytes, position: int) -> bytes:
    return token[:position] + b"." + token[position:]


def _split_from_right(token: bytes, position: int) -> bytes:
    return token[:-position] + b"." + token[-position:]


def _slice_from_left(token: bytes, size: int) -> bytes:
    return b".".join([token[start : start + size] for start in range(0, len(token), size)])


def _slice_from_right(token: bytes, size: int) -> bytes:
    first = len(token) % size
    return b".".join([token[:first]] * bool(first) + [token[at : at + size] for at in range(first, len(token), size)])


_READERS: dict[str, Callable[[bytes, list[bytes]], _Token]] = {
    "wildcard": _read_wildcard,
    "partition": _read_partition,
    "random": _read_random,
    "split": _read_split,
    "splitfromleft": _read_cut(_split_from_left),
    "splitfromright": _read_cut(_split_from_right),
    "slicefromleft": _read_cut(_slice_from_left),
    "slicefromright": _read_cut(_slice_from_right),
    "left": _read_cut(lambda token, size: token[:size]),
    "right": _read_cut(lambda token, size: token[-size:]),
}


def _show(text: bytes) -> str:
    return text.decode(errors="backslashreplace")
