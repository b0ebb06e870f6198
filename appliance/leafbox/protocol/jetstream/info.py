"""States and infos as the API reports them; immutable snapshots in nats-server's key order."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from leafbox.protocol.jetstream.consumer_config import ConsumerConfig
from leafbox.protocol.jetstream.go_json import (
    Duration,
    GoStruct,
    GoType,
    Int,
    Int64,
    OptionalTimestamp,
    Timestamp,
    Uint64,
)
from leafbox.protocol.jetstream.go_time import ZERO_TIME
from leafbox.protocol.jetstream.stream_config import ExternalStream, StreamConfig, SubjectTransformConfig


class ApiErrorBody(GoStruct, frozen=True, kw_only=True):
    """The `error` object of a response."""

    GO_NAME: ClassVar[str] = "ApiError"
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"code"})
    code: Int = 0
    err_code: Int = 0
    description: str = ""


class LostStreamData(GoStruct, frozen=True, kw_only=True):
    """Messages that the store lost and knows it."""

    GO_NAME: ClassVar[str] = "LostStreamData"
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"msgs", "bytes"})
    msgs: tuple[Uint64, ...] = ()
    bytes: Uint64 = 0


class StreamState(GoStruct, frozen=True, kw_only=True):
    """Counts and bounds of a stream; `deleted` lists interior gaps only."""

    GO_NAME: ClassVar[str] = "StreamState"
    ALWAYS: ClassVar[frozenset[str]] = frozenset(
        {
            "messages",
            "bytes",
            "first_seq",
            "first_ts",
            "last_seq",
            "last_ts",
            "consumer_count",
        }
    )
    messages: Uint64 = 0
    bytes: Uint64 = 0
    first_seq: Uint64 = 0
    first_ts: Timestamp = ZERO_TIME
    last_seq: Uint64 = 0
    last_ts: Timestamp = ZERO_TIME
    num_subjects: Int = 0
    subjects: dict[str, Uint64] = msgspec.field(default_factory=dict)
    num_deleted: Int = 0
    deleted: tuple[Uint64, ...] = ()
    lost: LostStreamData | None = None
    consumer_count: Int = 0


class ClusterInfo(GoStruct, frozen=True, kw_only=True):
    """A single server names itself as leader and nothing else."""

    GO_NAME: ClassVar[str] = "ClusterInfo"
    leader: str = ""


class StreamSourceInfo(GoStruct, frozen=True, kw_only=True):
    """How far a mirror or source is behind its origin; `active` -1 means never seen."""

    GO_NAME: ClassVar[str] = "StreamSourceInfo"
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"name", "lag", "active"})
    name: str = ""
    external: ExternalStream | None = None
    lag: Uint64 = 0
    active: Duration = 0
    error: ApiErrorBody | None = None
    filter_subject: str = ""
    subject_transforms: tuple[SubjectTransformConfig, ...] = ()
    seq: Uint64 = 0


class StreamInfo(GoStruct, frozen=True, kw_only=True):
    """Configuration and state of a stream at `ts`."""

    GO_NAME: ClassVar[str] = "StreamInfo"
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"config", "created", "state", "ts"})
    config: StreamConfig = StreamConfig()
    created: Timestamp = ZERO_TIME
    state: StreamState = StreamState()
    domain: str = ""
    cluster: ClusterInfo | None = None
    mirror: StreamSourceInfo | None = None
    sources: Annotated[tuple[StreamSourceInfo, ...], GoType("[]*server.StreamSourceInfo")] = ()
    ts: Timestamp = ZERO_TIME


class SequenceInfo(GoStruct, frozen=True, kw_only=True):
    """A position in both sequences and when it last moved."""

    GO_NAME: ClassVar[str] = "SequenceInfo"
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"consumer_seq", "stream_seq"})
    consumer_seq: Uint64 = 0
    stream_seq: Uint64 = 0
    last_active: OptionalTimestamp = None


class PriorityGroupState(GoStruct, frozen=True, kw_only=True):
    """Who holds a group's pin."""

    GO_NAME: ClassVar[str] = "PriorityGroupState"
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"group", "pinned_ts"})
    group: str = ""
    pinned_client_id: str = ""
    pinned_ts: Timestamp = ZERO_TIME


class ConsumerInfo(GoStruct, frozen=True, kw_only=True):
    """Configuration and state of a consumer at `ts`."""

    GO_NAME: ClassVar[str] = "ConsumerInfo"
    ALWAYS: ClassVar[frozenset[str]] = frozenset(
        {
            "stream_name",
            "name",
            "created",
            "delivered",
            "ack_floor",
            "num_ack_pending",
            "num_redelivered",
            "num_waiting",
            "num_pending",
            "ts",
        }
    )
    stream_name: str = ""
    name: str = ""
    created: Timestamp = ZERO_TIME
    config: ConsumerConfig | None = None
    delivered: SequenceInfo = SequenceInfo()
    ack_floor: SequenceInfo = SequenceInfo()
    num_ack_pending: Int = 0
    num_redelivered: Int = 0
    num_waiting: Int = 0
    num_pending: Uint64 = 0
    cluster: ClusterInfo | None = None
    push_bound: bool = False
    paused: bool = False
    pause_remaining: Duration = 0
    ts: Timestamp = ZERO_TIME
    priority_groups: tuple[PriorityGroupState, ...] = ()


class StoredMsg(GoStruct, frozen=True, kw_only=True):
    """A message as STREAM.MSG.GET returns it; header block and body in base64."""

    GO_NAME: ClassVar[str] = "StoredMsg"
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"subject", "seq", "time"})
    subject: str = ""
    seq: Uint64 = 0
    hdrs: bytes = b""
    data: bytes = b""
    time: Timestamp = ZERO_TIME


class AccountLimits(GoStruct, frozen=True, kw_only=True):
    """What an account, or one of its tiers, may use; -1 is "no limit"."""

    GO_NAME: ClassVar[str] = "JetStreamAccountLimits"
    ALWAYS: ClassVar[frozenset[str]] = frozenset(
        {
            "max_memory",
            "max_storage",
            "max_streams",
            "max_consumers",
            "max_ack_pending",
            "memory_max_stream_bytes",
            "storage_max_stream_bytes",
            "max_bytes_required",
        }
    )
    max_memory: Int64 = -1
    max_storage: Int64 = -1
    max_streams: Int = -1
    max_consumers: Int = -1
    max_ack_pending: Int = -1
    memory_max_stream_bytes: Int64 = -1
    storage_max_stream_bytes: Int64 = -1
    max_bytes_required: bool = False


class TierUsage(GoStruct, frozen=True, kw_only=True):
    """Usage and limits of one tier, or of the whole account."""

    GO_NAME: ClassVar[str] = "JetStreamTier"
    ALWAYS: ClassVar[frozenset[str]] = frozenset(
        {
            "memory",
            "storage",
            "reserved_memory",
            "reserved_storage",
            "streams",
            "consumers",
            "limits",
        }
    )
    memory: Uint64 = 0
    storage: Uint64 = 0
    reserved_memory: Uint64 = 0
    reserved_storage: Uint64 = 0
    streams: Int = 0
    consumers: Int = 0
    limits: AccountLimits = AccountLimits()


class ApiStats(GoStruct, frozen=True, kw_only=True):
    """API level and requests so far; a request is not in its own count."""

    GO_NAME: ClassVar[str] = "JetStreamAPIStats"
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"level", "total", "errors"})
    level: Int = 0
    total: Uint64 = 0
    errors: Uint64 = 0
    inflight: Uint64 = 0


class AccountStats(TierUsage, frozen=True, kw_only=True):
    """The account info document."""

    GO_NAME: ClassVar[str] = "JetStreamAccountStats"
    ALWAYS: ClassVar[frozenset[str]] = TierUsage.ALWAYS | {"api"}
    domain: str = ""
    api: ApiStats = ApiStats()
    tiers: dict[str, TierUsage] = msgspec.field(default_factory=dict)
