"""Streams and consumers in the API's words, made of and into JetStream's."""

from __future__ import annotations

from typing import Any

from leafbox.web.core import Object
from leafbox.web.jetstream import body_of, headers_of, nanoseconds, seconds
from leafbox.web.models.data import (
    Consumer,
    NewConsumer,
    StoredMessage,
    Stream,
    StreamAsked,
    StreamConfig,
    StreamState,
)

KV_PREFIX = "KV_"
OBJECT_PREFIX = "OBJ_"
MQTT_PREFIX = "$MQTT_"
INTERNAL_PREFIX = "$"

DAY_S = 86400.0
# Plain words for what most people want; what is given besides wins.
PRESETS: dict[str, dict[str, Any]] = {
    "keep-a-week": {"retention": "limits", "max_age": nanoseconds(7 * DAY_S), "discard": "old"},
    "latest-value": {"retention": "limits", "max_msgs_per_subject": 1, "discard": "old", "allow_direct": True},
    "work-queue": {"retention": "workqueue", "discard": "new"},
    "forever": {"retention": "limits", "discard": "new", "deny_delete": True},
    "custom": {},
}


def kind_of(name: str) -> Any:
    """What a stream is for, by its name."""
    if name.startswith(KV_PREFIX):
        return "kv"
    if name.startswith(OBJECT_PREFIX):
        return "object"
    if name.startswith(MQTT_PREFIX):
        return "mqtt"
    return "internal" if name.startswith(INTERNAL_PREFIX) else "stream"


def stream_of(info: Any) -> Stream:
    """STREAM.INFO's answer, or an entry of STREAM.LIST."""
    config, state = info["config"], info.get("state") or {}
    mirror = config.get("mirror") or {}
    return Stream(
        config=StreamConfig(
            name=config["name"],
            description=config.get("description", ""),
            subjects=config.get("subjects") or [],
            retention=config.get("retention", "limits"),
            storage=config.get("storage", "file"),
            max_consumers=config.get("max_consumers", -1),
            max_msgs=config.get("max_msgs", -1),
            max_bytes=config.get("max_bytes", -1),
            max_age_s=seconds(config.get("max_age")),
            max_msgs_per_subject=config.get("max_msgs_per_subject", -1),
            max_msg_size=config.get("max_msg_size", -1),
            discard=config.get("discard", "old"),
            duplicate_window_s=seconds(config.get("duplicate_window")),
            allow_rollup=config.get("allow_rollup_hdrs", False),
            deny_delete=config.get("deny_delete", False),
            deny_purge=config.get("deny_purge", False),
            allow_direct=config.get("allow_direct", False),
            sealed=config.get("sealed", False),
            mirror=mirror.get("name", ""),
            sources=[source.get("name", "") for source in config.get("sources") or []],
            metadata=config.get("metadata") or {},
        ),
        state=StreamState(
            messages=state.get("messages", 0),
            bytes=state.get("bytes", 0),
            first_seq=state.get("first_seq", 0),
            first_time=state.get("first_ts", ""),
            last_seq=state.get("last_seq", 0),
            last_time=state.get("last_ts", ""),
            consumers=state.get("consumer_count", 0),
            subjects=state.get("num_subjects", 0),
            deleted=state.get("num_deleted", 0),
        ),
        created=info.get("created", ""),
        kind=kind_of(config["name"]),
    )


def config_of(asked: StreamAsked, present: Object | None = None) -> Object:
    """The JetStream configuration that is asked for; `present` is the one to change."""
    config: Object = dict(present or {})
    config["name"] = asked.name
    config.update(PRESETS[asked.preset])
    given = {
        "description": asked.description,
        "retention": asked.retention,
        "storage": asked.storage,
        "max_consumers": asked.max_consumers,
        "max_msgs": asked.max_msgs,
        "max_bytes": asked.max_bytes,
        "max_age": None if asked.max_age_s is None else nanoseconds(asked.max_age_s),
        "max_msgs_per_subject": asked.max_msgs_per_subject,
        "max_msg_size": asked.max_msg_size,
        "discard": asked.discard,
        "duplicate_window": None if asked.duplicate_window_s is None else nanoseconds(asked.duplicate_window_s),
        "allow_rollup_hdrs": asked.allow_rollup,
        "deny_delete": asked.deny_delete,
        "deny_purge": asked.deny_purge,
        "allow_direct": asked.allow_direct,
    }
    config.update({name: value for name, value in given.items() if value is not None})
    if asked.subjects or present is None:
        config["subjects"] = asked.subjects
    config.setdefault("retention", "limits")
    config.setdefault("storage", "file")
    return config


def message_of(found: Any, decode: Any) -> StoredMessage:
    """STREAM.MSG.GET's `message`; `decode` turns its base64 into bytes."""
    return StoredMessage(
        seq=found["seq"],
        subject=found["subject"],
        time=found.get("time", ""),
        headers=headers_of(decode(found["hdrs"])) if found.get("hdrs") else {},
        body=body_of(decode(found.get("data") or "")),
    )


def consumer_of(info: Any) -> Consumer:
    """CONSUMER.INFO's answer, or an entry of CONSUMER.LIST."""
    config = info.get("config") or {}
    delivered, floor = info.get("delivered") or {}, info.get("ack_floor") or {}
    filters = config.get("filter_subjects") or ([config["filter_subject"]] if config.get("filter_subject") else [])
    return Consumer(
        name=info["name"],
        stream=info["stream_name"],
        durable=bool(config.get("durable_name")),
        push=bool(config.get("deliver_subject")),
        description=config.get("description", ""),
        filter_subjects=filters,
        deliver_policy=config.get("deliver_policy", ""),
        ack_policy=config.get("ack_policy", ""),
        ack_wait_s=seconds(config.get("ack_wait")),
        max_deliver=config.get("max_deliver", -1),
        max_ack_pending=config.get("max_ack_pending", 0),
        delivered_stream_seq=delivered.get("stream_seq", 0),
        ack_floor_stream_seq=floor.get("stream_seq", 0),
        lag=info.get("num_pending", 0),
        ack_pending=info.get("num_ack_pending", 0),
        redelivered=info.get("num_redelivered", 0),
        waiting=info.get("num_waiting", 0),
        paused=bool(info.get("paused")),
        pause_until=config.get("pause_until") or "",
        pause_remaining_s=seconds(info.get("pause_remaining")),
        last_delivered=delivered.get("last_active") or "",
        created=info.get("created", ""),
    )


def consumer_config_of(asked: NewConsumer) -> Object:
    """The JetStream configuration of a durable pull consumer."""
    config: Object = {
        "name": asked.name,
        "durable_name": asked.name,
        "description": asked.description or "",
        "deliver_policy": asked.deliver_policy,
        "ack_policy": asked.ack_policy,
        "max_deliver": asked.max_deliver,
        "max_ack_pending": asked.max_ack_pending,
    }
    if asked.ack_policy != "none":
        config["ack_wait"] = nanoseconds(asked.ack_wait_s)
    else:
        del config["max_ack_pending"]
    if asked.filter_subjects:
        config["filter_subjects"] = asked.filter_subjects
    if asked.start_seq is not None:
        config["opt_start_seq"] = asked.start_seq
    if asked.start_time is not None:
        config["opt_start_time"] = asked.start_time
    return config
