"""Plays a byte script to a client connection and says what the naive parser expects of it."""

from __future__ import annotations

from leafbox.dataplane.routing import CallbackReceiver, Subscription
from tests.support.parser_model import Event, Limits, operations_of
from tests.support.playbook import Playbook, ScriptedClient
from tests.support.subject_model import tokens_of

LIMITS = Limits(payload_max=600, control_line_max=128)
"""Small, so that short scripts reach them."""


def play(chunks: list[bytes]) -> tuple[list[Event], bytes, ScriptedClient]:
    """Feed the chunks to a connection: what happened, what it answered, and the connection."""
    book = Playbook()
    actor = book.client(max_payload=LIMITS.payload_max, max_control_line=LIMITS.control_line_max)
    connection = actor.connection

    def published(subject: bytes, reply: bytes, header: bytes, payload: bytes, origin: object) -> None:
        if origin is connection:
            connection.events.append(("publish", subject, reply, header, payload))

    book.account.sublist.insert(b">", None, Subscription(book.account, CallbackReceiver(published), b">"))
    for chunk in chunks:
        actor.wire.receive(chunk)
        if len(chunk) % 3 == 0:
            book.loop.run_ready()
    output = actor.hears()
    book.close()
    assert book.loop.errors == []
    assert connection.closed is actor.is_gone
    seen = [
        event for event in connection.events if event[0] not in ("connected", "first pong", "closing", "disconnected")
    ]
    if any(event[0] == "subscribe" and event[2] is not None for event in seen):
        # Which member of a queue group gets a message is chance.
        output = b""
    return seen, output, connection


def expected_events(script: bytes) -> list[Event]:
    """The naive parser's events, without those that leave no trace here or are not the parser's to decide."""
    return [event for event in operations_of(script, LIMITS) if event[0] != "ping" and not goes_nowhere(event)]


def goes_nowhere(event: Event) -> bool:
    """A publish whose subject has an empty token, or whose subject or reply is reserved."""
    if event[0] != "publish":
        return False
    _, subject, reply, _, _ = event
    reserved = subject.startswith(b"_GR_.") or reply.startswith((b"_R_.", b"_GR_.", b"$JS.ACK."))
    return reserved or not all(tokens_of(subject))


def comparable(events: list[Event]) -> list[Event]:
    """The parser's part of what happened on a connection."""
    return [event for event in events if event[0] not in ("exhausted", "reply denied", "publish denied")]


def cut(script: bytes, cuts: list[int]) -> list[bytes]:
    """The script in pieces, ending at the given positions."""
    at = sorted({position for position in cuts if 0 < position < len(script)})
    return [script[start:end] for start, end in zip([0, *at], [*at, len(script)], strict=True)]
