"""Subject mappings and every transform function, as the delivered subject shows them (config 3, ADR-30).

No two sources overlap: which of them nats-server 2.15.1 takes is chosen anew at each start.
"""

from __future__ import annotations

from tests.conformance.nats.scripts.notation import HEADERS, MODERN, QUIET, connect, hpub, login, pub, script

# name: source, destination, second tokens and later of the subjects published. The first token is the play's room.
_TRANSFORMS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "literal": ("*.lit", "$1.out.lit", ("lit", "lit.x", "LIT")),
    "dollar": ("*.dollar.*.*", "$1.out.$3.$2", ("dollar.a.b", "dollar.a")),
    "wildcard": ("*.wild.*.*", "{{wildcard(1)}}.out.{{wildcard(3)}}.{{Wildcard(2)}}", ("wild.a.b",)),
    "wildcard spaces": ("*.wsp.*.*", "{{ wildcard( 1 ) }}.out.{{ wildcard(3) }}.{{wildcard( 2)}}", ("wsp.a.b",)),
    "tail": ("*.tail.>", "$1.out.tail.>", ("tail.a", "tail.a.b.c", "tail")),
    "unused wildcard": ("*.unused.*", "$1.out.unused", ("unused.a", "unused.b")),
    "dollar word": ("*.word", "$1.out.$word", ("word",)),
    "partition": (
        "*.part.*",
        "$1.out.{{partition(10,2)}}.$2",
        ("part.a", "part.b", "part.foo", "part.bar", "part.0", "part.x-y"),
    ),
    "partition of two": (
        "*.part2.*.*",
        "$1.out.{{partition(7,2,3)}}",
        ("part2.a.b", "part2.ab.c", "part2.a.bc", "part2.c.ab"),
    ),
    "partition of one": ("*.part1.*", "$1.out.{{partition(1,2)}}", ("part1.a",)),
    "partition large": (
        "*.partl.*",
        "$1.out.{{Partition(1000000,2)}}",
        ("partl.a", "partl.temperature", "partl.\u00e9"),
    ),
    "random of one": ("*.rand", "$1.out.{{random(1)}}", ("rand",)),
    "split": ("*.split.*", "$1.out.{{split(2,-)}}", ("split.a-b-c", "split.abc", "split.-a--b-", "split.-")),
    "split and tail": ("*.spltail.*.>", "$1.out.{{Split(2,-)}}.x.>", ("spltail.a-b.c.d",)),
    "split longer": ("*.splitw.*", "$1.out.{{split(2,--)}}", ("splitw.a--b", "splitw.a-b", "splitw.a---b")),
    "splitFromLeft": ("*.sfl.*", "$1.out.{{splitFromLeft(2,3)}}", ("sfl.abcde", "sfl.abc", "sfl.ab", "sfl.abcd")),
    "SplitFromRight": ("*.sfr.*", "$1.out.{{SplitFromRight(2,3)}}", ("sfr.abcde", "sfr.abc", "sfr.ab", "sfr.abcd")),
    "SliceFromLeft": ("*.slfl.*", "$1.out.{{SliceFromLeft(2,2)}}", ("slfl.abcde", "slfl.abcd", "slfl.a", "slfl.ab")),
    "sliceFromRight": ("*.slfr.*", "$1.out.{{sliceFromRight(2,2)}}", ("slfr.abcde", "slfr.abcd", "slfr.a", "slfr.ab")),
    "left": ("*.left.*", "$1.out.{{left(2,3)}}", ("left.abcde", "left.ab", "left.abc")),
    "right": ("*.right.*", "$1.out.{{right(2,3)}}", ("right.abcde", "right.ab", "right.abc")),
    "no function in a token": ("*.text", "$1.out.x{{y", ("text",)),
    "identity": ("*.same.*", "$1.same.$2", ("same.a",)),
    "chain is one pass": ("*.chain", "$1.lit", ("chain",)),
}

CONFIGS = {
    "mappings": "server_name: differential\nmappings: {\n"
    + "".join(f'  "{source}": "{destination}"\n' for source, destination, _ in _TRANSFORMS.values())
    + """
      "*.full": [ {destination: "$1.out.full", weight: 100%} ]
      "*.never": [ {destination: "$1.out.never", weight: 0%} ]
      "*.lost": [ {destination: "$1.out.lost", weight: 0%}, {destination: "$1.lost", weight: 0} ]
      "*.busy": "$1.out.busy"
      "whole.*.*": "wholeout.{{partition(9)}}.$2.$1"
    }
    """,
    "mapped permissions": """
        server_name: differential
        mappings: { "*.in": "$1.out", "*.hid": "$1.secret", "*.deep": "$1.ask" }
        authorization { timeout: 60, users: [
          {user: all, password: pw}
          {user: out, password: pw, permissions: {publish: "*.out"}}
          {user: in, password: pw, permissions: {publish: ["*.in", "*.hid"]}}
        ] }
    """,
}

_WATCH = ("w", HEADERS + b"SUB room.> 9\r\n")
_MAPPED = "mappings"

SCRIPTS = [
    *(
        script(
            f"transform: {name}",
            _WATCH,
            ("a", QUIET + b"".join(pub(b"room." + subject.encode(), subject.encode()) for subject in subjects)),
            config=_MAPPED,
            rows="CF04 CF05 CF06",
        )
        for name, (_, _, subjects) in _TRANSFORMS.items()
    ),
    *(
        script(
            f"weights: {name}",
            _WATCH,
            ("a", QUIET + pub(b"room." + name.encode()) * 3),
            config=_MAPPED,
            rows="CF04",
        )
        for name in ("full", "never", "lost")
    ),
    script(
        "partition of the whole subject",
        ("w", QUIET + b"SUB wholeout.> 9\r\n"),
        (
            "a",
            QUIET + b"".join(pub(b"whole.%s.%s" % (x, y)) for x in (b"a", b"b", b"foo") for y in (b"1", b"2", b"bar")),
        ),
        config=_MAPPED,
        rows="CF06",
        exclusive=True,
    ),
    script("the source gets nothing", QUIET + b"SUB room.lit 1\r\n" + pub(b"room.lit"), config=_MAPPED, rows="CF04"),
    script(
        "headers are kept",
        _WATCH,
        ("a", HEADERS + hpub(b"room.lit", b"NATS/1.0\r\nA: 1\r\n\r\n", b"x", b"room.r")),
        config=_MAPPED,
        rows="CF04 C05",
    ),
    script(
        "reply is not mapped", _WATCH, ("a", QUIET + pub(b"room.lit", b"", b"room.lit")), config=_MAPPED, rows="CF04"
    ),
    script(
        "no responders names the mapped subject",
        MODERN + b"SUB room.i 1\r\n" + pub(b"room.lit", b"", b"room.i"),
        config=_MAPPED,
        rows="CF04 C13",
    ),
    script(
        "mapped twice from a warm cache", _WATCH, ("a", QUIET + pub(b"room.part.a") * 3), config=_MAPPED, rows="CF04"
    ),
    script(
        "queue on a mapped subject",
        ("w", QUIET + b"SUB room.out.lit q 1\r\n"),
        ("a", QUIET + pub(b"room.lit")),
        config=_MAPPED,
        rows="CF04 C11",
    ),
    script(
        "pedantic publish to a mapped subject",
        _WATCH,
        ("a", connect(verbose=True, pedantic=True) + pub(b"room.lit") + pub(b"room.tail.*")),
        config=_MAPPED,
        rows="CF04 C02",
    ),
    script(
        "odd subjects",
        _WATCH,
        ("a", QUIET + pub(b"room.dollar.*.b") + pub(b"room.tail..x") + pub(b"room.unused.>")),
        config=_MAPPED,
        rows="CF04",
    ),
    *(
        script(
            f"permission sees the mapped subject: {user} {subject!r}",
            ("w", login("all") + b"SUB room.> 9\r\n"),
            ("a", login(user) + pub(subject)),
            config="mapped permissions",
            rows="CF04 SE03",
        )
        for user in ("out", "in")
        for subject in (b"room.in", b"room.out", b"room.hid")
    ),
]
