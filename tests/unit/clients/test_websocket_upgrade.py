"""Which upgrade requests pass, what is answered, and that the transport changes hands."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
import uvloop

from leafbox.clients.config import WebsocketOptions
from leafbox.clients.websocket_upgrade import (
    Peer,
    Upgrade,
    UpgradeHandler,
    UpgradeKind,
    UpgradeProtocol,
    UpgradeRefused,
    UpgradeRules,
    accept_key,
)
from leafbox.dataplane.connection import Engine
from leafbox.dataplane.nats_connection import NatsConnection
from leafbox.protocol.http_head import parse_request, parse_response
from leafbox.security.tls_accept import TlsFacts
from tests.support.websocket_frames import BINARY, CLOSE, PING, PONG, Frame, read_frames, write_frame

pytestmark = pytest.mark.capability("WS01")

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
EVERY_KIND = frozenset(UpgradeKind)
TLS = TlsFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256", None)


def request(target: str = "/", method: str = "GET", **changes: str | None) -> bytes:
    """A good upgrade request, with fields added, changed, or (None) left out; `_` stands for `-`."""
    fields: dict[str, str | None] = {
        "Host": "box.local:8080",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
    }
    lower = {name.lower(): name for name in fields}
    for name, value in changes.items():
        name = name.replace("_", "-")
        fields[lower.get(name.lower(), name)] = value
    lines = [f"{method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items() if v is not None)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def accept(
    head: bytes, options: WebsocketOptions | None = None, tls: TlsFacts | None = None, max_payload: int = 1024 * 1024
) -> tuple[Upgrade, bytes]:
    rules = UpgradeRules(options or WebsocketOptions(), EVERY_KIND, max_payload=max_payload)
    return rules.accept(parse_request(head), Peer("192.0.2.1", 4711, tls))


def test_the_answer_is_that_of_nats_server_byte_for_byte() -> None:
    """The key and its answer are those of RFC 6455 section 1.3."""
    _, answer = accept(request())
    assert answer == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )
    assert accept_key(KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    ("head", "status", "reason"),
    [
        (request(method="POST"), 405, "request method must be GET"),
        (request(host=""), 400, "'Host' missing in request"),
        (request(upgrade=None), 400, "invalid value for header 'Upgrade'"),
        (request(upgrade="h2c"), 400, "invalid value for header 'Upgrade'"),
        (request(connection="keep-alive"), 400, "invalid value for header 'Connection'"),
        (request(sec_websocket_key=None), 400, "key missing"),
        (request(sec_websocket_key="YWJj"), 400, "invalid websocket key"),
        (request(sec_websocket_key="!" * 24), 400, "invalid websocket key"),
        (request(sec_websocket_version="8"), 400, "invalid version"),
    ],
)
def test_requests_that_are_no_upgrade(head: bytes, status: int, reason: str) -> None:
    with pytest.raises(UpgradeRefused) as refused:
        accept(head)
    assert (refused.value.status, str(refused.value)) == (status, reason)


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("/", UpgradeKind.CLIENT),
        ("/any/thing?x=/mqtt", UpgradeKind.CLIENT),
        ("/mqtt", UpgradeKind.MQTT),
        ("/site/a/mqtt?x", UpgradeKind.MQTT),
        ("/leafnode", UpgradeKind.LEAF),
    ],
)
def test_the_path_chooses_the_protocol(target: str, kind: UpgradeKind) -> None:
    upgrade, answer = accept(request(target))
    assert upgrade.kind is kind
    assert (b"Sec-Websocket-Protocol: mqtt\r\n" in answer) == (kind is UpgradeKind.MQTT)


def test_a_protocol_nobody_serves_is_not_found() -> None:
    rules = UpgradeRules(WebsocketOptions(), frozenset({UpgradeKind.CLIENT}), max_payload=1)
    with pytest.raises(UpgradeRefused) as refused:
        rules.accept(parse_request(request("/mqtt", method="POST")), Peer())
    assert refused.value.status == 404


def test_a_leaf_link_that_nobody_serves_is_upgraded_and_dropped() -> None:
    answer = uvloop.run(talk(request("/leafnode")))
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert answer.endswith(b"\r\n\r\n")


SAME = WebsocketOptions(is_same_origin_required=True)
LISTED = WebsocketOptions(allowed_origins=("https://a.example", "http://b.example:81"))


@pytest.mark.parametrize(
    ("options", "origin", "tls", "is_allowed"),
    [
        (WebsocketOptions(), "http://evil.example", None, True),
        (SAME, None, None, True),
        (SAME, "http://box.local:8080", None, True),
        (SAME, "http://BOX.local:8080", None, True),
        (SAME, "https://box.local:8080", None, False),
        (SAME, "https://box.local:8080", TLS, True),
        (SAME, "http://box.local", None, False),
        (SAME, "http://box.local:81", None, False),
        (SAME, "null", None, False),
        (SAME, "://", None, False),
        (SAME, "http://box.local:port", None, False),
        (LISTED, "https://a.example", None, True),
        (LISTED, "https://a.example:443", None, True),
        (LISTED, "http://a.example", None, False),
        (LISTED, "http://b.example:81", None, True),
        (LISTED, "http://b.example", None, False),
    ],
)
def test_origins(options: WebsocketOptions, origin: str | None, tls: TlsFacts | None, is_allowed: bool) -> None:
    if is_allowed:
        accept(request(origin=origin), options, tls)
        return
    with pytest.raises(UpgradeRefused) as refused:
        accept(request(origin=origin), options, tls)
    assert refused.value.status == 403


def test_cookies_are_taken_for_the_configured_names_only() -> None:
    options = WebsocketOptions(user_cookie="u", pass_cookie="p", token_cookie="t", jwt_cookie="j")
    upgrade, _ = accept(request(cookie='other=1; u=ann; p="se=cret"; t=tok; j=ey.x.y'), options)
    assert (upgrade.cookie_user, upgrade.cookie_password) == ("ann", "se=cret")
    assert (upgrade.cookie_token, upgrade.cookie_jwt) == ("tok", "ey.x.y")
    upgrade, _ = accept(request(cookie="u=ann; =nameless"), WebsocketOptions())
    assert (upgrade.cookie_user, upgrade.cookie_password) == ("", "")


@pytest.mark.parametrize(
    ("forwarded", "ip"),
    [("203.0.113.7", "203.0.113.7"), ("::1", "::1"), ("203.0.113.7, 10.0.0.1", "192.0.2.1"), ("x", "192.0.2.1")],
)
def test_a_proxy_may_name_the_client(forwarded: str, ip: str) -> None:
    upgrade, _ = accept(request(x_forwarded_for=forwarded))
    assert (upgrade.ip, upgrade.port) == (ip, 4711)


def test_extra_fields_end_the_answer() -> None:
    _, answer = accept(request(), WebsocketOptions(headers={"X-Box": "7", "Server": "leafbox"}))
    assert answer.endswith(b"\r\nX-Box: 7\r\nServer: leafbox\r\n\r\n")


def test_masking_is_waived_on_request() -> None:
    upgrade, answer = accept(request("/leafnode", nats_no_masking="true"))
    assert b"\r\nNats-No-Masking: true\r\n" in answer
    assert not upgrade.framing.demands_mask
    assert accept(request())[0].framing.demands_mask


@pytest.mark.capability("WS02")
def test_compression_needs_both_sides() -> None:
    enabled = WebsocketOptions(is_compression_enabled=True)
    offer = request(sec_websocket_extensions="foo, permessage-deflate; client_max_window_bits")
    upgrade, answer = accept(offer, enabled)
    assert upgrade.framing.deflater is not None
    assert (
        b"\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
        b"client_no_context_takeover\r\n" in answer
    )
    for head, options in ((offer, WebsocketOptions()), (request(), enabled)):
        upgrade, answer = accept(head, options)
        assert upgrade.framing.deflater is None
        assert b"Extensions" not in answer


def test_browsers_get_small_frames_and_safari_whole_compressed_messages() -> None:
    chrome = "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36"
    safari = "Mozilla/5.0 AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Safari/605.1.15"
    framings = {agent: accept(request(user_agent=agent))[0].framing for agent in (chrome, safari, "node")}
    assert [(f.frame_bytes_max, f.fragments_compressed) for f in framings.values()] == [
        (4096, True),
        (4096, False),
        (0, True),
    ]
    assert accept(request("/leafnode", user_agent=chrome))[0].framing.frame_bytes_max == 0


def test_the_message_limit_follows_max_payload() -> None:
    assert accept(request(), max_payload=1000)[0].framing.message_bytes_max == 8000


class Session(NatsConnection):
    """The compiled parser alone; greets like a server."""

    def on_connected(self) -> None:
        self.send(b"INFO {}\r\n")


async def talk(data: bytes, *, chunk: int = 0, timeout_s: float = 5.0) -> bytes:
    """Send to a loopback upgrade server and return what came back until it closed."""
    loop = asyncio.get_running_loop()
    engine = Engine(loop)
    handlers: Mapping[UpgradeKind, UpgradeHandler] = {UpgradeKind.CLIENT: lambda upgrade: Session(engine)}
    rules = UpgradeRules(WebsocketOptions(), frozenset(handlers), max_payload=1024)
    server = await loop.create_server(
        lambda: UpgradeProtocol(loop, rules, handlers, timeout_s=timeout_s), "127.0.0.1", 0
    )
    try:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for at in range(0, len(data), chunk or max(len(data), 1)):
            writer.write(data[at : at + chunk] if chunk else data)
            await writer.drain()
            await asyncio.sleep(0)
        answer = b""
        while part := await reader.read(65536):
            answer += part
            if answer.endswith(b"INFO {}\r\n"):
                frames = [Frame(PING, b"beat"), Frame(BINARY, b"PING\r\n"), Frame(CLOSE, b"\x03\xe8bye")]
                writer.write(b"".join(write_frame(frame) for frame in frames))
        writer.close()
        return answer
    finally:
        server.close()


@pytest.mark.parametrize("chunk", [0, 1, 7])
def test_the_connection_takes_over_after_the_answer(chunk: int) -> None:
    answer = uvloop.run(talk(request("/a"), chunk=chunk))
    head, _, framed = answer.partition(b"\r\n\r\n")
    assert parse_response(head + b"\r\n\r\n").status == 101
    frames, rest = read_frames(framed)
    assert rest == b""
    assert frames[0] == Frame(BINARY, b"INFO {}\r\n")
    assert sorted(frames[1:-1], key=lambda frame: frame.opcode) == [Frame(BINARY, b"PONG\r\n"), Frame(PONG, b"beat")]
    assert frames[-1] == Frame(CLOSE, b"\x03\xe8bye")


def test_a_refused_request_is_answered_and_another_may_follow() -> None:
    last = request(method="HEAD", connection="close")
    answer = uvloop.run(talk(request(method="POST", content_length="3") + b"abc" + last))
    first, _, second = answer.partition(b"\r\n\r\nMethod Not Allowed\n")
    assert first.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert b"\r\nSec-Websocket-Version: 13\r\n" in first
    assert second.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert second.endswith(b"\r\n\r\n")


def test_what_is_not_http_is_answered_with_400() -> None:
    assert uvloop.run(talk(b"\x16\x03\x01\x00\r\n\r\n")).startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_frames_before_the_answer_end_the_connection() -> None:
    assert uvloop.run(talk(request() + write_frame(Frame(BINARY, b"PING\r\n")))) == b""


def test_a_slow_request_is_given_up() -> None:
    answer = uvloop.run(talk(b"GET / HT", timeout_s=0.05))
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.capability("SE23")
def test_a_head_without_end_is_refused() -> None:
    answer = uvloop.run(talk(b"GET / HTTP/1.1\r\nX: " + b"a" * 66_000))
    assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
