"""A NATS client of a dozen lines on a blocking socket: reads INFO, may upgrade to TLS, asks and reads until PONG.

For tests of logins, TLS and permissions, where a client library would hide what went over the wire or try again.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
from types import TracebackType
from typing import Any, Self

ANSWER_TIMEOUT_S = 20.0
CLOSED = b"<closed>"
"""Stands in an answer where the server closed the connection."""


class BlockingClient:
    """One connection; a context manager. `info` is the server's first INFO."""

    def __init__(
        self,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        tls_first: bool = False,
        host: str = "127.0.0.1",
        server_hostname: str = "localhost",
    ) -> None:
        """Connect; with `tls` upgrade after INFO, or before it if `tls_first`. Errors of ssl and socket pass."""
        self._socket: socket.socket = socket.create_connection((host, port), timeout=ANSWER_TIMEOUT_S)
        self._received = b""
        self.info: dict[str, Any] = {}
        try:
            if tls is not None and tls_first:
                self._socket = tls.wrap_socket(self._socket, server_hostname=server_hostname)
            line = self._read_until(b"\r\n")
            if line.startswith(b"INFO "):
                self.info = json.loads(line[5 : line.index(b"\r\n")])
                self._received = line[line.index(b"\r\n") + 2 :]
            if tls is not None and not tls_first:
                self._socket = tls.wrap_socket(self._socket, server_hostname=server_hostname)
        except BaseException:
            self._socket.close()
            raise

    @property
    def tls(self) -> ssl.SSLSocket:
        """The TLS side of the socket."""
        assert isinstance(self._socket, ssl.SSLSocket)
        return self._socket

    def fileno(self) -> int:
        """For `select`."""
        return self._socket.fileno()

    def login(self, **options: object) -> bytes:
        """CONNECT (protocol 1, not verbose, with these options); the answer up to PONG, or `CLOSED` at its end."""
        connect = {"verbose": False, "pedantic": False, "protocol": 1, "headers": True, "no_responders": True}
        return self.ask(b"CONNECT " + json.dumps(connect | options).encode() + b"\r\n")

    def ask(self, data: bytes = b"") -> bytes:
        """Send `data` and a PING; everything up to and with the PONG, or `CLOSED` at its end."""
        with contextlib.suppress(OSError):
            self._socket.sendall(data + b"PING\r\n")
        answer = self._read_until(b"PONG\r\n")
        end = answer.find(b"PONG\r\n")
        if end < 0:
            return answer
        self._received = answer[end + 6 :]
        return answer[: end + 6]

    def send(self, data: bytes) -> None:
        """Send without waiting for an answer."""
        self._socket.sendall(data)

    def read_until(self, wanted: bytes) -> bytes:
        """Everything up to and with `wanted`, or up to `CLOSED`."""
        answer = self._read_until(wanted)
        end = answer.find(wanted)
        if end < 0:
            return answer
        self._received = answer[end + len(wanted) :]
        return answer[: end + len(wanted)]

    def read_to_end(self) -> bytes:
        """Everything until the server closes."""
        return self._read_until(CLOSED)

    def account(self) -> str:
        """The account a logged-in connection landed in, from the INFO that follows the first PONG."""
        found = re.search(rb'"remote_account":"([^"]*)"', self.read_until(b"\r\n"))
        assert found is not None
        return found[1].decode()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_until(self, wanted: bytes) -> bytes:
        data, self._received = self._received, b""
        while wanted not in data:
            try:
                more = self._socket.recv(65536)
            except (ConnectionError, ssl.SSLError) as error:
                if isinstance(error, ssl.SSLError) and not data:
                    raise
                more = b""
            if not more:
                return data + CLOSED
            data += more
        return data


def messages_in(answer: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """The MSG operations of an answer: (subject, sid, payload). Payloads must not hold CRLF."""
    return re.findall(rb"^MSG (\S+) (\S+) (?:\S+ )?\d+\r\n(.*?)\r\n", answer, re.MULTILINE)


def errors_in(answer: bytes) -> list[str]:
    """The texts of the -ERR lines of an answer."""
    return [text.decode() for text in re.findall(rb"^-ERR '(.*)'\r\n", answer, re.MULTILINE)]
