"""An uplink as somebody asked for it: where the hub is, how to log in, what is forwarded. Values and their JSON only.

They are kept in the store, so that an uplink added by command survives a restart. A password in the URL is kept with
them; nothing that leaves this module for a screen or a log shows it.
"""

from __future__ import annotations

import re

import msgspec

from leafbox.dataplane.subjects import is_valid_subject
from leafbox.protocol.errors import BoxRequestFailed

NAME_MAX = 64
FORWARDS_MAX = 32
"""Streams of one uplink; each costs a subscription at the hub and one look a second here."""
BUFFER_BYTES = 1 << 30
"""Default bound of one local buffer: a day of 100 messages/s of 128 B, and small beside any flash card."""
PRIORITY_LAST = 9
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Forward(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Keep locally, forward to the hub, delete when the hub has stored it."""

    subjects: tuple[str, ...]
    stream: str
    """The local buffer, a work-queue stream."""
    hub_stream: str
    """The hub's stream that sources it."""
    rate_bytes: int = 0
    """Most bytes a second; 0: no cap."""
    priority: int = 5
    """1 goes first; a stream waits while one with a smaller number has a backlog."""
    buffer_bytes: int = BUFFER_BYTES
    """Bound of the local buffer; when it is full, publishers are refused."""
    replicas: int = 1
    """Replicas of the hub's stream, if it is made from here."""


class Definition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One uplink."""

    name: str
    url: str
    account: str = "$G"
    credentials_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    is_handshake_first: bool = False
    forwards: tuple[Forward, ...] = ()
    is_paused: bool = False
    created_ns: int = 0


def buffer_name(subject: str) -> str:
    """`sensors.>` -> `sensors`, `site.*.temperature` -> `site_temperature`."""
    words = [word for word in subject.split(".") if word not in ("*", ">")]
    name = re.sub(r"[^A-Za-z0-9_-]", "_", "_".join(words))
    return name or "everything"


def checked(definition: Definition) -> Definition:
    """The definition, or `BoxRequestFailed` with what is wrong with it."""
    if not _NAME.fullmatch(definition.name):
        text = f'the name "{definition.name}" is not one word of letters, digits, - and _ (at most {NAME_MAX})'
        raise BoxRequestFailed("bad_name", text, "Choose another with --name.")
    if len(definition.forwards) > FORWARDS_MAX:
        raise BoxRequestFailed("too_many_forwards", f"more than {FORWARDS_MAX} streams in one uplink")
    seen: set[str] = set()
    for forward in definition.forwards:
        _check_forward(forward)
        if forward.stream in seen:
            text = f'two forwards use the local stream "{forward.stream}"'
            raise BoxRequestFailed("duplicate_stream", text, "Name one of them with --stream.")
        seen.add(forward.stream)
    return definition


def _check_forward(forward: Forward) -> None:
    for subject in forward.subjects:
        if not is_valid_subject(subject.encode()) or subject.startswith("$"):
            raise BoxRequestFailed("bad_subject", f'"{subject}" is no subject that can be forwarded')
        if subject.split(".")[0] in ("*", ">"):
            text = f'"{subject}" would also take inboxes and internal subjects'
            raise BoxRequestFailed("bad_subject", text, "Begin with a word of your own, as in 'sensors.>'.")
    for name in (forward.stream, forward.hub_stream):
        if not _NAME.fullmatch(name):
            raise BoxRequestFailed("bad_stream", f'"{name}" is no name for a stream')
    if not 1 <= forward.priority <= PRIORITY_LAST:
        raise BoxRequestFailed("bad_priority", f"a priority is 1 (first) to {PRIORITY_LAST}, not {forward.priority}")
    if forward.rate_bytes < 0 or forward.buffer_bytes <= 0 or not 1 <= forward.replicas <= 5:
        raise BoxRequestFailed("bad_number", "rate, buffer and replicas (1 to 5) must be positive")


def encode(definition: Definition) -> bytes:
    """As it is stored."""
    return msgspec.json.encode(definition)


def decode(body: bytes) -> Definition:
    """From the store. Raises `msgspec.DecodeError`."""
    return msgspec.json.decode(body, type=Definition)
