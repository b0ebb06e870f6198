"""What every response carries, how large a request may be, and how a recorded change ended: pure ASGI.

The policy allows nothing but our own files: no inline scripts or styles, no other origin, no framing.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leafbox.web.core import Core, CoreAway, CoreRefused
from leafbox.web.models.base import Problem
from leafbox.web.problems import MEDIA_TYPE

logger = logging.getLogger(__name__)

JSON_BYTES_MAX = 2 * 1024 * 1024
"""Of a request's body; the largest is a message to publish, base64 of 1 MiB. Uploads of objects are streams."""
UPLOAD_BYTES_MAX = 16 * 1024**3

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SECURITY = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
HSTS = b"max-age=31536000"


class TooLarge(Exception):
    """The body is longer than allowed, though it did not say so."""


class Guard:
    """Around the whole app."""

    def __init__(self, app: ASGIApp, core: Core, *, uses_tls: bool) -> None:
        self._app = app
        self._core = core
        self._fields = dict(SECURITY)
        if uses_tls:
            self._fields[b"strict-transport-security"] = HSTS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state: MutableMapping[str, Any] = scope.setdefault("state", {})
        state["audit_id"] = None
        is_started = False
        left = UPLOAD_BYTES_MAX if "/content/" in scope["path"] else JSON_BYTES_MAX

        async def limited() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise TooLarge
            return message

        async def answer(message: Message) -> None:
            nonlocal is_started
            if message["type"] == "http.response.start":
                is_started = True
                await self._finish_audit(state["audit_id"], message["status"])
                self._complete(message)
            await send(message)

        if _announced(scope) > left:
            await _refuse_size(answer)
            return
        try:
            await self._app(scope, limited, answer)
        except TooLarge:
            if is_started:
                raise
            await _refuse_size(answer)

    def _complete(self, message: Message) -> None:
        given = {name.lower() for name, _ in message["headers"]}
        extra = [(name, value) for name, value in self._fields.items() if name not in given]
        if b"cache-control" not in given:
            extra.append((b"cache-control", b"no-store"))
        message["headers"] = [*message["headers"], *extra]

    async def _finish_audit(self, audit_id: int | None, status: int) -> None:
        """Durable before the answer, as the beginning was; without core the entry says that the end is unknown."""
        if audit_id is None:
            return
        self._core.forget()
        try:
            await self._core.request("audit.finish", {"id": audit_id, "status": status})
        except (CoreAway, CoreRefused) as error:
            logger.warning("audit entry %d has no outcome: %s", audit_id, error)


def _announced(scope: Scope) -> int:
    given = dict(scope["headers"]).get(b"content-length", b"0")
    return int(given) if given.isdigit() else 0


async def _refuse_size(send: Send) -> None:
    problem = Problem(
        title="Content Too Large",
        status=413,
        code="too_large",
        detail="The body of the request is too large.",
        next_step="Send less at once.",
    )
    body = problem.model_dump_json().encode()
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
