"""Conversations with JetStream whose observations must be the same on both servers.

A scenario gets a connected client and returns what it saw, without times and random ids. Waits are as short as the
behaviour allows (TTLs are whole seconds).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

Observations = list[object]
Scenario = Callable[[Client], Awaitable[Observations]]
SCENARIOS: dict[str, tuple[tuple[str, ...], Scenario]] = {}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
ACK_TIME = re.compile(r"^(\$JS\.ACK\.[^.]+\.[^.]+\.\d+\.\d+\.\d+)\.\d+\.(\d+)$")


def scenario(*rows: str) -> Callable[[Scenario], Scenario]:
    """Register a scenario with the capability rows it shows."""

    def register(function: Scenario) -> Scenario:
        SCENARIOS[function.__name__] = (rows, function)
        return function

    return register


def seen(message: Msg) -> tuple[object, ...]:
    """A message without times: subject, headers, body, ack subject."""
    headers = {name: TIME.sub("<time>", value) for name, value in (message.headers or {}).items()}
    if "Nats-Pin-Id" in headers:
        headers["Nats-Pin-Id"] = "<pin>"
    reply = ACK_TIME.sub(r"\1.<ts>.\2", message.reply)
    return (message.subject, sorted(headers.items()), message.data.decode("utf-8", "replace"), reply)


async def api(client: Client, subject: str, body: object = None, **headers: str) -> Any:
    """An API request; the parsed response."""
    payload = json.dumps(body).encode() if body is not None else b""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    reply = await client.request(f"$JS.API.{subject}", payload, timeout=15, headers=named or None)
    return json.loads(reply.data)


async def publish(client: Client, subject: str, payload: bytes = b"x", **headers: str) -> str:
    """Publish with acknowledgement; the answer's text, or what went wrong."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        reply = await client.request(subject, payload, timeout=1, headers=named or None)
    except nats.errors.TimeoutError:
        return "timeout"
    return reply.data.decode()


class Collector:
    """Everything that arrives on a subject."""

    def __init__(self, client: Client, subject: str) -> None:
        self.client, self.subject = client, subject
        self.messages: list[Msg] = []
        self._arrived = asyncio.Event()

    async def start(self) -> Collector:
        async def keep(message: Msg) -> None:
            self.messages.append(message)
            self._arrived.set()

        await self.client.subscribe(self.subject, cb=keep)
        await self.client.flush()
        return self

    async def arrived(self, count: int, timeout_s: float = 3.0) -> None:
        """Wait for `count` messages, or until time is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while len(self.messages) < count:
                    self._arrived.clear()
                    await self._arrived.wait()

    async def wait(self, count: int, timeout_s: float = 3.0) -> list[tuple[object, ...]]:
        """The first `count` messages (fewer when time is up), as `seen`."""
        await self.arrived(count, timeout_s)
        taken, self.messages = self.messages[:count], self.messages[count:]
        return [seen(message) for message in taken]


async def stream(client: Client, name: str, **config: object) -> None:
    response = await api(client, f"STREAM.CREATE.{name}", {"name": name, "subjects": [f"{name.lower()}.>"], **config})
    assert "error" not in response, response


async def consumer(client: Client, stream_name: str, name: str, **config: object) -> Any:
    body = {"stream_name": stream_name, "config": {"durable_name": name, "ack_policy": "explicit", **config}}
    response = await api(client, f"CONSUMER.CREATE.{stream_name}.{name}", body)
    assert "error" not in response, response
    return response


async def pull(client: Client, inbox: Collector, stream_name: str, name: str, **request: object) -> None:
    body = json.dumps(request).encode() if request else b""
    await client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{stream_name}.{name}", body, reply=inbox.subject)


async def state(client: Client, name: str) -> dict[str, object]:
    """What a stream holds, without times."""
    found = (await api(client, f"STREAM.INFO.{name}", {"subjects_filter": ">", "deleted_details": True}))["state"]
    return {key: value for key, value in found.items() if not key.endswith("_ts")}


async def progress(client: Client, stream_name: str, name: str) -> list[object]:
    found = await api(client, f"CONSUMER.INFO.{stream_name}.{name}")
    positions = [found[part][seq] for part in ("delivered", "ack_floor") for seq in ("consumer_seq", "stream_seq")]
    counts = [found[key] for key in ("num_ack_pending", "num_redelivered", "num_waiting", "num_pending")]
    return [*positions, *counts]
