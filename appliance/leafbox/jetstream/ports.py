"""What JetStream needs of the rest: durable storage, and words about clients. The wiring supplies both.

JetStream keeps messages in `StreamStore`s and everything else (definitions, consumer progress) as small values under a
kind and a key. A value can be extended by deltas, which come back in order behind it after a restart.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import Protocol

from leafbox.dataplane.stream_store import StreamStore
from leafbox.protocol.jetstream.go_json import JsonObject
from leafbox.protocol.jetstream.info import ConsumerInfo


class ValueKind(enum.IntEnum):
    """Namespaces of JetStream's durable values; the numbers are those of the store's table (`BlobKind`)."""

    STREAM = 1
    CONSUMER = 2
    PROGRESS = 3
    SOURCES = 13
    IDS = 14


class DurableStore(Protocol):
    """The appliance's storage as JetStream sees it. Used on the loop thread; nothing here waits for the disk.

    Methods that change something return the log sequence number of the change; it is durable once the callbacks of
    `add_durable_callback` report that number or a higher one.
    """

    def create_stream(self, name: bytes, is_memory: bool, is_urgent: bool) -> StreamStore:
        """A new, empty store. `is_urgent` False: appends wait for the next commit that something else asks for."""
        ...

    def recovered_stream(self, name: bytes) -> StreamStore | None:
        """The store of a file stream that was there at the start."""
        ...

    def delete_stream(self, store: StreamStore) -> int:
        """Drop a store with all its messages."""
        ...

    def put(self, kind: ValueKind, key: bytes, value: bytes) -> int:
        """Set a value and drop its deltas."""
        ...

    def extend(self, kind: ValueKind, key: bytes, delta: bytes, is_urgent: bool = True) -> int:
        """Add a delta to a value."""
        ...

    def delta_head(self, key: bytes) -> bytes | None:
        """What the log record of a delta of this key begins with, for compiled code that appends it itself after an
        `extend`, until the next snapshot of the key is asked for. None: there is no log."""
        ...

    def delete(self, kind: ValueKind, key: bytes) -> int:
        """Remove a value and its deltas; unknown keys are ignored."""
        ...

    def values(self, kind: ValueKind) -> Iterable[tuple[bytes, bytes, list[bytes]]]:
        """Every (key, value, deltas) of a kind: values as they are, deltas as far as they were there at the start."""
        ...

    def supply_snapshots(self, kind: ValueKind, snapshot: Callable[[bytes], bytes | None]) -> None:
        """Whenever the storage folds its log it asks `snapshot(key)`, on the loop, for the value that supersedes the
        key's deltas so far; None: it has no owner now, and the deltas that a start found are kept."""
        ...

    def add_durable_callback(self, callback: Callable[[int], None]) -> None:
        """Tell `callback` the durable log sequence number, on the loop, whenever it rises."""
        ...

    @property
    def durable_lsn(self) -> int:
        """How far the log is on the device; after recovery, everything that was recovered."""
        ...

    @property
    def is_accepting(self) -> bool:
        """False while the store cannot take messages (failed, full); the API refuses with 10023 then."""
        ...


class ShownConsumers(Protocol):
    """Who else reads a stream, in the form of consumers: shown by the API, changed by nobody through it."""

    def count(self) -> int:
        """How many there are."""
        ...

    def names(self) -> list[str]:
        """Their names; all begin with `names.SHOWN_PREFIX`."""
        ...

    def info(self, name: str, *, is_listed: bool = False) -> ConsumerInfo | None:
        """One of them, shorter where many are listed; None: there is none of that name."""
        ...


class ClientDescriber(Protocol):
    """Describes the origin of an API request for advisories (`client` of the audit event); None: internal."""

    def __call__(self, origin: object) -> JsonObject | None: ...
