"""HTTP heads: what is read, what is refused, and with which answer."""

from __future__ import annotations

import email.utils
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leafbox.protocol.errors import ProtocolViolation
from leafbox.protocol.http_head import (
    HEAD_BYTES_MAX,
    HeadReader,
    HeadTooLarge,
    error_response,
    http_date,
    parse_request,
    parse_response,
    response_head,
)

pytestmark = pytest.mark.capability("WS01", "MO06")

REQUEST = (
    b"GET /a%20b/mqtt?x=1&y HTTP/1.1\r\nHost: h:80\r\nUpgrade: WebSocket\r\nConnection: keep-alive, upgrade\r\n\r\n"
)


def test_a_request_is_read_into_its_parts() -> None:
    request = parse_request(REQUEST)
    assert (request.method, request.path, request.query) == ("GET", "/a%20b/mqtt", "x=1&y")
    assert request.value("host") == "h:80"
    assert request.value("origin") == ""
    assert request.has_token("connection", "Upgrade")
    assert not request.has_token("connection", "close")
    assert request.keeps_alive


def test_bare_line_feeds_end_lines() -> None:
    reader = HeadReader()
    head = reader.feed(b"GET / HTTP/1.1\nHost: h\n\nrest")
    assert head is not None
    assert parse_request(head).value("host") == "h"
    assert reader.rest == b"rest"


def test_absolute_targets_have_a_path() -> None:
    assert parse_request(b"GET http://h/varz?a HTTP/1.1\r\nHost: h\r\n\r\n").path == "/varz"
    assert parse_request(b"GET http://h HTTP/1.1\r\nHost: h\r\n\r\n").path == "/"


@pytest.mark.parametrize(
    ("head", "answer"),
    [
        (b"hello there\r\n\r\n", "400 Bad Request"),
        (b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", "400 Bad Request"),
        (
            b"GET / HTTP/2.0\r\nHost: h\r\n\r\n",
            "505 HTTP Version Not Supported: unsupported protocol version",
        ),
        (b"GET / HTTP/1.1\r\nHost : h\r\n\r\n", "400 Bad Request: missing required Host header"),
        (b"GET /\x7f HTTP/1.1\r\nHost: h\r\n\r\n", "400 Bad Request"),
        (b"GET / HTTP/1.1\r\n\r\n", "400 Bad Request: missing required Host header"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400 Bad Request"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n", "400 Bad Request"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nName : v\r\n\r\n", "400 Bad Request"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\n folded\r\n\r\n", "400 Bad Request"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nA: \x00\r\n\r\n", "400 Bad Request"),
        (b"GET / HTTP/1.1\r\nHost: h\rA: 1\r\n\r\n", "400 Bad Request"),
    ],
)
def test_what_is_refused(head: bytes, answer: str) -> None:
    with pytest.raises(ProtocolViolation) as refused:
        parse_request(head)
    assert str(refused.value) == answer
    assert error_response(answer).startswith(f"HTTP/1.1 {answer}\r\n".encode())


def test_http_1_0_needs_no_host_and_does_not_keep_alive() -> None:
    assert not parse_request(b"GET / HTTP/1.0\r\n\r\n").keeps_alive
    assert parse_request(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keeps_alive


def test_cookies_keep_their_order_and_lose_their_quotes() -> None:
    head = parse_request(b'GET / HTTP/1.1\r\nHost: h\r\nCookie: a=1; b="x=y";c\r\nCookie: d=\r\n\r\n')
    assert head.cookies == [("a", "1"), ("b", "x=y"), ("d", "")]


@given(st.lists(st.integers(0, len(REQUEST) + 4), max_size=6))
def test_a_head_may_be_cut_anywhere(cuts: list[int]) -> None:
    data = REQUEST + b"rest"
    reader = HeadReader()
    heads: list[bytes] = []
    edges = sorted({0, len(data), *cuts})
    for a, b in itertools.pairwise(edges):
        if heads:
            reader.rest += data[a:b]
        elif head := reader.feed(data[a:b]):
            heads.append(head)
    assert heads == [REQUEST]
    assert reader.rest == b"rest"
    assert not reader.has_begun


def test_a_head_without_end_is_refused() -> None:
    reader = HeadReader()
    assert reader.feed(b"G" * HEAD_BYTES_MAX) is None
    assert reader.has_begun
    with pytest.raises(HeadTooLarge):
        reader.feed(b"G")


@given(st.binary(max_size=200))
def test_no_head_makes_the_parsers_raise_anything_else(data: bytes) -> None:
    for parse in (parse_request, parse_response):
        try:
            parse(data + b"\r\n\r\n")
        except ProtocolViolation:
            continue


def test_a_response_is_read_and_written() -> None:
    written = response_head(403, [("Sec-Websocket-Version", "13")])
    assert written == b"HTTP/1.1 403 Forbidden\r\nSec-Websocket-Version: 13\r\n\r\n"
    response = parse_response(written)
    assert (response.status, response.value("sec-websocket-version")) == (403, "13")


def test_dates_are_those_of_http() -> None:
    for unix_s in (0.0, 1_700_000_000.0, 1_795_417_680.9):
        assert http_date(unix_s) == email.utils.formatdate(unix_s, usegmt=True)
