"""How long an exported service takes: one metric message for each sampled request (ADR-3).

Owns the decision which requests are measured, and the message. Who measures is `broker.imports`, which sees request and
answer. Durations are what nats-server 2.15.1 computes: `service` without the responder's round trip, `total` with both
round trips; fields, their order and the failures 400, 503 and 504 as it sends them.
"""

from __future__ import annotations

import secrets
import string
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from leafbox.broker.config import ServiceLatency
from leafbox.broker.request_info import RequestInfo, info_of
from leafbox.dataplane.routing import Receiver
from leafbox.protocol.jetstream.go_time import format_time

if TYPE_CHECKING:
    from leafbox.broker.account import Account

TYPE = "io.nats.server.metric.v1.service_latency"
ID_CHARACTERS = 22
_ALPHABET = string.digits + string.ascii_letters

BAD_REQUEST = 400, "Bad Request"
NO_RESPONDERS = 503, "Service Unavailable"
TIMEOUT = 504, "Service Timeout"

UBER, UBER_CONTEXT = "Uber-Trace-Id", "Uberctx-"
B3 = "B3"
B3_SAMPLED, B3_TRACE = "X-B3-Sampled", "X-B3-Traceid"
B3_NAMES = (B3_SAMPLED, B3_TRACE, "X-B3-Parentspanid", "X-B3-Spanid")
TRACE_PARENT, TRACE_STATE = "Traceparent", "Tracestate"
SAMPLED = "01"

Fields = dict[str, list[str]]


class LatencyMetric(msgspec.Struct, kw_only=True):
    """The message, keys in nats-server's order; durations in ns. Unset fields are left out."""

    type: str = TYPE
    id: str
    timestamp: str
    status: int = 200
    description: str | msgspec.UnsetType = msgspec.UNSET
    requestor: RequestInfo
    responder: RequestInfo | msgspec.UnsetType = msgspec.UNSET
    header: Fields | msgspec.UnsetType = msgspec.UNSET
    start: str
    service: int = 0
    system: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Measurement:
    """One request on its way. Told once, by `answered` or `failed`."""

    exporter: Account
    subject: bytes
    requestor: RequestInfo
    header: Fields
    asked_ns: int

    def answered(self, answered_ns: int, origin: Receiver | None) -> None:
        """The answer went out; `answered_ns` (wall clock) is when it came."""
        responder = info_of(origin)
        took_ns = max(answered_ns - self.asked_ns, 0)
        metric = self._metric()
        if responder is not None:
            responder.acc = self.exporter.name
            metric.responder = responder
        metric.service = max(took_ns - (responder.rtt if responder is not None else 0), 0)
        metric.system = max(time.time_ns() - answered_ns, 0)
        metric.total = self.requestor.rtt + took_ns + metric.system
        self._tell(metric)

    def failed(self, failure: tuple[int, str]) -> None:
        """There is no answer."""
        metric = self._metric()
        metric.status, metric.description = failure
        self._tell(metric)

    def _metric(self) -> LatencyMetric:
        metric = LatencyMetric(
            id="".join(secrets.choice(_ALPHABET) for _ in range(ID_CHARACTERS)),
            timestamp=format_time(time.time_ns()),
            requestor=self.requestor,
            start=format_time(self.asked_ns - self.requestor.rtt),
        )
        if self.header:
            metric.header = self.header
        return metric

    def _tell(self, metric: LatencyMetric) -> None:
        self.exporter.publish(self.subject, msgspec.json.encode(metric))


def measurement_of(
    options: ServiceLatency,
    exporter: Account,
    importer: Account,
    header: bytes,
    origin: Receiver | None,
    *,
    is_shared: bool,
) -> Measurement | None:
    """The measurement of a request that comes in now; None when it is not sampled or nobody listens."""
    subject = options.subject.encode()
    if not exporter.has_interest(subject):
        return None
    found: Fields = {}
    if not _is_drawn(options.sampling_percent):
        traced = trace_fields(header)
        if traced is None:
            return None
        found = traced
    requestor = info_of(origin) or RequestInfo()
    if not is_shared:
        requestor = RequestInfo(rtt=requestor.rtt)
    requestor.acc = importer.name
    return Measurement(exporter, subject, requestor, found, time.time_ns())


def _is_drawn(sampling_percent: int) -> bool:
    return sampling_percent >= 100 or secrets.randbelow(100) < sampling_percent


def trace_fields(header: bytes) -> Fields | None:
    """The trace fields of a header that asks to be sampled (Jaeger, Zipkin B3, W3C); None: it does not ask."""
    fields = _fields(header)
    first = {name: values[0] for name, values in fields.items()}
    if UBER in first:
        flags = first[UBER].split(":")[3:]
        if len(flags) != 1 or not _is_odd_hex(flags[0]):
            return None
        return {name: values for name, values in fields.items() if name == UBER or name.startswith(UBER_CONTEXT)}
    b3 = {name: fields[name] for name in B3_NAMES if name in fields}
    if first.get(B3_SAMPLED) in ("0", "1"):
        return b3 if first[B3_SAMPLED] == "1" else None
    if B3_TRACE in first:
        # The decision is left to the server.
        return b3
    if B3 in first:
        parts = first[B3].split("-")
        is_denied = parts == ["0"] or (len(parts) > 2 and parts[2] == "0")
        return None if is_denied else {B3: fields[B3]}
    if TRACE_PARENT in first:
        parts = first[TRACE_PARENT].split("-")
        if len(parts) == 4 and parts[3] == SAMPLED:
            return {name: fields[name] for name in (TRACE_PARENT, TRACE_STATE) if name in fields}
    return None


def _is_odd_hex(text: str) -> bool:
    """One or two hexadecimal digits whose lowest bit, "sampled", is set."""
    return 1 <= len(text) <= 2 and all(each in string.hexdigits for each in text) and int(text, 16) % 2 == 1


def _fields(header: bytes) -> Fields:
    """Names as Go writes them (`Traceparent`), values in order."""
    found: Fields = {}
    for line in header.split(b"\r\n")[1:]:
        name, colon, value = line.partition(b":")
        if colon:
            canonical = "-".join(part.capitalize() for part in name.decode("latin-1").split("-"))
            found.setdefault(canonical, []).append(value.strip().decode("utf-8", "replace"))
    return found
