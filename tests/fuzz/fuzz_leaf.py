"""Leaf links: any bytes from a peer, cut anywhere; and what one link sends, another must read back.

Two links and a client share an account. Whatever the first link makes of the bytes, the second one passes on, and a
third, on an account of its own, must understand all of it.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from leafbox.dataplane.connection import Engine
from leafbox.dataplane.leaf_connection import LeafConnection
from leafbox.dataplane.routing import AccountPlane, CallbackReceiver, Subscription
from leafbox.dataplane.subjects import is_valid_subject
from tests.fuzz.choices import Choices
from tests.support.memory_transport import ManualLoop, MemoryTransport
from tests.support.parser_check import cut

SEEDS = [
    b"\x00LS+ a.b\r\nLS+ a.* q 3\r\nLMSG a.b 2\r\nhi\r\nLS- a.b\r\nPING\r\n",
    b"\x01\x08LMSG a.b r 2\r\nhi\r\nLMSG a.b + r q 2\r\nhi\r\nLMSG a.b | q p 0\r\n\r\n",
    b"\x02\x05\x30HMSG a.b r 12 14\r\nNATS/1.0\r\n\r\nhi\r\nINFO {}\r\nCONNECT {}\r\n-ERR 'x'\r\n",
    b"\x00LMSG in $JS.ACK.s.c.1.2.3.4.5@a.b 2\r\nhi\r\nPONG\r\n+OK\r\n",
]

Event = tuple[Any, ...]


class ScriptedLink(LeafConnection, asyncio.BufferedProtocol):
    """A link that puts the peer's interest into its account and ends on violations."""

    def __init__(self, engine: Engine, account: AccountPlane) -> None:
        super().__init__(engine)
        self.account = account
        self.headers = True
        self.max_payload = 600
        self.max_control_line = 256
        self.events: list[Event] = []
        self.interest: dict[tuple[bytes, bytes | None], Subscription] = {}

    def on_interest(self, subject: bytes, queue: bytes | None, weight: int) -> None:
        self.events.append(("interest", subject, queue, weight))
        if self.account is None or not is_valid_subject(subject):
            return
        subscription = self.interest.get((subject, queue))
        if subscription is None:
            subscription = self.interest[subject, queue] = Subscription(self.account, self, subject, queue)
            self.account.sublist.insert(subject, queue, subscription)
        subscription.queue_weight = weight

    def on_interest_gone(self, subject: bytes, queue: bytes | None) -> None:
        self.events.append(("gone", subject, queue))
        subscription = self.interest.pop((subject, queue), None)
        if subscription is not None:
            subscription.closed = True
            subscription.account.sublist.remove(subject, queue, subscription)

    def on_info(self, text: bytes) -> None:
        self.events.append(("info", text))

    def on_connect(self, options: bytes) -> None:
        self.events.append(("connect", options))

    def on_violation(self, text: str, reason: str) -> None:
        self.events.append(("violation", text, reason))
        self.close(reason, f"-ERR '{text}'\r\n".encode())


def listen(account: AccountPlane, events: list[Event]) -> None:
    """Note every message."""

    def take(subject: bytes, reply: bytes, header: bytes, payload: bytes, origin: object) -> None:
        events.append(("message", subject, reply, header, payload))

    for queue in (None, b"q"):
        account.sublist.insert(b">", queue, Subscription(account, CallbackReceiver(take), b">", queue))


def play(chunks: list[bytes]) -> tuple[list[Event], bytes]:
    """What happened, and what went out over the second link."""
    loop = ManualLoop()
    engine, account = Engine(loop.as_loop), AccountPlane()
    first, second = ScriptedLink(engine, account), ScriptedLink(engine, account)
    wires = [MemoryTransport(loop, link) for link in (first, second)]
    for wire in wires:
        wire.connect()
    listen(account, first.events)
    second.on_interest(b">", None, 1)
    second.on_interest(b"a.*", b"p", 2)
    for chunk in chunks:
        wires[0].receive(chunk)
    loop.run_ready()
    assert loop.errors == []
    account.sublist.clear()
    return first.events, wires[1].take_output()


def one_input(data: bytes) -> None:
    """Cuts, then what the peer sends."""
    choices = Choices(data)
    cuts = [choices.number(512) for _ in range(choices.number(6))]
    sent = choices.rest()
    events, passed_on = play(cut(sent, cuts))
    whole, whole_passed_on = play([sent])
    if not any(event[0] == "violation" for event in events + whole):
        assert (events, passed_on) == (whole, whole_passed_on)
    read_back, _ = play([passed_on])
    assert not any(event[0] == "violation" for event in read_back), passed_on
    # A subject with an empty token reaches nobody; the others arrive as they left.
    assert len(re.findall(rb"[LH]MSG ", passed_on)) >= sum(event[0] == "message" for event in read_back) // 2
