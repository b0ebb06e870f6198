"""From facts to a verdict: how an uplink stands and why. Pure; the supervisor gathers the facts."""

from __future__ import annotations

from dataclasses import dataclass

from leafbox.leaf.failures import Failure
from leafbox.leaf.remote import UplinkState
from leafbox.leaf.uplink_reasons import Condition, Reason, reason, reason_of_failure

SILENT_PROBES_MAX = 2
"""So many probes in a row without any sign of the hub make a stall: one may fall into a hub's election."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known at one moment."""

    is_paused: bool = False
    link: UplinkState = UplinkState.DISABLED
    failure: Failure | None = None
    is_probed: bool = False
    """A probe has come back since the link is up."""
    silent_probes: int = 0
    problems: tuple[Reason, ...] = ()
    """Of the hub, the buffers and the way between them, the most important first."""


def verdict(facts: Facts) -> tuple[Condition, tuple[Reason, ...]]:
    """The condition and its reasons, the decisive one first; none while everything flows."""
    found = _reasons(facts)
    return (found[0].condition if found else Condition.FLOWING), found


def _reasons(facts: Facts) -> tuple[Reason, ...]:
    if facts.is_paused:
        return (reason("paused"),)
    if facts.link is not UplinkState.UP:
        first = reason("connecting") if facts.failure is None else reason_of_failure(facts.failure)
        # What is wrong here is worth knowing before the link is up.
        return (first, *(problem for problem in facts.problems if problem.code.startswith("buffer")))
    if facts.silent_probes >= SILENT_PROBES_MAX:
        text = f"{facts.silent_probes} probes in a row were not answered"
        return (reason("hub_silent", text), *facts.problems)
    if not facts.problems and not facts.is_probed:
        return (reason("connecting"),)
    return facts.problems


def is_outage(condition: Condition, reasons: tuple[Reason, ...], *, is_forwarding: bool) -> bool:
    """Whether data does not flow. A degraded uplink without forwards still carries core messages."""
    if condition is Condition.FLOWING:
        return False
    if condition is Condition.DEGRADED:
        return is_forwarding and reasons[0].code != "buffer_full"
    return True
