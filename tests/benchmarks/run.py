"""Benchmarks beside the real nats-server: `python -m tests.benchmarks.run` (or `make bench ARGS="..."`).

Every round measures all contenders of a scenario, forwards and backwards in turn (A B, B A, ...), each with a fresh
server. A measurement waits until others leave the machine alone and is repeated when they did not. Printed are medians
with the range, ours divided by theirs, whether that meets what the project wants, and the most that others used.
Everything, with the machine, the commit and each single value, is saved as JSON under `results/`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import signal
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import core, jetstream, leaf, mqtt, web
from tests.benchmarks.flash import IMAGE_BYTES, SMALL_IMAGE_BYTES, mounted_flash
from tests.benchmarks.generator import LoadFailed, ceiling
from tests.benchmarks.machine import CALM_SHARE_MAX, Placement, facts, take_priority, wait_calm, watched_for_others
from tests.benchmarks.report import DISTURBANCE, Measured, ceilings_table, table
from tests.benchmarks.scenario import Bench, Contender, Scenario, Values
from tests.support.servers import ServerFailed

REPOSITORY = Path(__file__).resolve().parents[2]
ATTEMPTS_MAX = 2
SCENARIOS = [*core.SCENARIOS, *jetstream.SCENARIOS, *leaf.SCENARIOS, *mqtt.SCENARIOS, *web.SCENARIOS]
# What the generator is measured with against the least possible server; the same flows as in `core`.
CEILINGS = {
    "1:1, 16 B": {"pubs": 1, "subs": 1, "size": 16, "count": 5_000_000},
    "1:1, 128 B": {"pubs": 1, "subs": 1, "size": 128, "count": 3_000_000},
    "1:1, 4 KiB": {"pubs": 1, "subs": 1, "size": 4096, "count": 200_000},
    "1:10, 128 B": {"pubs": 1, "subs": 10, "size": 128, "count": 400_000},
    "4:4, 128 B": {"pubs": 4, "subs": 4, "size": 128, "count": 300_000},
    "publish only, 16 B": {"pubs": 1, "subs": 0, "size": 16, "count": 12_000_000},
}


def main() -> int:
    """A benchmark that misses its aim is no failure; one that could not be measured is (exit code 1)."""
    options = _options()
    # An interrupted run unmounts its file system and ends its servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if options.first:
        take_priority()
    scenarios = [
        scenario
        for scenario in SCENARIOS
        if (not options.group or scenario.group == options.group)
        and (not options.only or any(text in scenario.name for text in options.only))
    ]
    about = {
        **facts(REPOSITORY),
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "rounds": options.rounds,
        "scale": options.scale,
    }
    print(f"{about['machine']}, {about['processors']} processors, kernel {about['kernel']}, commit {about['commit']}, "
          f"{options.rounds} rounds")  # fmt: skip
    placements = [Placement(name) for name in options.placement or [place.value for place in Placement]]
    measured: list[Measured] = []
    saved = None
    limits: dict[str, dict[str, float]] = {}
    for placement in placements:
        if not options.no_ceilings and any(scenario.name in CEILINGS for scenario in scenarios):
            wait_calm()
            limits[placement.value] = {name: ceiling(placement, **flow) for name, flow in CEILINGS.items()}
            print(ceilings_table(placement, limits[placement.value]))
        for scenario in scenarios:
            one = measure(
                scenario,
                placement,
                options.rounds,
                options.scale,
                contenders=options.contender,
                attempts_max=1 if options.first else ATTEMPTS_MAX,
            )
            print(table([one], is_heading_wanted=scenario is scenarios[0]), flush=True)
            measured.append(one)
            saved = _save(about, limits, measured)  # After each, so that an interrupted run has its results.
    print(f"saved in {saved}")
    return 1 if any(one.problems for one in measured) else 0


def measure(
    scenario: Scenario,
    placement: Placement,
    rounds: int,
    scale: float,
    *,
    contenders: list[str] | None = None,
    attempts_max: int = 1,
) -> Measured:
    """All rounds of one scenario; a contender that fails once is reported with the reason and left out after that."""
    result = Measured(scenario, placement)
    entrants = [one for one in scenario.contenders if not contenders or one.kind.name.lower() in contenders]
    for number in range(rounds):
        for contender in entrants if number % 2 == 0 else reversed(entrants):
            if contender.name in result.problems:
                continue
            try:
                values = _measure_calmly(scenario, contender, placement, scale, attempts_max)
            except (LoadFailed, ServerFailed, OSError, KeyError) as error:
                result.problems[contender.name] = str(error)[:600]
            else:
                result.add(contender, values)
    return result


def _measure_calmly(
    scenario: Scenario, contender: Contender, placement: Placement, scale: float, attempts_max: int
) -> Values:
    """The least disturbed of a few attempts; one that others left alone is taken at once."""
    attempts: list[tuple[float, Values]] = []
    for _ in range(attempts_max):
        if attempts_max > 1:
            wait_calm()
        with watched_for_others() as disturbance:
            values = _measure_once(scenario, contender, placement, scale)
        attempts.append((disturbance.share, {**values, DISTURBANCE: disturbance.share}))
        if disturbance.share < CALM_SHARE_MAX:
            break
    return min(attempts, key=lambda attempt: attempt[0])[1]


def _measure_once(scenario: Scenario, contender: Contender, placement: Placement, scale: float) -> Values:
    with tempfile.TemporaryDirectory(prefix="leafbox-bench-") as name:
        directory = Path(name)
        bench = Bench(contender, placement, directory, scale)
        if not scenario.stores:
            return scenario.measure(bench)
        with mounted_flash(directory, IMAGE_BYTES if scale >= 0.1 else SMALL_IMAGE_BYTES) as flash:
            return scenario.measure(Bench(contender, placement, directory, scale, flash))


def _save(about: dict[str, str | int], limits: dict[str, dict[str, float]], measured: list[Measured]) -> Path:
    directory = REPOSITORY / "results"
    directory.mkdir(exist_ok=True)
    document = {"about": about, "generator_ceilings": limits, "measured": [one.document() for one in measured]}
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    path = directory / f"benchmarks-{str(about['when']).replace(':', '')}.json"
    path.write_text(text, encoding="utf-8")
    (directory / "benchmarks.json").write_text(text, encoding="utf-8")
    return path


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="NAME", help="scenarios whose name contains it (repeatable)")
    parser.add_argument("--group", choices=sorted({scenario.group for scenario in SCENARIOS}))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--placement", action="append", choices=[place.value for place in Placement])
    parser.add_argument("--contender", action="append", choices=["real", "leafbox"], help="only these servers")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on all amounts of messages")
    parser.add_argument(
        "--first", action="store_true", help="go before everything else on the machine (root), do not wait"
    )
    parser.add_argument("--no-ceilings", action="store_true", help="do not measure the generator itself")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
