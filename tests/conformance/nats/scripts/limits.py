"""max_payload, max_control_line, max_subscriptions, max_sub_tokens, max_connections (core-protocol 3)."""

from __future__ import annotations

from tests.conformance.nats.scripts.notation import HEADERS, QUIET, connect, hpub, login, pub, script

CONFIGS = {
    "limits": """
        server_name: differential
        max_payload: 64
        max_control_line: 512
        max_subscriptions: 3
        max_sub_tokens: 4
    """,
    "payload": "server_name: differential\nmax_payload: 8",
    "no headers": "server_name: differential\nno_header_support: true",
    "two connections": "server_name: differential\nmax_connections: 2",
    "account limits": """
        server_name: differential
        authorization { timeout: 60 }
        accounts: {
          A: { users: [{user: a, password: pw}], limits: {max_subscriptions: 2, max_payload: 16} }
          B: { users: [{user: b, password: pw}], limits: {max_connections: 2} }
        }
    """,
}

_LOUD = connect(verbose=True)
_PAD = b"x" * 600


def _line_of(size: int) -> bytes:
    """A SUB whose line without CRLF has this many bytes."""
    return b"SUB room." + b"x" * (size - 11) + b" 1\r\n"


SCRIPTS = [
    *(
        script(
            f"PUB of {size} with max_payload 64",
            ("b", QUIET + b"SUB room 1\r\n"),
            ("a", QUIET + pub(b"room", b"p" * size)),
            config="limits",
            rows="C15",
        )
        for size in (63, 64, 65)
    ),
    *(
        script(
            f"HPUB of 12 and {size} with max_payload 64",
            ("b", HEADERS + b"SUB room 1\r\n"),
            ("a", HEADERS + hpub(b"room", b"NATS/1.0\r\n\r\n", b"p" * size)),
            config="limits",
            rows="C15 C05",
        )
        for size in (51, 52, 53)
    ),
    script("INFO tells max_payload", QUIET, config="limits", rows="C15 C01"),
    script(
        "violation names itself before the payload is there", QUIET + b"PUB room 65\r\n", config="limits", rows="C15"
    ),
    *(
        script(f"control line of {size} with max_control_line 512", QUIET + _line_of(size), config="limits", rows="C16")
        for size in (509, 510, 511, 512, 513, 514, 600)
    ),
    script("long control line without end", QUIET + b"SUB " + _PAD, config="limits", rows="C16"),
    script("long PUB line", QUIET + b"PUB room." + _PAD + b" 2\r\nhi\r\n", config="limits", rows="C16"),
    script(
        "long HPUB line",
        HEADERS + b"HPUB room." + _PAD + b" 12 12\r\nNATS/1.0\r\n\r\n\r\n",
        config="limits",
        rows="C16",
    ),
    script("long UNSUB line", QUIET + b"UNSUB " + _PAD + b"\r\n", config="limits", rows="C16"),
    script("long CONNECT", connect(verbose=False, name="n" * 600), config="limits", rows="C16"),
    script("long INFO from a client", QUIET + b'INFO {"x":"' + _PAD + b'"}\r\n', config="limits", rows="C16"),
    script("long -ERR from a client", QUIET + b"-ERR '" + _PAD + b"'\r\n", config="limits", rows="C16"),
    script("long PING", QUIET + b"PING " + _PAD + b"\r\n", config="limits", rows="C16"),
    script("default control line of 4095", QUIET + _line_of(4095), rows="C16"),
    script("default control line of 4200", QUIET + _line_of(4200), rows="C16"),
    script("CONNECT longer than the default", connect(verbose=False, name="n" * 5000), rows="C16"),
    script(
        "subscriptions over the limit",
        _LOUD + b"".join(b"SUB room.%d %d\r\n" % (n, n) for n in range(5)) + pub(b"room.2") + pub(b"room.3"),
        config="limits",
        rows="C16",
    ),
    script(
        "room under the limit again after UNSUB",
        QUIET
        + b"".join(b"SUB room.%d %d\r\n" % (n, n) for n in range(4))
        + b"UNSUB 1\r\nSUB room.x 9\r\n"
        + pub(b"room.x"),
        config="limits",
        rows="C16",
    ),
    script(
        "same sid does not count twice",
        QUIET + b"SUB room 1\r\n" * 6 + b"SUB room 2\r\n",
        config="limits",
        rows="C16 C25",
    ),
    *(
        script(
            f"tokens: {subject!r}", _LOUD + b"SUB " + subject + b" 1\r\n" + pub(subject), config="limits", rows="C16"
        )
        for subject in (
            b"room.b.c.d",
            b"room.b.c.d.e",
            b"room.*.*.*.*",
            b"room.b.c.>",
            b"room.b.c.d.>",
            b"room.b..d.e.f",
        )
    ),
    script("tokens with a queue", _LOUD + b"SUB room.b.c.d.e q 1\r\n", config="limits", rows="C16"),
    script(
        "HPUB when the server has no headers",
        HEADERS + hpub(b"room", b"NATS/1.0\r\n\r\n"),
        config="no headers",
        rows="C05",
    ),
    script(
        "no_responders when the server has no headers",
        connect(verbose=False, headers=True, no_responders=True),
        config="no headers",
        rows="C13",
    ),
    script(
        "PUB when the server has no headers",
        HEADERS + b"SUB room 1\r\n" + pub(b"room"),
        config="no headers",
        rows="C05",
    ),
    script(
        "connections over the limit",
        ("a", QUIET),
        ("b", QUIET),
        ("c", QUIET),
        config="two connections",
        rows="C16",
        whole_only=True,
    ),
    script(
        "account: payload in INFO and enforced",
        login("a", protocol=1) + b"PING\r\n" + pub(b"room", b"p" * 17),
        config="account limits",
        rows="AC06 C15",
    ),
    script(
        "account: payload at the limit",
        login("a") + b"SUB room 1\r\n" + pub(b"room", b"p" * 16),
        config="account limits",
        rows="AC06",
        exclusive=True,
    ),
    script(
        "account: subscriptions",
        login("a", verbose=True) + b"SUB room.1 1\r\nSUB room.2 2\r\nSUB room.3 3\r\n",
        config="account limits",
        rows="AC06",
        exclusive=True,
    ),
    script(
        "account: connections",
        ("a", login("b")),
        ("b", login("b")),
        ("c", login("b")),
        config="account limits",
        rows="AC06",
        whole_only=True,
    ),
    script(
        "payload 8: header counts", HEADERS + b"HPUB room 12 12\r\nNATS/1.0\r\n\r\n\r\n", config="payload", rows="C15"
    ),
    script(
        "payload 8: nine digits of zeros", QUIET + b"PUB room 000000008\r\n12345678\r\n", config="payload", rows="C15"
    ),
]
