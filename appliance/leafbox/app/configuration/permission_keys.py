"""Keys of a `permissions {}` block.

Source: nats-server 2.15.1 `parseUserPermissions` and what it calls.
"""

from __future__ import annotations

from leafbox.app.configuration.durations import DurationError
from leafbox.app.configuration.fields import (
    NOTHING,
    Block,
    Entry,
    Key,
    ReadValue,
    as_integer,
    build,
    duration_string,
)
from leafbox.app.configuration.go_text import quoted, shown, type_name
from leafbox.app.configuration.problems import fail
from leafbox.app.configuration.subjects import permission_problem
from leafbox.app.configuration.tree import Node
from leafbox.broker.config import Permissions, ResponsePermission, SubjectPermission


def permission_subjects(node: Node, is_queue_allowed: bool, is_placed: bool = True) -> tuple[str, ...] | None:
    """A subject or an array of them; `None` for an empty array, which permits everything.

    Without `is_placed` errors carry no position, as nats-server's do for the short form `publish: "subject"`.
    """
    place = node if is_placed else Node(node.value)
    value = node.value
    if isinstance(value, str):
        subjects = [value]
    elif isinstance(value, list):
        subjects = []
        for element in value:
            if not isinstance(element.value, str):
                fail(element, "Subject in permissions array cannot be cast to string")
            subjects.append(element.value)
    else:
        reason = f"Expected subject permissions to be a subject, or array of subjects, got {type_name(value)}"
        fail(place, reason)
    for subject in subjects:
        if problem := permission_problem(subject, is_queue_allowed):
            fail(place, problem)
    return tuple(subjects) or None


def _subjects(is_queue_allowed: bool) -> ReadValue:
    def read(entry: Entry) -> object:
        return permission_subjects(entry.node, is_queue_allowed)

    return read


def _denied(is_queue_allowed: bool) -> ReadValue:
    def read(entry: Entry) -> object:
        return permission_subjects(entry.node, is_queue_allowed) or ()

    return read


def _subject_permission_keys(is_queue_allowed: bool) -> Block:
    return Block(
        (
            Key(("allow",), "allow", _subjects(is_queue_allowed)),
            Key(("deny",), "deny", _denied(is_queue_allowed)),
        ),
        unknown=lambda key: (
            f"Unknown field name {quoted(key)} parsing subject permissions, only 'allow' or 'deny' are permitted"
        ),
    )


PUBLISH_KEYS = _subject_permission_keys(is_queue_allowed=False)
SUBSCRIBE_KEYS = _subject_permission_keys(is_queue_allowed=True)


def _direction(keys: Block, is_queue_allowed: bool) -> ReadValue:
    def read(entry: Entry) -> object:
        if not isinstance(entry.node.value, dict):
            return SubjectPermission(permission_subjects(entry.node, is_queue_allowed, is_placed=False))
        values: dict[str, object] = {}
        if not keys.read(entry.node.value, values, entry.reading):
            return NOTHING
        return build(SubjectPermission, values) if entry.node.value else None

    return read


def _messages_max(entry: Entry) -> object:
    return as_integer(entry.node) or NOTHING


def _expires(entry: Entry) -> object:
    if not isinstance(entry.node.value, str):
        fail(entry.node, "error parsing expires, not a duration string")
    try:
        return duration_string(entry.node) or NOTHING
    except DurationError as error:
        fail(entry.node, f"error parsing expires: {error}")


def _unknown(key: str) -> str:
    return f"Unknown field {quoted(key)} parsing permissions"


RESPONSE_KEYS = Block(
    (
        Key(("max", "max_msgs", "max_messages", "max_responses"), "messages_max", _messages_max),
        Key(("expires", "expiration", "ttl"), "expires_s", _expires),
    ),
    unknown=_unknown,
)


def _responses(entry: Entry) -> object:
    value = entry.node.value
    if isinstance(value, bool):
        return ResponsePermission() if value else None
    if not isinstance(value, dict):
        fail(entry.node, "error parsing response permissions, expected a boolean or a map")
    values: dict[str, object] = {}
    if not RESPONSE_KEYS.read(value, values, entry.reading):
        return NOTHING
    return build(ResponsePermission, values)


PERMISSION_KEYS = Block(
    (
        Key(("publish", "pub", "import"), "publish", _direction(PUBLISH_KEYS, False), PUBLISH_KEYS),
        Key(("subscribe", "sub", "export"), "subscribe", _direction(SUBSCRIBE_KEYS, True), SUBSCRIBE_KEYS),
        Key(("allow_responses", "publish_allow_responses"), "responses", _responses, RESPONSE_KEYS),
    ),
    unknown=_unknown,
)


def permissions_of(entry: Entry) -> Permissions | None:
    """The permissions of a key; `None` if they were refused (already reported)."""
    if not isinstance(entry.node.value, dict):
        fail(entry.node, f"Expected permissions to be a map/struct, got {shown(entry.node.value)}")
    values: dict[str, object] = {}
    if not PERMISSION_KEYS.read(entry.node.value, values, entry.reading):
        return None
    read = build(Permissions, values)
    if read.responses is None:
        return read
    # Replies only: without an allow list of their own, publishes are closed.
    publish = read.publish or SubjectPermission()
    allow = () if publish.allow is None else publish.allow
    return Permissions(SubjectPermission(allow, publish.deny), read.subscribe, read.responses)


def permissions(entry: Entry) -> object:
    """Reader of a `permissions` key."""
    read = permissions_of(entry)
    return NOTHING if read is None else read
