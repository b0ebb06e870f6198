"""Who gets what: wildcards, queue groups, replies, no responders, headers on and off (core-protocol 2.2-2.4)."""

from __future__ import annotations

from tests.conformance.nats.scripts.notation import HEADERS, MODERN, QUIET, connect, hpub, pub, script
from tests.support.differential import Step

_PATTERNS = (
    b"room",
    b"room.a",
    b"room.*",
    b"room.>",
    b"room.*.*",
    b"room.*.b",
    b"room.a.*",
    b"room.a.>",
    b"room.*.>",
    b"room.a.*.>",
    b"room.*.b.*",
    b"room.*.*.c",
    b"room.*.*.>",
    b"room.a*",
    b"room.*a",
    b"room.a>",
    b"room.A",
)
_SUBJECTS = (
    b"room",
    b"room.a",
    b"room.b",
    b"room.a.b",
    b"room.a.c",
    b"room.b.b",
    b"room.a.b.c",
    b"room.x.b.c",
    b"room.a.b.c.d",
    b"room.a*",
    b"room.a>",
    b"room.*",
    b"room.>",
    b"room.a.*",
    b"room..b",
    b"room.",
    b"room.A",
)
_ROOTED = (b"*", b">", b"*.a", b"*.>", b"*.*", b"*.*.b")
_ALL = b"".join(pub(subject, b"%d" % index) for index, subject in enumerate(_SUBJECTS))
_SIX = b"".join(pub(b"room", b"%d" % index) for index in range(6))

SCRIPTS = [
    *(
        script(f"pattern {p!r}", ("b", QUIET + b"SUB " + p + b" 1\r\n"), ("a", QUIET + _ALL), rows="C06")
        for p in _PATTERNS
    ),
    *(
        script(f"root {p!r}", ("b", QUIET + b"SUB " + p + b" 1\r\n"), ("a", QUIET + _ALL), rows="C06", exclusive=True)
        for p in _ROOTED
    ),
    *(
        script(
            f"pattern {p!r} after the subject was already routed",
            ("a", QUIET + pub(b"room.a.b", b"early")),
            ("b", QUIET + b"SUB " + p + b" 1\r\n"),
            ("a", pub(b"room.a.b", b"late")),
            ("b", b"UNSUB 1\r\n"),
            ("a", pub(b"room.a.b", b"later")),
            rows="C06",
        )
        for p in (b"room.a.b", b"room.*.b", b"room.>")
    ),
    script(
        "overlapping patterns on one connection",
        ("b", QUIET + b"SUB room.a 1\r\nSUB room.* 2\r\nSUB room.> 3\r\n"),
        ("a", QUIET + pub(b"room.a", b"1") + pub(b"room.b", b"2")),
        rows="C06",
        pooled=("b",),
    ),
    script(
        "same subject twice on one connection",
        ("b", QUIET + b"SUB room 1\r\nSUB room 2\r\n"),
        ("a", QUIET + pub(b"room")),
        rows="C03",
        pooled=("b",),
    ),
    script("order on one connection", ("b", QUIET + b"SUB room 1\r\n"), ("a", QUIET + _SIX), rows="C20"),
    script(
        "a connection that left gets nothing",
        ("b", QUIET + b"SUB room 1\r\n"),
        Step("b", b"PING\r\n", hang_up=True),
        ("a", QUIET + pub(b"room")),
        rows="C03",
    ),
    # Queue groups: which member is served is a free choice, so the messages of all members are compared together.
    script(
        "one group, three members",
        *((name, QUIET + b"SUB room q 1\r\n") for name in "bcd"),
        ("a", QUIET + _SIX),
        rows="C11",
        pooled=("b", "c", "d"),
    ),
    script(
        "one group on one connection",
        ("b", QUIET + b"SUB room q 1\r\nSUB room q 2\r\nSUB room q 3\r\n"),
        ("a", QUIET + _SIX),
        rows="C11",
        pooled=("b",),
        masks_sid=True,
    ),
    script(
        "a group beside plain subscribers",
        ("b", QUIET + b"SUB room q 1\r\n"),
        ("c", QUIET + b"SUB room q 1\r\n"),
        ("d", QUIET + b"SUB room 1\r\n"),
        ("a", QUIET + _SIX),
        rows="C11",
        pooled=("b", "c"),
    ),
    script(
        "two groups",
        ("b", QUIET + b"SUB room q1 1\r\n"),
        ("c", QUIET + b"SUB room q2 1\r\n"),
        ("a", QUIET + _SIX),
        rows="C11",
    ),
    script(
        "a group with wildcards",
        ("b", QUIET + b"SUB room.* q 1\r\n"),
        ("c", QUIET + b"SUB room.* q 1\r\n"),
        ("a", QUIET + pub(b"room.a") + pub(b"room.b") + pub(b"room") + pub(b"room.a.b")),
        rows="C11",
        pooled=("b", "c"),
    ),
    script(
        "one name on two subjects is one group",
        ("b", QUIET + b"SUB room.a q 1\r\n"),
        ("c", QUIET + b"SUB room.* q 1\r\n"),
        ("a", QUIET + pub(b"room.a")),
        rows="C11",
        pooled=("b", "c"),
    ),
    script(
        "a member leaves",
        ("b", QUIET + b"SUB room q 1\r\n"),
        ("c", QUIET + b"SUB room q 1\r\n"),
        ("b", b"UNSUB 1\r\n"),
        ("a", QUIET + _SIX),
        rows="C11",
    ),
    script(
        "a member's connection ends",
        ("b", QUIET + b"SUB room q 1\r\n"),
        ("c", QUIET + b"SUB room q 1\r\n"),
        ("b", b"NONSENSE\r\n"),
        ("a", QUIET + _SIX),
        rows="C11",
    ),
    script(
        "queue names differ by case",
        QUIET + b"SUB room Q 1\r\nSUB room q 2\r\n" + pub(b"room"),
        rows="C11",
        pooled=("a",),
    ),
    # Request and reply.
    script(
        "request and reply",
        ("s", QUIET + b"SUB room.ask 1\r\n"),
        ("c", QUIET + b"SUB room.inbox.* 1\r\n"),
        ("c", pub(b"room.ask", b"?", b"room.inbox.1")),
        ("s", pub(b"room.inbox.1", b"!")),
        rows="C12",
    ),
    # No responders (core-protocol 2.4).
    script("no responders", MODERN + b"SUB room.in 1\r\n" + pub(b"room.none", b"?", b"room.in"), rows="C13"),
    script(
        "no responders, wildcard inbox",
        MODERN + b"SUB room.in.* 5\r\n" + pub(b"room.none", b"?", b"room.in.7"),
        rows="C13",
    ),
    script(
        "no responders, long subject",
        MODERN + b"SUB room.in 1\r\n" + pub(b"room." + b"x" * 200, b"", b"room.in"),
        rows="C13",
    ),
    script(
        "no responders, HPUB",
        MODERN + b"SUB room.in 1\r\n" + hpub(b"room.none", b"NATS/1.0\r\n\r\n", b"", b"room.in"),
        rows="C13",
    ),
    script("no responders, nobody listens to the reply", MODERN + pub(b"room.none", b"?", b"room.in"), rows="C13"),
    script(
        "no responders, inbox is a queue",
        MODERN + b"SUB room.in q 1\r\n" + pub(b"room.none", b"?", b"room.in"),
        rows="C13",
    ),
    script(
        "no responders, inbox twice",
        MODERN + b"SUB room.in 1\r\nSUB room.* 2\r\n" + pub(b"room.x.none", b"?", b"room.in"),
        rows="C13",
        masks_sid=True,
    ),
    script(
        "no responders not asked for", HEADERS + b"SUB room.in 1\r\n" + pub(b"room.none", b"?", b"room.in"), rows="C13"
    ),
    script("no responders without reply", MODERN + b"SUB room.in 1\r\n" + pub(b"room.none", b"?"), rows="C13"),
    script(
        "no responders, someone listens",
        ("b", QUIET + b"SUB room.none 1\r\n"),
        ("a", MODERN + b"SUB room.in 1\r\n" + pub(b"room.none", b"?", b"room.in")),
        rows="C13",
    ),
    script(
        "no responders, another connection owns the inbox",
        ("b", MODERN + b"SUB room.in 1\r\n"),
        ("a", MODERN + pub(b"room.none", b"?", b"room.in")),
        rows="C13",
    ),
    script(
        "no responders, only the requester itself with echo off",
        connect(verbose=False, headers=True, no_responders=True, echo=False)
        + b"SUB room.ask 1\r\nSUB room.in 2\r\n"
        + pub(b"room.ask", b"?", b"room.in"),
        rows="C13 C02",
    ),
    script(
        "no responders counts for auto-unsubscribe",
        MODERN + b"SUB room.in 1\r\nUNSUB 1 1\r\n" + pub(b"room.none", b"", b"room.in") * 2,
        rows="C13 C10",
    ),
    script(
        "no responders, verbose",
        connect(headers=True, no_responders=True) + b"SUB room.in 1\r\n" + pub(b"room.no", b"", b"room.in"),
        rows="C13",
    ),
    # Headers to receivers that want none.
    script(
        "headers are stripped for who has none",
        ("n", QUIET + b"SUB room 1\r\n"),
        ("h", HEADERS + b"SUB room 1\r\n"),
        ("a", HEADERS + hpub(b"room", b"NATS/1.0\r\nA: b\r\n\r\n", b"body", b"room.reply")),
        rows="C05",
    ),
    script(
        "headers and a queue of both kinds",
        ("n", QUIET + b"SUB room q 1\r\n"),
        ("a", HEADERS + hpub(b"room", b"NATS/1.0\r\nA: b\r\n\r\n", b"body")),
        rows="C05 C11",
    ),
    script(
        "a message of headers alone, stripped",
        ("n", QUIET + b"SUB room 1\r\n"),
        ("a", HEADERS + hpub(b"room", b"NATS/1.0\r\nA: b\r\n\r\n", b"")),
        rows="C05",
    ),
]
