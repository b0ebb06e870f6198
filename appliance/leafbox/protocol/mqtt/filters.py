"""Topic names and topic filters as MQTT sees them (MQTT 5 sections 4.7 and 4.8.2): form, matching, sharing.

The data plane matches subjects; `matches` is the plain reference of it, used where no message depends on its speed.
Not here: what a topic is called on the NATS side, see `topics`.
"""

from __future__ import annotations

from dataclasses import dataclass

SHARE_PREFIX = b"$share/"


@dataclass(frozen=True, slots=True)
class SharedFilter:
    """`$share/<group>/<filter>` taken apart."""

    group: bytes
    filter: bytes


def topic_problem(topic: bytes) -> str:
    """Why this cannot be the topic name of a message; empty when it can. UTF-8 has been checked."""
    if not topic:
        return "an empty topic name"  # [MQTT-4.7.3-1]
    if b"+" in topic or b"#" in topic:
        return "a wildcard in a topic name"  # [MQTT-3.3.2-2], [MQTT-4.7.0-1]
    return ""


def filter_problem(topic_filter: bytes) -> str:
    """Why this cannot be a topic filter, shared or not; empty when it can. UTF-8 has been checked."""
    if topic_filter.startswith(SHARE_PREFIX):
        shared = split_shared(topic_filter)
        if shared is None:
            return "a shared filter needs a group and a filter: $share/<group>/<filter>"
        if b"+" in shared.group or b"#" in shared.group:
            return "a wildcard in the group of a shared filter"  # [MQTT-4.8.2-2]
        topic_filter = shared.filter
    if not topic_filter:
        return "an empty filter"  # [MQTT-4.7.3-1]
    if b"+" not in topic_filter and b"#" not in topic_filter:
        return ""
    levels = topic_filter.split(b"/")
    for index, level in enumerate(levels):
        if b"#" in level and (level != b"#" or index != len(levels) - 1):
            return "# must be the whole last level"  # [MQTT-4.7.1-1]
        if b"+" in level and level != b"+":
            return "+ must be a whole level"  # [MQTT-4.7.1-2]
    return ""


def split_shared(topic_filter: bytes) -> SharedFilter | None:
    """The parts of `$share/<group>/<filter>`; None when it is no shared filter or lacks a part [MQTT-4.8.2-1]."""
    if not topic_filter.startswith(SHARE_PREFIX):
        return None
    group, slash, rest = topic_filter[len(SHARE_PREFIX) :].partition(b"/")
    return SharedFilter(group, rest) if group and slash and rest else None


def matches(topic_filter: bytes, topic: bytes) -> bool:
    """Whether a message on this topic is one the filter (well-formed, not shared) asks for."""
    wanted, levels = topic_filter.split(b"/"), topic.split(b"/")
    if topic.startswith(b"$") and wanted[0] in (b"+", b"#"):
        return False  # [MQTT-4.7.2-1]
    for index, level in enumerate(wanted):
        if level == b"#":
            return True  # Also of the parent level: `a/#` matches `a`.
        if index >= len(levels) or level not in (b"+", levels[index]):
            return False
    return len(wanted) == len(levels)
