"""What of the store people, sessions, tokens and the audit record need; `app` supplies it."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Protocol, TypeVar

import msgspec

from leafbox.protocol.errors import BoxRequestFailed

T = TypeVar("T")


class RecordKind(enum.Enum):
    """Namespaces of durable records."""

    PERSON = "person"
    SESSION = "session"
    TOKEN = "token"  # noqa: S105
    AUDIT = "audit"


class Records(Protocol):
    """Small durable values. Changes take effect at once; `durable` waits until all so far are on flash."""

    def put(self, kind: RecordKind, key: bytes, value: bytes) -> None:
        """Set one."""
        ...

    def delete(self, kind: RecordKind, key: bytes) -> None:
        """Remove one; an unknown key is ignored."""
        ...

    def get(self, kind: RecordKind, key: bytes) -> bytes | None:
        """One, or None."""
        ...

    def items(self, kind: RecordKind) -> Iterable[tuple[bytes, bytes]]:
        """All of a kind, keys ascending."""
        ...

    async def durable(self) -> None:
        """Returns when everything changed so far is on flash. Raises `BoxRequestFailed` when the store cannot."""
        ...


def decoded(value: bytes, record: type[T]) -> T:
    """A stored record. Raises `BoxRequestFailed` for one of another version."""
    try:
        return msgspec.json.decode(value, type=record)
    except msgspec.DecodeError as error:
        reason = f"a stored {record.__name__} cannot be read: {error}"
        raise BoxRequestFailed("failed", reason, "restore a backup of this version") from error
