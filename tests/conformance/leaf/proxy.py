"""A TCP proxy that can stop passing bytes without closing anything: a half-open line."""

from __future__ import annotations

import contextlib
import socket
import threading


class StallingProxy:
    """Forwards connections to one port until `stall`; a context manager. Connections made after that pass again."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._stalled = threading.Event()
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """Where to connect."""
        return int(self._listener.getsockname()[1])

    def stall(self) -> None:
        """Swallow everything of the connections there are, in both directions."""
        self._stalled.set()
        self._stalled = threading.Event()

    def __enter__(self) -> StallingProxy:
        return self

    def __exit__(self, *exception: object) -> None:
        self._listener.close()
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            self._sockets += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(source, sink, self._stalled), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, stalled: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not stalled.is_set():
                    sink.sendall(data)
            if not stalled.is_set():
                sink.shutdown(socket.SHUT_WR)
