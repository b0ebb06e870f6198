"""`/jsz`: the options of a JetStream report, and the report of a server whose JetStream is off (monitoring 2.9)."""

from __future__ import annotations

from dataclasses import dataclass

from leafbox.monitoring.query import Query
from leafbox.monitoring.wire_format import Document, time_text


@dataclass(frozen=True, slots=True)
class JszOptions:
    """What a request wants. `streams` implies `accounts`, `consumers` implies `streams`."""

    account: str = ""
    accounts: bool = False
    streams: bool = False
    consumers: bool = False
    direct_consumers: bool = False
    config: bool = False
    leader_only: bool = False
    raft: bool = False
    stream_leader_only: bool = False
    offset: int = 0
    limit: int = 0

    @classmethod
    def from_query(cls, query: Query) -> JszOptions:
        """The options of an HTTP request. Raises `BadQuery`."""
        consumers = query.boolean("consumers")
        streams = query.boolean("streams") or consumers
        return cls(
            account=query.text("acc"),
            accounts=query.boolean("accounts") or streams,
            streams=streams,
            consumers=consumers,
            direct_consumers=query.boolean("direct-consumers"),
            config=query.boolean("config"),
            leader_only=query.boolean("leader-only"),
            raft=query.boolean("raft"),
            stream_leader_only=query.boolean("stream-leader-only"),
            offset=query.integer("offset"),
            limit=query.integer("limit"),
        )


def disabled_document(server_id: str, now_ns: int) -> Document:
    """JetStream is off."""
    return {
        **dict.fromkeys(("memory", "storage", "reserved_memory", "reserved_storage", "accounts", "ha_assets"), 0),
        "api": {"level": 0, "total": 0, "errors": 0},
        "server_id": server_id,
        "now": time_text(now_ns),
        "disabled": True,
        "config": {"max_memory": 0, "max_storage": 0},
        **dict.fromkeys(("streams", "consumers", "messages", "bytes", "total"), 0),
    }
