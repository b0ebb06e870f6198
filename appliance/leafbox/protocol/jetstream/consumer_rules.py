"""Which consumer configurations are accepted: defaults and exact refusals; pure, in nats-server's order of checks."""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from leafbox.protocol.jetstream import error_catalog as errors
from leafbox.protocol.jetstream import subjects
from leafbox.protocol.jetstream.consumer_config import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    PriorityPolicy,
)
from leafbox.protocol.jetstream.go_time import SECOND, ZERO_TIME, format_duration, go_quote
from leafbox.protocol.jetstream.stream_config import RetentionPolicy, StreamConfig
from leafbox.protocol.jetstream.stream_rules import (
    DESCRIPTION_BYTES_MAX,
    METADATA_BYTES_MAX,
    NAME_BYTES_MAX,
    invalid,
    pedantic_refusal,
)

ACK_WAIT_DEFAULT = 30 * SECOND
MAX_ACK_PENDING_DEFAULT = 1000
MAX_WAITING_DEFAULT = 512
INACTIVE_THRESHOLD_DEFAULT = 5 * SECOND
"""Ephemeral consumers that do not say how long they may be unused."""
PRIORITY_TIMEOUT_DEFAULT = 120 * SECOND
FLOW_CONTROL_POLICY_HEARTBEAT = SECOND
_HEARTBEAT_MINIMUM = SECOND // 10
_EXPIRES_MINIMUM = SECOND // 1000
_GROUP_NAME = re.compile(r"[a-zA-Z0-9/_=-]{1,16}")


@dataclass(frozen=True, slots=True)
class ConsumerLimits:
    """What the server and the account allow a consumer; 0 or less is "no limit"."""

    server_max_ack_pending: int = 0
    server_max_request_batch: int = 0
    account_max_ack_pending: int = 0


def with_defaults(
    config: ConsumerConfig, stream: StreamConfig, limits: ConsumerLimits, pedantic: bool
) -> ConsumerConfig:
    """The configuration as a consumer would run it; in pedantic mode a needed change is a refusal."""
    changes = _floors(config, pedantic)
    config = msgspec.structs.replace(config, **changes) if changes else config
    changes = {}
    if not config.is_push and config.max_waiting == 0:
        changes["max_waiting"] = MAX_WAITING_DEFAULT
    if config.ack_wait == 0 and config.ack_policy in (AckPolicy.EXPLICIT, AckPolicy.ALL):
        changes["ack_wait"] = ACK_WAIT_DEFAULT
    if config.backoff:
        if pedantic and changes.get("ack_wait", config.ack_wait) != config.backoff[0]:
            pedantic_refusal("first backoff value has to equal batch AckWait")
        changes["ack_wait"] = config.backoff[0]
    max_ack_pending = config.max_ack_pending
    if max_ack_pending == 0:
        if pedantic and stream.consumer_limits.max_ack_pending > 0:
            pedantic_refusal("max_ack_pending must be set if it's configured in stream limits")
        max_ack_pending = stream.consumer_limits.max_ack_pending
    if config.inactive_threshold == 0:
        if pedantic and stream.consumer_limits.inactive_threshold > 0:
            pedantic_refusal("inactive_threshold must be set if it's configured in stream limits")
        changes["inactive_threshold"] = stream.consumer_limits.inactive_threshold
    if max_ack_pending == 0 and config.ack_policy is not AckPolicy.NONE:
        max_ack_pending = MAX_ACK_PENDING_DEFAULT
        for limit in (limits.server_max_ack_pending, limits.account_max_ack_pending):
            if 0 < limit < max_ack_pending:
                max_ack_pending = limit
    changes["max_ack_pending"] = max_ack_pending
    if not config.is_push and config.max_batch == 0 and limits.server_max_request_batch > 0:
        if pedantic:
            pedantic_refusal("max_request_batch must be set if it's JetStream limits are set")
        changes["max_batch"] = limits.server_max_request_batch
    if config.priority_policy is PriorityPolicy.PINNED_CLIENT and config.priority_timeout == 0:
        changes["priority_timeout"] = PRIORITY_TIMEOUT_DEFAULT
    config = msgspec.structs.replace(config, **changes)
    if not config.durable_name and config.inactive_threshold == 0:
        config = msgspec.structs.replace(config, inactive_threshold=INACTIVE_THRESHOLD_DEFAULT)
    if config.ack_policy is AckPolicy.FLOW_CONTROL and not pedantic:
        config = msgspec.structs.replace(config, flow_control=True, idle_heartbeat=FLOW_CONTROL_POLICY_HEARTBEAT)
    return config


def _floors(config: ConsumerConfig, pedantic: bool) -> dict[str, int]:
    """Values below their minimum, moved to "unlimited" or zero."""
    changes: dict[str, int] = {}
    if config.max_deliver < -1 and pedantic:
        pedantic_refusal("max_deliver must be set to -1")
    if config.max_deliver == 0 or config.max_deliver < -1:
        changes["max_deliver"] = -1
    for name, minimum in (
        ("max_waiting", 0),
        ("max_ack_pending", -1),
        ("max_batch", 0),
        ("max_expires", 0),
        ("max_bytes", 0),
        ("idle_heartbeat", 0),
        ("inactive_threshold", 0),
        ("priority_timeout", 0),
    ):
        if getattr(config, name) < minimum:
            if pedantic:
                pedantic_refusal(f"{name} must be set to -1" if minimum else f"{name} must not be negative")
            changes[name] = minimum
    return changes


def check_consumer_config(config: ConsumerConfig, stream: StreamConfig, limits: ConsumerLimits) -> None:
    """Refuses, with `RequestRejected`, what the stream, the account or the rules do not allow."""
    if config.name and not subjects.is_asset_name(config.name):
        invalid("consumer name can not contain '.', '*', '>', '\\', '/'")
    if config.durable_name and not subjects.is_asset_name(config.durable_name):
        invalid("consumer durable name can not contain '.', '*', '>', '\\', '/'")
    _check_replicas(config, stream)
    _check_ack_times(config)
    _check_flow_control_policy(config)
    if config.backoff and config.max_deliver != -1 and len(config.backoff) > config.max_deliver:
        raise errors.CONSUMER_MAX_DELIVER_BACKOFF.rejected()
    if len(config.description.encode()) > DESCRIPTION_BYTES_MAX:
        raise errors.CONSUMER_DESCRIPTION_TOO_LONG.rejected(max=DESCRIPTION_BYTES_MAX)
    if config.is_push:
        _check_push(config, stream)
    else:
        _check_pull(config, stream, limits)
    _check_limits(config, stream, limits)
    if config.direct:
        if not config.is_push:
            raise errors.CONSUMER_DIRECT_REQUIRES_PUSH.rejected()
        if config.durable_name:
            raise errors.CONSUMER_DIRECT_REQUIRES_EPHEMERAL.rejected()
    _check_filters(config)
    _check_start(config)
    _check_sampling(config)
    if config.flow_control and config.idle_heartbeat == 0:
        raise errors.CONSUMER_WITH_FLOW_CONTROL_NEEDS_HEARTBEATS.rejected()
    if config.durable_name and config.name and config.durable_name != config.name:
        raise errors.CONSUMER_CREATE_DURABLE_AND_NAME_MISMATCH.rejected()
    if sum(len(key.encode()) + len(value.encode()) for key, value in config.metadata.items()) > METADATA_BYTES_MAX:
        raise errors.CONSUMER_METADATA_LENGTH.rejected(limit=f"{METADATA_BYTES_MAX // 1024}KB")
    _check_priority(config)


def check_name_length(config: ConsumerConfig) -> None:
    """A durable name is limited like a stream's; checked only once a new consumer is about to be made."""
    if len(config.durable_name.encode()) > NAME_BYTES_MAX:
        raise errors.CONSUMER_NAME_TOO_LONG.rejected(max=NAME_BYTES_MAX)


def refuse_update(old: ConsumerConfig, new: ConsumerConfig, deliver_subject_bound: bool) -> str | None:
    """Why an update is not allowed, as the text of error 10012, or None.

    A change of the deliver subject of a bound push consumer raises error 10013 itself.
    """
    for name, text in (
        ("deliver_policy", "deliver policy"),
        ("mem_storage", "storage type"),
        ("direct", "direct"),
        ("sourcing", "sourcing"),
        ("opt_start_seq", "start sequence"),
        ("opt_start_time", "start time"),
        ("ack_policy", "ack policy"),
        ("replay_policy", "replay policy"),
        ("idle_heartbeat", "heart beats"),
        ("flow_control", "flow control"),
    ):
        if getattr(old, name) != getattr(new, name):
            return f"{text} can not be updated"
    if old.deliver_subject != new.deliver_subject:
        if not old.is_push:
            return "can not update pull consumer to push based"
        if not new.is_push:
            return "can not update push consumer to pull based"
        if deliver_subject_bound:
            raise errors.CONSUMER_NAME_EXIST.rejected()
    if old.max_waiting != new.max_waiting:
        return "max waiting can not be updated"
    if new.backoff and new.max_deliver != -1 and len(new.backoff) > new.max_deliver:
        raise errors.CONSUMER_MAX_DELIVER_BACKOFF.rejected()
    return None


def required_api_level(config: ConsumerConfig) -> int:
    """The lowest JetStream API level that knows all the configuration asks for (ADR-44)."""
    if config.ack_policy is AckPolicy.FLOW_CONTROL:
        return 4
    priority = config.priority_policy is not PriorityPolicy.NONE or config.priority_timeout or config.priority_groups
    # The nats command line sends Go's zero time with every consumer.
    return 1 if config.pause_until not in (None, ZERO_TIME) or priority else 0


def sample_percent(sample_freq: str) -> int:
    """How many of a hundred acknowledgements are measured; `30%` and `30` are the same."""
    return int(sample_freq.removesuffix("%") or "0")


def _check_replicas(config: ConsumerConfig, stream: StreamConfig) -> None:
    if config.num_replicas > stream.num_replicas:
        raise errors.CONSUMER_REPLICAS_EXCEEDS_STREAM.rejected()
    if config.num_replicas < 0:
        raise errors.REPLICAS_COUNT_CANNOT_BE_NEGATIVE.rejected()
    if stream.retention is not RetentionPolicy.LIMITS and config.num_replicas not in (0, stream.num_replicas):
        raise errors.CONSUMER_REPLICAS_SHOULD_MATCH_STREAM.rejected()


def _check_ack_times(config: ConsumerConfig) -> None:
    if any(delay < 0 for delay in config.backoff):
        raise errors.CONSUMER_BACK_OFF_NEGATIVE.rejected()
    if config.ack_wait < 0:
        raise errors.CONSUMER_ACK_WAIT_NEGATIVE.rejected()


def _check_flow_control_policy(config: ConsumerConfig) -> None:
    if config.ack_policy is not AckPolicy.FLOW_CONTROL:
        return
    if not config.is_push:
        raise errors.CONSUMER_ACK_FC_REQUIRES_PUSH.rejected()
    if not config.flow_control:
        raise errors.CONSUMER_ACK_FC_REQUIRES_FC.rejected()
    if config.idle_heartbeat != FLOW_CONTROL_POLICY_HEARTBEAT:
        invalid("flow control ack policy heartbeat needs to be 1s")
    if config.max_ack_pending <= 0:
        raise errors.CONSUMER_ACK_FC_REQUIRES_MAX_ACK_PENDING.rejected()
    if config.ack_wait != 0 or config.backoff:
        raise errors.CONSUMER_ACK_FC_REQUIRES_NO_ACK_WAIT.rejected()
    if config.max_deliver > 0:
        raise errors.CONSUMER_ACK_FC_REQUIRES_NO_MAX_DELIVER.rejected()


def _check_push(config: ConsumerConfig, stream: StreamConfig) -> None:
    if not subjects.is_literal(config.deliver_subject):
        raise errors.CONSUMER_DELIVER_TO_WILDCARDS.rejected()
    if not subjects.is_valid(config.deliver_subject):
        raise errors.CONSUMER_INVALID_DELIVER_SUBJECT.rejected()
    if any(subjects.matches(config.deliver_subject, subject) for subject in stream.subjects):
        raise errors.CONSUMER_DELIVER_CYCLE.rejected()
    if config.max_waiting != 0:
        raise errors.CONSUMER_PUSH_MAX_WAITING.rejected()
    if config.max_ack_pending > 0 and config.ack_policy is AckPolicy.NONE:
        raise errors.CONSUMER_MAX_PENDING_ACK_POLICY_REQUIRED.rejected()
    if 0 < config.idle_heartbeat < _HEARTBEAT_MINIMUM:
        raise errors.CONSUMER_SMALL_HEARTBEAT.rejected()


def _check_pull(config: ConsumerConfig, stream: StreamConfig, limits: ConsumerLimits) -> None:
    if config.ack_policy is AckPolicy.NONE and stream.retention is RetentionPolicy.WORKQUEUE:
        raise errors.CONSUMER_PULL_REQUIRES_ACK.rejected()
    if config.rate_limit_bps > 0:
        raise errors.CONSUMER_PULL_WITH_RATE_LIMIT.rejected()
    if config.idle_heartbeat > 0:
        raise errors.CONSUMER_HB_REQUIRES_PUSH.rejected()
    if config.flow_control:
        raise errors.CONSUMER_FC_REQUIRES_PUSH.rejected()
    if 0 < config.max_expires < _EXPIRES_MINIMUM:
        raise errors.CONSUMER_MAX_REQUEST_EXPIRES_TOO_SMALL.rejected()
    if 0 < limits.server_max_request_batch < config.max_batch:
        raise errors.CONSUMER_MAX_REQUEST_BATCH_EXCEEDED.rejected(limit=limits.server_max_request_batch)


def _check_limits(config: ConsumerConfig, stream: StreamConfig, limits: ConsumerLimits) -> None:
    ceilings = (limits.server_max_ack_pending, limits.account_max_ack_pending, stream.consumer_limits.max_ack_pending)
    for ceiling in ceilings:
        if 0 < ceiling < config.max_ack_pending:
            raise errors.CONSUMER_MAX_PENDING_ACK_EXCESS.rejected(limit=ceiling)
    threshold = stream.consumer_limits.inactive_threshold
    if 0 < threshold < config.inactive_threshold:
        raise errors.CONSUMER_INACTIVE_THRESHOLD_EXCESS.rejected(limit=format_duration(threshold))


def _check_filters(config: ConsumerConfig) -> None:
    if config.filter_subject and config.filter_subjects:
        raise errors.CONSUMER_DUPLICATE_FILTER_SUBJECTS.rejected()
    if config.filter_subject and not subjects.is_valid(config.filter_subject):
        invalid("invalid subject")
    if "" in config.filter_subjects:
        raise errors.CONSUMER_EMPTY_FILTER.rejected()
    for index, subject in enumerate(config.filters):
        if not subjects.is_valid(subject):
            invalid("invalid subject")
        for other_index, other in enumerate(config.filters):
            if other_index != index and subjects.is_subset(subject, other):
                raise errors.CONSUMER_OVERLAPPING_SUBJECT_FILTERS.rejected()


# Policy, its name in texts, whether it wants a start sequence and a start time.
_START_RULES = {
    DeliverPolicy.ALL: ("all", False, False),
    DeliverPolicy.LAST: ("last", False, False),
    DeliverPolicy.LAST_PER_SUBJECT: ("last per subject", False, False),
    DeliverPolicy.NEW: ("new", False, False),
    DeliverPolicy.BY_START_SEQUENCE: ("by start sequence", True, False),
    DeliverPolicy.BY_START_TIME: ("by start time", False, True),
}


def _check_start(config: ConsumerConfig) -> None:
    name, wants_sequence, wants_time = _START_RULES[config.deliver_policy]
    problem = ""
    if wants_sequence and config.opt_start_seq == 0:
        problem = "start sequence is not set"
    elif wants_time and config.opt_start_time is None:
        problem = "start time is not set"
    elif not wants_sequence and config.opt_start_seq > 0:
        problem = "start start sequence is also set" if wants_time else "start sequence is also set"
    elif not wants_time and config.opt_start_time is not None:
        problem = "start time is also set"
    elif config.deliver_policy is DeliverPolicy.LAST_PER_SUBJECT and not config.filters:
        problem = "filter subject is not set"
    if problem:
        text = f"consumer delivery policy is deliver {name}, but optional {problem}"
        raise errors.CONSUMER_INVALID_POLICY.rejected(err=text)


def _check_sampling(config: ConsumerConfig) -> None:
    text = config.sample_freq.removesuffix("%")
    if not config.sample_freq or re.fullmatch(r"\+?\d+", text):
        return
    # Go formats a nil error for a number that is merely negative.
    reason = "<nil>"
    if not re.fullmatch(r"-\d+", text):
        reason = f"strconv.Atoi: parsing {go_quote(text)}: invalid syntax"
    raise errors.CONSUMER_INVALID_SAMPLING.rejected(err=reason)


def _check_priority(config: ConsumerConfig) -> None:
    if config.priority_policy is PriorityPolicy.NONE:
        if config.priority_groups:
            raise errors.CONSUMER_PRIORITY_GROUP_WITH_POLICY_NONE.rejected()
        if config.priority_timeout > 0:
            raise errors.CONSUMER_PINNED_TTL_WITHOUT_PRIORITY_POLICY_NONE.rejected()
        return
    if config.is_push:
        raise errors.CONSUMER_PUSH_WITH_PRIORITY_GROUP.rejected()
    if not config.priority_groups:
        raise errors.CONSUMER_PRIORITY_POLICY_WITHOUT_GROUP.rejected()
    for group in config.priority_groups:
        if not group:
            raise errors.CONSUMER_EMPTY_GROUP_NAME.rejected()
        if not _GROUP_NAME.fullmatch(group):
            raise errors.CONSUMER_INVALID_GROUP_NAME.rejected()
