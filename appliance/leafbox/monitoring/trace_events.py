"""What became of a traced message, as the message that its sender asked for (ADR-41).

Values in, one published message out; how a trace comes about is `broker.tracing`.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable

import cramjam

from leafbox.broker.tracing import Event, MessageTrace
from leafbox.monitoring.wire_format import Document, encode, time_text

ALWAYS = frozenset(("type", "ts", "kind", "cid", "acc", "subj", "stream", "from", "to"))
"""Fields that are told also when they are empty; `acc` of an egress is not among those."""


class TraceEvents:
    """Publishes traces; `server` makes the `server` object of each."""

    def __init__(self, server: Callable[[], Document]) -> None:
        self._server = server

    def publish(self, trace: MessageTrace) -> None:
        """Tell what is known of it on its destination, in the account that it came to."""
        content = encode(trace_document(trace, self._server()))
        accepted = trace.request.first(b"Accept-Encoding").lower()
        header = b""
        if "snappy" in accepted or "s2" in accepted:
            content, header = bytes(cramjam.snappy.compress(content)), _content_encoding("snappy")
        elif "gzip" in accepted:
            content, header = gzip.compress(content), _content_encoding("gzip")
        trace.account.publish(trace.destination.encode(), content, header=header)


def trace_document(trace: MessageTrace, server: Document) -> Document:
    """The JSON document of one server's events."""
    document: Document = {"server": server, "request": {"header": trace.request.fields, "msgsize": trace.size}}
    if trace.hops:
        document["hops"] = trace.hops
    document["events"] = [_event(event) for event in trace.events]
    return document


def _event(event: Event) -> Document:
    always = ALWAYS - {"acc"} if event["type"] == "eg" else ALWAYS
    shown: Document = {key: value for key, value in event.items() if value or key in always}
    moment = event["ts"]
    assert isinstance(moment, int)
    shown["ts"] = time_text(moment)
    return shown


def _content_encoding(name: str) -> bytes:
    return f"NATS/1.0\r\nContent-Encoding: {name}\r\n\r\n".encode()
