"""A resolver's directory: one file `<account>.jwt` for each account, as nats-server lays it out (config section 7).

What `save` and `delete` have done is on flash when they return, file and directory; they block, so they are called off
the loop, one at a time. A file that is no token of the account in its name is told of and left alone. Not here: whose
tokens may come in.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections import OrderedDict
from pathlib import Path

from leafbox.protocol.errors import LimitExceeded
from leafbox.protocol.jwt import JWT_BYTES_MAX
from leafbox.protocol.nkeys import KeyRole, is_public

logger = logging.getLogger(__name__)

ENDING = ".jwt"
DELETED_ENDING = ".jwt.deleted"
_PART_ENDING = ".part"
CACHED_ACCOUNTS_MAX = 1000
"""Of a cache without `limit`, as in nats-server."""
STORED_ACCOUNTS_MAX = 10_000
"""Of a full directory without `limit`: nats-server has none. Each is an account in memory, some 10 KB, and all are read
at start."""


class AccountDirectory:
    """The files of one directory, in the order in which they were used last."""

    def __init__(
        self, directory: str, *, accounts_max: int = 0, evicts: bool = False, is_delete_final: bool = False
    ) -> None:
        """`evicts`: a cache, where a new account takes the place of the one used least lately."""
        self._directory = Path(directory)
        self._accounts_max = accounts_max or (CACHED_ACCOUNTS_MAX if evicts else STORED_ACCOUNTS_MAX)
        self._evicts = evicts
        self._is_delete_final = is_delete_final or evicts
        self.tokens: OrderedDict[str, str] = OrderedDict()
        """What the files hold, by account."""

    def load(self) -> None:
        """Read all files; makes the directory if there is none. Raises OSError."""
        self._directory.mkdir(parents=True, exist_ok=True)
        for path in sorted(self._directory.iterdir(), key=lambda path: path.name):
            if path.name.endswith(ENDING + _PART_ENDING):
                # A crash came between; it was never answered.
                path.unlink(missing_ok=True)
            elif path.name.endswith(ENDING):
                self._load(path)

    def _load(self, path: Path) -> None:
        key = path.name.removesuffix(ENDING)
        if not is_public(key, KeyRole.ACCOUNT) or path.stat().st_size > JWT_BYTES_MAX:
            logger.warning("file=%s is no account's JWT and is left alone", path)
        elif len(self.tokens) >= self._accounts_max:
            logger.warning("file=%s is left alone, the limit of %d accounts is reached", path, self._accounts_max)
        else:
            self.tokens[key] = path.read_text(encoding="ascii", errors="replace").strip()

    def save(self, key: str, token: str) -> str:
        """Keep an account's token. Raises `LimitExceeded` or OSError, and nothing has changed then.

        The account that a cache gave up for it; else empty.
        """
        evicted = ""
        if key not in self.tokens and len(self.tokens) >= self._accounts_max:
            if not self._evicts:
                raise LimitExceeded("jwt store is full", self._accounts_max, self._accounts_max + 1)
            evicted = next(iter(self.tokens))
        path = self._directory / (key + ENDING)
        part = path.with_name(path.name + _PART_ENDING)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(token.encode("ascii"))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        if evicted:
            (self._directory / (evicted + ENDING)).unlink(missing_ok=True)
            del self.tokens[evicted]
        self._sync()
        self.tokens[key] = token
        self.tokens.move_to_end(key)
        return evicted

    def delete(self, key: str) -> None:
        """Forget an account; the file is renamed or removed. Unknown ones are fine. Raises OSError."""
        path = self._directory / (key + ENDING)
        if path.exists():
            if self._is_delete_final:
                path.unlink()
            else:
                path.replace(self._directory / (key + DELETED_ENDING))
            self._sync()
        self.tokens.pop(key, None)

    def use(self, key: str) -> None:
        """It is wanted, so it is not the next to be given up."""
        if key in self.tokens:
            self.tokens.move_to_end(key)

    def digest(self) -> bytes:
        """Equal for directories with equal tokens: what servers compare before they exchange any."""
        total = 0
        for token in self.tokens.values():
            total ^= int.from_bytes(hashlib.sha256(token.encode()).digest())
        return total.to_bytes(hashlib.sha256().digest_size)

    def _sync(self) -> None:
        folder = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
