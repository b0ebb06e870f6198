"""Streams, consumers, buckets, objects, live messages, events and monitoring through the API of a running box."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import threading
import time
from collections.abc import Iterator

import nats
import pytest
from nats.aio.msg import Msg

from tests.support.web_client import Browser, RunningBox

pytestmark = pytest.mark.capability("MO11")


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBox]:
    with RunningBox(tmp_path_factory.mktemp("box")) as running:
        yield running


@pytest.fixture(scope="module")
def admin(box: RunningBox) -> Browser:
    return box.claim()


def publish(box: RunningBox, *messages: tuple[str, bytes]) -> None:
    async def run() -> None:
        async with await nats.connect(box.nats_url) as client:
            for subject, payload in messages:
                await client.publish(subject, payload)

    asyncio.run(run())


def test_a_stream_from_making_to_deleting(box: RunningBox, admin: Browser) -> None:
    asked = {"name": "SITE", "preset": "keep-a-week", "subjects": ["site.>"], "max_bytes": 1_000_000}
    made = admin.post("streams", asked)
    assert made.status == 201, made.body
    assert (made.json["config"]["max_age_s"], made.json["config"]["max_bytes"]) == (7 * 86400, 1_000_000)
    assert admin.post("streams", asked).code == "exists"
    overlapping = admin.post("streams", {"name": "OTHER", "subjects": ["site.x"]})
    assert overlapping.code == "jetstream_10065"
    assert overlapping.json["next_step"]
    for number in range(30):
        stored = admin.post("live/publish", {"subject": f"site.{number % 3}", "data": f"reading {number}"})
        assert (stored.json["stored"], stored.json["stream"], stored.json["seq"]) == (True, "SITE", number + 1)
    publish(box, ("site.binary", b"\xff\x00\xfe"))
    page = admin.get("streams/SITE/messages?seq=1&subject=site.1&limit=4").json
    assert [message["seq"] for message in page["messages"]] == [2, 5, 8, 11]
    assert page["next_seq"] == 12
    newest = admin.get("streams/SITE/messages?limit=2").json
    assert newest["messages"][-1]["body"] == {"data": "/wD+", "encoding": "base64", "size": 3, "cut": False}
    assert newest["next_seq"] == 0
    changed = admin.put("streams/SITE", {"name": "SITE", "max_msgs": 20})
    assert (changed.json["config"]["max_msgs"], changed.json["config"]["subjects"]) == (20, ["site.>"])
    assert admin.delete("streams/SITE/messages/20").status == 200
    assert admin.get("streams/SITE/messages/20").status == 404
    assert admin.post("streams/SITE/purge", {"subject": "site.0"}).json["purged"] > 0
    assert admin.get("streams").json["streams"][0]["config"]["name"] == "SITE"
    assert admin.delete("streams/SITE").status == 200
    assert admin.get("streams/SITE").json["code"] == "jetstream_10059"


def test_a_consumer_from_making_to_deleting(admin: Browser) -> None:
    admin.post("streams", {"name": "WORK", "subjects": ["work"]})
    for number in range(5):
        admin.post("live/publish", {"subject": "work", "data": str(number)})
    made = admin.post("streams/WORK/consumers", {"name": "worker", "ack_wait_s": 5})
    assert made.status == 201, made.body
    assert (made.json["lag"], made.json["ack_wait_s"], made.json["durable"]) == (5, 5, True)
    paused = admin.post("streams/WORK/consumers/worker/pause", {"for_s": 60})
    assert paused.json["paused"] is True
    assert 50 < paused.json["pause_remaining_s"] <= 60
    assert admin.post("streams/WORK/consumers/worker/resume").json["paused"] is False
    assert admin.post("streams/WORK/consumers/worker/reset", {"seq": 3}).json["lag"] == 3
    assert admin.get("streams/WORK/consumers").json["consumers"][0]["name"] == "worker"
    assert admin.delete("streams/WORK/consumers/worker").status == 200
    assert admin.get("streams/WORK/consumers/worker").status == 404
    admin.delete("streams/WORK")


def test_buckets_as_nats_clients_know_them(box: RunningBox, admin: Browser) -> None:
    assert admin.post("kv", {"name": "settings", "history": 3}).status == 201
    first = admin.put("kv/settings/keys/fan.speed", {"data": "slow"}).json["revision"]
    assert admin.put("kv/settings/keys/fan.speed", {"data": "fast", "revision": first}).status == 200
    assert admin.put("kv/settings/keys/fan.speed", {"data": "late", "revision": first}).code == "changed_meanwhile"

    async def read_and_write() -> None:
        async with await nats.connect(box.nats_url) as client:
            bucket = await client.jetstream().key_value("settings")
            assert (await bucket.get("fan.speed")).value == b"fast"
            await bucket.put("door", b"open")

    asyncio.run(read_and_write())
    keys = admin.get("kv/settings").json
    assert [(each["key"], each["body"]["data"]) for each in keys["keys"]] == [("door", "open"), ("fan.speed", "fast")]
    value = admin.get("kv/settings/keys/fan.speed").json
    assert [each["body"]["data"] for each in value["history"]] == ["slow"]
    assert admin.delete("kv/settings/keys/door").status == 200
    assert [each["key"] for each in admin.get("kv/settings").json["keys"]] == ["fan.speed"]
    assert admin.get("kv").json["buckets"][0]["name"] == "settings"
    assert admin.get("kv/none").status == 404
    assert admin.put("kv/none/keys/a", {"data": ""}).status == 404
    assert admin.delete("kv/settings").status == 200


def test_objects_as_nats_clients_know_them(box: RunningBox, admin: Browser) -> None:
    content = os.urandom(300_000)
    assert admin.post("objects", {"name": "firmware"}).status == 201
    stored = admin.request("PUT", "objects/firmware/content/v1/image.bin", raw=content)
    assert (stored.status, stored.json["size"], stored.json["chunks"]) == (200, len(content), 3)

    async def read_and_write() -> None:
        async with await nats.connect(box.nats_url) as client:
            store = await client.jetstream().object_store("firmware")
            assert (await store.get("v1/image.bin")).data == content
            await store.put("note.txt", b"from a client")

    asyncio.run(read_and_write())
    names = [each["name"] for each in admin.get("objects/firmware").json["objects"]]
    assert names == ["note.txt", "v1/image.bin"]
    assert admin.get("objects/firmware/content/note.txt").body == b"from a client"
    loaded = admin.get("objects/firmware/content/v1/image.bin")
    assert hashlib.sha256(loaded.body).digest() == hashlib.sha256(content).digest()
    assert loaded.headers["content-disposition"].startswith("attachment")
    replaced = admin.request("PUT", "objects/firmware/content/v1/image.bin", raw=b"small")
    assert replaced.json["chunks"] == 1
    assert admin.get("objects/firmware").json["store"]["bytes"] < 100_000, "the old chunks are gone"
    assert admin.delete("objects/firmware/content/v1/image.bin").status == 200
    assert admin.get("objects/firmware/content/v1/image.bin").status == 404
    assert admin.delete("objects/firmware").status == 200


def test_live_subjects_and_tail(box: RunningBox, admin: Browser) -> None:
    admin.get("live/subjects")
    publish(box, ("hall.temperature", b"21.5"), ("hall.door", b"open"))
    tree = admin.get("live/subjects").json
    deadline = time.monotonic() + 10
    while not tree["nodes"] and time.monotonic() < deadline:
        time.sleep(0.1)
        tree = admin.get("live/subjects").json
    hall = next(node for node in tree["nodes"] if node["token"] == "hall")
    assert {child["token"]: child["last"]["data"] for child in hall["children"]} == {
        "door": "open",
        "temperature": "21.5",
    }
    with admin.events("live/tail?subject=hall.%3E") as events:
        timer = threading.Timer(1.5, publish, [box, ("hall.light", b"on"), ("other", b"x"), ("hall.light", b"off")])
        timer.start()
        seen = [next(events)[1] for _ in range(2)]
        timer.join()
    assert [(each["subject"], each["body"]["data"]) for each in seen] == [("hall.light", "on"), ("hall.light", "off")]
    assert admin.get("live/tail?subject=a..b").code == "invalid_subject"


def test_requests_are_answered_or_told_why_not(box: RunningBox, admin: Browser) -> None:
    assert admin.post("live/request", {"subject": "nobody.there"}).code == "no_responders"
    ready = threading.Event()
    stop = threading.Event()

    async def serve() -> None:
        async with await nats.connect(box.nats_url) as client:

            async def answer(message: Msg) -> None:
                await message.respond(b"echo " + message.data)

            await client.subscribe("echo", cb=answer)
            await client.subscribe("silent")
            await client.flush()
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait(10)
    try:
        assert (
            admin.post("live/request", {"subject": "echo", "data": "hi"}).json["message"]["body"]["data"] == "echo hi"
        )
        assert admin.post("live/request", {"subject": "silent", "timeout_s": 0.2}).code == "no_answer"
    finally:
        stop.set()
        thread.join()


def test_changes_arrive_as_events_within_a_second_or_so(box: RunningBox, admin: Browser) -> None:
    with admin.events("events") as events:
        first: dict[str, object] = {}
        for name, document in events:
            first[name] = document
            if {"connections", "core", "status"} <= set(first):
                break

        async def come_and_wait() -> float:
            async with await nats.connect(box.nats_url, name="newcomer"):
                started = time.monotonic()
                while True:
                    name, document = await asyncio.to_thread(next, events)
                    if name == "connections" and "newcomer" in str(document):
                        return time.monotonic() - started

        assert asyncio.run(come_and_wait()) < 3.0  # 1 s of polling and the load of a test machine.


def test_connections_can_be_kicked(box: RunningBox, admin: Browser) -> None:
    async def run() -> None:
        closed = asyncio.Event()

        async def gone() -> None:
            closed.set()

        client = await nats.connect(box.nats_url, name="victim", allow_reconnect=False, closed_cb=gone)
        found = await asyncio.to_thread(admin.get, "connections?subscriptions=true")
        victim = next(each for each in found.json["connections"] if each["name"] == "victim")
        assert (await asyncio.to_thread(admin.delete, f"connections/{victim['cid']}")).status == 200
        await asyncio.wait_for(closed.wait(), 5)
        await client.close()

    asyncio.run(run())
    assert admin.delete("connections/999999").status == 404
    closed = admin.get("connections?state=closed").json["connections"]
    assert any(each["name"] == "victim" and each["reason"] == "Kicked" for each in closed)


def test_monitoring_paths_need_a_login_and_are_the_servers_own(box: RunningBox, admin: Browser) -> None:
    for path in ("/varz", "/connz", "/jsz", "/subsz", "/leafz", "/accountz"):
        assert box.browser().get(path).status == 401, path
        assert admin.get(path).status == 200, path
    assert admin.get("/jsz?streams=1").json["account_details"] is not None
    assert admin.get("/connz?limit=x").status == 400
    assert box.browser().get("/healthz").json == {"status": "ok"}
    assert box.browser().get("/readyz").json == {"status": "ok"}


def test_the_flow_shows_rates(box: RunningBox, admin: Browser) -> None:
    async def run() -> dict[str, object]:
        async with await nats.connect(box.nats_url, name="sensor") as client:
            await asyncio.to_thread(admin.get, "flow")
            await asyncio.sleep(0.6)
            for _ in range(100):
                await client.publish("flow.x", b"y")
            await client.flush()
            found = await asyncio.to_thread(admin.get, "flow")
            document: dict[str, object] = found.json
            return document

    flow = asyncio.run(run())
    nodes, edges = flow["nodes"], flow["edges"]
    assert isinstance(nodes, list)
    assert isinstance(edges, list)
    sensor = next(node["id"] for node in nodes if node["label"] == "sensor")
    assert next(edge["messages_per_s"] for edge in edges if edge["source"] == sensor) > 10


def test_what_core_does_not_offer_is_said_and_not_faked(admin: Browser) -> None:
    answer = admin.get("bridges")
    assert answer.status in (200, 501)
    if answer.status == 501:
        assert (answer.code, answer.headers["content-type"]) == ("unavailable", "application/problem+json")


def test_base64_that_is_none_is_refused(admin: Browser) -> None:
    bad = admin.post("live/publish", {"subject": "a", "data": "***", "encoding": "base64"})
    assert (bad.status, bad.code) == (422, "invalid")
    good = base64.b64encode(b"\x00\xff").decode()
    assert admin.post("live/publish", {"subject": "a", "data": good, "encoding": "base64"}).status == 200
    assert admin.post("live/publish", {"subject": "a.*"}).code == "invalid_subject"
    assert admin.post("live/publish", {"subject": "a", "headers": {"a b": "c"}}).code == "invalid_header"
