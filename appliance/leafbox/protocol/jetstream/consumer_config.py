"""ConsumerConfig and the create request, field for field and in the order of nats-server 2.15."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from leafbox.protocol.jetstream.go_json import (
    Duration,
    GoEnum,
    GoStruct,
    Int,
    Json,
    OptionalTimestamp,
    Uint64,
)


class DeliverPolicy(GoEnum):
    """Where a new consumer starts."""

    ALL = "all"
    LAST = "last"
    NEW = "new"
    BY_START_SEQUENCE = "by_start_sequence"
    BY_START_TIME = "by_start_time"
    LAST_PER_SUBJECT = "last_per_subject"

    @classmethod
    def from_json(cls, value: Json) -> GoEnum:
        return cls.ALL if value == "undefined" else super().from_json(value)


class AckPolicy(GoEnum):
    """Which acknowledgements count; `flow_control` acknowledges with the flow-control replies (2.14)."""

    NONE = "none"
    ALL = "all"
    EXPLICIT = "explicit"
    FLOW_CONTROL = "flow_control"


class ReplayPolicy(GoEnum):
    """As fast as possible, or with the original gaps in time."""

    INSTANT = "instant"
    ORIGINAL = "original"


class PriorityPolicy(GoEnum):
    """How pull requests of a priority group are chosen."""

    NONE = "none"
    OVERFLOW = "overflow"
    PINNED_CLIENT = "pinned_client"
    PRIORITIZED = "prioritized"

    @classmethod
    def refusal(cls, raw: str) -> str:
        return f"unknown priority policy: {raw}"


class ConsumerAction(GoEnum):
    """What a create request insists on."""

    CREATE_OR_UPDATE = ""
    CREATE = "create"
    UPDATE = "update"

    @classmethod
    def refusal(cls, raw: str) -> str:
        return f"unknown consumer action: {raw}"


class ConsumerConfig(GoStruct, frozen=True, kw_only=True):
    """A consumer's configuration; durations in nanoseconds, sizes in bytes, -1 is "no limit"."""

    GO_NAME: ClassVar[str] = "ConsumerConfig"
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"deliver_policy", "ack_policy", "replay_policy", "num_replicas"})
    durable_name: str = ""
    name: str = ""
    description: str = ""
    deliver_policy: DeliverPolicy = DeliverPolicy.ALL
    opt_start_seq: Uint64 = 0
    opt_start_time: OptionalTimestamp = None
    ack_policy: AckPolicy = AckPolicy.NONE
    ack_wait: Duration = 0
    max_deliver: Int = 0
    backoff: tuple[Duration, ...] = ()
    filter_subject: str = ""
    filter_subjects: tuple[str, ...] = ()
    replay_policy: ReplayPolicy = ReplayPolicy.INSTANT
    rate_limit_bps: Uint64 = 0
    sample_freq: str = ""
    max_waiting: Int = 0
    max_ack_pending: Int = 0
    flow_control: bool = False
    headers_only: bool = False
    max_batch: Int = 0
    max_expires: Duration = 0
    max_bytes: Int = 0
    deliver_subject: str = ""
    deliver_group: str = ""
    idle_heartbeat: Duration = 0
    inactive_threshold: Duration = 0
    num_replicas: Int = 0
    mem_storage: bool = False
    direct: bool = False
    sourcing: bool = False
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    pause_until: OptionalTimestamp = None
    priority_groups: tuple[str, ...] = ()
    priority_policy: PriorityPolicy = PriorityPolicy.NONE
    priority_timeout: Duration = 0

    @property
    def is_push(self) -> bool:
        return bool(self.deliver_subject)

    @property
    def filters(self) -> tuple[str, ...]:
        """The filter subjects, however they were given; empty means everything."""
        if self.filter_subject:
            return (self.filter_subject,)
        return self.filter_subjects


class CreateConsumerRequest(GoStruct, frozen=True, kw_only=True):
    """The body of all consumer create subjects."""

    GO_NAME: ClassVar[str] = "CreateConsumerRequest"
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"stream_name", "config", "action"})
    stream_name: str = ""
    config: ConsumerConfig = ConsumerConfig()
    action: ConsumerAction = ConsumerAction.CREATE_OR_UPDATE
    pedantic: bool = False
