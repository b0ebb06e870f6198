"""The script table against nats-server 2.15.1 and against ours: the same bytes must bring back the same bytes.

The measure is always the real server's answer to the whole script. That the table itself is sound (the real server
answers alike each time, however the bytes are cut) is tested too: a script that fails that is wrong, not a server.
"""

from __future__ import annotations

import pytest

from tests.conformance.nats.scripts import CONFIGS, SCRIPTS, TOPICS
from tests.conformance.nats.stage import Stage, difference
from tests.support.differential import Script, variants_of
from tests.support.servers import ServerKind

_BY_NAME = {script.name: script for script in SCRIPTS}
_TABLE = [
    pytest.param(script, id=f"{topic}: {script.name}", marks=pytest.mark.capability(*script.capabilities))
    for topic, scripts in TOPICS.items()
    for script in scripts
]


@pytest.mark.oracle
@pytest.mark.parametrize("script", _TABLE)
def test_script_is_sound(script: Script, stage: Stage) -> None:
    """The real server answers a script alike, whole, again and byte by byte; only marked ones end in silence."""
    expected = stage.expected(script)
    for (_, variant), got in stage.plain(ServerKind.REAL, script).items():
        assert not (text := difference(script, expected, got)), f"{variant}\n{text}"
    assert not difference(script, expected, stage.repeated(ServerKind.REAL, script))
    assert ("silent" in expected.endings.values()) == script.is_silent


@pytest.mark.slow
@pytest.mark.oracle
@pytest.mark.parametrize("config", CONFIGS)
def test_scripts_are_sound_however_cut(config: str, stage: Stage) -> None:
    """Nor does the real server care where a script is cut in two, so a cut that changes our answer is our defect."""
    differences = stage.differences_when_cut(ServerKind.REAL, config)
    assert not differences, "\n".join([f"{len(differences)} plays differ", *differences[:10]])


@pytest.mark.oracle
def test_table_is_as_large_as_promised() -> None:
    """At least 150 scripts with names of their own, cut at every byte."""
    assert len(_BY_NAME) == len(SCRIPTS) >= 150
    assert sum(1 for _ in variants_of(SCRIPTS)) > 20_000
