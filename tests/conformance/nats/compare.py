"""Hold the script table against both servers and print every difference: `python -m tests.conformance.nats.compare`.

--topic NAME   only this topic (repeatable)      --script TEXT   only scripts whose name contains it
--cuts         cut at every byte too             --on KIND       the server to judge, `leafbox` (default) or `real`
--transcript   print the real server's whole answers instead of differences
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.conformance.nats.scripts import CONFIGS, TOPICS
from tests.conformance.nats.stage import Transcripts, difference, hold
from tests.support.differential import WHOLE, Script, Variant, variants_of
from tests.support.servers import ServerFailed, ServerKind, ServerProcess

SHOWN_VARIANTS = 6


def main() -> int:
    """Exit code 1 when something differs."""
    options = _options()
    scripts = [
        script
        for topic in options.topic or TOPICS
        for script in TOPICS[topic]
        if not options.script or options.script in script.name
    ]
    differing = 0
    with tempfile.TemporaryDirectory() as directory:
        for config in CONFIGS:
            chosen = [script for script in scripts if script.config == config]
            if not chosen:
                continue
            wholes = [(script, WHOLE) for script in chosen]
            expected = _transcripts(ServerKind.REAL, config, wholes, Path(directory))
            if options.transcript:
                _print_transcripts(expected)
                continue
            plays = [play for play in variants_of(chosen) if options.cuts or play[1].cut_at is None]
            try:
                got = _transcripts(ServerKind[options.on.upper()], config, plays, Path(directory))
            except (ServerFailed, KeyError) as error:
                print(f"### configuration {config!r}: {str(error)[:2000]}")
                differing += len(chosen)
                continue
            differing += _print_differences(chosen, expected, got)
    print(f"{differing} of {len(scripts)} scripts differ")
    return 1 if differing else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--topic", action="append", choices=list(TOPICS))
    parser.add_argument("--script")
    parser.add_argument("--cuts", action="store_true")
    parser.add_argument("--on", choices=("leafbox", "real"), default="leafbox")
    parser.add_argument("--transcript", action="store_true")
    return parser.parse_args()


def _transcripts(kind: ServerKind, config: str, plays: list[tuple[Script, Variant]], directory: Path) -> Transcripts:
    with ServerProcess(kind, directory / f"{kind.value} {config}", config=CONFIGS[config]) as server:
        return hold(plays, server)


def _print_transcripts(transcripts: Transcripts) -> None:
    for (name, _), transcript in transcripts.items():
        print("\n  ".join([f"### {name}", *transcript.lines()]))


def _print_differences(scripts: list[Script], expected: Transcripts, got: Transcripts) -> int:
    """Per script, the first difference and the variants that show one; returns how many scripts differ."""
    differing = 0
    for script in scripts:
        found = [
            (variant, text)
            for (name, variant), transcript in got.items()
            if name == script.name and (text := difference(script, expected[name, WHOLE], transcript))
        ]
        if found:
            differing += 1
            variants = ", ".join(str(variant) for variant, _ in found[:SHOWN_VARIANTS])
            print(f"### {script.name} [{script.config}] {len(found)} variants: {variants}\n{found[0][1]}")
    return differing


if __name__ == "__main__":
    sys.exit(main())
