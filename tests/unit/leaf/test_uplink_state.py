"""The verdict follows from what flows, not from what a socket says."""

from __future__ import annotations

import pytest

from leafbox.leaf.failures import Failure, FailureKind
from leafbox.leaf.remote import UplinkState
from leafbox.leaf.uplink_reasons import Condition, reason
from leafbox.leaf.uplink_state import Facts, is_outage, verdict

pytestmark = pytest.mark.capability("LF06")
REFUSED = Failure(FailureKind.REFUSED, "no")
UP = UplinkState.UP


@pytest.mark.parametrize(
    ("facts", "condition", "code"),
    [
        (Facts(link=UP, is_probed=True), Condition.FLOWING, ""),
        (Facts(link=UP), Condition.CONNECTING, "connecting"),
        (Facts(link=UP, is_probed=True, silent_probes=1), Condition.FLOWING, ""),
        (Facts(link=UP, is_probed=True, silent_probes=2), Condition.STALLED, "hub_silent"),
        (Facts(link=UplinkState.DIALLING), Condition.CONNECTING, "connecting"),
        (Facts(link=UplinkState.WAITING, failure=REFUSED), Condition.DOWN, "connection_refused"),
        (Facts(link=UP, is_probed=True, failure=REFUSED), Condition.FLOWING, ""),
        (Facts(link=UP, is_probed=True, problems=(reason("hub_full"),)), Condition.DEGRADED, "hub_full"),
        (Facts(link=UP, problems=(reason("permissions"),)), Condition.DENIED, "permissions"),
        (Facts(is_paused=True, link=UplinkState.DISABLED, failure=REFUSED), Condition.PAUSED, "paused"),
    ],
)
def test_verdicts(facts: Facts, condition: Condition, code: str) -> None:
    found, reasons = verdict(facts)
    assert found is condition
    assert (reasons[0].code if reasons else "") == code


def test_a_full_buffer_is_told_while_the_hub_is_down() -> None:
    _, reasons = verdict(
        Facts(link=UplinkState.WAITING, failure=REFUSED, problems=(reason("hub_full"), reason("buffer_full")))
    )
    assert [each.code for each in reasons] == ["connection_refused", "buffer_full"]


def test_a_degraded_uplink_is_an_outage_only_for_what_is_forwarded() -> None:
    full, buffer = (reason("hub_full"),), (reason("buffer_full"),)
    assert is_outage(Condition.DEGRADED, full, is_forwarding=True)
    assert not is_outage(Condition.DEGRADED, full, is_forwarding=False)
    assert not is_outage(Condition.DEGRADED, buffer, is_forwarding=True)
    assert is_outage(Condition.STALLED, (reason("hub_silent"),), is_forwarding=False)
    assert not is_outage(Condition.FLOWING, (), is_forwarding=True)
