"""From a command line to what the program shall do, and to the options of a start: the file's, with flags on top.

The rules are nats-server's, also where they surprise: flags are known while the file is read (so `-sd` together with a
file's `store_dir` is a duplicate), then set again over it; a wrong flag prints the usage and exits with 0.
Source: nats-server 2.15.1 `ConfigureOptions`, `overrideTLS`, `overrideCluster`.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from leafbox.app.configuration.addresses import AddressError, parse_url
from leafbox.app.configuration.compose import Settings, compose
from leafbox.app.configuration.fields import Reading
from leafbox.app.configuration.flags import FLAG_OF, FlagValue, parse_flags
from leafbox.app.configuration.go_text import quoted
from leafbox.app.configuration.grammar import Reader
from leafbox.app.configuration.load import ReadSettings, check_start, read_from_disk, read_settings
from leafbox.app.configuration.options import Options
from leafbox.app.configuration.problems import Problems
from leafbox.app.configuration.tls_keys import check_files
from leafbox.app.configuration.tree import Node
from leafbox.protocol.errors import ConfigError
from leafbox.security.config import TlsOptions


class Action(enum.Enum):
    """What a command line asks for."""

    RUN = "run"
    CHECK = "check"
    SIGNAL = "signal"
    VERSION = "version"
    HELP = "help"
    TLS_HELP = "tls help"


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A parsed command line."""

    action: Action
    config_file: str = ""
    """Path given with `-c`; empty: none."""
    signal: str = ""
    """With `Action.SIGNAL`: the command, for example `reload`."""
    signal_target: str = ""
    """Process id, path of a pid file, or empty: the only running server."""
    flags: Mapping[str, FlagValue] = field(default_factory=dict)
    """Flags that were given, by the spelling used."""


@dataclass(frozen=True, slots=True)
class Configured:
    """The options of a start, and what to tell the user about them."""

    options: Options
    warnings: tuple[ConfigError, ...] = ()


def parse_command_line(arguments: list[str]) -> CommandLine:
    """What the arguments (without the program's name) ask for.

    Raises `FlagError` for a wrong flag (print it and the usage, exit with 0, as nats-server does) and `ConfigError`
    for a command line that makes no sense (exit with 1).
    """
    flags, words = parse_flags(arguments)
    if flags.get("v") or flags.get("version"):
        return CommandLine(Action.VERSION)
    if flags.get("h") or flags.get("help"):
        return CommandLine(Action.HELP)
    if flags.get("help_tls"):
        return CommandLine(Action.TLS_HELP)
    if words:
        if words[0].lower() not in ("version", "help"):
            raise ConfigError(f"unrecognized command: {quoted(words[0])}")
        return CommandLine(Action(words[0].lower()))
    signal = str(flags.get("sl", flags.get("signal", "")))
    if signal:
        command, _, rest = signal.partition("=")
        target, *extra = rest.split("=")
        if extra:
            raise ConfigError(f"invalid signal parameters: [{' '.join(extra)}]")
        return CommandLine(Action.SIGNAL, signal=command, signal_target=target)
    file = str(flags.get("c", flags.get("config", "")))
    if flags.get("t"):
        if not file:
            raise ConfigError("must specify [-c, --config] option to check configuration file syntax")
        return CommandLine(Action.CHECK, file, flags=flags)
    return CommandLine(Action.RUN, file, flags=flags)


def configure(command: CommandLine, environment: Mapping[str, str], read: Reader = read_from_disk) -> Configured:
    """The options for a start (or a reload) of this command line. Raises `ConfigError`."""
    from_flags = flag_settings(command.flags)
    file = ReadSettings(dict(from_flags))
    if command.config_file:
        file = read_settings(command.config_file, environment, read, known=from_flags)
    settings: Settings = {**file.settings, **from_flags}
    _apply_combined_flags(command.flags, settings)
    _apply_tls_flags(command.flags, settings, Reading(Problems(), read, environment))
    options = compose(settings, file.file, file.digest)
    check_start(options, file)
    return Configured(options, file.warnings)


def flag_settings(flags: Mapping[str, FlagValue]) -> Settings:
    """The settings that flags make on their own, by field path."""
    return {FLAG_OF[name].setting: value for name, value in flags.items() if FLAG_OF[name].setting}


def _apply_combined_flags(flags: Mapping[str, FlagValue], settings: Settings) -> None:
    """Flags that set several options, in alphabetical order as Go visits them."""
    for name in sorted(flags):
        value = flags[name]
        if name in ("DV", "DVV", "VV"):
            settings["logging.is_trace"] = value
            if name != "VV":
                settings["logging.is_debug"] = value
            if name != "DV":
                settings["logging.is_trace_verbose"] = value
        elif name in ("cluster", "cluster_listen"):
            _apply_cluster_url(str(value), settings)
        elif name == "routes":
            settings["cluster.routes"] = tuple(url.strip() for url in str(value).split(",")) if value else ()
    if flags.get("routes") and not any(settings.get(f"cluster.{field}") for field in ("host", "port")):
        raise ConfigError("solicited routes require cluster capabilities, e.g. --cluster")


def _apply_cluster_url(text: str, settings: Settings) -> None:
    if not text:
        settings["cluster.port"] = 0
        return
    wants_free_port = text.endswith(":-1")
    parsed_text = text.removesuffix(":-1") + ":0" if wants_free_port else text
    try:
        url = parse_url(parsed_text)
    except AddressError as error:
        raise ConfigError(f"parse {quoted(parsed_text)}: {error}") from error
    if not url.port:
        raise ConfigError(f"address {url.host}: missing port in address" if url.host else "missing port in address")
    settings["cluster.host"] = url.host
    settings["cluster.port"] = -1 if wants_free_port else int(url.port)
    if url.has_user and url.password is None:
        raise ConfigError("expected cluster password to be set")
    settings["cluster.username"] = url.username
    settings["cluster.password"] = url.password or ""


def _apply_tls_flags(flags: Mapping[str, FlagValue], settings: Settings, reading: Reading) -> None:
    given = [name for name in flags if name.startswith("tls")]
    if "tls" in given and not flags["tls"]:
        settings.pop("clients.tls", None)
        return
    if not given:
        return
    if not flags.get("tlscert"):
        raise ConfigError("TLS Server certificate must be present and valid")
    if not flags.get("tlskey"):
        raise ConfigError("TLS Server private key must be present and valid")
    known = settings.get("clients.tls")
    options = replace(
        known if isinstance(known, TlsOptions) else TlsOptions(),
        cert_file=str(flags["tlscert"]),
        key_file=str(flags["tlskey"]),
        ca_file=str(flags.get("tlscacert", "")),
        certificates=(),
        is_peer_verified=bool(flags.get("tlsverify", False)),
    )
    check_files(options, Node(""), reading)
    settings["clients.tls"] = options


def redacted_arguments(arguments: list[str]) -> list[str]:
    """The arguments as they may be shown: passwords, tokens and credentials in URLs replaced."""
    shown = list(arguments)
    for index, word in enumerate(arguments):
        match = re.fullmatch("(--?)(user|pass|auth|routes|cluster|cluster_listen)(=.*)?", word, re.DOTALL)
        if match is None:
            continue
        if match[3] is not None:
            shown[index] = f"{match[1]}{match[2]}={_redacted(match[2], match[3][1:])}"
        elif index + 1 < len(arguments):
            shown[index + 1] = _redacted(match[2], arguments[index + 1])
    return shown


def _redacted(name: str, value: str) -> str:
    if name in ("user", "pass", "auth"):
        return "[REDACTED]"
    return re.sub(r"//[^/@,]*@", "//[REDACTED]@", value)
