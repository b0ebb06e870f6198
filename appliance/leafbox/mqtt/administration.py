"""What people may see and do of MQTT sessions: the list, and removing one that nobody will come back for.

Requests and answers are JSON objects of the control channel (`mqtt.sessions`, `mqtt.delete`).
"""

from __future__ import annotations

from leafbox.mqtt.gateway import MqttGateway
from leafbox.mqtt.session import Session
from leafbox.protocol.errors import BoxRequestFailed
from leafbox.protocol.jetstream.go_json import JsonObject
from leafbox.protocol.mqtt.reason_codes import ReasonCode

SESSIONS_PER_ANSWER = 1000
"""Sessions in one answer; a request with `offset` gets the next ones."""


class MqttAdministration:
    """The handlers of one gateway."""

    def __init__(self, gateway: MqttGateway) -> None:
        self._gateway = gateway

    def sessions(self, request: JsonObject) -> JsonObject:
        """All sessions with their queues, by account and client id; `account` and `offset` choose."""
        wanted, offset = request.get("account"), request.get("offset", 0)
        found = [
            session
            for name, owner in sorted(self._gateway.accounts.items())
            if wanted in (None, "", name)
            for session in sorted(owner.by_id.values(), key=lambda each: each.client_id)
        ]
        first = offset if isinstance(offset, int) and offset > 0 else 0
        page = found[first : first + SESSIONS_PER_ANSWER]
        return {"total": len(found), "offset": first, "sessions": [describe(session) for session in page]}

    def delete(self, request: JsonObject) -> JsonObject:
        """End the session of `client_id` in `account`, its client included; its queued messages go with it."""
        account, client_id = str(request.get("account") or "$G"), str(request.get("client_id") or "")
        owner = self._gateway.accounts.get(account)
        session = owner.by_id.get(client_id) if owner is not None else None
        if owner is None or session is None:
            raise BoxRequestFailed(
                "mqtt-no-session",
                f'account "{account}" has no MQTT session of client id "{client_id}"',
                "list the sessions there are",
            )
        queued = session.core.queued
        session.expiry_s = 0
        if session.client is not None:
            session.client.say_goodbye(ReasonCode.ADMINISTRATIVE_ACTION, "Session Removed")
        else:
            owner.end(session)
        return {"account": account, "client_id": client_id, "dropped_messages": queued}


def describe(session: Session) -> JsonObject:
    """One session as the dashboard shows it. Times are wall-clock ns, 0: never or not."""
    core = session.core
    return {
        "account": session.owner.account.name,
        "client_id": session.client_id,
        "user": session.user,
        "version": session.version,
        "is_connected": session.client is not None,
        "is_kept": core.is_persistent,
        "expiry_s": session.expiry_s,
        "created_ns": session.created_ns,
        "away_ns": session.away_ns,
        "filters": len(session.records),
        "queued": core.queued,
        "queued_max": core.queue_max,
        "is_full": core.is_full,
        "dropped": core.dropped,
        "in_flight": core.inflight_count,
        "delivered": core.delivered,
        "expired": core.expired,
    }
