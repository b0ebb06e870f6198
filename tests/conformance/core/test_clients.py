"""What client libraries build on the server, with nats-py, on the real server and on ours."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import nats
import nats.errors
import nats.js.errors
import nats.micro
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.micro.request import Request
from nats.micro.service import ServiceConfig

from tests.support.servers import ServerKind, ServerProcess, StartServer


async def connect(server: ServerProcess, back: asyncio.Event | None = None) -> Client:
    """A client that comes back after a restart of the server, and says so by `back`."""

    async def reconnected() -> None:
        if back is not None:
            back.set()

    return await nats.connect(
        server.url,
        reconnect_time_wait=0.05,
        max_reconnect_attempts=-1,
        ping_interval=1,
        connect_timeout=10,
        reconnected_cb=reconnected,
    )


@pytest.mark.capability("C12")
def test_request_and_reply(server_kind: ServerKind, start_server: StartServer) -> None:
    async def run() -> None:
        client = await connect(server)

        async def answer(message: Msg) -> None:
            await message.respond(b"re: " + message.data)

        await client.subscribe("svc", cb=answer)
        replies = await asyncio.gather(*(client.request("svc", b"%d" % i, timeout=10) for i in range(100)))
        assert [reply.data for reply in replies] == [b"re: %d" % i for i in range(100)]
        with pytest.raises(nats.errors.NoRespondersError):
            await client.request("nobody", b"", timeout=10)
        await client.close()

    server = start_server(server_kind)
    asyncio.run(run())


@pytest.mark.capability("CS06")
def test_micro_services(server_kind: ServerKind, start_server: StartServer) -> None:
    async def run() -> None:
        client = await connect(server)
        service = await nats.micro.add_service(
            client, ServiceConfig(name="echo", version="1.0.0", description="says it")
        )

        async def handler(request: Request) -> None:
            await request.respond(request.data)

        await service.add_endpoint(name="say", handler=handler)
        assert (await client.request("say", b"hello", timeout=10)).data == b"hello"
        for verb, key in (("PING", "name"), ("INFO", "description"), ("STATS", "endpoints")):
            answer = json.loads((await client.request(f"$SRV.{verb}.echo", b"", timeout=10)).data)
            assert answer["name"] == "echo"
            assert key in answer
        stats = json.loads((await client.request("$SRV.STATS.echo", b"", timeout=10)).data)
        assert stats["endpoints"][0]["num_requests"] == 1
        await service.stop()
        await client.close()

    server = start_server(server_kind)
    asyncio.run(run())


@pytest.mark.capability("CS05")
def test_subscriptions_and_acknowledged_messages_survive_restarts(start_server: StartServer, tmp_path: Path) -> None:
    """Five SIGKILLs under load: every acknowledged publish is stored, subscriptions come back by themselves."""
    acknowledged: set[bytes] = set()
    heard: list[bytes] = []

    async def publish(client: Client, number: int) -> None:
        body = b"%d" % number
        try:
            await client.jetstream().publish("load.x", body, timeout=2)
        except (TimeoutError, nats.errors.Error, nats.js.errors.Error):
            return
        acknowledged.add(body)

    async def run() -> None:
        back = asyncio.Event()
        client = await connect(server, back)
        await client.jetstream().add_stream(name="LOAD", subjects=["load.>"])

        async def note(message: Msg) -> None:
            heard.append(message.data)

        await client.subscribe("note", cb=note)
        number = 0
        for crash in range(5):
            for _ in range(20):
                await asyncio.gather(*(publish(client, number + i) for i in range(10)))
                number += 10
            back.clear()
            await asyncio.to_thread(server.restart, crash=True)
            await asyncio.wait_for(back.wait(), 20)
            await client.publish("note", b"%d" % crash)
            await client.flush(timeout=10)
        stored = set()
        subscription = await client.jetstream().subscribe("load.>", ordered_consumer=True)
        total = (await client.jetstream().stream_info("LOAD")).state.messages
        for _ in range(total):
            stored.add((await subscription.next_msg(timeout=10)).data)
        assert acknowledged <= stored
        assert len(acknowledged) >= 500
        await client.close()

    server = start_server(ServerKind.LEAFBOX, "-js", "-sd", str(tmp_path / "store"))
    asyncio.run(run())
    assert heard == [b"0", b"1", b"2", b"3", b"4"]
