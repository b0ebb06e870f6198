"""MQTT topics as NATS subjects and back: nats-server's mapping, with escapes where that would lose or change something.

Level by level: `/` separates levels as `.` separates tokens, an empty level is the token `/`, and a `.` inside a
level is `//`. That is nats-server 2.15.1's mapping for all it carries unharmed. It leaves a single `/` beside other
characters without meaning, and that is where our escapes are:

- `/=XX` is a character no token may hold: space, control characters, DEL. `/=2A` and `/=3E` as a whole token are
  levels that consist of `*` and `>`, which would be wildcards.
- A `/` that starts no escape stands for itself. No level can hold it, so a topic has U+F02F in its place, and U+F02B
  and U+F023 for `+` and `#`, which no topic name may hold: private characters, ASCII plus 0xF000, as some file
  systems do with names they cannot store.
- Where U+F02F would be misread as part of something else it becomes `/=2F`.

So every topic has one subject, two topics never share one, and both directions undo each other. Not carried to MQTT:
subjects that are not UTF-8, hold U+0000 or one of the three private characters, which hardly anyone uses.

The data plane has a compiled twin for levels that need no escape; this module is its reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable

PRIVATE_SLASH, PRIVATE_PLUS, PRIVATE_HASH = "\uf02f", "\uf02b", "\uf023"

_EMPTY_LEVEL = "/"
# nats-server refuses these in topics; most would end or split a line of the NATS protocol.
_ESCAPED = {chr(code): f"/={code:02X}" for code in (*range(0x01, 0x21), 0x7F)}
_CODES = {f"{ord(character):02X}" for character in _ESCAPED}
_WILDCARD_LEVELS = {"*": "/=2A", ">": "/=3E"}
_WILDCARD_TAILS = {token[1:] for token in _WILDCARD_LEVELS.values()}
_ESCAPED_SLASH = "/=2F"

# What makes a level need more than nats-server's rules, and a token more than their inverse.
_UNUSUAL_IN_LEVEL = re.compile(r"[\x01-\x20\x7f\uf02f\uf02b\uf023]")
_UNUSUAL_IN_TOKEN = re.compile(r"(?<!/)/(?://)*(?!/)|[+#]")
_UNCARRIED = re.compile("[\0\uf02f\uf02b\uf023]")
_TO_TOKEN_CHARACTERS = str.maketrans(_ESCAPED | {".": "//", PRIVATE_PLUS: "+", PRIVATE_HASH: "#"})
_ESCAPED_SLASH_RUN = re.compile("(?:=2F)*")


def topic_to_subject(topic: bytes) -> bytes:
    """The subject of a topic name (UTF-8, no wildcards, not empty)."""
    return ".".join(map(_level_to_token, topic.decode().split("/"))).encode()


def subject_to_topic(subject: bytes) -> bytes | None:
    """The topic of a subject a message was published on; None: MQTT cannot carry it."""
    return _subject_to_levels(subject, _token_to_level)


def filter_to_subjects(topic_filter: bytes) -> tuple[bytes, ...]:
    """The subjects to subscribe for a well-formed filter that is not shared: one, or two when it ends in `/#`, which
    also matches the level above [MQTT-4.7.1-2].

    A filter that begins with a wildcard must not get messages whose subject begins with `$` [MQTT-4.7.2-1]; that is for
    whoever matches.
    """
    tokens = [_FILTER_TOKENS.get(level) or _level_to_token(level) for level in topic_filter.decode().split("/")]
    subject = ".".join(tokens).encode()
    # `/#` has the empty topic above it, which does not exist.
    if tokens[-1] != ">" or tokens[:-1] in ([], [_EMPTY_LEVEL]):
        return (subject,)
    return subject, ".".join(tokens[:-1]).encode()


def subject_to_filter(subject: bytes) -> bytes | None:
    """The filter of a subject with or without wildcards; None: MQTT cannot ask for it."""
    return _subject_to_levels(subject, _wanted_token_to_level)


def client_id_to_token(client_id: str) -> str:
    """A client id as one token of a subject: itself where nats-server accepts it, else with escapes.

    Two client ids never share a token. `client_id` is not empty.
    """
    token = re.sub(r"[\x01-\x20\x7f./]", lambda found: f"/={ord(found[0]):02X}", client_id)
    return _WILDCARD_LEVELS.get(token, token)


def token_to_client_id(token: str) -> str:
    """The inverse of `client_id_to_token`."""
    return re.sub("/=([0-9A-F]{2})", lambda found: chr(int(found[1], 16)), token)


_FILTER_TOKENS = {"+": "*", "#": ">"}
_FILTER_LEVELS = {token: level for level, token in _FILTER_TOKENS.items()}


def _level_to_token(level: str) -> str:
    if not level:
        return _EMPTY_LEVEL
    if level in _WILDCARD_LEVELS:
        return _WILDCARD_LEVELS[level]
    if not _UNUSUAL_IN_LEVEL.search(level):
        return level.replace(".", "//")
    # From the right: whether a slash can stand for itself depends on what follows it.
    pieces = level.translate(_TO_TOKEN_CHARACTERS).split(PRIVATE_SLASH)
    parts = [pieces[-1]]
    for index in range(len(pieces) - 2, -1, -1):
        is_last, is_first = index == len(pieces) - 2, not index and not pieces[0]
        parts.append("/" if _is_plain_slash(pieces[index + 1], is_last, is_first) else _ESCAPED_SLASH)
        parts.append(pieces[index])
    return "".join(reversed(parts))


def _token_to_level(token: str) -> str | None:
    if token == _EMPTY_LEVEL:
        return ""
    if token in _FILTER_LEVELS:
        return None  # No message can be published on it.
    if not _UNUSUAL_IN_TOKEN.search(token):
        return token.replace("//", ".")
    parts: list[str] = []
    position, end = 0, len(token)
    while position < end:
        slash = token.find("/", position)
        if slash < 0:
            slash = end
        parts.append(token[position:slash].replace("+", PRIVATE_PLUS).replace("#", PRIVATE_HASH))
        if slash == end:
            break
        if token.startswith("//", slash):
            parts.append(".")
            position = slash + 2
            continue
        next_slash = token.find("/", slash + 1)
        piece = token[slash + 1 : next_slash if next_slash > 0 else end]
        if _is_plain_slash(piece, next_slash < 0, slash == 0):
            parts.append(PRIVATE_SLASH)
            position = slash + 1
        else:
            code = piece[1:3]
            parts.append(PRIVATE_SLASH if code == "2F" else chr(int(code, 16)))
            position = slash + 4
    return "".join(parts)


def _is_plain_slash(piece: str, is_last: bool, is_first: bool) -> bool:
    """Whether a `/` before `piece` stands for itself. `piece` ends before the next `/` or with the token (`is_last`);
    `is_first`: the `/` begins the token.

    A run of `=2F` changes nothing: an escaped slash is read as such exactly where a plain one would be misread.
    """
    run = _ESCAPED_SLASH_RUN.match(piece)
    tail = piece[run.end() :] if run else piece
    if not tail:
        return is_last and not is_first  # Else it would be a dot, or an empty level.
    if tail[0] == "/" or (tail[0] == "=" and tail[1:3] in _CODES):
        return False
    return not (is_first and is_last and tail in _WILDCARD_TAILS)


def _wanted_token_to_level(token: str) -> str | None:
    return _FILTER_LEVELS.get(token) or _token_to_level(token)


def _subject_to_levels(subject: bytes, to_level: Callable[[str], str | None]) -> bytes | None:
    try:
        text = subject.decode()
    except UnicodeDecodeError:
        return None
    if _UNCARRIED.search(text):
        return None
    levels = [to_level(token) for token in text.split(".")]
    if None in levels or levels == [""]:
        return None
    return "/".join(level for level in levels if level is not None).encode()
