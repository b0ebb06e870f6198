"""Connections as core's own monitoring tells them, over the system account."""

from __future__ import annotations

import json
import time
from typing import Any

from leafbox.web.accounts import accounts_of
from leafbox.web.core import Core, Object
from leafbox.web.models.edges import Connection, Connections
from leafbox.web.problems import Refusal

CLOSED = 1
"""CONNZ state in requests over NATS."""


async def system_request(core: Core, name: str, body: Object | None = None) -> Object:
    """`$SYS.REQ.SERVER.<id>.<name>`: the `data` of the answer of this box, and of no other one at a hub."""
    server_id = (await accounts_of(core)).server_id
    answer = await core.ask("", f"$SYS.REQ.SERVER.{server_id}.{name}", body or {})
    if isinstance(answer.get("error"), dict):
        error = answer["error"]
        raise Refusal(422, "refused", str(error.get("description", "refused")), "Correct the parameters.")
    data = answer.get("data")
    return data if isinstance(data, dict) else answer


async def connections_of(
    core: Core,
    state: str,
    offset: int,
    limit: int,
    *,
    subscriptions: bool,
    cid: int | None = None,
    is_fresh: bool = False,
) -> Connections:
    """A page of connections, shared with who asked for the same a moment ago."""
    body: Object = {"auth": True, "offset": offset, "limit": limit, "subscriptions": subscriptions}
    if cid is not None:
        body["cid"] = cid
    if state == "closed":
        body |= {"state": CLOSED, "sort": "stop"}

    async def fetch() -> Connections:
        found = await system_request(core, "CONNZ", body)
        rows = [_connection(each) for each in found.get("connections") or []]
        return Connections(connections=rows, total=int(found.get("total", len(rows))), at_s=time.time())

    shared: Connections = await core.shared(f"CONNZ {json.dumps(body, sort_keys=True)}", fetch, is_fresh=is_fresh)
    return shared


def _connection(found: Any) -> Connection:
    return Connection(
        cid=found["cid"],
        kind=found.get("kind", ""),
        type=found.get("type", ""),
        name=found.get("name", ""),
        user=found.get("authorized_user", ""),
        account=found.get("account", ""),
        ip=found.get("ip", ""),
        port=found.get("port", 0),
        language=found.get("lang", ""),
        version=found.get("version", ""),
        start=found.get("start", ""),
        last_activity=found.get("last_activity", ""),
        stop=found.get("stop", ""),
        reason=found.get("reason", ""),
        uptime=found.get("uptime", ""),
        idle=found.get("idle", ""),
        rtt=found.get("rtt", ""),
        pending_bytes=found.get("pending_bytes", 0),
        in_messages=found.get("in_msgs", 0),
        out_messages=found.get("out_msgs", 0),
        in_bytes=found.get("in_bytes", 0),
        out_bytes=found.get("out_bytes", 0),
        subscriptions=found.get("subscriptions", 0),
        subscription_subjects=found.get("subscriptions_list") or [],
        tls_version=found.get("tls_version", ""),
        mqtt_client=found.get("mqtt_client", ""),
    )


async def kick(core: Core, cid: int) -> None:
    """Close one connection."""
    server_id = (await accounts_of(core)).server_id
    answer = await core.ask("", f"$SYS.REQ.SERVER.{server_id}.KICK", {"cid": cid})
    if isinstance(answer.get("error"), dict):
        raise Refusal(404, "not_found", f"There is no connection {cid}.", "It may have closed meanwhile.")
