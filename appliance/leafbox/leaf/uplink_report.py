"""An uplink as JSON for command line, dashboard and doctor; nothing in it is secret."""

from __future__ import annotations

import time

from leafbox.leaf.uplink import Uplink
from leafbox.leaf.uplink_definition import Forward
from leafbox.leaf.uplink_ledger import Outage
from leafbox.leaf.uplink_reasons import Reason
from leafbox.protocol.jetstream.go_json import JsonObject


def status(uplink: Uplink) -> JsonObject:
    """Everything about one uplink."""
    definition, remote = uplink.definition, uplink.parts.remote.snapshot()
    hub, current = uplink.parts.remote.link, uplink.parts.ledger.current
    first = uplink.reasons[0] if uplink.reasons else None
    return {
        "name": definition.name,
        "url": remote.url,
        "account": definition.account,
        "condition": uplink.condition.value,
        "sentence": first.sentence if first else "Data flows to the hub and is stored there.",
        "since": since_text(uplink.since_ns),
        "since_s": age_s(uplink.since_ns),
        "reasons": [reason_json(each) for each in uplink.reasons],
        "link": {"state": remote.state.value, "attempts": remote.attempts, "rtt_ms": round(remote.rtt_ns / 1e6, 3)},
        "hub": {
            "name": remote.hub_name,
            "domain": remote.hub_domain,
            "version": hub.peer_version if hub is not None else "",
        },
        "probe": None
        if uplink.probe is None
        else {
            "kind": uplink.probe.kind,
            "rtt_ms": round(uplink.probe.rtt_ns / 1e6, 3),
            "age_s": age_s(uplink.probe_ns),
        },
        "is_paused": definition.is_paused,
        "is_draining": uplink.is_draining,
        "queued": uplink.queued,
        "forwards": [_forward(uplink, forward) for forward in definition.forwards],
        "outage": outage_json(current) if current is not None else None,
        "outages": len(uplink.parts.ledger.outages),
        "lost": uplink.parts.ledger.lost,
    }


def _forward(uplink: Uplink, forward: Forward) -> JsonObject:
    meter = uplink.meters[forward.stream]
    backlog = meter.backlog(time.time_ns())
    return {
        "stream": forward.stream,
        "hub_stream": forward.hub_stream,
        "subjects": list(forward.subjects),
        "priority": forward.priority,
        "rate_bytes": forward.rate_bytes,
        "buffer_bytes": forward.buffer_bytes,
        "is_held": forward.stream in uplink.held,
        "is_fetched": meter.state.is_fetched,
        "stored_here_seq": meter.state.last_seq,
        "stored_at_hub_seq": meter.state.acknowledged_seq,
        "backlog": {
            "messages": backlog.messages,
            "bytes": backlog.stored_bytes,
            "oldest_age_s": backlog.oldest_age_s,
            "drain_per_s": backlog.drain_per_s,
            "fill_per_s": backlog.fill_per_s,
            "eta_s": backlog.eta_s,
        },
    }


def reason_json(reason: Reason) -> JsonObject:
    """One reason."""
    return {
        "code": reason.code,
        "sentence": reason.sentence,
        "next_step": reason.next_step,
        "detail": reason.detail,
    }


def outage_json(outage: Outage) -> JsonObject:
    """One line of the ledger."""
    end_ns = outage.end_ns or time.time_ns()
    return {
        "number": outage.number,
        "start": since_text(outage.start_ns),
        "end": since_text(outage.end_ns) if outage.end_ns else None,
        "duration_s": round(max(end_ns - outage.start_ns, 0) / 1e9, 1),
        "reason": outage.reason,
        "detail": outage.detail,
        "queued": outage.queued,
        "delivered": outage.delivered,
        "lost": outage.lost,
    }


def since_text(ns: int) -> str:
    """A moment as RFC 3339 in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ns / 1e9))


def age_s(ns: int) -> float:
    """Seconds since a moment."""
    return round(max(time.time_ns() - ns, 0) / 1e9, 1)
