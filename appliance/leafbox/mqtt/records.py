"""How a session's definition is kept: one JSON record, and deltas for single filters, so that the thousandth
subscription of a session does not write the nine hundred and ninety-nine before it again.

    value | JSON of `SessionRecord`
    delta | "H" JSON of `SessionHead`  |  "F" JSON of `FilterRecord` (added or changed)  |  "U" filter (removed)

Not here: what was sent and acknowledged; that is the data plane's (`MqttSession.restore_steps`).
"""

from __future__ import annotations

import msgspec

from leafbox.mqtt.will import PendingWill

NEVER_EXPIRES_S = 0xFFFF_FFFF


class FilterRecord(msgspec.Struct, frozen=True):
    """One subscription. `filter` is as the client sent it, with `$share/group/` where it is shared."""

    filter: str
    qos: int
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0
    identifier: int = 0


class SessionHead(msgspec.Struct, frozen=True):
    """A session without its subscriptions. Times are wall-clock ns; `away_ns` 0: a client is connected.

    A session that ends with its connection has a record only for its will: `expiry_s` is 0.
    """

    account: str
    client_id: str
    user: str = ""
    version: int = 4
    expiry_s: int = NEVER_EXPIRES_S
    created_ns: int = 0
    away_ns: int = 0
    will: PendingWill | None = None
    """What is published when nobody says goodbye, the box's own end included."""


class SessionRecord(msgspec.Struct, frozen=True):
    """A whole session as checkpoints keep it."""

    head: SessionHead
    filters: list[FilterRecord] = []


_encode = msgspec.json.encode


def encode_record(record: SessionRecord) -> bytes:
    """The value."""
    return _encode(record)


def encode_head(head: SessionHead) -> bytes:
    """The delta that replaces a session's head."""
    return b"H" + _encode(head)


def encode_filter(added: FilterRecord) -> bytes:
    """The delta of a filter that was added or changed."""
    return b"F" + _encode(added)


def encode_removal(topic_filter: bytes) -> bytes:
    """The delta of a filter that was removed."""
    return b"U" + topic_filter


def decode_record(value: bytes, deltas: list[bytes]) -> SessionRecord | None:
    """The record with its deltas; None when there is no head. Raises `msgspec.DecodeError` for what is no record."""
    head: SessionHead | None = None
    filters: dict[str, FilterRecord] = {}
    if value:
        record = msgspec.json.decode(value, type=SessionRecord)
        head = record.head
        filters = {each.filter: each for each in record.filters}
    for delta in deltas:
        body = delta[1:]
        match delta[:1]:
            case b"H":
                head = msgspec.json.decode(body, type=SessionHead)
            case b"F":
                added = msgspec.json.decode(body, type=FilterRecord)
                filters[added.filter] = added
            case b"U":
                filters.pop(body.decode(), None)
            case _:
                raise msgspec.DecodeError("a delta of an unknown kind")
    return None if head is None else SessionRecord(head, list(filters.values()))
