"""Options of the process itself: identity, files, logging, lame duck, profiling.

Source: nats-server 2.15.1 `server/opts.go`, `server/const.go`.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class LoggingOptions:
    """Where log lines go and how much they say."""

    is_debug: bool = False
    """Log debug lines."""
    is_trace: bool = False
    """Log protocol lines. Danger: subjects and payload beginnings become readable in the log."""
    is_trace_verbose: bool = False
    """Trace the system account too."""
    is_trace_headers_only: bool = False
    """Trace message headers but no payload."""
    is_time_logged: bool = True
    """Prefix lines with the time; switch it off under journald."""
    is_time_utc: bool = False
    """Time in UTC instead of the local zone."""
    file: str = ""
    """Log file; empty: standard error."""
    file_bytes_max: int = 0
    """Rotate the log file at this size; 0: never. Set it on flash."""
    files_max: int = 0
    """Rotated files to keep; 0: all."""
    is_syslog: bool = False
    """Log to the local syslog."""
    remote_syslog: str = ""
    """Syslog server, `udp://host:port`."""
    traced_message_bytes_max: int = 0
    """Payload bytes shown when tracing; 0: all."""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Identity and life cycle of the process."""

    name: str = ""
    """Server name without spaces; empty: the server id. A leaf link needs a stable name."""
    tags: tuple[str, ...] = ()
    """Tags, lower case, shown to monitoring and usable as a filter."""
    metadata: dict[str, str] = field(default_factory=dict)
    """Free key/value pairs shown to monitoring."""
    feature_flags: dict[str, bool] = field(default_factory=dict)
    """Named behaviours switched on or off; unknown names are reported as unsupported and have no effect."""
    pid_file: str = ""
    """File that holds the process id while running."""
    ports_file_directory: str = ""
    """Directory for `<program>_<pid>.ports`, a JSON list of the bound addresses."""
    lame_duck_duration_s: float = 120.0
    """Seconds over which clients are asked to leave; at least 30."""
    lame_duck_grace_period_s: float = 10.0
    """Seconds between the announcement and the first closed client; less than the duration."""
    connect_error_reports: int = 3600
    """Log every n-th failed first attempt to reach a hub."""
    reconnect_error_reports: int = 1
    """Log every n-th failed attempt after a link was lost."""
    profiling_port: int = 0
    """Go profiling port of nats-server; not supported here. 0: off."""
    profiling_block_rate: int = 0
    """Go block profile rate; not supported here."""
