"""The archive inside a backup (format 2 of nats-server 2.15): `NATSARC1`, then entries, then one without a name.

    entry | uvarint name size | varint time ns | uvarint sequence | uvarint header size | uvarint payload size |
          | name | header | payload |

`state.json` comes first, then `consumers/<name>`, then one entry for each message, its subject as the name.
"""

from __future__ import annotations

from dataclasses import dataclass

MAGIC = b"NATSARC1"
NAME_BYTES_MAX = 1 << 20
CONTENT_BYTES_MAX = 64 << 20
"""Header and payload of one entry; far above any max_payload."""


class CorruptArchive(ValueError):
    """The archive is not one, or is damaged."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry; an empty name ends the archive."""

    name: bytes
    time_ns: int
    seq: int
    header: bytes
    payload: bytes


def encode_entry(entry: Entry) -> bytes:
    """An entry's bytes; the magic is not part of it."""
    time = entry.time_ns * 2 if entry.time_ns >= 0 else -entry.time_ns * 2 - 1
    numbers = (len(entry.name), time, entry.seq, len(entry.header), len(entry.payload))
    return b"".join(map(_uvarint, numbers)) + entry.name + entry.header + entry.payload


def _uvarint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class ArchiveReader:
    """Turns plain bytes, cut anywhere, into entries."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_opened = False

    def feed(self, data: bytes) -> list[Entry]:
        """The entries that `data` completes."""
        self._rest += data
        if not self._is_opened:
            if len(self._rest) < len(MAGIC):
                return []
            if not self._rest.startswith(MAGIC):
                raise CorruptArchive("not a stream archive")
            self._rest = self._rest[len(MAGIC) :]
            self._is_opened = True
        entries: list[Entry] = []
        at = 0
        while (parsed := self._entry(at)) is not None:
            entry, at = parsed
            entries.append(entry)
        self._rest = self._rest[at:]
        return entries

    def _entry(self, at: int) -> tuple[Entry, int] | None:
        numbers = []
        for _ in range(5):
            value = shift = 0
            while True:
                if at >= len(self._rest):
                    return None
                byte = self._rest[at]
                at += 1
                value |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    break
                if shift > 63:
                    raise CorruptArchive("number too long")
            numbers.append(value)
        name_size, time, seq, header_size, payload_size = numbers
        if name_size > NAME_BYTES_MAX or header_size + payload_size > CONTENT_BYTES_MAX:
            raise CorruptArchive("entry too large")
        end = at + name_size + header_size + payload_size
        if end > len(self._rest):
            return None
        name = self._rest[at : at + name_size]
        header = self._rest[at + name_size : at + name_size + header_size]
        time_ns = time >> 1 if not time & 1 else -(time >> 1) - 1
        return Entry(name, time_ns, seq, header, self._rest[end - payload_size : end]), end
