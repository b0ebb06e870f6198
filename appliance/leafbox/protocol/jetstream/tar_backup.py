"""Backups of nats-server before 2.15: a tar of the server's own files, read as a stream.

    meta.inf                 the stream's configuration, JSON
    msgs/<n>.blk             records of messages, in order
    obs/<consumer>/meta.inf  a consumer's configuration, JSON
    obs/<consumer>/o.dat     its progress, binary

A record is `size u32 | sequence u64 | time u64 | subject size u16 | subject | [header size u32 | header] | payload |
checksum 8 bytes`, little endian; the size's top bit says that there is a header, the sequence's top bit that the
message was erased, the bit below that the record only says that this sequence was deleted. The checksums are keyed
hashes that only nats-server computes; what guards a backup on the way here are those of S2.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from leafbox.protocol.jetstream.go_time import SECOND
from leafbox.protocol.jetstream.info import SequenceInfo
from leafbox.protocol.jetstream.progress_codec import ConsumerProgressState, PendingState
from leafbox.protocol.jetstream.snapshot_archive import CorruptArchive, Entry

FILE_BYTES_MAX = 64 << 20
"""Largest file in a backup; nats-server's message blocks have 8 MiB, or one large message."""
MAGIC_AT, MAGIC = 257, b"ustar"
_TAR_BLOCK = 512
_SIZE_AT, _SIZE_BYTES, _KIND_AT = 124, 12, 156
_NAME_BYTES = 100
_PREFIX_AT, _PREFIX_BYTES = 345, 155
_RECORD = struct.Struct("<IQQH")
_CHECKSUM_BYTES = 8
_HAS_HEADER = 1 << 31
_ERASED, _DELETED = 1 << 63, 1 << 62
_STATE_MAGIC = bytes((22, 2))


@dataclass(frozen=True, slots=True)
class Deleted:
    """A sequence that is not in the stream any more."""

    seq: int


@dataclass(frozen=True, slots=True)
class StreamMeta:
    """`meta.inf` of the stream."""

    document: bytes


@dataclass(frozen=True, slots=True)
class ConsumerFiles:
    """Both files of a consumer."""

    document: bytes
    state: ConsumerProgressState


Item = Entry | Deleted | StreamMeta | ConsumerFiles


class TarBackupReader:
    """Turns plain bytes, cut anywhere, into what the files hold."""

    def __init__(self) -> None:
        self._rest = b""
        self._long_name = ""
        self._consumers: dict[str, bytes] = {}
        self.is_complete = False

    def feed(self, data: bytes) -> list[Item]:
        """What `data` completes. Raises `CorruptArchive`."""
        self._rest += data
        items: list[Item] = []
        while len(self._rest) >= _TAR_BLOCK and not self.is_complete:
            head = self._rest[:_TAR_BLOCK]
            if head.count(0) == _TAR_BLOCK:
                self.is_complete = True
                break
            size = _octal(head[_SIZE_AT : _SIZE_AT + _SIZE_BYTES])
            if head[MAGIC_AT : MAGIC_AT + len(MAGIC)] != MAGIC or size > FILE_BYTES_MAX:
                raise CorruptArchive("not a backup, or a file in it is too large")
            end = _TAR_BLOCK + size
            if len(self._rest) < end + -size % _TAR_BLOCK:
                break
            content = self._rest[_TAR_BLOCK:end]
            self._rest = self._rest[end + -size % _TAR_BLOCK :]
            items += self._file(head, content)
        return items

    def _file(self, head: bytes, content: bytes) -> list[Item]:
        kind = head[_KIND_AT : _KIND_AT + 1]
        if kind == b"x":
            self._long_name = _pax_path(content)
            return []
        if kind not in (b"0", b"\x00"):
            raise CorruptArchive("a backup holds plain files only")
        name = self._long_name or _name_of(head)
        self._long_name = ""
        if name == "meta.inf":
            return [StreamMeta(content)]
        parts = name.split("/")
        if parts[0] == "msgs" and name.endswith(".blk"):
            return read_block(content)
        if parts[0] == "obs" and parts[-1] == "meta.inf":
            self._consumers[parts[1]] = content
        if parts[0] == "obs" and parts[-1] == "o.dat" and parts[1] in self._consumers:
            return [ConsumerFiles(self._consumers.pop(parts[1]), read_state(content))]
        if name == "errors.txt":
            raise CorruptArchive(f"the backup failed when it was taken: {content.decode('utf-8', 'replace')[:200]}")
        return []


def _octal(field: bytes) -> int:
    digits = field.strip(b" \x00")
    if not digits or not digits.isdigit() or b"8" in digits or b"9" in digits:
        raise CorruptArchive("bad size in the backup")
    return int(digits, 8)


def _name_of(head: bytes) -> str:
    prefix = head[_PREFIX_AT : _PREFIX_AT + _PREFIX_BYTES].split(b"\x00")[0]
    name = head[:_NAME_BYTES].split(b"\x00")[0]
    return (prefix + b"/" + name if prefix else name).decode("utf-8", "replace")


def _pax_path(content: bytes) -> str:
    """`<length> path=<name>` among the records of an extended header."""
    for line in content.split(b"\n"):
        _, found, path = line.partition(b" path=")
        if found:
            return path.decode("utf-8", "replace")
    return ""


def read_block(block: bytes) -> list[Item]:
    """The records of one message block. Raises `CorruptArchive`."""
    items: list[Item] = []
    at = 0
    while at < len(block):
        if at + _RECORD.size > len(block):
            raise CorruptArchive("a message record is cut off")
        size, seq, time_ns, subject_size = _RECORD.unpack_from(block, at)
        has_header, size = bool(size & _HAS_HEADER), size & ~_HAS_HEADER
        body, end = at + _RECORD.size, at + size - _CHECKSUM_BYTES
        head_size = subject_size + 4 * has_header
        if size < _RECORD.size + _CHECKSUM_BYTES or end + _CHECKSUM_BYTES > len(block) or body + head_size > end:
            raise CorruptArchive("a message record has an impossible size")
        if seq & _DELETED:
            items.append(Deleted(seq & ~_DELETED))
        elif seq and not seq & _ERASED:
            header_end = body + head_size
            if has_header:
                header_end += int.from_bytes(block[body + subject_size : body + head_size], "little")
            if header_end > end:
                raise CorruptArchive("a message's header is longer than the message")
            subject = block[body : body + subject_size]
            items.append(Entry(subject, time_ns, seq, block[body + head_size : header_end], block[header_end:end]))
        at = end + _CHECKSUM_BYTES
    return items


def read_state(data: bytes) -> ConsumerProgressState:
    """A consumer's `o.dat`. Raises `CorruptArchive`."""
    if data[:2] != _STATE_MAGIC:
        raise CorruptArchive("a consumer's progress has a version that is not known")
    numbers = _Numbers(data, 2)
    floor_consumer, floor_stream, consumer, stream = (numbers.unsigned() for _ in range(4))
    pending, redelivered = {}, {}
    count = numbers.count()
    base_s = numbers.signed() if count else 0
    for _ in range(count):
        seq, number, age_s = numbers.unsigned(), numbers.unsigned(), numbers.signed()
        state = PendingState(sequence=number + floor_consumer, ts=(base_s - age_s) * SECOND)
        pending[str(seq + floor_stream)] = state
    for _ in range(numbers.count()):
        seq, deliveries = numbers.unsigned(), numbers.unsigned()
        redelivered[str(seq + floor_stream)] = deliveries
    return ConsumerProgressState(
        delivered=SequenceInfo(consumer_seq=consumer, stream_seq=stream),
        ack_floor=SequenceInfo(consumer_seq=floor_consumer, stream_seq=floor_stream),
        pending=pending,
        redelivered=redelivered,
    )


class _Numbers:
    """Variable-length integers, one after the other."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    def unsigned(self) -> int:
        value = shift = 0
        while True:
            if self._at >= len(self._data) or shift > 63:
                raise CorruptArchive("a consumer's progress is cut off")
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def signed(self) -> int:
        value = self.unsigned()
        return value >> 1 if not value & 1 else -(value >> 1) - 1

    def count(self) -> int:
        """How many entries follow; each has at least two bytes."""
        found = self.unsigned()
        if found * 2 > len(self._data):
            raise CorruptArchive("a consumer's progress is cut off")
        return found
