"""The web application: puts the resources together, and what lives as long as they do.

No business rules: it knows who asks, what they may, and asks core.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import JSONResponse
from starlette.types import ASGIApp

import leafbox
from leafbox.protocol.control import Control, find_control
from leafbox.web import problems, static
from leafbox.web.box import Box
from leafbox.web.core import Core
from leafbox.web.events import EventHub
from leafbox.web.headers import Guard
from leafbox.web.live import LiveWatches
from leafbox.web.models.base import Problem
from leafbox.web.passwords import PasswordWork
from leafbox.web.routes import box, edges, kv, live, monitoring, objects, people, setup, streams
from leafbox.web.routing import PREFIX, may
from leafbox.web.settings import Settings

ROUTERS = (
    setup.router,
    people.router,
    box.router,
    edges.router,
    live.router,
    streams.router,
    kv.router,
    objects.router,
    monitoring.router,
)
OPENAPI_PATH = f"{PREFIX}/openapi.json"
DESCRIPTION = (
    "The box's own API. Log in with `POST /api/v1/session` (a cookie), or send an API token as "
    "`Authorization: Bearer <token>`. Errors are problem+json with a stable `code` and a `next_step`."
)
OPEN_OPERATIONS = frozenset({"get_setup", "claim", "login", "healthz", "readyz"})


def make_application(settings: Settings) -> tuple[ASGIApp, FastAPI]:
    """The application with its guard, and the bare one inside."""
    core = Core(lambda: _find(settings))
    app = FastAPI(
        title="Leafbox",
        version=leafbox.__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lambda app: _lifespan(app, core, settings),
    )
    problems.install(app)
    for router in ROUTERS:
        app.include_router(router)
    app.add_api_route(
        OPENAPI_PATH, _openapi, methods=["GET"], include_in_schema=False, dependencies=may("viewer", None)
    )
    static.install(app)
    return Guard(app, core, uses_tls=settings.uses_tls), app


def _find(settings: Settings) -> Control:
    return find_control(settings.data_directory, os.environ)


@asynccontextmanager
async def _lifespan(app: FastAPI, core: Core, settings: Settings) -> AsyncIterator[None]:
    passwords = PasswordWork()
    async with asyncio.TaskGroup() as tasks:
        hub = EventHub(core)
        app.state.box = Box(core, settings, passwords, hub, LiveWatches(core, tasks))
        polling = tasks.create_task(hub.run(), name="event hub")
        yield
        app.state.box.stopping.set()
        app.state.box.live.stop()
        polling.cancel()
    passwords.close()
    await core.close()


async def _openapi(request: Request) -> JSONResponse:
    return JSONResponse(document(request.app))


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with problems and the two ways to log in."""
    made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = made.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    model = Problem.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    schemas.update(model.pop("$defs", {}))
    schemas["Problem"] = model
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    components["securitySchemes"] = {
        "session": {"type": "apiKey", "in": "cookie", "name": "leafbox_session"},
        "token": {"type": "http", "scheme": "bearer"},
    }
    for operations in made["paths"].values():
        for operation in operations.values():
            if operation["operationId"] not in OPEN_OPERATIONS:
                operation["security"] = [{"session": []}, {"token": []}]
    return made
