"""Operation names, spaces, line ends and everything that is no operation (core-protocol 2)."""

from __future__ import annotations

from tests.conformance.nats.scripts.notation import MODERN, QUIET, Said, pub, script
from tests.support.differential import Step

_ROWS = "C08 C09 C25"


def _lines(prefix: str, *lines: bytes, before: bytes = QUIET) -> list[tuple[str, Said]]:
    """One script per line, named by what is left of it when only letters and digits count."""
    return [(f"{prefix}: {line!r}", before + line) for line in lines]


_NO_OPERATION = _lines(
    "no operation",
    b"\r\n",
    b"\n",
    b"FOO\r\n",
    b"X\r\n",
    b" \r\n",
    b" PING\r\n",
    b"\tPING\r\n",
    b"P\r\n",
    b"PI\r\n",
    b"PIN\r\n",
    b"PINX\r\n",
    b"PONX\r\n",
    b"PUX\r\n",
    b"PUB\r\n",
    b"PU\r\n",
    b"PUBX room 0\r\n",
    b"S\r\n",
    b"SU\r\n",
    b"SUX\r\n",
    b"SUB\r\n",
    b"SUBX room 1\r\n",
    b"U\r\n",
    b"UNSUX\r\n",
    b"UNSUB\r\n",
    b"UNSUBX 1\r\n",
    b"H\r\n",
    b"HPUX\r\n",
    b"HPUB\r\n",
    b"C\r\n",
    b"CONNECX\r\n",
    b"CONNECT\r\n",
    b"CONNECTX {}\r\n",
    b"I\r\n",
    b"INFX\r\n",
    b"INFO\r\n",
    b"+\r\n",
    b"+OX\r\n",
    b"-\r\n",
    b"-ERX\r\n",
    b"MSG room 1 2\r\nhi\r\n",
    b"HMSG room 1 2 4\r\nhihi\r\n",
    b"RS+ $G room\r\n",
    b"RS- $G room\r\n",
    b"RMSG $G room 2\r\nhi\r\n",
    b"LS+ room\r\n",
    b"LMSG room 2\r\nhi\r\n",
    b"A+ $G\r\n",
    b"A- $G\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x00\r\n",
    b"\xff\xfe\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\r\n",
)

_HARMLESS = _lines(
    "harmless",
    b"PING\r\n",
    b"ping\r\n",
    b"PiNg\r\n",
    b"PING\n",
    b"PING \r\n",
    b"PING \t \r\n",
    b"PING junk after it\r\n",
    b"PING\t\r\n",
    b"PING\r\r\n",
    b"PONG\r\n",
    b"pong\r\n",
    b"PONG junk\r\n",
    b"PONG\n",
    b"+OK\r\n",
    b"+ok\r\n",
    b"+OK junk\r\n",
    b"INFO {}\r\n",
    b"info {}\r\n",
    b'INFO {"server_id":"x"}\r\n',
    b"INFO junk\r\n",
)

_LIVELY = _lines(
    "operation",
    b"sub room 1\r\npub room 2\r\nhi\r\n",
    b"Sub room 1\r\nPuB room 2\r\nhi\r\n",
    b"SUB\troom\t1\r\nPUB\troom\t2\r\nhi\r\n",
    b"SUB  room   1\r\nPUB   room    2\r\nhi\r\n",
    b"SUB \t room \t 1 \t \r\nPUB \t room \t 2 \t \r\nhi\r\n",
    b"SUB room 1\nPUB room 2\nhi\r\n",
    b"SUB room 1 \r\nPUB room 2 \r\nhi\r\n",
    b"SUB room 1\r\nPUB room 0\r\n\r\n",
    b"SUB room 1\r\nPUB room 6\r\n\r\nPING\r\n",
    b"SUB room 1\r\nPUB room 4\r\n\r\n\r\n\r\n",
    b"SUB room 1\r\nPUB room 3\r\n\x00\xff\n\r\n",
    b"SUB room 1\r\nPUB room 2\r\nhi\r\nPUB room 3\r\nyou\r\nPING\r\nPUB room 1\r\n!\r\n",
    b"SUB room.\xc3\xa9 1\r\nPUB room.\xc3\xa9 2\r\nhi\r\n",
    b"SUB room.\xff\x01 1\r\nPUB room.\xff\x01 2\r\nhi\r\n",
    b"SUB room\x0b 1\r\nPUB room\x0b 2\r\nhi\r\n",
    b"SUB room\x0c 1\r\nPUB room\x0c 2\r\nhi\r\n",
    b"SUB room\x00b 1\r\nPUB room\x00b 2\r\nhi\r\n",
    b"SUB ro\rom 1\r\nPUB room 2\r\nhi\r\n",
    b"unsub 1\r\nUnSub 2 3\r\n",
    b"SUB room 1\r\nUNSUB\t1\t1\r\nPUB room 1\r\n1\r\nPUB room 1\r\n2\r\n",
)

_CUT_OFF = _lines(
    "unfinished",
    b"PI",
    b"PUB room 5\r\nhel",
    b"PUB room 5\r\nhello\r",
    b"PUB room 5",
    b"SUB room",
    b"+O",
)

_BAD_END = _lines(
    "payload end",
    b"PUB room 2\r\nhi\n",
    b"PUB room 2\r\nhiX\r\n",
    b"PUB room 2\r\nhi\rX",
    b"PUB room 1\r\nhi\r\n",
    b"PUB room 3\r\nhi\r\n\r\n",
    b"PUB room 0\r\nhi\r\n",
    b"PUB room 0\r\n\n",
)


def _pong_free(name: str, said: Said) -> Said:
    """A PING inside a payload or behind a leading space is no question."""
    assert isinstance(said, bytes)
    if name.startswith("no operation") or b"PUB room 6" in said:
        return Step("a", said, pongs=0)
    return said


SCRIPTS = [
    *(script(name, _pong_free(name, said), rows=_ROWS) for name, said in (*_NO_OPERATION, *_HARMLESS, *_LIVELY)),
    *(script(name, said, rows=_ROWS, silent=True) for name, said in _CUT_OFF),
    *(script(name, said, rows=_ROWS) for name, said in _BAD_END),
    script("client -ERR closes silently", MODERN, b"-ERR 'bad'\r\n", rows=_ROWS),
    script("client -err without text", MODERN, b"-err\r\n", rows=_ROWS),
    script("client -ERR before CONNECT", b"-ERR 'bad'\r\n", rows=_ROWS),
    script("nothing but PING before CONNECT", b"PING\r\n", rows="C01"),
    script("operations before CONNECT are verbose", b"SUB room 1\r\n" + pub(b"room") + b"UNSUB 1\r\n", rows="C02 C25"),
    script("unknown operation before CONNECT", b"FOO\r\n", rows="C08"),
    script(
        "good operations before a bad one are carried out",
        ("b", QUIET + b"SUB room.> 7\r\n"),
        ("a", QUIET + pub(b"room.1") + pub(b"room.2") + b"NONSENSE\r\n" + pub(b"room.3")),
        rows="C08",
    ),
    script(
        "a payload may hold operations",
        Step("a", QUIET + b"SUB room 1\r\n" + pub(b"room", b"PING\r\nSUB room 2\r\nPUB room 1\r\n"), pongs=0),
        rows="C04",
    ),
]
