"""Live messages: the tree of subjects, a tail, publish and request."""

from __future__ import annotations

import json
import time
from typing import Annotated

import nats.errors
from fastapi import Query, Request
from starlette.responses import StreamingResponse

from leafbox.web.accounts import AccountName
from leafbox.web.box import box_of
from leafbox.web.core import CoreAway
from leafbox.web.events import MEDIA_TYPE, event_stream
from leafbox.web.jetstream import body_of, payload_of
from leafbox.web.models.data import LiveMessage, Publish, Published, Reply, SubjectTree
from leafbox.web.models.data import Request as RequestAsked
from leafbox.web.problems import Refusal, documented
from leafbox.web.routing import Responses, may, resource

router = resource("live")

SUBSCRIBABLE = r"^[^\s\x00]+$"
EVENTS: Responses = {
    200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}, "description": "Server-sent events."}
}


@router.get("/live/subjects", operation_id="list_subjects", dependencies=may("viewer", "live"))
async def list_subjects(request: Request, account: AccountName) -> SubjectTree:
    """Subjects seen lately with their last values; the first look begins to watch."""
    return await box_of(request).live.tree(account)


@router.get("/live/tail", operation_id="tail_messages", dependencies=may("viewer", "live"), responses=EVENTS)
async def tail_messages(
    request: Request,
    account: AccountName,
    subject: Annotated[str, Query(min_length=1, max_length=1024, pattern=SUBSCRIBABLE)] = ">",
) -> StreamingResponse:
    """Messages as they pass, as events named `message`; wildcards allowed."""
    check_subject(subject, wildcards=True)
    return event_stream(request, box_of(request).live.tail(request, account, subject))


@router.post("/live/publish", operation_id="publish", dependencies=may("operator", "live"))
async def publish(request: Request, account: AccountName, given: Publish) -> Published:
    """Send a message; says where it was stored if a stream takes it."""
    check_subject(given.subject)
    core = box_of(request).core
    payload = payload_of(given.data, given.encoding)
    check_headers(given.headers)
    if given.reply:
        check_subject(given.reply)
        client = await core.client(account)
        await client.publish(given.subject, payload, given.reply, headers=given.headers or None)
        await client.flush()
        return Published(subject=given.subject)
    stream = await core.ask(account, "$JS.API.STREAM.NAMES", {"subject": given.subject})
    if not stream.get("streams"):
        client = await core.client(account)
        await client.publish(given.subject, payload, headers=given.headers or None)
        await client.flush()
        return Published(subject=given.subject)
    message = await core.raw(account, given.subject, payload, headers=given.headers or None)
    answer = json.loads(message.data)
    if not isinstance(answer, dict) or "error" in answer:
        detail = answer["error"].get("description", "") if isinstance(answer, dict) else ""
        raise Refusal(422, "not_stored", f"The stream refused it: {detail}", "Look at the stream's limits.")
    return Published(
        subject=given.subject, stored=True, stream=str(answer.get("stream", "")), seq=int(answer.get("seq", 0))
    )


@router.post(
    "/live/request", operation_id="request", dependencies=may("operator", "live"), responses=documented(404, 504)
)
async def request_reply(request: Request, account: AccountName, given: RequestAsked) -> Reply:
    """Send a request and show the first answer."""
    check_subject(given.subject)
    check_headers(given.headers)
    started = time.monotonic()
    payload = payload_of(given.data, given.encoding)
    try:
        message = await box_of(request).core.raw(
            account, given.subject, payload, given.timeout_s, given.headers or None
        )
    except nats.errors.NoRespondersError:
        detail = f"Nobody listens on {given.subject}."
        raise Refusal(404, "no_responders", detail, "Check the subject, or start the service.") from None
    except CoreAway:
        detail = f"No answer within {given.timeout_s:g} s."
        raise Refusal(504, "no_answer", detail, "Allow more time, or look at the service.") from None
    shown = LiveMessage(
        subject=message.subject,
        reply=message.reply or "",
        headers={name: [value] for name, value in (message.headers or {}).items()},
        body=body_of(message.data),
        at_s=time.time(),
    )
    return Reply(message=shown, took_ms=round((time.monotonic() - started) * 1000, 3))


def check_subject(subject: str, *, wildcards: bool = False) -> None:
    """Raises a problem for a subject that cannot be one."""
    tokens = subject.split(".")
    is_good = all(tokens) and all(" " < c != "\x7f" for c in subject)
    if wildcards:
        is_good = is_good and ">" not in tokens[:-1]
    elif "*" in tokens or ">" in tokens:
        is_good = False
    if not is_good:
        step = "Subjects are words joined by dots, like site.temperature."
        raise Refusal(422, "invalid_subject", f"{subject} is no subject for this.", step)


def check_headers(headers: dict[str, str]) -> None:
    """Raises a problem for header fields that would break the message."""
    for name, value in headers.items():
        is_name = bool(name) and all("!" <= c <= "~" and c != ":" for c in name)
        if not is_name or "\r" in value or "\n" in value:
            step = "Names are printable ASCII without colon, values one line."
            raise Refusal(422, "invalid_header", f"{name!r} cannot be a header field.", step)
