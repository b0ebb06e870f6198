"""Server processes for tests: the real nats-server and our own, started, watched and stopped in the same way.

Both programs take the same flags, read the same configuration file and print the same log lines, so one test can be
run on either (`ServerKind`) and a differential test can hold one against the other. Readiness and ports are read from
the log, never guessed and never polled: every listener binds an ephemeral port of the loopback interface.

Not here: clients, configuration texts, comparing outputs.
"""

from __future__ import annotations

import enum
import os
import re
import signal
import subprocess
import sysconfig
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol, Self

# The real server is ready in 10 ms and ours in well under a second; a loaded two-core machine needs room.
READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 40.0

READY_LINE = re.compile(r"Server is ready")
# The fixed start-up lines of nats-server 2.15.1 (core-protocol 6); client suites parse the same ones.
LISTENER_LINES: Mapping[str, re.Pattern[str]] = {
    "client": re.compile(r"Listening for client connections on \S*?:(\d+)$", re.MULTILINE),
    "websocket": re.compile(r"Listening for websocket clients on \S*?:(\d+)$", re.MULTILINE),
    "leafnode": re.compile(r"Listening for leafnode connections on \S*?:(\d+)$", re.MULTILINE),
    "mqtt": re.compile(r"Listening for MQTT clients on \S*?:(\d+)$", re.MULTILINE),
    "monitor": re.compile(r"Starting https? monitor on \S*?:(\d+)$", re.MULTILINE),
}


class ServerKind(enum.Enum):
    """Which program runs; the value is its name in the environment's `bin` directory."""

    REAL = "nats-server"
    LEAFBOX = "leafbox-server"

    @property
    def program(self) -> Path:
        """The installed program; may not exist when the environment lacks it."""
        return Path(sysconfig.get_path("scripts")) / self.value


class ServerFailed(Exception):
    """A server did not start, ended early or did not stop; the text ends with its log."""


class ServerProcess:
    """One running server. Usable as a context manager: `with ServerProcess(kind, directory) as server:`.

    `directory` receives the configuration file and is the working directory. `flags` come last on the command line and
    so win over the defaults (`-a 127.0.0.1 -p -1`), as in the real server; `config` is the text of a configuration
    file. Flags win over the file, so a file needs neither `port` nor `host` for the client listener; other listeners
    in it should ask for port -1. `environment` is added to ours.
    """

    def __init__(
        self,
        kind: ServerKind,
        directory: Path,
        *flags: str,
        config: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.kind = kind
        self.directory = directory
        self.flags = flags
        self.config = config
        self.environment = dict(environment or {})
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._log_lines: list[str] = []
        self._log_changed = threading.Condition()
        self._log_ended = False
        self._client_port_kept: int | None = None

    @property
    def config_path(self) -> Path:
        """Where `config` is written at each start; rewrite it and send SIGHUP to test a reload."""
        return self.directory / f"{self.kind.value}.conf"

    def start(self, *, timeout_s: float = READY_TIMEOUT_S) -> Self:
        """Start and return when the log says the server is ready. `ServerFailed` (with the log) if it does not."""
        assert self._process is None, "already running"
        command = [str(self.kind.program), "-a", "127.0.0.1", "-p", str(self._client_port_kept or -1)]
        if self.config is not None:
            self.directory.mkdir(parents=True, exist_ok=True)
            self.config_path.write_text(self.config, encoding="utf-8")
            command += ["-c", str(self.config_path)]
        self._log_lines, self._log_ended = [], False
        self._process = subprocess.Popen(
            [*command, *self.flags],
            cwd=self.directory,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="backslashreplace",
        )
        assert self._process.stderr is not None
        self._reader = threading.Thread(target=self._read_log, args=(self._process.stderr,), daemon=True)
        self._reader.start()
        try:
            self.wait_for_log(READY_LINE, timeout_s=timeout_s)
        except ServerFailed:
            self.kill()
            raise
        return self

    def stop(self, *, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Ask for an orderly end (SIGTERM) and return the exit code; `ServerFailed` if it had to be killed."""
        return self._end(signal.SIGTERM, timeout_s)

    def kill(self) -> int:
        """End it as a crash would (SIGKILL): nothing is flushed."""
        return self._end(signal.SIGKILL, STOP_TIMEOUT_S)

    def restart(self, *, crash: bool = False) -> Self:
        """End it (orderly, or with `crash` by SIGKILL) and start it again on the same client port."""
        self._client_port_kept = self.client_port
        if crash:
            self.kill()
        else:
            self.stop()
        return self.start()

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, for example SIGHUP to reload."""
        self._running().send_signal(number)

    def wait_exit(self, *, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Wait for the process to end by itself; returns its exit code, `ServerFailed` if it does not end."""
        process = self._running()
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ServerFailed(f"{self.kind.value} still runs after {timeout_s} s\n{self.log}") from error
        self._release()
        return code

    def wait_for_log(
        self, pattern: re.Pattern[str] | str, *, after: int = 0, timeout_s: float = READY_TIMEOUT_S
    ) -> re.Match[str]:
        """Wait until a log line matches and return the match; lines before index `after` are not looked at.

        `ServerFailed` when the time is up or the process ends first. For a line that may already be there from before,
        take `after=server.log_line_count` first.
        """
        wanted = re.compile(pattern)
        seen = after

        def find() -> re.Match[str] | None:
            nonlocal seen
            for line in self._log_lines[seen:]:
                seen += 1
                if found := wanted.search(line):
                    return found
            return None

        with self._log_changed:
            found: re.Match[str] | None = None

            def is_settled() -> bool:
                nonlocal found
                found = find()
                return found is not None or self._log_ended

            in_time = self._log_changed.wait_for(is_settled, timeout_s)
        if found is not None:
            return found
        what = "ended" if in_time else f"{timeout_s} s passed"
        raise ServerFailed(f"{self.kind.value} {what} before {wanted.pattern!r} was logged\n{self.log}")

    @property
    def log(self) -> str:
        """Everything logged to stderr since the last start, also after the end."""
        with self._log_changed:
            return "\n".join(self._log_lines)

    @property
    def log_line_count(self) -> int:
        """How many lines `log` has; see `wait_for_log`."""
        with self._log_changed:
            return len(self._log_lines)

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        return self._running().pid

    @property
    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    def port(self, listener: str) -> int:
        """The port of one listener, a key of `LISTENER_LINES`; KeyError if the log names no such listener."""
        found = LISTENER_LINES[listener].search(self.log)
        if found is None:
            raise KeyError(f"{self.kind.value} has no {listener} listener")
        return int(found[1])

    @property
    def client_port(self) -> int:
        """Port of the NATS client listener."""
        return self.port("client")

    @property
    def url(self) -> str:
        """URL for NATS clients."""
        return f"nats://127.0.0.1:{self.client_port}"

    @property
    def monitor_url(self) -> str:
        """Root of the HTTP monitoring endpoints."""
        return f"http://127.0.0.1:{self.port('monitor')}"

    def __enter__(self) -> Self:
        return self if self.is_running else self.start()

    def __exit__(self, *exception: object) -> None:
        if self._process is not None:
            self.stop()

    def _running(self) -> subprocess.Popen[str]:
        assert self._process is not None, "not running"
        return self._process

    def _read_log(self, stream: IO[str]) -> None:
        for line in stream:
            with self._log_changed:
                self._log_lines.append(line.rstrip("\n"))
                self._log_changed.notify_all()
        with self._log_changed:
            self._log_ended = True
            self._log_changed.notify_all()

    def _end(self, number: signal.Signals, timeout_s: float) -> int:
        process = self._running()
        process.send_signal(number)  # Harmless when it has already ended: Popen checks first.
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.wait()
            self._release()
            raise ServerFailed(f"{self.kind.value} ignored {number.name} for {timeout_s} s\n{self.log}") from error
        self._release()
        return code

    def _release(self) -> None:
        process, reader = self._running(), self._reader
        assert reader is not None
        # A child of the server may still hold the pipe; the log so far is what counts then.
        reader.join(timeout=2.0)
        if process.stderr is not None and not reader.is_alive():
            process.stderr.close()
        self._process = self._reader = None


class StartServer(Protocol):
    """The fixture `start_server`: start a server that ends with the test (see `ServerProcess` for the arguments)."""

    def __call__(
        self,
        kind: ServerKind,
        *flags: str,
        config: str | None = None,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> ServerProcess: ...


def run_program(kind: ServerKind, arguments: Sequence[str], *, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a server program to its end, for flags such as `-t`, `-v` and `--help`; the exit code is not checked."""
    return subprocess.run(
        [str(kind.program), *arguments],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=READY_TIMEOUT_S,
        check=False,
    )
