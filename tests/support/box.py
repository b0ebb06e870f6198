"""`leafbox run` as a process for tests: started on a data directory, asked over the control channel, killed at will."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sysconfig
import time
from pathlib import Path
from typing import Any, Self

from leafbox.app.control_client import BoxUnreachable, ask, read_control

PROGRAM = Path(sysconfig.get_path("scripts")) / "leafbox"
READY_TIMEOUT_S = 100.0


def free_port() -> int:
    """A port nothing listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class RunningBox:
    """One box with its folder; a context manager that stops it at the end."""

    def __init__(self, folder: Path, *arguments: str, mqtt_port: int = -1) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = free_port()
        self.mqtt_port = mqtt_port
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For NATS clients."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """Everything logged by all starts."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def start(self) -> Self:
        """Start and return when requests are answered."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    PROGRAM,
                    "run",
                    "--data",
                    self.data,
                    "--port",
                    str(self.port),
                    f"--mqtt-port={self.mqtt_port}",
                    "--no-web",
                    *self._arguments,
                ],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + READY_TIMEOUT_S
        while True:
            assert self._process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            try:
                os.kill(read_control(self.data).pid, 0)
                self.ask("services.list")
                return self
            except (BoxUnreachable, ProcessLookupError):
                time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL to all its processes."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        """An orderly end, if it runs."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=40)
        self._process = None

    def ask(self, service: str, /, **body: Any) -> dict[str, Any]:
        """A request to the box. When it does not answer, the failure tells what became of it."""
        try:
            return ask(self.data, service, body, 30.0)
        except (BoxUnreachable, OSError) as error:
            ended = self._process.poll() if self._process is not None else "not started"
            error.add_note(f"box: exit code {ended}; the end of its log:\n{self.log[-3000:]}")
            raise

    def uplink(self, name: str = "") -> dict[str, Any]:
        """The status of an uplink, or of the first."""
        found: dict[str, Any] = self.ask("uplink.status", name=name)["uplinks"][0]
        return found

    def wait_uplink(self, condition: str, *, timeout_s: float = 30.0) -> dict[str, Any]:
        """Until the uplink is in this condition."""
        deadline = time.monotonic() + timeout_s
        while (found := self.uplink())["condition"] != condition:
            assert time.monotonic() < deadline, f"not {condition} within {timeout_s} s: {found}"
            time.sleep(0.1)
        return found

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`leafbox …` on this box's data."""
        return subprocess.run(
            [PROGRAM, *arguments, "--data", str(self.data)],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()
