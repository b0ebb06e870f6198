"""A configuration file becomes `Options`: parse, read the keys, compose; optionally the checks made at start.

`read_settings` is what `-t` does; `load_options` is what a start does. Both raise `ConfigRejected` (all problems at
once, in nats-server's words) or `ConfigError` (the file cannot be parsed).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from leafbox.app.configuration.compose import Settings, compose
from leafbox.app.configuration.digest import config_digest
from leafbox.app.configuration.fields import Reading
from leafbox.app.configuration.go_text import quoted
from leafbox.app.configuration.grammar import Reader, parse_file
from leafbox.app.configuration.options import Options
from leafbox.app.configuration.problems import Problems
from leafbox.app.configuration.top_level_keys import TOP_LEVEL_KEYS, system_account_name
from leafbox.app.configuration.validate import check_options
from leafbox.broker.config import AccountOptions
from leafbox.protocol.errors import ConfigError
from leafbox.security.config import AuthCalloutOptions

FILE_BYTES_MAX = 64 * 1024 * 1024
"""Largest configuration file read; the preloaded JWTs of thousands of accounts stay well below."""


def read_from_disk(path: str) -> bytes:
    """A file's content. Raises OSError, also for one that is absurdly large (a device, a log)."""
    with Path(path).open("rb") as file:
        content = file.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        raise OSError(27, os.strerror(27), path)
    return content


@dataclass(frozen=True, slots=True)
class ReadSettings:
    """What a file says, before defaults and flags."""

    settings: Settings
    file: str = ""
    digest: str = ""
    warnings: tuple[ConfigError, ...] = ()
    """A start prints and ignores them; `-t` fails."""
    deferred: tuple[str, ...] = field(default=())
    """Problems that only matter at start."""


def read_settings(
    path: str, environment: Mapping[str, str], read: Reader = read_from_disk, known: Mapping[str, object] | None = None
) -> ReadSettings:
    """Parse and read a file, as `-t` does. Raises `ConfigError` if anything is wrong with it.

    `known` are settings from the command line; the file is read on top of them.
    """
    tree = parse_file(path, read, environment)
    problems = Problems()
    reading = Reading(problems, read, environment)
    settings: Settings = dict(known or {})
    if not tree:
        problems.warnings.append(ConfigError(f"{path}: config has no values or is empty"))
    try:
        if name := system_account_name(tree):
            settings["broker.system_account"] = name
    except ConfigError as error:
        problems.errors.append(error)
    TOP_LEVEL_KEYS.read(tree, settings, reading)
    _check_callout_accounts(settings, problems)
    if problems.errors:
        raise problems.rejection()
    return ReadSettings(settings, path, config_digest(tree), tuple(problems.warnings), tuple(reading.deferred))


def load_options(
    path: str, environment: Mapping[str, str], read: Reader = read_from_disk
) -> tuple[Options, tuple[ConfigError, ...]]:
    """The options of a file with all checks of a start, and its warnings. Raises `ConfigError`."""
    read_file = read_settings(path, environment, read)
    options = compose(read_file.settings, read_file.file, read_file.digest)
    check_start(options, read_file)
    return options, read_file.warnings


def check_start(options: Options, read_file: ReadSettings) -> None:
    """The checks nats-server makes when it starts, not at `-t`. Raises `ConfigError`."""
    check_options(options)
    if read_file.deferred:
        raise ConfigError(read_file.deferred[0])


def _check_callout_accounts(settings: Settings, problems: Problems) -> None:
    callout, accounts = settings.get("security.auth_callout"), settings.get("broker.accounts", ())
    if not isinstance(callout, AuthCalloutOptions) or not isinstance(accounts, tuple):
        return
    names = {account.name for account in accounts if isinstance(account, AccountOptions)}
    for name in callout.allowed_accounts:
        if name not in names:
            reason = f"auth_callout allowed account {quoted(name)} not found in configured accounts"
            problems.errors.append(ConfigError(reason))
