"""The pid file and the ports file: how tools find a server that they started (core-protocol section 6.1)."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def program_name() -> str:
    """The name that the ports file is called after: the program's as it was started."""
    return Path(sys.argv[0]).name or "leafbox-server"


class RunFiles:
    """Files that exist while the server runs. Writing raises OSError; removing never does."""

    def __init__(self, pid_file: str, ports_directory: str) -> None:
        self._pid_file = Path(pid_file) if pid_file else None
        name = f"{program_name()}_{os.getpid()}.ports"
        self._ports_file = Path(ports_directory) / name if ports_directory else None

    def write_pid(self) -> None:
        """Write the process id, if a file is configured."""
        if self._pid_file is not None:
            self._pid_file.write_text(str(os.getpid()))

    def write_ports(self, addresses: dict[str, list[str]]) -> None:
        """Write the bound addresses at once (readers poll for the file), if a directory is configured."""
        if self._ports_file is not None:
            partial = self._ports_file.with_suffix(".tmp")
            partial.write_text(json.dumps(addresses))
            partial.replace(self._ports_file)

    def remove(self) -> None:
        """Take both away at a clean stop."""
        for path in (self._pid_file, self._ports_file):
            if path is not None:
                path.unlink(missing_ok=True)
