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
from nats.js.api import (
    ConsumerConfig,
    DeliverPolicy,
    KeyValueConfig,
    ObjectLink,
    ObjectMeta,
    ObjectMetaOptions,
    ObjectStoreConfig,
    RePublish,
    StorageType,
)

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


async def bucket_settings(client: Client, js: JetStreamContext) -> None:
    republish = RePublish(src=">", dest="seen.>")
    bucket = await js.create_key_value(
        KeyValueConfig("B", description="d", history=2, max_value_size=10, max_bytes=100_000, republish=republish)
    )
    seen = await client.subscribe("seen.>")
    await bucket.put("k", b"1")
    message = await seen.next_msg(timeout=15)
    assert (message.subject, message.data) == ("seen.$KV.B.k", b"1")
    with pytest.raises(js_errors.APIError) as refused:
        await bucket.put("k", b"more than ten")
    assert refused.value.err_code == 10054
    with pytest.raises(js_errors.BadRequestError):
        await js.create_key_value(KeyValueConfig("B", history=3))
    await js.create_key_value(KeyValueConfig("C", storage=StorageType.MEMORY))
    assert sorted(info.config.name or "" for info in await js.streams_info()) == ["KV_B", "KV_C"]
    assert await js.delete_key_value("C")
    with pytest.raises(js_errors.NotFoundError):
        await js.key_value("C")
    with pytest.raises(js_errors.ServerError) as many:
        await js.create_key_value(KeyValueConfig("D", replicas=3))
    assert many.value.err_code == 10074


async def keys_and_markers(_client: Client, js: JetStreamContext) -> None:
    bucket = await js.create_key_value(KeyValueConfig("B", history=5))
    for key in ("a.1", "a.2", "b.1", "b.2.x"):
        await bucket.put(key, key.encode())
    assert sorted(await bucket.keys(filters=["a."])) == ["a.1", "a.2"]
    assert sorted(await bucket.keys(filters=["a.1", "b."])) == ["a.1", "b.1", "b.2.x"]
    await bucket.put("a.1", b"again")
    assert (await bucket.get("a.1", revision=1)).value == b"a.1"
    # Back to what it was: a put of an old revision's value.
    assert await bucket.put("a.1", (await bucket.get("a.1", revision=1)).value or b"") == 6
    await bucket.delete("a.2", last=2)
    assert await bucket.create("a.2", b"over the marker") == 8
    await bucket.purge("b.1")
    await bucket.delete("b.2.x")
    assert sorted(await bucket.keys()) == ["a.1", "a.2"]
    await bucket.purge_deletes(olderthan=-1)
    found = (await js.stream_info("KV_B", subjects_filter=">")).state
    assert sorted(found.subjects or {}) == ["$KV.B.a.1", "$KV.B.a.2"]


async def watchers(_client: Client, js: JetStreamContext) -> None:
    bucket = await js.create_key_value(KeyValueConfig("B", history=5))
    for value in (b"1", b"2"):
        await bucket.put("k", value)
    await bucket.put("gone", b"x")
    await bucket.delete("gone")

    async def initial(**options: Any) -> list[tuple[str, bytes | None]]:
        watcher: Any = await bucket.watch(">", **options)
        found = []
        while (entry := await watcher.updates(timeout=15)) is not None:
            found.append((entry.key, entry.value))
        await watcher.stop()
        return found

    assert await initial() == [("k", b"2"), ("gone", b"")]
    assert await initial(ignore_deletes=True) == [("k", b"2")]
    assert await initial(include_history=True) == [("k", b"1"), ("k", b"2"), ("gone", b"x"), ("gone", b"")]
    assert await initial(meta_only=True) == [("k", b""), ("gone", b"")]


async def values_that_expire(client: Client, js: JetStreamContext) -> None:
    bucket = await js.create_key_value(KeyValueConfig("B", history=5, limit_marker_ttl=2))
    assert await bucket.create("short", b"1", msg_ttl=1) == 1
    await bucket.put("kept", b"2")
    markers = await client.subscribe("markers")
    config = ConsumerConfig(filter_subject="$KV.B.short", deliver_subject="markers", deliver_policy=DeliverPolicy.NEW)
    await js.add_consumer("KV_B", config)
    marker = await markers.next_msg(timeout=15)
    assert (marker.data, marker.headers) == (
        b"",
        {"Nats-Marker-Reason": "MaxAge", "Nats-Rollup": "sub", "Nats-TTL": "2s"},
    )
    # nats-py does not know that this marks a removal; the value is gone all the same.
    assert not (await bucket.get("short")).value
    assert (await bucket.get("kept")).value == b"2"
    aging = await js.create_key_value(KeyValueConfig("T", ttl=1))
    await aging.put("k", b"1")
    deadline = asyncio.get_running_loop().time() + 15
    while (await js.stream_info("KV_T")).state.messages:
        assert asyncio.get_running_loop().time() < deadline, "the bucket's age did not end the value"
        await asyncio.sleep(0.1)


async def object_settings(_client: Client, js: JetStreamContext) -> None:
    store = await js.create_object_store("O", ObjectStoreConfig(max_bytes=300_000, ttl=None))
    await store.put("one", b"x" * 140_000)
    before = (await store.status()).size
    await store.put("one", b"y" * 140_000)
    # What was overwritten is gone, chunk by chunk.
    assert abs((await store.status()).size - before) < 1000
    assert (await store.get("one")).data == b"y" * 140_000
    with pytest.raises(js_errors.APIError):
        await store.put("large", b"z" * 400_000)
    assert [entry.name for entry in await store.list()] == ["one"]
    link = ObjectMeta(
        name="ln", options=ObjectMetaOptions(max_chunk_size=1024, link=ObjectLink(bucket="O", name="one"))
    )
    await store.put("ln", b"", link)
    info = await store.get_info("ln")
    assert info.options is not None
    assert info.options.link == ObjectLink(bucket="O", name="one")
    await store.delete("one")
    assert (await store.status()).size < 2000
    assert await js.delete_object_store("O")


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
        pytest.param(bucket_settings, marks=pytest.mark.capability("KV01", "JS19")),
        pytest.param(keys_and_markers, marks=pytest.mark.capability("KV02", "KV03", "KV04", "KV06")),
        pytest.param(watchers, marks=pytest.mark.capability("KV05")),
        pytest.param(values_that_expire, marks=pytest.mark.capability("KV07", "JS24", "JS25")),
        pytest.param(object_settings, marks=pytest.mark.capability("OB01", "OB02", "OB03", "OB04")),
        pytest.param(watching, marks=pytest.mark.capability("KV05")),
        pytest.param(through_the_domain, marks=pytest.mark.capability("KV09", "JS36")),
        pytest.param(objects, marks=pytest.mark.capability("OB01", "OB02", "OB03", "OB04")),
    ],
)
def test_stores(talk: Talk, kind: ServerKind, tmp_path: Path) -> None:
    hold(talk, kind, tmp_path)
