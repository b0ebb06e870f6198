"""Keys of the `websocket {}` and `mqtt {}` blocks.

Source: nats-server 2.15.1 `parseWebsocket`, `parseMQTT`. Ours: `max_queued_messages`, `when_queue_full`,
`server_reference`, `redirect`.
"""

from __future__ import annotations

from leafbox.app.configuration.authorization_keys import SIMPLE_AUTHORIZATION_KEYS, simple_authorization
from leafbox.app.configuration.durations import DurationError, parse_duration_ns
from leafbox.app.configuration.fields import (
    NANOSECONDS,
    NOTHING,
    Block,
    Entry,
    Key,
    as_integer,
    boolean,
    duration,
    integer,
    listen,
    own_duration,
    string,
    string_list,
)
from leafbox.app.configuration.go_text import type_name
from leafbox.app.configuration.problems import fail, problem_at
from leafbox.app.configuration.tls_keys import TLS_KEYS, tls
from leafbox.mqtt.config import QueueFull, Redirect

# 16 bytes of memory each: 1.6 GB for one session is beyond any box.
QUEUED_MESSAGES_LIMIT = 100_000_000


def _handshake_timeout(entry: Entry) -> object:
    value = entry.node.value
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        fail(entry.node, f"error parsing handshake timeout: unsupported type {type_name(value)}")
    try:
        return parse_duration_ns(value) / NANOSECONDS
    except DurationError as error:
        fail(entry.node, str(error))


def _headers(entry: Entry) -> object:
    if not isinstance(entry.node.value, dict):
        fail(entry.node, f"error parsing headers: unsupported type {type_name(entry.node.value)}")
    headers: dict[str, str] = {}
    for name, node in entry.node.value.items():
        if isinstance(node.value, str):
            headers[name] = node.value
        else:
            reason = f"error parsing header key {name}: unsupported type {type_name(node.value)}"
            entry.reading.problems.errors.append(problem_at(node, reason))
    return headers


WEBSOCKET_KEYS = Block(
    (
        Key(("listen",), "websocket.host websocket.port", listen("websocket.host", "websocket.port")),
        Key(("host", "net"), "websocket.host", string),
        Key(("port",), "websocket.port", integer),
        Key(("advertise",), "websocket.advertise", string),
        Key(("tls",), "websocket.tls", tls, TLS_KEYS),
        Key(("no_tls",), "websocket.is_tls_disabled", boolean),
        Key(("same_origin",), "websocket.is_same_origin_required", boolean),
        Key(
            ("allowed_origins", "allowed_origin", "allow_origins", "allow_origin", "origins", "origin"),
            "websocket.allowed_origins",
            string_list("allowed origins"),
        ),
        Key(("handshake_timeout",), "websocket.handshake_timeout_s", _handshake_timeout),
        Key(("compression", "compress"), "websocket.is_compression_enabled", boolean),
        Key(
            ("authorization", "authentication"),
            "websocket.authorization",
            simple_authorization,
            SIMPLE_AUTHORIZATION_KEYS,
        ),
        Key(("no_auth_user",), "websocket.no_auth_user", string),
        Key(("jwt_cookie",), "websocket.jwt_cookie", string),
        Key(("user_cookie",), "websocket.user_cookie", string),
        Key(("pass_cookie",), "websocket.pass_cookie", string),
        Key(("token_cookie",), "websocket.token_cookie", string),
        Key(("headers",), "websocket.headers", _headers),
        Key(("ping_interval",), "websocket.ping_interval_s", duration("ping_interval")),
    )
)


def websocket(entry: Entry) -> object:
    """Reader of the `websocket {}` key."""
    if not isinstance(entry.node.value, dict):
        fail(entry.node, f"Expected websocket to be a map, got {type_name(entry.node.value)}")
    WEBSOCKET_KEYS.read(entry.node.value, entry.into, entry.reading)
    return NOTHING


def _ack_pending(entry: Entry) -> object:
    number = as_integer(entry.node)
    if not 0 <= number <= 0xFFFF:
        fail(entry.node, f"invalid value {number}, should in [0..{0xFFFF}] range")
    return number


def _queued_messages(entry: Entry) -> object:
    number = as_integer(entry.node)
    if not 1 <= number <= QUEUED_MESSAGES_LIMIT:
        fail(entry.node, f"invalid value {number}, should in [1..{QUEUED_MESSAGES_LIMIT}] range")
    return number


def _keep_alive(entry: Entry) -> object:
    seconds = own_duration(entry)
    if not 0 <= seconds <= 0xFFFF or seconds != int(seconds):
        fail(entry.node, f"invalid value {seconds:g} s, should be whole seconds in [0..{0xFFFF}]")
    return seconds


def _queue_full(entry: Entry) -> object:
    try:
        return QueueFull(entry.node.value)
    except ValueError:
        names = ", ".join(each.value for each in QueueFull)
        fail(entry.node, f"when_queue_full is one of {names}, not {entry.node.value!r}")


def _redirect(entry: Entry) -> object:
    try:
        return Redirect(entry.node.value)
    except ValueError:
        names = ", ".join(each.value for each in Redirect)
        fail(entry.node, f"redirect is one of {names}, not {entry.node.value!r}")


def _consumer_replicas(entry: Entry) -> object:
    reason = "consumer replicas setting ignored in this server version"
    entry.reading.problems.warn_use(entry.node, entry.key, reason)
    return NOTHING


MQTT_KEYS = Block(
    (
        Key(("listen",), "mqtt.host mqtt.port", listen("mqtt.host", "mqtt.port")),
        Key(("host", "net"), "mqtt.host", string),
        Key(("port",), "mqtt.port", integer),
        Key(("tls",), "mqtt.tls", tls, TLS_KEYS),
        Key(("authorization", "authentication"), "mqtt.authorization", simple_authorization, SIMPLE_AUTHORIZATION_KEYS),
        Key(("no_auth_user",), "mqtt.no_auth_user", string),
        Key(("ack_wait", "ackwait"), "mqtt.ack_wait_s", duration("ack_wait")),
        Key(("max_keep_alive",), "mqtt.keep_alive_max_s", _keep_alive),
        Key(("js_api_timeout", "api_timeout"), "mqtt.api_timeout_s", duration("js_api_timeout")),
        Key(("max_ack_pending", "max_pending", "max_inflight"), "mqtt.ack_pending_max", _ack_pending),
        Key(("max_queued_messages",), "mqtt.queued_messages_max", _queued_messages),
        Key(("when_queue_full",), "mqtt.when_queue_full", _queue_full),
        Key(("server_reference",), "mqtt.server_reference", string),
        Key(("redirect",), "mqtt.redirect", _redirect),
        Key(("js_domain",), "mqtt.jetstream_domain", string),
        Key(("stream_replicas",), "mqtt.stream_replicas", integer),
        Key(("consumer_replicas",), "", _consumer_replicas),
        Key(("consumer_memory_storage",), "mqtt.is_consumer_storage_memory", boolean),
        Key(
            ("consumer_inactive_threshold", "consumer_auto_cleanup"),
            "mqtt.consumer_inactive_threshold_s",
            duration("consumer_inactive_threshold"),
        ),
        Key(("reject_qos2_publish",), "mqtt.is_qos2_publish_rejected", boolean),
        Key(("downgrade_qos2_subscribe",), "mqtt.is_qos2_subscribe_downgraded", boolean),
    )
)


def mqtt(entry: Entry) -> object:
    """Reader of the `mqtt {}` key."""
    if not isinstance(entry.node.value, dict):
        fail(entry.node, f"Expected mqtt to be a map, got {type_name(entry.node.value)}")
    MQTT_KEYS.read(entry.node.value, entry.into, entry.reading)
    return NOTHING
