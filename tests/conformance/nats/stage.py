"""The servers that the script table is played on: one process per kind and configuration, shared by the whole session.

Plays are held in batches, all scripts of one configuration at once, and their transcripts are kept, so that a test per
script costs a dictionary look-up.
"""

from __future__ import annotations

import asyncio
import difflib
from pathlib import Path

from tests.conformance.nats.scripts import CONFIGS, SCRIPTS
from tests.support.differential import EVERY_BYTE, WHOLE, Script, Transcript, Variant, play_all, variants_of
from tests.support.servers import ServerKind, ServerProcess

Transcripts = dict[tuple[str, Variant], Transcript]

_BY_CONFIG = {name: [script for script in SCRIPTS if script.config == name] for name in CONFIGS}
PLAYS_KEPT = 1000
_CUTS = [(script, variant) for script, variant in variants_of(SCRIPTS) if variant.cut_at is not None]


class Stage:
    """Starts what is needed when it is first needed; `close` ends the servers."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._servers: dict[tuple[ServerKind, str], ServerProcess] = {}
        self._batches: dict[tuple[ServerKind, str, str], Transcripts] = {}

    def expected(self, script: Script) -> Transcript:
        """The real server's answer to the whole script."""
        return self.plain(ServerKind.REAL, script)[script.name, WHOLE]

    def plain(self, kind: ServerKind, script: Script) -> Transcripts:
        """The script whole and, where it may be cut, at every byte."""
        batch = self._batch(kind, script.config, "plain")
        return {key: transcript for key, transcript in batch.items() if key[0] == script.name}

    def repeated(self, kind: ServerKind, script: Script) -> Transcript:
        """The script whole, held a second time."""
        return self._batch(kind, script.config, "repeated")[script.name, WHOLE]

    def differences_when_cut(self, kind: ServerKind, config: str) -> list[str]:
        """Every script of a configuration at every cut: what differs from the real server's answer to it whole.

        Tens of thousands of transcripts are not kept; a slice of plays is compared before the next is held. Thousands
        of plays at once on a busy machine reach a server's own time limits now and then; a play counts when it also
        differs alone.
        """
        server, found = self._server(kind, config), []
        plays = [(script, variant) for script, variant in _CUTS if script.config == config]
        scripts = {script.name: script for script, _ in plays}
        for start in range(0, len(plays), PLAYS_KEPT):
            for (name, variant), got in hold(plays[start : start + PLAYS_KEPT], server).items():
                script, expected = scripts[name], self.expected(scripts[name])
                if difference(script, expected, got) and (
                    text := difference(script, expected, self.alone(kind, script, variant))
                ):
                    found.append(f"{name}, {variant}\n{text}")
        return found

    def alone(self, kind: ServerKind, script: Script, variant: Variant) -> Transcript:
        """One play with nothing else going on."""
        return hold([(script, variant)], self._server(kind, script.config))[script.name, variant]

    def close(self) -> None:
        for server in self._servers.values():
            server.__exit__()

    def _batch(self, kind: ServerKind, config: str, batch: str) -> Transcripts:
        if (kind, config, batch) not in self._batches:
            server = self._server(kind, config)
            self._batches[kind, config, batch] = hold(_plays(config, batch), server)
        return self._batches[kind, config, batch]

    def _server(self, kind: ServerKind, config: str) -> ServerProcess:
        if (kind, config) not in self._servers:
            directory = self._directory / f"{kind.value} {config}"
            self._servers[kind, config] = ServerProcess(kind, directory, config=CONFIGS[config]).start()
        return self._servers[kind, config]


def hold(plays: list[tuple[Script, Variant]], server: ServerProcess) -> Transcripts:
    """Hold conversations with one server, each on the listener that speaks its dialect."""
    transcripts: Transcripts = {}
    for listener in sorted({script.dialect.listener for script, _ in plays}):
        there = [play for play in plays if play[0].dialect.listener == listener]
        transcripts |= asyncio.run(play_all(there, "127.0.0.1", server.port(listener)))
    return transcripts


def difference(script: Script, expected: Transcript, got: Transcript) -> str:
    """The lines in which two transcripts of a script differ, empty when they agree."""
    before, after = expected.without_repeats(), got.without_repeats()
    if script.is_hasty:
        before, after = before.without_last_words(), after.without_last_words()
    return "\n".join(difflib.unified_diff(before.lines(), after.lines(), "nats-server", "got", lineterm="", n=2))


def _plays(config: str, batch: str) -> list[tuple[Script, Variant]]:
    scripts = _BY_CONFIG[config]
    plays = [(script, WHOLE) for script in scripts]
    if batch == "plain":
        plays += [(script, EVERY_BYTE) for script in scripts if not script.is_whole_only]
    return plays
