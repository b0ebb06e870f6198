"""Log lines in nats-server's form: `[pid] 2026/11/23 03:07:56.994790 [INF] text`.

Client test suites and operators' tools read these lines, so level names and texts of the fixed start-up lines are part
of the interface. Files rotate at a size; SIGUSR1 reopens them. Nothing here runs per message.
"""

from __future__ import annotations

import datetime
import logging
import logging.handlers
import os
import sys
from pathlib import Path

from leafbox.app.configuration.server_options import LoggingOptions
from leafbox.clients.context import TRACE
from leafbox.security.redact import redact

LEVEL_NAMES = {
    TRACE: "TRC",
    logging.DEBUG: "DBG",
    logging.INFO: "INF",
    logging.WARNING: "WRN",
    logging.ERROR: "ERR",
    logging.CRITICAL: "FTL",
}


class NatsFormatter(logging.Formatter):
    """The line format of nats-server."""

    def __init__(self, is_time_logged: bool, is_time_utc: bool) -> None:
        super().__init__()
        self._is_time_logged = is_time_logged
        self._zone = datetime.UTC if is_time_utc else None
        self._pid = os.getpid()

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        # The last place where a secret can be caught, whatever text it came in.
        text = redact(text)
        level = LEVEL_NAMES.get(record.levelno, "INF")
        if not self._is_time_logged:
            return f"[{self._pid}] [{level}] {text}"
        moment = datetime.datetime.fromtimestamp(record.created, tz=self._zone)
        return f"[{self._pid}] {moment:%Y/%m/%d %H:%M:%S}.{moment.microsecond:06d} [{level}] {text}"


class RotatingLog(logging.handlers.RotatingFileHandler):
    """A log file that is renamed to `<file>.yyyy.mm.dd.hh.mm.ss.ns` when it is full, as nats-server does.

    `files_max` old ones are kept (0: all). `reopen` serves `mv` followed by SIGUSR1.
    """

    def __init__(self, path: str, bytes_max: int, files_max: int) -> None:
        super().__init__(path, maxBytes=bytes_max, backupCount=1, encoding="utf-8")
        self._files_max = files_max

    def doRollover(self) -> None:
        self.close()
        moment = datetime.datetime.now()
        stamp = f"{moment:%Y.%m.%d.%H.%M.%S}.{moment.microsecond * 1000:09d}"
        os.replace(self.baseFilename, f"{self.baseFilename}.{stamp}")
        self.stream = self._open()
        if self._files_max > 0:
            path = Path(self.baseFilename)
            old = sorted(path.parent.glob(f"{path.name}.[0-9]*"))
            # The live file counts among the files to keep.
            for surplus in old[: max(len(old) - self._files_max + 1, 0)]:
                surplus.unlink(missing_ok=True)

    def reopen(self) -> None:
        """Write to the configured path again, wherever the old file went."""
        self.acquire()
        try:
            self.close()
            self.stream = self._open()
        finally:
            self.release()


def make_handler(options: LoggingOptions) -> logging.Handler:
    """The destination that `options` ask for; raises OSError when the file cannot be opened."""
    handler: logging.Handler
    if options.is_syslog or options.remote_syslog:
        handler = _syslog_handler(options.remote_syslog)
    elif options.file:
        handler = RotatingLog(options.file, options.file_bytes_max, options.files_max)
    else:
        handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(NatsFormatter(options.is_time_logged, options.is_time_utc))
    return handler


def _syslog_handler(remote: str) -> logging.Handler:
    if not remote:
        return logging.handlers.SysLogHandler(address="/dev/log")
    host, _, port = remote.rpartition("://")[2].partition(":")
    return logging.handlers.SysLogHandler(address=(host, int(port or 514)))


def level_of(options: LoggingOptions) -> int:
    """The lowest level that is logged."""
    if options.is_trace:
        return TRACE
    return logging.DEBUG if options.is_debug else logging.INFO


def configure(options: LoggingOptions) -> logging.Logger:
    """Set up (again) the `leafbox` logger tree; old destinations are closed."""
    logger = logging.getLogger("leafbox")
    handler = make_handler(options)
    for old in list(logger.handlers):
        # What others attached (the ring that the dashboard reads) is not ours to close.
        if isinstance(old.formatter, NatsFormatter):
            logger.removeHandler(old)
            old.close()
    logger.addHandler(handler)
    logger.setLevel(level_of(options))
    logger.propagate = False
    return logger


def reopen() -> None:
    """SIGUSR1: open log files again."""
    for handler in logging.getLogger("leafbox").handlers:
        if isinstance(handler, RotatingLog):
            handler.reopen()
