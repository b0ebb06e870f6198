"""Conversations with JetStream whose observations must be the same on both servers.

A scenario gets a connected client and returns what it saw, without times and random ids. Waits are as short as the
behaviour allows (TTLs are whole seconds).
"""

from __future__ import annotations

import asyncio
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
    reply = await client.request(f"$JS.API.{subject}", payload, timeout=2, headers=named or None)
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

    async def start(self) -> Collector:
        async def keep(message: Msg) -> None:
            self.messages.append(message)

        await self.client.subscribe(self.subject, cb=keep)
        await self.client.flush()
        return self

    async def wait(self, count: int, timeout_s: float = 3.0) -> list[tuple[object, ...]]:
        """The first `count` messages (fewer when time is up), as `seen`."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while len(self.messages) < count and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
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


# -- publishing --------------------------------------------------------------------------------------------------------


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
    await stream(client, "M", max_age=1_000_000_000, subject_delete_marker_ttl=5_000_000_000, allow_msg_ttl=True)
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
    got = await api(client, "STREAM.MSG.GET.M", {"last_by_subj": "m.c"})
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
        while not inbox.messages:
            await asyncio.sleep(0.01)
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
            out.append({key: value for key, value in got["message"].items() if key != "time"})
    out.append(
        await api(client, "STREAM.UPDATE.M", {"name": "M", "subjects": ["m.>"]}) and await publish(client, "m.a")
    )
    return out


# -- consuming ---------------------------------------------------------------------------------------------------------


@scenario("JC01", "JC02", "JC03")
async def pull_requests(client: Client) -> Observations:
    await stream(client, "S")
    for index in range(5):
        await publish(client, "s.a", b"%d" % index)
    await consumer(client, "S", "C", max_batch=10, max_expires=1_000_000_000, max_bytes=1000, max_waiting=2)
    await consumer(client, "S", "P", deliver_subject="pushed")
    out: Observations = []
    for index, (name, body) in enumerate(
        (
            ("C", b'{"batch":11}'),
            ("C", b'{"batch":1,"expires":2000000000}'),
            ("C", b'{"batch":1,"max_bytes":2000}'),
            ("C", b'{"batch":1,"expires":100000000,"idle_heartbeat":90000000}'),
            ("C", b'{"batch":1,"group":"g","min_pending":5}'),
            ("C", b'{"batch":1,"group":"g","id":"x"}'),
            ("C", b'{"batch":1,"priority":12}'),
            ("C", b'{"batch":"x"}'),
            ("C", b'{"batch":1'),
            ("C", b"2"),
            ("C", b"junk"),
            ("C", b'{"batch":1,"max_bytes":20}'),
            ("C", b'{"batch":5,"no_wait":true}'),
            ("C", b'{"batch":5,"no_wait":true}'),
            ("C", b'{"batch":5,"expires":200000000,"idle_heartbeat":100000000}'),
            ("P", b""),
        )
    ):
        inbox = await Collector(client, f"got.{index}").start()
        await client.publish(f"$JS.API.CONSUMER.MSG.NEXT.S.{name}", body, reply=inbox.subject)
        out.append((body.decode(), await inbox.wait(6, 0.35)))
    out.append(await progress(client, "S", "C"))
    return out


@scenario("JC07", "JC08", "JC09")
async def acknowledgements(client: Client) -> Observations:
    await stream(client, "S")
    for index in range(6):
        await publish(client, "s.a", b"%d" % index)
    await consumer(client, "S", "C", ack_wait=400_000_000)
    advisories = await Collector(client, "$JS.EVENT.ADVISORY.CONSUMER.>").start()
    inbox = await Collector(client, "got").start()
    await pull(client, inbox, "S", "C", batch=6)
    while len(inbox.messages) < 6:
        await asyncio.sleep(0.01)
    messages, inbox.messages = inbox.messages, []
    out: Observations = [seen(message) for message in messages]
    answers = [b"+ACK", b"-NAK", b'-NAK {"delay":300000000}', b"+TERM why", b"+WPI", b""]
    for message, answer in zip(messages, answers, strict=True):
        out.append((await client.request(message.reply, answer, timeout=1)).data)
        out.append(await progress(client, "S", "C"))
    await pull(client, inbox, "S", "C", batch=3, expires=900_000_000)
    out.append(sorted(str(message[3]).split(".")[4:6] for message in await inbox.wait(3, 1.2)))
    out.append(await progress(client, "S", "C"))
    for message in await advisories.wait(4, 0.3):
        event = json.loads(str(message[2]))
        out.append({key: value for key, value in event.items() if key not in ("id", "timestamp")})
    return out


@scenario("JC10")
async def max_deliveries(client: Client) -> Observations:
    await stream(client, "S")
    await publish(client, "s.a")
    await consumer(client, "S", "C", backoff=[200_000_000, 300_000_000], max_deliver=2)
    advisories = await Collector(client, "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>").start()
    inbox = await Collector(client, "got").start()
    out: Observations = []
    for _ in range(3):
        await pull(client, inbox, "S", "C", batch=1, expires=500_000_000)
        out.append(await inbox.wait(1, 0.8))
        out.append(await progress(client, "S", "C"))
    await asyncio.sleep(0.5)
    for message in await advisories.wait(2, 0.3):
        event = json.loads(str(message[2]))
        out.append({key: value for key, value in event.items() if key not in ("id", "timestamp")})
    out.append(await progress(client, "S", "C"))
    return out


@scenario("JC04", "JC05", "JC14")
async def push(client: Client) -> Observations:
    await stream(client, "S")
    for index in range(3):
        await publish(client, "s.a", b"%d" % index, **({"My": "h"} if index else {}))
    inbox = await Collector(client, "pushed").start()
    await consumer(client, "S", "H", deliver_subject="pushed", headers_only=True, idle_heartbeat=300_000_000)
    out: Observations = [await inbox.wait(3), await inbox.wait(1, 0.6)]
    info = await api(client, "CONSUMER.INFO.S.H")
    out += [info.get("push_bound"), await progress(client, "S", "H")]
    await consumer(client, "S", "G", deliver_subject="grouped", deliver_group="g")
    out.append((await api(client, "CONSUMER.INFO.S.G")).get("push_bound"))
    got: list[bytes] = []

    async def keep(message: Msg) -> None:
        got.append(message.data)

    await client.subscribe("grouped", "g", cb=keep)
    await client.subscribe("grouped", "g", cb=keep)
    await asyncio.sleep(0.3)
    out += [sorted(got), (await api(client, "CONSUMER.INFO.S.G")).get("push_bound")]
    return out


@scenario("JC12", "JC13", "JC14")
async def deliver_policies(client: Client) -> Observations:
    await stream(client, "S")
    for index in range(8):
        await publish(client, f"s.{'abcd'[index % 4]}", b"%d" % index)
    await api(client, "STREAM.PURGE.S", {"seq": 3})
    out: Observations = []
    for index, config in enumerate(
        (
            {},
            {"deliver_policy": "last"},
            {"deliver_policy": "last", "filter_subject": "s.b"},
            {"deliver_policy": "new"},
            {"deliver_policy": "by_start_sequence", "opt_start_seq": 1},
            {"deliver_policy": "by_start_sequence", "opt_start_seq": 5, "filter_subject": "s.d"},
            {"deliver_policy": "by_start_sequence", "opt_start_seq": 50},
            {"deliver_policy": "by_start_time", "opt_start_time": "2020-01-01T00:00:00Z"},
            {"deliver_policy": "by_start_time", "opt_start_time": "2040-01-01T00:00:00Z"},
            {"deliver_policy": "last_per_subject", "filter_subject": "s.>"},
            {"deliver_policy": "last_per_subject", "filter_subjects": ["s.a", "s.c"]},
            {"filter_subjects": ["s.a", "s.d"]},
        )
    ):
        name = f"C{index}"
        out.append(str(config))
        await consumer(client, "S", name, **config)
        out.append(await progress(client, "S", name))
        inbox = await Collector(client, f"got.{index}").start()
        await pull(client, inbox, "S", name, batch=10, no_wait=True)
        out += [[message[2:] for message in await inbox.wait(9, 0.12)], await progress(client, "S", name)]
    return out


@scenario("JC20", "JC21", "JC22")
async def priority_groups(client: Client) -> Observations:
    await stream(client, "S")
    events = await Collector(client, "$JS.EVENT.ADVISORY.CONSUMER.>").start()
    await consumer(client, "S", "O", priority_groups=["g"], priority_policy="overflow")
    await consumer(
        client, "S", "P", priority_groups=["g"], priority_policy="pinned_client", priority_timeout=5_000_000_000
    )
    await consumer(client, "S", "R", priority_groups=["g"], priority_policy="prioritized")
    boxes = {name: await Collector(client, name).start() for name in ("o", "p1", "p2", "r0", "r1", "e")}
    await pull(client, boxes["e"], "S", "O", batch=1)
    await pull(client, boxes["e"], "S", "O", batch=1, group="zz")
    await pull(client, boxes["e"], "S", "P", batch=1, group="g", id="unknown")
    await pull(client, boxes["o"], "S", "O", batch=1, group="g", min_pending=3)
    await pull(client, boxes["p1"], "S", "P", batch=10, group="g")
    await pull(client, boxes["p2"], "S", "P", batch=10, group="g")
    await pull(client, boxes["r1"], "S", "R", batch=2, group="g", priority=1)
    await pull(client, boxes["r0"], "S", "R", batch=2, group="g", priority=0)
    await client.flush()
    out: Observations = []
    for index in range(3):
        await publish(client, "s.a", b"%d" % index)
    await asyncio.sleep(0.3)
    for name, box in boxes.items():
        out.append((name, await box.wait(len(box.messages))))
    out.append(await api(client, "CONSUMER.UNPIN.S.P", {"group": "g"}))
    await publish(client, "s.a", b"3")
    await asyncio.sleep(0.3)
    for name in ("p1", "p2"):
        out.append((name, len(await boxes[name].wait(len(boxes[name].messages)))))
    kinds = [json.loads(str(message[2]))["type"].rpartition(".")[2] for message in await events.wait(9, 0.2)]
    out.append(sorted(kinds))
    return out


@scenario("JC19", "JC23")
async def pause_and_reset(client: Client) -> Observations:
    await stream(client, "S")
    for index in range(4):
        await publish(client, "s.a", b"%d" % index)
    await consumer(client, "S", "C")
    await api(client, "CONSUMER.PAUSE.S.C", {"pause_until": "2099-01-01T00:00:00Z"})
    inbox = await Collector(client, "got").start()
    await pull(client, inbox, "S", "C", batch=2)
    out: Observations = [await inbox.wait(1, 0.2)]
    await api(client, "CONSUMER.PAUSE.S.C")
    out.append(await inbox.wait(2))
    answer = await api(client, "CONSUMER.RESET.S.C")
    out.append({key: answer[key] for key in ("reset_seq", "num_pending", "num_ack_pending", "delivered", "ack_floor")})
    answer = await api(client, "CONSUMER.RESET.S.C", {"seq": 3})
    out.append({key: answer[key] for key in ("reset_seq", "num_pending", "num_ack_pending", "delivered", "ack_floor")})
    await pull(client, inbox, "S", "C", batch=5, no_wait=True)
    out.append(await inbox.wait(3, 0.3))
    return out


@scenario("JS16", "JC07")
async def purge_moves_consumers(client: Client) -> Observations:
    await stream(client, "S")
    for index in range(8):
        await publish(client, f"s.{'ab'[index % 2]}", b"%d" % index)
    await consumer(client, "S", "A", filter_subject="s.a")
    await consumer(client, "S", "C")
    inbox = await Collector(client, "got").start()
    await pull(client, inbox, "S", "C", batch=3)
    await pull(client, inbox, "S", "A", batch=1)
    await inbox.wait(4)
    out: Observations = []
    for body in ({"filter": "s.b"}, {"seq": 4}, {"keep": 1}, None):
        out.append(await api(client, "STREAM.PURGE.S", body))
        await asyncio.sleep(0.1)
        out += [await state(client, "S"), await progress(client, "S", "A"), await progress(client, "S", "C")]
    return out


@scenario("JC15", "JC16")
async def metrics_and_inactivity(client: Client) -> Observations:
    await stream(client, "S")
    await publish(client, "s.a")
    metrics = await Collector(client, "$JS.EVENT.METRIC.CONSUMER.ACK.>").start()
    await consumer(client, "S", "C", sample_freq="100%", inactive_threshold=300_000_000)
    inbox = await Collector(client, "got").start()
    await pull(client, inbox, "S", "C")
    while not inbox.messages:
        await asyncio.sleep(0.01)
    await client.request(inbox.messages[0].reply, b"", timeout=1)
    event = json.loads(str((await metrics.wait(1))[0][2]))
    event["ack_time"] = event["ack_time"] > 0
    out: Observations = [{key: value for key, value in event.items() if key not in ("id", "timestamp")}]
    await asyncio.sleep(1.0)
    out.append(await api(client, "CONSUMER.INFO.S.C"))
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
