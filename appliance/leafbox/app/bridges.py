"""Bridges to other MQTT brokers: those of the configuration (`bridges {}`) and those of `$LEAFBOX.bridge.*`.

The latter are kept in `bridges.json`. Owns both lists and the process beside core that runs them; it asks for the list
each second with its report, so a change, of the configuration too, counts at once and survives a restart. A bridge of
the configuration is changed there only, and comes before one of the same name in the file. Passwords go to the process
over the control channel only, and into the file, which the owner alone can read; they are never shown.

Not here: what a bridge does (`mqtt.bridge`).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import msgspec

from leafbox.app.configuration.options import Options
from leafbox.app.operations.service import Operations
from leafbox.app.supervisor import ChildSpec, Supervisor
from leafbox.broker.broker import Broker
from leafbox.monitoring.box_services import BoxServices
from leafbox.monitoring.box_snapshot import BridgeFact
from leafbox.mqtt.bridge.rules import BRIDGES_MAX, BridgeOptions
from leafbox.protocol.control import ENVIRONMENT, Control
from leafbox.protocol.errors import BoxRequestFailed, ConfigError
from leafbox.protocol.jetstream.go_json import Json, JsonObject

FILE_NAME = "bridges.json"
REPORT_STALE_S = 10.0
HIDDEN = "***"


class BridgeServer(Protocol):
    """What of the server is needed."""

    broker: Broker
    supervisor: Supervisor
    options: Options
    operations: Operations | None


class Bridges:
    """The `bridge` noun and the process behind it."""

    def __init__(self, server: BridgeServer, directory: Path) -> None:
        """Reads the file. Raises `ConfigError` when it is damaged."""
        self._server = server
        self._directory = directory.resolve()
        self._path = directory / FILE_NAME
        self._bridges: dict[str, BridgeOptions] = self._load()
        self._reports: dict[str, dict[str, Json]] = {}
        self._reported_s = 0.0
        self._control: Control | None = None
        self._is_running = False

    def start(self, services: BoxServices, control: Control, each_second: list[Callable[[], None]]) -> None:
        """Answer, and run the process once there are bridges."""
        self._control = control
        services.add("bridge.list", self._list)
        services.add("bridge.add", self._add)
        services.add("bridge.remove", self._remove)
        services.add("bridge.report", self._report)
        if self._server.operations is not None:
            self._server.operations.facts.bridges = self.facts
        self._run_if_needed()
        each_second.append(self._run_if_needed)

    def facts(self) -> list[BridgeFact]:
        """The bridges as the issues see them."""
        found = []
        for name in sorted(self._all):
            report = self._reports.get(name, {})
            refused, reason = report.get("refused_messages"), report.get("refused_reason")
            found.append(BridgeFact(name, refused if isinstance(refused, int) else 0, str(reason or "")))
        return found

    @property
    def _all(self) -> dict[str, BridgeOptions]:
        return self._bridges | {each.name: each for each in self._server.options.bridges}

    def _load(self) -> dict[str, BridgeOptions]:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        try:
            return {each.name: each for each in msgspec.json.decode(content, type=list[BridgeOptions])}
        except msgspec.DecodeError as error:
            raise ConfigError(
                f"the list of bridges cannot be read: {error}", str(self._path), suggestion="restore it from a backup"
            ) from error

    def _store(self, bridges: dict[str, BridgeOptions]) -> None:
        """On flash when it returns."""
        part = self._path.with_suffix(".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(list(bridges.values()))))
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)
        folder = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._bridges = bridges

    def _run_if_needed(self) -> None:
        if self._is_running or self._control is None or not self._all:
            return
        self._is_running = True
        environment = {ENVIRONMENT: self._control.encode().decode()}
        command = (sys.executable, "-m", "leafbox.mqtt.bridge", str(self._directory))
        self._server.supervisor.start(ChildSpec("bridge", command, environment))

    # -- requests -----------------------------------------------------------------------------------------------------

    def _list(self, _request: JsonObject) -> JsonObject:
        return {"bridges": [self._document(bridge) for _, bridge in sorted(self._all.items())]}

    def _add(self, request: JsonObject) -> JsonObject:
        try:
            bridge = msgspec.convert(request, BridgeOptions)
        except msgspec.ValidationError as error:
            raise BoxRequestFailed("invalid", f"this is no bridge: {error}") from error
        if problem := bridge.problem():
            raise BoxRequestFailed("invalid", problem)
        if bridge.name in self._all:
            raise BoxRequestFailed(
                "conflict", f"there is a bridge {bridge.name}", f"leafbox bridge rm {bridge.name} removes it"
            )
        if self._server.broker.account(bridge.account) is None:
            raise BoxRequestFailed("invalid", f"there is no account {bridge.account}")
        if len(self._all) >= BRIDGES_MAX:
            raise BoxRequestFailed("limit", f"{BRIDGES_MAX} bridges are the most")
        self._store(self._bridges | {bridge.name: bridge})
        self._run_if_needed()
        return self._document(bridge)

    def _remove(self, request: JsonObject) -> JsonObject:
        name = request.get("name")
        if any(name == each.name for each in self._server.options.bridges):
            raise BoxRequestFailed(
                "conflict",
                f"{name} is a bridge of the configuration file",
                "take it out of bridges {} there and reload",
            )
        if not isinstance(name, str) or name not in self._bridges:
            raise BoxRequestFailed("not_found", f"there is no bridge {name}", "leafbox bridge ls lists them")
        self._store({key: each for key, each in self._bridges.items() if key != name})
        self._reports.pop(name, None)
        # What waits in its streams is the user's: it stays until the user deletes it.
        return {"removed": name, "kept_streams": [f"BRIDGE_{name}", f"BRIDGE_{name}_IN"]}

    def _report(self, request: JsonObject) -> JsonObject:
        reports = request.get("reports")
        if isinstance(reports, dict):
            self._reports = {name: each for name, each in reports.items() if isinstance(each, dict)}
            self._reported_s = time.monotonic()
        wanted: list[Json] = [msgspec.to_builtins(bridge) for bridge in self._all.values()]
        return {"bridges": wanted}

    def _document(self, bridge: BridgeOptions) -> JsonObject:
        document: dict[str, Json] = msgspec.to_builtins(replace(bridge, password=HIDDEN if bridge.password else ""))
        report = dict(self._reports.get(bridge.name, {}))
        if not report or time.monotonic() - self._reported_s > REPORT_STALE_S:
            report |= {"state": "starting", "sentence": "its process has not reported yet", "next_step": ""}
        state, refused = report.get("state"), report.get("refused_messages")
        if refused:
            stream, reason = report.get("refused_stream"), report.get("refused_reason") or "see their headers"
            report["sentence"] = f"{report.get('sentence')}; {refused} refused messages are kept in {stream}"
            if not report.get("next_step"):
                report["next_step"] = f"mend the cause ({reason}), then send or purge what is in {stream}"
        severity = "ok" if state == "flowing" else "info" if state in ("starting", "connecting") else "warning"
        if refused:
            severity = "warning"
        is_configured = any(bridge is each for each in self._server.options.bridges)
        origin = "configuration" if is_configured else "command"
        return document | report | {"severity": severity, "origin": origin}
