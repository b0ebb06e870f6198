"""`$LEAFBOX.config.*`: the configuration file as the dashboard edits it, with an apply that undoes itself.

`apply` changes the running server only; the file is replaced at `confirm`. If nobody confirms in time the server goes
back to what it had, and a box that is cut off or loses power in between starts with the old file. So an administrator
who locks themselves out only has to wait.

A box without a file runs on the defaults of its command line; the text shown then is the file that says the same, and
`confirm` writes it to `leafbox.conf` in the data directory, which the next start reads.
"""

from __future__ import annotations

import asyncio
import difflib
import hashlib
import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from leafbox.app.configuration.load import load_options, read_from_disk
from leafbox.app.configuration.options import Options
from leafbox.app.configuration.problems import ConfigRejected
from leafbox.app.configuration.reload import compare
from leafbox.app.configuration.unsupported import check_supported
from leafbox.app.dashboard.people_services import optional, text
from leafbox.monitoring.box_services import BoxServices
from leafbox.protocol.errors import BoxRequestFailed, ConfigError, LeafboxError
from leafbox.protocol.jetstream.go_json import Json, JsonObject

logger = logging.getLogger(__name__)

FILE_NAME = "leafbox.conf"
CONFIRM_S = 60.0
CONFIRM_S_MAX = 600.0
FINDINGS_MAX = 50


class ReloadableServer(Protocol):
    """What of the server is needed."""

    options: Options

    def reload(self, options: Options) -> None:
        """Apply a configuration as a whole; raises `ConfigError` and changes nothing when it cannot be."""
        ...


class Trial:
    """A configuration in force that nobody has confirmed yet."""

    def __init__(self, text: str, until_s: float, timer: asyncio.TimerHandle, before: Options) -> None:
        self.text = text
        self.until_s = until_s
        self.timer = timer
        self.before = before


class ConfigServices:
    """The configuration of one box. Belongs to the loop."""

    def __init__(self, server: ReloadableServer, data: Path) -> None:
        self._server = server
        self._path = Path(server.options.config_file) if server.options.config_file else data / FILE_NAME
        self._has_file = bool(server.options.config_file)
        self._start_text = equivalent_text(server.options)
        self._trial: Trial | None = None
        self._previous: str | None = None
        self.on_change: Callable[[str], None] = lambda what: None

    def register(self, services: BoxServices) -> None:
        """Answer the noun."""
        services.add("config.get", self.get)
        services.add("config.check", self.check)
        services.add("config.diff", self.diff)
        services.add("config.apply", self.apply)
        services.add("config.confirm", self.confirm)
        services.add("config.revert", self.revert)

    def stop(self) -> None:
        """The process ends; an unconfirmed trial ends with it."""
        if self._trial is not None:
            self._trial.timer.cancel()

    # -- requests -----------------------------------------------------------------------------------------------------

    def get(self, request: JsonObject) -> JsonObject:
        """The text in force."""
        shown = self._trial.text if self._trial is not None else self._file_text()
        return {
            "text": shown,
            "path": str(self._path) if self._has_file else "",
            "digest": digest(shown),
            "writable": os.access(self._path if self._path.exists() else self._path.parent, os.W_OK),
            "pending_revert_s": self._trial.until_s if self._trial is not None else 0,
            "previous": self._trial is not None or self._previous is not None,
        }

    def check(self, request: JsonObject) -> JsonObject:
        """Whether a text can be used: every problem with its place, and what would need a restart."""
        given = text(request, "text")
        findings: list[Json] = []
        restart: list[Json] = []
        try:
            options, warnings = self._load(given)
            findings += [finding(warning, "warning") for warning in warnings]
            compare(self._server.options, options)
        except ConfigRejected as rejected:
            findings += [finding(each, "critical") for each in rejected.errors]
            findings += [finding(each, "warning") for each in rejected.warnings]
        except ConfigError as error:
            if error.reason.startswith("config reload not supported"):
                restart.append(error.reason)
            else:
                findings.append(finding(error, "critical"))
        is_valid = not any(isinstance(each, dict) and each["severity"] == "critical" for each in findings)
        return {
            "valid": is_valid,
            "findings": findings[:FINDINGS_MAX],
            "restart_needed": restart,
            "digest": digest(given),
        }

    def diff(self, request: JsonObject) -> JsonObject:
        """What a text changes."""
        before, after = self._file_text().splitlines(), text(request, "text").splitlines()
        lines = list(difflib.unified_diff(before, after, "in force", "edited", lineterm=""))
        return {
            "diff": "\n".join(lines),
            "changed": bool(lines),
            "added": sum(line.startswith("+") and not line.startswith("+++") for line in lines),
            "removed": sum(line.startswith("-") and not line.startswith("---") for line in lines),
        }

    def apply(self, request: JsonObject) -> JsonObject:
        """Put a text in force for a while."""
        given = text(request, "text")
        if self._trial is not None:
            step = "confirm or revert the last one first"
            raise BoxRequestFailed("conflict", "a configuration waits for its confirmation", step)
        started_from = optional(request, "digest", "")
        if started_from and started_from != digest(self._file_text()):
            step = "reload the editor and make the change again"
            raise BoxRequestFailed("conflict", "the file was changed by somebody else meanwhile", step)
        within_s = min(max(optional(request, "confirm_within_s", CONFIRM_S), 1.0), CONFIRM_S_MAX)
        before = self._server.options
        try:
            options, _ = self._load(given)
            self._server.reload(options)
        except ConfigError as error:
            raise refusal(error) from error
        timer = asyncio.get_running_loop().call_later(within_s, self._time_is_up)
        self._trial = Trial(given, time.time() + within_s, timer, before)
        logger.info("configuration applied, reverts in %.0f s unless confirmed", within_s)
        self.on_change("applied")
        return self.get({})

    def confirm(self, request: JsonObject) -> JsonObject:
        """Keep it: write the file."""
        trial = self._trial
        if trial is None:
            raise BoxRequestFailed("conflict", "nothing waits for a confirmation", "it may have been reverted already")
        previous = self._file_text()
        write_durably(self._path, trial.text)
        trial.timer.cancel()
        self._trial = None
        self._previous = previous
        self._has_file = True
        logger.info("configuration confirmed file=%s", self._path)
        self.on_change("confirmed")
        return self.get({})

    def revert(self, request: JsonObject) -> JsonObject:
        """Undo the trial, or else the last confirmed change."""
        if self._trial is not None:
            self._undo_trial()
            return self.get({})
        previous = self._previous
        if previous is None:
            raise BoxRequestFailed("conflict", "there is nothing to go back to", "edit the text instead")
        try:
            options, _ = self._load(previous)
            self._server.reload(options)
        except ConfigError as error:
            raise refusal(error) from error
        current = self._file_text()
        write_durably(self._path, previous)
        self._previous = current
        self.on_change("reverted")
        return self.get({})

    # -- inside -------------------------------------------------------------------------------------------------------

    def _time_is_up(self) -> None:
        logger.warning("configuration was not confirmed in time and is reverted")
        self._undo_trial()

    def _undo_trial(self) -> None:
        trial, self._trial = self._trial, None
        if trial is None:
            return
        trial.timer.cancel()
        try:
            self._server.reload(trial.before)
        except LeafboxError as error:
            # What can be reloaded one way can be reloaded back but for very few keys; the file is the old one anyway.
            logger.error("revert needs a restart: %s", error)
        self.on_change("reverted")

    def _file_text(self) -> str:
        if not self._has_file:
            return self._start_text
        try:
            return self._path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            reason = f"{self._path} cannot be read: {error.strerror}"
            raise BoxRequestFailed("failed", reason, "look at its permissions") from error

    def _load(self, given: str) -> tuple[Options, tuple[ConfigError, ...]]:
        """The options of a text, as if it stood in the file."""
        folder = self._path.parent.resolve()

        def read(path: str) -> bytes:
            if Path(path) == self._path:
                return given.encode()
            # What is included is shown in error texts; only what lies beside the file concerns an editor of it.
            if not Path(path).resolve().is_relative_to(folder):
                raise ConfigError(f"{path} lies outside of {folder} and cannot be included from the dashboard")
            return read_from_disk(path)

        options, warnings = load_options(str(self._path), os.environ, read)
        check_supported(options)
        monitoring = options.monitoring
        if not (monitoring.http_port or monitoring.https_port):
            # Where a listener that does not exist would listen makes no difference.
            options = replace(options, monitoring=replace(monitoring, host=self._server.options.monitoring.host))
        return options, warnings


def equivalent_text(options: Options) -> str:
    """A file that says what a start without one says."""
    lines = ["# Leafbox runs without a configuration file; this one says the same.", ""]
    if options.server.name:
        lines.append(f'server_name: "{options.server.name}"')
    lines.append(f'listen: "{options.clients.host}:{options.clients.port}"')
    if options.jetstream.is_enabled:
        lines += ["", "jetstream {", f'  store_dir: "{options.jetstream.store_directory}"']
        lines += [f'  domain: "{options.jetstream.domain}"'] if options.jetstream.domain else []
        lines.append("}")
    if options.mqtt.port:
        lines += ["", "mqtt {", f"  port: {options.mqtt.port}"]
        lines += [f'  host: "{options.mqtt.host}"'] if options.mqtt.host else []
        lines.append("}")
    return "\n".join(lines) + "\n"


def digest(content: str) -> str:
    """By which an editor says what it started from."""
    return hashlib.sha256(content.encode()).hexdigest()


def finding(error: ConfigError, severity: str) -> JsonObject:
    """One problem with its place."""
    return {
        "line": error.line,
        "column": error.column,
        "severity": severity,
        "message": error.reason,
        "suggestion": error.suggestion,
    }


def refusal(error: ConfigError) -> BoxRequestFailed:
    """Why a text was not applied."""
    if error.reason.startswith("config reload not supported"):
        step = "write it into the file and restart the box"
        return BoxRequestFailed("restart_needed", error.reason, step)
    first = error.errors[0] if isinstance(error, ConfigRejected) and error.errors else error
    where = f"line {first.line}, column {first.column}: " if first.line else ""
    return BoxRequestFailed("invalid", f"{where}{first.reason}", first.suggestion or "correct it and apply again")


def write_durably(path: Path, content: str) -> None:
    """Replace a file as a whole, on flash before this returns; permissions stay, a new file is the owner's only."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content.encode())
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
