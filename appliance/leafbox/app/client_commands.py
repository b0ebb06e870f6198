"""`leafbox pub` and `leafbox sub`: the smallest NATS client, for a first try and for scripts."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

CONNECT_TIMEOUT_S = 5


async def _connect(server: str) -> Client:
    # `leafbox run` is imported with this and must stay small: nats-py is 12 MiB.
    import nats

    # `max_reconnect_attempts` counts the tries of the first connection too; without it a refused one is tried for ever.
    return await nats.connect(
        server,
        connect_timeout=CONNECT_TIMEOUT_S,
        allow_reconnect=False,
        max_reconnect_attempts=1,
        reconnect_time_wait=0.1,
        error_cb=_ignore,
    )


async def _ignore(error: Exception) -> None:
    """The call that failed raises; nats-py would also print it."""


async def publish_once(server: str, subject: str, payload: bytes) -> None:
    """Publish and flush; raises OSError or nats errors when the server cannot be reached or refuses."""
    client = await _connect(server)
    await client.publish(subject, payload)
    await client.flush()
    await client.close()


def message_text(message: Msg) -> str:
    """`subject payload`."""
    return f"{message.subject} {message.data.decode('utf-8', 'replace')}"


def message_json(message: Msg) -> str:
    """A JSON document on one line; what is no text is base64, and `encoding` says which."""
    document = {"subject": message.subject, "reply": message.reply, "headers": message.headers or {}}
    try:
        document |= {"data": message.data.decode(), "encoding": "text"}
    except UnicodeDecodeError:
        document |= {"data": base64.b64encode(message.data).decode(), "encoding": "base64"}
    return json.dumps(document)


async def print_messages(server: str, subject: str, count: int, write: Callable[[Msg], object]) -> None:
    """Write `count` messages as they come (0: without end)."""
    client = await _connect(server)
    subscription = await client.subscribe(subject, max_msgs=count)
    written = 0
    async for message in subscription.messages:
        write(message)
        written += 1
        if written == count:
            break
    await client.close()
