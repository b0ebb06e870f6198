"""Bodies of the other API requests. Field names and order are nats-server's; all fields are optional."""

from __future__ import annotations

from typing import ClassVar

from leafbox.protocol.jetstream.go_json import GoStruct, Int, OptionalTimestamp, Timestamp, Uint64
from leafbox.protocol.jetstream.go_time import ZERO_TIME
from leafbox.protocol.jetstream.info import StreamState
from leafbox.protocol.jetstream.stream_config import StreamConfig


class PagedRequest(GoStruct, frozen=True, kw_only=True):
    """Consumer names and lists."""

    GO_NAME: ClassVar[str] = "JSApiConsumersRequest"
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"offset"})
    offset: Int = 0


class StreamNamesRequest(PagedRequest, frozen=True, kw_only=True):
    """Stream names; `subject` keeps the streams whose subjects overlap with it."""

    GO_NAME: ClassVar[str] = "JSApiStreamNamesRequest"
    subject: str = ""


class StreamListRequest(PagedRequest, frozen=True, kw_only=True):
    """Stream infos, filtered like the names."""

    GO_NAME: ClassVar[str] = "JSApiStreamListRequest"
    subject: str = ""


class StreamInfoRequest(PagedRequest, frozen=True, kw_only=True):
    """Options of a stream's info."""

    GO_NAME: ClassVar[str] = "JSApiStreamInfoRequest"
    deleted_details: bool = False
    subjects_filter: str = ""


class StreamPurgeRequest(GoStruct, frozen=True, kw_only=True):
    """Purge below `seq`, or keep the newest `keep`, of the subjects that match `filter`."""

    GO_NAME: ClassVar[str] = "JSApiStreamPurgeRequest"
    seq: Uint64 = 0
    filter: str = ""
    keep: Uint64 = 0


class MsgDeleteRequest(GoStruct, frozen=True, kw_only=True):
    """Delete one message; without `no_erase` its bytes are overwritten."""

    GO_NAME: ClassVar[str] = "JSApiMsgDeleteRequest"
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"seq"})
    seq: Uint64 = 0
    no_erase: bool = False


class MsgGetRequest(GoStruct, frozen=True, kw_only=True):
    """Get a message, or with direct get a batch of them (ADR-31)."""

    GO_NAME: ClassVar[str] = "JSApiMsgGetRequest"
    seq: Uint64 = 0
    last_by_subj: str = ""
    next_by_subj: str = ""
    batch: Int = 0
    max_bytes: Int = 0
    start_time: OptionalTimestamp = None
    multi_last: tuple[str, ...] = ()
    up_to_seq: Uint64 = 0
    up_to_time: OptionalTimestamp = None
    no_hdr: bool = False


class StreamSnapshotRequest(GoStruct, frozen=True, kw_only=True):
    """Ask for a backup, sent in chunks to `deliver_subject`."""

    GO_NAME: ClassVar[str] = "JSApiStreamSnapshotRequest"
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"deliver_subject"})
    deliver_subject: str = ""
    no_consumers: bool = False
    chunk_size: Int = 0
    window_size: Int = 0
    jsck: bool = False


class StreamRestoreRequest(GoStruct, frozen=True, kw_only=True):
    """Announce a restore: the configuration to use and the state to expect."""

    GO_NAME: ClassVar[str] = "JSApiStreamRestoreRequest"
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"config", "state"})
    config: StreamConfig = StreamConfig()
    state: StreamState = StreamState()


class ConsumerPauseRequest(GoStruct, frozen=True, kw_only=True):
    """Pause until a time; none or a past one resumes."""

    GO_NAME: ClassVar[str] = "JSApiConsumerPauseRequest"
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"pause_until"})
    pause_until: Timestamp = ZERO_TIME


class ConsumerUnpinRequest(GoStruct, frozen=True, kw_only=True):
    """Take the pin from a priority group's holder."""

    GO_NAME: ClassVar[str] = "JSApiConsumerUnpinRequest"
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"group"})
    group: str = ""


class ConsumerResetRequest(GoStruct, frozen=True, kw_only=True):
    """Go back to a sequence; 0 is the ack floor."""

    GO_NAME: ClassVar[str] = "JSApiConsumerResetRequest"
    seq: Uint64 = 0


class NextRequest(GoStruct, frozen=True, kw_only=True):
    """A pull request's JSON body (ADR-13, ADR-37, ADR-42); durations in nanoseconds."""

    # nats-server decodes it through a pooled pointer, so Go's texts have no type name.
    GO_NAME: ClassVar[str] = ""
    expires: Int = 0
    batch: Int = 0
    max_bytes: Int = 0
    no_wait: bool = False
    idle_heartbeat: Int = 0
    group: str = ""
    min_pending: Int = 0
    min_ack_pending: Int = 0
    id: str = ""
    priority: Int = 0
