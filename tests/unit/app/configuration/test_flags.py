"""Flags in all their spellings, by Go's rules."""

from __future__ import annotations

import pytest

from leafbox.app.configuration.flags import FLAGS, FlagError, parse_flags, usage


@pytest.mark.capability("OP01")
@pytest.mark.parametrize(
    "arguments", [["-p", "5"], ["-p=5"], ["--port", "5"], ["--port=5"], ["-port", "5"], ["-port=5"], ["--p", "0x5"]]
)
def test_every_spelling_is_the_same_flag(arguments: list[str]) -> None:
    values, rest = parse_flags(arguments)
    assert (list(values.values()), rest) == ([5], [])


@pytest.mark.capability("OP01")
@pytest.mark.parametrize(
    ("arguments", "values", "rest"),
    [
        (["-D", "false"], {"D": True}, ["false"]),
        (["-D=false", "-js=T"], {"D": False, "js": True}, []),
        (["-p", "1", "x", "-D"], {"p": 1}, ["x", "-D"]),
        (["-D", "--", "-V"], {"D": True}, ["-V"]),
        (["-D", "-"], {"D": True}, ["-"]),
        (["-a", "-p"], {"a": "-p"}, []),
        (["-a", "::", "-p", "-1"], {"a": "::", "p": -1}, []),
        (["-p", "1", "--port=2"], {"port": 2}, []),
        (["-user", "a=b"], {"user": "a=b"}, []),
        (["-pass="], {"pass": ""}, []),
        (["-p", "010"], {"p": 8}, []),
        (["-p", "1_000"], {"p": 1000}, []),
    ],
)
def test_values_and_rest(arguments: list[str], values: dict[str, object], rest: list[str]) -> None:
    assert parse_flags(arguments) == (values, rest)


@pytest.mark.capability("OP01")
def test_a_wrong_value_is_refused() -> None:
    with pytest.raises(FlagError, match=r'^invalid value "x" for flag -p: parse error$'):
        parse_flags(["-p", "x"])


@pytest.mark.capability("OP01")
def test_the_usage_names_every_flag() -> None:
    text = usage("nats-server")
    assert text.startswith("\nUsage: nats-server [options]\n")
    for flag in FLAGS:
        for name in flag.names:
            assert f"-{name}" in text
