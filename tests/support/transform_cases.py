"""Subject transforms by example: what 2.15.1 makes of them and which it refuses with what text.

`TRANSFORMED` holds (source, destination, {subject: result}); a result that equals its subject means "does not match".
Results were seen on nats-server 2.15.1; `tests/conformance/security` asks it again.
"""

from __future__ import annotations

Transformed = tuple[str, str, dict[str, str]]

TRANSFORMED: list[Transformed] = [
    # Literals and wildcards.
    ("foo", "bar", {"foo": "bar", "foo.x": "foo.x"}),
    ("same", "same", {"same": "same"}),
    ("a.*", "b", {"a.x": "b", "a": "a", "a.x.y": "a.x.y"}),
    ("a.*", "b.$1", {"a.x": "b.x", "a.*": "b.*", "a.>": "a.>"}),
    ("a.*.*", "b.$2.$1", {"a.x.y": "b.y.x"}),
    ("a.*.*", "b.$1", {"a.x.y": "b.x"}),
    ("a.*.c.*", "$2.$1.$2", {"a.x.c.y": "y.x.y"}),
    ("a.*", "b.{{wildcard(1)}}", {"a.x": "b.x"}),
    ("a.*", "b.{{Wildcard(1)}}", {"a.x": "b.x"}),
    ("a.*", "b.{{ wildcard ( 1 ) }}", {"a.x": "b.x"}),
    ("a.>", "b.>", {"a.x": "b.x", "a.x.y": "b.x.y", "a": "a"}),
    ("a.*.>", "b.$1.>", {"a.x.y.z": "b.x.y.z", "a.x": "a.x"}),
    ("a.*.>", "$1.>", {"a.x.y.z": "x.y.z"}),
    (">", "all.>", {"a": "all.a", "a.b": "all.a.b"}),
    # Odd but legal.
    ("a.*", "b.$0", {"a.x": "b.a"}),
    ("a.*", "b.$-1", {"a.x": "b.a"}),
    ("a.*", "b.$+1", {"a.x": "b.x"}),
    ("a.*", "b.$01", {"a.x": "b.x"}),
    ("a.*", "b.$1x", {"a.x": "b.$1x"}),
    ("a.*", "b.$", {"a.x": "b.$"}),
    ("a.*", "b.{{wildcard(1)}}x", {"a.x": "b.{{wildcard(1)}}x"}),
    ("a.*", "b.{{}}", {"a.x": "b.{{}}"}),
    ("a.*", "b.{{wildcard(1)}}}}", {"a.x": "b.x"}),
    ("a.*", "b.{{{{wildcard(1)}}", {"a.x": "b.x"}),
    ("a*", "b", {"a*": "b", "ax": "ax"}),
    ("a.*", "b*", {"a.x": "b*"}),
    ("a.*", "b.c>", {"a.x": "b.c>"}),
    ("a.*", "b.100%.$1", {"a.%b": "b.100%.%b"}),
    # split, splitFromLeft, splitFromRight.
    ("a.*", "b.{{split(1,-)}}", {"a.x-y-z": "b.x.y.z", "a.-x--y-": "b.x.y", "a.x": "b.x"}),
    ("a.*", "b.{{split(1,--)}}.c", {"a.x--y-z": "b.x.y-z.c"}),
    ("a.*", "b.{{split(1,)}}", {"a.xyz": "b.x.y.z"}),
    ("a.*", "b.{{Split(1, )}}", {"a.xyz": "b.x.y.z"}),
    ("a.*", "b.{{splitfromleft(1,3)}}", {"a.abcdef": "b.abc.def", "a.abc": "b.abc", "a.ab": "b.ab"}),
    ("a.*", "b.{{SplitFromRight(1,3)}}", {"a.abcdefg": "b.abcd.efg", "a.abc": "b.abc", "a.ab": "b.ab"}),
    ("a.*", "b.{{splitFromRight(1,-1)}}", {"a.abc": "b.abc"}),
    ("a.*", "b.{{splitFromRight(1,0)}}", {"a.abc": "b.abc"}),
    # sliceFromLeft, sliceFromRight.
    (
        "a.*",
        "b.{{SliceFromLeft(1,3)}}",
        {"a.abcdefgh": "b.abc.def.gh", "a.abcdef": "b.abc.def", "a.abcd": "b.abc.d", "a.abc": "b.abc", "a.a": "b.a"},
    ),
    (
        "a.*",
        "b.{{slicefromright(1,3)}}",
        {"a.abcdefgh": "b.ab.cde.fgh", "a.abcdef": "b.abc.def", "a.abcd": "b.a.bcd", "a.abc": "b.abc", "a.a": "b.a"},
    ),
    ("a.*", "b.{{sliceFromLeft(1,0)}}", {"a.abc": "b.abc"}),
    ("a.*.*", "b.{{sliceFromLeft(2,2)}}.$1", {"a.x.abcd": "b.ab.cd.x"}),
    # left, right.
    ("a.*", "b.{{left(1,3)}}", {"a.abcdef": "b.abc", "a.ab": "b.ab"}),
    ("a.*", "b.{{Right(1,3)}}", {"a.abcdef": "b.def", "a.ab": "b.ab"}),
    ("a.*", "b.{{left(1,0)}}", {"a.abc": "b.abc"}),
    ("a.*", "b.{{right(1,-1)}}", {"a.abc": "b.abc"}),
    # partition, random.
    ("a.*", "b.{{partition(7,1)}}", {"a.x": "b.4", "a.y": "b.6"}),
    ("a.*", "b.{{partition(7,1,1,1)}}", {"a.x": "b.6"}),
    ("a.*", "b.{{Partition(7,0)}}", {"a.x": "b.5", "a.y": "b.5"}),
    ("a.>", "b.{{partition(7)}}.>", {"a.x": "b.2.x", "a.y.z": "b.3.y.z"}),
    ("a.*", "b.{{partition(0,1)}}", {"a.x": "b.0"}),
    ("a.*", "b.{{partition(-1,1)}}", {"a.x": "b.4245442695"}),
    ("a.*", "b.{{random(1)}}", {"a.x": "b.0"}),
    ("a.*", "b.{{random(0)}}.$1", {"a.x": "b.0.x"}),
    ("a.*", "b.{{random(-1)}}", {"a.x": "b.0"}),
]

_DESTINATION = "invalid mapping destination: "

REFUSED: list[tuple[str, str, str]] = [
    ("a.*", "b.*", "invalid subject"),
    ("a.>", "b", "invalid subject"),
    ("a", "b.>", "invalid subject"),
    ("a", "b..c", _DESTINATION + "invalid transform"),
    ("a", "c d", _DESTINATION + "invalid transform"),
    ("a.>", "b.>.c", _DESTINATION + "invalid transform in c"),
    ("a", "b. .c", _DESTINATION + "invalid transform"),
    ("a.*", "b.$2", _DESTINATION + "wildcard index out of range in $2: [2]"),
    ("a", "b.$1", _DESTINATION + "wildcard index out of range in $1"),
    ("a.>", "b.$1.>", _DESTINATION + "wildcard index out of range in $1: [1]"),
    ("a.b", "{{wildcard(1)}}", _DESTINATION + "wildcard index out of range in {{wildcard(1)}}"),
    ("a.*", "b.{{wildcard(2)}}", _DESTINATION + "wildcard index out of range in {{wildcard(2)}}: [2]"),
    ("a.*", "b.{{partition(3,2)}}", _DESTINATION + "wildcard index out of range in {{partition(3,2)}}: [2]"),
    ("a.>", "b.{{partition(3,1)}}.>", _DESTINATION + "wildcard index out of range in {{partition(3,1)}}: [1]"),
    ("a.*", "b.{{split(2,-)}}", _DESTINATION + "wildcard index out of range in {{split(2,-)}}: [2]"),
    ("a.*", "b.{{left(2,1)}}", _DESTINATION + "wildcard index out of range in {{left(2,1)}}: [2]"),
    ("a.*", "b.{{x}}", _DESTINATION + "unknown function in {{x}}"),
    ("a.*", "b.{{foo(1)}}", _DESTINATION + "unknown function in {{foo(1)}}"),
    ("a.*", "b.{{wildcard}}", _DESTINATION + "unknown function in {{wildcard}}"),
    ("a.*", "b.{{PARTITION(3,1)}}", _DESTINATION + "unknown function in {{PARTITION(3,1)}}"),
    ("a.*", "b.{{SLiceFromLeft(1,3)}}", _DESTINATION + "unknown function in {{SLiceFromLeft(1,3)}}"),
    ("a.*", "b.{{wildcard(1)junk}}", _DESTINATION + "unknown function in {{wildcard(1)junk}}"),
    ("a.*", "b.{{junkwildcard(1)}}", _DESTINATION + "unknown function in {{junkwildcard(1)}}"),
    ("a.*", "b.{{wildcard()}}", _DESTINATION + "not enough arguments passed to the function in {{wildcard()}}"),
    ("a.*", "b.{{split(1)}}", _DESTINATION + "not enough arguments passed to the function in {{split(1)}}"),
    ("a.*", "b.{{left(1)}}", _DESTINATION + "not enough arguments passed to the function in {{left(1)}}"),
    ("a.*", "b.{{random(3,1)}}", _DESTINATION + "not enough arguments passed to the function in {{random(3,1)}}"),
    ("a.*", "b.{{wildcard(1,2)}}", _DESTINATION + "too many arguments passed to the function in {{wildcard(1,2)}}"),
    ("a.*", "b.{{split(1,-,-)}}", _DESTINATION + "too many arguments passed to the function in {{split(1,-,-)}}"),
    (
        "a.*",
        "b.{{SplitFromRight(1,3,4)}}",
        _DESTINATION + "too many arguments passed to the function in {{SplitFromRight(1,3,4)}}",
    ),
    *(
        ("a.*", f"b.{call}", _DESTINATION + f"function argument is invalid or in the wrong format in {call}")
        for call in (
            "{{wildcard(x)}}",
            "{{partition()}}",
            "{{partition(x,1)}}",
            "{{partition(3,x)}}",
            "{{partition(4294967297,1)}}",
            "{{random()}}",
            "{{random(x)}}",
            "{{random(4294967297)}}",
            "{{split(x,-)}}",
            "{{split(1,-- )}}",
            "{{SplitFromRight(1,x)}}",
            "{{SplitFromRight(x,1)}}",
        )
    ),
]
