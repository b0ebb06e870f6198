"""What `leafbox run` was given, as a value and as the command line of the process that does it.

Apart from `run_command`, so that the command line need not import the server only to start it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields

from leafbox.web.settings import PORT as WEB_PORT

MQTT_PORT = 1883


@dataclass(frozen=True, slots=True)
class RunArguments:
    """What `leafbox run` was given."""

    config: str = ""
    data: str = "data"
    host: str = "127.0.0.1"
    port: int = 4222
    mqtt_port: int = MQTT_PORT
    """0: no MQTT; -1: a free port."""
    web_host: str = "127.0.0.1"
    web_port: int = WEB_PORT
    """-1: no dashboard; 0: a free port."""
    program: str = "leafbox"
    """How the user called us, for the line to paste."""

    def command(self) -> list[str]:
        """The command line of the process that does it."""
        given = [(field.name, getattr(self, field.name)) for field in fields(self)]
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in given]
        return [sys.executable, "-m", "leafbox.app.run_command", *flags]


def parse(arguments: Sequence[str]) -> RunArguments:
    """The other direction."""
    parser = argparse.ArgumentParser(prog="leafbox run", allow_abbrev=False)
    for field in fields(RunArguments):
        kind = int if isinstance(field.default, int) else str
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=field.default)
    return RunArguments(**vars(parser.parse_args(arguments)))
