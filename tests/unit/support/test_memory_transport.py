"""The transport in memory keeps the promises of a real one: one list of checks, run on it and on asyncio and uvloop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Protocol

import pytest
import uvloop

from tests.support.memory_transport import ManualLoop, MemoryTransport


class Recorder(asyncio.BufferedProtocol):
    """Notes what a transport does to its protocol; `calls` marks what happens inside a call of the test."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.seen: list[str] = []
        self.received = bytearray()
        self.buffer = bytearray(8)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.set_write_buffer_limits(high=0)
        self.seen.append("made")

    def connection_lost(self, error: Exception | None) -> None:
        self.seen.append("lost")

    def get_buffer(self, hint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, length: int) -> None:
        self.received += self.buffer[:length]

    def eof_received(self) -> bool:
        self.seen.append("eof")
        return False

    def pause_writing(self) -> None:
        self.seen.append("pause")

    def resume_writing(self) -> None:
        self.seen.append("resume")


class Peer(Protocol):
    """The other end, as a check needs it."""

    protocol: Recorder

    def settle(self) -> None:
        """Let everything happen that can."""

    def send(self, data: bytes) -> None: ...

    def end(self) -> None:
        """Send nothing more."""

    def take(self) -> bytes:
        """Read all there is, until nothing more comes."""


class MemoryPeer:
    """The far side of a `MemoryTransport` that takes a thousand bytes at once."""

    def __init__(self) -> None:
        self.loop = ManualLoop()
        self.protocol = Recorder()
        self.wire = MemoryTransport(self.loop, self.protocol, room=1000)
        self.wire.connect()

    def settle(self) -> None:
        self.loop.run_ready()

    def send(self, data: bytes) -> None:
        self.wire.receive(data)

    def end(self) -> None:
        self.wire.receive_eof()

    def take(self) -> bytes:
        self.wire.take(10_000_000)
        self.settle()
        return self.wire.take_output()

    def stop(self) -> None:
        self.settle()


class SocketPeer:
    """The far side of a socket pair whose near side a real loop serves."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.protocol = Recorder()
        near, self.far = socket.socketpair()
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.far.setblocking(False)
        loop.run_until_complete(loop.connect_accepted_socket(lambda: self.protocol, near))

    def settle(self) -> None:
        for _ in range(20):
            self.loop.run_until_complete(asyncio.sleep(0))

    def send(self, data: bytes) -> None:
        self.far.send(data)

    def end(self) -> None:
        self.far.shutdown(socket.SHUT_WR)

    def take(self) -> bytes:
        taken = bytearray()
        for _ in range(2000):
            try:
                taken += self.far.recv(65536)
            except BlockingIOError:
                pass
            except ConnectionResetError:
                break
            self.loop.run_until_complete(asyncio.sleep(0))
        return bytes(taken)

    def stop(self) -> None:
        if "lost" not in self.protocol.seen:
            self.protocol.transport.abort()
        self.settle()
        self.far.close()
        self.loop.close()


MAKERS: dict[str, Callable[[], MemoryPeer | SocketPeer]] = {
    "memory": MemoryPeer,
    "asyncio": lambda: SocketPeer(asyncio.new_event_loop()),
    "uvloop": lambda: SocketPeer(uvloop.new_event_loop()),
}


@pytest.fixture(params=MAKERS)
def peer(request: pytest.FixtureRequest) -> Any:
    """One connection of each kind."""
    made = MAKERS[request.param]()
    yield made
    made.stop()


def test_bytes_arrive_in_pieces_that_fit_the_buffer(peer: Peer) -> None:
    peer.send(b"0123456789" * 5)
    peer.settle()
    assert peer.protocol.received == b"0123456789" * 5
    assert peer.protocol.seen == ["made"]


def test_paused_reading_keeps_bytes_back(peer: Peer) -> None:
    peer.protocol.transport.pause_reading()
    peer.send(b"later")
    peer.settle()
    assert peer.protocol.received == b""
    peer.protocol.transport.resume_reading()
    assert peer.protocol.received == b"", "nothing may be read inside the call"
    peer.settle()
    assert peer.protocol.received == b"later"


def test_what_is_taken_at_once_pauses_nobody(peer: Peer) -> None:
    peer.protocol.transport.write(b"short")
    assert peer.protocol.seen == ["made"]
    assert peer.take() == b"short"
    assert peer.protocol.transport.get_write_buffer_size() == 0


def test_what_has_to_wait_pauses_inside_the_write(peer: Peer) -> None:
    data = b"x" * 3_000_000
    peer.protocol.transport.write(data)
    assert peer.protocol.seen == ["made", "pause"]
    assert peer.protocol.transport.get_write_buffer_size() > 0
    peer.protocol.transport.write(b"more")
    assert peer.protocol.seen == ["made", "pause"]
    assert peer.take() == data + b"more"
    assert peer.protocol.seen == ["made", "pause", "resume"]
    assert peer.protocol.transport.get_write_buffer_size() == 0


def test_closing_delivers_first_and_ends_in_a_later_turn(peer: Peer) -> None:
    peer.protocol.transport.write(b"x" * 1_000_000)
    peer.protocol.transport.close()
    assert peer.protocol.transport.is_closing()
    assert "lost" not in peer.protocol.seen
    assert len(peer.take()) == 1_000_000
    peer.settle()
    assert peer.protocol.seen.count("lost") == 1


def test_aborting_ends_in_a_later_turn(peer: Peer) -> None:
    peer.protocol.transport.write(b"x" * 3_000_000)
    peer.protocol.transport.abort()
    assert "lost" not in peer.protocol.seen
    peer.settle()
    assert peer.protocol.seen.count("lost") == 1
    peer.protocol.transport.abort()
    peer.settle()
    assert peer.protocol.seen.count("lost") == 1


def test_the_end_of_input_closes_unless_it_is_kept_open(peer: Peer) -> None:
    peer.send(b"last")
    peer.end()
    peer.settle()
    assert peer.protocol.received == b"last"
    assert peer.protocol.seen == ["made", "eof", "lost"]


def test_a_closed_transport_reads_nothing(peer: Peer) -> None:
    peer.protocol.transport.close()
    peer.send(b"too late")
    peer.settle()
    assert peer.protocol.received == b""


def test_the_clock_runs_timers_in_order() -> None:
    loop = ManualLoop()
    seen: list[str] = []
    loop.call_later(2.0, seen.append, "second")
    loop.call_later(1.0, lambda: (seen.append("first"), loop.call_soon(seen.append, "soon")))  # type: ignore[func-returns-value]
    loop.call_later(3.0, seen.append, "cancelled").cancel()
    loop.advance(0.5)
    assert seen == []
    loop.advance(5.0)
    assert (seen, loop.time()) == (["first", "soon", "second"], 5.5)


def test_callbacks_without_end_are_an_error() -> None:
    loop = ManualLoop()

    def again() -> None:
        loop.call_soon(again)

    again()
    with pytest.raises(AssertionError, match="without end"):
        loop.run_ready()
