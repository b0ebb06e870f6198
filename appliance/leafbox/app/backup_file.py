"""The one file of a backup: a tar stream in sealed pieces, so that no damaged or cut-off one passes for whole.

```
MAGIC                      "LEAFBOX-BACKUP 1\\n"
header                     JSON and a newline: when, what, of whom, how the key is made; never a secret
stream header              24 bytes
pieces                     length (u32), sealed deflated piece of the tar; the last one carries the FINAL tag
```

Pieces are sealed with libsodium's secretstream (XChaCha20-Poly1305): each is bound to its place and to the header, and
the end is marked, so reordering, cutting off, appending and every changed bit are found. With a passphrase the key
comes from argon2id. Without one it is a constant that everybody knows: then the seals are checksums, and anyone can
read the file, which its header says.

Writing and reading are generators of progress (bytes so far), for those who show it. No store, no loop in here.
"""

from __future__ import annotations

import io
import os
import struct
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

import msgspec
import nacl.bindings as sodium
import nacl.exceptions
import nacl.pwhash.argon2id as argon2id
import nacl.utils

from leafbox.protocol.errors import LeafboxError

MAGIC = b"LEAFBOX-BACKUP 1\n"
HEADER_BYTES_MAX = 64 * 1024
PIECE_BYTES = 1 << 20
SEALED_BYTES_MAX = PIECE_BYTES + 4096
"""Deflate may add a little to what it cannot shrink."""
PUBLIC_KEY = b"leafbox backup without passphras"
"""32 bytes; not a secret, see above."""
OPERATIONS = 3
MEMORY_BYTES = 64 << 20
"""Of argon2id: a second on a Raspberry Pi, and it has the memory."""
MEMORY_BYTES_MAX = 1 << 30
OPERATIONS_MAX = 20
"""What a file may ask of the machine that opens it."""
PASSPHRASE_CHARS_MIN = 8
FILES_MAX = 100_000
_LENGTH = struct.Struct("<I")


@dataclass
class BackupDamaged(LeafboxError):
    """The file is not a whole backup, or not one that this passphrase opens."""

    reason: str

    def __str__(self) -> str:
        return self.reason


class KeyRule(msgspec.Struct, frozen=True):
    """How the key is made from the passphrase."""

    salt: str
    operations: int
    memory_bytes: int


class Header(msgspec.Struct, frozen=True):
    """What a backup says of itself before anything is opened."""

    created_s: float
    version: str
    box: str = ""
    key: KeyRule | None = None
    """None: not encrypted."""

    @property
    def is_encrypted(self) -> bool:
        """Whether it needs a passphrase."""
        return self.key is not None


@dataclass(slots=True)
class Contents:
    """What a reader has seen."""

    files: int = 0
    tar_bytes: int = 0
    names: list[str] = field(default_factory=list)


def make_key_rule() -> KeyRule:
    """A fresh one."""
    return KeyRule(nacl.utils.random(argon2id.SALTBYTES).hex(), OPERATIONS, MEMORY_BYTES)


def _key(header: Header, passphrase: str) -> bytes:
    rule = header.key
    if rule is None:
        return PUBLIC_KEY
    if not passphrase:
        raise BackupDamaged("this backup is encrypted: give its passphrase")
    if not (0 < rule.operations <= OPERATIONS_MAX and 0 < rule.memory_bytes <= MEMORY_BYTES_MAX):
        raise BackupDamaged("the header asks for more work to make the key than any backup of ours")
    try:
        salt = bytes.fromhex(rule.salt)
        return argon2id.kdf(32, passphrase.encode(), salt, opslimit=rule.operations, memlimit=rule.memory_bytes)
    except (ValueError, nacl.exceptions.CryptoError) as error:
        raise BackupDamaged(f"the header's key rule cannot be used: {error}") from error


# -- writing -----------------------------------------------------------------------------------------------------------


class _Sealer(io.RawIOBase):
    """Takes the tar stream, writes sealed pieces."""

    def __init__(self, file: IO[bytes], head: bytes, key: bytes) -> None:
        self._file = file
        self._head = head
        self._buffer = bytearray()
        self._state = sodium.crypto_secretstream_xchacha20poly1305_state()
        file.write(sodium.crypto_secretstream_xchacha20poly1305_init_push(self._state, key))

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._buffer += data
        while len(self._buffer) > PIECE_BYTES:
            self._seal(bytes(self._buffer[:PIECE_BYTES]), sodium.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE)
            del self._buffer[:PIECE_BYTES]
        return len(data)

    def finish(self) -> None:
        """The last piece."""
        self._seal(bytes(self._buffer), sodium.crypto_secretstream_xchacha20poly1305_TAG_FINAL)

    def _seal(self, piece: bytes, tag: int) -> None:
        packed = zlib.compress(piece, 1)
        sealed = sodium.crypto_secretstream_xchacha20poly1305_push(self._state, packed, self._head, tag)
        self._file.write(_LENGTH.pack(len(sealed)) + sealed)


def write_backup(target: Path, header: Header, passphrase: str, files: list[tuple[str, Path]]) -> Iterator[int]:
    """Write `files` (name inside, path) into `target`, which appears only when it is whole and synced.

    Yields the bytes read so far. Raises OSError; what was begun is removed then.
    """
    part = target.with_name(f"{target.name}.part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            head = msgspec.json.encode(header) + b"\n"
            file.write(MAGIC + head)
            sealer = _Sealer(file, head, _key(header, passphrase))
            yield from _write_tar(sealer, files)
            sealer.finish()
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
        _sync_directory(target.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _write_tar(sealer: _Sealer, files: list[tuple[str, Path]]) -> Iterator[int]:
    done = 0
    with tarfile.open(fileobj=sealer, mode="w|", format=tarfile.PAX_FORMAT, bufsize=PIECE_BYTES) as tar:
        for name, path in files:
            info = tarfile.TarInfo(name)
            with path.open("rb") as source:
                stat = os.fstat(source.fileno())
                info.size, info.mtime, info.mode = stat.st_size, int(stat.st_mtime), 0o600
                tar.addfile(info, source)
            done += info.size
            yield done


# -- reading -----------------------------------------------------------------------------------------------------------


def read_header(path: Path) -> Header:
    """What the file says of itself. Raises `BackupDamaged` or OSError."""
    with path.open("rb") as file:
        return _read_head(file)[0]


def _read_head(file: IO[bytes]) -> tuple[Header, bytes]:
    if file.read(len(MAGIC)) != MAGIC:
        raise BackupDamaged("this is no backup of a Leafbox, or one of another format")
    head = file.readline(HEADER_BYTES_MAX)
    try:
        return msgspec.json.decode(head, type=Header), head
    except msgspec.MsgspecError as error:
        raise BackupDamaged(f"the header is damaged: {error}") from error


class _Opener(io.RawIOBase):
    """Gives the tar stream back, piece by piece, each checked before a byte of it is handed out."""

    def __init__(self, file: IO[bytes], passphrase: str) -> None:
        self.header, self._head = _read_head(file)
        self._file = file
        self._rest = b""
        self._is_final = False
        self._state = sodium.crypto_secretstream_xchacha20poly1305_state()
        first = file.read(sodium.crypto_secretstream_xchacha20poly1305_HEADERBYTES)
        if len(first) != sodium.crypto_secretstream_xchacha20poly1305_HEADERBYTES:
            raise BackupDamaged("the file is cut off behind its header")
        key = _key(self.header, passphrase)
        sodium.crypto_secretstream_xchacha20poly1305_init_pull(self._state, first, key)
        self.pieces = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._rest and not self._is_final:
            self._rest = self._open()
        taken = self._rest[: len(buffer)]
        buffer[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        return len(taken)

    def finish(self) -> None:
        """Read to the end and make sure that it is the end."""
        while not self._is_final:
            self._open()
        if self._file.read(1):
            raise BackupDamaged("there are bytes behind the end of the backup")

    def _open(self) -> bytes:
        where = f"piece {self.pieces + 1}"
        size = self._file.read(_LENGTH.size)
        if len(size) != _LENGTH.size:
            raise BackupDamaged(f"the file is cut off before {where}")
        (length,) = _LENGTH.unpack(size)
        if not sodium.crypto_secretstream_xchacha20poly1305_ABYTES <= length <= SEALED_BYTES_MAX:
            raise BackupDamaged(f"{where} is damaged: impossible length")
        sealed = self._file.read(length)
        if len(sealed) != length:
            raise BackupDamaged(f"the file is cut off in {where}")
        try:
            packed, tag = sodium.crypto_secretstream_xchacha20poly1305_pull(self._state, sealed, self._head)
        except nacl.exceptions.CryptoError:
            wrong = "the passphrase is wrong, or " if self.header.is_encrypted and self.pieces == 0 else ""
            raise BackupDamaged(f"{wrong}{where} is damaged") from None
        self.pieces += 1
        self._is_final = tag == sodium.crypto_secretstream_xchacha20poly1305_TAG_FINAL
        inflater = zlib.decompressobj()
        try:
            piece = inflater.decompress(packed, PIECE_BYTES + 1)
        except zlib.error as error:
            raise BackupDamaged(f"{where} is damaged: {error}") from error
        if len(piece) > PIECE_BYTES:
            raise BackupDamaged(f"{where} is larger than a piece may be")
        return piece


def read_backup(path: Path, passphrase: str, target: Path | None) -> Iterator[Contents]:
    """Check a whole backup, and with `target` (an empty directory) unpack it there, synced.

    Yields what was seen so far, the same object each time. Raises `BackupDamaged` or OSError; what was unpacked by then
    is the caller's to remove.
    """
    contents = Contents()
    with path.open("rb") as file:
        opener = _Opener(file, passphrase)
        stream = io.BufferedReader(opener, PIECE_BYTES)
        try:
            with tarfile.open(fileobj=stream, mode="r|", bufsize=PIECE_BYTES) as tar:
                for member in tar:
                    _take_member(tar, member, target, contents)
                    yield contents
        except tarfile.TarError as error:
            raise BackupDamaged(f"the contents are damaged: {error}") from error
        opener.finish()
    if target is not None:
        for folder, _, _ in os.walk(target):
            _sync_directory(Path(folder))
    yield contents


def _take_member(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path | None, contents: Contents) -> None:
    name = PurePosixPath(member.name)
    # The seals say who wrote it, not that it is harmless: an unencrypted file can be made by anybody.
    if not member.isreg() or name.is_absolute() or ".." in name.parts or "\0" in member.name:
        raise BackupDamaged(f"it holds something that no backup of ours has: {member.name!r}")
    contents.files += 1
    if contents.files > FILES_MAX:
        raise BackupDamaged(f"it holds more than {FILES_MAX} files")
    contents.tar_bytes += member.size
    contents.names.append(member.name)
    source = tar.extractfile(member)
    assert source is not None
    if target is None:
        while source.read(PIECE_BYTES):
            pass
        return
    place = target / name
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        while piece := source.read(PIECE_BYTES):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
