"""Small words that all route modules use."""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi import APIRouter, Depends
from fastapi.params import Depends as Dependency
from pydantic import BaseModel, ValidationError

from leafbox.web.core import Object
from leafbox.web.login import needs
from leafbox.web.models.base import Role
from leafbox.web.problems import Refusal, documented

Responses = dict[int | str, dict[str, Any]]
"""What FastAPI wants to know of answers besides the model."""

T = TypeVar("T", bound=BaseModel)

PREFIX = "/api/v1"
EVERY = documented(401, 403, 422, 429, 501, 503)


def resource(*tags: str) -> APIRouter:
    """A router below the API's prefix; all its routes may answer with problems."""
    return APIRouter(prefix=PREFIX, tags=list(tags), responses=EVERY)


def may(role: Role, scope: str | None) -> list[Dependency]:
    """What a route demands, for its `dependencies`."""
    return [Depends(needs(role, scope))]


def told(model: type[T], document: Object) -> T:
    """A document of core as the API promises it; one that is not as promised is core's fault, and said so."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        found = error.errors()[0]
        where = ".".join(str(part) for part in found["loc"])
        detail = f"Core answered with something unexpected: {where}: {found['msg']}"
        raise Refusal(
            502, "core_mismatch", detail, "Core and web must be of the same version; restart both."
        ) from error


def filled(**values: Any) -> Object:
    """A request to core without what was not given."""
    return {name: value for name, value in values.items() if value is not None}
