"""The box's care of itself, put together for one server: ticks each second, answers dashboard and command line.

Owns the life of its parts and the `$LEAFBOX` nouns status, issues, history, system, logs, events, metrics and backup.
`start` after the store and before the listeners' readiness is announced; `stop` before the store closes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import msgspec

import leafbox
from leafbox.app.operations.backups import Backups
from leafbox.app.operations.box_facts import BoxFacts, WatchedServer
from leafbox.app.operations.fixes import Fixer, server_fixes
from leafbox.app.operations.recorder import Recorder
from leafbox.app.operations.rings import BoxEvent, EventRing, LogRing
from leafbox.app.operations.sampler import SampledServer, Sampler
from leafbox.app.operations.system import connection_totals, figure, rounded, system_document
from leafbox.app.operations.tiles import storage_tile, tile, uplink_tile
from leafbox.app.operations.watch import FRESH_S, LOOK_EVERY_S, IssueWatch, issues_document
from leafbox.broker.broker import Broker
from leafbox.monitoring.box_services import BoxServices
from leafbox.monitoring.box_snapshot import BoxSnapshot
from leafbox.monitoring.documents import MonitoringDocuments
from leafbox.monitoring.healthz import HealthzOptions
from leafbox.monitoring.issues import CHECKS, Issue
from leafbox.monitoring.jsz import JszOptions
from leafbox.monitoring.machine import Machine
from leafbox.monitoring.subsz import SubszOptions
from leafbox.protocol.errors import BoxRequestFailed
from leafbox.protocol.jetstream.go_json import Json, JsonObject

logger = logging.getLogger(__name__)

LINES_DEFAULT = 200
LINES_MAX = 2000
LEVELS = ("debug", "info", "warning", "error")


class OperatedServer(WatchedServer, SampledServer, Protocol):
    """What of the server is needed."""

    broker: Broker
    monitoring: MonitoringDocuments
    services: BoxServices

    def addresses(self) -> dict[str, list[str]]:
        """Bound addresses by kind."""
        ...


class Operations:
    """Created with the server, so that the first log lines are remembered; `start`ed when the store is open."""

    def __init__(self, server: OperatedServer, data: Path, tasks: asyncio.TaskGroup) -> None:
        self._server = server
        self._data = data
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._ticker: asyncio.Task[None] | None = None
        self._is_log_told = True
        self._last_line_told = 0
        self.machine = Machine(data)
        self.recorder: Recorder | None = None
        self.facts = BoxFacts(server, data, self.machine, lambda: self._recorder())
        self.watch = IssueWatch(self.facts.take, self._issue_changed)
        self.events = EventRing(self._event_added)
        self.logs = LogRing()
        self.each_second: list[Callable[[], None]] = []
        """What other parts of the box do once a second; short."""
        self.fixes: dict[str, Fixer] = {}
        self.backups = Backups(server, data, lambda kind, text, severity: self._note(kind, text, severity))
        logging.getLogger("leafbox").addHandler(self.logs)

    def _recorder(self) -> Recorder:
        assert self.recorder is not None, "not started"
        return self.recorder

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Load the history, begin to tick, answer."""
        durable = self._server.durable
        store = durable.store if durable is not None else None
        self.recorder = Recorder(Sampler(self._server, self.machine, self._backlog), store)
        self.fixes = server_fixes(store, self._server.services)
        self.logs.on_line = self._log_line_added
        self.backups.start()
        for name, handler in (
            ("status.get", self.status),
            ("issues.list", lambda request: issues_document(self.watch.look(FRESH_S))),
            ("issues.checks", lambda request: self.checks()),
            ("history.get", self.recorder.answer),
            ("system.get", lambda request: self.system()),
            ("logs.list", self.log_lines),
            ("events.list", self.past_events),
            ("metrics.documents", self.metrics_documents),
        ):
            self._server.services.add(name, handler)
        self._server.services.add("issues.fix", self.fix)
        self._server.services.add("backup.list", self.backups.list)
        self._server.services.add("backup.path", self.backups.path)
        self._server.services.add("backup.create", self.backups.create)
        self._server.services.add("backup.verify", self.backups.verify)
        self._server.services.add("backup.restore", self.backups.restore)
        self._ticker = self._tasks.create_task(self._tick_forever(), name="box history and issues")
        self.events.add("started", f"Leafbox {leafbox.__version__} started")

    def stop(self) -> None:
        """Keep the history and fall silent."""
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
        self.backups.stop()
        if self.recorder is not None:
            self.recorder.stop()
        self.logs.on_line = None
        logging.getLogger("leafbox").removeHandler(self.logs)

    async def _tick_forever(self) -> None:
        recorder = self._recorder()
        next_look_s = 0.0
        while True:
            # At the start of each second, so that rows of different boxes lie side by side.
            await asyncio.sleep(1.0 - time.time() % 1.0)
            recorder.record()
            for action in self.each_second:
                action()
            if time.monotonic() >= next_look_s:
                next_look_s = time.monotonic() + LOOK_EVERY_S
                self.watch.look(FRESH_S)
            if self._server.services.has_listeners("status"):
                self._server.services.emit("status", self.status({}))

    def _backlog(self) -> int | None:
        waiting = [uplink.backlog_messages for uplink in self.facts.uplinks()]
        known = [messages for messages in waiting if messages is not None]
        return sum(known) if known else None

    # -- telling ------------------------------------------------------------------------------------------------------

    def _issue_changed(self, kind: str, issue: Issue) -> None:
        is_raised = kind == "raised"
        self.events.add(
            f"issue-{kind}",
            # A list shows the text alone: the end of an issue must not read as the issue.
            issue.title if is_raised else f"Over: {issue.title}",
            severity=issue.severity.value if is_raised else "info",
            subject=issue.subject,
            detail={"code": issue.code},
        )
        if self._server.services.has_listeners("issues"):
            self._loop.call_soon(
                lambda: self._server.services.emit("issues", issues_document(self.watch.look(FRESH_S)))
            )

    def _note(self, kind: str, text: str, severity: str) -> None:
        self.events.add(kind, text, severity=severity)

    def _event_added(self, event: BoxEvent) -> None:
        self._server.services.emit("events", event.document())

    def _log_line_added(self) -> None:
        """On any thread; the loop tells once per turn, not per line."""
        if self._is_log_told and not self._loop.is_closed():
            self._is_log_told = False
            self._loop.call_soon_threadsafe(self._tell_log)

    def _tell_log(self) -> None:
        self._is_log_told = True
        last, self._last_line_told = self._last_line_told, self.logs.last_seq
        if self._server.services.has_listeners("logs"):
            for line in self.logs.lines(after=last):
                self._server.services.emit("logs", line.document())

    # -- answers ------------------------------------------------------------------------------------------------------

    def status(self, request: JsonObject) -> JsonObject:
        """State in one sentence, issues, addresses and the numbers of the tiles."""
        recorder, identity = self._recorder(), self._server.broker.identity
        document = issues_document(self.watch.look(FRESH_S))
        snapshot = self.watch.snapshot
        assert snapshot is not None
        store = snapshot.store
        uplinks: list[Json] = [asdict(uplink) for uplink in snapshot.uplinks]
        return document | {
            "box_name": identity.name if identity.name != identity.server_id else "",
            "server_id": identity.server_id,
            "tiles": self._tiles(snapshot),
            "at_s": time.time(),
            "version": leafbox.__version__,
            "nats_version": identity.version,
            "started": identity.start_ns / 1e9,
            "uptime_s": (time.time_ns() - identity.start_ns) // 1_000_000_000,
            "is_claimed": snapshot.is_claimed,
            "addresses": {kind: [*urls] for kind, urls in self._server.addresses().items()},
            "rates": {
                name: rounded(recorder.value(name))
                for name in ("messages_in", "messages_out", "bytes_in", "bytes_out", "cpu")
            },
            "connections": rounded(recorder.value("connections")),
            "streams": {
                "count": len(snapshot.streams),
                "messages": sum(stream.messages for stream in snapshot.streams),
                "bytes": sum(stream.stored_bytes for stream in snapshot.streams),
            },
            "storage": {
                "state": store.state if store is not None else "off",
                "reason": store.reason if store is not None else "JetStream is off",
                "is_accepting": store is not None and store.is_accepting,
                "total_bytes": snapshot.machine.flash_bytes,
                "free_bytes": snapshot.machine.flash_free_bytes,
                "sync_us": snapshot.sync_mean_us,
            },
            "uplinks": uplinks,
            "memory_bytes": snapshot.memory_bytes,
        }

    def _tiles(self, snapshot: BoxSnapshot) -> list[Json]:
        """The four figures of the home page."""
        recorder = self._recorder()
        connected, rate = recorder.value("connections"), recorder.value("messages_in")
        return [
            tile("devices", "Connected", rounded(connected), text=figure(connected), series="connections"),
            tile("messages", "Messages", rounded(rate), "per_s", f"{figure(rate)} a second", series="messages_in"),
            uplink_tile(snapshot),
            storage_tile(snapshot),
        ]

    def checks(self) -> JsonObject:
        """Everything that is looked at."""
        checks: list[Json] = [
            {
                "code": check.code,
                "severity": check.severity.value,
                "about": check.about,
                "fix": check.fix.label if check.fix else None,
            }
            for check in CHECKS
        ]
        return {"checks": checks}

    async def fix(self, request: JsonObject) -> JsonObject:
        """Do something about an issue that is there: `code`, and `subject` where there are several."""
        code, subject = request.get("code"), request.get("subject")
        known = [known.issue for known in self.watch.look() if known.issue.code == code]
        if subject:
            known = [issue for issue in known if issue.subject == subject]
        if not known:
            raise BoxRequestFailed(
                "not_found", f"there is no issue {code} now", "see `leafbox doctor` for those there are"
            )
        fixer = self.fixes.get(str(code))
        if fixer is None or known[0].fix is None:
            raise BoxRequestFailed("unavailable", f"the box cannot fix {code} by itself", known[0].next_step)
        assert self.watch.snapshot is not None
        done: list[Json] = []
        for issue in known:
            outcome = fixer(self.watch.snapshot, issue.subject)
            done.append(outcome if isinstance(outcome, str) else await outcome)
        logger.info("issue fixed code=%s %s", code, "; ".join(map(str, done)))
        return {"done": done, "message": " ".join(map(str, done)), **issues_document(self.watch.look())}

    def system(self) -> JsonObject:
        """The machine and the store, for the System page."""
        return system_document(self._server.durable, self.machine, self.facts, self._recorder(), self.watch.snapshot)

    def log_lines(self, request: JsonObject) -> JsonObject:
        """Lines `after` a number; `levels`, `text` and `limit` narrow them. `missed`: gone before they were read."""
        after, limit = _number(request, "after", 0), _number(request, "limit", LINES_DEFAULT)
        levels = request.get("levels") or ([request["level"]] if request.get("level") else [])
        if not isinstance(levels, list) or not set(map(str, levels)) <= set(LEVELS):
            raise BoxRequestFailed("invalid", f"levels is {levels!r}", f"a list of {', '.join(LEVELS)}")
        text = str(request.get("text") or "")
        lines = self.logs.lines(after=after, levels=frozenset(map(str, levels)), text=text)
        shown: list[Json] = [line.document() for line in lines[-min(max(limit, 1), LINES_MAX) :]]
        first = self.logs.lines()[:1]
        missed = max(first[0].seq - after - 1, 0) if first and after else 0
        return {"lines": shown, "last": self.logs.last_seq, "missed": missed}

    def past_events(self, request: JsonObject) -> JsonObject:
        """Events `after` a number, at most `limit`, newest first."""
        events = self.events.events(after=_number(request, "after", 0), limit=_number(request, "limit", LINES_DEFAULT))
        return {"events": [event.document() for event in reversed(events)], "last": self.events.last_seq}

    def metrics_documents(self, request: JsonObject) -> JsonObject:
        """All that `/metrics` is made of, in one answer; the text is made by whoever asks (`monitoring.metrics`)."""
        documents, now_ns = self._server.monitoring, time.time_ns()
        is_detailed = request.get("jetstream", True) is True
        jetstream = JszOptions(accounts=True, streams=is_detailed, consumers=is_detailed, config=is_detailed)
        _, health = documents.healthz(HealthzOptions())
        found: Mapping[str, object] = {
            "varz": documents.varz(),
            "connz": connection_totals(self._server.broker.registry),
            "subsz": documents.subsz(SubszOptions(), now_ns),
            "leafz": documents.leafz(account="", lists_subscriptions=False, now_ns=now_ns),
            "accstatz": documents.accstatz(includes_unused=True, now_ns=now_ns),
            "jsz": documents.jsz(jetstream, now_ns),
            "healthz": health,
            "status": self.status({}),
            "system": self.system(),
        }
        built: JsonObject = msgspec.to_builtins(found)
        return built


def _number(request: JsonObject, name: str, default: int) -> int:
    value = request.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BoxRequestFailed("invalid", f"{name} is {value!r}", "a number, 0 or more")
    return value
