"""How problems are printed."""

from __future__ import annotations

import pytest

from leafbox.app.configuration.problems import ConfigRejected, Problems, fail, line, problem_at
from leafbox.app.configuration.tree import Node
from leafbox.protocol.errors import ConfigError


def test_a_problem_is_printed_with_its_place_and_its_suggestion_below() -> None:
    node = Node("x", "f.conf", 3, 5)
    assert line(problem_at(node, "wrong")) == "f.conf:3:5: wrong"
    assert line(problem_at(node, "wrong", "try this")) == "f.conf:3:5: wrong\n    try this"
    assert line(ConfigError("no place")) == "no place"


def test_warnings_come_before_errors() -> None:
    problems = Problems()
    with pytest.raises(ConfigError) as raised:
        fail(Node("x", "f.conf", 2, 1), "wrong")
    problems.errors.append(raised.value)
    problems.warn_use(Node("x", "f.conf", 9, 1), "key", "doubtful")
    rejected = problems.rejection()
    assert isinstance(rejected, ConfigRejected)
    assert str(rejected) == 'f.conf:9:1: invalid use of field "key": doubtful\nf.conf:2:1: wrong\n'
