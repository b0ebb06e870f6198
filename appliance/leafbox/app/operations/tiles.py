"""The figures of the home page: what a person wants to know first, with the words ready to show."""

from __future__ import annotations

from leafbox.monitoring.box_snapshot import BoxSnapshot
from leafbox.protocol.jetstream.go_json import JsonObject

GIBIBYTE = 1 << 30
STATES = {
    "up": ("Connected", "ok"),
    "stalled": ("Stalled", "critical"),
    "paused": ("Paused", "info"),
    "disabled": ("Off", "info"),
}
"""State of an uplink -> (word, severity); any other is on its way."""
ORDER = ("critical", "warning", "info", "ok")


def tile(
    name: str,
    label: str,
    value: float | None,
    unit: str = "",
    text: str = "",
    *,
    detail: str = "",
    severity: str = "ok",
    series: str = "",
) -> JsonObject:
    """One figure. `series` is the line of the history behind it."""
    return {
        "name": name,
        "label": label,
        "value": value,
        "unit": unit,
        "text": text,
        "detail": detail,
        "severity": severity,
        "series": series,
    }


def uplink_tile(box: BoxSnapshot) -> JsonObject:
    """The worst of the uplinks, and what waits for them."""
    if not box.uplinks:
        return tile("uplink", "Uplink", None, text="None", detail="This box sends nothing to a hub.")
    rated = [(*STATES.get(uplink.state, ("Connecting", "warning")), uplink) for uplink in box.uplinks]
    word, severity, uplink = min(rated, key=lambda each: ORDER.index(each[1]))
    waiting = [each.backlog_messages for each in box.uplinks if each.backlog_messages is not None]
    detail = uplink.reason if severity != "ok" else f"{sum(waiting):,} messages wait" if waiting else uplink.name
    value = float(sum(waiting)) if waiting else None
    return tile("uplink", "Uplink", value, "count", word, detail=detail, severity=severity, series="backlog")


def storage_tile(box: BoxSnapshot) -> JsonObject:
    """Room on flash, or why nothing is stored."""
    store = box.store
    total, free = box.machine.flash_bytes, box.machine.flash_free_bytes
    if store is None:
        return tile(
            "storage", "Storage", None, text="Off", detail="JetStream is off: nothing is stored.", severity="info"
        )
    if not store.is_accepting:
        return tile("storage", "Storage", None, text=store.state.capitalize(), detail=store.reason, severity="critical")
    used = round(100 * (1 - free / total), 1) if total else None
    messages = sum(stream.messages for stream in box.streams)
    return tile(
        "storage",
        "Storage",
        used,
        "percent",
        f"{free / GIBIBYTE:.1f} GiB free",
        detail=f"{messages:,} messages in {len(box.streams)} streams",
        series="stored_bytes",
    )
