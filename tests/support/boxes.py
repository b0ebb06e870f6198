"""A whole box for tests: `leafbox run` in a folder of its own, on free ports, stopped with Ctrl-C.

Beside `servers.py`, which runs the bare server: here are the data directory, the control channel, the commands and,
where asked for, the dashboard.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LEAFBOX = Path(sysconfig.get_path("scripts")) / "leafbox"
COMMAND_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0


class Box:
    """One running box; `url` is its NATS address, `data` its data directory."""

    def __init__(self, data: Path, process: subprocess.Popen[str], said: list[str]) -> None:
        self.data = data
        self.process = process
        self._said = said
        address = re.search(r"^  \S.*?(nats://\S+)", self.said, re.MULTILINE)
        assert address is not None, self.said
        self.url = address[1]

    @property
    def said(self) -> str:
        """What it has written to the terminal so far."""
        return "".join(self._said)

    @property
    def pid(self) -> int:
        """Of core, which takes the place of the command."""
        return self.process.pid

    def command(self, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Run `leafbox ...` for this box."""
        return run_command(*arguments, "--data", str(self.data), typed=typed)

    def document(self, *arguments: str, code: int = 0, typed: str = "") -> Any:
        """What a command prints with --json."""
        done = self.command(*arguments, "--json", typed=typed)
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    def kill(self) -> None:
        """As a crash would."""
        self.process.kill()
        self.process.wait(STOP_TIMEOUT_S)


def run_command(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """Run `leafbox ...` with something on its standard input."""
    return subprocess.run(
        [LEAFBOX, *arguments], capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False, input=typed
    )


@contextmanager
def running_box(folder: Path, *flags: str, web: bool = False, data: Path | None = None) -> Iterator[Box]:
    """A box whose data is in `folder/data`; ended with Ctrl-C, and it must end well unless it was killed."""
    data = data or folder / "data"
    dashboard = ("--web-port", "0") if web else ("--no-web",)
    command = [str(LEAFBOX), "run", "--data", str(data), "--port", "-1", "--mqtt-port", "-1", *dashboard, *flags]
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert process.stdout is not None
    said: list[str] = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("Stop with Ctrl-C"):
            break
    else:
        process.stdout.close()
        process.wait(STOP_TIMEOUT_S)
        raise AssertionError("ended before it was ready:\n" + "".join(said))
    output = process.stdout
    reader = threading.Thread(target=lambda: said.extend(output), daemon=True)
    reader.start()
    box = Box(data, process, said)
    try:
        yield box
    finally:
        was_running = process.poll() is None
        if was_running:
            process.send_signal(signal.SIGINT)
        try:
            code = process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        finally:
            reader.join(STOP_TIMEOUT_S)
            output.close()
    assert not was_running or code == 0, box.said
