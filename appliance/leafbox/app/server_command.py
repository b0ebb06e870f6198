"""`leafbox-server`: takes nats-server's flags and configuration files and behaves as nats-server does.

Tools that start a `nats-server` can be given this program: same start-up lines on standard error, same exit codes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from leafbox import NATS_SERVER_VERSION
from leafbox.app.configuration.check import PROGRAM, check_file
from leafbox.app.configuration.command_line import Action, CommandLine, configure, parse_command_line
from leafbox.app.configuration.flags import FlagError, usage
from leafbox.app.configuration.options import Options
from leafbox.app.lifecycle import run_process
from leafbox.protocol.errors import ConfigError

SIGNALS = {
    "stop": signal.SIGKILL,
    "quit": signal.SIGINT,
    "term": signal.SIGTERM,
    "reopen": signal.SIGUSR1,
    "reload": signal.SIGHUP,
    "ldm": signal.SIGUSR2,
}

TLS_HELP = """
A TLS listener needs --tlscert and --tlskey; --tlsverify with --tlscacert asks clients for certificates.
Everything else (versions, ciphers, pinned certificates, handshake order) is set in the configuration file's tls block.
"""


def main() -> int:
    """Entry point; returns the exit code."""
    arguments = sys.argv[1:]
    try:
        command = parse_command_line(arguments)
    except FlagError as error:
        _say(f"{error}\n{usage(PROGRAM)}")
        return 0
    except ConfigError as error:
        _say(f"{PROGRAM}: {error}\n")
        return 1
    match command.action:
        case Action.VERSION:
            sys.stdout.write(f"{PROGRAM}: v{NATS_SERVER_VERSION}\n")
            return 0
        case Action.HELP:
            sys.stdout.write(usage(PROGRAM))
            return 0
        case Action.TLS_HELP:
            sys.stdout.write(TLS_HELP)
            return 0
        case Action.CHECK:
            code, text = check_file(command.config_file, os.environ, flags=command.flags)
            _say(text)
            return code
        case Action.SIGNAL:
            return send_signal(command)
        case Action.RUN:
            return _run(command)


def _run(command: CommandLine) -> int:
    def load() -> Options:
        return configure(command, os.environ).options

    try:
        configured = configure(command, os.environ)
    except (ConfigError, OSError) as error:
        _say(f"{PROGRAM}: {error}\n")
        return 1
    for warning in configured.warnings:
        _say(f"{warning}\n")
    if configured.options.bridges:
        _say("bridges: this program runs none; `leafbox run` does\n")
    return run_process(configured.options, load)


def send_signal(command: CommandLine) -> int:
    """`--signal command[=pid or pid file]`."""
    number = SIGNALS.get(command.signal)
    if number is None:
        _say(f'{PROGRAM}: unknown signal "{command.signal}"\n')
        return 1
    target = command.signal_target
    if target and not target.isdigit():
        try:
            target = Path(target).read_text().strip()
        except OSError as error:
            _say(f"{PROGRAM}: could not read pid file: {error}\n")
            return 1
    pids = [int(target)] if target.isdigit() else running_servers()
    if not pids:
        _say(f"{PROGRAM}: no {PROGRAM} processes running\n")
        return 1
    if len(pids) > 1:
        _say(f"{PROGRAM}: multiple {PROGRAM} processes running:\n{chr(10).join(map(str, pids))}\n")
        return 1
    try:
        os.kill(pids[0], number)
    except OSError as error:
        _say(f"{PROGRAM}: signal {command.signal} {pids[0]}: {error.strerror}\n")
        return 1
    return 0


def running_servers() -> list[int]:
    """Process ids of other running servers of this program's name."""
    name = Path(sys.argv[0]).name
    found = subprocess.run(["pgrep", "-f", name], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split() if int(pid) not in (os.getpid(), os.getppid())]


def _say(text: str) -> None:
    sys.stderr.write(text)
