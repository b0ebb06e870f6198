"""What `-t` prints and returns for a file."""

from __future__ import annotations

from collections.abc import Mapping

from leafbox.app.configuration.command_line import flag_settings
from leafbox.app.configuration.flags import FlagValue
from leafbox.app.configuration.grammar import Reader
from leafbox.app.configuration.load import read_from_disk, read_settings
from leafbox.app.configuration.problems import ConfigRejected
from leafbox.protocol.errors import ConfigError

PROGRAM = "nats-server"
"""Name in front of messages: client suites and scripts look for it."""


def check_file(
    path: str,
    environment: Mapping[str, str],
    read: Reader = read_from_disk,
    flags: Mapping[str, FlagValue] | None = None,
) -> tuple[int, str]:
    """Exit code and the text for standard error. Warnings alone fail a check, though a start ignores them.

    `flags` of the same command line are known while the file is read (`CommandLine.flags`).
    """
    try:
        settings = read_settings(path, environment, read, known=flag_settings(flags or {}))
    except ConfigError as error:
        return 1, f"{PROGRAM}: {error}\n"
    if settings.warnings:
        return 1, f"{PROGRAM}: {ConfigRejected('', warnings=settings.warnings)}\n"
    return 0, f"{PROGRAM}: configuration file {path} is valid ({settings.digest})\n"
