"""API endpoints of consumers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from leafbox.dataplane.stream_ingest import now_ns
from leafbox.jetstream.api import LIST_LIMIT, NAMES_LIMIT, ApiCall, Endpoint, embedded, paged
from leafbox.jetstream.names import consumer_name
from leafbox.protocol.jetstream import error_catalog as errors
from leafbox.protocol.jetstream import headers
from leafbox.protocol.jetstream.consumer_config import AckPolicy, ConsumerConfig, CreateConsumerRequest, DeliverPolicy
from leafbox.protocol.jetstream.go_json import JsonObject
from leafbox.protocol.jetstream.go_time import DURATION_MAX, ZERO_TIME, format_time
from leafbox.protocol.jetstream.requests import (
    ConsumerPauseRequest,
    ConsumerResetRequest,
    ConsumerUnpinRequest,
    PagedRequest,
)
from leafbox.protocol.jetstream.stream_config import RetentionPolicy

if TYPE_CHECKING:
    from leafbox.jetstream.consumer import Consumer
    from leafbox.jetstream.stream import Stream

_GROUP_NAME = re.compile(r"[a-zA-Z0-9/_=-]{1,16}")


def create(call: ApiCall) -> JsonObject:
    """`CONSUMER.CREATE.<stream>[.<consumer>[.<filter>]]`."""
    request = call.decoded(CreateConsumerRequest)
    stream_name = call.tokens[2]
    is_named = len(call.tokens) > 3
    name = call.tokens[3] if is_named else request.config.name
    filter_subject = ".".join(call.tokens[4:])
    _check_names(request, stream_name, name)
    config = request.config
    if is_named:
        if config.durable_name and config.durable_name != name:
            raise errors.CONSUMER_DURABLE_NAME_NOT_MATCH_SUBJECT.rejected()
        request = msgspec.structs.replace(request, config=msgspec.structs.replace(config, name=name))
    elif config.durable_name:
        raise errors.CONSUMER_EPHEMERAL_WITH_DURABLE_NAME.rejected()
    if filter_subject and config.filter_subjects:
        raise errors.CONSUMER_MULTIPLE_FILTERS_NOT_ALLOWED.rejected()
    if filter_subject and config.filter_subject != filter_subject:
        raise errors.CONSUMER_CREATE_FILTER_SUBJECT_MISMATCH.rejected()
    return _create(call, request)


def create_durable(call: ApiCall) -> JsonObject:
    """`CONSUMER.DURABLE.CREATE.<stream>.<consumer>`, the old way."""
    request = call.decoded(CreateConsumerRequest)
    name = call.tokens[4]
    _check_names(request, call.tokens[3], name)
    if not request.config.durable_name:
        raise errors.CONSUMER_DURABLE_NAME_NOT_SET.rejected()
    if name != request.config.durable_name:
        raise errors.CONSUMER_DURABLE_NAME_NOT_MATCH_SUBJECT.rejected()
    config = msgspec.structs.replace(request.config, name=name)
    return _create(call, msgspec.structs.replace(request, config=config))


def _check_names(request: CreateConsumerRequest, stream_name: str, name: str) -> None:
    if stream_name != request.stream_name:
        raise errors.STREAM_MISMATCH.rejected()
    if any(separator in name for separator in "\\/"):
        raise errors.CONSUMER_NAME_CONTAINS_PATH_SEPARATORS.rejected()


def _create(call: ApiCall, request: CreateConsumerRequest) -> JsonObject:
    if request.config.num_replicas > 1:
        raise errors.STREAM_REPLICAS_NOT_SUPPORTED.rejected()
    stream = call.owner.streams.get(request.stream_name)
    if stream is None:
        raise errors.STREAM_NOT_FOUND.rejected()
    config = request.config
    if config.direct or config.sourcing:
        config = _sourcing_config(call, stream, config)
    consumer, call.lsn = call.owner.create_consumer(stream, config, request.action, request.pedantic)
    if config.sourcing and config.durable_name:
        # A mirror or source that asks anew gets everything that it did not acknowledge again.
        _note_asked_again(consumer, request.config)
        consumer.reset(0)
    return embedded(consumer.info())


def _note_asked_again(consumer: Consumer, asked: ConsumerConfig) -> None:
    """Keep that more is asked for than is left: the other side has lost what it acknowledged, or removed it."""
    floor, start = consumer.floor_stream_seq, max(asked.opt_start_seq, 1)
    if asked.deliver_policy in (DeliverPolicy.ALL, DeliverPolicy.BY_START_SEQUENCE) and start <= floor:
        consumer.asked_again = (start, floor)


def _sourcing_config(call: ApiCall, stream: Stream, config: ConsumerConfig) -> ConsumerConfig:
    """How a mirror or source elsewhere is served, and the proof that this is the stream it knows.

    A stream that removes what was consumed gets a durable consumer that only its flow-control answers acknowledge;
    others get a consumer for this attempt only.
    """
    if config.direct and config.sourcing and config.name:
        if stream.config.retention is RetentionPolicy.LIMITS:
            config = msgspec.structs.replace(config, name=f"{config.name}-{consumer_name()}")
        else:
            config = msgspec.structs.replace(
                config,
                direct=False,
                durable_name=config.name,
                ack_policy=AckPolicy.FLOW_CONTROL,
                ack_wait=0,
                max_deliver=0,
                inactive_threshold=0,
            )
    expected = headers.get_text(call.header, headers.STREAM_IDENTITY)
    if expected and expected != stream.identity:
        raise errors.CONSUMER_STREAM_IDENTITY_MISMATCH.rejected(msg=stream.identity)
    call.response_header = headers.add(b"", headers.STREAM_IDENTITY, stream.identity.encode())
    existing = stream.consumers.get(config.durable_name)
    if existing is not None and config.sourcing:
        config = msgspec.structs.replace(
            config,
            deliver_policy=existing.config.deliver_policy,
            opt_start_seq=existing.config.opt_start_seq,
            opt_start_time=existing.config.opt_start_time,
        )
    return config


def names(call: ApiCall) -> JsonObject:
    """`CONSUMER.NAMES.<stream>`."""
    request = call.decoded(PagedRequest)
    stream = call.stream()
    shown = stream.shown.names() if stream.shown is not None else []
    found = sorted([*(consumer.name for consumer in stream.public_consumers()), *shown])
    page = paged(len(found), request.offset, NAMES_LIMIT)
    return {**page, "consumers": list(found[max(request.offset, 0) :][:NAMES_LIMIT])}


def listing(call: ApiCall) -> JsonObject:
    """`CONSUMER.LIST.<stream>`; shows the stored metadata only, as nats-server does."""
    request = call.decoded(PagedRequest)
    stream = call.stream()
    own = {consumer.name: consumer for consumer in stream.public_consumers()}
    shown = stream.shown
    found = sorted([*own, *(shown.names() if shown is not None else ())])
    page = paged(len(found), request.offset, LIST_LIMIT)
    infos = []
    for name in found[max(request.offset, 0) :][:LIST_LIMIT]:
        if name in own:
            infos.append(msgspec.structs.replace(own[name].info(), config=own[name].config))
        elif shown is not None and (info := shown.info(name, is_listed=True)) is not None:
            infos.append(info)
    return {**page, "consumers": [embedded(info) for info in infos]}


def info(call: ApiCall) -> JsonObject:
    """`CONSUMER.INFO.<stream>.<consumer>`."""
    if not call.is_empty:
        raise errors.NOT_EMPTY_REQUEST.rejected()
    shown = call.stream().shown
    if shown is not None and (found := shown.info(call.tokens[3])) is not None:
        return embedded(found)
    return embedded(call.consumer().info())


def delete(call: ApiCall) -> JsonObject:
    """`CONSUMER.DELETE.<stream>.<consumer>`."""
    if not call.is_empty:
        raise errors.NOT_EMPTY_REQUEST.rejected()
    consumer = call.consumer()
    consumer.stream.delete_consumer(consumer.name)
    return {"success": True}


def pause(call: ApiCall) -> JsonObject:
    """`CONSUMER.PAUSE.<stream>.<consumer>`; nothing or a past time resumes."""
    request = call.decoded(ConsumerPauseRequest)
    consumer = call.consumer()
    consumer.set_pause(request.pause_until)
    remaining = request.pause_until - now_ns()
    response: JsonObject = {"paused": remaining > 0, "pause_until": format_time(request.pause_until)}
    if remaining > 0:
        response["pause_remaining"] = min(remaining, DURATION_MAX)
    return response


def unpin(call: ApiCall) -> JsonObject:
    """`CONSUMER.UNPIN.<stream>.<consumer>`."""
    request = call.unmarshalled(ConsumerUnpinRequest)
    if not request.group:
        raise errors.INVALID_JSON.rejected(err="consumer group not specified")
    if not _GROUP_NAME.fullmatch(request.group):
        raise errors.CONSUMER_INVALID_GROUP_NAME.rejected()
    consumer = call.consumer()
    if request.group not in consumer.config.priority_groups:
        raise errors.CONSUMER_INVALID_PRIORITY_GROUP.rejected()
    consumer.unpin(request.group, "admin")
    return {}


def reset(call: ApiCall) -> JsonObject | None:
    """`CONSUMER.RESET.<stream>.<consumer>`; an unknown consumer is not answered."""
    stream = call.owner.streams.get(call.tokens[2])
    consumer = stream.consumers.get(call.tokens[3]) if stream is not None else None
    if consumer is None or not call.reply:
        return None
    if headers.get(call.header, headers.STREAM_IDENTITY) is not None:
        call.response_header = headers.add(b"", headers.STREAM_IDENTITY, consumer.stream.identity.encode())
    request = call.unmarshalled(ConsumerResetRequest) if call.body else ConsumerResetRequest()
    seq = consumer.reset(request.seq)
    return {**embedded(consumer.info()), "reset_seq": seq}


def _no_page() -> JsonObject:
    return {"total": 0, "offset": 0, "limit": 0, "consumers": []}


def _not_paused() -> JsonObject:
    return {"paused": False, "pause_until": format_time(ZERO_TIME)}


def _not_reset() -> JsonObject:
    return {"reset_seq": 0}


ENDPOINTS: dict[tuple[str, ...], Endpoint] = {
    ("CONSUMER", "CREATE"): Endpoint(create, "consumer_create", 3, has_more_tokens=True),
    ("CONSUMER", "DURABLE", "CREATE"): Endpoint(create_durable, "consumer_create", 5),
    ("CONSUMER", "NAMES"): Endpoint(names, "consumer_names", 3, on_error=_no_page),
    ("CONSUMER", "LIST"): Endpoint(listing, "consumer_list", 3, on_error=_no_page),
    ("CONSUMER", "INFO"): Endpoint(info, "consumer_info", 4),
    ("CONSUMER", "DELETE"): Endpoint(delete, "consumer_delete", 4),
    ("CONSUMER", "PAUSE"): Endpoint(pause, "consumer_pause", 4, on_error=_not_paused),
    ("CONSUMER", "UNPIN"): Endpoint(unpin, "consumer_unpin", 4),
    ("CONSUMER", "RESET"): Endpoint(reset, "consumer_reset", 4, is_counted=False, on_error=_not_reset),
}
