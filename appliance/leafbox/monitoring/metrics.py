"""Prometheus text of the monitoring documents, with the names that boards made for prometheus-nats-exporter expect.

A pure function from documents (`metrics.documents` of the control channel) to text format 0.0.4, so that the process
that is scraped does the work, not core. Names, labels and units: prometheus-nats-exporter 0.20, collectors varz, connz
(its totals), subz, leafz, accstatz, healthz and jsz; what this box adds is called `leafbox_*`. What comes from there is
a gauge, sums over connections too, which fall when one leaves; our own counters are counters.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Document = Mapping[str, Any]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LABELLED = ("server_id", "server_name", "version", "domain", "leader", "name")
"""Strings of /varz that the exporter shows, as the label `value` of a 1."""
MOMENTS = ("start", "config_load_time")
"""Times of /varz that it shows, in milliseconds since 1970."""
SKIPPED = ("leaf", "trusted_operators_claim", "tls_cert_not_after")
NUMBER = re.compile(r"(\d+(?:\.\d+)?)(h|m(?!s)|s|ms|µs|us|ns)")
UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "us": 1e-6, "ns": 1e-9}

STREAM_VALUES = {
    "total_messages": ("Messages in the stream", "state", "messages"),
    "total_bytes": ("Bytes in the stream", "state", "bytes"),
    "first_seq": ("First sequence", "state", "first_seq"),
    "last_seq": ("Last sequence", "state", "last_seq"),
    "consumer_count": ("Consumers", "state", "consumer_count"),
    "subject_count": ("Subjects", "state", "num_subjects"),
    "limit_bytes": ("Most bytes; -1 is no limit", "config", "max_bytes"),
    "limit_messages": ("Most messages; -1 is no limit", "config", "max_msgs"),
}
CONSUMER_VALUES = {
    "delivered_consumer_seq": ("Deliveries so far", "delivered", "consumer_seq"),
    "delivered_stream_seq": ("Last sequence delivered", "delivered", "stream_seq"),
    "num_ack_pending": ("Delivered and not acknowledged", "", "num_ack_pending"),
    "num_redelivered": ("Delivered more than once", "", "num_redelivered"),
    "num_waiting": ("Pull requests that wait", "", "num_waiting"),
    "num_pending": ("Not yet delivered", "", "num_pending"),
    "ack_floor_stream_seq": ("All up to it is acknowledged", "ack_floor", "stream_seq"),
    "ack_floor_consumer_seq": ("All deliveries up to it are acknowledged", "ack_floor", "consumer_seq"),
}
ACCOUNT_VALUES = {
    "current_connections": ("conns",),
    "total_connections": ("total_conns",),
    "subscriptions": ("num_subscriptions",),
    "leaf_nodes": ("leafnodes",),
    "sent_messages": ("sent", "msgs"),
    "sent_bytes": ("sent", "bytes"),
    "received_messages": ("received", "msgs"),
    "received_bytes": ("received", "bytes"),
    "slow_consumers": ("slow_consumers",),
}


class Exposition:
    """Text under construction: families in the order they came, samples of one family together."""

    def __init__(self) -> None:
        self._families: dict[str, list[str]] = {}

    def add(
        self, name: str, about: str, value: object, labels: Mapping[str, object], *, is_counter: bool = False
    ) -> None:
        """One sample; None is left out, true is 1."""
        if value is None:
            return
        lines = self._families.get(name)
        if lines is None:
            kind = "counter" if is_counter else "gauge"
            lines = self._families[name] = [f"# HELP {name} {_help(about)}", f"# TYPE {name} {kind}"]
        shown = ",".join(f'{label}="{_label(str(text))}"' for label, text in labels.items())
        lines.append(f"{name}{{{shown}}} {_value(value)}" if shown else f"{name} {_value(value)}")

    def text(self) -> str:
        """All of it."""
        return "".join(f"{line}\n" for lines in self._families.values() for line in lines)


def render(documents: Document) -> str:
    """The text for the documents that are there: `varz`, `connz`, `subsz`, `leafz`, `accstatz`, `healthz`, `jsz`, and
    the box's own `status` and `system`."""
    out = Exposition()
    server = _server_labels(documents)
    _add_varz(out, documents.get("varz", {}), server)
    for name, shown in (("subsz", "subz"), ("connz", "connz")):
        for path, value in _numbers(documents.get(name, {}), ("subscriptions_list", "connections")):
            out.add(f"gnatsd_{shown}_{path}", path, value, server)
    _add_leafs(out, documents.get("leafz", {}), server)
    _add_accounts(out, documents.get("accstatz", {}), server)
    if "healthz" in documents:
        said = str(documents["healthz"].get("status", ""))
        out.add("gnatsd_healthz_status", "0 is healthy", int(said != "ok"), server)
        out.add("gnatsd_healthz_status_value", "1 is healthy", int(said == "ok"), {**server, "value": said})
    _add_jetstream(out, documents.get("jsz", {}), documents.get("varz", {}), server)
    _add_box(out, documents.get("status", {}), documents.get("system", {}))
    return out.text()


def _server_labels(documents: Document) -> dict[str, object]:
    return {"server_id": documents.get("varz", {}).get("server_id", "")}


# -- what the exporter has ---------------------------------------------------------------------------------------------


def _add_varz(out: Exposition, varz: Document, server: Mapping[str, object]) -> None:
    for path, value in _numbers(varz, SKIPPED):
        out.add(f"gnatsd_varz_{path}", path, value, server)
    for path, text in _texts(varz, SKIPPED):
        if path.rpartition("_")[2] in LABELLED or path in LABELLED:
            out.add(f"gnatsd_varz_{path}", path, 1, {**server, "value": text})
    for name in MOMENTS:
        if name in varz:
            out.add(f"gnatsd_varz_{name}", name, _milliseconds(varz[name]), server)


def _add_leafs(out: Exposition, leafz: Document, server: Mapping[str, object]) -> None:
    if "leafnodes" in leafz:
        out.add("gnatsd_leafz_conn_nodes_total", "nodes_total", leafz["leafnodes"], server)
    for leaf in leafz.get("leafs") or ():
        labels = {
            **server,
            "account": leaf.get("account"),
            "account_id": leaf.get("account"),
            "ip": leaf.get("ip"),
            "port": leaf.get("port"),
            "name": leaf.get("name"),
        }
        out.add("gnatsd_leafz_info", "info", 1, labels)
        out.add("gnatsd_leafz_conn_rtt", "rtt", _seconds(str(leaf.get("rtt", ""))), labels)
        for name in ("in_msgs", "out_msgs", "in_bytes", "out_bytes"):
            out.add(f"gnatsd_leafz_conn_{name}", name, leaf.get(name), labels)
        out.add("gnatsd_leafz_conn_subscriptions_total", "subscriptions_total", leaf.get("subscriptions"), labels)


def _add_accounts(out: Exposition, accstatz: Document, server: Mapping[str, object]) -> None:
    for account in accstatz.get("account_statz") or ():
        name = account.get("acc")
        labels = {**server, "account": name, "account_id": name, "account_name": account.get("name", name)}
        for metric, path in ACCOUNT_VALUES.items():
            out.add(f"gnatsd_accstatz_{metric}", metric, _at(account, path), labels)


def _add_jetstream(out: Exposition, jsz: Document, varz: Document, server: Mapping[str, object]) -> None:
    if not jsz:
        return
    config = jsz.get("config") or {}
    labels = {
        **server,
        "server_name": varz.get("server_name", ""),
        "cluster": "",
        "domain": config.get("domain", ""),
        "meta_leader": "",
        "is_meta_leader": "true",
    }
    for metric, about, value in (
        ("jetstream_disabled", "Whether JetStream is off", bool(jsz.get("disabled"))),
        ("total_streams", "Streams", jsz.get("streams", 0)),
        ("total_consumers", "Consumers", jsz.get("consumers", 0)),
        ("total_messages", "Messages in all streams", jsz.get("messages", 0)),
        ("total_message_bytes", "Bytes in all streams", jsz.get("bytes", 0)),
        ("max_memory", "Most memory", config.get("max_memory", 0)),
        ("max_storage", "Most flash", config.get("max_storage", 0)),
    ):
        out.add(f"jetstream_server_{metric}", about, value, labels)
    for account in jsz.get("account_details") or ():
        name = account.get("name")
        of_account = {**labels, "account": name, "account_name": name, "account_id": account.get("id")}
        for metric in ("memory", "storage"):
            out.add(f"jetstream_account_{metric}_used", f"Bytes of {metric} in use", account.get(metric), of_account)
            reserved = account.get(f"reserved_{metric}", 0)
            out.add(f"jetstream_account_max_{metric}", f"Bytes of {metric} it may use", reserved, of_account)
        for stream in account.get("stream_detail") or ():
            _add_stream(out, stream, of_account)


def _add_stream(out: Exposition, stream: Document, of_account: Mapping[str, object]) -> None:
    labels = {
        **of_account,
        "stream_name": stream.get("name"),
        "stream_leader": (stream.get("cluster") or {}).get("leader", ""),
        "is_stream_leader": "true",
        "stream_raft_group": stream.get("stream_raft_group", ""),
    }
    for metric, (about, part, field) in STREAM_VALUES.items():
        if part in stream:
            value = stream[part].get(field, 0)
            out.add(f"jetstream_stream_{metric}", about, value, labels)
    for source in stream.get("sources") or ():
        _add_origin(out, "source", source, labels)
    if stream.get("mirror"):
        _add_origin(out, "mirror", stream["mirror"], labels)
    for consumer in stream.get("consumer_detail") or ():
        of_consumer = {
            **labels,
            "consumer_name": consumer.get("name"),
            "consumer_leader": (consumer.get("cluster") or {}).get("leader", ""),
            "is_consumer_leader": "true",
            "consumer_desc": (consumer.get("config") or {}).get("description", ""),
        }
        for metric, (about, part, field) in CONSUMER_VALUES.items():
            value = _at(consumer, (part, field) if part else (field,))
            out.add(f"jetstream_consumer_{metric}", about, value or 0, of_consumer)
        for metric, part in (("last_delivery_seconds", "delivered"), ("last_ack_seconds", "ack_floor")):
            last, now = (consumer.get(part) or {}).get("last_active"), consumer.get("ts")
            if last and now:
                age_s = (_milliseconds(now) - _milliseconds(last)) / 1000
                out.add(f"jetstream_consumer_{metric}", "Seconds since then", age_s, of_consumer)


def _add_origin(out: Exposition, kind: str, origin: Document, of_stream: Mapping[str, object]) -> None:
    """A stream that messages are copied from."""
    external = origin.get("external") or {}
    labels = {
        **of_stream,
        f"{kind}_name": origin.get("name"),
        f"{kind}_api": external.get("api", ""),
        f"{kind}_deliver": external.get("deliver", ""),
    }
    out.add(f"jetstream_stream_{kind}_lag", "Messages behind", origin.get("lag", 0), labels)
    active_ns = origin.get("active", 0)
    out.add(f"jetstream_stream_{kind}_active_duration_ns", "Time since it was heard", active_ns, labels)


# -- what only this box has --------------------------------------------------------------------------------------------


def _add_box(out: Exposition, status: Document, system: Document) -> None:
    store, disk = system.get("store") or {}, system.get("disk") or {}
    for name, about, value in (
        ("store_accepting", "Whether new messages are stored", store.get("is_accepting")),
        ("store_congested", "Whether publishers are slowed down for the device", store.get("is_congested")),
        ("store_damages", "Findings of damaged data since the start", _length(store.get("damages"))),
        ("log_segments", "Segments of the write-ahead log", store.get("segment_count")),
        ("unsaved_bytes", "Bytes in memory that no checkpoint has saved", store.get("unsaved_bytes")),
        ("flash_bytes", "Size of the file system of the data", disk.get("total_bytes")),
        ("flash_free_bytes", "Free space there", disk.get("free_bytes")),
        ("flash_life_used_percent", "Life that the flash says is used", disk.get("life_used_percent")),
        ("temperature_celsius", "Of the processor", system.get("temperature_c")),
        ("undervoltage", "Whether the power supply is too weak", system.get("undervoltage")),
        ("clock_synchronised", "Whether a time service disciplines the clock", system.get("time_synchronised")),
        ("memory_available_bytes", "Of the machine", system.get("memory_available_bytes")),
        ("core_memory_bytes", "Resident memory of core", system.get("core_rss_bytes")),
    ):
        out.add(f"leafbox_{name}", about, value, {})
    for name, about, value in (
        ("log_written_bytes_total", "Bytes written to the log since the start", store.get("written_bytes")),
        ("checkpoint_bytes_total", "Bytes written by checkpoints since the start", store.get("checkpoint_bytes")),
        ("commits_total", "Commits since the start", store.get("commit_count")),
        ("sync_total", "Syncs of the device since the start", store.get("sync_count")),
        ("sync_seconds_total", "Time spent in them", _scaled(store.get("sync_us"), 1e-6)),
        ("store_failures_total", "Failed writes and syncs since the start", store.get("failure_count")),
        ("device_written_bytes_total", "Of the storage device, since power-on", disk.get("device_written_bytes")),
    ):
        out.add(f"leafbox_{name}", about, value, {}, is_counter=True)
    for uplink in status.get("uplinks") or ():
        labels = {"uplink": uplink.get("name", "")}
        out.add("leafbox_uplink_up", "Whether data flows to the hub", uplink.get("state") == "up", labels)
        out.add("leafbox_uplink_backlog_messages", "Messages that wait", uplink.get("backlog_messages"), labels)
        out.add("leafbox_uplink_backlog_bytes", "Bytes that wait", uplink.get("backlog_bytes"), labels)
    for issue in status.get("issues") or ():
        labels = {name: issue.get(name, "") for name in ("code", "subject", "severity")}
        out.add("leafbox_issue", "1 for each issue there is", 1, labels)


# -- reading documents -------------------------------------------------------------------------------------------------


def _leaves(document: Document, skipped: Sequence[str], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in document.items():
        if not prefix and name in skipped:
            continue
        path = f"{prefix}{_name(name)}"
        if isinstance(value, Mapping):
            yield from _leaves(value, (), f"{path}_")
        else:
            yield path, value


def _numbers(document: Document, skipped: Sequence[str]) -> Iterable[tuple[str, object]]:
    """Numeric leaves, their names joined with `_`, as the exporter flattens them. Booleans are none."""
    return (
        (path, value)
        for path, value in _leaves(document, skipped)
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    )


def _texts(document: Document, skipped: Sequence[str]) -> Iterable[tuple[str, str]]:
    return ((path, value) for path, value in _leaves(document, skipped) if isinstance(value, str))


def _at(document: Document, path: Sequence[str]) -> object:
    value: Any = document
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _length(values: object) -> int | None:
    return len(values) if isinstance(values, (list, tuple)) else None


def _scaled(value: object, factor: float) -> float | None:
    return value * factor if isinstance(value, (int, float)) else None


def _seconds(text: str) -> float:
    """A Go duration."""
    return sum(float(count) * UNIT_S[unit] for count, unit in NUMBER.findall(text))


def _milliseconds(text: str) -> int:
    """A moment of RFC 3339 as the documents write it, in UTC."""
    moment = datetime.datetime.fromisoformat(re.sub(r"\.\d+", "", text).replace("Z", "+00:00"))
    fraction = re.search(r"\.(\d{1,3})", text)
    return int(moment.timestamp()) * 1000 + (int(fraction[1].ljust(3, "0")) if fraction else 0)


def _name(text: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", text)


def _help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _value(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)
