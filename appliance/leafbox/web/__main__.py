"""`python -m leafbox.web`: serves the dashboard and the API until it is told to stop.

Listens, tells core where (`web.started`), and ends with its parent: a supervisor that was killed leaves no second web
process behind that would answer with an old address.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys

import uvicorn
import uvloop

from leafbox.web import certificates
from leafbox.web.app import make_application
from leafbox.web.core import CoreAway, CoreRefused
from leafbox.web.settings import Settings, read_settings

logger = logging.getLogger("leafbox.web")

BACKLOG = 128
CONNECTIONS_MAX = 256
"""Concurrent requests and event streams; more get 503."""
KEEP_ALIVE_S = 30
STOP_S = 3
PARENT_S = 2.0


def bind(settings: Settings) -> socket.socket:
    """The listening socket. Raises OSError that names the address and what to do."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        text = f"dashboard: listen {settings.host}:{settings.port}: {error.strerror}; choose another with --web-port"
        raise OSError(error.errno, text) from error
    listener.listen(BACKLOG)
    return listener


def url_of(settings: Settings, port: int) -> str:
    """Where a browser on this machine or beside it finds the dashboard."""
    scheme = "https" if settings.uses_tls else "http"
    host = settings.host
    if host in ("", "0.0.0.0", "::"):
        host = socket.gethostname()
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


async def serve(settings: Settings) -> None:
    """Until told to stop. Raises OSError when it cannot listen."""
    listener = bind(settings)
    application, app = make_application(settings)
    config = uvicorn.Config(
        application,
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_S,
    )
    config.load()
    if settings.uses_tls:
        config.ssl = certificates.server_context(settings.data_directory, settings.names)
    server = uvicorn.Server(config)
    url = url_of(settings, int(listener.getsockname()[1]))
    async with asyncio.TaskGroup() as tasks:
        announcing = tasks.create_task(_announce(server, app, url), name="announce")
        watching = tasks.create_task(_end_with_parent(server, os.getppid()), name="parent watch")
        await server.serve(sockets=[listener])
        announcing.cancel()
        watching.cancel()


async def _announce(server: uvicorn.Server, app: object, url: str) -> None:
    """Tell core where we are, again whenever core is another one."""
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it.
        await asyncio.sleep(0.02)
    logger.info("dashboard listening url=%s", url)
    core = app.state.box.core  # type: ignore[attr-defined]
    told_to: object = None
    while True:
        try:
            client = await core.client()
            if client is not told_to:
                await core.request("web.started", {"url": url, "pid": os.getpid()})
                told_to = client
        except (CoreAway, CoreRefused) as error:
            logger.debug("core not told: %s", error)
        await asyncio.sleep(1.0)


async def _end_with_parent(server: uvicorn.Server, parent: int) -> None:
    while os.getppid() == parent or parent == 1:  # noqa: ASYNC110 - nothing tells that a parent is gone.
        await asyncio.sleep(PARENT_S)
    server.should_exit = True


def main() -> int:
    """Entry point."""
    logging.basicConfig(
        stream=sys.stderr,
        level=os.environ.get("LEAFBOX_WEB_LOG", "INFO"),
        format="[%(process)d] %(asctime)s [%(levelname).3s] web: %(message)s",
    )
    for noisy in ("uvicorn", "uvicorn.error", "nats"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # A Ctrl-C in the terminal reaches the whole group; the supervisor decides when we stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        uvloop.run(serve(read_settings()))
    except (OSError, ValueError) as error:
        logger.critical("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
