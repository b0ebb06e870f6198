"""Several connections around one account, in any order of what can happen to them, with hooks that meddle.

Nothing is compared: the search is for crashes, for errors that escape, and for connections that do not end.
"""

from __future__ import annotations

from leafbox.dataplane.connection import Connection
from leafbox.dataplane.permissions import Permissions
from leafbox.dataplane.routing import CallbackReceiver, Receiver, Subscription
from leafbox.dataplane.websocket_framing import Deflater, WebsocketFraming
from tests.fuzz.choices import Choices
from tests.support.playbook import Actor, Playbook

SEEDS = [
    b"\x00\x00\x01\x02\x0bSUB a.* 1\r\n\x01\x02\x12PUB a.b 2\r\nhi\r\nPI\x02\x00",
    b"\x07\x03\x05\x00\x00\x10SUB > q 1\r\nPING\r\n\x05\x00\xff\x06\x01\x08\x02",
    bytes(range(1, 120)),
]
DEFLATER = Deflater()
SCRIPTS = (
    b"SUB a.* 1\r\n",
    b"SUB > q 2\r\n",
    b"SUB inbox 3\r\nUNSUB 3 2\r\n",
    b"PUB a.b 5\r\nhello\r\n",
    b"PUB a.b inbox 0\r\n\r\n",
    b"PUB service inbox 3\r\nask\r\n",
    b"HPUB a.b 12 12\r\nNATS/1.0\r\n\r\n\r\n",
    b"PUB meddle 1\r\nx\r\n",
    b"PUB a.c 70000\r\n" + b"x" * 70000 + b"\r\n",
    b"PING\r\n" * 50,
    b"CONNECT {}\r\n",
    b"PUB a.b 100",
)


def one_input(data: bytes) -> None:
    """Settings of four clients, then steps."""
    choices = Choices(data)
    book = Playbook()
    actors = [new_client(book, choices) for _ in range(4)]

    def meddle(subject: bytes, reply: bytes, header: bytes, payload: bytes, origin: Receiver | None) -> bool:
        step(book, choices, actors, depth=1)
        return choices.flag()

    for subject in (b"meddle", b"service"):
        subscription = Subscription(book.account, CallbackReceiver(meddle), subject, choices.pick((None, b"q")))
        book.account.sublist.insert(subject, subscription.queue, subscription)
    while not choices.is_exhausted:
        step(book, choices, actors, depth=0)
    for actor in actors:
        actor.connection.close("the end", b"bye")
    book.loop.advance(60)
    assert book.loop.errors == []
    assert all(actor.is_gone for actor in actors)
    assert book.engine.blocked == set()
    book.close()


def new_client(book: Playbook, choices: Choices) -> Actor:
    """A client with settings that are seldom together."""
    flags = choices.byte()
    actor = book.client(
        room=choices.pick((None, 0, 7, 100_000)),
        max_pending=choices.pick((1 << 26, 400_000, 1000)),
        verbose=bool(flags & 1),
        pedantic=bool(flags & 2),
        echo=not flags & 4,
        headers=not flags & 8,
        no_responders=bool(flags & 16),
        is_remote=bool(flags & 32),
        traces=bool(flags & 64),
        framing=WebsocketFraming(demands_mask=False, deflater=DEFLATER) if flags & 128 else None,
        permissions=choices.pick(
            (None, Permissions(publish_deny=[b"a.c"], subscribe_deny=[(b"a.b", None)], responses_max=1))
        ),
    )
    if actor.connection.permissions is not None:
        actor.connection.reply_permissions = {}
    return actor


def step(book: Playbook, choices: Choices, actors: list[Actor], depth: int) -> None:
    """One thing that can happen; inside a callback (`depth` 1) no read can begin."""
    actor = choices.pick(actors)
    connection: Connection = actor.connection
    action = choices.number(12)
    if action <= 2 and depth == 0:
        data = choices.pick(SCRIPTS) if action else choices.some_bytes(40)
        if connection.framing is not None and choices.flag():
            data = WebsocketFraming(demands_mask=False, deflater=choices.pick((None, DEFLATER))).encode(data)
        at = choices.number(300)
        for part in (data[:at], data[at:]):
            actor.wire.receive(part)
    elif action == 3:
        connection.feed(choices.pick(SCRIPTS))
    elif action == 4:
        connection.suspend()
    elif action == 5:
        connection.resume()
    elif action == 6 and depth == 0:
        book.loop.advance(choices.pick((0.0, 0.01, 3.0)))
    elif action == 7:
        book.account.publish(choices.pick((b"a.b", b"inbox", b"service")), choices.some_bytes(60), b"r", b"H")
    elif action == 8:
        connection.send(b"x" * choices.pick((1, 5000, 70_000, 300_000)))
    elif action == 9 and actor.wire.room is not None:
        actor.wire.take(choices.number(65536) * 8)
    elif action == 10:
        end(actor, choices)
    elif action == 11:
        for subscription in list(actor.connection.subscriptions.values()):
            subscription.filters_deliveries = choices.flag()
            if choices.flag():
                actor.connection.withdraw(subscription)


def end(actor: Actor, choices: Choices) -> None:
    """One of the ways."""
    how = choices.number(6)
    if how == 0:
        actor.connection.close("Kicked", b"-ERR 'x'\r\n")
    elif how == 1:
        actor.connection.abort("Kicked")
    elif how == 2:
        actor.wire.break_off(ConnectionResetError())
    elif how == 3 and not actor.connection.engine.blocked:
        actor.wire.receive_eof()
