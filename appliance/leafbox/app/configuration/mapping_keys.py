"""Subject mappings: `"source": "destination"`, a weighted destination, or an array of them.

Source: nats-server 2.15.1 `parseAccountMappings`, `parseAccountMapDest`, `AddWeightedMappings`.
"""

from __future__ import annotations

import re

from leafbox.app.configuration.fields import Block, Entry, Key, as_map, build, in_map, string
from leafbox.app.configuration.go_text import quoted, shown
from leafbox.app.configuration.problems import fail
from leafbox.app.configuration.subjects import as_bytes, is_valid_subject
from leafbox.app.configuration.tree import Node
from leafbox.broker.config import MappingDestination, SubjectMapping
from leafbox.protocol.errors import ConfigError
from leafbox.protocol.subject_transform import InvalidTransform, SubjectTransform


def _weight(entry: Entry) -> object:
    value = entry.node.value
    if isinstance(value, str):
        digits = value.removesuffix("%")
        if not re.fullmatch("[+-]?[0-9]{1,18}", digits):
            fail(entry.node, f"Invalid weight {quoted(digits)} for mapping destination")
        value = int(digits)
    if not isinstance(value, int) or isinstance(value, bool):
        fail(entry.node, f"Unknown entry type for weight of {shown(value)}\n")
    if not 0 <= value <= 100:
        fail(entry.node, f"Invalid weight {value} for mapping destination")
    return value


DESTINATION_KEYS = Block(
    (
        Key(("destination", "dest"), "subject", string),
        Key(("weight",), "weight_percent", _weight),
        Key(("cluster",), "cluster", string),
    ),
    unknown=lambda key: f"Unknown field {quoted(key)} for mapping destination",
)


def _destination(node: Node, place: Node, entry: Entry) -> MappingDestination | None:
    if not isinstance(node.value, dict):
        fail(place, "Expected an entry for the mapping destination")
    values: dict[str, object] = {}
    if not DESTINATION_KEYS.read(node.value, values, entry.reading):
        return None
    values.setdefault("subject", "")
    if "weight_percent" not in values:
        fail(place, f"Missing weight for mapping destination {quoted(str(values['subject']))}")
    return build(MappingDestination, values)


def _destinations(entry: Entry) -> list[MappingDestination]:
    nodes = entry.node.value if isinstance(entry.node.value, list) else [entry.node]
    destinations = []
    for node in nodes:
        try:
            destination = _destination(node, node, entry)
        except ConfigError as error:
            entry.reading.problems.errors.append(error)
            continue
        if destination is not None:
            destinations.append(destination)
    return destinations


def _check_weights(source: str, destinations: list[MappingDestination]) -> None:
    """Raises `InvalidTransform` with nats-server's text."""
    seen: set[str] = set()
    totals: dict[str, int] = {}
    for destination in destinations:
        if destination.subject in seen:
            raise InvalidTransform(f"duplicate entry for {quoted(destination.subject)}")
        seen.add(destination.subject)
        totals[destination.cluster] = totals.get(destination.cluster, 0) + destination.weight_percent
        if totals[destination.cluster] > 100:
            raise InvalidTransform("total weight needs to be <= 100")
        if destination.subject:
            SubjectTransform.compile(as_bytes(source), as_bytes(destination.subject))


def _mapping(entry: Entry, block: Node) -> SubjectMapping | None:
    source, value = entry.key, entry.node.value
    if not is_valid_subject(source):
        fail(block, f"Subject {quoted(source)} is not a valid subject")
    errors = len(entry.reading.problems.errors)
    if isinstance(value, str):
        destinations = [MappingDestination(value)]
        named = f"{quoted(source)} to {quoted(value)}"
    else:
        destinations = _destinations(entry)
        named = quoted(source)
        if len(entry.reading.problems.errors) > errors and not isinstance(value, list):
            return None
    try:
        _check_weights(source, destinations)
    except InvalidTransform as error:
        fail(entry.node, f"Error adding mapping for {named} : {error}")
    return SubjectMapping(source, tuple(destinations))


def mappings_of(entry: Entry) -> tuple[SubjectMapping, ...]:
    """The mappings of a block in file order; refused ones are reported and left out."""
    as_map(entry.node)
    mappings: dict[str, SubjectMapping] = {}
    for item in in_map(entry):
        try:
            mapping = _mapping(item, entry.node)
        except ConfigError as error:
            entry.reading.problems.errors.append(error)
            continue
        if mapping is not None:
            mappings[mapping.source] = mapping
    return tuple(mappings.values())


def mappings(entry: Entry) -> object:
    """Reader of a `mappings {}` key."""
    return mappings_of(entry)
