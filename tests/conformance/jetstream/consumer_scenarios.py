"""Conversations about consumers; see `scenarios`."""

from __future__ import annotations

import asyncio
import json

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from tests.conformance.jetstream.scenarios import (
    Collector,
    Observations,
    api,
    consumer,
    progress,
    publish,
    pull,
    scenario,
    seen,
    state,
    stream,
)


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
    await consumer(client, "S", "C", ack_wait=1_000_000_000)
    advisories = await Collector(client, "$JS.EVENT.ADVISORY.CONSUMER.>").start()
    inbox = await Collector(client, "got").start()
    await pull(client, inbox, "S", "C", batch=6)
    await inbox.arrived(6)
    messages, inbox.messages = inbox.messages, []
    out: Observations = [seen(message) for message in messages]
    answers = [b"+ACK", b"-NAK", b'-NAK {"delay":300000000}', b"+TERM why", b"+WPI", b""]
    for message, answer in zip(messages, answers, strict=True):
        out.append((await client.request(message.reply, answer, timeout=1)).data)
        out.append(await progress(client, "S", "C"))
    # First the two negative acknowledgements, then the two whose time is up.
    for _ in range(2):
        await pull(client, inbox, "S", "C", batch=2, expires=4_000_000_000)
        await inbox.arrived(2)
        replies, inbox.messages = [message.reply for message in inbox.messages], []
        out.append(sorted(reply.split(".")[4:6] for reply in replies))
        for reply in replies:
            await client.request(reply, b"+ACK", timeout=1)
    out.append(await progress(client, "S", "C"))
    for advisory in await advisories.wait(4, 0.3):
        event = json.loads(str(advisory[2]))
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
    configs: tuple[dict[str, object], ...] = (
        {},
        {"deliver_policy": "last"},
        {"deliver_policy": "last", "filter_subject": "s.b"},
        {"deliver_policy": "new"},
        {"deliver_policy": "by_start_sequence", "opt_start_seq": 1},
        {"deliver_policy": "by_start_sequence", "opt_start_seq": 5, "filter_subject": "s.d"},
        {"deliver_policy": "by_start_sequence", "opt_start_seq": 50},
        {"deliver_policy": "by_start_time", "opt_start_time": "2020-01-01T00:00:00Z"},
        # What Go clients send for a time that was not set.
        {"deliver_policy": "by_start_time", "opt_start_time": "0001-01-01T00:00:00Z"},
        {"deliver_policy": "by_start_time", "opt_start_time": "2040-01-01T00:00:00Z"},
        {"deliver_policy": "last_per_subject", "filter_subject": "s.>"},
        {"deliver_policy": "last_per_subject", "filter_subjects": ["s.a", "s.c"]},
        {"filter_subjects": ["s.a", "s.d"]},
    )
    for index, config in enumerate(configs):
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
    await pull(client, inbox, "S", "C", batch=1)
    out: Observations = [await inbox.wait(1, 0.2)]
    await api(client, "CONSUMER.PAUSE.S.C")
    # The real server delivers after a resume only once something else happens; ours at once.
    await pull(client, inbox, "S", "C", batch=1)
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
    await inbox.arrived(1)
    await client.request(inbox.messages[0].reply, b"", timeout=1)
    event = json.loads(str((await metrics.wait(1))[0][2]))
    event["ack_time"] = event["ack_time"] > 0
    out: Observations = [{key: value for key, value in event.items() if key not in ("id", "timestamp")}]
    # The real server adds up to a second to the threshold.
    await asyncio.sleep(2.5)
    out.append(await api(client, "CONSUMER.INFO.S.C"))
    return out


@scenario("JC11")
async def pending_limit(client: Client) -> Observations:
    await stream(client, "S")
    for index in range(6):
        await publish(client, "s.a", b"%d" % index)
    await consumer(client, "S", "C", max_ack_pending=2)
    inbox = await Collector(client, "got").start()
    await pull(client, inbox, "S", "C", batch=6)
    await inbox.arrived(2)
    await asyncio.sleep(0.2)
    out: Observations = [seen(message) for message in inbox.messages]
    out.append(await progress(client, "S", "C"))
    messages, inbox.messages = inbox.messages, []
    await client.request(messages[1].reply, b"", timeout=1)
    out.append(await inbox.wait(1))
    await client.request(messages[0].reply, b"-NAK", timeout=1)
    out += [await inbox.wait(1), await progress(client, "S", "C")]
    return out


@scenario("JC26")
async def long_ack_subjects(client: Client) -> Observations:
    await stream(client, "S")
    for index in range(4):
        await publish(client, "s.a", b"%d" % index)
    await consumer(client, "S", "C")
    inbox = await Collector(client, "got").start()
    await pull(client, inbox, "S", "C", batch=4)
    await inbox.arrived(4)
    messages, inbox.messages = inbox.messages, []
    out: Observations = []
    account = "NUmM6cRx"
    for message, answer in zip(messages, (b"+ACK", b"-NAK", b"+TERM", b"+WPI"), strict=True):
        numbers = message.reply.split(".", 4)[4]
        for prefix in (f"$JS.ACK._.{account}.S.C.{numbers}.token", f"$JS.ACK._.{account}.S.C.{numbers}"):
            try:
                out.append((await client.request(prefix, answer, timeout=0.3)).data)
            except (nats.errors.TimeoutError, nats.errors.NoRespondersError) as error:
                out.append(type(error).__name__)
        out.append(await progress(client, "S", "C"))
    return out


async def ordered(client: Client, start: int) -> None:
    """What clients make of an ordered consumer: nothing to acknowledge, in memory, from a sequence on."""
    config = {
        "deliver_policy": "by_start_sequence",
        "opt_start_seq": start,
        "ack_policy": "none",
        "max_deliver": 1,
        "flow_control": True,
        "idle_heartbeat": 200_000_000,
        "deliver_subject": "ordered",
        "mem_storage": True,
        "inactive_threshold": 2_000_000_000,
    }
    name = f"ORD{start}"
    body = {"stream_name": "S", "config": {**config, "name": name}, "action": "create"}
    response = await api(client, f"CONSUMER.CREATE.S.{name}", body)
    assert "error" not in response, response


@scenario("JC06")
async def ordered_consumers(client: Client) -> Observations:
    """The consumer goes while messages come; heartbeats end, the client makes a new one where it stood."""
    await stream(client, "S")
    for index in range(5):
        await publish(client, "s.a", b"%d" % index)
    inbox = await Collector(client, "ordered").start()
    await ordered(client, 1)
    out: Observations = [await inbox.wait(5)]
    (heartbeat,) = await inbox.wait(1)
    out.append(heartbeat)
    await api(client, "CONSUMER.DELETE.S.ORD1")
    await asyncio.sleep(0.1)
    inbox.messages.clear()
    for index in range(5, 8):
        await publish(client, "s.a", b"%d" % index)
    out.append(await inbox.wait(1, 0.5))
    await ordered(client, 6)
    out.append(await inbox.wait(3))
    # A pull consumer that goes says so to who waits.
    config = {"name": "PULL", "ack_policy": "none", "mem_storage": True, "deliver_policy": "new"}
    await api(client, "CONSUMER.CREATE.S.PULL", {"stream_name": "S", "config": config})
    waiting = await Collector(client, "waiting").start()
    await pull(client, waiting, "S", "PULL", batch=1, expires=5_000_000_000, idle_heartbeat=2_000_000_000)
    # The real server takes requests and deletions in queues of their own.
    await asyncio.sleep(0.2)
    await api(client, "CONSUMER.DELETE.S.PULL")
    out.append(await waiting.wait(1))
    return out
