"""How a stream names its sources: the index under which a source is known, and the note each sourced message carries.

The note is the header `Nats-Stream-Source: <name> <seq> <filters> <targets> <subject> [<identity>]`. Index and note are
nats-server's, letter for letter: a stream that was backed up here and restored there goes on at the right place.
"""

from __future__ import annotations

from typing import NamedTuple

from leafbox.jetstream.names import short_hash
from leafbox.protocol.jetstream.stream_config import StreamSource

_EVERYTHING = ">"
_FIELDS_OLD = 2
_FIELDS_MIN = 4
_FIELDS_WITH_IDENTITY = 6


class SourceNote(NamedTuple):
    """A note read back. `source` is the index, empty in notes of very old servers, which have `name` only."""

    source: str
    name: str
    seq: int
    identity: str


def index_of(source: StreamSource) -> str:
    """`<name> <filters> <targets>`: tells the sources of one stream apart."""
    name = source.name
    if source.external is not None:
        name += f":{short_hash(source.external.api)}"
    if source.consumer is not None:
        name += f":C={short_hash(source.consumer.name)}"
    if not source.subject_transforms:
        return f"{name} {source.filter_subject or _EVERYTHING} {_EVERYTHING}"
    filters = "\f".join(item.src or _EVERYTHING for item in source.subject_transforms)
    targets = "\f".join(item.dest or _EVERYTHING for item in source.subject_transforms)
    return f"{name} {filters} {targets}"


def make_note(index: str, seq: int, subject: str, identity: str) -> bytes:
    """The note of the origin's message `seq`."""
    name, filters, targets = index.split(" ")
    tail = f" {identity}" if identity else ""
    return f"{name} {seq} {filters} {targets} {subject}{tail}".encode()


def note_parts(index: str, identity: str) -> tuple[bytes, bytes, bytes]:
    """The header line of a note: before the sequence, between sequence and subject, behind the subject."""
    name, _, rest = index.partition(" ")
    tail = f" {identity}" if identity else ""
    return f"Nats-Stream-Source: {name} ".encode(), f" {rest} ".encode(), f"{tail}\r\n\r\n".encode()


def read_note(text: str) -> SourceNote | None:
    """What a note says, or None if it is none."""
    fields = text.split(" ")
    if len(fields) != _FIELDS_OLD and len(fields) < _FIELDS_MIN:
        return None
    if not fields[1].isdigit():
        return None
    seq = int(fields[1])
    if len(fields) == _FIELDS_OLD:
        return SourceNote("", fields[0], seq, "")
    identity = fields[5] if len(fields) >= _FIELDS_WITH_IDENTITY else ""
    return SourceNote(f"{fields[0]} {fields[2]} {fields[3]}", fields[0], seq, identity)
