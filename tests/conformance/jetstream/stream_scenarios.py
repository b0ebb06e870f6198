"""Conversations about publishing and streams; see `scenarios`."""

from __future__ import annotations

import asyncio
import base64
import json
import re

from nats.aio.client import Client

from tests.conformance.jetstream.scenarios import (
    Collector,
    Observations,
    api,
    consumer,
    publish,
    pull,
    scenario,
    seen,
    state,
    stream,
)


@scenario("JS27", "JS11")
async def atomic_batches(client: Client) -> Observations:
    await stream(client, "S", allow_atomic=True, allow_direct=True)
    await stream(client, "N")
    abandoned = await Collector(client, "$JS.EVENT.ADVISORY.STREAM.BATCH_ABANDONED.S").start()
    out: Observations = []

    async def send(batch: str, sequence: int | None, subject: str = "s.a", **more: str) -> None:
        numbered = {"Nats_Batch_Sequence": str(sequence)} if sequence is not None else {}
        out.append(await publish(client, subject, b"m", Nats_Batch_Id=batch, **numbered, **more))

    await send("b1", 1)
    await send("b1", 2)
    await send("b1", 3, Nats_Batch_Commit="1")
    await send("b2", 1)
    await send("b2", 2)
    await send("b2", 3, Nats_Batch_Commit="eob")
    await send("b3", 1)
    await send("b3", 3)
    await send("b4", 2)
    await send("b5", None)
    await send("x" * 65, 1)
    await send("b6", 1)
    await send("b6", 2, Nats_Batch_Commit="junk")
    await send("b7", 1, Nats_Expected_Last_Sequence="5")
    await send("b7", 2, Nats_Expected_Last_Sequence="6", Nats_Batch_Commit="1")
    await send("b8", 1, Nats_Expected_Last_Sequence="99")
    await send("b8", 2, Nats_Batch_Commit="1")
    await send("b9", 1, Nats_Msg_Id="one")
    await send("b9", 2, Nats_Msg_Id="one", Nats_Batch_Commit="1")
    await send("b10", 1, Nats_Expected_Last_Msg_Id="one")
    await send("b10", 2, Nats_Batch_Commit="1")
    await send("c1", 1, Nats_Batch_Commit="1")
    await send("n1", 1, "n.a")
    out.append(await state(client, "S"))
    out.extend(json.loads(str(message[2]))["reason"] for message in await abandoned.wait(1))
    return out


@scenario("JS28")
async def fast_batches(client: Client) -> Observations:
    await stream(client, "S", allow_batched=True)
    await stream(client, "N")
    out: Observations = []

    async def send(batch: str, gap: str, sequence: int, operation: int, subject: str = "s.a", expect: int = 1) -> None:
        reply = f"_INBOX.f.{batch}.5.{gap}.{sequence}.{operation}.$FI"
        inbox = await Collector(client, reply).start()
        await client.publish(subject, b"m", reply=reply)
        for message in await inbox.wait(expect, 0.4):
            out.append((batch, sequence, operation, re.sub(r'"msgs":\d+', '"msgs":n', str(message[2]))))

    await send("a", "fail", 1, 0)
    await send("a", "fail", 2, 2)
    await send("b", "fail", 1, 0)
    await send("b", "fail", 2, 3)
    await send("c", "fail", 1, 0)
    await send("c", "fail", 5, 1, expect=2)
    await send("d", "ok", 1, 0)
    await send("d", "ok", 5, 1)
    await send("d", "ok", 6, 2)
    await send("e", "fail", 2, 1)
    await send("f", "fail", 1, 2)
    await send("g", "bad", 1, 0)
    await send("h", "fail", 1, 9)
    await send("i", "fail", 1, 0, "n.a")
    out.append(await state(client, "S"))
    return out


@scenario("JS24", "JS25", "JS05")
async def ttl_and_markers(client: Client) -> Observations:
    await stream(client, "S", allow_msg_ttl=True, allow_direct=True)
    await stream(client, "M", max_age=2_000_000_000, subject_delete_marker_ttl=5_000_000_000, allow_msg_ttl=True)
    out: Observations = [
        await publish(client, "s.a", b"1", Nats_TTL="1"),
        await publish(client, "s.b", b"2", Nats_TTL="1s"),
        await publish(client, "s.c", b"3", Nats_TTL="never"),
        await publish(client, "s.d", b"4"),
        await publish(client, "m.a", b"1"),
        await publish(client, "m.a", b"2"),
        await publish(client, "m.b", b"3", Nats_TTL="never"),
        await publish(client, "m.c", b"3", Nats_TTL="2s"),
        await state(client, "S"),
    ]
    await asyncio.sleep(2.6)
    out.append(await state(client, "S"))
    out.append(await state(client, "M"))
    got = await api(client, "STREAM.MSG.GET.M", {"last_by_subj": "m.a"})
    out.append({key: value for key, value in got["message"].items() if key != "time"})
    return out


@scenario("JS29", "JS30")
async def schedules(client: Client) -> Observations:
    await stream(client, "S", allow_msg_schedules=True, allow_msg_ttl=True)
    fired = await Collector(client, "s.out.>").start()
    every = {"Nats_Schedule": "@every 1s", "Nats_Schedule_Target": "s.out.b"}
    out: Observations = [
        await publish(
            client, "s.x.a", b"once", Nats_Schedule="@at 2020-01-01T00:00:00Z", Nats_Schedule_Target="s.out.a"
        ),
        await publish(client, "s.x.b", b"often", My="h", **every),
        await publish(client, "s.x.c", b"", Nats_Schedule="@every 1s"),
        await publish(client, "s.x.c", b"", Nats_Schedule="@every 1ms", Nats_Schedule_Target="s.out.a"),
        await publish(client, "s.x.c", b"", Nats_Schedule="junk", Nats_Schedule_Target="s.out.a"),
        await publish(client, "s.x.c", b"", Nats_Schedule="@hourly", Nats_Schedule_Target="s.x.c"),
        await publish(client, "s.x.c", b"", Nats_Schedule="@hourly", Nats_Schedule_Target="other"),
        await publish(
            client, "s.x.c", b"", Nats_Schedule="@hourly", Nats_Schedule_Target="s.out.a", Nats_Schedule_TTL="x"
        ),
        await publish(
            client, "s.x.c", b"", Nats_Schedule="@hourly", Nats_Schedule_Target="s.out.a", Nats_Schedule_Time_Zone="X/Y"
        ),
        await publish(client, "s.x.c", b"", Nats_Schedule="0 0 0 1 1 *", Nats_Schedule_Target="s.out.a"),
        await publish(client, "s.x.c", b"", Nats_Scheduler="s.x.b"),
        await publish(client, "s.z", b"", Nats_Scheduler="s.x.c", Nats_Schedule_Next="purge"),
    ]
    await asyncio.sleep(2.4)
    await consumer(client, "S", "C", filter_subject="s.out.>")
    inbox = await Collector(client, "got").start()
    await pull(client, inbox, "S", "C", batch=2, expires=2_000_000_000)
    out.extend(message[:3] for message in await inbox.wait(2))
    out.append(len(await fired.wait(1, 0.1)))
    counts = (await state(client, "S"))["subjects"]
    assert isinstance(counts, dict)
    out.append({subject: count for subject, count in counts.items() if subject != "s.out.b"})
    return out


@scenario("JS19", "JS22")
async def republish_and_transform(client: Client) -> Observations:
    await stream(
        client,
        "S",
        subject_transform={"src": "s.*", "dest": "t.{{wildcard(1)}}"},
        republish={"src": "t.>", "dest": "r.>"},
    )
    await stream(client, "H", republish={"src": "h.*", "dest": "hr.{{wildcard(1)}}", "headers_only": True})
    inbox = await Collector(client, "r.>").start()
    bare = await Collector(client, "hr.>").start()
    out: Observations = [
        await publish(client, "s.a", b"1"),
        await publish(client, "s.a", b"2", My="h"),
        await publish(client, "s.a.b", b"3"),
        await publish(client, "h.a", b"12345"),
    ]
    out.extend(message[:3] for message in await inbox.wait(2))
    out.extend(message[:3] for message in await bare.wait(1))
    out.append(await state(client, "S"))
    return out


@scenario("JS04", "JS05", "JC24")
async def interest_and_workqueue(client: Client) -> Observations:
    await stream(client, "I", retention="interest")
    await stream(client, "W", retention="workqueue")
    out: Observations = [await publish(client, "i.a"), await state(client, "I")]
    await consumer(client, "I", "A", filter_subject="i.a")
    await consumer(client, "I", "B")
    out += [await publish(client, "i.a"), await publish(client, "i.b"), await state(client, "I")]
    await consumer(client, "W", "C")
    out += [await publish(client, "w.a"), await publish(client, "w.b"), await state(client, "W")]
    inbox = await Collector(client, "got").start()
    for name, owner in (("I", "A"), ("I", "B"), ("I", "B"), ("W", "C")):
        await pull(client, inbox, name, owner)
        await inbox.wait(0)
        await inbox.arrived(1)
        message = inbox.messages.pop()
        out.append(seen(message))
        await client.request(message.reply, b"+ACK", timeout=1)
        out.append(await state(client, name))
    out.append(await api(client, "CONSUMER.DELETE.I.A"))
    await consumer(client, "I", "D", filter_subject="i.zz")
    await publish(client, "i.zz")
    out.append(await state(client, "I"))
    await api(client, "CONSUMER.DELETE.I.D")
    await asyncio.sleep(0.2)
    out.append((await state(client, "I"))["messages"])
    return out


@scenario("JS20", "JS21")
async def direct_get_batches(client: Client) -> Observations:
    await stream(client, "S", allow_direct=True)
    for index in range(6):
        await publish(client, f"s.{'abc'[index % 3]}", b"%d" % index, **({"My": "h"} if index % 2 else {}))
    await api(client, "STREAM.MSG.DELETE.S", {"seq": 3})
    out: Observations = []
    for index, request in enumerate(
        (
            {"seq": 1, "batch": 3},
            {"next_by_subj": "s.a", "batch": 5},
            {"next_by_subj": "s.*", "seq": 2, "batch": 2},
            {"multi_last": ["s.a", "s.b"]},
            {"multi_last": ["s.>"], "up_to_seq": 4},
            {"multi_last": ["s.>"], "batch": 2},
            {"multi_last": ["zz"]},
            {"seq": 99, "batch": 2},
            {"seq": 1, "batch": 10, "max_bytes": 20},
            {"start_time": "2020-01-01T00:00:00Z", "batch": 2},
            {"next_by_subj": "s.b", "seq": 4},
        )
    ):
        inbox = await Collector(client, f"dg.{index}").start()
        await client.publish("$JS.API.DIRECT.GET.S", json.dumps(request).encode(), reply=inbox.subject)
        out.append((str(request), [message[1:3] for message in await inbox.wait(8, 0.15)]))
    return out


@scenario("JS31", "JS32")
async def mirrors_and_sources(client: Client) -> Observations:
    await stream(client, "O")
    for index in range(4):
        await publish(client, f"o.{'ab'[index % 2]}", b"%d" % index)
    await api(client, "STREAM.MSG.DELETE.O", {"seq": 2})
    out: Observations = []
    for name, config in (
        ("M", {"mirror": {"name": "O"}}),
        ("F", {"mirror": {"name": "O", "filter_subject": "o.a"}}),
        ("X", {"sources": [{"name": "O", "filter_subject": "o.b"}], "subjects": ["x.>"]}),
        ("T", {"sources": [{"name": "O", "subject_transforms": [{"src": "o.*", "dest": "t.{{wildcard(1)}}"}]}]}),
    ):
        response = await api(client, f"STREAM.CREATE.{name}", {"name": name, **config})
        assert "error" not in response, response
    await publish(client, "o.b", b"later", My="h")
    await asyncio.sleep(1.0)
    for name in "MFXT":
        out.append(await state(client, name))
        seq = 0
        while True:
            got = await api(client, f"STREAM.MSG.GET.{name}", {"next_by_subj": ">", "seq": seq + 1})
            if "error" in got:
                break
            seq = got["message"]["seq"]
            out.append({key: value for key, value in got["message"].items() if key not in ("time", "hdrs")})
            # The last word is a hash over the origin's creation time.
            header = base64.b64decode(got["message"].get("hdrs", "")).decode()
            out.append(re.sub(r"(Nats-Stream-Source: .*) \w+", r"\1", header))
    out.append(
        await api(client, "STREAM.UPDATE.M", {"name": "M", "subjects": ["m.>"]}) and await publish(client, "m.a")
    )
    return out


@scenario("JS38")
async def stream_advisories(client: Client) -> Observations:
    events = await Collector(client, "$JS.EVENT.ADVISORY.>").start()
    await stream(client, "S")
    await api(client, "STREAM.UPDATE.S", {"name": "S", "subjects": ["s.>"], "description": "d"})
    await consumer(client, "S", "C")
    await api(client, "CONSUMER.DELETE.S.C")
    await api(client, "STREAM.DELETE.S")
    out: Observations = []
    for message in await events.wait(10, 0.5):
        event = json.loads(str(message[2]))
        event["id"] = event["timestamp"] = ""
        if "client" in event:
            event["client"] = sorted(event["client"])
            event["response"] = event.get("request", "")
        out.append((message[0], list(event.items())))
    return sorted(out, key=str)
