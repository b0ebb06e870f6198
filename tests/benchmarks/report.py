"""Medians, ratios and verdicts of measured scenarios, as a table and as a document."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

from tests.benchmarks.machine import Placement
from tests.benchmarks.scenario import OURS, Contender, Metric, Scenario, Values

# In a round's values beside the metrics: the share of all processors that others used meanwhile.
DISTURBANCE = "used by others"

_HEADING = (
    "| scenario | processors | metric | server | median | least to most | ours ÷ theirs | wanted | | used by others |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


@dataclass(slots=True)
class Measured:
    """The values of a scenario's rounds, by contender; `problems` says why one could not be measured."""

    scenario: Scenario
    placement: Placement
    rounds: dict[str, list[Values]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def add(self, contender: Contender, values: Values) -> None:
        self.rounds.setdefault(contender.name, []).append(values)

    def values(self, contender: Contender, metric: Metric) -> list[float]:
        """What was measured; a metric a machine cannot measure is missing from its rounds."""
        return [values[metric.name] for values in self.rounds.get(contender.name, []) if metric.name in values]

    def median(self, contender: Contender, metric: Metric) -> float | None:
        values = self.values(contender, metric)
        return statistics.median(values) if values else None

    def ratio(self, contender: Contender, metric: Metric) -> float | None:
        """Our median divided by this contender's."""
        ours, theirs = self.median(OURS, metric), self.median(contender, metric)
        return None if ours is None or not theirs else ours / theirs

    def document(self) -> dict[str, object]:
        """Everything, for JSON."""
        metrics = [
            {
                "metric": metric.name,
                "unit": metric.unit,
                "wanted_ratio": metric.ratio_limit,
                "wanted_ratio_to_synced": metric.synced_ratio_limit,
                "wanted": metric.limit,
                "wanted_by_peer": dict(metric.peer_limits or ()),
                "is_higher_better": metric.is_higher_better,
                "servers": {
                    contender.name: {
                        "median": self.median(contender, metric),
                        "ours_divided_by_this": self.ratio(contender, metric),
                        "rounds": self.values(contender, metric),
                    }
                    for contender in self.scenario.contenders
                },
            }
            for metric in self.scenario.metrics
        ]
        return {
            "scenario": self.scenario.name,
            "group": self.scenario.group,
            "placement": self.placement.value,
            DISTURBANCE: {name: [values.get(DISTURBANCE) for values in rounds] for name, rounds in self.rounds.items()},
            "metrics": metrics,
            "problems": self.problems,
        }


def table(measured: list[Measured], *, is_heading_wanted: bool = True) -> str:
    """One line per metric and contender."""
    lines = [_HEADING] if is_heading_wanted else []
    for one in measured:
        for metric in one.scenario.metrics:
            lines += [_line(one, metric, contender) for contender in one.scenario.contenders]
    return "\n".join(lines)


def ceilings_table(placement: Placement, ceilings: dict[str, float]) -> str:
    """What the generator reaches against the least possible server."""
    lines = [f"| the generator's own ceiling, {placement.value} | messages/s |", "|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {_number(rate)} |" for name, rate in ceilings.items()), ""])


def verdict(metric: Metric, value: float | None, limit: float | None) -> str:
    """`met`, `missed`, or nothing where nothing is wanted or known."""
    if limit is None or value is None:
        return ""
    is_met = value >= limit if metric.is_higher_better else value <= limit
    return "met" if is_met else "MISSED"


def _line(one: Measured, metric: Metric, contender: Contender) -> str:
    start = [one.scenario.name, one.placement.value, f"{metric.name} ({metric.unit})", contender.name]
    values = one.values(contender, metric)
    if not values:
        problem = one.problems.get(contender.name, "not measured here").splitlines()[0]
        return "| " + " | ".join([*start, f"– {problem}", "", "", "", "", ""]) + " |"
    median, spread = _number(statistics.median(values)), f"{_number(min(values))} – {_number(max(values))}"
    others = f"{max(values.get(DISTURBANCE, 0.0) for values in one.rounds[contender.name]):.0%}"
    limit = metric.limit_beside(contender)
    sign = "≥" if metric.is_higher_better else "≤"
    wanted = f"{sign} {limit}" if limit is not None else ""
    if contender == OURS:
        judged = verdict(metric, statistics.median(values), limit)
        return "| " + " | ".join([*start, median, spread, "", wanted, judged, others]) + " |"
    ratio = one.ratio(contender, metric)
    shown = "" if ratio is None else f"{ratio:.2f}"
    cells = [*start, median, spread, shown, wanted, verdict(metric, ratio, limit), others]
    return "| " + " | ".join(cells) + " |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
