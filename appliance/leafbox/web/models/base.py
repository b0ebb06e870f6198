"""What all resources share: strict requests, tolerant answers, problems."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Asked(BaseModel):
    """A request body: unknown fields are errors, so that a typing mistake is not silently nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Told(BaseModel):
    """An answer. Core may know more than this process: what is not declared is left out."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class FieldProblem(Told):
    """One thing that is wrong with a request."""

    where: str = Field(description="Path of the field, for example `body.name`.")
    message: str


class Problem(Told):
    """RFC 9457 problem details; `code` is stable for programs, `next_step` says what a person can do."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    code: str
    next_step: str = ""
    errors: list[FieldProblem] = []


class Done(Told):
    """It is done, and nothing more is to be said."""

    done: bool = True


class Page(Told):
    """A list with what is left out."""

    total: int = 0
    offset: int = 0


Severity = Literal["ok", "info", "warning", "critical"]
Role = Literal["viewer", "operator", "admin"]
