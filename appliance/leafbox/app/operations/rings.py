"""What was said and what happened lately, in memory: the last log lines and the last events, for those who ask.

Both are bounded rings whose entries carry a number, so that a reader who asks "after 17" again and again misses nothing
that is still there and learns how much is not. The log file, or the journal of the system, is what lasts.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

from leafbox.protocol.jetstream.go_json import JsonObject
from leafbox.security.redact import redact

LOG_LINES_MAX = 2000
"""Ten minutes of a busy start; at 1 KiB a line 2 MB, and most are a tenth of that."""
LOG_LINE_CHARS_MAX = 1024
EVENTS_MAX = 500
LEVEL_WORDS = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error"}


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line, secrets taken out."""

    seq: int
    time_ns: int
    level: str
    source: str
    text: str

    def document(self) -> JsonObject:
        """For JSON."""
        return {
            "seq": self.seq,
            "at_s": self.time_ns / 1e9,
            "level": self.level,
            "logger": self.source,
            "text": self.text,
        }


class LogRing(logging.Handler):
    """Remembers the last lines. Takes records of any thread; `on_line` is called on the thread that logged."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._lines: deque[LogLine] = deque(maxlen=LOG_LINES_MAX)
        self._last_seq = 0
        self.on_line: Callable[[], None] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Called under the handler's lock."""
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        self._last_seq += 1
        level = LEVEL_WORDS.get(record.levelno) or ("error" if record.levelno > logging.ERROR else "debug")
        line = LogLine(
            seq=self._last_seq,
            time_ns=int(record.created * 1e9),
            level=level,
            source=record.name.removeprefix("leafbox."),
            text=redact(text)[:LOG_LINE_CHARS_MAX],
        )
        self._lines.append(line)
        if self.on_line is not None:
            self.on_line()

    @property
    def last_seq(self) -> int:
        """Number of the newest line."""
        return self._last_seq

    def lines(self, *, after: int = 0, levels: frozenset[str] = frozenset(), text: str = "") -> list[LogLine]:
        """Lines with a number above `after`, oldest first; of some levels, or with a text in them."""
        wanted = text.casefold()
        self.acquire()
        try:
            found = list(self._lines)
        finally:
            self.release()
        return [
            line
            for line in found
            if line.seq > after
            and (not levels or line.level in levels)
            and (not wanted or wanted in line.text.casefold() or wanted in line.source.casefold())
        ]


@dataclass(frozen=True, slots=True)
class BoxEvent:
    """Something worth telling that happened to the box."""

    seq: int
    time_ns: int
    kind: str
    """Stable: `started`, `issue-raised`, `issue-cleared`, `process-ended`, `backup`, ..."""
    text: str
    severity: str = "info"
    subject: str = ""
    detail: JsonObject = field(default_factory=dict)

    def document(self) -> JsonObject:
        """For JSON."""
        return {
            "seq": self.seq,
            "at_s": self.time_ns / 1e9,
            "kind": self.kind,
            "severity": self.severity,
            "text": self.text,
            "subject": self.subject,
            "detail": self.detail,
        }


class EventRing:
    """Remembers the last events; belongs to the loop."""

    def __init__(self, on_event: Callable[[BoxEvent], None]) -> None:
        self._events: deque[BoxEvent] = deque(maxlen=EVENTS_MAX)
        self._last_seq = 0
        self._on_event = on_event

    def add(
        self, kind: str, text: str, *, severity: str = "info", subject: str = "", detail: JsonObject | None = None
    ) -> BoxEvent:
        """Note something and tell it."""
        self._last_seq += 1
        event = BoxEvent(self._last_seq, time.time_ns(), kind, text, severity, subject, detail or {})
        self._events.append(event)
        self._on_event(event)
        return event

    def events(self, *, after: int = 0, limit: int = EVENTS_MAX) -> list[BoxEvent]:
        """The last `limit` events with a number above `after`, oldest first."""
        found = [event for event in self._events if event.seq > after]
        return list(islice(found, max(len(found) - limit, 0), None))

    @property
    def last_seq(self) -> int:
        """Number of the newest event."""
        return self._last_seq
