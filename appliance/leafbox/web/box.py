"""What all requests of one web process share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from fastapi import Request

from leafbox.web.core import Core
from leafbox.web.settings import Settings

if TYPE_CHECKING:
    from leafbox.web.events import EventHub
    from leafbox.web.live import LiveWatches
    from leafbox.web.passwords import PasswordWork


@dataclass(slots=True)
class Box:
    """Made once by the app factory; `tasks` is the group that lives as long as the app."""

    core: Core
    settings: Settings
    passwords: PasswordWork
    events: EventHub
    live: LiveWatches
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


def box_of(request: Request) -> Box:
    """The one of this app."""
    return cast(Box, request.app.state.box)
