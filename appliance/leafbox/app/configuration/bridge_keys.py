"""Keys of the `bridges {}` block, which is ours: the fields of `leafbox bridge add` under the bridge's name."""

from __future__ import annotations

from leafbox.app.configuration.fields import (
    Block,
    Entry,
    Key,
    as_integer,
    as_string,
    build,
    duration,
    in_map,
    string,
    string_list,
)
from leafbox.app.configuration.go_text import type_name
from leafbox.app.configuration.problems import fail
from leafbox.mqtt.bridge.rules import BRIDGES_MAX, VERSIONS, BridgeOptions, ClientKind, rule_of


def _version(entry: Entry) -> object:
    text = str(entry.node.value)
    if text not in VERSIONS:
        fail(entry.node, f"a bridge's version is {' or '.join(VERSIONS)}, not {text!r}")
    return VERSIONS[text]


def _client(entry: Entry) -> object:
    text = as_string(entry.node)
    try:
        return ClientKind(text)
    except ValueError:
        fail(entry.node, f"a bridge's client is {' or '.join(kind.value for kind in ClientKind)}, not {text!r}")


def _keep_alive(entry: Entry) -> object:
    seconds = duration("keep_alive")(entry)
    assert isinstance(seconds, float)
    if not 1 <= seconds <= 0xFFFF:
        fail(entry.node, "keep_alive is 1 s to 65535 s")
    return round(seconds)


def _buffer(entry: Entry) -> object:
    size = as_integer(entry.node)
    if size <= 0:
        fail(entry.node, "buffer is a size above 0")
    return size


BRIDGE_KEYS = Block(
    (
        Key(("url",), "url", string),
        Key(("out",), "outbound", string_list("out")),
        Key(("in",), "inbound", string_list("in")),
        Key(("local_prefix",), "", string),
        Key(("remote_prefix",), "", string),
        Key(("user",), "user", string),
        Key(("password",), "password", string),
        Key(("version",), "version", _version),
        Key(("client",), "client", _client),
        Key(("client_id",), "client_id", string),
        Key(("account",), "account", string),
        Key(("ca_file",), "ca_file", string),
        Key(("cert_file",), "cert_file", string),
        Key(("key_file",), "key_file", string),
        Key(("keep_alive",), "keep_alive_s", _keep_alive),
        Key(("buffer",), "buffer_bytes", _buffer),
    )
)


def bridges(entry: Entry) -> object:
    """Reader of the `bridges {}` key."""
    if not isinstance(entry.node.value, dict):
        fail(entry.node, f"Expected bridges to be a map, got {type_name(entry.node.value)}")
    if len(entry.node.value) > BRIDGES_MAX:
        fail(entry.node, f"{BRIDGES_MAX} bridges are the most")
    return tuple(bridge for each in in_map(entry) if (bridge := _bridge(each)) is not None)


def _bridge(entry: Entry) -> BridgeOptions | None:
    if not isinstance(entry.node.value, dict):
        fail(entry.node, f"Expected bridge {entry.key} to be a map, got {type_name(entry.node.value)}")
    prefixes = {"local_prefix": "", "remote_prefix": ""}
    values: dict[str, object] = {"name": entry.key, "url": ""}
    nodes = dict(entry.node.value)
    for name in prefixes:
        if name in nodes:
            prefixes[name] = as_string(nodes.pop(name))
    if not BRIDGE_KEYS.read(nodes, values, entry.reading):
        return None
    for direction in ("outbound", "inbound"):
        texts = values.get(direction, ())
        assert isinstance(texts, tuple)
        values[direction] = tuple(rule_of(text, **prefixes) for text in texts)
    bridge = build(BridgeOptions, values)
    if problem := bridge.problem():
        fail(entry.node, f"bridge {entry.key}: {problem}")
    return bridge
