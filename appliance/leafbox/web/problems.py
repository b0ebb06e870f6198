"""Errors as problem+json (RFC 9457): one shape for everything that goes wrong, with a stable code and a next step."""

from __future__ import annotations

import http
import logging
from typing import Any

import nats.errors
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from leafbox.web.core import CoreAway, CoreRefused
from leafbox.web.models.base import FieldProblem, Problem

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

# Codes of core -> HTTP status; others are 422: the request was understood and cannot be done.
STATUS_OF_CODE = {
    "invalid": 422,
    "not_found": 404,
    "conflict": 409,
    "exists": 409,
    "denied": 403,
    "unavailable": 501,
    "busy": 503,
    "full": 507,
    "throttled": 429,
    "internal": 502,
    "failed": 422,
    "restart_needed": 409,
    "wrong_code": 403,
    "claimed": 409,
    "wrong_login": 401,
}


class Refusal(Exception):
    """Ends a request with a problem."""

    def __init__(
        self, status: int, code: str, detail: str, next_step: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.problem = Problem(title=title_of(status), status=status, detail=detail, code=code, next_step=next_step)
        self.headers = headers


def response_of(problem: Problem, headers: dict[str, str] | None = None) -> Response:
    """A problem on its way."""
    return JSONResponse(problem.model_dump(exclude_defaults=False), problem.status, headers, media_type=MEDIA_TYPE)


def refusal_of_core(error: CoreRefused) -> Refusal:
    """An error of core as a problem."""
    headers = {"Retry-After": str(max(1, round(error.retry_after_s)))} if error.retry_after_s else None
    status = STATUS_OF_CODE.get(error.code, 422)
    return Refusal(status, error.code, error.description, error.next_step, headers)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return response_of(error.problem, error.headers)


async def _core_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, CoreRefused)
    return await _refused(request, refusal_of_core(error))


async def _core_away(request: Request, error: Exception) -> Response:
    text = "The box's core does not answer, this page tries again by itself; messages are not affected by this page."
    return await _refused(request, Refusal(503, "core_away", str(error), text, {"Retry-After": "1"}))


async def _no_responders(request: Request, error: Exception) -> Response:
    step = "Switch JetStream on in the configuration, or choose another account."
    return await _refused(request, Refusal(501, "unavailable", "Nobody in this account answers that.", step))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [
        FieldProblem(where=".".join(str(part) for part in found["loc"]), message=str(found["msg"]))
        for found in error.errors()
    ]
    problem = Problem(
        title="Unprocessable Content",
        status=422,
        code="invalid",
        detail="; ".join(f"{each.where}: {each.message}" for each in errors[:3]),
        next_step="Correct the fields named and send it again.",
        errors=errors,
    )
    return response_of(problem)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    codes = {404: "not_found", 405: "method_not_allowed"}
    refusal = Refusal(
        error.status_code, codes.get(error.status_code, "refused"), str(error.detail), "", dict(error.headers or {})
    )
    return await _refused(request, refusal)


async def _unexpected(request: Request, error: Exception) -> Response:
    logger.error("request failed path=%s", request.url.path, exc_info=error)
    step = "Look into the log of the web process and report it."
    return await _refused(request, Refusal(500, "internal", "The web process has a defect here.", step))


def install(app: FastAPI) -> None:
    """Answer every error as a problem."""
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(CoreRefused, _core_refused)
    app.add_exception_handler(CoreAway, _core_away)
    app.add_exception_handler(nats.errors.NoRespondersError, _no_responders)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def title_of(status: int) -> str:
    """A status in words, as RFC 9110 has them; Python before 3.13 has an older name for 422."""
    return "Unprocessable Content" if status == http.HTTPStatus.UNPROCESSABLE_ENTITY else http.HTTPStatus(status).phrase


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems of a route, for OpenAPI."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": title_of(status), "content": content} for status in statuses}
