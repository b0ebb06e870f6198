"""The benchmark tool works: each scenario runs for a moment against the real server. Figures are not judged here."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.benchmarks import mqtt
from tests.benchmarks.generator import LoadFailed, ceiling, run_load
from tests.benchmarks.machine import Placement
from tests.benchmarks.report import Measured, table, verdict
from tests.benchmarks.run import SCENARIOS, measure
from tests.benchmarks.scenario import OURS, REAL, REAL_SYNCED, Bench, Contender, Metric, Scenario
from tests.support.servers import ServerProcess

pytestmark = pytest.mark.capability("C26", "AP04")

SMOKE_SCALE = 0.01


@pytest.mark.slow
@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(one, id=one.name, marks=[pytest.mark.capability("AP44")] if one.group == "mqtt" else [])
        for one in SCENARIOS
    ],
)
def test_scenario_measures_the_real_server(scenario: Scenario) -> None:
    """Every metric gets a positive value; only a metric of the device may be missing (no loop device, no root)."""
    measured = measure(scenario, Placement.FREE, 1, SMOKE_SCALE, contenders=["real"])
    assert not measured.problems
    for contender in scenario.contenders:
        if contender == OURS:
            continue
        for metric in scenario.metrics:
            values = measured.values(contender, metric)
            assert values or metric.name == "device"
            assert all(value > 0 and math.isfinite(value) for value in values) or metric.name.startswith("memory per")


@pytest.mark.parametrize("contender", [REAL, REAL_SYNCED, OURS], ids=lambda contender: contender.name)
def test_every_gateway_keeps_its_data_on_the_flash_of_the_bench(contender: Contender, tmp_path: Path) -> None:
    """A second `jetstream` block replaced the first: `sync_interval: always` was measured on another device."""
    with mqtt.running(Bench(contender, Placement.FREE, tmp_path)) as broker:
        (home,) = tmp_path.iterdir()
        mqtt.load(Bench(contender, Placement.FREE, tmp_path), broker, "queue", count=20)
        assert any(path.is_file() for path in (home / "data").rglob("*"))


def test_generator_reaches_more_than_any_server() -> None:
    """The ceiling of the smallest flow lies above a million messages a second even on a busy machine."""
    assert ceiling(Placement.FREE, pubs=1, subs=1, size=16, count=300_000) > 1e6


def test_generator_notices_a_refused_request(real_server: ServerProcess) -> None:
    """An answer without a responder is an error, not a fast answer."""
    with pytest.raises(LoadFailed, match="503"):
        run_load("requests", real_server.client_port, Placement.FREE, subject="nobody.there", count=10)


def test_generator_notices_a_lost_server(real_server: ServerProcess) -> None:
    """No figures from a server that is gone."""
    port = real_server.client_port
    real_server.stop()
    with pytest.raises(LoadFailed, match="connect"):
        run_load("flow", port, Placement.FREE, count=10)


def test_report_gives_medians_ratios_and_verdicts() -> None:
    """Ours divided by theirs, from medians; less is better where the metric says so."""
    rate, delay = Metric("rate", "m/s", True, 2.0), Metric("p50", "µs", False, 1.1)
    measured = Measured(Scenario("some", lambda bench: {}, (rate, delay)), Placement.FREE)
    for theirs, ours in ((10.0, 25.0), (1000.0, 30.0), (12.0, 2.0)):
        measured.add(REAL, {"rate": theirs, "p50": theirs})
        measured.add(OURS, {"rate": ours, "p50": ours})
    assert measured.ratio(REAL, rate) == pytest.approx(25 / 12)
    assert verdict(rate, 2.0, 2.0) == "met"
    assert verdict(rate, 1.99, 2.0) == "MISSED"
    assert verdict(delay, 1.2, 1.1) == "MISSED"
    assert verdict(delay, 1.2, None) == verdict(delay, None, 1.1) == ""
    text = table([measured])
    assert "| 2.08 | ≥ 2.0 | met |" in text
    assert "| 2.08 | ≤ 1.1 | MISSED |" in text


def test_report_judges_each_server_by_its_own_limit() -> None:
    """nats-server that syncs is measured by another ratio than its default, and ours by a value of its own."""
    metric = Metric("rate", "m/s", True, 1.2, 40, limit=100)
    measured = Measured(
        Scenario("some", lambda bench: {}, (metric,), contenders=(REAL, REAL_SYNCED, OURS)), Placement.FREE
    )
    for contender, value in ((REAL, 90.0), (REAL_SYNCED, 2.0), (OURS, 99.0)):
        measured.add(contender, {"rate": value})
    text = table([measured])
    assert "| 1.10 | ≥ 1.2 | MISSED |" in text
    assert "| 49.50 | ≥ 40 | met |" in text
    assert "| ≥ 100 | MISSED |" in text
