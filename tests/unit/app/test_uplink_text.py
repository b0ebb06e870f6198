"""What the terminal shows of an uplink."""

from __future__ import annotations

import pytest
import typer

from leafbox.app.uplink_commands import exit_code, size
from leafbox.app.uplink_text import bytes_text, outages_text, status_text, test_text
from leafbox.leaf.uplink_reasons import Condition
from leafbox.protocol.jetstream.go_json import JsonObject

pytestmark = pytest.mark.capability("LF06")
test_text.__test__ = False  # type: ignore[attr-defined]


@pytest.mark.parametrize(("text", "count"), [("0", 0), ("500000", 500_000), ("64K", 65_536), ("4GiB", 4 << 30)])
def test_sizes(text: str, count: int) -> None:
    assert size(text) == count


@pytest.mark.parametrize("text", ["", "-1", "1T", "many", "1.5G"])
def test_bad_sizes(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        size(text)


def test_every_condition_has_an_exit_code() -> None:
    codes = {condition: exit_code({"condition": condition.value}) for condition in Condition}
    assert codes[Condition.FLOWING] == 0
    assert codes[Condition.DENIED] == 5
    assert set(codes.values()) == {0, 3, 4, 5}


def test_a_status_names_reason_next_step_and_backlog() -> None:
    text = status_text(
        {
            "name": "hub",
            "condition": "down",
            "url": "nats-leaf://hub:7422",
            "sentence": "No.",
            "reasons": [{"code": "dns", "sentence": "No.", "next_step": "Look.", "detail": "what"}],
            "hub": {"name": "", "domain": "", "version": ""},
            "probe": None,
            "outage": {"start": "then", "duration_s": 3.0, "reason": "dns"},
            "forwards": [
                {
                    "subjects": ["a.>"],
                    "stream": "a",
                    "hub_stream": "b",
                    "is_held": True,
                    "backlog": {
                        "messages": 7,
                        "bytes": 2048,
                        "oldest_age_s": 1.5,
                        "drain_per_s": 0,
                        "fill_per_s": 0,
                        "eta_s": None,
                    },
                }
            ],
        }
    )
    for wanted in (
        "down",
        "No.",
        "next: Look.",
        "what",
        "7 messages (2.0 KiB)",
        "no end in sight",
        "held back",
        "then",
    ):
        assert wanted in text


def test_tables() -> None:
    assert outages_text({"outages": []}) == "no outage"
    outage = {"start": "s", "end": None, "duration_s": 1, "reason": "dns", "queued": 1, "delivered": 0, "lost": 0}
    assert outages_text({"outages": [dict(outage)]}).splitlines()[1].split() == ["s", "-", "1", "dns", "1", "0", "0"]
    assert bytes_text(3 << 30) == "3.0 GiB"
    step: JsonObject = {"name": "name", "is_done": True, "elapsed_ms": 1.0, "detail": "127.0.0.1"}
    assert "ok" in test_text({"name": "hub", "url": "u", "reason": None, "steps": [step]})
