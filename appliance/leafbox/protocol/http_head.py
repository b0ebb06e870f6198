"""HTTP/1.x message heads: bytes to values and back. For the WebSocket upgrade and the monitoring listener.

A head is what stands before the empty line. Not here: sockets, bodies, routes. Strict where leniency is how requests
are smuggled past proxies: no folded lines, no white space before the colon, no control characters, one Host. A bare
line feed ends a line (RFC 9112 section 2.2 allows it, Go does it).
Source: RFC 9112 sections 2-5; answers to broken requests as of Go's net/http, which nats-server uses.
"""

from __future__ import annotations

import http
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass

from leafbox.protocol.errors import ProtocolViolation

HEAD_BYTES_MAX = 64 * 1024
"""Largest head accepted. A JWT in a cookie takes some KiB; other servers allow 8 to 64 KiB, Go 1 MiB."""

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) HTTP/([0-9]\.[0-9])")
_HEAD_END = re.compile(rb"\n\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?")
BODY_BYTES_MAX = 64 * 1024
"""Largest body accepted. Bodies mean nothing to our listeners; they are read and dropped."""

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")

Fields = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Head:
    """The fields of a message in the order received; names lower-case, values stripped and decoded as Latin-1."""

    fields: Fields

    def values(self, name: str) -> list[str]:
        """All values of one field, `name` in lower case."""
        return [value for key, value in self.fields if key == name]

    def value(self, name: str) -> str:
        """The first value of one field, empty if there is none."""
        return next(iter(self.values(name)), "")

    def has_token(self, name: str, token: str) -> bool:
        """Whether a comma-separated field holds `token`, in any case."""
        return any(part.strip(" \t").lower() == token.lower() for v in self.values(name) for part in v.split(","))

    @property
    def cookies(self) -> list[tuple[str, str]]:
        """Name and value of each cookie; quotes around a value are dropped (RFC 6265 section 4.1.1)."""
        found = []
        for line in self.values("cookie"):
            for part in line.split(";"):
                name, sign, value = part.strip(" \t").partition("=")
                if sign and name:
                    is_quoted = len(value) > 1 and value[0] == value[-1] == '"'
                    found.append((name, value[1:-1] if is_quoted else value))
        return found


@dataclass(frozen=True, slots=True)
class RequestHead(Head):
    """What a client asks for."""

    method: str
    target: str
    is_http_1_0: bool = False

    @property
    def path(self) -> str:
        """The path of the target as sent, percent-encoded."""
        return self._path_and_query[0]

    @property
    def query(self) -> str:
        """What follows the first `?`, percent-encoded."""
        return self._path_and_query[1]

    @property
    def _path_and_query(self) -> tuple[str, str]:
        target = self.target
        if not target.startswith("/") and "://" in target:
            # Absolute form, as proxies send it (RFC 9112 section 3.2.2).
            _, _, rest = target.partition("://")
            slash = rest.find("/")
            target = rest[slash:] if slash >= 0 else "/"
        path, _, query = target.partition("?")
        return path, query

    @property
    def keeps_alive(self) -> bool:
        """Whether the client expects further requests on the connection."""
        if self.is_http_1_0:
            return self.has_token("connection", "keep-alive")
        return not self.has_token("connection", "close")


@dataclass(frozen=True, slots=True)
class ResponseHead(Head):
    """What a server answered."""

    status: int


class HeadTooLarge(ProtocolViolation):
    """The head did not end within `HEAD_BYTES_MAX`."""


class HeadReader:
    """Gathers the bytes of one head. `feed` until it returns one; what came behind the head is in `rest` then."""

    def __init__(self) -> None:
        self._gathered = bytearray()
        self.rest = b""

    @property
    def has_begun(self) -> bool:
        """Whether a part of a head is there."""
        return bool(self._gathered)

    def feed(self, data: bytes) -> bytes | None:
        """The whole head with its empty line, or None while it is incomplete. Raises `HeadTooLarge`."""
        searched = max(0, len(self._gathered) - 2)
        self._gathered += data
        end = _HEAD_END.search(self._gathered, searched)
        if end is None and len(self._gathered) <= HEAD_BYTES_MAX:
            return None
        if end is None or end.start() > HEAD_BYTES_MAX:
            raise HeadTooLarge("431 Request Header Fields Too Large")
        head = bytes(self._gathered[: end.end()])
        self.rest = bytes(self._gathered[end.end() :])
        self._gathered.clear()
        return head


class RequestReader:
    """The requests of one connection, in order: heads parsed, bodies dropped. Bytes in, requests out."""

    def __init__(self) -> None:
        self._head = HeadReader()
        self._unread = b""
        self._body_left = 0

    @property
    def has_unread(self) -> bool:
        """Whether bytes came behind the last request."""
        return bool(self._unread)

    def receive_data(self, data: bytes) -> None:
        """Take what arrived; `next_request` looks at it."""
        self._unread += data

    def next_request(self) -> RequestHead | None:
        """The next whole request, None until more arrives. Raises `ProtocolViolation`: answer it and close."""
        dropped = min(self._body_left, len(self._unread))
        self._body_left -= dropped
        data, self._unread = self._unread[dropped:], b""
        if not data:
            return None
        head = self._head.feed(data)
        if head is None:
            return None
        self._unread, self._head.rest = self._head.rest, b""
        request = parse_request(head)
        self._body_left = body_bytes(request)
        return request


def body_bytes(request: RequestHead) -> int:
    """How many bytes follow the head. Raises `ProtocolViolation` for a length we cannot know, or a large one."""
    if request.values("transfer-encoding"):
        raise ProtocolViolation("501 Not Implemented: Unsupported transfer encoding")
    lengths = set(request.values("content-length"))
    if not lengths:
        return 0
    length = lengths.pop()
    if lengths or not (length.isascii() and length.isdigit() and len(length) < 19):
        raise ProtocolViolation("400 Bad Request")
    if int(length) > BODY_BYTES_MAX:
        raise ProtocolViolation("413 Request Entity Too Large")
    return int(length)


def parse_request(head: bytes) -> RequestHead:
    """The request in a whole head. Raises `ProtocolViolation` with the status line's end for the answer."""
    line, *field_lines = _lines(head)
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise ProtocolViolation("400 Bad Request")
    if match[3] not in (b"1.0", b"1.1"):
        raise ProtocolViolation("505 HTTP Version Not Supported: unsupported protocol version")
    fields = _fields(field_lines)
    request = RequestHead(fields, match[1].decode(), match[2].decode(), match[3] == b"1.0")
    hosts = request.values("host")
    if not hosts and not request.is_http_1_0:
        raise ProtocolViolation("400 Bad Request: missing required Host header")
    if len(hosts) > 1 or any(name.endswith((" ", "\t")) for name, _ in fields):
        raise ProtocolViolation("400 Bad Request")
    return request


def parse_response(head: bytes) -> ResponseHead:
    """The response in a whole head. Raises `ProtocolViolation`."""
    line, *field_lines = _lines(head)
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise ProtocolViolation("malformed HTTP response")
    return ResponseHead(_fields(field_lines), int(match[1]))


def write_head(first_line: str, fields: Iterable[tuple[str, str]]) -> bytes:
    """A head with its empty line. The caller vouches that names and values hold no line ends."""
    lines = [first_line, *(f"{name}: {value}" for name, value in fields)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def response_head(status: int, fields: Iterable[tuple[str, str]]) -> bytes:
    """The head of a response."""
    return write_head(f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}", fields)


def error_response(text: str) -> bytes:
    """The whole answer to a request that cannot be parsed; `text` begins with the status. The connection ends."""
    fields = [("Content-Type", "text/plain; charset=utf-8"), ("Connection", "close")]
    return write_head(f"HTTP/1.1 {text}", fields) + text.encode()


def http_date(unix_s: float | None = None) -> str:
    """The value of a Date field; now without an argument."""
    # Not strftime: its names follow the locale.
    at = time.gmtime(unix_s)
    day, month = _DAYS[at.tm_wday], _MONTHS[at.tm_mon - 1]
    return f"{day}, {at.tm_mday:02} {month} {at.tm_year} {at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} GMT"


def _lines(head: bytes) -> list[bytes]:
    """The lines of a whole head without their ends; the empty line is left out."""
    lines = head.removesuffix(b"\n").removesuffix(b"\r").removesuffix(b"\n").split(b"\n")
    return [line.removesuffix(b"\r") for line in lines]


def _fields(lines: list[bytes]) -> Fields:
    """The fields; white space before a colon stays in the name, so that the caller sees which fields are whole."""
    fields = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _TOKEN.fullmatch(name.rstrip(b" \t")) or not _VALUE.fullmatch(value):
            raise ProtocolViolation("400 Bad Request")
        fields.append((name.decode().lower(), value.strip(b" \t").decode("latin-1")))
    return tuple(fields)
