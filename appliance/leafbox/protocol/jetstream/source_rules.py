"""Rules for mirrors and sources in stream configurations; part of `stream_rules`, same conventions."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from leafbox.protocol.jetstream import error_catalog as errors
from leafbox.protocol.jetstream import subjects
from leafbox.protocol.jetstream.go_time import go_quote
from leafbox.protocol.jetstream.stream_config import ExternalStream, StreamConfig, StreamSource
from leafbox.protocol.jetstream.subject_transform import TransformError, validate_mapping


def check_mirror(config: StreamConfig, pedantic: bool, streams: Mapping[str, StreamConfig]) -> StreamConfig:
    """Refuses what a mirror cannot have; inherits direct get from a local origin."""
    mirror = config.mirror
    if mirror is None:
        return config
    _check_mirror_options(config)
    if mirror.consumer is not None and _bad_consumer(mirror):
        raise errors.MIRROR_DURABLE_CONSUMER_CFG_INVALID.rejected()
    if mirror.filter_subject and mirror.subject_transforms:
        raise errors.MIRROR_MULTIPLE_FILTERS_NOT_ALLOWED.rejected()
    if config.subject_delete_marker_ttl > 0:
        raise errors.STREAM_INVALID_CONFIG.rejected(err="subject delete markers forbidden on mirrors")
    _check_mirror_transforms(mirror)
    if mirror.external is not None:
        return config
    if not subjects.is_asset_name(mirror.name):
        raise errors.MIRROR_INVALID_STREAM_NAME.rejected()
    origin = streams.get(mirror.name)
    if origin is None:
        return config
    if 0 < config.max_msg_size < origin.max_msg_size:
        raise errors.MIRROR_MAX_MESSAGE_SIZE_TOO_BIG.rejected()
    if pedantic and config.mirror_direct != origin.allow_direct:
        raise errors.PEDANTIC.rejected(err="origin stream has direct get set, mirror has it disabled")
    return msgspec.structs.replace(config, mirror_direct=origin.allow_direct)


def _check_mirror_options(config: StreamConfig) -> None:
    for refused, error in (
        (config.first_seq > 0, errors.MIRROR_WITH_FIRST_SEQ),
        (bool(config.subjects), errors.MIRROR_WITH_SUBJECTS),
        (bool(config.sources), errors.MIRROR_WITH_SOURCES),
        (config.allow_msg_counter, errors.MIRROR_WITH_COUNTERS),
        (config.allow_atomic, errors.MIRROR_WITH_ATOMIC_PUBLISH),
        (config.allow_batched, errors.MIRROR_WITH_BATCH_PUBLISH),
        (config.allow_msg_schedules, errors.MIRROR_WITH_MSG_SCHEDULES),
    ):
        if refused:
            raise error.rejected()


def _check_mirror_transforms(mirror: StreamSource) -> None:
    for index, transform in enumerate(mirror.subject_transforms):
        if transform.src and not subjects.is_valid(transform.src):
            raise errors.MIRROR_INVALID_SUBJECT_FILTER.rejected(err=f"invalid subject {transform.src}")
        try:
            validate_mapping(transform.src, transform.dest)
        except TransformError as error:
            raise errors.MIRROR_INVALID_TRANSFORM_DESTINATION.rejected(err=error) from None
        for other_index, other in enumerate(mirror.subject_transforms):
            if other_index != index and subjects.overlap(transform.src, other.src):
                raise errors.MIRROR_OVERLAPPING_SUBJECT_FILTERS.rejected()


def check_sources(config: StreamConfig, streams: Mapping[str, StreamConfig]) -> None:
    """Refuses bad, duplicate or overlapping sources and external prefixes that would feed back."""
    if config.sources and config.allow_msg_schedules:
        raise errors.SOURCE_WITH_MSG_SCHEDULES.rejected()
    names: set[str] = set()
    consumers: set[tuple[str, str, str]] = set()
    for source in config.sources:
        _check_source(config, source, names, consumers, streams)
    _check_external(config, streams)


def _check_source(
    config: StreamConfig,
    source: StreamSource,
    names: set[str],
    consumers: set[tuple[str, str, str]],
    streams: Mapping[str, StreamConfig],
) -> None:
    if not subjects.is_asset_name(source.name):
        raise errors.SOURCE_INVALID_STREAM_NAME.rejected()
    if source.index_name() in names:
        raise errors.SOURCE_DUPLICATE_DETECTED.rejected()
    names.add(source.index_name())
    if source.filter_subject and source.subject_transforms:
        raise errors.SOURCE_MULTIPLE_FILTERS_NOT_ALLOWED.rejected()
    for transform in source.subject_transforms:
        if transform.src and not subjects.is_valid(transform.src):
            raise errors.SOURCE_INVALID_SUBJECT_FILTER.rejected(err=f"invalid subject {transform.src}")
        try:
            validate_mapping(transform.src, transform.dest)
        except TransformError as error:
            raise errors.SOURCE_INVALID_TRANSFORM_DESTINATION.rejected(err=error) from None
    for index, transform in enumerate(source.subject_transforms):
        for other_index, other in enumerate(source.subject_transforms):
            if other_index != index and subjects.is_subset(transform.src, other.src):
                raise errors.SOURCE_OVERLAPPING_SUBJECT_FILTERS.rejected()
    if source.consumer is not None:
        if _bad_consumer(source):
            raise errors.SOURCE_DURABLE_CONSUMER_CFG_INVALID.rejected()
        key = (source.name, source.external.api if source.external else "", source.consumer.name)
        if key in consumers:
            raise errors.SOURCE_DURABLE_CONSUMER_DUPLICATE_DETECTED.rejected()
        consumers.add(key)
    origin = streams.get(source.name) if source.external is None else None
    if origin is not None and 0 < config.max_msg_size < origin.max_msg_size:
        raise errors.SOURCE_MAX_MESSAGE_SIZE_TOO_BIG.rejected()


def _bad_consumer(source: StreamSource) -> bool:
    """A pre-created consumer excludes start positions and filters: those are the consumer's."""
    assert source.consumer is not None
    return (
        not subjects.is_asset_name(source.consumer.name)
        or not subjects.is_publishable(source.consumer.deliver_subject)
        or source.opt_start_seq != 0
        or source.opt_start_time is not None
        or bool(source.filter_subject)
    )


def _check_external(config: StreamConfig, streams: Mapping[str, StreamConfig]) -> None:
    externals: list[ExternalStream] = []
    captured: list[str] = []
    for origin in (*((config.mirror,) if config.mirror else ()), *config.sources):
        if origin.external is not None:
            externals.append(origin.external)
        elif origin.name in streams:
            captured.extend(streams[origin.name].subjects)
    for prefix in (external.deliver for external in externals if external.deliver):
        if not subjects.is_publishable(prefix):
            raise errors.STREAM_INVALID_EXTERNAL_DELIVERY_SUBJ.rejected(prefix=prefix)
        for subject in captured:
            if subjects.overlap(subject, f"{prefix}.{subject}"):
                raise errors.STREAM_EXTERNAL_DEL_PREFIX_OVERLAPS.rejected(prefix=prefix, subject=subject)
    for prefix in (external.api for external in externals if external.api):
        if not subjects.is_publishable(prefix):
            text = f"stream external api prefix {go_quote(prefix)} must be a valid subject without wildcards"
            raise errors.STREAM_INVALID_CONFIG.rejected(err=text)
        if subjects.overlap(prefix, "$JS.API"):
            raise errors.STREAM_EXTERNAL_API_OVERLAP.rejected(prefix=prefix, subject="$JS.API")


def check_cycles(config: StreamConfig, streams: Mapping[str, StreamConfig]) -> None:
    """Refuses a configuration whose messages would come back to it through sources or mirrors."""
    to_visit, visited = [config], set()
    while to_visit:
        current = to_visit.pop(0)
        visited.add(current.name)
        for source in current.sources:
            if source.external is not None:
                continue
            if source.name in visited:
                if not source.filter_subject or any(
                    subjects.overlap(subject, source.filter_subject) for subject in current.subjects
                ):
                    raise errors.STREAM_INVALID_CONFIG.rejected(err="detected cycle")
            elif source.name in streams:
                to_visit.append(streams[source.name])
        mirror = current.mirror
        if mirror is not None and mirror.external is None:
            if mirror.name in visited:
                raise errors.STREAM_INVALID_CONFIG.rejected(err="detected cycle")
            if mirror.name in streams:
                to_visit.append(streams[mirror.name])
