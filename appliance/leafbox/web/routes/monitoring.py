"""nats-server's monitoring paths under the dashboard's login: what read port 8222 goes on, with a token."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import PlainTextResponse, Response

from leafbox.monitoring.metrics import CONTENT_TYPE, render
from leafbox.web.box import box_of
from leafbox.web.core import CoreAway
from leafbox.web.login import visitor_of
from leafbox.web.problems import documented
from leafbox.web.routing import Responses, may

router = APIRouter(tags=["monitoring"], responses=documented(401, 403, 429, 503))

SEE = may("viewer", "monitoring")
JSON: Responses = {200: {"content": {"application/json": {"schema": {"type": "object"}}}}}
PATHS = ("varz", "connz", "jsz", "subsz", "leafz", "accountz", "accstatz", "routez", "gatewayz")


async def _document(request: Request, path: str) -> Response:
    found = await box_of(request).core.request("monitoring.get", {"path": path, "query": request.url.query})
    return Response(str(found["body"]), int(found["status"]), media_type=str(found["content_type"]))


def _add(path: str) -> None:
    async def get(request: Request) -> Response:
        return await _document(request, path)

    get.__doc__ = f"nats-server's /{path}, with its query parameters."
    router.add_api_route(
        f"/{path}",
        get,
        methods=["GET"],
        operation_id=path,
        dependencies=SEE,
        response_class=Response,
        responses=JSON,
    )


for _path in PATHS:
    _add(_path)


@router.get("/metrics", operation_id="metrics", dependencies=SEE, response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Everything for Prometheus."""
    # Core hands out documents; their thousands of lines are made here.
    found = await box_of(request).core.document("metrics.documents")
    return PlainTextResponse(render(found), media_type=CONTENT_TYPE)


@router.get("/healthz", operation_id="healthz", responses=JSON)
async def healthz(
    request: Request, js_enabled_only: Annotated[str | None, Query(alias="js-enabled-only", max_length=16)] = None
) -> Response:
    """Whether the box works. Open to this machine itself, else under login."""
    await _check_local(request)
    return await _document(request, "healthz")


@router.get("/readyz", operation_id="readyz", responses=JSON)
async def readyz(request: Request) -> Response:
    """Whether core answers. Open to this machine itself, else under login."""
    await _check_local(request)
    try:
        await box_of(request).core.request("services.list")
    except CoreAway:
        return Response('{"status":"unavailable"}', 503, media_type="application/json")
    return Response('{"status":"ok"}', media_type="application/json")


async def _check_local(request: Request) -> None:
    if not box_of(request).settings.is_local:
        await visitor_of(request)
