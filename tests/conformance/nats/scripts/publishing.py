"""Argument forms of PUB and HPUB, payload bytes and header blocks (core-protocol 2, 2.1, 2.2)."""

from __future__ import annotations

from tests.conformance.nats.scripts.notation import HEADERS, QUIET, Said, connect, hpub, pub, script
from tests.support.differential import Step

# Each is followed by a payload of two bytes, so that a server taking the line for good finds its payload.
_PUB_LINES = (
    b"PUB room 2",
    b"PUB room room.reply 2",
    b"PUB room room.reply more 2",
    b"PUB room",
    b"PUB 2",
    b"PUB ",
    b"PUB room x",
    b"PUB room -1",
    b"PUB room -2",
    b"PUB room +2",
    b"PUB room 2x",
    b"PUB room 0x2",
    b"PUB room 02",
    b"PUB room 0000000002",
    b"PUB room 00000000000000000002",
    b"PUB room 2.0",
    b"PUB room 2,0",
    b"PUB room 1e1",
    b"PUB room 999999999",
    b"PUB room 2147483648",
    b"PUB room 4294967298",
    b"PUB room 9223372036854775808",
    b"PUB room 99999999999999999999999999",
    b"PUB room.*  2",
    b"PUB room.> 2",
    b"PUB .room 2",
    b"PUB room. 2",
    b"PUB room..x 2",
    b"PUB . 2",
    b"PUB room room..reply 2",
    b"PUB room room.* 2",
    b"PUB room > 2",
)

_HPUB_LINES = (
    b"HPUB room 12 14",
    b"HPUB room room.reply 12 14",
    b"HPUB room room.reply more 12 14",
    b"HPUB room 14",
    b"HPUB room",
    b"HPUB 12 14",
    b"HPUB room 12 x",
    b"HPUB room x 14",
    b"HPUB room 14 12",
    b"HPUB room 12 11",
    b"HPUB room -1 14",
    b"HPUB room 12 -1",
    b"HPUB room 0 14",
    b"HPUB room 1 14",
    b"HPUB room 14 14",
    b"HPUB room 012 014",
    b"HPUB room 12.0 14",
    b"HPUB room 99999999999 99999999999",
    b"HPUB\troom\t12\t14",
    b"hpub room 12 14",
    b"HPUB room 12 9999999",
)

_HEADER_BLOCKS = {
    "plain": b"NATS/1.0\r\nA: 1\r\n\r\n",
    "order, case and repeats": b"NATS/1.0\r\nA: 1\r\na: 2\r\nA: 3\r\nB:x\r\nA:   4  \r\n\r\n",
    "empty": b"NATS/1.0\r\n\r\n",
    "status line": b"NATS/1.0 503\r\n\r\n",
    "status line with text": b"NATS/1.0 100 Idle Heartbeat\r\nX: y\r\n\r\n",
    "garbage": b"garbage",
    "one byte": b"x",
    "no bytes": b"",
    "no blank line": b"NATS/1.0\r\nA: 1\r\n",
    "other version": b"NATS/2.0\r\nA: 1\r\n\r\n",
    "value without space": b"NATS/1.0\r\nA:1\r\n\r\n",
    "empty value": b"NATS/1.0\r\nA:\r\n\r\n",
    "empty key": b"NATS/1.0\r\n: 1\r\n\r\n",
    "bytes beyond ASCII": b"NATS/1.0\r\nA: \xc3\xa9\xff\x00\r\n\r\n",
    "folded line": b"NATS/1.0\r\nA: 1\r\n 2\r\n\r\n",
    "line feeds only": b"NATS/1.0\nA: 1\n\n",
    "long value": b"NATS/1.0\r\nA: " + b"v" * 3000 + b"\r\n\r\n",
}

_PAYLOADS = {
    "empty": b"",
    "CRLF": b"\r\n",
    "PUB inside": b"\r\nPUB",
    "every byte value": bytes(range(256)),
    "4 KiB": b"x" * 4096,
    "64 KiB and one": b"y" * 65537,
    "1 MiB": b"z" * 1048576,
}


def _watched(*said: Said) -> tuple[Said, ...]:
    """With a witness with headers and one without, so that what was accepted is seen delivered."""
    return (("w", HEADERS + b"SUB room 8\r\nSUB room.> 9\r\n"), ("v", QUIET + b"SUB room 8\r\nSUB room.> 9\r\n"), *said)


_HUGE = (b"PUB room 999999999", b"HPUB room 12 9999999")

SCRIPTS = [
    *(script(f"line {line!r}", *_watched(QUIET + line + b"\r\nhi\r\n"), rows="C03 C08 C09") for line in _PUB_LINES),
    *(
        script(f"line {line!r}", *_watched(HEADERS + line + b"\r\nNATS/1.0\r\n\r\nhi\r\n"), rows="C05 C08 C09")
        for line in _HPUB_LINES
    ),
    *(
        script(f"header block: {name}", *_watched(HEADERS + hpub(b"room", block)), rows="C05")
        for name, block in _HEADER_BLOCKS.items()
    ),
    *(
        script(f"payload: {name}", *_watched(Step("a", QUIET + pub(b"room", payload))), rows="C04")
        for name, payload in _PAYLOADS.items()
    ),
    script(
        "header block and no payload", *_watched(HEADERS + hpub(b"room", b"NATS/1.0\r\nA: 1\r\n\r\n", b"")), rows="C05"
    ),
    script(
        "header block with reply", *_watched(HEADERS + hpub(b"room", b"NATS/1.0\r\n\r\n", b"x", b"room.r")), rows="C05"
    ),
    script("PUB on a connection with headers", *_watched(HEADERS + pub(b"room")), rows="C05 C03"),
    script(
        "PUB and HPUB in turn", *_watched(HEADERS + (pub(b"room") + hpub(b"room", b"NATS/1.0\r\n\r\n")) * 3), rows="C05"
    ),
    script("max_payload exactly", *_watched(QUIET + pub(b"room", b"m" * 1048576)), rows="C04 C15"),
    script("max_payload and one, before the payload", QUIET + b"PUB room 1048577\r\n", rows="C15"),
    script("max_payload and one, header counted", HEADERS + b"HPUB room 12 1048577\r\n", rows="C15"),
    script("max_payload violation, verbose", connect(verbose=True) + b"PUB room 1048577\r\n", rows="C15"),
    script("max_payload violation, pedantic", connect(pedantic=True) + b"PUB room.* 1048577\r\n", rows="C15"),
    script("two publishes, one reply subject", *_watched(QUIET + pub(b"room", b"1", b"room.r") * 2), rows="C12"),
    script("reserved: publish to _GR_", QUIET + pub(b"_GR_.room"), rows="C08"),
    script("reserved: publish to $NRG", QUIET + pub(b"$NRG.room"), rows="C08"),
    script("reserved reply: _R_", *_watched(QUIET + pub(b"room", b"hi", b"_R_.x")), rows="C08"),
    script("reserved reply: $JS.ACK", *_watched(QUIET + pub(b"room", b"hi", b"$JS.ACK.x")), rows="C08"),
    script("reserved reply: _GR_", *_watched(QUIET + pub(b"room", b"hi", b"_GR_.x")), rows="C08"),
    script("reply next to reserved: _R", *_watched(QUIET + pub(b"room", b"hi", b"_R.x")), rows="C08"),
    script("publish to $SYS is ordinary", QUIET + b"SUB $SYS.room 1\r\n" + pub(b"$SYS.room"), rows="C08"),
    script("publish to $JS is ordinary", QUIET + b"SUB $JS.room 1\r\n" + pub(b"$JS.room"), rows="C08"),
]
