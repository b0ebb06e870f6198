"""Bodies of pull requests: nothing, a number, or JSON (ADR-13, ADR-37, ADR-42)."""

from __future__ import annotations

from leafbox.dataplane.consumer_requests import PullRequest
from leafbox.protocol.jetstream.go_json import InvalidJson, unmarshal
from leafbox.protocol.jetstream.requests import NextRequest

NO_GROUP_PRIORITY = (1 << 31) - 1
"""Requests without JSON are served last by the prioritized policy, as in nats-server."""


class BadPullRequest(ValueError):
    """The request cannot be read; the text is nats-server's."""


def parse_pull_request(reply: bytes, body: bytes, now_ns: int) -> PullRequest:
    """The request in `body`; `BadPullRequest` if it is no valid JSON or contradicts itself."""
    body = body.strip()
    if not body.startswith(b"{"):
        digits = body[1:] if body[:1] in (b"-", b"+") else body
        batch = int(body) if digits.isdigit() else 1
        return PullRequest(reply, batch, received_ns=now_ns, priority=NO_GROUP_PRIORITY)
    try:
        request = unmarshal(NextRequest, body)
    except InvalidJson as error:
        raise BadPullRequest(str(error)) from None
    if request.idle_heartbeat > 0 and request.idle_heartbeat * 2 > request.expires:
        raise BadPullRequest("heartbeat value too large")
    return PullRequest(
        reply,
        request.batch,
        bytes_left=max(request.max_bytes, 0),
        expires_ns=now_ns + request.expires if request.expires else 0,
        received_ns=now_ns,
        heartbeat_ns=max(request.idle_heartbeat, 0),
        no_wait=request.no_wait,
        has_group=True,
        group=request.group,
        pin_id=request.id,
        min_pending=request.min_pending,
        min_ack_pending=request.min_ack_pending,
        priority=request.priority,
    )
