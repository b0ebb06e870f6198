"""StreamConfig and its parts, field for field and in the order of nats-server 2.15 (API level 5)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from leafbox.protocol.jetstream.go_json import (
    Duration,
    GoEnum,
    GoStruct,
    GoType,
    Int,
    Int32,
    Int64,
    InvalidJson,
    Json,
    OptionalTimestamp,
    Uint64,
)


class RetentionPolicy(GoEnum):
    """What lets a message go: limits only, the interest of consumers, or one acknowledgement."""

    LIMITS = "limits"
    INTEREST = "interest"
    WORKQUEUE = "workqueue"


class DiscardPolicy(GoEnum):
    """At a limit: drop the oldest message or refuse the new one."""

    OLD = "old"
    NEW = "new"

    @classmethod
    def from_json(cls, value: Json) -> GoEnum:
        if isinstance(value, str) and value.lower() in cls._value2member_map_:
            return cls(value.lower())
        return super().from_json(value)


class StorageType(GoEnum):
    """Where messages live; the empty zero value becomes `file`."""

    UNSET = ""
    FILE = "file"
    MEMORY = "memory"

    @classmethod
    def from_json(cls, value: Json) -> GoEnum:
        if value == "":
            raise InvalidJson(cls.refusal('""'))
        return super().from_json(value)


class StoreCompression(GoEnum):
    """Compression of the store's blocks."""

    NONE = "none"
    S2 = "s2"

    @classmethod
    def from_json(cls, value: Json) -> GoEnum:
        if (isinstance(value, str) and type(value) is not str) or isinstance(value, bool):
            kind = "bool" if isinstance(value, bool) else "number"
            raise InvalidJson(f"json: cannot unmarshal {kind} into Go value of type string")
        return super().from_json(value)

    @classmethod
    def refusal(cls, raw: str) -> str:
        return "unknown compression algorithm"


class PersistMode(GoEnum):
    """`async`: a publish may be acknowledged before it is flushed."""

    DEFAULT = "default"
    ASYNC = "async"

    @classmethod
    def from_json(cls, value: Json) -> GoEnum:
        return cls.DEFAULT if value == "" else super().from_json(value)


class Placement(GoStruct, frozen=True, kw_only=True):
    """Kept for the echo only: a single server ignores it."""

    GO_NAME: ClassVar[str] = "Placement"
    cluster: str = ""
    tags: tuple[str, ...] = ()
    preferred: str = ""


class ExternalStream(GoStruct, frozen=True, kw_only=True):
    """How to reach a stream of another account or domain: API prefix and delivery prefix."""

    GO_NAME: ClassVar[str] = "ExternalStream"
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"api", "deliver"})
    api: str = ""
    deliver: str = ""


class SubjectTransformConfig(GoStruct, frozen=True, kw_only=True):
    """Subjects that match `src` become `dest`; an empty `src` is `>`."""

    GO_NAME: ClassVar[str] = "SubjectTransformConfig"
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"src", "dest"})
    src: str = ""
    dest: str = ""


class StreamConsumerSource(GoStruct, frozen=True, kw_only=True):
    """A durable consumer that someone created in advance for sourcing (2.14)."""

    GO_NAME: ClassVar[str] = "StreamConsumerSource"
    name: str = ""
    deliver_subject: str = ""


class StreamSource(GoStruct, frozen=True, kw_only=True):
    """An origin to mirror or to source from."""

    GO_NAME: ClassVar[str] = "StreamSource"
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"name"})
    name: str = ""
    opt_start_seq: Uint64 = 0
    opt_start_time: OptionalTimestamp = None
    filter_subject: str = ""
    subject_transforms: tuple[SubjectTransformConfig, ...] = ()
    external: ExternalStream | None = None
    consumer: StreamConsumerSource | None = None

    def index_name(self) -> str:
        """Identifies this source among those of one stream, also when two name the same origin."""
        external = f":{self.external.api}" if self.external is not None else ""
        if self.subject_transforms:
            sources = ",".join(item.src for item in self.subject_transforms)
            destinations = ",".join(item.dest for item in self.subject_transforms)
            return f"{self.name}{external} {sources} {destinations}"
        return f"{self.name}{external} {self.filter_subject or '>'} >"


class RePublish(GoStruct, frozen=True, kw_only=True):
    """Stored messages that match `src` are published again as `dest`."""

    GO_NAME: ClassVar[str] = "RePublish"
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"dest"})
    src: str = ""
    dest: str = ""
    headers_only: bool = False


class StreamConsumerLimits(GoStruct, frozen=True, kw_only=True):
    """Upper bounds and defaults for the stream's consumers."""

    GO_NAME: ClassVar[str] = "StreamConsumerLimits"
    inactive_threshold: Duration = 0
    max_ack_pending: Int = 0


class StreamConfig(GoStruct, frozen=True, kw_only=True):
    """A stream's configuration; numbers are counts, bytes or nanoseconds, -1 is "no limit"."""

    GO_NAME: ClassVar[str] = "StreamConfig"
    ALWAYS: ClassVar[frozenset[str]] = frozenset(
        {
            "name",
            "retention",
            "max_consumers",
            "max_msgs",
            "max_bytes",
            "max_age",
            "max_msgs_per_subject",
            "discard",
            "storage",
            "num_replicas",
            "compression",
            "allow_direct",
            "mirror_direct",
            "sealed",
            "deny_delete",
            "deny_purge",
            "allow_rollup_hdrs",
            "consumer_limits",
            "allow_msg_ttl",
        }
    )
    name: str = ""
    description: str = ""
    subjects: tuple[str, ...] = ()
    retention: RetentionPolicy = RetentionPolicy.LIMITS
    max_consumers: Int = 0
    max_msgs: Int64 = 0
    max_bytes: Int64 = 0
    max_age: Duration = 0
    max_msgs_per_subject: Int64 = 0
    max_msg_size: Int32 = 0
    discard: DiscardPolicy = DiscardPolicy.OLD
    storage: StorageType = StorageType.UNSET
    num_replicas: Int = 0
    no_ack: bool = False
    duplicate_window: Duration = 0
    placement: Placement | None = None
    mirror: StreamSource | None = None
    sources: Annotated[tuple[StreamSource, ...], GoType("[]*server.StreamSource")] = ()
    compression: StoreCompression = StoreCompression.NONE
    first_seq: Uint64 = 0
    subject_transform: SubjectTransformConfig | None = None
    republish: RePublish | None = None
    allow_direct: bool = False
    mirror_direct: bool = False
    discard_new_per_subject: bool = False
    sealed: bool = False
    deny_delete: bool = False
    deny_purge: bool = False
    allow_rollup_hdrs: bool = False
    consumer_limits: StreamConsumerLimits = StreamConsumerLimits()
    allow_msg_ttl: bool = False
    subject_delete_marker_ttl: Duration = 0
    allow_msg_counter: bool = False
    allow_atomic: bool = False
    allow_msg_schedules: bool = False
    persist_mode: PersistMode = PersistMode.DEFAULT
    allow_batched: bool = False
    metadata: dict[str, str] = msgspec.field(default_factory=dict)


class StreamConfigRequest(StreamConfig, frozen=True, kw_only=True):
    """Create and update requests: the configuration and, for the request only, `pedantic`."""

    GO_NAME: ClassVar[str] = "StreamConfigRequest"
    pedantic: bool = False

    def config(self) -> StreamConfig:
        """The configuration without what belongs to the request."""
        return StreamConfig(**{name: getattr(self, name) for name in StreamConfig.__struct_fields__})
