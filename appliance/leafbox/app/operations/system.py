"""The machine, the store and the versions in one document: the System page, metrics and the support bundle read it."""

from __future__ import annotations

import math
import platform
import time
from dataclasses import asdict
from itertools import islice

import msgspec

import leafbox
from leafbox.app.jetstream import DurableSide
from leafbox.app.operations.box_facts import BoxFacts
from leafbox.app.operations.recorder import Recorder
from leafbox.broker.registry import Registry
from leafbox.monitoring.box_snapshot import BoxSnapshot
from leafbox.monitoring.machine import Machine, MachineFacts
from leafbox.protocol.jetstream.go_json import Json, JsonObject

PAGE_DEFAULT = 1024
"""Connections of one page of /connz."""


def system_document(
    durable: DurableSide | None, machine: Machine, facts: BoxFacts, recorder: Recorder, last: BoxSnapshot | None
) -> JsonObject:
    """Everything known of the machine now; null is not measurable here."""
    now, names = machine.facts(), machine.names()
    box = last or facts.take()
    certificates: list[Json] = [asdict(certificate) for certificate in facts.certificates()]
    processes: list[Json] = [asdict(child) for child in facts.children()]
    return {
        "cpu_percent": rounded(recorder.value("cpu")),
        "machine_cpu_percent": rounded(recorder.value("machine_cpu")),
        "cpu_count": now.cores,
        "load_1m": now.load_1m,
        "memory_total_bytes": now.memory_bytes,
        "memory_available_bytes": now.memory_available_bytes,
        "core_rss_bytes": box.memory_bytes,
        "temperature_c": now.temperature_c,
        "undervoltage": now.is_undervoltage,
        "time_synchronised": now.is_clock_synchronised,
        "time_s": time.time(),
        "uptime_s": now.uptime_s,
        "hostname": names.hostname,
        "machine": names.model,
        "architecture": names.architecture,
        "disk": _disk(now, box),
        "device_bytes_per_s": rounded(recorder.value("device_bytes")),
        "store": msgspec.to_builtins(box.store) if box.store is not None else None,
        "store_directory": durable.store.options.directory if durable is not None else "",
        "certificates": certificates,
        "processes": processes,
        "versions": {
            "leafbox": leafbox.__version__,
            "nats-server": leafbox.NATS_SERVER_VERSION,
            "python": platform.python_version(),
            "system": names.system,
            "kernel": names.kernel,
        },
    }


def connection_totals(registry: Registry) -> JsonObject:
    """What the exporter shows of the first page of /connz: sums, without a document for each connection."""
    page = [connection.snapshot() for connection in islice(registry, PAGE_DEFAULT)]
    return {
        "num_connections": len(page),
        "total": len(registry),
        "offset": 0,
        "limit": PAGE_DEFAULT,
        "pending_bytes": sum(each.pending_bytes for each in page),
        "subscriptions": sum(each.subscription_count for each in page),
        "in_msgs": sum(each.in_msgs for each in page),
        "out_msgs": sum(each.out_msgs for each in page),
        "in_bytes": sum(each.in_bytes for each in page),
        "out_bytes": sum(each.out_bytes for each in page),
    }


def _disk(now: MachineFacts, box: BoxSnapshot) -> JsonObject:
    device = now.device
    return {
        "total_bytes": now.flash_bytes,
        "free_bytes": now.flash_free_bytes,
        "store_bytes": sum(stream.stored_bytes for stream in box.streams),
        "written_bytes": box.store.written_bytes + box.store.checkpoint_bytes if box.store else None,
        "device_written_bytes": device.written_bytes if device else None,
        "life_used_percent": device.life_used_percent if device else None,
        "device": f"{device.name} {device.model}".strip() if device else "",
        "end_of_life": device.end_of_life if device else "",
    }


def rounded(value: float) -> float | None:
    """A reading for JSON: NaN is null."""
    return None if math.isnan(value) else round(value, 2)


def figure(value: float) -> str:
    """A reading for people."""
    return "-" if math.isnan(value) else f"{value:,.0f}"
