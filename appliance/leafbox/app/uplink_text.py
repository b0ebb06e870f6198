"""Uplink answers as text for a terminal. Pure: from the JSON that `--json` prints to lines for people."""

from __future__ import annotations

from leafbox.protocol.jetstream.go_json import Json, JsonObject


def status_text(uplink: JsonObject) -> str:
    """One uplink in a few lines."""
    name = uplink["name"] or "(from the configuration file)"
    lines = [f"{name}  {uplink['condition']}  {uplink['url']}", f"  {uplink['sentence']}"]
    for reason in _objects(uplink.get("reasons")):
        lines.append(f"  next: {reason['next_step']}")
        if reason["detail"]:
            lines.append(f"        {reason['detail']}")
    hub, probe = uplink.get("hub"), uplink.get("probe")
    if isinstance(hub, dict) and hub["name"]:
        lines.append(f"  hub {hub['name']}, domain {hub['domain'] or '-'}, nats-server {hub['version'] or '-'}")
    if isinstance(probe, dict):
        what = "stored and acknowledged" if probe["kind"] == "stored" else "answered"
        lines.append(f"  last probe {what} in {probe['rtt_ms']} ms, {probe['age_s']} s ago")
    lines += [_forward_text(forward) for forward in _objects(uplink.get("forwards"))]
    outage = uplink.get("outage")
    if isinstance(outage, dict):
        lines.append(f"  outage since {outage['start']} ({outage['duration_s']} s): {outage['reason']}")
    if uplink.get("lost"):
        lines.append(f"  {uplink['lost']} messages are lost: see `leafbox uplink outages`")
    return "\n".join(lines)


def _forward_text(forward: JsonObject) -> str:
    backlog = forward["backlog"]
    assert isinstance(backlog, dict)
    subjects = forward["subjects"]
    assert isinstance(subjects, list)
    start = f"  {', '.join(str(subject) for subject in subjects)}: {forward['stream']} -> {forward['hub_stream']}"
    if not backlog["messages"]:
        return f"{start}, nothing waits ({backlog['fill_per_s']} messages/s)"
    eta = "no end in sight" if backlog["eta_s"] is None else f"empty in {backlog['eta_s']} s"
    held = ", held back for a stream of higher priority" if forward["is_held"] else ""
    return (
        f"{start}, {backlog['messages']} messages ({bytes_text(backlog['bytes'])}) wait, the oldest "
        f"{backlog['oldest_age_s']} s; {backlog['drain_per_s']} messages/s go, {eta}{held}"
    )


def outages_text(answer: JsonObject) -> str:
    """The ledger as a table."""
    outages = _objects(answer["outages"])
    if not outages:
        return "no outage"
    rows = [("start", "end", "seconds", "reason", "queued", "delivered", "lost")]
    rows += [
        (
            str(outage["start"]),
            str(outage["end"] or "-"),
            str(outage["duration_s"]),
            str(outage["reason"]),
            str(outage["queued"]),
            str(outage["delivered"]),
            str(outage["lost"]),
        )
        for outage in outages
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def test_text(answer: JsonObject) -> str:
    """The report of `uplink test`."""
    lines = [f"uplink {answer['name']}, {answer['url']}"]
    for step in _objects(answer["steps"]):
        mark = "ok    " if step["is_done"] else "FAILED"
        detail = f"  {step['detail']}" if step["detail"] else ""
        lines.append(f"  {mark}  {step['elapsed_ms']!s:>8} ms  {step['name']}{detail}")
    reason = answer["reason"]
    if isinstance(reason, dict):
        lines += [str(reason["sentence"]), f"next: {reason['next_step']}"]
    else:
        lines.append("everything works")
    return "\n".join(lines)


def bytes_text(count: Json) -> str:
    """A size for people."""
    size = float(count) if isinstance(count, int | float) else 0.0
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def _objects(found: Json) -> list[JsonObject]:
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
