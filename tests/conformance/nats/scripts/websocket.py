"""The WebSocket listener: HTTP upgrade and its refusals, origins, cookies, frames, control frames (core-protocol 9)."""

from __future__ import annotations

from tests.conformance.nats.scripts.notation import HEADERS, QUIET, Said, connect, hpub, login, pub, script, token
from tests.support.differential import Script, Step
from tests.support.websocket_dialect import NO_MASK, WEBSOCKET
from tests.support.websocket_frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame, deflate, write_frame

_WS = "websocket { listen: '127.0.0.1:-1', no_tls: true, handshake_timeout: '60s'"
_USERS = (
    "authorization { timeout: 60, users: [{user: u, password: pw}, "
    "{user: w, password: pw, allowed_connection_types: [WEBSOCKET]}"
)
_ORIGINS_ALLOWED = "'http://good.example', 'https://other.example:8443'"
CONFIGS = {
    "ws": f"server_name: differential\n{_WS} }}",
    "ws deflate": f"server_name: differential\n{_WS}, compression: true }}",
    "ws same origin": f"server_name: differential\n{_WS}, same_origin: true }}",
    "ws origins": f"server_name: differential\n{_WS}, allowed_origins: [{_ORIGINS_ALLOWED}] }}",
    "ws headers": f"server_name: differential\n{_WS}, headers: {{X-Site: 'one', X-More: 'two'}} }}",
    "ws users": f"""
        server_name: differential
        {_USERS}, {{user: s, password: pw, allowed_connection_types: [STANDARD]}}] }}
        {_WS}, user_cookie: theuser, pass_cookie: thepass }}
    """,
    "ws token": f"""
        server_name: differential
        authorization {{ timeout: 60, token: s3cr3t }}
        {_WS}, token_cookie: thetoken }}
    """,
    "ws guest": f"""
        server_name: differential
        {_USERS}, {{user: guest, password: pw}}] }}
        {_WS}, no_auth_user: guest }}
    """,
    "ws own users": f"server_name: differential\n{_WS}, authorization {{ timeout: 60, user: wsu, password: pw }} }}",
    "ws small": f"server_name: differential\nmax_payload: 64\nmax_control_line: 512\n{_WS} }}",
}

_UPGRADE = {
    "Host": "box.example:8080",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}
_FRAMES = {"rows": "WS03", "config": "ws"}

# Where the frames break the rules, nats-server closes the socket before its last words are out, mostly but not always.
_HASTY = {
    "request: no masking asked",
    "ping too long",
    "ping in fragments",
    "close 1005 b''",
    "close 999 b''",
    "close of one byte",
    "unmasked",
    "unmasked although it asked for it",
    "unmasked ping",
    "opcode 3",
    "opcode 7",
    "opcode 11",
    "opcode 15",
    "continuation of nothing",
    "new message inside fragments",
    "compressed without agreement",
    "reserved bits",
    "huge length",
    "nonsense in a frame",
    "bad JSON in a frame",
    "damaged deflate",
    "client -ERR",
}


def _request(path: str = "/", method: str = "GET", version: str = "1.1", **changed: str | None) -> bytes:
    """An upgrade request; a header given as None is left out, `_` in a name stands for `-`."""
    headers: dict[str, str | None] = {**_UPGRADE, **{name.replace("_", "-"): value for name, value in changed.items()}}
    lines = [
        f"{method} {path} HTTP/{version}",
        *(f"{name}: {value}" for name, value in headers.items() if value is not None),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _frame(
    data: bytes, opcode: int = BINARY, *, final: bool = True, mask: bytes | None = NO_MASK, packed: bool = False
) -> bytes:
    return write_frame(Frame(opcode, data, final, packed), mask)


def _close(status: int | None, text: bytes = b"") -> bytes:
    return _frame((b"" if status is None else status.to_bytes(2, "big")) + text, CLOSE)


def _ws(
    name: str,
    *said: Said,
    config: str = "ws",
    rows: str = "WS01",
    request: bytes | None = None,
    silent: bool = False,
    exclusive: bool = False,
    probe: bool = True,
) -> Script:
    """A script whose connection `a` has upgraded before it says the rest."""
    upgrade = Step("a", _request() if request is None else request, probe=probe)
    return script(
        f"ws: {name}",
        upgrade,
        *said,
        config=config,
        rows=rows,
        dialect=WEBSOCKET,
        silent=silent,
        exclusive=exclusive,
        hasty=name in _HASTY,
    )


_ROUND_TRIP = _frame(QUIET + b"SUB room 1\r\n" + pub(b"room"))

_REQUESTS: dict[str, bytes] = {
    "good": _request(),
    "any path": _request("/some/where?x=1"),
    "POST": _request(method="POST"),
    "HEAD": _request(method="HEAD"),
    "OPTIONS": _request(method="OPTIONS"),
    "lower-case method": _request(method="get"),
    "HTTP/1.0": _request(version="1.0"),
    "HTTP/2.0": _request(version="2.0"),
    "no Host": _request(Host=None),
    "empty Host": _request(Host=""),
    "no Upgrade": _request(Upgrade=None),
    "other Upgrade": _request(Upgrade="h2c"),
    "Upgrade by case": _request(Upgrade="WebSocket"),
    "Upgrade list": _request(Upgrade="h2c, websocket"),
    "no Connection": _request(Connection=None),
    "Connection list": _request(Connection="keep-alive, Upgrade"),
    "Connection by case": _request(Connection="upgrade"),
    "other Connection": _request(Connection="close"),
    "no key": _request(Sec_WebSocket_Key=None),
    "empty key": _request(Sec_WebSocket_Key=""),
    "short key": _request(Sec_WebSocket_Key="abc"),
    "other key": _request(Sec_WebSocket_Key="x3JJHMbDL1EzLkh9GBhXDw=="),
    "no version": _request(Sec_WebSocket_Version=None),
    "version 8": _request(Sec_WebSocket_Version="8"),
    "version list": _request(Sec_WebSocket_Version="8, 13"),
    "deflate offered but off": _request(Sec_WebSocket_Extensions="permessage-deflate"),
    "subprotocol": _request(Sec_WebSocket_Protocol="nats"),
    "origin": _request(Origin="http://anywhere.example"),
    "forwarded": _request(X_Forwarded_For="10.1.2.3, 10.4.5.6"),
    "forwarded nonsense": _request(X_Forwarded_For="nonsense"),
    "browser": _request(User_Agent="Mozilla/5.0"),
    "mqtt without MQTT": _request("/mqtt"),
    "leafnode without leafnodes": _request("/leafnode"),
    "no masking asked": _request(Nats_No_Masking="true"),
    "nonsense": b"NONSENSE\r\n\r\n",
    "NATS": b'CONNECT {"verbose":false}\r\n\r\n',
    "line feeds only": _request().replace(b"\r\n", b"\n"),
    "header without colon": b"GET / HTTP/1.1\r\nHost x\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
}

_DEFLATE_OFFERS = (
    "permessage-deflate",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    "permessage-deflate; server_max_window_bits=10",
    "x-webkit-deflate-frame",
    "foo, permessage-deflate",
    "permessage-deflate; client_no_context_takeover",
)

_ORIGINS: tuple[tuple[str, str | None], ...] = (
    ("ws same origin", None),
    ("ws same origin", "http://box.example:8080"),
    ("ws same origin", "http://box.example"),
    ("ws same origin", "https://box.example:8080"),
    ("ws same origin", "http://BOX.example:8080"),
    ("ws same origin", "http://evil.example:8080"),
    ("ws same origin", "null"),
    ("ws same origin", "::nonsense::"),
    ("ws origins", None),
    ("ws origins", "http://good.example"),
    ("ws origins", "http://good.example:80"),
    ("ws origins", "http://GOOD.example"),
    ("ws origins", "http://good.example:81"),
    ("ws origins", "https://good.example"),
    ("ws origins", "https://other.example:8443"),
    ("ws origins", "https://other.example"),
    ("ws origins", "http://evil.example"),
)

_LOGINS: dict[str, tuple[str, bytes, bytes]] = {
    "user": ("ws users", _request(), login("u")),
    "user only for websockets": ("ws users", _request(), login("w")),
    "user only for plain sockets": ("ws users", _request(), login("s")),
    "nobody": ("ws users", _request(), QUIET),
    "cookies": ("ws users", _request(Cookie="theuser=u; thepass=pw"), QUIET),
    "wrong cookies": ("ws users", _request(Cookie="theuser=u; thepass=no"), QUIET),
    "half the cookies": ("ws users", _request(Cookie="theuser=u"), QUIET),
    "cookies and CONNECT": ("ws users", _request(Cookie="theuser=w; thepass=pw"), login("u")),
    "wrong cookies, right CONNECT": ("ws users", _request(Cookie="theuser=x; thepass=x"), login("u")),
    "token": ("ws token", _request(), token("s3cr3t")),
    "token cookie": ("ws token", _request(Cookie="a=b; thetoken=s3cr3t"), QUIET),
    "wrong token cookie": ("ws token", _request(Cookie="thetoken=S3cr3t"), QUIET),
    "guest": ("ws guest", _request(), QUIET),
    "user beside guest": ("ws guest", _request(), login("u")),
    "wrong user beside guest": ("ws guest", _request(), login("u", "no")),
    "own users": ("ws own users", _request(), login("wsu")),
    "own users, nobody": ("ws own users", _request(), QUIET),
}

_PACKED = deflate(QUIET + b"SUB packed 1\r\n" + pub(b"packed"))
_LONG = QUIET + b"SUB room 1\r\n" + pub(b"room", b"x" * 70000)

SCRIPTS = [
    *(_ws(f"request: {name}", request=request, rows="WS01 CS08") for name, request in _REQUESTS.items()),
    _ws("request unfinished", request=_request()[:-2], silent=True),
    _ws("headers of the site", request=_request(), config="ws headers"),
    *(_ws(f"{config}: {origin}", request=_request(Origin=origin), config=config) for config, origin in _ORIGINS),
    *(
        _ws(
            f"deflate: {offer}",
            _ROUND_TRIP,
            request=_request(Sec_WebSocket_Extensions=offer),
            config="ws deflate",
            rows="WS02",
        )
        for offer in _DEFLATE_OFFERS
    ),
    *(
        _ws(f"login: {name}", Step("a", _frame(said)), request=request, config=config, probe=False)
        for name, (config, request, said) in _LOGINS.items()
    ),
    _ws("round trip", _ROUND_TRIP, rows="WS03 CS08"),
    _ws("headers", _frame(HEADERS + b"SUB room 1\r\n" + hpub(b"room", b"NATS/1.0\r\nA: 1\r\n\r\n")), rows="WS03 C05"),
    _ws("before CONNECT", _frame(b"SUB room 1\r\n" + pub(b"room")), rows="WS03"),
    _ws("text frames", _frame(QUIET + b"SUB room 1\r\n" + pub(b"room"), TEXT), rows="WS03"),
    _ws(
        "one operation in many frames",
        b"".join(_frame(bytes([byte])) for byte in QUIET + b"SUB singly 1\r\n" + pub(b"singly")),
        rows="WS03",
        exclusive=True,
    ),
    _ws(
        "fragments",
        _frame(QUIET + b"SUB ", final=False)
        + _frame(b"room 1\r\nPU", CONTINUATION, final=False)
        + _frame(b"B room 0\r\n\r\n", CONTINUATION),
        rows="WS03",
    ),
    _ws(
        "control frame between fragments",
        _frame(QUIET + b"SUB ", final=False)
        + _frame(b"x", PING)
        + _frame(b"room 1\r\n", CONTINUATION)
        + _frame(pub(b"room")),
        rows="WS03",
    ),
    _ws("empty frames", _frame(b"") + _ROUND_TRIP + _frame(b""), rows="WS03"),
    _ws("empty fragments", _frame(b"", final=False) + _frame(b"", CONTINUATION) + _ROUND_TRIP, rows="WS03"),
    _ws("long frame", _frame(_LONG), rows="WS03 C04"),
    _ws("16-bit length", _frame(QUIET + b"SUB room 1\r\n" + pub(b"room", b"x" * 300)), rows="WS03"),
    _ws("long message to a browser", _frame(_LONG), request=_request(User_Agent="Mozilla/5.0"), rows="WS03"),
    _ws("ping", _frame(b"hello", PING), rows="WS03"),
    _ws("empty ping", _frame(b"", PING), rows="WS03"),
    _ws("longest ping", _frame(b"p" * 125, PING), rows="WS03"),
    _ws("ping too long", _frame(b"p" * 126, PING), rows="WS03"),
    _ws("ping in fragments", _frame(b"p", PING, final=False), rows="WS03"),
    _ws("pong unasked", _frame(b"hello", PONG), rows="WS03"),
    _ws("many pings", _frame(b"1", PING) + _frame(b"2", PING) + _frame(b"3", PING), rows="WS03"),
    *(
        _ws(f"close {status} {text!r}", _close(status, text), rows="WS03")
        for status, text in (
            (None, b""),
            (1000, b""),
            (1000, b"bye"),
            (1001, b"away"),
            (3000, b"own"),
            (1005, b""),
            (999, b""),
            (1000, b"\xff"),
        )
    ),
    _ws("close of one byte", _frame(b"\x03", CLOSE), rows="WS03"),
    _ws("close in the middle of an operation", _frame(QUIET + b"PUB room 5\r\nhe") + _close(1000), rows="WS03"),
    _ws("data after close", _close(1000) + _ROUND_TRIP, rows="WS03"),
    _ws("unmasked", _frame(QUIET, mask=None), rows="WS03"),
    _ws(
        "unmasked although it asked for it",
        _frame(QUIET, mask=None),
        request=_request(Nats_No_Masking="true"),
        rows="WS03",
    ),
    _ws("unmasked ping", _frame(b"x", PING, mask=None), rows="WS03"),
    _ws(
        "masked with a mask",
        _frame(QUIET + b"SUB masked 1\r\n" + pub(b"masked"), mask=b"\x11\x22\x33\x44"),
        rows="WS03",
        exclusive=True,
    ),
    *(_ws(f"opcode {opcode}", _frame(b"x", opcode), rows="WS03") for opcode in (3, 7, 11, 15)),
    _ws("continuation of nothing", _frame(QUIET, CONTINUATION), rows="WS03"),
    _ws("new message inside fragments", _frame(b"PI", final=False) + _frame(b"NG\r\n"), rows="WS03"),
    _ws("compressed without agreement", _frame(deflate(QUIET), packed=True), rows="WS03 WS02"),
    _ws("reserved bits", bytes([0xA2]) + _frame(QUIET)[1:], rows="WS03"),
    _ws("length with leading zeros", Step("a", b"\x82\xfe\x00\x06" + NO_MASK + b"PING\r\n", pongs=1), rows="WS03"),
    _ws("huge length", b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff" + NO_MASK, rows="WS03"),
    _ws("unfinished frame", _frame(QUIET)[:-3], rows="WS03", silent=True),
    _ws("nonsense in a frame", _frame(b"NONSENSE\r\n"), rows="WS03 C08"),
    _ws("bad JSON in a frame", _frame(b"CONNECT {\r\n"), rows="WS03 C08"),
    _ws("payload too large", _frame(QUIET + b"PUB room 1048577\r\n"), rows="WS03 C15"),
    _ws("small payload too large", _frame(QUIET + b"PUB room 65\r\n"), config="ws small", rows="WS03 C15"),
    _ws(
        "control line too long",
        _frame(QUIET + b"SUB room." + b"x" * 600 + b" 1\r\n"),
        config="ws small",
        rows="WS03 C16",
    ),
    _ws("bad protocol number", _frame(connect(verbose=False, protocol=9)), rows="WS03 C02"),
    _ws("client -ERR", _frame(QUIET + b"-ERR 'x'\r\n"), rows="WS03"),
    _ws(
        "compressed",
        _frame(deflate(QUIET + b"SUB packed 1\r\n" + pub(b"packed", b"y" * 500)), packed=True),
        request=_request(Sec_WebSocket_Extensions="permessage-deflate"),
        config="ws deflate",
        rows="WS02",
        exclusive=True,
    ),
    _ws(
        "compressed in fragments",
        _frame(_PACKED[:20], final=False, packed=True) + _frame(_PACKED[20:], CONTINUATION),
        request=_request(Sec_WebSocket_Extensions="permessage-deflate"),
        config="ws deflate",
        rows="WS02 WS03",
        exclusive=True,
    ),
    _ws(
        "damaged deflate",
        _frame(b"\xff\xff\xff\xff\xff\xff", packed=True),
        request=_request(Sec_WebSocket_Extensions="permessage-deflate"),
        config="ws deflate",
        rows="WS02 WS03",
    ),
    _ws(
        "plain frame where deflate was agreed",
        _ROUND_TRIP,
        request=_request(Sec_WebSocket_Extensions="permessage-deflate"),
        config="ws deflate",
        rows="WS02",
    ),
]
