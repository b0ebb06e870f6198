"""A socket that says exactly the bytes it is given and remembers every byte it hears.

It owns no protocol knowledge beyond splitting a server's byte stream into operations (`operations_of`), so that it can
talk nonsense to a server and tell afterwards what came back and whether the connection survived.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

# A control line of a server ends with CRLF; these two carry a payload whose size is their last argument.
PAYLOAD_OPERATIONS = (b"MSG ", b"HMSG ")
READ_BYTES = 65536


class RawClient:
    """One connection. `received` holds every byte heard so far; `is_closed` is true from EOF or reset on.

    A reset counts as EOF: a server that closes a socket with unread input sends RST, and how much input it had left
    unread is a matter of timing. A plain socket instead of an asyncio transport, because a transport gives up reading
    as soon as a write fails, and the last words of a server that has just hung up would be lost.
    """

    def __init__(self, connected: socket.socket) -> None:
        self.received = bytearray()
        self.is_closed = False
        self._socket = connected
        self._loop = asyncio.get_running_loop()
        self._heard: asyncio.Future[None] = self._loop.create_future()
        # Without this the kernel would glue a script's pieces together again.
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop.add_reader(connected, self._read)

    @classmethod
    async def open(cls, host: str, port: int) -> RawClient:
        connecting = socket.socket()
        connecting.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connecting, (host, port))
        return cls(connecting)

    def _read(self) -> None:
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.received += data
        if not data:
            self.is_closed = True
            self._loop.remove_reader(self._socket)
        self._wake()

    async def send(self, data: bytes) -> None:
        """Hand the bytes to the kernel; a connection closed by the other side swallows them."""
        if not self.is_closed:
            with contextlib.suppress(ConnectionError):
                await self._loop.sock_sendall(self._socket, data)

    async def send_in_pieces(self, pieces: list[bytes], gap_s: float) -> None:
        """Send each piece by itself, leaving the server `gap_s` to read it; stop when the server has hung up."""
        for index, piece in enumerate(pieces):
            if index:
                await asyncio.sleep(gap_s)
            if self.is_closed:
                return
            await self.send(piece)

    async def wait_until(self, condition: Callable[[RawClient], bool], timeout_s: float) -> bool:
        """Wait until the condition holds or the connection closes; false when time ran out first."""
        deadline = self._loop.time() + timeout_s
        while not (self.is_closed or condition(self)):
            if self._loop.time() >= deadline:
                return False
            self._heard = self._loop.create_future()
            timer = self._loop.call_at(deadline, self._wake)
            await self._heard
            timer.cancel()
        return True

    def _wake(self) -> None:
        if not self._heard.done():
            self._heard.set_result(None)

    def hang_up(self) -> None:
        """Close our end, once; nothing is heard from then on."""
        if self._socket.fileno() < 0:
            return
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self.is_closed = True


def operations_of(stream: bytes) -> list[bytes]:
    """Split what a server sent into its operations, each with its CRLF and payload; an unfinished tail comes last."""
    operations = []
    position = 0
    while position < len(stream):
        line_end = stream.find(b"\r\n", position)
        if line_end < 0:
            operations.append(stream[position:])
            break
        end = line_end + 2
        if stream.startswith(PAYLOAD_OPERATIONS, position):
            end += int(stream[position:line_end].split()[-1]) + 2
        operations.append(stream[position:end])
        position = end
    return operations
