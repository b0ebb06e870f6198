"""Uplinks in the API's words, made of what core tells about them; credentials that are pasted become a private file."""

from __future__ import annotations

import os
import re
import time
from calendar import timegm
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from leafbox.web.core import Object
from leafbox.web.models.base import Severity
from leafbox.web.models.edges import (
    ForwardedStream,
    HubSnippet,
    NewUplink,
    Outage,
    Outages,
    Snippet,
    Uplink,
    Uplinks,
    UplinkState,
    UplinkTest,
)
from leafbox.web.problems import Refusal

FOLDER = "uplinks"
SEVERITIES: dict[str, Severity] = {
    "flowing": "ok",
    "paused": "info",
    "connecting": "info",
    "degraded": "warning",
    "stalled": "critical",
    "down": "critical",
    "denied": "critical",
}


def uplink_of(found: Any) -> Uplink:
    """One entry of `uplink.status`."""
    forwards = [_forward_of(each) for each in found.get("forwards") or []]
    reason = (found.get("reasons") or [{}])[0]
    probe, link = found.get("probe") or {}, found.get("link") or {}
    ages = [each.oldest_age_s for each in forwards if each.oldest_age_s is not None]
    etas = [each.eta_s for each in forwards if each.eta_s is not None]
    condition = str(found.get("condition", ""))
    return Uplink(
        name=found.get("name") or "configured",
        url=found.get("url", ""),
        account=found.get("account", ""),
        state=condition,
        severity=SEVERITIES.get(condition, "warning"),
        sentence="The link is being made." if condition == "connecting" and not reason else found.get("sentence", ""),
        reason=reason.get("code", ""),
        next_step=reason.get("next_step", ""),
        since_s=moment_of(found.get("since", "")),
        rtt_ms=probe.get("rtt_ms") or link.get("rtt_ms") or None,
        ladder=_ladder(found),
        backlog_messages=sum(each.backlog_messages for each in forwards),
        backlog_bytes=sum(each.backlog_bytes for each in forwards),
        oldest_age_s=max(ages, default=None),
        drain_messages_per_s=sum(each.drain_messages_per_s for each in forwards),
        eta_s=max(etas, default=None),
        streams=forwards,
    )


def _forward_of(found: Any) -> ForwardedStream:
    backlog = found.get("backlog") or {}
    return ForwardedStream(
        stream=found.get("stream", ""),
        subjects=found.get("subjects") or [],
        backlog_messages=backlog.get("messages", 0),
        backlog_bytes=backlog.get("bytes", 0),
        oldest_age_s=backlog.get("oldest_age_s"),
        drain_messages_per_s=backlog.get("drain_per_s") or 0,
        eta_s=backlog.get("eta_s"),
        delivered=found.get("stored_at_hub_seq", 0),
    )


def _ladder(found: Any) -> list[UplinkState]:
    """From nothing to data that is stored at the hub; the first step that is not reached is the one to look at."""
    condition = found.get("condition", "")
    detail = str((found.get("reasons") or [{}])[0].get("detail", ""))
    is_up = (found.get("link") or {}).get("state") == "up"
    is_probed = found.get("probe") is not None and condition not in ("stalled", "down", "denied", "connecting")
    steps = [
        ("enabled", "Switched on", condition != "paused"),
        ("connected", "Connected to the hub", is_up),
        ("answering", "The hub answers", is_up and is_probed),
        ("flowing", "Data is stored at the hub", condition == "flowing"),
    ]
    ladder: list[UplinkState] = []
    is_broken = False
    for name, label, is_reached in steps:
        is_failed = not is_reached and not is_broken and condition not in ("paused", "connecting")
        ladder.append(
            UplinkState(
                name=name,
                label=label,
                reached=is_reached and not is_broken,
                failed=is_failed,
                detail=detail if is_failed else "",
            )
        )
        is_broken = is_broken or not is_reached
    return ladder


def uplinks_of(found: Any) -> Uplinks:
    """`uplink.status`."""
    return Uplinks(uplinks=[uplink_of(each) for each in found.get("uplinks") or []])


def test_of(found: Any) -> UplinkTest:
    """`uplink.test`: the last step is the one that failed."""
    steps = [
        UplinkState(
            name=str(each.get("name", "")),
            label=str(each.get("name", "")).replace("_", " ").capitalize(),
            reached=bool(each.get("is_done")),
            failed=not each.get("is_done"),
            detail=str(each.get("detail", "")),
        )
        for each in found.get("steps") or []
    ]
    reason = found.get("reason") or {}
    return UplinkTest(
        ok=bool(found.get("is_ok")),
        sentence=str(reason.get("sentence", "Every step to the hub works.")),
        next_step=str(reason.get("next_step", "")),
        steps=steps,
    )


def outages_of(found: Any, limit: int) -> Outages:
    """`uplink.outages`."""
    rows = [
        Outage(
            start_s=moment_of(each.get("start", "")),
            end_s=moment_of(each["end"]) if each.get("end") else None,
            reason=each.get("detail") or each.get("reason", ""),
            queued=each.get("queued", 0),
            delivered=each.get("delivered", 0),
            lost=each.get("lost", 0),
        )
        for each in (found.get("outages") or [])[:limit]
    ]
    return Outages(outages=rows)


def snippet_of(found: Any) -> HubSnippet:
    """`uplink.hub-snippet`."""
    return HubSnippet(snippets=[Snippet(label="At the hub", language="sh", text=str(found.get("text", "")))])


def addition_of(asked: NewUplink, data: Path) -> Object:
    """`uplink.add`; writes pasted credentials beside the box's data, for its user only. Raises a problem."""
    body: Object = {"url": _with_login(asked)}
    if asked.name:
        body["name"] = asked.name
    if asked.account:
        body["account"] = asked.account
    if asked.credentials:
        body["credentials_file"] = str(_keep(asked.credentials, asked.name or "hub", data).resolve())
    body["forwards"] = [{"subjects": [subject]} for subject in asked.forward]
    return body


def _with_login(asked: NewUplink) -> str:
    if not asked.user and not asked.token:
        return asked.url
    parts = urlsplit(asked.url)
    login = quote(asked.token or asked.user or "", safe="")
    if asked.user and asked.password:
        login += ":" + quote(asked.password, safe="")
    return urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}"))


def _keep(credentials: str, name: str, data: Path) -> Path:
    if "-----BEGIN NATS USER JWT-----" not in credentials or "SEED-----" not in credentials:
        step = "Paste the whole .creds file, from its first BEGIN line to its last END line."
        raise Refusal(422, "invalid", "These are no NATS credentials.", step)
    folder = data / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{re.sub(r'[^A-Za-z0-9_-]', '_', name)}.creds"
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(credentials)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return path


def moment_of(text: str) -> float:
    """Unix seconds of an RFC 3339 time in UTC; 0 for anything else."""
    try:
        return float(timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")))
    except ValueError:
        return 0.0
