"""Requests to the box: names, envelopes, refusals, who may ask, and that nothing a handler does ends the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from leafbox.broker.account import Account
from leafbox.dataplane.routing import Receiver
from leafbox.monitoring.box_services import WAITING_MAX, BoxServices
from leafbox.protocol.errors import BoxRequestFailed, StoreError
from leafbox.protocol.jetstream.go_json import JsonObject

pytestmark = pytest.mark.capability("AP08")


async def answers(
    register: Callable[[BoxServices], None], requests: list[tuple[str, bytes]], *, may_ask: bool = True
) -> list[JsonObject]:
    """What comes back for (name, payload) requests, in the order of the answers."""
    account = Account("$SYS")
    got: list[JsonObject] = []

    def take(subject: bytes, reply: bytes, header: bytes, payload: bytes, origin: Receiver | None) -> None:
        got.append(msgspec.json.decode(payload))

    account.subscribe(b"answers", take)
    async with asyncio.TaskGroup() as tasks:
        services = BoxServices(tasks, lambda origin: may_ask)
        register(services)
        services.start(account)
        for name, payload in requests:
            account.publish(f"$LEAFBOX.{name}".encode(), payload, b"answers")
    return got


def code(answer: JsonObject) -> object:
    error = answer["error"]
    assert isinstance(error, dict)
    return error["code"]


def test_handlers_of_both_kinds_answer() -> None:
    async def later(request: JsonObject) -> JsonObject:
        await asyncio.sleep(0)
        return {"later": request["n"]}

    def register(services: BoxServices) -> None:
        services.add("one.now", lambda request: {"now": request["n"]})
        services.add("one.later", later)

    got = asyncio.run(answers(register, [("one.later", b'{"n":1}'), ("one.now", b'{"n":2}')]))
    assert got == [{"now": 2}, {"later": 1}]


def test_refusals_say_what_and_what_next() -> None:
    def refuse(request: JsonObject) -> JsonObject:
        raise BoxRequestFailed("not_found", "there is no x", "make one")

    def fail(request: JsonObject) -> JsonObject:
        raise StoreError("flash is full")

    async def defect(request: JsonObject) -> JsonObject:
        raise KeyError("secret")

    def register(services: BoxServices) -> None:
        services.add("a.refuse", refuse)
        services.add("a.fail", fail)
        services.add("a.defect", defect)

    requests = [("a.refuse", b""), ("a.fail", b"{}"), ("a.none", b""), ("a.fail", b"["), ("a.fail", b"[]")]
    got = asyncio.run(answers(register, [*requests, ("a.defect", b"")]))
    assert got[0] == {"error": {"code": "not_found", "description": "there is no x", "next_step": "make one"}}
    assert [code(answer) for answer in got] == ["not_found", "failed", "unavailable", "invalid", "invalid", "internal"]
    assert "secret" not in str(got)


def test_others_than_the_box_get_no_answer() -> None:
    assert asyncio.run(answers(lambda services: None, [("services.list", b"")], may_ask=False)) == []


def test_waiting_requests_are_bounded() -> None:
    async def scenario() -> list[object]:
        gate = asyncio.Event()

        async def wait(request: JsonObject) -> JsonObject:
            await gate.wait()
            return {}

        def register(services: BoxServices) -> None:
            services.add("a.wait", wait)
            asyncio.get_running_loop().call_later(0.05, gate.set)

        got = await answers(register, [("a.wait", b"")] * (WAITING_MAX + 1))
        return [code(answer) if "error" in answer else "ok" for answer in got]

    assert asyncio.run(scenario()) == ["busy", *["ok"] * WAITING_MAX]


def test_events_reach_those_who_listen() -> None:
    async def scenario() -> list[bytes]:
        account = Account("$SYS")
        got: list[bytes] = []
        async with asyncio.TaskGroup() as tasks:
            services = BoxServices(tasks, lambda origin: True)
            services.start(account)
            assert not services.has_listeners("status")
            services.emit("status", {"lost": 1})
            account.subscribe(
                b"$LEAFBOX.events.on.>", lambda subject, reply, header, payload, origin: got.append(payload)
            )
            assert services.has_listeners("status")
            services.emit("status", {"n": 1})
        return got

    assert asyncio.run(scenario()) == [b'{"n":1}']


def test_inside_the_process_the_same_handlers_are_called() -> None:
    async def scenario() -> JsonObject:
        async with asyncio.TaskGroup() as tasks:
            services = BoxServices(tasks, lambda origin: True)
            services.add("a.b", lambda request: request)
            with pytest.raises(BoxRequestFailed, match="does not offer a"):
                await services.call("a.c", {})
            return await services.call("a.b", {"n": 1})

    assert asyncio.run(scenario()) == {"n": 1}
