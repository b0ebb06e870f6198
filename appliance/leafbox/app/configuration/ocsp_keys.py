"""Keys of `ocsp` and `ocsp_cache`.

Source: nats-server 2.15.1 `processConfigFileLine`, `parseOCSPResponseCache`.
"""

from __future__ import annotations

from leafbox.app.configuration.durations import DurationError, parse_duration_ns
from leafbox.app.configuration.fields import (
    NOTHING,
    Block,
    Entry,
    Key,
    as_string,
    build,
)
from leafbox.app.configuration.go_text import quoted, type_name
from leafbox.app.configuration.problems import fail
from leafbox.protocol.errors import ConfigError
from leafbox.security.config import OcspMode, OcspOptions


def _ocsp_mode(entry: Entry) -> object:
    name = as_string(entry.node).lower()
    if name not in ("auto", "always", "must", "never"):
        fail(entry.node, "error parsing ocsp config: unsupported ocsp mode string")
    return OcspMode(name)


def _ocsp_url(entry: Entry) -> object:
    return (as_string(entry.node),)


OCSP_KEYS = Block(
    (
        Key(("mode",), "mode", _ocsp_mode),
        Key(("url",), "responder_urls", _ocsp_url),
    ),
    unknown=lambda key: "error parsing ocsp config: unsupported field string",
)


def ocsp(entry: Entry) -> object:
    """Reader of `ocsp`: on, off, or the block."""
    value = entry.node.value
    if isinstance(value, bool):
        return OcspOptions(OcspMode.AUTO if value else OcspMode.NEVER)
    if not isinstance(value, dict):
        fail(entry.node, f"error parsing ocsp config: unsupported type {type_name(value)}")
    values: dict[str, object] = {}
    for name, node in value.items():
        if name in ("mode", "url", "urls") and (name == "urls" or not isinstance(node.value, str)):
            # Wrong types are placed at the block's key; an array of responders is one, whatever it holds.
            wanted = "[]string" if name == "urls" else "string"
            hint = 'use "url" for one responder' if name == "urls" else ""
            found = type_name(node.value)
            fail(entry.node, f"interface conversion: interface {{}} is {found}, not {wanted}", hint)
    if not OCSP_KEYS.read(value, values, entry.reading):
        return NOTHING
    return build(OcspOptions, values)


def _cache_problem(key: str) -> str:
    return f"error parsing OCSP peer cache config, unknown field [{quoted(key)}]"


def _cache_type(entry: Entry) -> object:
    if not isinstance(entry.node.value, str):
        fail(entry.node, _cache_problem(entry.key))
    if entry.node.value.lower() not in ("none", "local"):
        fail(entry.node, f"error parsing OCSP peer cache config, unknown type [{entry.node.value}]")
    return entry.node.value.lower()


def _cache_directory(entry: Entry) -> object:
    if not isinstance(entry.node.value, str):
        fail(entry.node, _cache_problem(entry.key))
    return entry.node.value


def _cache_flag(entry: Entry) -> object:
    if not isinstance(entry.node.value, bool):
        fail(entry.node, _cache_problem(entry.key))
    return NOTHING


def _cache_interval(entry: Entry) -> object:
    value = entry.node.value
    if isinstance(value, str):
        try:
            parse_duration_ns(value)
        except DurationError as error:
            fail(entry.node, f"error parsing tls peer config, conversion error: {error}")
    elif not isinstance(value, int | float) or isinstance(value, bool):
        fail(entry.node, "error parsing OCSP peer cache config, conversion error: unexpected type")
    return NOTHING


OCSP_CACHE_KEYS = Block(
    (
        Key(("type",), "security.ocsp_cache_type", _cache_type),
        Key(("local_store",), "security.ocsp_cache_directory", _cache_directory),
        Key(("preserve_revoked",), "", _cache_flag),
        Key(("save_interval",), "", _cache_interval),
    ),
    unknown=_cache_problem,
)


def ocsp_cache(entry: Entry) -> object:
    """Reader of `ocsp_cache`: on, off, or the block."""
    value = entry.node.value
    if isinstance(value, bool):
        entry.into["security.ocsp_cache_type"] = "local" if value else "none"
    elif isinstance(value, dict):
        entry.into["security.ocsp_cache_type"] = "local"
        OCSP_CACHE_KEYS.read(value, entry.into, entry.reading)
    else:
        raise ConfigError(f"expected map to define OCSP peer cache options, got [{type_name(value)}]")
    return NOTHING
