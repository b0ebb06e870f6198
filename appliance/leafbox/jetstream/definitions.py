"""What is stored of streams and consumers besides messages and progress; JSON, as the API shows configurations."""

from __future__ import annotations

from typing import ClassVar

from leafbox.protocol.jetstream.consumer_config import ConsumerConfig
from leafbox.protocol.jetstream.go_json import GoStruct, Timestamp
from leafbox.protocol.jetstream.go_time import ZERO_TIME
from leafbox.protocol.jetstream.stream_config import StreamConfig


class StoredStream(GoStruct, frozen=True, kw_only=True):
    """A stream's definition."""

    ALWAYS: ClassVar[frozenset[str]] = frozenset({"config", "created"})
    config: StreamConfig = StreamConfig()
    created: Timestamp = ZERO_TIME


class StoredConsumer(GoStruct, frozen=True, kw_only=True):
    """A consumer's definition; the name may be one that was made up."""

    ALWAYS: ClassVar[frozenset[str]] = frozenset({"config", "name", "created"})
    config: ConsumerConfig = ConsumerConfig()
    name: str = ""
    created: Timestamp = ZERO_TIME
