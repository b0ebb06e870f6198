"""INFO, CONNECT and its options, a second CONNECT (core-protocol 1)."""

from __future__ import annotations

from tests.conformance.nats.scripts.notation import HEADERS, MODERN, QUIET, connect, hpub, pub, script, token

_ROUND_TRIP = b"SUB room 1\r\n" + pub(b"room") + b"UNSUB 1\r\n"

_BAD_JSON = (
    b"CONNECT {\r\n",
    b"CONNECT {}x\r\n",
    b"CONNECT {} {}\r\n",
    b"CONNECT []\r\n",
    b"CONNECT null\r\n",
    b"CONNECT 1\r\n",
    b'CONNECT "x"\r\n',
    b"CONNECT {verbose:true}\r\n",
    b'CONNECT {"verbose":"yes"}\r\n',
    b'CONNECT {"verbose":1}\r\n',
    b'CONNECT {"verbose":null}\r\n',
    b'CONNECT {"protocol":"1"}\r\n',
    b'CONNECT {"protocol":1.5}\r\n',
    b'CONNECT {"user":1}\r\n',
    b'CONNECT {"name":["x"]}\r\n',
    b'CONNECT {"verbose":false,}\r\n',
    b"CONNECT {'verbose':false}\r\n",
    b'CONNECT {"name":"\xff"}\r\n',
    b'CONNECT {"name":"tab\there"}\r\n',
    b"CONNECT  {}\r\n",
    b"CONNECT\t{}\r\n",
    b"CONNECT {} \r\n",
    b"CONNECT {}\n",
    b"connect {}\r\n",
    b'CONNECT {"VERBOSE":false}\r\n',
    b'CONNECT {"verbose":false,"verbose":true}\r\n',
    b'CONNECT {"unknown":{"deep":[1,2,{"x":null}]}}\r\n',
    b'CONNECT {"echo":false,"Echo":true}\r\n',
)

_PROTOCOLS = (-1, 0, 1, 2, 99)

SCRIPTS = [
    script("INFO comes unasked", b"", rows="C01"),
    script("second INFO after the first PONG", QUIET, b"PING\r\n", rows="C01"),
    script("no second INFO for protocol 0", connect(verbose=False), b"PING\r\n", rows="C01"),
    script("no second INFO without CONNECT", b"PING\r\n", b"PING\r\n", rows="C01"),
    script("CONNECT after the first PONG", b"PING\r\n", QUIET, b"PING\r\n", rows="C01 C25"),
    *(script(f"CONNECT text: {line!r}", line + _ROUND_TRIP, rows="C02 C08") for line in _BAD_JSON),
    *(script(f"protocol {n}", connect(verbose=False, protocol=n) + _ROUND_TRIP, rows="C02") for n in _PROTOCOLS),
    script("verbose says +OK", connect(verbose=True) + _ROUND_TRIP + b"PONG\r\nPING\r\n", rows="C02"),
    script(
        "verbose with headers", connect(verbose=True, headers=True) + hpub(b"room", b"NATS/1.0\r\n\r\n"), rows="C02"
    ),
    script("verbose by default in CONNECT {}", b"CONNECT {}\r\n" + _ROUND_TRIP, rows="C02"),
    script("not verbose", connect(verbose=False) + _ROUND_TRIP, rows="C02"),
    script("verbose and an error", connect(verbose=True) + b"SUB room..x 1\r\nSUB room 2\r\n", rows="C02 C07"),
    script("verbose and an unknown operation", connect(verbose=True) + b"NOPE\r\n", rows="C02 C08"),
    *(
        script(
            f"pedantic={pedantic} publish to {subject!r}",
            ("b", QUIET + b"SUB room.> 1\r\n"),
            ("a", connect(verbose=True, pedantic=pedantic) + pub(subject)),
            rows="C02",
        )
        for pedantic in (True, False)
        for subject in (b"room.a", b"room..b", b"room.*", b"room.>", b"room.", b"room.>.x", b"room.a*", b"room.a>")
    ),
    script(
        "pedantic subscribe", connect(verbose=True, pedantic=True) + b"SUB room..x 1\r\nSUB room.* 2\r\n", rows="C02"
    ),
    script("echo off", connect(verbose=False, echo=False) + b"SUB room 1\r\n" + pub(b"room"), rows="C02"),
    script(
        "echo off still delivers to others",
        ("b", QUIET + b"SUB room 1\r\n"),
        ("a", connect(verbose=False, echo=False) + b"SUB room 1\r\n" + pub(b"room")),
        ("b", pub(b"room", b"back")),
        rows="C02",
    ),
    script(
        "echo off and a queue group",
        ("b", QUIET + b"SUB room q 1\r\n"),
        ("a", connect(verbose=False, echo=False) + b"SUB room q 1\r\n" + pub(b"room", b"1") * 6),
        rows="C02 C11",
    ),
    script(
        "echo off, alone in a queue group",
        connect(verbose=False, echo=False) + b"SUB room q 1\r\n" + pub(b"room"),
        rows="C02 C11",
    ),
    script("no_responders without headers", connect(verbose=False, no_responders=True), rows="C02 C13"),
    script("no_responders with headers", MODERN, rows="C02 C13"),
    script("HPUB without headers", QUIET + hpub(b"room", b"NATS/1.0\r\n\r\n"), rows="C02 C05"),
    script("HPUB before CONNECT", hpub(b"room", b"NATS/1.0\r\n\r\n"), rows="C02 C05"),
    script("new_account is refused", connect(verbose=False, new_account=True), rows="C02"),
    script("account is refused", connect(verbose=False, account="A"), rows="C02"),
    script("tls_required is only information", connect(verbose=False, tls_required=True) + _ROUND_TRIP, rows="C02"),
    script("credentials nobody asked for", connect(verbose=False, user="u", **{"pass": "p"}) + _ROUND_TRIP, rows="C02"),
    script("a token nobody asked for", token("t") + _ROUND_TRIP, rows="C02"),
    script("an nkey nobody asked for", connect(verbose=False, nkey="UX", sig="xx") + _ROUND_TRIP, rows="C02"),
    script("a jwt nobody asked for", connect(verbose=False, jwt="eyJ") + _ROUND_TRIP, rows="C02"),
    script(
        "name, lang, version", connect(verbose=False, name="n" * 200, lang="x", version="9") + _ROUND_TRIP, rows="C02"
    ),
    script("second CONNECT drops subscriptions", QUIET + b"SUB room 1\r\n", QUIET + pub(b"room"), rows="C25"),
    script(
        "second CONNECT changes the options",
        connect(verbose=True) + b"SUB room 1\r\n",
        connect(verbose=False, echo=False) + b"SUB room 1\r\n" + pub(b"room"),
        rows="C25",
    ),
    script("second CONNECT keeps omitted options", connect(verbose=False), b"CONNECT {}\r\nSUB room 1\r\n", rows="C25"),
    script("second CONNECT with protocol 1", connect(verbose=False), QUIET, b"PING\r\n", rows="C25 C01"),
    script("second CONNECT turns headers on", QUIET, HEADERS + hpub(b"room", b"NATS/1.0\r\n\r\n"), rows="C25 C05"),
    script("bad second CONNECT", QUIET, b"CONNECT {\r\n", rows="C25"),
]
