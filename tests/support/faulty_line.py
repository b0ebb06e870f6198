"""A TCP proxy that is a bad line: it cuts, stalls, half-opens, throttles, delays and reorders connections when told to.

Thread-safe: a test steers it while servers talk through it. Every connection has two pumps; what they do with the
bytes is decided chunk by chunk, so a fault takes effect at once on connections that stand.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Self

CHUNK_BYTES = 16 * 1024


class FaultyLine:
    """Forwards connections to one port of this machine. A context manager."""

    def __init__(self, port: int) -> None:
        self.target_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._flows = threading.Event()
        self._flows.set()
        self._half_open: list[tuple[socket.socket, socket.socket]] = []
        self._is_refusing = False
        self._is_reordering = False
        self._held: threading.Event | None = None
        self._is_closed = False
        self.bytes_per_second = 0
        self.connect_delay_s = 0.0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """Where to connect."""
        return int(self._listener.getsockname()[1])

    # -- faults -------------------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """Reset every connection; new ones pass."""
        for pair in self._taken():
            for end in pair:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                _close(end)

    def refuse(self) -> None:
        """Cut, and close whatever connects until `heal`."""
        self._is_refusing = True
        self.cut()

    def stall(self) -> None:
        """Nothing moves, in either direction, also on new connections; nothing is lost. Until `heal`."""
        self._flows.clear()

    def half_open(self) -> None:
        """What the standing connections carry vanishes; neither side is told. New ones pass."""
        # Kept open: closing them would tell.
        self._half_open += self._taken()

    def reorder(self) -> None:
        """A later connect overtakes an earlier: of every two, what the first one says gets there after the second's.

        The far side answers the first; what the near side has to say to that is held back, even beyond its end, until
        the second has been heard. Until `heal`.
        """
        self._is_reordering = True

    def heal(self) -> None:
        """No fault from now on; what stalled or was held back goes on."""
        self._is_refusing = False
        self._is_reordering = False
        with self._lock:
            held, self._held = self._held, None
        if held is not None:
            held.set()
        self.bytes_per_second = 0
        self.connect_delay_s = 0.0
        self._flows.set()

    # -- life ---------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._is_closed = True
        self._listener.close()
        self.heal()
        self.cut()
        for pair in self._half_open:
            for end in pair:
                _close(end)

    def _taken(self) -> list[tuple[socket.socket, socket.socket]]:
        with self._lock:
            pairs, self._pairs = self._pairs, []
        return pairs

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._open, args=(near,), daemon=True).start()

    def _open(self, near: socket.socket) -> None:
        if self.connect_delay_s:
            time.sleep(self.connect_delay_s)
        if self._is_refusing:
            _close(near)
            return
        try:
            far = socket.create_connection(("127.0.0.1", self.target_port), timeout=5)
            far.settimeout(None)
        except OSError:
            _close(near)
            return
        turn, told = self._turn()
        with self._lock:
            self._pairs.append((near, far))
        threading.Thread(target=self._pump, args=(near, far, turn, told), daemon=True).start()
        threading.Thread(target=self._pump, args=(far, near, None, None), daemon=True).start()

    def _turn(self) -> tuple[threading.Event | None, threading.Event | None]:
        """What a new connection has to wait for before it is heard, and whom it lets go once it was."""
        with self._lock:
            if not self._is_reordering:
                return None, None
            if self._held is not None:
                held, self._held = self._held, None
                return None, held
            self._held = threading.Event()
            return self._held, None

    def _pump(
        self, source: socket.socket, sink: socket.socket, turn: threading.Event | None, told: threading.Event | None
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                if turn is not None:
                    turn.wait()
                self._flows.wait()
                if self._is_lost(source, sink):
                    continue
                if rate := self.bytes_per_second:
                    time.sleep(len(data) / rate)
                sink.sendall(data)
                if told is not None:
                    told.set()
        if not self._is_lost(source, sink):
            _close(sink)
            _close(source)
            with self._lock:
                self._pairs = [pair for pair in self._pairs if source not in pair]

    def _is_lost(self, source: socket.socket, sink: socket.socket) -> bool:
        """Whether the pair was half-opened: it is no longer among the living, and nobody closed it."""
        with self._lock:
            return not any(source in pair for pair in self._pairs) and source.fileno() >= 0 and sink.fileno() >= 0


def _close(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        end.close()
