"""Argument forms of SUB and UNSUB, subject validity, auto-unsubscribe, duplicate sids (core-protocol 2, 2.2)."""

from __future__ import annotations

from tests.conformance.nats.scripts.notation import QUIET, connect, pub, script

_LOUD = connect(verbose=True)

_SUB_LINES = (
    b"SUB room 1",
    b"SUB room queue 1",
    b"SUB room queue 1 more",
    b"SUB room",
    b"SUB ",
    b"SUB room abc",
    b"SUB room a.b-c_d/1",
    b"SUB room 0",
    b"SUB room -1",
    b"SUB room 99999999999999999999999",
    b"SUB room \xff",
    b"SUB room q.* 1",
    b"SUB room > 1",
    b"SUB room _sys_ 1",
    b"SUB room a..b 1",
    b"SUB room " + b"q" * 300 + b" 1",
    b"SUB room " + b"s" * 300,
)

_SUBJECTS = (
    b"room..b",
    b".room",
    b"room.",
    b".",
    b"..",
    b"room.>.a",
    b">.room",
    b"room.>x",
    b"room.x>",
    b"room.*x",
    b"room.x*",
    b"room.**",
    b"room.>>",
    b"room.*",
    b"room.>",
    b"room.*.*",
    b"room.*.>",
    b"room.a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z",
    b"room." + b"x" * 300,
    b"$room",
    b"_INBOX.room",
    b"$SYS.room",
    b"room.\xc3\xa9",
    b'room."quoted"',
    b"room.\\",
    b'room..\x01"\\\xc3\xa9\xff',
)

_UNSUB_LINES = (
    b"UNSUB 1",
    b"UNSUB 1 0",
    b"UNSUB 1 1",
    b"UNSUB 1 2",
    b"UNSUB 1 3",
    b"UNSUB 1 99999999999999999999",
    b"UNSUB 1 -1",
    b"UNSUB 1 x",
    b"UNSUB 1 2 3",
    b"UNSUB 2",
    b"UNSUB 2 5",
    b"UNSUB ",
    b"UNSUB  1 ",
    b"UNSUB 01",
)

_ONE = pub(b"room", b"1")

SCRIPTS = [
    *(script(f"line {line[:40]!r}", _LOUD + line + b"\r\n" + _ONE, rows="C03 C08 C09") for line in _SUB_LINES),
    *(
        script(f"subject {subject[:40]!r}", _LOUD + b"SUB " + subject + b" 1\r\n" + pub(subject), rows="C06 C07")
        for subject in _SUBJECTS
    ),
    *(
        script(
            f"after two of five: {line!r}",
            _LOUD + b"SUB room 1\r\n" + _ONE * 2 + line + b"\r\n" + _ONE * 3,
            rows="C10 C09",
        )
        for line in _UNSUB_LINES
    ),
    *(
        script(f"before five: {line!r}", QUIET + b"SUB room 1\r\n" + line + b"\r\n" + _ONE * 5, rows="C10")
        for line in _UNSUB_LINES[:9]
    ),
    script(
        "UNSUB twice, the smaller later", QUIET + b"SUB room 1\r\nUNSUB 1 4\r\nUNSUB 1 2\r\n" + _ONE * 5, rows="C10"
    ),
    script("UNSUB twice, the larger later", QUIET + b"SUB room 1\r\nUNSUB 1 2\r\nUNSUB 1 4\r\n" + _ONE * 5, rows="C10"),
    script("sid used anew after UNSUB", QUIET + b"SUB room 1\r\nUNSUB 1\r\nSUB room 1\r\n" + _ONE, rows="C10 C25"),
    script(
        "sid used anew after its maximum",
        QUIET + b"SUB room 1\r\nUNSUB 1 1\r\n" + _ONE + b"SUB room 1\r\n" + _ONE,
        rows="C10",
    ),
    script("maximum of a queue member", QUIET + b"SUB room q 1\r\nUNSUB 1 2\r\n" + _ONE * 4, rows="C10 C11"),
    script(
        "maximum with another subscription beside it",
        QUIET + b"SUB room 1\r\nSUB room 2\r\nUNSUB 1 1\r\n" + _ONE * 2,
        rows="C10",
        masks_sid=True,
        pooled=("a",),
    ),
    script(
        "same sid, other subject",
        _LOUD + b"SUB room.a 1\r\nSUB room.b 1\r\n" + pub(b"room.a") + pub(b"room.b"),
        rows="C25",
    ),
    script("same sid, same subject", _LOUD + b"SUB room 1\r\nSUB room 1\r\n" + _ONE, rows="C25"),
    script("same sid, bad subject", _LOUD + b"SUB room 1\r\nSUB room..x 1\r\n" + _ONE, rows="C25"),
    script("same sid, then UNSUB once", _LOUD + b"SUB room 1\r\nSUB room 1\r\nUNSUB 1\r\n" + _ONE, rows="C25"),
    script("sid of a refused SUB", _LOUD + b"SUB room..x 1\r\nSUB room 1\r\n" + _ONE, rows="C25 C07"),
    script("sids are texts, not numbers", _LOUD + b"SUB room 1\r\nSUB room 01\r\nUNSUB 01\r\n" + _ONE, rows="C25"),
    script("connection stays open after Invalid Subject", QUIET + b"SUB a..b 1\r\nPING\r\n", rows="C07"),
    script(
        "two subjects, one publish each",
        QUIET + b"SUB room.a 1\r\nSUB room.b 2\r\n" + pub(b"room.b") + pub(b"room.a") + pub(b"room.c"),
        rows="C03",
    ),
]
