"""Accounts: isolation, stream and service exports and imports, as subjects and replies arrive (config 5)."""

from __future__ import annotations

from tests.conformance.nats.scripts.notation import HEADERS, hpub, login, pub, script
from tests.support.differential import REPLY, Step

CONFIGS = {
    "accounts": """
        server_name: differential
        authorization { timeout: 60 }
        accounts: {
          A: {
            users: [{user: a, password: pw}]
            exports: [
              {stream: "*.out.>"}
              {stream: "*.private.>", accounts: [B]}
              {service: "*.ask.*"}
              {service: "*.only", accounts: [B]}
              {service: "*.many", response_type: stream}
              {service: "*.chunks", response_type: chunked}
              {service: "*.shared"}
            ]
          }
          B: {
            users: [{user: b, password: pw}, {user: limited, password: pw, permissions: {
              publish: "*.asks.*", subscribe: ["_INBOX.>", "*.out.>"]}}]
            imports: [
              {stream: {account: A, subject: "*.out.>"}}
              {stream: {account: A, subject: "*.private.>"}, prefix: "from.a"}
              {service: {account: A, subject: "*.ask.*"}, to: "*.asks.*"}
              {service: {account: A, subject: "*.only"}}
              {service: {account: A, subject: "*.many"}}
              {service: {account: A, subject: "*.chunks"}}
            ]
            mappings: { "*.mapped": "$1.asks.mapped" }
          }
          C: {
            users: [{user: c, password: pw}]
            imports: [
              {stream: {account: A, subject: "*.out.*.*"}, to: "$1.got.$3.$2"}
              {service: {account: A, subject: "*.ask.*"}, to: "$2.$1.swapped"}
            ]
          }
          D: { users: [{user: d, password: pw}] }
        }
    """,
}

_ROWS = "AC01 AC02"
_SERVICE = "AC03"


_PUBLISHED = (b"room.out.x", b"room.out.x.y", b"room.private.x", b"room.other", b"room.ask.1")
_OUT = b"".join(pub(subject, subject[5:]) for subject in _PUBLISHED)

_STREAM_SUBS = (
    ("b", b"room.>"),
    ("b", b"room.out.x"),
    ("b", b"room.out.*"),
    ("b", b"room.out.>"),
    ("b", b"room.*.x"),
    ("b", b"from.a.room.>"),
    ("b", b"from.a.*.private.x"),
    ("b", b"room.private.x"),
    ("c", b"room.>"),
    ("c", b"room.got.*.*"),
    ("c", b"room.got.y.x"),
    ("c", b"room.got.x.y"),
    ("d", b"room.>"),
    ("limited", b"room.out.x"),
    ("limited", b"room.other"),
)


def _ask(asker: str, subject: bytes, served: bytes, *answers: bytes) -> tuple[tuple[str, bytes], ...]:
    """One asks through an import; the service in account A hears `served` and answers (see `REPLY`)."""
    return (
        ("s", login("a") + b"SUB " + served + b" 1\r\n"),
        ("c", login(asker, no_responders=True) + b"SUB room.in.* 2\r\n" + pub(subject, b"?", b"room.in.1")),
        *(("s", answer) for answer in answers),
    )


SCRIPTS = [
    *(
        script(
            f"stream import: {user} hears {subject!r}",
            ("s", login(user, verbose=True) + b"SUB " + subject + b" 1\r\n"),
            ("p", login("a") + _OUT),
            config="accounts",
            rows=_ROWS,
            exclusive=subject.startswith(b"from.a.*"),
        )
        for user, subject in _STREAM_SUBS
    ),
    script(
        "stream import with headers",
        ("s", login("b") + b"SUB room.out.> 1\r\n"),
        ("p", login("a") + hpub(b"room.out.x", b"NATS/1.0\r\nA: 1\r\n\r\n", b"body", b"room.reply")),
        config="accounts",
        rows="AC02 C05",
    ),
    script(
        "stream import in a queue",
        ("s", login("b") + b"SUB room.out.> q 1\r\nSUB room.out.> q 2\r\n"),
        ("p", login("a") + _OUT),
        config="accounts",
        rows="AC02 C11",
        masks_sid=True,
        pooled=("s",),
    ),
    script(
        "stream import ends with UNSUB",
        ("s", login("b") + b"SUB room.out.x 1\r\n"),
        ("p", login("a") + pub(b"room.out.x")),
        ("s", b"UNSUB 1\r\n"),
        ("p", pub(b"room.out.x")),
        config="accounts",
        rows="AC02",
    ),
    script(
        "stream import and its maximum",
        ("s", login("b") + b"SUB room.out.x 1\r\nUNSUB 1 2\r\n"),
        ("p", login("a") + pub(b"room.out.x") * 4),
        config="accounts",
        rows="AC02 C10",
    ),
    script(
        "imported subject is also local",
        ("s", login("b") + b"SUB room.out.x 1\r\n"),
        ("p", login("b") + pub(b"room.out.x", b"local")),
        config="accounts",
        rows="AC01 AC02",
    ),
    script(
        "an importer does not publish back",
        ("s", login("a") + b"SUB room.out.x 1\r\n"),
        ("p", login("b") + pub(b"room.out.x")),
        config="accounts",
        rows="AC01",
    ),
    script(
        "isolation of equal subjects",
        ("b", login("b") + b"SUB room.x 1\r\n"),
        ("d", login("d") + b"SUB room.x 1\r\n"),
        ("d", pub(b"room.x", b"of d")),
        ("b", pub(b"room.x", b"of b")),
        config="accounts",
        rows="AC01",
    ),
    *(
        script(
            f"a service answers {count} times: {subject!r}",
            *_ask("b", subject, served, *answers),
            config="accounts",
            rows=_SERVICE,
        )
        for subject, served in (
            (b"room.asks.1", b"room.ask.*"),
            (b"room.many", b"room.many"),
            (b"room.chunks", b"room.chunks"),
        )
        for count, answers in (
            ("1", (pub(REPLY, b"one"),)),
            ("3", (pub(REPLY, b"one"), pub(REPLY, b"two"), pub(REPLY, b"three"))),
            ("1 and an empty", (pub(REPLY, b"one"), pub(REPLY, b""), pub(REPLY, b"after the end"))),
        )
    ),
    script(
        "a service answers with headers",
        *_ask("b", b"room.asks.1", b"room.ask.*", hpub(REPLY, b"NATS/1.0\r\nA: 1\r\n\r\n")),
        config="accounts",
        rows="AC03 C05",
    ),
    script("a service hears the request", *_ask("b", b"room.asks.1", b"room.ask.*"), config="accounts", rows=_SERVICE),
    script(
        "a service renamed by wildcards", *_ask("c", b"1.room.swapped", b"room.ask.*"), config="accounts", rows=_SERVICE
    ),
    script("a service for one account", *_ask("b", b"room.only", b"room.only"), config="accounts", rows=_SERVICE),
    script("a service not imported", *_ask("d", b"room.only", b"room.only"), config="accounts", rows=_SERVICE),
    # The login comes by itself: nats-server looks for mappings once per read, with the account it began the read with.
    script(
        "a service behind a mapping",
        ("c", login("b")),
        *_ask("b", b"room.mapped", b"room.ask.*")[:1],
        ("c", pub(b"room.mapped", b"?", b"room.in")),
        config="accounts",
        rows="AC03 CF04",
    ),
    script(
        "a service with streamed answers hears",
        *_ask("b", b"room.many", b"room.many"),
        config="accounts",
        rows=_SERVICE,
    ),
    script(
        "a service with chunked answers hears",
        *_ask("b", b"room.chunks", b"room.chunks"),
        config="accounts",
        rows=_SERVICE,
    ),
    script(
        "nobody serves",
        ("c", login("b", no_responders=True) + b"SUB room.in.* 2\r\n" + pub(b"room.asks.1", b"?", b"room.in.1")),
        config="accounts",
        rows="AC03 C13",
    ),
    script(
        "nobody serves what is not imported",
        ("c", login("d", no_responders=True) + b"SUB room.in.* 2\r\n" + pub(b"room.asks.1", b"?", b"room.in.1")),
        config="accounts",
        rows="AC03 C13",
    ),
    script(
        "a request without reply",
        ("s", login("a") + b"SUB room.ask.* 1\r\n"),
        ("c", login("b") + pub(b"room.asks.1", b"?")),
        config="accounts",
        rows=_SERVICE,
    ),
    script(
        "a request with headers",
        ("s", login("a") + b"SUB room.ask.* 1\r\n"),
        ("c", login("b") + hpub(b"room.asks.1", b"NATS/1.0\r\nA: 1\r\n\r\n", b"?")),
        config="accounts",
        rows="AC03 C05",
    ),
    script(
        "a service in a queue",
        ("s", login("a") + b"SUB room.ask.* q 1\r\nSUB room.ask.* q 2\r\n"),
        ("c", login("b") + pub(b"room.asks.1", b"?") * 4),
        config="accounts",
        rows="AC03 C11",
        masks_sid=True,
        pooled=("s",),
    ),
    script(
        "local and imported service",
        ("s", login("a") + b"SUB room.ask.* 1\r\n"),
        ("l", login("b") + b"SUB room.asks.* 1\r\n"),
        ("c", login("b") + pub(b"room.asks.1", b"?")),
        config="accounts",
        rows=_SERVICE,
    ),
    script(
        "permissions of the importer",
        ("s", login("a") + b"SUB room.ask.* 1\r\nSUB room.only 2\r\n"),
        (
            "c",
            login("limited", verbose=True)
            + pub(b"room.asks.1")
            + pub(b"room.only")
            + b"SUB room.out.x 1\r\nSUB room.other 2\r\n",
        ),
        config="accounts",
        rows="AC03 SE03",
    ),
    script("unknown account's user", login("nobody"), config="accounts", rows="AC01"),
    script(
        "second CONNECT changes the account",
        ("a", login("b") + b"SUB room.x 1\r\n"),
        ("a", login("d", protocol=1) + b"SUB room.x 1\r\n"),
        ("p", login("b") + pub(b"room.x", b"b")),
        ("p2", login("d") + pub(b"room.x", b"d")),
        config="accounts",
        rows="AC01 C25",
    ),
    script(
        "a hung-up service",
        ("s", login("a") + b"SUB room.ask.* 1\r\n"),
        Step("s", b"UNSUB 1\r\n"),
        ("c", login("b", no_responders=True) + b"SUB room.in.* 2\r\n" + pub(b"room.asks.1", b"?", b"room.in.1")),
        config="accounts",
        rows="AC03 C13",
    ),
    script(
        "headers stripped across accounts",
        ("s", login("b", headers=False) + b"SUB room.out.x 1\r\n"),
        ("p", login("a") + hpub(b"room.out.x", b"NATS/1.0\r\nA: 1\r\n\r\n")),
        ("q", HEADERS),
        config="accounts",
        rows="AC02 C05",
    ),
]
