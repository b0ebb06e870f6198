"""Decoders of text from outside that are plain Python: they may refuse, and raise nothing but their own error."""

from __future__ import annotations

from leafbox.app.configuration.grammar import parse_text
from leafbox.protocol.client_info import decode_connect
from leafbox.protocol.errors import ConfigError, ProtocolViolation
from leafbox.protocol.http_head import parse_request, parse_response
from tests.fuzz.choices import Choices

SEEDS: list[bytes] = [
    b'\x00{"verbose":true,"user":"a","Pass":"b","protocol":1}',
    b'\x01GET /path?x=1 HTTP/1.1\r\nHost: a\r\nCookie: a=b; c="d"\r\n\r\n',
    b"\x02HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
    b"\x03port: 4222\nauthorization { users = [ {user: $X, password: 'y'} ] }\nX: 5k # c\n",
    b'\x03a = [1, 2.5, true, "q\\n\\x41", 2020-01-02T03:04:05Z, 1MB]\nb { c: ( block\n) }\n',
]


def one_input(data: bytes) -> None:
    """Which decoder, then its text."""
    choices = Choices(data)
    kind = choices.number(4)
    text = choices.rest()
    try:
        if kind == 0:
            decode_connect(text)
        elif kind == 1:
            parse_request(text)
        elif kind == 2:
            parse_response(text)
        else:
            parse_text(text.decode("utf-8", "surrogateescape"), {"HOME": "/tmp"})
    except (ProtocolViolation, ConfigError):
        return
