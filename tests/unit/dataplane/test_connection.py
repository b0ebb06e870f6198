"""The transport shell step by step: what is kept between reads, when it writes, when it stops, how it ends.

What only real sockets and loops show is in `test_connection_sockets.py`.
"""

from __future__ import annotations

import pytest

from leafbox.dataplane import connection as connection_module
from leafbox.dataplane.connection import Connection
from tests.support.memory_transport import MemoryTransport
from tests.support.playbook import Playbook, ScriptedClient

RECEIVE_BYTES = 128 * 1024
HANDOVER_BYTES = 256 * 1024


def window(connection: Connection) -> int:
    """How much the connection would read now."""
    return len(connection.get_buffer(-1))


# -- input: what is kept between reads ---------------------------------------------------------------------------------


@pytest.mark.capability("C09")
def test_an_operation_cut_by_a_read_is_completed_by_the_next(book: Playbook) -> None:
    actor = book.client()
    actor.sends(b"SUB a 1\r\nPUB a 5\r\nhe")
    assert window(actor.connection) == RECEIVE_BYTES - len(b"PUB a 5\r\nhe")
    actor.sends(b"llo\r\nPI")
    assert window(actor.connection) == RECEIVE_BYTES - 2
    actor.sends(b"NG\r\n")
    assert window(actor.connection) == RECEIVE_BYTES
    assert actor.hears() == b"MSG a 1 5\r\nhello\r\nPONG\r\n"


@pytest.mark.capability("C04", "C09")
@pytest.mark.parametrize("size", [60_000, 65_530, 65_536, 131_000, 131_072, 200_000, 1_048_576])
@pytest.mark.parametrize("first", [1, 20, 70_000, 131_072])
def test_a_large_operation_is_gathered(book: Playbook, size: int, first: int) -> None:
    actor = book.client()
    body = (b"%08d" % size) * (size // 8 + 1)
    data = b"PUB a %d\r\n%b\r\nPING\r\nPUB b 1\r\nx\r\n" % (size, body[:size])
    actor.says(b"SUB a 1")
    for start in (0, first):
        actor.sends(data[start : first if start == 0 else None])
    expected = b"MSG a 1 %d\r\n%b\r\nPONG\r\n" % (size, body[:size])
    assert actor.hears() == expected
    assert window(actor.connection) == RECEIVE_BYTES


def test_memory_grows_with_what_arrives_not_with_what_is_announced(book: Playbook) -> None:
    actor = book.client(max_payload=-1)
    actor.sends(b"PUB a 999999999\r\n")
    assert window(actor.connection) <= RECEIVE_BYTES
    for _ in range(30):
        arrived = 100_000
        actor.sends(b"x" * arrived)
    # Never more than what is there once again.
    assert window(actor.connection) <= 3_100_000
    assert actor.saw("violation") == []
    actor.connection.abort("Kicked")
    book.loop.run_ready()
    assert window(actor.connection) == RECEIVE_BYTES


def test_the_window_is_never_larger_than_the_gathered_operation_wants(book: Playbook) -> None:
    actor = book.client()
    size = 400_000
    head = b"PUB a %d\r\n" % size
    actor.sends(head + b"x" * 100_000)
    seen = 100_000
    while seen < size:
        most = window(actor.connection)
        assert 0 < most <= max(size + 2 - seen, 64 * 1024)
        step = min(most, size - seen)
        actor.sends(b"x" * step)
        seen += step
    actor.sends(b"\r\nPING\r\n")
    assert actor.hears() == b"PONG\r\n"


def test_reads_of_two_connections_take_turns(book: Playbook) -> None:
    """All connections of an engine share one window; what one left over must survive the other's reads."""
    first, second = book.client(), book.client()
    first.says(b"SUB a 1")
    script = {first: b"PUB a 10\r\n0123456789\r\n", second: b"PUB a 10\r\nabcdefghij\r\n"}
    for at in range(len(script[first])):
        for actor, data in script.items():
            actor.sends(data[at : at + 1])
    assert first.hears() == b"MSG a 1 10\r\n0123456789\r\nMSG a 1 10\r\nabcdefghij\r\n"


def test_a_read_belongs_to_the_connection_that_began_it(book: Playbook) -> None:
    first, second = book.client().connection, book.client().connection
    memoryview(first.get_buffer(-1))[:6] = b"PING\r\n"
    memoryview(second.get_buffer(-1))[:1] = b"X"
    with pytest.raises(RuntimeError, match="the get_buffer it belongs to"):
        first.buffer_updated(6)
    second.buffer_updated(1)
    with pytest.raises(RuntimeError, match="the get_buffer it belongs to"):
        second.buffer_updated(1)
    for length in (-1, RECEIVE_BYTES + 1, 2**62):
        first.get_buffer(-1)
        with pytest.raises(RuntimeError, match="the get_buffer it belongs to"):
            first.buffer_updated(length)


def test_a_read_cannot_begin_inside_another(book: Playbook) -> None:
    """It would overwrite the bytes that are being parsed."""
    first, second = book.client(), book.client()
    first.connection.when["pong"] = lambda: second.connection.get_buffer(-1)
    first.sends(b"PONG\r\nPING\r\n")
    assert first.connection.close_reason == "Internal Error"
    second.says(b"PING")
    assert second.hears() == b"PONG\r\n"


def test_an_empty_read_changes_nothing(book: Playbook) -> None:
    connection = book.client().connection
    for _ in range(2):
        connection.get_buffer(-1)
        connection.buffer_updated(0)
    assert connection.events == [("connected",)]


def test_the_window_can_be_measured_and_sliced(book: Playbook) -> None:
    """TLS layers do both."""
    connection = book.client().connection
    buffer = connection.get_buffer(-1)
    assert len(buffer) == RECEIVE_BYTES == memoryview(buffer).nbytes
    part = buffer[2:6]
    part[:] = b"NG\r\n"
    memoryview(buffer)[:2] = b"PI"
    connection.buffer_updated(6)
    assert connection.events[-1] == ("first pong",)


# -- input: pausing and feeding ----------------------------------------------------------------------------------------


def test_a_suspended_connection_keeps_what_arrives(book: Playbook) -> None:
    """A password check takes time; nothing behind CONNECT may be read before its outcome."""
    actor = book.client()
    actor.connection.when["connect"] = lambda _: actor.connection.suspend()
    actor.sends(b"CONNECT {}\r\nSUB a 1\r\nPUB a 2\r\nh")
    assert actor.saw("subscribe") == []
    assert not actor.wire.is_reading()
    # Bytes that were on their way: a TLS layer may still hand them over.
    for part in (b"i\r", b"\nPI", b"NG\r\n" + b"PUB a 1\r\nx\r\n" * 20_000):
        buffer = memoryview(actor.connection.get_buffer(-1))
        while part:
            step = min(len(buffer), len(part))
            buffer[:step] = part[:step]
            actor.connection.buffer_updated(step)
            part = part[step:]
            buffer = memoryview(actor.connection.get_buffer(-1))
    assert actor.saw("subscribe") == []
    actor.connection.resume()
    assert actor.wire.is_reading()
    assert actor.hears() == b"MSG a 1 2\r\nhi\r\nPONG\r\n" + b"MSG a 1 1\r\nx\r\n" * 20_000


def test_a_connection_may_suspend_again_while_it_resumes(book: Playbook) -> None:
    actor = book.client()
    actor.connection.when["connect"] = lambda _: actor.connection.suspend()
    actor.sends(b"CONNECT 1\r\nPONG\r\nCONNECT 2\r\nPONG\r\n")
    for pongs, connects in ((0, 1), (1, 2), (2, 2)):
        assert (len(actor.saw("pong")), len(actor.saw("connect"))) == (pongs, connects)
        actor.connection.resume()
    assert actor.wire.is_reading()


def test_an_answer_at_once_does_not_lose_what_follows(book: Playbook) -> None:
    actor = book.client()

    def decide(_: bytes) -> None:
        actor.connection.suspend()
        actor.connection.resume()

    actor.connection.when["connect"] = decide
    actor.sends(b"CONNECT {}\r\nPING\r\nPI")
    actor.sends(b"NG\r\n")
    assert actor.hears() == b"PONG\r\nPONG\r\n"


def test_resuming_a_closed_connection_does_nothing(book: Playbook) -> None:
    actor = book.client()
    actor.connection.when["connect"] = lambda _: actor.connection.suspend()
    actor.sends(b"CONNECT {}\r\nPING\r\n")
    actor.connection.close("Authentication Timeout", b"-ERR 'Authentication Timeout'\r\n")
    actor.connection.resume()
    assert actor.hears() == b"-ERR 'Authentication Timeout'\r\n"
    assert actor.saw("first pong") == []


def test_bytes_may_be_fed_by_hand(book: Playbook) -> None:
    actor = book.client()
    actor.connection.feed(b"PIN")
    actor.connection.feed(b"G\r\nPI")
    actor.sends(b"NG\r\nP")
    actor.connection.feed(b"")
    actor.connection.feed(b"ING\r\n")
    assert actor.hears() == b"PONG\r\n" * 3
    actor.connection.suspend()
    actor.connection.feed(b"PING\r\n")
    actor.connection.feed(b"PING\r\n")
    assert actor.hears() == b""
    actor.connection.resume()
    assert actor.hears() == b"PONG\r\n" * 2
    actor.connection.abort("Kicked")
    actor.connection.feed(b"PING\r\n")
    assert actor.hears() == b""


def test_bytes_may_be_fed_before_there_is_a_transport() -> None:
    book = Playbook()
    connection = ScriptedClient(book.engine)
    connection.feed(b"PING\r\n")
    wire = MemoryTransport(book.loop, connection)
    wire.connect()
    connection.send(b"INFO\r\n")
    book.loop.run_ready()
    assert wire.take_output().count(b"PONG\r\n") == 1


# -- output ------------------------------------------------------------------------------------------------------------


def test_everything_of_a_turn_is_one_write(book: Playbook) -> None:
    actor = book.client()
    writes = actor.wire.writes
    actor.wire.receive(b"PING\r\nPING\r\nSUB a 1\r\nPUB a 1\r\nx\r\n")
    assert writes == []
    book.loop.turn()
    assert writes == [b"PONG\r\nPONG\r\nMSG a 1 1\r\nx\r\n"]
    assert actor.connection.pending_bytes == 0


def test_last_words_go_once_through_a_transport_that_resumes_inside_a_write(book: Playbook) -> None:
    """TLS layers do: what was held behind the handshake goes out with the write."""
    actor = book.client()
    actor.connection.pause_writing()
    write = actor.wire.write

    def resume_and_write(data: bytes) -> None:
        actor.connection.resume_writing()
        write(data)

    actor.wire.write = resume_and_write  # type: ignore[method-assign]
    actor.connection.close("Kicked", b"-ERR 'Kicked'\r\n")
    book.loop.run_ready()
    assert actor.hears() == b"-ERR 'Kicked'\r\n"


@pytest.mark.capability("C20")
def test_what_the_peer_does_not_take_waits_in_order(book: Playbook) -> None:
    actor = book.client(room=10)
    for number in range(1000):
        actor.connection.send(b"%05d" % number)
        if number % 100 == 0:
            book.loop.run_ready()
    book.loop.run_ready()
    assert actor.connection.write_is_blocked
    assert actor.connection in book.engine.blocked
    assert actor.connection.blocked_since_ns > 0
    assert actor.connection.pending_bytes == 4990
    assert actor.hears() == b"0000000001"
    for _ in range(499):
        actor.wire.take(10)
    assert actor.hears() == b"".join(b"%05d" % number for number in range(2, 1000))
    assert not actor.connection.write_is_blocked
    assert book.engine.blocked == set()
    assert actor.connection.pending_bytes == 0


def test_the_transport_holds_no_more_than_one_piece(book: Playbook) -> None:
    """The rest waits in the connection, so that the pending limit is exact."""
    actor = book.client(room=0)
    for _ in range(100):
        actor.connection.send(b"x" * 10_000)
    book.loop.run_ready()
    assert actor.wire.get_write_buffer_size() == HANDOVER_BYTES
    assert actor.connection.pending_bytes == 1_000_000
    actor.wire.take(2_000_000)
    assert len(actor.hears()) == 1_000_000


def test_output_before_the_transport_waits_for_it() -> None:
    book = Playbook()
    connection = ScriptedClient(book.engine)
    connection.send(b"early")
    book.loop.run_ready()
    wire = MemoryTransport(book.loop, connection)
    wire.connect()
    connection.send(b" late")
    book.loop.run_ready()
    assert wire.take_output() == b"early late"


@pytest.mark.parametrize("size", [1, 65_535, 65_536, 65_537, 131_073, 5_000_000])
def test_an_output_of_any_size(book: Playbook, size: int) -> None:
    actor = book.client()
    connection = actor.connection
    connection.send(b"a")
    connection.send(b"x" * size)
    connection.send(b"z")
    assert connection.pending_bytes == size + 2
    assert actor.hears() == b"a" + b"x" * size + b"z"
    connection.send(b"")
    assert connection.pending_bytes == 0


def test_an_output_that_grows_while_it_drains(book: Playbook) -> None:
    actor = book.client(room=0)
    expected = bytearray()
    for number in range(400):
        data = b"%d," % number * 500
        actor.connection.send(data)
        expected += data
        book.loop.turn()
        actor.wire.take(len(data) * (number % 3))
    actor.wire.take(len(expected))
    assert actor.hears() == expected


# -- limits ------------------------------------------------------------------------------------------------------------


@pytest.mark.capability("C17")
def test_a_peer_that_does_not_read_its_messages_is_cut_off(book: Playbook) -> None:
    actor = book.client(room=0, max_pending=400_000)
    actor.says(b"SUB a 1")
    taken = 0
    while book.account.publish(b"a", b"x" * 10_000):
        taken += 1
        book.loop.run_ready()
    # The first message went to the transport at once and counts no more.
    assert 390_000 - 100 <= (taken - 1) * len(b"MSG a 1 10000\r\n" + b"x" * 10_000 + b"\r\n") <= 400_000
    assert actor.connection.closed
    assert actor.connection.close_reason == "Slow Consumer (Pending Bytes)"
    assert (book.engine.slow_consumers, actor.saw("slow consumer")) == (1, [()])
    assert actor.hears() == b""
    assert actor.is_gone
    assert actor.connection.pending_bytes == 0


@pytest.mark.capability("C17")
@pytest.mark.parametrize(
    ("data", "settings"),
    [
        (b"PING\r\n" * 3000, {}),
        (b"SUB a 1\r\n" * 3000, {"verbose": True}),
        (b"SUB a..b 1\r\n" * 3000, {}),
        (b"SUB i 1\r\n" + b"PUB nobody i 0\r\n\r\n" * 3000, {"no_responders": True}),
    ],
    ids=["PONG", "+OK", "-ERR", "503"],
)
def test_answers_count_as_pending(book: Playbook, data: bytes, settings: dict[str, bool]) -> None:
    """A peer that asks and never reads filled the memory with answers."""
    actor = book.client(room=0, max_pending=HANDOVER_BYTES + 10_000, **settings)
    for _ in range(400):
        actor.sends(data)
        assert actor.connection.pending_bytes <= 2 * HANDOVER_BYTES + 10_000
        if actor.connection.closed:
            break
    assert actor.connection.close_reason == "Slow Consumer (Pending Bytes)"
    assert actor.saw("slow consumer") == [()]


@pytest.mark.capability("C18")
def test_a_producer_rests_while_its_receiver_is_nearly_full(book: Playbook) -> None:
    sink, source = book.client(room=0, max_pending=400_000), book.client()
    sink.says(b"SUB a 1")
    publish = b"PUB a 10000\r\n" + b"x" * 10_000 + b"\r\n"
    for _ in range(30):
        source.sends(publish)
    assert source.connection.stalls == 0
    assert source.wire.is_reading()
    for _ in range(3):
        source.sends(publish)
    assert source.connection.stalls == book.engine.stalled == 1
    assert not source.wire.is_reading()
    source.wire.receive(publish)
    book.loop.advance(connection_module.STALL_S / 2)
    assert not source.wire.is_reading()
    sink.wire.take(10_000_000)
    book.loop.advance(connection_module.STALL_S)
    assert source.wire.is_reading()
    sink.wire.take(10_000_000)
    assert len(sink.hears()) == 34 * (len(b"MSG a 1 10000\r\n") + 10_002)
    assert source.connection.stalls == 1


@pytest.mark.capability("C18")
def test_without_stalling_messages_are_dropped_instead(book: Playbook) -> None:
    book.engine.stalls_producers = False
    sink, source = book.client(room=0, max_pending=400_000), book.client()
    sink.says(b"SUB a 1")
    for _ in range(200):
        source.sends(b"PUB a 10000\r\n" + b"x" * 10_000 + b"\r\n")
    assert not sink.connection.closed
    assert sink.connection.out_msgs < 200
    assert source.connection.stalls == 0
    # Internal messages have nobody who could rest; they go on to the limit.
    assert book.account.publish(b"a", b"x") == 1


def test_a_resting_producer_may_be_closed_or_suspended(book: Playbook) -> None:
    sink = book.client(room=0, max_pending=400_000)
    sink.says(b"SUB a 1")
    for size in (100, 310_000):
        sink.connection.send(b"x" * size)
        book.loop.run_ready()
    closed, suspended = book.client(), book.client()
    for source in (closed, suspended):
        source.says(b"PUB a 1", b"x")
        assert not source.wire.is_reading()
    closed.connection.close("Kicked")
    suspended.connection.suspend()
    book.loop.advance(1)
    assert not suspended.wire.is_reading()
    suspended.connection.resume()
    assert suspended.wire.is_reading()
    assert book.loop.errors == []


def test_a_failing_slow_consumer_hook_is_the_receivers_own_affair(book: Playbook) -> None:
    sink, source = book.client(room=0, max_pending=300_000), book.client()
    sink.says(b"SUB a 1")

    def fail() -> None:
        raise LookupError("a defect")

    sink.connection.when["slow consumer"] = fail
    for _ in range(80):
        source.sends(b"PUB a 10000\r\n" + b"x" * 10_000 + b"\r\nPING\r\n")
        book.loop.advance(0.01)
    assert source.hears() == b"PONG\r\n" * 80
    assert sink.connection.close_reason == "Internal Error"
    assert len(book.loop.errors) == 1
