"""What is stored of streams and consumers besides messages and progress; JSON, as the API shows configurations."""

from __future__ import annotations

import hashlib
from typing import ClassVar

import msgspec

from leafbox.protocol.jetstream.consumer_config import ConsumerConfig
from leafbox.protocol.jetstream.go_json import GoStruct, Timestamp, Uint64
from leafbox.protocol.jetstream.go_time import ZERO_TIME
from leafbox.protocol.jetstream.stream_config import StreamConfig

_KEY_BYTES_MAX = 400


class StoredStream(GoStruct, frozen=True, kw_only=True):
    """A stream's definition."""

    ALWAYS: ClassVar[frozenset[str]] = frozenset({"account", "config", "created"})
    account: str = ""
    config: StreamConfig = StreamConfig()
    created: Timestamp = ZERO_TIME


class StoredConsumer(GoStruct, frozen=True, kw_only=True):
    """A consumer's definition; the name may be one that was made up."""

    ALWAYS: ClassVar[frozenset[str]] = frozenset({"account", "stream", "config", "name", "created"})
    account: str = ""
    stream: str = ""
    config: ConsumerConfig = ConsumerConfig()
    name: str = ""
    created: Timestamp = ZERO_TIME


class StoredPlace(GoStruct, frozen=True):
    """How far one source was taken, and the identity of the stream it was."""

    ALWAYS: ClassVar[frozenset[str]] = frozenset({"seq"})
    seq: Uint64 = 0
    identity: str = ""


class StoredPlaces(GoStruct, frozen=True):
    """The places of all sources of a stream when its last message was `last_seq`."""

    ALWAYS: ClassVar[frozenset[str]] = frozenset({"last_seq", "places"})
    last_seq: Uint64 = 0
    places: dict[str, StoredPlace] = msgspec.field(default_factory=dict)


def value_key(*names: str) -> bytes:
    """Key of a durable value: the names that identify it; hashed when they are too long for the storage."""
    key = "\x00".join(names).encode()
    return key if len(key) <= _KEY_BYTES_MAX else b"\xff" + hashlib.sha256(key).digest()
