"""The client protocol in transcripts: every operation, every error text, and what a delivery looks like.

`tests/properties/test_client_parser.py` compares the parser with a naive one on any input; the differential tests under
`tests/conformance` compare it with the real server.
"""

from __future__ import annotations

import pytest

from leafbox.dataplane.connection import Engine
from leafbox.dataplane.nats_connection import NatsConnection
from leafbox.dataplane.permissions import Permissions
from leafbox.dataplane.routing import AccountPlane, CallbackReceiver, Subscription
from tests.support.memory_transport import ManualLoop, MemoryTransport
from tests.support.playbook import Actor, Event, Playbook

HEADER = b"NATS/1.0\r\nK: v\r\n\r\n"


def calm(actor: Actor) -> list[Event]:
    """What happened, without the ends of the connection."""
    return [event for event in actor.events if event[0] not in ("connected", "closing", "disconnected")]


# -- operations --------------------------------------------------------------------------------------------------------

LINES: list[tuple[bytes, list[Event]]] = [
    (b"SUB a 1", [("subscribe", b"a", None, b"1")]),
    (b"SUB a q 1", [("subscribe", b"a", b"q", b"1")]),
    (b"sub\ta\t q  1 ", [("subscribe", b"a", b"q", b"1")]),
    (b"Sub   a 1", [("subscribe", b"a", None, b"1")]),
    (b"UNSUB 1", [("unsubscribe", b"1", 0)]),
    (b"UNSUB 1 5", [("unsubscribe", b"1", 5)]),
    (b"UNSUB 1 -5", [("unsubscribe", b"1", 0)]),
    (b"UNSUB 1 x", [("unsubscribe", b"1", 0)]),
    (b"UNSUB 1 9999999999", [("unsubscribe", b"1", 0)]),
    (b"PING", [("first pong",)]),
    (b"PINGPONG", [("first pong",)]),
    (b"ping and more", [("first pong",)]),
    (b"PONG", [("pong",)]),
    (b"pOnG 1 2 3", [("pong",)]),
    (b"CONNECT {}", [("connect", b"{}")]),
    (b'CONNECT{"a":1}', [("connect", b'{"a":1}')]),
    (b"CONNECT", [("connect", b"")]),
    (b"INFO {}", [("info", b"{}")]),
    (b"+OK", []),
    (b"+ok whatever", []),
    (b"-ERR 'x'", [("peer error", b"'x'")]),
    (b"-err", [("peer error", b"")]),
]


@pytest.mark.capability("C03", "C25")
@pytest.mark.parametrize(("line", "events"), LINES, ids=[line.decode() for line, _ in LINES])
@pytest.mark.parametrize("end", [b"\r\n", b"\n"], ids=["CRLF", "LF"])
def test_a_line_runs_its_hook(book: Playbook, line: bytes, events: list[Event], end: bytes) -> None:
    actor = book.client()
    actor.sends(line + end)
    assert calm(actor) == events


def test_a_cr_in_the_arguments_shortens_them_by_one_byte(book: Playbook) -> None:
    """nats-server's parser drops a byte when it saw a CR, wherever that was."""
    actor = book.client()
    actor.sends(b"SUB a\r 12\n")
    assert actor.saw("subscribe") == [(b"a", None, b"1")]


UNKNOWN = b"Unknown Protocol Operation"
VIOLATIONS: list[tuple[bytes, bytes, str]] = [
    (b"\r\n", UNKNOWN, "Protocol Violation"),
    (b"\n", UNKNOWN, "Protocol Violation"),
    (b" PING\r\n", UNKNOWN, "Protocol Violation"),
    (b"MSG a 1 1\r\n", UNKNOWN, "Protocol Violation"),
    (b"RS+ a\r\n", UNKNOWN, "Protocol Violation"),
    (b"PUBB a 1\r\n", UNKNOWN, "Protocol Violation"),
    (b"PUB\r\n", UNKNOWN, "Protocol Violation"),
    (b"SUB\r\n", UNKNOWN, "Protocol Violation"),
    (b"UNSUB\r\n", UNKNOWN, "Protocol Violation"),
    (b"PAUSE\r\n", UNKNOWN, "Protocol Violation"),
    (b"PI\r\n", UNKNOWN, "Protocol Violation"),
    (b"+OX\r\n", UNKNOWN, "Protocol Violation"),
    (b"\x00", UNKNOWN, "Protocol Violation"),
    (b"\xff\xfe", UNKNOWN, "Protocol Violation"),
    (b"SUB \r\n", b"", "Protocol Violation"),
    (b"SUB a\r\n", b"", "Protocol Violation"),
    (b"SUB a q 1 2\r\n", b"", "Protocol Violation"),
    (b"UNSUB \r\n", b"", "Protocol Violation"),
    (b"UNSUB 1 2 3\r\n", b"", "Protocol Violation"),
    (b"PUB \r\n", b"", "Protocol Violation"),
    (b"PUB a\r\n", b"", "Protocol Violation"),
    (b"PUB a r x 1\r\n", b"", "Protocol Violation"),
    (b"PUB a b c d e f\r\n", b"", "Protocol Violation"),
    (b"PUB a -1\r\n", b"", "Protocol Violation"),
    (b"PUB a 1x\r\n", b"", "Protocol Violation"),
    (b"PUB a 9999999999\r\n", b"", "Protocol Violation"),
    (b"HPUB a 1\r\n", b"", "Protocol Violation"),
    (b"HPUB a 5 4\r\n", b"", "Protocol Violation"),
    (b"HPUB a x 4\r\n", b"", "Protocol Violation"),
    (b"HPUB a -1 4\r\n", b"", "Protocol Violation"),
    (b"HPUB a b c 1 4\r\n", b"", "Protocol Violation"),
    (b"PUB a 1048577\r\n", b"Maximum Payload Violation", "Maximum Message Payload Exceeded"),
    (b"PUB a 999999999\r\n", b"Maximum Payload Violation", "Maximum Message Payload Exceeded"),
    (b"HPUB a 0 1048577\r\n", b"Maximum Payload Violation", "Maximum Message Payload Exceeded"),
    (b"PUB a 1\r\nxy", UNKNOWN, "Protocol Violation"),
    (b"PUB a 1\r\nx\n", UNKNOWN, "Protocol Violation"),
    (b"PUB a 1\r\nx\r\r", UNKNOWN, "Protocol Violation"),
    (b"PUB a 0\r\n\n", UNKNOWN, "Protocol Violation"),
    (b"SUB a " + b"1" * 4095 + b"\r\n", b"maximum control line exceeded", "Maximum Control Line Exceeded"),
    (b"SUB a " + b"1" * 4095, b"maximum control line exceeded", "Maximum Control Line Exceeded"),
    (b"PUB " + b"a" * 4095 + b" 1\r\n", b"maximum control line exceeded", "Maximum Control Line Exceeded"),
    (b"CONNECT " + b"x" * 4097, b"maximum control line exceeded", "Maximum Control Line Exceeded"),
    (b"INFO " + b"x" * 4097 + b"\r\n", b"maximum control line exceeded", "Maximum Control Line Exceeded"),
    (b"SUB " + b" " * 65536, b"maximum control line exceeded", "Maximum Control Line Exceeded"),
    (b"SUB " + b" " * 65536 + b"a 1\r\n", b"maximum control line exceeded", "Maximum Control Line Exceeded"),
    (b"PING" + b"x" * 65536, UNKNOWN, "Protocol Violation"),
    (b"PING" + b"x" * 65536 + b"\r\n", UNKNOWN, "Protocol Violation"),
]


@pytest.mark.capability("C08", "C15", "C16")
@pytest.mark.parametrize(("data", "text", "reason"), VIOLATIONS, ids=[repr(case[0][:24]) for case in VIOLATIONS])
def test_a_violation_is_told_and_closes(book: Playbook, data: bytes, text: bytes, reason: str) -> None:
    actor = book.client()
    actor.sends(data)
    assert actor.saw("violation") == [(text.decode(), reason)]
    assert actor.hears() == (b"-ERR '" + text + b"'\r\n" if text else b"")
    assert actor.is_gone
    assert actor.connection.close_reason == reason


@pytest.mark.capability("C08")
def test_headers_must_have_been_asked_for(book: Playbook) -> None:
    actor = book.client(headers=False)
    actor.sends(b"HPUB a 0 0\r\n\r\n")
    assert actor.saw("violation") == [("", "Message Header Violation")]


@pytest.mark.capability("C16")
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_a_control_line_may_be_as_long_as_its_limit(book: Playbook, end: bytes) -> None:
    actor = book.client(max_control_line=20)
    actor.sends(b"SUB    " + b"a" * 18 + b" 1" + end)
    actor.sends(b"PUB " + b"a" * 18 + b" 0" + end + b"\r\n")
    assert actor.hears() == b"MSG " + b"a" * 18 + b" 1 0\r\n\r\n"
    actor.sends(b"SUB " + b"a" * 19 + b" 1" + end)
    assert actor.is_gone


@pytest.mark.capability("C04", "C15")
def test_payload_limits(book: Playbook) -> None:
    actor = book.client(max_payload=5)
    actor.says(b"SUB a 1")
    actor.says(b"PUB a 5", b"12345")
    assert actor.hears() == b"MSG a 1 5\r\n12345\r\n"
    actor.sends(b"HPUB a 3 6\r\n")
    assert actor.hears() == b"-ERR 'Maximum Payload Violation'\r\n"
    assert actor.is_gone


def test_no_payload_limit(book: Playbook) -> None:
    actor = book.client(max_payload=-1)
    actor.says(b"SUB a 1")
    actor.says(b"PUB a 3000000", b"x" * 3_000_000)
    assert actor.hears() == b"MSG a 1 3000000\r\n" + b"x" * 3_000_000 + b"\r\n"


def test_nothing_is_parsed_after_the_end(book: Playbook) -> None:
    actor, watcher = book.client(), book.client()
    watcher.says(b"SUB a 1")
    actor.sends(b"PUB a 1\r\n1\r\nbad\r\nPUB a 1\r\n2\r\n")
    actor.wire.receive(b"PUB a 1\r\n3\r\n")
    assert watcher.hears() == b"MSG a 1 1\r\n1\r\n"


def test_a_base_connection_survives_without_hooks() -> None:
    """Without a control plane violations swallow their read, and nothing else happens."""
    loop = ManualLoop()
    connection = NatsConnection(Engine(loop.as_loop))
    wire = MemoryTransport(loop, connection)
    wire.connect()
    every = (b"CONNECT {}", b"INFO x", b"SUB a 1", b"UNSUB 1", b"PING", b"PONG", b"-ERR x", b"PUB a 0\r\n", b"+OK")
    for line in every:
        wire.receive(line + b"\r\n")
    connection.traces = True
    connection.account = AccountPlane()
    connection.permissions = Permissions(publish_allow=[b"b"])
    for data in (b"PING\r\n", b"PUB a 0\r\n\r\n", b"PUB b _R_.x 0\r\n\r\n", b"PUB b..c 0\r\n\r\n", b"junk", b"SUB\r\n"):
        wire.receive(data)
    connection.awaiting_auth = True
    wire.receive(b"PING\r\n")
    loop.run_ready()
    assert wire.take_output().count(b"PONG\r\n") == 2
    assert loop.errors == []
    assert not connection.closed


# -- pings, tracing, authentication ------------------------------------------------------------------------------------


@pytest.mark.capability("C01")
def test_each_ping_is_answered_and_the_first_announced(book: Playbook) -> None:
    actor = book.client()
    actor.connection.when["first pong"] = lambda: actor.connection.send(b"INFO {}\r\n")
    actor.sends(b"PING\r\nPING\r\n")
    actor.sends(b"PING\r\n")
    assert actor.hears() == b"PONG\r\nINFO {}\r\nPONG\r\nPONG\r\n"


def test_tracing_shows_each_control_line(book: Playbook) -> None:
    actor = book.client(traces=True, account=None)
    actor.sends(
        b"ping\r\nPONG\r\nSUB a 1\r\nUNSUB 1 2\r\nCONNECT {}\r\nINFO {}\r\n+OK\r\npub a 2\r\nhi\r\nHPUB a 0 0\r\n\r\n"
    )
    assert [line for (line,) in actor.saw("trace")] == [
        b"PING",
        b"PONG",
        b"SUB a 1",
        b"UNSUB 1 2",
        b"CONNECT {}",
        b"INFO {}",
        b"+OK",
        b"pub a 2",
        b"HPUB a 0 0",
    ]


@pytest.mark.capability("SE02")
def test_before_login_only_connect_may_come(book: Playbook) -> None:
    for first in (b"PING\r\n", b"P", b"PUB a 1\r\nx\r\n", b"\r\n", b"\x16\x03\x01"):
        actor = book.client(awaiting_auth=True)
        actor.sends(first)
        assert actor.hears() == b"-ERR 'Authorization Violation'\r\n"
        assert actor.is_gone
        assert actor.saw("violation") == []
    actor = book.client(awaiting_auth=True)
    actor.sends(b"co")
    assert not actor.is_gone
    actor.sends(b"nnect {}\r\n")
    assert actor.saw("connect") == [(b"{}",)]


def test_what_follows_a_refused_login_is_not_parsed(book: Playbook) -> None:
    actor, watcher = book.client(awaiting_auth=True), book.client()
    watcher.says(b"SUB a 1")
    actor.sends(b"PUB a 1\r\n1\r\nCONNECT {}\r\nPUB a 1\r\n2\r\n")
    assert watcher.hears() == b""
    assert actor.saw("connect") == []


def test_a_default_user_may_start_with_anything(book: Playbook) -> None:
    actor = book.client(awaiting_auth=True)

    def allow() -> bool:
        actor.connection.awaiting_auth = False
        return True

    actor.connection.when["operation before auth"] = allow
    actor.sends(b"PING\r\nPING\r\n")
    assert actor.hears() == b"PONG\r\nPONG\r\n"
    assert len(actor.saw("operation before auth")) == 1


# -- publishing --------------------------------------------------------------------------------------------------------


@pytest.mark.capability("C03", "C12")
def test_publish_with_and_without_reply(book: Playbook) -> None:
    alice, bob = book.client(), book.client()
    alice.says(b"SUB a.* 1")
    bob.sends(b"PUB a.b 2\r\nhi\r\npub a.c reply.to 0\r\n\r\n")
    assert alice.hears() == b"MSG a.b 1 2\r\nhi\r\nMSG a.c 1 reply.to 0\r\n\r\n"
    assert bob.hears() == b""


@pytest.mark.capability("C05")
def test_headers_pass_through_as_they_are(book: Playbook) -> None:
    alice, bob = book.client(), book.client()
    alice.says(b"SUB a 1")
    header = b"NATS/1.0\r\nA: 1\r\na: 2\r\nA:3\r\n\r\n"
    bob.says(b"HPUB a %d %d" % (len(header), len(header) + 2), header + b"hi")
    bob.says(b"HPUB a r 7 9", b"garbagehi")
    assert alice.hears() == (
        b"HMSG a 1 %d %d\r\n%bhi\r\n" % (len(header), len(header) + 2, header) + b"HMSG a 1 r 7 9\r\ngarbagehi\r\n"
    )


@pytest.mark.capability("C05")
def test_headers_are_taken_off_for_those_who_do_not_know_them(book: Playbook) -> None:
    old, bob = book.client(headers=False), book.client()
    old.says(b"SUB a 1")
    bob.says(b"HPUB a %d %d" % (len(HEADER), len(HEADER) + 2), HEADER + b"hi")
    bob.says(b"HPUB a r %d %d" % (len(HEADER), len(HEADER)), HEADER)
    assert old.hears() == b"MSG a 1 2\r\nhi\r\nMSG a 1 r 0\r\n\r\n"
    assert old.connection.out_bytes == 2


@pytest.mark.capability("C04")
@pytest.mark.parametrize("payload", [b"", b"\r\n", b"\r\nPUB a 1\r\n", bytes(range(256)), b"x" * 1048576])
def test_a_payload_may_be_any_bytes(book: Playbook, payload: bytes) -> None:
    alice = book.client()
    alice.says(b"SUB a 1")
    alice.says(b"PUB a %d" % len(payload), payload)
    assert alice.hears() == b"MSG a 1 %d\r\n%b\r\n" % (len(payload), payload)


@pytest.mark.capability("C02")
def test_echo(book: Playbook) -> None:
    alice, bob = book.client(echo=False), book.client()
    for actor in (alice, bob):
        actor.says(b"SUB a 1")
    alice.says(b"PUB a 1", b"x")
    bob.says(b"PUB a 1", b"y")
    assert alice.hears() == b"MSG a 1 1\r\ny\r\n"
    assert bob.hears() == b"MSG a 1 1\r\nx\r\nMSG a 1 1\r\ny\r\n"


@pytest.mark.capability("C02")
def test_verbose_confirms_before_it_delivers(book: Playbook) -> None:
    alice = book.client(verbose=True)
    alice.sends(b"SUB a 1\r\nPUB a 1\r\nx\r\nPING\r\nUNSUB 1\r\n")
    assert alice.hears() == b"+OK\r\n+OK\r\nMSG a 1 1\r\nx\r\nPONG\r\n+OK\r\n"


@pytest.mark.capability("C02")
def test_pedantic_complains_and_delivers(book: Playbook) -> None:
    alice, bob = book.client(pedantic=True), book.client()
    bob.says(b"SUB a.> 1")
    for subject in (b"a.*", b"a.>", b"a..b", b"a.b"):
        alice.says(b"PUB " + subject + b" 0", b"")
    assert len(alice.saw("invalid publish subject")) == 3
    assert bob.hears() == b"MSG a.* 1 0\r\n\r\nMSG a.> 1 0\r\n\r\nMSG a.b 1 0\r\n\r\n"


def test_without_an_account_messages_are_counted_and_dropped(book: Playbook) -> None:
    alice = book.client(account=None)
    alice.says(b"PUB a r 2", b"hi")
    assert (alice.connection.in_msgs, alice.connection.in_bytes, book.engine.in_msgs) == (1, 2, 1)
    assert alice.hears() == b""


def test_counters(book: Playbook) -> None:
    alice, bob = book.client(), book.client()
    alice.says(b"SUB a 1")
    bob.says(b"HPUB a 3 5", b"abcde")
    bob.says(b"PUB nobody 5", b"12345")
    for counted in (bob.connection, book.engine, book.account):
        assert (counted.in_msgs, counted.in_bytes) == (2, 10)
    for counted in (alice.connection, book.engine, book.account):
        assert (counted.out_msgs, counted.out_bytes) == (1, 5)
    assert (alice.connection.in_msgs, bob.connection.out_msgs) == (0, 0)
    assert alice.connection.subscriptions[b"1"].delivered == 1


class Mapping:
    """Maps `old` to `new`, drops `gone`, fails on `bad`."""

    def map(self, subject: bytes) -> bytes | None:
        if subject == b"bad":
            raise LookupError("a defect")
        return {b"old": b"new", b"gone": None}.get(subject, subject)


def test_mappings_come_before_permissions(book: Playbook) -> None:
    """core-protocol 2.5: permissions and receivers see the mapped subject."""
    alice, bob = book.client(permissions=Permissions(publish_allow=[b"new"])), book.client()
    book.account.mappings = Mapping()
    bob.says(b"SUB > 1")
    for subject in (b"old", b"gone", b"new", b"other"):
        alice.says(b"PUB " + subject + b" 0", b"")
    assert bob.hears() == b"MSG new 1 0\r\n\r\n" * 2
    assert alice.saw("publish denied") == [(b"other",)]
    # Mappings do not apply to internal publishes.
    assert book.account.publish(b"old") == 1
    assert bob.hears() == b"MSG old 1 0\r\n\r\n"


def test_a_failing_mapping_ends_the_sender_only(book: Playbook) -> None:
    alice, bob = book.client(), book.client()
    book.account.mappings = Mapping()
    bob.says(b"SUB > 1")
    alice.sends(b"PUB old 0\r\n\r\nPUB bad 0\r\n\r\nPUB old 0\r\n\r\n")
    assert alice.connection.close_reason == "Internal Error"
    assert bob.hears() == b"MSG new 1 0\r\n\r\n"
    assert [type(error["exception"]) for error in book.loop.errors] == [LookupError]


@pytest.mark.capability("SE03")
def test_denied_publishes_are_dropped(book: Playbook) -> None:
    alice, bob = book.client(permissions=Permissions(publish_deny=[b"a.>"])), book.client()
    bob.says(b"SUB > 1")
    for subject in (b"a.b", b"b", b"_GR_.x", b"_GR_"):
        alice.says(b"PUB " + subject + b" 0", b"")
    assert alice.saw("publish denied") == [(b"a.b",), (b"_GR_.x",)]
    assert bob.hears() == b"MSG b 1 0\r\n\r\nMSG _GR_ 1 0\r\n\r\n"


@pytest.mark.capability("SE03")
@pytest.mark.parametrize(
    ("reply", "denied"),
    [
        *((reply, True) for reply in (b"_R_.a", b"_GR_.a", b"$JS.ACK.a")),
        *((reply, False) for reply in (b"_R_", b"_GR_", b"$JS.ACK", b"$JS.API.x", b"_INBOX.a", b"_R", b"$", b"R_R_.a")),
    ],
)
def test_reserved_replies(book: Playbook, reply: bytes, denied: bool) -> None:
    alice, bob = book.client(verbose=True), book.client()
    bob.says(b"SUB a 1")
    alice.says(b"PUB a " + reply + b" 0", b"")
    assert alice.saw("reply denied") == ([(reply,)] if denied else [])
    assert alice.hears() == (b"" if denied else b"+OK\r\n")
    assert bob.hears() == (b"" if denied else b"MSG a 1 " + reply + b" 0\r\n\r\n")


@pytest.mark.parametrize("hook", ["invalid publish subject", "publish denied", "reply denied"])
def test_a_hook_may_close_while_its_message_is_handled(book: Playbook, hook: str) -> None:
    permissions = Permissions(publish_deny=[b"no"])
    alice, bob = book.client(pedantic=True, verbose=True, permissions=permissions), book.client()
    bob.says(b"SUB > 1")
    alice.connection.when[hook] = lambda *_: alice.connection.close("Kicked")
    subject = {"invalid publish subject": b"a.*", "publish denied": b"no", "reply denied": b"a _R_.x"}[hook]
    alice.sends(b"PUB " + subject + b" 0\r\n\r\nPUB after 0\r\n\r\n")
    assert alice.hears() == b""
    assert bob.hears() == b""
    assert alice.is_gone


# -- no responders -----------------------------------------------------------------------------------------------------


@pytest.mark.capability("C13")
def test_no_responders(book: Playbook) -> None:
    alice = book.client(no_responders=True)
    alice.says(b"SUB inbox.* 7")
    alice.says(b"PUB nobody.here inbox.1 2", b"hi")
    header = b"NATS/1.0 503\r\nNats-Subject: nobody.here\r\n\r\n"
    assert len(header) == 32 + len(b"nobody.here")
    assert alice.hears() == b"HMSG inbox.1 7 %d %d\r\n%b\r\n" % (len(header), len(header), header)


@pytest.mark.capability("C13")
@pytest.mark.parametrize(
    ("settings", "subscribe", "publish"),
    [
        ({"no_responders": False}, b"SUB inbox 7", b"PUB nobody inbox 0"),
        ({"no_responders": True}, b"SUB inbox 7", b"PUB nobody 0"),
        ({"no_responders": True}, b"SUB inbox q 7", b"PUB nobody inbox 0"),
        ({"no_responders": True}, b"SUB other 7", b"PUB nobody inbox 0"),
        ({"no_responders": True}, b"PING", b"PUB nobody inbox 0"),
    ],
)
def test_when_nothing_is_said_about_missing_responders(
    book: Playbook, settings: dict[str, bool], subscribe: bytes, publish: bytes
) -> None:
    alice = book.client(**settings)
    alice.says(subscribe)
    alice.hears()
    alice.says(publish, b"")
    assert alice.hears() == b""


@pytest.mark.capability("C13")
def test_a_subscription_of_somebody_else_does_not_count(book: Playbook) -> None:
    alice, bob = book.client(no_responders=True), book.client()
    bob.says(b"SUB inbox 1")
    book.account.sublist.insert(b"inbox", None, Subscription(book.account, CallbackReceiver(lambda *_: None), b"inbox"))
    alice.says(b"PUB nobody inbox 0", b"")
    assert alice.hears() == bob.hears() == b""


# -- subscriptions that end --------------------------------------------------------------------------------------------


@pytest.mark.capability("C10")
def test_auto_unsubscribe(book: Playbook) -> None:
    alice = book.client()
    alice.sends(b"SUB a 1\r\nUNSUB 1 2\r\n" + b"PUB a 1\r\nx\r\n" * 5)
    assert alice.hears() == b"MSG a 1 1\r\nx\r\n" * 2
    assert alice.saw("exhausted") == [(b"1",)]
    assert book.account.sublist.count == 0
    assert alice.connection.subscriptions == {}


def test_a_failing_hook_of_a_receiver_does_not_reach_the_sender(book: Playbook) -> None:
    alice, bob, carol = book.client(), book.client(), book.client()

    def fail(*_: object) -> None:
        raise LookupError("a defect")

    alice.connection.when["exhausted"] = fail
    alice.sends(b"SUB a 1\r\nUNSUB 1 1\r\n")
    carol.says(b"SUB a 1")
    bob.sends(b"PUB a 1\r\nx\r\nPUB a 1\r\ny\r\nPING\r\n")
    assert bob.hears() == b"PONG\r\n"
    assert carol.hears() == b"MSG a 1 1\r\nx\r\nMSG a 1 1\r\ny\r\n"
    assert alice.connection.close_reason == "Internal Error"
    assert len(book.loop.errors) == 1


def test_deliveries_end_with_the_connection(book: Playbook) -> None:
    alice, bob = book.client(), book.client()
    alice.says(b"SUB a 1")
    alice.connection.abort("Kicked")
    bob.says(b"PUB a 1", b"x")
    assert alice.hears() == b""
    assert book.account.out_msgs == 0


def test_a_receiver_may_have_lost_its_account(book: Playbook) -> None:
    """A second CONNECT can leave a connection without one while its subscription is still being withdrawn."""
    alice, bob = book.client(), book.client()
    alice.says(b"SUB a 1")
    alice.connection.account = None
    bob.says(b"PUB a 1", b"x")
    assert alice.hears() == b"MSG a 1 1\r\nx\r\n"
    assert book.account.out_msgs == 0


def test_the_account_may_go_while_a_message_is_routed(book: Playbook) -> None:
    alice = book.client(no_responders=True)
    alice.says(b"SUB inbox 1")

    def leave(*_: object) -> bool:
        alice.connection.account = None
        return False

    book.account.sublist.insert(b"a", None, Subscription(book.account, CallbackReceiver(leave), b"a"))
    alice.sends(b"PUB a inbox 0\r\n\r\nPUB a inbox 0\r\n\r\n")
    assert alice.hears().startswith(b"HMSG inbox 1 ")
    assert not alice.is_gone
