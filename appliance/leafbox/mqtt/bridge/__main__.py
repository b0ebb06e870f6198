"""The process of all bridges: `python -m leafbox.mqtt.bridge DATA`, started and watched by core.

Each second it tells core how its bridges do, and the answer is which bridges there should be; so a change counts within
a second and there is nothing to reload. A process of its own: a broker that stalls us must not stall core.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import nats.errors
from nats.aio.client import Client

from leafbox.mqtt.bridge.rules import BridgeOptions
from leafbox.mqtt.bridge.worker import BridgeWorker
from leafbox.protocol.control import Control, find_control, user_of

logger = logging.getLogger(__name__)

REPORT_EVERY_S = 1.0
REPORT_TIMEOUT_S = 10
REPORT_SUBJECT = "$LEAFBOX.bridge.report"


class Process:
    """The workers and their connections to core."""

    def __init__(self, control: Control, tasks: asyncio.TaskGroup) -> None:
        self._control = control
        self._tasks = tasks
        self._workers: dict[str, tuple[BridgeWorker, asyncio.Task[None], Client]] = {}

    async def run(self) -> None:
        """Report and reconcile until core is gone."""
        system = await self.connected("")
        while True:
            for worker, task, _ in self._workers.values():
                if task.done():
                    # It never ends by itself. The task group has cancelled us, which a library may have swallowed.
                    task.result()
                await worker.measure()
            reports = {name: asdict(worker.state) for name, (worker, _, _) in self._workers.items()}
            try:
                answer = await system.request(
                    REPORT_SUBJECT, msgspec.json.encode({"reports": reports}), timeout=REPORT_TIMEOUT_S
                )
            except nats.errors.TimeoutError:
                logger.warning("core is slow: it has not answered for %d s", REPORT_TIMEOUT_S)
                continue
            wanted = msgspec.convert(msgspec.json.decode(answer.data)["bridges"], list[BridgeOptions])
            await self._reconcile({options.name: options for options in wanted})
            await asyncio.sleep(REPORT_EVERY_S)

    async def connected(self, account: str) -> Client:
        """A connection to core in an account; when it is lost, this process ends with core."""
        client = Client()
        await client.connect(
            self._control.url,
            user=user_of(account),
            password=self._control.password,
            allow_reconnect=False,
            name="leafbox bridge",
        )
        return client

    async def _reconcile(self, wanted: dict[str, BridgeOptions]) -> None:
        for name, (worker, task, client) in list(self._workers.items()):
            if wanted.get(name) != worker.options:
                task.cancel()
                await asyncio.wait({task})
                await client.close()
                del self._workers[name]
        for name, options in wanted.items():
            if name not in self._workers:
                client = await self.connected(options.account)
                worker = BridgeWorker(options, client)
                task = self._tasks.create_task(worker.run(), name=f"bridge {name}")
                self._workers[name] = (worker, task, client)


async def main(data: Path) -> None:
    """Run until SIGTERM or until core is gone."""
    control = find_control(data, os.environ)
    main_task = asyncio.current_task()
    assert main_task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, main_task.cancel)
    asyncio.get_running_loop().set_exception_handler(_say_shortly)
    try:
        async with asyncio.TaskGroup() as tasks:
            await Process(control, tasks).run()
    except* (nats.errors.Error, OSError) as group:
        sys.exit(f"core is gone: {group.exceptions[0]}")


def _say_shortly(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Tasks that nobody waited for: of amqtt a line, of ours a trace."""
    task = context.get("future")
    code = getattr(task.get_coro(), "cr_code", None) if isinstance(task, asyncio.Task) else None
    if code is not None and "amqtt" in Path(code.co_filename).parts:
        logger.debug("left behind by amqtt: %r", context.get("exception"))
    else:
        loop.default_exception_handler(context)


if __name__ == "__main__":
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO)
    logging.getLogger("nats").setLevel(logging.CRITICAL)
    # amqtt says each step of its state machine.
    for library in ("amqtt", "transitions"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(main(Path(sys.argv[1])))
