"""Which stream configurations are accepted, and what nats-server makes of them: defaults, adjustments, exact refusals.

Pure functions. The order of the checks is nats-server's, since the first failing one names the error. In pedantic mode
an adjustment that the client did not ask for is an error (10157) instead. Durations are nanoseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

import msgspec

from leafbox.protocol.jetstream import error_catalog as errors
from leafbox.protocol.jetstream import subjects
from leafbox.protocol.jetstream.go_time import SECOND, format_duration, go_quote
from leafbox.protocol.jetstream.source_rules import check_cycles, check_mirror, check_sources
from leafbox.protocol.jetstream.stream_config import (
    DiscardPolicy,
    PersistMode,
    Placement,
    RePublish,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from leafbox.protocol.jetstream.subject_transform import SubjectTransform, TransformError, validate_mapping

NAME_BYTES_MAX = 255
DESCRIPTION_BYTES_MAX = 4 * 1024
METADATA_BYTES_MAX = 128 * 1024
REPLICAS_MAX = 5
DUPLICATE_WINDOW_DEFAULT = 120 * SECOND
_WINDOW_MINIMUM = SECOND // 10

_RESERVED = ("$JS.>", "$JSC.>", "$NRG.>")
_NAME_RULE = "stream name is required and can not contain '.', '*', '>', '\\', '/'"


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What the server and the account allow a stream; 0 is "no limit"."""

    duplicate_window_max: int = 0
    max_bytes_required: bool = False
    memory_max_stream_bytes: int = 0
    storage_max_stream_bytes: int = 0


def invalid(text: str) -> NoReturn:
    """Refuses a configuration with error 10052."""
    raise errors.STREAM_INVALID_CONFIG.rejected(err=text)


def pedantic_refusal(text: str) -> NoReturn:
    """Refuses an adjustment in pedantic mode."""
    raise errors.PEDANTIC.rejected(err=text)


def validate_stream_config(
    config: StreamConfig, limits: StreamLimits, pedantic: bool, streams: Mapping[str, StreamConfig]
) -> StreamConfig:
    """The configuration with defaults filled in, or `RequestRejected`.

    `streams` are the account's other streams by name, to look at origins and cycles; overlap between streams is not
    checked here (see `subjects_overlap`).
    """
    _check_identity(config)
    config = _with_counts(config, pedantic)
    config = _with_times(config, limits, pedantic)
    _check_counter(config)
    _check_discard_per_subject(config)
    config = _with_marker_and_schedules(config, pedantic)
    _check_persist_mode(config)
    config = check_mirror(config, pedantic, streams)
    check_sources(config, streams)
    check_cycles(config, streams)
    config = _with_subjects(config)
    _check_max_bytes(config, limits)
    _check_transform(config)
    config = _with_republish(config, pedantic)
    return _with_placement(config)


def validate_stream_update(
    old: StreamConfig, new: StreamConfig, limits: StreamLimits, pedantic: bool, streams: Mapping[str, StreamConfig]
) -> StreamConfig:
    """The configuration that an update of `old` would leave, or `RequestRejected`."""
    config = validate_stream_config(new, limits, pedantic, streams)
    if config.name != old.name:
        invalid("stream configuration name must match original")
    if config.num_replicas > 1:
        raise errors.STREAM_REPLICAS_NOT_SUPPORTED.rejected()
    if config.storage != old.storage:
        invalid("stream configuration update can not change storage type")
    if config.retention != old.retention and RetentionPolicy.WORKQUEUE in (config.retention, old.retention):
        invalid("stream configuration update can not change retention policy to/from workqueue")
    for text, was, now in (
        ("unseal a sealed stream", old.sealed, config.sealed),
        ("cancel deny message deletes", old.deny_delete, config.deny_delete),
        ("cancel deny purge", old.deny_purge, config.deny_purge),
    ):
        if was and not now:
            invalid(f"stream configuration update can not {text}")
    if config.mirror is not None and config.mirror != old.mirror:
        raise errors.STREAM_MIRROR_NOT_UPDATABLE.rejected()
    if old.allow_msg_ttl and not config.allow_msg_ttl:
        invalid("message TTL status can not be disabled")
    if config.allow_msg_counter != old.allow_msg_counter:
        invalid("stream configuration update can not change message counter setting")
    if old.allow_msg_schedules and not config.allow_msg_schedules:
        invalid("message schedules can not be disabled")
    if old.persist_mode != config.persist_mode:
        invalid("stream configuration update can not change persist mode")
    if config.sealed:
        config = msgspec.structs.replace(
            config,
            max_age=0,
            discard=DiscardPolicy.NEW,
            deny_delete=True,
            deny_purge=True,
            allow_rollup_hdrs=False,
        )
    return config


def subjects_overlap(wanted: tuple[str, ...], streams: Mapping[str, StreamConfig], own_name: str) -> bool:
    """Whether another stream of the account already captures something of `wanted`."""
    return any(
        subjects.overlap(subject, other)
        for name, config in streams.items()
        if name != own_name
        for other in config.subjects
        for subject in wanted
    )


def required_api_level(config: StreamConfig) -> int:
    """The lowest JetStream API level that knows all the configuration asks for (ADR-44)."""
    if config.allow_batched:
        return 4
    if (
        config.allow_msg_counter
        or config.allow_atomic
        or config.allow_msg_schedules
        or config.persist_mode is PersistMode.ASYNC
    ):
        return 2
    return 1 if config.allow_msg_ttl or config.subject_delete_marker_ttl > 0 else 0


def _check_identity(config: StreamConfig) -> None:
    if not subjects.is_asset_name(config.name):
        invalid(_NAME_RULE)
    if len(config.name.encode()) > NAME_BYTES_MAX:
        invalid(f"stream name is too long, maximum allowed is {NAME_BYTES_MAX}")
    if len(config.description.encode()) > DESCRIPTION_BYTES_MAX:
        invalid(f"stream description is too long, maximum allowed is {DESCRIPTION_BYTES_MAX}")
    if sum(len(key.encode()) + len(value.encode()) for key, value in config.metadata.items()) > METADATA_BYTES_MAX:
        invalid(f"stream metadata exceeds maximum size of {METADATA_BYTES_MAX} bytes")


def _with_counts(config: StreamConfig, pedantic: bool) -> StreamConfig:
    replicas = config.num_replicas or 1
    if replicas > REPLICAS_MAX:
        invalid(f"maximum replicas is {REPLICAS_MAX}")
    if replicas < 0:
        raise errors.REPLICAS_COUNT_CANNOT_BE_NEGATIVE.rejected()
    changes: dict[str, int] = {}
    for name in ("max_msgs", "max_msgs_per_subject", "max_bytes", "max_msg_size", "max_consumers"):
        value: int = getattr(config, name)
        if value < -1 and pedantic:
            pedantic_refusal(f"{name} must be set to -1")
        changes[name] = value if value > 0 else -1
    storage = StorageType.FILE if config.storage is StorageType.UNSET else config.storage
    return msgspec.structs.replace(config, storage=storage, num_replicas=replicas, **changes)


def _with_times(config: StreamConfig, limits: StreamLimits, pedantic: bool) -> StreamConfig:
    if config.max_age < 0:
        invalid("max age can not be negative")
    if 0 < config.max_age < _WINDOW_MINIMUM:
        invalid("max age needs to be >= 100ms")
    window, ceiling = config.duplicate_window, limits.duplicate_window_max
    if window == 0 and config.mirror is None and not config.sources:
        window = DUPLICATE_WINDOW_DEFAULT
        if 0 < ceiling < window:
            if pedantic:
                pedantic_refusal("duplicate window limits are higher than current limits")
            window = ceiling
        if 0 < config.max_age < window:
            if pedantic:
                pedantic_refusal("duplicate window cannot be bigger than max age")
            window = config.max_age
    if window < 0:
        invalid("duplicates window can not be negative")
    if 0 < config.max_age < window:
        invalid("duplicates window can not be larger then max age")
    if 0 < ceiling < window:
        invalid(f"duplicates window can not be larger then server limit of {format_duration(ceiling)}")
    if 0 < window < _WINDOW_MINIMUM:
        invalid("duplicates window needs to be >= 100ms")
    if config.deny_purge and config.allow_rollup_hdrs:
        invalid("roll-ups require the purge permission")
    return msgspec.structs.replace(config, duplicate_window=window)


def _check_counter(config: StreamConfig) -> None:
    if not config.allow_msg_counter:
        return
    if config.discard is DiscardPolicy.NEW:
        invalid("counter stream cannot use discard new")
    if config.allow_msg_ttl:
        invalid("counter stream cannot use message TTLs")
    if config.allow_msg_schedules:
        invalid("counter stream cannot use message schedules")
    if config.retention is not RetentionPolicy.LIMITS:
        invalid("counter stream can only use limits retention")


def _check_discard_per_subject(config: StreamConfig) -> None:
    if not config.discard_new_per_subject:
        return
    if config.discard is not DiscardPolicy.NEW:
        invalid("discard new per subject requires discard new policy to be set")
    if config.max_msgs_per_subject <= 0:
        invalid("discard new per subject requires max msgs per subject > 0")


def _with_marker_and_schedules(config: StreamConfig, pedantic: bool) -> StreamConfig:
    rollup, deny_purge, message_ttl = config.allow_rollup_hdrs, config.deny_purge, config.allow_msg_ttl
    if config.subject_delete_marker_ttl < 0:
        invalid("subject delete marker TTL must not be negative")
    if config.subject_delete_marker_ttl > 0:
        if config.subject_delete_marker_ttl < SECOND:
            invalid("subject delete marker TTL must be at least 1 second")
        if not message_ttl and pedantic:
            invalid("subject delete marker cannot be set if message TTLs are disabled")
        message_ttl = True
        if not rollup:
            if pedantic:
                invalid("subject delete marker cannot be set if roll-ups are disabled")
            rollup, deny_purge = True, False
    if config.allow_msg_schedules:
        if config.discard is DiscardPolicy.NEW:
            invalid("message scheduling cannot use discard new")
        if not rollup:
            if pedantic:
                invalid("message scheduling cannot be set if roll-ups are disabled")
            rollup, deny_purge = True, False
    return msgspec.structs.replace(config, allow_rollup_hdrs=rollup, deny_purge=deny_purge, allow_msg_ttl=message_ttl)


def _check_persist_mode(config: StreamConfig) -> None:
    if config.persist_mode is not PersistMode.ASYNC:
        return
    if config.storage is not StorageType.FILE:
        invalid("async persist mode is only supported on file storage")
    if config.num_replicas > 1:
        invalid("async persist mode is not supported on replicated streams")
    if config.allow_atomic:
        invalid("async persist mode is not supported with atomic batch publish")


def _with_subjects(config: StreamConfig) -> StreamConfig:
    if not config.subjects:
        if config.mirror is None and not config.sources:
            return msgspec.structs.replace(config, subjects=(config.name,))
        return config
    for index, subject in enumerate(config.subjects):
        _check_subject(config, subject)
        for other in config.subjects[index + 1 :]:
            if subjects.overlap(other, subject):
                invalid(f"subject {go_quote(subject)} overlaps with {go_quote(other)}")
    return config


def _check_subject(config: StreamConfig, subject: str) -> None:
    if not subjects.is_valid(subject):
        invalid("invalid subject")
    if subject == ">":
        if not config.no_ack:
            invalid("capturing all subjects requires no-ack to be true")
        if config.num_replicas != 1:
            invalid("capturing all subjects requires replicas of 1")
    if config.no_ack:
        return
    if any(subjects.overlap(subject, reserved) for reserved in _RESERVED) and not subjects.is_subset(
        subject, "$JS.EVENT.>"
    ):
        invalid("subjects that overlap with jetstream api require no-ack to be true")
    if subjects.overlap(subject, "$SYS.>") and not subjects.is_subset(subject, "$SYS.ACCOUNT.>"):
        invalid("subjects that overlap with system api require no-ack to be true")


def _check_max_bytes(config: StreamConfig, limits: StreamLimits) -> None:
    if limits.max_bytes_required and config.max_bytes <= 0:
        raise errors.STREAM_MAX_BYTES_REQUIRED.rejected()
    memory = config.storage is StorageType.MEMORY
    ceiling = limits.memory_max_stream_bytes if memory else limits.storage_max_stream_bytes
    if 0 < ceiling < config.max_bytes:
        raise errors.STREAM_MAX_STREAM_BYTES_EXCEEDED.rejected()


def _check_transform(config: StreamConfig) -> None:
    transform = config.subject_transform
    if transform is None:
        return
    if transform.src and not subjects.is_valid(transform.src):
        raise errors.STREAM_TRANSFORM_INVALID_SOURCE.rejected(err=f"invalid subject {transform.src}")
    try:
        validate_mapping(transform.src, transform.dest)
    except TransformError as error:
        raise errors.STREAM_TRANSFORM_INVALID_DESTINATION.rejected(err=error) from None


def _with_republish(config: StreamConfig, pedantic: bool) -> StreamConfig:
    republish = config.republish
    if republish is None:
        return config
    source, destination = republish.src, republish.dest
    if not source:
        if pedantic:
            pedantic_refusal("republish source can not be empty")
        source = ">"
    transform = config.subject_transform
    if source == destination == ">" and transform is not None and config.subjects == (transform.src,):
        if pedantic:
            pedantic_refusal("implicit republish based on subject transform")
        source = destination = transform.dest
    if any(subjects.overlap(destination, subject) for subject in config.subjects):
        invalid("stream configuration for republish destination forms a cycle")
    try:
        if destination:
            SubjectTransform(source, destination)
    except TransformError:
        invalid(f"stream configuration for republish with transform from '{source}' to '{republish.dest}' not valid")
    return msgspec.structs.replace(
        config, republish=RePublish(src=source, dest=destination, headers_only=republish.headers_only)
    )


def _with_placement(config: StreamConfig) -> StreamConfig:
    if config.placement is None:
        return config
    if config.placement == Placement():
        return msgspec.structs.replace(config, placement=None)
    if config.placement.preferred:
        invalid("preferred server not permitted in placement")
    return config
