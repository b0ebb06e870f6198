"""Keys of the `jetstream {}` block.

Source: nats-server 2.15.1 `parseJetStream` and what it calls; `limits.default_max_consumers` from the binary.
"""

from __future__ import annotations

import re

from leafbox.app.configuration.durations import DurationError
from leafbox.app.configuration.fields import (
    NOTHING,
    Block,
    Entry,
    Key,
    ReadValue,
    as_boolean,
    as_string,
    boolean,
    build,
    duration_string,
    integer,
    own_duration,
    string,
)
from leafbox.app.configuration.go_text import quoted, shown, type_name
from leafbox.app.configuration.problems import fail, problem_at
from leafbox.jetstream.config import AcknowledgeAfter, JetStreamServerLimits, StoreCipher, TpmOptions
from leafbox.protocol.errors import ConfigError

SYNC_INTERVAL_S = 120.0
_SIZE_SHIFTS = {"K": 10, "M": 20, "G": 30, "T": 40}


def _storage_size(name: str) -> ReadValue:
    """A size as number, or as text with a 1024-based suffix (`"1G"`); `name` is put in front of errors."""

    def read(entry: Entry) -> object:
        value = entry.node.value
        label = name or entry.key.lower()
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if not isinstance(value, str):
            fail(entry.node, f"{label} must be int64 or string")
        if not value:
            return 0
        digits, suffix = value[:-1], value[-1]
        if not re.fullmatch("[+-]?[0-9]+", digits):
            fail(entry.node, f"{label} strconv.ParseInt: parsing {quoted(digits)}: invalid syntax")
        if abs(int(digits)) >= 2**63:
            fail(entry.node, f"{label} strconv.ParseInt: parsing {quoted(digits)}: value out of range")
        if suffix not in _SIZE_SHIFTS:
            fail(entry.node, f"{label} sizes defined as strings must end in K, M, G, T")
        wrapped: int = ((int(digits) << _SIZE_SHIFTS[suffix]) + 2**63) % 2**64 - 2**63
        return wrapped

    return read


def _strict(entry: Entry) -> object:
    if not isinstance(entry.node.value, bool):
        # nats-server formats the value as text and so shows its type too.
        written = shown(entry.node.value)
        found = written if isinstance(entry.node.value, str) else f"%!s({type_name(entry.node.value)}={written})"
        fail(entry.node, f"Expected 'true' or 'false' for bool value, got '{found}'")
    return entry.node.value


def store_directory(entry: Entry) -> object:
    """Reader of `store_dir`, which may be given at the top level or in the block, once."""
    if entry.into.get("jetstream.store_directory"):
        fail(entry.node, "Duplicate 'store_dir' configuration")
    return as_string(entry.node)


def _sync_interval(entry: Entry) -> object:
    if isinstance(entry.node.value, str) and entry.node.value.lower() == "always":
        entry.into["jetstream.is_sync_always"] = True
        return SYNC_INTERVAL_S
    return own_duration(entry)


def _acknowledge_after(entry: Entry) -> object:
    name = as_string(entry.node)
    try:
        return AcknowledgeAfter(name.lower())
    except ValueError:
        raise problem_at(
            entry.node, f"Expected 'sync' or 'write' for acknowledge_after, got {quoted(name)}; 'sync' is the safe one"
        ) from None


def _cipher(entry: Entry) -> object:
    name = as_string(entry.node)
    if name.lower() in ("chacha", "chachapoly"):
        return StoreCipher.CHACHA
    if name.lower() == "aes":
        return StoreCipher.AES
    raise problem_at(entry.node, f"Unknown cipher type: {quoted(name)}")


def _number(entry: Entry) -> object:
    if not isinstance(entry.node.value, int) or isinstance(entry.node.value, bool):
        fail(entry.node, f"Expected a parseable size for {quoted(entry.key)}, got {shown(entry.node.value)}")
    return entry.node.value


def _not_negative(entry: Entry) -> object:
    value = entry.node.value
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        fail(entry.node, f"Expected an absolute size for {quoted(entry.key)}, got {shown(value)}")
    return value


def _compact_size(entry: Entry) -> object:
    size = _storage_size("")(entry)
    if isinstance(size, int) and size < 0:
        fail(entry.node, f"Expected an absolute size for {quoted(entry.key)}, got {shown(entry.node.value)}")
    return size


def _concurrent_io(entry: Entry) -> object:
    value = entry.node.value
    if not isinstance(value, int) or isinstance(value, bool) or not 4 <= value <= 8192:
        fail(
            entry.node,
            f"Expected an absolute size for {quoted(entry.key)} between 4 and 8192, got {shown(value)}",
        )
    return value


def _unplaced_duration(entry: Entry) -> object:
    """A duration whose error carries no position, as in nats-server."""
    try:
        return duration_string(entry.node)
    except DurationError as error:
        raise ConfigError(str(error)) from error


def _unique_tag(entry: Entry) -> object:
    return as_string(entry.node).strip().lower()


BATCH_KEYS = Block(
    (
        Key(("max_inflight_per_stream",), "batches_inflight_per_stream_max", integer),
        Key(("max_inflight_total",), "batches_inflight_max", integer),
        Key(("max_msgs",), "batch_messages_max", integer),
        Key(("timeout",), "batch_timeout_s", _unplaced_duration),
    )
)


def _batch(entry: Entry) -> object:
    if not isinstance(entry.node.value, dict):
        fail(entry.node, f"Expected a map to define batch limits, got {type_name(entry.node.value)}")
    BATCH_KEYS.read(entry.node.value, entry.into, entry.reading)
    return NOTHING


LIMIT_KEYS = Block(
    (
        Key(("max_ack_pending",), "ack_pending_max", integer),
        Key(("max_ha_assets",), "ha_assets_max", integer),
        Key(("max_request_batch",), "request_batch_max", integer),
        Key(("duplicate_window",), "duplicate_window_max_s", _unplaced_duration),
        Key(("default_max_consumers",), "consumers_default_max", integer),
        Key(("batch",), "", _batch, BATCH_KEYS),
    )
)
_ZERO_MEANS_DEFAULT = (
    "consumers_default_max",
    "batches_inflight_per_stream_max",
    "batches_inflight_max",
    "batch_messages_max",
    "batch_timeout_s",
)


def _limits(entry: Entry) -> object:
    if not isinstance(entry.node.value, dict):
        fail(entry.node, f"Expected a map to define JetStreamLimits, got {type_name(entry.node.value)}")
    values: dict[str, object] = {}
    if not LIMIT_KEYS.read(entry.node.value, values, entry.reading):
        return NOTHING
    kept = {field: value for field, value in values.items() if value or field not in _ZERO_MEANS_DEFAULT}
    return build(JetStreamServerLimits, kept)


TPM_KEYS = Block(
    (
        Key(("keys_file",), "keys_file", string),
        Key(("encryption_password",), "encryption_password", string),
        Key(("srk_password",), "srk_password", string),
        Key(("pcr",), "pcr", integer),
        Key(("cipher",), "cipher", _cipher),
    )
)


def _tpm(entry: Entry) -> object:
    if not isinstance(entry.node.value, dict):
        fail(entry.node, f"Expected a map to define JetStreamLimits, got {type_name(entry.node.value)}")
    values: dict[str, object] = {}
    if not TPM_KEYS.read(entry.node.value, values, entry.reading):
        return NOTHING
    if "cipher" in values:
        entry.into["jetstream.cipher"] = values.pop("cipher")
    return build(TpmOptions, values)


def _enabled(entry: Entry) -> object:
    return as_boolean(entry.node)


JETSTREAM_KEYS = Block(
    (
        Key(("enabled", "enable"), "jetstream.is_enabled", _enabled),
        Key(("store_dir", "storedir", "store"), "jetstream.store_directory", store_directory),
        Key(
            ("max_memory_store", "max_mem_store", "max_mem"),
            "jetstream.memory_bytes_max",
            _storage_size("max_mem_store"),
        ),
        Key(("max_file_store", "max_file"), "jetstream.storage_bytes_max", _storage_size("max_file_store")),
        Key(("domain",), "jetstream.domain", string),
        Key(("strict",), "jetstream.is_strict", _strict),
        Key(("acknowledge_after",), "jetstream.acknowledge_after", _acknowledge_after),
        Key(("sync_interval", "sync"), "jetstream.sync_interval_s", _sync_interval),
        Key(("encryption_key", "key", "ek"), "jetstream.encryption_key", string),
        Key(("prev_encryption_key", "prev_key", "prev_ek"), "jetstream.previous_encryption_key", string),
        Key(("cipher",), "jetstream.cipher", _cipher),
        Key(("tpm",), "jetstream.tpm", _tpm, TPM_KEYS),
        Key(("extension_hint",), "jetstream.extension_hint", string),
        Key(("unique_tag",), "jetstream.unique_tag", _unique_tag),
        Key(("limits",), "jetstream.limits", _limits, LIMIT_KEYS),
        Key(("max_outstanding_catchup",), "jetstream.catchup_bytes_max", _storage_size("")),
        Key(("max_buffered_size",), "jetstream.buffered_bytes_max", _storage_size("")),
        Key(("max_buffered_msgs",), "jetstream.buffered_messages_max", _number),
        Key(("request_queue_limit",), "jetstream.request_queue_max", _number),
        Key(("info_queue_limit",), "jetstream.info_queue_max", _number),
        Key(("meta_compact",), "jetstream.meta_compact", _not_negative),
        Key(("meta_compact_size",), "jetstream.meta_compact_bytes", _compact_size),
        Key(("meta_compact_sync",), "jetstream.is_meta_compact_sync", boolean),
        Key(("max_concurrent_io",), "jetstream.concurrent_io_max", _concurrent_io),
    )
)


def jetstream(entry: Entry) -> object:
    """Reader of the `jetstream` key: on/off, or the block (which switches it on)."""
    value = entry.node.value
    if isinstance(value, bool):
        entry.into["jetstream.is_enabled"] = value
    elif isinstance(value, str):
        if value.lower() not in ("enabled", "enable", "disabled", "disable"):
            fail(entry.node, f"Expected 'enabled' or 'disabled' for string value, got '{value}'")
        entry.into["jetstream.is_enabled"] = value.lower().startswith("enable")
    elif isinstance(value, dict):
        entry.into["jetstream.is_enabled"] = True
        JETSTREAM_KEYS.read(value, entry.into, entry.reading)
    else:
        fail(entry.node, f"Expected map, bool or string to define JetStream, got {type_name(value)}")
    return NOTHING
