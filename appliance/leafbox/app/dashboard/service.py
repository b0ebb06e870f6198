"""Core's side of the dashboard, put together for one server.

Owns the life of its parts. The people's records live in the box's store; a box without JetStream has a small store of
its own for them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from leafbox.app.control import ControlChannel
from leafbox.app.dashboard.access_services import AccessServices, ConfiguredServer
from leafbox.app.dashboard.config_services import ConfigServices, ReloadableServer
from leafbox.app.dashboard.durable_records import DurableRecords
from leafbox.app.dashboard.live_services import LiveServices
from leafbox.app.dashboard.people_services import PeopleServices, text
from leafbox.app.jetstream import DurableSide
from leafbox.monitoring.box_services import BoxServices
from leafbox.monitoring.box_snapshot import ListenerFact
from leafbox.protocol.errors import BoxRequestFailed
from leafbox.protocol.jetstream.go_json import JsonObject
from leafbox.storage.config import StorageOptions
from leafbox.storage.engine import Store

logger = logging.getLogger(__name__)

STORE_FOLDER = "box"
SEGMENT_BYTES = 1 << 20
"""Of the small store: people and audit entries are some hundred bytes each."""


class DashboardServer(ReloadableServer, ConfiguredServer, Protocol):
    """What of the server is needed."""

    services: BoxServices
    durable: DurableSide | None
    control: ControlChannel | None


class Dashboard:
    """`start` when the store is open, `stop` before it closes."""

    def __init__(self, server: DashboardServer, data: Path) -> None:
        self._server = server
        self._data = data
        self._own_store: Store | None = None
        self.people: PeopleServices | None = None
        self.config: ConfigServices | None = None
        self.live: LiveServices | None = None
        self.url = ""
        self.on_started: list[Callable[[str], None]] = []
        """Told the dashboard's address once its web process listens."""

    @property
    def setup_code(self) -> str:
        """The one-time code of an unclaimed box; empty once it is claimed."""
        return self.people.setup_code.text if self.people is not None else ""

    def start(self) -> None:
        """Load the records and answer. Raises OSError or StoreError."""
        if self._server.durable is not None:
            store = self._server.durable.store
        else:
            directory = str(self._data / STORE_FOLDER)
            store = self._own_store = Store(StorageOptions(directory=directory, segment_bytes=SEGMENT_BYTES))
            store.start(asyncio.get_running_loop())
        services = self._server.services
        self.people = PeopleServices(DurableRecords(store))
        self.people.register(services)
        self.config = ConfigServices(self._server, self._data)
        self.config.register(services)
        AccessServices(self._server).register(services)
        self.live = LiveServices(self._server.broker)
        self.live.register(services)
        services.add("web.started", self._web_started)

    @property
    def is_claimed(self) -> bool | None:
        """Whether anybody may log in; None before the start."""
        return self.people.people.is_claimed if self.people is not None else None

    def listener(self) -> ListenerFact | None:
        """The dashboard's door, once its web process has said where it listens."""
        if not self.url:
            return None
        parts = urlsplit(self.url)
        return ListenerFact("dashboard", parts.hostname or "", parts.port or 0, True, parts.scheme == "https")

    def stop(self) -> None:
        """Let go."""
        if self.config is not None:
            self.config.stop()
        if self.live is not None:
            self.live.stop()
        if self._own_store is not None:
            self._own_store.close()

    def _web_started(self, request: JsonObject) -> JsonObject:
        """The web process says where it listens."""
        url = text(request, "url")
        if self._server.control is None:
            raise BoxRequestFailed("unavailable", "this server has no control channel")
        self._server.control.set_web(url)
        is_news = url != self.url
        self.url = url
        if is_news:
            logger.info("Dashboard is at %s", url)
            for action in self.on_started:
                action(url)
        return {}
