"""The NATS client protocol, both directions, written so that it is obviously right (core-protocol sections 1 and 2).

`operations_of` reads all that a client ever sent, at once, and says which hooks a connection must run and which
messages it must route. `deliveries_of` reads what a server sent. Neither shares code with the data plane.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

CONTROL_LINE_MAX = 4096
IGNORED_TEXT_MAX = 65536
SIZE_DIGITS_MAX = 9
UNKNOWN = ("violation", "Unknown Protocol Operation", "Protocol Violation")
SILENT = ("violation", "", "Protocol Violation")
LINE_TOO_LONG = ("violation", "maximum control line exceeded", "Maximum Control Line Exceeded")

Event = tuple[Any, ...]

# Name -> whether white space must follow.
OPERATIONS = {
    b"PUB": True,
    b"HPUB": True,
    b"SUB": True,
    b"UNSUB": True,
    b"PING": False,
    b"PONG": False,
    b"CONNECT": False,
    b"INFO": False,
    b"+OK": False,
    b"-ERR": False,
}
IGNORED_TEXT = (b"PING", b"PONG", b"+OK")


@dataclass(frozen=True, slots=True)
class Limits:
    """What the connection allows."""

    payload_max: int = 1024 * 1024
    control_line_max: int = CONTROL_LINE_MAX
    headers: bool = True


def operations_of(sent: bytes, limits: Limits | None = None) -> list[Event]:
    """Everything that happens; it ends with a violation, or with an operation that is not complete."""
    events: list[Event] = []
    at = 0
    while at < len(sent):
        used, found = _next_operation(sent[at:], limits or Limits())
        if found is not None:
            events.append(found)
        if used == 0 or (found is not None and found[0] in ("violation", "peer error")):
            break
        at += used
    return events


def _next_operation(rest: bytes, limits: Limits) -> tuple[int, Event | None]:
    """(bytes used, what happened). 0 bytes: nothing more can be read."""
    name = _name_at(rest)
    if name is None:
        return 0, UNKNOWN
    line, newline, _ = rest.partition(b"\n")
    if len(line) < len(name) or (OPERATIONS[name] and len(line) == len(name)):
        return 0, None
    arguments = line[len(name) :].lstrip(b" \t")
    if b"\r" in arguments:
        arguments = arguments[:-1]
    if name in IGNORED_TEXT:
        if len(line) > IGNORED_TEXT_MAX:
            return 0, UNKNOWN
    elif (
        len(arguments) > limits.control_line_max or len(line) - len(line[len(name) :].lstrip(b" \t")) > IGNORED_TEXT_MAX
    ):
        return 0, LINE_TOO_LONG
    if not newline:
        return 0, None
    if name in (b"PUB", b"HPUB"):
        return _publish(name, arguments, rest, len(line) + 1, limits)
    return len(line) + 1, _control(name, arguments)


def _name_at(rest: bytes) -> bytes | None:
    """The operation that `rest` is, or may still become."""
    for name, needs_space in OPERATIONS.items():
        head = rest[: len(name)]
        if head.upper() != name[: len(head)]:
            continue
        if needs_space and len(rest) > len(name) and rest[len(name)] not in b" \t":
            continue
        return name
    return None


def _control(name: bytes, arguments: bytes) -> Event | None:
    words = re.findall(rb"[^ \t\r]+", arguments)
    match name:
        case b"PING":
            return ("ping",)
        case b"PONG":
            return ("pong",)
        case b"CONNECT":
            return ("connect", arguments)
        case b"INFO":
            return ("info", arguments)
        case b"-ERR":
            return ("peer error", arguments)
        case b"SUB" if len(words) in (2, 3):
            return ("subscribe", words[0], words[1] if len(words) == 3 else None, words[-1])
        case b"UNSUB" if len(words) in (1, 2):
            return ("unsubscribe", words[0], max(_size(words[1]), 0) if len(words) == 2 else 0)
        case b"SUB" | b"UNSUB":
            return SILENT
    return None


def _size(digits: bytes) -> int:
    return int(digits) if re.fullmatch(rb"[0-9]{1,%d}" % SIZE_DIGITS_MAX, digits) else -1


def _publish(name: bytes, arguments: bytes, rest: bytes, body_at: int, limits: Limits) -> tuple[int, Event | None]:
    words = re.findall(rb"[^ \t\r]+", arguments)
    sizes = 2 if name == b"HPUB" else 1
    if name == b"HPUB" and not limits.headers:
        return 0, ("violation", "", "Message Header Violation")
    if len(words) not in (1 + sizes, 2 + sizes):
        return 0, SILENT
    size = _size(words[-1])
    header = _size(words[-2]) if name == b"HPUB" else 0
    if size < 0 or header < 0 or header > size:
        return 0, SILENT
    if size > limits.payload_max:
        return 0, ("violation", "Maximum Payload Violation", "Maximum Message Payload Exceeded")
    body = rest[body_at : body_at + size]
    end = rest[body_at + size : body_at + size + 2]
    if not b"\r\n".startswith(end):
        return 0, UNKNOWN
    if len(end) < 2:
        return 0, None
    reply = words[1] if len(words) == 2 + sizes else b""
    return body_at + size + 2, ("publish", words[0], reply, body[:header], body[header:])


@dataclass(frozen=True, slots=True)
class Delivery:
    """One MSG or HMSG."""

    subject: bytes
    sid: bytes
    reply: bytes
    header: bytes
    payload: bytes


def deliveries_of(received: bytes) -> list[Delivery | bytes]:
    """What a server sent: messages, and every other line as it is. Anything incomplete is an error."""
    found: list[Delivery | bytes] = []
    while received:
        line, newline, received = received.partition(b"\r\n")
        assert newline, f"a line without an end: {line!r}"
        words = line.split(b" ")
        if words[0] not in (b"MSG", b"HMSG"):
            found.append(line)
            continue
        sizes = 2 if words[0] == b"HMSG" else 1
        assert len(words) in (3 + sizes, 4 + sizes), line
        total = int(words[-1])
        header = int(words[-2]) if sizes == 2 else 0
        body, end, received = received[:total], received[total : total + 2], received[total + 2 :]
        assert (len(body), end) == (total, b"\r\n"), line
        reply = words[3] if len(words) == 4 + sizes else b""
        found.append(Delivery(words[1], words[2], reply, body[:header], body[header:]))
    return found
