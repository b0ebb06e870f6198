"""Key-value and object stores of nats-py on both servers."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js import errors as js_errors
from nats.js.api import KeyValueConfig, ObjectMeta, ObjectStoreConfig

from tests.support.servers import ServerKind, ServerProcess

CONFIG = """
server_name: edge1
jetstream {{ store_dir: "{directory}", max_mem: 1G, max_file: 10G, domain: edge }}
accounts {{ A {{ users: [{{user: a, password: a}}], jetstream: enabled }} }}
no_auth_user: a
"""
Talk = Callable[[Client, JetStreamContext], Awaitable[None]]


def hold(talk: Talk, kind: ServerKind, directory: Path) -> None:
    """Run a conversation with a fresh server."""

    async def run(port: int) -> None:
        client = await nats.connect(f"nats://127.0.0.1:{port}")
        try:
            await talk(client, client.jetstream(timeout=15))
        finally:
            await client.close()

    with ServerProcess(kind, directory, config=CONFIG.format(directory=directory / "store")) as server:
        asyncio.run(run(server.client_port))


async def values(_client: Client, js: JetStreamContext) -> None:
    bucket = await js.create_key_value(KeyValueConfig("B", history=3))
    assert await bucket.put("k", b"1") == 1
    assert await bucket.update("k", b"2", last=1) == 2
    with pytest.raises(js_errors.KeyWrongLastSequenceError):
        await bucket.update("k", b"x", last=1)
    with pytest.raises(js_errors.KeyWrongLastSequenceError):
        await bucket.create("k", b"x")
    for value in (b"3", b"4"):
        await bucket.put("k", value)
    assert [entry.value for entry in await bucket.history("k")] == [b"2", b"3", b"4"]
    await bucket.put("other.key", b"o")
    assert sorted(await bucket.keys()) == ["k", "other.key"]
    await bucket.delete("k")
    with pytest.raises(js_errors.KeyNotFoundError):
        await bucket.get("k")
    assert await bucket.put("k", b"5") == 7
    await bucket.purge("other.key")
    assert (await bucket.status()).values == 4


async def watching(_client: Client, js: JetStreamContext) -> None:
    bucket = await js.create_key_value(KeyValueConfig("B", history=5))
    await bucket.put("a.1", b"1")
    await bucket.put("b.1", b"2")
    watcher: Any = await bucket.watch("a.*")
    first, marker = await watcher.updates(timeout=15), await watcher.updates(timeout=15)
    assert first is not None
    assert (first.key, first.value, marker) == ("a.1", b"1", None)
    await bucket.put("b.2", b"no")
    await bucket.put("a.2", b"3")
    second = await watcher.updates(timeout=15)
    assert second is not None
    assert (second.key, second.value, second.revision) == ("a.2", b"3", 4)
    await watcher.stop()


async def through_the_domain(client: Client, js: JetStreamContext) -> None:
    bucket = await client.jetstream(domain="edge", timeout=15).create_key_value(KeyValueConfig("B"))
    await bucket.put("k", b"1")
    assert (await (await js.key_value("B")).get("k")).value == b"1"
    assert (await js.account_info()).domain == "edge"


async def objects(_client: Client, js: JetStreamContext) -> None:
    store = await js.create_object_store("O", ObjectStoreConfig(description="d"))
    large = bytes(range(256)) * 2048
    info = await store.put("large", large, ObjectMeta(description="big"))
    assert (info.size, info.chunks) == (len(large), 4)
    assert (await store.get("large")).data == large
    streamed = io.BytesIO()
    await store.get("large", writeinto=streamed)
    assert streamed.getvalue() == large
    await store.put("small", b"x")
    assert sorted(entry.name for entry in await store.list()) == ["large", "small"]
    await store.update_meta("small", ObjectMeta(name="small", description="tiny"))
    assert (await store.get_info("small")).description == "tiny"
    watcher: Any = await store.watch()
    first = await watcher.updates(timeout=15)
    assert first is not None
    await watcher.stop()
    await store.delete("large")
    with pytest.raises(js_errors.ObjectNotFoundError):
        await store.get("large")
    sealing: Any = store
    await sealing.seal()
    assert (await store.status()).sealed


@pytest.mark.parametrize("kind", list(ServerKind))
@pytest.mark.parametrize(
    "talk",
    [
        pytest.param(values, marks=pytest.mark.capability("KV01", "KV02", "KV03", "KV04")),
        pytest.param(watching, marks=pytest.mark.capability("KV05")),
        pytest.param(through_the_domain, marks=pytest.mark.capability("KV09", "JS36")),
        pytest.param(objects, marks=pytest.mark.capability("OB01", "OB02", "OB03", "OB04")),
    ],
)
def test_stores(talk: Talk, kind: ServerKind, tmp_path: Path) -> None:
    hold(talk, kind, tmp_path)
