"""Streams and consumers: look, make, change, browse, purge."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Path, Query, Request

from leafbox.web.accounts import AccountName
from leafbox.web.box import box_of
from leafbox.web.core import Core, Object
from leafbox.web.jetstream import JetStreamRefused, api, pages, stream_infos
from leafbox.web.models.base import Done
from leafbox.web.models.data import (
    Consumer,
    Consumers,
    NewConsumer,
    Pause,
    Purge,
    Purged,
    Reset,
    StoredMessage,
    StoredMessages,
    Stream,
    StreamAsked,
    Streams,
)
from leafbox.web.problems import Refusal, documented
from leafbox.web.routing import may, resource
from leafbox.web.streams import config_of, consumer_config_of, consumer_of, message_of, stream_of

router = resource("streams")

STREAM_NAME = r"^[^\s.*>/\\\x00-\x1f]+$"
Name = Annotated[str, Path(min_length=1, max_length=255, pattern=STREAM_NAME)]
Seq = Annotated[int, Path(ge=1, le=2**63 - 1)]
LOOK = may("viewer", "streams")
CHANGE = may("operator", "streams")
NO_MESSAGE = 10037
NO_CONSUMER = 10014


@router.get("/streams", operation_id="list_streams", dependencies=LOOK)
async def list_streams(request: Request, account: AccountName) -> Streams:
    """All streams of an account, those of buckets, object stores and MQTT included (see `kind`)."""
    core = box_of(request).core

    async def fetch() -> Streams:
        facts = await api(core, account, "INFO")
        limits = facts.get("limits") or {}
        return Streams(
            streams=[stream_of(each) for each in await stream_infos(core, account)],
            account=account,
            memory_bytes=facts.get("memory", 0),
            storage_bytes=facts.get("storage", 0),
            memory_bytes_max=limits.get("max_memory", -1),
            storage_bytes_max=limits.get("max_storage", -1),
        )

    shared: Streams = await core.shared(f"streams {account}", fetch)
    return shared


@router.post("/streams", operation_id="add_stream", status_code=201, dependencies=CHANGE, responses=documented(409))
async def add_stream(request: Request, account: AccountName, given: StreamAsked) -> Stream:
    """Make a stream."""
    core = box_of(request).core
    try:
        await api(core, account, f"STREAM.INFO.{given.name}")
    except JetStreamRefused:
        return stream_of(await api(core, account, f"STREAM.CREATE.{given.name}", config_of(given)))
    raise Refusal(409, "exists", f"There is a stream {given.name} already.", "Choose another name.")


@router.get("/streams/{name}", operation_id="get_stream", dependencies=LOOK, responses=documented(404))
async def get_stream(request: Request, account: AccountName, name: Name) -> Stream:
    """One stream."""
    return stream_of(await api(box_of(request).core, account, f"STREAM.INFO.{name}"))


@router.put("/streams/{name}", operation_id="change_stream", dependencies=CHANGE, responses=documented(404, 409))
async def change_stream(request: Request, account: AccountName, name: Name, given: StreamAsked) -> Stream:
    """Change what is given of a stream; the rest stays."""
    if given.name != name:
        raise Refusal(422, "invalid", "A stream cannot be renamed.", "Make a new one that copies from it.")
    core = box_of(request).core
    present = await api(core, account, f"STREAM.INFO.{name}")
    return stream_of(await api(core, account, f"STREAM.UPDATE.{name}", config_of(given, present["config"])))


@router.delete("/streams/{name}", operation_id="remove_stream", dependencies=CHANGE, responses=documented(404))
async def remove_stream(request: Request, account: AccountName, name: Name) -> Done:
    """Delete a stream with all its messages."""
    await api(box_of(request).core, account, f"STREAM.DELETE.{name}", is_long=True)
    return Done()


@router.post("/streams/{name}/purge", operation_id="purge_stream", dependencies=CHANGE, responses=documented(404))
async def purge_stream(request: Request, account: AccountName, name: Name, given: Purge | None = None) -> Purged:
    """Delete messages: all, or those of a subject, or those before a sequence."""
    body: Object = {}
    if given is not None:
        asked = {"filter": given.subject, "seq": given.before_seq, "keep": given.keep}
        body = {key: value for key, value in asked.items() if value is not None}
    found = await api(box_of(request).core, account, f"STREAM.PURGE.{name}", body, is_long=True)
    return Purged(purged=found.get("purged", 0))


@router.get("/streams/{name}/messages", operation_id="list_messages", dependencies=LOOK, responses=documented(404))
async def list_messages(
    request: Request,
    account: AccountName,
    name: Name,
    seq: Annotated[int, Query(ge=0, le=2**63 - 1, description="First sequence; 0: so that the newest are seen.")] = 0,
    subject: Annotated[str | None, Query(max_length=1024)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 25,
) -> StoredMessages:
    """Messages in order from a sequence on, of one subject (wildcards allowed) or all."""
    core = box_of(request).core
    state = stream_of(await api(core, account, f"STREAM.INFO.{name}")).state
    at = max(seq or state.last_seq - limit + 1, state.first_seq, 1)
    found: list[StoredMessage] = []
    while len(found) < limit and at <= state.last_seq:
        message = await _next_message(core, account, name, at, subject or ">")
        if message is None:
            at = 0
            break
        found.append(message)
        at = message.seq + 1
    return StoredMessages(
        messages=found,
        first_seq=state.first_seq,
        last_seq=state.last_seq,
        next_seq=at if at <= state.last_seq else 0,
    )


async def _next_message(core: Core, account: str, name: str, seq: int, subject: str) -> StoredMessage | None:
    try:
        found = await api(core, account, f"STREAM.MSG.GET.{name}", {"seq": seq, "next_by_subj": subject})
    except JetStreamRefused as error:
        if error.err_code == NO_MESSAGE:
            return None
        raise
    return message_of(found["message"], base64.b64decode)


@router.get("/streams/{name}/messages/{seq}", operation_id="get_message", dependencies=LOOK, responses=documented(404))
async def get_message(request: Request, account: AccountName, name: Name, seq: Seq) -> StoredMessage:
    """One message."""
    found = await api(box_of(request).core, account, f"STREAM.MSG.GET.{name}", {"seq": seq})
    return message_of(found["message"], base64.b64decode)


@router.delete(
    "/streams/{name}/messages/{seq}", operation_id="remove_message", dependencies=CHANGE, responses=documented(404)
)
async def remove_message(request: Request, account: AccountName, name: Name, seq: Seq, erase: bool = False) -> Done:
    """Delete one message; `erase` overwrites it too."""
    await api(box_of(request).core, account, f"STREAM.MSG.DELETE.{name}", {"seq": seq, "no_erase": not erase})
    return Done()


@router.get("/streams/{name}/consumers", operation_id="list_consumers", dependencies=LOOK, responses=documented(404))
async def list_consumers(request: Request, account: AccountName, name: Name) -> Consumers:
    """Consumers of a stream with their lag."""
    core = box_of(request).core
    found = [consumer_of(each) async for each in pages(core, account, f"CONSUMER.LIST.{name}", "consumers")]
    return Consumers(consumers=found)


@router.post(
    "/streams/{name}/consumers",
    operation_id="add_consumer",
    status_code=201,
    dependencies=CHANGE,
    responses=documented(404, 409),
)
async def add_consumer(request: Request, account: AccountName, name: Name, given: NewConsumer) -> Consumer:
    """Make a durable pull consumer."""
    body = {"stream_name": name, "config": consumer_config_of(given), "action": "create"}
    return consumer_of(await api(box_of(request).core, account, f"CONSUMER.CREATE.{name}.{given.name}", body))


@router.get(
    "/streams/{name}/consumers/{consumer}", operation_id="get_consumer", dependencies=LOOK, responses=documented(404)
)
async def get_consumer(request: Request, account: AccountName, name: Name, consumer: Name) -> Consumer:
    """One consumer."""
    return consumer_of(await api(box_of(request).core, account, f"CONSUMER.INFO.{name}.{consumer}"))


@router.delete(
    "/streams/{name}/consumers/{consumer}",
    operation_id="remove_consumer",
    dependencies=CHANGE,
    responses=documented(404),
)
async def remove_consumer(request: Request, account: AccountName, name: Name, consumer: Name) -> Done:
    """Delete a consumer; the messages stay."""
    await api(box_of(request).core, account, f"CONSUMER.DELETE.{name}.{consumer}")
    return Done()


@router.post(
    "/streams/{name}/consumers/{consumer}/pause",
    operation_id="pause_consumer",
    dependencies=CHANGE,
    responses=documented(404),
)
async def pause_consumer(
    request: Request, account: AccountName, name: Name, consumer: Name, given: Pause | None = None
) -> Consumer:
    """Deliver nothing for a while."""
    until = datetime.now(UTC) + timedelta(seconds=(given or Pause()).for_s)
    return await _pause(request, account, name, consumer, {"pause_until": until.isoformat().replace("+00:00", "Z")})


@router.post(
    "/streams/{name}/consumers/{consumer}/resume",
    operation_id="resume_consumer",
    dependencies=CHANGE,
    responses=documented(404),
)
async def resume_consumer(request: Request, account: AccountName, name: Name, consumer: Name) -> Consumer:
    """Deliver again."""
    return await _pause(request, account, name, consumer, {})


async def _pause(request: Request, account: str, name: str, consumer: str, body: Object) -> Consumer:
    core = box_of(request).core
    await api(core, account, f"CONSUMER.PAUSE.{name}.{consumer}", body)
    return consumer_of(await api(core, account, f"CONSUMER.INFO.{name}.{consumer}"))


@router.post(
    "/streams/{name}/consumers/{consumer}/reset",
    operation_id="reset_consumer",
    dependencies=CHANGE,
    responses=documented(404),
)
async def reset_consumer(
    request: Request, account: AccountName, name: Name, consumer: Name, given: Reset | None = None
) -> Consumer:
    """Deliver again from a sequence on; without one from where its acknowledgements are."""
    core = box_of(request).core
    body: Object = {"seq": given.seq} if given is not None and given.seq is not None else {}
    await api(core, account, f"CONSUMER.RESET.{name}.{consumer}", body)
    return consumer_of(await api(core, account, f"CONSUMER.INFO.{name}.{consumer}"))
