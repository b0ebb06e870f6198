"""What accounts share: the entries of `exports [ ]` and `imports [ ]`.

An entry's keys may come in any order, so they are read first and judged together.
Source: nats-server 2.15.1 `parseExportStreamOrService`, `parseImportStreamOrService`, `parseServiceLatency`.
"""

from __future__ import annotations

import re

from leafbox.app.configuration.durations import DurationError, parse_duration_ns
from leafbox.app.configuration.fields import (
    NANOSECONDS,
    NOTHING,
    Block,
    Entry,
    Key,
    Reading,
    as_list,
    as_string,
    boolean,
    build,
    integer,
    string,
)
from leafbox.app.configuration.go_text import quoted, type_name
from leafbox.app.configuration.problems import fail, problem_at
from leafbox.app.configuration.tree import Node
from leafbox.broker.config import (
    ServiceExport,
    ServiceImport,
    ServiceLatency,
    ServiceResponseType,
    StreamExport,
    StreamImport,
)
from leafbox.protocol.errors import ConfigError

Export = StreamExport | ServiceExport
Import = StreamImport | ServiceImport

_RESPONSE_TYPES = {
    "single": ServiceResponseType.SINGLETON,
    "singleton": ServiceResponseType.SINGLETON,
    "stream": ServiceResponseType.STREAM,
    "chunk": ServiceResponseType.CHUNKED,
    "chunked": ServiceResponseType.CHUNKED,
}


def _subject(entry: Entry) -> object:
    kind = entry.key.lower()
    if not isinstance(entry.node.value, str):
        fail(entry.node, f"Expected {kind} name to be string, got {type_name(entry.node.value)}")
    return entry.node.value


def _response_type(entry: Entry) -> object:
    if not isinstance(entry.node.value, str):
        fail(entry.node, f"Expected response type to be string, got {type_name(entry.node.value)}")
    kind = _RESPONSE_TYPES.get(entry.node.value.lower())
    if kind is None:
        fail(entry.node, f"Unknown response type: {quoted(entry.node.value)}")
    return kind


def _threshold(entry: Entry) -> object:
    wanted = "Expected response threshold to be a parseable time duration, got "
    if not isinstance(entry.node.value, str):
        fail(entry.node, wanted + type_name(entry.node.value))
    try:
        return parse_duration_ns(entry.node.value) / NANOSECONDS
    except DurationError:
        fail(entry.node, wanted + quoted(entry.node.value))


def _accounts(entry: Entry) -> object:
    return tuple(as_string(node) for node in as_list(entry.node))


def _sampling(node: Node) -> int:
    value = node.value
    if isinstance(value, str):
        if value.strip().lower() == "headers":
            return 0
        digits = value.removesuffix("%")
        if not re.fullmatch("[+-]?[0-9]{1,18}", digits):
            fail(node, f"Failed to parse latency sample: strconv.Atoi: parsing {quoted(digits)}: invalid syntax")
        value = int(digits)
    if not isinstance(value, int) or isinstance(value, bool):
        fail(node, f"Expected latency sample to be a string or map/struct, got {type_name(value)}")
    if not 1 <= value <= 100:
        fail(node, "bad sampling percentage, should be 1-100")
    return value


def _latency(entry: Entry) -> object:
    value = entry.node.value
    if isinstance(value, str):
        return ServiceLatency(value)
    if not isinstance(value, dict):
        fail(entry.node, f"Expected latency entry to be a map/struct or string, got {type_name(value)}")
    # Other keys in here are not looked at by nats-server either.
    sampling = _sampling(value["sampling"]) if "sampling" in value else 100
    if "subject" not in value:
        fail(entry.node, "Latency subject required, but missing")
    subject = value["subject"]
    if not isinstance(subject.value, str):
        fail(subject, "Expected latency subject to be a string, got string")
    return ServiceLatency(subject.value, sampling)


EXPORT_KEYS = Block(
    (
        Key(("stream",), "stream", _subject),
        Key(("service",), "service", _subject),
        Key(("accounts",), "accounts", _accounts),
        Key(("account_token_position",), "account_token_position", integer),
        Key(("response_type", "response"), "response_type", _response_type),
        Key(
            ("threshold", "response_threshold", "response_max_time", "response_time"),
            "response_threshold_s",
            _threshold,
        ),
        Key(("latency",), "latency", _latency),
        Key(("allow_trace",), "allow_trace", boolean),
    )
)
_SERVICE_ONLY = {"response_type": "response", "response_threshold_s": "response", "latency": "latency"}


def _export(nodes: dict[str, Node], reading: Reading) -> Export | None:
    values: dict[str, object] = {}
    if not EXPORT_KEYS.read(nodes, values, reading):
        return None
    by_name = {name.lower(): node for name, node in nodes.items()}
    if "stream" in values and "service" in values:
        last = next(name for name in reversed(by_name) if name in ("stream", "service"))
        other = "service" if last == "stream" else "stream"
        fail(by_name[last], f"Detected {last} {quoted(str(values[last]))} but already saw a {other}")
    if "service" in values:
        return build(ServiceExport, {"subject": values.pop("service"), **values})
    if "stream" not in values:
        return None
    for field, what in (*_SERVICE_ONLY.items(), ("allow_trace", "allow_trace")):
        if field in values:
            names = next(key.names for key in EXPORT_KEYS.keys if key.fields == field)
            place = next(by_name[name] for name in names if name in by_name)
            fail(place, f"Detected {what} directive on non-service")
    return build(StreamExport, {"subject": values.pop("stream"), **values})


SOURCE_KEYS = Block((Key(("account",), "account", string), Key(("subject",), "subject", string)))


def _source(entry: Entry) -> object:
    kind = entry.key.lower()
    if not isinstance(entry.node.value, dict):
        found = type_name(entry.node.value)
        fail(entry.node, f"{kind.capitalize()} entry should be an account map, got {found}")
    values: dict[str, object] = {}
    if not SOURCE_KEYS.read(entry.node.value, values, entry.reading):
        return NOTHING
    if not values.get("account") or not values.get("subject"):
        fail(entry.node, "Expect an account name and a subject")
    return values


IMPORT_KEYS = Block(
    (
        Key(("stream",), "stream", _source, SOURCE_KEYS),
        Key(("service",), "service", _source, SOURCE_KEYS),
        Key(("prefix",), "prefix", string),
        Key(("to",), "to", string),
        Key(("share",), "is_shared", boolean),
        Key(("allow_trace",), "allow_trace", boolean),
    )
)


def _import(nodes: dict[str, Node], reading: Reading) -> Import | None:
    values: dict[str, object] = {}
    if not IMPORT_KEYS.read(nodes, values, reading):
        return None
    by_name = {name.lower(): node for name, node in nodes.items()}
    service, stream = values.pop("service", None), values.pop("stream", None)
    if isinstance(stream, dict) and isinstance(service, dict):
        last = next(name for name in reversed(by_name) if name in ("stream", "service"))
        fail(by_name[last], f"Detected {last} but already saw a {'service' if last == 'stream' else 'stream'}")
    if isinstance(service, dict):
        if "allow_trace" in values:
            fail(by_name["allow_trace"], "Detected allow_trace directive on a non-stream")
        values.pop("prefix", None)
        values.setdefault("to", "")
        return build(ServiceImport, {**service, **values})
    if not isinstance(stream, dict):
        return None
    values.pop("is_shared", None)
    if values.get("prefix") and "to" in values:
        fail(by_name["to"], "Stream import can not have a 'prefix' and a 'to' property")
    return build(StreamImport, {**stream, **values})


def exports_of(entry: Entry) -> list[Export]:
    """The exports of an account; refused ones are reported and left out."""
    if not isinstance(entry.node.value, list):
        fail(entry.node, f"Exports should be an array, got {type_name(entry.node.value)}")
    exports: list[Export] = []
    for node in entry.node.value:
        try:
            if not isinstance(node.value, dict):
                fail(node, f"Export Items should be a map with type entry, got {type_name(node.value)}")
            export = _export(node.value, entry.reading)
        except ConfigError as error:
            entry.reading.problems.errors.append(error)
            continue
        if export is not None:
            exports.append(export)
    return exports


def imports_of(entry: Entry) -> list[Import]:
    """The imports of an account; refused ones are reported and left out."""
    if not isinstance(entry.node.value, list):
        fail(entry.node, f"Imports should be an array, got {type_name(entry.node.value)}")
    imports: list[Import] = []
    for node in entry.node.value:
        try:
            if not isinstance(node.value, dict):
                fail(node, f"Import Items should be a map with type entry, got {type_name(node.value)}")
            item = _import(node.value, entry.reading)
        except ConfigError as error:
            entry.reading.problems.errors.append(error)
            continue
        if isinstance(item, ServiceImport):
            duplicate = _duplicate(item, imports)
            if duplicate:
                entry.reading.problems.errors.append(problem_at(node, duplicate))
                continue
        if item is not None:
            imports.append(item)
    return imports


def _duplicate(item: ServiceImport, earlier: list[Import]) -> str:
    """Why a service import repeats an earlier one; empty if it does not."""
    local = item.to or item.subject
    for other in earlier:
        if isinstance(other, ServiceImport) and (other.to or other.subject, other.account) == (local, item.account):
            return (
                f"Duplicate service import subject {quoted(local)}, previously used in import for account "
                f"{quoted(other.account)}, subject {quoted(other.subject)}"
            )
    return ""
