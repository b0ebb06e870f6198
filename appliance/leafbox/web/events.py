"""Server-sent events: what pages show, pushed as it changes, at most a second old.

One poll of core a second serves all dashboards, and none is made while nobody looks; a document that did not change is
not sent again. What core itself emits (`$LEAFBOX.events.on.<name>`) is passed on. A reader that does not keep up loses
the oldest events and is told nothing false: each event is a whole document.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import StreamingResponse

from leafbox.web.box import box_of
from leafbox.web.connections import connections_of
from leafbox.web.core import Core, CoreAway, CoreRefused, Object
from leafbox.web.flow import FlowMeter
from leafbox.web.login import renew
from leafbox.web.models.box import Flow, Issues, Status
from leafbox.web.models.edges import Bridges, Devices
from leafbox.web.problems import Refusal
from leafbox.web.routing import told
from leafbox.web.uplinks import uplinks_of

logger = logging.getLogger(__name__)

MEDIA_TYPE = "text/event-stream"
POLL_S = 1.0
UNAVAILABLE_S = 30.0
"""How long a document that core does not offer is not asked for again."""
HEARTBEAT_S = 10.0
"""A comment in a quiet stream: proxies and browsers see that it lives."""
CHECK_S = 5.0
"""How often an open stream asks whether its login still holds."""
WAITING_MAX = 32
"""Events kept for a reader that does not keep up."""
WATCHERS_MAX = 64
"""Open event streams; a site has a handful of dashboards with a few pages each."""
CONNECTIONS_SHOWN = 256

DOCUMENTS: dict[str, tuple[str, Callable[[Object], BaseModel]]] = {
    "status": ("status.get", partial(told, Status)),
    "issues": ("issues.list", partial(told, Issues)),
    "uplinks": ("uplink.status", uplinks_of),
    "devices": ("device.list", partial(told, Devices)),
    "bridges": ("bridge.list", partial(told, Bridges)),
}


def encode_event(name: str, document: Any) -> bytes:
    """One event on the wire."""
    return f"event: {name}\ndata: {json.dumps(document, separators=(',', ':'))}\n\n".encode()


class Watcher:
    """The queue of one reader."""

    def __init__(self, waiting_max: int = WAITING_MAX) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue(waiting_max)

    def put(self, event: bytes) -> None:
        """Queue it; the oldest goes if there is no room."""
        if self.queue.full():
            self.queue.get_nowait()
        self.queue.put_nowait(event)


class EventHub:
    """Polls core while somebody watches. `run` is its task."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._watchers: set[Watcher] = set()
        self._wanted = asyncio.Event()
        self._last: dict[str, bytes] = {}
        self._ask_again: dict[str, float] = {}
        self._is_online = True
        self._meters: dict[str, FlowMeter] = {}

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._wanted.wait()
            started = time.monotonic()
            await self._poll()
            await asyncio.sleep(max(0.05, POLL_S - (time.monotonic() - started)))
            if not self._watchers:
                self._wanted.clear()

    async def watch(self, request: Request) -> AsyncIterator[bytes]:
        """The events of one reader, until its login ends."""
        if len(self._watchers) >= WATCHERS_MAX:
            raise Refusal(503, "busy", f"{WATCHERS_MAX} pages are open.", "Close some of them.")
        watcher = Watcher()
        for event in self._last.values():
            watcher.put(event)
        self._watchers.add(watcher)
        self._wanted.set()
        try:
            async for event in kept_alive(request, watcher.queue):
                yield event
        finally:
            self._watchers.discard(watcher)

    async def flow(self, account: str) -> Flow:
        """Rates since the last time somebody asked for this account."""
        return await self._meters.setdefault(account, FlowMeter(self._core, account)).measure()

    def send(self, name: str, document: Any) -> None:
        """To every reader, if it changed."""
        event = encode_event(name, document)
        if self._last.get(name) == event:
            return
        self._last[name] = event
        for watcher in self._watchers:
            watcher.put(event)

    async def _poll(self) -> None:
        try:
            for name, (request, convert) in DOCUMENTS.items():
                await self._poll_document(name, request, convert)
            found = await connections_of(self._core, "open", 0, CONNECTIONS_SHOWN, subscriptions=False, is_fresh=True)
            self.send("connections", found.model_dump())
        except (CoreAway, Refusal) as error:
            logger.debug("poll: %s", error)
            if self._is_online:
                self._is_online = False
                self.send("core", {"online": False})
            return
        self._is_online = True
        self.send("core", {"online": True})

    async def _poll_document(self, name: str, request: str, convert: Callable[[Object], BaseModel]) -> None:
        if time.monotonic() < self._ask_again.get(name, 0):
            return
        try:
            document: Object = await self._core.document(request, is_fresh=True)
            self.send(name, convert(document).model_dump())
        except (CoreRefused, Refusal) as error:
            logger.debug("poll %s: %s", name, error)
            self._ask_again[name] = time.monotonic() + UNAVAILABLE_S


async def kept_alive(request: Request, queue: asyncio.Queue[bytes]) -> AsyncIterator[bytes]:
    """What comes through a queue, comments in silence, and an end when the login is over or the process stops."""
    box = box_of(request)
    checked = heard = time.monotonic()
    yield b"retry: 1000\n\n"
    while not box.stopping.is_set():
        try:
            yield await asyncio.wait_for(queue.get(), timeout=1.0)
            heard = time.monotonic()
        except TimeoutError:
            if time.monotonic() - heard > HEARTBEAT_S:
                heard = time.monotonic()
                yield b": \n\n"
        if time.monotonic() - checked > CHECK_S:
            checked = time.monotonic()
            try:
                await renew(request)
            except CoreAway:
                continue
            except Refusal:
                yield encode_event("logged_out", {})
                return


def event_stream(request: Request, events: AsyncIterator[bytes]) -> StreamingResponse:
    """The response around a stream of events."""
    return StreamingResponse(
        events, media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )


async def tail_events(request: Request, topic: str, name: str) -> AsyncIterator[bytes]:
    """What core emits under a topic, as events of a name; told `offline` when core goes."""
    client = await box_of(request).core.client()
    watcher = Watcher()

    async def take(message: Any) -> None:
        watcher.put(f"event: {name}\ndata: {message.data.decode('utf-8', 'replace')}\n\n".encode())

    subscription = await client.subscribe(f"$LEAFBOX.events.on.{topic}", cb=take)
    try:
        async for event in kept_alive(request, watcher.queue):
            yield event
            if not client.is_connected:
                yield encode_event("core", {"online": False})
                return
    finally:
        if client.is_connected:
            await subscription.unsubscribe()
