"""The script table on ours: the same bytes must bring back what nats-server 2.15.1 answers to the whole script."""

from __future__ import annotations

import pytest

from tests.conformance.nats.deviations import DEVIATIONS
from tests.conformance.nats.scripts import CONFIGS, SCRIPTS, TOPICS
from tests.conformance.nats.stage import Stage, difference
from tests.support.differential import WHOLE, Script
from tests.support.servers import ServerKind

_TABLE = [
    pytest.param(script, id=f"{topic}: {script.name}", marks=pytest.mark.capability(*script.capabilities))
    for topic, scripts in TOPICS.items()
    for script in scripts
    if script.name not in DEVIATIONS
]


@pytest.mark.parametrize("script", _TABLE)
def test_same_answers(script: Script, stage: Stage) -> None:
    """Whole and byte by byte."""
    expected = stage.expected(script)
    for (_, variant), got in stage.plain(ServerKind.LEAFBOX, script).items():
        assert not (text := difference(script, expected, got)), f"{variant}\n{text}"


@pytest.mark.slow
@pytest.mark.capability("C09")
@pytest.mark.parametrize("config", CONFIGS)
def test_same_answers_however_cut(config: str, stage: Stage) -> None:
    """Cut in two at every byte."""
    found = stage.differences_when_cut(ServerKind.LEAFBOX, config)
    differences = [text for text in found if not text.startswith(tuple(f"{name}, " for name in DEVIATIONS))]
    assert not differences, "\n".join([f"{len(differences)} plays differ", *differences[:10]])


@pytest.mark.capability("C08")
@pytest.mark.parametrize("name", DEVIATIONS)
def test_deviation_is_still_one(name: str, stage: Stage) -> None:
    """A listed script that no longer differs leaves the list."""
    (script,) = [script for script in SCRIPTS if script.name == name]
    got = stage.plain(ServerKind.LEAFBOX, script)[script.name, WHOLE]
    assert difference(script, stage.expected(script), got)
