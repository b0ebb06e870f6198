"""`leafbox run`'s arguments survive the way through a command line, whatever is in them."""

from __future__ import annotations

import pytest

from leafbox.app.run_arguments import RunArguments, parse


@pytest.mark.parametrize(
    "arguments",
    [
        RunArguments(),
        RunArguments("a b.conf", "d=1", "::", -1, 0, "0.0.0.0", -1, "/usr/bin/leafbox"),
        RunArguments(data="--data", program="-x"),
    ],
)
def test_there_and_back(arguments: RunArguments) -> None:
    command = arguments.command()
    assert command[1:3] == ["-m", "leafbox.app.run_command"]
    assert parse(command[3:]) == arguments
