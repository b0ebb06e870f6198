"""One server process from options to exit code: loop, signals, tasks.

This is the only place that owns a task group; everything that runs in the background is created in it, so a task that
fails takes the server down loudly instead of leaving it half alive.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import uvloop

from leafbox.app import logs
from leafbox.app.configuration.options import Options
from leafbox.app.server import Server
from leafbox.dataplane.scheduling import wake_loop_soon
from leafbox.protocol.errors import LeafboxError

Reloader = Callable[[], Options]


async def serve(
    options: Options,
    reloader: Reloader | None = None,
    on_ready: Callable[[Server], None] | None = None,
    data: Path | None = None,
) -> None:
    """Run one server until it is told to stop; with `data` it is a box with a control channel.

    Raises OSError or ConfigError when it cannot start.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:
        server = Server(options, tasks, data)
        loop.set_exception_handler(_log_exception)
        sys.unraisablehook = _log_unraisable

        def run(action: Callable[[], object]) -> None:
            outcome = action()
            if asyncio.iscoroutine(outcome):
                tasks.create_task(outcome)

        def terminate() -> None:
            # A lame duck finishes its walk (core-protocol section 4).
            if not server.is_lame_duck:
                run(server.stop)

        loop.add_signal_handler(signal.SIGINT, run, server.stop)
        loop.add_signal_handler(signal.SIGTERM, terminate)
        loop.add_signal_handler(signal.SIGUSR1, server.reopen_logs)
        loop.add_signal_handler(signal.SIGUSR2, run, server.enter_lame_duck)
        if reloader is not None:
            server.reloader = reloader
            loop.add_signal_handler(signal.SIGHUP, server.reload_from, reloader)
        await server.start()
        if on_ready is not None:
            on_ready(server)
        await server.stopped.wait()


def _log_exception(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """An exception that escaped a callback: say so; the loop goes on."""
    error = context.get("exception")
    logging.getLogger("leafbox.server").error(
        "%s", context.get("message"), exc_info=error if isinstance(error, BaseException) else None
    )


def _log_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """An exception that a compiled receiver could not raise into the sender's turn: say so; the loop goes on."""
    logging.getLogger("leafbox.server").error(
        "%s", unraisable.err_msg or "error ignored", exc_info=unraisable.exc_value
    )


def run_process(
    options: Options,
    reloader: Reloader | None = None,
    on_ready: Callable[[Server], None] | None = None,
    data: Path | None = None,
) -> int:
    """Run the server in this process and return its exit code. Start-up failures are logged as nats-server does."""
    logs.configure(options.logging)
    wake_loop_soon()
    try:
        uvloop.run(serve(options, reloader, on_ready, data))
    except BaseExceptionGroup as group:
        expected, other = group.split((OSError, LeafboxError))
        if expected is None or other is not None:
            raise
        for error in expected.exceptions:
            logging.getLogger("leafbox.server").critical("%s", error)
        return 1
    return 0
