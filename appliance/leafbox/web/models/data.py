"""Live messages, streams, consumers, key-value buckets, object stores."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from leafbox.web.models.base import Asked, Told

Encoding = Literal["text", "base64"]
Subject = Field(min_length=1, max_length=1024, pattern=r"^[^\s\x00]+$")
StreamName = Field(min_length=1, max_length=255, pattern=r"^[^\s.*>/\\\x00-\x1f]+$")


class Body(Told):
    """A payload: text when it is UTF-8, else base64; cut at `data_bytes_max` of the endpoint."""

    data: str = ""
    encoding: Encoding = "text"
    size: int = 0
    cut: bool = False


class LiveMessage(Told):
    """A message that just passed."""

    subject: str
    reply: str = ""
    headers: dict[str, list[str]] = {}
    body: Body = Body()
    at_s: float = 0


class SubjectNode(Told):
    """A token of the subject tree with what was seen on and below it."""

    token: str
    subject: str
    count: int = 0
    last_s: float = 0
    last: Body | None = None
    children: list[SubjectNode] = []
    cut: bool = Field(default=False, description="There are more children than are kept.")


class SubjectTree(Told):
    """Subjects seen since watching began."""

    nodes: list[SubjectNode]
    subjects: int = 0
    subjects_max: int = 0
    since_s: float = 0
    sampled: bool = Field(default=False, description="More came than is looked at: counts are too low.")


class Publish(Asked):
    """A message to send."""

    subject: str = Subject
    reply: str | None = Field(default=None, max_length=1024, pattern=r"^[^\s\x00]*$")
    headers: dict[str, str] = {}
    data: str = Field(default="", max_length=1_400_000)
    encoding: Encoding = "text"


class Published(Told):
    """Sent, and where it was stored if it was."""

    subject: str
    stored: bool = False
    stream: str = ""
    seq: int = 0


class Request(Publish):
    """A request to send."""

    timeout_s: float = Field(default=2.0, gt=0, le=30)


class Reply(Told):
    """The answer to a request."""

    message: LiveMessage
    took_ms: float


class StreamConfig(Told):
    """How a stream is set up; durations in seconds, -1: no limit."""

    name: str
    description: str = ""
    subjects: list[str] = []
    retention: str = "limits"
    storage: str = "file"
    max_consumers: int = -1
    max_msgs: int = -1
    max_bytes: int = -1
    max_age_s: float = 0
    max_msgs_per_subject: int = -1
    max_msg_size: int = -1
    discard: str = "old"
    duplicate_window_s: float = 0
    allow_rollup: bool = False
    deny_delete: bool = False
    deny_purge: bool = False
    allow_direct: bool = False
    sealed: bool = False
    mirror: str = ""
    sources: list[str] = []
    metadata: dict[str, str] = {}


class StreamState(Told):
    """What a stream holds."""

    messages: int = 0
    bytes: int = 0
    first_seq: int = 0
    first_time: str = ""
    last_seq: int = 0
    last_time: str = ""
    consumers: int = 0
    subjects: int = 0
    deleted: int = 0


class Stream(Told):
    """A stream."""

    config: StreamConfig
    state: StreamState = StreamState()
    created: str = ""
    kind: Literal["stream", "kv", "object", "mqtt", "internal"] = "stream"


class Streams(Told):
    """All streams of an account."""

    streams: list[Stream]
    account: str = ""
    memory_bytes: int = 0
    storage_bytes: int = 0
    memory_bytes_max: int = -1
    storage_bytes_max: int = -1


class StreamAsked(Asked):
    """A stream to be made or changed. `preset` fills in what is not given."""

    name: str = StreamName
    preset: Literal["keep-a-week", "latest-value", "work-queue", "forever", "custom"] = "custom"
    description: str | None = Field(default=None, max_length=4096)
    subjects: list[str] = Field(default=[], max_length=1024)
    retention: Literal["limits", "interest", "workqueue"] | None = None
    storage: Literal["file", "memory"] | None = None
    max_consumers: int | None = None
    max_msgs: int | None = Field(default=None, ge=-1, le=2**63 - 1)
    max_bytes: int | None = Field(default=None, ge=-1, le=2**63 - 1)
    max_age_s: float | None = Field(default=None, ge=0, le=9e9)
    max_msgs_per_subject: int | None = Field(default=None, ge=-1, le=2**63 - 1)
    max_msg_size: int | None = Field(default=None, ge=-1, le=2**31 - 1)
    discard: Literal["old", "new"] | None = None
    duplicate_window_s: float | None = Field(default=None, ge=0, le=9e9)
    allow_rollup: bool | None = None
    deny_delete: bool | None = None
    deny_purge: bool | None = None
    allow_direct: bool | None = None


class Purge(Asked):
    """What is to go: everything, one subject, or what lies before a sequence."""

    subject: str | None = Field(default=None, max_length=1024)
    before_seq: int | None = Field(default=None, ge=0, le=2**63 - 1)
    keep: int | None = Field(default=None, ge=0, le=2**63 - 1)


class Purged(Told):
    """How many messages are gone."""

    purged: int


class StoredMessage(Told):
    """A message of a stream."""

    seq: int
    subject: str
    time: str
    headers: dict[str, list[str]] = {}
    body: Body = Body()


class StoredMessages(Told):
    """Messages in order; `next_seq` continues, 0: there are no more."""

    messages: list[StoredMessage]
    first_seq: int = 0
    last_seq: int = 0
    next_seq: int = 0


class Consumer(Told):
    """A consumer, how far it is and how far behind."""

    name: str
    stream: str
    durable: bool = False
    push: bool = False
    description: str = ""
    filter_subjects: list[str] = []
    deliver_policy: str = ""
    ack_policy: str = ""
    ack_wait_s: float = 0
    max_deliver: int = -1
    max_ack_pending: int = 0
    delivered_stream_seq: int = 0
    ack_floor_stream_seq: int = 0
    lag: int = Field(default=0, description="Messages it has not been given yet.")
    ack_pending: int = 0
    redelivered: int = 0
    waiting: int = 0
    paused: bool = False
    pause_until: str = ""
    pause_remaining_s: float = 0
    last_delivered: str = ""
    created: str = ""


class Consumers(Told):
    """Consumers of a stream."""

    consumers: list[Consumer]


class NewConsumer(Asked):
    """A consumer to be made."""

    name: str = StreamName
    description: str | None = Field(default=None, max_length=4096)
    filter_subjects: list[str] = Field(default=[], max_length=256)
    deliver_policy: Literal["all", "last", "new", "last_per_subject", "by_start_sequence", "by_start_time"] = "all"
    start_seq: int | None = Field(default=None, ge=1, le=2**63 - 1)
    start_time: str | None = Field(default=None, max_length=64)
    ack_policy: Literal["explicit", "all", "none"] = "explicit"
    ack_wait_s: float = Field(default=30, gt=0, le=9e9)
    max_deliver: int = Field(default=-1, ge=-1, le=2**31 - 1)
    max_ack_pending: int = Field(default=1000, ge=-1, le=2**31 - 1)


class Pause(Asked):
    """How long a consumer rests."""

    for_s: float = Field(default=3600, gt=0, le=366 * 86400)


class Reset(Asked):
    """Where a consumer goes on: a sequence, or everything again."""

    seq: int | None = Field(default=None, ge=0, le=2**63 - 1)


class Bucket(Told):
    """A key-value bucket."""

    name: str
    description: str = ""
    keys: int = 0
    bytes: int = 0
    history: int = 1
    ttl_s: float = 0
    max_bytes: int = -1
    storage: str = "file"


class Buckets(Told):
    """All buckets."""

    buckets: list[Bucket]


class NewBucket(Asked):
    """A bucket to be made."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")
    description: str | None = Field(default=None, max_length=4096)
    history: int = Field(default=1, ge=1, le=64)
    ttl_s: float = Field(default=0, ge=0, le=9e9)
    max_bytes: int = Field(default=-1, ge=-1, le=2**63 - 1)
    storage: Literal["file", "memory"] = "file"


class KeyEntry(Told):
    """A value of a key."""

    key: str
    revision: int
    operation: Literal["put", "delete", "purge"] = "put"
    time: str = ""
    body: Body = Body()


class BucketKeys(Told):
    """A bucket and its keys with their newest values."""

    bucket: Bucket
    keys: list[KeyEntry]
    cut: bool = Field(default=False, description="There are more keys than are listed.")


class KeyValue(Told):
    """A key's newest value and those before it, newest first."""

    entry: KeyEntry
    history: list[KeyEntry] = []


class KeyPut(Asked):
    """A value. With `revision` it is stored only if that is still the newest one (0: the key must be new)."""

    data: str = Field(default="", max_length=1_400_000)
    encoding: Encoding = "text"
    revision: int | None = Field(default=None, ge=0, le=2**63 - 1)


class KeyStored(Told):
    """The revision a value got."""

    key: str
    revision: int


class ObjectStore(Told):
    """An object store."""

    name: str
    description: str = ""
    bytes: int = 0
    max_bytes: int = -1
    storage: str = "file"


class ObjectStores(Told):
    """All object stores."""

    stores: list[ObjectStore]


class NewObjectStore(Asked):
    """An object store to be made."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")
    description: str | None = Field(default=None, max_length=4096)
    max_bytes: int = Field(default=-1, ge=-1, le=2**63 - 1)
    storage: Literal["file", "memory"] = "file"


class ObjectInfo(Told):
    """An object, without its content."""

    name: str
    description: str = ""
    size: int = 0
    chunks: int = 0
    digest: str = ""
    modified: str = ""


class Objects(Told):
    """A store and its objects."""

    store: ObjectStore
    objects: list[ObjectInfo]
