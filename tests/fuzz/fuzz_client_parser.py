"""The NATS client parser on any bytes, cut anywhere: what happens must be what the naive parser says."""

from __future__ import annotations

from tests.fuzz.choices import Choices
from tests.support.parser_check import comparable, cut, expected_events, play

SEEDS = [
    b"\x00SUB a 1\r\nPUB a 2\r\nhi\r\nPING\r\n",
    b"\x01\x10HPUB a.b r 12 14\r\nNATS/1.0\r\n\r\nhi\r\nUNSUB 1 5\r\n",
    b"\x02\x05\x06CONNECT {}\r\nINFO {}\r\n+OK\r\nPONG\r\n-ERR 'x'\r\n",
    b"\x03\x01\x02\x03pub\ta \t3\nabc\r\nsub > q 7\r\nPUB q 0\r\n\r\n",
    b"\x01\x83SUB " + b"a" * 126 + b" 1\r\nPUB a 601\r\n",
]


def one_input(data: bytes) -> None:
    """A number of cuts, their places, and the script."""
    choices = Choices(data)
    cuts = [choices.number(512) for _ in range(choices.number(6))]
    script = choices.rest()
    chunks = cut(script, cuts)
    events, output, connection = play(chunks)
    expected = expected_events(script)
    assert comparable(events) == expected, (events, expected)
    assert connection.closed is bool(expected and expected[-1][0] in ("violation", "peer error"))
    if len(chunks) > 1:
        assert play([script])[:2] == (events, output)
