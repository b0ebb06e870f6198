"""The command line of nats-server: which flags there are, and how they are parsed.

Go's `flag` rules: one or two dashes, `-name value` or `-name=value`, booleans take a value only after `=`, parsing ends
at the first word that is no flag or after `--`. What the flags do to the options is in `command_line.py`.
Source: nats-server 2.15.1 `ConfigureOptions`; Go package `flag`.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from leafbox.app.configuration.go_text import quoted
from leafbox.protocol.errors import LeafboxError


class FlagKind(enum.Enum):
    """What value a flag takes."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    TEXT = "string"


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag with its spellings; `setting` is the option field it sets (empty: handled by name)."""

    names: tuple[str, ...]
    kind: FlagKind
    setting: str
    group: str
    placeholder: str
    help: str


class FlagError(LeafboxError):
    """A word that is no flag, or a value that does not fit; nats-server prints it and the usage, and exits with 0."""


FlagValue = bool | int | str

_B, _I, _T = FlagKind.BOOLEAN, FlagKind.INTEGER, FlagKind.TEXT

FLAGS = (
    Flag(("a", "addr", "net"), _T, "clients.host", "Server", "host", "Address to listen on (default: 0.0.0.0)"),
    Flag(("p", "port"), _I, "clients.port", "Server", "port", "Port for clients, -1: any free one (default: 4222)"),
    Flag(("n", "name", "server_name"), _T, "server.name", "Server", "name", "Server name (default: its id)"),
    Flag(("P", "pid"), _T, "server.pid_file", "Server", "file", "Write the process id to this file"),
    Flag(("m", "http_port"), _I, "monitoring.http_port", "Server", "port", "Port for HTTP monitoring"),
    Flag(("ms", "https_port"), _I, "monitoring.https_port", "Server", "port", "Port for HTTPS monitoring"),
    Flag(("c", "config"), _T, "", "Server", "file", "Configuration file"),
    Flag(("t",), _B, "", "Server", "", "Check the configuration file and exit"),
    Flag(
        ("sl", "signal"),
        _T,
        "",
        "Server",
        "signal[=pid]",
        "Signal a running server: ldm, stop, quit, term, reopen, reload; pid may be a pid file",
    ),
    Flag(("client_advertise",), _T, "clients.advertise", "Server", "address", "Address told to clients"),
    Flag(
        ("ports_file_dir",),
        _T,
        "server.ports_file_directory",
        "Server",
        "dir",
        "Write the bound addresses to <program>_<pid>.ports in this directory",
    ),
    Flag(("l", "log"), _T, "logging.file", "Logging", "file", "Log to this file"),
    Flag(("T", "logtime"), _B, "logging.is_time_logged", "Logging", "", "Prefix log lines with the time (default: on)"),
    Flag(("logtime_utc",), _B, "logging.is_time_utc", "Logging", "", "Log time in UTC"),
    Flag(("s", "syslog"), _B, "logging.is_syslog", "Logging", "", "Log to the system log"),
    Flag(("r", "remote_syslog"), _T, "logging.remote_syslog", "Logging", "url", "System log server, udp://host:port"),
    Flag(("D", "debug"), _B, "logging.is_debug", "Logging", "", "Log debug lines"),
    Flag(("V", "trace"), _B, "logging.is_trace", "Logging", "", "Log the protocol"),
    Flag(("VV",), _B, "", "Logging", "", "Log the protocol, the system account's too"),
    Flag(("DV",), _B, "", "Logging", "", "Debug and trace"),
    Flag(("DVV",), _B, "", "Logging", "", "Debug and trace, the system account's too"),
    Flag(("log_size_limit",), _I, "logging.file_bytes_max", "Logging", "bytes", "Rotate the log file at this size"),
    Flag(
        ("max_traced_msg_len",),
        _I,
        "logging.traced_message_bytes_max",
        "Logging",
        "bytes",
        "Payload bytes shown when tracing (default: all)",
    ),
    Flag(("js", "jetstream"), _B, "jetstream.is_enabled", "JetStream", "", "Switch JetStream on"),
    Flag(("sd", "store_dir"), _T, "jetstream.store_directory", "JetStream", "dir", "Directory of the store"),
    Flag(("user",), _T, "security.username", "Authorization", "name", "User clients must give"),
    Flag(("pass",), _T, "security.password", "Authorization", "password", "Password clients must give"),
    Flag(("auth",), _T, "security.token", "Authorization", "token", "Token clients must give"),
    Flag(("tls",), _B, "", "TLS", "", "Require TLS, clients are not verified"),
    Flag(("tlscert",), _T, "", "TLS", "file", "Server certificate"),
    Flag(("tlskey",), _T, "", "TLS", "file", "Private key of the certificate"),
    Flag(("tlsverify",), _B, "", "TLS", "", "Require TLS and client certificates"),
    Flag(("tlscacert",), _T, "", "TLS", "file", "Authority that signed the client certificates"),
    Flag(("routes",), _T, "", "Cluster", "urls", "Other servers, comma-separated (not supported)"),
    Flag(("cluster", "cluster_listen"), _T, "", "Cluster", "url", "Where other servers connect (not supported)"),
    Flag(("cluster_name",), _T, "cluster.name", "Cluster", "name", "Cluster name told to clients"),
    Flag(("no_advertise",), _B, "cluster.is_advertise_disabled", "Cluster", "", "Do not tell clients of other servers"),
    Flag(("cluster_advertise",), _T, "cluster.advertise", "Cluster", "url", "Address told to other servers"),
    Flag(("connect_retries",), _I, "cluster.connect_retries", "Cluster", "n", "Attempts to reach an implicit route"),
    Flag(("profile",), _I, "server.profiling_port", "Profiling", "port", "Profiling port (not supported)"),
    Flag(("h", "help"), _B, "", "Common", "", "Show this help"),
    Flag(("v", "version"), _B, "", "Common", "", "Show the version"),
    Flag(("help_tls",), _B, "", "Common", "", "Show help on TLS"),
)
FLAG_OF = {name: flag for flag in FLAGS for name in flag.names}

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
_INTEGER = re.compile(r"[+-]?(0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO]?[0-7_]+|[0-9][0-9_]*)")


def parse_flags(arguments: list[str]) -> tuple[dict[str, FlagValue], list[str]]:
    """Values by the spelling used (the last one of a spelling counts), and the words after the flags.

    Raises `FlagError` with Go's text.
    """
    values: dict[str, FlagValue] = {}
    rest = list(arguments)
    while rest and len(rest[0]) >= 2 and rest[0].startswith("-"):
        word = rest.pop(0)
        if word == "--":
            break
        name, has_value, text = word.removeprefix("-").removeprefix("-").partition("=")
        if not name or name.startswith("-"):
            raise FlagError(f"bad flag syntax: {word}")
        flag = FLAG_OF.get(name)
        if flag is None:
            raise FlagError(f"flag provided but not defined: -{name}")
        if not has_value and flag.kind is FlagKind.BOOLEAN:
            text = "true"
        elif not has_value:
            if not rest:
                raise FlagError(f"flag needs an argument: -{name}")
            text = rest.pop(0)
        # A later spelling replaces an earlier one of the same flag.
        for other in flag.names:
            values.pop(other, None)
        values[name] = _value(flag, name, text)
    return values, rest


def _value(flag: Flag, name: str, text: str) -> FlagValue:
    match flag.kind:
        case FlagKind.TEXT:
            return text
        case FlagKind.BOOLEAN:
            if text not in _TRUE + _FALSE:
                raise FlagError(f"invalid boolean value {quoted(text)} for -{name}: parse error")
            return text in _TRUE
        case FlagKind.INTEGER:
            return _integer(name, text)


def _integer(name: str, text: str) -> int:
    """Go's base-0 integers: decimal, 0x, 0b, 0o, and a leading zero for octal."""
    if not _INTEGER.fullmatch(text) or "__" in text or text.endswith("_"):
        raise FlagError(f"invalid value {quoted(text)} for flag -{name}: parse error")
    octal = re.fullmatch(r"([+-]?)0([0-7_]+)", text)
    number = int(octal[1] + octal[2].lstrip("_"), 8) if octal else int(text, 0)
    if not -(2**63) <= number < 2**63:
        raise FlagError(f"invalid value {quoted(text)} for flag -{name}: value out of range")
    return number


def usage(program: str) -> str:
    """The help text."""
    lines = ["", f"Usage: {program} [options]", ""]
    for group in dict.fromkeys(flag.group for flag in FLAGS):
        lines.append(f"{group} Options:")
        lines.extend(_usage_line(flag) for flag in FLAGS if flag.group == group)
        lines.append("")
    return "\n".join(lines) + "\n"


def _usage_line(flag: Flag) -> str:
    names = ", ".join(f"-{name}" if len(name) <= 3 and name.isascii() else f"--{name}" for name in flag.names)
    value = f" <{flag.placeholder}>" if flag.placeholder else ""
    return f"    {names + value:<40} {flag.help}"
