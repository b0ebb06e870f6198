"""A client that publishes traced messages and reads the events (ADR-41), comparable between two servers."""

from __future__ import annotations

import gzip
import json
from typing import Any

import cramjam

from tests.support.blocking_client import BlockingClient

Event = dict[str, Any]
EVENTS = "trace.events"
TRACE = {"Nats-Trace-Dest": EVENTS}


class TracingClient(BlockingClient):
    """Logged in under a name; everything on `trace.>` is an event for it once `watch` was called."""

    def __init__(self, port: int, name: str, **login: object) -> None:
        super().__init__(port)
        answer = self.login(protocol=0, name=name, **login)
        assert answer.endswith(b"PONG\r\n"), answer

    def watch(self, subject: str = "trace.>") -> None:
        """Subscribe to events."""
        self.ask(f"SUB {subject} events\r\n".encode())

    def subscribe(self, subject: str, sid: str = "1", queue: str = "") -> None:
        """SUB, known to the server when this returns."""
        self.ask(f"SUB {subject} {queue} {sid}\r\n".encode())

    def publish(self, subject: str, headers: dict[str, str], payload: bytes = b"x", reply: str = "") -> bytes:
        """HPUB; what the server answers before the PONG."""
        head = b"NATS/1.0\r\n" + b"".join(f"{key}: {value}\r\n".encode() for key, value in headers.items()) + b"\r\n"
        size = len(head) + len(payload)
        return self.ask(f"HPUB {subject} {reply} {len(head)} {size}\r\n".encode() + head + payload + b"\r\n")

    def next_message(self) -> tuple[str, bytes, bytes]:
        """Subject, header block and payload of the next MSG or HMSG."""
        while not (line := self.read_until(b"\r\n")).startswith((b"MSG ", b"HMSG ")):
            if line == b"PING\r\n":
                self.send(b"PONG\r\n")
            assert not line.startswith((b"-ERR", b"<closed>")), line
        parts = line.split()
        size = int(parts[-1])
        head = int(parts[-2]) if line.startswith(b"H") else 0
        body = b""
        while len(body) < size + 2:
            body += self.read_until(b"\r\n")
        return parts[1].decode(), body[:head], body[head:size]

    def next_trace(self) -> Event:
        """The next trace as it came."""
        _, head, body = self.next_message()
        if b"Content-Encoding: gzip\r\n" in head:
            body = gzip.decompress(body)
        elif b"Content-Encoding: snappy\r\n" in head:
            body = bytes(cramjam.snappy.decompress(body))
        found: Event = json.loads(body)
        return found

    def next_events(self) -> list[Event]:
        """The events of the next trace without times and connection numbers."""
        return events_of(self.next_trace())


def events_of(trace: Event) -> list[Event]:
    """Without times and connection numbers, which must be there."""
    found = []
    for event in trace["events"]:
        assert event.pop("ts").endswith("Z")
        if event["type"] in ("in", "eg"):
            assert event.pop("cid") > 0
        found.append(event)
    return found
