"""The transport shell: how connections end, errors in hooks, frame codecs, and that nothing is held afterwards."""

from __future__ import annotations

import gc
import weakref

import pytest

from leafbox.dataplane import connection as connection_module
from leafbox.dataplane.connection import Engine
from leafbox.dataplane.routing import CallbackReceiver, Subscription
from tests.support.memory_transport import ManualLoop, MemoryTransport
from tests.support.playbook import Actor, Playbook, ScriptedClient

# -- how it ends -------------------------------------------------------------------------------------------------------


def ends(actor: Actor) -> list[tuple[object, ...]]:
    return actor.saw("disconnected")


def test_closing_sends_what_is_queued_and_the_last_words(book: Playbook) -> None:
    actor = book.client()
    actor.connection.send(b"queued ")
    actor.connection.close("Stale Connection", b"last words")
    assert actor.connection.closed
    assert ends(actor) == []
    actor.connection.send(b"too late")
    actor.connection.close("another reason", b"more words")
    actor.connection.abort("a third reason")
    assert actor.hears() == b"queued last words"
    assert actor.connection.close_reason == "Stale Connection"
    assert ends(actor) == [(None,)]


def test_last_words_wait_behind_what_the_peer_has_not_taken(book: Playbook) -> None:
    actor = book.client(room=100)
    actor.connection.send(b"x" * 500)
    book.loop.run_ready()
    actor.connection.send(b"y" * 100)
    actor.connection.close("Server Shutdown", b"bye")
    book.loop.run_ready()
    assert not actor.is_gone
    actor.wire.take(1000)
    assert actor.hears() == b"x" * 500 + b"y" * 100 + b"bye"
    assert actor.is_gone


def test_a_peer_that_takes_nothing_is_left_after_a_while(book: Playbook) -> None:
    actor = book.client(room=0)
    actor.connection.send(b"x" * 500)
    actor.connection.close("Server Shutdown")
    book.loop.advance(connection_module.LINGER_S - 0.1)
    assert not actor.is_gone
    book.loop.advance(0.2)
    assert actor.is_gone
    assert ends(actor) == [(None,)]


def test_aborting_sends_nothing(book: Playbook) -> None:
    actor = book.client()
    actor.connection.send(b"queued")
    actor.connection.abort("Kicked")
    assert actor.hears() == b""
    assert actor.connection.close_reason == "Kicked"
    assert ends(actor) == [(None,)]


def test_a_broken_transport_ends_it(book: Playbook) -> None:
    actor = book.client(room=5)
    actor.says(b"SUB a 1")
    actor.connection.send(b"x" * 500)
    book.loop.run_ready()
    assert actor.connection in book.engine.blocked
    actor.sends(b"PUB a 10\r\n")
    error = ConnectionResetError("gone")
    actor.wire.break_off(error)
    book.loop.run_ready()
    assert ends(actor) == [(error,)]
    assert actor.connection.closed
    assert actor.connection.close_reason is None
    assert actor.connection.pending_bytes == 0
    assert book.engine.blocked == set()
    assert book.account.publish(b"a") == 0
    actor.connection.send(b"into the void")
    actor.connection.close("too late")
    actor.connection.resume()
    actor.connection.resume_writing()
    book.engine.flush_all()
    assert book.loop.errors == []


def test_the_end_of_input_lets_the_output_out(book: Playbook) -> None:
    actor = book.client()
    actor.wire.receive(b"PING\r\nPING\r\n")
    actor.wire.receive_eof()
    assert actor.saw("end of input") == [()]
    assert actor.hears() == b"PONG\r\nPONG\r\n"
    assert ends(actor) == [(None,)]


def test_closing_before_there_is_a_transport() -> None:
    book = Playbook()
    connection = ScriptedClient(book.engine)
    connection.send(b"queued")
    connection.close("Kicked", b"bye")
    book.loop.run_ready()
    assert connection.closed
    assert connection.pending_bytes == 0
    other = ScriptedClient(book.engine)
    other.abort("Kicked")
    assert other.closed


# -- errors in hooks ---------------------------------------------------------------------------------------------------


def fail(*_: object) -> None:
    raise LookupError("a defect")


def assert_ended_by_error(book: Playbook, actor: Actor) -> None:
    """Reported once, closed, gone."""
    book.loop.run_ready()
    (error,) = book.loop.errors
    assert isinstance(error["exception"], LookupError)
    assert error["protocol"] is actor.connection
    assert actor.connection.close_reason == "Internal Error"
    assert actor.is_gone
    assert len(ends(actor)) == 1


@pytest.mark.parametrize("hook", ["subscribe", "unsubscribe", "first pong", "pong", "connect", "info", "peer error"])
@pytest.mark.parametrize("cut", [0, 3])
def test_a_failing_hook_ends_its_connection(book: Playbook, hook: str, cut: int) -> None:
    actor, other = book.client(), book.client()
    other.says(b"SUB a 1")
    actor.connection.when[hook] = fail
    lines = {"first pong": b"PING", "peer error": b"-ERR x", "subscribe": b"SUB a 1", "unsubscribe": b"UNSUB 1"}
    line = lines.get(hook, hook.upper().encode() + b" 1")
    data = b"PUB a 1\r\n1\r\n" + line + b"\r\nPUB a 1\r\n2\r\n"
    actor.sends(data[:cut])
    actor.sends(data[cut:])
    assert_ended_by_error(book, actor)
    assert other.hears() == b"MSG a 1 1\r\n1\r\n"
    assert not other.connection.closed


def test_a_failing_hook_in_a_gathered_operation(book: Playbook) -> None:
    actor = book.client()
    actor.connection.when["pong"] = fail
    actor.sends(b"PUB a 300000\r\n" + b"x" * 100_000)
    actor.sends(b"x" * 200_000 + b"\r\nPONG\r\nPI")
    assert_ended_by_error(book, actor)


def test_a_failing_hook_while_resuming_or_feeding(book: Playbook) -> None:
    fed, resumed = book.client(), book.client()
    for actor in (fed, resumed):
        actor.connection.when.update({"connect": lambda _: resumed.connection.suspend(), "pong": fail})
    resumed.sends(b"CONNECT {}\r\nPONG\r\n")
    assert not resumed.connection.closed
    resumed.connection.resume()
    assert_ended_by_error(book, resumed)
    book.loop.errors.clear()
    fed.connection.feed(b"PONG\r\n")
    assert_ended_by_error(book, fed)


def test_a_failing_start_ends_its_connection(book: Playbook) -> None:
    connection = ScriptedClient(book.engine)
    connection.when["connected"] = fail
    wire = MemoryTransport(book.loop, connection)
    wire.connect()
    book.loop.run_ready()
    assert wire.is_lost
    assert connection.close_reason == "Internal Error"
    assert len(book.loop.errors) == 1


class BrokenFraming:
    """Fails when it is used."""

    pending_control = b""
    end_reason: str | None = None
    has_more = False

    def decode(self, data: bytes) -> bytes:
        raise LookupError("a defect")

    def encode(self, data: bytes) -> bytes:
        raise LookupError("a defect")

    def close_frame(self, reason: str) -> bytes:
        return b"closed"


def test_a_failing_flush_leaves_the_others_of_the_turn_alone(book: Playbook) -> None:
    before, broken, after = book.client(), book.client(framing=BrokenFraming()), book.client()
    for actor in (before, broken, after):
        actor.connection.send(b"hello")
    book.loop.run_ready()
    assert before.hears() == after.hears() == b"hello"
    assert_ended_by_error(book, broken)
    for actor in (before, after):
        actor.connection.send(b"again")
    assert before.hears() == after.hears() == b"again"


def test_a_failing_flush_when_the_peer_reads_again(book: Playbook) -> None:
    actor = book.client(room=0)
    actor.connection.send(b"x" * 300_000)
    book.loop.run_ready()
    actor.connection.framing = BrokenFraming()
    actor.wire.take(1_000_000)
    assert_ended_by_error(book, actor)


def test_a_failing_decoder_ends_its_connection(book: Playbook) -> None:
    actor = book.client(framing=BrokenFraming())
    actor.wire.receive(b"frame")
    assert_ended_by_error(book, actor)


# -- framing -----------------------------------------------------------------------------------------------------------


class Bracketing:
    """A codec that takes `[` and `]` off what comes and puts them around what goes."""

    def __init__(self) -> None:
        self.pending_control = b""
        self.end_reason: str | None = None
        self.has_more = False

    def decode(self, data: bytes) -> bytes:
        if b"?" in data:
            self.pending_control += b"(!)"
        if b"#" in data:
            self.end_reason = "Client Closed"
        data = data.partition(b"#")[0].replace(b"?", b"")
        return data.replace(b"[", b"").replace(b"]", b"")

    def encode(self, data: bytes) -> bytes:
        return b"[" + data + b"]"

    def close_frame(self, reason: str) -> bytes:
        return b"{" + reason.encode() + b"}"


@pytest.mark.capability("WS03")
@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_frames_carry_a_stream(book: Playbook, step: int) -> None:
    actor = book.client(framing=Bracketing())
    data = b"[SUB a 1\r\n][PUB a ][200\r\n" + b"[y]" * 200 + b"\r][\nPING\r\n]"
    for at in range(0, len(data), step):
        actor.sends(data[at : at + step])
    heard = actor.hears()
    assert heard.replace(b"[", b"").replace(b"]", b"") == b"MSG a 1 200\r\n" + b"y" * 200 + b"\r\nPONG\r\n"
    actor.connection.close("Server Shutdown", b"bye")
    assert actor.hears() == b"[bye]{Server Shutdown}"


def test_the_codec_answers_and_ends_by_itself(book: Playbook) -> None:
    actor = book.client(framing=Bracketing(), room=4)
    actor.sends(b"[PI?NG\r\n]")
    assert actor.hears() == b"(!)["
    actor.sends(b"??")
    actor.wire.take(100)
    assert actor.hears() == b"PONG\r\n](!)"
    actor.sends(b"[PING\r\n]#[PING\r\n]")
    assert actor.hears() == b"[PONG\r\n]{Client Closed}"
    assert actor.connection.close_reason == "Client Closed"
    actor.wire.receive(b"?")
    assert actor.hears() == b""


def test_large_operations_in_frames_are_gathered(book: Playbook) -> None:
    actor = book.client(framing=Bracketing())
    actor.says(b"SUB a 1")
    actor.sends(b"PUB a 1000000\r\n" + b"x" * 1_000_000 + b"\r\nPI")
    actor.sends(b"NG\r\n")
    heard = actor.hears().replace(b"[", b"").replace(b"]", b"")
    assert heard == b"MSG a 1 1000000\r\n" + b"x" * 1_000_000 + b"\r\nPONG\r\n"


def test_frames_while_suspended(book: Playbook) -> None:
    actor = book.client(framing=Bracketing())
    actor.connection.when["connect"] = lambda _: actor.connection.suspend()
    actor.sends(b"[CONNECT {}\r\nPI]")
    actor.connection.feed(b"[NG\r\n]")
    actor.connection.feed(b"[PING\r\n]")
    assert actor.hears() == b""
    actor.connection.resume()
    assert actor.hears() == b"[PONG\r\nPONG\r\n]"


# -- ownership ---------------------------------------------------------------------------------------------------------


def test_a_connection_that_ended_is_not_held() -> None:
    book = Playbook()
    actor = book.client(room=0)
    actor.says(b"SUB a 1")
    book.account.publish(b"a", b"x" * 100_000)
    actor.sends(b"PUB a 1000\r\n")
    actor.connection.close("Kicked")
    book.loop.advance(connection_module.LINGER_S + 1)
    assert actor.is_gone
    seen = weakref.ref(actor.connection)
    del actor
    gc.collect()
    assert seen() is None


def test_a_connection_dropped_with_everything_in_hand() -> None:
    """No transport, half an operation, output in a large buffer: all of it is freed (seen under AddressSanitizer)."""
    book = Playbook()
    connection = ScriptedClient(book.engine)
    connection.feed(b"PUB a 100\r\nhalf")
    connection.send(b"x" * 1_000_000)
    book.engine.flush_all()
    del connection
    gc.collect()


def test_an_engine_may_go_before_its_connections() -> None:
    loop = ManualLoop()
    connection = ScriptedClient(Engine(loop.as_loop))
    connection.feed(b"PING\r\n")
    loop.run_ready()
    assert connection.pending_bytes == len(b"PONG\r\n")


def test_a_message_may_publish_in_the_middle_of_a_read(book: Playbook) -> None:
    """Callbacks run while the sender's bytes stand in the window; what they send must not disturb them."""
    actor, other = book.client(), book.client()
    other.says(b"SUB > 1")

    def answer(subject: bytes, reply: bytes, header: bytes, payload: bytes, origin: object) -> None:
        book.account.publish(b"answer", payload[::-1])
        other.connection.feed(b"PUB fed 3\r\nabc\r\n")

    subscription = Subscription(book.account, CallbackReceiver(answer), b"ask")
    book.account.sublist.insert(b"ask", None, subscription)
    actor.sends(b"PUB ask 3\r\n123\r\n" * 3 + b"PUB ask 3\r\n45")
    actor.sends(b"6\r\n")
    heard = other.hears()
    for expected in (b"MSG answer 1 3\r\n321\r\n", b"MSG ask 1 3\r\n123\r\n", b"MSG fed 1 3\r\nabc\r\n"):
        assert heard.count(expected) in (3, 4)
    assert heard.count(b"MSG ask 1 3\r\n456\r\n") == 1


def test_the_end_is_announced_once_in_a_turn_of_its_own(book: Playbook) -> None:
    for end in ("close", "abort"):
        actor = book.client()
        if end == "close":
            actor.connection.close("Kicked")
        else:
            actor.connection.abort("Kicked")
        assert actor.saw("closing") == []
        book.loop.run_ready()
        assert [event[0] for event in actor.events] == ["connected", "closing", "disconnected"]
    lost = book.client()
    lost.wire.break_off(ConnectionResetError())
    book.loop.run_ready()
    assert [event[0] for event in lost.events] == ["connected", "closing", "disconnected"]


def test_a_failing_closing_hook_does_not_hide_the_end(book: Playbook) -> None:
    for end in ("abort", "break off"):
        actor = book.client()
        actor.connection.when["closing"] = fail
        if end == "abort":
            actor.connection.abort("Kicked")
        else:
            actor.wire.break_off(ConnectionResetError())
        book.loop.run_ready()
        assert len(ends(actor)) == 1
        assert len(book.loop.errors) == 1
        book.loop.errors.clear()
